/**
 * Metrics as text: the Prometheus format 0.0.4, and OpenMetrics 1.0.
 *
 * Both are written from the same families; they differ in the name of a counter's family, in units,
 * and in how they end. Source: prometheus.io/docs/instrumenting/exposition_formats and the
 * OpenMetrics specification 1.0.0.
 */

import type { MetricFamily } from '../../core/operator/metric.ts';

export type ExpositionFormat = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** Counts of observations by upper ends of buckets, and the sum of what was observed. */
export interface Histogram {
  readonly name: string;
  readonly text: string;
  /** In ascending order; observations at most that, and above the one before. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[];
  /** Observations above the last of these. */
  readonly above: number;
  readonly sum: number;
}

/**
 * The format that an Accept header prefers; Prometheus' own where it says nothing of either.
 * Qualities are those of RFC 9110, section 12.5.1.
 */
export function formatFor(accept: string | undefined): ExpositionFormat {
  let open = 0,
    plain = 0;
  for (const part of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim());
    const written = parameters.find((one) => one.startsWith('q='))?.slice(2);
    const quality = written === undefined ? 1 : Number(written) || 0;
    if (type === 'application/openmetrics-text') open = Math.max(open, quality);
    else if (['text/plain', 'text/*', '*/*'].includes(type)) plain = Math.max(plain, quality);
  }
  return open > 0 && open >= plain ? 'openmetrics' : 'prometheus';
}

export class Exposition {
  readonly #format: ExpositionFormat;
  readonly #parts: string[] = [];

  constructor(format: ExpositionFormat) {
    this.#format = format;
  }

  /** Writes one family; one without samples is left out. */
  family(
    { name, kind, unit, labels, text }: MetricFamily<never>,
    collect: (add: (value: number, ...labels: string[]) => void) => void,
  ): void {
    const sample = kind === 'counter' ? `${name}_total` : name;
    const lines: string[] = [];
    collect((value, ...values) => {
      lines.push(`${sample}${labelsText(labels, values)} ${numberText(value)}\n`);
    });
    if (lines.length === 0) return;
    this.#head(this.#format === 'openmetrics' ? name : sample, kind, text, unit);
    this.#parts.push(...lines);
  }

  histogram({ name, text, buckets, above, sum }: Histogram): void {
    this.#head(name, 'histogram', text, 'seconds');
    let total = 0;
    for (const { le, count } of buckets) {
      total += count;
      this.#parts.push(`${name}_bucket{le="${boundText(le)}"} ${total}\n`);
    }
    total += above;
    this.#parts.push(
      `${name}_bucket{le="+Inf"} ${total}\n`,
      `${name}_sum ${numberText(sum)}\n`,
      `${name}_count ${total}\n`,
    );
  }

  /** Everything; nothing can be added any more. */
  end(): string {
    if (this.#format === 'openmetrics') this.#parts.push('# EOF\n');
    return this.#parts.join('');
  }

  #head(name: string, kind: string, text: string, unit: string | null): void {
    this.#parts.push(`# HELP ${name} ${escapeHelp(text)}.\n# TYPE ${name} ${kind}\n`);
    if (this.#format === 'openmetrics' && unit !== null && name.endsWith(`_${unit}`))
      this.#parts.push(`# UNIT ${name} ${unit}\n`);
  }
}

function labelsText(labels: readonly string[], values: readonly string[]): string {
  if (labels.length === 0) return '';
  return `{${labels.map((label, i) => `${label}="${escapeLabel(values[i]!)}"`).join(',')}}`;
}

/** OpenMetrics wants a bound to have a point, as in "1.0". */
function boundText(le: number): string {
  return Number.isInteger(le) ? `${le}.0` : String(le);
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
