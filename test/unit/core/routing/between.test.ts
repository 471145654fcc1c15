/** Which nodes can lie between two others, against all ways written out. */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { liesBetween } from '../../../../src/core/routing/between.ts';

test('as all ways that pass no node twice have it, in random networks', () => {
  const rng = new Rng(7);
  let yes = 0,
    no = 0;
  for (let round = 0; round < 400; round += 1) {
    const count = 3 + rng.below(6),
      density = 0.15 + 0.5 * rng.unit();
    const neighbours = Array.from({ length: count }, () => new Set<number>());
    for (let a = 0; a < count; a += 1)
      for (let b = 0; b < a; b += 1)
        if (rng.chance(density)) {
          neighbours[a]!.add(b);
          neighbours[b]!.add(a);
        }
    const between = new Set<number>();
    const walk = (way: readonly number[]): void => {
      const at = way.at(-1)!;
      if (at === 1) for (const node of way) between.add(node);
      else for (const next of neighbours[at]!) if (!way.includes(next)) walk([...way, next]);
    };
    walk([0]);
    for (let node = 2; node < count; node += 1) {
      const lies = liesBetween(node, 0, 1, (of) => neighbours[of]!);
      expect(lies, JSON.stringify([node, neighbours.map((set) => [...set])])).toBe(
        between.has(node),
      );
      if (lies) yes += 1;
      else no += 1;
    }
  }
  expect([yes > 200, no > 200]).toEqual([true, true]);
});
