/**
 * Six daemons on hosts of their own, in a ring with a chord, and what an operator or the world does
 * to them.
 *
 * Owns processes, cables, clocks and log disks of the field test, and undoes all that it did; what
 * is told of it and when it may be done is the test's. A log disk is a small tmpfs of its own.
 * Needs root; a moved clock needs libfaketime.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { Namespaces, type NamespaceHost } from './namespaces.ts';
import { PROGRAM, spines } from './processes.ts';

export const NODES = 6;
/** Pairs of indices. */
export const CABLES: readonly (readonly [number, number])[] = [
  [0, 1],
  [1, 2],
  [2, 3],
  [3, 4],
  [4, 5],
  [0, 5],
  [0, 3],
];
export const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
export const LOG_BYTES = 256 * 1_024,
  LOG_KEEP = 2;
const DISK_BYTES = 2 * 1_024 * 1_024;

export class FieldNode {
  readonly index: number;
  readonly host: NamespaceHost;
  readonly dir: string;
  /** Seconds that its clock is ahead. */
  clockS = 0;
  child: ChildProcess | null = null;
  #wanted = false;
  readonly #onFault: (what: string) => void;

  constructor(index: number, host: NamespaceHost, dir: string, onFault: (what: string) => void) {
    this.index = index;
    this.host = host;
    this.dir = dir;
    this.#onFault = onFault;
  }

  get name(): string {
    return `node-${this.index + 1}`;
  }

  get id(): string {
    return `10.0.0.${this.index + 1}`;
  }

  get socket(): string {
    return join(this.dir, 'spines.sock');
  }

  get logs(): string {
    return join(this.dir, 'logs');
  }

  start(): void {
    this.child = this.spawnDaemon(this.dir, []);
    this.#wanted = true;
    const { child } = this;
    child.once('exit', (code, signal) => {
      if (this.child === child && this.#wanted)
        this.#onFault(`${this.name} ended by itself: ${code ?? signal}: ${this.said()}`);
    });
  }

  /** A daemon on this node's host, from the node's folder or a copy of it. */
  spawnDaemon(dir: string, args: readonly string[]): ChildProcess {
    const log = openSync(join(dir, 'stderr'), 'a');
    const [command, ...prefix] = this.host.prefix;
    const clock =
      this.clockS === 0
        ? {}
        : {
            LD_PRELOAD: FAKETIME,
            FAKETIME: `${this.clockS > 0 ? '+' : ''}${this.clockS}s`,
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
          };
    const daemon = [
      process.execPath,
      PROGRAM,
      'daemon',
      '--config',
      join(dir, 'spines.yaml'),
      '--exit-with-parent',
      ...args,
    ];
    const env = Object.entries(clock).map(([name, value]) => `${name}=${value}`);
    const child = spawn(command, [...prefix, 'env', ...env, ...daemon], {
      stdio: ['pipe', log, log],
    });
    closeSync(log);
    child.stdin!.on('error', () => {});
    return child;
  }

  /** Whether it ended in order. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#wanted = false;
    const { child } = this;
    if (child === null) return;
    const code = await endChild(child, signal);
    if (signal === 'SIGTERM' && code !== 0)
      this.#onFault(`${this.name} did not end in order: exit code ${code}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.child!.kill(signal);
  }

  /** All that it printed, at the end. */
  said(): string {
    const file = join(this.dir, 'stderr');
    return existsSync(file) ? readFileSync(file, 'utf8').slice(-2_000) : '';
  }

  /** Its memory, KiB, and open files. */
  use(): { kib: number; files: number } {
    const pid = this.child!.pid!;
    return {
      kib: Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]!),
      files: readdirSync(`/proc/${pid}/fd`).length,
    };
  }

  logBytes(): number {
    return readdirSync(this.logs)
      .filter((name) => name.startsWith('spines.log'))
      .reduce((sum, name) => sum + statSync(join(this.logs, name)).size, 0);
  }

  fillDisk(): void {
    spawnSync('sh', ['-c', `head -c ${DISK_BYTES} /dev/zero > ${join(this.logs, 'photos')}`], {
      stdio: 'ignore',
    });
  }

  freeDisk(): void {
    rmSync(join(this.logs, 'photos'), { force: true });
  }
}

/** Kills what does not end within 10 s. */
export async function endChild(
  child: ChildProcess,
  signal: NodeJS.Signals,
): Promise<number | string | null> {
  if (child.exitCode !== null || child.signalCode !== null)
    return child.exitCode ?? child.signalCode;
  return new Promise((resolve) => {
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    child.once('exit', (code, by) => {
      clearTimeout(late);
      resolve(code ?? by);
    });
    child.kill(signal);
  });
}

export class FieldNetwork {
  readonly folder: string;
  readonly nodes: FieldNode[] = [];
  readonly #spaces = new Namespaces();
  readonly #addresses: string[] = [];
  readonly #unmount = (): void => {
    for (const { logs } of this.nodes) spawnSync('umount', ['-l', logs], { stdio: 'ignore' });
  };

  constructor(folder: string) {
    this.folder = folder;
    process.on('exit', this.#unmount);
  }

  async open(onFault: (what: string) => void): Promise<void> {
    const addresses = Array.from({ length: NODES }, (_, i) => `192.0.2.${i + 1}`),
      dir = join(this.folder, 'lab');
    const made = await spines([
      'init',
      'lab',
      '-n',
      String(NODES),
      '--dir',
      dir,
      '--addresses',
      addresses.map((address) => `${address}:8100`).join(','),
    ]);
    if (made.code !== 0) throw new Error(made.stderr);
    for (const [i, address] of addresses.entries()) {
      const node = new FieldNode(i, this.#spaces.add(address), join(dir, `node-${i + 1}`), onFault);
      this.nodes.push(node);
      this.#addresses.push(address);
      mkdirSync(node.logs);
      must('mount', '-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', node.logs);
      appendFileSync(
        join(node.dir, 'spines.yaml'),
        `log: { file: logs/spines.log, maxSize: ${LOG_BYTES / 1_024}KiB, keep: ${LOG_KEEP} }\n`,
      );
    }
    // The chord.
    const config = join(this.nodes[0]!.dir, 'spines.yaml');
    writeFileSync(
      config,
      readFileSync(config, 'utf8').replace(
        /^links:\n/m,
        `links:\n  - address: ${addresses[3]!}:8100\n    name: node-4\n`,
      ),
    );
    for (const [a, b] of CABLES) this.#spaces.join(this.nodes[a]!.host, this.nodes[b]!.host);
    for (const node of this.nodes) node.start();
  }

  setUp(cable: number, up: boolean): void {
    const [a] = this.#ends(cable);
    ip('-n', a.host.namespace, 'link', 'set', a.device, up ? 'up' : 'down');
    // A device that was down has forgotten its routes.
    if (up) for (const end of this.#ends(cable)) this.#route(end.node);
  }

  setMtu(cable: number, mtu: number, ends: 'one' | 'both'): void {
    for (const { host, device } of this.#ends(cable).slice(ends === 'one' ? 1 : 0))
      ip('-n', host.namespace, 'link', 'set', device, 'mtu', String(mtu));
  }

  /** What leaves for the other end goes to a card that is not there. */
  setBlocked(cable: number, end: 0 | 1, blocked: boolean): void {
    const ends = this.#ends(cable),
      { host, device } = ends[end],
      address = this.#addresses[ends[(1 - end) as 0 | 1].node]!;
    if (blocked)
      ip(
        '-n',
        host.namespace,
        'neigh',
        'replace',
        address,
        'lladdr',
        '02:00:00:00:00:99',
        'dev',
        device,
        'nud',
        'permanent',
      );
    else ip('-n', host.namespace, 'neigh', 'del', address, 'dev', device);
  }

  /** A host gets another address on all its cables; null: its first again. */
  readdress(node: number, address: string | null): void {
    const { host } = this.nodes[node]!,
      old = this.#addresses[node]!,
      now = address ?? host.address;
    if (old === now) return;
    this.#addresses[node] = now;
    for (const [cable, pair] of CABLES.entries()) {
      if (!pair.includes(node)) continue;
      const [a, b] = this.#ends(cable),
        own = a.node === node ? a : b,
        far = own === a ? b : a;
      must('ip', '-n', host.namespace, 'address', 'add', `${now}/32`, 'dev', own.device);
      spawnSync(
        'ip',
        [
          '-n',
          far.host.namespace,
          'route',
          'replace',
          `${now}/32`,
          'dev',
          far.device,
          'src',
          this.#addresses[far.node]!,
        ],
        { stdio: 'ignore' },
      );
    }
    for (const [cable, pair] of CABLES.entries()) {
      if (!pair.includes(node)) continue;
      const own = this.#ends(cable).find((end) => end.node === node)!;
      must('ip', '-n', host.namespace, 'address', 'flush', 'dev', own.device, 'to', `${old}/32`);
    }
    this.#route(node);
    for (const [a, b] of CABLES) if (a === node || b === node) this.#route(a === node ? b : a);
  }

  /** A new certificate in the node's folder. */
  async renew(node: number): Promise<void> {
    const { dir } = this.nodes[node]!,
      out = join(dir, 'new.crt');
    rmSync(out, { force: true });
    const { code, stderr } = await spines([
      'keys',
      'sign',
      join(dir, 'node.req'),
      '--dir',
      join(this.folder, 'lab', 'authority'),
      '--out',
      out,
    ]);
    if (code !== 0) throw new Error(`keys sign: ${stderr}`);
    renameSync(out, join(dir, 'node.crt'));
  }

  /** Another daemon with a node's identity, on its host. */
  twin(node: number): { child: ChildProcess; dir: string } {
    const original = this.nodes[node]!,
      dir = join(this.folder, `twin-${node}-${Date.now()}`);
    mkdirSync(dir);
    for (const name of readdirSync(original.dir))
      if (!['logs', 'stderr', 'spines.sock'].includes(name))
        cpSync(join(original.dir, name), join(dir, name));
    const config = join(dir, 'spines.yaml');
    writeFileSync(
      config,
      readFileSync(config, 'utf8')
        .replace(/^log:.*$/m, '')
        .replace('8100', '8101'),
    );
    return { child: original.spawnDaemon(dir, ['--listen', '0.0.0.0:8101']), dir };
  }

  async close(): Promise<void> {
    for (const node of this.nodes) {
      node.signal('SIGCONT');
      await node.end('SIGKILL');
    }
    this.#unmount();
    process.off('exit', this.#unmount);
    await this.#spaces.close();
  }

  #ends(cable: number): [End, End] {
    const [a, b] = CABLES[cable]!,
      nodeA = this.nodes[a]!,
      nodeB = this.nodes[b]!;
    return [
      { node: a, host: nodeA.host, device: nodeA.host.deviceTo(nodeB.host) },
      { node: b, host: nodeB.host, device: nodeB.host.deviceTo(nodeA.host) },
    ];
  }

  /**
   * Routes of a node to its neighbours' present addresses, from its own; not by cables that are
   * down.
   */
  #route(node: number): void {
    for (const [cable, pair] of CABLES.entries()) {
      if (!pair.includes(node)) continue;
      const [a, b] = this.#ends(cable),
        own = a.node === node ? a : b,
        far = own === a ? b : a;
      spawnSync(
        'ip',
        [
          '-n',
          own.host.namespace,
          'route',
          'replace',
          `${this.#addresses[far.node]!}/32`,
          'dev',
          own.device,
          'src',
          this.#addresses[node]!,
        ],
        { stdio: 'ignore' },
      );
    }
  }
}

interface End {
  readonly node: number;
  readonly host: NamespaceHost;
  readonly device: string;
}

function must(command: string, ...args: string[]): void {
  const done = spawnSync(command, args, { encoding: 'utf8' });
  if (done.status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${done.error?.message ?? done.stderr.trim()}`);
}

function ip(...args: string[]): void {
  must('ip', ...args);
}
