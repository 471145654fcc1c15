/** Drop reasons and their counters. */

import { expect, test } from 'vitest';

import {
  DROP_REASON_COUNT,
  DropCounters,
  DropReason,
  dropReasonName,
} from '../../../../src/core/wire/drop.ts';

const reasons = Object.entries(DropReason);

test('every reason has a number of its own, without gaps, and a name', () => {
  expect(reasons.map(([, reason]) => reason).sort((a, b) => a - b)).toEqual(
    Array.from({ length: DROP_REASON_COUNT }, (_, i) => i),
  );
  expect(new Set(reasons.map(([name]) => name)).size).toBe(DROP_REASON_COUNT);
  for (const [name, reason] of reasons) expect(dropReasonName(reason)).toBe(name);
  expect(DropReason.none).toBe(0);
});

test('each drop is counted under one reason, and none is no drop', () => {
  const drops = new DropCounters();
  for (const [, reason] of reasons) drops.count(reason, reason + 1);
  drops.count(DropReason.none, 5);
  for (const [, reason] of reasons)
    if (reason !== DropReason.none) expect(drops.of(reason)).toBe(reason + 1);
  const n = DROP_REASON_COUNT;
  expect(drops.total).toBe((n * (n + 1)) / 2 - 1);
  expect(Object.keys(drops.snapshot()).sort()).toEqual(
    reasons
      .filter(([, r]) => r !== DropReason.none)
      .map(([name]) => name)
      .sort(),
  );
  expect(new DropCounters().snapshot()).toEqual({});
});
