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

type Mode = 'paper' | 'secure';
const MODES: readonly Mode[] = ['paper', 'secure'];
const COLUMNS = [
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
export function localisationRun(mode: Mode, links: number): LocalisationRun {
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
export function faultBound(mode: Mode, links: number): number {
  const { fullProbing, fullProbingHops } = byzantineModes[mode];
  return links === 1 ? 1 : fullProbing && links <= fullProbingHops ? 2 : ceilLog2(links) + 1;
}

/** Losses that make a fault. */
export function lossesPerFault(mode: Mode): number {
  return faultLosses(byzantineModes[mode].windowPackets, byzantineModes[mode].tolerance);
}

/** A run, and what the theory says of it. */
interface BoundedRun extends LocalisationRun {
  readonly mode: Mode;
  readonly faultBound: number;
  readonly lossBound: number;
}

/** The experiment, its figures and its claims. */
export function localisation({ quick, onRun }: ByzantineFiguresOptions): Experiment {
  const lengths = quick ? [1, 2, 4, 8, 16] : [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 17, 20, 24, 28, 32];
  const runs = MODES.flatMap((mode) =>
    lengths.map((links): BoundedRun => {
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
  return {
    figures: [
      {
        ...figureOf(runs, 'faults', 'faultBound'),
        key: 'faults',
        title: 'Faults until a link is convicted',
        yLabel: 'faults',
      },
      {
        ...figureOf(runs, 'lost', 'lossBound'),
        key: 'losses',
        title: 'Packets lost until a link is convicted',
        yLabel: 'packets',
      },
    ],
    claims: claimsOf(runs),
  };
}

function figureOf(
  runs: readonly BoundedRun[],
  value: 'faults' | 'lost',
  bound: 'faultBound' | 'lossBound',
): Omit<ByzantineFigure, 'key' | 'title' | 'yLabel'> {
  return {
    subtitle:
      `all data dropped at the middle of the path, ${LOCALISATION_RATE} packets a ` +
      'second, links of 5 ms',
    xLabel: 'links of the path',
    top: null,
    bars: [],
    columns: COLUMNS,
    rows: runs.map((run) => [
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
    ]),
    series: MODES.flatMap((mode, i): LineSeries[] => {
      const own = runs.filter((run) => run.mode === mode);
      return [
        {
          name: `${ROUTER_TITLES[mode]}`,
          color: i,
          points: own.map((run) => ({ x: run.links, y: run.faults === 0 ? NaN : run[value] })),
        },
        {
          name: `bound, ${mode} mode`,
          color: i,
          model: true,
          points: own.map((run) => ({ x: run.links, y: run[bound] })),
        },
      ];
    }),
  };
}

function claimsOf(runs: readonly BoundedRun[]): Claim[] {
  const say = (text: string, needed: string, ours: string, holds: boolean): Claim =>
    claim('localisation', '1', text, needed, ours, holds);
  return [
    say(
      'a link at the adversary is convicted, for every length and mode',
      `${runs.length} of ${runs.length}`,
      `${runs.filter((run) => run.right).length}`,
      runs.every((run) => run.right),
    ),
    ...MODES.flatMap((mode) => {
      const own = runs.filter((run) => run.mode === mode);
      return [
        say(
          `${mode} mode: faults until then, most`,
          mode === 'secure' ? '2' : 'ceil(log2 n) + 1',
          `${Math.max(...own.map((run) => run.faults))}`,
          own.every((run) => run.faults <= run.faultBound),
        ),
        say(
          `${mode} mode: packets lost until then, most`,
          'faults * (b + R T)',
          `${Math.max(...own.map((run) => run.lost))}`,
          own.every((run) => run.lost <= run.lossBound),
        ),
      ];
    }),
  ];
}
