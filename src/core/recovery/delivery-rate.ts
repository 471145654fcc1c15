/**
 * How fast what was sent arrives: a sample of the delivery rate with every acknowledgement.
 *
 * As in draft-ietf-ccwg-bbr section 4.1.2: bytes delivered between two moments, over the longer of
 * the time that sending and acknowledging them took, so that acknowledgements which come in heaps
 * say nothing too high. What its program limited is marked, as it says only that the path carries
 * at least so much. Knows no packets: senders name a transmission by the time at which it left, and
 * all that left in one turn is alike. Rings of columns; `@hot`
 */

import type { Micros } from '../base/time.ts';

const ROWS_MIN = 16;
/** More turns under way than this: the oldest give no sample. */
const ROWS_MAX = 32_768;

/** What one acknowledgement says, all its transmissions together; valid until the next one. */
export interface RateSample {
  /** Bytes per microsecond; 0 = it says nothing. */
  rate: number;
  /** Bytes acknowledged by this one. */
  acked: number;
  /**
   * Bytes delivered since the newest transmission that it acknowledges left, and bytes declared
   * lost since.
   */
  delivered: number;
  lost: number;
  /** Bytes that had been delivered when that left, and what was under way then, itself included. */
  priorDelivered: number;
  inFlight: number;
  /** The program had nothing more to send. */
  applicationLimited: boolean;
}

export class DeliveryRate {
  readonly sample: RateSample = {
    rate: 0,
    acked: 0,
    delivered: 0,
    lost: 0,
    priorDelivered: -1,
    inFlight: 0,
    applicationLimited: false,
  };
  /** Bytes, since the beginning. */
  delivered = 0;
  lost = 0;
  #deliveredAt: Micros = 0;
  #firstSentAt: Micros = 0;
  /** The program had nothing to send until so much was delivered; 0 = it has. */
  #limitedUntil = 0;
  /* Of the newest transmission that the acknowledgement in hand is about. */
  #priorAt: Micros = 0;
  #sendElapsed: Micros = 0;
  #priorLost = 0;
  /* One row for each turn in which something left, the oldest at #head. */
  #head = 0;
  #length = 0;
  #sentAt = new Float64Array(0);
  #rowDelivered = new Float64Array(0);
  #rowDeliveredAt = new Float64Array(0);
  #rowFirstSentAt = new Float64Array(0);
  #rowLost = new Float64Array(0);
  /** Bytes under way, times two, plus one when the program had nothing more. */
  #rowInFlight = new Float64Array(0);

  /** Something left; `inFlight`: bytes under way with it, `bytes` its own. */
  onSent(bytes: number, inFlight: number, now: Micros): void {
    if (inFlight <= bytes) {
      this.#firstSentAt = now;
      this.#deliveredAt = now;
    }
    let row = this.#row(this.#length - 1);
    if (this.#length === 0 || this.#sentAt[row] !== now) {
      if (this.#length === this.#sentAt.length) this.#makeRoom();
      row = this.#row(this.#length);
      this.#length += 1;
      this.#sentAt[row] = now;
      this.#rowDelivered[row] = this.delivered;
      this.#rowDeliveredAt[row] = this.#deliveredAt;
      this.#rowFirstSentAt[row] = this.#firstSentAt;
      this.#rowLost[row] = this.lost;
    }
    this.#rowInFlight[row] = 2 * Math.round(inFlight) + (this.#limitedUntil > 0 ? 1 : 0);
  }

  /**
   * The program has nothing more to send, and the window would take more; `inFlight`: bytes under
   * way.
   */
  onApplicationLimited(inFlight: number): void {
    this.#limitedUntil = Math.max(1, this.delivered + inFlight);
  }

  /** `bytes` that left at `sentAt` have arrived. */
  onAcked(bytes: number, sentAt: Micros, now: Micros): void {
    const { sample } = this;
    this.delivered += bytes;
    this.#deliveredAt = now;
    sample.acked += bytes;
    const row = this.#find(sentAt);
    if (row < 0 || this.#rowDelivered[row]! < sample.priorDelivered) return;
    sample.priorDelivered = this.#rowDelivered[row]!;
    this.#priorAt = this.#rowDeliveredAt[row]!;
    this.#priorLost = this.#rowLost[row]!;
    this.#sendElapsed = sentAt - this.#rowFirstSentAt[row]!;
    sample.inFlight = Math.floor(this.#rowInFlight[row]! / 2);
    sample.applicationLimited = this.#rowInFlight[row]! % 2 === 1;
    this.#firstSentAt = sentAt;
  }

  /** `bytes` are believed lost. */
  onLost(bytes: number): void {
    this.lost += bytes;
  }

  /**
   * Bytes under way when what left at `sentAt` did, and bytes lost since; false when it is
   * forgotten.
   */
  since(
    sentAt: Micros,
    out: { inFlight: number; lost: number; applicationLimited: boolean },
  ): boolean {
    const row = this.#find(sentAt);
    if (row < 0) return false;
    out.inFlight = Math.floor(this.#rowInFlight[row]! / 2);
    out.applicationLimited = this.#rowInFlight[row]! % 2 === 1;
    out.lost = this.lost - this.#rowLost[row]!;
    return true;
  }

  /**
   * All of an acknowledgement was told: makes the sample of it. `minRttUs`: what is faster than
   * this is no measurement.
   */
  finish(now: Micros, minRttUs: Micros): RateSample {
    const { sample } = this;
    if (this.#limitedUntil > 0 && this.delivered > this.#limitedUntil) this.#limitedUntil = 0;
    sample.rate = 0;
    if (sample.priorDelivered >= 0) {
      sample.delivered = this.delivered - sample.priorDelivered;
      sample.lost = this.lost - this.#priorLost;
      const elapsed = Math.max(this.#sendElapsed, now - this.#priorAt);
      if (elapsed > 0 && elapsed >= minRttUs) sample.rate = sample.delivered / elapsed;
    }
    return sample;
  }

  /** Before the next acknowledgement. */
  reset(): void {
    const { sample } = this;
    sample.acked = 0;
    sample.delivered = 0;
    sample.lost = 0;
    sample.priorDelivered = -1;
  }

  #row(index: number): number {
    return (this.#head + index) & (this.#sentAt.length - 1);
  }

  /**
   * Row of the turn at `sentAt`, -1 when it is forgotten. What is acknowledged is mostly the
   * oldest.
   */
  #find(sentAt: Micros): number {
    let low = 0,
      high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sentAt[this.#row(middle)]! < sentAt) low = middle + 1;
      else high = middle;
    }
    const row = this.#row(low);
    return low < this.#length && this.#sentAt[row] === sentAt ? row : -1;
  }

  #makeRoom(): void {
    // What is acknowledged later than the latest of now by two of its round trips gives a sample
    // that nobody needs.
    const old = this.#firstSentAt - 2 * Math.max(1, this.#deliveredAt - this.#firstSentAt);
    let gone = 0;
    while (gone < this.#length && this.#sentAt[this.#row(gone)]! < old) gone += 1;
    if (4 * gone < this.#length && this.#sentAt.length >= ROWS_MAX) gone = Math.max(gone, 1);
    if (4 * gone >= this.#length || this.#sentAt.length >= ROWS_MAX) {
      this.#head = this.#row(gone);
      this.#length -= gone;
    }
    if (this.#length < this.#sentAt.length) return;
    const rows = Math.max(ROWS_MIN, 2 * this.#sentAt.length);
    this.#sentAt = this.#grown(this.#sentAt, rows);
    this.#rowDelivered = this.#grown(this.#rowDelivered, rows);
    this.#rowDeliveredAt = this.#grown(this.#rowDeliveredAt, rows);
    this.#rowFirstSentAt = this.#grown(this.#rowFirstSentAt, rows);
    this.#rowLost = this.#grown(this.#rowLost, rows);
    this.#rowInFlight = this.#grown(this.#rowInFlight, rows);
    this.#head = 0;
  }

  /** The ring's rows from #head on, at the beginning of a longer one. */
  #grown(ring: Float64Array, rows: number): Float64Array<ArrayBuffer> {
    const into = new Float64Array(rows);
    into.set(ring.subarray(this.#head), 0);
    into.set(ring.subarray(0, this.#head), ring.length - this.#head);
    return into;
  }
}
