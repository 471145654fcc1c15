/**
 * Route discovery among honest nodes: the lightest path by the source's weights, at a bounded
 * price.
 */

import { describe, expect, test } from 'vitest';

import { equalBytes } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import { ALTERNATES_MAX, pathId } from '../../../../src/core/byzantine/discovered-path.ts';
import { discoveryTimeout, IMPROVEMENTS_MAX } from '../../../../src/core/byzantine/discovery.ts';
import { LIVE_PER_SOURCE } from '../../../../src/core/byzantine/request-table.ts';
import { VerifiedPrefixes } from '../../../../src/core/byzantine/verified.ts';
import { cheapPrimitives } from '../../../../src/lab/sim/cheap-primitives.ts';
import {
  decodeRouteRequest,
  ROUTE_REQUEST,
  ROUTE_WEIGHTS_MAX,
  routeLinkWeight,
  type RouteWeight,
} from '../../../../src/core/wire/discovery.ts';
import {
  Lab,
  lightest,
  randomGraph,
  randomWeights,
  steadyDelays,
  type Edge,
} from './discovery-lab.ts';

const chain = (size: number): Edge[] =>
  Array.from({ length: size - 1 }, (_, i) => [i + 1, i + 2] as const);

function weightOf(weights: readonly RouteWeight[], nodes: readonly number[]): number {
  let total = 0;
  for (let i = 1; i < nodes.length; i += 1)
    total += routeLinkWeight(weights, nodes[i - 1]!, nodes[i]!);
  return total;
}

describe('a discovery', () => {
  test.each([
    [12, 14, 40],
    [50, 75, 15],
  ])('finds the lightest path among %i nodes, and each node sends little', (size, extra, runs) => {
    for (let seed = 1; seed <= runs; seed += 1) {
      const rng = new Rng(seed);
      const edges = randomGraph(rng, size, extra);
      const weights = randomWeights(
        rng,
        edges,
        Math.min(edges.length / 2, ROUTE_WEIGHTS_MAX),
        5,
      ).sort((x, y) => x.u - y.u || x.v - y.v);
      const lab = new Lab(size, edges, { seed, delay: steadyDelays(seed, 10 * MILLISECOND) });
      const source = lab.at(1);
      source.discovery.discover(size, weights);
      lab.run(discoveryTimeout(size));
      const [best, ...others] = source.discovery.paths(size);
      expect(best!.weight, `seed ${seed}`).toBe(lightest(size, edges, weights, 1, size));
      expect(source.best).toBe(best);
      for (const path of [best!, ...others]) {
        expect(path.nodes[0]).toBe(1);
        expect(path.nodes.at(-1)).toBe(size);
        expect(weightOf(weights, path.nodes)).toBe(path.weight);
        expect(new Set(path.nodes).size).toBe(path.nodes.length);
        for (let i = 1; i < path.nodes.length; i += 1)
          expect(lab.linked(path.nodes[i - 1]!, path.nodes[i]!)).toBe(true);
        expect(path.keys).toEqual(path.nodes.slice(1).map((node) => lab.at(node).exchangeKey));
        expect(equalBytes(path.id, pathId(cheapPrimitives, path.nodes))).toBe(true);
      }
      for (const station of lab.stations.values()) {
        expect(station.requestsSent).toBeLessThanOrEqual(station.neighbours.length);
        expect(station.responsesSent).toBeLessThanOrEqual(
          IMPROVEMENTS_MAX * station.neighbours.length,
        );
        expect(station.discovery.figures.refused).toBe(0);
      }
      // Strictly better from one to the next.
      const bests = source.found.filter((found) => found.best).map((found) => found.path.weight);
      for (let i = 1; i < bests.length; i += 1) expect(bests[i]!).toBeLessThan(bests[i - 1]!);
      expect(
        lab.dropsOf(
          'discoveryOverBudget',
          'routeResponseUnasked',
          'routeResponseForged',
          'routeRequestForged',
          'discoveryNodeUnknown',
        ),
      ).toBe(0);
    }
  });

  test('goes the same way every time', () => {
    const run = (): unknown => {
      const rng = new Rng(5);
      const edges = randomGraph(rng, 20, 20);
      const lab = new Lab(20, edges, { delay: steadyDelays(5, 10 * MILLISECOND) });
      lab.at(1).discovery.discover(20, randomWeights(rng, edges, 10, 5));
      lab.run(2 * SECOND);
      return [
        lab.traffic.length,
        lab.at(1).found.map(({ path, at }) => [path.nodes, at]),
        lab.at(7).discovery.figures,
      ];
    };
    expect(run()).toEqual(run());
  });

  test('between neighbours needs nobody in between', () => {
    const lab = new Lab(2, [[1, 2]]);
    lab.at(1).discovery.discover(2, [{ u: 1, v: 2, exponent: 3 }]);
    lab.run(SECOND / 10);
    expect(lab.at(1).best).toMatchObject({
      nodes: [1, 2],
      weight: 8,
      keys: [lab.at(2).exchangeKey],
    });
  });

  test('avoids a convicted link until every way round is heavier', () => {
    const edges: Edge[] = [
      [1, 2],
      [2, 6],
      [1, 3],
      [3, 4],
      [4, 5],
      [5, 6],
    ];
    for (let exponent = 1; exponent <= 4; exponent += 1) {
      const lab = new Lab(6, edges);
      lab.at(1).discovery.discover(6, [{ u: 2, v: 6, exponent }]);
      lab.run(SECOND);
      expect(lab.at(1).best!.nodes).toEqual(exponent < 2 ? [1, 2, 6] : [1, 3, 4, 5, 6]);
      expect(lab.at(1).best!.weight).toBe(exponent < 2 ? 3 : 4);
    }
  });

  test('reaches as far as 31 hops and no further', () => {
    const lab = new Lab(34, chain(34), { nodesMost: 50 });
    lab.at(1).discovery.discover(33, []);
    lab.at(1).discovery.discover(34, []);
    lab.run(SECOND);
    expect(lab.at(1).best!.nodes).toHaveLength(33);
    expect(lab.at(1).discovery.paths(34)).toEqual([]);
    expect(lab.dropsOf('ttlExpired')).toBe(1);
  });

  test('keeps other paths that share little with the best', () => {
    // Twelve ways of two hops, and one of three that shares a node with the best.
    const edges: Edge[] = [];
    for (let middle = 3; middle <= 14; middle += 1) edges.push([1, middle], [2, middle]);
    edges.push([3, 15], [2, 15]);
    const lab = new Lab(15, edges);
    lab.at(1).discovery.discover(2, [{ u: 1, v: 4, exponent: 2 }]);
    lab.run(SECOND);
    const [best, ...others] = lab.at(1).discovery.paths(2);
    expect(best!.weight).toBe(2);
    expect(others).toHaveLength(ALTERNATES_MAX);
    for (const other of others)
      expect(other.nodes.slice(1, -1).every((node) => !best!.nodes.includes(node))).toBe(true);
  });

  test('passes on what gets lighter within the interval once', () => {
    // Five ways from 2 to 9, each lighter and a millisecond later than the one before; all come to
    // 8.
    const edges: Edge[] = [
      [1, 8],
      [2, 3],
      [2, 4],
      [2, 5],
      [2, 6],
      [2, 7],
      [3, 8],
      [4, 8],
      [5, 8],
      [6, 8],
      [7, 8],
    ];
    const weights = [3, 4, 5, 6, 7].map((node) => ({ u: 2, v: node, exponent: 8 - node + 1 }));
    const lab = new Lab(8, edges, {
      delay: (from, to) => (from === 2 ? to : from === 8 ? 20 : 1) * MILLISECOND,
    });
    lab.at(1).discovery.discover(2, weights);
    lab.run(SECOND);
    expect(lab.at(8).discovery.figures.responsesForwarded).toBe(2);
    expect(lab.at(1).best!.nodes).toEqual([1, 8, 7, 2]);
  });

  test('costs signatures only where something is new', () => {
    const run = (prefixCache: boolean): number => {
      let verified = 0;
      for (let seed = 1; seed <= 5; seed += 1) {
        const rng = new Rng(seed);
        const edges = randomGraph(rng, 50, 75);
        const lab = new Lab(50, edges, {
          delay: steadyDelays(seed, 10 * MILLISECOND),
          options: { outerFirst: true, prefixCache },
        });
        lab.at(1).discovery.discover(50, []);
        lab.run(3 * SECOND);
        for (const station of lab.stations.values()) verified += station.discovery.figures.verified;
      }
      return verified / 5;
    };
    const [without, cached] = [run(false), run(true)];
    expect(cached).toBeLessThan(without * 0.9);
    expect(cached).toBeLessThan(400);
  });

  test.each([
    { outerFirst: false, prefixCache: false },
    { outerFirst: false, prefixCache: true },
  ])('finds the same in the order of the paper: %o', (options) => {
    const rng = new Rng(4);
    const edges = randomGraph(rng, 30, 40);
    const weights = randomWeights(rng, edges, 20, 4);
    const lab = new Lab(30, edges, { delay: steadyDelays(4, 10 * MILLISECOND), options });
    lab.at(1).discovery.discover(30, weights);
    lab.run(3 * SECOND);
    expect(lab.at(1).best!.weight).toBe(lightest(30, edges, weights, 1, 30));
  });
});

describe('asking', () => {
  const requestsOf = (lab: Lab, source: number): number => lab.at(source).discovery.figures.asked;

  test('goes on, more and more rarely, until there is a path', () => {
    const lab = new Lab(3, [[1, 2]]);
    const times: number[] = [];
    lab.at(2).behaviour = () => times.push(lab.now());
    lab.at(1).discovery.discover(3, []);
    lab.run(600 * SECOND);
    const gaps = times.slice(1).map((at, i) => at - times[i]!);
    for (let i = 1; i < gaps.length; i += 1)
      expect(gaps[i]!).toBeGreaterThan(Math.min(gaps[i - 1]! * 1.5, 59 * SECOND));
    expect(gaps.at(-1)!).toBeGreaterThan(59 * SECOND);
    expect(times.length).toBeLessThan(20);
    lab.at(1).discovery.abandon(3);
    lab.run(600 * SECOND);
    expect(lab.timers.size).toBe(0);
  });

  test('ends with a path, and begins anew when that has failed', () => {
    const lab = new Lab(4, [
      [1, 2],
      [2, 4],
      [1, 3],
      [3, 4],
    ]);
    const { discovery } = lab.at(1);
    lab.at(2).behaviour = lab.at(3).behaviour = () => {};
    discovery.discover(4, []);
    lab.run(10 * SECOND);
    lab.at(3).behaviour = null;
    lab.run(60 * SECOND);
    expect(lab.at(1).best!.nodes).toEqual([1, 3, 4]);
    const asked = requestsOf(lab, 1);
    lab.run(600 * SECOND);
    expect(requestsOf(lab, 1)).toBe(asked);
    lab.at(2).behaviour = null;
    discovery.discover(4, [{ u: 1, v: 3, exponent: 3 }]);
    expect(discovery.paths(4)[0]!.nodes).toEqual([1, 3, 4]);
    lab.run(SECOND);
    expect(discovery.paths(4).map((path) => path.weight)).toEqual([2, 9]);
    expect(discovery.paths(4)[0]!.nodes).toEqual([1, 2, 4]);
  });

  test('for one destination is rare, however often it is wanted', () => {
    const lab = new Lab(2, [[1, 2]]);
    for (let i = 0; i < 3_000; i += 1) {
      lab.at(1).discovery.discover(2, []);
      lab.run(10 * MILLISECOND);
    }
    expect(requestsOf(lab, 1)).toBeLessThanOrEqual(32);
    expect(requestsOf(lab, 1)).toBeGreaterThanOrEqual(29);
  });

  test('for everybody at once is paced so that all are found', () => {
    const size = 80;
    const rng = new Rng(6);
    const lab = new Lab(size, randomGraph(rng, size, 80), {
      delay: steadyDelays(6, 5 * MILLISECOND),
    });
    for (let id = 2; id <= size; id += 1) lab.at(1).discovery.discover(id, []);
    lab.run(20 * SECOND);
    for (let id = 2; id <= size; id += 1)
      expect(lab.at(1).discovery.paths(id).length, String(id)).toBeGreaterThan(0);
    expect(requestsOf(lab, 1)).toBe(size - 1);
    expect(lab.at(size).sources.at(-1)).toEqual({
      source: 1,
      epoch: 1,
      key: lab.at(1).exchangeKey,
    });
    for (const station of lab.stations.values())
      expect(station.discovery.figures.live).toBeLessThanOrEqual(LIVE_PER_SOURCE);
    expect(lab.dropsOf('discoveryOverBudget', 'routeResponseUnasked')).toBe(0);
  });

  test('carries the heaviest of too many weights', () => {
    const lab = new Lab(2, [[1, 2]]);
    lab.at(1).discovery.discover(
      2,
      Array.from({ length: 200 }, (_, i) => ({ u: 10, v: 11 + i, exponent: 1 + (i % 10) })),
    );
    const { bytes } = lab.traffic[0]!;
    const request = decodeRouteRequest(bytes, 0, bytes.length);
    expect(bytes[0]).toBe(ROUTE_REQUEST);
    expect(typeof request === 'object' && request.weights.length).toBe(ROUTE_WEIGHTS_MAX);
  });

  test('stops', () => {
    const lab = new Lab(12, randomGraph(new Rng(7), 12, 12));
    for (const station of lab.stations.values())
      station.discovery.discover(1 + (station.id % 12), []);
    lab.run(3 * MILLISECOND);
    for (const station of lab.stations.values()) station.discovery.stop();
    const sent = lab.traffic.length;
    lab.run(100 * SECOND);
    expect(lab.timers.size).toBe(0);
    expect(lab.traffic.length).toBe(sent);
    lab.at(1).discovery.discover(2, []);
    lab.run(SECOND);
    expect(lab.traffic.length).toBe(sent);
  });
});

test('the names least recently used are forgotten', () => {
  const names = new VerifiedPrefixes(3);
  for (const name of ['a', 'b', 'c']) names.add(name);
  expect(names.has('a')).toBe(true);
  names.add('d');
  expect(['a', 'b', 'c', 'd'].map((name) => names.has(name))).toEqual([true, false, true, true]);
  expect(names.size).toBe(3);
  names.clear();
  expect(names.has('a')).toBe(false);
});
