/**
 * `spines figures SET`: runs a set of experiments in virtual time and writes what they give beside
 * what is said of them.
 *
 * Owns the flags and the files written. The set of a paper is a folder of topologies/, whose files'
 * figures are run by src/lab/experiments/figures.ts; the set "byzantine" is
 * src/lab/experiments/byzantine-figures.ts's, "transport"
 * src/lab/experiments/transport-figures.ts's, "realtime"
 * src/lab/experiments/realtime-figures.ts's, "graphs" src/lab/experiments/graphs-figures.ts's.
 * Invariant: nothing is written before the last run of a figure is done.
 */

import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';

import { readText } from '../host/files/text-file.ts';
import { makeFolder, replaceWhole } from '../host/files/whole-file.ts';
import { usage } from './terminal/failure.ts';
import { helpBelow } from './terminal/help-text.ts';
import { note, print } from './terminal/output.ts';
import { Progress } from './terminal/progress.ts';
import { integerArg } from './terminal/values.ts';

export interface FiguresFlags {
  out: string;
  only?: string;
  messages?: number;
  seed?: number;
  seeds?: number;
  quick?: boolean;
}

const SETS = ['dsn03', 'byzantine', 'transport', 'realtime', 'graphs'] as const;
const MESSAGES_MAX = 10_000_000;
const SEEDS_MAX = 100;

export function registerFigures(program: Command): void {
  program
    .command('figures <set>')
    .description(
      'run a set of experiments in virtual time: CSV, plots, and what is said of them beside ' +
        'what was found',
    )
    .requiredOption('--out <dir>', 'write a CSV and an SVG for each figure, and the table, there')
    .option('--only <figures>', 'only these, as in fig3,fig9,table1 or delivery,cost')
    .option(
      '--messages <n>',
      'dsn03: messages of each run (default 20000; the paper sent 200000)',
      integerArg(1, MESSAGES_MAX),
    )
    .option('--seed <n>', "dsn03: another seed than the files'", integerArg(0, 0xffff_ffff))
    .option(
      '--seeds <n>',
      'dsn03: so many seeds, means and intervals of 95 % (default 1); byzantine: networks and ' +
        'placements of adversaries (default 3, with --quick 1)',
      integerArg(1, SEEDS_MAX),
    )
    .option('--quick', 'byzantine, transport, realtime, graphs: fewer and shorter runs')
    .addHelpText(
      'after',
      helpBelow(`Sets:
  dsn03      Amir and Danilov, "Reliable Communication in Overlay Networks", DSN 2003
  byzantine  routing under adversaries, beside link state, first arrival on demand, \
two disjoint paths and flooding
  transport  tables of delay, fairness, outages and flaps under conditions \
nobody tuned for (all: half an hour)
  realtime   what is late or lost over time and loss, beside best effort and reliable
  graphs     what is in time under problems of nodes and over a month of them, by one path, \
two, and graphs`),
    )
    .action(figures);
}

async function figures(set: string, flags: FiguresFlags): Promise<void> {
  if (!(SETS as readonly string[]).includes(set))
    throw usage(`there is no set ${set}; sets are ${SETS.join(', ')}`);
  if (flags.out === '') throw usage('--out is empty; give a folder');
  const foreign = (
    set === 'byzantine'
      ? (['messages', 'seed'] as const)
      : set === 'transport' || set === 'realtime' || set === 'graphs'
        ? (['messages', 'seed', 'seeds'] as const)
        : (['quick'] as const)
  ).find((flag) => flags[flag] !== undefined);
  if (foreign !== undefined) throw usage(`--${foreign} is not for the set ${set}`);
  if (set === 'byzantine') await byzantineFigures(flags);
  else if (set === 'transport') await transportTables(flags);
  else if (set === 'realtime') await realtimeFigures(flags);
  else if (set === 'graphs') await graphsFigures(flags);
  else await paperFigures(set, flags);
}

async function byzantineFigures(flags: FiguresFlags): Promise<void> {
  const { BYZANTINE_SEEDS, EXPERIMENTS } = await import('../lab/experiments/byzantine-figures.ts');
  const { byzantineCsv, byzantineMarkdown, byzantineSvg, claimsCsv, claimsJson, claimsText } =
    await import('../lab/experiments/byzantine-figures-table.ts');
  const chosen = choose(Object.keys(EXPERIMENTS), flags.only);
  makeFolder(flags.out);
  const write = (name: string, text: string): void => replaceWhole(join(flags.out, name), text);
  const progress = new Progress(process.stderr);
  const results: ReturnType<(typeof EXPERIMENTS)[string]>[] = [];
  const quick = flags.quick === true;
  try {
    for (const name of chosen) {
      const result = EXPERIMENTS[name]!({
        quick,
        seeds: flags.seeds ?? (quick ? 1 : BYZANTINE_SEEDS),
        onRun: (what) => progress.show(what),
      });
      for (const figure of result.figures) {
        write(`${figure.key}.csv`, byzantineCsv(figure));
        write(`${figure.key}.svg`, byzantineSvg(figure));
      }
      results.push(result);
    }
  } finally {
    progress.clear();
  }
  const claims = results.flatMap((result) => result.claims);
  const table = `${claimsText(claims)}\n`;
  const command = commandOf('byzantine', flags);
  write('byzantine.md', byzantineMarkdown(results, command));
  write('byzantine.txt', table);
  write('table.csv', claimsCsv(claims));
  write('table.json', claimsJson(claims, command));
  print(table);
  note(
    `wrote ${join(flags.out, 'byzantine.md')}, byzantine.txt, table.csv, table.json, and .csv ` +
      'and .svg of ' +
      `${results.flatMap((result) => result.figures.map((figure) => figure.key)).join(', ')}`,
  );
}

async function transportTables(flags: FiguresFlags): Promise<void> {
  const { TRANSPORT_TABLES, transportCsv, transportText } = await import(
    '../lab/experiments/transport-figures.ts'
  );
  const chosen = choose(Object.keys(TRANSPORT_TABLES), flags.only);
  makeFolder(flags.out);
  const progress = new Progress(process.stderr);
  const tables: ReturnType<(typeof TRANSPORT_TABLES)[string]>[] = [];
  try {
    for (const name of chosen) {
      const table = TRANSPORT_TABLES[name]!({
        quick: flags.quick === true,
        onRun: (what) => progress.show(what),
      });
      replaceWhole(join(flags.out, `${name}.csv`), transportCsv(table));
      tables.push(table);
    }
  } finally {
    progress.clear();
  }
  const text = transportText(tables);
  replaceWhole(join(flags.out, 'transport.txt'), text);
  print(text);
  note(`wrote ${join(flags.out, 'transport.txt')}, and .csv of ${chosen.join(', ')}`);
}

async function realtimeFigures(flags: FiguresFlags): Promise<void> {
  const { REALTIME_FIGURES, realtimeCsv, realtimeSvg, realtimeText } = await import(
    '../lab/experiments/realtime-figures.ts'
  );
  const chosen = choose(Object.keys(REALTIME_FIGURES), flags.only);
  makeFolder(flags.out);
  const progress = new Progress(process.stderr);
  const figures: ReturnType<(typeof REALTIME_FIGURES)[string]>[] = [];
  try {
    for (const name of chosen) {
      const figure = REALTIME_FIGURES[name]!({
        quick: flags.quick === true,
        onRun: (what) => progress.show(what),
      });
      replaceWhole(join(flags.out, `${name}.csv`), realtimeCsv(figure));
      replaceWhole(join(flags.out, `${name}.svg`), realtimeSvg(figure));
      figures.push(figure);
    }
  } finally {
    progress.clear();
  }
  const text = realtimeText(figures);
  replaceWhole(join(flags.out, 'realtime.txt'), text);
  print(text);
  note(`wrote ${join(flags.out, 'realtime.txt')}, and .csv and .svg of ${chosen.join(', ')}`);
}

async function graphsFigures(flags: FiguresFlags): Promise<void> {
  const { GRAPHS_TABLES, graphsCsv, graphsText } = await import(
    '../lab/experiments/graphs-figures.ts'
  );
  const { parseTopology } = await import('../lab/topology/topology-parse.ts');
  const chosen = choose(Object.keys(GRAPHS_TABLES), flags.only);
  const file = fileURLToPath(new URL('../../topologies/us-12.yaml', import.meta.url));
  const topology = parseTopology(readText(file, 'topology file'), file);
  makeFolder(flags.out);
  const progress = new Progress(process.stderr);
  const tables: ReturnType<(typeof GRAPHS_TABLES)[string]>[] = [];
  try {
    for (const name of chosen) {
      const table = GRAPHS_TABLES[name]!({
        topology,
        quick: flags.quick === true,
        onRun: (what) => progress.show(what),
      });
      replaceWhole(join(flags.out, `${name}.csv`), graphsCsv(table));
      tables.push(table);
    }
  } finally {
    progress.clear();
  }
  const text = graphsText(tables);
  replaceWhole(join(flags.out, 'graphs.txt'), text);
  print(text);
  note(`wrote ${join(flags.out, 'graphs.txt')}, and .csv of ${chosen.join(', ')}`);
}

async function paperFigures(set: string, flags: FiguresFlags): Promise<void> {
  const folder = fileURLToPath(new URL(`../../topologies/${set}/`, import.meta.url));
  const chosen = choose(figureNames(folder), flags.only);
  makeFolder(flags.out);
  const { runFigure } = await import('../lab/experiments/figures.ts');
  const { comparisonText, figureCsv, figureSvg, figuresMarkdown } = await import(
    '../lab/experiments/figures-table.ts'
  );
  const { compareOverSeeds, overSeeds } = await import('../lab/experiments/figures-seeds.ts');

  const progress = new Progress(process.stderr);
  const results: ReturnType<typeof runFigure>[] = [];
  const comparisons: ReturnType<typeof compareOverSeeds> = [];
  const seeds = flags.seeds ?? 1;
  const cache: NonNullable<Parameters<typeof runFigure>[2]>['cache'] = new Map();
  const write = (name: string, text: string): void => replaceWhole(join(flags.out, name), text);
  try {
    for (const [i, name] of chosen.entries()) {
      const file = join(folder, `${name}.yaml`);
      const text = readText(file, 'topology file');
      const run = (seed: number | undefined, turn: number): ReturnType<typeof runFigure> =>
        runFigure(text, file, {
          cache,
          ...(flags.messages === undefined ? {} : { messages: flags.messages }),
          ...(seed === undefined ? {} : { seed }),
          onRun: (done, all, what) =>
            progress.show(
              `${name} (${i + 1} of ${chosen.length}): run ${turn * all + done} of ` +
                `${seeds * all}, ${what}`,
            ),
        });
      const each = [run(flags.seed, 0)];
      for (let turn = 1; turn < seeds; turn += 1)
        each.push(run((each[0]!.seed + turn) % 0x1_0000_0000, turn));
      comparisons.push(...compareOverSeeds(each));
      const result = seeds === 1 ? each[0]! : overSeeds(each);
      write(`${name}.csv`, figureCsv(result));
      write(`${name}.svg`, figureSvg(result));
      results.push(result);
    }
  } finally {
    progress.clear();
  }
  const table = `${comparisonText(comparisons)}\n`;
  write(`${set}.md`, figuresMarkdown(results, commandOf(set, flags), comparisons));
  write(`${set}.txt`, table);
  print(table);
  note(
    `wrote ${join(flags.out, `${set}.md`)}, ${set}.txt, and .csv and .svg of ${chosen.join(', ')}`,
  );
}

/** fig3, fig4 ... fig14, table1. */
export function figureNames(folder: string): string[] {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => basename(name, '.yaml'));
  const rank = (name: string): [string, number] => [
    name.replace(/\d+$/, ''),
    Number(/\d+$/.exec(name)?.[0] ?? 0),
  ];
  return names.sort((a, b) => {
    const [[kindA, a1], [kindB, b1]] = [rank(a), rank(b)];
    return kindA === kindB ? a1 - b1 : kindA < kindB ? -1 : 1;
  });
}

function choose(names: readonly string[], only: string | undefined): string[] {
  if (only === undefined) return [...names];
  const wanted = only.split(',').map((name) => name.trim());
  for (const name of wanted)
    if (!names.includes(name))
      throw usage(`there is no figure ${name === '' ? '""' : name}; there are ${names.join(', ')}`);
  return names.filter((name) => wanted.includes(name));
}

function commandOf(set: string, { only, messages, seed, seeds, quick }: FiguresFlags): string {
  const parts = [`spines figures ${set} --out DIR`];
  if (only !== undefined) parts.push(`--only ${only}`);
  if (messages !== undefined) parts.push(`--messages ${messages}`);
  if (seed !== undefined) parts.push(`--seed ${seed}`);
  if (seeds !== undefined) parts.push(`--seeds ${seeds}`);
  if (quick === true) parts.push('--quick');
  return parts.join(' ');
}
