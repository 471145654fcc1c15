/**
 * Which packet numbers have arrived: a sliding bitmap (RFC 6479 shape), so that each is used once. `@hot`
 */

import { DropReason } from '../wire/drop.ts';

const WORDS = 64;
const BITS = WORDS * 32;
/** Numbers this far behind the highest are too old to judge. */
export const REPLAY_WINDOW = BITS - 32;

export class ReplayWindow {
  /** -1 until the first arrival. */
  highest = -1;
  readonly #words = new Uint32Array(WORDS);

  /** Says whether `number` is new, without recording it: for use before a datagram is authenticated. */
  check(number: number): DropReason {
    if (number > this.highest) return DropReason.none;
    if (number + REPLAY_WINDOW < this.highest) return DropReason.packetTooOld;
    const low = number % BITS;
    return (this.#words[low >>> 5]! & (1 << (low & 31))) === 0 ? DropReason.none : DropReason.packetReplayed;
  }

  /** Records a number that `check` let pass. */
  record(number: number): void {
    if (number > this.highest) {
      const block = Math.floor(number / 32);
      const from = Math.floor(this.highest / 32) + 1;
      const clear = block - from >= WORDS ? block - WORDS + 1 : from;
      for (let i = clear; i <= block; i += 1) this.#words[i % WORDS] = 0;
      this.highest = number;
    }
    const low = number % BITS;
    const word = low >>> 5;
    this.#words[word] = this.#words[word]! | (1 << (low & 31));
  }
}
