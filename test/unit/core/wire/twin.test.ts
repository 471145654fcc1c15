/** TWIN frames, byte for byte, and whatever else comes in their place. */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { decodeTwin, encodeTwin, TWIN_BODY_BYTES } from '../../../../src/core/wire/twin.ts';

const run = { instance: 0x0102_0304_0506, started: 0x1122_3344_5566 };

test.each([
  ['192.0.2.7', 8_100, '192.0.2.7:8100', '00000000000000000000ffffc0000207'],
  ['2001:db8::5', 1, '[2001:db8::5]:1', '20010db8000000000000000000000005'],
  ['fe80::1%eth0', 8_100, '', '00000000000000000000000000000000'],
])('of %s', (address, port, at, bytes) => {
  const b = new Uint8Array(40).fill(0xee);
  encodeTwin(run, { address, port }, b, 3);
  expect(Buffer.from(b.subarray(3, 3 + TWIN_BODY_BYTES)).toString('hex')).toBe(
    `010203040506112233445566${bytes}${at === '' ? '0000' : port.toString(16).padStart(4, '0')}`,
  );
  expect([b[2], b[3 + TWIN_BODY_BYTES]]).toEqual([0xee, 0xee]);
  expect(decodeTwin(b, 3, 3 + TWIN_BODY_BYTES)).toEqual({ ...run, at });
});

test('another length, or half of an address, is none; nothing throws', () => {
  const b = new Uint8Array(64);
  encodeTwin(run, { address: '192.0.2.7', port: 8_100 }, b, 0);
  for (const length of [0, 1, TWIN_BODY_BYTES - 1, TWIN_BODY_BYTES + 1])
    expect(decodeTwin(b, 0, length)).toBeNull();
  expect(decodeTwin(b.with(28, 0).with(29, 0), 0, TWIN_BODY_BYTES)).toBeNull();
  expect(decodeTwin(b.fill(0, 12, 28), 0, TWIN_BODY_BYTES)).toBeNull();
  const rng = new Rng(1);
  for (let i = 0; i < 2_000; i += 1) {
    for (let at = 0; at < b.length; at += 1) b[at] = rng.below(256);
    const from = rng.below(30),
      to = from + rng.below(34);
    const news = decodeTwin(b, from, to);
    if (news !== null) expect(news.at).toMatch(/^(\[[0-9a-f:]+\]|[\d.]+):\d+$/);
  }
});
