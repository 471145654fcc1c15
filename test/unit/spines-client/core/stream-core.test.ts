/**
 * Streams of the client core against a scripted sink: credit, ends, and a daemon that breaks the
 * rules.
 */

import { describe, expect, it } from 'vitest';

import { ByteQueue } from '../../../../spines-client/src/core/byte-queue.ts';
import { ClientCore } from '../../../../spines-client/src/core/core.ts';
import * as p from '../../../../spines-client/src/shared/protocol.ts';
import { CREDIT_GRANT_BYTES } from '../../../../spines-client/src/core/stream-core.ts';
import type { CoreStream } from '../../../../spines-client/src/core/stream-core.ts';

const WELCOME = {
  version: p.PROTOCOL_VERSION,
  node: '10.0.0.1',
  name: 'alpha',
  instance: 'one',
  messageBytesMax: 65_536,
  socketsMax: 100,
};
const NAMES: Record<number, string> = {
  [p.FRAME_STREAM_DATA]: 'data',
  [p.FRAME_STREAM_CREDIT]: 'credit',
  [p.FRAME_STREAM_END]: 'end',
  [p.FRAME_STREAM_RESET]: 'reset',
};

function setUp() {
  const log: string[] = [];
  const sent: string[] = [];
  const room = { value: true };
  const flowing = { value: true };
  const outgoing = new p.FrameReader({
    onFrame: (type, bytes, start, end) => {
      const id = p.getWord(bytes, start);
      if (type === p.FRAME_STREAM_DATA) sent.push(`data ${id} ${end - start - 4}`);
      else if (type === p.FRAME_STREAM_CREDIT)
        sent.push(`credit ${id} ${p.getWord(bytes, start + 4)}`);
      else if (NAMES[type] !== undefined) sent.push(`${NAMES[type]} ${id}`);
    },
  });
  const core = new ClientCore({
    sink: {
      write: (bytes) => {
        outgoing.push(bytes);
        return room.value;
      },
      end: () => log.push('disconnect'),
    },
    listener: {
      onWelcome() {},
      onDraining() {},
      onClosed: (error) => log.push(`down ${error.code}`),
      onThrown: (error) => {
        throw error;
      },
    },
  });
  const listener = {
    onData: (payload: Uint8Array) => {
      log.push(`data ${payload.length}`);
      return flowing.value;
    },
    onEnd: () => log.push('end'),
    onCredit: () => log.push('credit'),
    onClosed: (error: { code: string } | null) => log.push(`closed ${error?.code ?? 'orderly'}`),
    onReading: () => {},
  };
  core.onConnected();
  core.onBytes(p.encodeControl(p.FRAME_WELCOME, WELCOME));
  const establish = (): CoreStream => {
    const stream = core.streams.open(listener);
    stream.established();
    return stream;
  };
  return { core, log, sent, room, flowing, listener, establish };
}

function data(socket: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(p.FRAME_HEAD_BYTES + p.STREAM_HEAD_BYTES + bytes);
  p.encodeStreamHead(frame, 0, socket, bytes);
  return frame;
}

const end = (socket: number): Uint8Array => p.encodeSocketFrame(p.FRAME_STREAM_END, socket);
const event = (body: object): Uint8Array => p.encodeControl(p.FRAME_EVENT, body);

function queueOf(bytes: number): ByteQueue {
  const queue = new ByteQueue();
  for (let left = bytes; left > 0; left -= 10_000)
    queue.push(new Uint8Array(Math.min(left, 10_000)));
  return queue;
}

describe('sending', () => {
  it('sends what credit allows, in frames of at most 64 KiB, and goes on with more credit', () => {
    const { core, sent, log, establish } = setUp();
    const stream = establish();
    const queue = queueOf(300_000);
    expect(stream.send(queue)).toBe(true);
    expect(sent).toEqual(Array.from({ length: 4 }, () => 'data 1 65536'));
    expect([queue.bytes, stream.credit]).toEqual([300_000 - p.STREAM_CREDIT_INITIAL, 0]);
    core.onBytes(p.encodeCredit(1, 1_000));
    expect(log).toEqual(['credit']);
    stream.send(queue);
    expect(sent.at(-1)).toBe('data 1 1000');
  });

  it('stops at a full connection', () => {
    const { room, sent, establish } = setUp();
    room.value = false;
    expect(establish().send(queueOf(200_000))).toBe(false);
    expect(sent).toEqual(['data 1 65536']);
  });

  it('keeps the bytes in order, whatever the cuts', () => {
    const queue = new ByteQueue();
    const all = Uint8Array.from({ length: 1000 }, (_, i) => i);
    for (let at = 0; at < 1000; ) {
      const bytes = 1 + ((at * 7) % 90);
      queue.push(all.subarray(at, at + bytes));
      at += bytes;
    }
    const out = new Uint8Array(1000);
    for (let at = 0; at < 1000; ) {
      const bytes = Math.min(1 + ((at * 13) % 70), 1000 - at);
      queue.read(out, at, bytes);
      at += bytes;
    }
    expect(out).toEqual(all);
    expect(() => queue.read(out, 0, 1)).toThrow();
  });
});

describe('receiving', () => {
  it('grants credit back in quarters of the window, and none to a stream that is not read', () => {
    const { core, sent, log, flowing, establish } = setUp();
    const stream = establish();
    stream.resume();
    core.onBytes(data(1, CREDIT_GRANT_BYTES - 1));
    expect(sent).toEqual([]);
    core.onBytes(data(1, 1));
    expect(sent).toEqual([`credit 1 ${CREDIT_GRANT_BYTES}`]);
    flowing.value = false;
    for (let i = 0; i < 4; i++) core.onBytes(data(1, 60_000));
    expect([log.length, stream.queuedBytes, sent.length]).toEqual([3, 180_000, 1]);
    flowing.value = true;
    stream.resume();
    expect([stream.queuedBytes, sent.slice(1)]).toEqual([
      0,
      ['credit 1 120000', 'credit 1 120000'],
    ]);
  });

  it('tells the end after the data, and keeps both beyond an orderly close', () => {
    const { core, log, establish } = setUp();
    const stream = establish();
    core.onBytes(data(1, 5));
    core.onBytes(end(1));
    stream.end();
    core.onBytes(event({ event: 'streamClosed', socket: 1 }));
    expect(log).toEqual(['closed orderly']);
    stream.resume();
    expect(log.slice(1)).toEqual(['data 5', 'end']);
    expect(core.streams.size).toBe(0);
  });

  it('drops what was not read when the stream breaks', () => {
    const { core, log, establish } = setUp();
    const stream = establish();
    core.onBytes(data(1, 5));
    core.onBytes(event({ event: 'streamClosed', socket: 1, code: 'ETIMEDOUT', message: 'gone' }));
    stream.resume();
    expect([log, stream.cut]).toEqual([['closed ETIMEDOUT'], true]);
  });

  it('takes a close without both ends for a reset: a cut stream is never a whole one', () => {
    const { core, log, establish } = setUp();
    establish();
    core.onBytes(event({ event: 'streamClosed', socket: 1 }));
    expect(log).toEqual(['closed ECONNRESET']);
  });
});

describe('one read of the connection', () => {
  const bytesOf = (socket: number, ...values: number[]): Uint8Array => {
    const frame = data(socket, values.length);
    frame.set(values, p.FRAME_HEAD_BYTES + p.STREAM_HEAD_BYTES);
    return frame;
  };
  const join = (...frames: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(frames));

  it('gives each stream one piece of what it brought, at most 64 KiB long', () => {
    const { core, log, establish } = setUp();
    const [one, other] = [establish(), establish()];
    one.resume();
    other.resume();
    core.onBytes(
      join(
        data(one.id, 10),
        data(other.id, 1),
        data(one.id, 20),
        data(one.id, 30),
        data(other.id, 2),
      ),
    );
    expect(log).toEqual(['data 60', 'data 3']);
    core.onBytes(join(data(one.id, 40_000), data(one.id, 25_536), data(one.id, 1)));
    expect(log.slice(2)).toEqual(['data 65536', 'data 1']);
  });

  it('keeps what is not taken, though the memory it came in is used again', () => {
    const { core, listener } = setUp();
    const got: number[] = [];
    const open = { value: false };
    const stream = core.streams.open({
      ...listener,
      onData: (payload) => {
        got.push(...payload);
        return open.value;
      },
    });
    stream.established();
    const chunk = join(
      bytesOf(stream.id, 1, 2),
      bytesOf(stream.id, 3),
      bytesOf(stream.id, 4, 5, 6),
    );
    // One read ends in the middle of the last frame.
    const first = chunk.slice(0, chunk.length - 2);
    core.onBytes(first);
    first.fill(0xee);
    const rest = chunk.slice(chunk.length - 2);
    core.onBytes(rest);
    rest.fill(0xee);
    core.onBytes(bytesOf(stream.id, 7).slice());
    open.value = true;
    stream.resume();
    expect(got).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('hands over what came before an end, a close and a break, to a reader', () => {
    const { core, log, establish } = setUp();
    const [ended, broken, idle] = [establish(), establish(), establish()];
    ended.resume();
    broken.resume();
    const reset = (socket: number): Uint8Array =>
      event({ event: 'streamClosed', socket, code: 'ECONNRESET', message: 'reset' });
    core.onBytes(
      join(
        data(ended.id, 5),
        data(ended.id, 6),
        end(ended.id),
        data(broken.id, 7),
        reset(broken.id),
        data(idle.id, 8),
        reset(idle.id),
      ),
    );
    expect(log).toEqual(['data 11', 'end', 'data 7', 'closed ECONNRESET', 'closed ECONNRESET']);
  });

  it('goes on with the other streams when a program fails in the middle', () => {
    const { core, log, listener, establish } = setUp();
    const failing = core.streams.open({
      ...listener,
      onData: () => {
        throw new Error("the program's");
      },
    });
    failing.established();
    const stream = establish();
    failing.resume();
    stream.resume();
    expect(() => core.onBytes(join(data(failing.id, 1), data(stream.id, 2)))).toThrow(
      "the program's",
    );
    core.onBytes(data(stream.id, 3));
    expect(log.join()).toContain('data');
  });
});

describe('the end of a stream', () => {
  it('lingers after finish, and resets a far end that goes on', () => {
    const { core, log, sent, establish } = setUp();
    const stream = establish();
    stream.finish();
    expect([stream.state, sent]).toEqual(['lingering', ['end 1']]);
    core.onBytes(data(1, 3));
    expect([stream.state, sent.at(-1), log]).toEqual(['over', 'reset 1', ['closed orderly']]);
  });

  it('calls back when the last finished stream is acknowledged', () => {
    const { core, log, establish } = setUp();
    establish().finish();
    core.onBytes(end(1));
    core.streams.settled(() => log.push('settled'));
    expect(log).toEqual([]);
    core.onBytes(event({ event: 'streamClosed', socket: 1 }));
    expect(log).toEqual(['settled', 'closed orderly']);
  });

  it('ignores what the daemon sent before it knew of a reset', () => {
    const { core, sent, log, establish } = setUp();
    establish().reset();
    for (const late of [
      data(1, 9),
      p.encodeCredit(1, 9),
      end(1),
      event({ event: 'streamClosed', socket: 1, code: 'ECONNRESET', message: '' }),
    ])
      core.onBytes(late);
    expect([sent, log, core.streams.strayFrames, core.state]).toEqual([['reset 1'], [], 4, 'open']);
  });

  it('tells every stream of a lost connection, once, and forgets them', () => {
    const { core, log, establish } = setUp();
    establish();
    establish().finish();
    core.onClosed();
    expect(log).toEqual(['closed ECONNRESET', 'closed orderly', 'down ECONNRESET']);
    expect(core.streams.size).toBe(0);
  });
});

describe('accepting', () => {
  it('gives the stream to its listener, with what follows in the same chunk', () => {
    const { core, log, listener } = setUp();
    const id = core.streams.openListener({
      onAccepted: (stream, node, port) => {
        log.push(`accepted ${node} ${port}`);
        stream.attach(listener);
        stream.resume();
      },
    });
    const socket = p.ACCEPTED_SOCKET_FIRST;
    core.onBytes(
      Buffer.concat([
        event({ event: 'accepted', listener: id, socket, node: '10.0.0.2', port: 7 }),
        data(socket, 3),
      ]),
    );
    expect(log).toEqual(['accepted 10.0.0.2 7', 'data 3']);
  });

  it('resets what nobody takes, and what comes for a listener that has just gone', () => {
    const { core, sent } = setUp();
    const id = core.streams.openListener({ onAccepted() {} });
    core.onBytes(
      event({ event: 'accepted', listener: id, socket: 0x8000_0000, node: '10.0.0.2', port: 7 }),
    );
    core.streams.forgetListener(id);
    core.onBytes(
      event({ event: 'accepted', listener: id, socket: 0x8000_0001, node: '10.0.0.2', port: 7 }),
    );
    expect([sent, core.state, core.streams.size]).toEqual([
      ['reset 2147483648', 'reset 2147483649'],
      'open',
      0,
    ]);
  });
});

describe('a daemon that breaks the rules', () => {
  const accepted = {
    event: 'accepted',
    listener: 2,
    socket: 0x8000_0000,
    node: '10.0.0.2',
    port: 7,
  };
  it.each<[string, Uint8Array[]]>([
    ['data beyond credit', [...Array.from({ length: 4 }, () => data(1, 65_536)), data(1, 1)]],
    ['data after the end', [end(1), data(1, 1)]],
    ['a second end', [end(1), end(1)]],
    ['data for a number that is no stream', [data(77, 1)]],
    ['data for a listener', [data(2, 1)]],
    ['data of a stream that is still connecting', [data(3, 1)]],
    ['too much data in one frame', [data(1, p.STREAM_DATA_BYTES_MAX + 1)]],
    ['data without a socket', [Uint8Array.of(0, 0, 0, 3, p.FRAME_STREAM_DATA, 0, 0)]],
    ['credit beyond reason', [p.encodeCredit(1, 0xffff_ffff)]],
    ['credit for nobody', [p.encodeCredit(78, 1)]],
    ['a short credit', [p.encodeSocketFrame(p.FRAME_STREAM_CREDIT, 1)]],
    ['a long end', [p.encodeControl(p.FRAME_STREAM_END, { socket: 1 })]],
    ['a reset, which only clients send', [p.encodeSocketFrame(p.FRAME_STREAM_RESET, 1)]],
    ['a close of nobody', [event({ event: 'streamClosed', socket: 79 })]],
    ['a close of a stream that is still connecting', [event({ event: 'streamClosed', socket: 3 })]],
    ['a close without a number', [event({ event: 'streamClosed', socket: '1' })]],
    ['a close with a code that is none', [event({ event: 'streamClosed', socket: 1, code: 5 })]],
    ['an accepted stream with a number of ours', [event({ ...accepted, socket: 9 })]],
    ['an accepted stream twice', [event(accepted), event(accepted)]],
    ['an accepted stream for nobody', [event({ ...accepted, listener: 80 })]],
    ['an accepted stream without a port', [event({ ...accepted, port: 0 })]],
  ])('ends the connection with EPROTO on %s', (_what, frames) => {
    const { core, log, listener, establish } = setUp();
    establish();
    core.streams.openListener({ onAccepted: (stream) => stream.attach(listener) });
    const connecting = core.streams.open(listener);
    for (const frame of frames) core.onBytes(frame);
    expect(log).toContain('disconnect');
    expect(log.at(-1)).toBe('down EPROTO');
    expect(log.filter((line) => line === 'closed EPROTO').length).toBeGreaterThanOrEqual(2);
    expect([core.state, connecting.state, core.streams.size]).toEqual(['closed', 'over', 1]);
  });

  it('may send random stream frames without anything being thrown', () => {
    let state = 11;
    const next = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
    for (let i = 0; i < 2000; i++) {
      const { core, establish } = setUp();
      for (let j = 0; j < 3; j++) establish().resume();
      for (let j = 0; j < 6; j++) {
        const body = Uint8Array.from({ length: next() % 12 }, (_, at) => (at < 3 ? 0 : next() % 5));
        const frame = new Uint8Array(p.FRAME_HEAD_BYTES + body.length);
        p.putHead(frame, 0, 0x20 + (next() % 4), body.length);
        frame.set(body, p.FRAME_HEAD_BYTES);
        core.onBytes(frame);
      }
    }
  });
});
