/** Which counters a destination acknowledges together, when, and how often each is named. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, type Micros } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { AckBatch, batchWaitUs } from '../../../../src/core/byzantine/ack-batch.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../../../src/core/wire/packet.ts';
import { bitmapOf } from '../../../../src/core/wire/probed.ts';

const MS = MILLISECOND;
const DELAY = 10 * MS;

interface Sent {
  readonly at: Micros;
  readonly service: number;
  readonly counters: number[];
  readonly holdUs: Micros;
  readonly again: boolean;
}

class Destination {
  now: Micros = 0;
  readonly sent: Sent[] = [];
  readonly timers = new TimerQueue();
  readonly batch: AckBatch;

  constructor(packets = 8) {
    const clock = { now: () => this.now };
    this.batch = new AckBatch({
      clock,
      timers: this.timers,
      packets,
      delayUs: DELAY,
      send: (service, of, holdUs) => {
        const counters = of.map(({ counter, h }) => {
          expect(h[0]).toBe(counter & 0xff);
          return counter;
        });
        bitmapOf(counters);
        this.sent.push({ at: this.now, service, counters, holdUs, again: false });
        return () => {
          this.sent.push({ at: this.now, service, counters, holdUs, again: true });
        };
      },
    });
  }

  add(counter: number, service = SERVICE_RELIABLE): void {
    this.batch.add(counter, Uint8Array.of(counter & 0xff), service);
  }

  pass(us: Micros): void {
    const until = this.now + us;
    for (let next = this.timers.nextAt; next <= until; next = this.timers.nextAt) {
      this.now = Math.max(this.now, next);
      this.timers.runDue(this.now);
    }
    this.now = until;
  }

  get counters(): number[][] {
    return this.sent.map(({ counters }) => counters);
  }
}

describe('over reliable links', () => {
  test('a batch goes when it is full, or when its first has waited', () => {
    const d = new Destination();
    for (let i = 0; i < 10; i += 1) d.add(i);
    expect(d.counters).toEqual([[0, 1, 2, 3, 4, 5, 6, 7]]);
    d.pass(DELAY - 1);
    expect(d.sent).toHaveLength(1);
    d.pass(1);
    expect(d.counters).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7],
      [8, 9],
    ]);
    expect(d.sent[1]).toMatchObject({ at: DELAY, holdUs: DELAY });
    // Nothing is left, and nothing is repeated.
    d.pass(100 * DELAY);
    expect(d.sent).toHaveLength(2);
  });

  test('the wait counts from the first, the hold from the last', () => {
    const d = new Destination();
    d.add(4);
    d.pass(6 * MS);
    d.add(5);
    d.pass(4 * MS);
    expect(d.sent).toMatchObject([{ at: DELAY, counters: [4, 5], holdUs: 4 * MS }]);
  });

  test('counters that do not fit one bitmap go apart, and those that come late go as well', () => {
    const d = new Destination();
    for (const counter of [10, 18, 19, 5, 12]) d.add(counter);
    d.pass(DELAY);
    expect(d.counters).toEqual([[10, 18], [19], [5, 12]]);
  });

  test('each counter is named once', () => {
    const rng = new Rng(1);
    const d = new Destination();
    const wanted = rng.shuffle(Array.from({ length: 500 }, (_, i) => i));
    for (const counter of wanted) {
      d.add(counter);
      if (rng.chance(0.3)) d.pass(rng.below(2 * DELAY));
    }
    d.pass(DELAY);
    expect(d.counters.flat().toSorted((a, b) => a - b)).toEqual(wanted.toSorted((a, b) => a - b));
  });
});

describe('over best-effort links', () => {
  test('in a steady flow each counter is in two acknowledgements that follow each other', () => {
    for (const spacing of [100, 500, 2_000, 5_000]) {
      const d = new Destination();
      for (let i = 0; i < 200; i += 1) {
        d.add(i, SERVICE_BEST_EFFORT);
        d.pass(spacing);
      }
      expect(d.sent.some(({ again }) => again)).toBe(false);
      for (let i = 0; i < 180; i += 1) {
        const named = d.counters.flatMap((counters, at) => (counters.includes(i) ? [at] : []));
        expect(named.length).toBeGreaterThanOrEqual(2);
        expect(named[1]! - named[0]!).toBe(1);
      }
    }
  });

  test('the last batch goes a second time, in the same words, when nothing follows', () => {
    const d = new Destination();
    for (const counter of [7, 8, 9]) d.add(counter, SERVICE_BEST_EFFORT);
    d.pass(DELAY + 3 * DELAY);
    expect(d.sent).toMatchObject([
      { at: DELAY, counters: [7, 8, 9], again: false },
      { at: 4 * DELAY, counters: [7, 8, 9], again: true },
    ]);
    expect(d.sent[1]!.at).toBe(batchWaitUs(DELAY, SERVICE_BEST_EFFORT));
    d.pass(100 * DELAY);
    expect(d.sent).toHaveLength(2);
  });

  test('what goes alone goes once', () => {
    const d = new Destination();
    for (const counter of [1, 2, 3]) {
      d.add(counter, SERVICE_BEST_EFFORT);
      d.pass(100 * MS);
    }
    expect(d.sent.map(({ again }) => again)).toEqual([false, false, false]);
    expect(d.counters.map((counters) => counters.at(-1))).toEqual([1, 2, 3]);
  });

  test('no set of counters is made twice, in any order', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const rng = new Rng(seed);
      const d = new Destination();
      const order = Array.from({ length: 400 }, (_, i) => ({ i, key: i + rng.below(12) })).toSorted(
        (a, b) => a.key - b.key,
      );
      for (const { i } of order) {
        if (rng.chance(0.05)) continue;
        d.add(i, SERVICE_BEST_EFFORT);
        if (rng.chance(0.4)) d.pass(rng.below(3 * DELAY));
      }
      d.pass(10 * DELAY);
      const made = d.sent.filter(({ again }) => !again).map(({ counters }) => counters.join());
      expect(new Set(made).size).toBe(made.length);
      for (const { counters } of d.sent)
        expect(counters.at(-1)! - counters[0]!).toBeLessThanOrEqual(8);
    }
  });
});

test('link services do not mix', () => {
  const d = new Destination();
  d.add(1, SERVICE_BEST_EFFORT);
  d.add(2, SERVICE_BEST_EFFORT);
  d.add(3, SERVICE_RELIABLE);
  d.add(4, SERVICE_BEST_EFFORT);
  d.pass(DELAY);
  expect(d.sent.map(({ service, counters }) => [service, counters])).toEqual([
    [SERVICE_BEST_EFFORT, [1, 2]],
    [SERVICE_RELIABLE, [3]],
    [SERVICE_BEST_EFFORT, [4]],
  ]);
});

test('after stop nothing is sent', () => {
  const d = new Destination();
  d.add(1);
  d.batch.stop();
  d.pass(100 * DELAY);
  expect(d.sent).toEqual([]);
});
