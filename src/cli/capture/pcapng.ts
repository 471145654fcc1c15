/**
 * Writes captures as pcapng (draft-ietf-opsawg-pcapng), as Wireshark and tshark read them.
 *
 * Owns the blocks: one section, an interface for each link, a packet for each datagram with its
 * direction and, as a comment, why something of it was dropped, and at the end what was missed. In
 * front of each datagram is a head that says what the wire does not (CAPTURE.md). Numbers are
 * little-endian, which readers tell by the section's magic; times are microseconds.
 */

import type { CapturedDatagram } from 'spines-client/protocol';

import { putU32 } from '../../core/base/bytes.ts';
import { parseNodeId } from '../../core/base/ids.ts';
import {
  CAPTURE_HEAD_BYTES,
  CAPTURE_HEAD_LAYOUT,
  CAPTURE_HEAD_VERSION,
  CAPTURE_OPENED,
  CAPTURE_OUT,
} from './layouts.ts';

const SECTION = 0x0a0d0d0a,
  INTERFACE = 1,
  STATISTICS = 5,
  PACKET = 6;
/** For what has no link type of its own. */
const LINKTYPE_USER0 = 147;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPTION_END = 0,
  OPTION_COMMENT = 1,
  OPTION_FLAGS = 2,
  OPTION_IF_NAME = 2,
  OPTION_IF_DESCRIPTION = 3,
  OPTION_USER_APPLICATION = 4,
  OPTION_IF_DROP = 5,
  OPTION_TIME_RESOLUTION = 9;
const INBOUND = 1,
  OUTBOUND = 2;
/** 10^-6 s. */
const MICROSECONDS = 6;
/** A head and its drops, of which so many bytes are kept, and a datagram. */
export const DROPS_BYTES_MAX = 255;

const utf8 = new TextEncoder();

type Option = readonly [number, Uint8Array];

function words(...values: readonly number[]): Uint8Array {
  const b = new Uint8Array(values.length * 4);
  const view = new DataView(b.buffer);
  values.forEach((value, i) => view.setUint32(4 * i, value, true));
  return b;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const b = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    b.set(part, at);
    at += part.length;
  }
  return b;
}

/** With zeros up to a multiple of 4. */
function padded(b: Uint8Array): Uint8Array {
  return b.length % 4 === 0 ? b : joined([b, new Uint8Array(4 - (b.length % 4))]);
}

function optionsOf(options: readonly Option[]): Uint8Array {
  if (options.length === 0) return new Uint8Array(0);
  const parts = options.flatMap(([code, value]) => [
    words(code | (value.length << 16)),
    padded(value),
  ]);
  return joined([...parts, words(OPTION_END)]);
}

function block(type: number, body: readonly Uint8Array[], options: readonly Option[]): Uint8Array {
  const content = [...body, optionsOf(options)];
  const length = 12 + content.reduce((sum, part) => sum + part.length, 0);
  return joined([words(type, length), ...content, words(length)]);
}

function timeOf(at: number): Uint8Array {
  return words(Math.floor(at / 2 ** 32), at % 2 ** 32);
}

/** A datagram with its head, as it is in the file. `node`: who captured, dotted quad. */
export function withHead(node: string, datagram: CapturedDatagram): Uint8Array {
  const drops = utf8.encode(datagram.drops.join(',')).subarray(0, DROPS_BYTES_MAX);
  const b = new Uint8Array(CAPTURE_HEAD_BYTES + drops.length + datagram.bytes.length);
  b[CAPTURE_HEAD_LAYOUT.version[0]] = CAPTURE_HEAD_VERSION;
  b[CAPTURE_HEAD_LAYOUT.flags[0]] =
    (datagram.out ? CAPTURE_OUT : 0) | (datagram.opened ? CAPTURE_OPENED : 0);
  b[CAPTURE_HEAD_LAYOUT['wire version'][0]] = datagram.version;
  b[CAPTURE_HEAD_LAYOUT['drops bytes'][0]] = drops.length;
  putU32(b, CAPTURE_HEAD_LAYOUT.node[0], parseNodeId(node) ?? 0);
  putU32(b, CAPTURE_HEAD_LAYOUT.peer[0], parseNodeId(datagram.node ?? '') ?? 0);
  b.set(drops, CAPTURE_HEAD_BYTES);
  b.set(datagram.bytes, CAPTURE_HEAD_BYTES + drops.length);
  return b;
}

/** What is not known of whoever sent what no link has. */
const STRANGERS = 'strangers';

export class PcapngWriter {
  readonly #node: string;
  readonly #snap: number;
  /** By neighbour. */
  readonly #interfaces = new Map<string, number>();
  #latest = 0;

  /** `node`: whose capture it is, dotted quad; `snap`: bytes kept of a datagram at most. */
  constructor(node: string, snap: number) {
    this.#node = node;
    this.#snap = snap + CAPTURE_HEAD_BYTES + DROPS_BYTES_MAX;
  }

  /** Begins the file; `writer` is what wrote it. */
  begin(writer: string): Uint8Array {
    // Version 1.0, and a length of the section that is not known.
    return block(
      SECTION,
      [words(BYTE_ORDER_MAGIC, 1, 0xffffffff, 0xffffffff)],
      [[OPTION_USER_APPLICATION, utf8.encode(writer)]],
    );
  }

  /** The datagram, behind its interface where that is new. */
  datagram(datagram: CapturedDatagram): Uint8Array {
    const key = datagram.node ?? STRANGERS;
    let id = this.#interfaces.get(key);
    const fresh = id === undefined ? this.#interface(key, datagram) : null;
    id ??= this.#interfaces.get(key)!;
    this.#latest = datagram.at;
    const bytes = withHead(this.#node, datagram);
    const options: Option[] = [[OPTION_FLAGS, words(datagram.out ? OUTBOUND : INBOUND)]];
    const comment = commentOf(datagram);
    if (comment !== '') options.push([OPTION_COMMENT, utf8.encode(comment)]);
    const packet = block(
      PACKET,
      [
        words(id),
        timeOf(datagram.at),
        words(bytes.length, bytes.length - datagram.bytes.length + datagram.length),
        padded(bytes),
      ],
      options,
    );
    return fresh === null ? packet : joined([fresh, packet]);
  }

  /** Ends the file: so many datagrams were missed, of all links together. */
  end(missed: number): Uint8Array {
    if (this.#interfaces.size === 0) return new Uint8Array(0);
    return block(
      STATISTICS,
      [words(0), timeOf(this.#latest)],
      [[OPTION_IF_DROP, words(missed % 2 ** 32, Math.floor(missed / 2 ** 32))]],
    );
  }

  #interface(key: string, { node, name, address }: CapturedDatagram): Uint8Array {
    this.#interfaces.set(key, this.#interfaces.size);
    const title = node === null ? STRANGERS : (name ?? node);
    const about = node === null ? 'datagrams of no link' : `link to ${node} at ${address}`;
    return block(
      INTERFACE,
      [words(LINKTYPE_USER0, this.#snap)],
      [
        [OPTION_IF_NAME, utf8.encode(title)],
        [OPTION_IF_DESCRIPTION, utf8.encode(about)],
        [OPTION_TIME_RESOLUTION, Uint8Array.of(MICROSECONDS)],
      ],
    );
  }
}

function commentOf({ drops, node, out, address }: CapturedDatagram): string {
  const said: string[] = [];
  if (drops.length > 0) said.push(`dropped: ${drops.join(', ')}`);
  if (node === null) said.push(`${out ? 'to' : 'from'} ${address}`);
  return said.join('; ');
}
