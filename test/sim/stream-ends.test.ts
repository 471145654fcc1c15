/**
 * Stories of ends that nobody waits for: connects given up while they connect, programs that go in
 * the middle, resets that are lost. What one end has forgotten the other must not hold for longer
 * than it takes to say so, whatever the wires do.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { DirectionChange } from '../../src/core/emulation/link-settings.ts';
import { nobody } from '../../src/core/session/streams.ts';
import { cut, heal } from '../../src/lab/sim/faults.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { chain, linkOf, type Network, pair, useNetworks, wire } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const MS = MILLISECOND;
const PORT = 7_000;
const SERVICES = [
  ['reliable', SERVICE_RELIABLE],
  ['best-effort', SERVICE_BEST_EFFORT],
] as const;

/** Opens `count` streams, `gapUs` apart, and gives each up `afterUs` later. */
function abandoned(
  network: Network,
  from: SimHost,
  to: SimHost,
  count: number,
  afterUs: Micros,
  service: number,
): StreamEnd[] {
  const ends: StreamEnd[] = [];
  for (let i = 0; i < count; i += 1) {
    const end = new StreamEnd(from, 10, 1, 2).connect(to, PORT, service);
    ends.push(end);
    network.world.schedule(network.now + afterUs, () => {
      if (end.error === undefined) end.stream?.abandon(nobody, true);
      from.endTurn();
    });
  }
  return ends;
}

describe('connects given up while they connect', () => {
  const wires: readonly (readonly [string, DirectionChange])[] = [
    ['are perfect', {}],
    ['lose a sixth', { loss: { kind: 'bernoulli', rate: 0.16 } }],
    ['change the order', { reorderRate: 0.5, reorderUs: 15 * MS }],
  ];
  // Before the SYN leaves, while it is under way, while the answer is, and after it came.
  const moments = [0, 5 * MS, 15 * MS, 25 * MS];
  test.each(
    wires.flatMap(([what, change]) =>
      SERVICES.flatMap(([name, service]) =>
        moments.map((after) => [name, what, after / MS, service, change] as const),
      ),
    ),
  )(
    'over %s links that %s, after %i ms: ' +
      'nothing stays half open, and the next one is let in at once',
    (_name, _what, afterMs, service, change) => {
      const network = pair({
        seed: 3,
        routes: false,
        forward: wire({ latencyUs: 10 * MS, ...change }),
      });
      const [a, b] = [network.host(0), network.host(1)];
      network.settle(60 * SECOND);
      serve(b, PORT, () => new StreamEnd(b, 0, 2, 1));
      for (let round = 0; round < 4; round += 1) {
        abandoned(network, a, b, 50, afterMs * MS, service);
        network.run(100 * MS);
      }
      // A repeated SYN or answer may be lost several times over.
      const lossy = change.loss !== undefined;
      expect(
        network.until(() => b.node.streams.halfOpen === 0, 40 * SECOND, 10 * MS),
      ).toBeLessThanOrEqual(lossy ? 7 * SECOND : 1_500 * MS);
      const next = new StreamEnd(a, 10, 1, 2).connect(b, PORT, service);
      expect(network.until(() => next.opened, 10 * SECOND)).toBeLessThanOrEqual(
        lossy ? 4 * SECOND : 25 * MS + 2 * (change.reorderUs ?? 0),
      );
      next.stream!.reset();
      a.endTurn();
      network.run(20 * SECOND);
      expect([a.node.streams.size, b.node.streams.size]).toEqual([0, 0]);
    },
  );

  test('at a daemon that is killed meanwhile: its next run ends what the far end holds', () => {
    const network = chain(3, { forward: wire({ latencyUs: 10 * MS }) });
    const [a, c] = [network.host(0), network.host(2)];
    network.settle();
    serve(c, PORT, () => new StreamEnd(c, 0, 2, 1));
    for (let i = 0; i < 60; i += 1) new StreamEnd(a, 10, 1, 2).connect(c, PORT);
    network.run(25 * MS);
    expect(c.node.streams.halfOpen).toBe(60);
    a.crash();
    network.run(300 * MS);
    a.start();
    network.run(3 * SECOND);
    expect(c.node.streams.halfOpen).toBe(0);
    const next = new StreamEnd(a, 10, 1, 2).connect(c, PORT);
    expect(network.until(() => next.opened, 5 * SECOND)).toBeLessThanOrEqual(100 * MS);
  });
});

describe('a program that goes in the middle', () => {
  test.each(SERVICES)(
    'over %s links: what it wrote arrives, and behind it a reset, never an end',
    (_name, service) => {
      const network = chain(3, {
        seed: 5,
        forward: wire({
          latencyUs: 10 * MS,
          bandwidthKbps: 20_000,
          loss: { kind: 'bernoulli', rate: service === SERVICE_RELIABLE ? 0 : 0.03 },
        }),
        routes: false,
      });
      const [a, c] = [network.host(0), network.host(2)];
      network.settle(20 * SECOND);
      for (const bytes of [0, 1, 5_000, 200_000]) {
        const served = serve(c, PORT + (bytes % 97), () => new StreamEnd(c, 0, 2, 1));
        const open = new StreamEnd(a, Infinity, 1, 2);
        open.connect(c, PORT + (bytes % 97), service);
        // Writes nothing by itself: what it wrote is exactly what the story says.
        open.onOpen = (stream) => {
          open.stream = stream;
          open.opened = true;
        };
        open.onSpace = () => {};
        network.until(() => open.opened && served.length > 0, 5 * SECOND);
        const pattern = new Uint8Array(bytes);
        expect(open.stream!.write(pattern, 0, bytes)).toBe(bytes);
        open.stream!.abandon(nobody, true);
        a.endTurn();
        expect(network.until(() => served[0]!.error !== undefined, 20 * SECOND)).not.toBeNull();
        expect([served[0]!.error, served[0]!.readEnded, served[0]!.read], `${bytes} bytes`).toEqual(
          ['ECONNRESET', false, bytes],
        );
      }
    },
  );

  test('but had ended its direction: the far end reads to the end', () => {
    const network = pair({ forward: wire({ latencyUs: 10 * MS }) });
    const [a, b] = [network.host(0), network.host(1)];
    network.settle();
    const served = serve(b, PORT, () => new StreamEnd(b, 0, 2, 1));
    const client = new StreamEnd(a, 100_000, 1, 2).connect(b, PORT);
    network.until(() => client.written === 100_000, SECOND);
    client.stream!.abandon(nobody, true);
    a.endTurn();
    network.run(2 * SECOND);
    expect([served[0]!.error, served[0]!.readEnded, served[0]!.read, served[0]!.wrong]).toEqual([
      null,
      true,
      100_000,
      0,
    ]);
  });
});

test(
  'a reset that is lost over best-effort links is said again, ' +
    'also to an end that has nothing to say',
  () => {
    const network = pair({ forward: wire({ latencyUs: 10 * MS }) });
    const [a, b] = [network.host(0), network.host(1)];
    network.settle();
    const served = serve(b, PORT, () => {
      const end = new StreamEnd(b, Infinity, 2, 1);
      end.onOpen = () => {};
      return end;
    });
    const client = new StreamEnd(a, Infinity, 1, 2);
    client.onOpen = () => {
      client.opened = true;
    };
    client.connect(b, PORT, SERVICE_BEST_EFFORT);
    network.until(() => served.length > 0, SECOND);
    network.run(SECOND);
    cut(a, b);
    client.stream!.reset();
    a.endTurn();
    network.run(50 * MS);
    heal(a, b);
    expect(linkOf(a, b)!.up).toBe(true);
    expect(network.until(() => served[0]!.error !== undefined, 20 * SECOND)).toBeLessThanOrEqual(
      2 * SECOND,
    );
    expect(served[0]!.error).toBe('ECONNRESET');
    network.run(5 * SECOND);
    expect([a.node.streams.size, b.node.streams.size]).toEqual([0, 0]);
  },
);
