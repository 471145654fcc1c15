/** The doors for programs of the daemon's machine: who may open the socket, and what TCP asks for. */

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect as dial, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, describe, expect, test } from 'vitest';

import { SpinesClient } from '../../../spines-client/src/index.ts';
import { startDaemon, type DaemonOptions, type RunningDaemon } from '../../../src/host/daemon.ts';
import { UNAUTHENTICATED_MAX } from '../../../src/host/ipc-server.ts';
import { makeConfig } from '../../../src/node/config.ts';
import { DropReason } from '../../../src/wire/drop.ts';

const HOST = '127.0.0.1';
const folder = mkdtempSync(join(tmpdir(), 'spines-doors-'));
const socketPath = join(folder, 'd.sock'), tokenPath = join(folder, 'token');
let daemon: RunningDaemon | null = null;
const open: Socket[] = [];

afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await daemon?.stop();
  daemon = null;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(client: DaemonOptions['client']): Promise<RunningDaemon> {
  daemon = await startDaemon({
    config: makeConfig({ id: 0x0a000001 }), listen: [{ address: HOST, port: 0 }], client, membership: null, revocationsPath: null, reload: null,
    emulation: [], emulationSeed: 1, log: pino({ level: 'silent' }),
  });
  return daemon;
}

async function freeTcpPort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, HOST, resolve));
  const { port } = probe.address() as { port: number };
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}

describe('the Unix socket', () => {
  test('is its owner\'s alone, whatever the mask of the daemon', async () => {
    const mask = process.umask(0);
    try {
      await start({ socketPath, tcp: null });
      expect(process.umask()).toBe(0);
    } finally {
      process.umask(mask);
    }
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    await (await SpinesClient.connect({ path: socketPath })).close();
  });

  test('may be opened by a group too', async () => {
    // Root may give it to any group, others to those that they are in.
    const group = process.getuid!() === 0 ? 12_345 : process.getgroups!().find((id) => id !== process.getgid!()) ?? process.getgid!();
    await start({ socketPath, group: String(group), tcp: null });
    const { mode, gid } = statSync(socketPath);
    expect(mode & 0o777).toBe(0o660);
    expect(gid).toBe(group);
  });

  test('is not made for a group that is not known, and not left for one that it can\'t be given to', async () => {
    await expect(start({ socketPath, group: 'no-such-group', tcp: null })).rejects.toMatchObject({ code: 'ECONFIG', message: expect.stringMatching(/no group "no-such-group"; make it/) });
    expect(existsSync(socketPath)).toBe(false);
    if (process.getuid!() === 0) return;
    await expect(start({ socketPath, group: '4294967', tcp: null })).rejects.toMatchObject({ code: 'EPERM', message: expect.stringMatching(/can't give .* to group 4294967 \(EPERM\); let/) });
    expect(existsSync(socketPath)).toBe(false);
  });
});

test('remote clients need a membership', async () => {
  await expect(start({ socketPath, tcp: null, remote: { address: HOST, port: 0 } })).rejects.toMatchObject({ code: 'ECONFIG', message: expect.stringMatching(/^client\.remote: needs `security: sealed`/) });
});

describe('TCP', () => {
  test('takes the token of the file, and nothing else', async () => {
    const port = await freeTcpPort();
    const { node } = await start({ socketPath: null, tcp: { address: { address: HOST, port }, tokenPath } });
    const token = readFileSync(tokenPath, 'utf8');
    const client = await SpinesClient.connect({ host: HOST, port, token });
    await expect(client.request('status')).resolves.toMatchObject({ node: '10.0.0.1' });
    await client.close();
    process.env['SPINES_TOKEN_FILE'] = tokenPath;
    try {
      await (await SpinesClient.connect({ port })).close();
    } finally {
      delete process.env['SPINES_TOKEN_FILE'];
    }
    expect(node.drops.snapshot()).toEqual({});
    await expect(SpinesClient.connect({ port })).rejects.toMatchObject({ code: 'EACCES', syscall: 'authenticate', message: expect.stringMatching(/wants a token; give the contents of its token file/) });
    await expect(SpinesClient.connect({ port, token: token.replace(/^./, (c) => (c === '0' ? '1' : '0')) })).rejects.toMatchObject({ code: 'EACCES', message: expect.stringMatching(/is not that of this daemon/) });
    expect(node.drops.of(DropReason.clientUnauthenticated)).toBe(2);
  });

  test('holds so many who have shown none yet, and does not count those who have', async () => {
    const port = await freeTcpPort();
    const { node } = await start({ socketPath: null, tcp: { address: { address: HOST, port }, tokenPath } });
    const token = readFileSync(tokenPath, 'utf8');
    const friends = await Promise.all(Array.from({ length: 3 }, () => SpinesClient.connect({ port, token })));
    for (let i = 0; i < UNAUTHENTICATED_MAX; i += 1) {
      const socket = dial(port, HOST);
      open.push(socket);
      await new Promise((resolve) => socket.once('connect', resolve));
    }
    const late = dial(port, HOST);
    open.push(late);
    let told = '';
    late.on('data', (chunk) => { told += chunk.toString('latin1'); });
    await new Promise((resolve) => late.once('close', resolve));
    expect(told).toContain(`${UNAUTHENTICATED_MAX} connections have not shown the token yet; try again`);
    expect(node.drops.of(DropReason.clientRefused)).toBe(1);
    for (const socket of open) socket.destroy();
    for (let tries = 0; ; tries += 1) {
      try {
        friends.push(await SpinesClient.connect({ port, token }));
        break;
      } catch (error) {
        if (tries > 100) throw error;
      }
    }
    await Promise.all(friends.map((friend) => friend.close()));
  });

  test('is not offered with a token that others may read', async () => {
    chmodSync(tokenPath, 0o644);
    await expect(start({ socketPath, tcp: { address: { address: HOST, port: await freeTcpPort() }, tokenPath } })).rejects.toMatchObject({ code: 'ECONFIG', message: expect.stringMatching(/chmod 600/) });
    expect(existsSync(socketPath)).toBe(false);
  });
});
