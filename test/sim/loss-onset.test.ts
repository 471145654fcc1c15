/**
 * A link that begins to lose: everybody knows it by a dozen datagrams, and by hellos alone within
 * two seconds; one outage, and the losses of every day, are no onset.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { hosts, useNetworks, wire } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;

/** Three nodes in a ring, 10 ms apart, with `pps` from the first to the second. */
function ring(pps: number, seed: number) {
  const network = hosts(3, { security: 'none', seed });
  const [one, two, three] = network.hosts as [SimHost, SimHost, SimHost];
  const half = wire({ latencyUs: 10 * MS });
  network.connect(one, two, half);
  network.connect(two, three, half);
  network.connect(one, three, half);
  network.settle();
  if (pps > 0) network.flow(one, two, { packetsPerSecond: pps, durationUs: 60 * SECOND });
  network.run(8 * SECOND);
  /** What the third node knows of the link from the first to the second, 0..1. */
  const told = (): number => {
    const links = three.node.router.advertisementOf(one.id)?.links ?? [];
    return (links.find(({ node }) => node === two.id)?.loss ?? 0) / 65_535;
  };
  return { network, told };
}

/** Loss of both directions of the first link, 0..1. */
function lose({ network }: ReturnType<typeof ring>, rate: number): void {
  for (let way = 0; way < 2; way += 1)
    network.world.wires[way]!.model.set({ loss: { kind: 'bernoulli', rate } });
}

/** How long until it is known that more than 2 % is lost; `most`: it is not. */
function knownAfter(made: ReturnType<typeof ring>, most: Micros): Micros {
  const began = made.network.world.now();
  while (made.told() <= 0.02 && made.network.world.now() - began < most) made.network.run(10 * MS);
  return made.network.world.now() - began;
}

describe('40 % of both directions', () => {
  test.each([
    [0, 1_200, 2_500],
    [60, 350, 900],
    [1_000, 200, 500],
  ])('at %d packets/s are known within %d ms on the average', (pps, mean, most) => {
    const times = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => {
      const made = ring(pps, seed);
      lose(made, 0.4);
      return knownAfter(made, 5 * SECOND) / MS;
    });
    expect(times.reduce((sum, each) => sum + each) / times.length).toBeLessThanOrEqual(mean);
    expect(Math.max(...times)).toBeLessThanOrEqual(most);
  });
});

describe('no onset', () => {
  test.each([0, 60])('is an outage of 100 ms at %d packets/s', (pps) => {
    const made = ring(pps, 1);
    lose(made, 1);
    made.network.run(100 * MS);
    lose(made, 0);
    expect(knownAfter(made, 500 * MS)).toBe(500 * MS);
  });

  test.each([0, 60, 1_000])('is one in a hundred at %d packets/s', (pps) => {
    const made = ring(pps, 2);
    lose(made, 0.01);
    expect(knownAfter(made, 40 * SECOND)).toBe(40 * SECOND);
  });
});
