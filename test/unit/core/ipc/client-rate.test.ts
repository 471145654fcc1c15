/**
 * What a client may send a second: held by datagrams and streams alike, at nobody else's cost; and
 * who must show a token.
 */

import { describe, expect, test } from 'vitest';

import {
  decodeControl,
  encodeControl,
  encodeDatagram,
  encodeStreamHead,
  FRAME_BLOCKED,
  FRAME_EVENT,
  FRAME_HEAD_BYTES,
  FRAME_HELLO,
  FRAME_REPLY,
  FRAME_REQUEST,
  FRAME_SEND,
  FRAME_STREAM_CREDIT,
  FRAME_STREAM_DATA,
  FRAME_WELCOME,
  FRAME_WRITABLE,
  FrameReader,
  getWord,
  HELLO_BYTES_MAX,
  MARK_REDUNDANCY_SHIFT,
  STREAM_CREDIT_INITIAL,
  STREAM_HEAD_BYTES,
} from '../../../../spines-client/src/shared/protocol.ts';
import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import { changeDirection, defaultDirection } from '../../../../src/core/emulation/link-settings.ts';
import { ClientRate } from '../../../../src/core/ipc/client-rate.ts';
import {
  LOCAL_ACCESS,
  type ClientAccess,
  type ClientOut,
} from '../../../../src/core/ipc/client.ts';
import type { ClientPort } from '../../../../src/core/ipc/client-port.ts';
import { defaultLimits, type NodeLimits } from '../../../../src/core/node/config.ts';
import { World, type SimHost } from '../../../../src/lab/sim/world.ts';
import { deadlineUs } from '../../../../src/core/wire/deadline.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { SERVICE_REALTIME } from '../../../../src/core/wire/packet.ts';

type Control = Record<string, unknown>;

class Client implements ClientOut {
  bufferedBytes = 0;
  ended = false;
  welcomed = false;
  blocked = false;
  credit = STREAM_CREDIT_INITIAL;
  received = 0;
  readonly replies: Control[] = [];
  readonly events: Control[] = [];
  readonly port: ClientPort;
  readonly #host: SimHost;
  readonly #reader = new FrameReader({
    onFrame: (type, bytes, start, end) => this.#onFrame(type, bytes.slice(start, end)),
  });
  #id = 0;

  constructor(host: SimHost, access: ClientAccess = LOCAL_ACCESS, hello: Control = {}) {
    this.#host = host;
    this.port = host.node.attachClient(this, access)!;
    this.say(encodeControl(FRAME_HELLO, { version: 1, client: 'test', ...hello }));
  }

  write(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  append(head: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    this.write(Uint8Array.of(...head, ...bytes.subarray(start, end)));
  }

  end(): void {
    this.ended = true;
  }

  say(frame: Uint8Array): void {
    this.port.onBytes(frame);
    this.#host.endTurn();
  }

  request(op: string, args: Control = {}): Control | undefined {
    this.#id += 1;
    this.say(encodeControl(FRAME_REQUEST, { id: this.#id, op, ...args }));
    return this.replies.find((reply) => reply['id'] === this.#id);
  }

  #onFrame(type: number, body: Uint8Array): void {
    if (type === FRAME_REPLY) this.replies.push(decodeControl(body)!);
    else if (type === FRAME_EVENT) this.events.push(decodeControl(body)!);
    else if (type === FRAME_WELCOME) this.welcomed = true;
    else if (type === FRAME_BLOCKED || type === FRAME_WRITABLE)
      this.blocked = type === FRAME_BLOCKED;
    else if (type === FRAME_STREAM_CREDIT) this.credit += getWord(body, 4);
    else if (type === FRAME_STREAM_DATA) this.received += body.length - STREAM_HEAD_BYTES;
    else this.received += 1;
  }
}

function pair(limits: Partial<NodeLimits>): { world: World; a: SimHost; b: SimHost } {
  const world = new World({ seed: 11 });
  const [a, b] = [
    world.addHost(0x0a000001, 'a', { limits: { ...defaultLimits, ...limits } }),
    world.addHost(0x0a000002, 'b'),
  ];
  const wire = changeDirection(defaultDirection(), { latencyUs: 1_000 });
  world.connect(a, b, wire, wire);
  a.start();
  b.start();
  world.runFor(1 * SECOND);
  return { world, a, b };
}

test(
  'a realtime socket has a deadline, and its program hears that it may mark messages; ' +
    'a realtime stream is refused, and a deadline with other links',
  () => {
    const { a } = pair({});
    const client = new Client(a);
    expect(
      client.request('socket', { socket: 1, link: 'realtime', deadlineMs: 60, late: 'deliver' }),
    ).toMatchObject({ ok: true, link: 'realtime' });
    const option = (name: string): unknown =>
      client.request('getOption', { socket: 1, option: name })?.['value'];
    expect(['deadlineMs', 'late', 'redundancy'].map(option)).toEqual([60, 'deliver', 'auto']);
    for (const [name, value] of [
      ['deadlineMs', 2_000],
      ['late', 'drop'],
      ['redundancy', 'copy'],
    ] as const) {
      client.request('setOption', { socket: 1, option: name, value });
      expect(option(name)).toBe(value);
    }
    for (const wrong of [
      { deadlineMs: 0 },
      { deadlineMs: 2_001 },
      { late: 'x' },
      { redundancy: 1 },
    ])
      expect(client.request('socket', { socket: 9, link: 'realtime', ...wrong })).toMatchObject({
        ok: false,
        code: 'EINVAL',
      });
    expect(client.request('socket', { socket: 9, deadlineMs: 60 })).toMatchObject({
      ok: false,
      code: 'EINVAL',
    });
    expect(client.request('socket', { socket: 2, link: 'reliable' })).not.toHaveProperty('link');
    expect(client.request('socket', { socket: 3, kind: 'stream', link: 'realtime' })).toMatchObject(
      {
        ok: false,
        code: 'EOPNOTSUPP',
      },
    );
  },
);

test('a message has a deadline and redundancy of its own, its socket keeps what it had', () => {
  const { world, a, b } = pair({});
  const client = new Client(a),
    there = new Client(b);
  client.request('socket', { socket: 1, link: 'realtime', deadlineMs: 200 });
  there.request('socket', { socket: 1, link: 'realtime' });
  there.request('bind', { socket: 1, port: 7 });
  const send = (marks: number): void => {
    const frame = encodeDatagram(FRAME_SEND, 1, b.id, 7, Uint8Array.of(1));
    frame[FRAME_HEAD_BYTES + 10] = marks >> 8;
    frame[FRAME_HEAD_BYTES + 11] = marks & 0xff;
    client.say(frame);
  };
  const modes: [number, number][] = [];
  const link = a.node.links.of(b.id)!,
    service = link.service(SERVICE_REALTIME)!,
    { offer } = service;
  service.offer = (packet) => {
    modes.push([deadlineUs(packet.deadline) - packet.ageUs, packet.priority]);
    return offer.call(service, packet);
  };
  const copy = 3 << MARK_REDUNDANCY_SHIFT,
    none = 2 << MARK_REDUNDANCY_SHIFT;
  for (const marks of [0, 47, 90 | copy, copy, 1 | none, 0]) send(marks);
  world.runFor(SECOND);
  expect(modes).toEqual([
    [200_000, 1],
    [47_000, 1],
    [90_000, 8],
    [200_000, 8],
    [1_000, 1],
    [200_000, 1],
  ]);
  expect(there.received).toBe(6);
  expect([client.ended, a.node.drops.snapshot()]).toEqual([false, {}]);
  // Marks that are none end the client.
  send(0x4000);
  expect(client.ended).toBe(true);
});

describe('datagrams', () => {
  test(
    'over the rate are refused, the client is told to wait and told when to go on, ' +
      'and another client is not held up',
    () => {
      const { world, a, b } = pair({ clientPacketsPerSecond: 100 });
      const [greedy, modest, far] = [new Client(a), new Client(a), new Client(b)];
      far.request('socket', { socket: 1 });
      far.request('bind', { socket: 1, port: 70 });
      greedy.request('socket', { socket: 1 });
      modest.request('socket', { socket: 1 });
      const packet = encodeDatagram(FRAME_SEND, 1, b.id, 70, new Uint8Array(100));
      let sent = 0;
      for (let ms = 0; ms < 10_000; ms += 10) {
        for (let i = 0; i < 5 && !greedy.blocked; i += 1, sent += 1) greedy.say(packet);
        if (ms % 100 === 0) modest.say(packet);
        expect(modest.blocked).toBe(false);
        world.runFor(10 * MILLISECOND);
      }
      expect(sent).toBeGreaterThan(950);
      expect(sent).toBeLessThan(1_050);
      expect(far.received).toBe(sent + 100);
      expect(a.node.drops.of(DropReason.clientOverRate)).toBe(0);
      for (let i = 0; i < 100; i += 1) greedy.say(packet);
      expect(a.node.drops.of(DropReason.clientOverRate)).toBeGreaterThan(80);
      expect(greedy.events[0]).toMatchObject({
        event: 'sendError',
        socket: 1,
        code: 'ENOBUFS',
        message: expect.stringContaining('limits.clientPacketsPerSecond'),
      });
      expect(greedy.blocked).toBe(true);
      world.runFor(2 * SECOND);
      expect(greedy.blocked).toBe(false);
      expect(greedy.ended).toBe(false);
    },
  );

  test('larger than what is left go whole, and are paid for afterwards', () => {
    const { world, a, b } = pair({ clientBytesPerSecond: 20_000 });
    const client = new Client(a);
    client.request('socket', { socket: 1 });
    const packet = encodeDatagram(FRAME_SEND, 1, b.id, 70, new Uint8Array(60_000));
    let sent = 0;
    for (let ms = 0; ms < 30_000; ms += 50) {
      if (!client.blocked) {
        client.say(packet);
        sent += 1;
      }
      world.runFor(50 * MILLISECOND);
    }
    expect(sent).toBeGreaterThanOrEqual(10);
    expect(sent).toBeLessThanOrEqual(11);
  });
});

test(
  'connections with one certificate have one rate, ' +
    'also one that comes again; another certificate has its own',
  () => {
    const { world, a, b } = pair({ clientPacketsPerSecond: 100 });
    const far = [70, 71].map((port) => {
      const client = new Client(b);
      client.request('socket', { socket: 1 });
      client.request('bind', { socket: 1, port });
      return client;
    });
    const of = (certificate: string): Client => {
      const client = new Client(a, { ...LOCAL_ACCESS, certificate, role: 'use' });
      client.request('socket', { socket: 1 });
      return client;
    };
    const to = (port: number): Uint8Array =>
      encodeDatagram(FRAME_SEND, 1, b.id, port, new Uint8Array(100));
    let mine = [of('mine'), of('mine'), of('mine')];
    const other = of('other');
    for (let ms = 0; ms < 5_000; ms += 10) {
      for (const client of mine)
        for (let i = 0; i < 2 && !client.blocked; i += 1) client.say(to(70));
      if (!other.blocked) other.say(to(71));
      world.runFor(10 * MILLISECOND);
      if (ms % 500 !== 490) continue;
      for (const client of mine) client.port.close();
      mine = [of('mine'), of('mine'), of('mine')];
    }
    const [sent, others] = far.map(({ received }) => received) as [number, number];
    expect(others).toBeGreaterThan(450);
    expect(sent).toBeGreaterThan(450);
    // A tenth of a second in advance, once.
    expect(sent).toBeLessThan(515);
  },
);

test('a program has so many byzantine paths a second searched, and another one its own', () => {
  const { world, a } = pair({});
  const [busy, calm] = [new Client(a), new Client(a)];
  const codes = Array.from(
    { length: 30 },
    () => busy.request('byzantineTrace', { node: '10.9.9.9', timeoutMs: 100 })?.['code'],
  );
  expect(codes.filter((code) => code === 'EAGAIN').length).toBe(20);
  expect(calm.request('byzantineTrace', { node: '10.9.9.9', timeoutMs: 100 })?.['code']).not.toBe(
    'EAGAIN',
  );
  world.runFor(SECOND);
  expect(busy.request('byzantineTrace', { node: '10.9.9.9', timeoutMs: 100 })?.['code']).not.toBe(
    'EAGAIN',
  );
});

test("a stream gets its credit at the client's rate", () => {
  const { world, a, b } = pair({ clientBytesPerSecond: 100_000 });
  const [near, far] = [new Client(a), new Client(b)];
  far.request('socket', { socket: 9, kind: 'stream' });
  far.request('listen', { socket: 9, port: 80 });
  near.request('socket', { socket: 1, kind: 'stream' });
  near.request('connect', { socket: 1, node: 'b', port: 80 });
  world.runFor(1 * SECOND);
  const accepted = far.events[0]!['socket'] as number;
  let sent = 0;
  for (let ms = 0; ms < 20_000; ms += 20) {
    while (near.credit >= 10_000) {
      const frame = new Uint8Array(FRAME_HEAD_BYTES + STREAM_HEAD_BYTES + 10_000);
      encodeStreamHead(frame, 0, 1, 10_000);
      near.credit -= 10_000;
      sent += 10_000;
      near.say(frame);
    }
    const got = far.received;
    if (got > 0)
      far.say(
        Uint8Array.of(
          0,
          0,
          0,
          9,
          FRAME_STREAM_CREDIT,
          ...[accepted >>> 24, accepted >>> 16, accepted >>> 8, accepted].map(
            (byte) => byte & 0xff,
          ),
          0,
          0,
          0x40,
          0,
        ),
      );
    world.runFor(20 * MILLISECOND);
  }
  expect(near.ended).toBe(false);
  // What may be written at first counts too, but goes before its time.
  expect(sent).toBeGreaterThan(1_900_000);
  expect(sent).toBeLessThan(2_000_000 + 50_000);
  // A further stream waits until the client has paid, and the wait is not lost.
  for (let i = 0; i < 3; i += 1) near.request('socket', { socket: 2 + i, kind: 'stream' });
  const before = near.replies.length;
  const frame = new Uint8Array(FRAME_HEAD_BYTES + STREAM_HEAD_BYTES + 60_000);
  near.request('connect', { socket: 2, node: 'b', port: 80 });
  world.runFor(1 * SECOND);
  encodeStreamHead(frame, 0, 2, 60_000);
  near.say(frame);
  near.request('connect', { socket: 3, node: 'b', port: 80 });
  world.runFor(100 * MILLISECOND);
  expect(near.replies.length).toBe(before + 1);
  world.runFor(2 * SECOND);
  expect(near.replies.slice(before)).toMatchObject([{ ok: true }, { ok: true }]);
});

test('a limit that is set later owes nothing for what was sent before', () => {
  const limits = { bytesPerSecond: 0, packetsPerSecond: 0 };
  const rate = new ClientRate(limits);
  expect(rate.open(0)).toBe(true);
  rate.takeMessage(1e9, 0);
  limits.bytesPerSecond = 1_000;
  expect(rate.open(1)).toBe(true);
  rate.takeMessage(600, 1);
  expect(rate.open(1)).toBe(false);
  expect(rate.opensAt(1)).toBeGreaterThan(0.49 * SECOND);
  expect(rate.opensAt(1)).toBeLessThan(0.51 * SECOND);
  expect(rate.open(rate.opensAt(1))).toBe(true);
});

describe('a token', () => {
  const access: ClientAccess = {
    ...LOCAL_ACCESS,
    tokenGrant: (token) => (token === 'right' ? { role: 'full', file: 'token' } : null),
  };

  test('lets a client in, and nothing else does', () => {
    const { a } = pair({});
    expect(new Client(a, access, { token: 'right' }).welcomed).toBe(true);
    for (const hello of [
      {},
      { token: 'wrong' },
      { token: 5 },
      { token: null },
      { token: ['right'] },
    ]) {
      const client = new Client(a, access, hello);
      expect(client).toMatchObject({ welcomed: false, ended: true });
      expect(client.events).toMatchObject([
        { event: 'closing', code: 'EACCES', message: expect.stringMatching(/token/) },
      ]);
      client.port.onBytes(encodeControl(FRAME_HELLO, { version: 1, client: 'x', token: 'right' }));
      expect(client.welcomed).toBe(false);
    }
    expect(a.node.drops.of(DropReason.clientUnauthenticated)).toBe(5);
  });

  test('must come in a short HELLO and in time', () => {
    const { world, a } = pair({});
    const long = new Client(a, access, { token: 'right' });
    expect(long.welcomed).toBe(true);
    const silent = a.node.attachClient(long, access)!;
    silent.onBytes(Uint8Array.of(0, 3, 0, 0, FRAME_HELLO));
    expect(a.node.drops.of(DropReason.clientFrameMalformed)).toBe(0);
    silent.onBytes(new Uint8Array(HELLO_BYTES_MAX));
    expect(a.node.drops.of(DropReason.clientFrameMalformed)).toBe(1);
    a.node.attachClient(long, access);
    world.runFor(6 * SECOND);
    expect(a.node.drops.of(DropReason.clientFrameMalformed)).toBe(2);
  });
});

test('a remote client may look, and change nothing', () => {
  const { a } = pair({});
  const client = new Client(a, { ...LOCAL_ACCESS, certificate: 'alice', role: 'use' });
  expect(client.request('status')).toMatchObject({ ok: true });
  expect(client.request('socket', { socket: 1 })).toMatchObject({ ok: true });
  expect(client.request('sessions')).toMatchObject({ sessions: [{ certificate: 'alice' }] });
  for (const op of ['shutdown', 'linkSet', 'reload', 'anything'])
    expect(client.request(op), op).toMatchObject({ ok: false, code: 'EACCES' });
  expect(new Client(a).request('anything')).toMatchObject({ ok: false, code: 'ENOSYS' });
});
