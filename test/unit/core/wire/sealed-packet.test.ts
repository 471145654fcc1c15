/**
 * The bytes of records, of sealed packets' heads and of pieces: golden ones, round trips, and noise
 * that never throws.
 */

import { describe, expect, test } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import {
  decodePieceHead,
  encodePieceHead,
  PIECE_HEAD_BYTES,
  pieceCount,
  pieceShare,
  type PieceHead,
} from '../../../../src/core/wire/piece.ts';
import {
  decodeRecord,
  makeNodeRecord,
  originOfKey,
  putRecordEntry,
  RECORD_NODE,
  recordEntryKey,
  recordEntrySequence,
  recordKey,
  type NodeStatement,
  type SignedRecord,
} from '../../../../src/core/wire/record.ts';
import {
  decodeSealHead,
  encodeSealHead,
  SEAL_COUNTER_MAX,
  SEAL_HEAD_BYTES,
  SEALED_PAYLOAD_BYTES_MAX,
  type SealHead,
} from '../../../../src/core/wire/sealed-packet.ts';

const rng = new Rng(11);
const draw = (count: number): Uint8Array => {
  const out = new Uint8Array(count);
  rng.fill(out);
  return out;
};

function statement(): NodeStatement {
  return { instance: rng.below(2 ** 48), epoch: rng.below(2 ** 24), key: draw(32) };
}

function record(): SignedRecord {
  const signature = draw(64);
  return makeNodeRecord(
    1 + rng.below(0xdfff_ffff),
    rng.below(2 ** 48),
    { issuedS: rng.below(2 ** 40), certificate: draw(32), whole: null },
    statement(),
    () => signature,
  );
}

describe('a node record', () => {
  test(
    'comes back as it was made, from anywhere, ' +
      'and is signed over all in front of the signature',
    () => {
      for (let i = 0; i < 200; i += 1) {
        const made = record(),
          at = rng.below(30),
          b = draw(made.bytes.length + 60);
        b.set(made.bytes, at);
        expect(decodeRecord(b, at, at + made.bytes.length)).toEqual(made);
      }
      let part = new Uint8Array(0);
      const { bytes } = makeNodeRecord(
        5,
        6,
        { issuedS: 7, certificate: new Uint8Array(32).fill(0xcc), whole: null },
        {
          instance: 7,
          epoch: 0x0a0b0c,
          key: new Uint8Array(32).fill(0xee),
        },
        (given) => {
          part = given.slice();
          return new Uint8Array(64).fill(0x55);
        },
      );
      expect(part).toEqual(bytes.slice(0, -64));
      expect(hex(bytes)).toBe(
        `010000000005000000000006000000000007${'cc'.repeat(32)}` +
          `000000000007${'0a0b0c'}${'ee'.repeat(32)}${'55'.repeat(64)}`,
      );
    },
  );

  test('of another length, kind, page or origin is malformed', () => {
    const { bytes } = record();
    for (let length = 0; length < bytes.length; length += 1)
      expect(decodeRecord(bytes, 0, length)).toBe(DropReason.recordMalformed);
    for (const [at, value] of [
      [0, 0],
      [0, 2],
      [1, 1],
    ] as const) {
      const changed = bytes.slice();
      changed[at] = value;
      expect(decodeRecord(changed, 0, changed.length), `${at}`).toBe(DropReason.recordMalformed);
    }
    const nowhere = bytes.slice().fill(0, 2, 6);
    expect(decodeRecord(nowhere, 0, nowhere.length)).toBe(DropReason.recordMalformed);
  });

  test('has a key of its own for every origin, kind and page, which entries carry', () => {
    const b = new Uint8Array(12),
      keys = new Set<number>();
    for (const origin of [1, 0xdfff_ffff])
      for (const kind of [1, 2, 255])
        for (const page of [0, 3]) {
          const key = recordKey(origin, kind, page);
          keys.add(key);
          putRecordEntry(b, 0, key, 0xffff_ffff_ffff);
          expect([recordEntryKey(b, 0), recordEntrySequence(b, 0), originOfKey(key)]).toEqual([
            key,
            0xffff_ffff_ffff,
            origin,
          ]);
        }
    expect(keys.size).toBe(12);
    expect(recordKey(7, RECORD_NODE)).toBe(0x100 * 2 ** 32 + 7);
  });
});

describe('the head of a sealed packet', () => {
  test('comes back, and a counter beyond all is refused', () => {
    const b = new Uint8Array(SEAL_HEAD_BYTES),
      out: SealHead = { sourceEpoch: 0, destinationEpoch: 0, counter: 0, aes: false };
    for (let i = 0; i < 500; i += 1) {
      const head = {
        sourceEpoch: rng.below(2 ** 24),
        destinationEpoch: rng.below(2 ** 24),
        counter: rng.below(SEAL_COUNTER_MAX),
        aes: rng.below(2) === 1,
      };
      encodeSealHead(head, b, 0);
      expect(decodeSealHead(b, 0, out)).toBe(true);
      expect(out).toEqual(head);
    }
    encodeSealHead(
      { sourceEpoch: 0x010203, destinationEpoch: 0x040506, counter: 0x0708_090a_0b0c, aes: false },
      b,
      0,
    );
    expect(hex(b)).toBe('0102030405060708090a0b0c');
    encodeSealHead(
      { sourceEpoch: 0x010203, destinationEpoch: 0x040506, counter: 0x0708_090a_0b0c, aes: true },
      b,
      0,
    );
    expect(hex(b)).toBe('0102030405068708090a0b0c');
    for (const aes of [false, true]) {
      for (const counter of [SEAL_COUNTER_MAX, 2 * SEAL_COUNTER_MAX]) {
        encodeSealHead({ sourceEpoch: 0, destinationEpoch: 0, counter, aes }, b, 0);
        expect(decodeSealHead(b, 0, out)).toBe(false);
      }
    }
  });
});

describe('pieces', () => {
  test('of every length are even, cover the message, and come back', () => {
    const out: PieceHead = { message: 0, length: 0, index: 0, count: 0 },
      b = new Uint8Array(1_400);
    const lengths = [
      SEALED_PAYLOAD_BYTES_MAX + 1,
      1_400,
      2_728,
      2_729,
      65_535,
      65_536,
      ...Array.from(
        { length: 200 },
        () => SEALED_PAYLOAD_BYTES_MAX + 1 + rng.below(65_536 - SEALED_PAYLOAD_BYTES_MAX),
      ),
    ];
    for (const length of lengths) {
      const count = pieceCount(length),
        share = pieceShare({ length, count });
      let covered = 0;
      for (let index = 0; index < count; index += 1) {
        const bytes = Math.min(share, length - index * share);
        expect(share - bytes).toBeLessThan(count);
        covered += bytes;
        encodePieceHead({ message: 7, length, index, count }, b, 0);
        expect(decodePieceHead(b, 0, PIECE_HEAD_BYTES + bytes, out), `${length} ${index}`).toBe(
          DropReason.none,
        );
        expect(out).toEqual({ message: 7, length, index, count });
        expect(decodePieceHead(b, 0, PIECE_HEAD_BYTES + bytes - 1, out)).toBe(
          DropReason.fragmentMalformed,
        );
        expect(decodePieceHead(b, 0, PIECE_HEAD_BYTES + bytes + 1, out)).toBe(
          DropReason.fragmentMalformed,
        );
      }
      expect(covered).toBe(length);
    }
    encodePieceHead({ message: 0x01020304, length: 65_536, index: 5, count: 49 }, b, 0);
    expect(hex(b.subarray(0, PIECE_HEAD_BYTES))).toBe('01020304ffff0531');
  });

  test('noise is refused or names a piece that has its length', () => {
    const out: PieceHead = { message: 0, length: 0, index: 0, count: 0 };
    for (let i = 0; i < 20_000; i += 1) {
      const b = draw(PIECE_HEAD_BYTES),
        end = rng.below(1_400);
      if (decodePieceHead(b, 0, end, out) !== DropReason.none) continue;
      expect(out.index).toBeLessThan(out.count);
      expect(out.count).toBe(pieceCount(out.length));
    }
  });
});
