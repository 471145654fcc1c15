/**
 * Sizes of a path: the probe of one, its answer, and the pieces of a frame that is longer than the
 * path takes. WIRE.md section 3.
 *
 * A probe fills a datagram of its own, whose number is not among those of others. A split frame
 * travels as 2 to 4 SPLIT frames, each in a datagram of its own; all pieces but the last have the
 * same length.
 */

import { getU16, getU32, putU16, putU32 } from '../base/bytes.ts';
import { assert } from '../base/assert.ts';
import { DropReason } from './drop.ts';
import { FRAME_SIZE_PROBE, FRAME_SPLIT } from './frames.ts';
import {
  DATAGRAM_BYTES_MIN,
  DATAGRAM_HEADER_BYTES,
  FRAME_BODY_BYTES_MAX,
  FRAME_HEAD_BYTES,
  TAG_BYTES,
} from './sizes.ts';

/** Of a probe, in front of zeros, and of its answer. */
export const SIZE_TOKEN_BYTES = 8;
export const SIZE_LAYOUT = { token: [0, SIZE_TOKEN_BYTES] } as const;

/** Two halves of a token, u32 each. */
export interface SizeToken {
  high: number;
  low: number;
}

/**
 * Whether a datagram's frames, `b[start..end)`, are those of a probe: one SIZE_PROBE and nothing
 * behind it. Fills `out`.
 */
export function decodeSizeProbe(
  b: Uint8Array,
  start: number,
  end: number,
  out: SizeToken,
): DropReason {
  const at = start + FRAME_HEAD_BYTES;
  if (
    end < at + SIZE_TOKEN_BYTES ||
    b[start] !== FRAME_SIZE_PROBE ||
    getU16(b, start + 1) !== end - at
  )
    return DropReason.sizeProbeMalformed;
  getToken(b, at, out);
  return DropReason.none;
}

export function decodeSizeAnswer(
  b: Uint8Array,
  start: number,
  end: number,
  out: SizeToken,
): DropReason {
  if (end - start !== SIZE_TOKEN_BYTES) return DropReason.sizeProbeMalformed;
  getToken(b, start, out);
  return DropReason.none;
}

export function putSizeToken(b: Uint8Array, at: number, { high, low }: SizeToken): void {
  putU32(b, at, high);
  putU32(b, at + 4, low);
}

function getToken(b: Uint8Array, at: number, out: SizeToken): void {
  out.high = getU32(b, at);
  out.low = getU32(b, at + 4);
}

/* ------------------------------------------------------------------ split */

const ID = 0,
  PART = 2,
  TYPE = 3;
export const SPLIT_HEAD_BYTES = 4;
export const SPLIT_LAYOUT = { id: [ID, 2], part: [PART, 1], type: [TYPE, 1] } as const;
export const SPLIT_PARTS_MAX = 4;

export interface SplitHead {
  /** u16, counts up per channel and direction. */
  id: number;
  index: number;
  /** 2..4 */
  count: number;
  /** Of the frame that was split. */
  type: number;
}

/** Body bytes of a frame that one datagram of `datagramBytes` takes as a piece. */
export function splitPieceMax(datagramBytes: number): number {
  return datagramBytes - DATAGRAM_HEADER_BYTES - FRAME_HEAD_BYTES - SPLIT_HEAD_BYTES - TAG_BYTES;
}

/** Datagrams that a frame body of `bodyBytes` takes where it has to be split. */
export function splitParts(bodyBytes: number, datagramBytes: number): number {
  return Math.max(2, Math.ceil(bodyBytes / splitPieceMax(datagramBytes)));
}

export function decodeSplitHead(
  b: Uint8Array,
  start: number,
  end: number,
  out: SplitHead,
): DropReason {
  if (end - start <= SPLIT_HEAD_BYTES) return DropReason.splitMalformed;
  out.id = getU16(b, start + ID);
  out.index = b[start + PART]! >>> 4;
  out.count = b[start + PART]! & 0x0f;
  out.type = b[start + TYPE]!;
  if (out.count < 2 || out.count > SPLIT_PARTS_MAX || out.index >= out.count)
    return DropReason.splitMalformed;
  return out.type === FRAME_SPLIT || out.type === FRAME_SIZE_PROBE
    ? DropReason.splitMalformed
    : DropReason.none;
}

export function encodeSplitHead(h: SplitHead, b: Uint8Array, at: number): number {
  putU16(b, at + ID, h.id);
  b[at + PART] = (h.index << 4) | h.count;
  b[at + TYPE] = h.type;
  return at + SPLIT_HEAD_BYTES;
}

assert(
  splitParts(FRAME_BODY_BYTES_MAX, DATAGRAM_BYTES_MIN) <= SPLIT_PARTS_MAX,
  'the longest frame fits the smallest datagrams',
);
