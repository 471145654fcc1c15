/**
 * The doors for programs of the daemon's machine: who may open the socket, what TCP asks for, and
 * whom a crowd keeps out.
 */

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect as dial, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, describe, expect, test } from 'vitest';

import { SpinesClient } from '../../../../spines-client/src/index.ts';
import { encodeControl, FRAME_HELLO } from '../../../../spines-client/src/shared/protocol.ts';
import type { DaemonOptions } from '../../../../src/host/daemon-options.ts';
import { startDaemon, type RunningDaemon } from '../../../../src/host/daemon.ts';
import { SILENT_MAX } from '../../../../src/host/doors/ipc-server.ts';
import { ASKING_MAX } from '../../../../src/core/ipc/client-places.ts';
import { defaultLimits, makeConfig, type NodeLimits } from '../../../../src/core/node/config.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';

const HOST = '127.0.0.1';
const folder = mkdtempSync(join(tmpdir(), 'spines-doors-'));
const socketPath = join(folder, 'd.sock'),
  tokenPath = join(folder, 'token');
let daemon: RunningDaemon | null = null;
const open: Socket[] = [];

afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await daemon?.stop();
  daemon = null;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(
  client: DaemonOptions['client'],
  limits: Partial<NodeLimits> = {},
): Promise<RunningDaemon> {
  daemon = await startDaemon({
    config: makeConfig({ id: 0x0a000001, limits: { ...defaultLimits, ...limits } }),
    listen: [{ address: HOST, port: 0 }],
    client,
    membership: null,
    revocationsPath: null,
    reload: null,
    emulation: [],
    emulationSeed: 1,
    log: pino({ level: 'silent' }),
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

/** Connections that are there and say what they are told, or nothing. */
class Crowd {
  closed = 0;
  readonly #sockets: Socket[] = [];

  static of(count: number, connect: () => Socket, say: Uint8Array | null = null): Crowd {
    const crowd = new Crowd();
    for (let i = 0; i < count; i += 1) {
      const socket = connect();
      socket
        .on('error', () => {})
        .on('close', () => {
          crowd.closed += 1;
        })
        .resume();
      if (say !== null) socket.write(say);
      crowd.#sockets.push(socket);
      open.push(socket);
    }
    return crowd;
  }

  async connected(): Promise<void> {
    await this.until(() => this.#sockets.every((socket) => !socket.connecting));
  }

  async until(what: () => boolean): Promise<void> {
    for (let tries = 0; !what(); tries += 1) {
      if (tries > 1_000) throw new Error('it does not happen');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

const HELLO = encodeControl(FRAME_HELLO, { version: 1, client: 'crowd' });

describe('a crowd at the Unix socket', () => {
  const ask = (): Promise<SpinesClient> =>
    SpinesClient.connect({ path: socketPath, asksOnly: true, reconnect: false });

  test.each<[string, Uint8Array | null]>([
    ['that says nothing', null],
    ['that says half a HELLO', HELLO.subarray(0, 6)],
  ])('%s keeps nobody out', async (_what, say) => {
    await start({ socketPath, tcp: null });
    const crowd = Crowd.of(SILENT_MAX + 300, () => dial(socketPath), say);
    await crowd.connected();
    for (let i = 0; i < 5; i += 1) {
      const client = await SpinesClient.connect({ path: socketPath, reconnect: false });
      await client.datagram().ready();
      await client.close();
    }
    await crowd.until(() => crowd.closed >= 300);
  });

  test(
    'of programs that have all places keeps out other programs, ' + 'and nobody who only asks',
    async () => {
      const { node } = await start({ socketPath, tcp: null }, { clients: 20 });
      const crowd = Crowd.of(40, () => dial(socketPath), HELLO);
      await crowd.until(() => crowd.closed >= 20);
      await expect(
        SpinesClient.connect({ path: socketPath, reconnect: false }),
      ).rejects.toMatchObject({
        code: 'EMFILE',
        message: expect.stringMatching(/20 clients are connected, .*limits\.clients/),
      });
      const first = await ask();
      await expect(first.request('status')).resolves.toMatchObject({ node: '10.0.0.1' });
      await expect(first.datagram().ready()).rejects.toMatchObject({ code: 'EPERM' });
      const gone = new Promise<{ code?: string }>((resolve) => first.once('disconnect', resolve));
      // Who asks and stays gives way to who asks later.
      for (let i = 0; i < ASKING_MAX + 3; i += 1)
        await expect((await ask()).request('status')).resolves.toMatchObject({ node: '10.0.0.1' });
      expect(await gone).toMatchObject({ code: 'EMFILE' });
      expect(node.drops.of(DropReason.clientRefused)).toBe(21);
    },
  );
});

describe('the Unix socket', () => {
  test("is its owner's alone, whatever the mask of the daemon", async () => {
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
    const group =
      process.getuid!() === 0
        ? 12_345
        : (process.getgroups!().find((id) => id !== process.getgid!()) ?? process.getgid!());
    await start({ socketPath, group: String(group), tcp: null });
    const { mode, gid } = statSync(socketPath);
    expect(mode & 0o777).toBe(0o660);
    expect(gid).toBe(group);
  });

  test(
    'is not made for a group that is not known, ' +
      "and not left for one that it can't be given to",
    async () => {
      await expect(start({ socketPath, group: 'no-such-group', tcp: null })).rejects.toMatchObject({
        code: 'ECONFIG',
        message: expect.stringMatching(/no group "no-such-group"; make it/),
      });
      expect(existsSync(socketPath)).toBe(false);
      if (process.getuid!() === 0) return;
      await expect(start({ socketPath, group: '4294967', tcp: null })).rejects.toMatchObject({
        code: 'EPERM',
        message: expect.stringMatching(/can't give .* to group 4294967 \(EPERM\); let/),
      });
      expect(existsSync(socketPath)).toBe(false);
    },
  );
});

test('remote clients need a membership', async () => {
  await expect(
    start({ socketPath, tcp: null, remote: { address: HOST, port: 0 } }),
  ).rejects.toMatchObject({
    code: 'ECONFIG',
    message: expect.stringMatching(/^client\.remote: needs `security: sealed`/),
  });
});

describe('TCP', () => {
  test('takes the token of the file, and nothing else', async () => {
    const port = await freeTcpPort();
    const { node } = await start({
      socketPath: null,
      tcp: { address: { address: HOST, port }, tokenPath },
    });
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
    await expect(SpinesClient.connect({ port })).rejects.toMatchObject({
      code: 'EACCES',
      syscall: 'authenticate',
      message: expect.stringMatching(/wants a token; give the contents of its token file/),
    });
    await expect(
      SpinesClient.connect({ port, token: token.replace(/^./, (c) => (c === '0' ? '1' : '0')) }),
    ).rejects.toMatchObject({
      code: 'EACCES',
      message: expect.stringMatching(/is not that of this daemon/),
    });
    expect(node.drops.of(DropReason.clientUnauthenticated)).toBe(2);
  });

  test(
    'holds so many who have shown none yet: ' + 'the oldest gives way, and who shows it gets in',
    async () => {
      const port = await freeTcpPort();
      const { node } = await start({
        socketPath: null,
        tcp: { address: { address: HOST, port }, tokenPath },
      });
      const token = readFileSync(tokenPath, 'utf8');
      const friends = await Promise.all(
        Array.from({ length: 3 }, () => SpinesClient.connect({ port, token })),
      );
      const crowd = Crowd.of(SILENT_MAX + 20, () => dial(port, HOST));
      await crowd.until(() => crowd.closed === 20);
      for (let i = 0; i < 5; i += 1) friends.push(await SpinesClient.connect({ port, token }));
      await crowd.until(() => crowd.closed >= 21);
      // One gave way to the first friend, and the room that he left was for the next.
      expect(node.drops.of(DropReason.clientRefused)).toBe(21);
      for (const friend of friends)
        await expect(friend.request('status')).resolves.toMatchObject({ node: '10.0.0.1' });
      await Promise.all(friends.map((friend) => friend.close()));
    },
  );

  test('is not offered with a token that others may read', async () => {
    chmodSync(tokenPath, 0o644);
    await expect(
      start({
        socketPath,
        tcp: { address: { address: HOST, port: await freeTcpPort() }, tokenPath },
      }),
    ).rejects.toMatchObject({ code: 'ECONFIG', message: expect.stringMatching(/chmod 600/) });
    expect(existsSync(socketPath)).toBe(false);
  });
});
