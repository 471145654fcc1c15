/** Where the datagrams of a glued arrival begin. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { segmentBytesOf } from '../../../../src/host/net/glued.ts';
import { ipv6Bytes } from '../../../../src/host/net/offload.ts';
import {
  DATAGRAM_SEALED_DATA,
  encodeDatagramHeader,
} from '../../../../src/core/wire/datagram-header.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES } from '../../../../src/core/wire/sizes.ts';

/** Datagrams of a channel with random insides, numbered from `number`. */
function datagrams(
  rng: Rng,
  sizes: readonly number[],
  number: number,
  receiver = 0xa1b2c3d4,
): Buffer[] {
  return sizes.map((size, i) => {
    const bytes = Buffer.alloc(size);
    rng.fill(bytes);
    encodeDatagramHeader(DATAGRAM_SEALED_DATA, receiver, number + i, bytes);
    return bytes;
  });
}

describe('segmentBytesOf', () => {
  test('any number of datagrams of any size, the last one shorter or not', () => {
    const rng = new Rng(5);
    for (let i = 0; i < 2_000; i += 1) {
      const size =
        DATAGRAM_HEADER_BYTES + rng.below(DATAGRAM_BYTES_MAX - DATAGRAM_HEADER_BYTES + 1);
      const sizes = Array.from({ length: 1 + rng.below(40) }, () => size);
      if (rng.chance(0.5))
        sizes.push(DATAGRAM_HEADER_BYTES + rng.below(size - DATAGRAM_HEADER_BYTES + 1));
      expect(
        segmentBytesOf(Buffer.concat(datagrams(rng, sizes, rng.below(2 ** 40)))),
        sizes.join(),
      ).toBe(size);
    }
  });

  test('numbers may be missing or out of order, but not far apart or the same', () => {
    const rng = new Rng(6);
    const glued = (...numbers: number[]): Buffer =>
      Buffer.concat(numbers.flatMap((number) => datagrams(rng, [300], number)));
    expect(segmentBytesOf(glued(10, 900, 11))).toBe(300);
    expect(segmentBytesOf(glued(10, 9, 11))).toBe(300);
    expect(segmentBytesOf(glued(10, 10))).toBe(600);
    expect(segmentBytesOf(glued(10, 2 ** 32))).toBe(600);
  });

  test('a head that comes again by chance inside is passed over', () => {
    const rng = new Rng(7);
    const [one, two] = datagrams(rng, [500, 500], 77) as [Buffer, Buffer];
    one.copy(one, 100, 0, 6);
    expect(segmentBytesOf(Buffer.concat([one, two]))).toBe(500);
    expect(segmentBytesOf(one)).toBe(500);
  });

  test("what is no datagram, or another channel's behind it, is one", () => {
    const rng = new Rng(8);
    for (let length = 0; length < 60; length += 1)
      expect(segmentBytesOf(Buffer.alloc(length, 1))).toBe(length);
    const other = [...datagrams(rng, [400], 1), ...datagrams(rng, [400], 2, 0x01020304)];
    expect(segmentBytesOf(Buffer.concat(other))).toBe(800);
  });
});

test.each([
  ['::', '0'.repeat(32)],
  ['::1', `${'0'.repeat(31)}1`],
  ['fe80::1:2', 'fe800000000000000000000000010002'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['2001:db8::', '20010db8000000000000000000000000'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
])('the bytes of %s', (address, hex) => {
  expect(Buffer.from(ipv6Bytes(address)).toString('hex')).toBe(hex);
});
