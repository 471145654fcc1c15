/**
 * The head of a datagram fragment: which message, which piece, of how many. WIRE.md section 6.
 *
 * Messages that fit one packet travel without it. All fragments but the last are full, so a piece's
 * place in the message follows from its number.
 */

import { getU32, putU32 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';
import { PAYLOAD_BYTES_MAX } from './sizes.ts';

const MESSAGE = 0,
  INDEX = 4,
  COUNT = 5;
export const FRAGMENT_HEAD_BYTES = 6;
export const FRAGMENT_LAYOUT = {
  message: [MESSAGE, 4],
  index: [INDEX, 1],
  count: [COUNT, 1],
} as const;

/** Message bytes in every fragment but the last. */
export const FRAGMENT_BYTES = PAYLOAD_BYTES_MAX - FRAGMENT_HEAD_BYTES;
/** Largest message, as the client protocol allows it. */
export const MESSAGE_BYTES_MAX = 65_536;
export const FRAGMENTS_MAX = Math.ceil(MESSAGE_BYTES_MAX / FRAGMENT_BYTES);

export interface FragmentHead {
  /** u32, counts up per source session. */
  message: number;
  index: number;
  count: number;
}

/** `share`: message bytes in every fragment but the last, at most FRAGMENT_BYTES. */
export function decodeFragmentHead(
  b: Uint8Array,
  start: number,
  end: number,
  out: FragmentHead,
  share = FRAGMENT_BYTES,
): DropReason {
  const bytes = end - start - FRAGMENT_HEAD_BYTES;
  if (bytes < 1) return DropReason.fragmentMalformed;
  out.message = getU32(b, start + MESSAGE);
  out.index = b[start + INDEX]!;
  out.count = b[start + COUNT]!;
  if (out.count < 2 || out.count > Math.ceil(MESSAGE_BYTES_MAX / share) || out.index >= out.count)
    return DropReason.fragmentMalformed;
  if (out.index < out.count - 1 ? bytes !== share : bytes > share)
    return DropReason.fragmentMalformed;
  if (out.index * share + bytes > MESSAGE_BYTES_MAX) return DropReason.fragmentMalformed;
  return DropReason.none;
}

export function encodeFragmentHead(h: FragmentHead, b: Uint8Array, at: number): number {
  putU32(b, at + MESSAGE, h.message);
  b[at + INDEX] = h.index;
  b[at + COUNT] = h.count;
  return at + FRAGMENT_HEAD_BYTES;
}
