/** Loss and round-trip time as a link measures them. */

import { describe, expect, test } from 'vitest';

import { NEVER } from '../../../../src/core/base/time.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { LossEstimator } from '../../../../src/core/link/loss.ts';
import { RttEstimator } from '../../../../src/core/recovery/rtt.ts';

/** Feeds the numbers in `order` as a link would: with the highest so far. */
function feed(loss: LossEstimator, order: readonly number[]): void {
  let highest = -1;
  for (const number of order) {
    highest = Math.max(highest, number);
    loss.onReceived(highest);
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('loss', () => {
  test('nothing lost is no loss, from the first datagram on', () => {
    const loss = new LossEstimator();
    expect(loss.rate).toBe(0);
    feed(loss, upTo(1_000));
    expect(loss.rate).toBe(0);
  });

  test.each([0.01, 0.1, 0.3, 0.7])('a loss of %d is found within a few windows', (rate) => {
    const rng = new Rng(3),
      loss = new LossEstimator();
    feed(
      loss,
      upTo(20_000).filter(() => !rng.chance(rate)),
    );
    // The moving average weighs some 4 windows of 64: three standard deviations, and more.
    expect(Math.abs(loss.rate - rate)).toBeLessThan(
      3.5 * Math.sqrt((rate * (1 - rate)) / (64 * 7)) + 0.01,
    );
  });

  test('exactly every fourth lost is a quarter', () => {
    const loss = new LossEstimator();
    feed(
      loss,
      upTo(4_000).filter((n) => n % 4 !== 3),
    );
    expect(loss.rate).toBeCloseTo(0.25, 1);
  });

  test('reordering alone stays near none, and comes back to none', () => {
    const loss = new LossEstimator(),
      order = upTo(12_800);
    for (let i = 0; i + 8 < order.length; i += 8)
      order.splice(i, 8, ...order.slice(i, i + 8).reverse());
    let highest = -1,
      worst = 0,
      sum = 0;
    for (const number of order) {
      highest = Math.max(highest, number);
      loss.onReceived(highest);
      worst = Math.max(worst, loss.rate);
      sum += loss.rate;
    }
    // What is late at a window's end is missing in one window and surplus in the next.
    expect(worst).toBeLessThan(8 / 64 + 0.01);
    expect(sum / order.length).toBeLessThan(0.06);
  });

  test('loss is found through reordering', () => {
    const rng = new Rng(8),
      loss = new LossEstimator();
    const order = upTo(30_000).filter(() => !rng.chance(0.2));
    for (let i = 0; i + 3 < order.length; i += 3)
      if (rng.chance(0.3)) [order[i], order[i + 2]] = [order[i + 2]!, order[i]!];
    feed(loss, order);
    expect(Math.abs(loss.rate - 0.2)).toBeLessThan(0.08);
  });

  test('the rate stays within 0 and 1 whatever arrives', () => {
    const rng = new Rng(6),
      loss = new LossEstimator();
    let highest = 0;
    for (let i = 0; i < 20_000; i += 1) {
      if (rng.chance(0.5)) highest += rng.chance(0.01) ? rng.u32() : rng.below(5);
      loss.onReceived(highest);
      expect(loss.rate >= 0 && loss.rate <= 1).toBe(true);
    }
  });

  test('a new channel begins a new count and keeps the estimate', () => {
    const loss = new LossEstimator();
    feed(
      loss,
      upTo(2_000).filter((n) => n % 2 === 0),
    );
    const before = loss.rate;
    expect(before).toBeGreaterThan(0.4);
    loss.restart();
    loss.onReceived(0);
    expect(loss.rate).toBe(before);
    feed(loss, upTo(2_000));
    expect(loss.rate).toBeLessThan(0.01);
  });
});

describe('round-trip time', () => {
  test('the first sample is taken as it is (RFC 9002 section 5.2)', () => {
    const rtt = new RttEstimator();
    expect([rtt.smoothedUs, rtt.variationUs, rtt.minUs, rtt.samples]).toEqual([0, 0, NEVER, 0]);
    rtt.onSample(10_000, 0);
    expect([rtt.smoothedUs, rtt.variationUs, rtt.minUs, rtt.latestUs, rtt.samples]).toEqual([
      10_000, 5_000, 10_000, 10_000, 1,
    ]);
  });

  test('later ones move it by an eighth, and the variation by a quarter', () => {
    const rtt = new RttEstimator();
    rtt.onSample(10_000, 0);
    rtt.onSample(18_000, 0);
    expect([rtt.smoothedUs, rtt.variationUs, rtt.minUs, rtt.latestUs]).toEqual([
      11_000, 5_750, 10_000, 18_000,
    ]);
    rtt.onSample(3_000, 0);
    expect([rtt.smoothedUs, rtt.variationUs, rtt.minUs]).toEqual([10_000, 6_312.5, 3_000]);
  });

  test('a steady path is measured exactly, and a change is followed', () => {
    const rtt = new RttEstimator();
    for (let i = 0; i < 50; i += 1) rtt.onSample(40_000, 0);
    expect(rtt.smoothedUs).toBe(40_000);
    expect(rtt.variationUs).toBeLessThan(1);
    for (let i = 0; i < 50; i += 1) rtt.onSample(80_000, 0);
    expect(rtt.smoothedUs).toBeGreaterThan(79_900);
    expect([rtt.minUs, rtt.latestUs]).toEqual([40_000, 80_000]);
  });

  test('it lies between the smallest and the largest sample', () => {
    const rng = new Rng(2),
      rtt = new RttEstimator();
    let most = 0;
    for (let i = 0; i < 5_000; i += 1) {
      const sample = rng.below(100_000);
      most = Math.max(most, sample);
      rtt.onSample(sample, 0);
      expect(rtt.smoothedUs >= rtt.minUs && rtt.smoothedUs <= most && rtt.variationUs >= 0).toBe(
        true,
      );
    }
  });

  test(
    'the least of late: a burst of queues does not move it, ' +
      'a longer way does after one to two seconds, a shorter one at once',
    () => {
      const rtt = new RttEstimator();
      expect(rtt.recentUs).toBe(0);
      let now = 5_000_000;
      const feed = (us: number, samples: number): void => {
        for (let i = 0; i < samples; i += 1) rtt.onSample(us, (now += 150_000));
      };
      feed(10_000, 20);
      expect(rtt.recentUs).toBe(10_000);
      feed(35_000, 6);
      expect(rtt.recentUs, 'for 0.9 s').toBe(10_000);
      feed(10_000, 1);
      feed(30_000, 4);
      expect(rtt.recentUs).toBe(10_000);
      feed(30_000, 10);
      expect(rtt.recentUs, '2.1 s after the last quick one').toBe(30_000);
      feed(20_000, 1);
      expect(rtt.recentUs).toBe(20_000);
    },
  );

  test(
    'the least of late counts samples too: ' +
      'who is asked once in five seconds forgets nothing sooner',
    () => {
      const rtt = new RttEstimator();
      rtt.onSample(10_000, 0);
      for (let i = 1; i <= 3; i += 1) rtt.onSample(30_000, i * 5_000_000);
      expect(rtt.recentUs).toBe(10_000);
      for (let i = 4; i <= 9; i += 1) rtt.onSample(30_000, i * 5_000_000);
      expect(rtt.recentUs).toBe(30_000);
    },
  );
});
