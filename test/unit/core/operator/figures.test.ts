/**
 * The registry of named figures: status has each, and bounds are those that the code keeps.
 */

import { describe, expect, test } from 'vitest';

import type { StatusReply } from 'spines-client/protocol';

import { defaultLimits } from '../../../../src/core/node/config.ts';
import { LIMBO_PACKETS_MAX } from '../../../../src/core/dissemination/limbo.ts';
import { QUEUE_FACTOR } from '../../../../src/core/link/send-queue.ts';
import { BOUNDS, FIGURES } from '../../../../src/core/operator/figures.ts';
import { OUTSTANDING_MAX } from '../../../../src/core/session/echo-service.ts';
import { asked } from '../../../support/administer.ts';
import { hosts, useNetworks } from '../../../support/network.ts';

useNetworks();

describe('figures', () => {
  test('status has each of them, in their order, and bounds with the limits in force', () => {
    const network = hosts(2);
    network.connect(network.host(0), network.host(1));
    const limits = { ...defaultLimits, clients: 7, reassemblyBytes: 1_234_567 };
    network.host(0).configure({ limits });
    network.settle();
    const { bounds, packets, routing } = asked(network.host(0), 'status') as StatusReply;
    expect(Object.keys(bounds)).toEqual(Object.keys(BOUNDS));
    expect(Object.keys(packets)).toEqual(Object.keys(FIGURES.packets));
    expect(Object.keys(routing)).toEqual(Object.keys(FIGURES.routing));
    expect(bounds['links']).toEqual([1, limits.links]);
    expect(bounds['nodes']).toEqual([2, limits.nodes]);
    expect(bounds['clients']).toEqual([0, 7]);
    expect(bounds['reassemblyBytes']).toEqual([0, 1_234_567]);
    expect(bounds['waitingForRoute']).toEqual([0, LIMBO_PACKETS_MAX]);
    expect(bounds['probes']).toEqual([0, OUTSTANDING_MAX]);
    expect(bounds['longestLinkQueueBytes']![1]).toBe(QUEUE_FACTOR * limits.linkQueueBytes);
  });

  test('each says what it is', () => {
    const all = [BOUNDS, ...Object.values(FIGURES)].flatMap((table) => Object.values(table));
    expect(all.map(({ text }) => text).filter((text) => !/^[a-z].{5,}[a-z]$/.test(text))).toEqual(
      [],
    );
  });
});
