/**
 * How many places each may have: something is always free, and the greedy end up with equal parts.
 */

import { describe, expect, test } from 'vitest';

import { FairPlaces, type Holder } from '../../../../src/core/base/fair-places.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { holderOf } from '../../../../src/core/session/origin.ts';

const MOST = 1_000;

class Scene {
  readonly places = new FairPlaces<number>();
  taken = 0;

  /**
   * Opens for `whose` as often as there is a place, `tries` times at most. Returns how many were
   * opened.
   */
  fill(whose: (i: number) => Holder, tries = 3 * MOST): number {
    let opened = 0;
    for (let i = 0; i < tries; i += 1) {
      if (!this.places.open(whose(i), MOST - this.taken)) continue;
      this.places.add(this.taken, whose(i));
      this.taken += 1;
      opened += 1;
    }
    return opened;
  }
}

const proved = (source: number): Holder => holderOf({ authenticated: true, via: 0, source });
const claimed = (via: number, source: number): Holder =>
  holderOf({ authenticated: false, via, source });
const program = (whose: object): Holder => [whose, whose];

describe('fair places', () => {
  test('one alone gets most of them, whoever it is', () => {
    const one = {};
    for (const whose of [
      () => program(one),
      () => proved(7),
      () => claimed(1, 7),
      (i: number) => claimed(1, i),
    ]) {
      const scene = new Scene();
      expect(scene.fill(whose)).toBeGreaterThan(0.75 * MOST);
      expect(scene.taken).toBeLessThan(MOST);
    }
  });

  test('made-up sources count for the link that brought them, and leave others theirs', () => {
    const scene = new Scene();
    scene.fill((i) => claimed(1, i));
    const left = MOST - scene.taken;
    expect(scene.fill(() => claimed(2, 7), 20)).toBe(20);
    expect(scene.fill(() => proved(7), 20)).toBe(20);
    expect(scene.fill(() => program(scene), 20)).toBe(20);
    expect(left).toBeGreaterThan(100);
  });

  test('a claimed source leaves others of its link some', () => {
    const scene = new Scene();
    scene.fill(() => claimed(1, 7));
    expect(scene.fill(() => claimed(1, 8), 20)).toBe(20);
  });

  test('twenty greedy ones end up with like parts, and the twenty-first has a place', () => {
    const scene = new Scene(),
      rng = new Rng(1);
    const counts = Array.from({ length: 20 }, () => 0);
    for (let i = 0; i < 50_000; i += 1) {
      const who = rng.below(20);
      counts[who]! += scene.fill(() => proved(who), 1);
    }
    expect(Math.min(...counts)).toBeGreaterThan(0.5 * Math.max(...counts));
    expect(scene.fill(() => proved(99), 10)).toBeGreaterThan(5);
  });

  test('who closes has its place again', () => {
    const scene = new Scene();
    const most = scene.fill(() => proved(7));
    for (let item = 0; item < most; item += 1) scene.places.delete(item);
    scene.places.delete(12_345);
    scene.taken = 0;
    expect(scene.fill(() => proved(7))).toBe(most);
  });
});
