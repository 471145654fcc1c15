/** Timers of a tunnel by the event loop: a queue, and one timeout of the system for its head. */

import { MILLISECOND, NEVER, type Micros, type Timer, type Timers } from '../../core/base/time.ts';
import { TimerQueue } from '../../core/base/timer-queue.ts';
import { stopwatch } from '../system-clock.ts';

export class LoopTimers implements Timers {
  readonly #queue = new TimerQueue();
  #timeout: NodeJS.Timeout | null = null;
  #armedFor: Micros = NEVER;

  arm(timer: Timer, at: Micros): void {
    this.#queue.arm(timer, at);
    this.#rearm();
  }

  cancel(timer: Timer): void {
    this.#queue.cancel(timer);
  }

  #rearm(): void {
    const at = this.#queue.nextAt;
    if (at >= this.#armedFor) return;
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    this.#armedFor = at;
    const ms = Math.max(1, Math.ceil((at - stopwatch.now()) / MILLISECOND));
    this.#timeout = setTimeout(() => {
      this.#timeout = null;
      this.#armedFor = NEVER;
      this.#queue.runDue(stopwatch.now());
      this.#rearm();
    }, ms);
    // What it waits for keeps the process.
    this.#timeout.unref();
  }
}
