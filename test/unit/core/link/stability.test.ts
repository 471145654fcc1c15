/** Damping of links that die again and again, and of values that go up and down. */

import { expect, test } from 'vitest';

import { SECOND } from '../../../../src/core/base/time.ts';
import { Damping, Hold, Swings } from '../../../../src/core/link/stability.ts';

test(
  'two deaths suppress nothing; three soon after each other do, ' +
    'and are forgiven within 20 s whatever came before',
  () => {
    const damping = new Damping();
    damping.onDeath(100 * SECOND);
    expect(damping.suppressed(100 * SECOND)).toBe(false);
    damping.onDeath(104 * SECOND);
    expect(damping.suppressed(104 * SECOND)).toBe(false);
    damping.onDeath(108 * SECOND);
    expect(damping.suppressed(108 * SECOND)).toBe(true);
    let now = 105 * SECOND;
    for (let i = 0; i < 1_000; i += 1) damping.onDeath((now += SECOND));
    expect(damping.suppressed(now + 10 * SECOND)).toBe(true);
    expect(damping.suppressed(now + 20 * SECOND)).toBe(false);
    damping.onDeath(now + 60 * SECOND);
    expect(damping.suppressed(now + 60 * SECOND)).toBe(false);
  },
);

test('deaths half a minute apart are no flap', () => {
  const damping = new Damping();
  for (let i = 1; i < 20; i += 1) {
    damping.onDeath(30 * i * SECOND);
    expect(damping.suppressed(30 * i * SECOND)).toBe(false);
  }
});

test(
  'what is worse shows at once; what is better is held, ' +
    'twice as long each time that it did not last',
  () => {
    const swings = new Swings(10);
    expect(swings.show(100, 0)).toBe(100);
    let now = 10 * SECOND;
    const holds: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      expect(swings.show(500, now)).toBe(500);
      const rose = now;
      while (swings.show(100, now) === 500) now += SECOND / 4;
      holds.push((now - rose) / SECOND);
      now += SECOND;
    }
    expect(holds).toEqual([8, 16, 32, 64, 128]);
    expect(swings.show(105, now)).toBe(105);
  },
);

test('what was good for long is believed as quickly as the first time', () => {
  const swings = new Swings(10);
  swings.show(100, 0);
  swings.show(500, SECOND);
  swings.show(100, 10 * SECOND);
  swings.show(500, 1_000 * SECOND);
  expect(swings.show(100, 1_007 * SECOND)).toBe(500);
  expect(swings.show(100, 1_009 * SECOND)).toBe(100);
});

test(
  'what goes up and down is held from when it was bad last, ' + 'and for all numbers of its link',
  () => {
    const hold = new Hold(),
      latency = new Swings(10, hold),
      loss = new Swings(10, hold);
    loss.show(0, 0);
    latency.show(100, 0);
    let now = 10 * SECOND;
    for (let i = 0; i < 2; i += 1) {
      expect(latency.show(500, now)).toBe(500);
      now += 20 * SECOND;
      expect(latency.show(100, now)).toBe(100);
      now += SECOND;
    }
    // It is bad for the third time, and for longer than it is held.
    expect(latency.show(500, now)).toBe(500);
    expect(loss.show(200, now)).toBe(200);
    for (let i = 0; i < 100; i += 1) expect(latency.show(495 + (i % 5), (now += SECOND))).toBe(500);
    const left = now;
    for (; now < left + 31 * SECOND; now += SECOND) {
      expect(latency.show(100, now)).toBe(500);
      expect(loss.show(0, now)).toBe(200);
    }
    now = left + 33 * SECOND;
    expect(latency.show(100, now)).toBe(100);
    expect(loss.show(0, now)).toBe(0);
  },
);
