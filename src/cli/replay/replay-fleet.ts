/**
 * The daemons of a real-time replay: one child process per node, on loopback.
 *
 * Owns the temporary folder (config files, sockets, logs), the processes and the control
 * connections to them. Knows nothing of flows and timelines. Invariant: whatever happens, no
 * process and no file is left over: `close` ends all, an exit handler does when there is no time,
 * and each daemon ends by itself when its standard input does.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SpinesClient, type LinkRow } from 'spines-client';
import { stringify } from 'yaml';

import { formatNodeId } from '../../core/base/ids.ts';
import {
  changeDirection,
  toLinkSettings,
  type DirectionChange,
  type DirectionSettings,
} from '../../core/emulation/link-settings.ts';
import type { Topology } from '../../lab/topology/topology.ts';
import { directionData } from '../../host/config/config-file.ts';
import { replaceWhole } from '../../host/files/whole-file.ts';
import { ask } from '../client.ts';
import { EXIT_NO_DAEMON, Failure, oneLine } from '../terminal/failure.ts';
import { folderOf, identityConfig, makeTemporaryNetwork } from './temporary-network.ts';

export type DirectionName = 'forward' | 'backward';

interface Daemon {
  readonly index: number;
  readonly name: string;
  readonly quad: string;
  readonly port: number;
  readonly socketPath: string;
  readonly configPath: string;
  readonly logPath: string;
  /** Where its identity is, in a sealed network. */
  readonly identityFolder: string;
  process: ChildProcess | null;
  exited: Promise<void>;
  /** An exit now is what we asked for. */
  expectedExit: boolean;
  client: SpinesClient | null;
}

/**
 * For an answer of a daemon that shares its processors with all the others, and with whatever else
 * runs here.
 */
export const BUSY_MS = 60_000;
/** One that ended is told at once; one that still lives is slow, and how slow is not its fault. */
const START_TIMEOUT_MS = 120_000;
/** On top, for each daemon: they share the processors while they start. */
const START_TIMEOUT_EACH_MS = 2_000;
const POLL_MS = 50;
const TERM_PATIENCE_MS = 2_000;
const LOG_LINES_SHOWN = 8;
/** A Unix socket's path has 108 bytes; the name below the folder takes some. */
const SOCKET_DIR_MAX = 80;

export class Fleet {
  readonly topology: Topology;
  /** Rejects when a daemon ends that should not; never resolves. */
  readonly failed: Promise<never>;
  readonly #dir: string;
  readonly #daemons: Daemon[] = [];
  /** What each direction emulates now; index = link. */
  readonly #settings: { forward: DirectionSettings; backward: DirectionSettings }[];
  readonly #linksOf: number[][];
  /** X25519 keys of the nodes, in a sealed network. */
  #keys: readonly string[] = [];
  #fail!: (failure: Failure) => void;
  #closing: Promise<void> | null = null;
  readonly #onExit = (): void => this.#killNow();

  private constructor(topology: Topology, dir: string) {
    this.topology = topology;
    this.#dir = dir;
    this.#settings = topology.links.map(({ forward, backward }) => ({ forward, backward }));
    this.#linksOf = topology.nodes.map(() => []);
    topology.links.forEach(({ a, b }, link) => {
      this.#linksOf[a]!.push(link);
      this.#linksOf[b]!.push(link);
    });
    this.failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {});
    process.on('exit', this.#onExit);
  }

  /**
   * Starts every daemon and connects to it. Throws Failure with the log's last lines when one does
   * not start.
   */
  static async start(topology: Topology): Promise<Fleet> {
    const parent = tmpdir().length <= SOCKET_DIR_MAX ? tmpdir() : '/tmp';
    const fleet = new Fleet(topology, mkdtempSync(join(parent, 'spines-replay-')));
    try {
      await fleet.#startAll();
    } catch (error) {
      await fleet.close();
      throw error;
    }
    return fleet;
  }

  /** The control connection to a daemon; null while it is down. */
  client(node: number): SpinesClient | null {
    const { client } = this.#daemons[node]!;
    return client?.connected ? client : null;
  }

  quad(node: number): string {
    return this.#daemons[node]!.quad;
  }

  isRunning(node: number): boolean {
    return this.#daemons[node]!.process !== null;
  }

  /** The far node of a link row, null for an address that is none of ours. */
  nodeAt(row: LinkRow): number | null {
    const port = Number(row.address.slice(row.address.lastIndexOf(':') + 1));
    return this.#daemons.find((daemon) => daemon.port === port)?.index ?? null;
  }

  /**
   * Changes what one direction of a link emulates, now if the daemon runs and at its next start
   * otherwise.
   */
  async change(link: number, direction: DirectionName, change: DirectionChange): Promise<void> {
    const { a, b } = this.topology.links[link]!;
    const [from, to] = direction === 'forward' ? [a, b] : [b, a];
    this.#settings[link]![direction] = changeDirection(this.#settings[link]![direction], change);
    const client = this.client(from);
    if (client === null) return;
    try {
      await ask(
        client,
        'linkSet',
        { peer: this.quad(to), settings: toLinkSettings(change) },
        BUSY_MS,
      );
    } catch (error) {
      // A daemon that is just being killed reads its settings from the config file when it starts
      // again.
      if (this.isRunning(from) && !this.#daemons[from]!.expectedExit) throw error;
    }
  }

  /** Kills a daemon as a crash would. */
  async crash(node: number): Promise<void> {
    const daemon = this.#daemons[node]!;
    if (daemon.process === null) return;
    daemon.expectedExit = true;
    daemon.process.kill('SIGKILL');
    await daemon.exited;
  }

  /** Starts a crashed daemon again, with what its links emulate now. */
  async restart(node: number): Promise<void> {
    const daemon = this.#daemons[node]!;
    if (daemon.process !== null) return;
    this.#spawn(daemon);
    await this.#connect(daemon, START_TIMEOUT_MS);
  }

  /** Ends all daemons, politely for two seconds, and removes the folder. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    for (const daemon of this.#daemons) daemon.expectedExit = true;
    await Promise.all(this.#daemons.map((daemon) => daemon.client?.close()));
    for (const daemon of this.#daemons) daemon.process?.kill('SIGTERM');
    const all = Promise.all(this.#daemons.map((daemon) => daemon.exited));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      all,
      new Promise((resolve) => {
        timer = setTimeout(resolve, TERM_PATIENCE_MS);
      }),
    ]);
    clearTimeout(timer);
    for (const daemon of this.#daemons) daemon.process?.kill('SIGKILL');
    await all;
    rmSync(this.#dir, { recursive: true, force: true });
    process.off('exit', this.#onExit);
  }

  /** For the exit handler, which cannot wait. */
  #killNow(): void {
    for (const daemon of this.#daemons) daemon.process?.kill('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /* ---------------------------------------------------------------- starting */

  async #startAll(): Promise<void> {
    const ports = await freeUdpPorts(this.topology.nodes.length);
    this.topology.nodes.forEach(({ name, id }, index) => {
      const at = (suffix: string): string => join(this.#dir, `n${index}.${suffix}`);
      this.#daemons.push({
        index,
        name,
        quad: formatNodeId(id),
        port: ports[index]!,
        socketPath: at('sock'),
        configPath: at('yaml'),
        logPath: at('log'),
        identityFolder: folderOf(this.#dir, index),
        process: null,
        exited: Promise.resolve(),
        expectedExit: false,
        client: null,
      });
    });
    if (this.topology.security === 'sealed') {
      this.#keys = makeTemporaryNetwork(
        'replay',
        this.topology.nodes.map(({ name, id }, index) => ({
          name,
          id,
          folder: this.#daemons[index]!.identityFolder,
        })),
      );
    }
    for (const daemon of this.#daemons) this.#spawn(daemon);
    const timeoutMs = START_TIMEOUT_MS + START_TIMEOUT_EACH_MS * this.#daemons.length;
    await Promise.race([
      this.failed,
      Promise.all(this.#daemons.map((daemon) => this.#connect(daemon, timeoutMs))),
    ]);
  }

  #spawn(daemon: Daemon): void {
    replaceWhole(daemon.configPath, this.#configOf(daemon));
    const log = openSync(daemon.logPath, 'a');
    // Compiled, this file lies beside main.js.
    const main = fileURLToPath(new URL('../main.js', import.meta.url));
    const child = spawn(
      process.execPath,
      [main, 'daemon', '--config', daemon.configPath, '--exit-with-parent'],
      { stdio: ['pipe', log, log] },
    );
    closeSync(log);
    daemon.process = child;
    daemon.expectedExit = false;
    daemon.exited = new Promise((resolve) => {
      const onGone = (how: string): void => {
        if (daemon.process !== child) return;
        daemon.process = null;
        if (!daemon.expectedExit)
          this.#fail(this.#failure(daemon, `the daemon of ${daemon.name} ended (${how})`));
        resolve();
      };
      child.once('exit', (code, signal) => onGone(signal ?? `exit code ${code}`));
      child.once('error', (error) => onGone(error.message));
    });
    // The pipe exists only to break when this process dies.
    child.stdin!.on('error', () => {});
  }

  async #connect(daemon: Daemon, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    const { process: child } = daemon;
    let last: unknown = null;
    while (performance.now() < deadline) {
      if (this.#closing !== null || daemon.process !== child || child === null) return;
      const client =
        daemon.client ?? new SpinesClient({ path: daemon.socketPath, name: 'spines replay' });
      try {
        // A client that was connected before comes back by itself.
        if (daemon.client === null) await client.open();
        daemon.client = client;
        if (client.connected) return;
      } catch (error) {
        last = error;
      }
      await sleep(POLL_MS);
    }
    throw this.#failure(
      daemon,
      `the daemon of ${daemon.name} did not answer within ${Math.round(timeoutMs / 1_000)} ` +
        `s${last instanceof Error ? ` (${oneLine(last.message).split(';')[0]})` : ''}`,
    );
  }

  #configOf(daemon: Daemon): string {
    const { links, metric, congestion, seed } = this.topology;
    const at = (node: number): string => `127.0.0.1:${this.#daemons[node]!.port}`;
    const mine = this.#linksOf[daemon.index]!;
    const sealed = this.topology.security === 'sealed';
    return stringify({
      name: daemon.name,
      id: daemon.quad,
      ...(sealed ? { identity: identityConfig(daemon.identityFolder) } : { security: 'none' }),
      listen: [at(daemon.index)],
      // One end dials; the other learns the link from it.
      links: mine
        .filter((link) => links[link]!.a === daemon.index)
        .map((link) => ({
          address: at(links[link]!.b),
          node: this.#daemons[links[link]!.b]!.quad,
          ...(sealed ? { key: this.#keys[links[link]!.b]! } : {}),
        })),
      metric,
      ...(congestion === null ? {} : { congestion }),
      client: { socket: daemon.socketPath },
      emulation: {
        allow: true,
        seed: (seed + Math.imul(daemon.index, 0x9e37_79b1)) >>> 0,
        links: mine.map((link) => {
          const away: DirectionName = links[link]!.a === daemon.index ? 'forward' : 'backward';
          return {
            peer: at(away === 'forward' ? links[link]!.b : links[link]!.a),
            ...directionData(this.#settings[link]![away]),
          };
        }),
      },
      ...(this.topology.events.some(({ kind }) => kind === 'misbehave' || kind === 'misbehave-on')
        ? { laboratory: { misbehaviour: true } }
        : {}),
      log: { level: 'info' },
    });
  }

  #failure(daemon: Daemon, what: string): Failure {
    let lines: string[] = [];
    try {
      lines = readFileSync(daemon.logPath, 'utf8')
        .trimEnd()
        .split('\n')
        .filter((line) => line !== '')
        .slice(-LOG_LINES_SHOWN);
    } catch {
      // It never came to write one.
    }
    const next =
      lines.length > 0
        ? `its last log lines are above${busyText()}`
        : // Nothing to be seen by hand: it has not come so far as to say something.
          daemon.process !== null
          ? 'it runs and has not come to write a log: give it more of this machine, take fewer ' +
            `nodes, or use --virtual${busyText()}`
          : `it wrote no log: run \`spines daemon --config FILE\` by hand to see why${busyText()}`;
    return new Failure(EXIT_NO_DAEMON, 'EDAEMON', `${what}; ${next}`, lines);
  }
}

/** For people, where what else runs here may be the cause; '' when nothing does. */
export function busyText(): string {
  const waiting = loadavg()[0]!,
    processors = cpus().length;
  return waiting < 1.5 * processors
    ? ''
    : ` (this machine is busy: ${Math.round(waiting)} processes want its ${processors} ` +
        `processor${processors === 1 ? '' : 's'})`;
}

/**
 * `count` UDP ports of 127.0.0.1 that are free now. All are held until the last is found, so that
 * they differ.
 */
async function freeUdpPorts(count: number): Promise<number[]> {
  const sockets = Array.from({ length: count }, () => createSocket('udp4'));
  try {
    return await Promise.all(
      sockets.map(
        (socket) =>
          new Promise<number>((resolve, reject) => {
            socket.once('error', reject);
            socket.bind(0, '127.0.0.1', () => resolve(socket.address().port));
          }),
      ),
    );
  } finally {
    await Promise.all(
      sockets.map(
        (socket) =>
          new Promise<void>((resolve) => {
            try {
              socket.close(() => resolve());
            } catch {
              resolve();
            }
          }),
      ),
    );
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
