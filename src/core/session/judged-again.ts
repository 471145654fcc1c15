/**
 * When streams that are open are compared with the rules anew because a node may have another name
 * or other groups: at once, and then not again for a while.
 *
 * Going through all streams takes milliseconds, and an insider with two certificates can show one
 * and the other by turns. Owns the pause; what a packet may, the firewall asks for each by the
 * names of now. Owned by the node.
 */

import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';

/** A stream that is to end ends so late at most. */
const INTERVAL: Micros = 500 * MILLISECOND;

export interface JudgedAgainEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Changes when any node may have another name, or other groups. */
  version(): number;
  /** Compares all that is open with the rules. */
  judge(): void;
}

export class JudgedAgain {
  readonly #env: JudgedAgainEnvironment;
  readonly #timer = new Timer(() => this.#judge());
  #seen = 0;
  #judgedAt: Micros = -INTERVAL;

  constructor(env: JudgedAgainEnvironment) {
    this.#env = env;
  }

  /** Names or groups may have changed. */
  onNames(): void {
    const { clock, timers, version } = this.#env;
    if (this.#timer.armed || version() === this.#seen) return;
    timers.arm(this.#timer, Math.max(clock.now(), this.#judgedAt + INTERVAL));
  }

  stop(): void {
    this.#env.timers.cancel(this.#timer);
  }

  #judge(): void {
    this.#seen = this.#env.version();
    this.#judgedAt = this.#env.clock.now();
    this.#env.judge();
  }
}
