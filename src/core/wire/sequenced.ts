/**
 * The head of a sequenced datagram: which message of which run of a session, and which piece of it.
 * WIRE.md section 6.
 *
 * Datagrams over reliable links carry it, so that one which arrives twice (after a link died with
 * its acknowledgement under way) is delivered once. Pieces are cut as for plain fragments.
 */

import { getU32, putU32 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';
import { MESSAGE_BYTES_MAX } from './fragment.ts';
import { PAYLOAD_BYTES_MAX } from './sizes.ts';

const RUN = 0,
  MESSAGE = 4,
  INDEX = 8,
  COUNT = 9;
export const SEQUENCED_HEAD_BYTES = 10;
export const SEQUENCED_LAYOUT = {
  run: [RUN, 4],
  message: [MESSAGE, 4],
  index: [INDEX, 1],
  count: [COUNT, 1],
} as const;

/** Message bytes in every piece but the last. */
export const PIECE_BYTES = PAYLOAD_BYTES_MAX - SEQUENCED_HEAD_BYTES;
export const PIECES_MAX = Math.ceil(MESSAGE_BYTES_MAX / PIECE_BYTES);

export interface SequencedHead {
  /** u32, drawn when the session opens: a restarted program is a new run. */
  run: number;
  /** u32, counts up from 0. */
  message: number;
  index: number;
  /** 1 = whole. */
  count: number;
}

export function decodeSequencedHead(
  b: Uint8Array,
  start: number,
  end: number,
  out: SequencedHead,
): DropReason {
  const bytes = end - start - SEQUENCED_HEAD_BYTES;
  if (bytes < 0) return DropReason.sequencedMalformed;
  out.run = getU32(b, start + RUN);
  out.message = getU32(b, start + MESSAGE);
  out.index = b[start + INDEX]!;
  out.count = b[start + COUNT]!;
  if (out.count < 1 || out.count > PIECES_MAX || out.index >= out.count)
    return DropReason.sequencedMalformed;
  if (out.count > 1 && (bytes < 1 || (out.index < out.count - 1 && bytes !== PIECE_BYTES)))
    return DropReason.sequencedMalformed;
  return out.index * PIECE_BYTES + bytes > MESSAGE_BYTES_MAX
    ? DropReason.sequencedMalformed
    : DropReason.none;
}

export function encodeSequencedHead(h: SequencedHead, b: Uint8Array, at: number): number {
  putU32(b, at + RUN, h.run);
  putU32(b, at + MESSAGE, h.message);
  b[at + INDEX] = h.index;
  b[at + COUNT] = h.count;
  return at + SEQUENCED_HEAD_BYTES;
}
