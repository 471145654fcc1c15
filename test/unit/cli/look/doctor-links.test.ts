/** Links that are up and do badly, as `spines doctor` names them. */

import { expect, test } from 'vitest';
import type { LinksReply } from 'spines-client';

import { badLinks } from '../../../../src/cli/look/doctor-links.ts';
import { Flaps, FLAPS_MAX } from '../../../../src/core/link/flaps.ts';
import { SECOND } from '../../../../src/core/base/time.ts';

const fine: LinksReply['links'][number] = {
  node: '10.0.0.2',
  name: 'rome',
  address: '192.0.2.10:8100',
  state: 'up',
  sinceMs: 1,
  dialled: true,
  rttMs: 12,
  lossOutPct: 0.4,
  lossInPct: 0,
  cost: 1,
  sent: { datagrams: 1, bytes: 1 },
  received: { datagrams: 1, bytes: 1 },
  retransmitted: 0,
  dropped: 0,
  queueBytes: 900,
  congestion: null,
  windowBytes: null,
  inFlightBytes: null,
  size: null,
  seal: null,
  emulated: null,
  flaps: 1,
};
const found = (change: Partial<typeof fine>): string[] =>
  badLinks({ schema: 1, links: [fine, { ...fine, ...change }] }).map(
    ({ what, advice }) => `${what}: ${advice!}`,
  );

test.each<[string, Partial<typeof fine>, string[]]>([
  ['fine', {}, []],
  ['down: named elsewhere', { state: 'down', lossOutPct: 50 }, []],
  [
    'lossy away from us',
    { lossOutPct: 5 },
    [
      'link to rome: it is lossy: datagrams are lost on the way to 192.0.2.10:8100, though ' +
        'nothing waits for it here',
    ],
  ],
  [
    'lossy towards us',
    { lossInPct: 5, name: null },
    [
      'link to 10.0.0.2: it is lossy: datagrams are lost on the way from 192.0.2.10:8100, though ' +
        'nothing waits for it here',
    ],
  ],
  [
    'slow',
    { queueBytes: 90_000 },
    ['link to rome: it is slow: more is sent to it than it carries'],
  ],
  [
    'slow and lossy',
    { queueBytes: 90_000, lossOutPct: 20 },
    [
      'link to rome: it is slow: more is sent to it than it carries, and what does not fit its ' +
        'line is lost',
    ],
  ],
  ['flapping', { flaps: 3 }, ['link to rome: it flaps: it goes down and comes back']],
])('a link that is %s', (_what, change, expected) => {
  expect(found(change)).toEqual(expected);
});

test('flaps are those of the last hour, and bounded', () => {
  const flaps = new Flaps();
  for (let i = 0; i < 5; i += 1) flaps.note(i * 1_000 * SECOND);
  expect(flaps.within(4_000 * SECOND)).toBe(4);
  expect(flaps.within(7_599 * SECOND)).toBe(1);
  expect(flaps.within(7_600 * SECOND)).toBe(0);
  for (let i = 0; i < 2 * FLAPS_MAX; i += 1) flaps.note(8_000 * SECOND);
  expect(flaps.within(8_000 * SECOND)).toBe(FLAPS_MAX);
});
