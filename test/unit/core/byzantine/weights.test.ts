/**
 * Link weights: doubling, sentences, exact rehabilitation, and the bounds of the list.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import {
  capExponent,
  faultLosses,
  packetsToPay,
  paperOptions,
  secureOptions,
} from '../../../../src/core/byzantine/options.ts';
import { WeightList } from '../../../../src/core/byzantine/weights.ts';

const convict = (list: WeightList, u: number, v: number, losses = 7, tau = 0.1): number =>
  list.convict(u, v, losses, tau, 5, 'loss');

function deliver(list: WeightList, packets: number): void {
  for (let i = 0; i < packets; i += 1) list.onDelivered();
}

describe('the figures', () => {
  test('come out whole where floating point would not', () => {
    expect(faultLosses(100, 0.07)).toBe(7); // 0.07 * 100 is 7.000000000000001
    expect(packetsToPay(3, 0.3)).toBe(10);
    expect(faultLosses(paperOptions.windowPackets, paperOptions.tolerance)).toBe(10);
    expect(faultLosses(secureOptions.windowPackets, secureOptions.tolerance)).toBe(10);
    expect(faultLosses(3, 0.01)).toBe(1);
    expect(packetsToPay(10, 0.05)).toBe(200);
    expect(packetsToPay(1, 0.3)).toBe(4); // rounded up: never forgiven early
    expect(() => faultLosses(100, 0)).toThrow('tolerance');
    expect(() => faultLosses(100, 1.1)).toThrow('tolerance');
    expect(() => faultLosses(0, 0.1)).toThrow('window');
  });

  test('cap weights at the power of two at or above the number of nodes, or at 2^20', () => {
    expect([2, 3, 4, 5, 8, 9, 1000].map((nodes) => capExponent('nodes', nodes))).toEqual([
      1, 2, 2, 3, 3, 4, 10,
    ]);
    expect(capExponent('fixed', 5)).toBe(20);
  });
});

describe('link weights', () => {
  test('a link that was never convicted weighs 1, in both directions alike', () => {
    const list = new WeightList(4);
    expect(list.weight(1, 2)).toBe(1);
    expect(list.pathWeight([1, 2, 3])).toBe(2);
    convict(list, 0xdfff_ffff, 2);
    expect(list.weight(0xdfff_ffff, 2)).toBe(2);
    expect(list.weight(2, 0xdfff_ffff)).toBe(2);
    expect(list.weight(2, 3)).toBe(1);
    expect(list.pathWeight([1, 2, 0xdfff_ffff, 7])).toBe(4);
    expect(list.pathWeight([2])).toBe(0);
  });

  test(
    'B7: after j convictions the weight is 1 again ' +
      'after exactly j * ceil(losses / tau) * m deliveries',
    () => {
      for (const [losses, tau] of [
        [7, 0.1],
        [10, 0.05],
        [1, 0.3],
        [13, 0.07],
      ] as const) {
        for (let j = 1; j <= 5; j += 1) {
          for (const m of [1, 2, 3, 7]) {
            const list = new WeightList(5);
            for (let k = 0; k < j; k += 1)
              for (let i = 0; i < m; i += 1)
                expect(convict(list, i, i + 1, losses, tau)).toBe(k + 1);
            const sentence = packetsToPay(losses, tau);
            for (let served = 1; served <= j; served += 1) {
              deliver(list, sentence * m - 1);
              for (let i = 0; i < m; i += 1) expect(list.exponent(i, i + 1)).toBe(j - served + 1);
              deliver(list, 1);
              for (let i = 0; i < m; i += 1) expect(list.exponent(i, i + 1)).toBe(j - served);
            }
            expect(list.size).toBe(0);
            expect(list.rows()).toEqual([]);
          }
        }
      }
    },
  );

  test(
    'sentences of different length share until the ' +
      'shorter one is served, then the other has all',
    () => {
      const list = new WeightList(4);
      convict(list, 1, 2, 1, 0.1);
      convict(list, 3, 4, 3, 0.1);
      deliver(list, 19);
      expect(list.size).toBe(2);
      deliver(list, 1);
      expect(list.exponent(1, 2)).toBe(0);
      deliver(list, 19);
      expect(list.exponent(3, 4)).toBe(1);
      deliver(list, 1);
      expect(list.exponent(3, 4)).toBe(0);
    },
  );

  test('a link convicted in mid-round joins the next one', () => {
    const list = new WeightList(4);
    for (let i = 0; i < 3; i += 1) convict(list, i, i + 1, 1, 0.5);
    deliver(list, 1);
    convict(list, 8, 9, 1, 0.5);
    deliver(list, 2 + 4);
    expect(list.entries()).toEqual([{ u: 8, v: 9, exponent: 1 }]);
    deliver(list, 1);
    expect(list.size).toBe(0);
  });

  test(
    'at the heaviest weight a conviction lengthens the last sentence: ' +
      'as many halvings as doublings',
    () => {
      const list = new WeightList(2);
      expect([1, 2, 3, 4].map(() => convict(list, 1, 2, 5, 0.1))).toEqual([1, 2, 2, 2]);
      expect(list.weight(1, 2)).toBe(4);
      expect(list.rows()).toEqual([
        {
          u: 1,
          v: 2,
          exponent: 2,
          weight: 4,
          remaining: 200,
          convictions: 4,
          reason: 'loss',
          at: 5,
        },
      ]);
      deliver(list, 50);
      expect(list.weight(1, 2)).toBe(2);
      deliver(list, 149);
      expect(list.weight(1, 2)).toBe(2);
      deliver(list, 1);
      expect(list.weight(1, 2)).toBe(1);
    },
  );

  test('rows and entries come heaviest first, with the newest reason', () => {
    const list = new WeightList(8);
    convict(list, 9, 8);
    for (let i = 0; i < 3; i += 1) convict(list, 5, 6);
    list.convict(5, 6, 1, 0.1, 77, 'route-error');
    convict(list, 1, 2);
    expect(list.entries()).toEqual([
      { u: 5, v: 6, exponent: 4 },
      { u: 1, v: 2, exponent: 1 },
      { u: 8, v: 9, exponent: 1 },
    ]);
    expect(list.entries(2)).toHaveLength(2);
    expect(list.rows()[0]).toMatchObject({
      weight: 16,
      convictions: 4,
      reason: 'route-error',
      at: 77,
      remaining: 220,
    });
  });

  test('a full list loses the lightest entry of the oldest conviction, never the newest', () => {
    const list = new WeightList(8, 3);
    convict(list, 1, 2);
    convict(list, 1, 2);
    convict(list, 3, 4);
    convict(list, 5, 6);
    convict(list, 7, 8);
    expect(list.size).toBe(3);
    expect(list.exponent(3, 4)).toBe(0);
    for (let i = 0; i < 2; i += 1) convict(list, 7, 8);
    convict(list, 5, 6);
    convict(list, 9, 10);
    expect(list.entries().map(({ u, exponent }) => [u, exponent])).toEqual([
      [7, 3],
      [5, 2],
      [9, 1],
    ]);
  });

  test('deliveries do nothing to an empty list, and misuse is found', () => {
    const list = new WeightList(3);
    deliver(list, 5);
    convict(list, 1, 2, 1, 0.5);
    deliver(list, 2);
    expect(list.size).toBe(0);
    expect(() => convict(list, 1, 1)).toThrow('two ends');
    expect(() => convict(list, 1, 2, 0)).toThrow('losses');
    expect(() => new WeightList(31)).toThrow('heaviest');
  });

  test(
    'whatever happens: never below 1, never above the cap, ' +
      'never more than the bound, and the deliveries add up',
    () => {
      for (let seed = 1; seed <= 30; seed += 1) {
        const rng = new Rng(seed);
        const cap = 1 + rng.below(6);
        const most = 1 + rng.below(12);
        const list = new WeightList(cap, most);
        const remaining = (): number => list.rows().reduce((sum, row) => sum + row.remaining, 0);
        for (let step = 0; step < 1_500; step += 1) {
          if (rng.chance(0.02)) {
            const u = rng.below(6);
            convict(list, u, u + 1 + rng.below(5), 1 + rng.below(20), 0.1);
          } else {
            list.onDelivered();
          }
          const bounded =
            list.size <= most &&
            list
              .rows()
              .every(
                (row) =>
                  row.exponent >= 1 &&
                  row.exponent <= cap &&
                  row.u < row.v &&
                  list.weight(row.v, row.u) === row.weight,
              );
          if (!bounded) expect.fail(`seed ${seed}, step ${step}: ${JSON.stringify(list.rows())}`);
        }
        // What is owed is paid by as many deliveries, give or take the round that is running.
        const owed = remaining();
        deliver(list, Math.max(0, owed - most));
        expect(remaining()).toBeLessThanOrEqual(2 * most);
        deliver(list, 2 * most);
        expect(list.size).toBe(0);
      }
    },
  );
});
