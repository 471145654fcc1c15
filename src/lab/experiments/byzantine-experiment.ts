/**
 * What an experiment on Byzantine routing gives: figures, and statements that held or did not.
 *
 * Also the arithmetic that they share. The experiments are in files of their own.
 */

import type { Bar, LineSeries } from '../report/line-plot.ts';

export interface ByzantineFigure {
  /** Name of its files. */
  readonly key: string;
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Upper end of the y axis; default: the largest value. */
  readonly top: number | null;
  /** One of the two is not empty. */
  readonly series: readonly LineSeries[];
  readonly bars: readonly Bar[];
  /** The CSV: names, and a row for each run or sample. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** What should be so, and what was found. */
export interface Claim {
  readonly figure: string;
  readonly text: string;
  readonly needed: string;
  readonly ours: string;
  readonly seeds: string;
  readonly verdict: 'holds' | 'does not hold';
}

export interface Experiment {
  readonly figures: readonly ByzantineFigure[];
  readonly claims: readonly Claim[];
}

export interface ByzantineFiguresOptions {
  /** Fewer and shorter runs. */
  readonly quick: boolean;
  /** Networks and placements of the delivery figures, 1..100. */
  readonly seeds: number;
  readonly onRun?: (what: string) => void;
}

export const BYZANTINE_SEEDS = 3;
export const BYZANTINE_SEEDS_MAX = 100;

/** A statement, and whether it held. */
export function claim(
  figure: string,
  seeds: string,
  text: string,
  needed: string,
  ours: string,
  holds: boolean,
): Claim {
  return { figure, text, needed, ours, seeds, verdict: holds ? 'holds' : 'does not hold' };
}

/** Least b with 2^b >= n: ceil(log2 n), in whole numbers. */
export function ceilLog2(n: number): number {
  let exponent = 0;
  while (2 ** exponent < n) exponent += 1;
  return exponent;
}

/** Percent with three decimals; NaN of nothing. */
export function percent(part: number, whole: number): number {
  return whole === 0 ? NaN : Math.round((part / whole) * 100_000) / 1_000;
}

/** `value` with so many decimals. */
export function round(value: number, digits = 3): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}
