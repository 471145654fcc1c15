/**
 * Five daemons in a row, one on each host, with a sending program beside the first and receiving
 * ones beside the second, third and fifth; and one run of packets or of a stream between two of the
 * programs.
 *
 * Daemons are the program `spines daemon`, programs use spines-client over the daemon's Unix
 * socket. Of a run over fewer hops the further daemons carry nothing and do not count.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Arrived, Percentiles } from './arrivals.js';
import { quad } from './chain.js';
import { launchDaemon } from './daemons.js';
import { FIRST_ID, makeIdentities } from './identities.js';
import type { Outcome } from './knee.js';
import type { Place } from './place.js';
import { beside, monotonicMs, pause, Worker } from './processes.js';
import type { DatagramWay, Protection } from './program.js';
import type { Pumped } from './pump.js';

export const HOPS = [1, 2, 4] as const;
export type Hops = (typeof HOPS)[number];
export const LINE_HOSTS = 5;

export interface LineKind {
  readonly sealed: boolean;
  readonly offload: boolean;
}
/** Default: 1,000 B, sealed as sockets are by default. */
export interface LineMessages {
  readonly bytes?: number;
  readonly secrecy?: Protection;
}
export interface LineOutcome extends Outcome {
  /**
   * CPU microseconds per packet (of a stream: per 1000 bytes) of the sending program, each daemon
   * and the receiving program.
   */
  readonly cpuUs: readonly number[];
  readonly latency: Percentiles;
}

const PAYLOAD_BYTES = 1_000;
const PORT = 5_000;
const PATIENCE_MS = 20_000,
  BACKLOG_MS = 5_000;
const SETTLE_MS = 60,
  LATE_MS = 120;
/** Above this rate one packet of so many is stamped. */
const STAMP_ALL_BELOW = 5_000,
  STAMP_EVERY = 16;

export class Line {
  readonly #daemons: Worker[] = [];
  readonly #receivers = new Map<Hops, Worker>();
  #sender: Worker | null = null;

  async start(
    { sealed, offload }: LineKind,
    place: Place,
    folder: string,
    hops: readonly Hops[],
  ): Promise<this> {
    const count = Math.max(...hops) + 1;
    const identities = sealed ? makeIdentities(folder, count) : null;
    const ports: number[] = [];
    for (let i = 0; i < count; i += 1) ports.push(await place.port());
    const socketOf = (i: number): string => join(folder, `${i}.sock`);
    for (let i = 0; i < count; i += 1) {
      const next = place.hosts[i + 1];
      this.#daemons.push(
        launchDaemon({
          host: place.hosts[i]!,
          port: ports[i]!,
          id: quad(FIRST_ID + i),
          identity: identities?.[i]?.folder ?? null,
          offload,
          socket: socketOf(i),
          dial: i + 1 < count ? `${next!.address}:${ports[i + 1]!}` : null,
        }),
      );
    }
    const began = monotonicMs();
    const wait = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
      while (!(await holds())) {
        if (monotonicMs() - began > PATIENCE_MS) throw new Error(`${what} did not come about`);
        await pause(50);
      }
    };
    for (let i = 0; i < count; i += 1)
      await wait(`daemon ${i + 1} of a row`, () => existsSync(socketOf(i)));
    const program = async (i: number, port: number | null): Promise<Worker> => {
      const worker = new Worker({ script: beside('program.js'), prefix: place.hosts[i]!.prefix });
      await worker.ask({ kind: 'open', socketPath: socketOf(i), port });
      return worker;
    };
    const sender = await program(0, null);
    this.#sender = sender;
    for (const each of hops) {
      this.#receivers.set(each, await program(each, PORT));
      await wait(
        `a route over ${each} hops`,
        async () =>
          (
            await sender.ask<{ reachable: boolean }>({
              kind: 'reachable',
              to: quad(FIRST_ID + each),
            })
          ).reachable,
      );
    }
    return this;
  }

  /** Their CPU time counts, in the order of LineOutcome. */
  #involved(hops: Hops): Worker[] {
    return [this.#sender!, ...this.#daemons.slice(0, hops + 1), this.#receivers.get(hops)!];
  }

  async #cpu(hops: Hops): Promise<number[]> {
    return await Promise.all(
      this.#involved(hops).map(
        async (worker) => (await worker.ask<{ cpuUs: number }>({ kind: 'cpu' })).cpuUs,
      ),
    );
  }

  async #quiet(receiver: Worker): Promise<void> {
    const began = monotonicMs();
    for (;;) {
      const { packets, bytes } = await receiver.ask<Arrived>({ kind: 'arrived' });
      if (packets + bytes === 0 || monotonicMs() - began > BACKLOG_MS) return;
      await pause(30);
    }
  }

  async run(
    way: DatagramWay,
    hops: Hops,
    packetsPerSecond: number,
    durationMs: number,
    { bytes = PAYLOAD_BYTES, secrecy = 'end-to-end' }: LineMessages = {},
  ): Promise<LineOutcome> {
    const receiver = this.#receivers.get(hops)!;
    await this.#quiet(receiver);
    const before = await this.#cpu(hops);
    const stampEvery = packetsPerSecond <= STAMP_ALL_BELOW ? 1 : STAMP_EVERY;
    const { sent, beganMs, endedMs } = await this.#sender!.ask<Pumped>({
      kind: 'send',
      way,
      secrecy,
      to: quad(FIRST_ID + hops),
      port: PORT,
      bytes,
      packetsPerSecond,
      durationMs,
      stampEvery,
    });
    await pause(SETTLE_MS);
    if ((await receiver.ask<{ packets: number }>({ kind: 'count' })).packets < sent)
      await pause(LATE_MS);
    const {
      packets: arrived,
      lastAtMs,
      latency,
    } = await receiver.ask<Arrived>({ kind: 'arrived' });
    const after = await this.#cpu(hops);
    return {
      due: Math.round((packetsPerSecond * durationMs) / 1_000),
      sent,
      arrived,
      drainMs: lastAtMs - endedMs,
      perSecond: (1_000 * arrived) / Math.max(1, lastAtMs - beganMs),
      cpuUs: after.map((us, i) => (us - before[i]!) / Math.max(1, arrived)),
      latency,
    };
  }

  /** A stream for as long; 1000 bytes count as a packet. */
  async stream(hops: Hops, durationMs: number): Promise<LineOutcome> {
    const receiver = this.#receivers.get(hops)!;
    await this.#quiet(receiver);
    const before = await this.#cpu(hops);
    const { sent, beganMs, endedMs } = await this.#sender!.ask<Pumped>({
      kind: 'stream',
      to: quad(FIRST_ID + hops),
      port: PORT,
      durationMs,
    });
    let bytes = 0,
      lastAtMs = 0;
    while (bytes < sent && monotonicMs() - endedMs < BACKLOG_MS) {
      await pause(20);
      const arrived = await receiver.ask<Arrived>({ kind: 'arrived' });
      bytes += arrived.bytes;
      lastAtMs = arrived.lastAtMs;
    }
    const after = await this.#cpu(hops);
    const packets = bytes / PAYLOAD_BYTES;
    return {
      due: sent / PAYLOAD_BYTES,
      sent: sent / PAYLOAD_BYTES,
      arrived: packets,
      drainMs: lastAtMs - endedMs,
      perSecond: (1_000 * packets) / Math.max(1, lastAtMs - beganMs),
      cpuUs: after.map((us, i) => (us - before[i]!) / Math.max(1, packets)),
      latency: { p50: NaN, p90: NaN, p99: NaN, max: NaN },
    };
  }

  stop(): void {
    for (const worker of [this.#sender, ...this.#receivers.values(), ...this.#daemons])
      worker?.stop();
  }
}
