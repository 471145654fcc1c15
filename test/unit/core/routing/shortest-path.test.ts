/**
 * Dijkstra against Floyd and Warshall: costs, first hops, one-sided links, and independence of the
 * order of input.
 */

import { describe, expect, test } from 'vitest';

import { SECOND } from '../../../../src/core/base/time.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { linkCost, METRICS } from '../../../../src/core/routing/metrics.ts';
import { OnTheWay, WAYS_MAX } from '../../../../src/core/routing/on-the-way.ts';
import { advertises, computeShortestPaths } from '../../../../src/core/routing/shortest-path.ts';
import {
  makeAdvertisement,
  type AdvertisedLink,
  type Advertisement,
} from '../../../../src/core/wire/link-state.ts';

function randomAdvertisements(count: number, rng: Rng): Advertisement[] {
  return Array.from({ length: count }, (_, i) => {
    const links: AdvertisedLink[] = [];
    for (let k = 0; k < count; k += 1) {
      if (k !== i && rng.chance(0.3))
        links.push({
          node: k + 1,
          latency: rng.below(400),
          loss: rng.chance(0.5) ? rng.below(65_536) : 0,
        });
    }
    return makeAdvertisement(i + 1, 1, false, '', links);
  });
}

/** All costs at once, by the textbook. */
function allCosts(
  ads: readonly Advertisement[],
  cost: (link: AdvertisedLink) => number,
): number[][] {
  const n = ads.length;
  const d = ads.map((ad, i) =>
    ads.map((other, k) => {
      if (i === k) return 0;
      const link = ad.links.find((l) => l.node === other.origin);
      return link !== undefined && other.links.some((l) => l.node === ad.origin)
        ? cost(link)
        : Infinity;
    }),
  );
  for (let via = 0; via < n; via += 1) {
    for (let i = 0; i < n; i += 1) {
      for (let k = 0; k < n; k += 1) d[i]![k] = Math.min(d[i]![k]!, d[i]![via]! + d[via]![k]!);
    }
  }
  return d;
}

test.each(METRICS)(
  'a node is on the way by %s exactly when it is on one of the shortest',
  (metric) => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const rng = new Rng(seed);
      const ads = randomAdvertisements(2 + rng.below(14), rng);
      const truth = allCosts(ads, (link) => linkCost(link, metric)),
        of = new Map(ads.map((ad) => [ad.origin, ad]));
      const paths = computeShortestPaths(1, ads, metric),
        way = new OnTheWay();
      let now = 0;
      for (let turn = 0; turn < 2; turn += 1) {
        ads.forEach((one, i) =>
          ads.forEach((other, k) => {
            const on = truth[0]![k]! < Infinity && truth[0]![i]! + truth[i]![k]! === truth[0]![k];
            expect(
              // An hour apart: nobody asks for too much.
              way.has(
                one.origin,
                other.origin,
                paths,
                metric,
                (node) => of.get(node) ?? null,
                (now += 3_600 * SECOND),
              ),
              `seed ${seed}, ${i} to ${k}`,
            ).toBe(on);
          }),
        );
      }
      expect(way.has(77, 1, paths, metric, () => null, now)).toBe(false);
    }
  },
);

test('who asks of many destinations has few walks, and others theirs', () => {
  const ads = randomAdvertisements(400, new Rng(5)),
    of = new Map(ads.map((ad) => [ad.origin, ad])),
    paths = computeShortestPaths(1, ads, 'hops'),
    way = new OnTheWay(),
    costs = ads.map(({ origin }) => paths.cost[paths.indexOf.get(origin)!]!),
    greedy = ads[costs.indexOf(Math.min(...costs.filter((cost) => cost > 0)))]!.origin;
  const ask = (node: number, destination: number, now: number): boolean =>
    way.has(node, destination, paths, 'hops', (one) => of.get(one) ?? null, now);
  // As far away as it gets, so that each is looked at.
  const far = ads.map(({ origin }) => origin).filter((_, i) => costs[i]! > 0);
  expect(far.length).toBeGreaterThan(2 * WAYS_MAX);
  for (let i = 0; i < 10_000; i += 1) ask(greedy, far[i % far.length]!, i * 100);
  expect(way.walked).toBeLessThan(3 * WAYS_MAX);
  // Both ends are on the way; whoever asks for one thing is answered.
  const walked = way.walked;
  for (const other of far.slice(0, 5))
    if (other !== greedy) expect(ask(other, other, SECOND)).toBe(true);
  expect(way.walked - walked).toBeLessThanOrEqual(5);
});

describe('shortest paths', () => {
  test.each(METRICS)(
    'by %s equal Floyd-Warshall on 40 random graphs, and first hops lie on shortest ways',
    (metric) => {
      for (let seed = 1; seed <= 40; seed += 1) {
        const rng = new Rng(seed);
        const ads = randomAdvertisements(2 + rng.below(14), rng);
        const cost = (link: AdvertisedLink): number => linkCost(link, metric);
        const truth = allCosts(ads, cost);
        ads.forEach((ad, i) => {
          const paths = computeShortestPaths(ad.origin, rng.shuffle([...ads]), metric);
          ads.forEach((_, k) => {
            expect(paths.cost[k], `seed ${seed}, ${i} to ${k}`).toBe(
              truth[i]![k] === Infinity ? -1 : truth[i]![k],
            );
            const hop = paths.firstHop[k]!;
            if (i === k || truth[i]![k] === Infinity) expect(hop).toBe(-1);
            else
              expect(
                cost(ad.links.find((l) => l.node === ads[hop]!.origin)!) + truth[hop]![k]!,
              ).toBe(truth[i]![k]);
          });
        });
      }
    },
  );

  test('do not depend on the order in which advertisements came', () => {
    const rng = new Rng(3);
    const ads = randomAdvertisements(20, rng);
    const first = computeShortestPaths(5, ads, 'hops');
    for (let i = 0; i < 20; i += 1)
      expect(computeShortestPaths(5, rng.shuffle([...ads]), 'hops')).toEqual(first);
  });

  test('are none for a node that is not in the database', () => {
    const paths = computeShortestPaths(99, randomAdvertisements(5, new Rng(1)), 'hops');
    expect([...paths.cost]).toEqual([-1, -1, -1, -1, -1]);
    expect([...paths.firstHop]).toEqual([-1, -1, -1, -1, -1]);
  });

  test('costs are whole, at least 1 and bounded at every latency and loss', () => {
    for (const metric of METRICS) {
      for (const latency of [0, 1, 65_535]) {
        for (const loss of [0, 1, 655, 32_768, 65_000, 65_535]) {
          const cost = linkCost({ node: 1, latency, loss }, metric);
          expect(
            Number.isInteger(cost) && cost >= 1 && cost <= 1_000_000,
            `${metric} ${latency} ${loss}: ${cost}`,
          ).toBe(true);
        }
      }
    }
  });

  test('advertises finds exactly the nodes that are listed', () => {
    const links = [2, 5, 9, 0x7fff_ffff, 0xdfff_ffff].map((node) => ({
      node,
      latency: 0,
      loss: 0,
    }));
    for (const { node } of links) expect(advertises(links, node)).toBe(true);
    for (const node of [1, 3, 8, 10, 0x8000_0000]) expect(advertises(links, node)).toBe(false);
    expect(advertises([], 1)).toBe(false);
  });
});
