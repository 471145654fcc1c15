/**
 * Two hosts and a router between them on one machine, IPv4 and IPv6, for what the way between two
 * daemons does: it translates addresses, forgets, loses, narrows, takes addresses away.
 *
 * Owns namespaces, daemons of a sealed network on the hosts and what is done to the way; what is
 * sent and how it is judged is the test's. Needs root and ip(8); address translation and loss need
 * iptables(8).
 */

import { spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SpinesClient } from 'spines-client';

import { makeTemporaryNetwork } from '../../src/cli/replay/temporary-network.ts';
import { Namespaces, type NamespaceHost } from './namespaces.ts';
import { PROGRAM, spines } from './processes.ts';

/** Of a host, by family: its own, and its router's on that cable. */
const NETS = [
  { v4: ['10.98.1.2', '10.98.1.1'], v6: ['fd98:1::2', 'fd98:1::1'] },
  { v4: ['10.98.2.2', '10.98.2.1'], v6: ['fd98:2::2', 'fd98:2::1'] },
] as const;
const PORT = 8_100;

export type Family = 'v4' | 'v6';
export type End = 0 | 1;

/** Why no way can be translated or made to lose here; null when it can. */
export function whyNoTables(): string | null {
  const tried = spawnSync('iptables', ['--version'], { stdio: 'ignore' });
  return tried.error === undefined && tried.status === 0 ? null : 'there is no iptables(8)';
}

export class WayNetwork {
  readonly hosts: readonly [NamespaceHost, NamespaceHost];
  readonly router: NamespaceHost;
  readonly logs: [string, string] = ['', ''];
  readonly children: [ChildProcess | null, ChildProcess | null] = [null, null];
  readonly folder = mkdtempSync(join(tmpdir(), 'spines-way-'));
  readonly #spaces = new Namespaces();
  readonly #clients: SpinesClient[] = [];

  constructor() {
    const [near, far, router] = ['10.98.1.2', '10.98.2.2', '10.98.0.1'].map((address) =>
      this.#spaces.add(address),
    ) as [NamespaceHost, NamespaceHost, NamespaceHost];
    this.hosts = [near, far];
    this.router = router;
    for (const end of [0, 1] as const) this.#lay(end);
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'])
      must(...router.prefix, 'sysctl', '-qw', `${key}=1`);
    makeTemporaryNetwork(
      'way',
      [0, 1].map((i) => {
        mkdirSync(this.identity(i as End));
        return { name: `n${i}`, id: 0x0a00_0001 + i, folder: this.identity(i as End) };
      }),
    );
  }

  /** The device of a host, or with `router` the router's on the same cable. */
  device(end: End, side: 'host' | 'router' = 'host'): string {
    const host = this.hosts[end];
    return side === 'host' ? host.deviceTo(this.router) : this.router.deviceTo(host);
  }

  address(end: End, family: Family): string {
    return NETS[end][family][0];
  }

  routerAddress(end: End, family: Family): string {
    return NETS[end][family][1];
  }

  identity(end: End): string {
    return join(this.folder, `n${end}`);
  }

  socket(end: End): string {
    return join(this.folder, `n${end}.sock`);
  }

  /** Where a daemon may be dialled. */
  endpoint(end: End, family: Family): string {
    const address = this.address(end, family);
    return `${family === 'v6' ? `[${address}]` : address}:${PORT}`;
  }

  start(end: End, listen: readonly string[], dials: readonly string[] = []): ChildProcess {
    const child = this.hosts[end].spawn(
      process.execPath,
      [
        PROGRAM,
        'daemon',
        '--identity',
        this.identity(end),
        '--socket',
        this.socket(end),
        ...listen.flatMap((address) => ['--listen', address]),
        ...dials.flatMap((address) => ['--link', address]),
      ],
      this.folder,
    );
    child.stderr!.on('data', (chunk: Buffer) => {
      this.logs[end] = (this.logs[end] + chunk.toString()).slice(-200_000);
    });
    this.children[end] = child;
    return child;
  }

  async end(end: End, signal: NodeJS.Signals): Promise<void> {
    const child = this.children[end];
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  async client(end: End): Promise<SpinesClient> {
    const client = await this.until(`n${end} answers`, () =>
      SpinesClient.connect({ path: this.socket(end), name: 'test' }).catch(() => null),
    );
    this.#clients.push(client);
    return client;
  }

  async up(client: SpinesClient, mostMs = 60_000): Promise<void> {
    await this.until(
      'the link',
      async () => {
        const { links } = await client.request('links');
        return links.some(({ state }) => state === 'up') ? true : null;
      },
      mostMs,
    );
  }

  async until<T>(
    what: string,
    look: () => T | null | Promise<T | null>,
    mostMs = 60_000,
  ): Promise<T> {
    const began = performance.now();
    for (;;) {
      const found = await look();
      if (found !== null) return found;
      if (performance.now() - began > mostMs)
        throw new Error(`not within ${mostMs} ms: ${what}\n${this.logs.join('\n----\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** What a command of `spines` says of a daemon. */
  async says(end: End, ...command: string[]): Promise<string> {
    const { stdout, stderr } = await spines([...command, '--socket', this.socket(end)]);
    return stdout.toString() + stderr;
  }

  setMtu(end: End, mtu: number): void {
    must('ip', '-n', this.hosts[end].namespace, ...mtuOf(this.device(end), mtu));
    must('ip', '-n', this.router.namespace, ...mtuOf(this.device(end, 'router'), mtu));
  }

  withdraw(end: End, family: Family): void {
    const prefix = family === 'v6' ? 64 : 24;
    must(
      ...this.#ip(end),
      ...['address', 'del', `${this.address(end, family)}/${prefix}`, 'dev', this.device(end)],
    );
  }

  giveBack(end: End, family: Family): void {
    const prefix = family === 'v6' ? 64 : 24;
    must(
      ...this.#ip(end),
      ...['address', 'add', `${this.address(end, family)}/${prefix}`, 'dev', this.device(end)],
      ...(family === 'v6' ? ['nodad'] : []),
    );
    this.#route(end, family);
  }

  /** What leaves towards `end` has the router's address and a port of its own choice. */
  translate(end: End): void {
    const device = this.device(end, 'router');
    this.tables('-t', 'nat', '-A', 'POSTROUTING', '-o', device, ...MASQUERADE);
    // What is not known to the translator is not let in.
    this.tables('-A', 'FORWARD', '-i', device, '-m', 'conntrack', '--ctstate', ...KNOWN);
    this.tables('-A', 'FORWARD', '-i', device, '-j', 'DROP');
  }

  /** All that was translated gets another port from now on. */
  rebind(end: End, firstPort: number): void {
    const device = this.device(end, 'router');
    this.tables('-t', 'nat', '-F', 'POSTROUTING');
    this.tables('-t', 'nat', '-A', 'POSTROUTING', '-o', device, ...UDP, ...portsFrom(firstPort));
    // Masquerading forgets what it did for an address that goes.
    const at = `${this.routerAddress(end, 'v4')}/24`;
    for (const what of ['del', 'add'])
      must('ip', '-n', this.router.namespace, 'address', what, at, 'dev', device);
  }

  /** An entry of the translator lives for so long after the last datagram, either way. */
  forgetAfter(seconds: number): void {
    for (const key of ['udp_timeout', 'udp_timeout_stream'])
      must(
        ...[...this.router.prefix, 'sysctl', '-qw'],
        `net.netfilter.nf_conntrack_${key}=${seconds}`,
      );
  }

  /** So many of what goes towards `end` is lost, by chance; 0: none. */
  lose(end: End, share: number): void {
    const rule = ['FORWARD', '-o', this.device(end, 'router'), '-m', 'statistic'];
    this.tables('-F', 'FORWARD');
    if (share > 0)
      this.tables('-A', ...rule, '--mode', 'random', '--probability', `${share}`, '-j', 'DROP');
  }

  /** Adds or removes (`-A`, `-D`) rules of the router. */
  tables(...rule: string[]): void {
    must(...this.router.prefix, 'iptables', ...rule);
  }

  /** Its memory, KiB. */
  memory(end: End): number {
    const { pid } = this.children[end]!;
    const done = spawnSync('cat', [`/proc/${pid}/status`], { encoding: 'latin1' });
    return Number(/^VmRSS:\s*(\d+)/m.exec(done.stdout)?.[1] ?? 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close().catch(() => {})));
    for (const child of this.children) child?.kill('SIGCONT');
    await this.#spaces.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #ip(end: End): [string, ...string[]] {
    return ['ip', '-n', this.hosts[end].namespace];
  }

  #lay(end: End): void {
    const { v4, v6 } = NETS[end],
      host = this.hosts[end];
    const [here, there] = [this.device(end), this.device(end, 'router')];
    must(
      ...['ip', 'link', 'add', 'name', here, 'netns', host.namespace, 'type', 'veth'],
      ...['peer', 'name', there, 'netns', this.router.namespace],
    );
    for (const [space, device, i] of [
      [host, here, 0],
      [this.router, there, 1],
    ] as const) {
      const on = ['ip', '-n', space.namespace];
      must(...on, 'address', 'add', `${v4[i]}/24`, 'dev', device);
      must(...on, 'address', 'add', `${v6[i]}/64`, 'dev', device, 'nodad');
      must(...on, 'link', 'set', device, 'up');
    }
    for (const family of ['v4', 'v6'] as const) this.#route(end, family);
  }

  #route(end: End, family: Family): void {
    must(
      ...this.#ip(end),
      ...(family === 'v6' ? ['-6'] : []),
      ...['route', 'replace', 'default', 'via', this.routerAddress(end, family)],
      ...['dev', this.device(end)],
    );
  }
}

const UDP = ['-p', 'udp', '-j', 'MASQUERADE'];
const MASQUERADE = ['-j', 'MASQUERADE'];
const KNOWN = ['ESTABLISHED,RELATED', '-j', 'ACCEPT'];
const portsFrom = (first: number): string[] => ['--to-ports', `${first}-${first + 99}`];
const mtuOf = (device: string, mtu: number): string[] => [
  ...['link', 'set', device, 'mtu', String(mtu)],
];

function must(...[command, ...args]: string[]): void {
  const done = spawnSync(command!, args, { encoding: 'utf8' });
  if (done.status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${done.error?.message ?? done.stderr.trim()}`);
}
