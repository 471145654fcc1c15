/** Durations, rates, sizes and percents as people write them. */

import { describe, expect, test } from 'vitest';

import {
  formatDuration,
  formatPercent,
  formatRate,
  formatSize,
  parseDuration,
  parsePercent,
  parseRate,
  parseSize,
} from '../../../src/text/units.ts';

describe('durations', () => {
  test.each([
    ['500us', 500],
    ['250ms', 250_000],
    ['10s', 10_000_000],
    ['1.5m', 90_000_000],
    ['2min', 120_000_000],
    ['1h', 3_600_000_000],
    ['0.1ms', 100],
    ['10 s', 10_000_000],
    ['0s', 0],
    ['3 MS', 3_000],
  ])('%s', (text, us) => expect(parseDuration(text)).toBe(us));

  test('a number without a unit counts only where a unit is implied', () => {
    expect(parseDuration(250)).toBeNull();
    expect(parseDuration('250')).toBeNull();
    expect(parseDuration(250, 1_000)).toBe(250_000);
    expect(parseDuration('2.5', 1_000)).toBe(2_500);
  });

  test.each([
    '',
    'ms',
    '-1s',
    '1e3s',
    '1.s',
    '.5s',
    '1s2',
    '1 day',
    'constructor',
    '1constructor',
    '99999h',
    null,
    undefined,
    true,
    NaN,
    Infinity,
    -1,
    [],
    {},
  ])('refuses %o', (value) => expect(parseDuration(value, 1_000)).toBeNull());
});

test('bit rates are in kbit/s and need a unit', () => {
  expect(
    ['500kbit', '10mbit', '1gbit', '64kbps', '9600bit', '1.5 Mbit/s', '0.3mbit'].map(parseRate),
  ).toEqual([500, 10_000, 1_000_000, 64, 9.6, 1_500, 300]);
  expect([500, '500', '10mb', 'kbit', '-1kbit', null].map(parseRate)).toEqual([
    null,
    null,
    null,
    null,
    null,
    null,
  ]);
});

test('sizes are whole bytes', () => {
  expect([1000, '1000', '64KiB', '1MB', '1.5kB', '2 MiB'].map(parseSize)).toEqual([
    1000, 1000, 65_536, 1_000_000, 1_500, 2_097_152,
  ]);
  expect(['64k', '-1', -1, '9999999999GiB', 'KiB', {}].map(parseSize)).toEqual([
    null,
    null,
    null,
    null,
    null,
    null,
  ]);
});

test('percents are 0 to 100, with the sign or without', () => {
  expect([1, '1', '1%', '0.5 %', 0, 100].map(parsePercent)).toEqual([1, 1, 1, 0.5, 0, 100]);
  expect([101, '101%', -1, '1ms', '%', true].map(parsePercent)).toEqual([
    null,
    null,
    null,
    null,
    null,
    null,
  ]);
});

test('people read the largest unit that keeps the number at one or more', () => {
  expect([250, 12_500, 3_000_000, 90_000_000, 7_200_000_000, 0].map(formatDuration)).toEqual([
    '250 us',
    '12.5 ms',
    '3 s',
    '1.5 min',
    '2 h',
    '0 us',
  ]);
  expect([500, 10_000, 1_000_000, 0.5, null].map(formatRate)).toEqual([
    '500 kbit/s',
    '10 Mbit/s',
    '1 Gbit/s',
    '0.5 kbit/s',
    'unlimited',
  ]);
  expect([1000, 65_536, 1_572_864, 1_073_741_824].map(formatSize)).toEqual([
    '1000 B',
    '64 KiB',
    '1.5 MiB',
    '1 GiB',
  ]);
  expect([1, 0.25].map(formatPercent)).toEqual(['1 %', '0.25 %']);
});
