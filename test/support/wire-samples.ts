/** Datagrams of what neither golden.ts has nor a quiet network says, made by the codecs. */

import { DATAGRAM_DATA, encodeDatagramHeader } from '../../src/core/wire/datagram-header.ts';
import * as header from '../../src/core/wire/datagram-header.ts';
import { putU32 } from '../../src/core/base/bytes.ts';
import {
  CONTENT_FRAGMENT,
  CONTENT_WHOLE,
  encodeGroupHead,
  GROUP_HEAD_BYTES,
} from '../../src/core/wire/group.ts';
import { makeGroups } from '../../src/core/wire/groups.ts';
import { CONTROL_CHECK_BYTES, putControlCheck } from '../../src/core/wire/link-state.ts';
import {
  FRAME_DATA,
  FRAME_GROUPS,
  FRAME_GROUPS_ACK,
  FRAME_GROUPS_DIGEST,
  FRAME_LINK_STATE,
  FRAME_PATH_ANSWER,
  FRAME_PATH_PROBE,
  FRAME_RELIABLE,
  FRAME_REVOCATION_OFFER,
  FRAME_REVOCATION_PART,
  FRAME_REVOCATION_WANT,
  FRAME_SPLIT,
  FRAME_TWIN,
  putFrameHead,
} from '../../src/core/wire/frames.ts';
import { encodeNotice, makeNotice, NOTICE_BYTES } from '../../src/core/wire/notice.ts';
import {
  KIND_DATAGRAM,
  KIND_FRAGMENT,
  KIND_GROUP,
  KIND_NOTICE,
  KIND_ROUTED,
  OVERLAY_LAYOUT,
} from '../../src/core/wire/packet.ts';
import {
  encodeFloodHead,
  encodeRoutedHead,
  ROUTED_HEAD_BYTES,
  routedHeadBytes,
} from '../../src/core/wire/routed.ts';
import { encodeSplitHead } from '../../src/core/wire/path-size.ts';
import {
  encodeRevocationOffer,
  encodeRevocationPart,
  encodeRevocationWant,
} from '../../src/core/wire/revocation.ts';
import { COOKIE_DATAGRAM_BYTES, KEY_DATAGRAM_BYTES } from '../../src/core/wire/sealed-handshake.ts';
import {
  DATAGRAM_BYTES_MAX,
  DATAGRAM_HEADER_BYTES,
  OVERLAY_HEADER_BYTES,
} from '../../src/core/wire/sizes.ts';
import { encodeTwin, TWIN_BODY_BYTES } from '../../src/core/wire/twin.ts';
import { pattern } from './network.ts';

/** One datagram with a frame whose body of at most `bytes` `write` fills. */
function framed(
  type: number,
  bytes: number,
  write: (b: Uint8Array, at: number) => unknown,
): Uint8Array {
  const b = new Uint8Array(DATAGRAM_BYTES_MAX);
  encodeDatagramHeader(DATAGRAM_DATA, 7, 9, b);
  const at = putFrameHead(b, DATAGRAM_HEADER_BYTES, type, bytes);
  write(b, at);
  return b.slice(0, at + bytes);
}

function handshake(type: number, length: number): Uint8Array {
  const b = pattern(length, type);
  encodeDatagramHeader(type, 7, 3, b);
  return b;
}

const AUTHORITY = pattern(16, 5);
const list = { authority: AUTHORITY, number: 1_790_000_000, bytes: pattern(1_500) };
const path = (b: Uint8Array, at: number): void => b.set(pattern(8), at);

/** A frame of the link-state family: `body` and its check. */
function control(type: number, body: Uint8Array): Uint8Array {
  return framed(type, body.length + CONTROL_CHECK_BYTES, (b, at) => {
    b.set(body, at);
    putControlCheck(b, at, at + body.length);
  });
}

const groups = { origin: 0x0a00_0001, page: 1, sequence: 7, instance: 9, groups: [0xe0000001] };
const proof = { issuedS: 1_790_000_000, certificate: pattern(32), whole: null };

/** A packet of kind GROUP from 10.0.0.1 with `payload`. */
function toGroup(destination: number, payload: Uint8Array): Uint8Array {
  return framed(FRAME_DATA, OVERLAY_HEADER_BYTES + payload.length, (b, at) => {
    b.set([KIND_GROUP, 64, 0, 1], at);
    putU32(b, at + OVERLAY_LAYOUT.source[0], 0x0a00_0001);
    putU32(b, at + OVERLAY_LAYOUT.destination[0], destination);
    b.set(payload, at + OVERLAY_HEADER_BYTES);
  });
}

function stamped(content: number): Uint8Array {
  const b = pattern(GROUP_HEAD_BYTES + 40);
  encodeGroupHead({ run: 5, number: 6, content }, b, 0);
  return b;
}

const TWO_WAYS = {
  nodes: [0x0a00_0001, 0x0a00_0002, 0x0a00_0003, 0x0a00_0004],
  edges: [
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 3],
  ],
} as const;

/** A packet of kind ROUTED over two paths; `mode`: 0x40 sealed. */
function routed(kind: number, mode: number, bytes: number): Uint8Array {
  const head = OVERLAY_HEADER_BYTES + routedHeadBytes(4, 4);
  return framed(FRAME_DATA, head + bytes, (b, at) => {
    b.set([KIND_ROUTED, 64, mode, 1], at);
    putU32(b, at + OVERLAY_LAYOUT.source[0], TWO_WAYS.nodes[0]);
    putU32(b, at + OVERLAY_LAYOUT.destination[0], TWO_WAYS.nodes[3]);
    encodeRoutedHead(kind, TWO_WAYS, b, at + OVERLAY_HEADER_BYTES);
    b.set(pattern(bytes), at + head);
  });
}

/** Likewise, of one that goes everywhere within 65 ms. */
function flooded(mode: number, bytes: number): Uint8Array {
  const head = OVERLAY_HEADER_BYTES + ROUTED_HEAD_BYTES;
  return framed(FRAME_DATA, head + bytes, (b, at) => {
    b.set([KIND_ROUTED, 32, mode, 1], at);
    putU32(b, at + OVERLAY_LAYOUT.source[0], TWO_WAYS.nodes[0]);
    putU32(b, at + OVERLAY_LAYOUT.destination[0], TWO_WAYS.nodes[3]);
    encodeFloodHead(KIND_DATAGRAM, 65, b, at + OVERLAY_HEADER_BYTES);
    b.set(pattern(bytes), at + head);
  });
}

const whole = toGroup(0xe000_0001, stamped(CONTENT_WHOLE));

export const SAMPLES: readonly Uint8Array[] = [
  control(FRAME_GROUPS, makeGroups(groups, null).bytes),
  control(FRAME_GROUPS, makeGroups(groups, { proof, sign: () => pattern(64) }).bytes),
  control(FRAME_GROUPS_ACK, pattern(24)),
  control(FRAME_GROUPS_DIGEST, pattern(13)),
  whole,
  routed(KIND_DATAGRAM, 0x10, 100),
  routed(KIND_FRAGMENT, 0x10, 200),
  routed(KIND_DATAGRAM, 0x50, 100),
  flooded(0x18, 100),
  flooded(0x58, 100),
  toGroup(0xe000_0001, stamped(CONTENT_FRAGMENT)),
  toGroup(0x0a00_0002, whole.subarray(DATAGRAM_HEADER_BYTES + 3)),
  handshake(header.DATAGRAM_COOKIE, COOKIE_DATAGRAM_BYTES),
  handshake(header.DATAGRAM_KEY_REQUEST, KEY_DATAGRAM_BYTES),
  handshake(header.DATAGRAM_KEY_ANSWER, KEY_DATAGRAM_BYTES),
  framed(FRAME_PATH_PROBE, 8, path),
  framed(FRAME_PATH_ANSWER, 8, path),
  framed(FRAME_SPLIT, 204, (b, at) => {
    const piece = encodeSplitHead({ id: 5, index: 1, count: 3, type: FRAME_RELIABLE }, b, at);
    b.set(pattern(200), piece);
  }),
  framed(FRAME_SPLIT, 24, (b, at) => {
    encodeSplitHead({ id: 6, index: 0, count: 2, type: FRAME_LINK_STATE }, b, at);
  }),
  framed(FRAME_REVOCATION_OFFER, 25, (b, at) => encodeRevocationOffer(true, [list], b, at)),
  framed(FRAME_REVOCATION_WANT, 26, (b, at) =>
    encodeRevocationWant(
      { authority: Buffer.from(AUTHORITY).toString('hex'), number: list.number, missing: 3 },
      b,
      at,
    ),
  ),
  framed(FRAME_REVOCATION_PART, 25 + 124, (b, at) =>
    encodeRevocationPart(AUTHORITY, list.number, list.bytes, 1, b, at),
  ),
  framed(FRAME_TWIN, TWIN_BODY_BYTES, (b, at) =>
    encodeTwin({ instance: 77, started: 88 }, { address: '2001:db8::7', port: 8_100 }, b, at),
  ),
  framed(FRAME_DATA, OVERLAY_HEADER_BYTES + NOTICE_BYTES, (b, at) => {
    b.set(pattern(OVERLAY_HEADER_BYTES), at);
    b[at + OVERLAY_LAYOUT.kind[0]] = KIND_NOTICE;
    b[at + OVERLAY_LAYOUT.mode[0]] = 0;
    encodeNotice({ ...makeNotice(), reason: 2, dropped: 3, rate: 125_000 }, b, at + 16);
  }),
];
