/**
 * Packets that are to be sent again at a time to come: copies of what is precious, and further
 * answers to a last request.
 *
 * Owns their order and one timer. Bounded: what finds no place is not sent again. What is due is
 * named by its position in the history, which may have forgotten it by then.
 */

import { Timer, type Micros, type Timers } from '../base/time.ts';
import { HISTORY_PACKETS } from './realtime-history.ts';

interface Due {
  readonly position: number;
  readonly at: Micros;
  readonly copy: boolean;
}

export class DueAgain {
  readonly #timers: Timers;
  readonly #onDue: (position: number, copy: boolean) => void;
  readonly #timer = new Timer(() => this.#onTimer());
  /** The latest first, so that what is due is taken from the end. */
  readonly #due: Due[] = [];
  #at: Micros = 0;

  constructor(timers: Timers, onDue: (position: number, copy: boolean) => void) {
    this.#timers = timers;
    this.#onDue = onDue;
  }

  /** When the next is due; Infinity: none is. */
  get nextAt(): Micros {
    return this.#due.length > 0 ? this.#at : Infinity;
  }

  /** `copy`: nobody asked for it. */
  add(position: number, at: Micros, copy: boolean): void {
    const due = this.#due;
    if (due.length >= HISTORY_PACKETS) return;
    let place = 0;
    while (place < due.length && due[place]!.at > at) place += 1;
    due.splice(place, 0, { position, at, copy });
    if (place === due.length - 1) this.#arm();
  }

  clear(): void {
    this.#due.length = 0;
    this.#timers.cancel(this.#timer);
  }

  #arm(): void {
    this.#at = this.#due.at(-1)!.at;
    this.#timers.arm(this.#timer, this.#at);
  }

  #onTimer(): void {
    const until = this.#at;
    for (let next = this.#due.at(-1); next !== undefined && next.at <= until; ) {
      this.#due.pop();
      this.#onDue(next.position, next.copy);
      next = this.#due.at(-1);
    }
    if (this.#due.length > 0) this.#arm();
  }
}
