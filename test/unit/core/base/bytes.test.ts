/** Big-endian numbers and byte ranges. */

import { expect, test } from 'vitest';

import {
  copyBytes,
  copyOf,
  equalBytes,
  getU16,
  getU32,
  getU48,
  hex,
  putU16,
  putU32,
  putU48,
  utf8Decode,
  utf8Encode,
} from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';

test('numbers come back, big-endian, and neighbours stay untouched', () => {
  const rng = new Rng(1);
  const edges = [
    0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000,
    0xffff_ffff, 0x1_0000_0000, 0x7fff_ffff_ffff, 0xffff_ffff_ffff,
  ];
  const values = [
    ...edges,
    ...Array.from({ length: 2_000 }, () => rng.below(0x1_0000) * 0x1_0000_0000 + rng.u32()),
  ];
  for (const value of values) {
    for (const [bytes, put, get] of [
      [2, putU16, getU16],
      [4, putU32, getU32],
      [6, putU48, getU48],
    ] as const) {
      const v = value % 2 ** (8 * bytes),
        b = new Uint8Array(bytes + 2).fill(0xa5);
      put(b, 1, v);
      expect(get(b, 1)).toBe(v);
      expect(hex(b)).toBe(`a5${v.toString(16).padStart(2 * bytes, '0')}a5`);
    }
  }
});

test('copies are exact for every length around the switch of method, in both views', () => {
  const from = new Uint8Array(200);
  new Rng(2).fill(from);
  for (let length = 0; length <= 130; length += 1) {
    for (const start of [0, 3]) {
      const to = new Uint8Array(140).fill(0xee);
      copyBytes(from, start, start + length, to, 5);
      expect(hex(to)).toBe(
        'ee'.repeat(5) + hex(from.subarray(start, start + length)) + 'ee'.repeat(135 - length),
      );
    }
  }
  const whole = new Uint8Array(200);
  copyBytes(from, 0, 200, whole, 0);
  expect(equalBytes(whole, from)).toBe(true);
});

test('copyOf is a copy', () => {
  const from = Uint8Array.of(1, 2, 3, 4),
    copy = copyOf(from, 1, 3);
  from[1] = 9;
  expect([...copy]).toEqual([2, 3]);
  expect([...copyOf(from)]).toEqual([1, 9, 3, 4]);
});

test('equal means same length and same bytes', () => {
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1))).toBe(false);
  expect(equalBytes(new Uint8Array(0), new Uint8Array(0))).toBe(true);
});

test('text that is not UTF-8 is no text', () => {
  for (const text of ['', 'abc', 'é', '語', '\u{1f600}'])
    expect(utf8Decode(utf8Encode(text))).toBe(text);
  for (const bad of [[0xff], [0xc0, 0x80], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0x80]])
    expect(utf8Decode(Uint8Array.from(bad))).toBeNull();
});
