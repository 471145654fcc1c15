/**
 * Numbers that an adversary must not guess, drawn from a SecureRandom.
 *
 * Ids of streams, runs, probes and questions, and ports that are chosen here: whoever sees some of
 * them must not know the next ones. Jitter and whatever else is no secret comes from Rng.
 */

import { assert } from './assert.ts';
import { getU32 } from './bytes.ts';
import type { SecureRandom } from './rng.ts';

const WORD = 0x1_0000_0000;

export class Draws {
  readonly #random: SecureRandom;
  readonly #bytes = new Uint8Array(4);

  constructor(random: SecureRandom) {
    this.#random = random;
  }

  /** Uniform in 0..2^32-1. */
  u32(): number {
    this.#random.fill(this.#bytes);
    return getU32(this.#bytes, 0);
  }

  /**
   * Uniform integer in 0..n-1; n in 1..2^32. What would make some of them likelier is drawn again.
   */
  below(n: number): number {
    assert(n >= 1 && n <= WORD, 'Draws.below needs a bound from 1 to 2^32');
    const whole = WORD - (WORD % n);
    for (;;) {
      const drawn = this.u32();
      if (drawn < whole) return drawn % n;
    }
  }
}
