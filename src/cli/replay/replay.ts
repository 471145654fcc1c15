/**
 * `spines replay FILE`: runs a topology with real daemons, or in virtual time, and reports.
 *
 * Owns the flags, the progress line and where the report goes. The runs are replay-real.ts and
 * sim's. Invariant: with `--json -` the report is the only thing on standard output.
 */

import { join } from 'node:path';
import type { Command } from 'commander';

import type { Micros } from '../../core/base/time.ts';
import { delayPlotSvg } from '../../lab/report/delay-plot.ts';
import { flowsCsv, formatReport } from '../../lab/report/report.ts';
import { parseTopology } from '../../lab/topology/topology-parse.ts';
import type { Topology } from '../../lab/topology/topology.ts';
import { formatDuration } from '../../text/units.ts';
import { readText } from '../../host/files/text-file.ts';
import { makeFolder, replaceWhole } from '../../host/files/whole-file.ts';
import { usage } from '../terminal/failure.ts';
import type { ReplayRun } from './replay-run.ts';
import { note, print } from '../terminal/output.ts';
import { Progress } from '../terminal/progress.ts';
import { wrapText } from '../terminal/table.ts';
import { collect, durationArg, integerArg } from '../terminal/values.ts';

export interface ReplayFlags {
  virtual?: boolean;
  seed?: number;
  duration?: Micros;
  set?: string[];
  json?: string;
  out?: string;
}

export function registerReplay(program: Command): void {
  program
    .command('replay <file>')
    .description('run a topology file with emulated links, and report')
    .option('--virtual', 'in virtual time, in one process')
    .option('--seed <n>', "another seed than the file's", integerArg(0, 0xffff_ffff))
    .option('--duration <time>', "another length than the file's", durationArg)
    .option(
      '--set <path=value>',
      'change a value of the file, as in flows.0.rate=1mbit (repeatable)',
      collect,
    )
    .option('--json <file>', 'write the report as JSON; - is standard output')
    .option('--out <dir>', 'write report.json, flows.csv and delay.svg there')
    .action(replay);
}

async function replay(file: string, flags: ReplayFlags): Promise<void> {
  const topology = loadTopology(readText(file, 'topology file'), file, flags);
  if (flags.json === '') throw usage('--json is empty; give a file, or - for standard output');
  // An unwritable place is told before the run, not after it.
  if (flags.out !== undefined) makeFolder(flags.out);
  const { refuseUnsupported, runVirtual } = await import('../../lab/replay/run-virtual.ts');
  refuseUnsupported(topology);

  const progress = new Progress(process.stderr);
  let run: ReplayRun;
  try {
    if (flags.virtual === true) {
      const { report, flows } = runVirtual(topology, {
        onProgress: (doneUs, totalUs, what) =>
          progress.show(
            `${topology.name}: ${formatDuration(doneUs)} of ${formatDuration(totalUs)} of ` +
              `virtual time, ${what}`,
          ),
      });
      run = {
        report,
        delays: flows.map((flow, i) => ({
          name: topology.flows[i]!.name,
          delays: flow.meter.delays,
        })),
      };
    } else {
      const { runReal } = await import('./replay-real.ts');
      run = await runReal(topology, progress);
    }
  } finally {
    progress.clear();
  }
  deliver(run, flags);
}

/** The topology that file and flags describe. Throws SpinesError 'ETOPOLOGY'. */
export function loadTopology(
  text: string,
  fileName: string,
  flags: Pick<ReplayFlags, 'seed' | 'duration' | 'set'>,
): Topology {
  const overrides = [...(flags.set ?? [])];
  if (flags.duration !== undefined) overrides.push(`duration=${flags.duration}us`);
  const topology = parseTopology(text, fileName, overrides);
  // Not an override: a file that generates its graph from the seed keeps its graph.
  return flags.seed === undefined ? topology : Object.freeze({ ...topology, seed: flags.seed });
}

function deliver({ report, delays }: ReplayRun, flags: ReplayFlags): void {
  const json = `${JSON.stringify(report, null, 2)}\n`;
  const written: string[] = [];
  if (flags.out !== undefined) {
    const write = (name: string, text: string): void => {
      const path = join(flags.out!, name);
      replaceWhole(path, text);
      written.push(path);
    };
    write('report.json', json);
    write('flows.csv', flowsCsv(report));
    write('delay.svg', delayPlotSvg(delays, { title: `${report.topology}: one-way delay` }));
  }
  if (flags.json === '-') {
    print(json);
    for (const path of written) note(`wrote ${path}`);
    return;
  }
  if (flags.json !== undefined) {
    replaceWhole(flags.json, json);
    written.push(flags.json);
  }
  print(formatReport(report));
  if (report.note !== undefined) print(`\n${wrapText(report.note, '')}`);
  if (written.length > 0) print(`\nWrote\n${written.map((path) => `  ${path}\n`).join('')}`);
}
