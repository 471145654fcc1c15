/**
 * What a link is told to be worth to routes while it does not stay as it is: one that dies again
 * and again, and one whose numbers go up and down.
 *
 * Damping is RFC 2439's: each death adds to a penalty that decays; above a limit the link is a last
 * resort until the penalty has decayed below another. One death is no flap, nor are two, and
 * whatever happened is forgiven within 20 s of the last one. Swings are damped by holding what is
 * better for longer each time that it soon was no more, from the second time on since it was bad
 * last: a way that is good only while nobody uses it would otherwise be used in turns. Plain
 * arithmetic; knows no timers.
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
/**
 * Less than a fifth, and than the slack, is no change; less than half while it went up and down
 * more than once: measured again it is a little more each time than it was ever before.
 */
const SHARE = 0.2;
const SHARE_SWINGING = 0.5;

/**
 * How long what is better is held back, for all numbers of one link: who leaves it for one of them
 * comes back for another otherwise.
 */
export class Hold {
  #roseAt: Micros = -SOON;
  #fellAt: Micros = -SOON;
  #for: Micros = 0;

  holds(now: Micros): boolean {
    return now - this.#roseAt < this.#for;
  }

  /** What was better did not last, more than once. */
  swinging(now: Micros): boolean {
    return this.#for > HOLD_FIRST && this.holds(now);
  }

  onRise(now: Micros): void {
    if (this.#fellAt >= this.#roseAt) {
      const soon = now - this.#fellAt < SOON;
      this.#for = soon ? Math.min(HOLD_MAX, Math.max(HOLD_FIRST, 2 * this.#for)) : HOLD_FIRST;
    }
    this.#roseAt = now;
  }

  /** A number is as bad as it was told to be: only from now on it may be better for long. */
  onSame(now: Micros): void {
    if (this.swinging(now)) this.#roseAt = now;
  }

  onFall(now: Micros): void {
    this.#fellAt = now;
  }
}

export class Swings {
  readonly #slack: number;
  readonly #hold: Hold;
  #shown = -1;

  /** `slack`: a difference that does not count, in the unit of the values. */
  constructor(slack: number, hold = new Hold()) {
    this.#slack = slack;
    this.#hold = hold;
  }

  /** What to say of `value`, where less is better. */
  show(value: number, now: Micros): number {
    const before = this.#shown,
      share = this.#hold.swinging(now) ? SHARE_SWINGING : SHARE;
    if (before < 0 || Math.abs(value - before) <= Math.max(this.#slack, share * before)) {
      this.#hold.onSame(now);
      if (before < 0 || value > before || !this.#hold.holds(now)) this.#shown = value;
      return this.#shown;
    }
    if (value > before) this.#hold.onRise(now);
    else if (this.#hold.holds(now)) return before;
    else this.#hold.onFall(now);
    return (this.#shown = value);
  }
}
