/**
 * How much arrives while adversaries attack, by router, attack and number of them.
 *
 * One of the experiments of byzantine-figures.ts. Invariant: the same options give the same values.
 */

import { Rng } from '../../core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import type { LineSeries } from '../report/line-plot.ts';
import {
  joinedWithout,
  Lab,
  pairsOf,
  randomNetwork,
  ROUTER_TITLES,
  ROUTERS,
  type Edge,
  type RouterName,
} from './byzantine-figures-lab.ts';
import {
  claim,
  percent,
  type ByzantineFigure,
  type ByzantineFiguresOptions,
  type Claim,
  type Experiment,
} from './byzantine-experiment.ts';

const MS = MILLISECOND;

export const DELIVERY_NODES = 50,
  DELIVERY_FLOWS = 6,
  DELIVERY_RATE = 20,
  DELIVERY_BYTES = 500;
/** Routers that learn nothing from losses give the same in any second: their runs are short. */
const STATIC_RUN: Micros = 4 * SECOND;
const STATIC: readonly RouterName[] = ['link-state', 'disjoint', 'flooding'];

/**
 * Byzantine routing has converged when adversaries drop nothing for so long; it is given up after
 * LEARNING_MAX.
 */
const QUIET: Micros = 5 * SECOND,
  LEARNING_MAX: Micros = 120 * SECOND;

type Placement = 'random' | 'wormholes';

export interface DeliveryScene {
  readonly seed: number;
  readonly edges: readonly Edge[];
  /** Source and destination of each flow; never an adversary. */
  readonly pairs: readonly (readonly [number, number])[];
  /** In the order in which they turn bad; the honest rest joins all pairs whatever their number. */
  readonly adversaries: readonly number[];
}

/** Network, flows and `most` adversaries of a seed. */
export function deliveryScene(
  seed: number,
  nodes: number,
  flows: number,
  most: number,
): DeliveryScene {
  const rng = new Rng(seed).fork('delivery');
  for (;;) {
    const edges = randomNetwork(nodes, 4, 2 * MS, 20 * MS, rng);
    const order = rng.shuffle(Array.from({ length: nodes }, (_, i) => i));
    const pairs = Array.from({ length: flows }, (_, i): [number, number] => [
      order[2 * i]!,
      order[2 * i + 1]!,
    ]);
    const adversaries = order.slice(2 * flows, 2 * flows + most);
    const bad = new Set(adversaries);
    if (pairs.every(([from, to]) => joinedWithout(edges, bad, from, to)))
      return { seed, edges, pairs, adversaries };
  }
}

export interface DeliveryRun {
  /** Of the first part of the run. */
  readonly sent: number;
  readonly delivered: number;
  /**
   * Byzantine routing: how much longer than the first part it took until nothing was dropped for
   * QUIET.
   */
  readonly learningMs: number;
  /** Of the second part, after that. */
  readonly lateSent: number;
  readonly lateDelivered: number;
  readonly convictions: number;
  /** Convicted links neither end of which is an adversary. */
  readonly unsound: number;
  readonly dropped: number;
}

/**
 * One run: all adversaries drop data from the first packet on. `first`, `after`: lengths of its two
 * parts.
 */
export function deliveryRun(
  scene: DeliveryScene,
  router: RouterName,
  adversaries: number,
  placement: Placement,
  rush: boolean,
  first: Micros,
  after: Micros,
): DeliveryRun {
  const bad = scene.adversaries.slice(0, adversaries);
  const nodes = 1 + Math.max(...scene.edges.flatMap(({ a, b }) => [a, b]));
  const lab = new Lab({
    router,
    seed: scene.seed,
    nodes,
    edges: scene.edges,
    tunnels: placement === 'wormholes' ? pairsOf(bad) : [],
  });
  for (const node of bad) lab.blackHole(node, rush);
  const part = (duration: Micros): { sent: number; delivered: number } => {
    const flows = scene.pairs.map(([from, to]) =>
      lab.flow(from, to, DELIVERY_RATE, DELIVERY_BYTES, duration),
    );
    lab.run(duration);
    // What is under way at the end arrives in the next second, while the next part begins.
    return {
      get sent() {
        return flows.reduce((sum, flow) => sum + flow.sent, 0);
      },
      get delivered() {
        return flows.reduce((sum, flow) => sum + flow.meter.delivered, 0);
      },
    };
  };
  const still = STATIC.includes(router);
  const early = part(still ? STATIC_RUN : first);
  let learningUs = 0;
  if (router === 'paper' || router === 'secure') {
    for (
      let before = -1;
      lab.dropped !== before && learningUs < LEARNING_MAX;
      learningUs += QUIET
    ) {
      before = lab.dropped;
      part(QUIET);
    }
  }
  const late = still ? early : part(after);
  lab.run(SECOND);
  const ids = new Set(bad.map((node) => lab.host(node).id));
  const convictions = lab.world.hosts.flatMap((host) => host.node.byzantine?.convictions ?? []);
  return {
    sent: early.sent,
    delivered: early.delivered,
    learningMs: learningUs / MS,
    lateSent: late.sent,
    lateDelivered: late.delivered,
    convictions: lab.world.hosts.reduce(
      (sum, host) => sum + (host.node.byzantine?.totals.convictions ?? 0),
      0,
    ),
    unsound: convictions.filter(({ u, v }) => !ids.has(u) && !ids.has(v)).length,
    dropped: lab.dropped,
  };
}

interface DeliveryCell {
  readonly placement: Placement;
  readonly adversaries: number;
  readonly rush: boolean;
  readonly router: RouterName;
  readonly seed: number;
  readonly run: DeliveryRun;
}

/** The experiment, its figures and its claims. */
export function delivery({ quick, seeds, onRun }: ByzantineFiguresOptions): Experiment {
  const [first, after] = quick ? [15 * SECOND, 4 * SECOND] : [30 * SECOND, 10 * SECOND];
  const counts: Readonly<Record<Placement, readonly number[]>> = quick
    ? { random: [0, 4, 10], wormholes: [0, 10] }
    : { random: [0, 1, 2, 4, 6, 8, 10], wormholes: [0, 2, 4, 6, 8, 10] };
  const cells: DeliveryCell[] = [];
  for (let seed = 1; seed <= seeds; seed += 1) {
    const scene = deliveryScene(seed, DELIVERY_NODES, DELIVERY_FLOWS, 10);
    for (const placement of ['random', 'wormholes'] as const) {
      for (const adversaries of counts[placement]) {
        for (const router of ROUTERS) {
          // Without adversaries all placements are one; only on-demand requests wait, so that one
          // can hurry.
          for (const rush of router === 'on-demand' ? [false, true] : [false]) {
            const same =
              adversaries === 0
                ? cells.find(
                    (cell) =>
                      cell.adversaries === 0 && cell.seed === seed && cell.router === router,
                  )
                : undefined;
            onRun?.(
              `delivery, seed ${seed}: ${ROUTER_TITLES[router]}, ${adversaries} ` +
                `adversaries${placement === 'random' ? '' : ' with tunnels'}`,
            );
            cells.push({
              placement,
              adversaries,
              rush,
              router,
              seed,
              run:
                same?.run ?? deliveryRun(scene, router, adversaries, placement, rush, first, after),
            });
          }
        }
      }
    }
  }
  const pick = (
    placement: Placement,
    router: RouterName,
    rush: boolean,
    adversaries: number,
  ): DeliveryCell[] =>
    cells.filter(
      (cell) =>
        cell.placement === placement &&
        cell.router === router &&
        cell.rush === rush &&
        cell.adversaries === adversaries,
    );
  const share = (chosen: readonly DeliveryCell[], late: boolean): number =>
    percent(
      chosen.reduce((sum, { run }) => sum + (late ? run.lateDelivered : run.delivered), 0),
      chosen.reduce((sum, { run }) => sum + (late ? run.lateSent : run.sent), 0),
    );
  const least = (router: RouterName, late: boolean): number =>
    Math.min(...cells.filter((cell) => cell.router === router).map((cell) => share([cell], late)));
  const seedText = seeds === 1 ? '1' : `1-${seeds}`;
  const figureOf = (placement: Placement, late: boolean): ByzantineFigure => ({
    key: `${late ? 'converged' : 'delivery'}-${placement}`,
    title:
      `Delivery${late ? ' after convergence' : ''}: ` +
      (placement === 'random'
        ? 'black holes at random'
        : 'black holes with tunnels between all of them'),
    subtitle:
      `${DELIVERY_NODES} nodes, ${DELIVERY_FLOWS} flows of ${DELIVERY_RATE} packets a second; ` +
      (late
        ? `${after / SECOND} s, of Byzantine routing once nothing was dropped for ` +
          `${QUIET / SECOND} s`
        : `${first / SECOND} s from the first packet`) +
      `; seed ${seedText}`,
    xLabel: 'adversaries',
    yLabel: 'messages delivered, %',
    top: 100,
    bars: [],
    series: [
      ...ROUTERS.map(
        (router): LineSeries => ({
          name: ROUTER_TITLES[router],
          points: counts[placement].map((x) => ({
            x,
            y: share(pick(placement, router, false, x), late),
          })),
        }),
      ),
      {
        name: `${ROUTER_TITLES['on-demand']}; adversaries rush`,
        points: counts[placement].map((x) => ({
          x,
          y: share(pick(placement, 'on-demand', true, x), late),
        })),
      },
    ],
    columns: [
      'placement',
      'adversaries',
      'rush',
      'router',
      'seed',
      'sent',
      'delivered',
      'delivered_pct',
      'further_learning_ms',
      'late_sent',
      'late_delivered',
      'late_delivered_pct',
      'convictions',
      'convictions_of_honest_links',
      'dropped_by_adversaries',
    ],
    rows: cells
      .filter((cell) => cell.placement === placement)
      .map(({ adversaries, rush, router, seed, run }) => [
        placement,
        adversaries,
        rush ? 'yes' : 'no',
        router,
        seed,
        run.sent,
        run.delivered,
        percent(run.delivered, run.sent),
        run.learningMs,
        run.lateSent,
        run.lateDelivered,
        percent(run.lateDelivered, run.lateSent),
        run.convictions,
        run.unsound,
        run.dropped,
      ]),
  });
  const many = (placement: Placement): number => counts[placement].at(-1)!;
  const at = (placement: Placement, router: RouterName, rush = false): number =>
    share(pick(placement, router, rush, many(placement)), false);
  const say = (text: string, needed: string, ours: string, holds: boolean): Claim =>
    claim('delivery', seedText, text, needed, ours, holds);
  const learnt = (router: RouterName): string => {
    const own = cells.filter((cell) => cell.router === router);
    const slowest = Math.max(...own.map((cell) => cell.run.learningMs));
    return `${(first + slowest * MS) / SECOND} s`;
  };
  const [secureLate, paperLate] = [least('secure', true), least('paper', true)];
  const unsound = cells.reduce((sum, cell) => sum + cell.run.unsound, 0);
  const unprotected = Math.max(at('random', 'link-state'), at('random', 'on-demand'));
  const rushed = (rush: boolean): number =>
    (at('random', 'on-demand', rush) + at('wormholes', 'on-demand', rush)) / 2;
  return {
    figures: [
      figureOf('random', false),
      figureOf('random', true),
      figureOf('wormholes', false),
      figureOf('wormholes', true),
    ],
    claims: [
      say(
        `after convergence (${learnt('secure')} at most) secure mode delivers, in the worst run`,
        'at least 99 %',
        `${secureLate.toFixed(2)} %`,
        secureLate >= 99,
      ),
      say(
        `after convergence (${learnt('paper')} at most) paper mode delivers, in the worst run`,
        'at least 99 %',
        `${paperLate.toFixed(2)} %`,
        paperLate >= 99,
      ),
      say('convicted links that end at no adversary', '0', String(unsound), unsound === 0),
      say(
        'flooding delivers, in the worst run',
        '100 %',
        `${least('flooding', false).toFixed(2)} %`,
        least('flooding', false) === 100,
      ),
      say(
        `with ${many('random')} black holes link state and first arrival deliver at most`,
        'below 90 %',
        `${unprotected.toFixed(2)} %`,
        unprotected < 90,
      ),
      say(
        `link state with ${many('wormholes')}: tunnels make it worse than random placement`,
        `below ${at('random', 'link-state').toFixed(2)} %`,
        `${at('wormholes', 'link-state').toFixed(2)} %`,
        at('wormholes', 'link-state') < at('random', 'link-state'),
      ),
      say(
        'first arrival: adversaries that rush make it worse, mean of both placements',
        `below ${rushed(false).toFixed(2)} %`,
        `${rushed(true).toFixed(2)} %`,
        rushed(true) < rushed(false),
      ),
      say(
        `two disjoint paths with ${many('wormholes')} adversaries and tunnels deliver`,
        'below 90 %',
        `${at('wormholes', 'disjoint').toFixed(2)} %`,
        at('wormholes', 'disjoint') < 90,
      ),
    ],
  };
}
