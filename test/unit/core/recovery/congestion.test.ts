/** Laws of congestion control and pacing. */

import { describe, expect, test } from 'vitest';

import { SECOND } from '../../../../src/core/base/time.ts';
import { makeController } from '../../../../src/core/recovery/congestion.ts';
import { Pacer, type RoundTrip } from '../../../../src/core/recovery/pacer.ts';

/** Controllers whose law is a window. */
const WINDOWED = ['newreno', 'cubic'] as const;
const RTT = 100_000,
  SEGMENT = 1_480;
/** Bytes that wait at a sender with more to send than any window. */
const GREEDY = 1_000_000;

/** One round trip in which a whole window is acknowledged. */
function roundTrip(
  controller: ReturnType<typeof makeController>,
  now: number,
  limited = true,
): void {
  const start = controller.window;
  for (let acked = 0; acked + SEGMENT <= start; acked += SEGMENT)
    controller.onAck(SEGMENT, now - RTT, now, RTT, limited);
}

describe.each(WINDOWED)('%s', (name) => {
  test('doubles each round trip in slow start, and not when the window is not what limits', () => {
    const controller = makeController(name);
    const first = controller.window;
    roundTrip(controller, RTT);
    expect(controller.window).toBe(2 * first);
    roundTrip(controller, 2 * RTT, false);
    expect(controller.window).toBe(2 * first);
  });

  test(
    'narrows once for all losses of one window, ' +
      'never below two segments, and leaves slow start',
    () => {
      const controller = makeController(name);
      for (let i = 1; i <= 4; i += 1) roundTrip(controller, i * RTT);
      const before = controller.window;
      for (let i = 0; i < 20; i += 1) controller.onLoss(SEGMENT, 3.5 * RTT, 5 * RTT + i, GREEDY);
      expect(controller.window / before).toBeCloseTo(name === 'cubic' ? 0.7 : 0.5, 5);
      expect(controller.inSlowStart).toBe(false);
      controller.onLoss(SEGMENT, 6 * RTT, 7 * RTT, GREEDY);
      expect(controller.window).toBeLessThan(0.75 * before * (name === 'cubic' ? 0.7 : 0.5));
      for (let i = 8; i < 60; i += 1) controller.onLoss(SEGMENT, i * RTT, (i + 1) * RTT, GREEDY);
      expect(controller.window).toBe(2 * SEGMENT);
      controller.onPersistentLoss(GREEDY);
      expect(controller.window).toBe(2 * SEGMENT);
    },
  );

  test('what was sent before the loss does not widen the window', () => {
    const controller = makeController(name);
    controller.onLoss(SEGMENT, RTT, 2 * RTT, GREEDY);
    const { window } = controller;
    controller.onAck(SEGMENT, 1.9 * RTT, 3 * RTT, RTT, true);
    expect(controller.window).toBe(window);
  });
});

test.each(WINDOWED)(
  '%s: a sender with little to send keeps four segments, and small ones count as 1,100 bytes',
  (name) => {
    const controller = makeController(name);
    for (let i = 0; i < 500; i += 1) controller.onSegmentSize(150);
    for (let i = 1; i < 60; i += 1) controller.onLoss(SEGMENT, i * RTT, (i + 1) * RTT, 5_000);
    expect(controller.window).toBeCloseTo(4 * 1_100, 3);
    controller.onPersistentLoss(5_000);
    expect(controller.window).toBeCloseTo(4 * 1_100, 3);
    controller.onPersistentLoss(GREEDY);
    expect(controller.window).toBeCloseTo(2 * 1_100, 3);
  },
);

test('what was no congestion is undone, once, and what CUBIC remembered comes back', () => {
  for (const name of WINDOWED) {
    const controller = makeController(name),
      twin = makeController(name);
    for (const one of [controller, twin]) {
      for (let i = 1; i <= 4; i += 1) roundTrip(one, i * RTT);
      one.onLoss(SEGMENT, 4.5 * RTT, 5 * RTT, GREEDY);
      for (let i = 6; i <= 12; i += 1) roundTrip(one, i * RTT);
    }
    expect(controller.onLoss(SEGMENT, 12.5 * RTT, 13 * RTT, GREEDY)).toBe(true);
    expect(
      controller.onLoss(SEGMENT, 12.6 * RTT, 13.1 * RTT, GREEDY),
      'of the same round trip',
    ).toBe(false);
    controller.undo();
    controller.undo();
    expect(controller.window).toBe(twin.window);
    for (const one of [controller, twin]) roundTrip(one, 15 * RTT);
    expect(controller.window).toBeCloseTo(twin.window, 6);
  }
});

test('newreno grows by one segment a round trip in congestion avoidance', () => {
  const controller = makeController('newreno');
  controller.onLoss(SEGMENT, 1, 2, GREEDY);
  for (let i = 2; i <= 50; i += 1) {
    const before = controller.window;
    roundTrip(controller, i * RTT);
    expect((controller.window - before) / SEGMENT).toBeGreaterThan(0.7);
    expect((controller.window - before) / SEGMENT).toBeLessThanOrEqual(1);
  }
});

test('cubic is back at its former window after the time K, is flat there, and grows beyond', () => {
  const controller = makeController('cubic');
  for (let i = 1; i <= 6; i += 1) roundTrip(controller, i * RTT);
  const maximum = controller.window,
    from = 7 * RTT;
  controller.onLoss(SEGMENT, 6.5 * RTT, from, GREEDY);
  // RFC 9438: K = cbrt(W_max * (1 - beta) / C), windows in segments.
  const k = Math.cbrt(((maximum / SEGMENT) * 0.3) / 0.4) * SECOND;
  let now = from;
  const at = (time: number): number => {
    for (; now < from + time; now += RTT) roundTrip(controller, now + RTT);
    return controller.window / maximum;
  };
  expect(at(0.5 * k)).toBeGreaterThan(0.9);
  expect(at(k)).toBeGreaterThan(0.95);
  expect(at(k)).toBeLessThan(1.05);
  expect(at(2 * k)).toBeGreaterThan(1.2);
});

describe('pacer', () => {
  const roundTrip = (us: number): RoundTrip => ({ smoothedUs: us, minUs: us });

  test('lets a burst go, then spreads a window and a quarter over each round trip', () => {
    const pacer = new Pacer(10 * SEGMENT),
      window = 100 * SEGMENT,
      controller = { window, inSlowStart: false, pacingRate: 0 };
    let now = 0,
      burst = 0,
      sent = 0;
    for (; pacer.wait(SEGMENT, now, controller, roundTrip(RTT)) === 0; burst += 1)
      pacer.take(SEGMENT);
    expect(burst).toBe(10);
    while (now < 10 * RTT) {
      const wait = pacer.wait(SEGMENT, now, controller, roundTrip(RTT));
      if (wait > 0) now += wait;
      else {
        pacer.take(SEGMENT);
        sent += SEGMENT;
      }
    }
    expect(sent / (10 * window)).toBeGreaterThan(1.2);
    expect(sent / (10 * window)).toBeLessThan(1.3);
  });

  test(
    'without a round trip nothing waits; ' +
      'idle time does not pile up beyond a burst; one larger than the bucket leaves',
    () => {
      const pacer = new Pacer(10 * SEGMENT);
      const controller = { window: 20 * SEGMENT, inSlowStart: false, pacingRate: 0 };
      expect(
        pacer.wait(1_000_000, 0, { window: 1, inSlowStart: false, pacingRate: 0 }, roundTrip(0)),
      ).toBe(0);
      pacer.wait(SEGMENT, 3_600 * SECOND, controller, roundTrip(RTT));
      let burst = 0;
      for (; pacer.wait(SEGMENT, 3_600 * SECOND, controller, roundTrip(RTT)) === 0; burst += 1)
        pacer.take(SEGMENT);
      expect(burst).toBeLessThanOrEqual(11);
      expect(
        new Pacer(SEGMENT).wait(
          5 * SEGMENT,
          0,
          { window: 2 * SEGMENT, inSlowStart: false, pacingRate: 0 },
          roundTrip(RTT),
        ),
      ).toBe(0);
    },
  );

  test('a round trip blown up by an outage counts as at most so many times the least', () => {
    const blownUp = { smoothedUs: 100 * RTT, minUs: RTT },
      controller = { window: 20 * SEGMENT, inSlowStart: false, pacingRate: 0 };
    const waits = [new Pacer(SEGMENT, 4), new Pacer(SEGMENT)].map((pacer) => {
      pacer.take(SEGMENT);
      return pacer.wait(SEGMENT, 0, controller, blownUp);
    });
    expect(waits[0]).toBe(Math.ceil((4 * RTT) / (1.25 * 20)));
    expect(waits[1]).toBe(Math.ceil((100 * RTT) / (1.25 * 20)));
  });
});
