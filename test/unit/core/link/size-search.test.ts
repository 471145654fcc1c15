/**
 * How long datagrams may be: the search for a path's size, on paths that change, lose, or let
 * nothing through.
 */

import { describe, expect, test } from 'vitest';

import { Draws } from '../../../../src/core/base/draws.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { lostForSize } from '../../../../src/core/link/size-losses.ts';
import {
  RAISE_AFTER,
  RAISE_SOON,
  SizeSearch,
  SIZE_LADDER,
} from '../../../../src/core/link/size-search.ts';
import { AckRanges } from '../../../../src/core/wire/ack.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN } from '../../../../src/core/wire/sizes.ts';

/** A path of one round trip that carries datagrams of at most `limit` bytes. */
class Path {
  readonly rttUs: Micros;
  now: Micros = SECOND;
  limit = DATAGRAM_BYTES_MAX;
  loss = 0;
  probes: number[] = [];
  readonly sizes: number[] = [];
  readonly rtt = { samples: 0, smoothedUs: 0 };
  readonly timers = new TimerQueue();
  readonly search: SizeSearch;
  readonly #rng: Rng;
  #answers: { at: Micros; high: number; low: number }[] = [];

  constructor(rttUs: Micros, seed = 1) {
    this.rttUs = rttUs;
    this.#rng = new Rng(seed);
    this.search = new SizeSearch(
      { now: () => this.now },
      this.timers,
      new Draws(new Rng(seed)),
      this.rtt,
      {
        sendProbe: (bytes, { high, low }) => {
          this.probes.push(bytes);
          if (bytes <= this.limit && !this.#rng.chance(this.loss))
            this.#answers.push({ at: this.now + this.rttUs, high, low });
        },
        onSize: (bytes) => {
          this.sizes.push(bytes);
        },
        failure: () => 1 - (1 - this.loss) ** 2,
      },
    );
  }

  run(time: Micros): void {
    const until = this.now + time;
    for (;;) {
      const answer = this.#answers[0];
      const next = Math.min(this.timers.nextAt, answer?.at ?? Infinity);
      if (next > until) break;
      this.now = Math.max(this.now, next);
      if (answer !== undefined && answer.at <= this.now) {
        this.#answers.shift();
        this.rtt.samples += 1;
        this.rtt.smoothedUs = this.rttUs;
        expect(this.search.onAnswer(answer)).toBe(this.search.state !== 'off');
      }
      this.timers.runDue(this.now);
    }
    this.now = until;
  }

  /** What it should find. */
  get fits(): number {
    return SIZE_LADDER.findLast((size) => size <= this.limit)!;
  }
}

describe('a search', () => {
  test('on a path that carries everything costs one probe, and nothing later', () => {
    const path = new Path(20 * MILLISECOND);
    path.search.start();
    expect(path.sizes).toEqual([DATAGRAM_BYTES_MIN]);
    path.run(20 * MILLISECOND);
    expect([path.search.state, path.search.size]).toEqual(['settled', DATAGRAM_BYTES_MAX]);
    path.run(5 * RAISE_AFTER);
    expect(path.probes).toEqual([DATAGRAM_BYTES_MAX]);
  });

  test.each(SIZE_LADDER)(
    'finds %i, and what lies just above and below it, within half a second',
    (step) => {
      for (const limit of [step - 1, step, step + 1]) {
        if (limit < DATAGRAM_BYTES_MIN) continue;
        for (const rtt of [0, 1, 40, 100].map((ms) => ms * MILLISECOND)) {
          const path = new Path(rtt);
          path.limit = limit;
          path.search.start();
          path.run(500 * MILLISECOND);
          expect(path.search.size, `${limit} bytes, ${rtt} us`).toBe(path.fits);
          // Nobody is sent more than is known to pass.
          expect(Math.max(...path.sizes)).toBe(path.fits);
        }
      }
    },
  );

  test(
    'on a path of any limit, round trip and loss ends at a size that passes, ' +
      'with few probes; without loss at the largest',
    () => {
      for (let seed = 1; seed <= 2_000; seed += 1) {
        const rng = new Rng(seed);
        const path = new Path(rng.below(400) * MILLISECOND, seed);
        path.limit = DATAGRAM_BYTES_MIN + rng.below(DATAGRAM_BYTES_MAX - DATAGRAM_BYTES_MIN + 1);
        path.loss = rng.chance(0.5) ? 0 : rng.unit() * 0.3;
        path.search.start();
        path.run(5 * SECOND);
        expect(path.search.size).toBeLessThanOrEqual(path.limit);
        if (path.loss === 0) expect(path.search.size).toBe(path.fits);
        expect(path.probes.length).toBeLessThanOrEqual(1 + 2 * SIZE_LADDER.length);
        expect(path.search.state).toBe('settled');
      }
    },
  );

  test('that nobody answers ends with what every path carries', () => {
    const path = new Path(0);
    path.limit = 0;
    path.search.start();
    path.run(2 * SECOND);
    expect([path.search.state, path.search.size]).toEqual(['settled', DATAGRAM_BYTES_MIN]);
  });

  test(
    'on a narrow path is made again soon, ' + 'then twice as late each time, up to ten minutes',
    () => {
      const path = new Path(10 * MILLISECOND);
      path.limit = 1_000;
      path.search.start();
      path.run(SECOND);
      path.probes = [];
      const rounds: number[] = [];
      for (let passed = 0; passed < 3_600; passed += 1) {
        path.run(SECOND);
        if (path.probes.length > 0) rounds.push(passed + 1);
        path.probes = [];
      }
      const waits = rounds.map((at, i) => Math.round((at - (rounds[i - 1] ?? -1)) / 10) * 10);
      expect(waits.slice(0, 9)).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600]);
    },
  );

  test.each([0, 1, 30])(
    'after %i times that the path fell for a while it is wide again in time',
    (times) => {
      const path = new Path(10 * MILLISECOND);
      path.search.start();
      path.run(SECOND);
      for (let i = 0; i <= times; i += 1) {
        path.limit = 1_000;
        path.search.doubt();
        path.run(SECOND);
        path.search.doubt();
        path.run(2 * SECOND);
        expect(path.search.size).toBeLessThanOrEqual(1_000);
        path.limit = DATAGRAM_BYTES_MAX;
        const from = path.now;
        while (path.search.size < DATAGRAM_BYTES_MAX) path.run(SECOND);
        // It is asked less often the more often it fell, at least every ten minutes.
        const most = Math.min(RAISE_AFTER, RAISE_SOON * 2 ** i);
        expect(path.now - from).toBeLessThanOrEqual(most + SECOND);
      }
    },
  );

  test('is made for larger ones only', () => {
    const path = new Path(10 * MILLISECOND);
    path.limit = 1_232;
    path.search.start();
    path.run(SECOND);
    path.probes = [];
    path.run(RAISE_SOON - 2 * SECOND);
    expect(path.probes).toEqual([]);
    path.limit = 1_432;
    path.run(2 * SECOND);
    expect(Math.min(...path.probes)).toBeGreaterThan(1_232);
    expect([path.search.state, path.search.size]).toEqual(['settled', 1_432]);
  });

  test('believes no answer that it did not ask for', () => {
    const path = new Path(10 * MILLISECOND);
    expect(path.search.onAnswer({ high: 1, low: 2 })).toBe(false);
    path.search.start();
    expect(path.search.onAnswer({ high: 1, low: 2 })).toBe(false);
    expect(path.search.size).toBe(DATAGRAM_BYTES_MIN);
    path.search.stop();
    path.run(SECOND);
    expect(path.search.state).toBe('off');
  });
});

describe('a path that narrows', () => {
  test('is noticed by a doubt, and measured again', () => {
    for (const rtt of [1, 20, 80].map((ms) => ms * MILLISECOND)) {
      const path = new Path(rtt);
      path.search.start();
      path.run(SECOND);
      path.limit = 1_252;
      path.search.doubt();
      expect(path.search.state).toBe('verifying');
      path.run(2 * (1.25 * rtt + 35 * MILLISECOND));
      expect(path.search.size).toBeLessThanOrEqual(1_252);
      path.run(SECOND);
      expect([path.search.state, path.search.size]).toEqual(['settled', 1_252]);
    }
  });

  test('that the device tells of is measured again at once, once for a burst of refusals', () => {
    const path = new Path(10 * MILLISECOND);
    path.search.start();
    path.run(SECOND);
    path.limit = 1_372;
    path.probes = [];
    for (let i = 0; i < 50; i += 1) path.search.onRefused();
    expect([path.search.state, path.search.size]).toEqual(['searching', DATAGRAM_BYTES_MIN]);
    expect(path.probes).toEqual([DATAGRAM_BYTES_MAX]);
    path.run(SECOND);
    expect(path.search.size).toBe(1_372);
  });

  test('a doubt that is unfounded costs a probe, and rests', () => {
    const path = new Path(10 * MILLISECOND);
    path.search.start();
    path.run(SECOND);
    path.probes = [];
    for (let i = 0; i < 10; i += 1) {
      path.search.doubt();
      path.run(11 * MILLISECOND);
    }
    expect(path.probes).toEqual([DATAGRAM_BYTES_MAX]);
    expect([path.search.state, path.search.size]).toEqual(['settled', DATAGRAM_BYTES_MAX]);
  });

  test('an unfounded doubt of a lossy path narrows it once in hundreds of times', () => {
    let narrowed = 0;
    for (let seed = 1; seed <= 500; seed += 1) {
      const path = new Path(50 * MILLISECOND, seed);
      path.search.start();
      path.run(SECOND);
      path.loss = 0.3;
      path.search.doubt();
      path.run(SECOND);
      if (Math.min(...path.sizes.slice(2)) < DATAGRAM_BYTES_MAX) narrowed += 1;
    }
    expect(narrowed).toBeLessThan(5);
  });

  test('a doubt while raising, or after the channel is gone, does nothing', () => {
    const path = new Path(10 * MILLISECOND);
    path.search.doubt();
    path.search.onRefused();
    expect(path.search.state).toBe('off');
    path.search.start();
    path.search.doubt();
    expect(path.search.state).toBe('searching');
  });
});

describe('losses by size', () => {
  /** Newest last: lengths, and whether each arrived. */
  const verdict = (rows: readonly (readonly [number, boolean])[], from = 0, loss = 0): boolean => {
    const arrived = new AckRanges();
    rows.forEach(([, there], number) => {
      if (there) arrived.add(number);
    });
    return lostForSize(arrived, { lengthOf: (number) => rows[number]?.[0] ?? 0 }, from, loss);
  };
  const big = [1_452, false] as const,
    passed = [1_452, true] as const,
    small = [60, true] as const,
    half = [700, true] as const;

  test('three long ones in a row with shorter ones behind them', () => {
    expect(verdict([passed, big, big, big, small])).toBe(true);
    expect(verdict([passed, big, small, big, small, big, small])).toBe(true);
    expect(verdict([passed, half, big, half, big, half, big, half])).toBe(true);
  });

  test('where a fifth is lost anyway, six; where half is, as many as are no chance either', () => {
    expect(verdict([passed, big, big, big, big, big, small], 0, 0.2)).toBe(false);
    expect(verdict([passed, big, big, big, big, big, big, small], 0, 0.2)).toBe(true);
    expect(verdict([passed, ...new Array<typeof big>(13).fill(big), small], 0, 0.5)).toBe(false);
    expect(verdict([passed, ...new Array<typeof big>(14).fill(big), small], 0, 0.5)).toBe(true);
    expect(verdict([passed, ...new Array<typeof big>(16).fill(big), small], 0, 1)).toBe(true);
  });

  test(
    'not two, not those before the size was looked at, ' +
      'not with one as long that arrived among them',
    () => {
      expect(verdict([passed, big, big, small])).toBe(false);
      expect(verdict([passed, big, big, big, small], 2)).toBe(false);
      expect(verdict([passed, big, big, passed, big, small])).toBe(false);
      expect(verdict([[60, true], [60, false], [60, false], [60, false], small])).toBe(false);
      expect(verdict([passed, [700, false], [700, false], [700, false], passed])).toBe(false);
      expect(verdict([])).toBe(false);
    },
  );
});
