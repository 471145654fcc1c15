/**
 * What Byzantine routing costs while nothing is wrong: bytes, messages, silence.
 *
 * One of the experiments of byzantine-figures.ts. Invariant: the same options give the same values.
 */

import { Rng } from '../../core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../core/wire/packet.ts';
import {
  grid,
  Lab,
  randomNetwork,
  ring,
  ROUTER_TITLES,
  ROUTERS,
  type Edge,
  type RouterName,
} from './byzantine-figures-lab.ts';
import {
  claim,
  round,
  type ByzantineFiguresOptions,
  type Claim,
  type Experiment,
} from './byzantine-experiment.ts';

const MS = MILLISECOND;

export const COST_BYTES = 1_000,
  COST_RATE = 200;

interface CostNetwork {
  readonly name: string;
  readonly nodes: number;
  readonly edges: readonly Edge[];
  readonly from: number;
  readonly to: number;
}

function costNetworks(): CostNetwork[] {
  return [
    // Two ways of four links, so that two paths exist.
    { name: 'ring of 8', nodes: 8, edges: ring(8, 10 * MS), from: 0, to: 4 },
    { name: 'grid 4 x 4', nodes: 16, edges: grid(4, 4, 5 * MS), from: 0, to: 15 },
    {
      name: 'random 16',
      nodes: 16,
      edges: randomNetwork(16, 4, 2 * MS, 20 * MS, new Rng(1).fork('cost')),
      from: 0,
      to: 9,
    },
  ];
}

/**
 * Bytes on all wires that a flow of `duration` causes, and payload bytes delivered. `idle`: what
 * the same time costs without the flow.
 */
export function costRun(
  network: Omit<CostNetwork, 'name'>,
  router: RouterName,
  service: number,
  duration: Micros,
  idle: number,
): { wireBytes: number; payloadBytes: number; lab: Lab } {
  const lab = new Lab({ router, seed: 1, nodes: network.nodes, edges: network.edges });
  const before = lab.wireBytes;
  const flow = lab.flow(network.from, network.to, COST_RATE, COST_BYTES, duration, service);
  lab.run(duration + SECOND);
  return { wireBytes: lab.wireBytes - before - idle, payloadBytes: flow.meter.bytes, lab };
}

/** Bytes on all wires in that time when nobody sends. */
export function idleBytes(network: Omit<CostNetwork, 'name'>, duration: Micros): number {
  const lab = new Lab({
    router: 'link-state',
    seed: 1,
    nodes: network.nodes,
    edges: network.edges,
  });
  const before = lab.wireBytes;
  lab.run(duration + SECOND);
  return lab.wireBytes - before;
}

const SERVICES = [
  ['best effort', SERVICE_BEST_EFFORT],
  ['reliable', SERVICE_RELIABLE],
] as const;

interface CostRow {
  readonly network: string;
  readonly service: string;
  readonly router: RouterName;
  readonly wireBytes: number;
  readonly payloadBytes: number;
  readonly perByte: number;
  /** Over the cost of link state. */
  readonly ratio: number;
}

function costRows(
  networks: readonly CostNetwork[],
  duration: Micros,
  onRun: ByzantineFiguresOptions['onRun'],
): CostRow[] {
  const rows: CostRow[] = [];
  for (const network of networks) {
    const idle = idleBytes(network, duration);
    for (const [service, code] of SERVICES) {
      let shortest = NaN;
      for (const router of ROUTERS) {
        onRun?.(`cost: ${network.name}, ${service}, ${ROUTER_TITLES[router]}`);
        const { wireBytes, payloadBytes } = costRun(
          network,
          router,
          code,
          router === 'flooding' ? duration / 5 : duration,
          router === 'flooding' ? idle / 5 : idle,
        );
        const perByte = wireBytes / payloadBytes;
        if (router === 'link-state') shortest = perByte;
        rows.push({
          network: network.name,
          service,
          router,
          wireBytes,
          payloadBytes,
          perByte,
          ratio: perByte / shortest,
        });
      }
    }
  }
  return rows;
}

/** The experiment, its figures and its claims. */
export function cost({ quick, onRun }: ByzantineFiguresOptions): Experiment {
  const duration = (quick ? 5 : 60) * SECOND;
  const networks = costNetworks();
  const rows = costRows(networks, duration, onRun);
  const ratios = (router: RouterName): number[] =>
    rows.filter((row) => row.router === router).map((row) => row.ratio);
  const [secure, paper] = [Math.max(...ratios('secure')), Math.max(...ratios('paper'))];
  const disjoint = Math.min(...ratios('disjoint'));
  // On a ring it has two ways only, as two disjoint paths have.
  const flooding = Math.min(
    ...rows
      .filter((row) => row.router === 'flooding' && !row.network.startsWith('ring'))
      .map((row) => row.ratio),
  );
  const say = (text: string, needed: string, ours: string, holds: boolean): Claim =>
    claim('cost', '1', text, needed, ours, holds);
  return {
    figures: [
      {
        key: 'cost',
        title: 'Cost without adversaries',
        subtitle:
          `one flow, ${COST_RATE} packets of ${COST_BYTES} bytes a second, ` +
          `${duration / SECOND} s; mean of ${networks.map((n) => n.name).join(', ')}`,
        xLabel: 'bytes on all wires per byte delivered, over those of link state',
        yLabel: '',
        top: null,
        series: [],
        bars: ROUTERS.flatMap((router) =>
          SERVICES.map(([service]) => {
            const chosen = rows.filter((row) => row.router === router && row.service === service);
            return {
              name: `${ROUTER_TITLES[router]}, ${service}`,
              value: chosen.reduce((sum, row) => sum + row.ratio, 0) / chosen.length,
              given: router === 'link-state',
            };
          }),
        ),
        columns: [
          'network',
          'service',
          'router',
          'wire_bytes',
          'delivered_bytes',
          'wire_bytes_per_byte',
          'over_link_state',
        ],
        rows: rows.map((row) => [
          row.network,
          row.service,
          row.router,
          row.wireBytes,
          row.payloadBytes,
          round(row.perByte),
          round(row.ratio),
        ]),
      },
    ],
    claims: [
      say('secure mode costs, over link state, at most', '1.15', secure.toFixed(3), secure <= 1.15),
      say(
        'paper mode, which acknowledges each packet, costs at most',
        '1.5',
        paper.toFixed(3),
        paper <= 1.5,
      ),
      say('two disjoint paths cost at least', '1.9', disjoint.toFixed(3), disjoint >= 1.9),
      say('flooding costs, except on the ring, at least', '3', flooding.toFixed(3), flooding >= 3),
    ],
  };
}
