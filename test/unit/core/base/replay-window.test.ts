/** The replay window against a set of everything that ever arrived. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { REPLAY_WINDOW, ReplayWindow } from '../../../../src/core/base/replay-window.ts';
import { PACKET_NUMBER_MAX } from '../../../../src/core/wire/datagram-header.ts';

type Verdict = 'new' | 'seen' | 'too old';

class Model {
  readonly #seen = new Set<number>();
  highest = -1;

  readonly #window: number;

  constructor(window = REPLAY_WINDOW) {
    this.#window = window;
  }

  check(number: number): Verdict {
    if (number > this.highest) return 'new';
    if (number < this.highest - this.#window) return 'too old';
    return this.#seen.has(number) ? 'seen' : 'new';
  }

  record(number: number): void {
    this.#seen.add(number);
    this.highest = Math.max(this.highest, number);
  }
}

/** Offers `number` to both, records it when it is new, and returns what they agree on. */
function offer(window: ReplayWindow, model: Model, number: number): Verdict {
  const verdict = window.isNew(number) ? 'new' : number < window.floor ? 'too old' : 'seen';
  if (verdict !== model.check(number))
    throw new Error(
      `number ${number} at ${model.highest}: ${verdict} is not ${model.check(number)}`,
    );
  if (verdict === 'new') {
    window.record(number);
    model.record(number);
  }
  if (window.highest !== model.highest)
    throw new Error(`highest is ${window.highest}, not ${model.highest}`);
  return verdict;
}

describe('replay window', () => {
  test('each number once, in any order within the window', () => {
    const window = new ReplayWindow(),
      model = new Model();
    for (const number of [0, 1, 3, 2]) expect(offer(window, model, number)).toBe('new');
    for (const number of [0, 1, 2, 3]) expect(offer(window, model, number)).toBe('seen');
    expect(offer(window, model, 3 + REPLAY_WINDOW)).toBe('new');
    expect(offer(window, model, 3)).toBe('seen');
    expect(offer(window, model, 2)).toBe('too old');
    expect(offer(window, model, 4)).toBe('new');
  });

  test('looking does not record', () => {
    const window = new ReplayWindow();
    expect([window.isNew(5), window.isNew(5), window.highest]).toEqual([true, true, -1]);
  });

  test('the first number may be any, and the last is the largest there is', () => {
    const window = new ReplayWindow(),
      model = new Model();
    expect(offer(window, model, PACKET_NUMBER_MAX - 1)).toBe('new');
    expect(offer(window, model, PACKET_NUMBER_MAX)).toBe('new');
    expect(offer(window, model, PACKET_NUMBER_MAX)).toBe('seen');
    expect(offer(window, model, PACKET_NUMBER_MAX - REPLAY_WINDOW)).toBe('new');
    expect(offer(window, model, 0)).toBe('too old');
  });

  test.each([2, 3, 64, 1_024])(
    'a window of %i words judges 32 numbers less than its bits',
    (words) => {
      const rng = new Rng(words),
        window = new ReplayWindow(words),
        model = new Model(words * 32 - 32);
      let next = 0;
      for (let i = 0; i < 20_000; i += 1) {
        next += rng.below(3);
        offer(window, model, Math.max(0, next - rng.below(words * 40)));
        expect(window.floor).toBe(model.highest - (words * 32 - 32));
      }
    },
  );

  test.each(Array.from({ length: 8 }, (_, i) => i))(
    'any sequence agrees with a set (seed %i)',
    (seed) => {
      const rng = new Rng(seed),
        window = new ReplayWindow(),
        model = new Model();
      const counts = [0, 0, 0];
      // Past 2^32, where shifts would go wrong.
      let next = seed % 2 === 0 ? 0 : 0xffff_ff00;
      for (let i = 0; i < 40_000; i += 1) {
        const what = rng.unit();
        if (what < 0.5) next += 1;
        else if (what < 0.6) next += rng.below(64);
        else if (what < 0.602) next += rng.below(3 * REPLAY_WINDOW);
        else if (what < 0.6025) next += rng.u32();
        const back =
          what < 0.6025
            ? 0
            : rng.chance(0.3)
              ? REPLAY_WINDOW - 40 + rng.below(80)
              : rng.below(rng.chance(0.5) ? 50 : REPLAY_WINDOW);
        const verdict = offer(window, model, Math.max(0, next - back));
        counts[verdict === 'new' ? 0 : verdict === 'seen' ? 1 : 2]! += 1;
      }
      for (const count of counts) expect(count).toBeGreaterThan(500);
    },
  );
});
