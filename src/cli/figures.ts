/**
 * `spines figures SET`: runs the experiments of a paper in virtual time and writes what they give beside what it says.
 *
 * Owns the flags and the files written. A set is a folder of topologies/; its files' figures are run by src/sim/figures.ts.
 * Invariant: nothing is written before the last run of a figure is done.
 */

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';

import { readTextFile } from './config.ts';
import { usage } from './failure.ts';
import { note, print } from './output.ts';
import { Progress } from './progress.ts';
import { integerArg } from './values.ts';

export interface FiguresFlags {
  out: string;
  only?: string;
  messages?: number;
  seed?: number;
}

const SETS = ['dsn03'] as const;
const MESSAGES_MAX = 10_000_000;

export function registerFigures(program: Command): void {
  program.command('figures <set>').description('run the experiments of a paper in virtual time: CSV, plots, and its statements beside ours')
    .requiredOption('--out <dir>', 'write a CSV and an SVG for each figure, and the table, there')
    .option('--only <figures>', 'only these, as in fig3,fig9,table1')
    .option('--messages <n>', 'messages of each run (default 20000; the paper sent 200000)', integerArg(1, MESSAGES_MAX))
    .option('--seed <n>', 'another seed than the files\'', integerArg(0, 0xffff_ffff))
    .addHelpText('after', `\nSets: ${SETS.join(', ')} (Amir and Danilov, "Reliable Communication in Overlay Networks", DSN 2003).`)
    .action(figures);
}

async function figures(set: string, flags: FiguresFlags): Promise<void> {
  if (!(SETS as readonly string[]).includes(set)) throw usage(`there is no set ${set}; sets are ${SETS.join(', ')}`);
  if (flags.out === '') throw usage('--out is empty; give a folder');
  const folder = fileURLToPath(new URL(`../../topologies/${set}/`, import.meta.url));
  const chosen = choose(figureNames(folder), flags.only);
  mkdirSync(flags.out, { recursive: true });
  const { runFigure } = await import('../sim/figures.ts');
  const { compare, comparisonText, figureCsv, figureSvg, figuresMarkdown } = await import('../sim/figures-table.ts');

  const progress = new Progress(process.stderr);
  const results: ReturnType<typeof runFigure>[] = [];
  const cache: NonNullable<Parameters<typeof runFigure>[2]>['cache'] = new Map();
  const write = (name: string, text: string): void => writeFileSync(join(flags.out, name), text);
  try {
    for (const [i, name] of chosen.entries()) {
      const file = join(folder, `${name}.yaml`);
      const result = runFigure(readTextFile(file, 'topology file'), file, {
        cache,
        ...(flags.messages === undefined ? {} : { messages: flags.messages }),
        ...(flags.seed === undefined ? {} : { seed: flags.seed }),
        onRun: (done, all, what) => progress.show(`${name} (${i + 1} of ${chosen.length}): run ${done} of ${all}, ${what}`),
      });
      write(`${name}.csv`, figureCsv(result));
      write(`${name}.svg`, figureSvg(result));
      results.push(result);
    }
  } finally {
    progress.clear();
  }
  const table = `${comparisonText(results.flatMap(compare))}\n`;
  write(`${set}.md`, figuresMarkdown(results, commandOf(set, flags)));
  write(`${set}.txt`, table);
  print(table);
  note(`wrote ${join(flags.out, `${set}.md`)}, ${set}.txt, and .csv and .svg of ${chosen.join(', ')}`);
}

/** fig3, fig4 ... fig14, table1. */
export function figureNames(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml')).map((name) => basename(name, '.yaml'));
  const rank = (name: string): [string, number] => [name.replace(/\d+$/, ''), Number(/\d+$/.exec(name)?.[0] ?? 0)];
  return names.sort((a, b) => {
    const [[kindA, a1], [kindB, b1]] = [rank(a), rank(b)];
    return kindA === kindB ? a1 - b1 : kindA < kindB ? -1 : 1;
  });
}

function choose(names: readonly string[], only: string | undefined): string[] {
  if (only === undefined) return [...names];
  const wanted = only.split(',').map((name) => name.trim());
  for (const name of wanted) if (!names.includes(name)) throw usage(`there is no figure ${name === '' ? '""' : name}; there are ${names.join(', ')}`);
  return names.filter((name) => wanted.includes(name));
}

function commandOf(set: string, { only, messages, seed }: FiguresFlags): string {
  const parts = [`spines figures ${set} --out DIR`];
  if (only !== undefined) parts.push(`--only ${only}`);
  if (messages !== undefined) parts.push(`--messages ${messages}`);
  if (seed !== undefined) parts.push(`--seed ${seed}`);
  return parts.join(' ');
}
