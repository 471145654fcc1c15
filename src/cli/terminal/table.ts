/**
 * Aligned text tables for people, and the little colour they get.
 *
 * Owns layout, padding and escape sequences; knows nothing of what a cell means, and takes widths
 * from columns.ts. Called by the commands that list things. Invariant: no line of a table is wider
 * than its terminal, and a control character from a cell never reaches it.
 */

import { allot, COLUMNS_DEFAULT, cutText, widthOf, wrapWords, type Part } from './columns.ts';
import { plainCell, plainText } from './plain-text.ts';

export interface Column {
  readonly title: string;
  /** Numbers go right. Default 'left'. */
  readonly align?: 'left' | 'right';
  /**
   * Where the table is too wide: cells may be cut in the middle, down to so many columns; or they
   * go on in further lines.
   */
  readonly cut?: number;
  readonly wrap?: number;
  /** Tells one row from another: in front of each part of a table that is still too wide. */
  readonly key?: boolean;
}

export type ColourName = 'green' | 'yellow' | 'red' | 'dim' | 'bold';
/** Paints `text`, or returns it as it is where colour is off. */
export type Paint = (colour: ColourName, text: string) => string;

const CODES: Readonly<Record<ColourName, [number, number]>> = {
  green: [32, 39],
  yellow: [33, 39],
  red: [31, 39],
  dim: [2, 22],
  bold: [1, 22],
};

/** Colour only on a terminal, and not with NO_COLOR set to anything (https://no-color.org). */
export function paintFor(
  stream: { isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  const noColor = env['NO_COLOR'];
  if (stream.isTTY !== true || (noColor !== undefined && noColor !== '') || env['TERM'] === 'dumb')
    return (_colour, text) => text;
  return (colour, text) => `\x1b[${CODES[colour][0]}m${text}\x1b[${CODES[colour][1]}m`;
}

/** Blanks between two columns. */
const BETWEEN = 2;

/**
 * Lines of a table with a heading, two spaces between columns, no trailing blanks. Ends with a
 * newline. Where it is wider than `most`, columns that may be are narrowed; where that is not
 * enough it is written in parts one below the other, each with the key columns in front.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  most = COLUMNS_DEFAULT,
): string {
  const clean = rows.map((row) => columns.map((_, i) => plainCell(row[i] ?? '')));
  const wishes = columns.map(({ title, cut, wrap, key = false }, i) => {
    const width = Math.max(title.length, ...clean.map((row) => widthOf(row[i]!)));
    const least = cut ?? wrap;
    return {
      width,
      least: least === undefined ? width : Math.min(width, Math.max(title.length, least)),
      key,
    };
  });
  return allot(wishes, most, BETWEEN)
    .map((part) => formatPart(columns, clean, part))
    .join('\n');
}

function formatPart(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { columns: shown, widths }: Part,
): string {
  const line = (cells: readonly string[]): string =>
    `${cells
      .map((cell, at) => pad(cell, widths[at]!, columns[shown[at]!]!.align === 'right'))
      .join(' '.repeat(BETWEEN))
      .trimEnd()}\n`;
  const lines = (cells: readonly string[]): string => {
    const parts = shown.map((i, at) =>
      columns[i]!.wrap === undefined
        ? [cutText(cells[i]!, widths[at]!)]
        : wrapWords(cells[i]!, widths[at]!, true),
    );
    return Array.from({ length: Math.max(...parts.map(({ length }) => length)) }, (_, n) =>
      line(parts.map((part) => part[n] ?? '')),
    ).join('');
  };
  return line(shown.map((i) => columns[i]!.title.toUpperCase())) + rows.map(lines).join('');
}

/**
 * "label  value" lines with the values in one column, wrapped; a word that is too long for it
 * stands in a line of its own.
 */
export function formatPairs(
  pairs: readonly (readonly [string, string])[],
  most = COLUMNS_DEFAULT,
): string {
  const at = Math.max(0, ...pairs.map(([label]) => label.length)) + BETWEEN;
  return pairs
    .map(([label, value]) => {
      const clean = plainCell(value);
      const longest = Math.max(...clean.split(' ').map(widthOf));
      // A key in hexadecimal digits, a path: whole, and beginning further left.
      if (at + longest > most) return `${label}\n${wrapText(clean, '  ', most)}`;
      const [first = '', ...more] = wrapWords(clean, most - at, false);
      return [`${label.padEnd(at)}${first}`.trimEnd(), ...more.map((one) => ' '.repeat(at) + one)]
        .map((one) => `${one}\n`)
        .join('');
    })
    .join('');
}

/**
 * `text` in lines of at most `columns`, each behind `indent`; a longer word has a line of its own.
 * Ends with a newline.
 */
export function wrapText(text: string, indent: string, columns = COLUMNS_DEFAULT): string {
  return wrapWords(plainCell(text), columns - widthOf(indent), false)
    .map((one) => `${indent}${one}\n`)
    .join('');
}

/** Milliseconds as a person reads them: "0.42 ms", "30.1 ms", "1250 ms"; "-" for nothing. */
export function formatMs(ms: number | null): string {
  return ms === null
    ? '-'
    : `${ms < 1 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** "3s", "5m 12s", "2h 5m", "3d 4h". */
export function formatAge(ms: number): string {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3_600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)}h ${Math.floor((s % 3_600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3_600)}h`;
}

/** What is so many a second, in three figures: "0", "840", "12.3k", "1.20M", "9.99G". */
export function formatRate(perSecond: number): string {
  let value = perSecond,
    at = 0;
  while (value >= 999.5 && at < RATE_UNITS.length - 1) {
    value /= 1_000;
    at += 1;
  }
  const digits = at === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)}${RATE_UNITS[at]!}`;
}

const RATE_UNITS = ['', 'k', 'M', 'G', 'T'];

/** "0 %", "0.25 %", "12.5 %". */
export function formatPct(pct: number): string {
  return `${Math.round(pct * 100) / 100} %`;
}

/**
 * "D (10.0.0.4)", or the quad alone where there is no name; the name is cut where all of it takes
 * more than `most` columns.
 */
export function formatNode(
  name: string | null | undefined,
  quad: string | null,
  most = Infinity,
): string {
  if (quad === null) return '?';
  if (name === null || name === undefined || name === '') return plainText(quad);
  return plainText(`${cutText(name, Math.max(1, most - quad.length - 3))} (${quad})`);
}

function pad(cell: string, to: number, right: boolean): string {
  const blanks = ' '.repeat(Math.max(0, to - widthOf(cell)));
  return right ? blanks + cell : cell + blanks;
}
