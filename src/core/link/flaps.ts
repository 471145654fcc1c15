/**
 * How often something happened in the last hour: a link that goes down again and again is worth a
 * look even while it is up. Bounded.
 */

import { SECOND, type Micros } from '../base/time.ts';

const WINDOW: Micros = 3_600 * SECOND;
/** More are not counted. */
export const FLAPS_MAX = 1_000;

export class Flaps {
  /** The oldest first. */
  #at: Micros[] = [];

  note(now: Micros): void {
    this.#forget(now);
    if (this.#at.length < FLAPS_MAX) this.#at.push(now);
  }

  /** 0..FLAPS_MAX. */
  within(now: Micros): number {
    this.#forget(now);
    return this.#at.length;
  }

  #forget(now: Micros): void {
    let old = 0;
    while (old < this.#at.length && now - this.#at[old]! >= WINDOW) old += 1;
    if (old > 0) this.#at = this.#at.slice(old);
  }
}
