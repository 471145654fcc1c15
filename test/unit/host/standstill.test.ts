/**
 * A daemon that stood still, a machine that slept, a clock that was set: each is said with how
 * long.
 */

import { expect, test } from 'vitest';

import { nullLog, type LogFields } from '../../../src/core/base/log.ts';
import { SECOND, type Micros } from '../../../src/core/base/time.ts';
import { Standstill } from '../../../src/host/standstill.ts';

function scene(): {
  said: [string, LogFields][];
  pass: (running: Micros, boot?: Micros, wall?: Micros) => void;
} {
  const at = { running: 0, boot: 0, wall: 0 };
  const said: [string, LogFields][] = [];
  const clock = (name: keyof typeof at): { now(): Micros } => ({ now: () => at[name] });
  const watch = new Standstill(
    {
      ...nullLog,
      warn: (fields, message) => {
        said.push([message, fields]);
      },
    },
    { running: clock('running'), boot: clock('boot'), wall: clock('wall') },
  );
  return {
    said,
    pass: (running, boot = running, wall = boot) => {
      at.running += running;
      at.boot += boot;
      at.wall += wall;
      watch.check();
    },
  };
}

test('seconds that pass as they should, and a little late, are not worth a word', () => {
  const { said, pass } = scene();
  for (let i = 0; i < 1_000; i += 1) pass(SECOND + (i % 7) * 100_000);
  expect(said).toEqual([]);
});

test(
  'a daemon that was stopped says for how long; ' +
    'one that is held up all the time says the sum, twice a minute',
  () => {
    const { said, pass } = scene();
    pass(SECOND);
    pass(21 * SECOND);
    expect(said).toMatchObject([
      [
        'the daemon stood still: nothing was read or sent meanwhile',
        { for: '20 s', ms: 20_000, longestMs: 20_000 },
      ],
    ]);
    for (let i = 0; i < 20; i += 1) pass(3 * SECOND);
    pass(SECOND);
    expect(said.length).toBeLessThanOrEqual(4);
    expect(said.slice(1).reduce((sum, [, { ms }]) => sum + Number(ms), 0)).toBeGreaterThan(30_000);
  },
);

test('sleep is told from standing still, and a clock that is set from both', () => {
  const { said, pass } = scene();
  pass(SECOND, 3_601 * SECOND);
  pass(SECOND, SECOND, 601 * SECOND);
  pass(SECOND, SECOND, -599 * SECOND);
  // Whole seconds of uptime are no sleep.
  for (let i = 0; i < 50; i += 1) pass(SECOND, i % 2 === 0 ? 2 * SECOND : 0, SECOND);
  expect(said.map(([message, { by, to, for: span }]) => [message, span ?? by, to])).toEqual([
    ['the machine slept: neighbours took this daemon for dead', '60 min', undefined],
    ['the clock of this machine was set', '10 min', 'later'],
    ['the clock of this machine was set', '10 min', 'earlier'],
  ]);
});
