/** What the system did not send, and that it is forgotten. */

import { expect, test } from 'vitest';

import { SECOND } from '../../../../src/core/base/time.ts';
import { SendTroubles } from '../../../../src/host/net/send-troubles.ts';

test('refusals are counted by reason, the most frequent first, with the last address', () => {
  const troubles = new SendTroubles(0);
  troubles.note('EPERM', '192.0.2.1:8100', 1, 0);
  troubles.note('EHOSTUNREACH', '192.0.2.2:8100', 40, 1);
  troubles.note('EHOSTUNREACH', '192.0.2.3:8100', 3, 31 * SECOND);
  expect(troubles.figures(31 * SECOND)).toEqual([
    { code: 'EHOSTUNREACH', datagrams: 43, to: '192.0.2.3:8100' },
    { code: 'EPERM', datagrams: 1, to: '192.0.2.1:8100' },
  ]);
});

test('what is over is forgotten within a minute, and not before half of one', () => {
  for (const at of [0, 1, 29, 30, 45, 59, 61].map((seconds) => seconds * SECOND)) {
    const troubles = new SendTroubles(0);
    troubles.note('full', 'x', 1, at);
    expect(troubles.figures(at + 29 * SECOND), String(at)).toHaveLength(1);
    expect(troubles.figures(at + 60 * SECOND), String(at)).toEqual([]);
  }
});

test('reasons are bounded', () => {
  const troubles = new SendTroubles(0);
  for (let i = 0; i < 1_000; i += 1) troubles.note(`E${i}`, 'x', 1, 0);
  expect(troubles.figures(0)).toHaveLength(16);
});
