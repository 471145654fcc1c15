/**
 * Real daemons in processes of their own, for end-to-end tests: started, awaited, killed, and never
 * left over.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SpinesClient, type RoutesReply, type StatusReply } from 'spines-client';

import { folderOf, makeTemporaryNetwork } from '../../src/cli/replay/temporary-network.ts';

/** The built program, for node. */
export const PROGRAM = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Of 50 ms and what each takes: the tests' own time limits come first. */
const CONNECT_TRIES = 2_000;

export interface Ran {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

export class RealDaemon {
  readonly name: string;
  readonly port: number;
  readonly socket: string;
  readonly arguments: readonly string[];
  /** Another build's, for networks of several releases. */
  program = PROGRAM;
  process: ChildProcess | null = null;
  log = '';

  constructor(name: string, port: number, socket: string, args: readonly string[]) {
    this.name = name;
    this.port = port;
    this.socket = socket;
    this.arguments = args;
  }

  start(): void {
    this.process = spawn(process.execPath, [this.program, 'daemon', ...this.arguments], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.process.stderr!.on('data', (chunk: Buffer) => {
      this.log = (this.log + chunk.toString()).slice(-20_000);
    });
  }

  get #ended(): boolean {
    const child = this.process;
    return child !== null && (child.exitCode !== null || child.signalCode !== null);
  }

  /** Ends the process and waits until it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.process;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    await gone;
  }

  async connect(): Promise<SpinesClient> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await SpinesClient.connect({ path: this.socket, name: 'test' });
      } catch (error) {
        // One that has ended will not answer; one that lives is as slow as the machine.
        if (this.#ended || tries >= CONNECT_TRIES)
          throw new Error(`daemon ${this.name} does not answer: ${this.log}`, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}

export class RealNetwork {
  readonly daemons: RealDaemon[] = [];
  #folder: string | null = null;
  /** X25519 keys of the daemons, in hexadecimal, and of one more node. */
  keys: readonly string[] = [];

  /** Made when it is first asked for: a network that is never started leaves nothing behind. */
  get folder(): string {
    return (this.#folder ??= mkdtempSync(join(tmpdir(), 'spines-e2e-')));
  }

  /** The folder with key and certificate of a daemon, in a sealed network. */
  identityOf(index: number): string {
    return folderOf(this.folder, index);
  }

  /**
   * Sealed, unless `extra` has `--security none`. `links`: pairs of indices; the second dials the
   * first. Names are n0, n1, ... and ids 10.0.0.1, 10.0.0.2, ...
   */
  async start(
    count: number,
    links: readonly (readonly [number, number])[],
    extra: readonly string[] = [],
  ): Promise<this> {
    const ports = await freePorts(count);
    const sealed = !extra.join(' ').includes('--security none');
    // One more than there are daemons: for a test that joins by itself.
    const nodes = [...ports, 0].map((_, i) => ({
      name: `n${i}`,
      id: 0x0a00_0001 + i,
      folder: this.identityOf(i),
    }));
    if (sealed) this.keys = makeTemporaryNetwork('e2e', nodes);
    for (let i = 0; i < count; i += 1) {
      const dials = links
        .filter(([, from]) => from === i)
        .flatMap(([to]) => ['--link', `127.0.0.1:${ports[to]!}`]);
      const socket = join(this.folder, `n${i}.sock`);
      const daemon = new RealDaemon(`n${i}`, ports[i]!, socket, [
        ...(sealed
          ? ['--identity', this.identityOf(i)]
          : ['--name', `n${i}`, '--id', `10.0.0.${i + 1}`]),
        '--listen',
        `127.0.0.1:${ports[i]!}`,
        '--socket',
        socket,
        ...dials,
        ...extra,
      ]);
      this.daemons.push(daemon);
      daemon.start();
    }
    return this;
  }

  /** Waits until every daemon has a route to every other. */
  async converged(): Promise<void> {
    for (const daemon of this.daemons) {
      const client = await daemon.connect();
      for (let tries = 0; ; tries += 1) {
        const reply = (await client.request('routes')) as { routes: RoutesReply['routes'] };
        if (reply.routes.filter((route) => route.reachable).length === this.daemons.length - 1)
          break;
        if (tries >= CONNECT_TRIES)
          throw new Error(`${daemon.name} has no routes: ${JSON.stringify(reply)} ${daemon.log}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await client.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.daemons.map((daemon) => daemon.end('SIGKILL')));
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = null;
  }
}

/** A terminal that is wider than any table: what is not about width finds each row in a line. */
const WIDE = '1000';

/** Runs the program `spines` to its end. */
export function spines(
  args: readonly string[],
  options: { input?: Buffer; env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, COLUMNS: WIDE, ...options.env },
    });
    const out: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(out), stderr }));
  });
}

/**
 * What the daemon at `path` answers, asked from this process: a program of its own takes longer to
 * start than a daemon takes for most that tests wait for.
 */
export async function asked<T>(
  path: string,
  ask: (client: SpinesClient) => Promise<T>,
): Promise<T> {
  const client = await SpinesClient.connect({ path, name: 'test' });
  try {
    return await ask(client);
  } finally {
    await client.close();
  }
}

export const statusAt = (path: string): Promise<StatusReply> =>
  asked(path, (client) => client.request('status'));

export async function freePorts(count: number): Promise<number[]> {
  const probes = await Promise.all(
    Array.from({ length: count }, async () => {
      const probe = createSocket('udp4');
      await new Promise<void>((resolve) => probe.bind(0, '127.0.0.1', resolve));
      return probe;
    }),
  );
  const ports = probes.map((probe) => probe.address().port);
  await Promise.all(
    probes.map((probe) => new Promise<void>((resolve) => probe.close(() => resolve()))),
  );
  return ports;
}
