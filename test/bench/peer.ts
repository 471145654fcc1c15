/**
 * The C implementation beside ours: three of its daemons in a row on the same hosts, and its own
 * test program sp_bflooder as sender and receiver, at the same size and rates. Its binaries come
 * from whoever asks for the comparison; nothing of it is in this project.
 *
 * CPU time of all five processes is read from /proc while they run. Its daemons run with the rate
 * limit of a leg off (-rl -1), and the flooder with the rate that is asked for (-R, kilobits a
 * second) in place of its 500.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome } from './knee.js';
import type { Host, Place } from './place.js';
import { monotonicMs, pause } from './processes.js';

export type PeerService = 'best effort' | 'reliable';
/** CPU microseconds per packet of sending program, the three daemons, receiving program. */
export interface PeerOutcome extends Outcome {
  readonly cpuUs: readonly number[];
}

const BYTES = 1_000;
const BASE_PORT = 8_100;
const DAEMONS = 3;
/** Of /proc/PID/stat; fixed for programs, whatever the kernel's own is. */
const TICKS_PER_SECOND = 100;
const ROUTES_MS = 20_000;
/** After its last packet the flooder sleeps a second and another. */
const TAIL_MS = 6_000;
const PROTOCOL: Record<PeerService, string> = { 'best effort': '0', reliable: '1' };

/** CPU time of a process so far, microseconds; null: it is gone. */
function cpuOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // utime and stime are fields 14 and 15 of proc(5); the third is the first here.
    return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
  } catch {
    return null;
  }
}

interface Ended {
  readonly text: string;
  readonly cpuUs: number;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Peer {
  readonly #daemon: string;
  readonly #flooder: string;
  readonly #folder: string;
  readonly #hosts: readonly Host[];
  readonly #daemons: ChildProcess[] = [];
  #port = 8_400;

  /** `dir`: with `spines` and `sp_bflooder` in it. Throws with a sentence for the user. */
  constructor(dir: string, place: Place, folder: string) {
    this.#daemon = join(dir, 'spines');
    this.#flooder = join(dir, 'sp_bflooder');
    const missing = [this.#daemon, this.#flooder].find((file) => !existsSync(file));
    if (missing !== undefined)
      throw new Error(
        `--peer ${dir}: there is no ${missing}; build the C implementation and put its programs ` +
          'spines and sp_bflooder there',
      );
    if (!place.separate)
      throw new Error(
        '--peer needs network namespaces: its daemons listen on one port, each on a host of its ' +
          'own',
      );
    this.#folder = folder;
    this.#hosts = place.hosts.slice(0, DAEMONS);
  }

  #spawn(host: Host, program: string, args: readonly string[]): ChildProcess {
    const [command, ...rest] = [...host.prefix, program, ...args] as [string, ...string[]];
    const child = spawn(command, rest, { cwd: this.#folder, stdio: ['ignore', 'pipe', 'ignore'] });
    running.add(child);
    child.once('exit', () => running.delete(child)).once('error', () => running.delete(child));
    return child;
  }

  #socket(i: number): string {
    return join(this.#folder, `peer-${i}`);
  }

  async start(): Promise<this> {
    writeFileSync(join(this.#folder, 'spines.conf'), '');
    for (const [i, host] of this.#hosts.entries()) {
      const neighbours = [this.#hosts[i - 1], this.#hosts[i + 1]].flatMap((next) =>
        next === undefined ? [] : ['-a', next.address],
      );
      const child = this.#spawn(host, this.#daemon, [
        '-p',
        String(BASE_PORT),
        '-l',
        host.address,
        '-I',
        host.address,
        ...neighbours,
        '-ud',
        this.#socket(i),
        '-rl',
        '-1',
        '-U',
        '-c',
        join(this.#folder, 'spines.conf'),
      ]);
      child.stdout!.resume();
      this.#daemons.push(child);
    }
    // It has routes when something arrives.
    const began = monotonicMs();
    for (const service of ['best effort', 'reliable'] as const) {
      while ((await this.run(service, 1_000, 200)).arrived === 0)
        if (monotonicMs() - began > ROUTES_MS)
          throw new Error("the peer's daemons carry nothing; try them by hand");
    }
    return this;
  }

  /** Runs the flooder until it ends, or is ended `waitMs` after `limit` has resolved. */
  async #flood(
    host: Host,
    args: readonly string[],
    limit: Promise<unknown>,
    waitMs: number,
  ): Promise<Ended> {
    const child = this.#spawn(host, this.#flooder, args);
    let text = '',
      cpuUs = 0;
    child.stdout!.setEncoding('latin1').on('data', (chunk: string) => {
      text = (text + chunk).slice(-20_000);
    });
    const ended = new Promise<void>((resolve) =>
      child.once('close', () => resolve()).once('error', () => resolve()),
    );
    // Read as long as it can be: at the end of its life it sleeps.
    const watch = setInterval(() => {
      cpuUs = cpuOf(child.pid ?? -1) ?? cpuUs;
    }, 50);
    const timer = limit
      .then(() => Promise.race([pause(waitMs), ended]))
      .then(() => child.kill('SIGKILL'));
    await ended;
    await timer;
    clearInterval(watch);
    return { text, cpuUs };
  }

  async run(
    service: PeerService,
    packetsPerSecond: number,
    durationMs: number,
  ): Promise<PeerOutcome> {
    const count = Math.max(100, Math.round((packetsPerSecond * durationMs) / 1_000));
    const [first, last] = [this.#hosts[0]!, this.#hosts.at(-1)!];
    // A receiver whose end mark was lost may linger at its port.
    this.#port = this.#port >= 8_900 ? 8_400 : this.#port + 1;
    const common = ['-P', PROTOCOL[service], '-b', String(BYTES), '-n', String(count)];
    const before = this.#daemons.map((child) => cpuOf(child.pid!) ?? 0);
    let sent: () => void = () => {};
    const sending = new Promise<void>((resolve) => {
      sent = resolve;
    });
    const receiving = this.#flood(
      last,
      ['-ud', this.#socket(DAEMONS - 1), '-r', String(this.#port), ...common],
      sending,
      500,
    );
    // The receiver must be bound.
    await pause(150);
    const wallMs = (1_000 * count) / packetsPerSecond + TAIL_MS;
    const kilobits = String(Math.round((packetsPerSecond * BYTES * 8) / 1_000));
    const sender = await this.#flood(
      first,
      [
        '-s',
        '-ud',
        this.#socket(0),
        '-a',
        last.address,
        '-d',
        String(this.#port),
        '-R',
        kilobits,
        ...common,
      ],
      pause(wallMs),
      0,
    );
    sent();
    const receiver = await receiving;
    const after = this.#daemons.map((child) => cpuOf(child.pid!) ?? 0);
    const arrived = Number(/Received:\s+(\d+) out of/.exec(receiver.text)?.[1] ?? 0);
    const perSecond =
      (Number(/Throughput:\s+([\d.]+) kbs/.exec(receiver.text)?.[1] ?? 0) * 1_000) / 8 / BYTES;
    const offered =
      (Number(/Avg transmit rate: ([\d.]+)/.exec(sender.text)?.[1] ?? 0) * 1_000) / 8 / BYTES;
    const each = (us: number): number => us / Math.max(1, arrived);
    return {
      // It sends all, however long that takes: late is not offered.
      due: count,
      sent:
        offered >= 0.98 * packetsPerSecond
          ? count
          : Math.min(count, Math.round((count * offered) / packetsPerSecond)),
      arrived: Math.min(arrived, count),
      drainMs:
        perSecond === 0
          ? Infinity
          : (1_000 * arrived) / perSecond - (1_000 * count) / Math.max(1, offered),
      perSecond,
      cpuUs: [sender.cpuUs, ...after.map((us, i) => us - before[i]!), receiver.cpuUs].map(each),
    };
  }

  stop(): void {
    for (const child of this.#daemons) child.kill('SIGKILL');
  }
}
