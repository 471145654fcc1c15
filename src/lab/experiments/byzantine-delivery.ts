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

const COLUMNS = [
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
];

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

/** How long, and with how many adversaries, of a set of runs. */
interface DeliveryPlan {
  /** The two parts of a run. */
  readonly first: Micros;
  readonly after: Micros;
  readonly counts: Readonly<Record<Placement, readonly number[]>>;
  readonly seeds: number;
}

function planOf({ quick, seeds }: ByzantineFiguresOptions): DeliveryPlan {
  return quick
    ? {
        first: 15 * SECOND,
        after: 4 * SECOND,
        counts: { random: [0, 4, 10], wormholes: [0, 10] },
        seeds,
      }
    : {
        first: 30 * SECOND,
        after: 10 * SECOND,
        counts: { random: [0, 1, 2, 4, 6, 8, 10], wormholes: [0, 2, 4, 6, 8, 10] },
        seeds,
      };
}

/** What is asked of all runs of a plan. */
class Cells {
  readonly plan: DeliveryPlan;
  readonly all: DeliveryCell[] = [];

  constructor(plan: DeliveryPlan) {
    this.plan = plan;
  }

  /** Runs the plan; `onRun` hears of each run before it begins. */
  run(onRun: ByzantineFiguresOptions['onRun']): void {
    for (let seed = 1; seed <= this.plan.seeds; seed += 1) {
      const scene = deliveryScene(seed, DELIVERY_NODES, DELIVERY_FLOWS, 10);
      // Only on-demand requests wait, so that one can hurry.
      for (const placement of ['random', 'wormholes'] as const)
        for (const adversaries of this.plan.counts[placement])
          for (const router of ROUTERS)
            for (const rush of router === 'on-demand' ? [false, true] : [false]) {
              onRun?.(
                `delivery, seed ${seed}: ${ROUTER_TITLES[router]}, ${adversaries} ` +
                  `adversaries${placement === 'random' ? '' : ' with tunnels'}`,
              );
              this.#add(scene, { placement, adversaries, rush, router, seed });
            }
    }
  }

  #add(scene: DeliveryScene, cell: Omit<DeliveryCell, 'run'>): void {
    const { placement, adversaries, rush, router, seed } = cell;
    // Without adversaries all placements are one.
    const same =
      adversaries === 0
        ? this.all.find(
            (one) => one.adversaries === 0 && one.seed === seed && one.router === router,
          )
        : undefined;
    const { first, after } = this.plan;
    const run = same?.run ?? deliveryRun(scene, router, adversaries, placement, rush, first, after);
    this.all.push({ ...cell, run });
  }

  get seedText(): string {
    return this.plan.seeds === 1 ? '1' : `1-${this.plan.seeds}`;
  }

  /** Percent that was delivered, over all seeds; `late`: of the second part. */
  delivered(
    placement: Placement,
    router: RouterName,
    rush: boolean,
    adversaries: number,
    late: boolean,
  ): number {
    return share(
      this.all.filter(
        (cell) =>
          cell.placement === placement &&
          cell.router === router &&
          cell.rush === rush &&
          cell.adversaries === adversaries,
      ),
      late,
    );
  }

  /** The most adversaries that there are. */
  many(placement: Placement): number {
    return this.plan.counts[placement].at(-1)!;
  }

  /** Percent delivered of the first part, with as many adversaries as there are. */
  at(placement: Placement, router: RouterName, rush = false): number {
    return this.delivered(placement, router, rush, this.many(placement), false);
  }

  /** Percent of the worst run. */
  least(router: RouterName, late: boolean): number {
    return Math.min(
      ...this.all.filter((cell) => cell.router === router).map((cell) => share([cell], late)),
    );
  }

  /** How long it took at most until nothing was dropped. */
  learnt(router: RouterName): string {
    const own = this.all.filter((cell) => cell.router === router);
    const slowest = Math.max(...own.map((cell) => cell.run.learningMs));
    return `${(this.plan.first + slowest * MS) / SECOND} s`;
  }
}

function share(cells: readonly DeliveryCell[], late: boolean): number {
  return percent(
    cells.reduce((sum, { run }) => sum + (late ? run.lateDelivered : run.delivered), 0),
    cells.reduce((sum, { run }) => sum + (late ? run.lateSent : run.sent), 0),
  );
}

/** The experiment, its figures and its claims. */
export function delivery(options: ByzantineFiguresOptions): Experiment {
  const cells = new Cells(planOf(options));
  cells.run(options.onRun);
  return {
    figures: [
      figureOf(cells, 'random', false),
      figureOf(cells, 'random', true),
      figureOf(cells, 'wormholes', false),
      figureOf(cells, 'wormholes', true),
    ],
    claims: [...claimsOfConvergence(cells), ...claimsOfOthers(cells)],
  };
}

function figureOf(cells: Cells, placement: Placement, late: boolean): ByzantineFigure {
  const { first, after, counts } = cells.plan;
  const pointsOf = (router: RouterName, rush: boolean): LineSeries['points'] =>
    counts[placement].map((x) => ({ x, y: cells.delivered(placement, router, rush, x, late) }));
  return {
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
      `; seed ${cells.seedText}`,
    xLabel: 'adversaries',
    yLabel: 'messages delivered, %',
    top: 100,
    bars: [],
    series: [
      ...ROUTERS.map((router) => ({
        name: ROUTER_TITLES[router],
        points: pointsOf(router, false),
      })),
      {
        name: `${ROUTER_TITLES['on-demand']}; adversaries rush`,
        points: pointsOf('on-demand', true),
      },
    ],
    columns: COLUMNS,
    rows: cells.all.filter((cell) => cell.placement === placement).map(rowOf),
  };
}

function rowOf(cell: DeliveryCell): ByzantineFigure['rows'][number] {
  const { placement, adversaries, rush, router, seed, run } = cell;
  return [
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
  ];
}

type Say = (text: string, needed: string, ours: string, holds: boolean) => Claim;

function sayer(cells: Cells): Say {
  return (text, needed, ours, holds) =>
    claim('delivery', cells.seedText, text, needed, ours, holds);
}

function claimsOfConvergence(cells: Cells): Claim[] {
  const say = sayer(cells);
  const [secureLate, paperLate] = [cells.least('secure', true), cells.least('paper', true)];
  const unsound = cells.all.reduce((sum, cell) => sum + cell.run.unsound, 0);
  return [
    say(
      `after convergence (${cells.learnt('secure')} at most) secure mode delivers, in the worst ` +
        'run',
      'at least 99 %',
      `${secureLate.toFixed(2)} %`,
      secureLate >= 99,
    ),
    say(
      `after convergence (${cells.learnt('paper')} at most) paper mode delivers, in the worst run`,
      'at least 99 %',
      `${paperLate.toFixed(2)} %`,
      paperLate >= 99,
    ),
    say('convicted links that end at no adversary', '0', String(unsound), unsound === 0),
  ];
}

/** Of the routers that ours is compared with. */
function claimsOfOthers(cells: Cells): Claim[] {
  const say = sayer(cells);
  const flooding = cells.least('flooding', false);
  const unprotected = Math.max(cells.at('random', 'link-state'), cells.at('random', 'on-demand'));
  const rushed = (rush: boolean): number =>
    (cells.at('random', 'on-demand', rush) + cells.at('wormholes', 'on-demand', rush)) / 2;
  const [random, tunnels] = [cells.at('random', 'link-state'), cells.at('wormholes', 'link-state')];
  const disjoint = cells.at('wormholes', 'disjoint');
  return [
    say(
      'flooding delivers, in the worst run',
      '100 %',
      `${flooding.toFixed(2)} %`,
      flooding === 100,
    ),
    say(
      `with ${cells.many('random')} black holes link state and first arrival deliver at most`,
      'below 90 %',
      `${unprotected.toFixed(2)} %`,
      unprotected < 90,
    ),
    say(
      `link state with ${cells.many('wormholes')}: tunnels make it worse than random placement`,
      `below ${random.toFixed(2)} %`,
      `${tunnels.toFixed(2)} %`,
      tunnels < random,
    ),
    say(
      'first arrival: adversaries that rush make it worse, mean of both placements',
      `below ${rushed(false).toFixed(2)} %`,
      `${rushed(true).toFixed(2)} %`,
      rushed(true) < rushed(false),
    ),
    say(
      `two disjoint paths with ${cells.many('wormholes')} adversaries and tunnels deliver`,
      'below 90 %',
      `${disjoint.toFixed(2)} %`,
      disjoint < 90,
    ),
  ];
}
