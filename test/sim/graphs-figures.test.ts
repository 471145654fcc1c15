/**
 * The figures of graphs in small: what each way has in time while both ends lose, and what it
 * costs, in the order in which they are known to be.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { SECOND } from '../../src/core/base/time.ts';
import { wiresOf } from '../../src/lab/experiments/graphs-figures.ts';
import { runGraphs, type PartCount, type WayName } from '../../src/lab/experiments/graphs-lab.ts';
import { parseTopology } from '../../src/lab/topology/topology-parse.ts';

const FILE = fileURLToPath(new URL('../../topologies/us-12.yaml', import.meta.url));

test('auto is two paths in quiet, and nearly flooding once an end loses', () => {
  const topology = parseTopology(readFileSync(FILE, 'utf8'), FILE);
  const { to } = topology.flows[0]!;
  const run = (way: WayName): PartCount[] =>
    runGraphs({
      topology,
      way,
      flows: [0],
      packetsPerSecond: 100,
      problem: { wires: wiresOf(topology, to), loss: { kind: 'bernoulli', rate: 0.4 } },
      seed: 3,
      partsUs: [2 * SECOND, 10 * SECOND, SECOND],
    });
  const share = (parts: readonly PartCount[]): number => parts[1]!.inTime / parts[1]!.sent;
  const [one, two, auto] = [run('one path'), run('two'), run('auto')] as const;
  // 1 - 0.4, 1 - 0.4 ** 2 and 1 - 0.4 ** 4, within three deviations of a thousand messages.
  expect(Math.abs(share(one) - 0.6)).toBeLessThan(0.05);
  expect(Math.abs(share(two) - 0.84)).toBeLessThan(0.04);
  expect(share(auto)).toBeGreaterThan(0.96);
  expect(two[1]!.cost).toBe(4);
  expect(auto[1]!.cost).toBeLessThan(10);
});
