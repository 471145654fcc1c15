/** Delay statistics and flow meters against naive computation. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { DelayStats, FlowMeter, Refusals } from '../../../../src/lab/report/delay-stats.ts';

const round3 = (value: number): number => Math.round(value * 1_000) / 1_000;

describe('delay statistics', () => {
  test.each([1, 2, 3, 10, 99, 100, 101, 1_000, 12_345])(
    'agree with a naive computation over %d samples',
    (count) => {
      const rng = new Rng(count);
      const samples = Array.from({ length: count }, () => rng.below(200_000));
      const stats = new DelayStats();
      for (const sample of samples) stats.record(sample);
      const sorted = samples.toSorted((a, b) => a - b);
      const mean = samples.reduce((a, b) => a + b, 0) / count;
      const variance = samples.reduce((a, b) => a + (b - mean) * (b - mean), 0) / count;
      // Nearest rank: the first sample that at least this share does not exceed.
      const rank = (permille: number): number =>
        round3(sorted.find((_, i) => (i + 1) * 1_000 >= permille * count)! / 1_000);
      expect(stats.summary()).toEqual({
        mean: round3(mean / 1_000),
        stddev: round3(Math.sqrt(variance) / 1_000),
        min: round3(sorted[0]! / 1_000),
        p50: rank(500),
        p90: rank(900),
        p99: rank(990),
        p999: rank(999),
        max: round3(sorted.at(-1)! / 1_000),
      });
      for (const ms of [0, 60, 100, 300]) {
        expect(stats.percentAbove(ms)).toBe(
          round3((samples.filter((s) => s > ms * 1_000).length / count) * 100),
        );
      }
    },
  );

  test('exactly on the threshold is not above it', () => {
    const stats = new DelayStats();
    for (const us of [59_999, 60_000, 60_000, 60_001]) stats.record(us);
    expect(stats.percentAbove(60)).toBe(25);
  });

  test('samples recorded after a summary count in the next one', () => {
    const stats = new DelayStats();
    stats.record(5_000);
    expect(stats.summary()?.max).toBe(5);
    stats.record(1_000);
    expect(stats.summary()).toMatchObject({ min: 1, max: 5, mean: 3, stddev: 2 });
  });

  test('there is no summary of nothing', () => {
    expect(new DelayStats().summary()).toBeNull();
    expect(new DelayStats().percentAbove(60)).toBe(0);
  });

  test('samples beyond the bound are counted, not kept', () => {
    const stats = new DelayStats(1_000);
    for (let i = 0; i < 1_500; i += 1) stats.record(i);
    expect([stats.count, stats.unrecorded, stats.summary()?.max]).toEqual([1_000, 500, 0.999]);
  });

  test('impossible delays are clamped to what a sample can hold', () => {
    const stats = new DelayStats();
    stats.record(-5);
    stats.record(1e15);
    expect(stats.summary()).toMatchObject({ min: 0, max: 2_147_483.647 });
  });
});

describe('flow meter', () => {
  test('agrees with a naive count over a shuffled, lossy, duplicated flow', () => {
    const rng = new Rng(8);
    const arrivals: number[] = [];
    for (let i = 0; i < 5_000; i += 1) {
      if (rng.chance(0.1)) continue;
      arrivals.push(i);
      if (rng.chance(0.05)) arrivals.push(i);
    }
    for (let i = 0; i + 3 < arrivals.length; i += 7)
      [arrivals[i], arrivals[i + 3]] = [arrivals[i + 3]!, arrivals[i]!];
    const meter = new FlowMeter();
    const seen = new Set<number>();
    let duplicates = 0;
    let outOfOrder = 0;
    for (const sequence of arrivals) {
      meter.onMessage(sequence, 10_000 + sequence, 500);
      if (seen.has(sequence)) duplicates += 1;
      else if (sequence < Math.max(-1, ...seen)) outOfOrder += 1;
      seen.add(sequence);
    }
    const result = meter.result(5_000, 10_000_000);
    expect(result).toMatchObject({
      sent: 5_000,
      delivered: seen.size,
      lost: 5_000 - seen.size,
      duplicates,
      outOfOrder,
    });
    expect(Math.min(duplicates, outOfOrder)).toBeGreaterThan(50);
    expect(result.goodputKbps).toBe(round3((seen.size * 500 * 8) / 10_000));
    expect(meter.delays.count).toBe(seen.size);
  });

  test('nothing delivered: no delays, no goodput', () => {
    expect(new FlowMeter().result(10, 1_000_000)).toEqual({
      sent: 10,
      delivered: 0,
      refused: 0,
      lost: 10,
      duplicates: 0,
      outOfOrder: 0,
      goodputKbps: 0,
      delayMs: null,
      delayedPct: { 60: 0, 100: 0 },
    });
    expect(new FlowMeter().result(0, 0).goodputKbps).toBe(0);
  });

  test('what the sender was told is no loss, and never more than what is missing', () => {
    const meter = new FlowMeter(),
      refusals = new Refusals();
    for (let i = 0; i < 6; i += 1) meter.onMessage(i, 1_000, 100);
    refusals.add('linkQueueFull', 2);
    refusals.add('noRoute');
    expect(meter.result(10, 1_000_000, refusals)).toMatchObject({
      delivered: 6,
      refused: 3,
      lost: 1,
      refusals: { linkQueueFull: 2, noRoute: 1 },
    });
    expect(Object.keys(meter.result(10, 1_000_000, refusals).refusals!)).toEqual([
      'linkQueueFull',
      'noRoute',
    ]);
    expect(meter.result(8, 1_000_000, refusals)).toMatchObject({ refused: 2, lost: 0 });
    for (let i = 0; i < 100; i += 1) refusals.add(`kind ${i}`);
    expect(Object.keys(refusals.byKind())).toHaveLength(16);
    expect(refusals.total).toBe(103);
  });

  test('a sequence number out of bounds is invalid and takes no memory', () => {
    const meter = new FlowMeter();
    for (const sequence of [-1, 0.5, NaN, 2 ** 40]) meter.onMessage(sequence, 1, 1);
    expect([meter.invalid, meter.delivered]).toEqual([4, 0]);
  });
});
