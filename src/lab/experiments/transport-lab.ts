/**
 * Small networks on which transports are measured, in virtual time: a chain that loses in its
 * middle, and one line that several greedy streams share.
 *
 * Owns how they are built and what is read off them; which are run, and what becomes of the
 * numbers, is transport-figures.ts's.
 */

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import type { DelayStats, FlowMeter } from '../report/delay-stats.ts';
import { changeDirection, defaultDirection } from '../../core/emulation/link-settings.ts';
import type { ReportFlow } from '../report/report.ts';
import { parseTopology } from '../topology/topology-parse.ts';
import type { CongestionName } from '../../core/recovery/controller.ts';
import { SERVICE_BEST_EFFORT } from '../../core/wire/packet.ts';
import { runVirtual } from '../replay/run-virtual.ts';
import { SimStreamFlow } from '../sim/stream-flow.ts';
import { World } from '../sim/world.ts';

const MS = MILLISECOND;

/** Ways of sending that tables compare, as a topology file says them. */
export const WAYS = {
  reliable: 'link: reliable',
  'stream/reliable': 'link: reliable, session: stream',
  'stream/best-effort': 'session: stream',
} as const;
export type Way = keyof typeof WAYS;

export interface Outcome {
  readonly flow: ReportFlow;
  readonly meter: FlowMeter;
}

/** Runs a file's text; flows by their names. */
export function run(text: string): Record<string, Outcome> {
  const { report, flows } = runVirtual(parseTopology(text, 'transport'));
  return Object.fromEntries(
    report.flows.map((flow, i) => [flow.name, { flow, meter: flows[i]!.meter }]),
  );
}

export interface Chain {
  readonly hops: number;
  /** Of each link, one way. */
  readonly hopMs?: number;
  readonly kbps?: number;
  /** Percent, in the middle. */
  readonly loss: number;
  readonly both?: boolean;
  readonly seconds: number;
  readonly seed?: number;
  /** Of links. */
  readonly congestion?: CongestionName;
  readonly flows: string;
}

export function chain({
  hops,
  hopMs = 10,
  kbps = 10_000,
  loss,
  both = false,
  seconds,
  seed = 3,
  congestion,
  flows,
}: Chain): string {
  const middle = Math.floor(hops / 2);
  const links = Array.from(
    { length: hops },
    (_, i) =>
      `  - { between: [n${i}, n${i + 1}]` +
      (i !== middle || loss === 0
        ? ''
        : both
          ? `, loss: ${loss}%`
          : `, forward: { loss: ${loss}% }`) +
      ' }',
  );
  const names = Array.from({ length: hops + 1 }, (_, i) => `n${i}`);
  return `name: chain
seed: ${seed}
duration: ${seconds}s
${congestion === undefined ? '' : `congestion: ${congestion}\n`}nodes: [${names.join(', ')}]
defaults: { link: { latency: ${hopMs}ms, bandwidth: ${kbps}kbit } }
links:
${links.join('\n')}
flows:
${flows}
`;
}

/** One flow from end to end of a chain. */
export function alone(
  way: Way,
  kbps: number,
  bytes: number,
  settings: Omit<Chain, 'flows'>,
  congestion?: CongestionName,
): Outcome {
  const last = `n${settings.hops}`;
  const flow =
    `  - { name: flow, from: n0, to: ${last}, rate: ${kbps}kbit, size: ${bytes}, ` +
    `start: 1s, ${WAYS[way]}${congestion === undefined ? '' : `, congestion: ${congestion}`} }`;
  return run(chain({ ...settings, flows: flow }))['flow']!;
}

export interface Line {
  readonly kbps: number;
  /** Round trip of each stream over the line. */
  readonly rttsMs: readonly number[];
  /** The queue in front of it, in products of its rate and the first round trip. */
  readonly buffer: number;
  /** Share that is lost. */
  readonly loss?: number;
  readonly seconds: number;
  readonly seed?: number;
}

/**
 * What each of several greedy streams over best-effort links has of one line, kbit/s of messages,
 * in the last three quarters of the time; each comes from a node of its own.
 */
export function share(
  { kbps, rttsMs, buffer, loss = 0, seconds, seed = 1 }: Line,
  kinds: readonly CongestionName[],
): { kbps: number[]; queueP99Ms: number } {
  const world = new World({ seed });
  const add = (name: string) =>
    world.addHost(0x0a00_0001 + world.hosts.length, name, { allowEmulation: true });
  const a = add('a'),
    b = add('b');
  const queueBytes = Math.max(1_600, Math.round((buffer * kbps * rttsMs[0]!) / 8));
  const wire = (change: object) => changeDirection(defaultDirection(), change);
  world.connect(
    a,
    b,
    wire({
      latencyUs: MS,
      bandwidthKbps: kbps,
      queueBytes,
      loss: { kind: 'bernoulli', rate: loss },
    }),
    wire({ latencyUs: MS }),
  );
  const model = world.wires[0]!.model;
  const sources = kinds.map((_, i) => {
    const source = add(`s${i}`),
      latencyUs = Math.max(0, (rttsMs[i]! * MS) / 2 - MS);
    world.connect(source, a, wire({ latencyUs }), wire({ latencyUs }));
    return source;
  });
  for (const host of world.hosts) host.start();
  world.runFor(3 * SECOND);
  const began = world.now();
  const flows = kinds.map(
    (congestion, i) =>
      new SimStreamFlow(
        world,
        i,
        sources[i]!,
        b,
        {
          packetsPerSecond: (1.5 * kbps) / 8,
          sizeBytes: 1_000,
          startUs: 100 * MS,
          durationUs: 3_600 * SECOND,
          count: null,
          options: { service: SERVICE_BEST_EFFORT },
          congestion,
        },
        began + i * 1_370 * MS,
      ),
  );
  const ends: Micros = began + seconds * SECOND;
  world.runFor((seconds / 4) * SECOND);
  const from = flows.map(({ meter }) => meter.bytes),
    queues: number[] = [];
  while (world.now() < ends) {
    world.runFor(10 * MS);
    queues.push((model.queueBytes(world.now()) * 8) / kbps);
  }
  queues.sort((x, y) => x - y);
  return {
    kbps: flows.map(({ meter }, i) => ((meter.bytes - from[i]!) * 8) / (0.75 * seconds) / 1_000),
    queueP99Ms: queues[Math.floor(0.99 * queues.length)]!,
  };
}

/** 1: all have the same; 1/n: one has all. */
export function jain(values: readonly number[]): number {
  const sum = values.reduce((x, y) => x + y, 0);
  return (sum * sum) / (values.length * values.reduce((x, y) => x + y * y, 0));
}

/** Milliseconds; NaN without samples. */
export function quantileMs(delays: DelayStats, numerator: number, denominator: number): number {
  return (delays.quantileUs(numerator, denominator) ?? NaN) / 1_000;
}
