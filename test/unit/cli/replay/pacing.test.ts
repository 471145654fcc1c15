/** Token bucket, schedule and waits: exact arithmetic on passed-in time. */

import { describe, expect, it } from 'vitest';

import { Schedule, TokenBucket, burstBytes, waitFor } from '../../../../src/cli/replay/pacing.ts';
import { scheduleOf } from '../../../../src/cli/replay/replay-flows.ts';

describe('the token bucket', () => {
  it('keeps the rate with timers that wake late', () => {
    const kbps = 40_000;
    const size = 1_384;
    const bucket = new TokenBucket(kbps, burstBytes(kbps, size), 0);
    let now = 0;
    let sent = 0;
    let wakes = 0;
    while (now < 2_000_000) {
      const wait = bucket.take(now, size);
      if (wait === 0) sent += size;
      else {
        // A millisecond timer, up to 0.9 ms late.
        now += Math.max(1_000, wait) + ((wakes * 337) % 900);
        wakes += 1;
      }
    }
    const achieved = (sent * 8) / (now / 1_000);
    expect(achieved).toBeGreaterThan(0.99 * kbps);
    expect(achieved).toBeLessThan(1.01 * kbps);
  });

  it('never lets through more than rate and one burst', () => {
    const bucket = new TokenBucket(1_000, 3_000, 0);
    let sent = 0;
    for (let now = 0; now <= 1_000_000; now += 7_919)
      while (bucket.take(now, 500) === 0) sent += 500;
    expect(sent).toBeLessThanOrEqual(3_000 + 125_000);
    expect(sent).toBeGreaterThan(0.97 * 125_000);
  });

  it('does not save up over a pause', () => {
    const bucket = new TokenBucket(8_000, 2_000, 0);
    let burst = 0;
    while (bucket.take(60_000_000, 1_000) === 0) burst += 1_000;
    expect(burst).toBe(2_000);
  });

  it('says how long to wait, and that is enough', () => {
    const bucket = new TokenBucket(8, 1_000, 0);
    expect(bucket.take(0, 1_000)).toBe(0);
    const wait = bucket.take(0, 1_000);
    expect(wait).toBe(1_000_000);
    expect(bucket.take(wait - 10, 1_000)).toBeGreaterThan(0);
    expect(bucket.take(wait, 1_000)).toBe(0);
  });

  it('lets a datagram larger than the burst go, and makes up for it', () => {
    const bucket = new TokenBucket(8_000, 1_000, 0);
    expect(bucket.take(0, 10_000)).toBe(0);
    expect(bucket.take(0, 1_000)).toBe(10_000);
  });

  it('survives a clock that stands still or steps back', () => {
    const bucket = new TokenBucket(8_000, 1_000, 1_000);
    expect(bucket.take(0, 1_000)).toBe(0);
    expect(bucket.take(0, 1_000)).toBeGreaterThan(0);
  });

  it('has bursts of a few milliseconds', () => {
    expect(burstBytes(40_000, 1_384)).toBe(15_000);
    expect(burstBytes(64, 1_384)).toBe(2_768);
  });
});

describe('a schedule', () => {
  it('hands out what is due, in order, and catches up after a stall', () => {
    const schedule = new Schedule(1_000, 16_000, 5);
    expect(schedule.take(999)).toBe(-1);
    expect(schedule.take(1_000)).toBe(0);
    expect(schedule.take(16_999)).toBe(-1);
    expect([
      schedule.take(50_000),
      schedule.take(50_000),
      schedule.take(50_000),
      schedule.take(50_000),
    ]).toEqual([1, 2, 3, -1]);
    expect(schedule.take(65_000)).toBe(4);
    expect(schedule.done).toBe(true);
    expect(schedule.take(1e9)).toBe(-1);
  });

  it('does not drift: the millionth message is due a million periods after the first', () => {
    const schedule = new Schedule(0, 1e6 / 3, Infinity);
    while (schedule.next < 3_000_000) schedule.take(Infinity);
    expect(schedule.dueUs).toBe(1e12);
  });

  it('of a flow has the messages that start before its end', () => {
    const flow = {
      packetsPerSecond: 62.5,
      startUs: 500,
      durationUs: 20_000_000,
      count: null,
      phaseUs: null,
      jitterUs: 0,
    };
    expect(scheduleOf(flow, 1_000, 1, 0)).toMatchObject({
      startUs: 1_500,
      periodUs: 16_000,
      count: 1_250,
    });
    expect(scheduleOf({ ...flow, count: 10 }, 0, 1, 0).count).toBe(10);
    expect(scheduleOf({ ...flow, durationUs: 0 }, 0, 1, 0).count).toBe(0);
    expect(scheduleOf({ ...flow, packetsPerSecond: 3, durationUs: 1_000_000 }, 0, 1, 0).count).toBe(
      3,
    );
    expect(
      scheduleOf({ ...flow, packetsPerSecond: 3, phaseUs: 0, durationUs: 1_000_001 }, 0, 1, 0)
        .count,
    ).toBe(4);
  });
});

it('waits by timer for the most part and by polling for the last stretch', () => {
  expect(waitFor(16_000, true)).toEqual({ kind: 'sleep', ms: 14 });
  expect(waitFor(2_300, true)).toEqual({ kind: 'sleep', ms: 1 });
  expect(waitFor(1_200, true)).toEqual({ kind: 'poll' });
  expect(waitFor(-5, true)).toEqual({ kind: 'poll' });
  expect(waitFor(300, false)).toEqual({ kind: 'sleep', ms: 1 });
  expect(waitFor(2_300, false)).toEqual({ kind: 'sleep', ms: 3 });
});
