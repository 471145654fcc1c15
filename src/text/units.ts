/**
 * Quantities as people write them: durations, bit rates, sizes and percents, to numbers and back.
 *
 * Owns the grammar of units and nothing of the places they appear in. Called by the topology
 * parser, the command line and the report. Invariant: a parser returns a finite number that is not
 * negative, or null; it never throws and never guesses (a number without a unit is refused where
 * none is implied).
 */

import { MILLISECOND, SECOND, type Micros } from '../core/base/time.ts';

/** A hundred days: far beyond any run, far below the end of exact microseconds. */
export const DURATION_US_MAX: Micros = 100 * 86_400 * SECOND;

const DURATION_UNITS: Readonly<Record<string, Micros>> = {
  us: 1,
  µs: 1,
  ms: MILLISECOND,
  s: SECOND,
  m: 60 * SECOND,
  min: 60 * SECOND,
  h: 3_600 * SECOND,
};
const RATE_UNITS: Readonly<Record<string, number>> = {
  bit: 0.001,
  bps: 0.001,
  kbit: 1,
  kbps: 1,
  mbit: 1_000,
  mbps: 1_000,
  gbit: 1_000_000,
  gbps: 1_000_000,
};
const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1_000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 1_024,
  mib: 1_048_576,
  gib: 1_073_741_824,
};

/**
 * "250ms", "10s", "1.5m" (minutes), "1h", "500us" to whole microseconds, 0..DURATION_US_MAX; else
 * null. `bareUnit`: microseconds that a number without a unit counts in; without it such a number
 * is refused.
 */
export function parseDuration(value: unknown, bareUnit?: Micros): Micros | null {
  const parts = split(value);
  if (parts === null) return null;
  const unit = parts.unit === '' ? bareUnit : own(DURATION_UNITS, parts.unit);
  if (unit === undefined) return null;
  const us = Math.round(parts.number * unit);
  return us <= DURATION_US_MAX ? us : null;
}

/**
 * "500kbit", "10mbit", "1gbit", "64kbps", "9600bit" (a final "/s" is fine) to kbit/s; else null.
 * The unit is required.
 */
export function parseRate(value: unknown): number | null {
  const parts = split(value);
  if (parts === null) return null;
  const unit = own(RATE_UNITS, parts.unit.endsWith('/s') ? parts.unit.slice(0, -2) : parts.unit);
  if (unit === undefined) return null;
  // Through bits, so that 0.3mbit is 300 and not 299.99999999999994.
  const kbps = Math.round(parts.number * unit * 1_000) / 1_000;
  return Number.isFinite(kbps) ? kbps : null;
}

/** 1000, "1000", "64KiB", "1MB" to whole bytes; else null. */
export function parseSize(value: unknown): number | null {
  const parts = split(value);
  if (parts === null) return null;
  const unit = own(SIZE_UNITS, parts.unit);
  if (unit === undefined) return null;
  const bytes = Math.round(parts.number * unit);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** "1%", "1 %", 1 and "1" are all one percent. Returns 0..100, else null. */
export function parsePercent(value: unknown): number | null {
  const parts = split(value);
  if (parts === null || (parts.unit !== '' && parts.unit !== '%')) return null;
  return parts.number <= 100 ? parts.number : null;
}

/** "250 us", "12.5 ms", "3 s", "2 min": the largest unit that keeps the number at one or more. */
export function formatDuration(us: Micros): string {
  const size = Math.abs(us);
  if (size >= 3_600 * SECOND) return `${trim(us / (3_600 * SECOND))} h`;
  if (size >= 60 * SECOND) return `${trim(us / (60 * SECOND))} min`;
  if (size >= SECOND) return `${trim(us / SECOND)} s`;
  if (size >= MILLISECOND) return `${trim(us / MILLISECOND)} ms`;
  return `${trim(us)} us`;
}

/** "500 kbit/s", "10 Mbit/s", "1 Gbit/s"; null is "unlimited". */
export function formatRate(kbps: number | null): string {
  if (kbps === null) return 'unlimited';
  if (kbps >= 1_000_000) return `${trim(kbps / 1_000_000)} Gbit/s`;
  if (kbps >= 1_000) return `${trim(kbps / 1_000)} Mbit/s`;
  return `${trim(kbps)} kbit/s`;
}

/** "1000 B", "64 KiB", "1.5 MiB". */
export function formatSize(bytes: number): string {
  if (bytes >= 1_073_741_824) return `${trim(bytes / 1_073_741_824)} GiB`;
  if (bytes >= 1_048_576) return `${trim(bytes / 1_048_576)} MiB`;
  if (bytes >= 1_024) return `${trim(bytes / 1_024)} KiB`;
  return `${trim(bytes)} B`;
}

/** "1 %", "0.25 %". */
export function formatPercent(percent: number): string {
  return `${trim(percent)} %`;
}

/** At most three decimals, no trailing zeros. */
function trim(value: number): string {
  return String(Math.round(value * 1_000) / 1_000);
}

function split(value: unknown): { number: number; unit: string } | null {
  if (typeof value === 'number')
    return Number.isFinite(value) && value >= 0 ? { number: value, unit: '' } : null;
  if (typeof value !== 'string' || value.length > 40) return null;
  const match = /^([0-9]+(?:\.[0-9]+)?) ?([a-zµ%]*(?:\/s)?)$/.exec(value.trim().toLowerCase());
  return match === null ? null : { number: Number(match[1]), unit: match[2]! };
}

/** A look-up that "constructor" does not fool. */
function own(table: Readonly<Record<string, number>>, key: string): number | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
