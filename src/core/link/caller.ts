/**
 * Sends the calls of dials: an attempt, what repeats it, and the pause until the next one.
 *
 * Owns no dial and no answer; the link table says who is called and when a round is over.
 */

import type { Micros } from '../base/time.ts';
import { DATAGRAM_BYTES_MAX } from '../wire/sizes.ts';
import { FORGET_KEY_AFTER, type Dial } from './dial.ts';
import { isUnresolved } from './dial-config.ts';
import type { LinkEnvironment } from './environment.ts';
import type { Handshaker, Run } from './handshaker.ts';
import type { Link } from './link.ts';
import type { ReceiverIndices } from './receiver-indices.ts';

export class Caller {
  readonly #env: LinkEnvironment<Link>;
  readonly #handshaker: Handshaker;
  readonly #run: Run;
  readonly #indices: ReceiverIndices;
  readonly #redialUs: () => Micros;
  readonly #scratch = new Uint8Array(DATAGRAM_BYTES_MAX);
  #stopped = false;

  constructor(
    env: LinkEnvironment<Link>,
    handshaker: Handshaker,
    run: Run,
    indices: ReceiverIndices,
    redialUs: () => Micros,
  ) {
    this.#env = env;
    this.#handshaker = handshaker;
    this.#run = run;
    this.#indices = indices;
    this.#redialUs = redialUs;
  }

  /** Another attempt, now; of no effect once the dial has what it wants. */
  call(dial: Dial): void {
    if (!this.#wanted(dial)) return;
    if (isUnresolved(dial.config)) {
      const { host, lookupFault = 'it has not been looked up yet' } = dial.config;
      dial.outcome.note('nameUnknown', this.#env.clock.now(), { said: `${host!}: ${lookupFault}` });
      this.#arm(dial, dial.nextPause(this.#redialUs(), this.#scratch, 0));
      return;
    }
    if (dial.index < 0) {
      dial.index = this.#indices.free();
      this.#indices.set(dial.index, dial);
    }
    if (dial.forgetsKey && dial.attempts > 0 && dial.attempts % FORGET_KEY_AFTER === 0)
      dial.key = null;
    const length = this.#handshaker.writeInit(dial, this.#run, this.#scratch);
    this.#send(dial, this.#scratch, length);
    const pause = dial.nextPause(this.#redialUs(), this.#scratch, length);
    this.#arm(dial, pause + this.#env.rng.below(Math.max(1, pause >> 2)));
  }

  /** The dial's timer has run out: the same once more, or another attempt. */
  onDue(dial: Dial): void {
    const again = this.#wanted(dial) ? dial.knockAgain() : null;
    if (again === null) {
      this.call(dial);
      return;
    }
    this.#send(dial, again, again.length);
    this.#arm(dial, 0);
  }

  /** Asks for the key of whoever is at the dial's address. */
  askKey(dial: Dial): void {
    if (isUnresolved(dial.config)) return;
    const length = this.#handshaker.writeKeyQuestion(dial, this.#scratch);
    if (length > 0) this.#env.calls.send(dial.endpoint, this.#scratch, length);
  }

  /** Nobody is called any more. */
  stop(): void {
    this.#stopped = true;
  }

  #wanted(dial: Dial): boolean {
    return !this.#stopped && (dial.link?.up !== true || dial.rekeys);
  }

  #send(dial: Dial, bytes: Uint8Array, length: number): void {
    if (length > 0)
      this.#env.calls.send(dial.rekeys ? dial.link!.endpoint : dial.endpoint, bytes, length);
  }

  #arm(dial: Dial, wait: Micros): void {
    this.#env.timers.arm(dial.timer, this.#env.clock.now() + dial.untilKnock(wait));
  }
}
