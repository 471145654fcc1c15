/**
 * A budget of so many actions a second, with a burst: for answers that anybody can provoke.
 */

import { SECOND, type Micros } from './time.ts';

export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: Micros = 0;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes `count` tokens if there are as many. */
  take(now: Micros, count = 1): boolean {
    if (this.level(now) < count) return false;
    this.#tokens -= count;
    return true;
  }

  /**
   * Takes `count` tokens whether there are as many or not: what is missing must come in before
   * others can be taken.
   */
  charge(now: Micros, count: number): void {
    this.#tokens = Math.max(-this.#burst, this.level(now) - count);
  }

  /** Tokens there are now, at most the burst; below 0 while something is owed. */
  level(now: Micros): number {
    this.#tokens = Math.min(
      this.#burst,
      this.#tokens + ((now - this.#filledAt) / SECOND) * this.#perSecond,
    );
    this.#filledAt = now;
    return this.#tokens;
  }
}
