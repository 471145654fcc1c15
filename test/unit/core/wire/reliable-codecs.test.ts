/**
 * What reliability adds to the wire: acks with ranges, the head of sequenced datagrams, stream
 * segments.
 */

import { describe, expect, test } from 'vitest';

import { getU48, putU16 } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import {
  ACK_DELAY_UNIT_US,
  ACK_FIXED_BYTES,
  ACK_RANGE_BYTES,
  ACK_RANGES_MAX,
  AckRanges,
} from '../../../../src/core/wire/ack.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { MESSAGE_BYTES_MAX } from '../../../../src/core/wire/fragment.ts';
import {
  SACK_BYTES,
  SACKS_MAX,
  Segment,
  SEGMENT_ACK,
  SEGMENT_ASK,
  SEGMENT_DUPLICATE,
  SEGMENT_BYTES_MAX,
  SEGMENT_DELAY_UNIT_US,
  SEGMENT_FIN,
  SEGMENT_HEAD_BYTES,
  SEGMENT_MARKED,
  SEGMENT_RST,
  SEGMENT_SYN,
  SYN_BYTES,
  synStream,
  WINDOW_BYTES_MAX,
  WINDOW_UNIT,
} from '../../../../src/core/wire/segment.ts';
import {
  decodeSequencedHead,
  encodeSequencedHead,
  PIECE_BYTES,
  PIECES_MAX,
  SEQUENCED_HEAD_BYTES,
} from '../../../../src/core/wire/sequenced.ts';
import { goldenBytes } from './golden.ts';

const rangesOf = (ack: AckRanges): [number, number][] =>
  Array.from({ length: ack.count }, (_, i) => [ack.low[i]!, ack.high[i]!]);

describe('ack', () => {
  test('the golden one says what it was made of', () => {
    const b = goldenBytes('ack'),
      ack = new AckRanges();
    expect(ack.decode(b, 15, b.length)).toBe(DropReason.none);
    const top = 0x0001_0203_0399;
    expect(rangesOf(ack)).toEqual([
      [top - 4, top],
      [top - 7, top - 6],
      [top - 776, top - 776],
    ]);
    expect(ack.delayUs).toBe(16 * ACK_DELAY_UNIT_US);
    expect([
      ack.largest,
      ack.has(top),
      ack.has(top - 5),
      ack.has(top - 6),
      ack.has(top + 1),
      ack.has(0),
    ]).toEqual([top, true, false, true, false, false]);
  });

  test('ranges agree with a set of what arrived, and come back from the wire', () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const rng = new Rng(seed),
        ack = new AckRanges(),
        seen = new Set<number>();
      const base = rng.chance(0.5) ? 0 : 0xffff_fff0,
        b = new Uint8Array(400);
      let next = base;
      for (let i = 0; i < 400; i += 1) {
        next += rng.chance(0.9) ? 1 : rng.below(9);
        const number = rng.chance(0.9) ? next : Math.max(base, next - rng.below(40));
        const joins = seen.size > 0 && number === Math.max(...seen) + 1;
        seen.add(number);
        const inOrder = ack.add(number);
        if (joins) expect(inOrder).toBe(true);
        // Every number from the oldest range on is there if and only if it arrived.
        const oldest = ack.low[ack.count - 1]!;
        for (let n = Math.max(base, next - 60); n <= next + 1; n += 1)
          if (n >= oldest && ack.has(n) !== seen.has(n))
            throw new Error(`seed ${seed}: ${n} ${seen.has(n) ? 'arrived' : 'did not arrive'}`);
        expect(ack.count).toBeLessThanOrEqual(ACK_RANGES_MAX);
        ack.delayUs = rng.below(1_000_000);
        ack.encode(b, 3);
        const back = new AckRanges();
        expect(back.decode(b, 3, 3 + ack.frameBytes)).toBe(DropReason.none);
        expect(rangesOf(back)).toEqual(rangesOf(ack));
        expect(back.delayUs).toBe(
          Math.min(0xffff, Math.floor(ack.delayUs / ACK_DELAY_UNIT_US)) * ACK_DELAY_UNIT_US,
        );
      }
    }
  });

  test('a range longer than the wire can say is cut at its old end and never grows', () => {
    const ack = new AckRanges(),
      b = new Uint8Array(400),
      back = new AckRanges();
    ack.add(0);
    for (let number = 2; number < 200_000; number += 1) ack.add(number);
    ack.encode(b, 0);
    expect(back.decode(b, 0, ack.frameBytes)).toBe(DropReason.none);
    expect(rangesOf(back)[0]).toEqual([199_999 - 0xfffe, 199_999]);
  });

  test('lengths, counts, reserved bits and ranges are checked', () => {
    const good = goldenBytes('ack').slice(15),
      ack = new AckRanges();
    const judged = (change: (b: Uint8Array) => void, length = good.length): DropReason => {
      const b = new Uint8Array(200);
      b.set(good);
      change(b);
      return ack.decode(b, 0, length);
    };
    expect(judged(() => {})).toBe(DropReason.none);
    for (let length = 0; length < 200; length += 1)
      if (length !== good.length) expect(judged(() => {}, length)).toBe(DropReason.ackMalformed);
    expect(
      judged((b) => {
        b[9] = 1;
      }),
    ).toBe(DropReason.reservedNotZero);
    expect(
      judged((b) => {
        putU16(b, 10, 0);
      }),
    ).toBe(DropReason.ackMalformed);
    expect(
      judged((b) => {
        putU16(b, 12, 0);
      }),
    ).toBe(DropReason.ackMalformed);
    expect(
      judged((b) => {
        putU16(b, 14, 0);
      }),
    ).toBe(DropReason.ackMalformed);
    for (let count = 0; count < 256; count += 1) {
      const b = new Uint8Array(ACK_FIXED_BYTES + 256 * ACK_RANGE_BYTES).fill(1);
      b[8] = count;
      b[9] = 0;
      expect(ack.decode(b, 0, ACK_FIXED_BYTES + count * ACK_RANGE_BYTES)).toBe(
        count < ACK_RANGES_MAX ? DropReason.none : DropReason.ackMalformed,
      );
    }
    // Number 0 is the lowest there is.
    const low = (largest: number, first: number): DropReason =>
      judged((b) => {
        b.fill(0);
        b[5] = largest;
        b[11] = first;
      }, ACK_FIXED_BYTES);
    expect([low(4, 5), low(4, 6), low(0, 1), low(0, 2)]).toEqual([
      DropReason.none,
      DropReason.ackMalformed,
      DropReason.none,
      DropReason.ackMalformed,
    ]);
    expect(getU48(good, 0)).toBe(0x0001_0203_0399);
  });
});

describe('sequenced head', () => {
  test('comes back', () => {
    const rng = new Rng(3),
      b = new Uint8Array(1_500);
    for (let i = 0; i < 2_000; i += 1) {
      const count = 1 + rng.below(PIECES_MAX),
        head = { run: rng.u32(), message: rng.u32(), index: rng.below(count), count },
        at = rng.below(50);
      const most = Math.min(PIECE_BYTES, MESSAGE_BYTES_MAX - head.index * PIECE_BYTES);
      const bytes = head.index < count - 1 ? PIECE_BYTES : (count === 1 ? 0 : 1) + rng.below(most);
      const out = { run: 0, message: 0, index: 0, count: 0 };
      expect(encodeSequencedHead(head, b, at)).toBe(at + SEQUENCED_HEAD_BYTES);
      expect(decodeSequencedHead(b, at, at + SEQUENCED_HEAD_BYTES + bytes, out)).toBe(
        DropReason.none,
      );
      expect(out).toEqual(head);
    }
  });

  test('every count, index and length is judged', () => {
    const b = new Uint8Array(2_000),
      out = { run: 0, message: 0, index: 0, count: 0 };
    for (let count = 0; count < 256; count += 1) {
      for (const index of [0, 1, count - 2, count - 1, count, 255]) {
        if (index < 0 || index > 255) continue;
        encodeSequencedHead({ run: 1, message: 7, index, count }, b, 0);
        // A packet has room for no more than a full piece.
        for (const bytes of [-10, -1, 0, 1, PIECE_BYTES - 1, PIECE_BYTES]) {
          const good =
            count >= 1 &&
            count <= PIECES_MAX &&
            index < count &&
            bytes >= (count === 1 ? 0 : 1) &&
            (index === count - 1 || bytes === PIECE_BYTES) &&
            index * PIECE_BYTES + bytes <= MESSAGE_BYTES_MAX;
          expect(
            decodeSequencedHead(b, 0, SEQUENCED_HEAD_BYTES + bytes, out),
            `${index} of ${count}, ${bytes} bytes`,
          ).toBe(good ? DropReason.none : DropReason.sequencedMalformed);
        }
      }
    }
    expect(PIECES_MAX * PIECE_BYTES).toBeGreaterThanOrEqual(MESSAGE_BYTES_MAX);
  });
});

describe('segment head', () => {
  test('comes back, data behind it', () => {
    const rng = new Rng(5),
      b = new Uint8Array(2_000);
    for (let i = 0; i < 3_000; i += 1) {
      const segment = new Segment(),
        back = new Segment(),
        at = rng.below(40);
      segment.flags = rng.below(64) & ~SEGMENT_SYN;
      segment.window = rng.below(0x1_0000) * WINDOW_UNIT;
      segment.stream = rng.u32();
      segment.sequence = rng.u32() * 65_536 + rng.below(65_536);
      segment.ack = rng.chance(0.2) ? 0xffff_ffff_ffff : rng.u32() * 65_536 + rng.below(65_536);
      segment.delayUs = rng.below(0x1_0000) * SEGMENT_DELAY_UNIT_US;
      segment.why = rng.below(0x1_0000);
      const rst = (segment.flags & SEGMENT_RST) !== 0;
      segment.sackCount = rng.below(SACKS_MAX + 1);
      for (let j = 0, from = 1; j < segment.sackCount; j += 1) {
        segment.sackStart[j] = segment.ack + from;
        from += 1 + rng.below(1 << 20);
        segment.sackEnd[j] = segment.ack + from;
        from += rng.below(1 << 20);
      }
      const dataAt = segment.encode(b, at);
      expect(dataAt).toBe(at + segment.headBytes);
      expect(back.decode(b, at, dataAt + rng.below(SEGMENT_BYTES_MAX))).toBe(DropReason.none);
      expect([
        back.flags,
        back.window,
        back.stream,
        back.sequence,
        back.ack,
        back.delayUs,
        back.sackCount,
        back.headBytes,
      ]).toEqual([
        segment.flags,
        segment.window,
        segment.stream,
        segment.sequence,
        segment.ack,
        rst ? 0 : segment.delayUs,
        segment.sackCount,
        segment.headBytes,
      ]);
      expect(back.why).toBe(rst ? segment.why : 0);
      expect([...back.sackStart.slice(0, back.sackCount)]).toEqual([
        ...segment.sackStart.slice(0, back.sackCount),
      ]);
      expect([...back.sackEnd.slice(0, back.sackCount)]).toEqual([
        ...segment.sackEnd.slice(0, back.sackCount),
      ]);
    }
  });

  test('a window or delay that the wire cannot say is cut, never wrapped', () => {
    const segment = new Segment(),
      back = new Segment(),
      b = new Uint8Array(64);
    segment.window = WINDOW_BYTES_MAX + 10 * WINDOW_UNIT;
    segment.delayUs = 90_000_000;
    expect(back.decode(b, 0, segment.encode(b, 0))).toBe(DropReason.none);
    expect([back.window, back.delayUs]).toEqual([WINDOW_BYTES_MAX, 0xffff * SEGMENT_DELAY_UNIT_US]);
    segment.window = 2 * WINDOW_UNIT - 1;
    expect(back.decode(b, 0, segment.encode(b, 0))).toBe(DropReason.none);
    expect(back.window).toBe(WINDOW_UNIT);
  });

  test('every length, flag and count of ranges is judged', () => {
    const segment = new Segment(),
      b = new Uint8Array(2_000).fill(1);
    for (let length = 0; length < SEGMENT_HEAD_BYTES; length += 1)
      expect(segment.decode(b, 0, length)).toBe(DropReason.streamMalformed);
    for (let flags = 0; flags < 256; flags += 1) {
      for (const data of [0, SYN_BYTES - 1, SYN_BYTES, SYN_BYTES + 1]) {
        b[0] = flags;
        b[1] = 0;
        const syn = (flags & SEGMENT_SYN) !== 0;
        const bad = syn && (data !== SYN_BYTES || (flags & (SEGMENT_FIN | SEGMENT_RST)) !== 0);
        expect(segment.decode(b, 0, SEGMENT_HEAD_BYTES + data), `flags ${flags}`).toBe(
          flags > 0x7f
            ? DropReason.reservedNotZero
            : bad
              ? DropReason.streamMalformed
              : DropReason.none,
        );
      }
    }
    expect(
      [
        SEGMENT_SYN,
        SEGMENT_ACK,
        SEGMENT_FIN,
        SEGMENT_RST,
        SEGMENT_MARKED,
        SEGMENT_ASK,
        SEGMENT_DUPLICATE,
      ].reduce((all, flag) => all | flag),
    ).toBe(0x7f);
    for (let count = 0; count < 256; count += 1) {
      b.fill(0);
      for (let i = 0; i < 200; i += 1)
        b.set([0, 0, i, 1, 0, 0, i, 2], SEGMENT_HEAD_BYTES + i * SACK_BYTES);
      b[0] = SEGMENT_ACK;
      b[1] = count;
      const end = SEGMENT_HEAD_BYTES + count * SACK_BYTES;
      expect(segment.decode(b, 0, Math.min(end, 1_600))).toBe(
        count <= SACKS_MAX ? DropReason.none : DropReason.streamMalformed,
      );
      if (count > 0)
        expect(segment.decode(b, 0, Math.min(end, 1_600) - 1)).toBe(DropReason.streamMalformed);
    }
    for (const range of [
      [0, 1],
      [1, 1],
      [2, 1],
      [0, 0],
    ] as const) {
      b.fill(0);
      b[1] = 1;
      b[SEGMENT_HEAD_BYTES + 3] = range[0];
      b[SEGMENT_HEAD_BYTES + 7] = range[1];
      expect(segment.decode(b, 0, SEGMENT_HEAD_BYTES + SACK_BYTES), `range ${range.join()}`).toBe(
        DropReason.streamMalformed,
      );
    }
  });

  test('a SYN names a stream', () => {
    const b = goldenBytes('stream, syn'),
      at = b.length - SEGMENT_HEAD_BYTES - SYN_BYTES;
    expect(new Segment().decode(b, at, b.length)).toBe(DropReason.none);
    expect(synStream(b, at)).toBe(0x5eed_0001);
  });
});
