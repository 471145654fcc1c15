/**
 * The metrics of a daemon: every family that its core has, in the order in which they are written.
 *
 * Reads only, and only when somebody asks: nothing is counted for metrics alone. The table in
 * METRICS.md is made of these rows and the host's.
 */

import { LINK_METRICS, linkRows } from './metrics-links.ts';
import { NODE_METRICS } from './metrics-node.ts';
import type { MetricFamily } from './metric.ts';
import type { Operator } from './operation.ts';

/** Takes the samples of one family after the other. */
export type OnFamily = (
  family: MetricFamily<never>,
  collect: (add: (value: number, ...labels: string[]) => void) => void,
) => void;

/** All families of the core, for a table. */
export const CORE_METRICS: readonly MetricFamily<never>[] = [...NODE_METRICS, ...LINK_METRICS];

/** Reads every family of the core. */
export function readMetrics(operator: Operator, onFamily: OnFamily): void {
  for (const family of NODE_METRICS) onFamily(family, (add) => family.samples(operator, add));
  const rows = linkRows(operator);
  for (const family of LINK_METRICS) onFamily(family, (add) => family.samples(rows, add));
}
