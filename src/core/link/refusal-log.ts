/**
 * Says in the log whom this daemon refused, and why: once for each peer and reason, however often
 * it comes back.
 *
 * Owns the damping. Invariant: neither memory nor lines grow with what strangers send; who has
 * shown a certificate is not crowded out by who has not.
 */

import type { Log, LogFields } from '../base/log.ts';
import { SECOND, type Clock, type Micros } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';

/** The same is said again after this long, with how often it came meanwhile. */
const AGAIN: Micros = 300 * SECOND;
const REMEMBERED_MAX = 256;

interface Said {
  at: Micros;
  times: number;
}

export class RefusalLog {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #proven = new TokenBucket(0.5, 20);
  readonly #strangers = new TokenBucket(0.1, 10);
  /** By peer and reason, the one that came longest ago first. */
  readonly #said = new Map<string, Said>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `key`: peer and reason. `proven`: who it is was shown by a certificate. */
  tell(key: string, proven: boolean, fields: () => LogFields, message: string): void {
    const now = this.#clock.now();
    const before = this.#said.get(key);
    if (before !== undefined && now - before.at < AGAIN) {
      before.times += 1;
      return;
    }
    if (!(proven ? this.#proven : this.#strangers).take(now)) return;
    const times = before === undefined ? {} : { times: before.times + 1 };
    this.#said.delete(key);
    this.#said.set(key, { at: now, times: 0 });
    if (this.#said.size > REMEMBERED_MAX) this.#said.delete(this.#said.keys().next().value!);
    this.#log.warn({ ...fields(), ...times }, message);
  }
}
