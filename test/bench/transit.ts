/**
 * What forwarding costs: a bare dgram forwarder, a transit daemon whose links are not sealed, and one whose links are.
 *
 * Each is the middle of three processes in a row on loopback (source, forwarder, sink). Rounds are interleaved, so that a
 * ratio compares what was measured within seconds. CPU is the forwarder's own, from the operating system.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeIdentities, type IdentityOrder } from './identities.js';
import { freePort, median, printTable, ratios, spread, whole, Worker } from './processes.js';
import type { Counters, Role } from './role.js';

/** Offered for the cost per packet: well below what any of them carries. */
export const STEADY_RATE = 25_000;
/** Offered for the most packets per second. */
export const FLOOD_RATE = 400_000;
/** Sealing is worth its cost while the CPU of a packet of 1000 B stays below this many times that without. */
const RATIO_MAX = 2.5;

/** Medians at 1000 B. */
export interface TransitFigures {
  readonly bareCpuUs: number;
  /** Of a forwarder that is nothing but the daemon's UdpSink. */
  readonly udpCpuUs: number;
  readonly unsealedCpuUs: number;
  readonly sealedCpuUs: number;
  readonly barePerSecond: number;
}

interface Result { packetsPerSecond: number; cpuUsPerPacket: number; lossPct: number }

class Chain {
  readonly workers: Worker[] = [];

  async start(roles: readonly [Role, Role, Role], identities: readonly IdentityOrder[] | null, offload = false): Promise<this> {
    const ports = [await freePort(), await freePort(), await freePort(), 0];
    for (let i = 2; i >= 0; i -= 1) {
      const worker = new Worker('role.js');
      this.workers[i] = worker;
      await worker.ask({ kind: 'start', role: roles[i]!, port: ports[i]!, next: ports[i + 1]!, identity: identities?.[i] ?? null, offload });
    }
    if (roles[0] === 'node-source') {
      while (!(await this.workers[0]!.ask<Counters>({ kind: 'report' })).reachable) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this;
  }

  async measure(packetsPerSecond: number, bytes: number, shared: boolean, durationMs: number): Promise<Result> {
    const [source, forwarder, sink] = this.workers as [Worker, Worker, Worker];
    const before = await forwarder.ask<Counters>({ kind: 'report' });
    const arrivedBefore = await sink.ask<Counters>({ kind: 'report' });
    const began = performance.now();
    const { sent } = await source.ask<{ sent: number }>({ kind: 'send', packetsPerSecond, bytes, durationMs, shared });
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
const FORWARDERS = ['bare dgram', 'transit unsealed', 'transit sealed', 'unsealed, offload', 'sealed, offload'] as const;
const [BARE, UNSEALED, SEALED, UNSEALED_OFFLOAD, SEALED_OFFLOAD, UDP] = [0, 1, 2, 3, 4, 5] as const;

export async function transit(rounds: number, durationMs: number): Promise<TransitFigures> {
  const dir = mkdtempSync(join(tmpdir(), 'spines-bench-'));
  const chains: Chain[] = [];
  const rows: string[][] = [['packets', 'forwarder', 'CPU us/packet', 'spread', 'of bare', 'of unsealed', 'spread', 'packets/s', 'of bare']];
  const verdicts: string[] = [];
  let figures: TransitFigures | null = null;
  try {
    const daemons = ['node-source', 'node-transit', 'node-sink'] as const;
    for (let i = 0; i <= UDP; i += 1) chains.push(new Chain());
    await chains[BARE]!.start(['bare-source', 'bare-forwarder', 'bare-sink'], null);
    await chains[UNSEALED]!.start(daemons, null);
    await chains[SEALED]!.start(daemons, makeIdentities(join(dir, 'plain'), 3));
    await chains[UNSEALED_OFFLOAD]!.start(daemons, null, true);
    await chains[SEALED_OFFLOAD]!.start(daemons, makeIdentities(join(dir, 'offload'), 3), true);
    await chains[UDP]!.start(['bare-source', 'udp-forwarder', 'bare-sink'], null);
    for (const chain of chains) await chain.measure(STEADY_RATE, 1_000, false, durationMs);
    for (const { name, bytes, shared } of CASES) {
      const steady: Result[][] = chains.map(() => []);
      const flood: Result[][] = FORWARDERS.map(() => []);
      for (let round = 0; round < rounds; round += 1) {
        for (const [i, chain] of chains.entries()) steady[i]!.push(await chain.measure(STEADY_RATE, bytes, shared, durationMs));
        for (const [i, chain] of chains.slice(0, UDP).entries()) flood[i]!.push(await chain.measure(FLOOD_RATE, bytes, shared, durationMs));
      }
      const cpu = steady.map((results) => results.map((r) => r.cpuUsPerPacket));
      const rate = flood.map((results) => results.map((r) => r.packetsPerSecond));
      const sealing = ratios(cpu[SEALED]!, cpu[UNSEALED]!);
      for (const [i, forwarder] of FORWARDERS.entries()) {
        rows.push([
          i === 0 ? name : '', forwarder, median(cpu[i]!).toFixed(2), spread(cpu[i]!), median(ratios(cpu[i]!, cpu[BARE]!)).toFixed(2),
          i === SEALED ? median(sealing).toFixed(2) : '', i === SEALED ? spread(sealing) : '',
          whole(median(rate[i]!)), median(ratios(rate[i]!, rate[BARE]!)).toFixed(2),
        ]);
        const loss = median(steady[i]!.map((r) => r.lossPct));
        if (loss > 0.1) rows.push(['', `  (${loss.toFixed(2)} % lost at the steady rate)`]);
      }
      const goal = bytes === 1_000 ? `; wanted at most ${RATIO_MAX}: ${median(sealing) <= RATIO_MAX ? 'kept' : 'NOT KEPT'}` : '';
      verdicts.push(`${name}: sealed costs ${median(sealing).toFixed(2)} times the CPU of unsealed, ${median(ratios(cpu[SEALED]!, cpu[BARE]!)).toFixed(2)} times that of bare${goal}`);
      figures ??= { 
        bareCpuUs: median(cpu[BARE]!), udpCpuUs: median(cpu[UDP]!), unsealedCpuUs: median(cpu[UNSEALED]!), sealedCpuUs: median(cpu[SEALED]!), barePerSecond: median(rate[BARE]!),
      };
    }
  } finally {
    for (const chain of chains) chain.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  printTable(rows, 2);
  for (const verdict of verdicts) console.log(verdict);
  return figures!;
}
