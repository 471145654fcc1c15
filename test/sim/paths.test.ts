/**
 * Many paths at once: packets carry the graph of their ways, every node uses one copy, and neither
 * a node that dies nor one that lies on one of the paths takes anything from their flow.
 */

import { describe, expect, test } from 'vitest';

import { putU32 } from '../../src/core/base/bytes.ts';
import type { NodeId } from '../../src/core/base/ids.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { DatagramOptions } from '../../src/core/session/sessions.ts';
import { deadlineOf } from '../../src/core/wire/deadline.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { OWN_CAPABILITIES, ROUTED } from '../../src/core/wire/node-facts.ts';
import {
  DISSEMINATION_ROUTED,
  KIND_DATAGRAM,
  KIND_ROUTED,
  KIND_STREAM,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import {
  encodeRoutedHead,
  putRoutedStamp,
  ROUTED_HEAD_BYTES,
  ROUTED_SHARE_BYTES,
  type Graph,
} from '../../src/core/wire/routed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../../src/core/wire/sizes.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { hosts, Inbox, pattern, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const PORT = 5_000;
const PATHS: DatagramOptions = { dissemination: DISSEMINATION_ROUTED };
const REALTIME: DatagramOptions = { ...PATHS, service: SERVICE_REALTIME, ...deadlineOf(100) };

/**
 * From `from` to `to` three ways of two links: over the first 10 ms, the second 15, the third 20;
 * and between their nodes links as short.
 */
function diamond(options: Parameters<typeof hosts>[1] = {}, capable = [true, true, true]) {
  const network = hosts(5, options);
  const [from, first, second, third, to] = network.hosts as [
    SimHost,
    SimHost,
    SimHost,
    SimHost,
    SimHost,
  ];
  [first, second, third].forEach((middle, i) => {
    if (!capable[i]!) middle.configure({ capabilities: OWN_CAPABILITIES & ~ROUTED });
    const half = wire({ latencyUs: (5 + 2.5 * i) * MS });
    network.connect(from, middle, half);
    network.connect(middle, to, half);
  });
  network.connect(first, second, wire({ latencyUs: 5 * MS }));
  network.settle();
  return { network, from, first, second, third, to };
}

function dropped(network: Network, reason: DropReason): number {
  return network.hosts
    .filter(({ running }) => running)
    .reduce((sum, { node }) => sum + node.drops.of(reason), 0);
}

function pathsTo(from: SimHost, to: SimHost, most: number, withinUs = 0): NodeId[][] {
  return (from.node.routed!.graphs.paths.to(to.id, most, withinUs)?.paths ?? []).map(({ nodes }) =>
    nodes.slice(1, -1),
  );
}

describe.each([
  ['best effort', PATHS],
  ['realtime', REALTIME],
] as const)('paths over %s links', (_name, options) => {
  test.each(['sealed', 'none'] as const)(
    'lose nothing and deliver nothing twice when a node of one dies (security %s)',
    (security) => {
      for (const dies of ['first', 'second'] as const) {
        const made = diamond({ security });
        const { network, from, to } = made;
        const flow = network.flow(from, to, { durationUs: 3 * SECOND, options });
        network.run(SECOND);
        made[dies].crash();
        network.run(3 * SECOND);
        expect([flow.sent, flow.meter.delivered, flow.meter.duplicates]).toEqual([300, 300, 0]);
        expect(from.node.routed!.sent).toBe(300);
      }
    },
  );

  test.each([
    ['drops everything', (): boolean => true],
    [
      'sends on something else under the same stamp',
      ({ bytes, end }: Packet): boolean => {
        bytes[end - 1]! ^= 0xff;
        bytes[end - 9]! ^= 0x80;
        return false;
      },
    ],
    [
      'changes what the packet says of its flow',
      ({ bytes, start }: Packet): boolean => {
        bytes[start + OVERLAY_HEADER_BYTES - 1]! ^= 1;
        return false;
      },
    ],
    [
      'says that it has no time left for the next link',
      (packet: Packet): boolean => {
        packet.ageUs += 93 * MS;
        return false;
      },
    ],
    [
      'takes all hops away',
      (packet: Packet): boolean => {
        packet.setTtl(1);
        return false;
      },
    ],
  ])('lose nothing to a node of the shortest that %s', (_what, deed) => {
    const { network, from, first, to } = diamond();
    let met = 0;
    first.node.dissemination.misbehaviour = {
      onTransit: (packet) => {
        met += 1;
        return deed(packet);
      },
    };
    const flow = network.flow(from, to, { durationUs: SECOND, options });
    network.run(2 * SECOND);
    expect(met).toBe(100);
    expect([flow.sent, flow.meter.delivered, flow.meter.duplicates]).toEqual([100, 100, 0]);
  });

  test('carry messages of all sizes, in one packet where there is room', () => {
    const { network, from, to } = diamond();
    const inbox = new Inbox(to, PORT);
    const outbox = new Inbox(from, PORT, options);
    const head = from.node.routed!.graphs.paths.to(to.id, 2, 0)!.headBytes;
    const whole = PACKET_BYTES_MAX - OVERLAY_HEADER_BYTES - 28 - head;
    expect(whole).toBeGreaterThanOrEqual(1_316);
    const sizes = [0, 1, 1_316, whole, whole + 1, 2 * ROUTED_SHARE_BYTES, 20_000, 65_536];
    for (const size of sizes) {
      const before = from.node.routed!.sent;
      expect(outbox.send(to, PORT, pattern(size, size))).toBe(DropReason.none);
      network.run(200 * MS);
      const message = inbox.messages.at(-1)!;
      expect(message.proved).toBe(true);
      expect(Buffer.compare(message.bytes, pattern(size, size))).toBe(0);
      const packets = size <= whole ? 1 : Math.ceil(size / ROUTED_SHARE_BYTES);
      expect(from.node.routed!.sent - before).toBe(packets);
    }
    expect(inbox.messages.length).toBe(sizes.length);
  });
});

describe('paths', () => {
  test('are the shortest together, within the deadline, and away from links that lose', () => {
    const { network, from, first, second, third, to } = diamond();
    expect(pathsTo(from, to, 1)).toEqual([[first.id]]);
    expect(pathsTo(from, to, 2)).toEqual([[first.id], [second.id]]);
    expect(pathsTo(from, to, 5)).toEqual([[first.id], [second.id], [third.id]]);
    expect(pathsTo(from, to, 5, 17 * MS)).toEqual([[first.id], [second.id]]);
    expect(pathsTo(from, to, 5, 1 * MS)).toEqual([[first.id]]);
    network.world.wires[0]!.model.set({ loss: { kind: 'bernoulli', rate: 0.2 } });
    network.flow(from, first, { packetsPerSecond: 1_000, durationUs: 8 * SECOND });
    network.run(8 * SECOND);
    expect(pathsTo(from, to, 2)).toEqual([[second.id], [third.id]]);
  });

  test('lead over nodes that take part, and what has none of them goes by link state', () => {
    const old = diamond({}, [false, true, true]);
    expect(pathsTo(old.from, old.to, 5)).toEqual([[old.second.id], [old.third.id]]);
    for (const options of [PATHS, REALTIME]) {
      const { network, from, to } = diamond({}, [false, false, false]);
      const flow = network.flow(from, to, { durationUs: SECOND, options });
      network.run(2 * SECOND);
      expect([flow.sent, flow.meter.delivered]).toEqual([100, 100]);
      expect([from.node.sessions.pathsDowngraded, from.node.routed!.sent]).toEqual([100, 0]);
      expect(dropped(network, DropReason.disseminationUnknown)).toBe(0);
    }
  });

  test('are for datagrams that are not kept until they arrive', () => {
    const { from, to } = diamond();
    const outbox = new Inbox(from, PORT, { ...PATHS, service: SERVICE_RELIABLE });
    expect(outbox.send(to, PORT, pattern(9))).toBe(DropReason.linkServiceUnknown);
  });

  test('a copy whose link is full or down is counted, and the others go on', () => {
    const { network, from, first, to } = diamond();
    const inbox = new Inbox(to, PORT);
    const outbox = new Inbox(from, PORT, PATHS);
    first.crash();
    network.until(() => from.node.links.of(first.id)?.up !== true, 5 * SECOND);
    expect(outbox.send(to, PORT, pattern(9))).toBe(DropReason.none);
    expect(from.node.drops.of(DropReason.routedCopyLost)).toBe(1);
    network.run(SECOND);
    expect(inbox.messages.length).toBe(1);
  });
});

describe('a packet that carries its graph', () => {
  const graph = (nodes: readonly SimHost[], edges: Graph['edges']): Graph => ({
    nodes: nodes.map(({ id }) => id),
    edges,
  });

  /** One that `from` gives to `first`, made by `change`. */
  function offer(
    { network, from, first, to }: ReturnType<typeof diamond>,
    made: Graph,
    change: (b: Uint8Array, head: number) => void = () => {},
    { kind = KIND_DATAGRAM, outer = KIND_ROUTED, service = SERVICE_BEST_EFFORT, number = 0 } = {},
  ): Record<string, number> {
    const before = first.node.drops.snapshot();
    const b = new Uint8Array(PACKET_BYTES_MAX);
    const end = encodeRoutedHead(kind, made, b, OVERLAY_HEADER_BYTES) + 40;
    putRoutedStamp(b, OVERLAY_HEADER_BYTES, 7, number);
    change(b, OVERLAY_HEADER_BYTES);
    const packet = new Packet();
    const modes = { service, dissemination: DISSEMINATION_ROUTED, ttl: 1, priority: 1 };
    packet.compose(b, 0, end, outer, modes, from.id, PORT, to.id, PORT);
    from.node.links.of(first.id)!.offer(packet);
    from.endTurn();
    network.run(50 * MS);
    const after = first.node.drops.snapshot();
    return Object.fromEntries(
      Object.entries(after)
        .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
        .filter(([, count]) => count > 0),
    );
  }

  test(
    'is dropped for one reason each where its graph is none, ' + 'or not the way that it came',
    () => {
      const made = diamond();
      const { from, first, second, to } = made;
      const good = graph(
        [from, first, to],
        [
          [0, 1],
          [1, 2],
        ],
      );
      const edge = OVERLAY_HEADER_BYTES + ROUTED_HEAD_BYTES + 12;
      const malformed: ((b: Uint8Array, head: number) => void)[] = [
        (b, head) => void (b[head + 8] = KIND_STREAM),
        (b, head) => void (b[head + 8] = KIND_ROUTED),
        (b, head) => void (b[head + 9] = 0),
        (b, head) => void (b[head + 9] = 3),
        (b, head) => void (b[head + 10] = 1),
        (b, head) => void (b[head + 10] = 255),
        (b, head) => void (b[head + 11] = 0),
        (b, head) => void (b[head + 11] = 65),
        (b, head) => void (b[head + 11] = 255),
        // Another source, another destination.
        (b, head) => void putU32(b, head + ROUTED_HEAD_BYTES, second.id),
        (b, head) => void putU32(b, head + ROUTED_HEAD_BYTES + 8, second.id),
        // To itself, backwards, beyond the nodes, twice.
        (b) => void (b[edge] = 1),
        (b) => void b.set([1, 0], edge),
        (b) => void (b[edge + 3] = 3),
        (b) => void b.set([1, 2], edge),
      ];
      for (const change of malformed)
        expect(offer(made, good, change)).toEqual({ routedMalformed: 1 });
      expect(offer(made, good, undefined, { outer: KIND_DATAGRAM })).toEqual({
        routedMalformed: 1,
      });
      expect(offer(made, good, undefined, { kind: KIND_STREAM })).toEqual({ routedMalformed: 1 });
      for (const elsewhere of [
        graph(
          [from, second, to],
          [
            [0, 1],
            [1, 2],
          ],
        ),
        graph(
          [from, second, first, to],
          [
            [0, 1],
            [1, 2],
            [2, 3],
          ],
        ),
        graph([from, first, to], [[0, 1]]),
      ])
        expect(offer(made, elsewhere)).toEqual({ routedWrongLink: 1 });
      expect(offer(made, good, undefined, { number: 1 })).toEqual({});
      expect(offer(made, good, undefined, { number: 1 })).toEqual({ routedDuplicate: 1 });
      expect(offer(made, good, undefined, { number: 2 ** 30 })).toEqual({});
    },
  );

  test(
    'that is made up, with stamps far ahead, ' + 'takes nothing from the source that it names',
    () => {
      const { network, from, first, second, to } = diamond();
      const flow = network.flow(from, to, { durationUs: 2 * SECOND, options: PATHS });
      const b = new Uint8Array(PACKET_BYTES_MAX);
      const made = graph(
        [from, second, first, to],
        [
          [0, 1],
          [1, 2],
          [2, 3],
        ],
      );
      const end = encodeRoutedHead(KIND_DATAGRAM, made, b, OVERLAY_HEADER_BYTES) + 40;
      const packet = new Packet();
      const modes = {
        service: SERVICE_BEST_EFFORT,
        dissemination: DISSEMINATION_ROUTED,
        ttl: 9,
        priority: 1,
      };
      for (let i = 0; i < 200; i += 1) {
        putRoutedStamp(b, OVERLAY_HEADER_BYTES, i % 3, (i * 0x1234567) >>> 0);
        packet.compose(b, 0, end, KIND_ROUTED, modes, from.id, PORT, to.id, PORT);
        second.node.links.of(first.id)!.offer(packet);
        second.endTurn();
        network.run(10 * MS);
      }
      network.run(SECOND);
      expect([flow.sent, flow.meter.delivered, flow.meter.duplicates]).toEqual([200, 200, 0]);
      expect(to.node.drops.of(DropReason.portClosed)).toBe(200);
    },
  );
});
