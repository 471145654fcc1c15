/**
 * What each router sends beside data while nobody attacks, by rate.
 *
 * One of the experiments of byzantine-figures.ts. Invariant: the same options give the same values.
 */

import { SECOND, type Micros } from '../../core/base/time.ts';
import { Lab, ROUTER_TITLES, type RouterName } from './byzantine-figures-lab.ts';
import {
  claim,
  percent,
  type ByzantineFigure,
  type ByzantineFiguresOptions,
  type Claim,
  type Experiment,
} from './byzantine-experiment.ts';
import { DELIVERY_NODES, deliveryScene } from './byzantine-delivery.ts';
import { COST_BYTES } from './byzantine-cost.ts';

type OverheadRun = ReturnType<typeof overheadRun>;

/** One flow without adversaries. */
function overheadRun(rate: number, router: RouterName, duration: Micros) {
  const scene = deliveryScene(1, DELIVERY_NODES, 1, 0);
  const [from, to] = scene.pairs[0]!;
  const lab = new Lab({ router, seed: 1, nodes: DELIVERY_NODES, edges: scene.edges });
  const flow = lab.flow(from, to, rate, COST_BYTES, duration);
  lab.run(duration + SECOND);
  const source = [...(lab.host(from).node.byzantine?.flows() ?? [])][0];
  const totals = lab.world.hosts.flatMap((host) => host.node.byzantine?.totals ?? []);
  const { carried } = lab;
  return {
    rate,
    router,
    carried,
    sent: flow.sent,
    delivered: flow.meter.delivered,
    links: source?.main === null || source === undefined ? NaN : source.main.path.nodes.length - 1,
    faults: totals.reduce((sum, { faults }) => sum + faults, 0),
    convictions: totals.reduce((sum, { convictions }) => sum + convictions, 0),
    pct: percent(carried.acks + carried.routes, carried.data),
  };
}

/** The experiment, its figures and its claims. */
export function overhead({ quick, onRun }: ByzantineFiguresOptions): Experiment {
  const rates = quick ? [5, 50, 200] : [1, 5, 10, 25, 50, 100, 200];
  const duration = (quick ? 10 : 30) * SECOND;
  const routers: readonly RouterName[] = ['on-demand', 'paper', 'secure'];
  const runs = rates.flatMap((rate) =>
    routers.map((router) => {
      onRun?.(`overhead: ${ROUTER_TITLES[router]}, ${rate} packets a second`);
      return overheadRun(rate, router, duration);
    }),
  );
  const of = (router: RouterName): OverheadRun[] => runs.filter((run) => run.router === router);
  const quiet = runs.every(
    (run) => run.faults === 0 && run.convictions === 0 && run.delivered === run.sent,
  );
  const fastest = (router: RouterName): OverheadRun => of(router).at(-1)!;
  const acksPerPacket = (router: RouterName): number =>
    fastest(router).carried.ackPackets / fastest(router).links / fastest(router).sent;
  const say = (text: string, needed: string, ours: string, holds: boolean): Claim =>
    claim('overhead', '1', text, needed, ours, holds);
  return {
    figures: [figureOf(runs, routers, duration)],
    claims: [
      say('no faults, no convictions, nothing lost', '0', quiet ? '0' : 'some', quiet),
      say(
        'paper mode: acknowledgements for each packet',
        '1',
        acksPerPacket('paper').toFixed(3),
        Math.abs(acksPerPacket('paper') - 1) < 0.01,
      ),
      say(
        `secure mode at ${rates.at(-1)!} packets a second: acknowledgements for each packet`,
        'at most 0.6',
        acksPerPacket('secure').toFixed(3),
        acksPerPacket('secure') <= 0.6,
      ),
      say(
        `secure mode at ${rates.at(-1)!} packets a second: control over data`,
        'at most 10 %',
        `${fastest('secure').pct.toFixed(2)} %`,
        fastest('secure').pct <= 10,
      ),
    ],
  };
}

function figureOf(
  runs: readonly OverheadRun[],
  routers: readonly RouterName[],
  duration: Micros,
): ByzantineFigure {
  return {
    key: 'overhead',
    title: 'Control overhead without adversaries',
    subtitle:
      `${DELIVERY_NODES} nodes, one flow of ${COST_BYTES}-byte messages, ` +
      `${duration / SECOND} s, its discovery included`,
    xLabel: 'packets a second',
    yLabel: 'control over data, % of packet bytes',
    top: 40,
    bars: [],
    series: routers.map((router) => ({
      name: ROUTER_TITLES[router],
      points: runs
        .filter((run) => run.router === router)
        .map((run) => ({ x: run.rate, y: run.pct })),
    })),
    columns: [
      'router',
      'packets_per_second',
      'sent',
      'delivered',
      'data_bytes',
      'ack_packets',
      'ack_bytes',
      'route_packets',
      'route_bytes',
      'control_pct',
      'faults',
      'convictions',
    ],
    rows: runs.map((run) => [
      run.router,
      run.rate,
      run.sent,
      run.delivered,
      run.carried.data,
      run.carried.ackPackets,
      run.carried.acks,
      run.carried.routePackets,
      run.carried.routes,
      run.pct,
      run.faults,
      run.convictions,
    ]),
  };
}
