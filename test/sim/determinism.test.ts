/**
 * The simulator itself: the same seed tells the same story, and the shipped topologies show what
 * they promise.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { formatReport, type ReportFlow } from '../../src/lab/report/report.ts';
import { parseTopology } from '../../src/lab/topology/topology-parse.ts';
import { cut, heal } from '../../src/lab/sim/faults.ts';
import { runVirtual, type VirtualRun } from '../../src/lab/replay/run-virtual.ts';
import { finish, lossy, randomGraph, useNetworks } from '../support/network.ts';

useNetworks();

/** Twelve nodes on lossy wires with flows, a crash, a restart and a cut; its trace. */
function story(seed: number): string {
  const network = randomGraph(
    12,
    8,
    new Rng(99),
    (rng) => lossy(0.05, (1 + rng.below(10)) * MILLISECOND),
    { seed },
  );
  network.startAll();
  for (let i = 0; i < 6; i += 1)
    network.flow(network.host(i), network.host(11 - i), {
      startUs: SECOND,
      durationUs: 8 * SECOND,
    });
  network.run(3 * SECOND);
  network.host(5).crash();
  network.run(2 * SECOND);
  network.restart(
    network.host(5),
    network.flows.filter((_, i) => 11 - i === 5),
  );
  const wire = network.world.wires[8]!;
  cut(wire.from, wire.to);
  network.run(2 * SECOND);
  heal(wire.from, wire.to);
  network.run(3 * SECOND);
  const { traceHash } = network.world;
  finish(network);
  return traceHash;
}

function replay(name: string, ...overrides: string[]): VirtualRun {
  const file = new URL(`../../topologies/${name}.yaml`, import.meta.url);
  return runVirtual(parseTopology(readFileSync(file, 'utf8'), `${name}.yaml`, overrides));
}

function flowNamed({ report }: VirtualRun, name: string): ReportFlow {
  const flow = report.flows.find((one) => one.name === name);
  if (flow === undefined) throw new Error(`no flow ${name}`);
  return flow;
}

function checkLeftovers({ world, flows }: VirtualRun): void {
  for (const flow of flows) expect([flow.foreign, flow.meter.duplicates]).toEqual([0, 0]);
  for (const host of world.hosts) if (host.running) expect(host.node.pool.inUse).toBe(0);
}

describe('a seed', () => {
  test('gives the same trace each time, and another seed another', () => {
    expect(story(7)).toBe(story(7));
    expect(new Set([7, 8, 9, 10].map(story)).size).toBe(4);
  });

  test('gives the same report of a replay each time', () => {
    const [first, second, other] = [
      replay('ring-12', 'duration=8s'),
      replay('ring-12', 'duration=8s'),
      replay('ring-12', 'duration=8s', 'seed=4711'),
    ];
    expect(second.report).toEqual(first.report);
    expect(other.report.trace).not.toBe(first.report.trace);
  });
});

describe('shipped topologies', () => {
  test('pair: a hundredth is lost, 10 ms one way', () => {
    const run = replay('pair', 'duration=200s');
    const [flow] = run.report.flows;
    console.log(
      `pair: ${flow!.delayMs!.mean.toFixed(2)} ms, ` +
        `${((100 * flow!.lost) / flow!.sent).toFixed(2)} % lost of ${flow!.sent}`,
    );
    expect(flow!.sent).toBeGreaterThan(10_000);
    expect(flow!.lost / flow!.sent).toBeGreaterThan(0.007);
    expect(flow!.lost / flow!.sent).toBeLessThan(0.013);
    expect(flow!.delayMs!.mean).toBeGreaterThanOrEqual(10);
    expect(flow!.delayMs!.mean).toBeLessThan(11);
    checkLeftovers(run);
  });

  test.each([1, 2, 3])(
    'dsn03-chain: 50 to 52 ms on average and 0.5 to 1.6 percent lost (seed %i)',
    (seed) => {
      const run = replay('dsn03-chain', 'duration=100s', `seed=${seed}`);
      const flow = flowNamed(run, 'best-effort');
      console.log(
        `dsn03-chain: ${flow.delayMs!.mean.toFixed(2)} ms, ` +
          `${((100 * flow.lost) / flow.sent).toFixed(2)} % lost of ${flow.sent}`,
      );
      expect(flow.delayMs!.mean).toBeGreaterThanOrEqual(50);
      expect(flow.delayMs!.mean).toBeLessThanOrEqual(52);
      expect(flow.lost / flow.sent).toBeGreaterThanOrEqual(0.005);
      expect(flow.lost / flow.sent).toBeLessThanOrEqual(0.016);
      checkLeftovers(run);
    },
  );

  test(
    'dsn03-chain, as it is shipped, ' + 'keeps within those bounds, and shows what its note says',
    () => {
      const run = replay('dsn03-chain');
      const flow = flowNamed(run, 'best-effort');
      expect(flow.delayMs!.mean).toBeLessThanOrEqual(52);
      expect(flow.lost / flow.sent).toBeGreaterThanOrEqual(0.005);
      expect(flow.lost / flow.sent).toBeLessThanOrEqual(0.016);
      const [reliable, hopByHop, endToEnd] = [
        'reliable',
        'stream-hop-by-hop',
        'stream-end-to-end',
      ].map((name) => flowNamed(run, name));
      expect([reliable!.lost, hopByHop!.lost, endToEnd!.lost]).toEqual([0, 0, 0]);
      expect(reliable!.delayMs!.mean).toBeLessThan(hopByHop!.delayMs!.mean);
      expect(hopByHop!.delayMs!.mean).toBeLessThan(endToEnd!.delayMs!.mean);
      expect(hopByHop!.delayMs!.stddev).toBeLessThan(endToEnd!.delayMs!.stddev / 3);
      const { lost, latePct } = flowNamed(run, 'realtime');
      expect([lost, latePct]).toEqual([0, 0]);
      expect(run.report.note).toMatch(/^What you see: /);
      for (const line of formatReport(run.report).split('\n'))
        expect(line.length, line).toBeLessThanOrEqual(80);
    },
  );

  test.each([1, 2, 3, 4, 5])(
    'ring-12: routes are right within a second of each event (seed %i)',
    (seed) => {
      const run = replay('ring-12', `seed=${seed}`);
      const { convergence } = run.report;
      expect(convergence).toHaveLength(5);
      console.log(
        `ring-12: ${convergence!.map((c) => `${c.event} ${c.convergedAfterMs} ms`).join(', ')}`,
      );
      for (const { event, convergedAfterMs } of convergence!) {
        expect(convergedAfterMs, event).not.toBeNull();
        expect(convergedAfterMs!, event).toBeLessThanOrEqual(SECOND / MILLISECOND);
      }
      // Losing the way for at most half a second each time costs at most 50 messages of a flow each
      // time.
      for (const flow of run.report.flows) expect(flow.lost).toBeLessThanOrEqual(150);
      checkLeftovers(run);
    },
  );
});
