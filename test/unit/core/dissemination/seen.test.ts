/** What passed once: each packet is taken once, and nobody can write ahead. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import { Seen, SEEN_STREAMS_MAX } from '../../../../src/core/dissemination/seen.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';

const { none, groupDuplicate, groupStampAhead } = DropReason;

describe('seen', () => {
  test('takes each number once, in any order within its window', () => {
    const seen = new Seen(() => null);
    const rng = new Rng(5);
    for (let block = 0; block < 20; block += 1) {
      const numbers = rng.shuffle(Array.from({ length: 3_000 }, (_, i) => block * 3_000 + i));
      for (const reason of [none, groupDuplicate]) {
        const said = new Set(numbers.map((number) => seen.take(1, 2, 3, number, block)));
        expect([...said]).toEqual([reason]);
      }
    }
    expect(seen.take(1, 2, 3, 10, 0)).toBe(groupDuplicate);
    // Other sources and groups have numbers of their own.
    expect(seen.take(2, 2, 3, 10, 0)).toBe(none);
    expect(seen.take(1, 3, 3, 10, 0)).toBe(none);
  });

  test(
    'a number far ahead is refused unless the rate explains it, ' + 'or nothing came for long',
    () => {
      const seen = new Seen(() => null);
      expect(seen.take(1, 1, 1, 0, 0)).toBe(none);
      expect(seen.take(1, 1, 1, 2 ** 20, MILLISECOND)).toBe(groupStampAhead);
      expect(seen.take(1, 1, 1, 4_097, MILLISECOND)).toBe(groupStampAhead);
      expect(seen.take(1, 1, 1, 4_096, MILLISECOND)).toBe(none);
      for (let i = 1; i <= 200; i += 1)
        expect(seen.take(1, 1, 1, 4_096 + i * 100, i * 10 * MILLISECOND)).toBe(none);
      // 10,000 a second by now.
      expect(seen.take(1, 1, 1, 24_096 + 23_000, 2 * SECOND)).toBe(none);
      expect(seen.take(1, 1, 1, 2 ** 31, 2.5 * SECOND)).toBe(groupStampAhead);
      expect(seen.take(1, 1, 1, 2 ** 31, 3.1 * SECOND)).toBe(none);
      expect(seen.take(1, 1, 1, 2 ** 31 + 5_000, 3.2 * SECOND)).toBe(groupStampAhead);
    },
  );

  test('a run is new when the source says so, the one before is silent or at its end', () => {
    let run: number | null = 7;
    const seen = new Seen(() => run);
    expect(seen.take(1, 1, 7, 50, 0)).toBe(none);
    expect(seen.take(1, 1, 9, 0, MILLISECOND)).toBe(groupStampAhead);
    run = 9;
    expect(seen.take(1, 1, 9, 0, MILLISECOND)).toBe(none);
    expect(seen.take(1, 1, 7, 51, MILLISECOND)).toBe(none);
    expect(seen.take(1, 1, 8, 0, 2 * MILLISECOND)).toBe(groupStampAhead);
    expect(seen.take(1, 1, 8, 0, 2 * SECOND)).toBe(none);
    expect(seen.take(1, 1, 8, 0xffff_fff0, 4 * SECOND)).toBe(none);
    run = null;
    expect(seen.take(1, 1, 9, 1, 4 * SECOND)).toBe(none);
    const other = new Seen(() => null);
    expect(other.take(1, 1, 0xffff_ffff, 0xffff_ff00, 0)).toBe(none);
    expect(other.take(1, 1, 1, 0, 1)).toBe(groupStampAhead);
    expect(other.take(1, 1, 0, 0, 1)).toBe(none);
  });

  test('has so many streams and no more, and keeps those that go on', () => {
    const seen = new Seen(() => null);
    for (let i = 0; i < 3 * SEEN_STREAMS_MAX; i += 1) {
      seen.take(i, 1, 1, 1, 0);
      seen.take(2 ** 20, 1, 1, i, 0);
    }
    expect(seen.streams).toBe(SEEN_STREAMS_MAX);
    expect(seen.take(2 ** 20, 1, 1, 3, 0)).toBe(groupDuplicate);
    expect(seen.take(0, 1, 1, 1, 0)).toBe(none);
  });
});
