/** Datagram sockets against a daemon that is played, on a real Unix socket. */

import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { clientOf, SpinesClient } from '../../../../spines-client/src/client.ts';
import { createSocket } from '../../../../spines-client/src/sockets/create-socket.ts';
import type { SpinesDatagram } from '../../../../spines-client/src/sockets/datagram.ts';
import type {
  DatagramOptions,
  RemoteInfo,
} from '../../../../spines-client/src/sockets/datagram-options.ts';
import { MESSAGE_COST_BYTES } from '../../../../spines-client/src/core/receive-queue.ts';
import * as p from '../../../../spines-client/src/shared/protocol.ts';
import { FakeDaemon, freshPath } from '../fake-daemon.ts';

let daemon: FakeDaemon;
let clients: SpinesClient[];

beforeEach(async () => {
  daemon = await new FakeDaemon().start();
  clients = [];
});

afterEach(async () => {
  for (const client of clients) await client.close();
  await daemon.stop();
});

async function connect(options: object = {}): Promise<SpinesClient> {
  const client = await SpinesClient.connect({ path: daemon.path, ...options });
  clients.push(client);
  return client;
}

async function bound(
  options: DatagramOptions = {},
  client?: SpinesClient,
): Promise<SpinesDatagram> {
  const socket = (client ?? (await connect())).datagram(options).bind();
  await once(socket, 'listening');
  return socket;
}

async function message(socket: SpinesDatagram): Promise<[string, RemoteInfo]> {
  const [data, rinfo] = (await once(socket, 'message')) as [Buffer, RemoteInfo];
  return [data.toString(), rinfo];
}

describe('SpinesClient', () => {
  it('knows its node once connected', async () => {
    const client = await connect({ name: 'test program' });
    expect([client.node, client.name, client.instance, client.connected]).toEqual([
      '10.0.0.1',
      'alpha',
      'one',
      true,
    ]);
    expect(daemon.hellos[0]!['client']).toBe('test program');
    expect(await client.request('echo', { x: [1, 'two'] })).toMatchObject({ x: [1, 'two'] });
    await expect(client.request('nonsense')).rejects.toMatchObject({
      code: 'EINVAL',
      syscall: 'request nonsense',
      name: 'SpinesClientError',
    });
  });

  it('says what to do when no daemon answers', async () => {
    await expect(SpinesClient.connect({ path: freshPath() })).rejects.toMatchObject({
      code: 'ENOENT',
      message: expect.stringContaining('spines daemon'),
    });
    await expect(SpinesClient.connect({ host: '127.0.0.1', port: 1 })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('gives up on a daemon that does not greet, by time and by signal', async () => {
    daemon.greet = false;
    await expect(connect({ timeoutMs: 20 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await expect(connect({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORT_ERR',
      name: 'AbortError',
    });
    const controller = new AbortController();
    const attempt = connect({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(attempt).rejects.toMatchObject({
      code: 'ABORT_ERR',
      cause: expect.objectContaining({ message: 'enough' }),
    });
  });

  it('refuses a daemon of another version', async () => {
    daemon.version = 99;
    await expect(connect()).rejects.toMatchObject({
      code: 'EPROTO',
      message: expect.stringContaining('version 99'),
    });
  });

  it('aborts and times out single requests', async () => {
    daemon.silentOps.add('status');
    const client = await connect();
    await expect(client.request('status', {}, { timeoutMs: 10 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    });
    const controller = new AbortController();
    const asked = client.request('status', {}, { signal: controller.signal });
    controller.abort();
    await expect(asked).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect(client.connected).toBe(true);
  });

  it(
    'rejects outstanding requests with ECONNRESET ' + 'and ends when it is not to reconnect',
    async () => {
      daemon.silentOps.add('status');
      const client = await connect({ reconnect: false });
      const socket = await bound({}, client);
      const asked = client.request('status');
      asked.catch(() => {});
      const ended = Promise.all([
        once(client, 'disconnect'),
        once(client, 'close'),
        once(socket, 'disconnect'),
        once(socket, 'close'),
      ]);
      await client.request('echo');
      await daemon.stop();
      await expect(asked).rejects.toMatchObject({ code: 'ECONNRESET' });
      expect((await ended)[0][0]).toMatchObject({ code: 'ECONNRESET' });
      await expect(client.request('status')).rejects.toMatchObject({ code: 'ENOTCONN' });
    },
  );

  it('names a daemon that announced its stop', async () => {
    const client = await connect({ reconnect: false });
    const lost = once(client, 'disconnect');
    daemon.peer.socket.end(p.encodeControl(p.FRAME_EVENT, { event: 'draining' }));
    expect((await lost)[0]).toMatchObject({ code: 'EDAEMON' });
  });

  it('drops the connection on garbage and comes back', async () => {
    const client = await connect();
    const events = Promise.all([once(client, 'disconnect'), once(client, 'reconnect')]);
    daemon.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    const [[error], [info]] = await events;
    expect(error).toMatchObject({ code: 'EPROTO' });
    expect(info).toEqual({ restarted: false });
  });

  it(
    'comes back also when somebody opens a stream or ' +
      'asks for it while an attempt is under way that fails',
    async () => {
      const client = await connect();
      const lost = once(client, 'disconnect');
      daemon.greet = false;
      daemon.peer.socket.destroy();
      await lost;
      while (daemon.peers.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      await client.open();
      const refused = once(client.stream().connect({ port: 7_000 }), 'error');
      expect((await refused)[0]).toHaveProperty('code');
      const back = once(client, 'reconnect');
      daemon.greet = true;
      daemon.peer.socket.destroy();
      await back;
      expect(client.connected).toBe(true);
    },
  );

  it('closes its sockets when it is closed', async () => {
    const client = await connect();
    const socket = await bound({}, client);
    const closed = once(socket, 'close');
    await client.close();
    await client.close();
    await closed;
    expect(() => client.datagram()).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });
});

describe('SpinesDatagram sending', () => {
  it('takes every argument form of dgram', async () => {
    const client = await connect();
    const server = await bound({}, client);
    const socket = await bound({}, client);
    const { port } = server.address();
    const got: string[] = [];
    const all = new Promise<void>((resolve) =>
      server.on('message', (data) => {
        if (got.push(data.toString()) === 12) resolve();
      }),
    );
    const called: unknown[] = [];
    const cb = (error: Error | null, bytes?: number): void => {
      called.push(error ?? bytes);
    };
    socket.send('one', port, '10.0.0.2', cb);
    socket.send(Buffer.from('two'), port, 'beta');
    socket.send(new Uint8Array(Buffer.from('three')), port, cb);
    socket.send('four', port);
    socket.send(['fi', Buffer.from('ve')], port, 'alpha', cb);
    socket.send(Buffer.from('xsixx'), 1, 3, port, '10.0.0.1', cb);
    socket.send('xsevenx', 1, 5, port, cb);
    socket.send(new DataView(new Uint8Array(Buffer.from('eight')).buffer), port);
    socket.send([], port);
    const connected = await bound({}, client);
    await new Promise<void>((resolve) => connected.connect(port, 'beta', () => resolve()));
    expect(connected.remoteAddress()).toEqual({ address: '10.0.0.2', family: 'spines', port });
    connected.send('nine', cb);
    connected.send('ten');
    connected.send(Buffer.from('xelevenx'), 1, 6, cb);
    await all;
    expect([...got].sort()).toEqual(
      [
        '',
        'one',
        'two',
        'three',
        'four',
        'five',
        'six',
        'seven',
        'eight',
        'nine',
        'ten',
        'eleven',
      ].sort(),
    );
    await client.request('echo');
    expect([...called].sort()).toEqual([3, 3, 4, 4, 5, 5, 6]);
    expect(daemon.ops('resolve').length).toBeLessThanOrEqual(2);
    expect([socket.getSendQueueSize(), socket.getSendQueueCount()]).toEqual([0, 0]);
  });

  it('throws what dgram throws on wrong arguments', async () => {
    const socket = await bound();
    const bad = (...args: unknown[]) =>
      expect(() => (socket.send as (...a: unknown[]) => void)(...args));
    bad('x', 0, '10.0.0.1').toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    bad('x', 70_000, '10.0.0.1').toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    bad(5, 1, '10.0.0.1').toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
    bad(['x', 5], 1).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
    bad('x', 1, {}).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
    bad('abc', 2, 2, 1, '10.0.0.1').toThrow(
      expect.objectContaining({ code: 'ERR_BUFFER_OUT_OF_BOUNDS' }),
    );
    expect(() => socket.bind(1)).toThrow(
      expect.objectContaining({ code: 'ERR_SOCKET_ALREADY_BOUND' }),
    );
    expect(() => socket.disconnect()).toThrow(
      expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' }),
    );
    await socket[Symbol.asyncDispose]();
    bad('x', 1, '10.0.0.1').toThrow(
      expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' }),
    );
  });

  it('binds on the first send, keeps order and answers like dgram', async () => {
    const client = await connect();
    const server = await bound({}, client);
    const socket = client.datagram({ link: 'reliable', ttl: 9 });
    const received: [string, RemoteInfo][] = [];
    const all = new Promise<void>((resolve) =>
      server.on('message', (data, rinfo) => {
        if (received.push([data.toString(), rinfo]) === 3) resolve();
      }),
    );
    for (const text of ['a', 'bb', 'ccc']) socket.send(text, server.address().port, 'alpha');
    expect(socket.getSendQueueCount()).toBe(3);
    await all;
    expect(received.map(([text]) => text)).toEqual(['a', 'bb', 'ccc']);
    expect(received[2]![1]).toEqual({
      address: '10.0.0.1',
      family: 'spines',
      port: socket.address().port,
      size: 3,
      authenticated: false,
    });
    expect(daemon.ops('socket').at(-1)).toMatchObject({
      kind: 'datagram',
      link: 'reliable',
      routing: 'link-state',
      ttl: 9,
    });
  });

  it('takes 65,536 bytes and refuses more with EMSGSIZE, by callback or by error', async () => {
    const socket = await bound();
    const port = socket.address().port;
    socket.send(Buffer.alloc(65_536, 'x'), port);
    expect((await message(socket))[1].size).toBe(65_536);
    const error = await new Promise((resolve) => socket.send(Buffer.alloc(65_537), port, resolve));
    expect(error).toMatchObject({ code: 'EMSGSIZE' });
    const emitted = once(socket, 'error');
    socket.send(Buffer.alloc(65_537), port);
    expect((await emitted)[0]).toMatchObject({ code: 'EMSGSIZE' });
  });

  it('tells a name nobody has as an error', async () => {
    const socket = await bound();
    const emitted = once(socket, 'error');
    socket.send('x', 5, 'nobody');
    expect((await emitted)[0]).toMatchObject({
      code: 'ENOENT',
      message: expect.stringContaining('nobody'),
    });
    expect(await new Promise((resolve) => socket.send('x', 5, 'nobody', resolve))).toMatchObject({
      code: 'ENOENT',
    });
  });

  it('returns false while the daemon has blocked it, and drains', async () => {
    const socket = await bound();
    const port = socket.address().port;
    daemon.onSend = (peer, id) => {
      peer.socket.write(p.encodeSocketFrame(p.FRAME_BLOCKED, id));
      daemon.onSend = null;
    };
    expect(socket.send('first', port)).toBe(true);
    await message(socket);
    await clientOf(socket).request('echo');
    expect(socket.send('second', port)).toBe(false);
    expect(socket.writableNeedDrain).toBe(true);
    await expect(socket.ready({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORT_ERR',
    });
    const drained = Promise.all([once(socket, 'drain'), socket.ready()]);
    daemon.write(p.encodeSocketFrame(p.FRAME_WRITABLE, 1));
    await drained;
    expect(socket.send('third', port)).toBe(true);
  });

  it(
    'returns false when the connection is full, ' +
      'drains, and refuses with ENOBUFS beyond the bound',
    async () => {
      const socket = await bound();
      daemon.peer.socket.pause();
      const payload = Buffer.alloc(60_000);
      let sends = 1;
      while (socket.send(payload, 9, '10.0.0.9')) sends++;
      expect(sends).toBeLessThan(20);
      const refused = once(socket, 'sendError');
      for (let i = 0; i < 200; i++) socket.send(payload, 9, '10.0.0.9');
      const [error] = await refused;
      expect(error).toMatchObject({ code: 'ENOBUFS' });
      expect(error.count).toBeGreaterThan(10);
      const drained = once(socket, 'drain');
      daemon.peer.socket.resume();
      await drained;
      expect(socket.send('x', 9, '10.0.0.9')).toBe(true);
    },
  );

  it('reports refusals of the daemon without crashing', async () => {
    const socket = await bound();
    const event = p.encodeControl(p.FRAME_EVENT, {
      event: 'sendError',
      socket: 1,
      code: 'ENETUNREACH',
      message: 'no route to 10.9.9.9',
      count: 4,
    });
    daemon.write(event);
    await clientOf(socket).request('echo');
    const told = once(socket, 'sendError');
    daemon.write(event);
    expect((await told)[0]).toMatchObject({ code: 'ENETUNREACH', count: 4, syscall: 'send' });
  });
});

describe('SpinesDatagram receiving', () => {
  it('holds messages while paused, within its bound, and counts what it drops', async () => {
    const client = await connect();
    const socket = await bound({ recvQueueBytes: 10 * (MESSAGE_COST_BYTES + 4) }, client);
    const port = socket.address().port;
    const got: string[] = [];
    socket.on('message', (data) => got.push(data.toString()));
    let dropped = 0;
    socket.on('dropped', ({ count }) => {
      dropped += count;
    });
    socket.pause();
    for (let i = 0; i < 100; i++) socket.send(String(i).padStart(4, '0'), port);
    await client.request('echo');
    expect([got.length, socket.getRecvQueueCount()]).toEqual([0, 10]);
    const last = once(socket, 'message');
    socket.resume();
    await last;
    await client.request('echo');
    expect(got).toEqual(Array.from({ length: 10 }, (_, i) => String(i).padStart(4, '0')));
    expect(dropped).toBe(90);
    daemon.write(p.encodeControl(p.FRAME_EVENT, { event: 'recvDropped', socket: 1, count: 7 }));
    expect(await once(socket, 'dropped')).toEqual([{ count: 7 }]);
  });

  it('may pause in the middle of a burst', async () => {
    const socket = await bound();
    const got: string[] = [];
    socket.on('message', (data) => {
      got.push(data.toString());
      socket.pause();
    });
    for (const text of ['a', 'b', 'c']) socket.send(text, socket.address().port);
    await once(socket, 'message');
    await clientOf(socket).request('echo');
    expect(got).toEqual(['a']);
    const next = once(socket, 'message');
    socket.resume();
    await next;
    expect(got).toEqual(['a', 'b']);
  });

  it('hears only its peer once connected', async () => {
    const client = await connect();
    const [a, b, c] = await Promise.all([bound({}, client), bound({}, client), bound({}, client)]);
    await new Promise<void>((resolve) => a.connect(b.address().port, 'alpha', () => resolve()));
    const heard = message(a);
    c.send('stranger', a.address().port);
    b.send('peer', a.address().port);
    expect((await heard)[0]).toBe('peer');
  });

  it('sets options now or with the announcement', async () => {
    const client = await connect();
    const socket = client.datagram();
    socket.setPriority(3);
    socket.bind();
    await once(socket, 'listening');
    expect(daemon.ops('socket')[0]).toMatchObject({ priority: 3 });
    socket.setTTL(17);
    expect(await socket.getOption('ttl')).toBe(17);
    expect(() => socket.setTTL(0)).toThrow(
      expect.objectContaining({ code: 'EINVAL', syscall: 'setTTL' }),
    );
  });
});

describe('SpinesDatagram life', () => {
  it('reports a port that is taken and can be bound again', async () => {
    const client = await connect();
    daemon.takenPorts.add(700);
    const socket = client.datagram();
    let called = 0;
    socket.bind(700, () => called++);
    const [error] = await once(socket, 'error').catch((e: Error) => [e]);
    expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind' });
    socket.bind({ port: 701 });
    await once(socket, 'listening');
    expect([socket.address(), called]).toEqual([
      { address: '10.0.0.1', family: 'spines', port: 701 },
      0,
    ]);
  });

  it('makes and closes a client of its own', async () => {
    const socket = createSocket({ connect: { path: daemon.path } }, (data, rinfo) =>
      socket.send(`echo ${data.toString()}`, rinfo.port, rinfo.address),
    );
    socket.bind(800);
    const other = await bound();
    other.send('hi', 800, 'alpha');
    expect((await message(other))[0]).toBe('echo hi');
    await new Promise<void>((resolve) => socket.close(resolve));
    expect(clientOf(socket).closed).toBe(true);
  });

  it('reports that its own client found no daemon, and may try again', async () => {
    const socket = createSocket({ connect: { path: freshPath() } });
    const refused = new Promise((resolve) => socket.send('x', 5, 'alpha', resolve));
    expect((await once(socket, 'error').catch((e: Error) => [e]))[0]).toMatchObject({
      code: 'ENOENT',
    });
    expect(await refused).toMatchObject({ code: 'ENOENT' });
    await expect(socket.ready()).rejects.toMatchObject({ code: 'ENOENT' });
    await new Promise<void>((resolve) => socket.close(resolve));
  });

  it('closes on its signal, before or after', async () => {
    const client = await connect();
    await once(client.datagram({ signal: AbortSignal.abort() }), 'close');
    const controller = new AbortController();
    const socket = await bound({ signal: controller.signal }, client);
    controller.abort();
    await once(socket, 'close');
    expect(daemon.peer.ports.size).toBe(0);
  });

  it('comes back at its port after the daemon restarted', async () => {
    const client = await connect();
    const socket = await bound({}, client);
    const idle = client.datagram();
    const { port } = socket.address();
    const gone = Promise.all([
      once(client, 'disconnect'),
      once(socket, 'disconnect'),
      once(idle, 'disconnect'),
    ]);
    await daemon.stop();
    await gone;
    const refused = once(socket, 'sendError');
    expect(socket.send('lost', port)).toBe(false);
    expect((await refused)[0]).toMatchObject({ code: 'ENOTCONN' });
    const back = Promise.all([
      once(client, 'reconnect'),
      once(socket, 'reconnect'),
      once(idle, 'reconnect'),
      once(socket, 'drain'),
    ]);
    daemon.instance = 'two';
    await daemon.start();
    const [[a], [b]] = await back;
    expect([a, b]).toEqual([{ restarted: true }, { restarted: true }]);
    expect([socket.address().port, client.instance]).toEqual([port, 'two']);
    socket.send('again', port);
    expect((await message(socket))[0]).toBe('again');
  });

  it('reports a port that another has taken meanwhile', async () => {
    const client = await connect();
    const socket = await bound({}, client);
    const { port } = socket.address();
    await daemon.stop();
    daemon.instance = 'two';
    daemon.takenPorts.add(port);
    const failed = once(socket, 'disconnect').then(() => once(socket, 'nothing' as 'drain'));
    failed.catch(() => {});
    await daemon.start();
    await expect(failed).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('tries again for its port when the daemon has not noticed the loss yet', async () => {
    const client = await connect();
    const socket = await bound({}, client);
    const { port } = socket.address();
    daemon.takenPorts.add(port);
    const back = once(socket, 'reconnect');
    client.once('reconnect', () => {
      void client.request('echo').then(() => daemon.takenPorts.clear());
    });
    daemon.write(Buffer.alloc(8));
    await back;
    expect(socket.address().port).toBe(port);
    expect(daemon.ops('bind').length).toBeGreaterThan(1);
  });

  it('carries a thousand sockets on one connection', async () => {
    const client = await connect();
    const sockets = await Promise.all(Array.from({ length: 1000 }, () => bound({}, client)));
    const texts = await Promise.all(
      sockets.map(async (socket, i) => {
        const heard = message(socket);
        sockets[(i + 1) % 1000]!.send(`to ${i}`, socket.address().port);
        return (await heard)[0];
      }),
    );
    expect(texts).toEqual(sockets.map((_, i) => `to ${i}`));
    expect(daemon.peers).toHaveLength(1);
    const back = Promise.all(sockets.map((socket) => once(socket, 'reconnect')));
    const ports = sockets.map((socket) => socket.address().port);
    await daemon.stop();
    daemon.instance = 'two';
    await daemon.start();
    await back;
    expect(sockets.map((socket) => socket.address().port)).toEqual(ports);
    await Promise.all(sockets.map((socket) => socket[Symbol.asyncDispose]()));
    expect(daemon.peer.ports.size).toBe(0);
  });
});
