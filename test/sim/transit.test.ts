/**
 * Nodes that carry nothing for others: by their configuration, or while an operator drains them.
 * Ways lead round them by every routing, nothing is lost meanwhile, and they stay ends of ways.
 */

import { describe, expect, test } from 'vitest';
import type { DrainReply, NodesReply, StatusReply } from 'spines-client/protocol';

import { parseNodeId } from '../../src/core/base/ids.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { DatagramOptions } from '../../src/core/session/sessions.ts';
import { deadlineOf } from '../../src/core/wire/deadline.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { OWN_CAPABILITIES, TRANSIT } from '../../src/core/wire/node-facts.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_ROUTED,
  SERVICE_BEST_EFFORT,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import type { SimFlow } from '../../src/lab/sim/flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { asked } from '../support/administer.ts';
import { hosts, Inbox, pattern, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const GROUP = parseNodeId('239.1.2.3')!;
const MODES: readonly (readonly [string, DatagramOptions])[] = [
  ['best effort', { service: SERVICE_BEST_EFFORT }],
  ['reliable', { service: SERVICE_RELIABLE }],
  ['realtime', { service: SERVICE_REALTIME, ...deadlineOf(200) }],
  ['paths', { dissemination: DISSEMINATION_ROUTED }],
  ['byzantine', { dissemination: DISSEMINATION_BYZANTINE }],
  ['byzantine, reliable', { dissemination: DISSEMINATION_BYZANTINE, service: SERVICE_RELIABLE }],
];

/** Between the ends a short way over `middle`, and a longer one over two other nodes. */
function diamond() {
  const network = hosts(5, { routes: false });
  const [from, middle, to, one, two] = network.hosts as [
    SimHost,
    SimHost,
    SimHost,
    SimHost,
    SimHost,
  ];
  const link = (a: SimHost, b: SimHost, ms: number): void =>
    network.connect(a, b, wire({ latencyUs: ms * MS }));
  link(from, middle, 5);
  link(middle, to, 5);
  link(from, one, 10);
  link(one, two, 10);
  link(two, to, 10);
  return { network, from, middle, to, one, two };
}

const passed = ({ node }: SimHost): number =>
  node.dissemination.forwarded + node.byzantine!.forwarder.passed;

function drain(host: SimHost, args: Readonly<Record<string, unknown>> = {}): DrainReply {
  const reply = asked(host, 'drain', args) as DrainReply;
  host.endTurn();
  return reply;
}

function flowsOver(network: Network, from: SimHost, to: SimHost, durationUs: number): SimFlow[] {
  return MODES.flatMap(([, options], i) =>
    [
      [from, to],
      [to, from],
    ].map(([a, b]) =>
      network.flow(a!, b!, {
        packetsPerSecond: 50,
        sizeBytes: [60, 1_000, 300, 900, 200, 1_300][i]!,
        durationUs,
        options,
      }),
    ),
  );
}

const lost = (flows: readonly SimFlow[]): number[] =>
  flows.map(({ sent, meter }) => sent - meter.delivered);

describe('a node that is drained', () => {
  test('is so though somebody goes on sending through it, once all can have heard', () => {
    const { network, from, middle, to } = diamond();
    network.startAll();
    network.run(3 * SECOND);
    const router = from.node.router;
    const straight = router.nextHop(middle.id);
    router.nextHop = (node) => (node === to.id ? straight : null);
    const flow = network.flow(from, to, { packetsPerSecond: 2, sizeBytes: 10, count: 40 });
    network.run(SECOND);
    drain(middle);
    const took = network.until(() => drain(middle).state === 'drained', 15 * SECOND, 50 * MS);
    expect(took).toBeGreaterThan(4 * SECOND);
    expect(took).toBeLessThanOrEqual(7 * SECOND);
    expect(flow.meter.delivered).toBeGreaterThanOrEqual(8);
    expect(middle.node.drops.of(DropReason.transitRefused)).toBeGreaterThan(0);
  });

  test('is left by all that passes it, and stops without a loss', () => {
    const { network, from, middle, to, one } = diamond();
    network.startAll();
    network.run(3 * SECOND);
    const flows = flowsOver(network, from, to, 5 * SECOND);
    network.run(SECOND);
    expect(passed(middle)).toBeGreaterThan(400);
    expect(drain(middle)).toMatchObject({ state: 'draining', cutOff: [] });
    const took = network.until(() => drain(middle).state === 'drained', 5 * SECOND, 50 * MS);
    expect(took).toBeLessThanOrEqual(1_500 * MS);
    expect(middle.running).toBe(true);
    const before = passed(middle),
      round = passed(one);
    network.run(SECOND);
    expect(passed(middle)).toBe(before);
    expect(passed(one)).toBeGreaterThan(round + 300);
    expect(middle.node.drops.of(DropReason.transitRefused)).toBe(0);
    middle.stop();
    network.run(4 * SECOND);
    expect(lost(flows)).toEqual(flows.map(() => 0));
    expect(flows[0]!.sent).toBe(250);
    for (const end of [from, to]) expect(end.node.byzantine!.convictions).toEqual([]);
  });

  test('says so, is reached all the same, and carries again when that is ended', () => {
    const { network, from, middle, to } = diamond();
    network.startAll();
    network.run(3 * SECOND);
    drain(middle);
    network.run(SECOND);
    const inbox = new Inbox(middle, 700),
      outbox = new Inbox(from, 700);
    outbox.send(middle, 700, pattern(100, 1));
    inbox.send(from, 700, pattern(100, 2));
    network.run(SECOND);
    expect([inbox.messages.length, outbox.messages.length]).toEqual([1, 1]);
    const status = asked(middle, 'status') as StatusReply;
    expect(status.transit).toBe('draining');
    const { nodes } = asked(from, 'nodes') as NodesReply;
    expect(nodes.filter(({ transit }) => transit === false).map(({ name }) => name)).toEqual([
      middle.name,
    ]);
    expect(from.node.router.nextHop(to.id)!.node).not.toBe(middle.id);
    // Reads what is in force as often as it likes.
    expect(drain(middle, { end: true }).state).toBe('serving');
    network.run(SECOND);
    expect(from.node.router.nextHop(to.id)!.node).toBe(middle.id);
    expect((asked(middle, 'status') as StatusReply).transit).toBe('carried');
  });

  test('cuts nobody off unless that is wanted', () => {
    const network = hosts(4, { routes: false });
    const [a, b, c, leaf] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    for (const [x, y] of [
      [a, b],
      [b, c],
      [b, leaf],
      [a, c],
    ] as const)
      network.connect(x, y);
    network.startAll();
    network.run(3 * SECOND);
    expect(() => drain(b)).toThrow(/n3 would be cut off/);
    expect((asked(b, 'status') as StatusReply).transit).toBe('carried');
    expect(drain(a).cutOff).toEqual([]);
    drain(a, { end: true });
    expect(drain(b, { force: true })).toMatchObject({
      state: 'draining',
      cutOff: [{ name: 'n3' }],
    });
    for (const wrong of [{ force: 1 }, { end: 'no' }])
      expect(() => drain(c, wrong)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });
});

describe('transit: false', () => {
  test('makes a node an end, by every routing, also where there is no other way', () => {
    const { network, from, middle, to, one } = diamond();
    middle.configure({ transit: false });
    network.startAll();
    network.run(3 * SECOND);
    const flows = flowsOver(network, from, to, 2 * SECOND);
    network.run(3 * SECOND);
    expect(lost(flows)).toEqual(flows.map(() => 0));
    expect(passed(middle)).toBe(0);
    expect(passed(one)).toBeGreaterThan(900);
    one.stop();
    network.run(2 * SECOND);
    expect(from.node.router.reachable(to.id)).toBe(false);
    expect(from.node.router.reachable(middle.id)).toBe(true);
    // A reload that allows it is a way, at once.
    middle.node.reconfigure({ ...middle.node.config, transit: true });
    middle.endTurn();
    network.run(SECOND);
    expect(from.node.router.nextHop(to.id)!.node).toBe(middle.id);
  });

  test('refuses what somebody sends all the same, once all can have heard', () => {
    const { network, from, middle, to } = diamond();
    network.startAll();
    network.run(3 * SECOND);
    middle.node.reconfigure({ ...middle.node.config, transit: false });
    middle.endTurn();
    network.run(SECOND);
    // Who does not go by what it says: its route is as it was.
    const router = from.node.router;
    const straight = router.nextHop(middle.id);
    router.nextHop = (node) => (node === to.id ? straight : null);
    const inbox = new Inbox(to, 700),
      outbox = new Inbox(from, 700);
    outbox.send(to, 700, pattern(100, 1));
    network.run(SECOND);
    expect(inbox.messages).toHaveLength(1);
    network.run(5 * SECOND);
    outbox.send(to, 700, pattern(100, 2));
    network.run(SECOND);
    expect(inbox.messages).toHaveLength(1);
    expect(middle.node.drops.of(DropReason.transitRefused)).toBe(1);
  });

  test('refuses probed packets of a source that does not heed it, too', () => {
    const { network, from, middle, to } = diamond();
    network.startAll();
    network.run(3 * SECOND);
    const options = { dissemination: DISSEMINATION_BYZANTINE, service: SERVICE_BEST_EFFORT };
    const flow = network.flow(from, to, { packetsPerSecond: 50, durationUs: 9 * SECOND, options });
    network.run(SECOND);
    expect(passed(middle)).toBeGreaterThan(20);
    // To the source it stays what it was, and what others say of it is not asked.
    const router = from.node.router;
    const known = router.advertisementOf(middle.id)!;
    const told = router.advertisementOf.bind(router);
    router.advertisementOf = (node) => (node === middle.id ? known : told(node));
    middle.node.reconfigure({ ...middle.node.config, transit: false });
    middle.endTurn();
    network.run(4 * SECOND);
    expect(middle.node.drops.of(DropReason.transitRefused)).toBe(0);
    expect(flow.meter.delivered).toBeGreaterThan(200);
    network.run(5 * SECOND);
    expect(middle.node.drops.of(DropReason.transitRefused)).toBeGreaterThan(0);
  });

  test('delivers what is sent to its groups, and counts nothing', () => {
    const { network, from, middle } = diamond();
    middle.configure({ transit: false });
    network.startAll();
    network.run(7 * SECOND);
    const reliable = { secrecy: 'links', service: SERVICE_RELIABLE } as const;
    const inbox = new Inbox(middle, 700, reliable).join(GROUP),
      outbox = new Inbox(from, 700, reliable);
    network.run(SECOND);
    for (let i = 0; i < 5; i += 1) outbox.sendTo(GROUP, 700, pattern(100, i));
    network.run(SECOND);
    expect(inbox.messages).toHaveLength(5);
    expect(middle.node.drops.of(DropReason.transitRefused)).toBe(0);
  });

  test('is heeded beside nodes of the release before, which see long links', () => {
    const { network, from, middle, to, one, two } = diamond();
    for (const older of [from, one]) older.configure({ capabilities: OWN_CAPABILITIES & ~TRANSIT });
    middle.configure({ transit: false });
    network.startAll();
    network.run(4 * SECOND);
    const links = from.node.router.advertisementOf(middle.id)!.links;
    expect(links.map(({ latency }) => latency > 60_000)).toEqual([true, true]);
    expect(from.node.router.nextHop(to.id)!.node).toBe(one.id);
    expect(to.node.router.nextHop(from.id)!.node).toBe(two.id);
    // Once they have gone the links are as long as they are.
    for (const older of [from, one]) older.stop();
    network.run(20 * SECOND);
    const [link] = to.node.router.advertisementOf(middle.id)!.links;
    expect(link!.latency).toBeLessThan(100);
  });
});

describe('what an operator wants of a link', () => {
  /** Both ends of the link say so. */
  const wants = (a: SimHost, b: SimHost, change: { costUs?: number; metered?: boolean }): void => {
    for (const [host, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const { config } = host.node;
      const policy = { node: other.name, costUs: 0, metered: false, ...change };
      host.node.reconfigure({ ...config, neighbours: [policy] });
      host.endTurn();
    }
  };

  test('a cost has routes go round it where that is shorter, until it is taken off', () => {
    const { network, from, middle, to, one, two } = diamond();
    network.startAll();
    network.run(3 * SECOND);
    const flow = network.flow(from, to, { packetsPerSecond: 100, durationUs: 15 * SECOND });
    // Ways of 10 and of 30 ms.
    wants(from, middle, { costUs: 15 * MS });
    network.run(3 * SECOND);
    expect(from.node.router.nextHop(to.id)!.node).toBe(middle.id);
    wants(from, middle, { costUs: 40 * MS });
    network.run(3 * SECOND);
    expect(from.node.router.nextHop(to.id)!.node).toBe(one.id);
    expect(to.node.router.nextHop(from.id)!.node).toBe(two.id);
    const [link] = (asked(to, 'nodes') as NodesReply).nodes[1]!.links;
    expect(link!.latencyMs).toBeCloseTo(45, 0);
    for (const host of [from, middle]) {
      host.node.reconfigure({ ...host.node.config, neighbours: [] });
      host.endTurn();
    }
    network.run(3 * SECOND);
    expect(from.node.router.nextHop(to.id)!.node).toBe(middle.id);
    network.run(10 * SECOND);
    expect(lost([flow])).toEqual([0]);
  });

  test('what is metered carries only what has no other way, and then all of it', () => {
    const { network, from, middle, to, one } = diamond();
    middle.configure({ neighbours: [{ node: '10.0.0.1', costUs: 0, metered: true }] });
    from.configure({ neighbours: [{ node: middle.name, costUs: 0, metered: true }] });
    network.startAll();
    network.run(3 * SECOND);
    expect(from.node.router.nextHop(to.id)!.node).toBe(one.id);
    const flow = network.flow(from, to, { durationUs: 4 * SECOND });
    network.run(2 * SECOND);
    expect(passed(middle)).toBe(0);
    one.stop();
    network.run(4 * SECOND);
    expect(passed(middle)).toBeGreaterThan(150);
    expect(flow.sent - flow.meter.delivered).toBeLessThan(5);
  });
});
