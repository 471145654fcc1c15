/**
 * The acknowledgements of one path at its destination that wait for others, so that one packet
 * carries up to nine.
 *
 * Owns which counters go together and when; the onion and the sending are the caller's. Only
 * packets whose source allows it come here: their path is not searched, and nobody but the
 * destination puts a layer on. Over best-effort links a lost acknowledgement must not look like the
 * loss of all that it named: there a batch has at most four new counters, the next one names the
 * last ones again, and when none follows soon the same bytes go once more. So a counter that did
 * not travel alone is lost only with two acknowledgements, and what is charged for lost ones is
 * less than with one each.
 *
 * Bounded: nine digests and the bytes of one acknowledgement.
 */

import { assert } from '../base/assert.ts';
import { Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { SERVICE_BEST_EFFORT } from '../wire/packet.ts';
import { PROBED_BATCH_MAX } from '../wire/probed.ts';

/** Most new counters of a batch over best-effort links: with as many old ones they fit a bitmap. */
const NEW_MAX_REPEATED = 4;
/**
 * In units of the delay: when nothing new has been sent for so long, the last batch is sent again.
 */
const REPEAT_AFTER = 3;

/**
 * How long a source must expect answers over `service` to wait when the destination waits `delayUs`
 * for a batch.
 */
export function batchWaitUs(delayUs: Micros, service: number): Micros {
  return service === SERVICE_BEST_EFFORT ? (1 + REPEAT_AFTER) * delayUs : delayUs;
}

export interface Acknowledged {
  readonly counter: number;
  readonly h: Uint8Array;
}

export interface AckBatchEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Longest batch, 2 or more, and how long its first packet waits for others. */
  readonly packets: number;
  readonly delayUs: Micros;
  /**
   * Makes an acknowledgement of these, ascending, and sends it; `holdUs`: since the last of them
   * came. Returns how to send the same bytes again.
   */
  readonly send: (service: number, of: readonly Acknowledged[], holdUs: Micros) => () => void;
}

interface Entry extends Acknowledged {
  sent: boolean;
  readonly at: Micros;
}

export class AckBatch {
  readonly #env: AckBatchEnvironment;
  /** Ascending. */
  #entries: Entry[] = [];
  #service = -1;
  #again: (() => void) | null = null;
  readonly #timer = new Timer(() => this.#onTimer());

  constructor(env: AckBatchEnvironment) {
    assert(env.packets >= 2, 'a batch has two packets or more');
    this.#env = env;
  }

  /** A packet came; its counter was never here before. */
  add(counter: number, h: Uint8Array, service: number): void {
    if (service !== this.#service) this.#startWith(service);
    const fresh = this.#entries.filter((entry) => !entry.sent);
    if (
      fresh.length > 0 &&
      Math.max(fresh.at(-1)!.counter, counter) - Math.min(fresh[0]!.counter, counter) >=
        PROBED_BATCH_MAX
    )
      this.flush();
    const { clock, timers, packets, delayUs } = this.#env;
    const now = clock.now();
    const at = this.#entries.findIndex((entry) => entry.counter > counter);
    this.#entries.splice(at < 0 ? this.#entries.length : at, 0, {
      counter,
      h,
      sent: false,
      at: now,
    });
    const count = this.#entries.reduce((sum, entry) => sum + (entry.sent ? 0 : 1), 0);
    this.#again = null;
    if (count >= Math.min(packets, this.#repeats ? NEW_MAX_REPEATED : PROBED_BATCH_MAX))
      this.flush();
    else if (count === 1) timers.arm(this.#timer, now + delayUs);
  }

  /** Sends what waits. */
  flush(): void {
    const { clock, timers, delayUs, send } = this.#env;
    const fresh = this.#entries.filter((entry) => !entry.sent);
    timers.cancel(this.#timer);
    if (fresh.length === 0) return;
    const first = fresh[0]!.counter,
      last = fresh.at(-1)!.counter;
    this.#entries = this.#entries.filter(
      (entry) => entry.counter <= last && entry.counter > last - PROBED_BATCH_MAX,
    );
    assert(this.#entries[0]!.counter <= first, 'all that is new goes');
    const now = clock.now();
    const again = send(this.#service, this.#entries, now - this.#entries.at(-1)!.at);
    if (!this.#repeats) {
      this.#entries = [];
      return;
    }
    for (const entry of this.#entries) entry.sent = true;
    if (fresh.length === 1) return;
    this.#again = again;
    timers.arm(this.#timer, now + REPEAT_AFTER * delayUs);
  }

  /** Forgets everything; nothing is sent any more. */
  stop(): void {
    this.#env.timers.cancel(this.#timer);
    this.#entries = [];
    this.#again = null;
  }

  get #repeats(): boolean {
    return this.#service === SERVICE_BEST_EFFORT;
  }

  #startWith(service: number): void {
    this.flush();
    this.stop();
    this.#service = service;
  }

  #onTimer(): void {
    const again = this.#again;
    this.#again = null;
    if (again === null) this.flush();
    else again();
  }
}
