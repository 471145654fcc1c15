/**
 * How many losses it takes to find a faulty link, by the length of the path.
 *
 * One of the experiments of byzantine-figures.ts. Invariant: the same options give the same values.
 */

import { MILLISECOND, SECOND } from '../../core/base/time.ts';
import { faultLosses } from '../../core/byzantine/options.ts';
import type { LineSeries } from '../report/line-plot.ts';
import { byzantineModes } from '../../core/node/config.ts';
import { DATAGRAM_BYTES_MAX } from '../../core/wire/sizes.ts';
import { Lab, line, ROUTER_TITLES } from './byzantine-figures-lab.ts';
import {
  ceilLog2,
  claim,
  round,
  type ByzantineFigure,
  type ByzantineFiguresOptions,
  type Claim,
  type Experiment,
} from './byzantine-experiment.ts';

const MS = MILLISECOND;

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

/** The experiment, its figures and its claims. */
export function localisation({ quick, onRun }: ByzantineFiguresOptions): Experiment {
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
