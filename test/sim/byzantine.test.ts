/**
 * The Byzantine-resilient router in whole daemons: paths found, data delivered, faulty links
 * convicted and avoided.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import {
  DISSEMINATION_BYZANTINE,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { finish, hosts, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();
const MS = MILLISECOND;

/** Two ways from the first host to the last: over 1 and 2, or over 3 and 4. */
function diamond(seed = 1): Network {
  const network = hosts(6, { seed, routes: false });
  for (const [a, b] of [
    [0, 1],
    [1, 2],
    [2, 5],
    [0, 3],
    [3, 4],
    [4, 5],
  ] as const)
    network.connect(network.host(a), network.host(b), wire({ latencyUs: 5 * MS }));
  network.settle();
  return network;
}

const byzantine = (service: number) => ({ service, dissemination: DISSEMINATION_BYZANTINE });

describe('without adversaries', () => {
  test.each([
    ['best-effort', SERVICE_BEST_EFFORT],
    ['reliable', SERVICE_RELIABLE],
  ])('datagrams over %s links arrive, all of them, and nobody is probed', (_name, service) => {
    const network = diamond();
    const flow = network.flow(network.host(0), network.host(5), {
      packetsPerSecond: 100,
      sizeBytes: 1_200,
      durationUs: 5 * SECOND,
      options: byzantine(service),
    });
    network.run(7 * SECOND);
    expect(flow.sent).toBe(500);
    expect(flow.meter.delivered).toBe(500);
    expect(flow.meter.duplicates).toBe(0);
    const router = network.host(0).node.byzantine!;
    expect(router.convictions).toEqual([]);
    expect([...router.flows()][0]!.faults).toBe(0);
    finish(network);
  });
});

describe('a node on the path drops all data', () => {
  test.each([
    ['best-effort', SERVICE_BEST_EFFORT],
    ['reliable', SERVICE_RELIABLE],
  ])(
    'it is found within two faults over %s links, and the flow goes another way',
    (_name, service) => {
      const network = diamond();
      const flow = network.flow(network.host(0), network.host(5), {
        packetsPerSecond: 100,
        sizeBytes: 500,
        durationUs: 30 * SECOND,
        options: byzantine(service),
      });
      network.run(3 * SECOND);
      const router = network.host(0).node.byzantine!;
      const path = [...router.flows()][0]!.main!.path.nodes;
      const bad = network.hosts.find((host) => host.id === path[2])!;
      const before = flow.sent - flow.meter.delivered;
      bad.node.byzantine!.misbehaviour = { onData: () => true };
      network.run(30 * SECOND);
      const [conviction] = router.convictions;
      console.log(
        `sent ${flow.sent}, lost ${flow.sent - flow.meter.delivered - before}, convicted ` +
          `${router.convictions.length}`,
      );
      expect(conviction).toBeDefined();
      expect([conviction!.u, conviction!.v]).toContain(bad.id);
      expect([...router.flows()][0]!.faults).toBeLessThanOrEqual(2);
      expect([...router.flows()][0]!.main!.path.nodes).not.toContain(bad.id);
      expect(flow.sent - flow.meter.delivered).toBeLessThan(150);
      finish(network);
    },
  );
});
