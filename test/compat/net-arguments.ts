/** Arguments of node:net: which forms are taken, and what wrong ones throw. */

import type { AddressInfo, Server, Socket } from 'node:net';

import { Different, once, thrown } from './harness.ts';
import type { Case, Context } from './harness.ts';

type Loose = (...args: unknown[]) => unknown;

const TYPE = ['TypeError', 'ERR_INVALID_ARG_TYPE'];
const VALUE = ['TypeError', 'ERR_INVALID_ARG_VALUE'];
const MISSING = ['TypeError', 'ERR_MISSING_ARGS'];
const PORT = ['RangeError', 'ERR_SOCKET_BAD_PORT'];
const RANGE = ['RangeError', 'ERR_OUT_OF_RANGE'];
const NO_PATHS = 'No paths, file descriptors or handles: they are ERR_INVALID_ARG_VALUE.';

const refusals = (
  what: string,
  call: (t: Context, args: unknown[]) => unknown,
  rows: [string, unknown[], unknown][],
): Case[] =>
  rows.map(([name, args, expected]) => ({
    name: `${what} ${name}`,
    run: (t: Context) => thrown(t, () => call(t, args)),
    expected,
  }));

const connecting = (t: Context, args: unknown[]): unknown => (t.net.connect as Loose)(...args);
const listening = (t: Context, args: unknown[]): unknown =>
  (t.net.createServer().listen as Loose).apply(t.net.createServer(), args);
const fresh =
  (method: string) =>
  (t: Context, args: unknown[]): unknown => {
    const socket = t.keep(new t.net.Socket()).on('error', () => {});
    Reflect.apply(Reflect.get(socket, method) as Loose, socket, args);
    return undefined;
  };

/** Connects by `form`, to a server that says "hi". */
const connected = (
  name: string,
  form: (t: Context, port: number, done: () => void) => Socket,
  expected: unknown = 'hi',
): Case => ({
  name: `connect ${name}`,
  async run(t) {
    const { port } = await t.server((socket) => socket.end('hi'));
    return await new Promise((resolve) => {
      let called = false;
      const socket = t.keep(
        form(t, port, () => {
          called = true;
        }),
      );
      socket.on('data', (chunk) => resolve(called ? String(chunk) : 'without the callback'));
    });
  },
  expected,
});

/**
 * Listens by `form`; whether the callback came, with the server as `this`, and which port it is:
 * the one asked for, or another.
 */
const listened = (
  name: string,
  form: (server: Server, port: number, done: () => void, t: Context) => Server,
  expected: unknown,
): Case => ({
  name: `listen ${name}`,
  async run(t) {
    const port = await t.freePort();
    const server = t.keep(t.net.createServer());
    let self: unknown = null;
    const up = once(server, 'listening');
    const same =
      form(
        server,
        port,
        function (this: unknown) {
          self = this;
        },
        t,
      ) === server;
    await up;
    return [
      same,
      self === server,
      (server.address() as AddressInfo).port === port ? 'asked' : 'any',
    ];
  },
  expected,
});

export const netArguments: Case[] = [
  ...refusals('connect of', connecting, [
    ['nothing', [], MISSING],
    ['undefined', [undefined], MISSING],
    ['null', [null], TYPE],
    ['an empty object', [{}], MISSING],
    ['port undefined in an object', [{ port: undefined }], MISSING],
    ['port null in an object', [{ port: null }], TYPE],
    ['port true', [{ port: true }], TYPE],
    ['a port that is an object', [{ port: {} }], TYPE],
    ['port 65536', [65_536], PORT],
    ['port -1', [-1], PORT],
    ['port NaN', [NaN], PORT],
    ['port 1.5', [1.5], PORT],
    ['an empty port', [{ port: '' }], PORT],
    ['a port that is no number, in an object', [{ port: 'x' }], PORT],
    ['a host that is a number', [{ port: 1, host: 5 }], TYPE],
    ['a lookup that is no function', [{ port: 1, host: 'name', lookup: 5 }], TYPE],
    ['a local port that is a string', [{ port: 1, localPort: '5' }], TYPE],
    [
      'a local address that is none',
      [{ port: 1, localAddress: 'here' }],
      ['TypeError', 'ERR_INVALID_IP_ADDRESS'],
    ],
    ['a negative timeout', [{ port: 1, timeout: -1 }], RANGE],
    ['a signal that is none', [{ port: 1, signal: 5 }], TYPE],
    ['a path', ['/nowhere.sock'], new Different('nothing', VALUE, NO_PATHS)],
    ['a path in an object', [{ path: '/nowhere.sock' }], new Different('nothing', VALUE, NO_PATHS)],
  ]),
  ...refusals('listen of', listening, [
    ['an empty object', [{}], VALUE],
    ['port true', [true], VALUE],
    ['port false', [false], VALUE],
    ['port 65536', [65_536], PORT],
    ['port -1', [-1], PORT],
    ['port 1.5', [1.5], PORT],
    ['port NaN', [NaN], PORT],
    ['a signal that is none', [{ port: 0, signal: 5 }], TYPE],
    ['port 65536 in an object', [{ port: 65_536 }], PORT],
    ['a function as a port', [{ port: () => {} }], VALUE],
  ]),
  ...refusals('createServer of', (t, args) => (t.net.createServer as Loose)(...args), [
    ['a string', ['x'], TYPE],
    ['a number', [5], TYPE],
    ['null', [null], 'nothing'],
    ['nothing', [], 'nothing'],
    ['a listener that is no function', [{}, 5], 'nothing'],
  ]),
  ...refusals('new Socket of', (t, args) => Reflect.construct(t.net.Socket, args), [
    ['nothing', [], 'nothing'],
    ['object mode', [{ objectMode: true }], VALUE],
    ['readable object mode', [{ readableObjectMode: true }], VALUE],
    ['a negative high-water mark', [{ highWaterMark: -1 }], VALUE],
    ['a signal that is none', [{ signal: 5 }], TYPE],
  ]),
  ...refusals('setTimeout of', fresh('setTimeout'), [
    ['nothing', [], TYPE],
    ['a string', ['5'], TYPE],
    ['-1', [-1], RANGE],
    ['NaN', [NaN], RANGE],
    ['Infinity', [Infinity], RANGE],
    ['a callback that is no function', [5, 'x'], TYPE],
    ['5 and a function', [5, () => {}], 'nothing'],
  ]),
  ...refusals('write of', fresh('write'), [
    ['null', [null], ['TypeError', 'ERR_STREAM_NULL_VALUES']],
    ['a number', [5], TYPE],
    ['an object', [{}], TYPE],
    ['an unknown encoding', ['x', 'klingon'], ['TypeError', 'ERR_UNKNOWN_ENCODING']],
  ]),
  {
    name: 'getConnections wants a function',
    run: (t) => thrown(t, () => (t.net.createServer().getConnections as Loose)()),
    expected: TYPE,
  },
  connected('(port, host, callback)', (t, port, done) => t.net.connect(port, t.host, done)),
  connected('(port, host) with a listener', (t, port, done) =>
    t.net.connect(port, t.host).once('connect', done),
  ),
  connected(
    '(port as a string, host, callback)',
    (t, port, done) => (t.net.connect as Loose)(String(port), t.host, done) as Socket,
  ),
  connected('(port, callback)', (t, port, done) => t.net.connect({ port, host: t.host }, done)),
  connected('(port, "localhost", callback)', (t, port, done) =>
    t.net.connect({ port, host: 'localhost', family: 4 }, done),
  ),
  connected('(port, undefined, callback)', (t, port, done) =>
    t.net.connect({ port, host: t.host, localPort: undefined } as never, done),
  ),
  connected('({ port, host }, callback)', (t, port, done) =>
    t.net.connect({ port, host: t.host }, done),
  ),
  connected('({ port as a string })', (t, port, done) =>
    t.net.connect({ port: String(port), host: t.host } as never, done),
  ),
  connected('({ localAddress })', (t, port, done) =>
    t.net.connect({ port, host: t.host, localAddress: t.host }, done),
  ),
  connected('createConnection({ port, host }, callback)', (t, port, done) =>
    t.net.createConnection({ port, host: t.host }, done),
  ),
  connected('of a new Socket', (t, port, done) => new t.net.Socket().connect(port, t.host, done)),
  connected('of a new Socket with an object', (t, port, done) =>
    new t.net.Socket().connect({ port, host: t.host }, done),
  ),
  connected(
    '(port, host, something that is no function)',
    (t, port, done) =>
      t.keep((t.net.connect as Loose)(port, t.host, 'x') as Socket) &&
      t.net.connect(port, t.host, done),
  ),
  listened('(port, host, callback)', (server, port, done, t) => server.listen(port, t.host, done), [
    true,
    true,
    'asked',
  ]),
  listened('(port, callback)', (server, port, done) => server.listen(port, done), [
    true,
    true,
    'asked',
  ]),
  listened(
    '(port as a string, callback)',
    (server, port, done) => (server.listen as Loose).call(server, String(port), done) as Server,
    [true, true, 'asked'],
  ),
  listened(
    '(port, host, backlog, callback)',
    (server, port, done, t) => server.listen(port, t.host, 511, done),
    [true, true, 'asked'],
  ),
  listened('(port, backlog, callback)', (server, port, done) => server.listen(port, 511, done), [
    true,
    true,
    'asked',
  ]),
  listened(
    '(port, undefined, callback)',
    (server, port, done) => (server.listen as Loose).call(server, port, undefined, done) as Server,
    [true, true, 'asked'],
  ),
  listened('(callback)', (server, _port, done) => server.listen(done), [true, true, 'any']),
  listened('()', (server) => server.listen(), [true, false, 'any']),
  listened('(0, callback)', (server, _port, done) => server.listen(0, done), [true, true, 'any']),
  listened(
    '(null, callback)',
    (server, _port, done) => (server.listen as Loose).call(server, null, done) as Server,
    [true, true, 'any'],
  ),
  listened(
    '(undefined, callback)',
    (server, _port, done) => (server.listen as Loose).call(server, undefined, done) as Server,
    [true, true, 'any'],
  ),
  listened(
    '({ port, host }, callback)',
    (server, port, done, t) => server.listen({ port, host: t.host }, done),
    [true, true, 'asked'],
  ),
  listened(
    '({ port: undefined }, callback)',
    (server, _port, done) =>
      (server.listen as Loose).call(server, { port: undefined }, done) as Server,
    [true, true, 'any'],
  ),
  listened(
    '({ port, backlog, exclusive }, callback)',
    (server, port, done) => server.listen({ port, backlog: 5, exclusive: true }, done),
    [true, true, 'asked'],
  ),
];
