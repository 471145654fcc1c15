/**
 * `npm run bench`: what a transit daemon costs beside a bare dgram forwarder, and what programs get end to end, in one run.
 *
 * Three processes in a row on loopback (source, forwarder, sink), the forwarder being either bare or a daemon;
 * rounds are interleaved and medians printed. CPU is the forwarder's own, from the operating system. Prints
 * ratios; asserts nothing.
 */

import { cpus } from 'node:os';
import { endToEnd } from './end-to-end.js';
import { freePort, median, printTable, Worker } from './processes.js';
import type { Counters, Role } from './role.js';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const DURATION_MS = Number(process.env['BENCH_MS'] ?? 2_000);
/** Offered for the cost per packet: well below what either carries. */
const STEADY_RATE = 40_000;
/** Offered for the most packets per second. */
const FLOOD_RATE = 400_000;

interface Result { packetsPerSecond: number; cpuUsPerPacket: number; lossPct: number }

class Chain {
  readonly workers: Worker[] = [];

  async start(roles: readonly [Role, Role, Role]): Promise<this> {
    const ports = [await freePort(), await freePort(), await freePort(), 0];
    for (let i = 2; i >= 0; i -= 1) {
      const worker = new Worker('role.js');
      this.workers[i] = worker;
      await worker.ask({ kind: 'start', role: roles[i]!, port: ports[i]!, next: ports[i + 1]! });
    }
    if (roles[0] === 'node-source') {
      while (!(await this.workers[0]!.ask<Counters>({ kind: 'report' })).reachable) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this;
  }

  async measure(packetsPerSecond: number, bytes: number, shared: boolean): Promise<Result> {
    const [source, forwarder, sink] = this.workers as [Worker, Worker, Worker];
    const before = await forwarder.ask<Counters>({ kind: 'report' });
    const arrivedBefore = await sink.ask<Counters>({ kind: 'report' });
    const began = performance.now();
    const { sent } = await source.ask<{ sent: number }>({ kind: 'send', packetsPerSecond, bytes, durationMs: DURATION_MS, shared });
    const seconds = (performance.now() - began) / 1_000;
    await new Promise((resolve) => setTimeout(resolve, 200));
    const after = await forwarder.ask<Counters>({ kind: 'report' });
    const arrived = (await sink.ask<Counters>({ kind: 'report' })).packets - arrivedBefore.packets;
    const forwarded = Math.max(1, after.packets - before.packets);
    return { packetsPerSecond: arrived / seconds, cpuUsPerPacket: (after.cpuUs - before.cpuUs) / forwarded, lossPct: 100 * (1 - arrived / sent) };
  }

  stop(): void {
    for (const worker of this.workers) worker.stop();
  }
}

interface Case { name: string; bytes: number; shared: boolean }
const CASES: readonly Case[] = [
  { name: '1000 B', bytes: 1_000, shared: false },
  { name: '64 B, one a datagram', bytes: 64, shared: false },
  { name: '64 B, sharing', bytes: 64, shared: true },
];

async function main(): Promise<void> {
  console.log(`Node ${process.versions.node}, ${cpus().length} cores, loopback, ${ROUNDS} rounds of ${DURATION_MS} ms each; medians.`);
  console.log(`CPU per packet of the forwarder at ${STEADY_RATE} packets/s offered; packets/s with ${FLOOD_RATE} offered.\n`);
  const bare = await new Chain().start(['bare-source', 'bare-forwarder', 'bare-sink']);
  const transit = await new Chain().start(['node-source', 'node-transit', 'node-sink']);
  let bareRate = 1;
  const rows: string[][] = [['packets', 'forwarder', 'CPU us/packet', 'spread', 'ratio', 'packets/s', 'ratio']];
  try {
    for (const chain of [bare, transit]) await chain.measure(STEADY_RATE, 1_000, false);
    for (const { name, bytes, shared } of CASES) {
      const steady: [Result[], Result[]] = [[], []];
      const flood: [Result[], Result[]] = [[], []];
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const [i, chain] of [bare, transit].entries()) {
          steady[i]!.push(await chain.measure(STEADY_RATE, bytes, shared));
          flood[i]!.push(await chain.measure(FLOOD_RATE, bytes, shared));
        }
      }
      const cpu = steady.map((results) => median(results.map((r) => r.cpuUsPerPacket)));
      const rate = flood.map((results) => median(results.map((r) => r.packetsPerSecond)));
      if (bytes === 1_000) bareRate = rate[0]!;
      for (const [i, forwarder] of ['bare dgram', 'transit daemon'].entries()) {
        const all = steady[i]!.map((r) => r.cpuUsPerPacket);
        rows.push([
          i === 0 ? name : '', forwarder, cpu[i]!.toFixed(2), `${Math.min(...all).toFixed(2)}-${Math.max(...all).toFixed(2)}`, (cpu[i]! / cpu[0]!).toFixed(2),
          Math.round(rate[i]!).toLocaleString('en-US'), (rate[i]! / rate[0]!).toFixed(2),
        ]);
      }
      const loss = median(steady[1].map((r) => r.lossPct));
      if (loss > 0.1) rows.push(['', `  (${loss.toFixed(2)} % lost at the steady rate)`]);
    }
  } finally {
    bare.stop();
    transit.stop();
  }
  printTable(rows, 2);
  await endToEnd(Math.min(ROUNDS, 3), DURATION_MS, bareRate);
}

await main();
process.exit(0);
