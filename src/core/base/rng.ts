/**
 * Seeded randomness for everything that is not a secret: emulated loss, jitter of timers, simulated
 * faults.
 *
 * xoshiro128** (Blackman and Vigna, 2018), seeded through splitmix32. `fork(label)` gives an
 * independent stream that depends only on the parent's seed and the label, so a new draw in one
 * place does not shift the draws of another. Never use it for keys, nonces or anything an adversary
 * must not guess: that is SecureRandom.
 */

import { assert } from './assert.ts';

export interface SecureRandom {
  /** Fills `out` with unpredictable bytes. */
  fill(out: Uint8Array): void;
}

export class Rng {
  readonly #seed: number;
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `seed`: any integer; its low 32 bits count. */
  constructor(seed: number) {
    this.#seed = seed >>> 0;
    let state = this.#seed;
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state ^ (state >>> 16);
      z = Math.imul(z, 0x21f0aaad);
      z ^= z >>> 15;
      z = Math.imul(z, 0x735a2d97);
      return (z ^ (z >>> 15)) | 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /**
   * A stream of its own, named: the same seed and label give the same stream, whatever was drawn
   * before.
   */
  fork(label: string): Rng {
    let hash = 0x811c9dc5 ^ this.#seed;
    for (let i = 0; i < label.length; i += 1) {
      hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
    }
    return new Rng(hash ^ Math.imul(this.#seed, 0x85ebca6b));
  }

  /** Uniform in 0..2^32-1. */
  u32(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return this.u32() / 0x1_0000_0000;
  }

  /** Uniform integer in 0..n-1; n in 1..2^32. */
  below(n: number): number {
    assert(n >= 1, 'Rng.below needs a positive bound');
    return Math.floor(this.unit() * n);
  }

  /** True with probability `p` (0 never, 1 always). Draws only when the answer is open. */
  chance(p: number): boolean {
    if (p <= 0) return false;
    if (p >= 1) return true;
    return this.unit() < p;
  }

  /** Fills `out` with random bytes. */
  fill(out: Uint8Array): void {
    for (let i = 0; i < out.length; i += 1) out[i] = this.u32() & 0xff;
  }

  /** Shuffles in place (Fisher-Yates) and returns `items`. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i -= 1) {
      const j = this.below(i + 1);
      const held = items[i]!;
      items[i] = items[j]!;
      items[j] = held;
    }
    return items;
  }
}
