/**
 * The paper's figures on a few messages: every file appears, every statement is judged, and judged
 * as it should be.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { barPlotSvg, linePlotSvg } from '../../src/lab/report/line-plot.ts';
import {
  compare,
  figureCsv,
  figuresMarkdown,
  figureSvg,
} from '../../src/lab/experiments/figures-table.ts';
import { compareOverSeeds, interval, overSeeds } from '../../src/lab/experiments/figures-seeds.ts';
import { padhyeMbps, runFigure, type FigureRun } from '../../src/lab/experiments/figures.ts';
import { isWellFormed, spines } from '../support/program-output.ts';

const folder = new URL('../../topologies/dsn03/', import.meta.url);
const keys = [
  'fig3',
  'fig4',
  'fig5',
  'fig6',
  'fig7',
  'fig9',
  'fig11',
  'fig12',
  'fig13',
  'fig14',
  'table1',
];

function textOf(key: string): string {
  return readFileSync(new URL(`${key}.yaml`, folder), 'utf8');
}

describe('spines figures', () => {
  test(
    'a tiny run writes a CSV and a plot for each figure, ' + 'and a table with all of them',
    async () => {
      const out = mkdtempSync(join(tmpdir(), 'spines-figures-'));
      try {
        const { code, stdout, stderr } = await spines(
          'figures',
          'dsn03',
          '--out',
          out,
          '--messages',
          '100',
          '--seed',
          '5',
        );
        expect(code).toBe(0);
        expect(stderr).toContain('wrote ');
        expect(readdirSync(out).sort()).toEqual(
          [...keys.flatMap((key) => [`${key}.csv`, `${key}.svg`]), 'dsn03.md', 'dsn03.txt'].sort(),
        );
        const markdown = readFileSync(join(out, 'dsn03.md'), 'utf8');
        for (const key of keys) {
          expect(stdout).toMatch(new RegExp(`^${key} `, 'm'));
          expect(markdown).toContain(`(${key}.svg)`);
          isWellFormed(readFileSync(join(out, `${key}.svg`), 'utf8'));
          const lines = readFileSync(join(out, `${key}.csv`), 'utf8')
            .trimEnd()
            .split('\n');
          expect(new Set(lines.map((line) => line.split(',').length)).size).toBe(1);
        }
        expect(markdown).toContain('--messages 100 --seed 5');
        expect(stdout).toBe(readFileSync(join(out, 'dsn03.txt'), 'utf8'));
      } finally {
        rmSync(out, { recursive: true });
      }
    },
  );

  test('what does not exist is wrong usage', async () => {
    expect(await spines('figures', 'wise02', '--out', '/tmp/none')).toMatchObject({
      code: 2,
      stderr:
        'spines: there is no set wise02; sets are dsn03, byzantine, transport, realtime, graphs\n',
    });
    const { code, stderr } = await spines(
      'figures',
      'dsn03',
      '--out',
      '/tmp/none',
      '--only',
      'fig3,fig8',
    );
    expect([code, stderr]).toEqual([
      2,
      `spines: there is no figure fig8; there are ${keys.join(', ')}\n`,
    ]);
    expect((await spines('figures', 'dsn03')).code).toBe(2);
    expect((await spines('figures', 'dsn03', '--out', '/tmp/none', '--messages', '0')).code).toBe(
      2,
    );
  });
});

describe('several seeds', () => {
  test('give means and the interval of 95 %, of Student with few', () => {
    expect(interval([5])).toEqual({ mean: 5, half: 0 });
    const { mean, half } = interval([1, 2, 3]);
    expect(mean).toBe(2);
    expect(half).toBeCloseTo(4.303 / Math.sqrt(3), 6);
    expect(interval(Array.from({ length: 100 }, (_, i) => i % 2)).half).toBeCloseTo(
      1.96 * Math.sqrt(25 / 99 / 100),
      6,
    );
    expect(interval([1, Infinity])).toEqual({ mean: Infinity, half: 0 });
    expect(interval([1, NaN]).mean).toBeNaN();
  });

  test(
    'make one figure of theirs, whose values and statements have intervals; ' +
      'a flow that falls behind with one does',
    () => {
      const each = [1, 2, 3].map((seed) =>
        runFigure(textOf('table1'), 'table1.yaml', { messages: 60, seed }),
      );
      const result = overSeeds(each);
      expect(result.seeds).toBe(3);
      const [header, first] = figureCsv(result)
        .split('\n')
        .map((line) => line.split(','));
      expect(header!.slice(-2)).toEqual(['y_half_of_95pct_interval', 'seeds']);
      const y = each.map(({ curves }) => curves[0]!.points[0]!.y);
      expect(Number(first![3])).toBeCloseTo((y[0]! + y[1]! + y[2]!) / 3, 3);
      expect(first!.at(-1)).toBe('3');
      for (const { ours } of compareOverSeeds(each)) expect(ours).toMatch(/^[\d.]+ ± [\d.]+$/);
      for (const { ours } of compareOverSeeds(each.slice(0, 1))) expect(ours).toMatch(/^[\d.]+$/);
    },
  );
});

describe('a figure', () => {
  test(
    'is the same each time, and another with another seed; ' +
      'figures of the same runs share them',
    () => {
      const cache = new Map<string, FigureRun>();
      const first = runFigure(textOf('fig3'), 'fig3.yaml', { messages: 50, cache });
      expect(cache.size).toBe(24);
      runFigure(textOf('fig5'), 'fig5.yaml', { messages: 50, cache });
      // The limit is 0 in both; 8 values of three curves, of which fig5 has two.
      expect(cache.size).toBe(24);
      expect(figureCsv(runFigure(textOf('fig3'), 'fig3.yaml', { messages: 50 }))).toBe(
        figureCsv(first),
      );
      expect(figureCsv(runFigure(textOf('fig3'), 'fig3.yaml', { messages: 50, seed: 9 }))).not.toBe(
        figureCsv(first),
      );
    },
  );

  test('without loss both curves are at the delay of the path', () => {
    const { curves } = runFigure(
      textOf('fig3').replace(/values: .*/, 'values: [0, 2, 5, 1]'),
      'fig3.yaml',
      { messages: 500 },
    );
    for (const { curve, points } of curves)
      if (curve.given === null) expect(Math.abs(points[0]!.y - 50)).toBeLessThan(1);
    const [endToEnd, hopByHop] = curves;
    for (const i of [1, 2, 3])
      expect(endToEnd!.points[i]!.y).toBeGreaterThan(hopByHop!.points[i]!.y);
  });

  test('a flow that falls behind is told so, in no number', () => {
    // Four times what the line takes.
    const text = textOf('fig3')
      .replace('bandwidth: 10mbit', 'bandwidth: 125kbit')
      .replace(/values: .*/, 'values: [0, 1, 2, 5]');
    const result = runFigure(text, 'fig3.yaml', { messages: 1_000 });
    expect(result.curves[0]!.points[0]!.y).toBe(Infinity);
    const judged = compare(result);
    expect(judged.map((c) => c.verdict)).toContain('undecided');
    expect(judged.find((c) => c.paper === 'at most 75')).toMatchObject({
      ours: 'does not keep up',
      ratio: '-',
      verdict: 'does not hold',
    });
    expect(figureCsv(result).split('\n')[1]).toMatch(/^fig3,end to end,0,,no,1000,/);
    expect(figureSvg(result)).toContain('∞ the flow does not keep up');
  });

  test('a link and a stream fill a line without loss, and one with it by the equation', () => {
    const text = textOf('fig9')
      .replace(/values: .*/, 'values: [0, 1]')
      .replace(/\n {2}says:[\s\S]*/, '\n');
    const { curves } = runFigure(text, 'fig9.yaml', { messages: 4_000 });
    const at = (name: string): number[] =>
      curves.find(({ curve }) => curve.name === name)!.points.map(({ y }) => y);
    const [, equation] = at('equation 10 ms');
    for (const name of ['link 10 ms', 'stream 10 ms']) {
      const [clean, lossy] = at(name);
      // A message that needs two packets would be lost twice as often.
      expect(clean, name).toBeGreaterThan(9);
      expect(lossy! / equation!, name).toBeGreaterThan(0.85);
    }
  });
});

describe('the equation', () => {
  test('falls with loss and round trip, and ends at the line', () => {
    expect(padhyeMbps(0, 20_000, 1_000, 10_000)).toBe(10);
    expect(padhyeMbps(0.0001, 20_000, 1_000, 10_000)).toBe(10);
    // By hand: p = 0.01, R = 0.1: 0.1 * 0.08165 + 0.4 * 0.18371 * 0.01 * 1.0032 = 0.0089022 s a
    // packet.
    expect(padhyeMbps(1, 100_000, 1_000, null)).toBeCloseTo(0.8987, 3);
    expect(padhyeMbps(1, 20_000, 1_000, null)).toBeCloseTo(
      5 * padhyeMbps(1, 100_000, 1_000, null),
      9,
    );
  });
});

describe('plots', () => {
  test('lines: beyond the axis is a triangle with its value, a gap is a gap', () => {
    const svg = linePlotSvg(
      [
        {
          name: 'a<b',
          points: [
            { x: 0, y: 1 },
            { x: 1, y: 50 },
            { x: 2, y: Infinity },
          ],
        },
        { name: 'model', model: true, points: [2, 3, NaN, 4, 5].map((y, i) => ({ x: i / 2, y })) },
      ],
      { title: 'T & U', xLabel: 'x', yLabel: 'y', top: 10, endless: 'never ends' },
    );
    isWellFormed(svg);
    expect(svg).toContain('T &amp; U');
    expect(svg).toContain('a&lt;b');
    expect(svg).toContain('>50.0<');
    expect(svg).toContain('▲ beyond the axis; ∞ never ends');
    expect(svg).toMatch(/d="M[\d. L]+M[\d. L]+" fill="none"/);
  });

  test('draw sane axes for nothing, one point, and endless values only', () => {
    for (const points of [
      [],
      [{ x: 3, y: 0 }],
      [{ x: 1, y: Infinity }],
      [
        { x: 1, y: NaN },
        { x: 1e9, y: 1e9 },
      ],
    ]) {
      isWellFormed(linePlotSvg([{ name: 's', points }], { title: 't', xLabel: 'x', yLabel: 'y' }));
    }
    isWellFormed(barPlotSvg([], { title: 't', xLabel: 'x' }));
    isWellFormed(
      barPlotSvg(
        [
          { name: 'b', value: Infinity, given: false },
          { name: 'c', value: 3, given: true },
        ],
        { title: 't', xLabel: 'x', endless: 'never' },
      ),
    );
  });
});

const GIVEN = `
name: given
duration: 2s
security: none
nodes: [A, B]
links:
  - { between: [A, B], latency: 10ms }
flows:
  - { name: one, from: A, to: B, rate: 100kbit, size: 1000, link: reliable }
sweep:
  set: links.0.forward.loss
  values: [0, 1, 2]
figure:
  of: Figure 0
  title: Delay
  y: mean-delay
  x: loss, %
  curves:
    - { name: ours, flow: one }
    - { name: "theirs, today", values: { "1": 12.5 } }
  says:
    - { text: theirs, curve: "theirs, today", at: 1, about: 12.5 }
`;

test('values that others measured are marks at their places, and empty elsewhere', () => {
  const result = runFigure(GIVEN, 'given.yaml', { messages: 20 });
  expect(result.curves[1]!.points).toEqual([{ x: 1, y: 12.5, run: null }]);
  expect(figuresMarkdown([result], 'a test')).toContain('| theirs, today |  | 12.50 |  |');
  expect(figureCsv(result)).toContain('given,"theirs, today",1,12.5,,');
  // The only line is of what was run.
  expect(figureSvg(result).match(/stroke-linejoin/g)).toHaveLength(1);
});
