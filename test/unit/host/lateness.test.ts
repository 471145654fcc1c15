/** How late a loop's timers are, over the last minutes. */

import { expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../../src/core/base/time.ts';
import { Lateness, latenessBetween } from '../../../src/host/lateness.ts';

test('quantiles are rounded up to powers of two, and never above the worst', () => {
  const late = new Lateness(0);
  expect(late.figures(0)).toEqual({ p50: 0, p99: 0, max: 0 });
  for (let i = 0; i < 98; i += 1) late.add(100, i);
  late.add(3 * MILLISECOND, 98);
  late.add(40 * MILLISECOND, 99);
  expect(late.figures(100)).toEqual({ p50: 0.128, p99: 4.096, max: 40 });
  const exact = new Lateness(0);
  exact.add(0, 0);
  exact.add(100, 0);
  expect(exact.figures(0)).toEqual({ p50: 0.001, p99: 0.1, max: 0.1 });
});

test('what is two minutes old is forgotten, what is one minute old is not', () => {
  const late = new Lateness(0);
  late.add(9 * MILLISECOND, SECOND);
  expect(late.figures(59 * SECOND).max).toBe(9);
  late.add(1 * MILLISECOND, 61 * SECOND);
  expect(late.figures(61 * SECOND).max).toBe(9);
  expect(late.figures(122 * SECOND).max).toBe(1);
  expect(late.figures(500 * SECOND)).toEqual({ p50: 0, p99: 0, max: 0 });
});

test(
  'what lies between two readings is told, ' + 'however long it took, and what was before is not',
  () => {
    const late = new Lateness(0);
    late.add(900 * MILLISECOND, 1);
    const before = late.counts;
    expect(latenessBetween(before, late.counts)).toEqual({ p99: 0, max: 0 });
    for (let i = 0; i < 300; i += 1) late.add(100, i * SECOND);
    late.add(3 * MILLISECOND, 301 * SECOND);
    expect(latenessBetween(before, late.counts)).toEqual({ p99: 0.128, max: 4.096 });
    expect(latenessBetween([], late.counts).max).toBeGreaterThan(900);
  },
);
