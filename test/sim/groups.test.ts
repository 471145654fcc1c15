/**
 * Groups: one packet over each link of a tree, for all who joined; what changes of trees, members
 * that come and go, and slow branches do to that.
 */

import { describe, expect, test } from 'vitest';

import { parseNodeId } from '../../src/core/base/ids.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  KIND_GROUP,
  Packet,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { encodeGroupHead } from '../../src/core/wire/group.ts';
import { defaultLimits } from '../../src/core/node/config.ts';
import type { DatagramOptions } from '../../src/core/session/sessions.ts';
import { cut } from '../../src/lab/sim/faults.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  chain,
  grid,
  hosts,
  Inbox,
  pattern,
  randomGraph,
  ring,
  useNetworks,
  wire,
  type Network,
} from '../support/network.ts';

useNetworks();

const GROUP = parseNodeId('239.1.2.3')!;
const PORT = 5_000;
const LONG = process.env['SPINES_LONG'] === '1';
const LINKS: DatagramOptions = { secrecy: 'links' };
const RELIABLE: DatagramOptions = { secrecy: 'links', service: SERVICE_RELIABLE };

function bytesOf(number: number): Uint8Array {
  return new TextEncoder().encode(`message ${number}`);
}

function members(of: readonly SimHost[], options: DatagramOptions = LINKS): Inbox[] {
  return of.map((host) => new Inbox(host, PORT, options).join(GROUP));
}

/** Packets of the groups that all links have sent. */
function copies(network: Network): number {
  return network.hosts.reduce((sum, { node }) => sum + node.groups.multicast.copies, 0);
}

function dropped(network: Network, reason: DropReason): number {
  return network.hosts
    .filter(({ running }) => running)
    .reduce((sum, { node }) => sum + node.drops.of(reason), 0);
}

function numbersOf({ messages }: Inbox): number[] {
  return messages.map(({ bytes }) => Number(new TextDecoder().decode(bytes).slice(8)));
}

/** Sends `count` messages, `every` apart, from now on; returns how many were taken so far. */
function flow(network: Network, from: Inbox, count: number, every: Micros): { taken: number[] } {
  const taken: number[] = [];
  const start = network.now;
  for (let i = 0; i < count; i += 1)
    network.world.schedule(start + i * every, () => {
      if (from.sendTo(GROUP, PORT, bytesOf(i)) === DropReason.none) taken.push(i);
    });
  return { taken };
}

/** Of the shortest ways from `source` to each of `to`, all links, by hops or latency. */
function edgesOfTree(source: SimHost, to: readonly SimHost[]): Set<string> {
  const cost = new Map<SimHost, number>([[source, 0]]),
    before = new Map<SimHost, SimHost>(),
    done = new Set<SimHost>();
  for (;;) {
    let next: SimHost | null = null;
    for (const [host, at] of cost)
      if (!done.has(host) && (next === null || at < cost.get(next)!)) next = host;
    if (next === null) break;
    done.add(next);
    for (const { to: far, model } of next.wires.values()) {
      const through = cost.get(next)! + model.settings.latencyUs;
      if (through >= (cost.get(far) ?? Infinity)) continue;
      cost.set(far, through);
      before.set(far, next);
    }
  }
  const edges = new Set<string>();
  for (const member of to)
    for (let at = member; at !== source; at = before.get(at)!)
      edges.add(`${before.get(at)!.name} ${at.name}`);
  return edges;
}

describe('a tree', () => {
  test('of all nodes of a grid has one copy for each of its edges', () => {
    const count = LONG ? 1_000 : 200;
    const network = grid(10, 10, { security: LONG ? 'sealed' : 'none', metric: 'hops' });
    network.settle();
    const [source, ...others] = members(network.hosts);
    network.run(SECOND);
    flow(network, source!, count, MILLISECOND);
    network.run(2 * SECOND);
    expect(others.reduce((sum, { messages }) => sum + messages.length, 0)).toBe(99 * count);
    expect(copies(network)).toBe(99 * count);
    expect(dropped(network, DropReason.groupDuplicate)).toBe(0);
    for (const member of others) expect(new Set(numbersOf(member)).size).toBe(count);
    // A program of its own daemon has joined too.
    expect(source!.messages.length).toBe(count);
  });

  test('of some members has the edges of their shortest ways', () => {
    for (const seed of [1, 2, 3]) {
      const rng = new Rng(seed);
      const settings = (of: Rng): ReturnType<typeof wire> =>
        wire({ latencyUs: 100 * (10 + of.below(490)) });
      const options = { security: 'none', metric: 'latency', seed } as const;
      const network = randomGraph(30, 30, rng, settings, options);
      network.settle();
      const some = rng.shuffle([...network.hosts]).slice(0, 8);
      const [sender, ...joined] = some;
      const inboxes = members(joined);
      const source = new Inbox(sender!, PORT, LINKS);
      network.run(2 * SECOND);
      flow(network, source, 50, 10 * MILLISECOND);
      network.run(2 * SECOND);
      const edges = edgesOfTree(sender!, joined);
      for (const { messages } of inboxes) expect(messages.length).toBe(50);
      expect(copies(network)).toBe(50 * edges.size);
      expect(dropped(network, DropReason.groupDuplicate)).toBe(0);
    }
  });
});

describe('joining', () => {
  test('takes what the record and the first message take, and leaving stops what came', () => {
    const network = ring(12, { security: 'none', forward: wire({ latencyUs: 10 * MILLISECOND }) });
    network.settle();
    const source = new Inbox(network.host(0), PORT, LINKS);
    const [near] = members([network.host(1)]);
    network.run(SECOND);
    flow(network, source, 3_000, MILLISECOND);
    network.run(500 * MILLISECOND);
    const at = network.now;
    const late = new Inbox(network.host(4), PORT, LINKS).join(GROUP);
    network.run(500 * MILLISECOND);
    // Record of 4 to 1, where the tree branches, message of there to 4; the waits of the records.
    const most = (3 + 3) * 10 * MILLISECOND + 2 * MILLISECOND + 4 * MILLISECOND;
    expect(late.messages[0]!.at - at).toBeLessThanOrEqual(most);
    late.leave(GROUP);
    network.run((200 + 50 + 40) * MILLISECOND);
    const before = copies(network);
    network.run(200 * MILLISECOND);
    expect(copies(network) - before).toBeLessThanOrEqual(201);
    expect(near!.messages.length).toBeGreaterThan(1_300);
  });

  test('again within the wait of a leave tells nobody anything', () => {
    const network = chain(3, { security: 'none' });
    network.settle();
    const [member] = members([network.host(2)]);
    network.run(SECOND);
    const { database } = network.host(0).node.groups.records;
    const generation = database.generation(GROUP);
    member!.leave(GROUP);
    network.run(150 * MILLISECOND);
    member!.join(GROUP);
    network.run(SECOND);
    expect(database.generation(GROUP)).toBe(generation);
    expect([...database.members(GROUP)]).toEqual([network.host(2).id]);
  });

  test('ends with the daemon, and a crashed one is soon in nothing', () => {
    const network = chain(4);
    network.settle();
    const [, two, three] = members([network.host(1), network.host(2), network.host(3)]);
    network.run(SECOND);
    const { database } = network.host(0).node.groups.records;
    expect(database.members(GROUP).size).toBe(3);
    network.host(3).stop();
    network.run(100 * MILLISECOND);
    expect(database.members(GROUP).size).toBe(2);
    network.host(2).crash();
    network.host(2).start();
    network.run(4 * SECOND);
    expect([...database.members(GROUP)]).toEqual([network.host(1).id]);
    new Inbox(network.host(2), PORT, LINKS).join(GROUP);
    network.run(SECOND);
    expect(database.members(GROUP).size).toBe(2);
    expect([two!.messages.length, three!.messages.length]).toEqual([0, 0]);
    network.host(3).start();
    network.run(2 * SECOND);
  });
});

describe('over reliable links', () => {
  const GAP = 5 * MILLISECOND;
  const cases: [string, (network: Network) => void, (index: number) => boolean][] = [
    ['a link of the tree goes down', (n) => cut(n.host(1), n.host(2)), () => true],
    ['a link at the source goes down', (n) => cut(n.host(0), n.host(1)), () => true],
    ['a member dies', (n) => n.host(5).crash(), (index) => index !== 5],
    [
      'two links change one after the other',
      (n) => {
        cut(n.host(1), n.host(2));
        n.run(700 * MILLISECOND);
        cut(n.host(6), n.host(7));
      },
      () => true,
    ],
  ];
  test.each(cases)('%s, and all members have each message once', (_what, fault, lives) => {
    for (const seed of LONG ? [1, 2, 3, 4, 5, 6, 7, 8] : [1, 2]) {
      const network = grid(4, 4, { security: seed % 2 === 0 ? 'sealed' : 'none', seed });
      network.settle();
      const inboxes = members(network.hosts, RELIABLE);
      network.run(SECOND);
      const { taken } = flow(network, inboxes[0]!, 800, GAP);
      network.run(SECOND);
      fault(network);
      network.run(6 * SECOND);
      expect(taken.length).toBe(800);
      inboxes.forEach((inbox, index) => {
        if (!lives(index)) return;
        expect(
          numbersOf(inbox).sort((a, b) => a - b),
          `member ${index}`,
        ).toEqual(taken);
      });
      expect(dropped(network, DropReason.ttlExpired)).toBe(0);
    }
  });

  test('a node on the way dies: what is missing is what it had and not passed on', () => {
    const network = grid(4, 4, { security: 'sealed' });
    network.settle();
    const inboxes = members(
      network.hosts.filter((_host, index) => index !== 1),
      RELIABLE,
    );
    network.run(SECOND);
    const { taken } = flow(network, inboxes[0]!, 800, GAP);
    network.run(SECOND);
    network.host(1).crash();
    network.run(6 * SECOND);
    for (const inbox of inboxes) {
      const numbers = numbersOf(inbox);
      expect(new Set(numbers).size).toBe(numbers.length);
      // 1 ms of a link's way and what it had under way.
      expect(taken.length - numbers.length).toBeLessThanOrEqual(3);
    }
  });

  test('a loss on one branch is mended there, and the others see nothing of it', () => {
    const network = hosts(4, { security: 'none' });
    const [a, b, c, d] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    network.connect(a, b);
    network.connect(b, c);
    network.connect(
      b,
      d,
      wire({ latencyUs: 5 * MILLISECOND, loss: { kind: 'bernoulli', rate: 0.05 } }),
    );
    network.settle();
    const [one, two] = members([c, d], RELIABLE);
    const source = new Inbox(a, PORT, RELIABLE);
    network.run(SECOND);
    const { taken } = flow(network, source, 2_000, MILLISECOND);
    network.run(4 * SECOND);
    expect(numbersOf(one!)).toEqual(taken);
    expect(numbersOf(two!).sort((x, y) => x - y)).toEqual(taken);
    expect(copies(network)).toBe(3 * 2_000);
  });
});

describe('best effort', () => {
  test('loses for a member what half a second takes when a link goes down', () => {
    const network = grid(4, 4, { security: 'none' });
    network.settle();
    const inboxes = members(network.hosts);
    network.run(SECOND);
    flow(network, inboxes[0]!, 800, 5 * MILLISECOND);
    network.run(SECOND);
    cut(network.host(1), network.host(2));
    network.run(5 * SECOND);
    for (const inbox of inboxes) {
      const numbers = numbersOf(inbox);
      expect(new Set(numbers).size).toBe(numbers.length);
      expect(800 - numbers.length).toBeLessThanOrEqual(200 * (0.5 + 0.05));
    }
    expect(dropped(network, DropReason.ttlExpired)).toBe(0);
  });
});

describe('messages', () => {
  test.each([0, 1, 1_341, 1_342, 5_000, 65_536])('of %d bytes come whole', (length) => {
    const network = chain(3, { security: 'none' });
    network.settle();
    for (const service of [0, SERVICE_RELIABLE, SERVICE_REALTIME]) {
      const [member] = members([network.host(2)], { service });
      const source = new Inbox(network.host(0), PORT, { service });
      network.run(SECOND);
      expect(source.sendTo(GROUP, PORT, pattern(length))).toBe(DropReason.none);
      network.run(SECOND);
      expect(member!.messages.map(({ bytes }) => bytes)).toEqual([pattern(length)]);
      expect(member!.messages[0]!.group).toBe(GROUP);
      for (const { session, host } of [member!, source]) host.node.sessions.close(session);
    }
  });

  test('go to all sockets of a port, or to those that want the source', () => {
    const network = chain(3, { security: 'none' });
    network.settle();
    const shared = { ...LINKS, sharesPort: true };
    const [a, b, c] = network.hosts as [SimHost, SimHost, SimHost];
    const all = [1, 2].map(() => new Inbox(c, PORT, shared).join(GROUP));
    const some = new Inbox(c, PORT, shared).join(GROUP, a.id);
    const other = new Inbox(c, PORT + 1, LINKS).join(GROUP);
    const from = [new Inbox(a, PORT, LINKS), new Inbox(b, PORT, LINKS)];
    expect(() => new Inbox(c, PORT, LINKS)).toThrow('in use');
    network.run(SECOND);
    for (const source of from) source.sendTo(GROUP, PORT, bytesOf(1));
    network.run(SECOND);
    expect(all.map(({ messages }) => messages.length)).toEqual([2, 2]);
    expect(some.messages.map(({ source }) => source)).toEqual([a.id]);
    expect(other.messages).toEqual([]);
    // Nobody is left, and no record either.
    for (const { session } of [...all, some, other]) c.node.sessions.close(session);
    network.run(SECOND);
    expect(a.node.groups.records.database.memberships).toBe(0);
    from[0]!.sendTo(GROUP, PORT, bytesOf(1));
    expect(a.node.drops.of(DropReason.groupNobody)).toBe(1);
  });

  test('come back to members of their own daemon, unless they are not to', () => {
    const network = chain(2, { security: 'none' });
    network.settle();
    const shared = { ...LINKS, sharesPort: true };
    const [own, beside] = [1, 2].map(() => new Inbox(network.host(0), PORT, shared).join(GROUP));
    own!.sendTo(GROUP, PORT, bytesOf(1));
    own!.session.multicastLoopback = false;
    own!.sendTo(GROUP, PORT, bytesOf(2));
    expect([numbersOf(own!), numbersOf(beside!)]).toEqual([[1], [1]]);
  });

  test('go no further than their hops', () => {
    const network = chain(4, { security: 'none' });
    network.settle();
    const inboxes = members(network.hosts.slice(1));
    const source = new Inbox(network.host(0), PORT, LINKS);
    network.run(SECOND);
    source.session.multicastTtl = 2;
    source.sendTo(GROUP, PORT, bytesOf(1));
    network.run(SECOND);
    expect(inboxes.map(({ messages }) => messages.length)).toEqual([1, 1, 0]);
  });
});

describe('a slow branch', () => {
  test('loses what finds no room there, and holds nobody else up', () => {
    const limits = { ...defaultLimits, linkQueueBytes: 32_768 };
    const network = hosts(4, { security: 'none', config: { limits }, metric: 'hops' });
    const [a, b, c, d] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    network.connect(a, b);
    network.connect(a, c);
    network.connect(a, d, wire({ latencyUs: 5 * MILLISECOND, bandwidthKbps: 1_000 }));
    network.settle();
    const [one, two, slow] = members([b, c, d], RELIABLE);
    const source = new Inbox(a, PORT, RELIABLE);
    network.run(SECOND);
    const payload = pattern(1_250);
    for (let i = 0; i < 10_000; i += 1)
      network.world.schedule(network.now + i * MILLISECOND, () =>
        source.sendTo(GROUP, PORT, payload),
      );
    network.run(5 * SECOND);
    const began = slow!.messages.length;
    network.run(5 * SECOND);
    const rate = ((slow!.messages.length - began) * 8 * 1_250) / 5;
    // What is left beside heads, acknowledgements and hellos.
    expect(rate).toBeGreaterThan(0.8 * 1_000_000);
    expect(rate).toBeLessThan(1_000_000);
    expect(a.node.drops.of(DropReason.groupBranchFull)).toBeGreaterThan(5_000);
    network.run(10 * SECOND);
    expect([one!.messages.length, two!.messages.length]).toEqual([10_000, 10_000]);
  });
});

describe('who is no part of the tree', () => {
  test('cannot make members deaf by packets in the name of a source', () => {
    const network = ring(5, { security: 'none', metric: 'hops' });
    network.settle();
    const inboxes = members([network.host(1), network.host(2)]);
    const source = new Inbox(network.host(0), PORT, LINKS);
    network.run(SECOND);
    flow(network, source, 400, 5 * MILLISECOND);
    // 3 sends to 2 what says that it is of 0, with the stamps that come next and far ones.
    const forged = network.host(3).node.links.of(network.host(2).id)!;
    const { run } = network.host(0).node.groups.multicast;
    for (let i = 0; i < 400; i += 1)
      network.world.schedule(network.now + i * 5 * MILLISECOND, () => {
        for (const number of [i + 1, i + 3, i + 2 ** 20]) {
          forge(network.host(0).id, run, number, (packet) => forged.offer(packet));
        }
        network.host(3).endTurn();
      });
    network.run(4 * SECOND);
    for (const inbox of inboxes) expect(numbersOf(inbox)).toEqual([...Array(400).keys()]);
    expect(network.host(2).node.drops.of(DropReason.groupWrongLink)).toBe(1_200);
  });
});

function forge(source: number, run: number, number: number, send: (packet: Packet) => void): void {
  const bytes = new Uint8Array(60);
  encodeGroupHead({ run, number, content: 1 }, bytes, 16);
  const packet = new Packet();
  const modes = { service: 0, dissemination: 0, ttl: 9, priority: 1 };
  packet.compose(bytes, 0, 60, KIND_GROUP, modes, source, PORT, GROUP, PORT);
  send(packet);
}
