/**
 * A flow that was told to slow down, and then is held back by its own first link for minutes: it
 * goes on when that has room.
 */

import { expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { Throttles } from '../../../../src/core/session/throttles.ts';
import { Packet } from '../../../../src/core/wire/packet.ts';
import { PacketPool } from '../../../../src/core/wire/packet-pool.ts';

test.each([1, 60, 400, 4_000])(
  'a first link that is full for %i s holds a flow for no longer',
  (seconds) => {
    let now = 0,
      open = false,
      sent = 0,
      free = false;
    const timers = new TimerQueue(),
      pool = new PacketPool(16);
    const throttles = new Throttles({
      clock: { now: () => now },
      timers,
      pool,
      send: () => {
        sent += open ? 1 : 0;
        return open;
      },
    });
    const throttle = throttles.add(
      1_000_000,
      { owner: {}, secret: false, slowBranch: 'drop', multicastLoopback: true },
      () => {},
      () => {
        free = true;
      },
    );
    const run = (us: number): void => {
      const until = now + us;
      for (; timers.nextAt <= until; timers.runDue(now)) now = Math.max(now, timers.nextAt);
      now = until;
    };
    const packet = new Packet();
    packet.bytes = new Uint8Array(1_000);
    packet.end = 1_000;
    packet.keepable = true;
    for (let i = 0; i < 8; i += 1) expect(throttle.hold(packet)).toBe(true);
    run(seconds * SECOND);
    expect([sent, pool.inUse]).toEqual([0, 8]);
    open = true;
    run(50 * MILLISECOND);
    expect([sent, pool.inUse, throttle.heldBytes]).toEqual([8, 0, 0]);
    run(10 * SECOND);
    expect([free, throttles.size]).toEqual([true, 0]);
  },
);
