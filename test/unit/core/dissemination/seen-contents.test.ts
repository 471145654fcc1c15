/**
 * Packets known by all that stays of them: a copy is, another one is not, and a neighbour uses up
 * its own places only.
 */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND } from '../../../../src/core/base/time.ts';
import {
  SEEN_OF_NEIGHBOUR_MAX,
  GONE_MAX,
  SeenContents,
} from '../../../../src/core/dissemination/seen-contents.ts';
import { KIND_ROUTED, Packet, stampEcn } from '../../../../src/core/wire/packet.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../../../../src/core/wire/sizes.ts';

const MODES = { service: 0, dissemination: 2, ttl: 9, priority: 1 };

function seen(seed = 1): SeenContents {
  const rng = new Rng(seed);
  return new SeenContents(() => rng.u32());
}

/** `offset`: where it begins in its buffer. */
function packetOf(payload: Uint8Array, offset = 0): Packet {
  const b = new Uint8Array(PACKET_BYTES_MAX + 8).fill(0xee);
  const at = offset + OVERLAY_HEADER_BYTES;
  b.set(payload, at);
  const packet = new Packet();
  packet.compose(b, offset, at + payload.length, KIND_ROUTED, MODES, 1, 2, 3, 4);
  return packet;
}

test(
  'a copy is known wherever it comes from and ' + 'what became of its hops; any other byte is news',
  () => {
    const rng = new Rng(3);
    for (let length = 0; length < 70; length += 1) {
      const contents = seen(length + 1);
      const payload = Uint8Array.from({ length }, () => rng.below(256));
      expect(contents.take(packetOf(payload), 7)).toBe(true);
      const copy = packetOf(payload, rng.below(8));
      copy.setTtl(1);
      stampEcn(copy.bytes, copy.start);
      for (const from of [7, 8]) expect(contents.take(copy, from)).toBe(false);
      const other = packetOf(payload);
      for (let at = 0; at < other.end; at += 1) {
        if (at === 1) continue;
        const bit = 1 << rng.below(at === 2 ? 7 : 8);
        other.bytes[at]! ^= bit;
        expect(contents.take(other, 8)).toBe(true);
        other.bytes[at]! ^= bit;
      }
      expect(contents.take(packetOf(Uint8Array.from([...payload, 0])), 8)).toBe(true);
      expect(contents.take(packetOf(payload), 9)).toBe(false);
    }
    // The largest one.
    const contents = seen();
    const largest = new Uint8Array(PACKET_BYTES_MAX - OVERLAY_HEADER_BYTES).fill(5);
    expect(contents.take(packetOf(largest), 7)).toBe(true);
    largest[largest.length - 1] = 6;
    expect(contents.take(packetOf(largest), 7)).toBe(true);
  },
);

test('who changes the highest bits, of which a plain product keeps the sum, meets nothing', () => {
  const contents = seen();
  const payload = new Uint8Array(64);
  expect(contents.take(packetOf(payload), 7)).toBe(true);
  for (let a = 0; a < 64; a += 1)
    for (let b = a + 1; b < 64; b += 1) {
      const changed = payload.slice();
      changed[a] = 0x80;
      changed[b] = 0x80;
      expect(contents.take(packetOf(changed), 7)).toBe(true);
    }
});

test('a neighbour that brings much forgets its own and nobody else', () => {
  const contents = seen();
  const numbered = (number: number): Packet =>
    packetOf(Uint8Array.from([number >>> 16, number >>> 8, number]));
  expect(contents.take(numbered(0), 7)).toBe(true);
  for (let i = 1; i <= 3 * SEEN_OF_NEIGHBOUR_MAX; i += 1)
    expect(contents.take(numbered(i), 8)).toBe(true);
  expect(contents.size).toBe(SEEN_OF_NEIGHBOUR_MAX + 1);
  expect(contents.take(numbered(0), 8)).toBe(false);
  expect(contents.take(numbered(1), 7)).toBe(true);
  for (let i = 2; i <= SEEN_OF_NEIGHBOUR_MAX; i += 1)
    expect(contents.take(numbered(i), 9)).toBe(true);
  expect(contents.take(numbered(0), 9)).toBe(false);
});

test('what a neighbour brought that is gone is known until many are', () => {
  const contents = seen();
  const numbered = (number: number): Packet => packetOf(Uint8Array.of(number));
  for (let from = 0; from <= GONE_MAX; from += 1) {
    expect(contents.take(numbered(from), from)).toBe(true);
    contents.leave(from);
  }
  expect(contents.size).toBe(GONE_MAX);
  // Two have come since the first two: one for each.
  for (let from = 0; from <= GONE_MAX; from += 1)
    expect(contents.take(numbered(from), 100)).toBe(from <= 1);
  // Who comes back has what it had.
  contents.leave(100);
  expect(contents.take(numbered(200), 100)).toBe(true);
  expect(contents.take(numbered(0), 3)).toBe(false);
});

test('at its end, once is enough, whatever a copy says of itself; two copies take no turns', () => {
  const contents = seen();
  const packet = packetOf(Uint8Array.of(1, 2, 3));
  const take = (ageMs: number, hops: number, isEnd: boolean): boolean => {
    packet.ageUs = ageMs * MILLISECOND;
    return contents.take(packet, 7, hops, isEnd);
  };
  expect(take(100, 32, true)).toBe(true);
  expect(take(0, 3, true)).toBe(false);
  expect(take(0, 3, false)).toBe(true);
  for (let i = 0; i < 10; i += 1)
    expect([take(100, 32, false), take(0, 3, false)]).toEqual([false, false]);
});

test('what says that it is older than it is does not stand in the way of the younger copy', () => {
  const contents = seen();
  const packet = packetOf(Uint8Array.of(1, 2, 3));
  packet.ageUs = 90 * MILLISECOND;
  expect(contents.take(packet, 7)).toBe(true);
  packet.ageUs = 86 * MILLISECOND;
  expect(contents.take(packet, 8)).toBe(false);
  packet.ageUs = 10 * MILLISECOND;
  expect(contents.take(packet, 8)).toBe(true);
  packet.ageUs = 30 * MILLISECOND;
  expect(contents.take(packet, 9)).toBe(false);
});
