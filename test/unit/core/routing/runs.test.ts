/**
 * Runs of a daemon, by the numbers of its advertisements: none is taken for another one's, however
 * fast it speaks or however soon it dies.
 */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../../../src/core/base/time.ts';
import { isLaterRun, OVERTAKE_LEAST } from '../../../../src/core/routing/runs.ts';
import {
  makeSignedAdvertisement,
  type Advertisement,
} from '../../../../src/core/wire/link-state.ts';

/** What a run that began at `startUs` says at `atUs`, the `count`-th time. */
function said(startUs: Micros, atUs: Micros, count: number, ahead = 0): Advertisement {
  const sequence = Math.floor(startUs / 100) + count + ahead;
  return makeSignedAdvertisement(
    {
      origin: 1,
      sequence,
      leaving: false,
      name: '',
      links: [],
      facts: null,
      issuedS: Math.floor(atUs / SECOND),
      certificate: new Uint8Array(32),
      whole: null,
    },
    () => new Uint8Array(64),
  );
}

test('a run that advertises as often as it may for as long as it likes stays one', () => {
  const rng = new Rng(1);
  for (let i = 0; i < 20_000; i += 1) {
    const start = 1_700_000_000 * SECOND + rng.below(10_000) * MILLISECOND;
    const first = rng.below(100_000),
      more = 1 + rng.below(10 ** rng.below(7));
    const at = (count: number): Micros => start + count * 50 * MILLISECOND;
    expect(
      isLaterRun(said(start, at(first), first), said(start, at(first + more), first + more + 1)),
      `${first} and ${more} more`,
    ).toBe(false);
  }
});

test(
  'a run that begins 20 ms after its forerunner at ' +
    'the earliest is told from it, whatever that one said',
  () => {
    const rng = new Rng(2);
    for (let i = 0; i < 20_000; i += 1) {
      const start = 1_700_000_000 * SECOND + rng.below(10_000) * MILLISECOND,
        lived = (20 + rng.below(10 ** rng.below(8))) * MILLISECOND;
      const count = Math.floor(lived / (50 * MILLISECOND)),
        again = start + lived + rng.below(10) * SECOND;
      // Heard of within the time that the forerunner lived a hundred times over.
      const at = again + rng.below(lived);
      expect(
        isLaterRun(
          said(start, start + lived, count),
          said(again, at, 1 + Math.floor((at - again) / (50 * MILLISECOND))),
        ),
        `lived ${lived / MILLISECOND} ms`,
      ).toBe(true);
    }
  },
);

test('so is one whose clock was set back, which goes on from the number of its forerunner', () => {
  const start = 1_700_000_000 * SECOND;
  for (let back = 0; back < 100; back += 1)
    expect(
      isLaterRun(
        said(start, start + SECOND, 5),
        said(start, start + SECOND - back * SECOND, 6, OVERTAKE_LEAST),
      ),
    ).toBe(true);
});
