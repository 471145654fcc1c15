/**
 * What operators do with real daemons: sealed by default, a network from `spines init`, reload of
 * config and identity.
 */

import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StatusReply } from 'spines-client';

import { asked, freePorts, RealDaemon, spines, statusAt } from '../support/processes.ts';
import { shownBy, TSHARK } from '../support/tshark.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-op-'));
const at = (...path: string[]): string => join(folder, ...path);
const daemons: RealDaemon[] = [];
let ports: number[] = [];

const configOf = (i: number): string => at('net', `node-${i}`, 'spines.yaml');
const socketOf = (i: number): string => at('net', `node-${i}`, 'spines.sock');

async function command(...args: string[]): Promise<string> {
  const ran = await spines(args);
  expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(0);
  return ran.stdout.toString();
}

function status(i: number): Promise<StatusReply> {
  return statusAt(socketOf(i));
}

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    if (await holds()) return;
    if (tries >= 1_000)
      throw new Error(`${what}: ${daemons.map((daemon) => daemon.log).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

beforeAll(async () => {
  ports = await freePorts(3);
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
  for (const i of [1, 2, 3])
    daemons.push(
      new RealDaemon(`node-${i}`, ports[i - 1]!, socketOf(i), ['--config', configOf(i)]),
    );
  for (const daemon of daemons) daemon.start();
  for (const daemon of daemons) await (await daemon.connect()).close();
  await until('three nodes', async () => (await status(1)).nodes.reachable === 3);
}, 60_000);
afterAll(async () => {
  await Promise.all(daemons.map((daemon) => daemon.end('SIGKILL')));
  rmSync(folder, { recursive: true, force: true });
});

describe('a daemon', () => {
  test('does not start without an identity unless ' +
    'it is told that there is no security', async () => {
    writeFileSync(at('bare.yaml'), 'id: 10.0.0.1\n');
    for (const args of [
      ['daemon', '--id', '10.0.0.1'],
      ['daemon', '--config', at('bare.yaml')],
    ]) {
      const ran = await spines(args);
      expect(ran.code).toBe(2);
      expect(ran.stderr).toMatch(/needs an identity.*spines init.*none.*laboratory/s);
    }
  }, 60_000);

  test('without security warns in log and status', async () => {
    const [port] = await freePorts(1);
    const socket = at('open.sock');
    const daemon = new RealDaemon('open', port!, socket, [
      '--id',
      '10.0.0.9',
      '--security',
      'none',
      '--listen',
      `127.0.0.1:${port!}`,
      '--socket',
      socket,
    ]);
    daemon.start();
    try {
      await (await daemon.connect()).close();
      expect(await command('status', '--socket', socket)).toMatch(/\nsecurity +NONE: anyone /);
      expect(daemon.log).toMatch(/"level":40.*security: none\. Links are NOT encrypted/);
    } finally {
      await daemon.end('SIGTERM');
    }
  }, 60_000);

  test('runs from the folder of an identity', async () => {
    const [port] = await freePorts(1);
    await command('init', 'other', '-n', '1', '--dir', at('other'));
    const socket = at('other.sock');
    const daemon = new RealDaemon('other', port!, socket, [
      '--identity',
      at('other', 'node-1'),
      '--listen',
      `127.0.0.1:${port!}`,
      '--socket',
      socket,
    ]);
    daemon.start();
    try {
      await (await daemon.connect()).close();
      renameSync(at('other', 'node-1'), at('other', 'moved'));
      expect((await spines(['reload', '--socket', socket])).stderr).toMatch(
        /^spines: nothing was changed: --identity .* is no folder that can be read; /,
      );
      expect(JSON.parse(await command('status', '--json', '--socket', socket))).toMatchObject({
        node: '10.0.0.1',
        name: 'node-1',
        security: 'sealed',
        identity: { authorities: [{ name: 'other' }] },
      });
    } finally {
      await daemon.end('SIGTERM');
    }
    expect((await spines(['daemon', '--identity', at('none')])).stderr).toMatch(
      /^spines: --identity .* is no folder that can be read; /,
    );
  }, 60_000);
});

describe('a network from `spines init`', () => {
  test('is sealed, and says how long its certificates last', async () => {
    const { security, identity } = await status(2);
    expect(security).toBe('sealed');
    expect(identity!.leftS / 86_400).toBeGreaterThan(364);
    expect(identity).toMatchObject({
      primitives: expect.stringMatching(/^(libsodium|node:crypto)$/),
      authorities: [{ name: 'lab' }],
      revocations: [{ revoked: 0 }],
    });
    expect(await command('ping', 'node-3', '-c', '1', '--socket', socketOf(1))).toContain(
      '1 received',
    );
  }, 60_000);

  test('carries streams and datagrams by byzantine routing, and shows their ways', async () => {
    const input = randomBytes(300_000);
    for (const datagram of [[], ['-u', '--link', 'reliable', '--rate', '10mbit']]) {
      const listening = spines([
        'cat',
        '--listen',
        '7100',
        '--socket',
        socketOf(3),
        ...(datagram.length === 0 ? [] : ['-u', '--link', 'reliable']),
      ]);
      await until('the listener', async () =>
        JSON.stringify(await asked(socketOf(3), (client) => client.request('sessions'))).includes(
          '7100',
        ),
      );
      const sent = await spines(
        ['cat', 'node-3', '7100', '--routing', 'byzantine', ...datagram, '--socket', socketOf(1)],
        { input },
      );
      expect(sent.code, sent.stderr).toBe(0);
      const heard = await listening;
      expect(heard.code, heard.stderr).toBe(0);
      // Datagrams may change places.
      expect(datagram.length === 0 ? heard.stdout.equals(input) : heard.stdout.length).toBe(
        datagram.length === 0 ? true : input.length,
      );
    }
    expect(await command('routes', '--byzantine', '--socket', socketOf(1))).toMatch(
      /node-3 \(10\.0\.0\.3\) +reliable +node-1 > .*node-3 .* quiet\n/,
    );
    const traced = await command(
      'trace',
      'node-3',
      '--routing',
      'byzantine',
      '--socket',
      socketOf(1),
    );
    expect(traced).toMatch(
      new RegExp(
        String.raw`^TRACE node-3 \(10\.0\.0\.3\), byzantine: the path in use over ` +
          String.raw`reliable links\n.*\n(.*\n)* +\d +node-3 \(10\.0\.0\.3\) +[\d.]+ ` +
          String.raw`ms +[\d.]+ ms, [\d.]+ %\n\nno link is avoided\n$`,
      ),
    );
    expect((await status(1)).byzantine).toMatchObject({ convictions: 0 });
    expect(await command('status', '--all', '--socket', socketOf(1))).toMatch(
      /\nbyzantine +\d+ flows\n/,
    );
  }, 60_000);

  test('shows what its links carry, opened, as text and as a file for Wireshark', async () => {
    const file = at('overlay.pcapng'),
      there = ['--socket', socketOf(1)];
    // Of the packets of the pings alone: what else is said first is a matter of the machine.
    const wanted = ['-c', '9', '--session', 'node-2', ...there];
    const written = spines(['capture', '-w', file, ...wanted]);
    // Of all links: which way is the shorter one is a matter of the machine, too.
    const shown = spines(['capture', ...wanted]);
    await until('two captures', async () => (await status(1)).bounds['captures']![0] === 2);
    await command('ping', 'node-2', '-c', '9', '-i', '50ms', ...there);
    const { code, stdout } = await shown;
    expect(code).toBe(0);
    expect(stdout.toString().trim().split('\n')).toEqual(
      Array.from({ length: 9 }, () =>
        expect.stringMatching(/^[\d:.]{15} [<>] node-[23] \d+ B: DATA ECHO 10\.0\.0\.\d:0 > /),
      ),
    );
    const ran = await written;
    expect([ran.code, ran.stderr]).toEqual([0, '9 datagrams captured, 0 missed\n']);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    if (TSHARK === null) return;
    const packets = shownBy(file);
    expect(packets.length).toBe(9);
    expect(packets.filter(({ info }) => !info.includes('ECHO 10.0.0.'))).toEqual([]);
    expect(packets.filter(({ all }) => all.has('spines.fault'))).toEqual([]);
  }, 60_000);

  test('reload: refused as a whole when anything is wrong, by command and by signal', async () => {
    const good = readFileSync(configOf(1), 'utf8');
    const reload = async (text: string): Promise<string> => {
      writeFileSync(configOf(1), text);
      const ran = await spines(['reload', '--socket', socketOf(1)]);
      expect(ran.code, ran.stderr).toBe(2);
      expect(ran.stderr).toMatch(/^spines: nothing was changed: [^\n]+\n$/);
      return ran.stderr;
    };
    expect(await reload(`${good}accept: maybe\n`)).toContain(
      'accept: expected true or false, found "maybe"',
    );
    expect(await reload(good.replace(/listen:\n {2}- .*/, 'listen: ["127.0.0.1:1"]'))).toContain(
      'listen cannot change while the daemon runs and needs a restart',
    );
    expect(await reload(`${good}metric: hops\nlimits: { links: 5, nodes: 10 }\n`)).toMatch(
      /metric cannot change.*limits\.nodes cannot change/,
    );
    expect(await reload(`${good}security: none\n`)).toContain(
      'security cannot change while the daemon runs and needs a restart',
    );
    expect(await reload(good.replace('node.crt', 'lost.crt'))).toContain('lost.crt does not exist');

    const before = daemons[0]!.log.split('reload refused').length;
    writeFileSync(configOf(1), `${good}accept: maybe\n`);
    daemons[0]!.process!.kill('SIGHUP');
    await until(
      'the refusal in the log',
      () => daemons[0]!.log.split('reload refused').length > before,
    );
    writeFileSync(configOf(1), good);
    expect(await command('reload', '--socket', socketOf(1))).toBe('nothing changed\n');
    expect((await status(1)).bounds['links']![1]).toBe(128);
  }, 60_000);

  test('reload: takes what may change, and says what did', async () => {
    const good = readFileSync(configOf(1), 'utf8');
    const [port] = await freePorts(1);
    writeFileSync(
      configOf(1),
      `${good.replace('links:', `links:\n  - { address: "127.0.0.1:${port!}" }`)}limits: { ` +
        `links: 9 }\nlog: { level: debug }\n`,
    );
    const { changes } = JSON.parse(await command('reload', '--json', '--socket', socketOf(1))) as {
      changes: string[];
    };
    expect(changes).toEqual([
      `links: +127.0.0.1:${port!}`,
      'limits.links: 128 -> 9',
      'log.level: info -> debug',
    ]);
    expect((await status(1)).bounds['links']![1]).toBe(9);
    expect(await command('links', '--socket', socketOf(1))).toContain(`127.0.0.1:${port!}`);

    writeFileSync(configOf(1), good);
    daemons[0]!.process!.kill('SIGHUP');
    await until('the old limit', async () => (await status(1)).bounds['links']![1] === 128);
    expect(await command('links', '--socket', socketOf(1))).not.toContain(`127.0.0.1:${port!}`);
    expect((await status(1)).links.up).toBe(2);
  }, 60_000);

  test('reload: a renewed certificate, and new keys, ' +
    'without a link going down for good', async () => {
    const node = at('net', 'node-1');
    renameSync(join(node, 'node.crt'), join(node, 'old.crt'));
    await command(
      'keys',
      'sign',
      join(node, 'node.req'),
      '--dir',
      at('net', 'authority'),
      '--days',
      '20',
    );
    expect(await command('reload', '--socket', socketOf(1))).toMatch(
      /^certificate: renewed, serial [0-9a-f]{16}, valid until \S+\n$/,
    );
    expect(daemons[0]!.log).toMatch(/"level":40.*"daysLeft":(19|20).*"msg":"expires soon"/);
    expect(await command('status', '--socket', socketOf(1))).toMatch(/(19|20) days left/);

    await command('keys', 'rotate', join(node, 'node.key'));
    expect((await spines(['reload', '--socket', socketOf(1)])).stderr).toMatch(
      /nothing was changed: .*node\.crt does not exist/,
    );
    await command('keys', 'sign', join(node, 'node.req'), '--dir', at('net', 'authority'));
    expect(await command('reload', '--socket', socketOf(1))).toMatch(
      new RegExp(
        String.raw`^certificate: new keys, serial [0-9a-f]{16}, valid until ` +
          String.raw`\S+\nearlier identities: [0-9a-f]{16}\n$`,
      ),
    );
    await until(
      'three nodes again',
      async () => (await status(1)).nodes.reachable === 3 && (await status(1)).links.up === 2,
    );
    expect(await command('ping', 'node-3', '-c', '1', '--socket', socketOf(1))).toContain(
      '1 received',
    );
  }, 60_000);

  test('link add and remove, in the config file with comments kept; log level', async () => {
    const file = configOf(1);
    const before = readFileSync(file, 'utf8');
    const commented = before.replace('links:', '# whom we dial\nlinks: # three lines each');
    writeFileSync(file, commented);
    const link = (...args: string[]): Promise<string> =>
      command('link', ...args, '--socket', socketOf(1));
    expect(await link('add', '192.0.2.77:8100', '--name', 'far', '--save', file)).toBe(
      `192.0.2.77:8100 is in ${file}\nlinks: +192.0.2.77:8100\n`,
    );
    expect(readFileSync(file, 'utf8').split('\n')).toEqual(
      commented
        .split('\n')
        .flatMap((line) =>
          line === 'client:' ? ['  - { address: "192.0.2.77:8100", name: "far" }', line] : [line],
        ),
    );
    expect(await link('list')).toMatch(/^far +192\.0\.2\.77:8100 +down +files/m);
    // What the daemon refuses is not in the file either.
    const refused = await spines([
      ...['link', 'add', '192.0.2.77:8100', '--save', file, '--socket', socketOf(1)],
    ]);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/links\.3\.address: .*192\.0\.2\.77:8100/),
    ]);
    expect(await link('add', '192.0.2.78:8100')).toMatch(/until the next reload or restart/);
    expect(await link('list')).toMatch(/192\.0\.2\.78:8100 +down +operator/);
    expect(await link('remove', 'far', '--save', file)).toBe(
      `far is no longer in ${file}\nlinks: -192.0.2.77:8100 -192.0.2.78:8100\n`,
    );
    expect(readFileSync(file, 'utf8')).toBe(commented);
    writeFileSync(file, before);
    const log = (...args: string[]): Promise<string> =>
      command('log', 'level', ...args, '--socket', socketOf(1));
    expect([await log(), await log('debug'), await log()]).toEqual([
      'info\n',
      'debug, until the next reload\n',
      'debug\n',
    ]);
    await command('reload', '--socket', socketOf(1));
    expect(await log()).toBe('info\n');
  }, 60_000);

  test('reload: a revocation list cuts off whom it revokes', async () => {
    const authority = at('net', 'authority');
    await command('keys', 'revoke', at('net', 'node-3', 'node.crt'), '--dir', authority);
    copyFileSync(join(authority, 'revocations.crl'), at('net', 'node-2', 'revocations.crl'));
    expect(await command('reload', '--socket', socketOf(2))).toMatch(
      /^revocations: list \d+ with 1 revoked\n$/,
    );
    expect((await status(2)).identity!.revocations).toMatchObject([{ revoked: 1 }]);
    await until('the link to node-3 down', async () => (await status(2)).links.up === 1);
    const ran = await spines(['config', 'check', configOf(3)]);
    expect(ran.code, 'node-3 itself has the old list').toBe(0);
    copyFileSync(join(authority, 'revocations.crl'), at('net', 'node-3', 'revocations.crl'));
    expect((await spines(['config', 'check', configOf(3)])).stderr).toMatch(
      /is revoked; make new keys with `spines keys rotate`/,
    );
  }, 60_000);
});
