/** Messages of one size in a byte stream. */

import { expect, it } from 'vitest';

import { MessageCutter } from '../../../../src/cli/replay/replay-carriers.ts';

it('messages are found again, however the bytes are cut', () => {
  const size = 7;
  const bytes = Buffer.from(Array.from({ length: 20 * size }, (_, i) => i));
  for (let piece = 1; piece <= 40; piece += 1) {
    const found: Buffer[] = [];
    const cutter = new MessageCutter(size, (message) => found.push(Buffer.from(message)));
    for (let at = 0; at < bytes.length; at += piece) cutter.push(bytes.subarray(at, at + piece));
    expect(found.length).toBe(20);
    expect(Buffer.concat(found).equals(bytes), `pieces of ${piece}`).toBe(true);
  }
});
