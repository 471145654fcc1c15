/**
 * Seeded randomness: the same for the same seed, independent between forks, even enough to simulate
 * with.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';

const draw = (rng: Rng, count: number): number[] => Array.from({ length: count }, () => rng.u32());

describe('determinism', () => {
  test('a seed gives one stream, on every machine', () => {
    expect(draw(new Rng(1), 5)).toEqual(draw(new Rng(1), 5));
    expect(draw(new Rng(1), 5)).not.toEqual(draw(new Rng(2), 5));
    expect(draw(new Rng(-1), 5)).toEqual(draw(new Rng(0xffff_ffff), 5));
  });

  test('a fork depends on seed and label alone, not on what was drawn', () => {
    const fresh = draw(new Rng(7).fork('a'), 20);
    const used = new Rng(7);
    draw(used, 1_000);
    used.fork('b').u32();
    expect(draw(used.fork('a'), 20)).toEqual(fresh);
    expect(draw(new Rng(7).fork('b'), 20)).not.toEqual(fresh);
    expect(draw(new Rng(8).fork('a'), 20)).not.toEqual(fresh);
  });

  test('a draw from a fork does not move its parent', () => {
    const rng = new Rng(3);
    const child = rng.fork('x');
    draw(child, 10);
    expect(draw(rng, 5)).toEqual(draw(new Rng(3), 5));
  });
});

/** The published algorithm once more: xoshiro128** seeded by splitmix32, in BigInt. */
function reference(seed: number, count: number): number[] {
  const M = 0xffff_ffffn;
  let state = BigInt(seed);
  const split = (): bigint => {
    state = (state + 0x9e3779b9n) & M;
    let z = state ^ (state >> 16n);
    z = (z * 0x21f0aaadn) & M;
    z ^= z >> 15n;
    z = (z * 0x735a2d97n) & M;
    return z ^ (z >> 15n);
  };
  const rotl = (x: bigint, k: bigint): bigint => ((x << k) | (x >> (32n - k))) & M;
  const s: [bigint, bigint, bigint, bigint] = [split(), split(), split(), split() | 1n];
  const out: number[] = [];
  for (let i = 0; i < count; i += 1) {
    out.push(Number((rotl((s[1] * 5n) & M, 7n) * 9n) & M));
    const t = (s[1] << 9n) & M;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11n);
  }
  return out;
}

describe('evenness', () => {
  test('a thousand draws are those of the published algorithm', () => {
    for (const seed of [0, 1, 0xdead_beef])
      expect(draw(new Rng(seed), 1_000)).toEqual(reference(seed, 1_000));
  });

  test('below(n) fills its range evenly', () => {
    for (const n of [2, 3, 7, 10, 100]) {
      const rng = new Rng(n),
        counts = new Array<number>(n).fill(0),
        draws = 100_000;
      for (let i = 0; i < draws; i += 1) counts[rng.below(n)]! += 1;
      const expected = draws / n;
      let chi = 0;
      for (const count of counts) chi += (count - expected) ** 2 / expected;
      // Six standard deviations above the mean of chi-square.
      expect(chi).toBeLessThan(n - 1 + 6 * Math.sqrt(2 * (n - 1)));
    }
    expect(new Rng(1).below(1)).toBe(0);
    expect(() => new Rng(1).below(0)).toThrow();
  });

  test('every bit is set half of the time', () => {
    const rng = new Rng(11),
      ones = new Array<number>(32).fill(0);
    for (let i = 0; i < 20_000; i += 1) {
      const value = rng.u32();
      for (let bit = 0; bit < 32; bit += 1) ones[bit]! += (value >>> bit) & 1;
    }
    for (const count of ones) expect(Math.abs(count - 10_000)).toBeLessThan(430);
  });

  test('sibling forks do not resemble each other', () => {
    const root = new Rng(5),
      seen = new Set<number>();
    for (let i = 0; i < 2_000; i += 1) seen.add(root.fork(`host ${i}`).u32());
    expect(seen.size).toBe(2_000);
    const a = root.fork('a'),
      b = root.fork('b');
    let agree = 0;
    for (let i = 0; i < 10_000; i += 1) agree += 32 - bits(a.u32() ^ b.u32());
    expect(Math.abs(agree - 160_000)).toBeLessThan(1_700);
  });

  test(
    'unit is in [0, 1), chance is as likely as ' +
      'said and draws nothing when the answer is known',
    () => {
      const rng = new Rng(9);
      let hits = 0;
      for (let i = 0; i < 100_000; i += 1) {
        const u = rng.unit();
        expect(u >= 0 && u < 1).toBe(true);
        if (rng.chance(0.03)) hits += 1;
      }
      expect(Math.abs(hits - 3_000)).toBeLessThan(330);
      const still = new Rng(9);
      expect([still.chance(0), still.chance(1), still.chance(-1), still.chance(2)]).toEqual([
        false,
        true,
        false,
        true,
      ]);
      expect(still.u32()).toBe(new Rng(9).u32());
    },
  );

  test('a shuffle keeps the items, and every order is as likely', () => {
    const rng = new Rng(4),
      counts = new Map<string, number>();
    for (let i = 0; i < 24_000; i += 1) {
      const order = rng.shuffle([1, 2, 3, 4]).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(190);
  });
});

function bits(value: number): number {
  let count = 0;
  for (let v = value >>> 0; v !== 0; v >>>= 1) count += v & 1;
  return count;
}
