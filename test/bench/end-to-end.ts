/**
 * Application to application over three daemons: datagrams by best effort and over reliable links, and a bulk stream, each
 * over links that are sealed and that are not, beside a bare dgram forwarder and plain TCP on loopback. Prints rates and
 * ratios; asserts nothing.
 *
 * Five processes (two programs, three daemons) share the machine with three idle ones. Datagram rates are the highest
 * offered rate, of a ladder, that arrives with less than 1 % loss.
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FIRST_ID, makeIdentities } from './identities.js';
import { freePort, median, printTable, ratios, whole, Worker } from './processes.js';
import type { Way } from './program.js';
import type { Counters } from './role.js';

/** Where ladders begin, packets a second. */
const LOWEST_RATE = 10_000;

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

/** The highest rate of a ladder that gets through with less than 1 % loss, thousand-byte packets a second. `from`: a rate that will do. */
async function knee(way: 'best-effort' | 'reliable', folder: string, durationMs: number, from: number): Promise<number> {
  let best = 0;
  for (let rate = from; rate <= 400_000; rate = Math.round(rate * 1.25)) {
    let { perSecond, lost } = await measure(way, folder, durationMs, rate);
    // Once may be chance.
    if (lost > 0.01 || perSecond < 0.9 * rate) ({ perSecond, lost } = await measure(way, folder, durationMs, rate));
    if (lost > 0.01 || perSecond < 0.9 * rate) {
      if (best === 0 && lost > 0.01 && from > LOWEST_RATE) return await knee(way, folder, durationMs, LOWEST_RATE);
      return Math.max(best, lost <= 0.01 ? perSecond : 0);
    }
    best = Math.max(best, perSecond);
  }
  return best;
}

/** Three daemons in a row in processes of their own, with the client sockets a.sock and c.sock in `folder`. */
class Daemons {
  readonly folder: string;
  readonly #workers: Worker[] = [];

  constructor(folder: string) {
    this.folder = folder;
  }

  async start(sealed: boolean): Promise<void> {
    mkdirSync(this.folder);
    const identities = sealed ? makeIdentities(this.folder, 3) : null;
    const ports = [await freePort(), await freePort(), await freePort(), 0];
    for (const [i, name] of [[2, 'c'], [1, 'b'], [0, 'a']] as const) {
      const worker = new Worker('role.js');
      this.#workers[i] = worker;
      const socketPath = join(this.folder, `${name}.sock`);
      await worker.ask({ kind: 'start', role: 'node', id: FIRST_ID + i, port: ports[i]!, next: ports[i + 1]!, socketPath, identity: identities?.[i] ?? null });
    }
    while (!(await this.#workers[0]!.ask<Counters>({ kind: 'report' })).reachable) await settle(50);
  }

  stop(): void {
    for (const worker of this.#workers) worker?.stop();
  }
}

/** A row of the table: its rates, one a round. */
interface Row { readonly label: string; readonly way: Way; readonly sealed: boolean; readonly rates: number[] }

const LABELS: readonly (readonly [Way, string])[] = [
  ['best-effort', 'datagrams, best effort'], ['reliable', 'datagrams, reliable links'], ['stream', 'bulk stream, reliable links'],
];

export async function endToEnd(rounds: number, durationMs: number, barePerSecond: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'spines-bench-'));
  const unsealed = new Daemons(join(dir, 'unsealed')), sealed = new Daemons(join(dir, 'sealed'));
  const rows: Row[] = [
    ...LABELS.flatMap(([way, label]) => [{ label, way, sealed: false, rates: [] }, { label: '', way, sealed: true, rates: [] }]),
    { label: 'plain TCP, no overlay', way: 'tcp', sealed: false, rates: [] },
  ];
  try {
    await unsealed.start(false);
    await sealed.start(true);
    for (const row of rows) await measure(row.way, (row.sealed ? sealed : unsealed).folder, durationMs, LOWEST_RATE);
    for (let round = 0; round < rounds; round += 1) {
      for (const row of rows) {
        const { folder } = row.sealed ? sealed : unsealed;
        const { way, rates } = row;
        if (way === 'stream' || way === 'tcp') rates.push((await measure(way, folder, durationMs, 0)).perSecond);
        else rates.push(await knee(way, folder, Math.min(durationMs, 1_000), rates.length === 0 ? LOWEST_RATE : Math.max(LOWEST_RATE, Math.round(median(rates) / 2))));
      }
    }
  } finally {
    unsealed.stop();
    sealed.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  const table: string[][] = [['application to application', 'links', '1000 B a second', 'spread', 'of unsealed', 'of best effort', 'of bare forwarder']];
  for (const { label, way, sealed: isSealed, rates } of rows) {
    const plain = rows.find((row) => row.way === way && !row.sealed)!.rates;
    const bestEffort = rows.find((row) => row.way === 'best-effort' && row.sealed === isSealed)!.rates;
    table.push([
      label, way === 'tcp' ? '' : isSealed ? 'sealed' : 'unsealed', whole(median(rates)), `${whole(Math.min(...rates))}-${whole(Math.max(...rates))}`,
      isSealed ? median(ratios(rates, plain)).toFixed(2) : '', median(ratios(rates, bestEffort)).toFixed(2), (median(rates) / barePerSecond).toFixed(2),
    ]);
  }
  console.log('\nThree daemons and two programs on this machine (bare forwarder and plain TCP have less to do):');
  printTable(table, 2);
}
