/**
 * Three processes in a row (source, forwarder, sink), one on each of the first three hosts, and one
 * run of packets through them.
 *
 * The forwarder is a bare one or the program `spines daemon`; its CPU time is its own, from the
 * operating system. What the kernel does for a packet in a software interrupt counts for whoever it
 * interrupts, in all rows alike.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CARRIER_FLAG } from '#src/cli/heap.js';
import { launchDaemon } from './daemons.js';
import type { GaugeFigures } from './gauges.js';
import { makeIdentities, FIRST_ID } from './identities.js';
import type { Arrived } from './arrivals.js';
import type { Outcome } from './knee.js';
import type { Place } from './place.js';
import { beside, monotonicMs, pause, Worker } from './processes.js';
import type { Pumped } from './pump.js';
import type { Order, Role, Service } from './role.js';

export interface ChainKind {
  readonly forwarder: 'bare-forwarder' | 'udp-forwarder' | 'daemon';
  readonly sealed: boolean;
  readonly offload: boolean;
}
export interface Load {
  readonly packetsPerSecond: number;
  readonly bytes: number;
  readonly shared: boolean;
  readonly service: Service;
  readonly durationMs: number;
}
export interface ChainOutcome extends Outcome {
  readonly cpuUsPerPacket: number;
}

/** How long a chain may take to know its routes, and to get rid of what an overload left. */
const PATIENCE_MS = 20_000,
  BACKLOG_MS = 5_000;
/** After the last packet was sent; again when some are missing then. */
const SETTLE_MS = 60,
  LATE_MS = 120;

export class Chain {
  readonly #workers: Worker[] = [];

  /** `httpPort`: of the daemon in the middle, for who looks; null: it has no such door. */
  async start(
    kind: ChainKind,
    place: Place,
    folder: string,
    httpPort: number | null = null,
  ): Promise<this> {
    const identities = kind.sealed ? makeIdentities(folder, 3) : null;
    const hosts = place.hosts.slice(0, 3);
    const at: { address: string; port: number }[] = [];
    for (const { address } of hosts) at.push({ address, port: await place.port() });
    const role = async (i: number, name: Role): Promise<void> => {
      const worker = new Worker({
        script: beside('role.js'),
        nodeArgs: kind.forwarder === 'daemon' ? [CARRIER_FLAG] : [],
        prefix: hosts[i]!.prefix,
      });
      this.#workers[i] = worker;
      const order: Order = {
        kind: 'start',
        role: name,
        at: at[i]!,
        next: at[i + 1] ?? null,
        identity: identities?.[i] ?? null,
        offload: kind.offload,
      };
      await worker.ask(order);
    };
    const { forwarder } = kind;
    await role(2, forwarder === 'daemon' ? 'node-sink' : 'bare-sink');
    if (forwarder === 'daemon') {
      this.#workers[1] = launchDaemon({
        host: hosts[1]!,
        port: at[1]!.port,
        id: quad(FIRST_ID + 1),
        identity: identities?.[1]?.folder ?? null,
        offload: kind.offload,
        socket: join(folder, 'transit.sock'),
        dial: `${at[2]!.address}:${at[2]!.port}`,
        config: httpPort === null ? null : httpConfig(folder, httpPort),
      });
    } else await role(1, forwarder);
    await role(0, forwarder === 'daemon' ? 'node-source' : 'bare-source');
    const began = monotonicMs();
    while (
      forwarder === 'daemon' &&
      !(await this.#source.ask<{ reachable: boolean }>({ kind: 'reachable' })).reachable
    ) {
      if (monotonicMs() - began > PATIENCE_MS) throw new Error('a row of daemons found no routes');
      await pause(50);
    }
    return this;
  }

  get #source(): Worker {
    return this.#workers[0]!;
  }

  get forwarder(): Worker {
    return this.#workers[1]!;
  }

  async run({ packetsPerSecond, bytes, shared, service, durationMs }: Load): Promise<ChainOutcome> {
    const sink = this.#workers[2]!;
    const began = monotonicMs();
    // What an earlier run left on its way would count for this one.
    while (
      (await sink.ask<Arrived>({ kind: 'arrived' })).packets > 0 &&
      monotonicMs() - began < BACKLOG_MS
    )
      await pause(30);
    const before = await this.forwarder.ask<{ cpuUs: number }>({ kind: 'cpu' });
    const { sent, beganMs, endedMs } = await this.#source.ask<Pumped>({
      kind: 'send',
      packetsPerSecond,
      bytes,
      durationMs,
      shared,
      service,
    });
    await pause(SETTLE_MS);
    if ((await sink.ask<{ packets: number }>({ kind: 'count' })).packets < sent)
      await pause(LATE_MS);
    const { packets: arrived, lastAtMs } = await sink.ask<Arrived>({ kind: 'arrived' });
    const after = await this.forwarder.ask<{ cpuUs: number }>({ kind: 'cpu' });
    return {
      due: Math.round((packetsPerSecond * durationMs) / 1_000),
      sent,
      arrived,
      drainMs: lastAtMs - endedMs,
      perSecond: (1_000 * arrived) / Math.max(1, lastAtMs - beganMs),
      cpuUsPerPacket: (after.cpuUs - before.cpuUs) / Math.max(1, arrived),
    };
  }

  /** What the forwarder allocates meanwhile. */
  async watch(load: Load): Promise<GaugeFigures & { arrived: number }> {
    await this.forwarder.ask({ kind: 'watch' });
    const { arrived } = await this.run(load);
    const figures = await this.forwarder.ask<GaugeFigures>({ kind: 'watched' });
    return { ...figures, arrived };
  }

  stop(): void {
    for (const worker of this.#workers) worker?.stop();
  }
}

/** A config with nothing but a door for looking. */
function httpConfig(folder: string, port: number): string {
  const path = join(folder, 'http.yaml');
  writeFileSync(path, `http: { address: "127.0.0.1:${port}", dashboard: true }\n`);
  return path;
}

export function quad(id: number): string {
  return [24, 16, 8, 0].map((shift) => (id >>> shift) & 255).join('.');
}
