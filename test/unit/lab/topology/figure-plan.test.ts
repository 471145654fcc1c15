/** The figure and sweep sections of topology files: what they give, and how they are refused. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { SpinesError } from '../../../../src/core/base/errors.ts';
import { parseTopology } from '../../../../src/lab/topology/topology-parse.ts';

const folder = new URL('../../../../topologies/dsn03/', import.meta.url);
const files = readdirSync(folder).sort();

const base =
  'name: t\nduration: 5s\nnodes: [A, B]\nlinks: [{ between: [A, B] }]\nflows: [{ name: f, from: ' +
  'A, to: B, rate: 1mbit }]\n';
const figure =
  'figure:\n  of: Figure 1\n  title: T\n  y: mean-delay\n  x: loss, %\n  curves: [{ name: c, ' +
  'flow: f }]\n';
const sweep = 'sweep: { set: links.0.loss, values: [0, 1] }\n';

function faults(text: string): string[] {
  try {
    parseTopology(text, 't.yaml');
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    expect(error.code).toBe('ETOPOLOGY');
    return error.message.split('\n');
  }
  throw new Error('expected the text to be refused');
}

describe('dsn03', () => {
  test('has every figure with numbers in it, and the table', () => {
    expect(files).toEqual([
      'fig11.yaml',
      'fig12.yaml',
      'fig13.yaml',
      'fig14.yaml',
      'fig3.yaml',
      'fig4.yaml',
      'fig5.yaml',
      'fig6.yaml',
      'fig7.yaml',
      'fig9.yaml',
      'table1.yaml',
    ]);
  });

  test.each(files)(
    '%s parses, is named after its file and can be set to every value of its sweep',
    (file) => {
      const text = readFileSync(new URL(file, folder), 'utf8');
      const topology = parseTopology(text, file);
      expect(`${topology.name}.yaml`).toBe(file);
      const plan = topology.figure!;
      expect(Object.isFrozen(plan.curves[0])).toBe(true);
      expect(plan.statements.length).toBeGreaterThan(0);
      for (const curve of plan.curves) {
        for (const point of plan.points) {
          parseTopology(
            text,
            file,
            [...curve.settings, ...point.settings].map(
              ([path, value]) => `${path}=${JSON.stringify(value)}`,
            ),
          );
        }
      }
    },
  );

  test('figure 7 is 50 ms long with any number of hops', () => {
    const text = readFileSync(new URL('fig7.yaml', folder), 'utf8');
    const { points } = parseTopology(text, 'fig7.yaml').figure!;
    expect(points.map((point) => point.x)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (const { x, settings } of points) {
      const topology = parseTopology(
        text,
        'fig7.yaml',
        settings.map(([path, value]) => `${path}=${JSON.stringify(value)}`),
      );
      expect(topology.links).toHaveLength(x!);
      expect(
        Math.abs(topology.links.reduce((sum, link) => sum + link.forward.latencyUs, 0) - 50_000),
      ).toBeLessThan(10);
      expect(topology.flows[0]!.to).toBe(x);
    }
  });
});

describe('sections', () => {
  test('values of one setting, or points with several', () => {
    expect(parseTopology(base, 't').figure).toBeNull();
    expect(parseTopology(base + figure, 't').figure!.points).toEqual([{ x: null, settings: [] }]);
    expect(parseTopology(base + figure + sweep, 't').figure!.points).toEqual([
      { x: 0, settings: [['links.0.loss', 0]] },
      { x: 1, settings: [['links.0.loss', 1]] },
    ]);
    const points = 'sweep: { points: [{ x: 3, set: { links.0.loss: 3%, duration: 9s } }] }\n';
    expect(parseTopology(base + figure + points, 't').figure!.points).toEqual([
      {
        x: 3,
        settings: [
          ['links.0.loss', '3%'],
          ['duration', '9s'],
        ],
      },
    ]);
  });

  test.each([
    [base + sweep, 't.yaml:6:8: sweep: a sweep without a figure'],
    [
      `${base}${figure}sweep: { set: links.0.loss, value: [1] }`,
      't.yaml:12:29: sweep.value: unknown key, did you mean values?',
    ],
    [
      `${base}${figure}sweep: { set: links.0.loss, values: [1, x] }`,
      't.yaml:12:41: sweep.values.1: expected a number, found "x"',
    ],
    [
      `${base}${figure}sweep: { set: links.0.loss, values: [] }`,
      't.yaml:12:37: sweep.values: expected at least one value',
    ],
    [
      `${base}${figure}sweep: { points: [{ x: 1, set: { links.0.loss: [1] } }] }`,
      't.yaml:12:48: sweep.points.0.set.links.0.loss: expected a text, number, true or false, ' +
        'found a list',
    ],
    [
      base + figure.replace('flow: f', 'flow: g'),
      't.yaml:11:29: figure.curves.0.flow: unknown flow g',
    ],
    [
      base + figure.replace('flow: f', 'flow: f, model: padhye, rtt: 20ms'),
      't.yaml:11:29: figure.curves.0.flow: expected one of flow, model and values',
    ],
    [
      base + figure.replace('mean-delay', 'late'),
      't.yaml:7:3: figure.limit: late and distribution need a limit',
    ],
    [
      base + figure.replace('mean-delay', 'delays'),
      't.yaml:9:6: figure.y: expected mean-delay | jitter | late | distribution | throughput, ' +
        'found "delays"',
    ],
    [
      `${base}${figure}  says: [{ text: s, curve: c, at: 7, about: 1 }]\n${sweep}`,
      't.yaml:12:35: figure.says.0.at: 7 is not a value of the sweep',
    ],
    [
      `${base}${figure}  says: [{ text: s, curve: d, about: 1 }]\n`,
      't.yaml:12:28: figure.says.0.curve: unknown curve d',
    ],
    [
      `${base}${figure}  says: [{ text: s, curve: c, about: 1 }]\n${sweep}`,
      't.yaml:12:10: figure.says.0.at: is missing',
    ],
    [
      `${base}${figure}  says: [{ text: s, curve: c, about: 1, atMost: 2 }]\n`,
      't.yaml:12:38: figure.says.0.about: expected one of about, atMost, atLeast',
    ],
  ])('a fault is told with its place (%#)', (text, message) => {
    expect(faults(text)).toContain(message);
  });
});
