/** What a pacer lets leave after a pause: its burst, or what a timer that was late stood for. */

import { expect, test } from 'vitest';

import { Pacer } from '../../../../src/core/recovery/pacer.ts';

const BURST = 10_000,
  PACKET = 1_000,
  RTT = { smoothedUs: 50_000, minUs: 50_000 };

/** Packets that leave at once, at `rate` bytes a microsecond, after a pause of a second. */
function afterPause(rate: number): number {
  const pacer = new Pacer(BURST);
  const controller = { window: 1e9, inSlowStart: false, pacingRate: rate };
  let packets = 0;
  while (pacer.wait(PACKET, 1_000_000, controller, RTT) === 0) {
    pacer.take(PACKET);
    packets += 1;
  }
  return packets;
}

test.each([
  ['slow', 1, BURST / PACKET],
  ['at which two milliseconds are the burst', 5, BURST / PACKET],
  ['fast', 100, (100 * 2_000) / PACKET],
])(
  'a rate that is %s: a timer that is 2 ms late costs nothing, and no more leaves',
  (...[, rate, packets]) => {
    expect(afterPause(rate)).toBe(packets);
  },
);
