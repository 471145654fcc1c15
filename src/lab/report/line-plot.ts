/**
 * Two kinds of SVG picture: lines with marks over a numeric axis, and horizontal bars by name.
 *
 * Owns the drawing only. Called for the figures of a paper (src/lab/experiments/figures.ts). A
 * value that is beyond the axis, or endless, is a triangle at the upper edge with the value beside
 * it, never left out. Invariant: self-contained SVG 1.1 without scripts, and the same values give
 * the same bytes.
 */

import { COLORS, escapeXml, px, roundStep } from './svg-parts.ts';

export interface LineSeries {
  readonly name: string;
  /** In order of x. y Infinity: endless; NaN: no value, the line has a gap. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
  /** Dashed without marks: a model, not a measurement. */
  readonly model?: boolean;
  /** No marks: too many points for them. */
  readonly plain?: boolean;
  /** Marks and no line: what lies between is not known. */
  readonly apart?: boolean;
  /** Index into the colours; default: the series' position. */
  readonly color?: number;
}

export interface LinePlotOptions {
  readonly title: string;
  /** Drawn small under the title. */
  readonly subtitle?: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Upper end of the y axis; default: the largest value. */
  readonly top?: number | null;
  /** What a triangle without a value means. */
  readonly endless?: string;
}

const WIDTH = 760;
const PLOT = { left: 68, right: 736, top: 66, bottom: 386 } as const;
const LEGEND_ROW = 20;
const LEGEND_COLUMN = 334;

export function linePlotSvg(series: readonly LineSeries[], options: LinePlotOptions): string {
  const all = series.flatMap((s) => s.points);
  const finite = all.map((p) => p.y).filter((y) => Number.isFinite(y));
  const yTop = options.top ?? Math.max(0, ...finite);
  const yLow = Math.min(0, ...finite);
  const yStep = roundStep((yTop - yLow > 0 ? yTop - yLow : 1) / 8);
  const yMax = yStep * Math.max(1, Math.ceil(yTop / yStep - 1e-9));
  const ticksBelow = Math.ceil(-yLow / yStep - 1e-9);
  const yMin = -yStep * ticksBelow;
  const xs = all.map((p) => p.x);
  const xMin = xs.length === 0 ? 0 : Math.min(...xs);
  const xEnd = xs.length === 0 ? 1 : Math.max(...xs);
  const xStep = roundStep((xEnd - xMin > 0 ? xEnd - xMin : 1) / 12);
  const xMax = xEnd > xMin ? xEnd : xMin + xStep;
  const x = (value: number): number =>
    PLOT.left + ((value - xMin) / (xMax - xMin)) * (PLOT.right - PLOT.left);
  const y = (value: number): number =>
    PLOT.bottom - ((Math.min(value, yMax) - yMin) / (yMax - yMin)) * (PLOT.bottom - PLOT.top);

  const beyond = all.some((p) => p.y > yMax);
  const legendTop = PLOT.bottom + 68;
  const rows = Math.ceil(series.length / 2) + (beyond ? 1 : 0);
  const out = head(legendTop + rows * LEGEND_ROW, options.title, options.subtitle);

  drawYTicks(out, y, yStep, -ticksBelow, yMax);
  drawXTicks(out, x, xStep, xMin, xMax);
  drawAxes(out, options);

  series.forEach((one, i) => {
    const color = COLORS[(one.color ?? i) % COLORS.length]!;
    const line =
      `fill="none" stroke="${color}" ` +
      `stroke-width="2"${one.model === true ? ' stroke-dasharray="6 4"' : ''}`;
    const mark = (cx: number, cy: number): string =>
      one.model === true || one.plain === true ? '' : shape(i, cx, cy, color);
    const path = clipped(one.points, yMax)
      .map((run) => `M${run.map((p) => `${px(x(p.x))} ${px(y(p.y))}`).join('L')}`)
      .join('');
    if (path !== '' && one.apart !== true)
      out.push(`<path d="${path}" ${line} stroke-linejoin="round"/>`);
    for (const p of one.points) {
      if (Number.isNaN(p.y)) continue;
      if (p.y <= yMax) out.push(mark(x(p.x), y(p.y)));
      else out.push(beyondMark(x(p.x), p.y, color));
    }
    const left = PLOT.left + (i % 2) * LEGEND_COLUMN;
    const top = legendTop + Math.floor(i / 2) * LEGEND_ROW;
    if (one.apart !== true)
      out.push(`<line x1="${left}" y1="${top - 4}" x2="${left + 30}" y2="${top - 4}" ${line}/>`);
    out.push(mark(left + 15, top - 4));
    out.push(`<text x="${left + 38}" y="${top}">${escapeXml(one.name)}</text>`);
  });
  if (beyond) {
    const top = legendTop + (rows - 1) * LEGEND_ROW;
    const endless = all.some((p) => p.y === Infinity) ? `; ∞ ${options.endless ?? 'endless'}` : '';
    out.push(
      `<text x="${PLOT.left}" y="${top}" ` +
        `fill="#555">${escapeXml(`▲ beyond the axis${endless}`)}</text>`,
    );
  }
  return finish(out);
}

type Scale = (value: number) => number;

/** Lines across the plot at multiples of `step`, from `first` times it to `most`. */
function drawYTicks(out: string[], y: Scale, step: number, first: number, most: number): void {
  for (let i = first; i * step <= most + 1e-9; i += 1) {
    const at = px(y(i * step));
    out.push(
      `<line x1="${PLOT.left}" y1="${at}" x2="${PLOT.right}" y2="${at}" ` +
        `stroke="${i === 0 ? '#222' : '#e4e4e4'}"/>`,
    );
    out.push(
      `<text x="${PLOT.left - 8}" y="${px(y(i * step) + 4)}" ` +
        `text-anchor="end">${tick(i * step)}</text>`,
    );
  }
}

/** Lines up the plot at multiples of `step` from `least` to `most`. */
function drawXTicks(out: string[], x: Scale, step: number, least: number, most: number): void {
  for (let i = Math.ceil(least / step - 1e-9); i * step <= most + 1e-9; i += 1) {
    const at = px(x(i * step));
    out.push(
      `<line x1="${at}" y1="${PLOT.top}" x2="${at}" y2="${PLOT.bottom + 5}" stroke="#e4e4e4"/>`,
    );
    out.push(
      `<text x="${at}" y="${PLOT.bottom + 20}" text-anchor="middle">${tick(i * step)}</text>`,
    );
  }
}

/** The y axis, and what the axes mean. */
function drawAxes(out: string[], options: LinePlotOptions): void {
  out.push(
    `<line x1="${PLOT.left}" y1="${PLOT.top}" x2="${PLOT.left}" y2="${PLOT.bottom}" ` +
      'stroke="#222"/>',
  );
  const [middleX, middleY] = [(PLOT.left + PLOT.right) / 2, (PLOT.top + PLOT.bottom) / 2];
  out.push(
    `<text x="${middleX}" y="${PLOT.bottom + 42}" ` +
      `text-anchor="middle">${escapeXml(options.xLabel)}</text>`,
  );
  out.push(
    `<text x="18" y="${middleY}" text-anchor="middle" transform="rotate(-90 18 ` +
      `${middleY})">${escapeXml(options.yLabel)}</text>`,
  );
}

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** Printed by others: drawn in grey. */
  readonly given: boolean;
}

export interface BarPlotOptions {
  readonly title: string;
  readonly subtitle?: string;
  readonly xLabel: string;
  /** Written for the value Infinity. */
  readonly endless?: string;
  /** Decimals of the values; default 1. */
  readonly digits?: number;
}

/** Horizontal bars under each other. */
export function barPlotSvg(bars: readonly Bar[], options: BarPlotOptions): string {
  // About seven pixels a letter.
  const left = Math.max(190, ...bars.map((bar) => 20 + 7 * bar.name.length));
  const row = 28;
  const bottom = PLOT.top + bars.length * row + 6;
  const out = head(bottom + 56, options.title, options.subtitle);
  const most = Math.max(
    0,
    ...bars.map((bar) => bar.value).filter((value) => Number.isFinite(value)),
  );
  const step = roundStep((most > 0 ? most : 1) / 8);
  const max = step * Math.max(1, Math.ceil(most / step));
  // Room to the right of the longest bar for its number.
  const x = (value: number): number =>
    left + (Math.min(value, max) / max) * (PLOT.right - 40 - left);
  for (let i = 0; i * step <= max + 1e-9; i += 1) {
    const at = px(x(i * step));
    out.push(
      `<line x1="${at}" y1="${PLOT.top}" x2="${at}" y2="${bottom + 5}" ` +
        `stroke="${i === 0 ? '#222' : '#e4e4e4'}"/>`,
    );
    out.push(`<text x="${at}" y="${bottom + 20}" text-anchor="middle">${tick(i * step)}</text>`);
  }
  bars.forEach((bar, i) => {
    const top = PLOT.top + 6 + i * row;
    const shown = Number.isFinite(bar.value)
      ? bar.value.toFixed(options.digits ?? 1)
      : (options.endless ?? '∞');
    out.push(
      `<rect x="${left}" y="${top}" width="${px(x(bar.value) - left)}" height="18" ` +
        `fill="${bar.given ? '#b4b4b4' : COLORS[0]!}"/>`,
    );
    out.push(
      `<text x="${left - 8}" y="${top + 13}" text-anchor="end">${escapeXml(bar.name)}</text>`,
    );
    out.push(`<text x="${px(x(bar.value) + 6)}" y="${top + 13}">${escapeXml(shown)}</text>`);
  });
  out.push(
    `<text x="${(left + PLOT.right - 40) / 2}" y="${bottom + 42}" ` +
      `text-anchor="middle">${escapeXml(options.xLabel)}</text>`,
  );
  return finish(out);
}

/** The line in pieces that end where it leaves the axis, or where a value is missing. */
function clipped(points: LineSeries['points'], yMax: number): { x: number; y: number }[][] {
  const runs: { x: number; y: number }[][] = [];
  let run: { x: number; y: number }[] = [];
  points.forEach((p, i) => {
    const before = points[i - 1];
    const crosses =
      before !== undefined &&
      Number.isFinite(before.y) &&
      Number.isFinite(p.y) &&
      before.y > yMax !== p.y > yMax;
    if (crosses)
      run.push({
        x: before.x + ((yMax - before.y) / (p.y - before.y)) * (p.x - before.x),
        y: yMax,
      });
    if (p.y <= yMax) run.push(p);
    else if (run.length > 0) {
      runs.push(run);
      run = [];
    }
  });
  if (run.length > 0) runs.push(run);
  return runs.filter((one) => one.length > 1);
}

function head(height: number, title: string, subtitle: string | undefined): string[] {
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ` +
      `${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#222">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="20" y="26" font-size="16" font-weight="bold">${escapeXml(title)}</text>`,
  ];
  if (subtitle !== undefined)
    out.push(`<text x="20" y="44" fill="#555">${escapeXml(subtitle)}</text>`);
  return out;
}

function finish(out: readonly string[]): string {
  return `${[...out.filter((line) => line !== ''), '</svg>'].join('\n')}\n`;
}

/** Differs by series, so that the picture is readable without colours. */
function shape(series: number, x: number, y: number, color: string): string {
  switch (series % 3) {
    case 0:
      return `<circle cx="${px(x)}" cy="${px(y)}" r="4" fill="${color}"/>`;
    case 1:
      return `<rect x="${px(x - 3.5)}" y="${px(y - 3.5)}" width="7" height="7" fill="${color}"/>`;
    default:
      return (
        `<path d="M${px(x)} ${px(y - 5)}L${px(x + 5)} ${px(y)}L${px(x)} ` +
        `${px(y + 5)}L${px(x - 5)} ${px(y)}Z" fill="${color}"/>`
      );
  }
}

function beyondMark(x: number, value: number, color: string): string {
  const y = PLOT.top;
  const label =
    value === Infinity ? '∞' : value >= 100 ? String(Math.round(value)) : value.toFixed(1);
  const nearEdge = x > PLOT.right - 20;
  return (
    `<path d="M${px(x - 5)} ${y}L${px(x + 5)} ${y}L${px(x)} ${y - 9}Z" fill="${color}"/>` +
    `<text x="${px(nearEdge ? x + 6 : x)}" y="${y - 11}" font-size="11" ` +
    `text-anchor="${nearEdge ? 'end' : 'middle'}">${label}</text>`
  );
}

function tick(value: number): string {
  return String(Math.round(value * 1_000) / 1_000);
}
