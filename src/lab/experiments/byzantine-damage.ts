/**
 * How much an adversary can harm for ever, who knows the rules and stays within them.
 *
 * One of the experiments of byzantine-figures.ts. Invariant: the same options give the same values.
 */

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { capExponent } from '../../core/byzantine/options.ts';
import type { LineSeries } from '../report/line-plot.ts';
import { byzantineModes } from '../../core/node/config.ts';
import { Lab, pairsOf, type Edge } from './byzantine-figures-lab.ts';
import { cut, heal } from '../sim/faults.ts';
import {
  ceilLog2,
  claim,
  round,
  type ByzantineFigure,
  type ByzantineFiguresOptions,
  type Claim,
  type Experiment,
} from './byzantine-experiment.ts';
import { lossesPerFault } from './byzantine-localisation.ts';

const MS = MILLISECOND;

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

interface ModeRun extends DamageRun {
  readonly mode: 'paper' | 'secure';
}

/** The experiment, its figures and its claims. */
export function damage({ quick, onRun }: ByzantineFiguresOptions): Experiment {
  const duration = (quick ? 60 : 1_200) * SECOND;
  const modes = ['paper', 'secure'] as const;
  const runs = modes.map((mode): ModeRun => {
    onRun?.(`damage: ${mode} mode`);
    return { mode, ...damageRun(mode, duration, 2 * SECOND) };
  });
  return { figures: [figureOf(runs)], claims: claimsOf(runs) };
}

function figureOf(runs: readonly ModeRun[]): ByzantineFigure {
  return {
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
  };
}

function claimsOf(runs: readonly ModeRun[]): Claim[] {
  const most = (run: ModeRun): number => Math.max(...run.samples.map((sample) => sample.damage));
  return runs.flatMap((run) => [
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
  ]);
}
