/**
 * What anybody can have a daemon send is no larger than what it was asked with, or daemons would
 * amplify floods.
 */

import { expect, test } from 'vitest';

import { REFUSAL_BYTES } from '../../../../src/core/wire/refusal.ts';
import {
  COOKIE_DATAGRAM_BYTES,
  initNoiseEnd,
  KEY_AT,
  KEY_DATAGRAM_BYTES,
  SEALED_INIT_BYTES,
  SEALED_RESPONSE_BYTES,
  WIDE_INIT_BYTES,
  WIDE_RESPONSE_BYTES,
} from '../../../../src/core/wire/sealed-handshake.ts';

test('no answer to a handshake is larger than its question', () => {
  const smallest = Array.from({ length: WIDE_INIT_BYTES + 1 }, (_, length) => length).find(
    (length) => initNoiseEnd(length) > 0,
  );
  expect(smallest).toBe(Math.min(SEALED_INIT_BYTES, WIDE_INIT_BYTES));
  for (const answer of [
    SEALED_RESPONSE_BYTES,
    WIDE_RESPONSE_BYTES,
    COOKIE_DATAGRAM_BYTES,
    REFUSAL_BYTES,
  ])
    expect(answer).toBeLessThanOrEqual(smallest!);
  // The question for a key has the room that its answer takes.
  expect(KEY_DATAGRAM_BYTES).toBe(KEY_AT + 32);
});
