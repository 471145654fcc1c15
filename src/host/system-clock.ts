/**
 * The real clock and timers of a daemon.
 *
 * Time is read once per turn: the first `now` of a turn asks the system, later ones repeat it, so that a packet
 * costs one reading. Durations within a turn are measured with a Stopwatch, which reads every time.
 */

import { NEVER, type Clock, type Micros } from '../base/time.ts';
import { TimerQueue } from '../base/timer-queue.ts';

/** Reads the system's clock at every call. */
export const stopwatch: Clock = { now: () => Math.floor(performance.now() * 1_000) };

export class SystemClock implements Clock {
  #now: Micros = 0;
  #fresh = false;

  now(): Micros {
    if (!this.#fresh) {
      this.#now = stopwatch.now();
      this.#fresh = true;
    }
    return this.#now;
  }

  /** A turn begins: the next `now` reads the system's clock. */
  tick(): void {
    this.#fresh = false;
  }
}

/** Below this wait a precise driver polls instead of sleeping: an OS timer would be late by as much. */
const SPIN_BELOW_US = 1_300;
/** What an OS timer is late by, on the average of idle machines. */
const TIMER_LATE_US = 250;

/**
 * Drives a TimerQueue from the event loop with one OS timer for the queue's head. OS timers have a grain of a
 * millisecond; a `precise` driver sleeps short of the due time and polls the rest, which costs up to a
 * millisecond of CPU per firing and is meant for emulated wires only.
 */
export class TimerDriver {
  readonly queue = new TimerQueue();
  readonly #clock: SystemClock;
  readonly #precise: boolean;
  readonly #onTurn: () => void;
  #timeout: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #armedFor: Micros = NEVER;
  #stopped = false;

  /** `onTurn` is called after timers fired. */
  constructor(clock: SystemClock, precise: boolean, onTurn: () => void) {
    this.#clock = clock;
    this.#precise = precise;
    this.#onTurn = onTurn;
  }

  /** Call at the end of every turn: arms the OS timer if the head of the queue became earlier. */
  rearm(): void {
    const at = this.queue.nextAt;
    if (this.#stopped || at >= this.#armedFor) return;
    this.#disarm();
    this.#armedFor = at;
    const wait = at - this.#clock.now();
    if (!this.#precise) this.#timeout = setTimeout(() => this.#fire(), wait <= 0 ? 0 : Math.ceil(wait / 1_000));
    else if (wait < SPIN_BELOW_US) this.#immediate = setImmediate(() => this.#fire());
    else this.#timeout = setTimeout(() => this.#fire(), Math.floor((wait - TIMER_LATE_US) / 1_000));
  }

  stop(): void {
    this.#stopped = true;
    this.#disarm();
  }

  #disarm(): void {
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#timeout = null;
    this.#immediate = null;
    this.#armedFor = NEVER;
  }

  #fire(): void {
    this.#disarm();
    if (this.#stopped) return;
    this.#clock.tick();
    if (this.queue.runDue(this.#clock.now()) > 0) this.#onTurn();
    this.rearm();
  }
}
