/**
 * All figures of a run under their names, for --json, and the change of each against an earlier
 * run's file, for --compare.
 *
 * A figure is one value a round. Names are paths, the section first; they are what two runs are
 * compared by.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, loadavg, release, type } from 'node:os';
import { median, printTable } from './processes.js';

const FORMAT = 1;
/** With fewer rounds in either run, spreads that are apart say nothing. */
const ROUNDS_TO_TELL = 3;

interface Figure {
  readonly unit: string;
  readonly values: number[];
}
interface Stored {
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly values: readonly number[];
}
interface ResultsFile {
  readonly format: typeof FORMAT;
  readonly date: string;
  readonly machine: Record<string, string | number>;
  readonly run: Record<string, string | number>;
  readonly figures: Record<string, Stored>;
}

export class Results {
  readonly #figures = new Map<string, Figure>();
  readonly #run: Record<string, string | number> = {};

  /** How the run was made. */
  note(name: string, value: string | number): void {
    this.#run[name] = value;
  }

  add(name: string, unit: string, ...values: readonly number[]): void {
    let figure = this.#figures.get(name);
    if (figure === undefined) this.#figures.set(name, (figure = { unit, values: [] }));
    figure.values.push(...values.filter((value) => Number.isFinite(value)));
  }

  /** One value a round; none: it was not measured. */
  values(name: string): readonly number[] {
    return this.#figures.get(name)?.values ?? [];
  }

  /** NaN: it was not measured. */
  median(name: string): number {
    return median(this.values(name));
  }

  write(path: string): void {
    const figures: Record<string, Stored> = {};
    for (const [name, { unit, values }] of this.#figures) {
      if (values.length > 0)
        figures[name] = {
          unit,
          median: median(values),
          min: Math.min(...values),
          max: Math.max(...values),
          values,
        };
    }
    const file: ResultsFile = {
      format: FORMAT,
      date: new Date().toISOString(),
      machine: machine(),
      run: this.#run,
      figures,
    };
    writeFileSync(path, `${JSON.stringify(file, null, 1)}\n`);
  }

  /** Prints the change of each figure since the run in `before`. */
  compare(before: ResultsFile, path: string): void {
    const rows = [['figure', 'unit', 'then', 'now', 'change', 'spreads apart']];
    for (const [name, { unit, values }] of this.#figures) {
      const then = before.figures[name];
      if (then === undefined || values.length === 0) continue;
      const now = median(values);
      const few = Math.min(values.length, then.values.length) < ROUNDS_TO_TELL;
      const apart = !few && (Math.min(...values) > then.max || Math.max(...values) < then.min);
      rows.push([
        name,
        unit,
        short(then.median),
        short(now),
        then.median === 0
          ? ''
          : `${now < then.median ? '' : '+'}${(100 * (now / then.median - 1)).toFixed(0)} %`,
        apart ? 'yes' : '',
      ]);
    }
    console.log(
      `\nChange of each figure against ${path} (${before.date}, Node ${before.machine['node']}, ` +
        `${before.machine['cpu']}). Medians;`,
    );
    console.log(
      '"spreads apart": no value of one run lies among the other\'s (told from three rounds on):',
    );
    if (rows.length === 1) console.log('  no figure is in both runs');
    else printTable(rows, 2);
  }
}

/** Throws with a sentence for the user. */
export function readResults(path: string): ResultsFile {
  let file: ResultsFile;
  try {
    file = JSON.parse(readFileSync(path, 'utf8')) as ResultsFile;
  } catch (error) {
    throw new Error(`--compare ${path} can't be read: ${(error as Error).message}`);
  }
  if (file.format !== FORMAT || typeof file.figures !== 'object')
    throw new Error(`--compare ${path} is no file that --json of this bench wrote`);
  return file;
}

function machine(): Record<string, string | number> {
  return {
    node: process.versions.node,
    v8: process.versions.v8,
    openssl: process.versions.openssl,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    system: `${type()} ${release()} ${arch()}`,
    load: Math.round(100 * loadavg()[0]!) / 100,
  };
}

function short(value: number): string {
  return Math.abs(value) >= 1_000
    ? Math.round(value).toLocaleString('en-US')
    : value.toPrecision(3);
}

/** Prints goals beside what was measured. Nothing is asserted. */
export class Goals {
  readonly #rows: string[][] = [['goal', 'wanted', 'measured', '']];

  /** `value` NaN: not measured, and left out. */
  add(
    goal: string,
    value: number,
    sense: 'at most' | 'over',
    bound: number,
    digits = 2,
    unit = '',
  ): void {
    if (Number.isNaN(value)) return;
    const kept = sense === 'at most' ? value <= bound : value > bound;
    const text = (number: number): string =>
      (digits === 0 ? Math.round(number).toLocaleString('en-US') : number.toFixed(digits)) + unit;
    this.#rows.push([goal, `${sense} ${text(bound)}`, text(value), kept ? 'kept' : 'NOT KEPT']);
  }

  print(sentence: string): void {
    if (this.#rows.length === 1) return;
    console.log(`\n${sentence}`);
    printTable(this.#rows, 1);
  }
}
