/** The bounded ring against an array. */

import { expect, test } from 'vitest';

import { Ring } from '../../../../src/core/base/ring.ts';
import { Rng } from '../../../../src/core/base/rng.ts';

test.each([1, 2, 3, 4, 5, 7, 64, 1000])('a ring of %i holds what an array would', (limit) => {
  const rng = new Rng(limit),
    ring = new Ring<number>(limit),
    model: number[] = [];
  for (let step = 0; step < 4_000; step += 1) {
    // Long phases of filling and of emptying, so that it grows, wraps and runs dry.
    const filling = Math.floor(step / (2 * limit + 3)) % 2 === 0;
    if (rng.chance(filling ? 0.8 : 0.2)) {
      const taken = ring.push(step);
      expect(taken).toBe(model.length < limit);
      if (taken) model.push(step);
    } else expect(ring.shift()).toBe(model.shift());
    expect(ring.length).toBe(model.length);
    expect(ring.peek()).toBe(model[0]);
    const at = rng.below(limit + 2);
    expect(ring.at(at)).toBe(model[at]);
    if (step % 1_500 === 1_499) {
      ring.clear();
      model.length = 0;
      expect([ring.length, ring.peek(), ring.shift()]).toEqual([0, undefined, undefined]);
    }
  }
});

test('a ring that could hold nothing is our own bug', () => expect(() => new Ring(0)).toThrow());
