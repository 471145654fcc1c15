/**
 * What a link is told to be worth to routes while it does not stay as it is: one that dies again
 * and again, and one whose numbers go up and down.
 *
 * Damping is RFC 2439's: each death adds to a penalty that decays; above a limit the link is a last
 * resort until the penalty has decayed below another. One death is no flap, nor are two, and
 * whatever happened is forgiven within 20 s of the last one. Swings are damped by holding what is
 * better for longer each time that it soon was no more: a way that is good only while nobody uses
 * it would otherwise be used in turns. Plain arithmetic; knows no timers.
 */

import { SECOND, type Micros } from '../base/time.ts';

/** A penalty of one death halves in this time. */
const HALF_LIFE: Micros = 8 * SECOND;
/**
 * Three deaths within 10 s suppress, four within 24; what is left of a death and a bit lets go;
 * forgiven after 18.6 s at most.
 */
const SUPPRESS = 2;
const REUSE = 0.6;
const PENALTY_MAX = 3;

export class Damping {
  #penalty = 0;
  #at: Micros = 0;
  #suppressed = false;

  onDeath(now: Micros): void {
    this.#decay(now);
    this.#penalty = Math.min(PENALTY_MAX, this.#penalty + 1);
    if (this.#penalty >= SUPPRESS) this.#suppressed = true;
  }

  /** The link is a last resort now. */
  suppressed(now: Micros): boolean {
    if (!this.#suppressed) return false;
    this.#decay(now);
    if (this.#penalty < REUSE) this.#suppressed = false;
    return this.#suppressed;
  }

  #decay(now: Micros): void {
    // By halves and their eighths, so that all engines agree.
    let left = now - this.#at;
    this.#at = now;
    for (; left >= HALF_LIFE && this.#penalty > 0.001; left -= HALF_LIFE) this.#penalty /= 2;
    if (this.#penalty <= 0.001) this.#penalty = 0;
    else this.#penalty *= 1 - (left / HALF_LIFE) * (1 - left / HALF_LIFE / 4) * (2 / 3);
  }
}

/** What is as bad as before within so long after it was better may have been made so by its use. */
const SOON: Micros = 300 * SECOND;
const HOLD_FIRST: Micros = 8 * SECOND;
const HOLD_MAX: Micros = 256 * SECOND;
/** Less than a fifth, and than the slack, is no change. */
const SHARE = 0.2;

export class Swings {
  readonly #slack: number;
  #shown = -1;
  #roseAt: Micros = -SOON;
  #fellAt: Micros = -SOON;
  #hold: Micros = 0;

  /** `slack`: a difference that does not count, in the unit of the values. */
  constructor(slack: number) {
    this.#slack = slack;
  }

  /** What to say of `value`, where less is better. */
  show(value: number, now: Micros): number {
    const before = this.#shown,
      least = Math.max(this.#slack, SHARE * before);
    if (before < 0 || Math.abs(value - before) <= least) {
      this.#shown =
        before < 0 || now - this.#roseAt >= this.#hold ? value : Math.max(value, before);
      return this.#shown;
    }
    if (value > before) {
      this.#hold =
        now - this.#fellAt < SOON
          ? Math.min(HOLD_MAX, Math.max(HOLD_FIRST, 2 * this.#hold))
          : HOLD_FIRST;
      this.#roseAt = now;
    } else {
      if (now - this.#roseAt < this.#hold) return before;
      this.#fellAt = now;
    }
    return (this.#shown = value);
  }
}
