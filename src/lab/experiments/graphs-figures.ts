/**
 * Figures of graphs beside one path: what is in time under problems of an end, of both, and over a
 * month of problems, and what it costs.
 *
 * Owns the problems, the sums and the text. A month is not run as a whole: problems are drawn as
 * the model says, their beginning, a stretch of their middle and what follows are run, and the
 * middle counts for as long as the problem lasts; between problems nothing is lost. Two problems at
 * a time do not occur. Invariant: the same source gives the same bytes.
 */

import { Rng } from '../../core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import type { LossModel } from '../../core/emulation/link-settings.ts';
import type { Topology } from '../topology/topology.ts';
import { interval } from './figures-seeds.ts';
import { runGraphs, WAYS, type PartCount, type Problem, type WayName } from './graphs-lab.ts';

export interface GraphsOptions {
  readonly topology: Topology;
  /** Fewer seeds and problems. */
  readonly quick: boolean;
  readonly onRun?: (what: string) => void;
}

export interface GraphsTable {
  readonly key: string;
  readonly title: string;
  readonly columns: readonly string[];
  /** By way: mean and half of the interval of 95 % of each column. */
  readonly rows: readonly {
    readonly way: WayName;
    readonly cells: readonly { readonly mean: number; readonly half: number }[];
  }[];
}

const DAY: Micros = 86_400 * SECOND;
const SEEDS = 10,
  SEEDS_QUICK = 2;
const BEGINNING: Micros = 8 * SECOND,
  MIDDLE: Micros = 6 * SECOND,
  AFTER: Micros = 2 * SECOND;
const BURST: Micros = 50 * MILLISECOND;

interface Drawn extends Problem {
  readonly lengthUs: Micros;
}

interface Model {
  readonly name: string;
  draw(topology: Topology, rng: Rng, turn: number): Drawn;
}

/** Node, its links that lose, loss and length, of the model that the topology file tells of. */
const NODES: Model = {
  name: 'nodes',
  draw: (topology, rng, turn) => {
    const wires = wiresOf(topology, rng.below(topology.nodes.length));
    return drawn(rng, turn, rng.chance(0.5) ? wires : some(wires, 2, rng), 10, 1_800);
  },
};

/** Others, which have no target. */
const OTHERS: readonly Model[] = [
  {
    name: 'of 1 to 5 s',
    draw: (topology, rng, turn) =>
      drawn(rng, turn, wiresOf(topology, rng.below(topology.nodes.length)), 1, 5),
  },
  {
    name: 'single links',
    draw: (topology, rng, turn) => {
      const link = rng.below(topology.links.length);
      return drawn(rng, turn, [2 * link, 2 * link + 1], 10, 1_800);
    },
  },
  {
    name: 'two nodes',
    draw: (topology, rng, turn) => {
      const one = rng.below(topology.nodes.length),
        other = (one + 1 + rng.below(topology.nodes.length - 1)) % topology.nodes.length;
      const wires = new Set([...wiresOf(topology, one), ...wiresOf(topology, other)]);
      return drawn(rng, turn, [...wires], 10, 1_800);
    },
  },
];

/** Both directions of all links of a node. */
export function wiresOf({ links }: Topology, node: number): number[] {
  return links.flatMap(({ a, b }, i) => (a === node || b === node ? [2 * i, 2 * i + 1] : []));
}

/** Of pairs of wires so many. */
function some(wires: readonly number[], links: number, rng: Rng): number[] {
  const left = wires.filter((_, i) => i % 2 === 0);
  const out: number[] = [];
  for (let i = 0; i < links && left.length > 0; i += 1) {
    const [wire] = left.splice(rng.below(left.length), 1);
    out.push(wire!, wire! + 1);
  }
  return out;
}

function drawn(
  rng: Rng,
  turn: number,
  wires: readonly number[],
  leastS: number,
  mostS: number,
): Drawn {
  const rate = 0.05 + 0.55 * rng.unit();
  const lengthUs = Math.round(leastS * (mostS / leastS) ** rng.unit() * SECOND);
  return { wires, loss: turn % 2 === 0 ? losing(rate) : inBursts(rate), lengthUs };
}

function losing(rate: number): LossModel {
  return { kind: 'bernoulli', rate };
}

function inBursts(rate: number): LossModel {
  return {
    kind: 'bursts-in-time',
    goodUs: Math.round(BURST / rate - BURST),
    badUs: BURST,
    badFixed: false,
    lossGood: 0,
    lossBad: 1,
  };
}

/** One flow, at its full rate, for each kind of trouble. */
function table({ topology, quick, onRun }: GraphsOptions): GraphsTable {
  const [flow] = topology.flows;
  const from = wiresOf(topology, flow!.from),
    to = wiresOf(topology, flow!.to);
  const cases: readonly [string, Problem | null][] = [
    ['no problem', null],
    ['source', { wires: from, loss: losing(0.4) }],
    ['destination', { wires: to, loss: losing(0.4) }],
    ['both', { wires: [...from, ...to], loss: losing(0.4) }],
    ['both, bursts', { wires: [...from, ...to], loss: inBursts(0.4) }],
  ];
  const seeds = quick ? SEEDS_QUICK : SEEDS;
  const rows = WAYS.map((way) => {
    const cells = cases.flatMap(([name, problem]) => {
      const parts = Array.from({ length: seeds }, (_, i) => {
        onRun?.(`table: ${way}, ${name}, seed ${i + 1} of ${seeds}`);
        return runGraphs({
          topology,
          way,
          flows: [0],
          packetsPerSecond: 100,
          problem,
          seed: i + 1,
          partsUs: [4 * SECOND, 10 * SECOND, SECOND],
        })[1]!;
      });
      return [
        interval(parts.map(({ sent, inTime }) => (100 * inTime) / sent)),
        interval(parts.map(({ cost }) => cost)),
      ];
    });
    return { way, cells };
  });
  const columns = cases.flatMap(([name]) => [`${name} %`, 'cost']);
  const title = `${flow!.name}, 40 % lost on all links of an end, from 4 s on after it began`;
  return { key: 'table', title, columns, rows };
}

/** Over a month: seconds not in time, the part of the gap that is closed, and what it costs. */
function month(model: Model, key: string) {
  return ({ topology, quick, onRun }: GraphsOptions): GraphsTable => {
    const seeds = quick ? SEEDS_QUICK : SEEDS,
      problems = quick ? 4 : 12;
    const perDay = 2 * topology.nodes.length;
    const bySeed = Array.from({ length: seeds }, (_, i) => {
      const rng = new Rng(i + 1).fork('problems');
      const draws = Array.from({ length: problems }, (_one, turn) => ({
        problem: model.draw(topology, rng, turn),
        seed: rng.u32(),
      }));
      return WAYS.map((way) => {
        let missedS = 0,
          extra = 0,
          usual = 0;
        draws.forEach(({ problem, seed }, turn) => {
          onRun?.(`${key}: ${way}, problem ${turn + 1} of ${problems}, seed ${i + 1} of ${seeds}`);
          const beginning = Math.min(BEGINNING, problem.lengthUs);
          const [first, middle, after] = runGraphs({
            topology,
            way,
            flows: topology.flows.map((_flow, index) => index),
            packetsPerSecond: 20,
            problem,
            seed,
            partsUs: [beginning, problem.lengthUs > BEGINNING ? MIDDLE : SECOND, AFTER],
          }) as [PartCount, PartCount, PartCount];
          const restS = (problem.lengthUs - beginning) / SECOND;
          missedS += (missed(first) * beginning) / SECOND + missed(middle) * restS;
          missedS += (missed(after) * AFTER) / SECOND;
          extra += (first.cost * beginning) / SECOND + middle.cost * restS;
          usual += problem.lengthUs / SECOND;
        });
        const quiet = runGraphs({
          topology,
          way,
          flows: topology.flows.map((_flow, index) => index),
          packetsPerSecond: 20,
          problem: null,
          seed: i + 1,
          partsUs: [SECOND, 2 * SECOND, SECOND],
        })[1]!;
        const dayS = DAY / SECOND,
          inTroubleS = (usual / problems) * perDay;
        return {
          missedS: (missedS / problems) * perDay,
          cost:
            (quiet.cost * Math.max(0, dayS - inTroubleS) + (extra / problems) * perDay) /
            Math.max(dayS, inTroubleS),
        };
      });
    });
    const rows = WAYS.map((way, w) => ({
      way,
      cells: [
        interval(bySeed.map((ways) => ways[w]!.missedS)),
        interval(bySeed.map((ways) => closed(ways, w))),
        interval(bySeed.map((ways) => ways[w]!.cost)),
        interval(bySeed.map((ways) => ways[w]!.cost / ways[WAYS.indexOf('two')]!.cost)),
      ],
    }));
    const columns = ['not in time, s a day', '% of the gap closed', 'cost', 'of two paths'];
    const title = `month of problems (${model.name}): ${problems} drawn by each of ${seeds} seeds`;
    return { key, title, columns, rows };
  };
}

/** Of the gap between one path and flooding, in percent. */
function closed(ways: readonly { missedS: number }[], way: number): number {
  const one = ways[WAYS.indexOf('one path')]!.missedS,
    all = ways[WAYS.indexOf('flood')]!.missedS;
  return one === all ? 100 : (100 * (one - ways[way]!.missedS)) / (one - all);
}

function missed({ sent, inTime }: PartCount): number {
  return sent === 0 ? 0 : 1 - inTime / sent;
}

export const GRAPHS_TABLES: Readonly<Record<string, (options: GraphsOptions) => GraphsTable>> = {
  table,
  month: month(NODES, 'month'),
  short: month(OTHERS[0]!, 'short'),
  links: month(OTHERS[1]!, 'links'),
  nodes: month(OTHERS[2]!, 'nodes'),
};

export function graphsCsv({ columns, rows }: GraphsTable): string {
  const head = ['way', ...columns.flatMap((name) => [`"${name}"`, 'half'])];
  const lines = rows.map(({ way, cells }) => [
    `"${way}"`,
    ...cells.flatMap(({ mean, half }) => [mean.toFixed(4), half.toFixed(4)]),
  ]);
  return [head, ...lines].map((line) => `${line.join(',')}\n`).join('');
}

export function graphsText(tables: readonly GraphsTable[]): string {
  return tables
    .map(({ title, columns, rows }) => {
      const width = (name: string): number => Math.max(18, name.length + 2);
      const head = columns.map((name) => name.padStart(width(name))).join('');
      const lines = rows.map(
        ({ way, cells }) =>
          `  ${way.padEnd(10)}${cells
            .map(({ mean, half }, i) =>
              `${mean.toFixed(2)} ± ${half.toFixed(2)}`.padStart(width(columns[i]!)),
            )
            .join('')}`,
      );
      return `${title}\n  ${''.padEnd(10)}${head}\n${lines.join('\n')}\n`;
    })
    .join('\n');
}
