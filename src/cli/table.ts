/**
 * Aligned text tables for people, and the little colour they get.
 *
 * Owns widths, padding and escape sequences; knows nothing of what a cell means. Called by the commands
 * that list things. Invariant: what is measured is what is seen (escape sequences have no width), and a
 * control character from a cell never reaches the terminal.
 */

import { stripVTControlCharacters } from 'node:util';

import { plainCell, plainText } from './plain-text.ts';

export interface Column {
  readonly title: string;
  /** Numbers go right. Default 'left'. */
  readonly align?: 'left' | 'right';
}

export type ColourName = 'green' | 'yellow' | 'red' | 'dim' | 'bold';
/** Paints `text`, or returns it as it is where colour is off. */
export type Paint = (colour: ColourName, text: string) => string;

const CODES: Readonly<Record<ColourName, [number, number]>> = { green: [32, 39], yellow: [33, 39], red: [31, 39], dim: [2, 22], bold: [1, 22] };

/** Colour only on a terminal, and not with NO_COLOR set to anything (https://no-color.org). */
export function paintFor(stream: { isTTY?: boolean }, env: Readonly<Record<string, string | undefined>>): Paint {
  const noColor = env['NO_COLOR'];
  if (stream.isTTY !== true || (noColor !== undefined && noColor !== '') || env['TERM'] === 'dumb') return (_colour, text) => text;
  return (colour, text) => `\x1b[${CODES[colour][0]}m${text}\x1b[${CODES[colour][1]}m`;
}

/** Columns of a terminal that the table's longest line takes. */
export function tableWidth(columns: readonly Column[], rows: readonly (readonly string[])[]): number {
  return columnWidths(columns, rows).reduce((sum, one) => sum + one + 2, -2);
}

function columnWidths(columns: readonly Column[], rows: readonly (readonly string[])[]): number[] {
  return columns.map(({ title }, i) => Math.max(title.length, ...rows.map((row) => width(plainCell(row[i] ?? '')))));
}

/** Lines of a table with a heading, two spaces between columns, no trailing blanks. Ends with a newline. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => columns.map((_, i) => plainCell(row[i] ?? '')));
  const widths = columnWidths(columns, rows);
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => pad(cell, widths[i]!, columns[i]!.align === 'right')).join('  ').trimEnd() + '\n';
  return line(columns.map((column) => column.title.toUpperCase())) + clean.map(line).join('');
}

/** "label  value" lines with the values in one column. */
export function formatPairs(pairs: readonly (readonly [string, string])[]): string {
  const labelWidth = Math.max(0, ...pairs.map(([label]) => label.length));
  return pairs.map(([label, value]) => `${label.padEnd(labelWidth)}  ${plainCell(value)}`.trimEnd() + '\n').join('');
}

/** `text` in lines of at most `columns`, each behind `indent`; a longer word has a line of its own. Ends with a newline. */
export function wrapText(text: string, indent: string, columns = 80): string {
  const lines: string[] = [];
  let line = '';
  for (const word of plainCell(text).split(' ')) {
    if (line !== '' && width(indent) + width(line) + 1 + width(word) > columns) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${indent}${one}\n`).join('');
}

/** Milliseconds as a person reads them: "0.42 ms", "30.1 ms", "1250 ms"; "-" for nothing. */
export function formatMs(ms: number | null): string {
  return ms === null ? '-' : `${ms < 1 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** "3s", "5m 12s", "2h 5m", "3d 4h". */
export function formatAge(ms: number): string {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3_600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)}h ${Math.floor((s % 3_600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3_600)}h`;
}

/** "0 %", "0.25 %", "12.5 %". */
export function formatPct(pct: number): string {
  return `${Math.round(pct * 100) / 100} %`;
}

/** "D (10.0.0.4)", or the quad alone where there is no name. */
export function formatNode(name: string | null | undefined, quad: string | null): string {
  if (quad === null) return '?';
  return name === null || name === undefined || name === '' ? plainText(quad) : plainText(`${name} (${quad})`);
}

function pad(cell: string, to: number, right: boolean): string {
  const blanks = ' '.repeat(Math.max(0, to - width(cell)));
  return right ? blanks + cell : cell + blanks;
}

function width(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
