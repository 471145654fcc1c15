/**
 * Frames that travel in pieces: whatever is cut comes out whole or not at all, within bounds,
 * whatever arrives.
 */

import { Taps } from '../../../../src/core/link/tap.ts';
import { describe, expect, test } from 'vitest';

import { getU16 } from '../../../../src/core/base/bytes.ts';
import { makeEndpoint } from '../../../../src/core/base/datagram.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import { Channel, Epoch, FlushList } from '../../../../src/core/link/channel.ts';
import {
  SplitAssembly,
  SPLIT_AGE_MAX,
  SPLIT_ENTRIES_MAX,
} from '../../../../src/core/link/split.ts';
import { SIZE_LADDER } from '../../../../src/core/link/size-search.ts';
import { PROBE_NUMBER_MIN } from '../../../../src/core/wire/datagram-header.ts';
import { DropCounters, DropReason } from '../../../../src/core/wire/drop.ts';
import { FRAME_SIZE_PROBE, FRAME_SPLIT } from '../../../../src/core/wire/frames.ts';
import {
  decodeSizeAnswer,
  decodeSizeProbe,
  decodeSplitHead,
  encodeSplitHead,
  SPLIT_PARTS_MAX,
} from '../../../../src/core/wire/path-size.ts';
import {
  DATAGRAM_BYTES_MAX,
  DATAGRAM_BYTES_MIN,
  DATAGRAM_HEADER_BYTES,
  FRAME_BODY_BYTES_MAX,
  FRAME_HEAD_BYTES,
  TAG_BYTES,
} from '../../../../src/core/wire/sizes.ts';
import { randomBytes } from '../../../fuzz/mutate.ts';

class Sender {
  readonly sent: Uint8Array[] = [];
  readonly list = new FlushList();
  readonly channel: Channel;

  constructor(size: number) {
    const sink = {
      congested: false,
      send: (_to: unknown, bytes: Uint8Array, length: number) => {
        this.sent.push(bytes.slice(0, length));
      },
    };
    this.channel = new Channel(
      new Epoch(1, 2, null, 0, null, ''),
      1,
      makeEndpoint('127.0.0.1', 1),
      { sink, flushList: this.list, taps: new Taps() },
    );
    this.channel.size = size;
  }
}

class Receiver {
  now = SECOND;
  readonly drops = new DropCounters();
  readonly frames: [number, Uint8Array][] = [];
  readonly split = new SplitAssembly({ now: () => this.now }, this.drops);

  take(datagram: Uint8Array): void {
    for (let at = DATAGRAM_HEADER_BYTES; at < datagram.length; ) {
      const start = at + FRAME_HEAD_BYTES,
        end = start + getU16(datagram, at + 1);
      if (datagram[at] !== FRAME_SPLIT)
        this.frames.push([datagram[at]!, datagram.slice(start, end)]);
      else if (this.split.onPiece(datagram, start, end))
        this.frames.push([this.split.type, this.split.body]);
      at = end;
    }
  }
}

const text = (frames: readonly (readonly [number, Uint8Array])[]): string[] =>
  frames.map(([type, body]) => `${type} ${Buffer.from(body).toString('hex')}`);

describe('frames of any type and length', () => {
  test.each(SIZE_LADDER)(
    'on a path of %i bytes leave within it, and arrive as they were',
    (size) => {
      for (let seed = 1; seed <= 40; seed += 1) {
        const rng = new Rng(seed),
          sender = new Sender(size),
          receiver = new Receiver();
        const wanted: [number, Uint8Array][] = [];
        for (let i = 0; i < 30; i += 1) {
          const type = [0x01, 0x08, 0x09, 0x10, 0x13, 0x15][rng.below(6)]!;
          const body = randomBytes(
            rng,
            rng.chance(0.3)
              ? FRAME_BODY_BYTES_MAX - rng.below(3)
              : rng.below(FRAME_BODY_BYTES_MAX + 1),
          );
          const before = sender.channel.fillingNumber;
          const at = sender.channel.frame(type, body.length);
          sender.channel.buffer.set(body, at);
          wanted.push([type, body]);
          // Its numbers are known before it leaves.
          const number = sender.channel.fillingNumber,
            datagrams = sender.channel.fillingDatagrams;
          expect(number).toBeGreaterThanOrEqual(before);
          if (rng.chance(0.3)) {
            sender.list.flush();
            expect(sender.channel.fillingNumber).toBe(number + datagrams);
          }
        }
        sender.list.flush();
        for (const [number, datagram] of sender.sent.entries()) {
          expect(datagram.length + TAG_BYTES).toBeLessThanOrEqual(size);
          expect(sender.channel.lengthOf(number)).toBe(datagram.length);
          receiver.take(datagram);
        }
        expect(text(receiver.frames)).toEqual(text(wanted));
        expect([receiver.drops.total, receiver.split.size]).toEqual([0, 0]);
        if (size === DATAGRAM_BYTES_MAX) expect(sender.channel.splitFrames).toBe(0);
      }
    },
  );

  test(
    'pieces are alike, so that they leave in one batch; ' +
      'a full packet has halves down to half of its length',
    () => {
      for (const bodyBytes of [1_416, 1_420]) {
        const sender = new Sender(1_232);
        sender.channel.frame(0x08, bodyBytes);
        sender.list.flush();
        expect(sender.sent.map(({ length }) => length)).toEqual(
          new Array(2).fill(sender.sent[0]!.length),
        );
      }
    },
  );

  test('a size that changes leaves alone what was begun', () => {
    const sender = new Sender(1_452);
    sender.channel.frame(0x08, 1_400);
    const { fillingDatagrams } = sender.channel;
    sender.channel.size = 508;
    expect([fillingDatagrams, sender.sent.length]).toEqual([1, 1]);
    sender.channel.frame(0x08, 1_400);
    expect(sender.channel.fillingDatagrams).toBe(3);
    sender.channel.size = 1_452;
    expect(sender.sent.length).toBe(4);
  });
});

describe('assembly', () => {
  const piece = (
    id: number,
    index: number,
    count: number,
    body: Uint8Array,
    type = 0x08,
  ): Uint8Array => {
    const bytes = new Uint8Array(4 + body.length);
    bytes.set(body, encodeSplitHead({ id, index, count, type }, bytes, 0));
    return bytes;
  };
  const give = ({ split }: Receiver, bytes: Uint8Array): boolean =>
    split.onPiece(bytes, 0, bytes.length);

  test('takes pieces in any order, of many frames at once', () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const rng = new Rng(seed),
        receiver = new Receiver();
      const wanted: Uint8Array[] = [],
        pieces: Uint8Array[] = [];
      for (let id = 0; id < 40; id += 1) {
        const body = randomBytes(rng, 10 + rng.below(FRAME_BODY_BYTES_MAX - 10)),
          count = 2 + rng.below(SPLIT_PARTS_MAX - 1),
          each = Math.ceil(body.length / count);
        wanted.push(body);
        if (each * (count - 1) >= body.length) continue;
        for (let i = 0; i < count; i += 1)
          pieces.push(piece(id, i, count, body.subarray(i * each, (i + 1) * each)));
      }
      rng.shuffle(pieces);
      const got: string[] = [];
      for (const bytes of pieces)
        if (give(receiver, bytes)) got.push(Buffer.from(receiver.split.body).toString('hex'));
      for (const body of got)
        expect(wanted.map((w) => Buffer.from(w).toString('hex'))).toContain(body);
      expect(receiver.split.size).toBe(0);
      expect(receiver.drops.total).toBe(0);
    }
  });

  test('holds so many, each for so long: the oldest gives way and is counted', () => {
    const receiver = new Receiver();
    for (let id = 0; id < 3 * SPLIT_ENTRIES_MAX; id += 1)
      give(receiver, piece(id, 0, 2, new Uint8Array(700)));
    expect(receiver.split.size).toBe(SPLIT_ENTRIES_MAX);
    expect(receiver.drops.of(DropReason.splitIncomplete)).toBe(2 * SPLIT_ENTRIES_MAX);
    receiver.now += SPLIT_AGE_MAX;
    expect(give(receiver, piece(3 * SPLIT_ENTRIES_MAX - 1, 1, 2, new Uint8Array(700)))).toBe(false);
    expect(receiver.split.size).toBe(1);
    expect(receiver.drops.of(DropReason.splitIncomplete)).toBe(3 * SPLIT_ENTRIES_MAX);
    receiver.now += MILLISECOND;
    receiver.split.clear();
    expect(receiver.split.size).toBe(0);
  });

  test('joins no pieces of different frames, and nothing longer than a frame', () => {
    const receiver = new Receiver();
    give(receiver, piece(1, 0, 2, new Uint8Array(10)));
    expect(give(receiver, piece(1, 1, 3, new Uint8Array(10)))).toBe(false);
    expect(give(receiver, piece(1, 1, 2, new Uint8Array(10), 0x09))).toBe(false);
    expect(receiver.drops.of(DropReason.splitIncomplete)).toBe(2);
    const malformed = (...pieces: Uint8Array[]): void => {
      const before = receiver.drops.of(DropReason.splitMalformed);
      for (const bytes of pieces) expect(give(receiver, bytes)).toBe(false);
      expect(receiver.drops.of(DropReason.splitMalformed)).toBe(before + 1);
    };
    malformed(piece(2, 0, 2, new Uint8Array(10)), piece(2, 1, 2, new Uint8Array(11)));
    malformed(piece(3, 1, 2, new Uint8Array(11)), piece(3, 0, 2, new Uint8Array(10)));
    malformed(piece(4, 0, 2, new Uint8Array(1_000)), piece(4, 1, 2, new Uint8Array(1_000)));
    malformed(piece(5, 0, 3, new Uint8Array(100)), piece(5, 0, 3, new Uint8Array(100)));
    malformed(piece(6, 0, 2, new Uint8Array(10), FRAME_SPLIT));
    malformed(piece(6, 0, 2, new Uint8Array(10), FRAME_SIZE_PROBE));
    malformed(piece(7, 0, 2, new Uint8Array(0)));
  });

  test('never throws and never holds more, whatever comes', () => {
    const rng = new Rng(77),
      receiver = new Receiver();
    for (let i = 0; i < 20_000; i += 1) {
      const bytes = randomBytes(rng, rng.below(rng.chance(0.9) ? 20 : FRAME_BODY_BYTES_MAX + 1));
      if (bytes.length > 3 && rng.chance(0.8))
        bytes.set([0, rng.below(100), (rng.below(4) << 4) | (2 + rng.below(3)), 8]);
      give(receiver, bytes);
      receiver.now += rng.below(5) * MILLISECOND;
      expect(receiver.split.size).toBeLessThanOrEqual(SPLIT_ENTRIES_MAX);
      expect(receiver.split.body.length).toBeLessThanOrEqual(FRAME_BODY_BYTES_MAX);
    }
  });
});

describe('codecs', () => {
  test('a head says what it was given, and counts of pieces that cannot be are refused', () => {
    const b = new Uint8Array(5),
      out = { id: 0, index: 0, count: 0, type: 0 };
    for (let part = 0; part < 256; part += 1) {
      const head = { id: (part * 257) & 0xffff, index: part >>> 4, count: part & 15, type: 0x10 };
      encodeSplitHead(head, b, 0);
      const good = head.count >= 2 && head.count <= SPLIT_PARTS_MAX && head.index < head.count;
      expect(decodeSplitHead(b, 0, 5, out)).toBe(
        good ? DropReason.none : DropReason.splitMalformed,
      );
      if (good) expect(out).toEqual(head);
      expect(decodeSplitHead(b, 0, 4, out)).toBe(DropReason.splitMalformed);
    }
  });

  test.each([DATAGRAM_BYTES_MIN, 1_232, DATAGRAM_BYTES_MAX])(
    'a probe of %i bytes has that length, ' +
      'a number of its own, and the token that its answer repeats',
    (size) => {
      const sender = new Sender(508);
      sender.channel.frame(0x01, 4);
      const at = sender.channel.fillingNumber;
      sender.channel.probeSize(size, { high: 0xdeadbeef, low: 7 });
      expect(sender.channel.fillingNumber).toBe(at);
      const [datagram] = sender.sent as [Uint8Array];
      expect(datagram.length).toBe(size);
      expect(Buffer.from(datagram).readUIntBE(6, 6)).toBe(PROBE_NUMBER_MIN);
      const token = { high: 0, low: 0 };
      expect(decodeSizeProbe(datagram, DATAGRAM_HEADER_BYTES, size, token)).toBe(DropReason.none);
      expect(token).toEqual({ high: 0xdeadbeef, low: 7 });
      expect(decodeSizeProbe(datagram, DATAGRAM_HEADER_BYTES, size - 1, token)).toBe(
        DropReason.sizeProbeMalformed,
      );
      expect(decodeSizeProbe(datagram, DATAGRAM_HEADER_BYTES, 20, token)).toBe(
        DropReason.sizeProbeMalformed,
      );
      expect(decodeSizeAnswer(datagram, 0, 7, token)).toBe(DropReason.sizeProbeMalformed);
      expect(decodeSizeAnswer(datagram, 15, 23, token)).toBe(DropReason.none);
    },
  );
});
