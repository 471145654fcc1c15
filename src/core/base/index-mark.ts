/**
 * What all receiver indices of a run have in common: twelve bits behind the first, which is 0, that
 * are drawn once.
 *
 * By these the system can tell what comes over a link, or answers a call, from what anybody sends,
 * before the daemon has read it: who has seen no index of this daemon guesses them once in 4,096
 * times. They prove nothing, and nothing is believed for them.
 */

/** An index is marked when `(index & mask) === value`. */
export interface IndexMark {
  readonly mask: number;
  readonly value: number;
}

/** Bits that differ between indices: 524,288 are left, where a daemon has a thousand. */
const FREE_BITS = 19;
const MASK = 0x7fff_ffff & ~((1 << FREE_BITS) - 1);

/** `drawn`: u32 that nobody can guess. */
export function drawIndexMark(drawn: number): IndexMark {
  return { mask: MASK, value: drawn & MASK };
}
