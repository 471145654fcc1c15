/**
 * The driver of a daemon's timers over the timers of Node: when they fire, and how many of Node's
 * that takes.
 */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Rng } from '../../../src/core/base/rng.ts';
import { MILLISECOND, Timer, type Micros } from '../../../src/core/base/time.ts';
import { SystemClock, TimerDriver } from '../../../src/host/system-clock.ts';

let clock: SystemClock, driver: TimerDriver, set: { mock: { calls: unknown[] } };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  clock = new SystemClock();
  driver = new TimerDriver(clock, 0, () => {});
  set = vi.spyOn(globalThis, 'setTimeout');
});
afterEach(() => {
  driver.stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function advance(ms: number): void {
  vi.advanceTimersByTime(ms);
  clock.tick();
}

function armIn(us: Micros, fire: () => void = () => {}): Timer {
  const timer = new Timer(fire);
  driver.queue.arm(timer, clock.now() + us);
  driver.rearm();
  return timer;
}

test.each(Array.from({ length: 20 }, (_, seed) => seed))(
  'what is due has fired at the next millisecond, and nothing else has (seed %i)',
  (seed) => {
    const rng = new Rng(seed),
      began = clock.now();
    const open = new Map<Timer, Micros>();
    let fired = 0;
    const arm = (us: Micros): void => {
      const timer: Timer = armIn(us, () => {
        expect(clock.now()).toBeGreaterThanOrEqual(open.get(timer)!);
        open.delete(timer);
        fired += 1;
        if (rng.chance(0.3)) arm(rng.below(4 * MILLISECOND));
      });
      open.set(timer, clock.now() + us);
    };
    for (let ms = 1; ms <= 300; ms += 1) {
      for (let i = rng.below(4); i > 0; i -= 1)
        arm(rng.below(rng.chance(0.5) ? 2 * MILLISECOND : 30 * MILLISECOND));
      const [victim] = open.keys();
      if (victim !== undefined && rng.chance(0.2)) {
        driver.queue.cancel(victim);
        open.delete(victim);
      }
      advance(1);
      expect(clock.now() - began).toBe(ms * MILLISECOND);
      for (const at of open.values()) expect(at).toBeGreaterThan(clock.now());
    }
    expect(fired).toBeGreaterThan(300);
  },
);

test(
  'an earlier time within the same millisecond takes no other timer of the system, ' +
    'one in an earlier millisecond does',
  () => {
    armIn(10_900);
    armIn(10_200);
    expect(set.mock.calls).toHaveLength(1);
    armIn(2_500);
    expect(set.mock.calls).toHaveLength(2);
  },
);

test('timers of the same duration, one after the other, are one of the system', () => {
  let fired = 0;
  const again = (): void => {
    fired += 1;
    driver.queue.arm(timer, clock.now() + 800);
  };
  const timer = new Timer(again);
  again();
  driver.rearm();
  advance(100);
  expect(fired).toBe(101);
  expect(set.mock.calls).toHaveLength(1);
});

test('a stopped driver fires nothing, and arms nothing', () => {
  let fired = 0;
  armIn(500, () => {
    fired += 1;
  });
  driver.stop();
  armIn(700, () => {
    fired += 1;
  });
  advance(50);
  expect(fired).toBe(0);
});

test.each([0, 1, 2, 3])(
  'of emulated wires the mean is about what is meant, timers %i ms late',
  (lateMs) => {
    const slack = 500;
    driver = new TimerDriver(clock, slack, () => {});
    vi.restoreAllMocks();
    const real = globalThis.setTimeout,
      rng = new Rng(7);
    // A busy machine: each timer of the system is late by so much, or by a millisecond more.
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((fire: () => void, ms: number) =>
      real(fire, ms + lateMs + rng.below(2))) as typeof setTimeout);
    const errors: number[] = [];
    let meant = 0;
    const timer = new Timer(() => {
      errors.push(clock.now() - meant);
      next();
    });
    const next = (): void => {
      meant = clock.now() + 10_000 + rng.below(1_000);
      driver.queue.arm(timer, meant - slack);
    };
    next();
    driver.rearm();
    for (let i = 0; i < 20_000; i += 1) advance(1);
    const late = errors.slice(200);
    const mean = late.reduce((sum, error) => sum + error, 0) / late.length;
    expect(late.length).toBeGreaterThan(500);
    // What would be more than the slack early is armed again, and late by that.
    expect(Math.abs(mean)).toBeLessThan(300 + 300 * lateMs);
  },
);
