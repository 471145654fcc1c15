/**
 * How wide a terminal is, and how text is made to fit: lines wrapped, words cut, columns of a table
 * allotted and shared out.
 *
 * Owns widths only; what a table looks like is table.ts's. Invariant: what is measured is what is
 * seen, escape sequences of colour have no width, and neither a cut nor a break goes through one.
 */

import { stripVTControlCharacters } from 'node:util';

/** Where nobody says how wide the terminal is. All texts and tables fit this. */
export const COLUMNS_DEFAULT = 80;
const COLUMNS_MIN = 40,
  COLUMNS_MAX = 10_000;
/** Stands for what was cut out. */
const GAP = '..';
/** In a cell that may be wrapped: a blank at which it is not. */
export const NO_BREAK = '\u00a0';

/**
 * Columns of the terminal that `stream` is: as COLUMNS says, else as the terminal does, else 80.
 */
export function columnsOf(
  stream: { isTTY?: boolean; columns?: number },
  env: Readonly<Record<string, string | undefined>>,
): number {
  const said = /^\d{1,9}$/.test(env['COLUMNS'] ?? '') ? Number(env['COLUMNS']) : 0;
  const columns = said > 0 ? said : stream.isTTY === true ? (stream.columns ?? 0) : 0;
  return columns > 0 ? Math.min(COLUMNS_MAX, Math.max(COLUMNS_MIN, columns)) : COLUMNS_DEFAULT;
}

/** Columns that `text` takes, without what colours it. */
export function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}

const PAINTED = /^((?:\x1b\[\d+m)*)(.*?)((?:\x1b\[\d+m)*)$/su;

/**
 * `text` in at most `most` columns: begin and end, as names that are alike at the one differ at the
 * other.
 */
export function cutText(text: string, most: number): string {
  if (widthOf(text) <= most) return text;
  const [, before = '', inner = text, after = ''] = PAINTED.exec(text) ?? [];
  const letters = [...stripVTControlCharacters(inner)];
  if (most <= GAP.length) return before + letters.slice(0, most).join('') + after;
  let head = Math.ceil((most - GAP.length) / 2),
    tail = most - GAP.length - head;
  const joined = (): string =>
    letters.slice(0, head).join('') + GAP + (tail === 0 ? '' : letters.slice(-tail).join(''));
  // Letters of two units take two columns here.
  while (joined().length > most && head + tail > 0) {
    if (head > tail) head -= 1;
    else tail -= 1;
  }
  return before + joined() + after;
}

/**
 * The words of `text` in lines of at most `most` columns; `hard`: a longer word is broken, else it
 * has a line of its own. At least one line.
 */
export function wrapWords(text: string, most: number, hard: boolean): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > most) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
    while (hard && widthOf(line) > most) {
      const letters = [...line];
      let taken = 0,
        columns = 0;
      while (columns + letters[taken]!.length <= most || taken === 0) {
        columns += letters[taken]!.length;
        taken += 1;
      }
      lines.push(letters.slice(0, taken).join(''));
      line = letters.slice(taken).join('');
    }
  }
  return [...lines, line].map((one) => one.replaceAll(NO_BREAK, ' '));
}

/** One column's wishes. */
export interface Wish {
  /** All of it. */
  readonly width: number;
  /** With less it is no use; `width` where it cannot be narrowed. */
  readonly least: number;
  /** Stands in front of each part of a table that does not fit beside itself. */
  readonly key: boolean;
}

/** One part of a table: which columns, and how wide each of them. */
export interface Part {
  readonly columns: readonly number[];
  readonly widths: readonly number[];
}

/**
 * Shares `most` columns, `between` of them between two columns, out: one part where that can be,
 * else as many as it takes.
 */
export function allot(wishes: readonly Wish[], most: number, between: number): Part[] {
  const keys = wishes.flatMap(({ key }, i) => (key ? [i] : []));
  const leastOf = (columns: readonly number[]): number =>
    columns.reduce((sum, i) => sum + wishes[i]!.least + between, -between);
  const all = wishes.map((_, i) => i);
  if (leastOf(all) <= most) return [share(wishes, all, most, between)];
  const parts: Part[] = [];
  let columns: number[] = [];
  for (const i of all) {
    // Keys stand in front, in each part; what comes before the first key in the first part alone.
    if (parts.length > 0 && wishes[i]!.key) continue;
    if (columns.some((one) => !wishes[one]!.key) && leastOf([...columns, i]) > most) {
      parts.push(share(wishes, columns, most, between));
      columns = wishes[i]!.key ? [...keys] : [...keys, i];
      continue;
    }
    columns.push(i);
  }
  if (columns.some((one) => !wishes[one]!.key) || parts.length === 0)
    parts.push(share(wishes, columns, most, between));
  return parts;
}

/**
 * What is left beyond what each column needs goes to those that want least first, so that few are
 * narrowed.
 */
function share(
  wishes: readonly Wish[],
  columns: readonly number[],
  most: number,
  between: number,
): Part {
  const widths = new Map<number, number>();
  let left = columns.reduce((rest, i) => rest - wishes[i]!.least - between, most + between);
  const wanting = [...columns].sort(
    (a, b) => wishes[a]!.width - wishes[a]!.least - (wishes[b]!.width - wishes[b]!.least),
  );
  wanting.forEach((i, at) => {
    const { width, least } = wishes[i]!;
    const more = Math.min(width - least, Math.max(0, Math.floor(left / (wanting.length - at))));
    widths.set(i, least + more);
    left -= more;
  });
  return { columns, widths: columns.map((i) => widths.get(i)!) };
}
