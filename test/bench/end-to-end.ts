/**
 * Application to application over three daemons: datagrams by best effort and over reliable links, and a bulk stream, beside
 * a bare dgram forwarder and plain TCP on loopback. Prints rates and ratios; asserts nothing.
 *
 * Five processes (two programs, three daemons) share the machine. Datagram rates are the highest offered rate, of a
 * ladder, that arrives with less than 1 % loss.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, median, printTable, Worker } from './processes.js';
import type { Way } from './program.js';
import type { Counters } from './role.js';

interface Counted { bytes: number; messages: number }

const settle = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));

/** Megabytes a second that arrive, and the share of messages that did not. */
async function measure(way: Way, folder: string, durationMs: number, packetsPerSecond: number): Promise<{ perSecond: number; lost: number }> {
  const [sender, receiver] = [new Worker('program.js'), new Worker('program.js')];
  try {
    const port = way === 'tcp' ? await freePort() : 5_000 + Math.floor(performance.now() % 20_000);
    await receiver.ask({ kind: 'receive', way, socketPath: join(folder, 'c.sock'), port });
    const size = way === 'stream' || way === 'tcp' ? 16_384 : 1_000;
    const began = performance.now();
    const running = sender.ask<{ sent: number }>({ kind: 'send', way, socketPath: join(folder, 'a.sock'), port, bytes: size, durationMs, packetsPerSecond });
    await settle(durationMs / 4);
    const first = await receiver.ask<Counted>({ kind: 'report' });
    const firstAt = performance.now();
    await settle(durationMs / 2);
    const second = await receiver.ask<Counted>({ kind: 'report' });
    const seconds = (performance.now() - firstAt) / 1_000;
    const { sent } = await running;
    await settle(Math.max(300, (performance.now() - began) / 10));
    const last = await receiver.ask<Counted>({ kind: 'report' });
    return { perSecond: (second.bytes - first.bytes) / 1_000 / seconds, lost: 1 - last.bytes / (sent * size) };
  } finally {
    sender.stop();
    receiver.stop();
  }
}

/** The highest rate of a ladder that gets through with less than 1 % loss, thousand-byte packets a second. */
async function knee(way: 'best-effort' | 'reliable', folder: string, durationMs: number): Promise<number> {
  let best = 0;
  for (let rate = 10_000; rate <= 400_000; rate = Math.round(rate * 1.25)) {
    const { perSecond, lost } = await measure(way, folder, durationMs, rate);
    if (lost > 0.01 || perSecond < 0.9 * rate) return Math.max(best, lost <= 0.01 ? perSecond : 0);
    best = Math.max(best, perSecond);
  }
  return best;
}

export async function endToEnd(rounds: number, durationMs: number, barePerSecond: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'spines-bench-'));
  const daemons: Worker[] = [];
  try {
    const ports = [await freePort(), await freePort(), await freePort(), 0];
    for (const [i, name] of [[2, 'c'], [1, 'b'], [0, 'a']] as const) {
      const daemon = new Worker('role.js');
      daemons[i] = daemon;
      await daemon.ask({ kind: 'start', role: 'node', id: 0x0a00_0001 + i, port: ports[i]!, next: ports[i + 1]!, socketPath: join(folder, `${name}.sock`) });
    }
    while (!(await daemons[0]!.ask<Counters>({ kind: 'report' })).reachable) await settle(50);
    const ways = ['best-effort', 'reliable', 'stream', 'tcp'] as const;
    const rates = new Map<Way, number[]>(ways.map((way) => [way, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const way of ways) {
        const rate = way === 'stream' || way === 'tcp' ? (await measure(way, folder, durationMs, 0)).perSecond : await knee(way, folder, Math.min(durationMs, 1_000));
        rates.get(way)!.push(rate);
      }
    }
    const medians = new Map(ways.map((way) => [way, median(rates.get(way)!)]));
    const label: Record<Way, string> = {
      'best-effort': 'datagrams, best effort', reliable: 'datagrams, reliable links', stream: 'bulk stream, reliable links', tcp: 'plain TCP, no overlay',
    };
    const rows: string[][] = [['application to application', '1000 B a second', 'spread', 'of best effort', 'of bare forwarder']];
    for (const way of ways) {
      const all = rates.get(way)!;
      rows.push([
        label[way], Math.round(medians.get(way)!).toLocaleString('en-US'), `${Math.round(Math.min(...all)).toLocaleString('en-US')}-${Math.round(Math.max(...all)).toLocaleString('en-US')}`,
        (medians.get(way)! / medians.get('best-effort')!).toFixed(2), (medians.get(way)! / barePerSecond).toFixed(2),
      ]);
    }
    console.log('\nThree daemons and two programs on this machine (bare forwarder and plain TCP have less to do):');
    printTable(rows, 1);
  } finally {
    for (const daemon of daemons) daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
