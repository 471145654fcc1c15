/**
 * A telephone's play-out buffer, and what is heard behind it.
 *
 * Owns the buffer of Ramjee, Kurose, Towsley and Schulzrinne (INFOCOM 1994, algorithm 1): estimates
 * of delay and of its variation, and a play-out point of both that moves between talk spurts only.
 * A packet that comes after its play-out point is lost for the ear. Pure.
 */

import { qualityOf, type Quality } from './e-model.ts';

/** Between packets, and of speech in each. */
export const PACKET_MS = 20;
/** A talk spurt of one second (ITU-T P.59). */
const SPURT_PACKETS = 50;
const ALPHA = 0.998002;
const VARIATIONS = 4;
/** The first estimate is the mean of so many. */
const FIRST_PACKETS = 10;

/** What is heard of one direction. */
export interface Heard extends Quality {
  readonly packets: number;
  /** Of those that came, one way. Null where none did. */
  readonly meanMs: number | null;
  readonly p99Ms: number | null;
  readonly lostPct: number;
  /** Came, and too late to be played. */
  readonly latePct: number;
  /** From mouth to ear. */
  readonly earMs: number;
}

/** `delays`: one way, milliseconds, in the order of sending; null: lost on the way. */
export function hear(delays: readonly (number | null)[]): Heard {
  const came = delays.filter((delay) => delay !== null);
  const heard: boolean[] = [];
  const first = came.slice(0, FIRST_PACKETS);
  let mean = first.reduce((sum, delay) => sum + delay, 0) / Math.max(1, first.length);
  let variation = first.reduce((sum, delay) => sum + Math.abs(delay - mean), 0);
  variation /= Math.max(1, first.length);
  let point = 0,
    points = 0,
    late = 0;
  delays.forEach((delay, i) => {
    if (i % SPURT_PACKETS === 0) point = mean + VARIATIONS * variation;
    points += point;
    heard.push(delay !== null && delay <= point);
    if (delay === null) return;
    if (delay > point) late += 1;
    mean = ALPHA * mean + (1 - ALPHA) * delay;
    variation = ALPHA * variation + (1 - ALPHA) * Math.abs(delay - mean);
  });
  const packets = delays.length,
    share = (count: number): number => (packets === 0 ? 0 : (100 * count) / packets);
  const lostPct = share(packets - came.length),
    latePct = share(late);
  const earMs = came.length === 0 ? 0 : points / packets + PACKET_MS;
  return {
    packets,
    meanMs: came.length === 0 ? null : came.reduce((sum, delay) => sum + delay, 0) / came.length,
    p99Ms: came.length === 0 ? null : quantile(came, 0.99),
    lostPct,
    latePct,
    earMs,
    ...qualityOf(earMs, lostPct + latePct, burstRatio(heard)),
  };
}

/** Mean run of what is not heard, over what it is where each packet is lost by itself. */
export function burstRatio(heard: readonly boolean[]): number {
  let lost = 0,
    runs = 0;
  heard.forEach((ok, i) => {
    if (ok) return;
    lost += 1;
    if (i === 0 || heard[i - 1]!) runs += 1;
  });
  if (lost === 0 || lost === heard.length) return 1;
  return Math.max(1, (lost / runs) * (1 - lost / heard.length));
}

function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))]!;
}
