/**
 * The real clock and timers of a daemon.
 *
 * Time is read once per turn: the first `now` of a turn asks the system, later ones repeat it, so that a packet
 * costs one reading. The timer queue is served by a single OS timer armed for its head.
 */

import { NEVER, type Clock, type Micros } from '../base/time.ts';
import { TimerQueue } from '../base/timer-queue.ts';

export class SystemClock implements Clock {
  #now: Micros = 0;
  #fresh = false;

  now(): Micros {
    if (!this.#fresh) {
      this.#now = Math.floor(performance.now() * 1_000);
      this.#fresh = true;
    }
    return this.#now;
  }

  /** A turn begins: the next `now` reads the system's clock. */
  tick(): void {
    this.#fresh = false;
  }
}

/**
 * Drives a TimerQueue from the event loop. `earlyUs`: a timer due within this time may fire now, which
 * centres the error of millisecond OS timers for users that prefer it; 0 for timers that must not be early.
 */
export class TimerDriver {
  readonly queue = new TimerQueue();
  readonly #clock: SystemClock;
  readonly #onTurn: () => void;
  #handle: NodeJS.Timeout | null = null;
  #armedFor: Micros = NEVER;
  #stopped = false;

  /** `onTurn` is called after timers fired. */
  constructor(clock: SystemClock, onTurn: () => void) {
    this.#clock = clock;
    this.#onTurn = onTurn;
  }

  /** Call at the end of every turn: arms the OS timer if the head of the queue became earlier. */
  rearm(): void {
    const at = this.queue.nextAt;
    if (this.#stopped || at >= this.#armedFor) return;
    if (this.#handle !== null) clearTimeout(this.#handle);
    this.#armedFor = at;
    const wait = at - this.#clock.now();
    this.#handle = setTimeout(() => this.#fire(), wait <= 0 ? 0 : Math.ceil(wait / 1_000));
  }

  stop(): void {
    this.#stopped = true;
    if (this.#handle !== null) clearTimeout(this.#handle);
    this.#handle = null;
  }

  #fire(): void {
    this.#handle = null;
    this.#armedFor = NEVER;
    if (this.#stopped) return;
    this.#clock.tick();
    this.queue.runDue(this.#clock.now());
    this.#onTurn();
    this.rearm();
  }
}
