/** node:dgram: arguments, binding, sending, connected sockets, closing. */

import type { RemoteInfo, Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';

import { Different, events, once, thrown, turns } from './harness.ts';
import type { Case, Context } from './harness.ts';

type Loose = (...args: unknown[]) => unknown;

const TYPE = ['TypeError', 'ERR_INVALID_ARG_TYPE'];
const PORT = ['RangeError', 'ERR_SOCKET_BAD_PORT'];
const BUFFER = ['RangeError', 'ERR_BUFFER_OUT_OF_BOUNDS'];
const NOT_RUNNING = ['Error', 'ERR_SOCKET_DGRAM_NOT_RUNNING'];
const UNBOUND = 'Options may be set before `bind`.';
const STRICT = '`bind` refuses a port that is none.';

const call = (
  name: string,
  on: (t: Context) => object,
  method: string,
  rows: [string, unknown[], unknown][],
): Case[] =>
  rows.map(([what, args, expected]) => ({
    name: `${name} ${what}`,
    run: (t: Context) => {
      const socket = on(t) as Record<string, Loose>;
      return thrown(t, () => {
        socket[method]!(...args);
      });
    },
    expected,
  }));

const quiet = (t: Context): Socket => t.socket().on('error', () => {});
const closedSocket = (t: Context): Socket => {
  const socket = t.socket();
  socket.close();
  return socket;
};

/** Binds by `form`; whether the callback came. */
const bound = (
  name: string,
  form: (socket: Socket, port: number, done: () => void, t: Context) => Socket,
  expected: unknown,
): Case => ({
  name: `bind ${name}`,
  async run(t) {
    const { socket: other, port } = await t.bound();
    await new Promise<void>((resolve) => {
      other.close(() => resolve());
    });
    const socket = t.socket();
    let called = false;
    const up = once(socket, 'listening');
    const same =
      form(
        socket,
        port,
        () => {
          called = true;
        },
        t,
      ) === socket;
    await up;
    return [same, called, socket.address().port === port ? 'asked' : 'any'];
  },
  expected,
});

/** What arrives of what `form` sends. */
const sent = (
  name: string,
  form: (socket: Socket, port: number, t: Context) => void,
  expected: unknown,
): Case => ({
  name: `send ${name}`,
  async run(t) {
    const { socket: receiver, port } = await t.bound();
    const sender = t.socket();
    const heard = once(receiver, 'message');
    form(sender, port, t);
    return String((await heard)[0]);
  },
  expected,
});

/** What a connected socket's `form` sends. */
const connectedSent = (name: string, form: (socket: Socket) => void, expected: unknown): Case => ({
  name: `connected send ${name}`,
  async run(t) {
    const { socket: receiver, port } = await t.bound();
    const sender = t.socket();
    sender.connect(port, t.host);
    await once(sender, 'connect');
    const heard = once(receiver, 'message');
    form(sender);
    return String((await heard)[0]);
  },
  expected,
});

async function failure(socket: Socket): Promise<Error & { code: string; syscall?: string }> {
  return (await once(socket, 'error'))[0] as Error & { code: string };
}

export const dgramCases: Case[] = [
  ...call('createSocket of', (t) => t.dgram, 'createSocket', [
    ['an unknown type', ['tcp'], ['TypeError', 'ERR_SOCKET_BAD_TYPE']],
    ['a list', [['udp4']], ['TypeError', 'ERR_SOCKET_BAD_TYPE']],
    ['null', [null], ['TypeError', 'ERR_SOCKET_BAD_TYPE']],
    ['a number', [4], ['TypeError', 'ERR_SOCKET_BAD_TYPE']],
    ['an object with an unknown type', [{ type: 'tcp' }], ['TypeError', 'ERR_SOCKET_BAD_TYPE']],
    ['a lookup that is no function', [{ type: 'udp4', lookup: 5 }], TYPE],
    ['a signal that is none', [{ type: 'udp4', signal: 5 }], TYPE],
    ['a buffer size that is a string', [{ type: 'udp4', recvBufferSize: '5' }], TYPE],
    [
      'nothing',
      [],
      new Different(
        ['TypeError', 'ERR_SOCKET_BAD_TYPE'],
        'nothing',
        '`createSocket` needs no type.',
      ),
    ],
  ]),
  ...call('send of', quiet, 'send', [
    ['nothing', [], TYPE],
    ['a number', [5, 1], TYPE],
    ['null', [null, 1], TYPE],
    ['an object', [{}, 1], TYPE],
    ['a list with a number', [[5], 1], TYPE],
    ['no port', ['x'], PORT],
    ['port 0', ['x', 0], PORT],
    ['port 65536', ['x', 65_536], PORT],
    ['port -1', ['x', -1], PORT],
    ['an address that is a number', ['x', 1, 5], TYPE],
    ['an address that is true', ['x', 1, true], TYPE],
    ['an offset behind the end', ['abc', 5, 1, 1], BUFFER],
    ['a length behind the end', ['abc', 0, 5, 1], BUFFER],
    ['a negative offset', ['abc', -1, 1, 1], BUFFER],
  ]),
  ...call('connect to', quiet, 'connect', [
    ['nothing', [], PORT],
    ['port 0', [0], PORT],
    ['port 65536', [65_536], PORT],
    ['an address that is a number', [1, 5], TYPE],
  ]),
  ...call('a closed socket:', closedSocket, 'close', [['close', [], NOT_RUNNING]]),
  ...call('a closed socket:', closedSocket, 'send', [['send', ['x', 1], NOT_RUNNING]]),
  ...call('a closed socket:', closedSocket, 'bind', [['bind', [0], NOT_RUNNING]]),
  ...call('a closed socket:', closedSocket, 'address', [['address', [], NOT_RUNNING]]),
  ...call('an unbound socket:', quiet, 'address', [['address: EBADF', [], ['Error', 'EBADF']]]),
  ...call('a socket that is not connected:', quiet, 'remoteAddress', [
    ['remoteAddress', [], ['Error', 'ERR_SOCKET_DGRAM_NOT_CONNECTED']],
  ]),
  ...call('a socket that is not connected:', quiet, 'disconnect', [
    ['disconnect', [], ['Error', 'ERR_SOCKET_DGRAM_NOT_CONNECTED']],
  ]),
  ...call('bind of', quiet, 'bind', [
    ['an address that is a number', [0, 5], TYPE],
    ['port 70000', [70_000], new Different('nothing', PORT, STRICT)],
  ]),
  ...call('setTTL of', quiet, 'setTTL', [
    ['a string', ['5'], TYPE],
    ['0: EINVAL', [0], ['Error', 'EINVAL']],
    ['256: EINVAL', [256], ['Error', 'EINVAL']],
    ['5, unbound', [5], new Different(['Error', 'EBADF'], 'nothing', UNBOUND)],
  ]),
  ...call('setRecvBufferSize of', quiet, 'setRecvBufferSize', [
    ['a string', ['5'], ['TypeError', 'ERR_SOCKET_BAD_BUFFER_SIZE']],
    ['-1', [-1], ['TypeError', 'ERR_SOCKET_BAD_BUFFER_SIZE']],
  ]),
  ...call('setSendBufferSize of', quiet, 'setSendBufferSize', [
    ['a string', ['5'], ['TypeError', 'ERR_SOCKET_BAD_BUFFER_SIZE']],
  ]),
  ...call('addMembership of', quiet, 'addMembership', [
    ['an address that is no group', ['10.1.2.3'], ['Error', 'EINVAL']],
  ]),
  ...call('dropMembership of', quiet, 'dropMembership', [
    ['a group that it is not in', ['239.4.4.4'], ['Error', 'EADDRNOTAVAIL']],
  ]),
  bound('(port, address, callback)', (socket, port, done, t) => socket.bind(port, t.host, done), [
    true,
    true,
    'asked',
  ]),
  bound('(port, callback)', (socket, port, done) => socket.bind(port, done), [true, true, 'asked']),
  bound(
    '(port as a string, callback)',
    (socket, port, done) => (socket.bind as Loose)(String(port), done) as Socket,
    [true, true, 'asked'],
  ),
  bound(
    '(port, undefined, callback)',
    (socket, port, done) => (socket.bind as Loose)(port, undefined, done) as Socket,
    [true, true, 'asked'],
  ),
  bound(
    '(undefined, undefined, callback)',
    (socket, _port, done) => (socket.bind as Loose)(undefined, undefined, done) as Socket,
    [true, true, 'any'],
  ),
  bound('(callback)', (socket, _port, done) => socket.bind(done), [true, true, 'any']),
  bound('()', (socket) => socket.bind(), [true, false, 'any']),
  bound(
    '({ port, address }, callback)',
    (socket, port, done, t) => socket.bind({ port, address: t.host }, done),
    [true, true, 'asked'],
  ),
  bound(
    '({ exclusive }, callback)',
    (socket, _port, done) => socket.bind({ exclusive: true }, done),
    [true, true, 'any'],
  ),
  bound(
    '({ port, address: an unspecified one })',
    (socket, port) => socket.bind({ port, address: '0.0.0.0' }),
    [true, false, 'asked'],
  ),
  {
    name: 'bind twice: ERR_SOCKET_ALREADY_BOUND',
    run: (t) => {
      const socket = t.socket().bind(0);
      return thrown(t, () => {
        socket.bind(0);
      });
    },
    expected: ['Error', 'ERR_SOCKET_ALREADY_BOUND'],
  },
  {
    name: 'bind to a port in use: EADDRINUSE, without listening',
    async run(t) {
      const { port } = await t.bound();
      const socket = t.socket();
      const log = events(socket, ['listening']);
      let called = false;
      socket.bind(port, t.host, () => {
        called = true;
      });
      const error = await failure(socket);
      return [error.code, error.syscall, called, log];
    },
    expected: ['EADDRINUSE', 'bind', false, []],
  },
  {
    name: 'bind after a failed bind',
    async run(t) {
      const { port } = await t.bound();
      const socket = t.socket();
      socket.bind(port, t.host);
      await failure(socket);
      socket.bind(0, t.host);
      await once(socket, 'listening');
      return socket.address().port !== port;
    },
    expected: true,
  },
  {
    name: 'bind to an address of another machine: EADDRNOTAVAIL',
    async run(t) {
      const socket = t.socket();
      socket.bind(0, '203.0.113.9');
      const error = await failure(socket);
      return [error.code, error.syscall];
    },
    expected: ['EADDRNOTAVAIL', 'bind'],
  },
  {
    name: 'address() while binding: EBADF',
    run: (t) => {
      const socket = t.socket().bind(0);
      return thrown(t, () => {
        socket.address();
      });
    },
    expected: ['Error', 'EBADF'],
  },
  {
    name: 'address()',
    async run(t) {
      const { socket, port } = await t.bound();
      return [Object.keys(socket.address()).sort(), port > 0];
    },
    expected: [['address', 'family', 'port'], true],
  },
  {
    name: 'the port of a closed socket is free at once',
    async run(t) {
      const { socket, port } = await t.bound();
      await new Promise<void>((resolve) => {
        socket.close(() => resolve());
      });
      const other = t.socket();
      other.bind(port, t.host);
      await once(other, 'listening');
      return other.address().port === port;
    },
    expected: true,
  },
  sent(
    '(msg, port, address)',
    (socket, port, t) => {
      socket.send('hi', port, t.host);
    },
    'hi',
  ),
  sent(
    '(msg, port)',
    (socket, port) => {
      socket.send('hi', port);
    },
    'hi',
  ),
  sent(
    '(msg, port, "localhost")',
    (socket, port) => {
      socket.send('hi', port, 'localhost');
    },
    'hi',
  ),
  sent(
    '(msg, port as a string)',
    (socket, port) => {
      (socket.send as Loose)('hi', String(port));
    },
    'hi',
  ),
  sent(
    '(msg, port, empty address)',
    (socket, port) => {
      (socket.send as Loose)('hi', port, '');
    },
    'hi',
  ),
  sent(
    '(msg, port, null)',
    (socket, port) => {
      (socket.send as Loose)('hi', port, null);
    },
    'hi',
  ),
  sent(
    '(msg, offset, length, port, address)',
    (socket, port, t) => {
      socket.send(Buffer.from('__hi__'), 2, 2, port, t.host);
    },
    'hi',
  ),
  sent(
    '(string, offset, length, port)',
    (socket, port) => {
      socket.send('__hi__', 2, 2, port);
    },
    'hi',
  ),
  sent(
    '(list, port, address)',
    (socket, port, t) => {
      socket.send(['h', Buffer.from('i'), new Uint8Array([33])], port, t.host);
    },
    'hi!',
  ),
  sent(
    '(empty list, port)',
    (socket, port) => {
      socket.send([], port);
    },
    '',
  ),
  sent(
    '(empty message, port)',
    (socket, port) => {
      socket.send('', port);
    },
    '',
  ),
  sent(
    '(DataView, port)',
    (socket, port) => {
      socket.send(new DataView(Uint8Array.from([104, 105]).buffer), port);
    },
    'hi',
  ),
  sent(
    '(Uint16Array, port)',
    (socket, port) => {
      (socket.send as Loose)(Uint16Array.from([0x6968]), port);
    },
    'hi',
  ),
  sent(
    '(msg, port, address, callback)',
    (socket, port, t) => {
      socket.send('first', port, t.host, (error, bytes) => {
        if (error === null && bytes === 5) socket.send('second', port, t.host);
      });
      // The first is not what is looked at.
    },
    'first',
  ),
  {
    name: 'the callback of send: null and the number of bytes',
    async run(t) {
      const { port } = await t.bound();
      return await new Promise((resolve) => {
        t.socket().send('hello', port, t.host, (...args) => resolve(args));
      });
    },
    expected: [null, 5],
  },
  {
    name: 'the callback of send comes later than send returns',
    async run(t) {
      const { port } = await t.bound();
      const log: string[] = [];
      await new Promise<void>((resolve) => {
        t.socket().send('x', port, t.host, () => {
          log.push('callback');
          resolve();
        });
        log.push('returned');
      });
      return log;
    },
    expected: ['returned', 'callback'],
  },
  {
    name: 'what send returns',
    async run(t) {
      const { port } = await t.bound();
      return typeof (t.socket().send as Loose)('x', port);
    },
    expected: new Different(
      'undefined',
      'boolean',
      "`send` returns whether there is room for more, and 'drain' says when.",
    ),
  },
  {
    name: 'send binds, and says listening',
    async run(t) {
      const { port } = await t.bound();
      const socket = t.socket();
      socket.send('x', port);
      await once(socket, 'listening');
      return socket.address().port > 0;
    },
    expected: true,
  },
  {
    name: 'a message too long: EMSGSIZE in the callback',
    run: async (t) => {
      const error = await new Promise<unknown>((resolve) => {
        t.socket().send(Buffer.alloc(70_000), 5, t.host, resolve);
      });
      return [(error as { code: string }).code, (error as { syscall: string }).syscall];
    },
    expected: ['EMSGSIZE', 'send'],
  },
  {
    name: 'a message too long without a callback',
    async run(t) {
      const { socket, port } = await t.bound();
      const log: unknown[] = [];
      socket.on('error', (error) => log.push((error as Error & { code: string }).code));
      socket.send(Buffer.alloc(70_000), port, t.host);
      await new Promise((resolve) => {
        socket.send('x', port, t.host, resolve);
      });
      await turns();
      return log;
    },
    expected: new Different(
      [],
      ['EMSGSIZE'],
      "A message too long without a callback is an 'error' event, as Node's documentation has " +
        'it; Node itself says nothing.',
    ),
  },
  {
    name: '65,507 bytes, the most that UDP carries, arrive',
    async run(t) {
      const { socket: receiver, port } = await t.bound();
      const heard = once(receiver, 'message');
      t.socket().send(Buffer.alloc(65_507, 7), port, t.host);
      return (
        ((await heard)[0] as Buffer).every((byte) => byte === 7) &&
        ((await heard)[0] as Buffer).length
      );
    },
    expected: 65_507,
  },
  {
    name: '65,536 bytes',
    run: async (t) => {
      const { port } = await t.bound();
      const error = await new Promise<unknown>((resolve) => {
        t.socket().send(Buffer.alloc(65_536), port, t.host, resolve);
      });
      return (error as { code?: string } | null)?.code ?? 'sent';
    },
    expected: new Different(
      'EMSGSIZE',
      'sent',
      "A datagram may have 65,536 bytes, 29 more than UDP's.",
    ),
  },
  {
    name: 'a name that does not exist: ENOTFOUND in the callback',
    run: async (t) => {
      const error = await new Promise<unknown>((resolve) => {
        t.socket().send('x', 5, 'no-such-name.invalid', resolve);
      });
      return (error as { code: string }).code;
    },
    expected: 'ENOTFOUND',
  },
  {
    name: 'a name that does not exist, without a callback: an error event',
    async run(t) {
      const socket = t.socket();
      socket.send('x', 5, 'no-such-name.invalid');
      return (await failure(socket)).code;
    },
    expected: 'ENOTFOUND',
  },
  {
    name: 'what the message event has',
    async run(t) {
      const { socket: receiver, port } = await t.bound();
      const { socket: sender, port: from } = await t.bound();
      const heard = once(receiver, 'message');
      sender.send('12345', port, t.host);
      const [message, info] = (await heard) as [Buffer, RemoteInfo];
      return [Buffer.isBuffer(message), Object.keys(info).sort(), info.port === from, info.size];
    },
    expected: new Different(
      [true, ['address', 'family', 'port', 'size'], true, 5],
      [true, ['address', 'authenticated', 'family', 'port', 'size'], true, 5],
      '`rinfo.authenticated` says whether the sender is proved.',
    ),
  },
  {
    name: 'the family of a sender',
    async run(t) {
      const { socket: receiver, port } = await t.bound();
      const heard = once(receiver, 'message');
      t.socket().send('x', port, t.host);
      const { family, address } = (await heard)[1] as RemoteInfo;
      return [family, address];
    },
    expected: new Different(
      ['IPv4', '127.0.0.1'],
      ['spines', '10.0.0.1'],
      '`family` is "spines", not "IPv4", and addresses are nodes\' dotted quads.',
    ),
  },
  {
    name: 'an answer to whom rinfo names',
    async run(t) {
      const { socket: receiver, port } = await t.bound();
      receiver.on('message', (message, info) => {
        receiver.send(`echo ${String(message)}`, info.port, info.address);
      });
      const sender = t.socket();
      sender.send('x', port, t.host);
      return String((await once(sender, 'message'))[0]);
    },
    expected: 'echo x',
  },
  {
    name: 'a message per send, in order, with its bounds',
    async run(t) {
      const { socket: receiver, port } = await t.bound();
      const heard: string[] = [];
      const all = new Promise<void>((resolve) => {
        receiver.on('message', (message) => {
          if (heard.push(String(message)) === 20) resolve();
        });
      });
      const sender = t.socket();
      for (let i = 0; i < 20; i++) sender.send(`message ${i}`, port, t.host);
      await all;
      return heard.every((message, i) => message === `message ${i}`);
    },
    expected: true,
  },
  {
    name: 'a listener given to createSocket hears messages',
    async run(t) {
      return await new Promise((resolve) => {
        const socket = t.keep(t.dgram.createSocket('udp4', (message) => resolve(String(message))));
        socket.bind(0, t.host, () => socket.send('to myself', socket.address().port, t.host));
      });
    },
    expected: 'to myself',
  },
  {
    name: 'the type of a socket',
    run: (t) =>
      [t.socket('udp4'), t.socket({ type: 'udp6' })].map((socket) => Reflect.get(socket, 'type')),
    expected: ['udp4', 'udp6'],
  },
  {
    name: 'connect: the event, the callback and the peer',
    async run(t) {
      const { port } = await t.bound();
      const socket = t.socket();
      const log: string[] = [];
      socket.on('connect', () => log.push('connect'));
      await new Promise<void>((resolve) => {
        socket.connect(port, t.host, () => {
          log.push('callback');
          resolve();
        });
      });
      return [log, socket.remoteAddress().port === port, socket.address().port > 0];
    },
    expected: [['connect', 'callback'], true, true],
  },
  {
    name: 'connect(port, callback) and connect(port as a string)',
    async run(t) {
      const { port } = await t.bound();
      const socket = t.socket();
      await new Promise<void>((resolve) => {
        socket.connect(port, resolve);
      });
      const other = t.socket();
      (other.connect as Loose)(String(port));
      await once(other, 'connect');
      return [socket.remoteAddress().port === port, other.remoteAddress().port === port];
    },
    expected: [true, true],
  },
  {
    name: 'connect to a name that does not exist: ENOTFOUND in the callback',
    run: async (t) => {
      const error = await new Promise<unknown>((resolve) => {
        t.socket().connect(5, 'no-such-name.invalid', resolve as () => void);
      });
      return (error as { code: string }).code;
    },
    expected: 'ENOTFOUND',
  },
  {
    name: 'connect twice: ERR_SOCKET_DGRAM_IS_CONNECTED',
    async run(t) {
      const { port } = await t.bound();
      const socket = t.socket();
      socket.connect(port, t.host);
      const connecting = thrown(t, () => {
        socket.connect(port, t.host);
      });
      await once(socket, 'connect');
      return [
        connecting,
        thrown(t, () => {
          socket.connect(port, t.host);
        }),
      ];
    },
    expected: [
      ['Error', 'ERR_SOCKET_DGRAM_IS_CONNECTED'],
      ['Error', 'ERR_SOCKET_DGRAM_IS_CONNECTED'],
    ],
  },
  {
    name: 'disconnect, and connect again',
    async run(t) {
      const { port } = await t.bound();
      const socket = t.socket();
      socket.connect(port, t.host);
      await once(socket, 'connect');
      socket.disconnect();
      const gone = thrown(t, () => {
        socket.remoteAddress();
      });
      socket.connect(port, t.host);
      await once(socket, 'connect');
      return [gone, socket.remoteAddress().port === port];
    },
    expected: [['Error', 'ERR_SOCKET_DGRAM_NOT_CONNECTED'], true],
  },
  connectedSent(
    '(msg)',
    (socket) => {
      socket.send('hi');
    },
    'hi',
  ),
  connectedSent(
    '(msg, callback)',
    (socket) => {
      socket.send('hi', () => {});
    },
    'hi',
  ),
  connectedSent(
    '(msg, offset, length)',
    (socket) => {
      socket.send('__hi__', 2, 2);
    },
    'hi',
  ),
  connectedSent(
    '(msg, offset, length, callback)',
    (socket) => {
      socket.send('__hi__', 2, 2, () => {});
    },
    'hi',
  ),
  connectedSent(
    '(list)',
    (socket) => {
      socket.send(['h', 'i']);
    },
    'hi',
  ),
  {
    name: 'a connected socket refuses a destination',
    async run(t) {
      const { port } = await t.bound();
      const socket = t.socket();
      socket.connect(port, t.host);
      await once(socket, 'connect');
      return [
        thrown(t, () => {
          socket.send('x', port, t.host);
        }),
        thrown(t, () => {
          socket.send('x', 0, 1, port, t.host);
        }),
      ];
    },
    expected: new Different(
      ['nothing', ['Error', 'ERR_SOCKET_DGRAM_IS_CONNECTED']],
      [
        ['Error', 'ERR_SOCKET_DGRAM_IS_CONNECTED'],
        ['Error', 'ERR_SOCKET_DGRAM_IS_CONNECTED'],
      ],
      'A connected socket refuses every form of `send` that names a destination.',
    ),
  },
  {
    name: 'a connected socket hears its peer alone',
    async run(t) {
      const { socket: peer, port } = await t.bound();
      const { socket: stranger } = await t.bound();
      const { socket, port: own } = await t.bound();
      socket.connect(port, t.host);
      await once(socket, 'connect');
      const heard = once(socket, 'message');
      await new Promise((resolve) => {
        stranger.send('from a stranger', own, t.host, resolve);
      });
      await turns(10);
      peer.send('from the peer', own, t.host);
      return String((await heard)[0]);
    },
    expected: 'from the peer',
  },
  {
    name: 'close: the event once, the callback as a listener of it',
    async run(t) {
      const { socket } = await t.bound();
      const log: string[] = [];
      socket.on('close', () => log.push('close'));
      await new Promise<void>((resolve) => {
        socket.close(() => {
          log.push('callback');
          resolve();
        });
      });
      await turns();
      return log;
    },
    expected: ['close', 'callback'],
  },
  {
    name: 'close of an unbound socket',
    run: async (t) => {
      const socket = t.socket();
      socket.close();
      await once(socket, 'close');
      return 'closed';
    },
    expected: 'closed',
  },
  {
    name: 'close while binding: close, no listening',
    async run(t) {
      const socket = t.socket();
      const log = events(socket, ['listening', 'error', 'close']);
      socket.bind(0, t.host);
      socket.close();
      await once(socket, 'close');
      await turns(10);
      return log;
    },
    expected: ['close'],
  },
  {
    name: 'nothing is heard after close',
    async run(t) {
      const { socket, port } = await t.bound();
      const log = events(socket, ['message']);
      const sender = t.socket();
      socket.close();
      await once(socket, 'close');
      await new Promise((resolve) => {
        sender.send('x', port, t.host, resolve);
      });
      await turns(10);
      return log;
    },
    expected: [],
  },
  {
    name: 'Symbol.asyncDispose closes',
    async run(t) {
      const { socket } = await t.bound();
      const log = events(socket, ['close']);
      await socket[Symbol.asyncDispose]();
      return log;
    },
    expected: ['close'],
  },
  {
    name: 'a signal that has fired closes',
    async run(t) {
      const socket = t.socket({ type: 'udp4', signal: AbortSignal.abort() });
      const log = events(socket, ['error']);
      await once(socket, 'close');
      return log;
    },
    expected: [],
  },
  {
    name: 'a signal that fires later closes',
    async run(t) {
      const control = new AbortController();
      const { socket } = await t.bound({ type: 'udp4', signal: control.signal });
      control.abort();
      await once(socket, 'close');
      return thrown(t, () => {
        socket.address();
      });
    },
    expected: NOT_RUNNING,
  },
  {
    name: 'a signal that fires after close does nothing',
    async run(t) {
      const control = new AbortController();
      const { socket } = await t.bound({ type: 'udp4', signal: control.signal });
      const log = events(socket, ['close', 'error']);
      socket.close();
      await once(socket, 'close');
      control.abort();
      await turns();
      return log;
    },
    expected: ['close'],
  },
  {
    name: 'methods that return the socket',
    async run(t) {
      const { socket } = await t.bound();
      return [socket.ref() === socket, socket.unref() === socket];
    },
    expected: [true, true],
  },
  {
    name: 'setTTL gives the value, setBroadcast takes one',
    async run(t) {
      const { socket } = await t.bound();
      socket.setBroadcast(true);
      return socket.setTTL(7);
    },
    expected: 7,
  },
  {
    name: 'queues are empty at first',
    async run(t) {
      const { socket } = await t.bound();
      return [socket.getSendQueueSize(), socket.getSendQueueCount()];
    },
    expected: [0, 0],
  },
  {
    name: 'captureRejections: a message listener that fails is an error event',
    async run(t) {
      EventEmitter.captureRejections = true;
      t.after(() => {
        EventEmitter.captureRejections = false;
      });
      const { socket, port } = await t.bound();
      socket.on('message', async () => {
        throw new Error('kaboom');
      });
      const failed = failure(socket);
      t.socket().send('x', port, t.host);
      return (await failed).message;
    },
    expected: 'kaboom',
  },
  {
    name: 'names that libraries assign stay theirs',
    run: (t) => {
      const socket = t.socket();
      return [
        'client',
        'server',
        'type',
        'state',
        'options',
        'port',
        'host',
        'fd',
        'peer',
        'name',
        'id',
        'queue',
        'link',
        'ready',
        'timeout',
        'node',
      ].filter((name) => {
        try {
          Reflect.set(socket, name, 'theirs');
          return Reflect.get(socket, name) !== 'theirs';
        } catch {
          return true;
        }
      });
    },
    expected: [],
  },
];
