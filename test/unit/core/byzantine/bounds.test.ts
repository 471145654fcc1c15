/** Bounds of round trips: between what the link state says and a cap, whatever was measured. */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import {
  LATENCY_BELIEVED_US,
  MeasuredBound,
  rangeOf,
  sumOf,
} from '../../../../src/core/byzantine/bounds.ts';

const MS = MILLISECOND;

test(
  'a link takes its round trip, and at most two of it, ' +
    'or six where losses are recovered, and full queues',
  () => {
    expect(rangeOf(10 * MS, false)).toEqual({ leastUs: 20 * MS, mostUs: 240 * MS });
    expect(rangeOf(10 * MS, true)).toEqual({ leastUs: 20 * MS, mostUs: 520 * MS });
    expect(rangeOf(-1, true).mostUs).toBe(300 * MS);
    // Our own queue comes on top.
    expect(rangeOf(10 * MS, true, true)).toEqual({ leastUs: 20 * MS, mostUs: 1_020 * MS });
    // Queues of 100 ms in both directions fit in.
    expect(rangeOf(0, false).mostUs).toBeGreaterThanOrEqual(200 * MS);
  },
);

test('who advertises an hour is believed a fifth of a second', () => {
  expect(rangeOf(3_600 * SECOND, false)).toEqual(rangeOf(LATENCY_BELIEVED_US, false));
  expect(rangeOf(3_600 * SECOND, true).mostUs).toBeLessThan(3 * SECOND);
});

test('links one after the other', () => {
  expect(sumOf([rangeOf(10 * MS, false), rangeOf(20 * MS, false)])).toEqual({
    leastUs: 60 * MS,
    mostUs: 520 * MS,
  });
  expect(sumOf([])).toEqual({ leastUs: 0, mostUs: 0 });
});

test(
  'what was measured moves the bound, ' + 'never below the link state and never beyond the cap',
  () => {
    const rng = new Rng(1);
    for (let round = 0; round < 200; round += 1) {
      const range = { leastUs: rng.below(100 * MS), mostUs: 100 * MS + rng.below(SECOND) };
      const bound = new MeasuredBound(range);
      let now = 0;
      for (let i = 0; i < 600; i += 1) {
        bound.onSample(
          rng.chance(0.1) ? rng.below(3_600 * SECOND) : rng.below(50 * MS),
          (now += rng.below(50 * MS)),
        );
        expect(bound.boundUs(0)).toBeLessThanOrEqual(range.mostUs);
        expect(bound.boundUs(0)).toBeGreaterThanOrEqual(
          Math.min(range.mostUs, range.leastUs + 50 * MS),
        );
        expect(bound.boundUs(7)).toBe(bound.boundUs(0) + 7);
      }
    }
  },
);

test(
  'before there is enough to go by, twice the link state and 150 ms; ' +
    'then a quarter more than the longest, and 50 ms',
  () => {
    const bound = new MeasuredBound({ leastUs: 80 * MS, mostUs: 960 * MS });
    expect(bound.boundUs(0)).toBe(310 * MS);
    for (let i = 0; i < 15; i += 1) bound.onSample(84 * MS, i);
    expect(bound.boundUs(0)).toBe(310 * MS);
    bound.onSample(88 * MS, 16);
    expect(bound.boundUs(0)).toBe(160 * MS);
    // One answer that is late is enough for a longer one.
    bound.onSample(200 * MS, 17);
    expect(bound.boundUs(0)).toBe(300 * MS);
  },
);

test(
  'the longest is remembered for 10 s and 256 answers at least, ' +
    'and forgotten after twice that',
  () => {
    for (const spacing of [MS, 100 * MS]) {
      const bound = new MeasuredBound({ leastUs: 80 * MS, mostUs: 960 * MS });
      bound.onSample(400 * MS, 0);
      const long = bound.boundUs(0);
      let now = 0,
        samples = 0;
      while (bound.boundUs(0) === long) {
        bound.onSample(80 * MS, (now += spacing));
        samples += 1;
      }
      expect(now).toBeGreaterThanOrEqual(10 * SECOND);
      expect(samples).toBeGreaterThanOrEqual(256);
      expect(now).toBeLessThanOrEqual(2 * Math.max(10 * SECOND, 256 * spacing) + 2 * spacing);
      expect(bound.boundUs(0)).toBe(150 * MS);
    }
  },
);
