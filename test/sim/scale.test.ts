/**
 * Large networks and what a newcomer must take: all advertisements of 1,000 nodes from its only
 * neighbour, believed one by one, each sent once and verified once, within a time that the wire
 * explains; and what a change costs the others.
 */

import { afterEach, describe, expect, test, vi } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import { signAdvertisement } from '../../src/core/routing/signed-advertisement.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import type { AdvertisedLink } from '../../src/core/wire/link-state.ts';
import { hosts, linked, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();
afterEach(() => {
  vi.restoreAllMocks();
});

const NODES = 1_000;
const FIRST = 0x0a01_0000;
const LATENCY: Micros = 5 * MILLISECOND;

/**
 * A ring of nodes that exist on paper only, with their signed advertisements in the database of
 * `host`.
 */
function tellOf({ world }: Network, host: SimHost, count: number): void {
  const link = (i: number): AdvertisedLink => ({
    node: FIRST + ((i + count) % count),
    latency: 50,
    loss: 0,
  });
  for (let i = 0; i < count; i += 1) {
    const member = world.authority!.member(world.authority!.issue(FIRST + i, `paper-${i}`), host);
    const links = [link(i - 1), link(i + 1)].sort((a, b) => a.node - b.node);
    host.node.router.database.install(
      signAdvertisement(member, 1_000, false, links),
      host.now(),
      host.now() + 900 * SECOND,
      member.identity.certificate,
    );
  }
}

interface Scene {
  readonly network: Network;
  readonly neighbour: SimHost;
  readonly fresh: SimHost;
  readonly verified: () => number;
}

function scene(count: number): Scene {
  const network = hosts(2, { routes: false });
  const [neighbour, fresh] = network.hosts as [SimHost, SimHost];
  network.connect(fresh, neighbour, wire({ latencyUs: LATENCY }));
  neighbour.start();
  tellOf(network, neighbour, count);
  const verify = vi.spyOn(cheapPrimitives, 'verify');
  return { network, neighbour, fresh, verified: () => verify.mock.calls.length };
}

describe('a fresh daemon beside one that knows 1,000 nodes', () => {
  test(
    'believes all of them within a second of its link, ' + 'each verified once and none put off',
    () => {
      const { network, neighbour, fresh, verified } = scene(NODES);
      fresh.start();
      expect(network.until(() => linked(fresh, neighbour), SECOND)).not.toBeNull();
      const before = verified();
      const { recomputations } = fresh.node.router.counters;
      const took = network.until(() => fresh.node.router.database.size === NODES + 2, 10 * SECOND);
      // 64 at once, and a round trip with the wait for company of acknowledgements between them.
      expect(took).not.toBeNull();
      expect(took!).toBeLessThan(SECOND);
      // Certificate and advertisement of each, and of the neighbour, and node records of the two
      // that run, one of which may be renewed.
      expect(verified() - before).toBeGreaterThan(2 * NODES);
      expect(verified() - before).toBeLessThanOrEqual(2 * (NODES + 2) + 3);
      expect(fresh.node.router.counters.verified).toBeGreaterThanOrEqual(NODES + 1);
      expect(fresh.node.drops.of(DropReason.linkStateOverBudget)).toBe(0);
      expect(fresh.node.router.counters.verifyFailed).toBe(0);
      // Routes are computed at intervals, not for every advertisement.
      expect(fresh.node.router.counters.recomputations - recomputations).toBeLessThanOrEqual(
        Math.ceil(took! / (20 * MILLISECOND)) + 1,
      );
      network.run(SECOND);
      // Nothing was sent twice, and nothing is sent any more.
      expect(fresh.node.router.counters.duplicates).toBe(0);
      expect(fresh.node.router.knows(FIRST + NODES - 1)).toBe(true);
    },
  );

  test('takes what is beyond its budget for verification later, and loses nothing of it', () => {
    const { network, neighbour, fresh } = scene(1_500);
    fresh.start();
    expect(network.until(() => linked(fresh, neighbour), SECOND)).not.toBeNull();
    network.run(SECOND);
    const { database } = fresh.node.router;
    // A burst of 2,048 verifications, and 250 a second.
    expect(database.size).toBeLessThan(1_500);
    expect(fresh.node.drops.of(DropReason.linkStateOverBudget)).toBeGreaterThan(0);
    expect(
      network.until(() => database.size === 1_502, 30 * SECOND, 10 * MILLISECOND),
    ).not.toBeNull();
  });

  test('is asked for the difference only when its link comes again', () => {
    const { network, neighbour, fresh, verified } = scene(NODES);
    fresh.start();
    expect(
      network.until(() => fresh.node.router.database.size === NODES + 2, 10 * SECOND),
    ).not.toBeNull();
    network.run(SECOND);
    const wires = network.world.wires;
    const before = {
      verified: verified(),
      bytes: wires.reduce((sum, { ipBytes }) => sum + ipBytes, 0),
    };
    fresh.node.links.of(neighbour.id)!.down('test', 2);
    fresh.endTurn();
    expect(network.until(() => linked(fresh, neighbour), 5 * SECOND)).not.toBeNull();
    network.run(500 * MILLISECOND);
    // Handshakes and own advertisements.
    expect(verified() - before.verified).toBeLessThan(20);
    // Two lists of 1,002 versions of 10 bytes each, and little else.
    expect(wires.reduce((sum, { ipBytes }) => sum + ipBytes, 0) - before.bytes).toBeLessThan(
      3 * (NODES + 2) * 10 + 10_000,
    );
  });
});
