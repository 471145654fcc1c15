/** The timer queue against a sorted array. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { NEVER, Timer } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';

interface Armed {
  id: number;
  at: number;
  order: number;
}

/** The same promises, kept the slow way. */
class Model {
  armed: Armed[] = [];
  #order = 0;

  arm(id: number, at: number): void {
    this.cancel(id);
    this.armed.push({ id, at, order: this.#order++ });
    this.armed.sort((a, b) => a.at - b.at || a.order - b.order);
  }

  cancel(id: number): void {
    this.armed = this.armed.filter((entry) => entry.id !== id);
  }
}

describe('timer queue', () => {
  test('timers due at the same time fire in the order of arming, a moved one last', () => {
    const queue = new TimerQueue(),
      fired: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => new Timer(() => fired.push(name))) as [
      Timer,
      Timer,
      Timer,
    ];
    queue.arm(a, 10);
    queue.arm(b, 10);
    queue.arm(c, 5);
    queue.arm(c, 10);
    queue.arm(a, 10);
    expect(queue.runDue(9)).toBe(0);
    expect(queue.runDue(10)).toBe(3);
    expect(fired).toEqual(['b', 'c', 'a']);
    expect([a.armed, a.at, queue.size, queue.nextAt]).toEqual([false, NEVER, 0, NEVER]);
  });

  test('a timer may arm itself and others while it fires, and the limit ends a run', () => {
    const queue = new TimerQueue();
    let count = 0;
    const other = new Timer(() => {
      count += 100;
    });
    const again: Timer = new Timer(() => {
      count += 1;
      queue.arm(again, 7);
      if (count === 3) queue.arm(other, 1);
    });
    queue.arm(again, 7);
    expect(queue.runDue(7, 4)).toBe(4);
    expect(count).toBe(103);
    expect(again.armed).toBe(true);
    queue.cancel(again);
    queue.cancel(again);
    expect(queue.size).toBe(0);
  });

  test('a time that is none is our own bug', () => {
    const queue = new TimerQueue(),
      timer = new Timer(() => {});
    for (const at of [-1, NaN, NEVER, Infinity])
      expect(() => queue.arm(timer, at)).toThrow('not a time');
    expect(queue.size).toBe(0);
  });

  test.each([1, 2, 3, 4, 5])(
    'any sequence of arming, moving, cancelling and running agrees with a sorted array (seed %i)',
    (seed) => {
      const rng = new Rng(seed),
        queue = new TimerQueue(),
        model = new Model();
      const fired: number[] = [];
      // Few distinct times, so that ties are common.
      const time = (now: number): number => now + rng.below(20);
      let now = 0;
      const timers = Array.from(
        { length: 60 },
        (_, id) =>
          new Timer(() => {
            fired.push(id);
            const head = model.armed.shift()!;
            expect(head.id).toBe(id);
            if (rng.chance(0.3)) rearm(rng.below(timers.length));
          }),
      );
      const rearm = (id: number): void => {
        const at = time(now);
        queue.arm(timers[id]!, at);
        model.arm(id, at);
      };
      for (let step = 0; step < 6_000; step += 1) {
        const id = rng.below(timers.length),
          what = rng.unit();
        if (what < 0.6) rearm(id);
        else if (what < 0.8) {
          queue.cancel(timers[id]!);
          model.cancel(id);
        } else {
          now += rng.below(12);
          const limit = 1 + rng.below(40);
          const count = queue.runDue(now, limit);
          if (count < limit) expect(model.armed.every((entry) => entry.at > now)).toBe(true);
        }
        expect(queue.size).toBe(model.armed.length);
        expect(queue.nextAt).toBe(model.armed[0]?.at ?? NEVER);
        expect(timers[id]!.armed).toBe(model.armed.some((entry) => entry.id === id));
      }
      expect(fired.length).toBeGreaterThan(700);
    },
  );
});
