/**
 * A figure over several seeds: means, and the interval in which the mean of all seeds lies with 95
 * %.
 *
 * Owns the statistics (Student's t on the values of each seed) and what becomes of a flow that
 * keeps up with some seeds only: then it does not. figures.ts makes one result for each seed;
 * figures-table.ts writes them.
 */

import { assert } from '../../core/base/assert.ts';
import type { FigurePoint, FigureResult } from './figures.ts';
import { comparisonOf, statementValue, valueText, type Comparison } from './figures-table.ts';

/**
 * Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom; beyond, the normal
 * distribution's.
 */
const T95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145,
  2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048,
  2.045, 2.042,
];

/**
 * Mean, and half of the interval of 95 %. Infinity or NaN, with no interval, when one of the values
 * is; 0 for one value.
 */
export function interval(values: readonly number[]): { mean: number; half: number } {
  assert(values.length > 0, 'an interval is of something');
  if (values.some((value) => Number.isNaN(value))) return { mean: NaN, half: 0 };
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (!Number.isFinite(mean) || values.length === 1) return { mean, half: 0 };
  const variance =
    values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, half: (T95[values.length - 2] ?? 1.96) * Math.sqrt(variance / values.length) };
}

/**
 * One result whose points are the means of all, with their intervals; what else a run has is the
 * first seed's.
 */
export function overSeeds(results: readonly FigureResult[]): FigureResult {
  const first = results[0]!;
  return {
    ...first,
    seeds: results.length,
    curves: first.curves.map(({ curve, points }, c) => ({
      curve,
      points: points.map((point, p): FigurePoint => {
        const { mean, half } = interval(results.map((result) => result.curves[c]!.points[p]!.y));
        return { ...point, y: mean, half };
      }),
    })),
  };
}

/** What is said of a figure, judged by the mean over seeds. */
export function compareOverSeeds(results: readonly FigureResult[]): Comparison[] {
  return results[0]!.plan.statements.map((statement) => {
    const { mean, half } = interval(results.map((result) => statementValue(result, statement)));
    const one = comparisonOf(results[0]!, statement, mean);
    return Number.isFinite(mean) && results.length > 1
      ? { ...one, ours: `${one.ours} ± ${valueText(half)}` }
      : one;
  });
}
