/**
 * Flows that share a line: what the busy ones get of it, and how long the sparse ones wait. A table
 * of goodput, delay and Jain's index over whole daemons in virtual time, kept within bounds.
 *
 * SPINES_LONG=1 prints the table, over more time, for each congestion control of links.
 */

import { afterAll, describe, expect, test } from 'vitest';

import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { SimFlow } from '../../src/lab/sim/flow.ts';
import { SimStreamFlow } from '../../src/lab/sim/stream-flow.ts';
import { CONGESTION_NAMES } from '../../src/core/recovery/controller.ts';
import { defaultConfig } from '../../src/core/node/config.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { hosts, useNetworks, wire } from '../support/network.ts';

useNetworks();

const LONG = process.env['SPINES_LONG'] === '1';
const SECONDS = LONG ? 20 : 4;
/** The line's link has found its window by then. */
const SPARSE_FROM = 3 * SECOND;
const KBPS = 10_000;
const table: string[] = [];

afterAll(() => {
  if (LONG) process.stdout.write(`\n${table.join('\n')}\n`);
});

type Kind = 'stream' | 'datagrams';

interface Offered {
  readonly kind: Kind;
  readonly kbps: number;
  readonly bytes: number;
  readonly priority?: number;
  readonly link?: number;
}

/** One source, `ms` from the narrow line (0: at its beginning), and the flows that begin there. */
interface Source {
  readonly ms: number;
  readonly flows: readonly Offered[];
}

interface Got {
  readonly kbps: number;
  readonly delivered: number;
  readonly sent: number;
  readonly refused: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const BULK: Offered = { kind: 'datagrams', kbps: 12_000, bytes: 1_000 };
const GREEDY: Offered = { kind: 'stream', kbps: 12_000, bytes: 1_000 };
const SPARSE: Offered = { kind: 'datagrams', kbps: 16, bytes: 100 };

/**
 * Sources, then a line of 10 Mbit/s and 10 ms behind the node where they meet, whose wire queues
 * for 100 ms, then their destination 5 ms behind.
 */
function measured(
  sources: readonly Source[],
  congestion = defaultConfig.congestion,
  seconds = SECONDS,
): Got[][] {
  const network = hosts(3 + sources.length, { seed: 3, config: { congestion } });
  const [a, b, d, ...from] = network.hosts as [never, never, never, ...never[]];
  network.connect(a, b, wire({ latencyUs: 10 * MS, bandwidthKbps: KBPS }));
  network.connect(b, d, wire({ latencyUs: 5 * MS, bandwidthKbps: 100_000 }));
  sources.forEach(({ ms }, i) =>
    network.connect(from[i]!, a, wire({ latencyUs: Math.max(1, ms) * MS, bandwidthKbps: 100_000 })),
  );
  network.settle();
  let n = 0;
  const flows = sources.map((source, i) =>
    source.flows.map((offered) => {
      n += 1;
      const sender = source.ms === 0 ? a : from[i]!;
      const settings = {
        packetsPerSecond: (offered.kbps * 125) / offered.bytes,
        sizeBytes: offered.bytes,
        startUs: (offered.kbps < 1_000 ? SPARSE_FROM : SECOND) + n * 137,
        durationUs: seconds * SECOND,
        count: null,
        options: { service: SERVICE_RELIABLE, priority: offered.priority ?? 1 },
      };
      if (offered.kind === 'stream')
        return new SimStreamFlow(network.world, n, sender, d, settings, network.now);
      return new SimFlow(network.world, n, sender, d, settings, network.now);
    }),
  );
  for (const host of network.hosts) host.endTurn();
  network.run((seconds + 1) * SECOND);
  const bytes = flows.map((list) => list.map(({ meter }) => meter.bytes));
  network.run(4 * SECOND);
  const got = flows.map((list, i) =>
    list.map((flow, j): Got => {
      const delays = flow.meter.delays.summary();
      return {
        kbps: (bytes[i]![j]! * 8) / seconds / 1_000,
        delivered: flow.meter.delivered,
        sent: flow.sent,
        refused: flow.refused,
        p50: delays?.p50 ?? Infinity,
        p99: delays?.p99 ?? Infinity,
        max: delays?.max ?? Infinity,
      };
    }),
  );
  for (const list of flows)
    for (const flow of list) if (flow instanceof SimStreamFlow) flow.stream?.reset();
  for (const host of network.hosts) host.endTurn();
  network.run(3 * SECOND);
  return got;
}

function jain(values: readonly number[]): number {
  const sum = values.reduce((all, one) => all + one, 0),
    squares = values.reduce((all, one) => all + one * one, 0);
  return (sum * sum) / (values.length * squares);
}

function note(what: string, values: Readonly<Record<string, number>>): void {
  table.push(
    `${what.padEnd(74)} ${Object.entries(values)
      .map(([name, value]) => `${name} ${value.toFixed(name === 'jain' ? 3 : 1)}`)
      .join('  ')}`,
  );
}

/** All scenes, or a few of them where time is short. */
function some<T>(scenes: Readonly<Record<string, T>>, few: readonly string[]): [string, T][] {
  return Object.entries(scenes).filter(([what]) => LONG || few.includes(what));
}

/** What the sparse flow waits on the idle line. */
const IDLE_MS = 20;
/** The wire of the line queues for so long, as long as its link's congestion control fills it. */
const WIRE_QUEUE_MS = 100;

describe.each(LONG ? CONGESTION_NAMES : [defaultConfig.congestion])(
  'links with %s',
  (congestion) => {
    test.each<Kind>(['datagrams', 'stream'])('sparse %s beside bulk', (kind) => {
      const sparse: Offered = { ...SPARSE, kind };
      const scenes: Readonly<
        Record<string, { readonly idle: number; readonly sources: readonly Source[] }>
      > = {
        'of another source': {
          idle: IDLE_MS,
          sources: [
            { ms: 5, flows: [sparse] },
            { ms: 5, flows: [BULK] },
          ],
        },
        'of its own source': { idle: IDLE_MS, sources: [{ ms: 5, flows: [sparse, BULK] }] },
        'of its own source, where the line begins': {
          idle: IDLE_MS - 5,
          sources: [{ ms: 0, flows: [sparse, BULK] }],
        },
        'that is a stream, of its own source': {
          idle: IDLE_MS,
          sources: [{ ms: 5, flows: [sparse, GREEDY] }],
        },
      };
      for (const [what, { idle, sources }] of some(scenes, ['of its own source'])) {
        const [got] = measured(sources, congestion)[0]!;
        note(`sparse ${kind} beside bulk ${what}, ${congestion}`, {
          'p50 ms': got!.p50,
          'p99 ms': got!.p99,
          'max ms': got!.max,
          refused: got!.refused,
        });
        // All of it arrives, and waits for what is on the wire.
        expect([got!.delivered, got!.refused], what).toEqual([got!.sent, 0]);
        expect(got!.p99, what).toBeLessThan(idle + WIRE_QUEUE_MS + 10);
      }
    });

    test('a hundred sparse flows beside one bulk', () => {
      for (const [what, sources] of some(
        {
          'of the same source': [{ ms: 5, flows: [BULK, ...new Array<Offered>(100).fill(SPARSE)] }],
          'of ten sources': [
            { ms: 5, flows: [BULK] },
            ...Array.from({ length: 10 }, () => ({
              ms: 5,
              flows: new Array<Offered>(10).fill(SPARSE),
            })),
          ],
        } satisfies Record<string, Source[]>,
        ['of the same source'],
      )) {
        const sparse = measured(sources, congestion).flat().slice(1),
          worst = Math.max(...sparse.map(({ p99 }) => p99));
        note(`100 sparse flows beside one bulk, ${what}, ${congestion}`, {
          'worst p99 ms': worst,
          'kbit/s': sparse.reduce((sum, { kbps }) => sum + kbps, 0),
          jain: jain(sparse.map(({ kbps }) => kbps)),
        });
        for (const got of sparse) expect([got.delivered, got.refused], what).toEqual([got.sent, 0]);
        expect(worst, what).toBeLessThan(IDLE_MS + WIRE_QUEUE_MS + 15);
      }
    });

    test('busy flows share evenly', () => {
      const scenes: Readonly<
        Record<string, { readonly least: number; readonly sources: readonly Source[] }>
      > = {
        'two sources of datagrams': {
          least: 0.99,
          sources: [
            { ms: 5, flows: [BULK] },
            { ms: 5, flows: [BULK] },
          ],
        },
        'two flows of datagrams of one source': {
          least: 0.975,
          sources: [{ ms: 5, flows: [BULK, { ...BULK, bytes: 300 }] }],
        },
        'a stream and datagrams, two sources': {
          least: 0.97,
          sources: [
            { ms: 5, flows: [GREEDY] },
            { ms: 5, flows: [BULK] },
          ],
        },
        'a stream and datagrams of one source': {
          least: 0.97,
          sources: [{ ms: 5, flows: [GREEDY, BULK] }],
        },
        'four streams, equal round trips': {
          least: 0.97,
          sources: new Array<Source>(4).fill({ ms: 5, flows: [GREEDY] }),
        },
        'four streams, round trips of 1 : 2 : 4 : 8': {
          least: 0.9,
          sources: [5, 25, 65, 145].map((ms) => ({ ms, flows: [GREEDY] })),
        },
      };
      for (const [what, { least, sources }] of some(scenes, [
        'a stream and datagrams, two sources',
        'four streams, round trips of 1 : 2 : 4 : 8',
      ])) {
        const rates = measured(sources, congestion, 2 * SECONDS)
          .flat()
          .map(({ kbps }) => kbps);
        const index = jain(rates),
          sum = rates.reduce((all, one) => all + one, 0);
        note(`${what}, ${congestion}`, {
          jain: index,
          'Mbit/s': sum / 1_000,
          ...Object.fromEntries(rates.map((rate, i) => [`${i + 1}:`, rate / 1_000])),
        });
        expect(index, `${what}: ${rates.join()}`).toBeGreaterThan(least);
        expect(sum, what).toBeGreaterThan(0.75 * KBPS);
      }
    });
  },
);
