/**
 * Real daemons renew keys, certificates, configuration and authority while a stream of 20 Mbit/s
 * runs between them: every byte arrives, and no link goes down.
 */

import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { LinksReply, StatusReply } from 'spines-client';

import { freePorts, RealDaemon, spines } from '../support/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-renew-'));
const at = (...path: string[]): string => join(folder, ...path);
const daemons: RealDaemon[] = [];
afterAll(async () => {
  await Promise.all(daemons.map((daemon) => daemon.end('SIGKILL')));
  rmSync(folder, { recursive: true, force: true });
});

async function command(...args: string[]): Promise<string> {
  const ran = await spines(args);
  expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(0);
  return ran.stdout.toString();
}

async function asked<T>(what: string, i: number): Promise<T> {
  return JSON.parse(
    await command(what, '--json', '--socket', at('net', `node-${i}`, 'spines.sock')),
  ) as T;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries += 1) {
    if (tries >= 60) throw new Error(`${what}: ${daemons.map((daemon) => daemon.log).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('20 Mbit/s through three daemons while keys, ' +
  'certificates, authority and config change', async () => {
  const ports = await freePorts(3);
  await command(
    'init',
    'lab',
    '-n',
    '3',
    '--dir',
    at('net'),
    '--addresses',
    ports.map((port) => `127.0.0.1:${port}`).join(','),
  );
  const node = (i: number, file: string): string => at('net', `node-${i}`, file);
  for (const i of [1, 2, 3]) {
    // A chain: the stream from 1 to 3 must cross 2. New keys every second.
    const config = readFileSync(node(i, 'spines.yaml'), 'utf8').replace(
      /links:\n(?: {2}- .*\n(?: {4}.*\n)*)+/,
      '',
    );
    const links = i === 2 ? '[]' : `[{ address: "127.0.0.1:${ports[1]!}" }]`;
    writeFileSync(node(i, 'spines.yaml'), `${config}links: ${links}\nrekeyAfter: 1s\n`);
    daemons.push(
      new RealDaemon(`node-${i}`, ports[i - 1]!, node(i, 'spines.sock'), [
        '--config',
        node(i, 'spines.yaml'),
      ]),
    );
  }
  for (const daemon of daemons) daemon.start();
  for (const daemon of daemons) await (await daemon.connect()).close();
  await until(
    'three nodes',
    async () => (await asked<StatusReply>('status', 1)).nodes.reachable === 3,
  );

  const sent = randomBytes(50_000_000);
  const receiving = spines(['cat', '--listen', '7000', '--socket', node(3, 'spines.sock')]);
  await until('a listener', async () =>
    JSON.stringify(await asked('sessions', 3)).includes('"listener"'),
  );
  let over = false;
  const sending = spines(
    ['cat', 'node-3', '7000', '--rate', '20mbit', '--socket', node(1, 'spines.sock')],
    { input: sent },
  ).finally(() => {
    over = true;
  });

  const authority = at('net', 'authority');
  const serial = async (i: number): Promise<string> =>
    (await asked<StatusReply>('status', i)).identity!.serial;
  const reload = (i: number): Promise<string> =>
    command('reload', '--socket', node(i, 'spines.sock'));
  const before = [await serial(1), await serial(2), await serial(3)];

  // A renewed certificate for the node in the middle, by signal.
  await command('keys', 'sign', node(2, 'node.req'), '--dir', authority, '--out', at('new-2.crt'));
  renameSync(at('new-2.crt'), node(2, 'node.crt'));
  daemons[1]!.process!.kill('SIGHUP');
  await until('the renewed certificate', async () => (await serial(2)) !== before[1]);

  // New keys for both ends at once.
  for (const i of [1, 3]) {
    await command('keys', 'rotate', node(i, 'node.key'));
    await command(
      'keys',
      'sign',
      node(i, 'node.req'),
      '--dir',
      authority,
      '--out',
      node(i, 'node.crt'),
    );
  }
  await Promise.all([reload(1), reload(3)]);
  expect(await serial(1)).not.toBe(before[0]);
  expect(await serial(3)).not.toBe(before[2]);

  // A second authority takes over: trusted by all, then it signs all, then the first one is
  // dropped.
  await command(
    'keys',
    'init',
    '--network',
    join(authority, 'authority.pub'),
    '--dir',
    at('second'),
  );
  const trust = async (files: string): Promise<void> => {
    for (const i of [1, 2, 3]) {
      const config = readFileSync(node(i, 'spines.yaml'), 'utf8').replace(
        /authorities:(?:\n {4}- .*)+|authorities: \[.*\]/,
        `authorities: ${files}`,
      );
      writeFileSync(node(i, 'spines.yaml'), config);
      await reload(i);
    }
  };
  for (const i of [1, 2, 3])
    copyFileSync(at('second', 'authority.pub'), node(i, 'authority-2.pub'));
  await trust('[authority.pub, authority-2.pub]');
  for (const i of [1, 2, 3]) {
    rmSync(node(i, 'node.crt'));
    await command(
      'keys',
      'sign',
      node(i, 'node.req'),
      '--dir',
      at('second'),
      '--out',
      node(i, 'node.crt'),
    );
    await reload(i);
  }
  await trust('[authority-2.pub]');
  const under = over ? 'most of it' : 'all of it';
  // An unusable config is refused and changes nothing.
  appendFileSync(node(2, 'spines.yaml'), 'nonsense: 1\n');
  const refused = await spines(['reload', '--socket', node(2, 'spines.sock')]);
  expect(refused.code).not.toBe(0);

  const [received, done] = await Promise.all([receiving, sending]);
  expect(done.code, done.stderr).toBe(0);
  expect(received.stdout.equals(sent)).toBe(true);
  const { links } = await asked<LinksReply>('links', 2);
  console.log(
    '50 MB at 20 Mbit/s: ' +
      `${links.map((link) => `${link.seal?.rekeys} changes of keys`).join(' and ')} on the two ` +
      `links; the stream ran during ${under}`,
  );
  for (const daemon of daemons) expect(daemon.log).not.toContain('"link down"');
  for (const link of links) expect(link.seal!.rekeys).toBeGreaterThan(4);
}, 90_000);
