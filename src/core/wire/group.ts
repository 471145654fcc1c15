/**
 * What a packet to a group has in front of its payload: the stamp, which no two packets of a source
 * to a group share, and whether the payload is a message or a fragment of one. WIRE.md section 16.
 *
 * A packet of this kind to a node has another one, whole, as its payload: that lost its way when a
 * link of its tree went down.
 */

import { getU32, putU32 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';
import { FRAGMENT_HEAD_BYTES, MESSAGE_BYTES_MAX } from './fragment.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from './sizes.ts';
import { SEAL_BYTES } from './sealed-packet.ts';

const RUN = 0,
  NUMBER = 4,
  CONTENT = 8;
export const GROUP_HEAD_BYTES = 9;
export const GROUP_LAYOUT = {
  run: [RUN, 4],
  number: [NUMBER, 4],
  content: [CONTENT, 1],
} as const;

/** A message; a fragment of one. */
export const CONTENT_WHOLE = 1,
  CONTENT_FRAGMENT = 2;

/** A whole packet to a group fits, sealed, into one to a node. */
export const GROUP_PACKET_BYTES_MAX = PACKET_BYTES_MAX - OVERLAY_HEADER_BYTES - SEAL_BYTES;
/** Message bytes in every fragment but the last. */
export const GROUP_SHARE_BYTES =
  GROUP_PACKET_BYTES_MAX - OVERLAY_HEADER_BYTES - GROUP_HEAD_BYTES - FRAGMENT_HEAD_BYTES;
/** Largest message of one packet. */
export const GROUP_WHOLE_BYTES_MAX = GROUP_SHARE_BYTES + FRAGMENT_HEAD_BYTES;
export const GROUP_FRAGMENTS_MAX = Math.ceil(MESSAGE_BYTES_MAX / GROUP_SHARE_BYTES);

export interface GroupHead {
  /** u32, of the source's daemon: the low bits of its instance, and one more at each overflow. */
  run: number;
  /** u32, counts up for each source and group. */
  number: number;
  content: number;
}

export function decodeGroupHead(
  b: Uint8Array,
  start: number,
  end: number,
  out: GroupHead,
): DropReason {
  if (end - start < GROUP_HEAD_BYTES) return DropReason.groupMalformed;
  out.run = getU32(b, start + RUN);
  out.number = getU32(b, start + NUMBER);
  out.content = b[start + CONTENT]!;
  return out.content === CONTENT_WHOLE || out.content === CONTENT_FRAGMENT
    ? DropReason.none
    : DropReason.groupMalformed;
}

export function encodeGroupHead(head: GroupHead, b: Uint8Array, at: number): number {
  putStamp(b, at, head.run, head.number);
  b[at + CONTENT] = head.content;
  return at + GROUP_HEAD_BYTES;
}

/** Writes the stamp into the head at `at`. `@hot` */
export function putStamp(b: Uint8Array, at: number, run: number, number: number): void {
  putU32(b, at + RUN, run);
  putU32(b, at + NUMBER, number);
}
