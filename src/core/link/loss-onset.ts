/**
 * When losses of a link begin: told of a dozen datagrams, where an average needs a hundred.
 *
 * Owns the last datagrams that a peer sent, in slots of at least two and 12.5 ms: eight slots are
 * the last 16 datagrams of a quiet link, and 100 ms of a busy one. Five of 16 that are missing, in
 * three slots, are an onset; two of eight a reason to ask. One outage, however many it took, is in
 * one slot: when it shows it is over. By chance a link that loses a hundredth shows an onset once
 * in days. What follows is liveness.ts's. Plain arithmetic. `@hot`
 */

import { MILLISECOND, type Micros } from '../base/time.ts';

const SLOTS = 8;
const SLOT: Micros = 12.5 * MILLISECOND;
const SLOT_DATAGRAMS = 2;
/** Of so many datagrams so many, in so many slots. */
const ONSET_LOST = 5,
  ONSET_SHARE = 5 / 16,
  ONSET_SLOTS = 3;
const DOUBT_SLOTS = 4,
  DOUBT_LOST = 2,
  DOUBT_SHARE = 2 / 8;

export const LOSS_USUAL = 0,
  LOSS_DOUBT = 1,
  LOSS_ONSET = 2;

export class LossOnset {
  /** Of the slots that are full, the oldest at `#next`. */
  readonly #expected = new Float64Array(SLOTS);
  readonly #lost = new Float64Array(SLOTS);
  #next = 0;
  /** Of the one that fills. */
  #began: Micros = 0;
  #arrived = 0;
  #base = -1;

  /** Share of the last datagrams that is missing, 0..1. */
  get share(): number {
    return Math.max(0, this.#sum(this.#lost, SLOTS) / this.#sum(this.#expected, SLOTS));
  }

  /**
   * A datagram that was not a duplicate arrived; `highest` is the highest packet number so far.
   * LOSS_DOUBT and LOSS_ONSET where there is more to say than before.
   */
  onReceived(highest: number, now: Micros): number {
    if (this.#base < 0) {
      this.#base = highest;
      this.#began = now;
      return LOSS_USUAL;
    }
    this.#arrived += 1;
    const expected = highest - this.#base;
    if (expected < SLOT_DATAGRAMS || now - this.#began < SLOT) return LOSS_USUAL;
    // Below 0 where what was late has come.
    const lost = expected - this.#arrived;
    this.#expected[this.#next] = expected;
    this.#lost[this.#next] = lost;
    this.#next = (this.#next + 1) % SLOTS;
    this.#base = highest;
    this.#began = now;
    this.#arrived = 0;
    return lost > 0 ? this.#verdict() : LOSS_USUAL;
  }

  /** A new channel starts a new sequence of packet numbers, or what there is was used. */
  restart(): void {
    this.#expected.fill(0);
    this.#lost.fill(0);
    this.#base = -1;
    this.#arrived = 0;
  }

  #verdict(): number {
    const lost = this.#sum(this.#lost, SLOTS);
    let slots = 0;
    for (const each of this.#lost) if (each > 0) slots += 1;
    if (lost >= ONSET_LOST && slots >= ONSET_SLOTS && this.share >= ONSET_SHARE) return LOSS_ONSET;
    const late = this.#sum(this.#lost, DOUBT_SLOTS);
    return late >= DOUBT_LOST && late >= DOUBT_SHARE * this.#sum(this.#expected, DOUBT_SLOTS)
      ? LOSS_DOUBT
      : LOSS_USUAL;
  }

  /** Of the latest slots. */
  #sum(values: Float64Array, slots: number): number {
    let sum = 0;
    for (let back = 1; back <= slots; back += 1)
      sum += values[(this.#next - back + SLOTS) % SLOTS]!;
    return sum;
  }
}
