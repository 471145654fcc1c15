/**
 * What a channel puts into datagrams: frames as they were begun, whatever the arrays look like that
 * their bodies come from.
 */

import { Taps } from '../../../../src/core/link/tap.ts';
import { expect, test } from 'vitest';

import { getU16 } from '../../../../src/core/base/bytes.ts';
import { makeEndpoint } from '../../../../src/core/base/datagram.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { Channel, Epoch, FlushList } from '../../../../src/core/link/channel.ts';
import {
  DATAGRAM_BYTES_MAX,
  DATAGRAM_HEADER_BYTES,
  FRAME_HEAD_BYTES,
  TAG_BYTES,
} from '../../../../src/core/wire/sizes.ts';
import { randomBytes } from '../../../fuzz/mutate.ts';

const BODY_MAX = DATAGRAM_BYTES_MAX - TAG_BYTES - DATAGRAM_HEADER_BYTES - FRAME_HEAD_BYTES;

test(
  'bodies that are copied from the middle of longer ' +
    'arrays arrive whole and leave their neighbours alone',
  () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const rng = new Rng(seed);
      const sent: Uint8Array[] = [];
      const list = new FlushList();
      const sink = {
        congested: false,
        send: (_to: unknown, bytes: Uint8Array, length: number) => {
          sent.push(bytes.slice(0, length));
        },
      };
      const channel = new Channel(
        new Epoch(1, 2, null, 0, null, ''),
        1,
        makeEndpoint('127.0.0.1', 1),
        { sink, flushList: list, taps: new Taps() },
      );
      const wanted: [number, Uint8Array][] = [];
      for (let i = 1 + rng.below(40); i > 0; i -= 1) {
        const type = 1 + rng.below(20),
          prefix = rng.below(6);
        const length = rng.chance(0.3) ? rng.below(80) : rng.below(BODY_MAX - prefix + 1);
        const start = rng.chance(0.5) ? rng.below(20) : rng.below(200);
        const from = randomBytes(
          rng,
          start + length + (rng.chance(0.5) ? rng.below(30) : rng.below(1_000)),
        );
        const head = randomBytes(rng, prefix);
        const at = channel.frameOf(type, prefix, from, start, start + length);
        channel.buffer.set(head, at);
        wanted.push([type, Uint8Array.of(...head, ...from.subarray(start, start + length))]);
      }
      expect(list.pending).toBe(true);
      list.flush();
      expect(list.pending).toBe(false);
      const got: [number, Uint8Array][] = [];
      for (const bytes of sent) {
        for (let at = DATAGRAM_HEADER_BYTES; at < bytes.length; ) {
          const end = at + FRAME_HEAD_BYTES + getU16(bytes, at + 1);
          got.push([bytes[at]!, bytes.subarray(at + FRAME_HEAD_BYTES, end)]);
          at = end;
        }
      }
      expect(got.map(([type, body]) => [type, Buffer.from(body).toString('hex')])).toEqual(
        wanted.map(([type, body]) => [type, Buffer.from(body).toString('hex')]),
      );
    }
  },
);

test('a flush list flushes each channel once, and is empty then', () => {
  const list = new FlushList();
  let sent = 0;
  const sink = {
    congested: false,
    send: () => {
      sent += 1;
    },
  };
  const channels = Array.from(
    { length: 5 },
    (_, i) =>
      new Channel(new Epoch(i, i, null, 0, null, ''), 1, makeEndpoint('127.0.0.1', 1), {
        sink,
        flushList: list,
        taps: new Taps(),
      }),
  );
  for (let round = 1; round <= 3; round += 1) {
    for (const channel of channels) {
      channel.frame(1, 4);
      channel.frame(1, 4);
    }
    list.flush();
    expect(sent).toBe(5 * round);
    list.flush();
    expect(sent).toBe(5 * round);
  }
});
