/**
 * Does a daemon that works for long keep what it needs no more? Three daemons in a row, sealed,
 * carry half of what they can for some minutes; the one in the middle says what its heap holds
 * after the warm-up and at the end.
 *
 * Runs by itself: `node dist/.bench/soak.js [--minutes 10] [--way best-effort|reliable] [--rate
 * PACKETS_PER_SECOND]`. Daemons and programs are processes started from this file. Prints; asserts
 * nothing.
 */

import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { SpinesClient } from 'spines-client';
import { CARRIER_FLAG } from '#src/cli/heap.js';
import { startDaemon, type RunningDaemon } from '#src/host/daemon.js';
import { loadOffload } from '#src/host/net/offload.js';
import { makeConfig } from '#src/core/node/config.js';
import { FIRST_ID, makeIdentities, readMembership } from './identities.js';
import { freePort, pause } from './processes.js';

type Way = 'best-effort' | 'reliable';

type Order =
  | {
      readonly kind: 'daemon';
      readonly id: number;
      readonly folder: string;
      readonly nextKey: string | null;
      readonly port: number;
      readonly next: number;
      readonly socketPath: string;
    }
  | { readonly kind: 'receive'; readonly socketPath: string; readonly way: Way }
  | {
      readonly kind: 'send';
      readonly socketPath: string;
      readonly way: Way;
      readonly packetsPerSecond: number;
      readonly durationMs: number;
    }
  /** `gc`: free first what can be freed. */
  | { readonly kind: 'report'; readonly gc: boolean };

interface Report {
  /** Heap and buffers in use, and resident memory; MB. */
  readonly heapMb: number;
  readonly externalMb: number;
  readonly rssMb: number;
  readonly gcMs: number;
  readonly cpuMs: number;
  /** Forwarded by a daemon, or received by a program. */
  readonly packets: number;
  readonly reachable: boolean;
  readonly dropped: number;
}

const PORT = 7,
  BYTES = 1_000;
const SINK = FIRST_ID + 2;
const WARM_MS = 10_000,
  STEP_MS = 1_500;
/** Where the search for what the daemons carry begins, and by what it grows. */
const LOWEST = 4_000,
  GROWTH = 1.35;
const LOSS = 0.001;

/* ------------------------------------------------------------------ in the processes */

let daemon: RunningDaemon | null = null;
let received = 0;
let gcMs = 0;

function report(gc: boolean): Report {
  if (gc) for (let i = 0; i < 4; i += 1) globalThis.gc!();
  const { heapUsed, external, rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    heapMb: heapUsed / 1e6,
    externalMb: external / 1e6,
    rssMb: rss / 1e6,
    gcMs,
    cpuMs: (user + system) / 1_000,
    packets: daemon?.node.dissemination.forwarded ?? received,
    reachable: daemon?.node.router.nextHop(SINK) !== null,
    dropped: daemon?.node.drops.total ?? 0,
  };
}

async function send({
  socketPath,
  way,
  packetsPerSecond,
  durationMs,
}: Order & { kind: 'send' }): Promise<number> {
  const client = await SpinesClient.connect({ path: socketPath });
  const socket = client.datagram({ link: way });
  socket.on('sendError', () => {});
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  const payload = Buffer.alloc(BYTES);
  const began = performance.now();
  let sent = 0;
  for (;;) {
    const elapsed = performance.now() - began;
    if (elapsed >= durationMs) break;
    // What a late timer left is made up for, but not all at once.
    const due = Math.min(
      Math.floor((elapsed * packetsPerSecond) / 1_000),
      sent + Math.ceil(packetsPerSecond / 50),
    );
    let open = true;
    for (; sent < due && open; sent += 1) open = socket.send(payload, PORT, '10.0.0.3');
    if (open) await new Promise((resolve) => setTimeout(resolve, 1));
    else await socket.ready();
  }
  await client.close();
  return sent;
}

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case 'daemon': {
      const { id, folder, nextKey, port, next, socketPath } = order;
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) gcMs += duration;
      }).observe({ entryTypes: ['gc'] });
      const dials =
        nextKey === null
          ? []
          : [
              {
                address: '127.0.0.1',
                port: next,
                node: null,
                key: Uint8Array.from(Buffer.from(nextKey, 'hex')),
              },
            ];
      daemon = await startDaemon({
        config: makeConfig({ id, dials }),
        offload: loadOffload(),
        listen: [{ address: '127.0.0.1', port }],
        client: { socketPath, tcp: null },
        membership: readMembership(folder),
        revocationsPath: null,
        reload: null,
        emulation: [],
        emulationSeed: 1,
        log: pino({ level: 'silent' }),
      });
      return true;
    }
    case 'receive': {
      const client = await SpinesClient.connect({ path: order.socketPath });
      const socket = client.datagram({ link: order.way, recvQueueBytes: 64 << 20 });
      socket.on('message', () => {
        received += 1;
      });
      await new Promise<void>((resolve) => socket.bind(PORT, resolve));
      return true;
    }
    case 'send':
      return await send(order);
    case 'report':
      return report(order.gc);
  }
}

/* ------------------------------------------------------------------ the one that asks */

class Part {
  readonly #child: ChildProcess = fork(fileURLToPath(import.meta.url), ['part'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: ['--expose-gc', CARRIER_FLAG],
  });

  ask<T>(order: Order): Promise<T> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('a process of the soak ended early'));
      this.#child.once('exit', onExit);
      this.#child.once('message', ({ answer }: { answer: T }) => {
        this.#child.off('exit', onExit);
        resolve(answer);
      });
      this.#child.send(order);
    });
  }

  report(gc = false): Promise<Report> {
    return this.ask<Report>({ kind: 'report', gc });
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

class Soak {
  readonly #dir = mkdtempSync(join(tmpdir(), 'spines-soak-'));
  readonly #way: Way;
  readonly #daemons = [new Part(), new Part(), new Part()] as const;
  readonly #receiver = new Part();
  /** Another process than the senders before: each has one connection. */
  readonly #sender = new Part();

  constructor(way: Way) {
    this.#way = way;
  }

  get transit(): Part {
    return this.#daemons[1];
  }

  async start(): Promise<void> {
    const identities = makeIdentities(this.#dir, 3);
    const ports = [await freePort(), await freePort(), await freePort()];
    for (const i of [2, 1, 0]) {
      const { folder, nextKey } = identities[i]!;
      await this.#daemons[i]!.ask({
        kind: 'daemon',
        id: FIRST_ID + i,
        folder,
        nextKey,
        port: ports[i]!,
        next: ports[i + 1] ?? 0,
        socketPath: this.#socket(i),
      });
    }
    while (!(await this.#daemons[0].report()).reachable) await pause(50);
    await this.#receiver.ask({ kind: 'receive', socketPath: this.#socket(2), way: this.#way });
  }

  /**
   * Sends for a while; how many were sent and how many of these arrived. `watch` runs meanwhile.
   */
  async carry(
    packetsPerSecond: number,
    durationMs: number,
    watch: () => Promise<void> = async () => {},
  ): Promise<{ sent: number; arrived: number }> {
    const before = (await this.#receiver.report()).packets;
    const sending = this.#sender.ask<number>({
      kind: 'send',
      socketPath: this.#socket(0),
      way: this.#way,
      packetsPerSecond,
      durationMs,
    });
    await watch();
    const sent = await sending;
    // Until nothing more comes.
    for (let last = -1, now = 0; now !== last; ) {
      last = now;
      await pause(200);
      now = (await this.#receiver.report()).packets;
    }
    return { sent, arrived: (await this.#receiver.report()).packets - before };
  }

  /** The highest rate of a ladder that arrives with hardly a loss. */
  async knee(): Promise<number> {
    let best = LOWEST;
    for (let rate = LOWEST; ; rate = Math.round(rate * GROWTH)) {
      // Once may be chance.
      if (!(await this.#carries(rate)) && !(await this.#carries(rate))) return best;
      best = rate;
    }
  }

  async #carries(rate: number): Promise<boolean> {
    const { sent, arrived } = await this.carry(rate, STEP_MS);
    return arrived >= (1 - LOSS) * sent && sent >= (0.95 * rate * STEP_MS) / 1_000;
  }

  stop(): void {
    for (const one of [...this.#daemons, this.#receiver, this.#sender]) one.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #socket(i: number): string {
    return join(this.#dir, `${'abc'[i]!}.sock`);
  }
}

function argument(name: string, otherwise: string): string {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : (process.argv[at + 1] ?? otherwise);
}

const line = (what: string, { heapMb, externalMb, rssMb }: Report): string =>
  `${what.padEnd(22)} heap ${heapMb.toFixed(2)} MB, buffers ${externalMb.toFixed(2)} MB, ` +
  `resident ${rssMb.toFixed(1)} MB`;

async function main(): Promise<void> {
  const minutes = Number(argument('--minutes', '10'));
  const way: Way = argument('--way', 'best-effort') === 'reliable' ? 'reliable' : 'best-effort';
  const soak = new Soak(way);
  try {
    await soak.start();
    const knee = Number(argument('--rate', '0')) * 2 || (await soak.knee());
    const rate = Math.round(knee / 2);
    console.log(
      `Three daemons, sealed, ${way}, ${BYTES} B: they carry ${knee} packets/s; ` +
        `${rate} for ${minutes} min. Load ${loadavg()
          .map((load) => load.toFixed(1))
          .join(' ')}`,
    );
    await soak.carry(rate, WARM_MS);
    const first = await soak.transit.report(true);
    console.log(line('after the warm-up, gc', first));
    const began = performance.now(),
      durationMs = minutes * 60_000;
    let worst = first.rssMb;
    const { sent, arrived } = await soak.carry(rate, durationMs, async () => {
      const every = Math.min(60_000, durationMs / 4);
      for (let next = every; next < durationMs; next += every) {
        await pause(Math.max(0, next - (performance.now() - began)));
        const now = await soak.transit.report();
        worst = Math.max(worst, now.rssMb);
        console.log(line(`${(next / 60_000).toFixed(1)} min`, now));
      }
    });
    const seconds = (performance.now() - began) / 1_000;
    const busy = await soak.transit.report();
    const last = await soak.transit.report(true);
    console.log(line('at the end, gc', last));
    const forwarded = last.packets - first.packets;
    const [heap, buffers] = [last.heapMb - first.heapMb, last.externalMb - first.externalMb];
    console.log(
      `heap ${heap.toFixed(2)} MB more than after the warm-up, buffers ${buffers.toFixed(2)} MB ` +
        `more; most resident ${worst.toFixed(1)} MB`,
    );
    console.log(
      `the daemon in the middle passed on ${forwarded} packets, ` +
        `${(((last.cpuMs - first.cpuMs) * 1_000) / Math.max(1, forwarded)).toFixed(2)} us of CPU ` +
        'each; ' +
        `collecting garbage took ${(busy.gcMs - first.gcMs).toFixed(0)} ms, ` +
        `${((busy.gcMs - first.gcMs) / seconds / 10).toFixed(2)} % of the time; it dropped ` +
        `${last.dropped - first.dropped}`,
    );
    console.log(
      `sent ${sent}, lost ${sent - arrived} ` +
        `(${(((sent - arrived) / Math.max(1, sent)) * 100).toFixed(4)} %)`,
    );
  } finally {
    soak.stop();
  }
}

if (process.argv[2] === 'part') {
  process.on('message', (order: Order) => {
    void obey(order).then((answer) => process.send!({ answer }));
  });
  process.on('disconnect', () => process.exit(0));
} else {
  await main();
  process.exit(0);
}
