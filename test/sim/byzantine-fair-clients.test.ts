/**
 * Clients of one daemon that use byzantine routing beside each other: what one of them does, by
 * malice or by mistake, neither ends nor delays what others send.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { DatagramSession } from '../../src/core/session/sessions.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { AdversaryLab, modeOf, type Edge, type LabFlow } from '../support/adversary-lab.ts';

const SERVICES = [
  ['best-effort', SERVICE_BEST_EFFORT],
  ['reliable', SERVICE_RELIABLE],
] as const;
const DIAMOND: readonly Edge[] = [
  [0, 2],
  [2, 1],
  [0, 3],
  [3, 1],
].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 3 * MILLISECOND }));
const MADE_UP = 0x0b00_0001;

function client(host: SimHost, service: number): DatagramSession {
  return host.node.sessions.open(
    { onMessage: () => true, onWritable() {} },
    { dissemination: DISSEMINATION_BYZANTINE, service },
  );
}

function sendEach(host: SimHost, session: DatagramSession, nodes: readonly number[]): void {
  for (const node of nodes) host.node.sessions.send(session, node, 9, new Uint8Array(8), 0, 8);
  host.endTurn();
}

/** What `flow` sends and what arrives during `time`. */
function during(
  lab: AdversaryLab,
  { flow }: LabFlow,
  time: Micros,
): { sent: number; delivered: number } {
  const [sent, delivered] = [flow.sent, flow.meter.delivered];
  lab.run(time);
  return { sent: flow.sent - sent, delivered: flow.meter.delivered - delivered };
}

function madeUp(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => MADE_UP + first + i);
}

/**
 * Now the network has certificates of made-up nodes as well, as one of more than a thousand nodes
 * has.
 */
function populate(host: SimHost): void {
  const { router } = host.node;
  const known = router.certificateOf.bind(router);
  router.certificateOf = (node) =>
    known(node) ??
    (node >= MADE_UP && node < MADE_UP + 100_000 ? host.identity!.certificate : null);
}

describe.each(SERVICES)('over %s links', (_name, service) => {
  test('datagrams to nodes that do not exist end no flow', () => {
    const lab = new AdversaryLab({ seed: 1, nodes: 4, edges: DIAMOND, options: modeOf('secure') });
    const source = lab.host(0),
      flow = lab.flow(0, 1, 100, service);
    lab.run(2 * SECOND);
    const before = [...source.node.byzantine!.flows()][0]!;
    sendEach(source, client(source, service), madeUp(2_000));
    const { sent, delivered } = during(lab, flow, 4 * SECOND);
    expect(delivered).toBeGreaterThanOrEqual(sent - 5);
    expect([...source.node.byzantine!.flows()]).toEqual([before]);
    expect(source.node.drops.of(DropReason.noRoute)).toBe(0);
    expect(lab.convictions).toEqual([]);
  });

  test('datagrams to thousands of nodes that exist end no flow of others either', () => {
    const lab = new AdversaryLab({ seed: 1, nodes: 4, edges: DIAMOND, options: modeOf('secure') });
    const source = lab.host(0),
      flow = lab.flow(0, 1, 100, service);
    lab.run(2 * SECOND);
    const before = [...source.node.byzantine!.flows()][0]!;
    populate(source);
    const noisy = client(source, service);
    // One that uses the same flow as well, once.
    sendEach(source, noisy, [lab.host(1).id]);
    for (let round = 0; round < 2; round += 1)
      sendEach(source, noisy, madeUp(1_100, round * 1_100));
    const { sent, delivered } = during(lab, flow, 4 * SECOND);
    expect(delivered).toBeGreaterThanOrEqual(sent - 5);
    expect([...source.node.byzantine!.flows()]).toContain(before);
  });

  test('a flow that had to give way begins anew, and its messages arrive', () => {
    const lab = new AdversaryLab({ seed: 1, nodes: 4, edges: DIAMOND, options: modeOf('secure') });
    const [source, destination] = [lab.host(0), lab.host(1)];
    populate(source);
    let heard = 0;
    const receiver = destination.node.sessions.open(
      {
        onMessage: () => {
          heard += 1;
          return true;
        },
        onWritable() {},
      },
      { dissemination: DISSEMINATION_BYZANTINE, service },
    );
    destination.node.sessions.bind(receiver, 9);
    const own = client(source, service);
    for (let round = 0; round < 2; round += 1) {
      for (let i = 0; i < 500; i += 50) {
        sendEach(source, own, new Array<number>(50).fill(destination.id));
        lab.run(250 * MILLISECOND, 250 * MILLISECOND);
      }
      const flow = [...source.node.byzantine!.flows()].find(
        (one) => one.destination === destination.id,
      )!;
      // What nobody has used for a minute goes first.
      lab.run(61 * SECOND);
      sendEach(source, client(source, service), madeUp(1_024, round * 1_024));
      expect([...source.node.byzantine!.flows()]).not.toContain(flow);
    }
    expect(heard).toBe(1_000);
    expect(destination.node.drops.of(DropReason.probedRepeated)).toBe(0);
  });
});

/** Many nodes behind the two in the middle. */
function crowd(seed: number): AdversaryLab {
  const edges = [...DIAMOND];
  for (let i = 4; i < 64; i += 1)
    edges.push({ a: i, b: i % 2 === 0 ? 2 : 3, latencyUs: 3 * MILLISECOND });
  return new AdversaryLab({
    seed,
    nodes: 64,
    edges,
    options: modeOf('secure'),
    settleUs: 3 * SECOND,
  });
}

const NOISE = {
  'one client sends to every node again and again': (lab: AdversaryLab) => {
    const source = lab.host(0),
      noisy = client(source, SERVICE_BEST_EFFORT),
      nodes = lab.world.hosts.slice(4).map(({ id }) => id);
    const send = (): void => {
      sendEach(source, noisy, nodes);
      lab.world.schedule(lab.world.now() + SECOND, send);
    };
    send();
  },
  'four clients do, over both kinds of links': (lab: AdversaryLab) => {
    const source = lab.host(0),
      nodes = lab.world.hosts.slice(4).map(({ id }) => id);
    for (let i = 0; i < 4; i += 1)
      sendEach(source, client(source, i % 2), nodes.slice(i * 15, (i + 1) * 15));
  },
  'somebody traces the way to every node': (lab: AdversaryLab) => {
    const source = lab.host(0);
    for (const { id } of lab.world.hosts.slice(4))
      source.node.byzantine!.findPath(id, 10 * SECOND, () => {});
    source.endTurn();
  },
};

describe('discovery is shared', () => {
  test.each(Object.entries(NOISE))('%s, and another client has its path soon', (_what, noise) => {
    const lab = crowd(1);
    noise(lab);
    lab.run(500 * MILLISECOND);
    const began = lab.world.now();
    const late = lab.flow(0, 1, 50, SERVICE_BEST_EFFORT);
    let first: Micros = -1;
    lab.run(2 * SECOND, 10 * MILLISECOND, () => {
      if (first < 0 && late.flow.meter.delivered > 0) first = lab.world.now() - began;
    });
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThanOrEqual(600 * MILLISECOND);
  });

  test('a path that goes bad is replaced while another client asks for everybody', () => {
    const lab = crowd(2);
    const flow = lab.flow(0, 1, 100, SERVICE_RELIABLE);
    lab.run(3 * SECOND);
    NOISE['one client sends to every node again and again'](lab);
    lab.run(500 * MILLISECOND);
    const main = [...lab.host(0).node.byzantine!.flows()].find(
      (one) => one.destination === lab.host(1).id,
    )!.main!.path.nodes;
    lab.colluders.set(lab.world.hosts.find(({ id }) => id === main[1])!, 'black-hole');
    const { sent, delivered } = during(lab, flow, 10 * SECOND);
    expect(delivered / sent).toBeGreaterThan(0.9);
  });
});

// Over best-effort links what exceeds a wire is lost on it, and lossy links are avoided.
describe('a client that never waits, over reliable links', () => {
  const service = SERVICE_RELIABLE;
  const THIN = DIAMOND.map((edge, i) => (i % 2 === 1 ? { ...edge, bandwidthKbps: 5_000 } : edge));

  test.each([
    ['a client that sends too much', 20, DIAMOND.length],
    ['a client that sends too much', 1_000, DIAMOND.length],
    ['a client that sends too much on the only path', 1_000, 2],
    ['a client whose messages take two packets', 2_500, DIAMOND.length],
  ])('%s (%i B) convicts no link and loses nothing that was taken', (_what, bytes, edges) => {
    const lab = new AdversaryLab({
      seed: 1,
      nodes: 4,
      edges: THIN.slice(0, edges),
      options: modeOf('secure'),
    });
    const [source, destination] = [lab.host(0), lab.host(1)];
    const { sessions } = source.node;
    let heard = 0,
      taken = 0,
      refused = 0;
    const receiver = destination.node.sessions.open(
      {
        onMessage: () => {
          heard += 1;
          return true;
        },
        onWritable() {},
      },
      { dissemination: DISSEMINATION_BYZANTINE, service },
    );
    destination.node.sessions.bind(receiver, 9);
    const greedy = client(source, service),
      message = new Uint8Array(bytes),
      each = Math.ceil(15_000 / (bytes + 200));
    const until = lab.world.now() + 8 * SECOND;
    const send = (): void => {
      for (let i = 0; i < each; i += 1) {
        const reason = sessions.send(greedy, destination.id, 9, message, 0, bytes);
        if (reason === DropReason.none) taken += 1;
        else refused += 1;
      }
      source.endTurn();
      if (lab.world.now() < until) lab.world.schedule(lab.world.now() + 10 * MILLISECOND, send);
    };
    send();
    lab.run(2 * SECOND);
    // Another client's is not behind it.
    const { flow } = lab.flow(0, 1, 20, service);
    lab.run(10 * SECOND);
    expect(lab.convictions).toEqual([]);
    expect(refused).toBeGreaterThan(0);
    expect(heard).toBe(taken);
    expect(flow.meter.delivered).toBeGreaterThanOrEqual(flow.sent - 10);
  });
});

test('nodes on every path that hold all up for as long as an outage slow no source down', () => {
  const lab = new AdversaryLab({ seed: 1, nodes: 4, edges: DIAMOND, options: modeOf('secure') });
  for (const relay of [2, 3]) lab.colluders.set(lab.host(relay), 'reorder:500ms');
  const flow = lab.flow(0, 1, 100, SERVICE_RELIABLE);
  lab.run(8 * SECOND);
  const { sent, delivered } = during(lab, flow, 8 * SECOND);
  expect(delivered).toBeGreaterThanOrEqual(0.97 * sent);
});
