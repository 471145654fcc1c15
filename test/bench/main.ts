/**
 * `npm run bench`: what a transit daemon costs beside a bare dgram forwarder, what sealing adds and where that goes, what
 * handshakes and links cost, what Byzantine-resilient routing costs, and what programs get end to end, in one run.
 *
 * BENCH_ROUNDS and BENCH_MS make it shorter or surer; BENCH_ONLY=byzantine leaves out all but that section. Prints medians and ratios; asserts nothing.
 */

import { cpus } from 'node:os';
import { printByzantine, type ByzantineFigures } from './byzantine.js';
import { printCost, type CostFigures } from './cost.js';
import { endToEnd } from './end-to-end.js';
import { printHandshakes, type HandshakeFigures } from './handshakes.js';
import { printMemory, type MemoryFigures } from './memory.js';
import { Worker } from './processes.js';
import { FLOOD_RATE, STEADY_RATE, transit } from './transit.js';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const DURATION_MS = Number(process.env['BENCH_MS'] ?? 2_000);

/** Measured in a process of its own, whose heap and compiled code are of nothing else. */
async function inside<T>(what: 'cost' | 'handshakes' | 'memory' | 'byzantine'): Promise<T> {
  const worker = new Worker('inside.js');
  try {
    return await worker.ask<T>({ kind: what, rounds: ROUNDS, durationMs: DURATION_MS });
  } finally {
    worker.stop();
  }
}

async function main(): Promise<void> {
  console.log(`Node ${process.versions.node}, OpenSSL ${process.versions.openssl}, ${cpus().length} cores, loopback, ${ROUNDS} rounds of ${DURATION_MS} ms each; medians.`);
  if (process.env['BENCH_ONLY'] === 'byzantine') return printByzantine(await inside<ByzantineFigures>('byzantine'));
  console.log(`CPU per packet of the forwarder at ${STEADY_RATE} packets/s offered; packets/s with ${FLOOD_RATE} offered. Ratios are of the same round.\n`);
  const figures = await transit(ROUNDS, DURATION_MS);
  printCost(await inside<CostFigures>('cost'), figures);
  printHandshakes(await inside<HandshakeFigures[]>('handshakes'));
  printByzantine(await inside<ByzantineFigures>('byzantine'));
  printMemory(await inside<MemoryFigures>('memory'));
  await endToEnd(Math.min(ROUNDS, 3), DURATION_MS, figures.barePerSecond);
}

await main();
process.exit(0);
