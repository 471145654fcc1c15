/**
 * Frames: what a data datagram carries. Type registry, the common head, and the small frames of a
 * link. WIRE.md section 3.
 *
 * Each frame is type (u8), body length (u16), body. The frames of a datagram fill it exactly; a
 * datagram with a frame that does not decode is used up to that frame, and the rest is dropped and
 * counted.
 */

import { getU16, getU32, putU16, putU32 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';
import { FRAME_HEAD_BYTES } from './sizes.ts';
import { WIRE_VERSION_REALTIME } from './versions.ts';

export const FRAME_HELLO = 0x01;
export const FRAME_CLOSE = 0x02;
export const FRAME_ACK = 0x03;
/** Sent to an address where the peer may have moved; the answer from there proves it. */
export const FRAME_PATH_PROBE = 0x04;
export const FRAME_PATH_ANSWER = 0x05;
/** Alone in a datagram of the size that it asks about; see path-size.ts. */
export const FRAME_SIZE_PROBE = 0x06;
export const FRAME_SIZE_ANSWER = 0x07;
export const FRAME_DATA = 0x08;
/** Link sequence number (u32), packet. */
export const FRAME_RELIABLE = 0x09;
/** Packets with a deadline, what was missing of them, requests and parities; see realtime.ts. */
export const FRAME_REALTIME = 0x0a;
export const FRAME_REALTIME_AGAIN = 0x0b;
export const FRAME_REQUEST = 0x0c;
export const FRAME_REPAIR = 0x0d;
/** A piece of a frame that is longer than the path takes; see path-size.ts. */
export const FRAME_SPLIT = 0x0e;
export const FRAME_LINK_STATE = 0x10;
export const FRAME_LINK_STATE_ACK = 0x11;
export const FRAME_DIGEST = 0x12;
export const FRAME_REVOCATION_OFFER = 0x13;
export const FRAME_REVOCATION_WANT = 0x14;
export const FRAME_REVOCATION_PART = 0x15;
/** Signed records that are flooded beside advertisements; see record.ts. */
export const FRAME_RECORD = 0x16;
export const FRAME_RECORD_ACK = 0x17;
export const FRAME_RECORD_DIGEST = 0x19;
/** A certificate that something signed names, in front of it. */
export const FRAME_CERTIFICATE = 0x1a;
/** See twin.ts. */
export const FRAME_TWIN = 0x1c;
/** The groups that a node is in, flooded beside records; see groups.ts. */
export const FRAME_GROUPS = 0x1d;
export const FRAME_GROUPS_ACK = 0x1e;
export const FRAME_GROUPS_DIGEST = 0x1f;

/** Those that no link reads itself: routing's and the like. */
export const CONTROL_FRAMES: ReadonlySet<number> = new Set([
  FRAME_LINK_STATE,
  FRAME_LINK_STATE_ACK,
  FRAME_DIGEST,
  FRAME_REVOCATION_OFFER,
  FRAME_REVOCATION_WANT,
  FRAME_REVOCATION_PART,
  FRAME_TWIN,
  FRAME_RECORD,
  FRAME_RECORD_ACK,
  FRAME_RECORD_DIGEST,
  FRAME_CERTIFICATE,
  FRAME_GROUPS,
  FRAME_GROUPS_ACK,
  FRAME_GROUPS_DIGEST,
]);

/** Of a path probe and its answer: the same random token. */
export const PATH_TOKEN_BYTES = 8;
export const PATH_LAYOUT = { token: [0, PATH_TOKEN_BYTES] } as const;

export const FRAME_HEAD_LAYOUT = { type: [0, 1], length: [1, 2] } as const;

/** Body length of the frame at `at`, or -1 when head or body reach beyond `end`. `@hot` */
export function frameBodyBytes(b: Uint8Array, at: number, end: number): number {
  if (at + FRAME_HEAD_BYTES > end) return -1;
  const length = (b[at + 1]! << 8) | b[at + 2]!;
  return at + FRAME_HEAD_BYTES + length > end ? -1 : length;
}

/** Writes a frame head; returns where the body goes. `@hot` */
export function putFrameHead(b: Uint8Array, at: number, type: number, bodyBytes: number): number {
  b[at] = type;
  b[at + 1] = bodyBytes >>> 8;
  b[at + 2] = bodyBytes;
  return at + FRAME_HEAD_BYTES;
}

/* ------------------------------------------------------------------ hello */

const FLAGS = 0,
  BURST = 1,
  LOSS = 2,
  STAMP = 4,
  ECHO = 8,
  HELD = 12;
export const HELLO_BODY_BYTES = 16;
export const HELLO_LAYOUT = {
  flags: [FLAGS, 1],
  burst: [BURST, 1],
  loss: [LOSS, 2],
  stamp: [STAMP, 4],
  echo: [ECHO, 4],
  held: [HELD, 4],
} as const;

/** The sender wants a hello back at once. */
export const HELLO_PROBE = 0x01;
/** `echo` and `held` mean something. */
export const HELLO_ECHOES = 0x02;

export interface Hello {
  flags: number;
  /**
   * The chance that what follows a lost datagram is lost as well, in 1/255; 0 while there is too
   * little to tell by, and on links of a wire version that has no place for it.
   */
  burst: number;
  /** Share of the peer's datagrams that did not reach the sender, in 1/65535. */
  loss: number;
  /** Sender's clock in microseconds, low 32 bits. */
  stamp: number;
  /** The latest `stamp` the sender received, and for how many microseconds it held it. */
  echo: number;
  held: number;
}

/** `version`: of the link; up to 3 `burst` is reserved. */
export function decodeHello(
  b: Uint8Array,
  start: number,
  end: number,
  out: Hello,
  version: number,
): DropReason {
  if (end - start !== HELLO_BODY_BYTES) return DropReason.helloMalformed;
  const flags = b[start + FLAGS]!,
    burst = b[start + BURST]!;
  if (
    (flags & ~(HELLO_PROBE | HELLO_ECHOES)) !== 0 ||
    (burst !== 0 && version < WIRE_VERSION_REALTIME)
  )
    return DropReason.reservedNotZero;
  out.flags = flags;
  out.burst = burst;
  out.loss = getU16(b, start + LOSS);
  out.stamp = getU32(b, start + STAMP);
  out.echo = getU32(b, start + ECHO);
  out.held = getU32(b, start + HELD);
  return DropReason.none;
}

/** Writes a hello's body; returns the next offset. */
export function encodeHello(h: Hello, b: Uint8Array, at: number): number {
  b[at + FLAGS] = h.flags;
  b[at + BURST] = h.burst;
  putU16(b, at + LOSS, h.loss);
  putU32(b, at + STAMP, h.stamp);
  putU32(b, at + ECHO, h.echo);
  putU32(b, at + HELD, h.held);
  return at + HELLO_BODY_BYTES;
}

/* ------------------------------------------------------------------ close */

export const CLOSE_BODY_BYTES = 1;
export const CLOSE_LAYOUT = { reason: [0, 1] } as const;

/** The daemon is going down on purpose. */
export const CLOSE_SHUTDOWN = 1;
/** The sender has not heard the peer for too long. */
export const CLOSE_DEAD = 2;
/** The link was removed or replaced. */
export const CLOSE_REMOVED = 3;

/** The reason of a close frame, or -1 when it is malformed. */
export function decodeClose(b: Uint8Array, start: number, end: number): number {
  if (end - start !== CLOSE_BODY_BYTES) return -1;
  const reason = b[start]!;
  return reason >= CLOSE_SHUTDOWN && reason <= CLOSE_REMOVED ? reason : -1;
}
