/**
 * The table of all metrics of a daemon, as METRICS.md has it: made of the rows that are written.
 */

import { CORE_METRICS } from '../../core/operator/metrics.ts';
import { HISTOGRAM_ROW, PROCESS_METRICS } from './process-metrics.ts';

/** In Markdown, a line each, in the order of `/metrics`. Names are those of Prometheus' format. */
export function tableOfMetrics(): string[] {
  const rows = [...CORE_METRICS, ...PROCESS_METRICS, HISTOGRAM_ROW].map(
    ({ name, kind, labels, most, text }) =>
      `| \`${name}${kind === 'counter' ? '_total' : ''}\` | ${kind} | ` +
      `${labels.map((label) => `\`${label}\``).join(', ')} | ${most} | ${text} |`,
  );
  return ['| Name | Type | Labels | Samples | Meaning |', '|---|---|---|---|---|', ...rows];
}
