/** Ranges beyond a gap against a model of single positions, and which of them are named. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { ArrivedRanges } from '../../../../src/core/session/arrived-ranges.ts';

function named(ranges: ArrivedRanges, max: number): [number, number][] {
  const starts = new Float64Array(max),
    ends = new Float64Array(max);
  const count = ranges.name(starts, ends);
  return Array.from({ length: count }, (_, i) => [starts[i]!, ends[i]!]);
}

describe('ranges beyond a gap', () => {
  test('say what a map of positions says, whatever arrives in whatever order', () => {
    for (let seed = 0; seed < 30; seed += 1) {
      const rng = new Rng(seed),
        ranges = new ArrivedRanges(1_000),
        has = new Uint8Array(600);
      let floor = 0;
      for (let step = 0; step < 300 && floor < 550; step += 1) {
        const start = floor + 1 + rng.below(560 - floor),
          end = Math.min(600, start + 1 + rng.below(12));
        ranges.add(start, end);
        has.fill(1, start, end);
        if (rng.chance(0.05)) {
          floor = Math.min(500, floor + rng.below(40));
          while (has[floor] === 1) floor += 1;
          has.fill(0, 0, floor);
          ranges.dropBelow(floor);
        }
        // What reaches up to the floor is in order, and over.
        const expected: [number, number][] = [];
        for (let at = 0; at < 600; at += 1) {
          if (has[at] !== 1) continue;
          if (at > 0 && has[at - 1] === 1) expected[expected.length - 1]![1] = at + 1;
          else expected.push([at, at + 1]);
        }
        expect(named(ranges, 1_000).filter(([, to]) => to > floor)).toEqual(expected);
      }
    }
  });

  test(
    'more than can be named: ' + 'every arrival is in the next acknowledgement, and names ascend',
    () => {
      const rng = new Rng(7),
        ranges = new ArrivedRanges(4);
      for (let step = 0; step < 2_000; step += 1) {
        const start = 2 * (1 + rng.below(5_000));
        ranges.add(start, start + 1);
        const list = named(ranges, 4);
        expect(list.length).toBeLessThanOrEqual(4);
        expect(list.some(([from, to]) => from <= start && start < to)).toBe(true);
        for (let i = 1; i < list.length; i += 1)
          expect(list[i]![0]).toBeGreaterThan(list[i - 1]![1]);
      }
      ranges.dropBelow(20_000);
      expect([ranges.length, named(ranges, 4)]).toEqual([0, []]);
    },
  );

  test(
    'a loss in each of a hundred places is named by the ' +
      'acknowledgements of a round trip, four at a time',
    () => {
      const ranges = new ArrivedRanges(4),
        told = new Set<number>();
      for (let i = 1; i <= 100; i += 1) {
        ranges.add(10 * i, 10 * i + 9);
        for (const [from] of named(ranges, 4)) told.add(from);
      }
      expect(told.size).toBe(100);
    },
  );
});
