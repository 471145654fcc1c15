/** Stream sockets and servers against a daemon that is played, on a real Unix socket. */

import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { clientOf, SpinesClient } from '../../../../spines-client/src/client.ts';
import * as p from '../../../../spines-client/src/shared/protocol.ts';
import { type SpinesServer, createServer } from '../../../../spines-client/src/sockets/server.ts';
import type { ServerOptions } from '../../../../spines-client/src/sockets/server.ts';
import { connect, createConnection } from '../../../../spines-client/src/sockets/connect.ts';
import { STREAM_HIGH_WATER_BYTES } from '../../../../spines-client/src/sockets/socket-options.ts';
import type { StreamOptions } from '../../../../spines-client/src/sockets/socket-options.ts';
import type { SpinesSocket } from '../../../../spines-client/src/sockets/socket.ts';
import { FakeDaemon, freshPath } from '../fake-daemon.ts';

let daemon: FakeDaemon;
let client: SpinesClient;
let others: SpinesClient[];

beforeEach(async () => {
  daemon = await new FakeDaemon().start();
  client = await SpinesClient.connect({ path: daemon.path });
  others = [];
});

afterEach(async () => {
  expect(daemon.streams.violations).toEqual([]);
  for (const other of [client, ...others]) await other.close();
  await daemon.stop();
});

async function listening(
  onConnection: (socket: SpinesSocket) => void,
  options: Omit<ServerOptions, 'client'> = {},
  port = 0,
): Promise<SpinesServer> {
  const server = client.createServer(options, onConnection).listen(port);
  await once(server, 'listening');
  return server;
}

function portOf(server: SpinesServer): number {
  return server.address()!.port;
}

/** Both ends of a stream. */
async function pair(
  options: StreamOptions = {},
): Promise<{ near: SpinesSocket; far: SpinesSocket; server: SpinesServer }> {
  let accepted!: (socket: SpinesSocket) => void;
  const coming = new Promise<SpinesSocket>((resolve) => {
    accepted = resolve;
  });
  const server = await listening((socket) => accepted(socket), options);
  const near = client.stream(options).connect(portOf(server), 'alpha');
  const [far] = await Promise.all([coming, once(near, 'connect')]);
  return { near, far, server };
}

function closed(socket: SpinesSocket): Promise<boolean> {
  return new Promise((resolve) => socket.once('close', resolve));
}

function failure(socket: SpinesSocket): Promise<Error & { code: string }> {
  return new Promise((resolve) => socket.once('error', resolve as (error: Error) => void));
}

function text(socket: SpinesSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = '';
    socket.on('data', (chunk) => {
      all += String(chunk);
    });
    socket.once('end', () => resolve(all));
    socket.once('error', reject);
    socket.resume();
  });
}

/** Every frame written so far has been answered. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await client.request('echo');
}

describe('SpinesSocket', () => {
  it('looks like a net.Socket from connect to close', async () => {
    const events: string[] = [];
    const server = await listening((socket) => socket.end('bye'), {}, 8400);
    const socket = client.stream({ link: 'best-effort' });
    expect([socket.pending, socket.connecting, socket.address()]).toEqual([true, false, {}]);
    for (const event of ['connect', 'ready', 'data', 'end', 'finish', 'close'])
      socket.on(event, () => events.push(event));
    expect(
      socket.connect({ port: 8400, host: 'beta', localPort: 555 }, () => events.push('callback')),
    ).toBe(socket);
    expect([socket.connecting, socket.readyState, socket.pending]).toEqual([true, 'opening', true]);
    await once(socket, 'connect');
    expect([
      socket.readyState,
      socket.remoteAddress,
      socket.remotePort,
      socket.remoteFamily,
    ]).toEqual(['open', '10.0.0.2', 8400, 'spines']);
    expect([socket.localAddress, socket.localPort, socket.address()]).toEqual([
      '10.0.0.1',
      555,
      { address: '10.0.0.1', family: 'spines', port: 555 },
    ]);
    expect(socket.setNoDelay(true).setKeepAlive(true, 1000).ref().unref()).toBe(socket);
    expect(await closed(socket)).toBe(false);
    expect(events).toEqual(['connect', 'callback', 'ready', 'data', 'end', 'finish', 'close']);
    expect([socket.bytesRead, socket.bytesWritten, socket.destroyed, socket.readyState]).toEqual([
      3,
      0,
      true,
      'closed',
    ]);
    expect(daemon.ops('socket').at(-1)).toMatchObject({
      kind: 'stream',
      link: 'best-effort',
      routing: 'link-state',
    });
    await settle();
    expect([daemon.streams.open, daemon.streams.resets, portOf(server)]).toEqual([0, 0, 8400]);
  });

  it('echoes 5 MB in random pieces, byte for byte', async () => {
    daemon.streams.randomCuts = true;
    const server = await listening(
      (socket) => {
        socket.pipe(socket);
      },
      { allowHalfOpen: true },
    );
    const data = randomBytes(5_000_000);
    const socket = client.stream().connect(portOf(server), 'alpha');
    const sending = (async () => {
      for (let at = 0; at < data.length; ) {
        const bytes = 1 + Math.floor(Math.random() * 100_000);
        if (!socket.write(data.subarray(at, at + bytes))) await once(socket, 'drain');
        at += bytes;
      }
      socket.end();
    })();
    const hash = createHash('sha256');
    for await (const chunk of socket) hash.update(chunk as Buffer);
    await sending;
    expect(hash.digest('hex')).toBe(createHash('sha256').update(data).digest('hex'));
    expect([socket.bytesRead, socket.bytesWritten]).toEqual([data.length, data.length]);
    expect(daemon.streams.maxWaitingBytes).toBeLessThanOrEqual(p.STREAM_CREDIT_INITIAL);
  });

  it(
    'holds the writer back when the peer does not read, ' + 'and lets it go on when it does',
    async () => {
      const { near, far } = await pair();
      far.pause();
      const piece = Buffer.alloc(16_384, 'x');
      let written = 0;
      for (let quiet = 0; quiet < 5; ) {
        if (near.writableNeedDrain) {
          quiet++;
          await settle();
        } else {
          near.write(piece);
          written += piece.length;
          quiet = 0;
        }
      }
      near.write('more');
      expect(near.writableNeedDrain).toBe(true);
      // Two windows, one in either direction of the daemon, and the buffers of both ends.
      expect(written).toBeLessThan(3 * p.STREAM_CREDIT_INITIAL + 4 * STREAM_HIGH_WATER_BYTES);
      expect(far.readableLength).toBeLessThanOrEqual(2 * STREAM_HIGH_WATER_BYTES);
      let received = 0;
      far
        .on('data', (chunk: Buffer) => {
          received += chunk.length;
        })
        .resume();
      await once(near, 'drain');
      near.end();
      await once(far, 'end');
      expect(received).toBe(written + 4);
    },
  );

  it('does not let a stalled stream hold up another on the same connection', async () => {
    const sockets: SpinesSocket[] = [];
    const server = await listening((socket) => {
      socket.pause();
      sockets.push(socket);
    });
    const stalled = client.stream().connect(portOf(server), 'alpha');
    await once(stalled, 'connect');
    stalled.write(Buffer.alloc(3_000_000));
    await settle();
    const brisk = client.stream().connect(portOf(server), 'alpha');
    await once(brisk, 'connect');
    brisk.end(Buffer.alloc(3_000_000));
    let received = 0;
    for await (const chunk of sockets[1]!) received += (chunk as Buffer).length;
    expect(received).toBe(3_000_000);
    expect(stalled.writableLength).toBe(3_000_000);
    stalled.destroy();
  });

  it('holds writes and the end until it is connected', async () => {
    let got = '';
    const server = await listening((socket) => {
      void text(socket).then((all) => {
        got = all;
      });
    });
    const socket = client.stream().connect({ port: portOf(server) });
    socket.write('one ');
    socket.write('two ');
    socket.end('three');
    expect(socket.bytesWritten).toBe(13);
    await closed(socket);
    expect(got).toBe('one two three');
  });

  it('ends its own side when the far side has ended, unless half-open is allowed', async () => {
    const { near, far } = await pair();
    near.resume();
    far.end('x');
    await Promise.all([closed(near), closed(far)]);
    expect(near.writableFinished).toBe(true);

    const open = await pair({ allowHalfOpen: true });
    const heard = text(open.near);
    open.far.end('from far');
    expect(await heard).toBe('from far');
    expect([open.near.destroyed, open.near.writable, open.near.readyState]).toEqual([
      false,
      true,
      'writeOnly',
    ]);
    open.near.end('from near');
    expect(await text(open.far)).toBe('from near');
    await settle();
    expect([daemon.streams.open, daemon.streams.resets]).toEqual([0, 0]);
  });

  it('stays readable after its own end, both ways round', async () => {
    const { near, far } = await pair({ allowHalfOpen: true });
    near.end('question');
    expect(await text(far)).toBe('question');
    far.write('ans');
    far.end('wer');
    expect(await text(near)).toBe('answer');
  });

  it('keeps what came before an orderly end, though it is read later', async () => {
    const { near, far } = await pair({ allowHalfOpen: true });
    near.pause();
    near.end();
    far.resume();
    far.end(Buffer.alloc(200_000, 'z'));
    await settle();
    expect(daemon.streams.open).toBe(0);
    expect(await text(near)).toHaveLength(200_000);
  });

  it('answers a write after the far end, and after its own, as net does', async () => {
    const { near, far } = await pair();
    near.resume();
    far.end();
    const failed = failure(near);
    near.once('end', () => near.write('too late'));
    expect(await failed).toMatchObject({
      code: 'EPIPE',
      message: 'This socket has been ended by the other party',
    });
    const other = await pair({ allowHalfOpen: true });
    other.near.end();
    const refused = failure(other.near);
    other.near.write('x');
    expect(await refused).toMatchObject({ code: 'ERR_STREAM_WRITE_AFTER_END' });
    const idle = client.stream();
    const never = failure(idle);
    idle.write('x');
    expect(await never).toMatchObject({ code: 'ERR_SOCKET_CLOSED' });
  });

  it('shows the far end a reset', async () => {
    const { near, far } = await pair();
    const reset = failure(far);
    const gone = closed(far);
    near.resetAndDestroy();
    expect(await reset).toMatchObject({
      code: 'ECONNRESET',
      syscall: 'read',
      address: '10.0.0.1',
      port: near.localPort,
    });
    expect(await gone).toBe(true);
    expect(near.destroyed).toBe(true);
  });

  it('resets when destroyed with data unread or unsent, and ends otherwise', async () => {
    const unread = await pair();
    unread.near.pause();
    unread.far.write('never read');
    await settle();
    const reset = failure(unread.far);
    unread.near.destroy();
    expect(await reset).toMatchObject({ code: 'ECONNRESET' });

    const unsent = await pair();
    unsent.far.pause();
    const callback = new Promise((resolve) => unsent.near.write(Buffer.alloc(2_000_000), resolve));
    await settle();
    const reset2 = failure(unsent.far);
    unsent.near.destroy();
    expect(await callback).toMatchObject({ code: 'ERR_STREAM_DESTROYED' });
    expect(await reset2).toMatchObject({ code: 'ECONNRESET' });

    const resets = daemon.streams.resets;
    const clean = await pair();
    clean.near.write('delivered');
    clean.near.destroy();
    expect(await text(clean.far)).toBe('delivered');
    await settle();
    expect([daemon.streams.resets, daemon.streams.open]).toEqual([resets, 0]);
  });

  it('resets a far end that sends to a destroyed socket', async () => {
    const { near, far } = await pair({ allowHalfOpen: true });
    near.destroy();
    const reset = failure(far);
    await once(far.resume(), 'end');
    far.write('anybody there?');
    expect(await reset).toMatchObject({ code: 'ECONNRESET' });
  });

  it.each([
    ['ECONNREFUSED', { port: 9, host: 'alpha' }],
    ['ENOENT', { port: 9, host: 'nobody' }],
  ])('reports %s with what was to be reached', async (code, target) => {
    const socket = client.stream().connect(target);
    const gone = closed(socket);
    expect(await failure(socket)).toMatchObject({
      code,
      syscall: 'connect',
      address: target.host,
      port: 9,
      message: expect.stringContaining(`${target.host}:9`),
    });
    expect(await gone).toBe(true);
    await settle();
    expect(daemon.peer.ports.size).toBe(0);
  });

  it('reports a local port in use', async () => {
    daemon.takenPorts.add(77);
    const socket = client.stream().connect({ port: 9, localPort: 77 });
    expect(await failure(socket)).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', port: 77 });
  });

  it(
    'tells the daemon how long a far end may be silent, ' +
      'and how often it is asked, of sockets, of servers and later',
    async () => {
      const told = (): unknown[] =>
        daemon.ops('socket').map(({ keepaliveMs, silenceMs }) => [keepaliveMs, silenceMs]);
      const changed = (): unknown[] =>
        daemon.ops('setOption').map(({ option, value }) => [option, value]);
      const { near, far } = await pair({ keepaliveMs: 2_000, silenceMs: 5_000 });
      const before = told().slice();
      expect(before).toEqual([
        [2_000, 5_000],
        [2_000, 5_000],
      ]);
      for (const options of [
        {},
        { keepAlive: true, keepAliveInitialDelay: 1_000 },
        { keepAlive: true },
        { keepAlive: false },
        { keepaliveMs: 0 },
        { keepAlive: true, keepAliveInitialDelay: 20 },
      ]) {
        const socket = client.stream(options).connect(9, 'beta');
        await failure(socket);
      }
      expect(told().slice(2)).toEqual([
        [undefined, undefined],
        [1_000, undefined],
        [undefined, undefined],
        [undefined, undefined],
        [0, undefined],
        [500, undefined],
      ]);
      // What is as it was is not said again.
      near
        .setKeepAlive(true, 2_000)
        .setKeepAlive(true)
        .setKeepAlive()
        .setKeepAlive(false)
        .setKeepAlive(true)
        .setKeepAlive(true, 7_000.9);
      far.setKeepAlive(true, 1_000);
      await settle();
      expect(changed()).toEqual([0, 2_000, 7_000, 1_000].map((value) => ['keepaliveMs', value]));
      // Of one that is not connected yet it goes along; of one that is over nothing is said.
      const later = client.stream().setKeepAlive(true, 3_000).connect(9, 'beta');
      await failure(later);
      later.setKeepAlive(false);
      await settle();
      expect([told().at(-1), changed().length]).toEqual([[3_000, undefined], 4]);
      near.destroy();
      far.destroy();
    },
  );

  it("gives the daemon's keepalive back where it was off and no other is named", async () => {
    const { near } = await pair();
    near.setKeepAlive(false).setKeepAlive(true);
    await settle();
    expect(daemon.ops('setOption').map(({ value }) => value)).toEqual([0, null]);
    near.destroy();
  });

  it('refuses limits that a daemon would not take, before it connects', () => {
    const of = (options: object): unknown => {
      try {
        client.stream(options);
      } catch (error) {
        return (error as { code: string }).code;
      }
      return null;
    };
    for (const options of [
      { silenceMs: 999 },
      { silenceMs: 0 },
      { silenceMs: 1_000.5 },
      { silenceMs: 86_400_001 },
      { silenceMs: NaN },
      { keepaliveMs: 1 },
      { keepaliveMs: -1 },
      { keepaliveMs: Infinity },
    ]) {
      expect(of(options), JSON.stringify(options)).toBe('ERR_OUT_OF_RANGE');
    }
    for (const options of [
      { silenceMs: '5000' },
      { keepaliveMs: true },
      { keepAliveInitialDelay: '1' },
    ])
      expect(of(options), JSON.stringify(options)).toBe('ERR_INVALID_ARG_TYPE');
    expect(() => client.createServer({ silenceMs: 5 })).toThrow(
      new RegExp(
        String.raw`"options.silenceMs" is out of range. It must be an integer from ` +
          String.raw`1000 to 86400000. Received 5`,
      ),
    );
    expect(() => client.stream({ keepaliveMs: 5 })).toThrow(
      /an integer from 500 to 86400000, or 0. Received 5/,
    );
  });

  it("passes the daemon's time-out on, and can be destroyed while connecting", async () => {
    daemon.silentOps.add('connect');
    const socket = client.stream().connect({ port: 9, host: 'beta', timeoutMs: 1234 });
    const failed = failure(socket);
    await settle();
    const request = daemon.ops('connect')[0]!;
    expect(request['timeoutMs']).toBe(1234);
    daemon.write(
      p.encodeControl(p.FRAME_REPLY, {
        id: request.id,
        ok: false,
        code: 'ETIMEDOUT',
        message: 'no answer',
      }),
    );
    expect(await failed).toMatchObject({ code: 'ETIMEDOUT', address: 'beta', port: 9 });
    const other = client.stream().connect(9, 'beta');
    await settle();
    const gone = closed(other);
    other.destroy();
    expect(await gone).toBe(false);
    daemon.write(
      p.encodeControl(p.FRAME_REPLY, {
        id: daemon.ops('connect')[1]!.id,
        ok: true,
        node: '10.0.0.1',
        port: 1,
        remoteNode: '10.0.0.2',
        remotePort: 9,
      }),
    );
    await settle();
    expect(daemon.ops('close')).toHaveLength(2);
    expect(client.connected).toBe(true);
  });

  it('is destroyed by its signal', async () => {
    expect(await failure(client.stream({ signal: AbortSignal.abort() }))).toMatchObject({
      code: 'ABORT_ERR',
      name: 'AbortError',
    });
    const controller = new AbortController();
    const { near } = await pair({ signal: controller.signal });
    const aborted = failure(near);
    controller.abort();
    expect(await aborted).toMatchObject({ name: 'AbortError' });
  });

  it("tells silence by 'timeout', and lives on", async () => {
    const { near, far } = await pair();
    expect(near.timeout).toBeUndefined();
    let timeouts = 0;
    near.setTimeout(30, () => timeouts++);
    expect(near.timeout).toBe(30);
    await once(near, 'timeout');
    near.resume();
    far.write('x');
    await once(near, 'data');
    await once(near, 'timeout');
    expect([timeouts, near.destroyed]).toEqual([1, false]);
    near.setTimeout(0);
    expect(() => near.setTimeout(-1)).toThrow(
      expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }),
    );
  });

  it('decodes, pipes, runs in pipelines and iterates', async () => {
    const { near, far } = await pair();
    near.setEncoding('utf8');
    const euro = Buffer.from('€€€');
    far.write(euro.subarray(0, 4));
    await settle();
    far.end(euro.subarray(4));
    expect(await text(near)).toBe('€€€');

    const server = await listening(
      (socket) => {
        const upper = new Transform({
          transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()),
        });
        void pipeline(socket, upper, socket);
      },
      { allowHalfOpen: true },
    );
    const socket = connect({ client, port: portOf(server) });
    const heard = text(socket);
    await pipeline(Readable.from(['many ', 'small ', 'pieces']), socket, { end: true });
    expect(await heard).toBe('MANY SMALL PIECES');
  });

  it('throws on wrong arguments as net does', async () => {
    const bad = (...args: unknown[]) =>
      expect(() => (client.stream().connect as (...a: unknown[]) => void)(...args));
    bad(70_000).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    bad({}).toThrow(expect.objectContaining({ code: 'ERR_MISSING_ARGS' }));
    bad({ port: 5, host: 5 }).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
    expect(() => client.stream({ link: 'realtime' as 'reliable' })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    );
    const socket = client.stream().connect(1);
    const failed = failure(socket);
    socket.connect(1);
    expect((await failed).code).toBe('EALREADY');
  });

  it('carries a thousand streams on one connection', async () => {
    const server = await listening(
      (socket) => {
        socket.pipe(socket);
      },
      { allowHalfOpen: true },
    );
    const echoed = await Promise.all(
      Array.from({ length: 1000 }, async (_, i) => {
        const socket = client.stream().connect(portOf(server), 'alpha');
        socket.end(`stream ${i}`);
        return await text(socket);
      }),
    );
    expect(echoed).toEqual(Array.from({ length: 1000 }, (_, i) => `stream ${i}`));
    await settle();
    expect([daemon.peers.length, daemon.streams.open, daemon.streams.resets]).toEqual([1, 0, 0]);
  });
});

describe('SpinesSocket and its client', () => {
  it('makes and closes a client of its own, after the last byte has arrived', async () => {
    const server = await listening((socket) => {
      socket.on('data', () => {});
    });
    const socket = createConnection({
      connect: { path: daemon.path },
      port: portOf(server),
      host: 'alpha',
    });
    socket.end('x'.repeat(100_000));
    await closed(socket);
    while (!clientOf(socket).closed) await once(clientOf(socket), 'close');
    expect(daemon.streams.resets).toBe(0);
  });

  it('reports that there is no daemon', async () => {
    const socket = connect({ connect: { path: freshPath() }, port: 1, host: 'alpha' });
    expect(await failure(socket)).toMatchObject({ code: 'ENOENT', syscall: 'connect' });
  });

  it('breaks with the connection to the daemon: every stream, once', async () => {
    const { near, far, server } = await pair();
    const connecting = client.stream();
    const events = [near, far].map(async (socket) =>
      (await Promise.all([failure(socket), closed(socket)])).map((each) =>
        each instanceof Error ? each.message.split(':')[0] : each,
      ),
    );
    daemon.silentOps.add('connect');
    connecting.connect(1, 'alpha');
    const failed = failure(connecting);
    await settle();
    const back = once(server, 'relisten');
    daemon.peer.socket.destroy();
    expect(await Promise.all(events)).toEqual([
      ['read ECONNRESET', true],
      ['read ECONNRESET', true],
    ]);
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
    await back;
  });

  it('is destroyed without an error when its client is closed', async () => {
    const { near, far } = await pair();
    const idle = client.stream();
    const all = Promise.all([near, far, idle].map(closed));
    await client.close();
    expect(await all).toEqual([false, false, false]);
  });

  it('gives the last data time when its client is closed', async () => {
    const { near, far } = await pair();
    const other = await SpinesClient.connect({ path: daemon.path });
    others.push(other);
    far.resume();
    near.resume();
    near.end();
    await Promise.all([closed(near), closed(far)]);
    const server = await listening((socket) => {
      socket.pause();
      setTimeout(() => socket.resume(), 50);
    });
    const late = other.stream().connect(portOf(server), 'alpha');
    late.end(Buffer.alloc(600_000));
    await closed(late);
    await other.close();
    expect(daemon.streams.resets).toBe(0);
  });
});

describe('SpinesServer', () => {
  it('looks like a net.Server', async () => {
    const server = createServer({ client });
    expect([server.listening, server.address()]).toEqual([false, null]);
    let called = 0;
    server.listen({ port: 700, backlog: 5 }, () => called++);
    expect(() => server.listen(1)).toThrow(
      expect.objectContaining({ code: 'ERR_SERVER_ALREADY_LISTEN' }),
    );
    await once(server, 'listening');
    expect([server.listening, server.address(), called]).toEqual([
      true,
      { address: '10.0.0.1', family: 'spines', port: 700 },
      1,
    ]);
    expect(daemon.ops('listen')[0]).toMatchObject({ port: 700, backlog: 5 });
    const socket = client.stream().connect(700);
    const [accepted] = (await once(server, 'connection')) as [SpinesSocket];
    expect([accepted.remoteAddress, accepted.localPort, accepted.connecting]).toEqual([
      '10.0.0.1',
      700,
      false,
    ]);
    expect(
      await new Promise((resolve) => server.getConnections((_error, count) => resolve(count))),
    ).toBe(1);
    let over = false;
    const done = new Promise<void>((resolve) =>
      server.close(() => {
        over = true;
        resolve();
      }),
    );
    await settle();
    expect([server.listening, over]).toEqual([false, false]);
    socket.end();
    accepted.end();
    await done;
    expect(await new Promise((resolve) => server.close(resolve))).toMatchObject({
      code: 'ERR_SERVER_NOT_RUNNING',
    });
    server.listen(701);
    await once(server, 'listening');
    await server[Symbol.asyncDispose]();
    expect(daemon.peer.ports.size).toBe(0);
  });

  it('reports a port in use and can try another', async () => {
    daemon.takenPorts.add(9);
    const server = client.createServer();
    let called = 0;
    server.listen(9, () => called++);
    const error = await new Promise((resolve) => server.once('error', resolve));
    expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen', port: 9 });
    server.listen(10);
    await once(server, 'listening');
    expect(called).toBe(0);
  });

  it(
    'draws the port that nobody asked for, ' +
      "and takes the daemon's where the draw is taken and was not told",
    async () => {
      const refuseFirst = (): void => {
        const taken = new Proxy(daemon.takenPorts, {
          get: (set, key) =>
            key === 'has'
              ? (port: number) => port >= 32_768 && port < 61_000 && port !== 40_001
              : (Reflect.get(set, key) as unknown),
        });
        daemon.takenPorts = taken;
      };
      refuseFirst();
      const silent = client.createServer().listen(0);
      await once(silent, 'listening');
      expect(silent.address()).toMatchObject({ port: 40_001 });

      const told = client.createServer().listen();
      const { port } = told.address()!;
      const error = await new Promise((resolve) => told.once('error', resolve));
      expect(error).toMatchObject({ code: 'EADDRINUSE', port });
      expect(told.address()).toBeNull();
    },
  );

  it('keeps nothing of a port that was refused: one connection, whatever was tried', async () => {
    daemon.takenPorts.add(9);
    const server = createServer({ connect: { path: daemon.path } });
    let tries = 0;
    server.on('error', () => {
      server.listen(++tries < 5 ? 9 : 10);
    });
    server.listen(9);
    await new Promise<void>((resolve) => {
      server.on('listening', resolve);
    });
    expect([tries, daemon.peers.length]).toEqual([5, 2]);
    await server[Symbol.asyncDispose]();
    await settle();
    expect([daemon.peers.length, daemon.peers[0]!.ports.size]).toEqual([1, 0]);
  });

  it(
    'tells a rejected connection listener by ' + 'the server where its socket has no listener',
    async () => {
      EventEmitter.captureRejections = true;
      try {
        const server = client.createServer();
        server.on('connection', async () => {
          throw new Error('kaboom');
        });
        server.listen(11);
        const failed = new Promise((resolve) => server.once('error', resolve));
        const socket = client.stream().connect(11, 'alpha');
        const gone = closed(socket.resume());
        expect(await failed).toMatchObject({ message: 'kaboom' });
        await gone;
      } finally {
        EventEmitter.captureRejections = false;
      }
    },
  );

  it('resets what exceeds maxConnections, and says so', async () => {
    const server = await listening(() => {}, { maxConnections: 1 });
    const first = client.stream().connect(portOf(server), 'alpha');
    await once(first, 'connect');
    const dropped = once(server, 'drop');
    const second = client.stream().connect(portOf(server), 'alpha');
    expect(await failure(second)).toMatchObject({ code: 'ECONNRESET' });
    expect((await dropped)[0]).toMatchObject({
      localPort: portOf(server),
      remoteAddress: '10.0.0.1',
      remotePort: second.localPort,
    });
  });

  it('closes on its signal, before or after', async () => {
    const early = client.createServer().listen({ port: 1, signal: AbortSignal.abort() });
    await once(early, 'close');
    const controller = new AbortController();
    const server = client.createServer().listen({ port: 2, signal: controller.signal });
    await once(server, 'listening');
    controller.abort();
    await once(server, 'close');
    expect(daemon.peer.ports.size).toBe(0);
  });

  it(
    'listens again at its port after the daemon has restarted, ' +
      'and when it has not noticed yet',
    async () => {
      const server = await listening((socket) => {
        socket.on('error', () => {}).end('again');
      });
      const port = portOf(server);
      const back = once(server, 'relisten');
      await daemon.stop();
      daemon.instance = 'two';
      await daemon.start();
      expect((await back)[0]).toEqual({ restarted: true });
      expect(await text(client.stream().connect(port, 'alpha'))).toBe('again');
      await settle();
      daemon.takenPorts.add(port);
      client.once('reconnect', () => {
        void client.request('echo').then(() => daemon.takenPorts.clear());
      });
      const again = once(server, 'relisten');
      daemon.peer.socket.destroy();
      await again;
      expect(await text(client.stream().connect(port, 'alpha'))).toBe('again');
    },
  );

  it("says 'error' and 'close' when the port, or the daemon, is not to be had again", async () => {
    const server = await listening(() => {});
    const outcome = Promise.all([
      new Promise((resolve) => server.once('error', resolve)),
      new Promise((resolve) => server.once('close', () => resolve(null))),
    ]);
    daemon.takenPorts.add(portOf(server));
    await daemon.stop();
    daemon.instance = 'two';
    await daemon.start();
    expect((await outcome)[0]).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen' });
    expect([server.listening, server.address()]).toEqual([false, null]);

    const single = createServer({ connect: { path: daemon.path, reconnect: false } }).listen();
    await once(single, 'listening');
    const lost = Promise.all([
      new Promise((resolve) => single.once('error', resolve)),
      new Promise((resolve) => single.once('close', () => resolve(null))),
    ]);
    await daemon.stop();
    expect((await lost)[0]).toMatchObject({ code: 'ECONNRESET' });
  });

  it('makes and closes a client of its own', async () => {
    const server = createServer({ connect: { path: daemon.path } }, (socket) =>
      socket.end('own'),
    ).listen(800);
    await once(server, 'listening');
    const own = clientOf(server)!;
    expect(await text(client.stream().connect(800, 'alpha'))).toBe('own');
    const gone = once(own, 'close');
    await server[Symbol.asyncDispose]();
    await gone;
    const failed = createServer({ connect: { path: freshPath() } }).listen(1);
    expect(await new Promise((resolve) => failed.once('error', resolve))).toMatchObject({
      code: 'ENOENT',
    });
  });

  it('hands over paused sockets when asked to', async () => {
    const server = await listening(
      (socket) => {
        expect(socket.isPaused()).toBe(true);
        void text(socket);
      },
      { pauseOnConnect: true },
    );
    const socket = client.stream().connect(portOf(server), 'alpha');
    socket.end('x');
    await closed(socket);
  });
});
