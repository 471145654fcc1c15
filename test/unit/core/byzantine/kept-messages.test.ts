/** Messages that may go once more: bounded for each flow and for all, the oldest gives way. */

import { expect, test } from 'vitest';

import {
  KEPT_FLOW_BYTES_MAX,
  KEPT_PACKETS_MAX,
  KeptMessages,
  type KeptBytes,
  type KeptPath,
} from '../../../../src/core/byzantine/kept-messages.ts';

const path = (destinationKey = new Uint8Array(32)): KeptPath => ({
  destinationKey,
});
const silent = (): void => {};
const budget = (most = 1e9): KeptBytes => ({ bytes: 0, most });

test('a copy is kept of what the caller may change', () => {
  const kept = new KeptMessages(budget(), silent);
  const bytes = Uint8Array.of(0, 1, 2, 3);
  kept.keep(7, bytes, 1, 3, [path()], 0);
  bytes.fill(9);
  expect([...kept.get(7)!.bytes]).toEqual([1, 2]);
});

test('a flow keeps so many packets, and so many bytes', () => {
  for (const [length, most] of [
    [1, KEPT_PACKETS_MAX],
    [1_400, Math.floor(KEPT_FLOW_BYTES_MAX / 1_400)],
  ] as const) {
    const all = budget(),
      kept = new KeptMessages(all, silent),
      b = new Uint8Array(length);
    for (let i = 0; i < 2 * KEPT_PACKETS_MAX; i += 1) {
      kept.keep(i, b, 0, length, [path()], 0);
      expect(kept.size).toBeLessThanOrEqual(most);
      expect([kept.bytes, all.bytes]).toEqual([kept.size * length, kept.size * length]);
    }
    expect(kept.size).toBe(most);
    expect(kept.get(2 * KEPT_PACKETS_MAX - 1)).toBeDefined();
    expect(kept.get(2 * KEPT_PACKETS_MAX - 1 - most)).toBeUndefined();
  }
});

test(
  'when all flows together keep enough, ' + "a flow lets its own oldest go, and nobody else's",
  () => {
    const all = budget(1_000),
      one = new KeptMessages(all, silent),
      other = new KeptMessages(all, silent),
      third = new KeptMessages(all, silent);
    const b = new Uint8Array(100);
    for (let i = 0; i < 6; i += 1) one.keep(i, b, 0, 100, [path()], 0);
    for (let i = 0; i < 50; i += 1) other.keep(i, b, 0, 100, [path()], 0);
    expect([one.size, other.size, all.bytes]).toEqual([6, 4, 1_000]);
    third.keep(1, b, 0, 100, [path()], 0);
    expect([third.size, all.bytes]).toEqual([0, 1_000]);
    one.clear();
    expect(all.bytes).toBe(400);
  },
);

test(
  'what a path carried that is used no longer is idle, ' + 'unless another carries it as well',
  () => {
    const kept = new KeptMessages(budget(), silent),
      a = path(),
      c = path();
    kept.keep(1, new Uint8Array(1), 0, 1, [a], 0);
    kept.keep(2, new Uint8Array(1), 0, 1, [a, c], 0);
    kept.keep(3, new Uint8Array(1), 0, 1, [c], 0);
    kept.leave(a);
    expect(kept.idle(100).map(({ number }) => number)).toEqual([1]);
    kept.leave(c);
    expect(kept.idle(100).map(({ number }) => number)).toEqual([1, 2, 3]);
    kept.drop(2);
    expect(kept.idle(100).map(({ number }) => number)).toEqual([1, 3]);
  },
);

test('what was sent is kept with when, and to which run of its destination', () => {
  const kept = new KeptMessages(budget(), silent),
    key = Uint8Array.of(7);
  kept.keep(1, new Uint8Array(1), 0, 1, [path(key)], 42);
  expect(kept.get(1)).toMatchObject({ to: key, sentAt: 42 });
});

test('what is let go is told when it is lost, once, by its head', () => {
  const heads: number[] = [],
    kept = new KeptMessages(budget(10_000), (head) => {
      expect(head.length).toBeLessThan(100);
      heads.push(head[0]!);
    });
  const [a, c] = [path(), path()];
  const keep = (number: number, on: KeptPath[]): void =>
    kept.keep(number, new Uint8Array(5_000).fill(number), 0, 5_000, on, 0);
  for (const [number, on] of [
    [1, [a]],
    [2, [a, c]],
    [3, [a]],
    [4, [a]],
    [5, [a]],
    [6, [c]],
  ] as const)
    keep(number, [...on]);
  expect([kept.size, heads]).toEqual([2, []]);
  kept.onFate(a, 1, false);
  kept.onFate(a, 1, false);
  kept.onFate(a, 2, false);
  kept.onFate(a, 3, true);
  expect(heads).toEqual([1]);
  // Too long for all flows together: not kept, and told all the same.
  kept.keep(7, new Uint8Array(20_000).fill(7), 0, 20_000, [a], 0);
  kept.leave(a);
  expect(heads.sort()).toEqual([1, 4, 5, 7]);
  kept.leave(c);
  expect(heads.sort()).toEqual([1, 2, 4, 5, 6, 7]);
  kept.watch(8, new Uint8Array(8), 0, 8, [a]);
  kept.clear();
  kept.leave(a);
  expect(heads).toHaveLength(6);
});
