/** Times and spans in words. */

import { expect, test } from 'vitest';

import { formatSpan, formatTime } from '../../../../src/core/base/calendar.ts';

test('a time reads as every calendar says: all days of 800 years, and odd seconds', () => {
  const iso = (seconds: number): string =>
    new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z');
  for (let day = 0; day < 800 * 366; day += 1) {
    const seconds = day * 86_400 + ((day * 7_919) % 86_400);
    if (formatTime(seconds) !== iso(seconds)) expect(formatTime(seconds)).toBe(iso(seconds));
  }
  expect([0, 951_782_399, 951_782_400, 253_402_300_799].map(formatTime)).toEqual([
    '1970-01-01T00:00:00Z',
    '2000-02-28T23:59:59Z',
    '2000-02-29T00:00:00Z',
    '9999-12-31T23:59:59Z',
  ]);
  expect([-1, 253_402_300_800, 281_474_976_710_655].map(formatTime)).toEqual([
    '-1 s after 1970',
    '253402300800 s after 1970',
    '281474976710655 s after 1970',
  ]);
});

test('a span is rounded to its unit', () => {
  expect([0, 59.6e6, 600e6, 7_500e6, 90_000e6, 400_000e6].map(formatSpan)).toEqual([
    '0 s',
    '60 s',
    '10 min',
    '2 h',
    '25 h',
    '5 days',
  ]);
});
