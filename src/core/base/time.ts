/**
 * Time as the core sees it: integer microseconds on a monotonic clock that somebody injects.
 *
 * Owns the unit and the two interfaces (Clock, Timers) that stand between the core and any real
 * clock. A plain number holds 285 years of microseconds exactly.
 */

export type Micros = number;

export const MILLISECOND: Micros = 1_000;
export const SECOND: Micros = 1_000_000;
/** Later than any deadline; `Timers` never fires at it. */
export const NEVER: Micros = Number.MAX_SAFE_INTEGER;

export interface Clock {
  /** Monotonic microseconds. Within one turn of the core it may stand still, it never goes back. */
  now(): Micros;
}

/**
 * One timer for one purpose, created once and re-armed for life. `fire` runs on the core's turn and
 * may arm any timer, its own included.
 */
export class Timer {
  readonly fire: () => void;
  /** Due time while armed, NEVER otherwise. Written by the queue only. */
  at: Micros = NEVER;
  /** Order among timers with the same due time. Written by the queue only. */
  order = 0;
  /** Place in the queue's heap, -1 when not armed. Written by the queue only. */
  slot = -1;

  constructor(fire: () => void) {
    this.fire = fire;
  }

  get armed(): boolean {
    return this.slot >= 0;
  }
}

export interface Timers {
  /**
   * Arms, or moves, `timer` to the absolute time `at`. A time in the past fires on the next turn.
   */
  arm(timer: Timer, at: Micros): void;
  /** Disarms `timer`; nothing happens when it is not armed. */
  cancel(timer: Timer): void;
}
