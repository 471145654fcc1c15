/**
 * What a link may spend on copies of precious packets, and whose they are.
 *
 * Anybody may mark what he sends, and a copy of all of it would double what a link carries, just
 * where something is lost already. So copies have a budget: what suits voice and control in any
 * case, and a part of what the service carries beyond that. Whoever has had most of it lately, a
 * neighbour or a program here, leaves a third to others. Bounded: PAYERS_MAX of them at a time.
 */

import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';

/** Bytes a second in any case, and of the bytes of packets. */
export const COPY_BYTES_PER_SECOND = 125_000;
export const COPY_PART = 0.25;
/** At once. */
export const COPY_BYTES_MAX = 64 * 1024;
/** A payer has at most so many times what is left, within SPAN. */
const FACTOR = 2;
const SPAN: Micros = 250 * MILLISECOND;
const PAYERS_MAX = 1_024;

export class CopyBudget {
  #bytes = COPY_BYTES_MAX;
  #filledAt: Micros = 0;
  #spanBegan: Micros = 0;
  readonly #taken = new Map<unknown, number>();

  /** So many bytes of packets were sent. */
  earn(bytes: number): void {
    this.#bytes = Math.min(COPY_BYTES_MAX, this.#bytes + COPY_PART * bytes);
  }

  /** Takes the bytes of a copy if there are as many for that payer. */
  take(payer: unknown, bytes: number, now: Micros): boolean {
    const earned = ((now - this.#filledAt) / SECOND) * COPY_BYTES_PER_SECOND;
    this.#bytes = Math.min(COPY_BYTES_MAX, this.#bytes + earned);
    this.#filledAt = now;
    if (now - this.#spanBegan >= SPAN) {
      this.#spanBegan = now;
      this.#taken.clear();
    }
    const taken = (this.#taken.get(payer) ?? 0) + bytes;
    if (taken > FACTOR * (this.#bytes - bytes)) return false;
    if (taken === bytes && this.#taken.size >= PAYERS_MAX) return false;
    this.#taken.set(payer, taken);
    this.#bytes -= bytes;
    return true;
  }
}
