/**
 * Hosts of their own on one machine: Linux network namespaces, joined by veth pairs of MTU 1500.
 * Needs root.
 *
 * Owns the namespaces it made, by names with this process's id, and what was started in them;
 * `close` ends and removes all, and an exit handler does when there is no time; what a killed run
 * left over, the next one removes. Each host has one address on all its cables, and reaches its
 * neighbours only.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';

const MTU = 1500;

/** Why there can be no namespaces here, null when there can. */
export function whyNoNamespaces(): string | null {
  const name = `spines-${process.pid}-probe`;
  const made = spawnSync('ip', ['netns', 'add', name]);
  if (made.error !== undefined) return 'there is no ip(8)';
  if (made.status !== 0) return `ip netns add: ${String(made.stderr).trim()}`;
  // Some containers can name a namespace and still not use one.
  const used = spawnSync('ip', [
    '-n',
    name,
    'link',
    'add',
    'name',
    'veth-a',
    'type',
    'veth',
    'peer',
    'name',
    'veth-b',
  ]);
  const entered = spawnSync('ip', ['netns', 'exec', name, 'true']);
  spawnSync('ip', ['netns', 'del', name]);
  for (const step of [used, entered])
    if (step.status !== 0) return `ip netns: ${String(step.stderr).trim()}`;
  return null;
}

export class NamespaceHost {
  readonly namespace: string;
  readonly address: string;
  readonly #children = new Set<ChildProcess>();

  constructor(namespace: string, address: string) {
    this.namespace = namespace;
    this.address = address;
  }

  /** In front of a command that shall run on this host. */
  get prefix(): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.namespace];
  }

  /** The network device of the cable to `peer`. */
  deviceTo(peer: NamespaceHost): string {
    return `to-${peer.namespace.split('-').at(-1)!}`;
  }

  spawn(
    command: string,
    args: readonly string[],
    cwd: string,
    env: NodeJS.ProcessEnv = {},
  ): ChildProcess {
    const [ip, ...prefix] = this.prefix;
    const child = spawn(ip, [...prefix, command, ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  /** Ends what runs on this host, and waits for it. */
  async end(): Promise<void> {
    await Promise.all(
      [...this.#children].map(
        (child) =>
          new Promise<void>((resolve) => {
            child.once('close', () => resolve());
            child.kill('SIGKILL');
          }),
      ),
    );
  }

  endNow(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

export class Namespaces {
  readonly hosts: NamespaceHost[] = [];
  readonly #onExit = (): void => this.#remove();

  constructor() {
    removeLeftOvers();
    process.on('exit', this.#onExit);
  }

  add(address: string): NamespaceHost {
    const host = new NamespaceHost(`spines-${process.pid}-${this.hosts.length + 1}`, address);
    ip('netns', 'add', host.namespace);
    this.hosts.push(host);
    ip('-n', host.namespace, 'link', 'set', 'lo', 'up');
    return host;
  }

  /** A cable between two hosts. */
  join(a: NamespaceHost, b: NamespaceHost): void {
    ip(
      'link',
      'add',
      'name',
      a.deviceTo(b),
      'mtu',
      String(MTU),
      'netns',
      a.namespace,
      'type',
      'veth',
      'peer',
      'name',
      b.deviceTo(a),
      'mtu',
      String(MTU),
      'netns',
      b.namespace,
    );
    for (const [host, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      ip(
        '-n',
        host.namespace,
        'address',
        'add',
        host.address,
        'peer',
        peer.address,
        'dev',
        host.deviceTo(peer),
        // Nobody else has it: it need not be looked for.
        ...(host.address.includes(':') ? ['nodad'] : []),
      );
      ip('-n', host.namespace, 'link', 'set', host.deviceTo(peer), 'up');
      // An address that came while its device was down brings no way to its peer.
      if (peer.address.includes(':'))
        ip(
          ...['-n', host.namespace, '-6', 'route', 'replace', peer.address],
          ...['dev', host.deviceTo(peer), 'src', host.address],
        );
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.end()));
    this.#remove();
    process.off('exit', this.#onExit);
  }

  #remove(): void {
    for (const host of this.hosts.splice(0)) {
      host.endNow();
      spawnSync('ip', ['netns', 'del', host.namespace]);
    }
  }
}

/** Namespaces of test processes that are gone, with what still runs in them. */
function removeLeftOvers(): void {
  for (const [namespace, owner] of spawnSync('ip', ['netns', 'list'], {
    encoding: 'utf8',
  }).stdout.matchAll(/^spines-(\d+)-\d+/gm)) {
    if (isAlive(Number(owner))) continue;
    for (const pid of spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((line) => line !== '')) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    spawnSync('ip', ['netns', 'del', namespace]);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function ip(...args: string[]): void {
  const done = spawnSync('ip', args, { encoding: 'utf8' });
  if (done.status !== 0)
    throw new Error(`ip ${args.join(' ')}: ${done.error?.message ?? done.stderr.trim()}`);
}
