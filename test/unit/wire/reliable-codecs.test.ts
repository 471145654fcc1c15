/** What reliable links add to the wire: acks with ranges, and the head of sequenced datagrams. */

import { describe, expect, test } from 'vitest';

import { getU48, putU16 } from '../../../src/base/bytes.ts';
import { Rng } from '../../../src/base/rng.ts';
import { ACK_DELAY_UNIT_US, ACK_FIXED_BYTES, ACK_RANGE_BYTES, ACK_RANGES_MAX, AckRanges } from '../../../src/wire/ack.ts';
import { DropReason } from '../../../src/wire/drop.ts';
import { MESSAGE_BYTES_MAX } from '../../../src/wire/fragment.ts';
import { decodeSequencedHead, encodeSequencedHead, PIECE_BYTES, PIECES_MAX, SEQUENCED_HEAD_BYTES } from '../../../src/wire/sequenced.ts';
import { goldenBytes } from './golden.ts';

const rangesOf = (ack: AckRanges): [number, number][] => Array.from({ length: ack.count }, (_, i) => [ack.low[i]!, ack.high[i]!]);

describe('ack', () => {
  test('the golden one says what it was made of', () => {
    const b = goldenBytes('ack'), ack = new AckRanges();
    expect(ack.decode(b, 15, b.length)).toBe(DropReason.none);
    const top = 0x0001_0203_0399;
    expect(rangesOf(ack)).toEqual([[top - 4, top], [top - 7, top - 6], [top - 776, top - 776]]);
    expect(ack.delayUs).toBe(16 * ACK_DELAY_UNIT_US);
    expect([ack.largest, ack.has(top), ack.has(top - 5), ack.has(top - 6), ack.has(top + 1), ack.has(0)]).toEqual([top, true, false, true, false, false]);
  });

  test('ranges agree with a set of what arrived, and come back from the wire', () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const rng = new Rng(seed), ack = new AckRanges(), seen = new Set<number>();
      const base = rng.chance(0.5) ? 0 : 0xffff_fff0, b = new Uint8Array(400);
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
        for (let n = Math.max(base, next - 60); n <= next + 1; n += 1) if (n >= oldest) expect(ack.has(n), `seed ${seed}: ${n}`).toBe(seen.has(n));
        expect(ack.count).toBeLessThanOrEqual(ACK_RANGES_MAX);
        ack.delayUs = rng.below(1_000_000);
        ack.encode(b, 3);
        const back = new AckRanges();
        expect(back.decode(b, 3, 3 + ack.frameBytes)).toBe(DropReason.none);
        expect(rangesOf(back)).toEqual(rangesOf(ack));
        expect(back.delayUs).toBe(Math.min(0xffff, Math.floor(ack.delayUs / ACK_DELAY_UNIT_US)) * ACK_DELAY_UNIT_US);
      }
    }
  });

  test('a range longer than the wire can say is cut at its old end and never grows', () => {
    const ack = new AckRanges(), b = new Uint8Array(400), back = new AckRanges();
    ack.add(0);
    for (let number = 2; number < 200_000; number += 1) ack.add(number);
    ack.encode(b, 0);
    expect(back.decode(b, 0, ack.frameBytes)).toBe(DropReason.none);
    expect(rangesOf(back)[0]).toEqual([199_999 - 0xfffe, 199_999]);
  });

  test('lengths, counts, reserved bits and ranges are checked', () => {
    const good = goldenBytes('ack').slice(15), ack = new AckRanges();
    const judged = (change: (b: Uint8Array) => void, length = good.length): DropReason => {
      const b = new Uint8Array(200);
      b.set(good);
      change(b);
      return ack.decode(b, 0, length);
    };
    expect(judged(() => {})).toBe(DropReason.none);
    for (let length = 0; length < 200; length += 1) if (length !== good.length) expect(judged(() => {}, length)).toBe(DropReason.ackMalformed);
    expect(judged((b) => { b[9] = 1; })).toBe(DropReason.reservedNotZero);
    expect(judged((b) => { putU16(b, 10, 0); })).toBe(DropReason.ackMalformed);
    expect(judged((b) => { putU16(b, 12, 0); })).toBe(DropReason.ackMalformed);
    expect(judged((b) => { putU16(b, 14, 0); })).toBe(DropReason.ackMalformed);
    for (let count = 0; count < 256; count += 1) {
      const b = new Uint8Array(ACK_FIXED_BYTES + 256 * ACK_RANGE_BYTES).fill(1);
      b[8] = count;
      b[9] = 0;
      expect(ack.decode(b, 0, ACK_FIXED_BYTES + count * ACK_RANGE_BYTES)).toBe(count < ACK_RANGES_MAX ? DropReason.none : DropReason.ackMalformed);
    }
    // Number 0 is the lowest there is.
    const low = (largest: number, first: number): DropReason => judged((b) => { b.fill(0); b[5] = largest; b[11] = first; }, ACK_FIXED_BYTES);
    expect([low(4, 5), low(4, 6), low(0, 1), low(0, 2)]).toEqual([DropReason.none, DropReason.ackMalformed, DropReason.none, DropReason.ackMalformed]);
    expect(getU48(good, 0)).toBe(0x0001_0203_0399);
  });
});

describe('sequenced head', () => {
  test('comes back', () => {
    const rng = new Rng(3), b = new Uint8Array(1_500);
    for (let i = 0; i < 2_000; i += 1) {
      const count = 1 + rng.below(PIECES_MAX), head = { run: rng.u32(), message: rng.u32(), index: rng.below(count), count }, at = rng.below(50);
      const most = Math.min(PIECE_BYTES, MESSAGE_BYTES_MAX - head.index * PIECE_BYTES);
      const bytes = head.index < count - 1 ? PIECE_BYTES : (count === 1 ? 0 : 1) + rng.below(most);
      const out = { run: 0, message: 0, index: 0, count: 0 };
      expect(encodeSequencedHead(head, b, at)).toBe(at + SEQUENCED_HEAD_BYTES);
      expect(decodeSequencedHead(b, at, at + SEQUENCED_HEAD_BYTES + bytes, out)).toBe(DropReason.none);
      expect(out).toEqual(head);
    }
  });

  test('every count, index and length is judged', () => {
    const b = new Uint8Array(2_000), out = { run: 0, message: 0, index: 0, count: 0 };
    for (let count = 0; count < 256; count += 1) {
      for (const index of [0, 1, count - 2, count - 1, count, 255]) {
        if (index < 0 || index > 255) continue;
        encodeSequencedHead({ run: 1, message: 7, index, count }, b, 0);
        // A packet has room for no more than a full piece.
        for (const bytes of [-10, -1, 0, 1, PIECE_BYTES - 1, PIECE_BYTES]) {
          const good = count >= 1 && count <= PIECES_MAX && index < count && bytes >= (count === 1 ? 0 : 1) && (index === count - 1 || bytes === PIECE_BYTES)
            && index * PIECE_BYTES + bytes <= MESSAGE_BYTES_MAX;
          expect(decodeSequencedHead(b, 0, SEQUENCED_HEAD_BYTES + bytes, out), `${index} of ${count}, ${bytes} bytes`).toBe(good ? DropReason.none : DropReason.sequencedMalformed);
        }
      }
    }
    expect(PIECES_MAX * PIECE_BYTES).toBeGreaterThanOrEqual(MESSAGE_BYTES_MAX);
  });
});
