/**
 * What a flow's receiver measured: exact delay statistics, and the count of what arrived.
 *
 * DelayStats keeps every delay (no sketch: percentiles are of the real samples). FlowMeter adds
 * what sequence numbers tell. Filled by the replay and the simulator, read by report.ts and
 * delay-plot.ts. Invariant: memory is bounded by DELAY_SAMPLES_MAX and SEQUENCE_MAX; what exceeds
 * them is counted.
 */

import { assert } from '../../core/base/assert.ts';
import type { Micros } from '../../core/base/time.ts';

export const DELAY_SAMPLES_MAX = 50_000_000;
/** A sample is held in 31 bits: a delay beyond 35 minutes counts as 35 minutes. */
export const DELAY_SAMPLE_US_MAX: Micros = 0x7fff_ffff;
/** Sequence numbers of a flow, 0-based, stay below this. */
export const SEQUENCE_MAX = 134_217_728;

/**
 * Milliseconds with three decimals. `stddev` is of the population; percentiles are by nearest rank.
 */
export interface DelaySummary {
  readonly mean: number;
  readonly stddev: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class DelayStats {
  #samples = new Int32Array(256);
  #count = 0;
  #sorted = true;
  #sum = 0;
  readonly #samplesMax: number;
  #unrecorded = 0;

  /** `samplesMax`: 1..DELAY_SAMPLES_MAX. */
  constructor(samplesMax = DELAY_SAMPLES_MAX) {
    assert(samplesMax >= 1 && samplesMax <= DELAY_SAMPLES_MAX, 'DelayStats: bound out of range');
    this.#samplesMax = samplesMax;
  }

  /** Samples held. */
  get count(): number {
    return this.#count;
  }

  /** All samples, microseconds, in no order. */
  values(): Micros[] {
    return [...this.#samples.subarray(0, this.#count)];
  }

  /** Samples beyond the bound: they are in no statistic. */
  get unrecorded(): number {
    return this.#unrecorded;
  }

  /** Adds one delay; below zero (clocks that disagree) counts as zero. */
  record(delayUs: Micros): void {
    if (this.#count >= this.#samplesMax) {
      this.#unrecorded += 1;
      return;
    }
    if (this.#count === this.#samples.length) {
      const grown = new Int32Array(Math.min(this.#samplesMax, this.#samples.length * 2));
      grown.set(this.#samples);
      this.#samples = grown;
    }
    const sample = Math.min(DELAY_SAMPLE_US_MAX, Math.max(0, Math.round(delayUs)));
    this.#samples[this.#count] = sample;
    this.#count += 1;
    this.#sum += sample;
    this.#sorted = false;
  }

  /**
   * The smallest delay that at least `numerator / denominator` of the samples do not exceed, in us;
   * null without samples.
   */
  quantileUs(numerator: number, denominator: number): Micros | null {
    if (this.#count === 0) return null;
    this.#sort();
    // Integers as far as the division, so that 0.999 of 1000 samples is the 999th and not the
    // 1000th.
    const rank = Math.ceil((this.#count * numerator) / denominator);
    return this.#samples[Math.min(this.#count, Math.max(1, rank)) - 1]!;
  }

  /** Percent of the samples above `ms` milliseconds, three decimals; 0 without samples. */
  percentAbove(ms: number): number {
    if (this.#count === 0) return 0;
    this.#sort();
    const limitUs = ms * 1_000;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#samples[middle]! > limitUs) high = middle;
      else low = middle + 1;
    }
    return round3(((this.#count - low) / this.#count) * 100);
  }

  /** Null without samples. */
  summary(): DelaySummary | null {
    if (this.#count === 0) return null;
    const mean = this.#sum / this.#count;
    let squares = 0;
    for (let i = 0; i < this.#count; i += 1) {
      const off = this.#samples[i]! - mean;
      squares += off * off;
    }
    const at = (numerator: number, denominator: number): number =>
      round3(this.quantileUs(numerator, denominator)! / 1_000);
    return {
      mean: round3(mean / 1_000),
      stddev: round3(Math.sqrt(squares / this.#count) / 1_000),
      min: at(0, 1),
      p50: at(1, 2),
      p90: at(9, 10),
      p99: at(99, 100),
      p999: at(999, 1_000),
      max: at(1, 1),
    };
  }

  #sort(): void {
    // In place: the order of arrival is of no use to any statistic here.
    if (!this.#sorted) this.#samples.subarray(0, this.#count).sort();
    this.#sorted = true;
  }
}

/** What the report says of one flow's traffic. */
export interface FlowResult {
  readonly sent: number;
  /** Distinct messages that arrived. */
  readonly delivered: number;
  /**
   * Messages that did not arrive and of which the sender was told, by its own daemon or by a node
   * on the way: no room, or no route.
   */
  readonly refused: number;
  /** Messages that did not arrive, without a word. */
  readonly lost: number;
  readonly duplicates: number;
  /** Messages that arrived after one with a higher sequence number. */
  readonly outOfOrder: number;
  /** kbit/s of payload, three decimals. */
  readonly goodputKbps: number;
  readonly delayMs: DelaySummary | null;
  /** Percent of the delivered messages delayed more than this many milliseconds. */
  readonly delayedPct: Readonly<Record<string, number>>;
  /**
   * Of a flow with a deadline: it, and percent of the sent messages that were not there by then,
   * late or never.
   */
  readonly deadlineMs?: number;
  readonly latePct?: number;
  /** Where anything was refused: how much was, by the code or drop reason that was told. */
  readonly refusals?: Readonly<Record<string, number>>;
}

/**
 * What a flow's sender was told that was not taken, or did not arrive; at most REFUSAL_KINDS_MAX
 * kinds, the rest under the last.
 */
export class Refusals {
  readonly #counts = new Map<string, number>();

  get total(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += count;
    return sum;
  }

  add(kind: string, count = 1): void {
    const under =
      this.#counts.has(kind) || this.#counts.size < REFUSAL_KINDS_MAX - 1 ? kind : 'other';
    this.#counts.set(under, (this.#counts.get(under) ?? 0) + count);
  }

  /** Most first. */
  byKind(): Record<string, number> {
    return Object.fromEntries(
      [...this.#counts].sort((x, y) => y[1] - x[1] || (x[0] < y[0] ? -1 : 1)),
    );
  }
}

const REFUSAL_KINDS_MAX = 16;

/** The receiving end of one flow. Sequence numbers count messages from 0. */
export class FlowMeter {
  readonly delays: DelayStats;
  /** One bit per sequence number seen. */
  #seen = new Uint32Array(64);
  #highest = -1;
  #delivered = 0;
  #duplicates = 0;
  #outOfOrder = 0;
  #bytes = 0;
  #invalid = 0;

  constructor(delays = new DelayStats()) {
    this.delays = delays;
  }

  get delivered(): number {
    return this.#delivered;
  }

  get duplicates(): number {
    return this.#duplicates;
  }

  get outOfOrder(): number {
    return this.#outOfOrder;
  }

  /** Payload bytes of distinct messages. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Messages with an impossible sequence number: they count nowhere else. */
  get invalid(): number {
    return this.#invalid;
  }

  /**
   * One message arrived, `delayUs` after it was sent. Only its first copy counts beyond
   * `duplicates`.
   */
  onMessage(sequence: number, delayUs: Micros, bytes: number): void {
    if (!Number.isInteger(sequence) || sequence < 0 || sequence >= SEQUENCE_MAX) {
      this.#invalid += 1;
      return;
    }
    const word = sequence >>> 5;
    const bit = 1 << (sequence & 31);
    if (word >= this.#seen.length) this.#grow(word);
    if ((this.#seen[word]! & bit) !== 0) {
      this.#duplicates += 1;
      return;
    }
    this.#seen[word]! |= bit;
    this.#delivered += 1;
    this.#bytes += bytes;
    if (sequence < this.#highest) this.#outOfOrder += 1;
    else this.#highest = sequence;
    this.delays.record(delayUs);
  }

  /**
   * The flow's numbers. `sent`: messages sent; `durationUs`: time the goodput is averaged over, 0
   * gives 0; `refusals`: what the sender was told, of packets where messages have several;
   * `thresholdsMs`: the delays that delayedPct is about; `deadlineUs`: null for none.
   */
  result(
    sent: number,
    durationUs: Micros,
    refusals: Refusals | null = null,
    deadlineUs: Micros | null = null,
    thresholdsMs: readonly number[] = [60, 100],
  ): FlowResult {
    const missing = Math.max(0, sent - this.#delivered),
      refused = Math.min(missing, refusals?.total ?? 0);
    return {
      sent,
      delivered: this.#delivered,
      refused,
      lost: missing - refused,
      duplicates: this.#duplicates,
      outOfOrder: this.#outOfOrder,
      goodputKbps: durationUs > 0 ? round3((this.#bytes * 8_000) / durationUs) : 0,
      delayMs: this.delays.summary(),
      delayedPct: Object.fromEntries(
        thresholdsMs.map((ms) => [String(ms), this.delays.percentAbove(ms)]),
      ),
      ...(deadlineUs === null ? {} : this.#lateness(sent, deadlineUs / 1_000)),
      ...(refused === 0 ? {} : { refusals: refusals!.byKind() }),
    };
  }

  #lateness(sent: number, deadlineMs: number): { deadlineMs: number; latePct: number } {
    const late = (this.delays.percentAbove(deadlineMs) / 100) * this.delays.count;
    const never = Math.max(0, sent - this.#delivered);
    return { deadlineMs, latePct: sent === 0 ? 0 : round3((100 * (late + never)) / sent) };
  }

  #grow(word: number): void {
    let size = this.#seen.length;
    while (size <= word) size *= 2;
    const grown = new Uint32Array(size);
    grown.set(this.#seen);
    this.#seen = grown;
  }
}

function round3(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
