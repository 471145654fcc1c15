/**
 * Groups whose source waits for its slowest branch, wherever that is: a node on the way whose queue
 * grows says so, the source slows down, and no member misses anything. Who does not ask for that is
 * not slowed; and notices that are made up slow, and end nothing.
 */

import { describe, expect, test } from 'vitest';

import { parseNodeId } from '../../src/core/base/ids.ts';
import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { RATE_MIN } from '../../src/core/session/throttles.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { encodeNotice, NOTICE_BYTES, NOTICE_LONG } from '../../src/core/wire/notice.ts';
import { KIND_NOTICE, Packet, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { cut, heal } from '../../src/lab/sim/faults.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { hosts, Inbox, pattern, useNetworks, wire, type Network } from '../support/network.ts';
import { PORT, Sender } from '../support/waiting-program.ts';

useNetworks();

const LONG = process.env['SPINES_LONG'] === '1';
const GROUP = parseNodeId('239.1.2.3')!;
const WAITS = { secrecy: 'links', slowBranch: 'wait' } as const;
const RELIABLE = { secrecy: 'links', service: SERVICE_RELIABLE } as const;

interface Tree {
  readonly network: Network;
  readonly s: SimHost;
  readonly a: SimHost;
  readonly b: SimHost;
  readonly c: SimHost;
  readonly d: SimHost;
}

/** s - a - b - d, of which b-d is narrow and loses, and a - c, which is wide. */
function tree(kbps: number, loss: number, seed: number, security: 'sealed' | 'none'): Tree {
  const network = hosts(5, { seed, security });
  const [s, a, b, c, d] = network.hosts as [SimHost, SimHost, SimHost, SimHost, SimHost];
  const wide = wire({ latencyUs: 5 * MS, bandwidthKbps: 100_000 });
  for (const [x, y] of [
    [s, a],
    [a, b],
    [a, c],
  ] as const)
    network.connect(x, y, wide);
  const narrow = { latencyUs: 10 * MS, bandwidthKbps: kbps } as const;
  network.connect(b, d, wire({ ...narrow, loss: { kind: 'bernoulli', rate: loss } }));
  network.settle();
  return { network, s, a, b, c, d };
}

function lostOnTheWay(hostsOf: readonly SimHost[]): number {
  return hostsOf.reduce(
    (sum, { node }) =>
      sum +
      node.drops.of(DropReason.groupBranchFull) +
      node.drops.of(DropReason.linkQueueFull) +
      [...node.links.all()].reduce((pushed, link) => pushed + link.dropped, 0),
    0,
  );
}

describe('a source that waits', () => {
  test.each([
    [1_250, 10_000, 0.01, 1, 2_000],
    [1_250, 1_000, 0.01, 2, 400],
    [40, 3_000, 0, 3, 4_000],
    [20_000, 5_000, 0.01, 4, 150],
    ...(LONG
      ? ([
          [1_250, 300, 0.02, 5, 700],
          [65_536, 10_000, 0.01, 6, 150],
          [1, 1_000, 0.01, 7, 10_000],
          [1_250, 90_000, 0.01, 8, 40_000],
          [1_250, 10_000, 0.1, 9, 3_000],
        ] as const)
      : []),
  ] as const)(
    'messages of %i bytes, a branch of %i kbit/s that loses %f: none is missing, seed %i',
    (bytes, kbps, loss, seed, count) => {
      const { network, s, a, b, c, d } = tree(kbps, loss, seed, seed % 2 === 0 ? 'none' : 'sealed');
      const inboxes = [b, c, d].map((host) => new Inbox(host, PORT, RELIABLE).join(GROUP));
      network.run(SECOND);
      const began = network.now;
      const sender = new Sender(network, s, { id: GROUP }, count, bytes, 'link-state', WAITS);
      const all = (): boolean => inboxes.every(({ messages }) => messages.length >= count);
      network.until(all, 300 * SECOND, 50 * MS);
      expect(inboxes.map(({ messages }) => messages.length)).toEqual([count, count, count]);
      expect([sender.errors, lostOnTheWay([s, a, b, c, d])]).toEqual([0, 0]);
      expect(sender.waits).toBeGreaterThan(0);
      // The branch is used: what is slowed is slowed no more than it needs.
      const rate = (count * bytes * 8) / ((network.now - began) / SECOND);
      expect(rate / (kbps * 1_000)).toBeGreaterThan((0.6 * bytes) / (bytes + 160));
      // Each message once over each link, its pieces each by itself.
      const pieces = Math.max(1, bytes > 1_347 ? Math.ceil(bytes / 1_341) : 1);
      const copies = network.hosts.map(({ node }) => node.groups.multicast.copies);
      expect(copies).toEqual([1, 2, 1, 0, 0].map((links) => links * count * pieces));
    },
  );

  test('finds the narrower of two narrow branches', () => {
    const { network, s, a, b, c, d } = tree(8_000, 0, 3, 'none');
    for (const wired of [a.wires.get(c.endpoint.key)!, c.wires.get(a.endpoint.key)!])
      wired.model.set({ bandwidthKbps: 2_000 });
    const inboxes = [c, d].map((host) => new Inbox(host, PORT, RELIABLE).join(GROUP));
    network.run(SECOND);
    const sender = new Sender(network, s, { id: GROUP }, 1_500, 1_250, 'link-state', WAITS);
    network.until(() => inboxes.every(({ messages }) => messages.length >= 1_500), 60 * SECOND);
    expect(inboxes.map(({ messages }) => messages.length)).toEqual([1_500, 1_500]);
    expect([sender.errors, lostOnTheWay([s, a, b, c, d])]).toEqual([0, 0]);
  });

  test('is not stopped by a branch that is cut off, and goes on with who is left', () => {
    const { network, s, b, c, d } = tree(2_000, 0, 5, 'sealed');
    const inboxes = [c, d].map((host) => new Inbox(host, PORT, RELIABLE).join(GROUP));
    network.run(SECOND);
    const sender = new Sender(network, s, { id: GROUP }, 4_000, 1_250, 'link-state', WAITS);
    network.run(3 * SECOND);
    cut(b, d);
    network.until(() => inboxes[0]!.messages.length >= 4_000, 60 * SECOND);
    expect([inboxes[0]!.messages.length, sender.errors]).toEqual([4_000, 0]);
  });
});

test('one that does not wait is told nothing of queues on the way, and loses there', () => {
  const { network, s, b, c, d } = tree(1_000, 0, 1, 'none');
  const [wide, narrow] = [c, d].map((host) => new Inbox(host, PORT, RELIABLE).join(GROUP));
  network.run(SECOND);
  const drops = { ...WAITS, slowBranch: 'drop' } as const;
  const sender = new Sender(network, s, { id: GROUP }, 3_000, 1_250, 'link-state', drops);
  network.until(() => wide!.messages.length >= 3_000, 20 * SECOND);
  expect([wide!.messages.length, sender.errors]).toEqual([3_000, 0]);
  network.run(10 * SECOND);
  expect(narrow!.messages.length).toBeLessThan(2_000);
  expect(lostOnTheWay([b])).toBeGreaterThan(1_000);
});

describe('made-up notices', () => {
  test.each([
    ['of a node on the tree slow a source to its least rate, and end nothing', 'a', 0, true],
    ['of one that is not on it change nothing', 'd', 0, false],
    ['of what was not sent change nothing', 'a', 1, false],
  ] as const)('%s', (_what, by, off, slows) => {
    const made = tree(50_000, 0, 1, 'sealed');
    const { network, s, c } = made;
    // d is in nothing: it is at the end of no branch.
    const inbox = new Inbox(c, PORT, RELIABLE).join(GROUP);
    const source = new Inbox(s, 77, { ...RELIABLE, slowBranch: 'wait' });
    network.run(SECOND);
    const until = network.now + 12 * SECOND;
    let refused = 0,
      number = 0;
    const send = (): void => {
      if (source.sendTo(GROUP, PORT, new Uint8Array(1_000)) !== DropReason.none) refused += 1;
      number += 1;
      if (network.now < until) network.world.schedule(network.now + 10 * MS, send);
    };
    send();
    network.run(SECOND);
    const lies = network.now + 3 * SECOND;
    const { run } = s.node.groups.multicast;
    const lie = (): void => {
      say(made[by], s, (run ^ off) >>> 0, inbox.messages.length - 1);
      if (network.now < lies) network.world.schedule(network.now + 5 * MS, lie);
    };
    lie();
    const before = inbox.messages.length;
    network.run(3 * SECOND);
    const during = inbox.messages.length - before;
    expect(during * 1_000).toBeGreaterThan(slows ? 3 * 0.8 * RATE_MIN : 3 * 95_000);
    if (slows) expect(during).toBeLessThan(200);
    network.run(4 * SECOND);
    const after = inbox.messages.length;
    network.run(SECOND);
    expect(inbox.messages.length - after).toBeGreaterThanOrEqual(98);
    network.run(6 * SECOND);
    expect([refused, inbox.messages.length]).toEqual([0, number]);
  });
});

/** `from` says to `to` that its flow to the group leaves a queue at one byte a second. */
function say(from: SimHost, to: SimHost, quoteHigh: number, quoteLow: number): void {
  const bytes = new Uint8Array(OVERLAY_HEADER_BYTES + NOTICE_BYTES),
    packet = new Packet();
  const flow = { destination: GROUP, sourcePort: 77, destinationPort: PORT };
  encodeNotice(
    { reason: NOTICE_LONG, dropped: 0, ...flow, rate: 1, quoteHigh, quoteLow },
    bytes,
    OVERLAY_HEADER_BYTES,
  );
  const modes = { service: SERVICE_RELIABLE, dissemination: 0, ttl: 9, priority: 1 };
  packet.compose(bytes, 0, bytes.length, KIND_NOTICE, modes, from.id, 0, to.id, 0);
  packet.secret = true;
  from.node.dissemination.originate(packet);
  from.endTurn();
}

test('more flows than a session has rates for all get through', () => {
  const network = hosts(2, { seed: 6 });
  const [s, a] = network.hosts as [SimHost, SimHost];
  network.connect(s, a, wire({ latencyUs: 5 * MS }));
  network.settle();
  const inbox = new Inbox(a, PORT, RELIABLE),
    single = new Inbox(a, PORT + 1, RELIABLE);
  for (let i = 0; i < 300; i += 1) inbox.join(GROUP + i);
  network.run(SECOND);
  const from = new Inbox(s, 77, { ...RELIABLE, slowBranch: 'wait' });
  for (let round = 0; round < 5; round += 1) {
    for (let i = 0; i < 300; i += 1)
      expect(from.sendTo(GROUP + i, PORT, pattern(2_000, i))).toBe(DropReason.none);
    expect(from.sendTo(a.id, PORT + 1, pattern(2_000))).toBe(DropReason.none);
    network.run(SECOND);
  }
  expect([inbox.messages.length, single.messages.length]).toEqual([1_500, 5]);
});

describe('when the only way to all members is gone for a while', () => {
  test.each([
    [100, 'drop', 1_500, 1],
    [1_400, 'wait', 1_500, 2],
    [0, 'wait', 300, 3],
    [20_000, 'drop', 1_000, 4],
    [20_000, 'wait', 2_500, 5],
  ] as const)(
    'nothing over reliable links is lost nor comes twice (%i bytes, %s, %i ms, seed %i)',
    (bytes, slowBranch, ms, seed) => {
      const network = hosts(3, { seed, security: seed % 2 === 0 ? 'none' : 'sealed' });
      const [s, a, b] = network.hosts as [SimHost, SimHost, SimHost];
      network.connect(s, a, wire({ latencyUs: 5 * MS }));
      network.connect(a, b, wire({ latencyUs: 5 * MS }));
      network.settle();
      const inboxes = [a, b].map((host) => new Inbox(host, PORT, RELIABLE).join(GROUP));
      network.run(SECOND);
      const from = new Inbox(s, PORT + 1, { ...RELIABLE, slowBranch });
      let taken = 0;
      const send = (count: number): void => {
        for (let i = 0; i < count; i += 1) {
          if (from.sendTo(GROUP, PORT, pattern(bytes, i)) === DropReason.none) taken += 1;
          network.run(10 * MS);
        }
      };
      send(100);
      cut(s, a);
      send(ms / 10);
      heal(s, a);
      send(100);
      network.run(10 * SECOND);
      // What its queue has no room for is refused, and so told.
      expect(inboxes.map(({ messages }) => messages.length)).toEqual([taken, taken]);
      expect(taken).toBeGreaterThan(bytes < 20_000 || slowBranch === 'drop' ? 199 + ms / 10 : 200);
    },
  );

  test('what waits for longer is counted, and the source goes on', () => {
    const network = hosts(2, { seed: 5 });
    const [s, a] = network.hosts as [SimHost, SimHost];
    network.connect(s, a, wire({ latencyUs: 5 * MS }));
    network.settle();
    const inbox = new Inbox(a, PORT, RELIABLE).join(GROUP);
    network.run(SECOND);
    const from = new Inbox(s, PORT + 1, RELIABLE);
    from.sendTo(GROUP, PORT, Uint8Array.of(1));
    network.run(SECOND);
    cut(s, a);
    network.run(SECOND);
    for (let i = 0; i < 10; i += 1) from.sendTo(GROUP, PORT, Uint8Array.of(2));
    expect(s.node.groups.multicast.waiting).toBe(10);
    network.run(4 * SECOND);
    expect([s.node.groups.multicast.waiting, s.node.drops.of(DropReason.groupNobody)]).toEqual([
      0, 10,
    ]);
    // By now nobody is cut off: there is nobody.
    from.sendTo(GROUP, PORT, Uint8Array.of(3));
    expect(s.node.drops.of(DropReason.groupNobody)).toBe(11);
    heal(s, a);
    network.run(3 * SECOND);
    from.sendTo(GROUP, PORT, Uint8Array.of(4));
    network.run(SECOND);
    expect(inbox.messages.map(({ bytes }) => bytes[0])).toEqual([1, 4]);
  });
});
