/**
 * Disjoint paths against two oracles: every set of simple paths of small graphs, and a flow of
 * least cost by Bellman and Ford on larger ones.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { DisjointGraph, type DisjointPath } from '../../../../src/core/routing/disjoint.ts';
import {
  makeAdvertisement,
  type AdvertisedLink,
  type Advertisement,
} from '../../../../src/core/wire/link-state.ts';

const GRAPHS = process.env['SPINES_LONG'] === '1' ? 1_000 : 150;

/** Nodes 1..count; each direction costs something else, and a few links have one side only. */
function randomGraph(count: number, degree: number, rng: Rng): Advertisement[] {
  const links: AdvertisedLink[][] = Array.from({ length: count + 1 }, () => []);
  for (let a = 1; a <= count; a += 1)
    for (let b = a + 1; b <= count; b += 1) {
      if (!rng.chance(degree / count)) continue;
      links[a]!.push({ node: b, latency: 1 + rng.below(100), loss: 0 });
      if (rng.chance(0.95)) links[b]!.push({ node: a, latency: 1 + rng.below(100), loss: 0 });
    }
  return links.slice(1).map((of, i) =>
    makeAdvertisement(
      i + 1,
      1,
      false,
      '',
      of.sort((x, y) => x.node - y.node),
    ),
  );
}

const latency = (link: AdvertisedLink): number => link.latency;

function costs(graph: readonly Advertisement[]): (number | undefined)[][] {
  const matrix: (number | undefined)[][] = graph.map(() => []);
  graph.forEach(({ origin, links }) => {
    for (const link of links)
      if (graph[link.node - 1]!.links.some(({ node }) => node === origin))
        (matrix[origin - 1] ??= [])[link.node - 1] = link.latency;
  });
  return matrix;
}

/**
 * Least total of 1, 2, ... disjoint paths from the first node to the last, as many as there are.
 */
function byFlow(graph: readonly Advertisement[], most: number): number[] {
  const n = graph.length;
  const arcs: { a: number; b: number; cost: number; room: boolean }[] = [];
  const add = (a: number, b: number, cost: number): void => {
    arcs.push({ a, b, cost, room: true }, { a: b, b: a, cost: -cost, room: false });
  };
  for (let i = 0; i < n; i += 1) add(i, n + i, 0);
  costs(graph).forEach((row, i) =>
    row.forEach((cost, k) => {
      if (cost !== undefined) add(n + i, k, cost);
    }),
  );
  const totals: number[] = [];
  for (let total = 0; totals.length < most; totals.push(total)) {
    const best = new Array<number>(2 * n).fill(Infinity);
    const by = new Array<number>(2 * n).fill(-1);
    best[n] = 0;
    for (let changed = true; changed; ) {
      changed = false;
      arcs.forEach(({ a, b, cost, room }, arc) => {
        if (!room || best[a]! + cost >= best[b]!) return;
        best[b] = best[a]! + cost;
        by[b] = arc;
        changed = true;
      });
    }
    if (best[n - 1] === Infinity) break;
    total += best[n - 1]!;
    for (let at = n - 1; at !== n; at = arcs[by[at]!]!.a) {
      arcs[by[at]!]!.room = false;
      arcs[by[at]! ^ 1]!.room = true;
    }
  }
  return totals;
}

/** The same by looking at every path and every set of them. */
function byAll(graph: readonly Advertisement[], most: number): number[] {
  const matrix = costs(graph),
    last = graph.length - 1;
  const paths: { inside: number; cost: number; direct: boolean }[] = [];
  const walk = (at: number, inside: number, cost: number, hops: number): void => {
    matrix[at]!.forEach((step, next) => {
      if (step === undefined || next === 0 || (inside & (1 << next)) !== 0) return;
      if (next === last) paths.push({ inside, cost: cost + step, direct: hops === 0 });
      else walk(next, inside | (1 << next), cost + step, hops + 1);
    });
  };
  walk(0, 0, 0, 0);
  const least = new Array<number>(most).fill(Infinity);
  const pick = (from: number, used: number, direct: boolean, cost: number, count: number): void => {
    if (count > 0) least[count - 1] = Math.min(least[count - 1]!, cost);
    if (count === most) return;
    for (let i = from; i < paths.length; i += 1) {
      const path = paths[i]!;
      if ((path.inside & used) === 0 && !(path.direct && direct))
        pick(i + 1, used | path.inside, direct || path.direct, cost + path.cost, count + 1);
    }
  };
  pick(0, 0, false, 0, 0);
  return least.filter((cost) => cost < Infinity);
}

/** Paths are such, disjoint, and cost what they say; the sum of that. */
function total(graph: readonly Advertisement[], paths: readonly DisjointPath[]): number {
  const matrix = costs(graph);
  const inside = paths.flatMap(({ nodes }) => nodes.slice(0, -1));
  expect(new Set(inside).size).toBe(inside.length);
  expect(inside).not.toContain(1);
  for (const { nodes, cost } of paths) {
    let sum = 0;
    [1, ...nodes].reduce((a, b) => {
      sum += matrix[a - 1]![b - 1]!;
      return b;
    });
    expect([nodes.at(-1), sum]).toEqual([graph.length, cost]);
  }
  expect(paths.map(({ cost }) => cost)).toEqual(
    paths.map(({ cost }) => cost).sort((a, b) => a - b),
  );
  return paths.reduce((sum, { cost }) => sum + cost, 0);
}

describe('disjoint paths', () => {
  test('cost together what the best set of all paths of a small graph costs', () => {
    const rng = new Rng(1);
    for (let i = 0; i < 200; i += 1) {
      const graph = randomGraph(4 + rng.below(4), 4, rng);
      const disjoint = new DisjointGraph(graph, latency);
      const expected = byAll(graph, 3);
      for (let most = 1; most <= 3; most += 1) {
        const paths = disjoint.paths(1, graph.length, most);
        expect(paths.length).toBe(Math.min(most, expected.length));
        expect(total(graph, paths)).toBe(expected[paths.length - 1] ?? 0);
      }
    }
  });

  test('1 to 5 of them cost what a flow of least cost does, in graphs of 50 nodes', () => {
    const rng = new Rng(2);
    const found = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < GRAPHS; i += 1) {
      const graph = randomGraph(50, 2 + rng.below(7), rng);
      const expected = byFlow(graph, 5);
      const disjoint = new DisjointGraph(graph, latency);
      for (let most = 5; most >= 1; most -= 1) {
        const paths = disjoint.paths(1, 50, most);
        expect(paths.length).toBe(Math.min(most, expected.length));
        expect(total(graph, paths)).toBe(expected[paths.length - 1] ?? 0);
      }
      found[expected.length]! += 1;
    }
    // All numbers occur.
    expect(found.every((count) => count > GRAPHS / 100)).toBe(true);
  });

  test('there are none to nowhere and to where one is; a direct link is one, and one only', () => {
    const graph = [
      makeAdvertisement(1, 1, false, '', [
        { node: 2, latency: 9, loss: 0 },
        { node: 3, latency: 1, loss: 0 },
      ]),
      makeAdvertisement(2, 1, false, '', [
        { node: 1, latency: 9, loss: 0 },
        { node: 3, latency: 1, loss: 0 },
      ]),
      makeAdvertisement(3, 1, false, '', [
        { node: 1, latency: 1, loss: 0 },
        { node: 2, latency: 1, loss: 0 },
      ]),
      makeAdvertisement(4, 1, false, '', []),
    ];
    const disjoint = new DisjointGraph(graph, latency);
    expect(disjoint.paths(1, 1, 5)).toEqual([]);
    expect(disjoint.paths(1, 4, 5)).toEqual([]);
    expect(disjoint.paths(1, 9, 5)).toEqual([]);
    expect(disjoint.paths(1, 2, 5)).toEqual([
      { nodes: [3, 2], cost: 2 },
      { nodes: [2], cost: 9 },
    ]);
  });
});
