/**
 * Long messages of a program that does not heed being told to wait: each is taken whole or refused
 * whole, and nothing of what was refused is left at its destination.
 */

import { expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { defaultLimits } from '../../src/core/node/config.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { chain, Inbox, useNetworks, wire } from '../support/network.ts';

useNetworks();

const LONG = process.env['SPINES_LONG'] === '1';
const MESSAGES = LONG ? 20_000 : 1_500;

test.each(['end-to-end', 'links'] as const)(
  'messages of 1 B to 64 KiB, eight times what the link carries (%s)',
  (secrecy) => {
    const network = chain(2, {
      forward: wire({ latencyUs: 2 * MILLISECOND, bandwidthKbps: 100_000 }),
    });
    network.settle();
    const [a, b] = [network.host(0), network.host(1)];
    const from = new Inbox(a, 8, { service: SERVICE_RELIABLE, secrecy }),
      to = new Inbox(b, 7, { secrecy });
    const sizes = [1, 100, 1_400, 20_000, 65_536];
    let taken = 0,
      bytes = 0;
    for (let i = 0; i < MESSAGES; i += 1) {
      const size = sizes[i % sizes.length]!;
      const reason = from.send(b, 7, new Uint8Array(size));
      if (reason === DropReason.none) {
        taken += 1;
        bytes += size;
      } else expect(reason).toBe(DropReason.linkQueueFull);
      if (i % 5 === 4) network.run(1 * MILLISECOND);
    }
    expect(taken).toBeLessThan(0.9 * MESSAGES);
    network.run(3 * SECOND);
    // What was taken goes on afterwards, all of it.
    expect(b.node.sessions.reassembly.messages).toBe(0);
    expect(to.messages.length).toBe(taken);
    expect(to.messages.reduce((sum, message) => sum + message.bytes.length, 0)).toBe(bytes);
    for (const host of [a, b])
      expect(host.node.drops.snapshot()).not.toHaveProperty('fragmentTimeout');
  },
  120_000,
);

test('a message for whose pieces there is no room is refused before its first', () => {
  const network = chain(2, {
    forward: wire({ latencyUs: 2 * MILLISECOND, bandwidthKbps: 10_000 }),
    config: { limits: { ...defaultLimits, packetsKept: 64 } },
  });
  network.settle();
  const [a, b] = [network.host(0), network.host(1)];
  const from = new Inbox(a, 8, { service: SERVICE_RELIABLE }),
    to = new Inbox(b, 7);
  let taken = 0;
  for (let i = 0; i < 200; i += 1) {
    if (from.send(b, 7, new Uint8Array(40_000)) === DropReason.none) taken += 1;
    network.run(5 * MILLISECOND);
  }
  network.run(3 * SECOND);
  expect(taken).toBeGreaterThan(0);
  expect([to.messages.length, b.node.sessions.reassembly.messages]).toEqual([taken, 0]);
});
