/** Runs that speak in our name: how many are remembered, however many there are. */

import { expect, test } from 'vitest';

import { nullLog } from '../../../../src/core/base/log.ts';
import { SECOND } from '../../../../src/core/base/time.ts';
import { CloneWatch } from '../../../../src/core/routing/clone-watch.ts';
import type { NodeFacts } from '../../../../src/core/wire/node-facts.ts';
import { WIRE_VERSIONS } from '../../../../src/core/wire/versions.ts';

const factsOf = (instance: number, started: number): NodeFacts => ({
  wire: WIRE_VERSIONS,
  release: { major: 1, minor: 2, patch: 3 },
  capabilities: 0,
  instance,
  started,
});

test('of runs that take turns eight are remembered, and of more none shows that it lives', () => {
  for (const [runs, shows] of [
    [1, true],
    [8, true],
    [9, false],
    [1_000, false],
  ] as const) {
    let now = SECOND;
    const watch = new CloneWatch({ now: () => now }, nullLog, { instance: 1, started: 1_000 });
    for (let round = 0; round < 4; round += 1)
      for (let run = 0; run < runs; run += 1) {
        now += 1_000;
        watch.onForeign(factsOf(100 + run, 2_000 + run), false);
      }
    expect([runs, watch.clone() !== null]).toEqual([runs, shows]);
  }
});
