/** Resets that others make a daemon send: how many at once, and how many a second. */

import { expect, test } from 'vitest';

import { SECOND } from '../../../../src/core/base/time.ts';
import { Dissemination } from '../../../../src/core/dissemination/dissemination.ts';
import { SegmentPackets } from '../../../../src/core/session/segment-packets.ts';
import { DropCounters } from '../../../../src/core/wire/drop.ts';
import { Packet } from '../../../../src/core/wire/packet.ts';
import { PacketPool } from '../../../../src/core/wire/packet-pool.ts';

test.each([
  ['claimed', false, 500, 500],
  ['proved', true, 4_000, 2_000],
])('for one %s source: all at once, then so many a second', (...[, proved, burst, rate]) => {
  const drops = new DropCounters();
  const dissemination = new Dissemination(1, drops, new PacketPool(1), { onDelivery: () => {} });
  let now = SECOND;
  const packets = new SegmentPackets(
    { self: 1, clock: { now: () => now }, drops, dissemination },
    {},
  );
  const packet = new Packet();
  packet.authenticated = proved;
  const taken = (): number => {
    let count = 0;
    for (let i = 0; i < 10_000; i += 1) count += Number(packets.mayReset(packet));
    return count;
  };
  expect(taken()).toBe(burst);
  now += SECOND;
  expect(taken()).toBe(rate);
});
