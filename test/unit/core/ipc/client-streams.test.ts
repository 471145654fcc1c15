/**
 * Stream sockets of clients, frame by frame: credit in both directions, the order of ends, and what
 * a client may not do.
 */

import { describe, expect, test } from 'vitest';
import {
  ACCEPTED_SOCKET_FIRST,
  decodeControl,
  encodeControl,
  encodeCredit,
  encodeSocketFrame,
  encodeStreamHead,
  FRAME_EVENT,
  FRAME_HEAD_BYTES,
  FRAME_HELLO,
  FRAME_REPLY,
  FRAME_REQUEST,
  FRAME_STREAM_CREDIT,
  FRAME_STREAM_DATA,
  FRAME_STREAM_END,
  FRAME_STREAM_RESET,
  FrameReader,
  getWord,
  STREAM_CREDIT_INITIAL,
  STREAM_HEAD_BYTES,
} from '../../../../spines-client/src/shared/protocol.ts';
import { SECOND } from '../../../../src/core/base/time.ts';
import { changeDirection, defaultDirection } from '../../../../src/core/emulation/link-settings.ts';
import type { ClientOut } from '../../../../src/core/ipc/client.ts';
import type { ClientPort } from '../../../../src/core/ipc/client-port.ts';
import { World, type SimHost } from '../../../../src/lab/sim/world.ts';

type Control = Record<string, unknown>;

/** A client program that says what a test tells it to, and remembers what it heard. */
class Client implements ClientOut {
  bufferedBytes = 0;
  ended = false;
  readonly replies: Control[] = [];
  readonly events: Control[] = [];
  /** Everything but replies, in order: 'data N', 'end', 'credit', an event's name. */
  readonly order: string[] = [];
  readonly data = new Map<number, number[]>();
  credit = 0;
  readonly #host: SimHost;
  readonly #port: ClientPort;
  readonly #reader = new FrameReader({
    onFrame: (type, bytes, start, end) => this.#onFrame(type, bytes.slice(start, end)),
  });
  #id = 0;

  constructor(host: SimHost) {
    this.#host = host;
    this.#port = host.node.attachClient(this)!;
    this.say(encodeControl(FRAME_HELLO, { version: 1, client: 'test' }));
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

  say(...frames: Uint8Array[]): void {
    for (const frame of frames) this.#port.onBytes(frame);
    this.#host.endTurn();
  }

  request(op: string, args: Control): void {
    this.#id += 1;
    this.say(encodeControl(FRAME_REQUEST, { id: this.#id, op, ...args }));
  }

  send(socket: number, text: Uint8Array): void {
    const frame = new Uint8Array(FRAME_HEAD_BYTES + STREAM_HEAD_BYTES + text.length);
    frame.set(text, encodeStreamHead(frame, 0, socket, text.length));
    this.say(frame);
  }

  hangUp(): void {
    this.#port.close();
    this.#host.endTurn();
  }

  #onFrame(type: number, body: Uint8Array): void {
    if (type === FRAME_REPLY) this.replies.push(decodeControl(body)!);
    else if (type === FRAME_EVENT) {
      this.events.push(decodeControl(body)!);
      this.order.push(String(this.events.at(-1)!['event']));
    } else if (type === FRAME_STREAM_DATA) {
      const socket = getWord(body, 0);
      const data = this.data.get(socket) ?? [];
      data.push(...body.subarray(STREAM_HEAD_BYTES));
      this.data.set(socket, data);
      this.order.push(`data ${body.length - STREAM_HEAD_BYTES}`);
    } else if (type === FRAME_STREAM_END) this.order.push('end');
    else if (type === FRAME_STREAM_CREDIT) {
      this.credit += getWord(body, 4);
      this.order.push('credit');
    }
  }
}

interface Scene {
  world: World;
  near: Client;
  far: Client;
  accepted: number;
}

/**
 * Two hosts, a client on each, and a stream from the near client's socket 1 to the far client's
 * listener 9.
 */
function connected(): Scene {
  const world = new World({ seed: 3 });
  const [a, b] = [world.addHost(0x0a000001, 'a'), world.addHost(0x0a000002, 'b')];
  const wire = changeDirection(defaultDirection(), { latencyUs: 2_000 });
  world.connect(a, b, wire, wire);
  a.start();
  b.start();
  world.runFor(1 * SECOND);
  const [near, far] = [new Client(a), new Client(b)];
  far.request('socket', { socket: 9, kind: 'stream' });
  far.request('listen', { socket: 9, port: 80 });
  near.request('socket', { socket: 1, kind: 'stream' });
  near.request('connect', { socket: 1, node: 'b', port: 80 });
  world.runFor(1 * SECOND);
  expect(near.replies.map((reply) => reply['ok'])).toEqual([true, true]);
  expect(near.replies[1]).toMatchObject({
    node: '10.0.0.1',
    remoteNode: '10.0.0.2',
    remotePort: 80,
  });
  expect(far.events).toMatchObject([{ event: 'accepted', listener: 9, node: '10.0.0.1' }]);
  const accepted = far.events[0]!['socket'] as number;
  expect(accepted).toBeGreaterThanOrEqual(ACCEPTED_SOCKET_FIRST);
  return { world, near, far, accepted };
}

const pattern = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31) & 0xff);

describe('stream sockets of a client', () => {
  test('carry bytes both ways and end in order: data, end, closed', () => {
    const { world, near, far, accepted } = connected();
    near.send(1, pattern(1_000));
    near.say(encodeSocketFrame(FRAME_STREAM_END, 1));
    world.runFor(1 * SECOND);
    expect(Uint8Array.from(far.data.get(accepted)!)).toEqual(pattern(1_000));
    far.send(accepted, pattern(10));
    far.say(encodeSocketFrame(FRAME_STREAM_END, accepted));
    world.runFor(5 * SECOND);
    expect(near.order.filter((what) => what !== 'credit')).toEqual([
      'data 10',
      'end',
      'streamClosed',
    ]);
    expect(near.events.at(-1)).toEqual({ event: 'streamClosed', socket: 1 });
    expect(far.events.at(-1)).toEqual({ event: 'streamClosed', socket: accepted });
  });

  test(
    'a client that gives no credit gets no more than it promised to take, ' +
      'and the rest when it does',
    () => {
      const { world, near, far, accepted } = connected();
      let sent = 0;
      for (let round = 0; round < 100; round += 1) {
        while (sent + 16_384 <= STREAM_CREDIT_INITIAL + near.credit && sent < 2_000_000) {
          near.send(1, pattern(16_384));
          sent += 16_384;
        }
        world.runFor(SECOND / 10);
      }
      expect(far.data.get(accepted)!.length).toBe(STREAM_CREDIT_INITIAL);
      expect(sent).toBeGreaterThan(STREAM_CREDIT_INITIAL);
      far.say(encodeCredit(accepted, 4_000_000));
      world.runFor(5 * SECOND);
      expect(far.data.get(accepted)!.length).toBe(sent);
    },
  );

  test('a client that sends beyond its credit loses its connection, and nobody else does', () => {
    const { world, near, far } = connected();
    for (let i = 0; i < 8 && !near.ended; i += 1) near.send(1, new Uint8Array(65_536));
    expect(near.ended).toBe(true);
    expect(near.events.at(-1)).toMatchObject({ event: 'closing', code: 'EPROTO' });
    world.runFor(1 * SECOND);
    expect(far.ended).toBe(false);
  });

  test(
    'what a client wrote before it hung up is delivered, ' +
      'and ends as a reset unless it had ended it',
    () => {
      for (const how of ['in the middle', 'ended', 'closed']) {
        const { world, near, far, accepted } = connected();
        near.send(1, pattern(50_000));
        if (how === 'ended') near.say(encodeSocketFrame(FRAME_STREAM_END, 1));
        if (how === 'closed') near.request('close', { socket: 1 });
        near.hangUp();
        world.runFor(5 * SECOND);
        expect(far.data.get(accepted)!.length).toBe(50_000);
        expect(far.order.includes('end'), how).toBe(how !== 'in the middle');
        if (how === 'in the middle')
          expect(far.events.at(-1)).toMatchObject({ event: 'streamClosed', code: 'ECONNRESET' });
      }
    },
  );

  test('a reset reaches the far end as one', () => {
    const { world, near, far, accepted } = connected();
    near.say(encodeSocketFrame(FRAME_STREAM_RESET, 1));
    world.runFor(1 * SECOND);
    expect(far.events.at(-1)).toMatchObject({
      event: 'streamClosed',
      socket: accepted,
      code: 'ECONNRESET',
    });
  });

  test('nobody listens, nobody is there, and numbers that are taken are each said', () => {
    const { world, near } = connected();
    near.request('socket', { socket: 2, kind: 'stream' });
    near.request('connect', { socket: 2, node: 'b', port: 81 });
    near.request('socket', { socket: 3, kind: 'stream' });
    near.request('connect', { socket: 3, node: 'nobody', port: 80 });
    near.request('socket', { socket: 1, kind: 'stream' });
    near.request('connect', { socket: 1, node: 'b', port: 80 });
    near.request('socket', { socket: ACCEPTED_SOCKET_FIRST, kind: 'stream' });
    world.runFor(2 * SECOND);
    const codes = new Map(
      near.replies
        .filter((reply) => reply['ok'] === false)
        .map((reply) => [reply['id'], reply['code']]),
    );
    expect([...codes].sort()).toEqual([
      [4, 'ECONNREFUSED'],
      [6, 'ENOTFOUND'],
      [7, 'EEXIST'],
      [8, 'EISCONN'],
      [9, 'EINVAL'],
    ]);
  });

  test(
    'have limits of their own, of listeners for what they accept, ' +
      'and changed later; what they are in force is told',
    () => {
      const { world, near, far, accepted } = connected();
      const last = (client: Client): unknown =>
        client.replies.at(-1)?.['value'] ?? client.replies.at(-1)?.['code'] ?? 'ok';
      const value = (client: Client, socket: number, option: string): unknown => {
        client.request('getOption', { socket, option });
        return last(client);
      };
      expect([
        value(near, 1, 'keepaliveMs'),
        value(near, 1, 'silenceMs'),
        value(far, accepted, 'silenceMs'),
      ]).toEqual([15_000, 30_000, 30_000]);
      near.request('setOption', { socket: 1, option: 'silenceMs', value: 4_000 });
      expect([last(near), value(near, 1, 'keepaliveMs'), value(near, 1, 'silenceMs')]).toEqual([
        'ok',
        2_000,
        4_000,
      ]);
      near.request('setOption', { socket: 1, option: 'keepaliveMs', value: 0 });
      expect([value(near, 1, 'keepaliveMs'), value(near, 1, 'silenceMs')]).toEqual([0, 4_000]);
      near.request('setOption', { socket: 1, option: 'silenceMs', value: null });
      near.request('setOption', { socket: 1, option: 'keepaliveMs', value: null });
      expect([value(near, 1, 'keepaliveMs'), value(near, 1, 'silenceMs')]).toEqual([
        15_000, 30_000,
      ]);
      // What a listener has from now on, the next stream gets.
      far.request('setOption', { socket: 9, option: 'silenceMs', value: 7_000 });
      near.request('socket', {
        socket: 2,
        kind: 'stream',
        keepaliveMs: 500,
        silenceMs: 86_400_000,
      });
      near.request('connect', { socket: 2, node: 'b', port: 80 });
      world.runFor(1 * SECOND);
      const second = far.events.at(-1)!['socket'] as number;
      expect([
        value(near, 2, 'keepaliveMs'),
        value(near, 2, 'silenceMs'),
        value(far, second, 'keepaliveMs'),
        value(far, second, 'silenceMs'),
        value(far, accepted, 'silenceMs'),
      ]).toEqual([500, 86_400_000, 3_500, 7_000, 30_000]);
    },
  );

  test(
    'limits out of range, of datagrams, ' +
      'or of other names are refused with what they may be, and change nothing',
    () => {
      const { near } = connected();
      const refused = (op: string, args: Control): unknown => {
        near.request(op, args);
        const { code, message } = near.replies.at(-1)!;
        return `${String(code)} ${String(message)}`;
      };
      for (const silenceMs of [0, 999, -1, 1_000.5, 86_400_001, NaN, '5000', true, [1_000], {}]) {
        expect(refused('socket', { socket: 5, kind: 'stream', silenceMs }), String(silenceMs)).toBe(
          'EINVAL silenceMs must be a whole number from 1000 to 86400000',
        );
        expect(
          refused('setOption', { socket: 1, option: 'silenceMs', value: silenceMs }),
          String(silenceMs),
        ).toBe('EINVAL silenceMs must be a whole number from 1000 to 86400000');
      }
      for (const keepaliveMs of [1, 499, -1, 1e12, '0']) {
        expect(
          refused('socket', { socket: 5, kind: 'stream', keepaliveMs }),
          String(keepaliveMs),
        ).toBe('EINVAL keepaliveMs must be a whole number from 500 to 86400000, or 0 for none');
      }
      expect(refused('socket', { socket: 5, silenceMs: 5_000 })).toBe(
        'EINVAL silenceMs is for streams; leave it out, or ask for kind "stream"',
      );
      expect(refused('setOption', { socket: 1, option: 'ttl', value: 5 })).toBe(
        'ENOPROTOOPT option of a stream must be "keepaliveMs" or "silenceMs"',
      );
      expect(refused('getOption', { socket: 1, option: 'ttl' })).toBe(
        'ENOPROTOOPT option of a stream must be "keepaliveMs" or "silenceMs"',
      );
      expect(refused('setOption', { socket: 77, option: 'silenceMs', value: 5_000 })).toMatch(
        /^EBADF/,
      );
      near.request('socket', { socket: 6 });
      expect(refused('setOption', { socket: 6, option: 'silenceMs', value: 5_000 })).toBe(
        'ENOPROTOOPT option must be "ttl", "priority", "deadlineMs", "late", "redundancy", ' +
          '"paths", "graph", "multicastTtl" or "multicastLoopback"',
      );
      near.request('socket', { socket: 7, routing: 'paths', paths: 3 });
      near.request('getOption', { socket: 7, option: 'paths' });
      expect(near.replies.at(-1)).toMatchObject({ ok: true, value: 3 });
      near.request('setOption', { socket: 7, option: 'paths', value: 5 });
      near.request('getOption', { socket: 7, option: 'paths' });
      expect(near.replies.at(-1)).toMatchObject({ ok: true, value: 5 });
      for (const value of [0, 6, 1.5, '2'])
        expect(refused('setOption', { socket: 7, option: 'paths', value })).toMatch(/^EINVAL/);
      expect(refused('setOption', { socket: 6, option: 'paths', value: 2 })).toMatch(/^EINVAL/);
      for (const kind of ['datagram', 'stream'])
        expect(refused('socket', { socket: 8, kind, routing: 'paths', link: 'reliable' })).toMatch(
          /^EOPNOTSUPP/,
        );
      near.request('getOption', { socket: 1, option: 'silenceMs' });
      expect(near.replies.at(-1)).toMatchObject({ ok: true, value: 30_000 });
    },
  );

  test(
    'whose far daemon is killed are over after the limit, ' +
      'with a message that names the missing route',
    () => {
      const { world, near } = connected();
      near.request('setOption', { socket: 1, option: 'silenceMs', value: 3_000 });
      world.hosts[1]!.crash();
      world.runFor(3 * SECOND);
      expect(near.events).toEqual([]);
      world.runFor(1 * SECOND);
      expect(near.events).toMatchObject([{ event: 'streamClosed', socket: 1, code: 'ETIMEDOUT' }]);
      expect(near.events[0]!['message']).toBe(
        'b port 80 has been out of reach for too long, no route leads there; `spines routes` ' +
          'shows ' +
          'what is reachable',
      );
    },
  );
});
