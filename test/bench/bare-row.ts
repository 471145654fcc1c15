/**
 * Five processes that do nothing but receive and send, where a program, three daemons and a program
 * would be: over a Unix socket, two UDP hops and a Unix socket.
 *
 * What waking five processes one after the other takes on a machine, beside which the latency of
 * idle daemons is to be read.
 */

import { join } from 'node:path';
import type { Arrived, Percentiles } from './arrivals.js';
import type { RowOrder, RowRole } from './bare-row-role.js';
import type { Place } from './place.js';
import { beside, pause, Worker } from './processes.js';
import type { Pumped } from './pump.js';

const DAEMONS = 3;
const SETTLE_MS = 100;

export class BareRow {
  readonly #workers: Worker[] = [];

  async start(place: Place, folder: string): Promise<this> {
    const hosts = place.hosts.slice(0, DAEMONS);
    const at: { address: string; port: number }[] = [];
    for (const { address } of hosts) at.push({ address, port: await place.port() });
    const [first, last] = [join(folder, 'first.sock'), join(folder, 'last.sock')];
    const add = async (
      host: number,
      role: RowRole,
      receive: RowOrder['receive'],
      send: RowOrder['send'],
    ): Promise<void> => {
      const worker = new Worker({
        script: beside('bare-row-role.js'),
        prefix: hosts[host]!.prefix,
      });
      this.#workers.unshift(worker);
      await worker.ask({ kind: 'start', role, receive, send } satisfies RowOrder);
    };
    // Whoever is sent to comes first.
    await add(2, 'receiver', last, null);
    await add(2, 'forwarder', at[2]!, last);
    await add(1, 'forwarder', at[1]!, at[2]!);
    await add(0, 'forwarder', first, at[1]!);
    await add(0, 'sender', null, first);
    return this;
  }

  async run(packetsPerSecond: number, durationMs: number): Promise<Percentiles> {
    const receiver = this.#workers.at(-1)!;
    await receiver.ask({ kind: 'arrived' });
    await this.#workers[0]!.ask<Pumped>({ kind: 'send', packetsPerSecond, durationMs });
    await pause(SETTLE_MS);
    return (await receiver.ask<Arrived>({ kind: 'arrived' })).latency;
  }

  stop(): void {
    for (const worker of this.#workers) worker.stop();
  }
}
