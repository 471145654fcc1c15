/** Who gives way where nobody is known yet: those of the source that has most, oldest first. */

import { expect, test } from 'vitest';

import { SourceBudget, sourceOf } from '../../../../src/core/base/source-budget.ts';
import { SECOND } from '../../../../src/core/base/time.ts';
import { Anteroom } from '../../../../src/host/doors/anteroom.ts';

test("a source that fills the room loses its own, and nobody else's", () => {
  const gone: string[] = [];
  const room = new Anteroom<string>(8, (guest) => gone.push(guest));
  room.enter('honest', 'h');
  for (let i = 0; i < 100; i += 1) room.enter(`a${i}`, 'flood');
  expect(room.size).toBe(8);
  expect(gone).toEqual(Array.from({ length: 93 }, (_, i) => `a${i}`));
  room.enter('another', 'i');
  expect(gone.at(-1)).toBe('a93');
  room.leave('honest');
  room.leave('honest');
  room.leave('a93');
  expect(room.size).toBe(7);
});

test('where all have as many, the oldest goes', () => {
  const gone: number[] = [];
  const room = new Anteroom<number>(4, (guest) => gone.push(guest));
  for (let i = 0; i < 10; i += 1) room.enter(i, `s${i}`);
  expect(gone).toEqual([0, 1, 2, 3, 4, 5]);
});

test('a source is an IPv4 address, or what one host has of IPv6', () => {
  expect(sourceOf('::ffff:192.0.2.1')).toBe(sourceOf('192.0.2.1'));
  expect(sourceOf('2001:db8:1:2::1')).toBe(sourceOf('2001:db8:1:2:ffff::9'));
  expect(sourceOf('2001:db8:1:2::1')).not.toBe(sourceOf('2001:db8:1:3::1'));
  expect(sourceOf('fe80::1%eth0')).toBe('fe80::');
  expect(sourceOf('')).toBe('');
});

test('each source has its budget, and the table of them is bounded', () => {
  const budget = new SourceBudget(2, 3, 4);
  const taken = (source: string, now: number): number =>
    Array.from({ length: 10 }, () => budget.take(source, now)).filter(Boolean).length;
  expect(taken('a', 0)).toBe(3);
  expect(taken('b', 0)).toBe(3);
  expect(taken('a', SECOND)).toBe(2);
  for (const source of ['c', 'd', 'e', 'f']) expect(taken(source, SECOND)).toBe(3);
  expect(taken('a', SECOND)).toBe(3);
});
