/**
 * One identity on two machines, and what only looks like it: restarts, moves, and what is late on
 * the way.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  hosts,
  Inbox,
  linkOf,
  useNetworks,
  wire,
  type Network,
  type NetworkOptions,
} from '../support/network.ts';

useNetworks();

const SECURITIES = [['sealed'], ['none']] as const;
type Dials = 'they dial' | 'we dial' | 'both dial';

/**
 * The neighbour, the original, its copy, and a node behind the neighbour. Original and copy are one
 * node, not connected to each other.
 */
interface Scene {
  readonly network: Network;
  readonly hub: SimHost;
  readonly original: SimHost;
  readonly copy: SimHost;
  readonly far: SimHost;
}

function scene(dials: Dials, options: NetworkOptions = {}, latencyUs = 5 * MILLISECOND): Scene {
  const network = hosts(3, { routes: false, duplicates: true, ...options });
  const [hub, original, far] = network.hosts as [SimHost, SimHost, SimHost];
  const copy = network.world.addTwin(original, 'copy');
  const there = wire({ latencyUs });
  for (const one of [original, copy]) {
    if (dials === 'we dial' && one === original) network.connect(hub, one, there);
    else network.connect(one, hub, there);
    if (dials === 'both dial')
      hub.dials.push({ address: one.endpoint.address, port: one.endpoint.port, node: null });
  }
  network.connect(far, hub);
  return { network, hub, original, copy, far };
}

function start({ network, hub, original, far }: Scene): void {
  for (const host of [hub, original, far]) host.start();
  network.run(5 * SECOND);
  expect(linkOf(hub, original)!.up).toBe(true);
}

const twinsOf = (host: SimHost): number => [...host.node.links.twins.records()].length;

describe.each(SECURITIES)('security %s', (security) => {
  test.each<Dials>(['they dial', 'we dial', 'both dial'])(
    'the one that has run longer is kept, the other refused, and what is sent arrives (%s)',
    (dials) => {
      const s = scene(dials, { security });
      start(s);
      const { network, hub, original, copy, far } = s;
      const inbox = new Inbox(original, 77);
      copy.start();
      expect(network.until(() => twinsOf(hub) === 1, 2 * SECOND)).not.toBeNull();
      const [record] = [...hub.node.links.twins.records()];
      expect([record!.kept.endpoint.key, record!.refused.endpoint.key]).toEqual([
        original.endpoint.key,
        copy.endpoint.key,
      ]);
      network.run(3 * SECOND);
      const ups = network.linkUps;
      const sender = new Inbox(far, 78);
      for (let i = 0; i < 50; i += 1) {
        network.run(SECOND);
        sender.send(original, 77, Uint8Array.of(i));
      }
      network.run(SECOND);
      expect(network.linkUps).toBe(ups);
      expect(linkOf(hub, original)!.channel!.endpoint.key).toBe(original.endpoint.key);
      expect(inbox.messages.length).toBe(50);
      expect(twinsOf(hub)).toBe(1);

      // Over by itself when the copy is gone.
      copy.crash();
      expect(network.until(() => twinsOf(hub) === 0, 15 * SECOND)).not.toBeNull();
      expect(network.linkUps).toBe(ups);
    },
  );

  test('when the kept one is gone the other has its link within 5 s, and keeps it', () => {
    const s = scene('they dial', { security });
    start(s);
    const { network, hub, original, copy } = s;
    copy.start();
    network.run(10 * SECOND);
    original.crash();
    expect(
      network.until(
        () => linkOf(hub, copy)!.channel?.endpoint.key === copy.endpoint.key,
        5 * SECOND,
      ),
    ).not.toBeNull();
    network.run(20 * SECOND);
    expect(twinsOf(hub)).toBe(0);
    expect(linkOf(hub, copy)!.channel!.endpoint.key).toBe(copy.endpoint.key);
  });

  test(
    'who says that it began first is kept wherever the two meet, ' + 'whichever was there first',
    () => {
      const s = scene('they dial', { security });
      s.copy.wallSkewUs = -60 * SECOND;
      start(s);
      s.copy.start();
      s.network.run(10 * SECOND);
      const [record] = [...s.hub.node.links.twins.records()];
      expect(record!.kept.endpoint.key).toBe(s.copy.endpoint.key);
      expect(linkOf(s.hub, s.copy)!.channel!.endpoint.key).toBe(s.copy.endpoint.key);
    },
  );

  test.each([0, 50, 200, 400, 700, 1_500])(
    'ten restarts, %i ms after each crash, are no copies',
    (pauseMs) => {
      const s = scene('both dial', { security });
      start(s);
      const { network, hub, original } = s;
      for (let i = 0; i < 10; i += 1) {
        if (i % 2 === 0) original.crash();
        else original.stop();
        network.run(pauseMs * MILLISECOND);
        original.start();
        network.run(Math.max(0, 1_000 - pauseMs) * MILLISECOND);
        expect(twinsOf(hub)).toBe(0);
      }
      network.run(5 * SECOND);
      expect(twinsOf(hub)).toBe(0);
      expect(linkOf(hub, original)!.up).toBe(true);
    },
  );

  test.each([5, 100, 300])(
    'a move to another machine is no copy, ' +
      'though what the first one sent is still on its way (%i ms)',
    (latencyMs) => {
      for (const pauseMs of [0, 100, 1_000]) {
        const s = scene('they dial', { security }, latencyMs * MILLISECOND);
        const { network, hub, original, copy } = s;
        start(s);
        // The second one is near.
        for (const one of [copy.wires.get(hub.endpoint.key)!, hub.wires.get(copy.endpoint.key)!])
          one.model.set({ ...one.model.settings, latencyUs: MILLISECOND });
        original.crash();
        network.run(pauseMs * MILLISECOND);
        copy.start();
        for (let i = 0; i < 100; i += 1) {
          network.run(100 * MILLISECOND);
          expect(twinsOf(hub)).toBe(0);
        }
        expect(linkOf(hub, copy)!.channel!.endpoint.key).toBe(copy.endpoint.key);
      }
    },
  );
});

test.each([1, 2, 3, 4, 5, 6])(
  'links and log stay quiet for a minute, whatever the seed (%i)',
  (seed) => {
    const s = scene('both dial', { seed });
    const warnings: string[] = [];
    s.hub.log = {
      debug() {},
      info() {},
      warn: (_fields, message) => warnings.push(message),
      error() {},
    };
    start(s);
    s.copy.start();
    s.network.run(60 * SECOND);
    expect(warnings.filter((text) => text.startsWith('one identity runs twice'))).toHaveLength(1);
    expect(s.network.linkUps).toBeLessThan(16);
    expect(warnings.length).toBeLessThan(8);
  },
);
