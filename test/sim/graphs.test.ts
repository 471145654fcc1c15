/**
 * Graphs against trouble: what goes over all links of an end that loses, as long as it does, and
 * everywhere where that is asked for; insiders on it take nothing from it.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { DatagramOptions } from '../../src/core/session/sessions.ts';
import { deadlineOf } from '../../src/core/wire/deadline.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import type { GraphName } from '../../src/core/wire/modes.ts';
import { DISSEMINATION_GRAPH, SERVICE_REALTIME, type Packet } from '../../src/core/wire/packet.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { hosts, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const WITHIN = 65;

function by(graph: GraphName, realtime = false): DatagramOptions {
  const how = { dissemination: DISSEMINATION_GRAPH, graph, ...deadlineOf(WITHIN) };
  return realtime ? { ...how, service: SERVICE_REALTIME } : how;
}

/**
 * Source and destination with four neighbours each; from each of the source's 5 ms to each of the
 * destination's two nearest, and 40 between the last of both, which is too late.
 */
function lattice(options: Parameters<typeof hosts>[1] = { security: 'none' }) {
  const network = hosts(10, options);
  const [from, to, ...middle] = network.hosts as [SimHost, SimHost, ...SimHost[]];
  const near = middle.slice(0, 4),
    far = middle.slice(4);
  const half = wire({ latencyUs: 5 * MS });
  for (const each of near) network.connect(from, each, half);
  for (const each of far) network.connect(each, to, half);
  near.forEach((each, i) => {
    const late = wire({ latencyUs: 60 * MS });
    network.connect(each, far[i]!, i === 3 ? late : half);
    network.connect(each, far[(i + 1) % 3]!, i === 3 ? late : half);
  });
  network.settle();
  return { network, from, to, near, far };
}

/** Loss of all links that lead to, and from, `host`, 0..1. */
function lose(network: Network, host: SimHost, rate: number): void {
  for (const each of network.world.wires)
    if (each.from === host || each.to === host)
      each.model.set({ loss: { kind: 'bernoulli', rate } });
}

function graphOf({ from, to }: ReturnType<typeof lattice>, graph: GraphName) {
  return from.node.routed!.graphs.inUse(to.id, graph, WITHIN * MS)!;
}

describe('graphs', () => {
  test('have all links of an end from where a packet can be in time', () => {
    const made = lattice();
    const { from, to, near, far } = made;
    const ids = (all: readonly SimHost[]) => all.map(({ id }) => id).sort((a, b) => a - b);
    const first = (graph: GraphName) => [...graphOf(made, graph).way.next].sort((a, b) => a - b);
    const last = (graph: GraphName) => {
      const { nodes, edges } = graphOf(made, graph).way.graph!;
      const end = nodes.length - 1;
      return edges
        .filter(([, place]) => place === end)
        .map(([place]) => nodes[place]!)
        .sort((a, b) => a - b);
    };
    expect(first('two').length).toBe(2);
    expect(first('src')).toEqual(ids(near.slice(0, 3)));
    expect(last('dst')).toEqual(ids(far.slice(0, 3)));
    expect([first('robust'), last('robust')]).toEqual([first('src'), last('dst')]);
    expect(first('flood')).toEqual(first('src'));
    for (const graph of ['two', 'dst', 'src', 'robust'] as const) {
      const { nodes } = graphOf(made, graph).way.graph!;
      expect([nodes[0], nodes.at(-1)]).toEqual([from.id, to.id]);
    }
    const none = from.node.routed!.graphs.inUse(to.id, 'dst', 1 * MS)!;
    expect([none.graph, none.way.paths.length]).toEqual(['two', 1]);
    expect(none.why).toMatch(/in time/);
  });

  test.each([false, true])('bring each message once, in time and sealed (realtime: %s)', (rt) => {
    const { network, from, to } = lattice({ security: 'sealed' });
    for (const graph of ['auto', 'two', 'dst', 'src', 'robust', 'flood'] as const) {
      const flow = network.flow(from, to, { durationUs: SECOND, options: by(graph, rt) });
      const before = network.hosts.reduce((sum, { node }) => sum + node.routed!.copies, 0);
      const { copies } = from.node.routed!.graphs.to(to.id, graph, WITHIN * MS)!;
      network.run(2 * SECOND);
      const after = network.hosts.reduce((sum, { node }) => sum + node.routed!.copies, 0);
      expect([flow.sent, flow.meter.delivered, flow.meter.duplicates]).toEqual([100, 100, 0]);
      expect(Math.abs((after - before) / 100 - copies)).toBeLessThan(0.5);
    }
    expect(to.node.drops.of(DropReason.routedWrongLink)).toBe(0);
  });
});

describe('auto', () => {
  test.each([
    ['source', 'src'],
    ['destination', 'dst'],
  ] as const)('has all links of a %s that loses 40 %%, and leaves them again', (end, graph) => {
    const made = lattice();
    const { network, from, to } = made;
    network.flow(from, to, { durationUs: 60 * SECOND, options: by('auto') });
    network.run(8 * SECOND);
    expect(graphOf(made, 'auto').graph).toBe('two');
    lose(network, end === 'source' ? from : to, 0.4);
    network.run(1.5 * SECOND);
    const chosen = graphOf(made, 'auto');
    expect(chosen.graph).toBe(graph);
    expect(chosen.why).toMatch(/of 4 links .*have problems/);
    lose(network, end === 'source' ? from : to, 0);
    network.run(3 * SECOND);
    expect(graphOf(made, 'auto').graph).toBe(graph);
    network.run(47 * SECOND);
    const after = graphOf(made, 'auto');
    expect([after.graph, after.changes]).toEqual(['two', 2]);
  });

  test('is robust when both ends lose, and two when neither does', () => {
    const made = lattice();
    const { network, from, to, near, far } = made;
    network.flow(from, to, { durationUs: 20 * SECOND, options: by('auto') });
    network.run(8 * SECOND);
    const between = network.world.wires.find(
      (each) => each.from === near[0] && each.to === far[0],
    )!;
    between.model.set({ loss: { kind: 'bernoulli', rate: 0.5 } });
    network.run(3 * SECOND);
    expect(graphOf(made, 'auto').graph).toBe('two');
    lose(network, from, 0.4);
    lose(network, to, 0.4);
    network.run(2 * SECOND);
    expect(graphOf(made, 'auto').graph).toBe('robust');
  });

  test('of a link that flaps changes at most eight times a minute', () => {
    // Routes hold what flaps for minutes.
    const made = lattice({ security: 'none', routes: false });
    const { network, from, to } = made;
    network.flow(from, to, { durationUs: 80 * SECOND, options: by('auto') });
    network.run(8 * SECOND);
    for (let round = 0; round < 15; round += 1) {
      lose(network, to, 0.4);
      network.run(2 * SECOND);
      lose(network, to, 0);
      network.run(2 * SECOND);
    }
    expect(graphOf(made, 'auto').changes).toBeGreaterThan(0);
    expect(graphOf(made, 'auto').changes).toBeLessThanOrEqual(8);
  });
});

describe.each([false, true])('one insider (realtime: %s)', (realtime) => {
  const DEEDS: readonly [string, (packet: Packet) => boolean][] = [
    ['drops', () => true],
    [
      'races garbage under a genuine stamp',
      ({ bytes, end }) => {
        bytes[end - 1]! ^= 0xff;
        return false;
      },
    ],
    [
      'takes the hops away',
      (packet) => {
        packet.setTtl(2);
        return false;
      },
    ],
  ];
  test.each(['two', 'dst', 'flood'] as const)('on %s takes no more than by dropping', (graph) => {
    for (const [, deed] of DEEDS) {
      const { network, from, to, near } = lattice({ security: 'sealed' });
      let met = 0;
      for (const { node } of near.slice(0, 1))
        node.dissemination.misbehaviour = {
          onTransit: (packet) => {
            met += 1;
            return deed(packet);
          },
        };
      const flow = network.flow(from, to, { durationUs: SECOND, options: by(graph, realtime) });
      network.run(2 * SECOND);
      expect(met).toBeGreaterThan(0);
      expect([flow.sent, flow.meter.delivered, flow.meter.duplicates]).toEqual([100, 100, 0]);
    }
  });
});

describe('a node that carries nothing for others', () => {
  /** Over `quick` in 10 ms, over `slow` in 80. */
  function square() {
    const network = hosts(4, { security: 'none', routes: false });
    const [from, slow, quick, to] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    for (const [middle, ms] of [
      [slow, 40],
      [quick, 5],
    ] as const) {
      network.connect(from, middle, wire({ latencyUs: ms * MS }));
      network.connect(middle, to, wire({ latencyUs: ms * MS }));
    }
    return { network, from, quick, to };
  }

  test.each(['two', 'src', 'dst', 'robust', 'flood', 'auto'] as const)(
    'is on no graph: %s goes the other way, late as it is',
    (graph) => {
      const { network, from, quick, to } = square();
      quick.configure({ transit: false });
      network.startAll();
      network.run(8 * SECOND);
      const flow = network.flow(from, to, { durationUs: SECOND, options: by(graph) });
      network.run(2 * SECOND);
      expect([flow.meter.delivered, flow.refused]).toEqual([flow.sent, 0]);
      expect(flow.sent).toBeGreaterThan(0);
      expect(quick.node.drops.of(DropReason.transitRefused)).toBe(0);
    },
  );

  test.each(['src', 'dst', 'flood'] as const)('and %s leaves one that is drained', (graph) => {
    const { network, from, quick, to } = square();
    network.startAll();
    network.run(3 * SECOND);
    const options = { dissemination: DISSEMINATION_GRAPH, graph, ...deadlineOf(300) };
    const flow = network.flow(from, to, { durationUs: 8 * SECOND, options });
    network.run(2 * SECOND);
    quick.node.transit.drain(true);
    quick.endTurn();
    const took = network.until(() => quick.node.transit.drained, 5 * SECOND, 50 * MS);
    expect(took).toBeLessThanOrEqual(1_500 * MS);
    network.run(8 * SECOND);
    expect([flow.meter.delivered, flow.meter.duplicates]).toEqual([flow.sent, 0]);
  });
});

describe('comes once, though not sealed from end to end', () => {
  test('where a link is longer one way, over two realtime paths', () => {
    const network = hosts(4, { security: 'none', routes: false });
    const [from, a, b, to] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    network.connect(from, a, wire({ latencyUs: 5 * MS }), wire({ latencyUs: 45 * MS }));
    network.connect(a, to, wire({ latencyUs: 5 * MS }));
    network.connect(from, b, wire({ latencyUs: 10 * MS }));
    network.connect(b, to, wire({ latencyUs: 5 * MS }));
    network.startAll();
    network.run(3 * SECOND);
    const flow = network.flow(from, to, {
      durationUs: SECOND,
      options: { ...by('two', true), ...deadlineOf(100) },
    });
    network.run(2 * SECOND);
    expect([flow.meter.delivered, flow.meter.duplicates]).toEqual([flow.sent, 0]);
  });

  test.each([false, true])(
    'everywhere, with long ways and short ones (realtime %s)',
    (realtime) => {
      const network = hosts(12, { security: 'none' });
      const all = network.hosts;
      for (let i = 1; i < 12; i += 1)
        network.connect(all[i - 1]!, all[i]!, wire({ latencyUs: MS }));
      network.connect(all[0]!, all[11]!, wire({ latencyUs: 60 * MS }));
      network.settle();
      const flow = network.flow(all[0]!, all[11]!, {
        durationUs: SECOND,
        options: { ...by('flood', realtime), ...deadlineOf(300) },
      });
      network.run(2 * SECOND);
      expect([flow.meter.delivered, flow.meter.duplicates]).toEqual([flow.sent, 0]);
    },
  );

  test('while the node of the shorter of two paths stops', () => {
    const network = hosts(4, { security: 'none', routes: false });
    const [from, a, b, to] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    for (const [middle, ms] of [
      [a, 5],
      [b, 60],
    ] as const) {
      network.connect(from, middle, wire({ latencyUs: ms * MS }));
      network.connect(middle, to, wire({ latencyUs: ms * MS }));
    }
    network.settle();
    const flow = network.flow(from, to, {
      packetsPerSecond: 200,
      durationUs: 2 * SECOND,
      options: { ...by('two'), ...deadlineOf(300) },
    });
    network.run(SECOND);
    a.stop();
    network.run(3 * SECOND);
    expect([flow.meter.delivered, flow.meter.duplicates]).toEqual([flow.sent, 0]);
  });
});
