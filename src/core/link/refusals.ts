/**
 * REFUSAL datagrams, both ways: what strangers are told of their INITs, and what a dial was told.
 *
 * Owns the budget for telling. Whoever is told something must not believe it: a refusal is kept for
 * operators beside the dial that it names, and the dial goes on.
 */

import type { DatagramSink, Endpoint } from '../base/datagram.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Clock } from '../base/time.ts';
import type { DropReason } from '../wire/drop.ts';
import {
  decodeRefusal,
  encodeRefusal,
  mayRefuse,
  REFUSAL_BYTES,
  refusalOf,
} from '../wire/refusal.ts';
import type { Dial } from './dial.ts';
import type { Handshaker } from './handshaker.ts';
import type { ToldRefusal } from './told-refusal.ts';

/** Apart from those of cookies and keys, which must not wait for what is only said. */
const REFUSALS_PER_SECOND = 100,
  REFUSALS_BURST = 50;

export class Refusals {
  readonly #handshaker: Handshaker;
  readonly #clock: Clock;
  readonly #sink: DatagramSink;
  readonly #budget = new TokenBucket(REFUSALS_PER_SECOND, REFUSALS_BURST);
  readonly #scratch = new Uint8Array(REFUSAL_BYTES);
  /** REFUSALs sent. */
  sent = 0;

  constructor(handshaker: Handshaker, clock: Clock, sink: DatagramSink) {
    this.#handshaker = handshaker;
    this.#clock = clock;
    this.#sink = sink;
  }

  /**
   * Says why `init` was dropped, if that is said at all and there is budget. `twin`: where the
   * sender's double is.
   */
  refuse(
    init: Uint8Array,
    length: number,
    from: Endpoint,
    reason: DropReason,
    twin: Endpoint | null,
  ): void {
    const said = refusalOf(reason);
    const now = this.#clock.now();
    if (said === 0 || !mayRefuse(init, length) || !this.#budget.take(now)) return;
    this.#sink.send(
      from,
      this.#scratch,
      encodeRefusal(init, said, this.#handshaker.versions, twin, this.#scratch),
    );
    this.sent += 1;
  }

  /** Notes at `dial` what it was told. */
  hear(dial: Dial, bytes: Uint8Array, length: number, from: Endpoint): ToldRefusal | DropReason {
    const refusal = decodeRefusal(bytes, length);
    if (typeof refusal === 'number') return refusal;
    dial.refusal = { ...refusal, from: from.key, at: this.#clock.now() };
    return dial.refusal;
  }
}
