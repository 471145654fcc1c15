/**
 * The experiments on Byzantine routing, in virtual time: five of them, each with the figures that
 * show it and the statements that it tests.
 *
 * Owns which runs there are and what is taken from each; networks, routers and attacks are
 * byzantine-figures-lab.ts's, text and pictures byzantine-figures-table.ts's. Bounds are those of
 * Awerbuch, Holmer, Nita-Rotaru and Rubens (WiSe 2002), section 5, and tighter ones that follow
 * from the same counting. Invariant: the same options give the same values.
 */

import { Rng } from '../../core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { capExponent, faultLosses } from '../../core/byzantine/options.ts';
import type { Bar, LineSeries } from '../report/line-plot.ts';
import { byzantineModes } from '../../core/node/config.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../core/wire/packet.ts';
import { DATAGRAM_BYTES_MAX } from '../../core/wire/sizes.ts';
import {
  grid,
  joinedWithout,
  Lab,
  line,
  pairsOf,
  randomNetwork,
  ring,
  ROUTER_TITLES,
  ROUTERS,
  type Edge,
  type RouterName,
} from './byzantine-figures-lab.ts';
import { cut, heal } from '../sim/faults.ts';

const MS = MILLISECOND;

export interface ByzantineFigure {
  /** Name of its files. */
  readonly key: string;
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Upper end of the y axis; default: the largest value. */
  readonly top: number | null;
  /** One of the two is not empty. */
  readonly series: readonly LineSeries[];
  readonly bars: readonly Bar[];
  /** The CSV: names, and a row for each run or sample. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** What should be so, and what was found. */
export interface Claim {
  readonly figure: string;
  readonly text: string;
  readonly needed: string;
  readonly ours: string;
  readonly seeds: string;
  readonly verdict: 'holds' | 'does not hold';
}

export interface Experiment {
  readonly figures: readonly ByzantineFigure[];
  readonly claims: readonly Claim[];
}

export interface ByzantineFiguresOptions {
  /** Fewer and shorter runs. */
  readonly quick: boolean;
  /** Networks and placements of the delivery figures, 1..100. */
  readonly seeds: number;
  readonly onRun?: (what: string) => void;
}

export const BYZANTINE_SEEDS = 3;
export const BYZANTINE_SEEDS_MAX = 100;

/** By name, in the order of the table. */
export const EXPERIMENTS: Readonly<
  Record<string, (options: ByzantineFiguresOptions) => Experiment>
> = { delivery, cost, localisation, damage, overhead };

function claim(
  figure: string,
  seeds: string,
  text: string,
  needed: string,
  ours: string,
  holds: boolean,
): Claim {
  return { figure, text, needed, ours, seeds, verdict: holds ? 'holds' : 'does not hold' };
}

/** Least b with 2^b >= n: ceil(log2 n), in whole numbers. */
export function ceilLog2(n: number): number {
  let exponent = 0;
  while (2 ** exponent < n) exponent += 1;
  return exponent;
}

function percent(part: number, whole: number): number {
  return whole === 0 ? NaN : Math.round((part / whole) * 100_000) / 1_000;
}

function round(value: number, digits = 3): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}

/*
 * ------------------------------------------------------------------ delivery against adversaries
 */

const DELIVERY_NODES = 50,
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

function delivery({ quick, seeds, onRun }: ByzantineFiguresOptions): Experiment {
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

/* ------------------------------------------------------------------ cost without adversaries */

const COST_BYTES = 1_000,
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

function cost({ quick, onRun }: ByzantineFiguresOptions): Experiment {
  const duration = (quick ? 5 : 60) * SECOND;
  const services = [
    ['best effort', SERVICE_BEST_EFFORT],
    ['reliable', SERVICE_RELIABLE],
  ] as const;
  const networks = costNetworks();
  const rows: {
    network: string;
    service: string;
    router: RouterName;
    wireBytes: number;
    payloadBytes: number;
    perByte: number;
    ratio: number;
  }[] = [];
  for (const network of networks) {
    const idle = idleBytes(network, duration);
    for (const [service, code] of services) {
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
          services.map(([service]) => {
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

/* ------------------------------------------------------------------ localisation */

const LOCALISATION_RATE = 100,
  LOCALISATION_BYTES = 1_000;
/** Datagrams of data are longer than this, those of requests and acknowledgements shorter. */
const LONG_DATAGRAM = 900;

export interface LocalisationRun {
  readonly links: number;
  /** Faults that it took, the last one convicts; 0 = nobody was convicted. */
  readonly faults: number;
  /** Packets that the adversary dropped until then. */
  readonly lost: number;
  /** Messages that the application lost in the whole run. */
  readonly applicationLost: number;
  /** Most packets whose fate was open at a time: what a rate and a timer make of R * T. */
  readonly open: number;
  readonly tookMs: number;
  /** The convicted link is the faulty one. */
  readonly right: boolean;
}

/**
 * A path of `links` links and another way beside it; the middle of the one in use drops all data.
 */
export function localisationRun(mode: 'paper' | 'secure', links: number): LocalisationRun {
  const second = Math.max(2, links);
  // 0 is the source, `links` the destination; the other way has the nodes behind it.
  const inner = Array.from({ length: second - 1 }, (_, i) => links + 1 + i);
  const way = [0, ...inner, links];
  const edges = [
    ...line(links + 1, 5 * MS),
    ...way.slice(1).map((b, i) => ({ a: way[i]!, b, latencyUs: (links === 1 ? 5 : 15) * MS })),
  ];
  let cut = false,
    cutDropped = 0;
  const lab: Lab = new Lab({
    router: mode,
    seed: 1,
    nodes: links + second,
    edges,
    // A single link has no node in between: the wire itself loses what carries messages, and not
    // the probes of its path's size.
    onArrival: (wire, bytes) => {
      if (
        !cut ||
        wire.from.index !== 0 ||
        wire.to.index !== links ||
        bytes.length < LONG_DATAGRAM ||
        bytes.length === DATAGRAM_BYTES_MAX
      )
        return true;
      cutDropped += 1;
      return false;
    },
  });
  const flow = lab.flow(0, links, LOCALISATION_RATE, LOCALISATION_BYTES, 120 * SECOND);
  lab.run(3 * SECOND);
  const router = lab.host(0).node.byzantine!;
  const source = [...router.flows()][0]!;
  const path = source.main!.path.nodes;
  const bad = lab.world.hosts.find((host) => host.id === path[path.length >> 1])!;
  const began = lab.world.now();
  if (links === 1) cut = true;
  else lab.blackHole(bad.index);
  let open = 0;
  while (router.convictions.length === 0 && lab.world.now() - began < 100 * SECOND) {
    lab.run(10 * MS);
    open = Math.max(open, source.main?.open ?? 0);
  }
  const [conviction] = router.convictions;
  const result = {
    links,
    faults: conviction === undefined ? 0 : source.faults + 1,
    lost: lab.dropped + cutDropped,
    open,
    tookMs: (lab.world.now() - began) / MS,
    right:
      conviction !== undefined &&
      (links === 1
        ? path.includes(conviction.u) && path.includes(conviction.v)
        : [conviction.u, conviction.v].includes(bad.id)),
  };
  lab.run(5 * SECOND);
  return { ...result, applicationLost: flow.sent - flow.meter.delivered };
}

/**
 * Faults to a conviction: WiSe 2002 says log n; with the first on the whole path and the last on
 * one link it is one more.
 */
export function faultBound(mode: 'paper' | 'secure', links: number): number {
  const { fullProbing, fullProbingHops } = byzantineModes[mode];
  return links === 1 ? 1 : fullProbing && links <= fullProbingHops ? 2 : ceilLog2(links) + 1;
}

/** Losses that make a fault. */
export function lossesPerFault(mode: 'paper' | 'secure'): number {
  return faultLosses(byzantineModes[mode].windowPackets, byzantineModes[mode].tolerance);
}

function localisation({ quick, onRun }: ByzantineFiguresOptions): Experiment {
  const lengths = quick ? [1, 2, 4, 8, 16] : [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 17, 20, 24, 28, 32];
  const modes = ['paper', 'secure'] as const;
  const runs = modes.flatMap((mode) =>
    lengths.map((links) => {
      onRun?.(`localisation: ${mode} mode, ${links} links`);
      const run = localisationRun(mode, links);
      return {
        mode,
        ...run,
        faultBound: faultBound(mode, links),
        lossBound: faultBound(mode, links) * (lossesPerFault(mode) + run.open),
      };
    }),
  );
  const of = (mode: string): typeof runs => runs.filter((run) => run.mode === mode);
  const columns = [
    'mode',
    'links',
    'faults',
    'fault_bound',
    'packets_lost',
    'loss_bound',
    'most_open',
    'application_lost',
    'took_ms',
    'right_link',
  ];
  const rows = runs.map((run) => [
    run.mode,
    run.links,
    run.faults,
    run.faultBound,
    run.lost,
    run.lossBound,
    run.open,
    run.applicationLost,
    round(run.tookMs),
    run.right ? 'yes' : 'no',
  ]);
  const figureOf = (
    key: string,
    title: string,
    yLabel: string,
    value: (run: (typeof runs)[number]) => number,
    bound: (run: (typeof runs)[number]) => number,
  ): ByzantineFigure => ({
    key,
    title,
    subtitle:
      `all data dropped at the middle of the path, ${LOCALISATION_RATE} packets a ` +
      'second, links of 5 ms',
    xLabel: 'links of the path',
    yLabel,
    top: null,
    bars: [],
    columns,
    rows,
    series: modes.flatMap((mode, i): LineSeries[] => [
      {
        name: `${ROUTER_TITLES[mode]}`,
        color: i,
        points: of(mode).map((run) => ({ x: run.links, y: run.faults === 0 ? NaN : value(run) })),
      },
      {
        name: `bound, ${mode} mode`,
        color: i,
        model: true,
        points: of(mode).map((run) => ({ x: run.links, y: bound(run) })),
      },
    ]),
  });
  const worst = (mode: string, value: (run: (typeof runs)[number]) => number): string =>
    `${Math.max(...of(mode).map(value))}`;
  const say = (text: string, needed: string, ours: string, holds: boolean): Claim =>
    claim('localisation', '1', text, needed, ours, holds);
  return {
    figures: [
      figureOf(
        'faults',
        'Faults until a link is convicted',
        'faults',
        (run) => run.faults,
        (run) => run.faultBound,
      ),
      figureOf(
        'losses',
        'Packets lost until a link is convicted',
        'packets',
        (run) => run.lost,
        (run) => run.lossBound,
      ),
    ],
    claims: [
      say(
        'a link at the adversary is convicted, for every length and mode',
        `${runs.length} of ${runs.length}`,
        `${runs.filter((run) => run.right).length}`,
        runs.every((run) => run.right),
      ),
      ...modes.flatMap((mode) => [
        say(
          `${mode} mode: faults until then, most`,
          mode === 'secure' ? '2' : 'ceil(log2 n) + 1',
          worst(mode, (run) => run.faults),
          of(mode).every((run) => run.faults <= run.faultBound),
        ),
        say(
          `${mode} mode: packets lost until then, most`,
          'faults * (b + R T)',
          worst(mode, (run) => run.lost),
          of(mode).every((run) => run.lost <= run.lossBound),
        ),
      ]),
    ],
  };
}

/* ------------------------------------------------------------------ damage */

const DAMAGE_ADVERSARIES = 3,
  DAMAGE_RATE = 50;
/**
 * Source 0, destination 1, adversaries 2 to 4 with a way of two links each, and a clean way of four
 * links.
 */
const DAMAGE_NODES = 8;
const DAMAGE_EDGES: readonly Edge[] = [
  ...[2, 3, 4].flatMap((node) => [
    { a: 0, b: node, latencyUs: 5 * MS },
    { a: node, b: 1, latencyUs: 5 * MS },
  ]),
  ...[
    [0, 5],
    [5, 6],
    [6, 7],
    [7, 1],
  ].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 5 * MS })),
];
const DAMAGE_CYCLE: Micros = 20 * SECOND;
/**
 * Lost packets that are held against nobody, over those delivered: a little above the threshold
 * (section 5).
 */
const RHO_OVER_TAU = 1.05;

interface DamageSample {
  readonly second: number;
  readonly sent: number;
  readonly lost: number;
  readonly damage: number;
}

export interface DamageRun {
  readonly samples: readonly DamageSample[];
  readonly paperBound: number;
  readonly tightBound: number;
  readonly convictions: number;
}

/**
 * Colluders on all short ways, each of which drops everything for half of a cycle and behaves for
 * the other: convicted, forgiven as packets pay for it, and bad again. Now and then the clean way
 * is cut for a second, so that its source must choose anew.
 */
export function damageRun(mode: 'paper' | 'secure', duration: Micros, stepUs: Micros): DamageRun {
  const adversaries = Array.from({ length: DAMAGE_ADVERSARIES }, (_, i) => 2 + i);
  const lab = new Lab({
    router: mode,
    seed: 7,
    nodes: DAMAGE_NODES,
    edges: DAMAGE_EDGES,
    tunnels: pairsOf(adversaries),
  });
  const began = lab.world.now();
  adversaries.forEach((node, i) => {
    lab.blackHole(
      node,
      false,
      () =>
        (lab.world.now() - began + (i * DAMAGE_CYCLE) / DAMAGE_ADVERSARIES) % DAMAGE_CYCLE <
        DAMAGE_CYCLE / 2,
    );
  });
  const [source, honest] = [lab.host(0), lab.host(5)];
  for (let at = 2 * DAMAGE_CYCLE; at < duration; at += 2 * DAMAGE_CYCLE) {
    lab.world.schedule(began + at, () => cut(source, honest));
    lab.world.schedule(began + at + SECOND, () => heal(source, honest));
  }
  const flow = lab.flow(0, 1, DAMAGE_RATE, 500, duration);
  const { tolerance, weightCap } = byzantineModes[mode];
  const rho = tolerance * RHO_OVER_TAU,
    b = lossesPerFault(mode);
  const router = source.node.byzantine!;
  const samples: DamageSample[] = [];
  let open = 0;
  for (let at = stepUs; at <= duration; at += stepUs) {
    for (let i = 0; i < 20; i += 1) {
      lab.run(stepUs / 20);
      for (const one of router.flows()) open = Math.max(open, one.main?.open ?? 0);
    }
    // What is under way, or went down with the cut link, was not lost to an adversary; what came on
    // a second path was not lost.
    const lost = Math.min(lab.dropped, flow.sent - flow.meter.delivered);
    samples.push({
      second: at / SECOND,
      sent: flow.sent,
      lost,
      damage: lost - rho * flow.meter.delivered,
    });
  }
  // Tunnels are among the links with an adversary at an end.
  const badLinks = 2 * DAMAGE_ADVERSARIES + pairsOf(adversaries).length;
  const log = ceilLog2(DAMAGE_NODES);
  return {
    samples,
    convictions: router.totals.convictions,
    paperBound: b * DAMAGE_ADVERSARIES * DAMAGE_NODES * log * log,
    tightBound: badLinks * capExponent(weightCap, DAMAGE_NODES) * (b + open) * (log + 1),
  };
}

function damage({ quick, onRun }: ByzantineFiguresOptions): Experiment {
  const duration = (quick ? 60 : 1_200) * SECOND;
  const modes = ['paper', 'secure'] as const;
  const runs = modes.map((mode) => {
    onRun?.(`damage: ${mode} mode`);
    return { mode, ...damageRun(mode, duration, 2 * SECOND) };
  });
  const most = (run: (typeof runs)[number]): number =>
    Math.max(...run.samples.map((sample) => sample.damage));
  return {
    figures: [
      {
        key: 'damage',
        title: 'Damage over time: q- - rho q+',
        subtitle:
          `${DAMAGE_ADVERSARIES} colluders among ${DAMAGE_NODES} nodes drop all data for ` +
          `half of every ${DAMAGE_CYCLE / SECOND} s; ${DAMAGE_RATE} packets a second, rho ` +
          `${RHO_OVER_TAU} tau`,
        xLabel: 'seconds',
        yLabel: 'messages',
        top: null,
        bars: [],
        series: [
          ...runs.map(
            (run, i): LineSeries => ({
              name: `${run.mode} mode`,
              color: i,
              plain: true,
              points: run.samples.map((sample) => ({ x: sample.second, y: sample.damage })),
            }),
          ),
          ...runs.map(
            (run, i): LineSeries => ({
              name: `bound by links and timers, ${run.mode} mode: ${run.tightBound}`,
              color: i,
              model: true,
              points:
                run.tightBound > 4 * run.paperBound
                  ? []
                  : run.samples.map((sample) => ({ x: sample.second, y: run.tightBound })),
            }),
          ),
          {
            name: `bound of the paper, b k n log² n: ${runs[0]!.paperBound}`,
            color: 2,
            model: true,
            points: runs[0]!.samples.map((sample) => ({
              x: sample.second,
              y: runs[0]!.paperBound,
            })),
          },
        ],
        columns: ['mode', 'second', 'sent', 'lost', 'damage', 'paper_bound', 'tight_bound'],
        rows: runs.flatMap((run) =>
          run.samples.map(({ second, sent, lost, damage: of }) => [
            run.mode,
            second,
            sent,
            lost,
            round(of),
            run.paperBound,
            run.tightBound,
          ]),
        ),
      },
    ],
    claims: runs.flatMap((run) => [
      claim(
        'damage',
        '7',
        `${run.mode} mode: q- - rho q+ at any time, most (${run.convictions} convictions)`,
        `paper's bound ${run.paperBound}`,
        most(run).toFixed(1),
        most(run) <= run.paperBound,
      ),
      claim(
        'damage',
        '7',
        `${run.mode} mode: the same beside the bound by links and timers`,
        `at most ${run.tightBound}`,
        most(run).toFixed(1),
        most(run) <= run.tightBound,
      ),
    ]),
  };
}

/*
 * ------------------------------------------------------------------ overhead without adversaries
 */

function overhead({ quick, onRun }: ByzantineFiguresOptions): Experiment {
  const rates = quick ? [5, 50, 200] : [1, 5, 10, 25, 50, 100, 200];
  const duration = (quick ? 10 : 30) * SECOND;
  const routers: readonly RouterName[] = ['on-demand', 'paper', 'secure'];
  const scene = deliveryScene(1, DELIVERY_NODES, 1, 0);
  const [from, to] = scene.pairs[0]!;
  const runs = rates.flatMap((rate) =>
    routers.map((router) => {
      onRun?.(`overhead: ${ROUTER_TITLES[router]}, ${rate} packets a second`);
      const lab = new Lab({ router, seed: 1, nodes: DELIVERY_NODES, edges: scene.edges });
      const flow = lab.flow(from, to, rate, COST_BYTES, duration);
      lab.run(duration + SECOND);
      const source = [...(lab.host(from).node.byzantine?.flows() ?? [])][0];
      const { carried } = lab;
      return {
        rate,
        router,
        carried,
        sent: flow.sent,
        delivered: flow.meter.delivered,
        links:
          source?.main === null || source === undefined ? NaN : source.main.path.nodes.length - 1,
        faults: lab.world.hosts.reduce(
          (sum, host) => sum + (host.node.byzantine?.totals.faults ?? 0),
          0,
        ),
        convictions: lab.world.hosts.reduce(
          (sum, host) => sum + (host.node.byzantine?.totals.convictions ?? 0),
          0,
        ),
        pct: percent(carried.acks + carried.routes, carried.data),
      };
    }),
  );
  const of = (router: RouterName): typeof runs => runs.filter((run) => run.router === router);
  const quiet = runs.every(
    (run) => run.faults === 0 && run.convictions === 0 && run.delivered === run.sent,
  );
  const fastest = (router: RouterName): (typeof runs)[number] => of(router).at(-1)!;
  const acksPerPacket = (router: RouterName): number =>
    fastest(router).carried.ackPackets / fastest(router).links / fastest(router).sent;
  const say = (text: string, needed: string, ours: string, holds: boolean): Claim =>
    claim('overhead', '1', text, needed, ours, holds);
  return {
    figures: [
      {
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
          points: of(router).map((run) => ({ x: run.rate, y: run.pct })),
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
      },
    ],
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
