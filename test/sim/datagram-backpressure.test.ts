/**
 * Programs that send datagrams as fast as they may and wait whenever they are told to: over
 * reliable links nothing of it is lost, whatever the size of the messages and the number of
 * programs. The client library's own core talks to the daemon's port through a pipe that is late,
 * as a kernel's is.
 */

import { expect, test } from 'vitest';

import { SEND_AHEAD_BYTES } from '../../spines-client/src/core/send-ahead.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { hosts, Inbox, useNetworks, wire } from '../support/network.ts';
import { PORT, Sender } from '../support/waiting-program.ts';

useNetworks();

test.each([
  [1, 10_000, 1, 'link-state'],
  [20, 10_000, 1, 'link-state'],
  [100, 6_000, 3, 'link-state'],
  [1_400, 3_000, 1, 'link-state'],
  [1_400, 1_500, 8, 'link-state'],
  [5_000, 1_000, 2, 'link-state'],
  [65_536, 60, 2, 'link-state'],
  [20, 10_000, 1, 'byzantine'],
  [1_000, 2_000, 1, 'byzantine'],
] as const)(
  'of %i bytes, %i by each of %i, routing %s: all arrive',
  (bytes, count, programs, routing) => {
    const network = hosts(3, { seed: 2 });
    // What comes from beside crosses the same queue.
    network.connect(
      network.host(0),
      network.host(1),
      wire({ latencyUs: 5 * MILLISECOND, bandwidthKbps: 30_000 }),
    );
    network.connect(
      network.host(2),
      network.host(0),
      wire({ latencyUs: 2 * MILLISECOND, bandwidthKbps: 100_000 }),
    );
    network.settle();
    const inbox = new Inbox(network.host(1), PORT);
    const senders = Array.from(
      { length: programs },
      () => new Sender(network, network.host(0), network.host(1), count, bytes, routing),
    );
    const total = count * programs;
    network.until(() => inbox.messages.length >= total, 120 * SECOND, 50 * MILLISECOND);
    const drops = network.host(0).node.drops.snapshot();
    expect(
      [inbox.messages.length, senders.map((sender) => sender.errors), drops['linkQueueFull'] ?? 0],
      JSON.stringify(drops),
    ).toEqual([total, senders.map(() => 0), 0]);
    if (count * (bytes + 192) > 4 * SEND_AHEAD_BYTES)
      expect(Math.min(...senders.map((sender) => sender.waits))).toBeGreaterThan(0);
    expect(network.host(0).node.byzantine!.totals.convictions).toBe(0);
  },
);
