/** Death and life of a silent link, seen by a daemon that is on time, busy, or was stopped. */

import { beforeEach, describe, expect, test } from 'vitest';

import { Rng } from '../../../src/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../../src/base/time.ts';
import { TimerQueue } from '../../../src/base/timer-queue.ts';
import { Liveness } from '../../../src/link/liveness.ts';
import { HELLO_PROBE } from '../../../src/wire/frames.ts';

const CONFIG = { helloIntervalUs: 150 * MILLISECOND, deadAfterUs: 400 * MILLISECOND };
/** Of a link without loss. */
const PROBES_NEEDED = 8;

let now: Micros, timers: TimerQueue, liveness: Liveness, dead: boolean, probes: number, numbers: number;

beforeEach(() => {
  now = SECOND;
  timers = new TimerQueue();
  dead = false;
  probes = 0;
  numbers = 0;
  liveness = new Liveness(CONFIG, { now: () => now }, timers, new Rng(1), {
    sendHello: ({ flags }) => { if ((flags & HELLO_PROBE) !== 0) probes += 1; },
    onDead: () => { dead = true; },
    onEstimate: () => {},
  });
  liveness.start();
  hear();
  probes = 0;
});

/** A datagram of the peer is read. */
function hear(): void {
  liveness.onReceived(numbers);
  numbers += 1;
}

/** Timers run `late` after the next is due. */
function step(late: Micros): void {
  now = Math.max(now, timers.nextAt + late);
  timers.runDue(now);
}

/** Steps until the link is dead; how long that took. */
function silence(late: Micros, most: Micros): Micros {
  const began = now;
  while (!dead && now - began < most) step(late);
  return now - began;
}

describe('a silent peer', () => {
  test('is dead within half a second, after as many probes as prove it', () => {
    const took = silence(0, 10 * SECOND);
    expect(dead).toBe(true);
    expect(took).toBeGreaterThanOrEqual(CONFIG.deadAfterUs);
    expect(took).toBeLessThan(500 * MILLISECOND);
    expect(probes).toBeGreaterThanOrEqual(PROBES_NEEDED);
  });

  test.each([5, 20, 55])('is not dead for fewer probes when they leave %d ms late each', (late) => {
    const took = silence(late * MILLISECOND, 10 * SECOND);
    expect(dead).toBe(true);
    expect(probes).toBeGreaterThanOrEqual(PROBES_NEEDED);
    expect(took).toBeLessThan(2 * SECOND);
  });

  test.each([100, 250])('is found dead by a daemon that is always %d ms late', (late) => {
    const took = silence(late * MILLISECOND, 60 * SECOND);
    expect(dead).toBe(true);
    expect(probes).toBeGreaterThanOrEqual(PROBES_NEEDED);
    // Twice eight probes, and what each is late.
    expect(took).toBeLessThan(20 * (25 + late) * MILLISECOND);
  });
});

describe('a peer that is there', () => {
  test('is not dead for a daemon that was stopped while it asked: the answers wait to be read', () => {
    // Suspected, and nearly given up.
    while (probes < PROBES_NEEDED - 1) step(0);
    expect(dead).toBe(false);
    step(10 * SECOND);
    expect(dead).toBe(false);
    hear();
    for (let i = 0; i < 5; i += 1) step(0);
    expect(dead).toBe(false);
  });

  test('is not dead for a daemon that is stopped again and again, as long as it hears something in between', () => {
    for (let i = 0; i < 100; i += 1) {
      for (let checks = 0; checks < 6; checks += 1) step(300 * MILLISECOND);
      expect(dead).toBe(false);
      hear();
    }
  });
});
