/** Notices: what is encoded is decoded, and what is none is refused. */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import {
  decodeNotice,
  encodeNotice,
  makeNotice,
  NOTICE_BYTES,
  NOTICE_FULL,
} from '../../../../src/core/wire/notice.ts';

const whole = {
  reason: NOTICE_FULL,
  dropped: 7,
  destination: 0x0a00_0001,
  sourcePort: 5,
  destinationPort: 65_535,
  rate: 1_250_000,
  quoteHigh: 0xffff_fffe,
  quoteLow: 3,
};

test('goes round whole, and what is too much for its field is the most that fits', () => {
  const bytes = new Uint8Array(NOTICE_BYTES + 4),
    out = makeNotice();
  encodeNotice(whole, bytes, 2);
  expect([decodeNotice(bytes, 2, 2 + NOTICE_BYTES, out), out]).toEqual([DropReason.none, whole]);
  encodeNotice({ ...whole, dropped: 1e6, rate: 1e12 }, bytes, 0);
  expect([decodeNotice(bytes, 0, NOTICE_BYTES, out), out.dropped, out.rate]).toEqual([
    DropReason.none,
    0xffff,
    0xffff_ffff,
  ]);
});

test('any other length, reason or reserved byte is malformed', () => {
  const bytes = new Uint8Array(64),
    out = makeNotice(),
    rng = new Rng(3);
  encodeNotice(whole, bytes, 0);
  for (let length = 0; length < 64; length += 1)
    expect(decodeNotice(bytes, 0, length, out)).toBe(
      length === NOTICE_BYTES ? DropReason.none : DropReason.noticeMalformed,
    );
  for (let i = 0; i < 500; i += 1) {
    for (let at = 0; at < NOTICE_BYTES; at += 1) bytes[at] = rng.below(256);
    const good = bytes[0]! >= 1 && bytes[0]! <= 5 && bytes[1] === 0;
    expect(decodeNotice(bytes, 0, NOTICE_BYTES, out)).toBe(
      good ? DropReason.none : DropReason.noticeMalformed,
    );
  }
});
