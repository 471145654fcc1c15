/**
 * Streams of sessions over paths that their source chose: complete and equal whatever one node on
 * the path does, slowed by what is full, and fair beside each other.
 *
 * A transit node marks no probed packet: it can't see that a stream is inside, and a mark that
 * anybody on the path could set unseen would let an adversary slow a stream unpunished. The source
 * marks the packets of its own streams, by how much later answers come than they could; besides,
 * the queue of the first link slows a stream (`congested()`, and the link's own window behind it),
 * and loss.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  DISSEMINATION_BYZANTINE,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import type { DirectionChange } from '../../src/core/emulation/link-settings.ts';
import { finish, hosts, useNetworks, wire, type Network } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const MS = MILLISECOND;
const PORT = 7_000;
const SERVICES = [
  ['best-effort', SERVICE_BEST_EFFORT],
  ['reliable', SERVICE_RELIABLE],
] as const;

/** Two ways from the first host to the last: over 1 and 2, or over 3 and 4. */
function diamond(
  change: DirectionChange,
  special: DirectionChange = {},
  where: readonly number[] = [0],
): Network {
  const network = hosts(6, { routes: false });
  for (const [a, b] of [
    [0, 1],
    [1, 2],
    [2, 5],
    [0, 3],
    [3, 4],
    [4, 5],
  ] as const) {
    network.connect(
      network.host(a),
      network.host(b),
      wire({ latencyUs: 5 * MS, ...change, ...(where.includes(a) ? special : {}) }),
    );
  }
  network.settle();
  return network;
}

function connect(
  from: SimHost,
  to: SimHost,
  service: number,
  bytes: number,
  salt: number,
): StreamEnd {
  const end = new StreamEnd(from, bytes, salt, 99);
  end.stream = from.node.streams.connect(to.id, PORT + salt, 0, end, {
    service,
    dissemination: DISSEMINATION_BYZANTINE,
    ttl: 64,
    priority: 1,
    congestion: 'newreno',
  });
  from.endTurn();
  return end;
}

function pathOf(host: SimHost): readonly number[] {
  return [...host.node.byzantine!.flows()][0]!.main!.path.nodes;
}

const DEEDS = [
  ['drops all data', () => ({ onData: () => true })],
  ['drops all acknowledgements', () => ({ onAck: () => true })],
  [
    'drops every fourth packet',
    () => {
      let seen = 0;
      return { onData: () => (seen += 1) % 4 === 0 };
    },
  ],
] as const;

describe.each(SERVICES)('over %s links', (_name, service) => {
  test.each(DEEDS)(
    '5 MB arrive complete and equal when a node on the path %s from the middle on',
    (deed, make) => {
      const network = diamond({ bandwidthKbps: 20_000 });
      const [source, destination] = [network.host(0), network.host(5)];
      const TOTAL = 5_000_000;
      const served = serve(destination, PORT + 1, () => new StreamEnd(destination, 0, 99, 1));
      const client = connect(source, destination, service, TOTAL, 1);
      expect(network.until(() => (served[0]?.read ?? 0) >= TOTAL / 2, 20 * SECOND)).not.toBeNull();
      const bad = network.hosts.find((host) => host.id === pathOf(source)[1])!;
      bad.node.byzantine!.misbehaviour = make();
      const started = network.now;
      let [last, longest] = [started, 0],
        read = served[0]!.read;
      expect(
        network.until(() => {
          if (served[0]!.read > read) [last, read] = [network.now, served[0]!.read];
          longest = Math.max(longest, network.now - last);
          return served[0]!.readEnded;
        }, 60 * SECOND),
      ).not.toBeNull();
      const { convictions } = source.node.byzantine!;
      console.log(
        `${_name}, ${deed}: the second half took ` +
          `${((network.now - started) / SECOND).toFixed(2)} s, longest pause ${longest / MS} ms, ` +
          `${convictions.length} convictions`,
      );
      expect([served[0]!.read, served[0]!.wrong]).toEqual([TOTAL, 0]);
      for (const { u, v } of convictions) expect([u, v]).toContain(bad.id);
      network.run(5 * SECOND);
      expect(client.error).toBe(null);
      finish(network);
    },
  );

  test.each([
    ['its first', [0]],
    ['a middle one', [1, 3]],
  ])('a stream fills a narrow link, %s, and is slowed by it, not stopped', (where, ends) => {
    const KBPS = 2_000;
    const network = diamond({ bandwidthKbps: 50_000 }, { bandwidthKbps: KBPS }, ends);
    const [source, destination] = [network.host(0), network.host(5)];
    const served = serve(destination, PORT + 1, () => new StreamEnd(destination, 0, 99, 1));
    connect(source, destination, service, Infinity, 1);
    network.run(5 * SECOND);
    const before = served[0]!.read;
    let queued = 0,
      congested = 0;
    network.until(() => {
      queued = Math.max(
        queued,
        Math.max(...[...source.node.links.all()].map((link) => link.queueBytes)),
      );
      congested += source.node.byzantine!.congested({ destination: destination.id, service })
        ? 1
        : 0;
      return false;
    }, 20 * SECOND);
    const goodput = ((served[0]!.read - before) * 8) / 20 / 1_000;
    const { convictions, totals } = source.node.byzantine!;
    console.log(
      `${_name}, ${where}: ${convictions.length} convictions, ${goodput.toFixed(0)} of ${KBPS} ` +
        'kbit/s' +
        `, at most ${queued} bytes queued, congested ${(congested / 200).toFixed(0)} % of the ` +
        `time, ${totals.faults} faults`,
    );
    expect(goodput).toBeGreaterThan(0.6 * KBPS);
    expect(goodput).toBeLessThan(KBPS);
    expect(served[0]!.wrong).toBe(0);
    expect(convictions).toEqual([]);
    served[0]!.stream!.reset();
    destination.endTurn();
    network.run(5 * SECOND);
    finish(network);
  });

  test('two streams beside each other on a narrow link share it', () => {
    const network = diamond({ bandwidthKbps: 50_000 }, { bandwidthKbps: 4_000 });
    const [source, destination] = [network.host(0), network.host(5)];
    const ends = [1, 2].map((salt) => {
      const served = serve(destination, PORT + salt, () => new StreamEnd(destination, 0, 99, salt));
      connect(source, destination, service, Infinity, salt);
      return served;
    });
    network.run(10 * SECOND);
    const before = ends.map((served) => served[0]!.read);
    network.run(40 * SECOND);
    const shares = ends.map((served, i) => served[0]!.read - before[i]!);
    const sum = shares.reduce((a, b) => a + b);
    console.log(
      `${_name}: ${shares.map((bytes) => ((100 * bytes) / sum).toFixed(0)).join(' : ')} of ` +
        `${((sum * 8) / 40 / 1_000).toFixed(0)} kbit/s`,
    );
    expect(Math.min(...shares) / sum).toBeGreaterThan(0.3);
    expect((sum * 8) / 40 / 1_000).toBeGreaterThan(0.6 * 4_000);
    for (const served of ends) served[0]!.stream!.reset();
    destination.endTurn();
    network.run(5 * SECOND);
    finish(network);
  });
});

test('a stream over best-effort links with losses goes on, slower', () => {
  const took: Micros[] = [];
  for (const rate of [0, 0.005]) {
    const network = diamond({
      bandwidthKbps: 20_000,
      ...(rate === 0 ? {} : { loss: { kind: 'bernoulli', rate } }),
    });
    const [source, destination] = [network.host(0), network.host(5)];
    const served = serve(destination, PORT + 1, () => new StreamEnd(destination, 0, 99, 1));
    connect(source, destination, SERVICE_BEST_EFFORT, 2_000_000, 1);
    took.push(network.until(() => served[0]?.readEnded === true, 60 * SECOND)!);
    expect([served[0]!.read, served[0]!.wrong]).toEqual([2_000_000, 0]);
    network.run(5 * SECOND);
    finish(network);
  }
  console.log(`2 MB: ${took.map((us) => `${(us / SECOND).toFixed(2)} s`).join(', with losses ')}`);
  expect(took[1]!).toBeGreaterThan(took[0]!);
});
