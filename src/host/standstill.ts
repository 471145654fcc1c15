/**
 * Says in the log when the daemon stood still, when the machine slept, and when its clock was set:
 * neighbours then saw silence.
 *
 * Compares three clocks once a second: one that stops while the machine sleeps, one that goes on,
 * and the wall clock. Owns how often it is said: a daemon that is held up again and again says so
 * every SAID_EVERY, with the sum.
 */

import { uptime } from 'node:os';
import { formatSpan } from '../core/base/calendar.ts';
import type { Log } from '../core/base/log.ts';
import { SECOND, type Clock, type Micros } from '../core/base/time.ts';
import { stopwatch, wallClock } from './system-clock.ts';

/** One look is this long after the other. */
const INTERVAL: Micros = 1 * SECOND;
/** Shorter is the everyday life of a busy machine: `status` shows it. */
const STOOD_MIN: Micros = 1 * SECOND;
/** `uptime` may count whole seconds. */
const SLEPT_MIN: Micros = 3 * SECOND;
const CLOCK_SET_MIN: Micros = 5 * SECOND;
const SAID_EVERY: Micros = 30 * SECOND;

export interface StandstillClocks {
  /** Stops while the machine sleeps. */
  readonly running: Clock;
  /** Goes on. */
  readonly boot: Clock;
  readonly wall: Clock;
}

const systemClocks: StandstillClocks = {
  running: stopwatch,
  boot: { now: () => uptime() * SECOND },
  wall: wallClock,
};

export class Standstill {
  readonly #log: Log;
  readonly #clocks: StandstillClocks;
  #running: Micros;
  #boot: Micros;
  #wall: Micros;
  #saidAt: Micros | null = null;
  /** Not said yet. */
  #stood: Micros = 0;
  #longest: Micros = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(log: Log, clocks: StandstillClocks = systemClocks) {
    this.#log = log;
    this.#clocks = clocks;
    this.#running = clocks.running.now();
    this.#boot = clocks.boot.now();
    this.#wall = clocks.wall.now();
  }

  start(): void {
    this.#timer = setInterval(() => this.check(), INTERVAL / 1_000).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Called every INTERVAL, or later when the daemon could not. */
  check(): void {
    const running = this.#clocks.running.now(),
      boot = this.#clocks.boot.now(),
      wall = this.#clocks.wall.now();
    const ran = running - this.#running,
      passed = boot - this.#boot,
      told = wall - this.#wall;
    this.#running = running;
    this.#boot = boot;
    this.#wall = wall;
    const slept = passed - ran;
    if (slept >= SLEPT_MIN)
      this.#log.warn(
        { for: formatSpan(slept), ms: Math.round(slept / 1_000) },
        'the machine slept: neighbours took this daemon for dead',
      );
    const real = slept >= SLEPT_MIN ? passed : ran;
    if (Math.abs(told - real) >= CLOCK_SET_MIN) {
      const by = formatSpan(Math.abs(told - real));
      this.#log.warn(
        { by, to: told > real ? 'later' : 'earlier', ms: Math.round((told - real) / 1_000) },
        'the clock of this machine was set',
      );
    }
    const late = ran - INTERVAL;
    if (late >= STOOD_MIN) {
      this.#stood += late;
      this.#longest = Math.max(this.#longest, late);
    }
    if (this.#stood === 0 || (this.#saidAt !== null && running - this.#saidAt < SAID_EVERY)) return;
    const next = 'see what stopped it, or what else needs the processor or the memory here';
    const [ms, longestMs] = [this.#stood, this.#longest].map((us) => Math.round(us / 1_000));
    this.#log.warn(
      { for: formatSpan(this.#stood), ms, longestMs, next },
      'the daemon stood still: nothing was read or sent meanwhile',
    );
    this.#saidAt = running;
    this.#stood = 0;
    this.#longest = 0;
  }
}
