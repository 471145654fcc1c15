/**
 * The database: newest wins, the limit holds, age is kept.
 */

import { describe, expect, test } from 'vitest';

import { SECOND } from '../../../../src/core/base/time.ts';
import { LinkStateDatabase } from '../../../../src/core/routing/link-state-database.ts';
import { makeAdvertisement } from '../../../../src/core/wire/link-state.ts';

const ad = (origin: number, sequence: number): ReturnType<typeof makeAdvertisement> =>
  makeAdvertisement(origin, sequence, false, '', []);

describe('the link-state database', () => {
  test('keeps the newest advertisement of each node', () => {
    const database = new LinkStateDatabase(10);
    expect(database.sequence(1)).toBe(-1);
    expect(database.install(ad(1, 5), 0, SECOND)).toBe('newer');
    expect(database.install(ad(1, 5), 0, SECOND)).toBe('same');
    expect(database.install(ad(1, 4), 0, SECOND)).toBe('older');
    expect(database.install(ad(1, 6), 0, SECOND)).toBe('newer');
    expect(database.sequence(1)).toBe(6);
    expect(database.size).toBe(1);
  });

  test('takes no more nodes than its limit, yet news of those it knows', () => {
    const database = new LinkStateDatabase(2);
    for (const origin of [1, 2]) expect(database.install(ad(origin, 1), 0, SECOND)).toBe('newer');
    expect(database.install(ad(3, 1), 0, SECOND)).toBe('full');
    expect(database.install(ad(2, 2), 0, SECOND)).toBe('newer');
    expect([...database.records()].map((r) => r.advertisement.origin)).toEqual([1, 2]);
  });

  test('an older or equal advertisement does not lengthen the life of the one that is held', () => {
    const database = new LinkStateDatabase(2);
    database.install(ad(1, 5), 0, 10 * SECOND);
    database.install(ad(1, 5), 9 * SECOND, 100 * SECOND);
    database.install(ad(1, 4), 9 * SECOND, 100 * SECOND);
    const record = database.get(1)!;
    expect(database.remainingSeconds(record, 1.5 * SECOND)).toBe(8);
    expect(database.remainingSeconds(record, 11 * SECOND)).toBe(0);
    expect(database.expire(10 * SECOND - 1)).toBe(0);
    expect(database.expire(10 * SECOND)).toBe(1);
    expect(database.size).toBe(0);
  });
});
