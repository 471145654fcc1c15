/**
 * What `npm run bench` takes on its command line and from its environment.
 */

import { Command, InvalidArgumentError } from 'commander';

export const SECTIONS = [
  'transit',
  'cost',
  'looking',
  'end-to-end',
  'secrecy',
  'ends',
  'handshakes',
  'byzantine',
  'memory',
  'scale',
] as const;
export type Section = (typeof SECTIONS)[number];

export interface BenchOptions {
  readonly rounds: number;
  /** Length of one measurement. */
  readonly ms: number;
  /** Fewer sizes and rows, too. */
  readonly quick: boolean;
  readonly only: readonly Section[];
  readonly json: string | null;
  readonly compare: string | null;
  readonly peer: string | null;
}

const ROUNDS = 5,
  MS = 300;
const QUICK_ROUNDS = 1,
  QUICK_MS = 250;

interface Flags {
  quick?: boolean;
  rounds?: number;
  ms?: number;
  only?: Section[];
  json?: string;
  compare?: string;
  peer?: string;
}

const wholeNumber =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least)
      throw new InvalidArgumentError(`must be a whole number of at least ${least}`);
    return value;
  };

function sections(text: string): Section[] {
  return text.split(',').map((name) => {
    const found = SECTIONS.find((section) => section === name.trim());
    if (found === undefined) throw new InvalidArgumentError(`sections are ${SECTIONS.join(', ')}`);
    return found;
  });
}

/** Ends the process where commander does; throws with a sentence for the user otherwise. */
export function readOptions(argv: readonly string[], environment: NodeJS.ProcessEnv): BenchOptions {
  const flags = new Command('npm run bench --')
    .description(
      'What the daemon costs, beside bare dgram and, if given, the C implementation. Prints ' +
        'tables; asserts nothing.',
    )
    .option('--quick', 'one short round of the most telling rows')
    .option(
      '--rounds <n>',
      `rounds, of which medians are printed (default ${ROUNDS}; or BENCH_ROUNDS)`,
      wholeNumber(1),
    )
    .option(
      '--ms <n>',
      `length of one measurement in milliseconds (default ${MS}; or BENCH_MS)`,
      wholeNumber(50),
    )
    .option('--only <sections>', `some of ${SECTIONS.join(',')} (or BENCH_ONLY)`, sections)
    .option('--json <file>', 'write all figures to a file')
    .option('--compare <file>', 'print the change of each figure since the run that wrote the file')
    .option(
      '--peer <dir>',
      'measure the C implementation beside ours: folder with its programs spines and sp_bflooder',
    )
    .parse([...argv], { from: 'user' })
    .opts<Flags>();
  const from = <T>(name: string, read: (text: string) => T): T | undefined => {
    const text = environment[name];
    if (!text) return undefined;
    try {
      return read(text);
    } catch (error) {
      throw new Error(`${name}=${text}: ${(error as Error).message}`);
    }
  };
  const quick = flags.quick === true;
  const only = flags.only ?? from('BENCH_ONLY', sections) ?? SECTIONS;
  if (flags.peer !== undefined && !only.includes('end-to-end'))
    throw new Error('--peer is measured in the section end-to-end; add that to --only');
  return {
    rounds: flags.rounds ?? from('BENCH_ROUNDS', wholeNumber(1)) ?? (quick ? QUICK_ROUNDS : ROUNDS),
    ms: flags.ms ?? from('BENCH_MS', wholeNumber(50)) ?? (quick ? QUICK_MS : MS),
    quick,
    only,
    json: flags.json ?? null,
    compare: flags.compare ?? null,
    peer: flags.peer ?? null,
  };
}
