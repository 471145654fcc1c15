/**
 * `npm run bench`: what a transit daemon costs beside a bare dgram forwarder and where that goes,
 * what programs get end to end, what handshakes, links and Byzantine-resilient routing cost, in one
 * run.
 *
 * Options are options.ts's. Prints tables of medians and the goals beside them; asserts nothing.
 */

import { cpus, loadavg } from 'node:os';
import { printByzantine, recordByzantine, type ByzantineFigures } from './byzantine.js';
import { printCost, recordCost, type CostFigures } from './cost.js';
import { endToEnd } from './end-to-end.js';
import { ends } from './ends.js';
import { printHandshakes, recordHandshakes, type HandshakeFigures } from './handshakes.js';
import type { InsideKind } from './inside.js';
import { LINE_HOSTS } from './line.js';
import { looking } from './looking.js';
import { printMemory, recordMemory, type MemoryFigures } from './memory.js';
import { readOptions, type BenchOptions, type Section } from './options.js';
import { Place } from './place.js';
import { beside, Worker } from './processes.js';
import { readResults, Results } from './results.js';
import { printScale } from './scale.js';
import { printReliable, recordReliable, type ReliableFigures } from './secrecy-reliable.js';
import { printSecrecy, recordSecrecy, type SecrecyFigures } from './secrecy.js';
import { transit } from './transit.js';

/** Of what is measured within a process, where calls are short. */
const INSIDE_MS = 2_000,
  INSIDE_QUICK_MS = 500;

/** Measured in a process of its own, whose heap and compiled code are of nothing else. */
async function inside<T>(kind: InsideKind, { rounds, quick }: BenchOptions): Promise<T> {
  const worker = new Worker({ script: beside('inside.js'), nodeArgs: ['--expose-gc'] });
  try {
    return await worker.ask<T>({ kind, rounds, durationMs: quick ? INSIDE_QUICK_MS : INSIDE_MS });
  } finally {
    worker.stop();
  }
}

async function run(options: BenchOptions, results: Results, place: Place | null): Promise<void> {
  const { rounds, ms, quick, peer } = options;
  const wants = (section: Section): boolean => options.only.includes(section);
  if (wants('transit') || wants('cost')) {
    const figures = await transit(place!, results, {
      rounds,
      ms,
      quick,
      partsOnly: !wants('transit'),
    });
    if (wants('cost')) {
      const cost = await inside<CostFigures>('cost', options);
      recordCost(cost, results);
      printCost(cost, figures);
    }
  }
  if (wants('looking')) await looking(place!, results, { rounds, ms });
  if (wants('end-to-end')) await endToEnd(place!, results, { rounds, ms, quick, peer });
  if (wants('secrecy')) {
    const secrecy = await inside<SecrecyFigures>('secrecy', options);
    recordSecrecy(secrecy, results);
    printSecrecy(secrecy);
    const reliable = await inside<ReliableFigures>('secrecy-reliable', options);
    recordReliable(reliable, results);
    printReliable(reliable);
  }
  if (wants('ends')) await ends(place!, results, { rounds, ms, quick });
  if (wants('handshakes')) {
    const handshakes = await inside<HandshakeFigures[]>('handshakes', options);
    recordHandshakes(handshakes, results);
    printHandshakes(handshakes);
  }
  if (wants('byzantine')) {
    const byzantine = await inside<ByzantineFigures>('byzantine', options);
    recordByzantine(byzantine, results);
    printByzantine(byzantine);
  }
  if (wants('memory')) {
    const memory = await inside<MemoryFigures>('memory', options);
    recordMemory(memory, results);
    printMemory(memory);
  }
  if (wants('scale')) await printScale(rounds, quick ? 2_000 : 5_000);
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), process.env);
  const { rounds, ms, quick, json, compare } = options;
  const before = compare === null ? null : readResults(compare);
  const place = options.only.some((section) =>
    ['transit', 'cost', 'looking', 'end-to-end', 'ends'].includes(section),
  )
    ? new Place(LINE_HOSTS)
    : null;
  const results = new Results();
  const load = loadavg()[0]!;
  console.log(
    `Node ${process.versions.node}, OpenSSL ${process.versions.openssl}, ${cpus().length} cores ` +
      `(${cpus()[0]?.model ?? 'unknown'}), load ${load.toFixed(1)} before.`,
  );
  console.log(
    `${rounds} round${rounds === 1 ? '' : 's'} of ${ms} ms a measurement, interleaved; medians, ` +
      'and spreads from the lowest to the highest round.',
  );
  if (place !== null) console.log(`Packets travel ${place.sentence}.`);
  if (load > cpus().length / 2)
    console.log(
      'Other work keeps this machine busy: figures will be worse than it can, and differ from ' +
        'round to round.',
    );
  for (const [name, value] of [
    ['rounds', rounds],
    ['ms', ms],
    ['quick', String(quick)],
    ['place', place?.sentence ?? 'one process'],
    ['load before', load],
  ] as const)
    results.note(name, value);
  try {
    await run(options, results, place);
  } finally {
    await place?.close();
  }
  if (before !== null) results.compare(before, compare!);
  if (json !== null) results.write(json);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => process.exit(1));
try {
  await main();
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
