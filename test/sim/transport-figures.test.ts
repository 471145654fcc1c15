/**
 * The tables of `spines figures transport` as they were last, so that a regression shows as a
 * difference of numbers. Those of --quick; SPINES_LONG=1 compares whole tables too, where one was
 * kept. SPINES_UPDATE=1 writes what is found in place of what was: look at the difference before it
 * is committed.
 *
 * A number may differ by what a change of timing elsewhere does to chance (a fifth and a little); a
 * promise that is broken may not.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { TRANSPORT_TABLES, transportText } from '../../src/lab/experiments/transport-figures.ts';

const LONG = process.env['SPINES_LONG'] === '1',
  UPDATE = process.env['SPINES_UPDATE'] === '1';
const folder = new URL('transport-figures/', import.meta.url);
/** Parts by which a number may differ, and so much beside. */
const PART = 0.2,
  BESIDE = 5;
/** Which of two alike streams has the larger part is chance, and long runs are few. */
const LOOSE = new Set(['fairness', 'jain', 'equation']);

/** Lines whose numbers are too far from those of the other, as a difference. */
function differences(then: string, now: string, loose: boolean): string[] {
  const a = then.split('\n'),
    b = now.split('\n');
  if (a.length !== b.length) return [`${a.length} lines, now ${b.length}`];
  return a.flatMap((line, i) => {
    const x = line.trim().split(/\s+/),
      y = b[i]!.trim().split(/\s+/);
    const same =
      x.length === y.length &&
      x.every((cell, c) => {
        const one = Number(cell),
          other = Number(y[c]);
        if (Number.isNaN(one) || Number.isNaN(other)) return cell === y[c];
        const decimals = Math.max(Math.abs(one), Math.abs(other)) < 2 ? 0.1 : BESIDE;
        return (
          Math.abs(one - other) <=
          (loose ? 2 : 1) * (PART * Math.max(Math.abs(one), Math.abs(other)) + decimals)
        );
      });
    return same ? [] : [`- ${line}`, `+ ${b[i]}`];
  });
}

describe('transports do what they did', () => {
  for (const [name, experiment] of Object.entries(TRANSPORT_TABLES)) {
    for (const quick of [true, false]) {
      const file = new URL(`${name}${quick ? '-quick' : ''}.txt`, folder);
      if (!quick && (!LONG || !(UPDATE || existsSync(file)))) continue;
      test(`${name}${quick ? '' : ', whole'}`, { timeout: 3_600_000 }, () => {
        const table = experiment({ quick }),
          now = transportText([table]);
        if (UPDATE || !existsSync(file)) {
          expect(UPDATE, `${file.pathname} is not there; write it with SPINES_UPDATE=1`).toBe(true);
          writeFileSync(file, now);
        }
        const found = differences(readFileSync(file, 'utf8'), now, LOOSE.has(name));
        expect(found, found.join('\n')).toEqual([]);
        if (name === 'targets')
          for (const row of table.rows) expect(row.at(-1), row.join('  ')).toBe('yes');
      });
    }
  }
});

test(
  'a number that is far off is seen, ' + 'one of chance is not, and rows that are missing are',
  () => {
    expect(differences('  a  100.0  0.50\n', '  a  112.0  0.55\n', false)).toEqual([]);
    expect(differences('  a  100.0  0.50\n', '  a  150.0  0.50\n', false)).toHaveLength(2);
    expect(differences('  a  100.0  0.50\n', '  a  100.0  0.90\n', false)).toHaveLength(2);
    expect(differences('  a  100.0  0.50\n', '  a  -  0.50\n', false)).toHaveLength(2);
    expect(differences('  a  1\n', '  a  1\n  b  2\n', false)).toHaveLength(1);
  },
);
