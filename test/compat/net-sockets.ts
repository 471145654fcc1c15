/** net.Socket: what it is and says from its making to 'close'. */

import type { Socket } from 'node:net';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { Different, events, once, text, thrown, turns } from './harness.ts';
import type { Case, Context } from './harness.ts';

const CODES =
  'Errors are SpinesClientError, their messages say what to do, and they have no errno.';
const FAMILY = '`family` is "spines", not "IPv4", and addresses are nodes\' dotted quads.';
const ADDRESSES = '`address()`, `remoteAddress` and the like stay after `close`.';

const state = (socket: Socket): unknown[] => [
  socket.connecting,
  socket.pending,
  socket.readyState,
  socket.destroyed,
];
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

async function failure(
  socket: Socket,
): Promise<Error & { code: string; syscall?: string; port?: number; address?: string }> {
  return (await once(socket, 'error'))[0] as Error & { code: string };
}

function closing(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

/**
 * Destroys while connecting, connected, ended: an AbortError event each time, and 'close' with it.
 */
const aborted = (
  name: string,
  when: (t: Context, signal: AbortSignal, abort: () => void) => Promise<Socket>,
): Case => ({
  name: `a signal that fires ${name}`,
  async run(t) {
    const control = new AbortController();
    const socket = await when(t, control.signal, () => control.abort());
    const [error] = await Promise.all([failure(socket), closing(socket)]);
    return [error.name, error.code];
  },
  expected: ['AbortError', 'ABORT_ERR'],
});

export const netSockets: Case[] = [
  {
    name: 'a new socket',
    run: (t) => {
      const socket = t.keep(new t.net.Socket());
      return [
        ...state(socket),
        socket.bytesRead,
        socket.bytesWritten,
        socket.remoteAddress,
        socket.localPort,
        socket.timeout,
        socket.address(),
        socket.allowHalfOpen,
      ];
    },
    expected: [false, true, 'open', false, 0, 0, undefined, undefined, undefined, {}, false],
  },
  {
    name: 'a socket from connecting to closed',
    async run(t) {
      const { port } = await t.server((far) => {
        far.resume();
      });
      const socket = t.keep(t.net.connect(port, t.host));
      const log = events(socket, ['connect', 'ready', 'end', 'finish', 'close']);
      const seen = [state(socket)];
      await once(socket, 'ready');
      seen.push(state(socket));
      socket.resume();
      socket.end();
      seen.push(state(socket));
      await closing(socket);
      seen.push(state(socket));
      return [seen, log];
    },
    expected: [
      [
        [true, true, 'opening', false],
        [false, false, 'open', false],
        [false, false, 'readOnly', false],
        [false, true, 'closed', true],
      ],
      ['connect', 'ready', 'finish', 'end', 'close'],
    ],
  },
  {
    name: 'addresses of a connected socket are those of its peer, crosswise',
    async run(t) {
      const { near, far, port } = await t.pair();
      return [
        near.remotePort === port,
        far.localPort === port,
        near.localPort === far.remotePort,
        near.remoteAddress === far.localAddress,
        near.localAddress === far.remoteAddress,
        Object.keys(near.address()).sort(),
        (near.address() as { port: number }).port === near.localPort,
      ];
    },
    expected: [true, true, true, true, true, ['address', 'family', 'port'], true],
  },
  {
    name: 'families',
    async run(t) {
      const { near } = await t.pair();
      return [near.remoteFamily, near.localFamily, near.remoteAddress];
    },
    expected: new Different(
      ['IPv4', 'IPv4', '127.0.0.1'],
      ['spines', 'spines', '10.0.0.1'],
      FAMILY,
    ),
  },
  {
    name: 'addresses of a closed socket',
    async run(t) {
      const { near } = await t.pair();
      near.destroy();
      await closing(near);
      return [typeof near.remotePort, typeof near.localPort];
    },
    expected: new Different(['undefined', 'undefined'], ['number', 'number'], ADDRESSES),
  },
  {
    name: 'a local port that was asked for',
    async run(t) {
      const localPort = await t.freePort();
      const { port } = await t.server();
      const socket = t.keep(t.net.connect({ port, host: t.host, localPort }));
      await once(socket, 'connect');
      return socket.localPort === localPort;
    },
    expected: true,
  },
  {
    name: 'nobody listens: ECONNREFUSED, and where',
    async run(t) {
      const port = await t.freePort();
      const socket = t.keep(t.net.connect(port, t.host));
      const closed = closing(socket);
      const error = await failure(socket);
      return [
        error.code,
        error.syscall,
        error.port === port,
        error.message.startsWith('connect ECONNREFUSED'),
        error instanceof Error,
        await closed,
        socket.destroyed,
      ];
    },
    expected: ['ECONNREFUSED', 'connect', true, true, true, true, true],
  },
  {
    name: 'what an error carries besides',
    async run(t) {
      const error = await failure(t.keep(t.net.connect(await t.freePort(), t.host)));
      return [error.name, typeof (error as { errno?: number }).errno];
    },
    expected: new Different(['Error', 'number'], ['SpinesClientError', 'undefined'], CODES),
  },
  {
    name: 'port 0: ECONNREFUSED',
    run: async (t) => (await failure(t.keep(t.net.connect(0, t.host)))).code,
    expected: 'ECONNREFUSED',
  },
  {
    name: 'a name that does not exist: ENOTFOUND',
    run: async (t) => (await failure(t.keep(t.net.connect(5, 'no-such-name.invalid')))).code,
    expected: 'ENOTFOUND',
  },
  {
    name: 'a local port at which a server listens',
    async run(t) {
      const { port } = await t.server();
      const localPort = await t.server();
      const socket = t.keep(t.net.connect({ port, host: t.host, localPort: localPort.port }));
      return await new Promise((resolve) => {
        socket
          .on('error', (error) => resolve(codeOf(error)))
          .on('connect', () => resolve('connected'));
      });
    },
    expected: new Different(
      'EADDRINUSE',
      'connected',
      "`localPort` may be a listener's: streams are told apart by both their ends.",
    ),
  },
  {
    name: 'a local address of another machine: EADDRNOTAVAIL',
    run: async (t) =>
      (await failure(t.keep(t.net.connect({ port: 5, host: t.host, localAddress: '203.0.113.9' }))))
        .code,
    expected: 'EADDRNOTAVAIL',
  },
  {
    name: 'connect again after close',
    async run(t) {
      const { port } = await t.server((far) => {
        far.end('hello');
      });
      const socket = t.keep(t.net.connect(port, t.host));
      const first = String((await once(socket, 'data'))[0]);
      if (!socket.closed) await closing(socket);
      socket.connect(port, t.host);
      const opening = [socket.connecting, socket.destroyed];
      await once(socket, 'connect');
      const second = await once(socket, 'data');
      return [first, opening, String(second[0]), socket.bytesRead];
    },
    expected: ['hello', [true, false], 'hello', 5],
  },
  {
    name: 'connect again after a refusal',
    async run(t) {
      const refused = await t.freePort();
      const { port } = await t.server();
      const socket = t.keep(t.net.connect(refused, t.host));
      const code = codeOf(await failure(socket));
      if (!socket.closed) await closing(socket);
      socket.connect(port, t.host);
      await once(socket, 'connect');
      return [code, socket.readyState];
    },
    expected: ['ECONNREFUSED', 'open'],
  },
  {
    name: 'destroyed while connecting: close without an error and without connect',
    async run(t) {
      const { port } = await t.server();
      const socket = t.keep(t.net.connect(port, t.host));
      const log = events(socket, ['connect', 'error', 'close']);
      const closed = closing(socket);
      socket.destroy();
      const hadError = await closed;
      await turns();
      return [log, hadError, socket.connecting];
    },
    expected: [['close'], false, false],
  },
  {
    name: 'destroyed in the same tick, before anything: close once',
    async run(t) {
      const socket = t.keep(new t.net.Socket());
      const log = events(socket, ['close']);
      socket.destroy();
      socket.destroy();
      await closing(socket);
      return log;
    },
    expected: ['close'],
  },
  {
    name: 'destroy(error): error, then close(true)',
    async run(t) {
      const { near } = await t.pair();
      const log = events(near, ['error', 'close']);
      const closed = closing(near);
      near.destroy(new Error('mine'));
      return [await closed, log];
    },
    expected: [true, ['error', 'close']],
  },
  aborted('before connect', async (t, signal, abort) => {
    abort();
    return t.keep(t.net.connect({ port: (await t.server()).port, host: t.host, signal }));
  }),
  aborted('before connect to a port where nobody listens', async (t, signal, abort) => {
    abort();
    return t.keep(t.net.connect({ port: 1, host: t.host, signal }));
  }),
  aborted('while connecting', async (t, signal, abort) => {
    const socket = t.keep(t.net.connect({ port: (await t.server()).port, host: t.host, signal }));
    queueMicrotask(abort);
    return socket;
  }),
  aborted('before a new socket connects', async (t, signal, abort) => {
    const socket = t.keep(new t.net.Socket({ signal }));
    queueMicrotask(abort);
    return socket;
  }),
  aborted('when connected', async (t, signal, abort) => {
    const socket = t.keep(t.net.connect({ port: (await t.server()).port, host: t.host, signal }));
    await once(socket, 'connect');
    queueMicrotask(abort);
    return socket;
  }),
  aborted('with data unsent', async (t, signal, abort) => {
    const socket = t.keep(t.net.connect({ port: (await t.server()).port, host: t.host, signal }));
    await once(socket, 'connect');
    socket.write(Buffer.alloc(4 << 20));
    queueMicrotask(abort);
    return socket;
  }),
  aborted('in half-close', async (t, signal, abort) => {
    const socket = t.keep(
      t.net.connect({ port: (await t.server()).port, host: t.host, signal, allowHalfOpen: true }),
    );
    await once(socket, 'connect');
    socket.end();
    await once(socket, 'finish');
    queueMicrotask(abort);
    return socket;
  }),
  {
    name: 'a signal that fires after close says nothing',
    async run(t) {
      const control = new AbortController();
      const { port } = await t.server((far) => {
        far.end();
      });
      const socket = t.keep(t.net.connect({ port, host: t.host, signal: control.signal }));
      const log = events(socket, ['error']);
      socket.resume();
      await closing(socket);
      control.abort();
      await turns();
      return log;
    },
    expected: [],
  },
  {
    name: 'the error of a signal carries its reason',
    async run(t) {
      const socket = t.keep(
        t.net.connect({ port: 1, host: t.host, signal: AbortSignal.abort('why') }),
      );
      return (await failure(socket)).cause;
    },
    expected: 'why',
  },
  {
    name: 'writes before connect are sent then, in order, with their callbacks',
    async run(t) {
      const received = new Promise<string>(
        (resolve) =>
          void t
            .server((far) => resolve(text(far)), { allowHalfOpen: true })
            .then(({ port }) => {
              const socket = t.keep(t.net.connect(port, t.host));
              socket.write('a', () => socket.write('c', () => socket.end('d')));
              socket.write('b');
            }),
      );
      return await received;
    },
    expected: 'abcd',
  },
  {
    name: 'a write of a socket that was never connected: ERR_SOCKET_CLOSED',
    async run(t) {
      const socket = t.keep(new t.net.Socket());
      const failed = failure(socket);
      const error = await new Promise((resolve) => socket.write('x', resolve));
      return [codeOf(error), (await failed).code];
    },
    expected: ['ERR_SOCKET_CLOSED', 'ERR_SOCKET_CLOSED'],
  },
  {
    name: 'a write after end: ERR_STREAM_WRITE_AFTER_END',
    async run(t) {
      const { near } = await t.pair();
      near.end();
      const failed = failure(near);
      near.write('x');
      return (await failed).code;
    },
    expected: 'ERR_STREAM_WRITE_AFTER_END',
  },
  {
    name: 'a write after the far end has ended: EPIPE',
    async run(t) {
      const { near, far } = await t.pair();
      far.end();
      near.resume();
      await once(near, 'end');
      const failed = failure(near);
      near.write('x');
      return (await failed).code;
    },
    expected: 'EPIPE',
  },
  {
    name: 'a write after destroy: ERR_STREAM_DESTROYED in the callback alone',
    async run(t) {
      const { near } = await t.pair();
      const log = events(near, ['error']);
      near.destroy();
      const error = await new Promise((resolve) => near.write('x', resolve));
      return [codeOf(error), log];
    },
    expected: ['ERR_STREAM_DESTROYED', []],
  },
  {
    name: 'resetAndDestroy: ECONNRESET at the far end',
    async run(t) {
      const { near, far } = await t.pair();
      far.resume();
      const failed = failure(far);
      const closed = closing(near);
      near.resetAndDestroy();
      return [(await failed).code, await closed];
    },
    expected: ['ECONNRESET', false],
  },
  {
    name: 'resetAndDestroy while connecting: no error, close',
    async run(t) {
      const { port } = await t.server((far) => {
        far.on('error', () => {}).resume();
      });
      const socket = t.keep(t.net.connect(port, t.host));
      const closed = closing(socket);
      socket.resetAndDestroy();
      return await closed;
    },
    expected: false,
  },
  {
    name: 'resetAndDestroy of a socket that never connected: ERR_SOCKET_CLOSED',
    async run(t) {
      const socket = t.keep(new t.net.Socket());
      const failed = failure(socket);
      socket.resetAndDestroy();
      return (await failed).code;
    },
    expected: 'ERR_SOCKET_CLOSED',
  },
  {
    name: 'destroySoon: what was written arrives',
    async run(t) {
      const { near, far } = await t.pair();
      near.resume();
      near.write('last words');
      near.destroySoon();
      return await text(far);
    },
    expected: 'last words',
  },
  {
    name: 'end(data, callback)',
    async run(t) {
      const { near, far } = await t.pair();
      const log: string[] = [];
      near.once('finish', () => log.push('finish'));
      const done = new Promise<void>((resolve) => {
        near.end('bye', () => {
          log.push('callback');
          resolve();
        });
      });
      const heard = await text(far);
      await done;
      return [heard, log];
    },
    expected: ['bye', ['callback', 'finish']],
  },
  {
    name: 'without half-open the socket ends when the far end has ended',
    async run(t) {
      const { near, far } = await t.pair();
      const log = events(near, ['end', 'finish', 'close']);
      far.resume();
      far.end();
      near.resume();
      await closing(near);
      return [log, near.writable];
    },
    expected: [['end', 'finish', 'close'], false],
  },
  {
    name: 'with half-open it stays writable',
    async run(t) {
      const { near, far } = await t.pair({ allowHalfOpen: true });
      far.end('question');
      let question = '';
      near.on('data', (chunk) => {
        question += String(chunk);
      });
      await once(near, 'end');
      const before = [near.readyState, near.destroyed];
      near.end('answer');
      return [question, before, await text(far)];
    },
    expected: ['question', ['writeOnly', false], 'answer'],
  },
  {
    name: 'the end does not come while data is unread',
    async run(t) {
      const { near, far } = await t.pair();
      const log = events(near, ['end']);
      far.end('unread');
      await once(near, 'readable');
      await turns();
      const before = [...log];
      near.resume();
      await once(near, 'end');
      return [before, log];
    },
    expected: [[], ['end']],
  },
  {
    name: 'bytesRead and bytesWritten',
    async run(t) {
      const { near, far } = await t.pair();
      near.write('ünï');
      near.write(Buffer.alloc(10));
      near.end();
      const heard = await text(far);
      return [near.bytesWritten, far.bytesRead, Buffer.byteLength(heard)];
    },
    expected: [15, 15, 15],
  },
  {
    name: 'bytesWritten counts what waits to be connected',
    async run(t) {
      const { port } = await t.server();
      const socket = t.keep(t.net.connect(port, t.host));
      socket.write('12345');
      const early = socket.bytesWritten;
      await once(socket, 'connect');
      return [early, socket.bytesWritten];
    },
    expected: [5, 5],
  },
  {
    name: 'setEncoding',
    async run(t) {
      const { near, far } = await t.pair();
      near.setEncoding('utf8');
      const euro = Buffer.from('€');
      far.write(euro.subarray(0, 2));
      far.end(euro.subarray(2));
      let all = '';
      for await (const chunk of near) all += typeof chunk === 'string' ? chunk : 'no string';
      return all;
    },
    expected: '€',
  },
  {
    name: 'write(string, encoding)',
    async run(t) {
      const { near, far } = await t.pair();
      near.write('68656c', 'hex');
      near.end('bG8=', 'base64');
      return await text(far);
    },
    expected: 'hello',
  },
  {
    name: 'write of a Uint8Array',
    async run(t) {
      const { near, far } = await t.pair();
      near.end(new Uint8Array([104, 105]));
      return await text(far);
    },
    expected: 'hi',
  },
  {
    name: 'cork and uncork',
    async run(t) {
      const { near, far } = await t.pair();
      near.cork();
      near.write('a');
      near.write('b');
      const held = near.writableLength;
      near.uncork();
      near.end();
      return [held, await text(far)];
    },
    expected: [2, 'ab'],
  },
  {
    name: 'back-pressure: write says false, drain comes when it is read',
    async run(t) {
      const { near, far } = await t.pair();
      let writes = 0;
      while (writes < 400 && near.write(Buffer.alloc(1 << 16))) writes++;
      const held = near.writableNeedDrain;
      far.resume();
      if (held) await once(near, 'drain');
      return [held, near.writableLength === 0];
    },
    expected: [true, true],
  },
  {
    name: 'data comes in pieces of up to 64 KiB, not of packets',
    async run(t) {
      const { near, far } = await t.pair();
      far.end(Buffer.alloc(1_000_000));
      let pieces = 0;
      let most = 0;
      near.on('data', (chunk) => {
        pieces++;
        most = Math.max(most, chunk.length);
        near.pause();
        setImmediate(() => near.resume());
      });
      await once(near, 'end');
      return [pieces < 60, most <= 65_536];
    },
    expected: [true, true],
  },
  {
    name: 'one small write is one piece',
    async run(t) {
      const { near, far } = await t.pair();
      const sizes: number[] = [];
      near.on('data', (chunk) => sizes.push(chunk.length));
      far.write(Buffer.alloc(100));
      await once(near, 'data');
      far.end(Buffer.alloc(50));
      await once(near, 'end');
      return sizes;
    },
    expected: [100, 50],
  },
  {
    name: 'pause and resume',
    async run(t) {
      const { near, far } = await t.pair();
      let heard = '';
      near.on('data', (chunk) => {
        heard += String(chunk);
      });
      near.pause();
      far.write('held');
      await turns(10);
      const paused = [near.isPaused(), heard];
      near.resume();
      await once(near, 'data');
      return [paused, heard];
    },
    expected: [[true, ''], 'held'],
  },
  {
    name: 'readable and read(n)',
    async run(t) {
      const { near, far } = await t.pair();
      far.write('abcdef');
      await once(near, 'readable');
      return [String(near.read(2)), String(near.read(3)), near.readableLength, String(near.read())];
    },
    expected: ['ab', 'cde', 1, 'f'],
  },
  {
    name: 'unshift',
    async run(t) {
      const { near, far } = await t.pair();
      far.write('world');
      const [chunk] = await once(near, 'data');
      near.pause();
      near.unshift(Buffer.from(`hello ${String(chunk)}`));
      let all = '';
      near
        .on('data', (more) => {
          all += String(more);
        })
        .resume();
      far.end('!');
      await once(near, 'end');
      return all;
    },
    expected: 'hello world!',
  },
  {
    name: 'pipe and pipeline',
    async run(t) {
      const { port } = await t.server(
        (far) => {
          const upper = new Transform({
            transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()),
          });
          pipeline(far, upper, far).catch(() => {});
        },
        { allowHalfOpen: true },
      );
      const socket = t.keep(t.net.connect(port, t.host));
      Readable.from(['a', 'b', 'c']).pipe(socket);
      return await text(socket);
    },
    expected: 'ABC',
  },
  {
    name: 'for await ends at the end, and destroys when left',
    async run(t) {
      const { near, far } = await t.pair();
      far.on('error', () => {});
      far.write('x');
      for await (const chunk of near) {
        void chunk;
        break;
      }
      return near.destroyed;
    },
    expected: true,
  },
  {
    name: 'setTimeout: timeout after silence, once, and the socket lives on',
    async run(t) {
      const { near, far } = await t.pair();
      const same = near.setTimeout(20) === near;
      const limit = near.timeout;
      await once(near, 'timeout');
      const open = near.readyState;
      far.end('still here');
      return [same, limit, open, await text(near)];
    },
    expected: [true, 20, 'open', 'still here'],
  },
  {
    name: 'setTimeout(0) takes limit and callback back',
    async run(t) {
      const { near } = await t.pair();
      const callback = (): void => {};
      near.setTimeout(1_000_000, callback);
      const before = near.listenerCount('timeout');
      near.setTimeout(0, callback);
      return [before, near.listenerCount('timeout'), near.timeout];
    },
    expected: [1, 0, 0],
  },
  {
    name: 'the timeout option, also while nothing is connected yet',
    async run(t) {
      const { port } = await t.server();
      const socket = t.keep(t.net.connect({ port, host: t.host, timeout: 30 }));
      const limit = socket.timeout;
      await once(socket, 'timeout');
      return limit;
    },
    expected: 30,
  },
  {
    name: 'methods that return the socket',
    async run(t) {
      const { near } = await t.pair();
      return [
        near.setNoDelay(),
        near.setNoDelay(false),
        near.setKeepAlive(),
        near.setKeepAlive(true, 1000),
        near.ref(),
        near.unref(),
        near.pause(),
        near.resume(),
        near.setEncoding('latin1'),
      ].map((given) => given === near);
    },
    expected: Array.from({ length: 9 }, () => true),
  },
  {
    name: 'names that libraries assign stay theirs',
    async run(t) {
      const { near } = await t.pair();
      const names = [
        'client',
        'server',
        '_server',
        'parser',
        '_httpMessage',
        'broker',
        'id',
        'user',
        'name',
        'session',
        'encrypted',
        'authorized',
        'socket',
        'stream',
        'connection',
        'node',
        'link',
        'routing',
        'options',
        'signal',
        'internals',
        'target',
        'closed_',
        'ready',
        'open',
        'send',
        'connecting',
        'timeout',
        'host',
        'port',
        'ttl',
        'priority',
        'state',
        'owner',
        'queue',
        'data',
      ];
      const refused = names.filter((name) => {
        try {
          Reflect.set(near, name, 'theirs');
          return Reflect.get(near, name) !== 'theirs';
        } catch {
          return true;
        }
      });
      return refused;
    },
    expected: [],
  },
  {
    name: "own and inherited public names are Node's",
    async run(t) {
      const { near } = await t.pair();
      const known = new Set<string>();
      const collect = (of: object, into: Set<string>): void => {
        for (
          let at: object | null = of;
          at !== null && at !== Object.prototype;
          at = Object.getPrototypeOf(at) as object | null
        ) {
          for (const name of Object.getOwnPropertyNames(at)) into.add(name);
        }
      };
      const { default: net } = await import('node:net');
      collect(new net.Socket(), known);
      const ours = new Set<string>();
      collect(near, ours);
      return [...ours].filter((name) => !known.has(name) && !name.startsWith('_'));
    },
    expected: new Different(
      [],
      ['authenticated', 'info'],
      'A socket has `authenticated`: whether its far end is proved; and `info()`.',
    ),
  },
  {
    name:
      'captureRejections: an asynchronous listener that fails destroys the socket with its ' +
      'error',
    async run(t) {
      const { EventEmitter } = await import('node:events');
      EventEmitter.captureRejections = true;
      t.after(() => {
        EventEmitter.captureRejections = false;
      });
      const { near, far } = await t.pair();
      near.on('data', async () => {
        throw new Error('kaboom');
      });
      const failed = failure(near);
      far.write('x');
      return [(await failed).message, near.destroyed];
    },
    expected: ['kaboom', true],
  },
  {
    name: 'a socket is a Duplex, and says so by name to instanceof',
    async run(t) {
      const { Duplex } = await import('node:stream');
      const { near } = await t.pair();
      return [near instanceof Duplex, near instanceof t.net.Socket];
    },
    expected: [true, true],
  },
  {
    name: 'Socket without new',
    run: (t) => thrown(t, () => Reflect.apply(t.net.Socket, undefined, [])),
    expected: new Different(
      'nothing',
      ['TypeError', undefined],
      'Sockets and servers are classes: they are made with `new`, or with the functions.',
    ),
  },
  {
    name: 'lookup',
    async run(t) {
      const { port } = await t.server();
      let called = 0;
      const lookup = (
        _name: string,
        options: { all?: boolean },
        done: (error: null, ...found: unknown[]) => void,
      ): void => {
        called++;
        if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }]);
        else done(null, '127.0.0.1', 4);
      };
      const socket = t.keep(t.net.connect({ port, host: 'localhost', lookup: lookup as never }));
      await once(socket, 'connect');
      return called;
    },
    expected: new Different(
      1,
      0,
      "The daemon resolves names: `lookup` is not called and there is no 'lookup' event.",
    ),
  },
  {
    name: 'onread',
    async run(t) {
      const { port } = await t.server((far) => {
        far.end('into the buffer');
      });
      let heard = '';
      const socket = t.keep(
        t.net.connect({
          port,
          host: t.host,
          onread: {
            buffer: Buffer.alloc(100),
            callback: (count: number, buffer: Buffer) => {
              heard += buffer.toString('latin1', 0, count);
              return true;
            },
          },
        } as never),
      );
      socket.on('data', (chunk) => {
        heard += `data ${String(chunk)}`;
      });
      await once(socket, 'end');
      return heard;
    },
    expected: new Different(
      'into the buffer',
      'data into the buffer',
      '`onread` has no effect: data comes as usual.',
    ),
  },
];
