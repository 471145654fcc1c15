/**
 * The real clock and timers of a daemon.
 *
 * Time is read once for each read from a socket and for each end of a turn: the first `now` after
 * `tick` asks the system, later ones repeat it. Durations within a turn are measured with a
 * Stopwatch, which reads every time.
 */

import { MILLISECOND, NEVER, type Clock, type Micros } from '../core/base/time.ts';
import { TimerQueue } from '../core/base/timer-queue.ts';

/** Reads the system's clock at every call. */
export const stopwatch: Clock = { now: () => Math.floor(performance.now() * 1_000) };

/** Microseconds since 1970, for what certificates say. May jump; never for durations. */
export const wallClock: Clock = { now: () => Date.now() * 1_000 };

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

  /** Time may have passed: the next `now` reads the system's clock. */
  tick(): void {
    this.#fresh = false;
  }
}

/**
 * What an OS timer is late by, and waking a process takes, on the average of idle machines; then as
 * it is found to be. One firing counts as so late at most, and so much.
 */
const TIMER_LATE_US = 350;
const LATE_US_MAX = 5_000;
const LATE_GAIN = 1 / 32;

/**
 * Drives a TimerQueue from the event loop with one OS timer for the queue's head, which never fires
 * early. OS timers have a grain of a millisecond. With `aheadUs`, timers are armed that much ahead
 * of what is meant, and the driver rounds to whole milliseconds up or down so that what is meant is
 * met on the average: for emulated wires, whose delays would otherwise all be a little long.
 */
export class TimerDriver {
  readonly queue = new TimerQueue();
  readonly #clock: SystemClock;
  readonly #aheadUs: Micros;
  readonly #onTurn: () => void;
  readonly #onLate: ((late: Micros, now: Micros) => void) | null;
  /** Made anew only for another duration. */
  #timeout: NodeJS.Timeout | null = null;
  #timeoutMs = 0;
  readonly #onTimeout = (): void => this.#fire();
  /** What rounding owes. */
  #carry = 0;
  /** What the OS timer is late by, on the average of late. */
  #lateUs = TIMER_LATE_US;
  /** What the OS timer is armed for, and when it fires: a grain later at most. */
  #armedFor: Micros = NEVER;
  #firesAt: Micros = NEVER;
  #stopped = false;

  /** `onTurn` is called after timers fired, `onLate` before, with how late they are. */
  constructor(
    clock: SystemClock,
    aheadUs: Micros,
    onTurn: () => void,
    onLate: ((late: Micros, now: Micros) => void) | null = null,
  ) {
    this.#clock = clock;
    this.#aheadUs = aheadUs;
    this.#onTurn = onTurn;
    this.#onLate = onLate;
  }

  /** Call at the end of every turn: arms the OS timer if the head of the queue became earlier. */
  rearm(): void {
    const at = this.queue.nextAt;
    if (this.#stopped || at >= this.#armedFor) return;
    this.#armedFor = at;
    const now = this.#clock.now();
    const ms =
      this.#aheadUs === 0
        ? Math.max(1, Math.ceil((at - now) / MILLISECOND))
        : this.#roundEvenly(at - now);
    const firesAt = now + ms * MILLISECOND;
    // The grain of the OS: armed anew it would fire no earlier.
    if (this.#aheadUs === 0 && firesAt >= this.#firesAt) return;
    this.#firesAt = firesAt;
    if (this.#timeout !== null && ms === this.#timeoutMs) {
      this.#timeout.refresh();
      return;
    }
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    this.#timeout = setTimeout(this.#onTimeout, ms);
    this.#timeoutMs = ms;
  }

  /** Fires what is due, within a long turn: the OS timer would come behind it. */
  runDue(): void {
    const now = this.#clock.now();
    if (this.#stopped || this.queue.nextAt > now) return;
    this.#onLate?.(now - this.queue.nextAt, now);
    this.queue.runDue(now);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timeout !== null) clearTimeout(this.#timeout);
  }

  /** Milliseconds to sleep so that the mean of many firings is what was meant. */
  #roundEvenly(wait: Micros): number {
    const exact = Math.max(0, (wait + this.#aheadUs - this.#lateUs) / 1_000);
    const down = Math.floor(exact);
    this.#carry += exact - down;
    if (this.#carry < 1) return down;
    this.#carry -= 1;
    return down + 1;
  }

  #fire(): void {
    const due = this.#armedFor,
      firesAt = this.#firesAt;
    this.#armedFor = NEVER;
    this.#firesAt = NEVER;
    if (this.#stopped) return;
    this.#clock.tick();
    const now = this.#clock.now();
    const late = Math.min(LATE_US_MAX, Math.max(0, now - firesAt));
    this.#lateUs += (late - this.#lateUs) * LATE_GAIN;
    this.#onLate?.(Math.max(0, now - due), now);
    if (this.queue.runDue(this.#clock.now()) > 0) this.#onTurn();
    this.rearm();
  }
}
