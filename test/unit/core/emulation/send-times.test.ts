/** When messages of a flow are due. */

import { describe, expect, test } from 'vitest';

import { SendTimes } from '../../../../src/core/emulation/send-times.ts';

const flow = { packetsPerSecond: 62.5, phaseUs: null, jitterUs: 0 };
const first = (times: SendTimes, count: number): number[] =>
  Array.from({ length: count }, (_, k) => times.offsetUs(k));

describe('a flow that says nothing', () => {
  test(
    'sends once in every period, at gaps that differ by a sixteenth at most, ' +
      'and wanders through all of the period',
    () => {
      const times = new SendTimes(flow, 7, 3);
      const due = first(times, 20_000);
      due.forEach((at, k) => expect(Math.floor(at / 16_000)).toBe(k));
      for (let k = 1; k < due.length; k += 1)
        expect(Math.abs(due[k]! - due[k - 1]! - 16_000)).toBeLessThanOrEqual(1_000);
      const places = new Set(due.map((at) => Math.floor((at % 16_000) / 1_600)));
      expect(places.size).toBe(10);
      expect(times.within(20_000_000)).toBe(1_250);
    },
  );

  test('is in step with no other, and the same in every run of a seed', () => {
    const [one, two] = [
      first(new SendTimes(flow, 7, 0), 5_000),
      first(new SendTimes(flow, 7, 1), 5_000),
    ];
    const ahead = one.filter((at, k) => at < two[k]!).length;
    expect(ahead).toBeGreaterThan(2_000);
    expect(ahead).toBeLessThan(3_000);
    expect(first(new SendTimes(flow, 7, 1), 5_000)).toEqual(two);
    expect(first(new SendTimes(flow, 8, 1), 5)).not.toEqual(two.slice(0, 5));
  });
});

test('a phase is kept to the microsecond, and 0 is as it was', () => {
  expect(first(new SendTimes({ ...flow, phaseUs: 0 }, 7, 3), 3)).toEqual([0, 16_000, 32_000]);
  const late = new SendTimes({ ...flow, phaseUs: 40_500 }, 7, 3);
  expect(first(late, 2)).toEqual([40_500, 56_500]);
  expect([late.within(40_500), late.within(40_501), late.within(56_501)]).toEqual([0, 1, 2]);
});

test('jitter delays each message on its own, evenly, and none overtakes another', () => {
  for (const jitterUs of [1, 4_000, 16_000]) {
    const due = first(new SendTimes({ ...flow, jitterUs, phaseUs: 0 }, 7, 0), 10_000);
    const late = due.map((at, k) => at - k * 16_000);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...late)).toBeLessThan(jitterUs);
    expect(late.reduce((sum, x) => sum + x, 0) / late.length / jitterUs).toBeCloseTo(0.5, 1);
    for (let k = 1; k < due.length; k += 1) expect(due[k]!).toBeGreaterThanOrEqual(due[k - 1]!);
    // Without a phase it begins anywhere that keeps the messages in their periods.
    first(new SendTimes({ ...flow, jitterUs }, 7, 0), 1_000).forEach((at, k) =>
      expect(Math.floor(at / 16_000)).toBe(k),
    );
  }
});
