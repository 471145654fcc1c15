/**
 * The text forms of figures that were run: CSV, plot, and the table of what the paper says beside
 * what was measured.
 *
 * Owns the evaluation of statements and the verdicts. figures.ts measures; the command line writes
 * the files. Invariant: a flow that did not keep up is told so, and never counted as a number.
 */

import { barPlotSvg, linePlotSvg, type LineSeries } from '../report/line-plot.ts';
import type { FigureCurve, FigurePlan, FigureStatement } from '../topology/topology-figure.ts';
import type { FigurePoint, FigureResult } from './figures.ts';

/** How far from the paper's number `about` may be, as a factor. */
const ABOUT = 1.25;
const BEHIND = 'does not keep up';

export type Verdict = 'agrees' | 'higher' | 'lower' | 'holds' | 'does not hold' | 'undecided';

export interface Comparison {
  readonly figure: string;
  readonly of: string;
  readonly text: string;
  /** "about 84.66", "at most 3". */
  readonly paper: string;
  readonly ours: string;
  /** Ours over the paper's; "-" where one is endless. */
  readonly ratio: string;
  readonly verdict: Verdict;
}

const Y_LABELS = {
  'mean-delay': 'average delay, ms',
  jitter: 'standard deviation of the delay, ms',
  late: 'messages over the limit, %',
  distribution: 'messages delayed more, %',
  throughput: 'application throughput, Mbit/s',
} as const;

export function compare(result: FigureResult): Comparison[] {
  return result.plan.statements.map((statement) =>
    comparisonOf(result, statement, statementValue(result, statement)),
  );
}

/**
 * What was measured of what the statement is about. NaN: nothing arrived, or both of two fall
 * behind.
 */
export function statementValue({ curves }: FigureResult, statement: FigureStatement): number {
  const at = (name: string, x: number | null): number => {
    const points = curves.find(({ curve }) => curve.name === name)?.points ?? [];
    return pointAt(points, x)?.y ?? NaN;
  };
  const part = (curve: string): number => {
    const { from, to } = statement;
    const value = at(curve, statement.at) - (from === null ? 0 : at(curve, from));
    return to === null ? value : value / (at(curve, to) - at(curve, from));
  };
  return statement.against === null
    ? part(statement.curve)
    : part(statement.curve) / part(statement.against);
}

/** The statement beside `ours`. */
export function comparisonOf(
  { key, plan }: FigureResult,
  statement: FigureStatement,
  ours: number,
): Comparison {
  return {
    figure: key,
    of: plan.of,
    text: statement.text,
    paper:
      `${{ about: 'about', atMost: 'at most', atLeast: 'at least' }[statement.relation]} ` +
      `${statement.paper}`,
    ours: valueText(ours),
    ratio:
      Number.isFinite(ours) && statement.paper !== 0 ? (ours / statement.paper).toFixed(2) : '-',
    verdict: verdictOf(statement, ours),
  };
}

/** NaN: two flows that both fall behind, or a run in which nothing arrived. */
function verdictOf({ relation, paper }: FigureStatement, ours: number): Verdict {
  if (Number.isNaN(ours)) return 'undecided';
  if (relation === 'atMost') return ours <= paper ? 'holds' : 'does not hold';
  if (relation === 'atLeast') return ours >= paper ? 'holds' : 'does not hold';
  return ours > paper * ABOUT ? 'higher' : ours < paper / ABOUT ? 'lower' : 'agrees';
}

/** The point at x; of a distribution that was run, the nearest below. */
function pointAt(points: readonly FigurePoint[], x: number | null): FigurePoint | undefined {
  return points.findLast(
    (point) =>
      point.x === x || (point.run !== null && x !== null && point.x !== null && point.x <= x),
  );
}

export function valueText(value: number): string {
  if (value === Infinity) return BEHIND;
  if (!Number.isFinite(value)) return 'undecided';
  return Math.abs(value) >= 100 ? value.toFixed(1) : value.toFixed(2);
}

/** Empty where others measured nothing. */
function cellAt({ given }: FigureCurve, points: readonly FigurePoint[], x: number | null): string {
  const point = pointAt(points, x);
  return given !== null && point === undefined ? '' : pointText(point);
}

function pointText(point: FigurePoint | undefined): string {
  const text = valueText(point?.y ?? NaN);
  return point?.half === undefined || !Number.isFinite(point.y)
    ? text
    : `${text} ± ${valueText(point.half)}`;
}

/** One line for each point of each curve; y is empty where there is none, and keeps_up says why. */
export function figureCsv({ plan, key, curves, seeds = 1 }: FigureResult): string {
  const header = [
    'figure',
    'curve',
    'x',
    'y',
    'keeps_up',
    'sent',
    'delivered',
    'goodput_kbps',
    'delay_mean_ms',
    'delay_stddev_ms',
    'delay_p50_ms',
    'delay_p99_ms',
    'delay_p999_ms',
    'delay_max_ms',
    'delayed_over_60ms_pct',
    'delayed_over_100ms_pct',
  ];
  if (seeds > 1) header.push('y_half_of_95pct_interval', 'seeds');
  const lines = [header];
  for (const { curve, points } of curves) {
    for (const { x, y, run, half = 0 } of points) {
      const d = run?.delayMs;
      const measured =
        run === null
          ? Array<string>(12).fill('')
          : // A throughput run offers more than the line takes: keeping up is not the question.
            [
              plan.measure === 'throughput' ? '' : run.keepsUp ? 'yes' : 'no',
              run.sent,
              run.delivered,
              run.goodputKbps,
              d?.mean,
              d?.stddev,
              d?.p50,
              d?.p99,
              d?.p999,
              d?.max,
              run.over60Pct,
              run.over100Pct,
            ];
      const over = seeds > 1 ? [Number.isFinite(y) ? round4(half) : '', seeds] : [];
      lines.push(
        [key, curve.name, x ?? '', Number.isFinite(y) ? round4(y) : '', ...measured, ...over].map(
          (field) => csvField(String(field ?? '')),
        ),
      );
    }
  }
  return `${lines.map((line) => line.join(',')).join('\n')}\n`;
}

export function figureSvg(result: FigureResult): string {
  const { plan, curves } = result;
  const title = `${plan.of}: ${plan.title}`;
  const subtitle =
    'virtual time, ' +
    (plan.measure === 'throughput' ? '' : `${result.messages} messages of 1000 bytes a run, `) +
    seedsText(result);
  const endless = `the flow ${BEHIND}`;
  if (plan.points[0]?.x === null && plan.measure !== 'distribution') {
    const bars = [
      ...plan.beside.map(({ name, value, of }) => ({
        name: `${name} (${of})`,
        value,
        given: true,
      })),
      ...curves.map(({ curve, points }) => ({
        name: curve.name,
        value: points[0]!.y,
        given: false,
      })),
    ];
    return barPlotSvg(bars, { title, subtitle, xLabel: yLabel(plan), endless: BEHIND });
  }
  const series = curves.map(
    ({ curve, points }): LineSeries => ({
      name: curve.name,
      model: curve.model !== null,
      plain: plan.measure === 'distribution' && curve.given === null,
      apart: curve.given !== null,
      ...(curve.color === null ? {} : { color: curve.color }),
      points: points.map(({ x, y }) => ({ x: x ?? 0, y })),
    }),
  );
  return linePlotSvg(series, {
    title,
    subtitle,
    xLabel: plan.xLabel,
    yLabel: yLabel(plan),
    top: plan.top,
    endless,
  });
}

/** The whole comparison as aligned text. */
export function comparisonText(comparisons: readonly Comparison[]): string {
  const rows = comparisons.map((c) => [c.figure, c.text, c.paper, c.ours, c.ratio, c.verdict]);
  return alignedText(
    [['figure', 'the paper says', 'paper', 'ours', 'ratio', 'verdict'], ...rows],
    [2, 3, 4],
  );
}

/** Columns under each other; `right`: those that are flush right. */
export function alignedText(
  rows: readonly (readonly string[])[],
  right: readonly number[],
): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The document: the comparison, then each figure with its values. `command`: what makes it. */
export function figuresMarkdown(
  results: readonly FigureResult[],
  command: string,
  comparisons = results.flatMap(compare),
): string {
  const out = [
    '# Reliable Communication in Overlay Networks (DSN 2003), run again',
    '',
    `In virtual time, by \`${command}\`. Ratio is ours over the paper's number. "About" is ` +
      `within a factor of ${ABOUT}; "at most" and`,
    '"at least" are how the sentence is read; "±" is half of the interval of 95 % of the mean ' +
      'over seeds. A flow that has fewer than 99 % of its messages at the far end two seconds ' +
      'after the',
    'last was sent does not keep up: its delay grows as long as it runs, and no average is given.',
    '',
    '| Figure | The paper says | Paper | Ours | Ratio | Verdict |',
    '|---|---|---:|---:|---:|---|',
    ...comparisons.map(
      (c) => `| ${c.of} | ${cell(c.text)} | ${c.paper} | ${c.ours} | ${c.ratio} | ${c.verdict} |`,
    ),
  ];
  for (const result of results) {
    const { plan, key, curves } = result;
    out.push('', `## ${plan.of}: ${plan.title}`, '', `![${plan.of}](${key}.svg)`, '');
    out.push(`${yLabel(plan)}; values in [${key}.csv](${key}.csv).`, '');
    const xs = curves[0]!.points
      .map((point) => point.x)
      .filter((_, i) => plan.measure !== 'distribution' || i % 5 === 0);
    out.push(
      `| ${cell(plan.xLabel)} | ${xs.map((x) => x ?? '').join(' | ')} |`,
      `|---|${'---:|'.repeat(xs.length)}`,
    );
    for (const { name, value, of } of plan.beside) out.push(`| ${cell(name)} (${of}) | ${value} |`);
    for (const { curve, points } of curves) {
      const cells = xs.map((x) => cellAt(curve, points, x));
      // What others measured may lie between the columns; the plot and the CSV have it.
      if (cells.some((text) => text !== ''))
        out.push(`| ${cell(curve.name)} | ${cells.join(' | ')} |`);
    }
  }
  return `${out.join('\n')}\n`;
}

function seedsText({ seed, seeds = 1 }: FigureResult): string {
  return seeds > 1 ? `mean of seeds ${seed} to ${seed + seeds - 1}` : `seed ${seed}`;
}

function yLabel(plan: FigurePlan): string {
  return plan.measure === 'late'
    ? `messages delayed more than ${plan.ms} ms, %`
    : Y_LABELS[plan.measure];
}

/** RFC 4180: in quotes where it has what separates. */
function csvField(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function round4(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
