/**
 * What of a client waits while it is over its rate, and when it goes on.
 *
 * Owns the timer of that moment, and connects that wait for it (as many as requests may be
 * outstanding). The account itself is ClientRate's, which several connections may share.
 */

import { SpinesError } from '../base/errors.ts';
import { NEVER, Timer, type Clock, type Timers } from '../base/time.ts';
import type { ClientRate } from './client-rate.ts';
import type { CreditGate } from './client-streams.ts';
import type { Reply } from './client.ts';

export class ClientGate implements CreditGate {
  readonly #rate: ClientRate;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #onOpen: () => void;
  readonly #timer = new Timer(() => this.#onTimer());
  readonly #held: (() => void)[] = [];
  #closed = false;

  /** `onOpen`: the client may send again. */
  constructor(rate: ClientRate, clock: Clock, timers: Timers, onOpen: () => void) {
    this.#rate = rate;
    this.#clock = clock;
    this.#timers = timers;
    this.#onOpen = onOpen;
  }

  get unlimited(): boolean {
    return this.#rate.unlimited;
  }

  /** Whether the client may send now. `@hot` */
  open(): boolean {
    return this.#rate.open(this.#clock.now());
  }

  /** `bytes` of a stream were written. */
  take(bytes: number): void {
    this.#rate.takeStream(bytes, this.#clock.now());
  }

  /** A datagram of `bytes` was sent. */
  takeMessage(bytes: number): void {
    this.#rate.takeMessage(bytes, this.#clock.now());
  }

  /** Something waits. */
  onHeld(): void {
    if (this.#timer.armed || this.#closed) return;
    const now = this.#clock.now(),
      at = this.#rate.opensAt(now);
    this.#timers.arm(this.#timer, at === NEVER ? now : at);
  }

  /**
   * A new stream may be written to at once: a client over its rate waits for one, or it would never
   * have to stop.
   */
  whenOpen(answer: Reply, begin: () => void): void {
    if (this.open()) {
      begin();
      return;
    }
    this.#held.push(() => {
      try {
        begin();
      } catch (error) {
        if (!(error instanceof SpinesError)) throw error;
        answer(error);
      }
    });
    this.onHeld();
  }

  /** Connects that waited. */
  beginHeld(): void {
    for (const begin of this.#held.splice(0)) begin();
  }

  close(): void {
    this.#closed = true;
    this.#timers.cancel(this.#timer);
    this.#held.length = 0;
  }

  #onTimer(): void {
    if (this.open()) this.#onOpen();
    else this.onHeld();
  }
}
