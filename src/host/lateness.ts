/**
 * How late a daemon's event loop runs what is due: the lag of its timers, over the last one to two
 * minutes.
 *
 * Two tables of counts by powers of two, of which the older is forgotten; a few hundred bytes, and
 * no timer of its own.
 */

import { SECOND, type Micros } from '../core/base/time.ts';

const SPAN: Micros = 60 * SECOND;
/** Bucket i: below 2^i microseconds, the last one everything else. */
const BUCKETS = 32;

export interface LatenessFigures {
  /** Upper ends of the buckets that hold the quantiles, and the worst; milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * Between two readings of `counts`. Upper ends of buckets, milliseconds; 0 when nothing was due.
 */
export function latenessBetween(
  before: readonly number[],
  after: readonly number[],
): { readonly p99: number; readonly max: number } {
  const counts = after.map((count, i) => count - (before[i] ?? 0));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const edge = (part: number): number => {
    let sum = 0;
    const i = counts.findIndex((count) => (sum += count) > 0 && sum >= part * total);
    return i < 0 ? 0 : 2 ** i / 1_000;
  };
  return { p99: edge(0.99), max: edge(1) };
}

export class Lateness {
  #counts = new Uint32Array(BUCKETS);
  #older = new Uint32Array(BUCKETS);
  #max: Micros = 0;
  #olderMax: Micros = 0;
  #began: Micros;
  #sum: Micros = 0;
  /** Of all time. */
  readonly #all: number[] = new Array<number>(BUCKETS).fill(0);

  constructor(now: Micros) {
    this.#began = now;
  }

  /** Something was done `late` after it was due. */
  add(late: Micros, now: Micros): void {
    this.#turn(now);
    const bucket = Math.min(BUCKETS - 1, 32 - Math.clz32(Math.max(0, late)));
    this.#counts[bucket] = this.#counts[bucket]! + 1;
    this.#all[bucket] = this.#all[bucket]! + 1;
    if (late > this.#max) this.#max = late;
    this.#sum += Math.max(0, late);
  }

  /** All that was done late, added up since the start. */
  get sum(): Micros {
    return this.#sum;
  }

  /**
   * How many were late by less than 2^i microseconds, and by no less than half of that, since the
   * start; two readings give what was between them.
   */
  get counts(): readonly number[] {
    return [...this.#all];
  }

  figures(now: Micros): LatenessFigures {
    this.#turn(now);
    let total = 0;
    for (let i = 0; i < BUCKETS; i += 1) total += this.#counts[i]! + this.#older[i]!;
    const max = Math.max(this.#max, this.#olderMax);
    const quantile = (part: number): number => {
      let sum = 0;
      for (let i = 0; i < BUCKETS; i += 1) {
        sum += this.#counts[i]! + this.#older[i]!;
        if (sum > 0 && sum >= part * total) return Math.min(max, 2 ** i) / 1_000;
      }
      return 0;
    };
    return { p50: quantile(0.5), p99: quantile(0.99), max: max / 1_000 };
  }

  #turn(now: Micros): void {
    if (now - this.#began < SPAN) return;
    const gone = now - this.#began >= 2 * SPAN;
    [this.#older, this.#counts] = [this.#counts, this.#older];
    this.#counts.fill(0);
    this.#olderMax = gone ? 0 : this.#max;
    if (gone) this.#older.fill(0);
    this.#max = 0;
    this.#began = now;
  }
}
