/**
 * `spines figures byzantine` in small: every file appears and is well formed, every statement is
 * judged, runs repeat.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { SECOND } from '../../src/core/base/time.ts';
import { linePlotSvg } from '../../src/lab/report/line-plot.ts';
import {
  ceilLog2,
  damageRun,
  deliveryRun,
  deliveryScene,
  faultBound,
  localisationRun,
  lossesPerFault,
} from '../../src/lab/experiments/byzantine-figures.ts';
import {
  byzantineCsv,
  byzantineSvg,
  claimsText,
} from '../../src/lab/experiments/byzantine-figures-table.ts';
import { isWellFormed, spines } from '../support/program-output.ts';

describe('spines figures byzantine', () => {
  test(
    'writes a CSV and a picture for each figure, ' +
      'and the table as text, CSV, JSON and document',
    async () => {
      const out = mkdtempSync(join(tmpdir(), 'spines-figures-'));
      try {
        const { code, stdout, stderr } = await spines(
          'figures',
          'byzantine',
          '--out',
          out,
          '--quick',
          '--only',
          'damage',
        );
        expect(code).toBe(0);
        expect(stderr).toContain('wrote ');
        expect(readdirSync(out).sort()).toEqual([
          'byzantine.md',
          'byzantine.txt',
          'damage.csv',
          'damage.svg',
          'table.csv',
          'table.json',
        ]);
        expect(stdout).toBe(readFileSync(join(out, 'byzantine.txt'), 'utf8'));
        const { command, claims } = JSON.parse(readFileSync(join(out, 'table.json'), 'utf8')) as {
          command: string;
          claims: { verdict: string }[];
        };
        expect(command).toBe('spines figures byzantine --out DIR --only damage --quick');
        expect(claims.length).toBe(
          readFileSync(join(out, 'table.csv'), 'utf8').trimEnd().split('\n').length - 1,
        );
        for (const { verdict } of claims) expect(['holds', 'does not hold']).toContain(verdict);
        isWellFormed(readFileSync(join(out, 'damage.svg'), 'utf8'));
        // Two modes, a sample every two seconds.
        expect(readFileSync(join(out, 'damage.csv'), 'utf8').trimEnd().split('\n').length).toBe(
          1 + 60,
        );
        expect(readFileSync(join(out, 'byzantine.md'), 'utf8')).toContain('(damage.svg)');
      } finally {
        rmSync(out, { recursive: true });
      }
    },
  );

  test('what does not exist, or belongs to the other set, is wrong usage', async () => {
    expect(
      await spines('figures', 'byzantine', '--out', '/tmp/none', '--only', 'fig3'),
    ).toMatchObject({
      code: 2,
      stderr:
        'spines: there is no figure fig3; there are delivery, cost, localisation, damage, ' +
        'overhead\n',
    });
    expect(
      await spines('figures', 'byzantine', '--out', '/tmp/none', '--messages', '9'),
    ).toMatchObject({ code: 2, stderr: 'spines: --messages is not for the set byzantine\n' });
    expect(await spines('figures', 'dsn03', '--out', '/tmp/none', '--quick')).toMatchObject({
      code: 2,
      stderr: 'spines: --quick is not for the set dsn03\n',
    });
    expect((await spines('figures', 'byzantine', '--out', '/tmp/none', '--seeds', '0')).code).toBe(
      2,
    );
  });
});

describe('the experiments', () => {
  test(
    'delivery: the same each time; all honest pairs stay joined; ' +
      'Byzantine routing beats link state',
    () => {
      const scene = deliveryScene(3, 20, 3, 5);
      expect(deliveryScene(3, 20, 3, 5)).toEqual(scene);
      expect(new Set([...scene.pairs.flat(), ...scene.adversaries]).size).toBe(11);
      const once = (
        router: 'link-state' | 'secure',
        learning: number,
      ): ReturnType<typeof deliveryRun> =>
        deliveryRun(scene, router, 5, 'wormholes', false, learning * SECOND, 5 * SECOND);
      const [linkState, secure] = [once('link-state', 0), once('secure', 5)];
      expect(once('secure', 5)).toEqual(secure);
      expect(linkState.lateDelivered / linkState.lateSent).toBeLessThan(0.9);
      expect(secure.lateDelivered / secure.lateSent).toBeGreaterThanOrEqual(0.99);
      expect(secure.convictions).toBeGreaterThan(0);
      expect(secure.unsound).toBe(0);
    },
  );

  test.each(['paper', 'secure'] as const)(
    'localisation, %s mode: the right link, within the bounds',
    (mode) => {
      for (const links of [1, 2, 5]) {
        const { faults, lost, open, right } = localisationRun(mode, links);
        expect(right).toBe(true);
        expect(faults).toBeLessThanOrEqual(faultBound(mode, links));
        expect(lost).toBeLessThanOrEqual(faultBound(mode, links) * (lossesPerFault(mode) + open));
      }
    },
  );

  test('bounds: by hand', () => {
    expect([1, 2, 4, 8, 16, 32].map((n) => faultBound('paper', n))).toEqual([1, 2, 3, 4, 5, 6]);
    expect([1, 2, 16, 17, 32].map((n) => faultBound('secure', n))).toEqual([1, 2, 2, 2, 2]);
    expect([1, 2, 3, 8, 9].map(ceilLog2)).toEqual([0, 1, 2, 3, 4]);
  });

  test('damage: below both bounds for some time, and there is some', () => {
    const { samples, paperBound, tightBound, convictions } = damageRun(
      'secure',
      30 * SECOND,
      5 * SECOND,
    );
    expect(samples.length).toBe(6);
    expect(convictions).toBeGreaterThan(0);
    expect(Math.max(...samples.map((sample) => sample.damage))).toBeGreaterThan(0);
    for (const { damage } of samples) expect(damage).toBeLessThan(Math.min(paperBound, tightBound));
  });
});

describe('text forms', () => {
  test(
    'fields with commas are quoted, missing values are empty, ' +
      'values below zero are on the axis',
    () => {
      const figure = {
        key: 'k',
        title: 't',
        subtitle: 's',
        xLabel: 'x',
        yLabel: 'y',
        top: null,
        bars: [],
        columns: ['a', 'b'],
        rows: [
          ['x, "y"', NaN],
          ['z', 1.5],
        ],
        series: [
          {
            name: 'n',
            points: [
              { x: 0, y: -40 },
              { x: 1, y: 20 },
            ],
          },
        ],
      };
      expect(byzantineCsv(figure)).toBe('a,b\n"x, ""y""",\nz,1.5\n');
      const svg = byzantineSvg(figure);
      isWellFormed(svg);
      expect(svg).toContain('>-40<');
      const heights = [...svg.matchAll(/<circle [^>]*cy="([\d.]+)"/g)].map((match) =>
        Number(match[1]),
      );
      for (const height of heights.slice(0, 2)) expect(height).toBeLessThanOrEqual(386);
      expect(heights[0]).toBe(386);
      // Nothing else changes for values that are not negative.
      expect(
        linePlotSvg(
          [
            {
              name: 'n',
              points: [
                { x: 0, y: 0 },
                { x: 1, y: 20 },
              ],
            },
          ],
          { title: 't', xLabel: 'x', yLabel: 'y' },
        ),
      ).not.toContain('>-');
      expect(
        claimsText([
          { figure: 'f', text: 'says', needed: '1', ours: '22', seeds: '1', verdict: 'holds' },
        ]),
      ).toBe(
        'experiment  statement  needed  found  seeds  verdict\nf           says       1          ' +
          '22  1      holds',
      );
    },
  );
});
