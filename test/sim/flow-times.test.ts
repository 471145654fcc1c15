/**
 * Flows of a topology file: none of them wins by its place in the file, streams begin when they are
 * open, refusals are told from loss.
 */

import { describe, expect, test } from 'vitest';

import { parseTopology } from '../../src/lab/topology/topology-parse.ts';
import { runVirtual } from '../../src/lab/replay/run-virtual.ts';

const line = (duration: string, links: string, flows: string): string => `name: t
duration: ${duration}
seed: 3
nodes: [a, b]
links: [{ between: [a, b], ${links} }]
flows:
${flows}`;
const run = (text: string) => runVirtual(parseTopology(text, 't.yaml')).report;

describe('flows that fill a line together lose alike, whenever they begin', () => {
  for (const start of ['1s', '1007ms', '1000400us']) {
    test(`the second at ${start}`, () => {
      const { flows } = run(
        line(
          '20s',
          'latency: 10ms, bandwidth: 10mbit',
          `
  - { name: first, from: a, to: b, rate: 8mbit, size: 1000, start: 1s }
  - { name: second, from: a, to: b, rate: 8mbit, size: 1000, start: ${start} }
`,
        ),
      );
      const [one, two] = flows.map(({ delivered, sent }) => delivered / sent);
      expect(Math.min(one!, two!) / Math.max(one!, two!), `${one} ${two}`).toBeGreaterThan(0.9);
    });
  }

  test('a phase that is said is kept, and then the place in the file decides', () => {
    const { flows } = run(
      line(
        '5s',
        'latency: 10ms, bandwidth: 10mbit',
        `
  - { name: first, from: a, to: b, rate: 8mbit, size: 1000, phase: 0ms }
  - { name: second, from: a, to: b, rate: 8mbit, size: 1000, phase: 0ms }
`,
      ),
    );
    const [one, two] = flows.map(({ delivered }) => delivered);
    expect(Math.max(one!, two!) / Math.min(one!, two!)).toBeGreaterThan(2);
  });
});

test('a stream sends when its connection is there: no message is late for it', () => {
  const { flows } = run(
    line(
      '5s',
      'latency: 50ms',
      `
  - { name: at-0, from: a, to: b, rate: 500kbit, link: reliable, session: stream }
  - { name: datagrams, from: a, to: b, rate: 500kbit, link: reliable }
`,
    ),
  );
  for (const flow of flows) expect(flow).toMatchObject({ delivered: flow.sent, lost: 0 });
  for (const { delayMs } of flows) expect(delayMs!.max).toBeLessThan(55);
  expect(flows[0]!.sent).toBe(flows[1]!.sent);
});

test('what a full queue refuses is told, and is no loss', () => {
  const { flows } = run(
    line(
      '20s',
      'latency: 10ms, bandwidth: 2mbit',
      `
  - { name: bulk, from: a, to: b, rate: 6mbit, size: 1000, link: reliable }
  - { name: stream, from: a, to: b, rate: 6mbit, size: 1000, link: reliable, session: stream }
`,
    ),
  );
  for (const flow of flows) {
    expect(flow.refused).toBeGreaterThan(0.4 * flow.sent);
    expect(flow.delivered + flow.refused + flow.lost).toBe(flow.sent);
  }
  expect(Object.keys(flows[0]!.refusals!)).toContain('linkQueueFull');
  expect(Object.keys(flows[1]!.refusals!)).toEqual(['waiting']);
});
