/** net.Server: listening, taking streams, closing. */

import { EventEmitter } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';

import { Different, events, once, thrown, turns } from './harness.ts';
import type { Case, Context } from './harness.ts';

const portOf = (server: Server): number => (server.address() as AddressInfo).port;
const fresh = (t: Context, ...args: unknown[]): Server =>
  t.keep((t.net.createServer as (...a: unknown[]) => Server)(...args));
const closed = (server: Server): Promise<unknown> =>
  new Promise((resolve) => {
    server.close(resolve);
  });
const connections = (server: Server): Promise<unknown> =>
  new Promise((resolve) => {
    server.getConnections((error, count) => resolve(error ?? count));
  });

async function failure(
  emitter: object,
): Promise<Error & { code: string; syscall?: string; port?: number }> {
  return (await once(emitter, 'error'))[0] as Error & { code: string };
}

export const netServers: Case[] = [
  {
    name: 'a new server',
    run: (t) => {
      const server = fresh(t);
      return [server.listening, server.address(), server.maxConnections];
    },
    expected: [false, null, undefined],
  },
  {
    name: 'listening and address() from listen to close',
    async run(t) {
      const server = fresh(t);
      const seen = [server.listening];
      server.listen(0, t.host);
      await once(server, 'listening');
      seen.push(server.listening);
      const port = portOf(server);
      const done = closed(server);
      seen.push(server.listening);
      const after = server.address();
      await done;
      return [seen, port > 0 && port < 65_536, after];
    },
    expected: [[false, true, false], true, null],
  },
  {
    name: 'address() right after listen(0)',
    async run(t) {
      const server = fresh(t);
      server.listen(0);
      const early = portOf(server);
      const { listening } = server;
      await once(server, 'listening');
      return [early === portOf(server), early > 0, listening];
    },
    expected: [true, true, true],
  },
  {
    name: 'a connection to that address, before listening',
    async run(t) {
      const server = fresh(t, (far: Socket) => {
        far.end('x');
      });
      server.listen(0);
      const socket = t.keep(t.net.connect(portOf(server)));
      return String((await once(socket, 'data'))[0]);
    },
    expected: 'x',
  },
  {
    name: 'address() of a given port, right after listen',
    async run(t) {
      const port = await t.freePort();
      const server = fresh(t);
      server.listen(port);
      return portOf(server) === port;
    },
    expected: true,
  },
  {
    name: 'listening comes later than listen returns',
    async run(t) {
      const server = fresh(t);
      server.listen(0);
      const log = events(server, ['listening']);
      const early = [...log];
      await once(server, 'listening');
      return [early, log];
    },
    expected: [[], ['listening']],
  },
  {
    name: 'a port in use: EADDRINUSE, and the callback is not called',
    async run(t) {
      const { port } = await t.server();
      const server = fresh(t);
      const log = events(server, ['listening', 'close']);
      let called = false;
      server.listen(port, t.host, () => {
        called = true;
      });
      const error = await failure(server);
      await turns();
      return [
        error.code,
        error.syscall,
        error.port === port,
        error.message.startsWith('listen EADDRINUSE'),
        called,
        log,
        server.listening,
        server.address(),
      ];
    },
    expected: ['EADDRINUSE', 'listen', true, true, false, [], false, null],
  },
  {
    name: 'another port in the error listener',
    async run(t) {
      const { port } = await t.server();
      const server = fresh(t);
      server.on('error', () => {
        server.listen(0, t.host);
      });
      server.listen(port, t.host);
      await new Promise((resolve) => {
        server.on('listening', resolve);
      });
      const other = portOf(server);
      await closed(server);
      return [other !== port, server.listening];
    },
    expected: [true, false],
  },
  {
    name: 'three refusals, then a port',
    async run(t) {
      const { port } = await t.server();
      const server = fresh(t);
      let refused = 0;
      server.on('error', () => {
        server.listen(++refused < 3 ? port : 0, t.host);
      });
      server.listen(port, t.host);
      await new Promise((resolve) => {
        server.on('listening', resolve);
      });
      return refused;
    },
    expected: 3,
  },
  {
    name: 'an address of another machine: EADDRNOTAVAIL',
    async run(t) {
      const server = fresh(t);
      server.listen(0, '203.0.113.9');
      const error = await failure(server);
      return [error.code, error.syscall, server.listening];
    },
    expected: ['EADDRNOTAVAIL', 'listen', false],
  },
  {
    name: 'listen twice: ERR_SERVER_ALREADY_LISTEN',
    async run(t) {
      const { server } = await t.server();
      return thrown(t, () => {
        server.listen(0);
      });
    },
    expected: ['Error', 'ERR_SERVER_ALREADY_LISTEN'],
  },
  {
    name: 'listen twice in one tick: ERR_SERVER_ALREADY_LISTEN',
    run: (t) => {
      const server = fresh(t);
      server.listen(0);
      return thrown(t, () => {
        server.listen(0);
      });
    },
    expected: ['Error', 'ERR_SERVER_ALREADY_LISTEN'],
  },
  {
    name: 'listen again after close',
    async run(t) {
      const { server, port } = await t.server();
      await closed(server);
      server.listen(port, t.host);
      await once(server, 'listening');
      return portOf(server) === port;
    },
    expected: true,
  },
  {
    name: 'the port of a closed server is free at once',
    async run(t) {
      const { server, port } = await t.server();
      await closed(server);
      const other = fresh(t).listen(port, t.host);
      await once(other, 'listening');
      return portOf(other) === port;
    },
    expected: true,
  },
  {
    name: 'close: close once, callbacks without an error',
    async run(t) {
      const { server } = await t.server();
      const log = events(server, ['close']);
      const error = await closed(server);
      await turns();
      return [error, log];
    },
    expected: [undefined, ['close']],
  },
  {
    name: 'close of a server that does not listen: ERR_SERVER_NOT_RUNNING in the callback',
    run: async (t) => ((await closed(fresh(t))) as { code: string }).code,
    expected: 'ERR_SERVER_NOT_RUNNING',
  },
  {
    name: 'close waits for the sockets',
    async run(t) {
      const { near, far, server } = await t.pair();
      const log = events(server, ['close']);
      const done = closed(server);
      await turns(10);
      const before = [...log];
      near.destroy();
      far.resume();
      far.on('error', () => {});
      await done;
      return [before, log];
    },
    expected: [[], ['close']],
  },
  {
    name: 'a closed server takes nobody',
    async run(t) {
      const { server, port } = await t.server();
      await closed(server);
      return (await failure(t.keep(t.net.connect(port, t.host)))).code;
    },
    expected: 'ECONNREFUSED',
  },
  {
    name: 'close returns the server, listen too',
    async run(t) {
      const server = fresh(t);
      const same = [server.listen(0) === server];
      await once(server, 'listening');
      same.push(server.close() === server, server.ref() === server, server.unref() === server);
      return same;
    },
    expected: [true, true, true, true],
  },
  {
    name: 'close in the tick of listen',
    async run(t) {
      const server = fresh(t);
      server.listen(0);
      return [await closed(server), server.listening];
    },
    expected: [undefined, false],
  },
  {
    name: 'getConnections',
    async run(t) {
      const { near, far, server } = await t.pair();
      far.resume();
      far.on('error', () => {});
      const one = await connections(server);
      const gone = once(far, 'close');
      near.destroy();
      await gone;
      return [one, await connections(server)];
    },
    expected: [1, 0],
  },
  {
    name: 'connection listeners: the argument of createServer is one',
    async run(t) {
      const server = fresh(t, () => {});
      server.on('connection', () => {});
      return [
        server.listenerCount('connection'),
        fresh(t, {}, () => {}).listenerCount('connection'),
        fresh(t, {}).listenerCount('connection'),
      ];
    },
    expected: [2, 1, 0],
  },
  {
    name: 'the connection event has the socket, open and of this server',
    async run(t) {
      const { far, server } = await t.pair();
      return [
        far.readyState,
        far.connecting,
        far.pending,
        Reflect.get(far, 'server') === server,
        far instanceof t.net.Socket,
      ];
    },
    expected: ['open', false, false, true, true],
  },
  {
    name: 'pauseOnConnect',
    async run(t) {
      const { near, far } = await t.pair({ pauseOnConnect: true });
      near.write('waits');
      let heard = '';
      far.on('data', (chunk) => {
        heard += String(chunk);
      });
      await turns(10);
      const before = [far.isPaused(), heard];
      far.resume();
      await once(far, 'data');
      return [before, heard];
    },
    expected: [[true, ''], 'waits'],
  },
  {
    name: 'allowHalfOpen is of the sockets',
    async run(t) {
      const { far } = await t.pair({ allowHalfOpen: true });
      return far.allowHalfOpen;
    },
    expected: true,
  },
  {
    name: 'highWaterMark is of the sockets',
    async run(t) {
      const { far } = await t.pair({ highWaterMark: 1234 });
      return [far.readableHighWaterMark, far.writableHighWaterMark];
    },
    expected: [1234, 1234],
  },
  {
    name: 'maxConnections: drop, with the addresses, and the one too many is closed',
    async run(t) {
      const { server, port } = await t.server();
      server.maxConnections = 1;
      const first = t.keep(t.net.connect(port, t.host));
      await Promise.all([once(first, 'connect'), once(server, 'connection')]);
      const drop = once(server, 'drop');
      const second = t.keep(t.net.connect(port, t.host)).on('error', () => {});
      second.resume();
      const gone = new Promise((resolve) => second.once('close', () => resolve('closed')));
      const [info] = (await drop) as [Record<string, unknown>];
      return [
        Object.keys(info).sort(),
        info['localPort'] === port,
        await gone,
        await connections(server),
      ];
    },
    expected: [
      ['localAddress', 'localFamily', 'localPort', 'remoteAddress', 'remoteFamily', 'remotePort'],
      true,
      'closed',
      1,
    ],
  },
  {
    name: 'a signal that has fired closes the server',
    async run(t) {
      const server = fresh(t);
      const log = events(server, ['error']);
      server.listen({ port: 0, signal: AbortSignal.abort() });
      await once(server, 'close');
      return [log, server.listening];
    },
    expected: [[], false],
  },
  {
    name: 'a signal that fires later closes the server',
    async run(t) {
      const control = new AbortController();
      const server = fresh(t);
      server.listen({ port: 0, signal: control.signal });
      await once(server, 'listening');
      control.abort();
      await once(server, 'close');
      return server.listening;
    },
    expected: false,
  },
  {
    name: 'a signal that fires after close does nothing',
    async run(t) {
      const control = new AbortController();
      const server = fresh(t);
      const log = events(server, ['close', 'error']);
      server.listen({ port: 0, signal: control.signal });
      await once(server, 'listening');
      await closed(server);
      control.abort();
      await turns();
      return log;
    },
    expected: ['close'],
  },
  {
    name: 'Symbol.asyncDispose closes',
    async run(t) {
      const { server } = await t.server();
      await server[Symbol.asyncDispose]();
      return server.listening;
    },
    expected: false,
  },
  {
    name: 'captureRejections: a connection listener that fails destroys the socket with its error',
    async run(t) {
      EventEmitter.captureRejections = true;
      t.after(() => {
        EventEmitter.captureRejections = false;
      });
      const server = fresh(t);
      const told = new Promise((resolve) => {
        server.on('connection', async (socket: Socket) => {
          t.keep(socket).on('error', (error) => resolve([error.message, socket.destroyed]));
          throw new Error('kaboom');
        });
      });
      server.listen(0, t.host);
      await once(server, 'listening');
      t.keep(t.net.connect(portOf(server), t.host)).on('error', () => {});
      return await told;
    },
    expected: ['kaboom', true],
  },
  {
    name: 'captureRejections: of any other listener the server tells',
    async run(t) {
      EventEmitter.captureRejections = true;
      t.after(() => {
        EventEmitter.captureRejections = false;
      });
      const server = fresh(t);
      server.on('listening', async () => {
        throw new Error('kaboom');
      });
      server.listen(0, t.host);
      return (await failure(server)).message;
    },
    expected: 'kaboom',
  },
  {
    name: 'a hundred connections at once',
    async run(t) {
      const { port } = await t.server((far) => {
        far.pipe(far);
      });
      const answers = await Promise.all(
        Array.from(
          { length: 100 },
          (_, i) =>
            new Promise<string>((resolve) => {
              const socket = t.keep(t.net.connect(port, t.host));
              socket.on('error', (error) => resolve(error.message));
              socket.on('data', (chunk) => resolve(String(chunk)));
              socket.write(`number ${i}`);
            }),
        ),
      );
      return answers.every((answer, i) => answer === `number ${i}`);
    },
    expected: true,
  },
  {
    name: 'an echo of a million bytes, both ways at once',
    async run(t) {
      const { port } = await t.server((far) => {
        far.pipe(far);
      });
      const socket = t.keep(t.net.connect(port, t.host));
      const sent = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => i % 251));
      socket.end(sent);
      const chunks: Buffer[] = [];
      for await (const chunk of socket) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).equals(sent);
    },
    expected: true,
  },
  {
    name: 'names that libraries assign on servers stay theirs',
    run: (t) => {
      const server = fresh(t);
      return [
        'client',
        'clients',
        'options',
        'handler',
        'sockets',
        'timeout',
        'server',
        'broker',
        '_connections',
        'state',
        'host',
        'port',
      ].filter((name) => {
        try {
          Reflect.set(server, name, 'theirs');
          return Reflect.get(server, name) !== 'theirs';
        } catch {
          return true;
        }
      });
    },
    expected: [],
  },
  {
    name: 'a backlog that is no number',
    run: (t) =>
      thrown(t, () =>
        (fresh(t).listen as (...args: unknown[]) => unknown)({ port: 0, backlog: 'many' }),
      ),
    expected: new Different(
      'nothing',
      ['RangeError', 'ERR_OUT_OF_RANGE'],
      'A `backlog` that is no count is refused.',
    ),
  },
  {
    name: 'a listener at a file descriptor',
    run: (t) =>
      thrown(t, () => (fresh(t).listen as (...args: unknown[]) => unknown)({ fd: 99_999 })),
    expected: new Different(
      'nothing',
      ['TypeError', 'ERR_INVALID_ARG_VALUE'],
      'No paths, file descriptors or handles: they are ERR_INVALID_ARG_VALUE.',
    ),
  },
  {
    name: 'Server without new',
    run: (t) => thrown(t, () => Reflect.apply(t.net.Server, undefined, [])),
    expected: new Different(
      'nothing',
      ['TypeError', undefined],
      'Sockets and servers are classes: they are made with `new`, or with the functions.',
    ),
  },
];
