/**
 * The delay distribution of flows as an SVG picture: cumulative share of messages over delay.
 *
 * Owns the drawing only; the samples are DelayStats'. Called by the command line when a report is
 * written to a folder. Invariant: self-contained SVG 1.1 without scripts, and the same samples give
 * the same bytes.
 */

import type { DelayStats } from './delay-stats.ts';
import { COLORS, DASHES, escapeXml, px, roundStep } from './svg-parts.ts';

export interface DelaySeries {
  readonly name: string;
  readonly delays: DelayStats;
}

export interface DelayPlotOptions {
  /** Default "Delay distribution". */
  readonly title?: string;
  /** Right end of the delay axis in ms; default: where all flows' 99.9th percentiles fit. */
  readonly maxMs?: number;
}

const WIDTH = 860;
const PLOT = { left: 64, right: 836, top: 52, bottom: 400 } as const;
const LEGEND_ROW = 20;
const LEGEND_COLUMN = 386;
/** Flows drawn; the rest are named as left out. */
const SERIES_MAX = 24;
/** Points of a curve: about two to a pixel column. */
const POINTS = 400;

/** A cumulative distribution per flow. Flows without samples appear in the legend only. */
export function delayPlotSvg(
  series: readonly DelaySeries[],
  options: DelayPlotOptions = {},
): string {
  const shown = series.slice(0, SERIES_MAX);
  const { low, high, step } = axis(shown, options.maxMs);
  const x = (ms: number): number =>
    PLOT.left + ((ms - low) / (high - low)) * (PLOT.right - PLOT.left);
  const y = (share: number): number => PLOT.bottom - share * (PLOT.bottom - PLOT.top);
  const legendTop = PLOT.bottom + 66;
  const legendRows = Math.ceil(shown.length / 2) + (shown.length < series.length ? 1 : 0);
  const height = legendTop + legendRows * LEGEND_ROW + 8;

  const out: string[] = [];
  out.push(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ` +
      `${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#222">`,
  );
  const title = escapeXml(options.title ?? 'Delay distribution');
  out.push(`<title>${title}</title>`, `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`);
  out.push(`<text x="${PLOT.left}" y="30" font-size="16" font-weight="bold">${title}</text>`);

  for (let share = 0; share <= 10; share += 1) {
    const at = px(y(share / 10));
    out.push(
      `<line x1="${PLOT.left}" y1="${at}" x2="${PLOT.right}" y2="${at}" ` +
        `stroke="${share === 0 ? '#222' : '#e4e4e4'}"/>`,
    );
    if (share % 2 === 0)
      out.push(
        `<text x="${PLOT.left - 8}" y="${px(y(share / 10) + 4)}" ` +
          `text-anchor="end">${share * 10}</text>`,
      );
  }
  const ticks = Math.round((high - low) / step);
  for (let i = 0; i <= ticks; i += 1) {
    const ms = low + i * step;
    const at = px(x(ms));
    out.push(
      `<line x1="${at}" y1="${PLOT.top}" x2="${at}" y2="${PLOT.bottom + 5}" ` +
        `stroke="${i === 0 ? '#222' : '#e4e4e4'}"/>`,
    );
    out.push(
      `<text x="${at}" y="${PLOT.bottom + 20}" ` +
        `text-anchor="middle">${Math.round(ms * 1_000) / 1_000}</text>`,
    );
  }
  const middleX = (PLOT.left + PLOT.right) / 2;
  const middleY = (PLOT.top + PLOT.bottom) / 2;
  out.push(`<text x="${middleX}" y="${PLOT.bottom + 42}" text-anchor="middle">delay, ms</text>`);
  out.push(
    `<text x="18" y="${middleY}" text-anchor="middle" transform="rotate(-90 18 ` +
      `${middleY})">messages delivered within, %</text>`,
  );

  shown.forEach(({ name, delays }, i) => {
    const dash = DASHES[Math.floor(i / COLORS.length) % DASHES.length]!;
    const stroke =
      `fill="none" stroke="${COLORS[i % COLORS.length]!}" ` +
      `stroke-width="2"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}`;
    const path = curve(delays, high, x, y);
    if (path !== '') out.push(`<path d="${path}" ${stroke} stroke-linejoin="round"/>`);
    const left = PLOT.left + (i % 2) * LEGEND_COLUMN;
    const top = legendTop + Math.floor(i / 2) * LEGEND_ROW;
    out.push(`<line x1="${left}" y1="${top - 4}" x2="${left + 28}" y2="${top - 4}" ${stroke}/>`);
    out.push(`<text x="${left + 36}" y="${top}">${escapeXml(legendOf(name, delays))}</text>`);
  });
  if (shown.length < series.length) {
    out.push(
      `<text x="${PLOT.left}" y="${legendTop + (legendRows - 1) * LEGEND_ROW}">and ` +
        `${series.length - shown.length} flows that are not drawn</text>`,
    );
  }
  out.push('</svg>');
  return `${out.join('\n')}\n`;
}

function legendOf(name: string, delays: DelayStats): string {
  const shortName = name.length > 22 ? `${name.slice(0, 21)}…` : name;
  const p50 = delays.quantileUs(1, 2);
  const p99 = delays.quantileUs(99, 100);
  if (p50 === null || p99 === null) return `${shortName} (nothing delivered)`;
  return `${shortName} (median ${(p50 / 1_000).toFixed(1)} ms, p99 ${(p99 / 1_000).toFixed(1)} ms)`;
}

/** A staircase, cut off at the right end of the axis. */
function curve(
  delays: DelayStats,
  highMs: number,
  x: (ms: number) => number,
  y: (share: number) => number,
): string {
  const first = delays.quantileUs(0, 1);
  if (first === null) return '';
  const steps = Math.min(POINTS, delays.count);
  let path = '';
  let drawnTo = 0;
  for (let i = 1; i <= steps; i += 1) {
    const ms = delays.quantileUs(i, steps)! / 1_000;
    if (ms > highMs) break;
    path += path === '' ? `M${px(x(ms))} ${px(y(0))}` : `H${px(x(ms))}`;
    path += `V${px(y(i / steps))}`;
    drawnTo = i;
  }
  // On to the edge: at that level until the next sample, wherever it is.
  return drawnTo === 0 ? '' : `${path}H${px(x(highMs))}`;
}

/** Round ends and a step of 1, 2 or 5 times a power of ten that gives 4 to 12 ticks. */
function axis(
  series: readonly DelaySeries[],
  maxMs: number | undefined,
): { low: number; high: number; step: number } {
  let least = Infinity;
  let most = 0;
  for (const { delays } of series) {
    const min = delays.quantileUs(0, 1);
    const max = delays.quantileUs(999, 1_000);
    if (min === null || max === null) continue;
    least = Math.min(least, min / 1_000);
    most = Math.max(most, max / 1_000);
  }
  const end = maxMs !== undefined && maxMs > 0 ? maxMs : most > 0 ? most : 1;
  // From zero unless that would squeeze the curves into the right half.
  const start = least < end && least > end / 2 ? least : 0;
  const step = roundStep((end - start) / 10);
  const low = Math.floor(start / step) * step;
  return { low, high: Math.max(low + step, Math.ceil(end / step) * step), step };
}
