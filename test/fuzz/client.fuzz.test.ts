/**
 * Client ports under hostile clients, in virtual time, while honest clients of the same daemon go
 * on as if nothing were.
 *
 * SPINES_FUZZ_CLIENT_COUNT: frames in all, 10,000 unless told.
 */

import { describe, expect, test } from 'vitest';

import {
  decodeControl,
  encodeControl,
  encodeDatagram,
  FRAME_EVENT,
  FRAME_HEAD_BYTES,
  FRAME_HELLO,
  FRAME_LENGTH_MAX,
  FRAME_RECV,
  FRAME_REPLY,
  FRAME_REQUEST,
  FRAME_SEND,
  FRAME_WELCOME,
  FrameReader,
  MESSAGE_BYTES_MAX,
  PROTOCOL_VERSION,
} from '../../spines-client/src/shared/protocol.ts';
import { getU16, getU32, hex, putU32 } from '../../src/core/base/bytes.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, Timer } from '../../src/core/base/time.ts';
import { changeDirection, defaultDirection } from '../../src/core/emulation/link-settings.ts';
import { defaultLimits } from '../../src/core/node/config.ts';
import type { ClientPort } from '../../src/core/ipc/client-port.ts';
import { World, type SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { mutate, randomBytes } from './mutate.ts';

const COUNT = Number(process.env['SPINES_FUZZ_CLIENT_COUNT'] ?? 10_000);
const TIMEOUT = 60_000 + 10 * COUNT;

const QUEUE_BYTES = 64 * 1024;
const SOCKETS_MAX = 1_000;
const limits = {
  ...defaultLimits,
  clients: 8,
  socketsPerClient: SOCKETS_MAX,
  clientQueueBytes: QUEUE_BYTES,
};

interface Control {
  readonly [name: string]: unknown;
}
interface Received {
  socket: number;
  node: number;
  port: number;
  payload: Uint8Array;
}

/** A client without a library: it says exactly what it is told to, and takes apart what comes. */
class RawClient {
  readonly host: SimHost;
  readonly port: ClientPort;
  ended = false;
  /** While false, what is written waits unread. */
  reading = true;
  unread: Uint8Array[] = [];
  bufferedBytes = 0;
  welcomes: Control[] = [];
  events: Control[] = [];
  received: Received[] = [];
  /** Replies by id. */
  readonly replies = new Map<unknown, Control[]>();
  readonly #reader = new FrameReader({
    onFrame: (type, bytes, start, end) => this.#onFrame(type, bytes.slice(start, end)),
  });

  constructor(host: SimHost) {
    this.host = host;
    const self = this;
    const write = (bytes: Uint8Array): void => {
      if (self.ended) throw new Error('written after the end');
      if (self.reading) self.#reader.push(bytes);
      else {
        self.unread.push(bytes);
        self.bufferedBytes += bytes.length;
      }
    };
    const port = host.node.attachClient({
      write,
      append: (head, bytes, start, end) => write(Buffer.concat([head, bytes.subarray(start, end)])),
      end: () => {
        self.ended = true;
      },
      get bufferedBytes() {
        return self.bufferedBytes;
      },
    });
    if (port === null) throw new Error('refused');
    this.port = port;
  }

  push(bytes: Uint8Array): void {
    this.port.onBytes(bytes);
    this.host.endTurn();
  }

  hello(): this {
    this.push(encodeControl(FRAME_HELLO, { version: PROTOCOL_VERSION, client: 'raw' }));
    expect(this.welcomes).toHaveLength(1);
    return this;
  }

  #nextId = 1;
  /** Sends a request; its reply, if it is there at once. */
  request(op: string, args: object = {}): Control | undefined {
    const id = this.#nextId++;
    this.push(encodeControl(FRAME_REQUEST, { ...args, id, op }));
    return this.replies.get(id)?.[0];
  }

  /** Reads what waited. */
  read(): void {
    this.reading = true;
    const { unread } = this;
    this.unread = [];
    this.bufferedBytes = 0;
    for (const bytes of unread) this.#reader.push(bytes);
  }

  #onFrame(type: number, body: Uint8Array): void {
    if (type === FRAME_RECV) {
      this.received.push({
        socket: getU32(body, 0),
        node: getU32(body, 4),
        port: getU16(body, 8),
        payload: body.slice(12),
      });
      return;
    }
    const control =
      type === FRAME_WELCOME || type === FRAME_REPLY || type === FRAME_EVENT
        ? decodeControl(body)
        : null;
    if (type === FRAME_WELCOME) this.welcomes.push(control!);
    if (type === FRAME_EVENT) this.events.push(control!);
    if (type !== FRAME_REPLY) return;
    const list = this.replies.get(control!['id']) ?? [];
    list.push(control!);
    this.replies.set(control!['id'], list);
  }
}

/**
 * Two honest clients, one of them on the daemon under attack, that exchange a numbered datagram
 * each way every millisecond.
 */
class Honest {
  readonly pair: readonly [RawClient, RawClient];
  readonly world: World;
  sent = 0;
  readonly #timer = new Timer(() => this.#onDue());

  constructor(world: World, a: SimHost, b: SimHost) {
    this.world = world;
    this.pair = [new RawClient(a).hello(), new RawClient(b).hello()];
    for (const client of this.pair) {
      expect(client.request('socket', { socket: 1, kind: 'datagram' })).toMatchObject({ ok: true });
      expect(client.request('bind', { socket: 1, port: 700 })).toMatchObject({
        ok: true,
        port: 700,
      });
    }
    world.timers.arm(this.#timer, world.now());
  }

  #onDue(): void {
    this.pair.forEach((client, i) => {
      const payload = new Uint8Array(100);
      putU32(payload, 0, this.sent);
      client.push(encodeDatagram(FRAME_SEND, 1, this.pair[1 - i]!.host.id, 700, payload));
    });
    this.sent += 1;
    this.world.timers.arm(this.#timer, this.world.now() + MILLISECOND);
  }

  /** Stops, waits for what is under way, and checks that every datagram came once and in order. */
  expectUndisturbed(): void {
    this.world.timers.cancel(this.#timer);
    this.world.runFor(SECOND);
    expect(this.sent).toBeGreaterThan(20);
    this.pair.forEach((client, i) => {
      const far = this.pair[1 - i]!.host.id;
      expect(client.ended).toBe(false);
      expect(client.events).toEqual([]);
      const fromPeer = client.received.filter(
        (r) => r.socket === 1 && r.node === far && r.port === 700,
      );
      expect(fromPeer.map((r) => getU32(r.payload, 0))).toEqual(
        Array.from({ length: this.sent }, (_, n) => n),
      );
    });
  }
}

interface Scene {
  world: World;
  a: SimHost;
  b: SimHost;
  c: SimHost;
  honest: Honest;
}

function scene(seed: number): Scene {
  const world = new World({ seed });
  const config = { limits, allowEmulation: true, allowShutdown: true };
  const [a, b, c] = ['a', 'b', 'c'].map((name, i) =>
    world.addHost(0x0a000001 + i, name, config),
  ) as [SimHost, SimHost, SimHost];
  const direction = changeDirection(defaultDirection(), { latencyUs: MILLISECOND });
  world.connect(a, b, direction, direction);
  world.connect(a, c, direction, direction);
  for (const host of [a, b, c]) host.start();
  world.runFor(2 * SECOND);
  return { world, a, b, c, honest: new Honest(world, a, b) };
}

const malformed = (host: SimHost): number => host.node.drops.of(DropReason.clientFrameMalformed);

/** Arguments of every wrong and right type. Timeouts that are right are short. */
function argument(rng: Rng): unknown {
  const values: readonly (() => unknown)[] = [
    () => rng.below(6),
    () => -rng.below(3),
    () => rng.u32(),
    () => 0x1_0000_0000,
    () => 1.5,
    () => NaN,
    () => -Infinity,
    () => 1e300,
    () => true,
    () => false,
    () => null,
    () => undefined,
    () => '',
    () => 'a',
    () => 'c',
    () => '10.0.0.2',
    () => '10.0.0.99',
    () => '224.0.0.1',
    () => 'x'.repeat(300),
    () => 'datagram',
    () => 'best-effort',
    () => 'ttl',
    () => 'byzantine',
    () => 'constructor',
    () => '__proto__',
    () => [],
    () => [1, 'a', null],
    () => ({}),
    () => ({ valueOf: 1, toString: 1 }),
    () => ({ length: 5 }),
    () => new Uint8Array(3),
    () => new Date(5),
    () => 12345678901234n,
    () => 3n,
    () => [[[[[]]]]],
    () => ({ latencyMs: 1 }),
    () => ({ lossPct: { valueOf: 1, toString: 1 } }),
    () => ({ bandwidthKbps: 2n ** 62n, up: 'no' }),
    () => ({ latencyMs: '5' }),
    () => new Map([[1, 2]]),
  ];
  return values[rng.below(values.length)]!();
}

const OPS = [
  'socket',
  'bind',
  'close',
  'setOption',
  'getOption',
  'resolve',
  'status',
  'links',
  'routes',
  'nodes',
  'ping',
  'trace',
  'linkSet',
  'linkList',
  'linkAdd',
  'linkRemove',
  'logLevel',
  'shutdown',
  'nonsense',
  '',
  'toString',
  '__proto__',
];
const NAMES = [
  'socket',
  'kind',
  'link',
  'routing',
  'ttl',
  'priority',
  'port',
  'option',
  'value',
  'name',
  'node',
  'bytes',
  'probes',
  'settings',
];

/** A well-formed request: a map with an id and an op, and arguments of any kind. */
function requestOf(rng: Rng, id: number): Record<string, unknown> {
  const request: Record<string, unknown> = {};
  for (const name of NAMES) if (rng.chance(0.5)) request[name] = argument(rng);
  if (rng.chance(0.5)) request['socket'] = 1 + rng.below(5);
  if (rng.chance(0.3)) request['option'] = 'priority';
  if (rng.chance(0.3)) request['node'] = ['a', 'b', '10.0.0.3', '10.9.9.9'][rng.below(4)];
  // Only to c: the link to b carries the honest.
  request['peer'] = rng.chance(0.5) ? 'c' : rng.chance(0.5) ? '10.0.0.77' : argument(rng);
  for (const name of ['peer', 'link']) if (request[name] === '10.0.0.2') request[name] = 'c';
  request['timeoutMs'] = [1, 5, 20, '5', -1, 1e9, 1.5, null, true, {}, 3n][rng.below(11)];
  request['op'] = OPS[rng.below(OPS.length)];
  request['id'] = id;
  return request;
}

describe('fuzz: a daemon under hostile clients', () => {
  test(
    'every well-formed request has exactly one reply, whatever its arguments',
    () => {
      const { world, a, honest } = scene(1),
        rng = new Rng(5);
      let asked = 0,
        good = 0;
      while (asked < COUNT / 2) {
        const client = new RawClient(a).hello();
        const batch = Math.min(500, Math.ceil(COUNT / 2));
        for (let id = 1; id <= batch; id += 1) {
          const request = requestOf(rng, id);
          const frame = encodeControl(FRAME_REQUEST, request);
          try {
            client.push(frame);
          } catch (error) {
            throw new Error(`threw ${String(error)} for ${hex(frame)}`, { cause: error });
          }
          if (id % 20 === 0) world.runFor(5 * MILLISECOND);
        }
        world.runFor(200 * MILLISECOND);
        expect([client.ended, client.events, client.replies.size]).toEqual([false, [], batch]);
        for (const [id, replies] of client.replies) {
          expect(replies, `id ${String(id)}`).toHaveLength(1);
          const reply = replies[0]!;
          if (reply['ok'] === true) good += 1;
          else
            expect(reply).toEqual({
              id,
              ok: false,
              code: expect.stringMatching(/^E[A-Z0-9]+$/),
              message: expect.any(String),
            });
        }
        client.port.close();
        asked += batch;
      }
      expect(good).toBeGreaterThan(asked / 20);
      expect(a.node.echo.outstanding).toBe(0);
      expect(({} as Record<string, unknown>)['x']).toBeUndefined();
      honest.expectUndisturbed();
    },
    TIMEOUT,
  );

  test(
    'frames that are damaged or made up cost at most their own connection',
    () => {
      const { world, a, honest } = scene(2),
        rng = new Rng(6);
      const seeds = (id: number): Uint8Array[] => [
        encodeControl(FRAME_REQUEST, requestOf(rng, id)),
        encodeControl(FRAME_REQUEST, {
          id,
          op: 'socket',
          socket: 1 + rng.below(5),
          kind: 'datagram',
        }),
        encodeDatagram(FRAME_SEND, 1 + rng.below(5), a.id, 900, randomBytes(rng, rng.below(40))),
        encodeControl(FRAME_HELLO, { version: 1, client: 'x' }),
        encodeDatagram(
          FRAME_SEND,
          1,
          0x0a000003,
          9,
          new Uint8Array(rng.chance(0.05) ? MESSAGE_BYTES_MAX + 1 : 10),
        ),
      ];
      let client: RawClient | null = null,
        closed = 0,
        answered = 0;
      for (let i = 0; i < COUNT / 2; i += 1) {
        if (client === null || client.ended) {
          if (client !== null) {
            closed += 1;
            answered += client.replies.size;
          }
          client = new RawClient(a);
          if (rng.chance(0.9)) client.hello();
        }
        const list = seeds(i + 1),
          seed = list[rng.below(list.length)]!,
          other = list[rng.below(list.length)]!;
        const what = rng.unit();
        let bytes =
          what < 0.3
            ? seed
            : what < 0.9
              ? mutate(rng, seed, other)
              : randomBytes(rng, rng.below(60));
        // Mostly with a right length, so that the damage is met within the frame.
        if (bytes.length > FRAME_HEAD_BYTES && rng.chance(0.8))
          putU32((bytes = bytes.slice()), 0, bytes.length - 4);
        const before = malformed(a),
          text = hex(bytes.subarray(0, 200));
        try {
          for (let at = 0; at < bytes.length; ) {
            const next = rng.chance(0.8) ? bytes.length : at + 1 + rng.below(bytes.length - at);
            client.push(bytes.slice(at, next));
            at = next;
          }
        } catch (error) {
          throw new Error(`threw ${String(error)} for ${text}`, { cause: error });
        }
        expect(malformed(a) - before).toBe(client.ended ? 1 : 0);
        if (i % 10 === 0) world.runFor(MILLISECOND);
      }
      expect(closed).toBeGreaterThan(COUNT / 50);
      expect(answered).toBeGreaterThan(COUNT / 50);
      client?.port.close();
      world.runFor(6 * SECOND);
      expect(a.node.pool.inUse).toBe(0);
      expect(a.node.sessions.size).toBe(1);
      honest.expectUndisturbed();
    },
    TIMEOUT,
  );

  test('an impossible length ends the connection at once', () => {
    const { a, honest, world } = scene(3);
    for (const length of [0, FRAME_LENGTH_MAX + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      for (const greeted of [false, true]) {
        const client = new RawClient(a),
          before = malformed(a);
        if (greeted) client.hello();
        const head = new Uint8Array(4);
        putU32(head, 0, length);
        client.push(head.subarray(0, 3));
        expect(client.ended).toBe(false);
        client.push(head.subarray(3));
        expect([client.ended, malformed(a) - before]).toEqual([true, 1]);
        if (greeted) expect(client.events).toMatchObject([{ event: 'closing', code: 'EPROTO' }]);
        client.push(new Uint8Array(100));
      }
    }
    // The largest length is possible.
    const client = new RawClient(a).hello(),
      frame = new Uint8Array(FRAME_LENGTH_MAX + 4);
    putU32(frame, 0, FRAME_LENGTH_MAX);
    frame[4] = FRAME_SEND;
    putU32(frame, 5, 1);
    client.push(frame.subarray(0, 100_000));
    client.push(frame.subarray(100_000));
    expect([client.ended, a.node.drops.of(DropReason.clientSocketUnknown)]).toEqual([false, 1]);
    world.runFor(50 * MILLISECOND);
    honest.expectUndisturbed();
  });

  test(
    'who says nothing, or half a frame and then nothing, ' + 'is let go after 5 and 30 seconds',
    () => {
      const { world, a } = scene(4);
      const silent = new RawClient(a),
        half = new RawClient(a).hello(),
        half2 = new RawClient(a),
        idle = new RawClient(a).hello();
      const frame = encodeControl(FRAME_REQUEST, { id: 1, op: 'status' });
      half.push(frame.subarray(0, 9));
      half2.push(encodeControl(FRAME_HELLO, { version: 1, client: '' }).subarray(0, 7));
      world.runFor(5 * SECOND - 1);
      expect([silent.ended, half2.ended]).toEqual([false, false]);
      world.runFor(1);
      expect([silent.ended, half2.ended, half.ended]).toEqual([true, true, false]);
      // One byte more is not the end of the frame.
      half.push(frame.subarray(9, 10));
      world.runFor(25 * SECOND - 1);
      expect(half.ended).toBe(false);
      world.runFor(1);
      expect([half.ended, idle.ended]).toEqual([true, false]);
      expect(half.events).toMatchObject([{ event: 'closing' }]);
      world.runFor(100 * SECOND);
      expect([idle.ended, idle.request('status')?.['ok']]).toEqual([false, true]);
    },
  );

  test(
    'a busy client whose every chunk ends within a frame ' +
      'is not taken for one that stopped in the middle',
    () => {
      const { world, a } = scene(5);
      const client = new RawClient(a).hello(),
        frame = encodeControl(FRAME_REQUEST, { id: 1, op: 'getOption' });
      const half = frame.length >> 1,
        chunk = Uint8Array.of(...frame.subarray(half), ...frame.subarray(0, half));
      client.push(frame.subarray(0, half));
      for (let i = 0; i < 100; i += 1) {
        world.runFor(SECOND);
        client.push(chunk);
      }
      expect([client.ended, client.replies.get(1)?.length]).toEqual([false, 100]);
    },
  );

  test('a thousand sockets at once, and not one more', () => {
    const { world, a, honest } = scene(6),
      client = new RawClient(a).hello();
    for (let socket = 1; socket <= SOCKETS_MAX; socket += 1) {
      expect(client.request('socket', { socket })).toMatchObject({ ok: true });
      expect(client.request('bind', { socket, port: 0 })).toMatchObject({ ok: true });
    }
    expect(client.request('socket', { socket: 5_000 })).toMatchObject({
      ok: false,
      code: 'EMFILE',
    });
    expect(client.request('socket', { socket: 7 })).toMatchObject({ ok: false, code: 'EEXIST' });
    expect(client.request('close', { socket: 7 })).toMatchObject({ ok: true });
    expect(client.request('close', { socket: 7 })).toMatchObject({ ok: false, code: 'EBADF' });
    expect(client.request('socket', { socket: 7 })).toMatchObject({ ok: true });
    expect([client.port.sockets, a.node.sessions.size]).toEqual([SOCKETS_MAX, SOCKETS_MAX]);
    // Every socket sends to itself through the daemon.
    for (let socket = 8; socket <= SOCKETS_MAX; socket += 1)
      client.push(encodeDatagram(FRAME_SEND, socket, a.id, 700, Uint8Array.of(1)));
    world.runFor(30 * MILLISECOND);
    client.port.close();
    expect([a.node.sessions.size, a.node.pool.inUse]).toEqual([1, 0]);
    honest.expectUndisturbed();
  });

  test(
    'a client that does not read loses its own datagrams, ' +
      'counted, and hears how many when it reads again',
    () => {
      const { world, a, b, honest } = scene(7),
        slow = new RawClient(a).hello();
      const sender = new RawClient(b).hello();
      slow.request('socket', { socket: 3 });
      slow.request('bind', { socket: 3, port: 333 });
      sender.request('socket', { socket: 1 });
      slow.reading = false;
      const before = a.node.drops.of(DropReason.clientTooSlow),
        total = 400,
        payload = new Uint8Array(1_000);
      for (let i = 0; i < total; i += 1) {
        sender.push(encodeDatagram(FRAME_SEND, 1, a.id, 333, payload));
        world.runFor(2 * MILLISECOND);
      }
      world.runFor(100 * MILLISECOND);
      const dropped = a.node.drops.of(DropReason.clientTooSlow) - before;
      expect(dropped).toBeGreaterThan(300);
      // A datagram may come with its head on top of the bound, and no more.
      expect(slow.bufferedBytes).toBeLessThanOrEqual(QUEUE_BYTES + 2_000);
      world.runFor(2 * SECOND);
      expect(slow.events).toEqual([]);
      slow.read();
      world.runFor(300 * MILLISECOND);
      expect(slow.received).toHaveLength(total - dropped);
      expect(slow.events).toEqual([{ event: 'recvDropped', socket: 3, count: dropped }]);
      sender.push(encodeDatagram(FRAME_SEND, 1, a.id, 333, payload));
      world.runFor(10 * MILLISECOND);
      expect(slow.received).toHaveLength(total - dropped + 1);
      honest.expectUndisturbed();
    },
  );

  test(
    'a client that does not read what its sends came ' +
      'to makes the daemon hold no more than its bound',
    () => {
      const { world, a, honest } = scene(8),
        client = new RawClient(a).hello(),
        sockets = 500;
      for (let socket = 1; socket <= sockets; socket += 1) client.request('socket', { socket });
      client.reading = false;
      for (let round = 0; round < 40; round += 1) {
        for (let socket = 1; socket <= sockets; socket += 1)
          client.push(encodeDatagram(FRAME_SEND, socket, 0x0a0000ff, 1, new Uint8Array(1)));
        world.runFor(250 * MILLISECOND);
      }
      // All refusals of one report come together: one bound, and one event a socket.
      expect(client.bufferedBytes).toBeLessThanOrEqual(QUEUE_BYTES + sockets * 200);
      client.read();
      world.runFor(SECOND);
      const told = client.events.reduce((sum, event) => sum + Number(event['count']), 0);
      expect(told).toBe(40 * sockets);
      honest.expectUndisturbed();
    },
  );

  test('a client that asks and does not read is let go', () => {
    const { world, a, honest } = scene(9),
      client = new RawClient(a).hello();
    client.reading = false;
    let asked = 0;
    for (; !client.ended && asked < 10_000; asked += 1) client.request('nodes');
    expect(client.ended).toBe(true);
    expect(client.bufferedBytes).toBeLessThan(3 * QUEUE_BYTES);
    world.runFor(50 * MILLISECOND);
    honest.expectUndisturbed();
  });

  test('more clients than allowed are refused, and room is made by those that leave', () => {
    const { world, a, honest } = scene(10),
      clients: RawClient[] = [];
    while (clients.length < limits.clients - 1) clients.push(new RawClient(a).hello());
    const late = new RawClient(a);
    late.push(encodeControl(FRAME_HELLO, { version: PROTOCOL_VERSION, client: 'late' }));
    expect(late).toMatchObject({
      welcomes: [],
      ended: true,
      events: [{ event: 'closing', code: 'EMFILE' }],
    });
    expect(a.node.drops.of(DropReason.clientRefused)).toBe(1);
    clients[0]!.port.close();
    new RawClient(a).hello();
    world.runFor(50 * MILLISECOND);
    honest.expectUndisturbed();
  });
});
