/**
 * A network of `init`, its daemons, and what their operators read: for tests of faults of the
 * field.
 *
 * Owns a temporary folder, the daemons that were started and the clients that look at them;
 * `endOperators` ends and removes all.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { SpinesClient, type LinksReply } from 'spines-client';

import type { NamespaceHost } from './namespaces.ts';
import { PROGRAM, spines } from './processes.ts';

const COLUMNS = 80;
const folder = mkdtempSync(join(tmpdir(), 'spines-faults-'));
/** A place in the test's folder. */
export const at = (...path: string[]): string => join(folder, ...path);
const children: ChildProcess[] = [];
const clients = new Map<string, SpinesClient>();

/** Why a command that a fault needs cannot be used here; null when it can. */
export function whyNot(command: string, ...args: string[]): string | null {
  const tried = spawnSync(command, args, { stdio: 'ignore' });
  return tried.error === undefined && tried.status === 0 ? null : `${command} cannot be used here`;
}

export async function endOperators(): Promise<void> {
  await Promise.all([...clients.values()].map((client) => client.close()));
  await Promise.all(
    children.map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) {
            resolve();
            return;
          }
          child.once('close', () => resolve());
          // What a wrapper started is not the wrapper's to kill: it sees that its input is over.
          child.stdin!.destroy();
          child.kill('SIGKILL');
        }),
    ),
  );
  rmSync(folder, { recursive: true, force: true });
}

/** What `look` finds at last. */
export async function until<T>(
  what: string,
  look: () => Promise<T | null | undefined> | T | null | undefined,
  said: () => string,
): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    const found = await look();
    if (found !== null && found !== undefined) return found;
    if (tries >= 1_200) throw new Error(`never: ${what}\n${said()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** One network of `init`, its daemons, and the texts of the first. */
export class Operator {
  readonly #dir: string;
  readonly #addresses: readonly string[];

  constructor(name: string, addresses: readonly string[]) {
    this.#dir = at(name);
    this.#addresses = addresses;
  }

  async init(): Promise<void> {
    const made = await spines([
      'init',
      'lab',
      '-n',
      String(this.#addresses.length),
      '--full',
      '--dir',
      this.#dir,
      '--addresses',
      this.#addresses.join(','),
    ]);
    expect(made.code, made.stderr).toBe(0);
  }

  nodeDir(node: number): string {
    return join(this.#dir, `node-${node}`);
  }

  socket(node: number): string {
    return join(this.nodeDir(node), 'spines.sock');
  }

  get authority(): string {
    return join(this.#dir, 'authority');
  }

  /** Edits the config of a node; by default only node-1 dials. */
  edit(node: number, change: (yaml: string) => string): void {
    const file = join(this.nodeDir(node), 'spines.yaml');
    writeFileSync(file, change(readFileSync(file, 'utf8')));
  }

  log(node: number): string {
    return readFileSync(join(this.nodeDir(node), 'log'), 'utf8');
  }

  /** Appends to the file `log` of its folder, unless `command` writes elsewhere. */
  start(
    node: number,
    {
      prefix = [],
      args = [],
      host,
    }: { prefix?: readonly string[]; args?: readonly string[]; host?: NamespaceHost } = {},
  ): ChildProcess {
    const log = openSync(join(this.nodeDir(node), 'log'), 'a');
    const [command, ...rest] = [
      ...(host?.prefix ?? []),
      ...prefix,
      process.execPath,
      PROGRAM,
      'daemon',
      '--config',
      join(this.nodeDir(node), 'spines.yaml'),
      '--exit-with-parent',
      ...args,
    ] as [string, ...string[]];
    const child = spawn(command, rest, { stdio: ['pipe', 'ignore', log] });
    closeSync(log);
    children.push(child);
    return child;
  }

  async client(node: number): Promise<SpinesClient> {
    const key = this.socket(node),
      known = clients.get(key);
    if (known !== undefined) return known;
    const client = await until(
      `node-${node} answers`,
      () => SpinesClient.connect({ path: key, name: 'test' }).catch(() => null),
      () => this.log(node),
    );
    clients.set(key, client);
    return client;
  }

  async row(node: number, peer: number): Promise<LinksReply['links'][number] | undefined> {
    const { links } = await (await this.client(node)).request('links');
    return links.find(
      (link) =>
        link.name === `node-${peer}` ||
        link.node === `10.0.0.${peer}` ||
        link.address === this.#addresses[peer - 1],
    );
  }

  /** Waits for the reason of `peer`'s row. */
  async why(node: number, peer: number, code: string): Promise<void> {
    await until(
      `${code} of node-${peer}`,
      async () => {
        const row = await this.row(node, peer);
        return row?.why?.code === code ? true : null;
      },
      () => this.log(node),
    );
  }

  async logged(node: number, words: RegExp): Promise<Record<string, unknown>> {
    const line = await until(
      `a line of the log: ${String(words)}`,
      () =>
        this.log(node)
          .split('\n')
          .find((one) => words.test(one)),
      () => this.log(node),
    );
    return JSON.parse(line) as Record<string, unknown>;
  }

  /** What a command says of its daemon; sentences fit 80 columns, rows of tables may be longer. */
  async says(node: number, ...command: string[]): Promise<string> {
    const { stdout, stderr } = await spines([...command, '--socket', this.socket(node)], {
      env: { COLUMNS: String(COLUMNS) },
    });
    const text = stdout.toString() + stderr;
    for (const line of text.split('\n'))
      if (line.startsWith('  ')) expect(line.length, line).toBeLessThanOrEqual(COLUMNS);
    return text;
  }
}

/** The paragraph whose first line has `words`: up to the next line that is not indented. */
export function paragraph(text: string, words: string): string {
  const lines = text.split('\n'),
    first = lines.findLastIndex((line) => line.includes(words));
  expect(first, `${words} in ${text}`).toBeGreaterThanOrEqual(0);
  let end = first + 1;
  while (end < lines.length && lines[end]!.startsWith('  ')) end += 1;
  return lines
    .slice(first, end)
    .map((line) => line.trim())
    .join(' ');
}

/** Of a config: nobody is dialled. */
export const withoutLinks = (yaml: string): string => yaml.replace(/^links:\n(?: .*\n)+/m, '');

/** An exchange key that nobody here has: its highest bit is never set in one. */
export function strangersKey(): string {
  const key = randomBytes(32);
  key[31]! &= 0x7f;
  return key.toString('hex');
}
