/**
 * The head of a piece of a message that is sealed from end to end: which message, how long it is,
 * which piece of how many. WIRE.md section 6.
 *
 * Pieces are even: all but the last have the same length, as short as their number allows, so that
 * none is a stub. That nothing comes twice is the seal's matter.
 */

import { getU16, getU32, putU16, putU32 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';
import { MESSAGE_BYTES_MAX } from './fragment.ts';
import { SEALED_PAYLOAD_BYTES_MAX } from './sealed-packet.ts';

const MESSAGE = 0,
  LENGTH = 4,
  INDEX = 6,
  COUNT = 7;
export const PIECE_HEAD_BYTES = 8;
export const PIECE_LAYOUT = {
  message: [MESSAGE, 4],
  length: [LENGTH, 2],
  index: [INDEX, 1],
  count: [COUNT, 1],
} as const;

/** Message bytes of the largest piece. */
export const PIECE_SHARE_BYTES_MAX = SEALED_PAYLOAD_BYTES_MAX - PIECE_HEAD_BYTES;
const COUNT_MAX = Math.ceil(MESSAGE_BYTES_MAX / PIECE_SHARE_BYTES_MAX);

export interface PieceHead {
  /** u32, drawn at random. */
  message: number;
  /** Of the whole message: more than one packet takes, at most MESSAGE_BYTES_MAX. */
  length: number;
  index: number;
  count: number;
}

/** Pieces of a message of `length` bytes. */
export function pieceCount(length: number): number {
  return Math.ceil(length / PIECE_SHARE_BYTES_MAX);
}

/** Bytes of each piece but the last. */
export function pieceShare({
  length,
  count,
}: {
  readonly length: number;
  readonly count: number;
}): number {
  return Math.ceil(length / count);
}

export function decodePieceHead(
  b: Uint8Array,
  start: number,
  end: number,
  out: PieceHead,
): DropReason {
  const bytes = end - start - PIECE_HEAD_BYTES;
  if (bytes < 1) return DropReason.fragmentMalformed;
  out.message = getU32(b, start + MESSAGE);
  out.length = getU16(b, start + LENGTH) + 1;
  out.index = b[start + INDEX]!;
  out.count = b[start + COUNT]!;
  if (
    out.length <= SEALED_PAYLOAD_BYTES_MAX ||
    out.count > COUNT_MAX ||
    out.count !== pieceCount(out.length) ||
    out.index >= out.count
  )
    return DropReason.fragmentMalformed;
  const share = pieceShare(out);
  return bytes === Math.min(share, out.length - out.index * share)
    ? DropReason.none
    : DropReason.fragmentMalformed;
}

export function encodePieceHead(h: PieceHead, b: Uint8Array, at: number): number {
  putU32(b, at + MESSAGE, h.message);
  putU16(b, at + LENGTH, h.length - 1);
  b[at + INDEX] = h.index;
  b[at + COUNT] = h.count;
  return at + PIECE_HEAD_BYTES;
}
