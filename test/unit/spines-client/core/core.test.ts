/** The client core against a scripted sink. */

import { describe, expect, it } from 'vitest';

import { ClientCore } from '../../../../spines-client/src/core/core.ts';
import type { SocketListener } from '../../../../spines-client/src/core/core.ts';
import { MESSAGE_COST_BYTES } from '../../../../spines-client/src/core/receive-queue.ts';
import type { SpinesClientError } from '../../../../spines-client/src/errors.ts';
import * as p from '../../../../spines-client/src/shared/protocol.ts';

const WELCOME = {
  version: p.PROTOCOL_VERSION,
  node: '10.0.0.1',
  name: 'alpha',
  instance: 'one',
  messageBytesMax: 65_536,
  socketsMax: 100,
};

function setUp(requestsMax = 4) {
  const log: string[] = [];
  const sent: { type: number; body: Uint8Array }[] = [];
  const thrown: unknown[] = [];
  const outgoing = new p.FrameReader({
    onFrame: (type, bytes, start, end) => {
      sent.push({ type, body: bytes.slice(start, end) });
    },
  });
  const room = { value: true };
  const core = new ClientCore({
    requestsMax,
    sink: {
      write: (bytes) => {
        outgoing.push(bytes);
        return room.value;
      },
      end: () => log.push('end'),
    },
    listener: {
      onWelcome: (welcome) => log.push(`welcome ${welcome.instance}`),
      onDraining: () => log.push('draining'),
      onClosed: (error) => log.push(`closed ${error.code}`),
      onThrown: (error) => thrown.push(error),
    },
  });
  const listener: SocketListener = {
    onMessage: (payload, node, port) =>
      log.push(`message ${Buffer.from(payload).toString()} ${node} ${port}`),
    onBlocked: () => log.push('blocked'),
    onWritable: () => log.push('writable'),
    onDropped: (count) => log.push(`dropped ${count}`),
    onSendError: (error) => log.push(`sendError ${error.code} ${error.count}`),
  };
  return { core, log, sent, thrown, listener, room };
}

function opened(requestsMax?: number) {
  const made = setUp(requestsMax);
  made.core.onConnected();
  made.core.onBytes(p.encodeControl(p.FRAME_WELCOME, WELCOME));
  made.log.length = 0;
  made.sent.length = 0;
  return made;
}

describe('ClientCore', () => {
  it('greets first and is open after WELCOME', () => {
    const { core, log, sent } = setUp();
    core.onConnected();
    expect(sent[0]!.type).toBe(p.FRAME_HELLO);
    expect(core.state).toBe('greeting');
    core.onBytes(p.encodeControl(p.FRAME_WELCOME, WELCOME));
    expect(core.state).toBe('open');
    expect(log).toEqual(['welcome one']);
  });

  it('matches replies to requests in any order', () => {
    const { core, sent } = opened();
    const results: unknown[] = [];
    core.request('a', {}, (error, result) => results.push(['a', error?.code, result]));
    core.request('b', { skipped: undefined }, (error, result) =>
      results.push(['b', error?.code, result]),
    );
    const [a, b] = sent.map((frame) => p.decodeControl(frame.body)!);
    expect(Object.keys(b!)).not.toContain('skipped');
    core.onBytes(p.encodeControl(p.FRAME_REPLY, { id: b!['id'], ok: true, x: 1 }));
    core.onBytes(
      p.encodeControl(p.FRAME_REPLY, { id: a!['id'], ok: false, code: 'ENOENT', message: 'no' }),
    );
    expect(results).toEqual([
      ['b', undefined, { x: 1 }],
      ['a', 'ENOENT', {}],
    ]);
    expect(core.outstandingRequests).toBe(0);
  });

  it('refuses requests past the bound, before the greeting, and those it cannot encode', () => {
    const codes: (string | undefined)[] = [];
    const done = (error: SpinesClientError | null): void => {
      codes.push(error?.code);
    };
    setUp().core.request('early', {}, done);
    const { core } = opened(2);
    core.request('encode', { value: 2n ** 70n }, done);
    core.request('large', { value: 'x'.repeat(p.FRAME_LENGTH_MAX) }, done);
    core.request('a', {}, done);
    core.request('b', {}, done);
    core.request('c', {}, done);
    expect(codes).toEqual(['ENOTCONN', 'EINVAL', 'EMSGSIZE', 'ENOBUFS']);
  });

  it('answers outstanding requests with ECONNRESET when the connection ends', () => {
    const { core, log } = opened();
    core.request('a', {}, (error) => log.push(error!.code));
    core.onClosed();
    core.onClosed();
    expect(log).toEqual(['ECONNRESET', 'closed ECONNRESET']);
  });

  it('starts over on a new connection, without half a frame of the old one', () => {
    const { core, log } = opened();
    core.onBytes(Uint8Array.of(0, 0, 1));
    core.onClosed();
    core.onConnected();
    core.onBytes(p.encodeControl(p.FRAME_WELCOME, { ...WELCOME, instance: 'two' }));
    expect(log.at(-1)).toBe('welcome two');
  });

  it.each<[string, Uint8Array]>([
    ['an impossible length', Uint8Array.of(0, 0, 0, 0, 0)],
    ['an unknown type', p.encodeControl(0x66, {})],
    ['a frame that only clients send', p.encodeControl(p.FRAME_HELLO, {})],
    ['a second WELCOME', p.encodeControl(p.FRAME_WELCOME, WELCOME)],
    ['a reply to no request', p.encodeControl(p.FRAME_REPLY, { id: 99, ok: true })],
    ['a reply that is no map', Uint8Array.of(0, 0, 0, 2, p.FRAME_REPLY, 0xc1)],
    ['a short RECV', Uint8Array.of(0, 0, 0, 5, p.FRAME_RECV, 0, 0, 0, 1)],
    [
      'a RECV with reserved bits',
      p.encodeDatagram(p.FRAME_RECV, 1, 1, 1, new Uint8Array(0)).fill(2, 16, 17),
    ],
    [
      'a RECV beyond the largest message',
      p.encodeDatagram(p.FRAME_RECV, 1, 1, 1, new Uint8Array(p.MESSAGE_BYTES_MAX + 1)),
    ],
    ['a BLOCKED with a tail', p.encodeControl(p.FRAME_BLOCKED, { socket: 12 })],
    ['an event without a name', p.encodeControl(p.FRAME_EVENT, {})],
    [
      'a sendError without a code',
      p.encodeControl(p.FRAME_EVENT, { event: 'sendError', socket: 1, count: 1 }),
    ],
  ])('ends the connection with EPROTO on %s', (_what, bytes) => {
    const { core, log } = opened();
    core.openSocket({
      onMessage() {},
      onBlocked() {},
      onWritable() {},
      onDropped() {},
      onSendError() {},
    });
    core.onBytes(bytes);
    expect(log).toEqual(['end', 'closed EPROTO']);
    expect(core.state).toBe('closed');
  });

  it('ends the greeting with EPROTO on a malformed WELCOME and on another version', () => {
    for (const welcome of [{}, { ...WELCOME, node: 5 }, { ...WELCOME, version: 999 }]) {
      const { core, log } = setUp();
      core.onConnected();
      core.onBytes(p.encodeControl(p.FRAME_WELCOME, welcome));
      expect(log).toEqual(['end', 'closed EPROTO']);
    }
  });

  it('survives random bytes without throwing', () => {
    let state = 7;
    const next = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
    for (let i = 0; i < 2000; i++) {
      const { core, listener } = opened();
      core.openSocket(listener);
      const body = Uint8Array.from({ length: next() % 40 }, () => next());
      const frame = new Uint8Array(p.FRAME_HEAD_BYTES + body.length);
      p.putHead(frame, 0, [2, 4, 5, 0x11, 0x12, 0x13][next() % 6]!, body.length);
      frame.set(body, p.FRAME_HEAD_BYTES);
      core.onBytes(frame);
    }
  });

  it('ignores events it does not know', () => {
    const { core } = opened();
    core.onBytes(p.encodeControl(p.FRAME_EVENT, { event: 'fromTheFuture' }));
    expect(core.state).toBe('open');
  });

  it('puts the whole datagram into one frame and reports back-pressure', () => {
    const { core, log, sent, listener, room } = opened();
    const id = core.openSocket(listener);
    expect(core.send(id, 0x0a000002, 7, [Buffer.from('ab'), Buffer.from('c')], 3)).toBe(true);
    expect(Buffer.from(sent[0]!.body).toString('hex')).toBe('000000010a00000200070000616263');
    core.onBytes(p.encodeSocketFrame(p.FRAME_BLOCKED, id));
    expect(core.send(id, 1, 1, [], 0)).toBe(false);
    core.onBytes(p.encodeSocketFrame(p.FRAME_WRITABLE, id));
    expect(core.send(id, 1, 1, [], 0)).toBe(true);
    room.value = false;
    expect(core.send(id, 1, 1, [], 0)).toBe(false);
    expect(log).toEqual(['blocked', 'writable']);
  });

  it('holds messages of a socket that does not flow, in order and within the bound', () => {
    const { core, log, listener } = opened();
    const id = core.openSocket(listener, 3 * (MESSAGE_COST_BYTES + 1));
    core.setFlowing(id, false);
    for (const text of ['a', 'b', 'c', 'd', 'e'])
      core.onBytes(p.encodeDatagram(p.FRAME_RECV, id, 1, 2, Buffer.from(text)));
    expect(log).toEqual(['dropped 1', 'dropped 1']);
    expect(core.queuedMessages(id)).toBe(3);
    core.setFlowing(id, true);
    core.flush(id);
    expect(log.slice(2)).toEqual(['message a 1 2', 'message b 1 2', 'message c 1 2']);
    expect(core.queuedBytes(id)).toBe(0);
  });

  it('keeps the frames in step when a listener throws', () => {
    const { core, log, thrown, listener } = opened();
    let first = true;
    const id = core.openSocket({
      ...listener,
      onMessage: (...args) => {
        if (first) {
          first = false;
          throw new Error('mine');
        }
        listener.onMessage(...args);
      },
    });
    core.onBytes(
      Buffer.concat(
        ['a', 'b'].map((text) => p.encodeDatagram(p.FRAME_RECV, id, 1, 2, Buffer.from(text))),
      ),
    );
    expect(thrown).toHaveLength(1);
    expect(log).toEqual(['message b 1 2']);
  });

  it('ignores messages for sockets it has forgotten', () => {
    const { core, listener, log } = opened();
    const id = core.openSocket(listener);
    core.forgetSocket(id);
    core.onBytes(p.encodeDatagram(p.FRAME_RECV, id, 1, 2, new Uint8Array(1)));
    expect([core.strayMessages, log.length, core.state]).toEqual([1, 0, 'open']);
  });
});
