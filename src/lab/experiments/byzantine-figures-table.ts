/**
 * The text forms of the experiments on Byzantine routing: CSV, pictures, and the table of what
 * should hold beside what was found.
 *
 * Owns no measurement: those are byzantine-figures.ts's. Called by the command line, which writes
 * the files.
 */

import { barPlotSvg, linePlotSvg } from '../report/line-plot.ts';
import type { ByzantineFigure, Claim, Experiment } from './byzantine-experiment.ts';
import { alignedText } from './figures-table.ts';

const COLUMNS = ['experiment', 'statement', 'needed', 'found', 'seeds', 'verdict'];

export function byzantineCsv({ columns, rows }: ByzantineFigure): string {
  return csv([columns, ...rows]);
}

export function byzantineSvg({
  title,
  subtitle,
  xLabel,
  yLabel,
  top,
  series,
  bars,
}: ByzantineFigure): string {
  return bars.length > 0
    ? barPlotSvg(bars, { title, subtitle, xLabel, digits: 2 })
    : linePlotSvg(series, { title, subtitle, xLabel, yLabel, top });
}

/** For the screen. */
export function claimsText(claims: readonly Claim[]): string {
  return alignedText([COLUMNS, ...claims.map(cells)], [3]);
}

export function claimsCsv(claims: readonly Claim[]): string {
  return csv([COLUMNS, ...claims.map(cells)]);
}

export function claimsJson(claims: readonly Claim[], command: string): string {
  return `${JSON.stringify({ command, claims }, null, 2)}\n`;
}

/** The document: the table, then each picture. `command`: what makes it. */
export function byzantineMarkdown(experiments: readonly Experiment[], command: string): string {
  const claims = experiments.flatMap((experiment) => experiment.claims);
  const out = [
    '# Byzantine-resilient routing beside four others',
    '',
    `In virtual time, by \`${command}\`. Adversaries drop the data that passes through them and ` +
      'take part in all else; a tunnel is a wire of',
    '0.1 ms between two of them. Sources and destinations are honest, and joined by honest nodes.',
    '',
    `| ${COLUMNS.join(' | ')} |`,
    `|${'---|'.repeat(COLUMNS.length)}`,
    ...claims.map(
      (claim) =>
        `| ${cells(claim)
          .map((text) => text.replaceAll('|', '\\|'))
          .join(' | ')} |`,
    ),
  ];
  for (const { key, title, subtitle } of experiments.flatMap((experiment) => experiment.figures)) {
    out.push(
      '',
      `## ${title}`,
      '',
      `![${title}](${key}.svg)`,
      '',
      `${subtitle}. Values in [${key}.csv](${key}.csv).`,
    );
  }
  return `${out.join('\n')}\n`;
}

function cells({ figure, text, needed, ours, seeds, verdict }: Claim): string[] {
  return [figure, text, needed, ours, seeds, verdict];
}

function csv(rows: readonly (readonly (string | number)[])[]): string {
  return `${rows.map((row) => row.map(field).join(',')).join('\n')}\n`;
}

/** RFC 4180; a value that does not exist is empty. */
function field(value: string | number): string {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  return /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
