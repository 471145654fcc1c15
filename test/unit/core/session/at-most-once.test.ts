/** Duplicates of sequenced datagrams, and packets that wait for a way. */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { Limbo } from '../../../../src/core/dissemination/limbo.ts';
import { AtMostOnce } from '../../../../src/core/session/at-most-once.ts';
import { DropCounters, DropReason } from '../../../../src/core/wire/drop.ts';
import { Packet } from '../../../../src/core/wire/packet.ts';
import { PacketPool } from '../../../../src/core/wire/packet-pool.ts';

test('each message of each run passes once, in any order within the window', () => {
  const once = new AtMostOnce(),
    rng = new Rng(1),
    seen = new Set<string>();
  for (let i = 0; i < 50_000; i += 1) {
    const source = 1 + rng.below(3),
      port = rng.below(2),
      run = rng.below(2),
      message = rng.below(20_000),
      key = `${source} ${port} ${run} ${message}`;
    expect(once.isNew(source, port, run, message)).toBe(!seen.has(key));
    if (!seen.has(key)) once.record(source, port, run, message);
    seen.add(key);
  }
  expect(once.senders).toBe(6);
});

test('a port has so many runs, and the oldest gives way to a new one', () => {
  const once = new AtMostOnce();
  for (let run = 1; run <= 4; run += 1) once.record(1, 1, run, 7);
  expect([1, 2, 3, 4].map((run) => once.isNew(1, 1, run, 7))).toEqual([false, false, false, false]);
  once.record(1, 1, 5, 7);
  expect([1, 2, 3, 4, 5].map((run) => once.isNew(1, 1, run, 7))).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
  expect(once.senders).toBe(1);
});

test('a message that waited while thousands passed is new; one too old to tell is not', () => {
  const once = new AtMostOnce();
  once.record(1, 1, 1, 0);
  for (let message = 2; message < 30_000; message += 1) once.record(1, 1, 1, message);
  expect([once.isNew(1, 1, 1, 1), once.isNew(1, 1, 1, 0)]).toEqual([true, false]);
  once.record(1, 1, 1, 40_000);
  expect(once.isNew(1, 1, 1, 1)).toBe(false);
});

test('senders are bounded, and one not heard from gives way', () => {
  const once = new AtMostOnce();
  for (let source = 0; source < 5_000; source += 1) {
    once.record(source, 1, 1, 7);
    once.record(4_999_999, 1, 1, source);
  }
  expect(once.senders).toBe(4_096);
  expect([
    once.isNew(0, 1, 1, 7),
    once.isNew(4_999, 1, 1, 7),
    once.isNew(4_999_999, 1, 1, 0),
  ]).toEqual([true, false, false]);
  // When all were heard from again, one of them goes all the same, and what goes is forgotten
  // whole.
  for (let round = 0; round < 2; round += 1)
    for (let source = 10_000; source < 15_000; source += 1) once.record(source, 1, 1, round);
  expect(once.senders).toBe(4_096);
  once.record(14_999, 1, 1, 50);
  expect(once.isNew(14_999, 1, 1, 50)).toBe(false);
});

test.each([
  ['ports and runs of its own', (i: number) => [7, i & 0xffff, i, 7]],
  ['sources that it makes up, by one link', (i: number) => [1_000 + i, 1, i, 7]],
] as const)('who uses %s has nobody else forgotten', (_what, of) => {
  const once = new AtMostOnce();
  for (let source = 100; source < 200; source += 1) once.record(source, 1, 1, 5, source);
  for (let i = 0; i < 20_000; i += 1) {
    const [source, port, run, group] = of(i) as [number, number, number, number];
    once.record(source, port, run, i, group);
  }
  for (let source = 100; source < 200; source += 1) expect(once.isNew(source, 1, 1, 5)).toBe(false);
  expect(once.senders).toBeLessThanOrEqual(4_096);
});

test('runs count for the bound too', () => {
  const once = new AtMostOnce();
  for (let source = 0; source < 3_000; source += 1)
    for (let run = 0; run < 4; run += 1) once.record(source, 1, run, 7);
  expect(once.senders).toBe(1_024);
  expect([0, 1, 2, 3].map((run) => once.isNew(2_999, 1, run, 7))).toEqual([
    false,
    false,
    false,
    false,
  ]);
});

test(
  'what waits for a way leaves in order when there is one, ' +
    'in bounded number, and not for ever',
  () => {
    let now = 0,
      open = false;
    const clock = { now: () => now },
      timers = new TimerQueue(),
      drops = new DropCounters(),
      pool = new PacketPool(20_000),
      sent: number[] = [];
    const limbo = new Limbo(
      clock,
      timers,
      drops,
      pool,
      (kept) => {
        if (open) sent.push(kept.bytes[kept.start + 16]!);
        return open;
      },
      () => {},
    );
    const add = (value: number): void => {
      const packet = new Packet();
      packet.bytes = new Uint8Array(17).fill(value);
      packet.end = 17;
      packet.keepable = true;
      limbo.add(pool.keep(packet)!);
    };
    const until = (at: number): void => {
      for (; timers.nextAt <= at; timers.runDue(now)) now = timers.nextAt;
      now = at;
    };
    for (const value of [1, 2, 3]) add(value);
    until(SECOND);
    expect([limbo.length, pool.inUse]).toEqual([3, 3]);
    open = true;
    until(SECOND + 25 * MILLISECOND);
    expect([sent, limbo.length, pool.inUse]).toEqual([[1, 2, 3], 0, 0]);
    open = false;
    for (let i = 0; i < 16_500; i += 1) add(9);
    // One alone has three quarters of the places, and another one still finds some.
    expect([
      limbo.length,
      limbo.open(0, null, 0),
      limbo.open(7, null, 9),
      drops.of(DropReason.waitedTooLong),
    ]).toEqual([12_484, false, true, 4_016]);
    until(now + 3 * SECOND + 50 * MILLISECOND);
    expect([limbo.length, pool.inUse, drops.of(DropReason.waitedTooLong)]).toEqual([0, 0, 16_500]);
    add(1);
    limbo.stop();
    expect([limbo.length, pool.inUse]).toEqual([0, 0]);
  },
);
