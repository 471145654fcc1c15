/** A window that grows instead of forgetting: against a set of all numbers. */

import { describe, expect, test } from 'vitest';

import { GrowingWindow } from '../../../../src/core/base/growing-window.ts';
import { Rng } from '../../../../src/core/base/rng.ts';

/**
 * Nothing that was recorded is new again, and whatever is said to be too old is below the floor.
 */
function check(window: GrowingWindow, seen: ReadonlySet<number>, number: number): void {
  const expected = number > window.highest || (number >= window.floor && !seen.has(number));
  if (window.isNew(number) !== expected)
    throw new Error(`${number}: ${!expected}, highest ${window.highest}, floor ${window.floor}`);
}

describe('a growing window', () => {
  test('says of every number what a set says, through growth, jumps and wraps', () => {
    const rng = new Rng(3);
    for (let round = 0; round < 40; round += 1) {
      const window = new GrowingWindow(64 * 2 ** rng.below(5)),
        seen = new Set<number>();
      let next = rng.below(3) === 0 ? rng.below(2 ** 40) : 0;
      for (let i = 0; i < 3_000; i += 1) {
        next += rng.chance(0.95) ? 1 : rng.chance(0.9) ? rng.below(200) : rng.below(20_000);
        const number = rng.chance(0.8) ? next : Math.max(0, next - rng.below(5_000));
        check(window, seen, number);
        if (window.isNew(number)) {
          window.record(number);
          seen.add(number);
        }
        check(window, seen, number);
        for (const other of [
          number - 1,
          number + 1,
          number - 31,
          number - 32,
          window.floor,
          window.floor - 1,
        ])
          if (other >= 0) check(window, seen, other);
      }
    }
  });

  test('that grows late says of no number from before that it is new', () => {
    const rng = new Rng(5);
    for (let round = 0; round < 30; round += 1) {
      const window = new GrowingWindow(64 * 2 ** (1 + rng.below(8))),
        seen = new Set<number>();
      let next = rng.below(2) === 0 ? 0 : rng.below(2 ** 40);
      const first = next;
      // Whole for so long that what is old was forgotten; then numbers are missing, once or again
      // and again.
      for (let part = 0; part < 4; part += 1) {
        for (let i = 2_000 + rng.below(8_000); i > 0; i -= 1, next += 1) {
          window.record(next);
          seen.add(next);
        }
        next += 1 + rng.below(rng.chance(0.5) ? 40 : 6_000);
        window.record(next);
        seen.add(next);
        for (const number of seen)
          if (window.isNew(number))
            throw new Error(`round ${round}: ${number - first} of ${next - first} is new again`);
      }
    }
  });

  test('stays small while nothing is missing, and grows no further than it must', () => {
    const window = new GrowingWindow(16_384);
    for (let i = 0; i < 100_000; i += 1) window.record(i);
    expect(window.grownBytes).toBe(0);
    // One that does not come while others go on: it is still taken 400,000 numbers later.
    const late = 100_000;
    for (let i = late + 1; i < late + 400_000; i += 1) window.record(i);
    expect(window.isNew(late)).toBe(true);
    expect(window.grownBytes).toBeLessThanOrEqual(65_536);
    window.record(late);
    expect(window.isNew(late)).toBe(false);
  });

  test('grows only where there is room, and then forgets the oldest', () => {
    let left = 1_000;
    const window = new GrowingWindow(16_384, (bytes) => {
      if (bytes > left) return false;
      left -= bytes;
      return true;
    });
    for (let i = 1; i < 100_000; i += 1) window.record(i);
    expect(window.grownBytes).toBeLessThanOrEqual(1_000);
    expect(window.isNew(0)).toBe(false);
    for (let i = 1; i < 100_000; i += 7) expect(window.isNew(i)).toBe(false);
  });
});
