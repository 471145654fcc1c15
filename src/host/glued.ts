/**
 * Finds the datagrams in what the kernel glued together on arrival (UDP_GRO): all of one size but the last, which may be shorter.
 *
 * The kernel says that size in a control message that Node does not show. But all come from one socket, and those of one
 * channel begin with the same type and receiver index and have numbers close together (WIRE.md, section 1): where that
 * comes again for the first time is where the second one begins. By chance it comes in ciphertext once in 2^80 datagrams; a datagram of another kind
 * in front of others of its size hides them, as if the network had lost them, and whoever sent them sends them again. `@hot`
 */

import { getU48 } from '../base/bytes.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES } from '../wire/sizes.ts';

/** Type, reserved byte and receiver index. */
export const SAME_HEAD_BYTES = 6;
/** Numbers of datagrams that arrive together lie closer than this. */
const NEAR = 4_096;

/** Bytes of each datagram of `b` but the last; b.length when it is one. */
export function segmentBytesOf(b: Buffer): number {
  const last = Math.min(DATAGRAM_BYTES_MAX, b.length - DATAGRAM_HEADER_BYTES);
  if (last < DATAGRAM_HEADER_BYTES) return b.length;
  const head = b.subarray(0, SAME_HEAD_BYTES);
  const number = getU48(b, SAME_HEAD_BYTES);
  for (let at = b.indexOf(head, DATAGRAM_HEADER_BYTES); at >= 0 && at <= last; at = b.indexOf(head, at + 1)) {
    const apart = getU48(b, at + SAME_HEAD_BYTES) - number;
    if (apart !== 0 && apart < NEAR && apart > -NEAR) return at;
  }
  return b.length;
}
