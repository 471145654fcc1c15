/** Node ids and names as text. */

import { expect, test } from 'vitest';

import { formatNodeId, isNodeId, isNodeName, parseNodeId } from '../../../../src/core/base/ids.ts';
import { Rng } from '../../../../src/core/base/rng.ts';

test('every id comes back from its dotted quad', () => {
  const rng = new Rng(1);
  for (const id of [
    0,
    1,
    0xff,
    0x100,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    ...Array.from({ length: 5_000 }, () => rng.u32()),
  ])
    expect(parseNodeId(formatNodeId(id))).toBe(id);
  expect(formatNodeId(0x0a000001)).toBe('10.0.0.1');
});

test.each([
  '',
  '1',
  '1.2.3',
  '1.2.3.4.5',
  '01.2.3.4',
  '1.2.3.04',
  '256.0.0.0',
  '1.2.3.256',
  '-1.2.3.4',
  '1..2.3',
  '1.2.3.',
  '.1.2.3',
  ' 1.2.3.4',
  '1.2.3.4 ',
  '1.2.3.4\n',
  '0x1.2.3.4',
  '1e1.2.3.4',
  '1.2.3.٣',
  '1000.2.3.4',
  '+1.2.3.4',
])('%j is no dotted quad', (text) => expect(parseNodeId(text)).toBeNull());

test('a daemon may have any id but 0 and those of groups', () => {
  for (const id of [1, 0x7fff_ffff, 0x8000_0000, 0xdfff_ffff]) expect(isNodeId(id)).toBe(true);
  for (const id of [
    0,
    -1,
    0xe000_0000,
    0xefff_ffff,
    0xf000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    1.5,
    NaN,
    Infinity,
  ])
    expect(isNodeId(id)).toBe(false);
});

test('names', () => {
  for (const name of [
    'a',
    'A9',
    '_x',
    'node-1',
    'a.b.c',
    '1',
    '1.2.3',
    '999.1.1.1',
    'n'.repeat(63),
  ])
    expect(isNodeName(name), name).toBe(true);
  for (const name of ['', '-a', '.a', 'a b', 'a/b', 'é', 'n'.repeat(64), '10.0.0.1', 'a\n'])
    expect(isNodeName(name), JSON.stringify(name)).toBe(false);
});
