/**
 * When to send: a token bucket for bulk, and the schedule of a flow with a fixed period.
 *
 * Pure arithmetic on microseconds that the caller passes in: no clock, no timers. Used by `spines
 * cat` and by the real-time replay. Invariant: over any stretch of time the bucket lets through at
 * most its rate times the stretch plus one burst.
 */

export class TokenBucket {
  /** Payload bits per microsecond. */
  readonly #bitsPerUs: number;
  readonly #burstBits: number;
  #tokens: number;
  #at: number;

  /**
   * `kbps`: payload kbit/s, above 0. `burstBytes`: most that leaves at once after a pause; the
   * largest datagram to be sent must fit. Starts full at `nowUs`.
   */
  constructor(kbps: number, burstBytes: number, nowUs: number) {
    this.#bitsPerUs = kbps / 1_000;
    this.#burstBits = burstBytes * 8;
    this.#tokens = this.#burstBits;
    this.#at = nowUs;
  }

  /**
   * Takes the tokens for `bytes` and returns 0, or takes nothing and returns the microseconds to
   * wait.
   */
  take(nowUs: number, bytes: number): number {
    const elapsed = Math.max(0, nowUs - this.#at);
    this.#tokens = Math.min(this.#burstBits, this.#tokens + elapsed * this.#bitsPerUs);
    this.#at = Math.max(this.#at, nowUs);
    // A datagram larger than the burst goes when the bucket is full, and leaves a debt.
    const needed = Math.min(bytes * 8, this.#burstBits);
    if (this.#tokens + 1e-6 < needed)
      return Math.max(1, Math.ceil((needed - this.#tokens) / this.#bitsPerUs));
    this.#tokens -= bytes * 8;
    return 0;
  }
}

/**
 * Time a sender may sleep at once: bursts are at least this long at the rate, or the timer's grain
 * would cut the rate.
 */
const BURST_US = 3_000;

/**
 * The smallest burst that keeps up the rate with millisecond timers: 3 ms of it, at least two
 * datagrams.
 */
export function burstBytes(kbps: number, datagramBytes: number): number {
  return Math.max(2 * datagramBytes, Math.ceil((kbps * BURST_US) / 8_000));
}

/**
 * The schedule of a flow: message k of `count` is due at startUs + offset of k, by default k *
 * periodUs.
 */
export class Schedule {
  readonly startUs: number;
  readonly periodUs: number;
  readonly count: number;
  readonly #offset: (k: number) => number;
  #next = 0;
  /** Of the next message; computed from the start, so that rounding does not add up. */
  #dueUs: number;

  /** `count` may be Infinity. `offset`: when message k is due after the start; never falls. */
  constructor(
    startUs: number,
    periodUs: number,
    count: number,
    offset: (k: number) => number = (k) => k * periodUs,
  ) {
    this.startUs = startUs;
    this.periodUs = periodUs;
    this.count = count;
    this.#offset = offset;
    this.#dueUs = this.dueOf(0);
  }

  /** Index of the next message, which is also the number already taken. */
  get next(): number {
    return this.#next;
  }

  get done(): boolean {
    return this.#next >= this.count;
  }

  /** Due time of the next message. */
  get dueUs(): number {
    return this.#dueUs;
  }

  dueOf(k: number): number {
    return this.startUs + this.#offset(k);
  }

  /** Takes the next message if it is due; returns its index, or -1. */
  take(nowUs: number): number {
    if (this.done || this.#dueUs > nowUs) return -1;
    this.#next += 1;
    this.#dueUs = this.dueOf(this.#next);
    return this.#next - 1;
  }
}

/**
 * A flow slower than this is sent on the dot, by polling for the last stretch; a faster one on a
 * millisecond tick.
 */
export const PRECISE_PERIOD_US = 4_000;
/** What a millisecond timer may be late by: the stretch before a due time that is polled. */
const POLL_US = 1_200;

export type Wait =
  /** Nothing to do before this many milliseconds have passed. */
  | { readonly kind: 'sleep'; readonly ms: number }
  /** Due so soon that a timer could be late: look again on the next turn of the event loop. */
  | { readonly kind: 'poll' };

/** How to wait for the due time `inUs` microseconds from now. */
export function waitFor(inUs: number, precise: boolean): Wait {
  if (!precise) return { kind: 'sleep', ms: Math.max(1, Math.ceil(inUs / 1_000)) };
  if (inUs <= POLL_US) return { kind: 'poll' };
  return { kind: 'sleep', ms: Math.max(1, Math.floor((inUs - POLL_US) / 1_000)) };
}
