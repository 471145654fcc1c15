/**
 * What `spines explain`, `routes` and `graph` compute from what a daemon reports of its network:
 * the same ways as the daemon's own, and what would be taken instead.
 */

import { describe, expect, test } from 'vitest';
import type { LinksReply, NodesReply, RoutesReply } from 'spines-client';

import { layOut, type Place } from '../../src/cli/look/graph-layout.ts';
import { graphOf, toDot, toSvg } from '../../src/cli/look/graph.ts';
import { explain, formatExplanation } from '../../src/cli/look/explain.ts';
import { routesView } from '../../src/cli/look/routes.ts';
import { paintFor } from '../../src/cli/terminal/table.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { METRICS } from '../../src/core/node/config.ts';
import { Ways } from '../../src/core/operator/ways.ts';
import type { DirectionSettings } from '../../src/core/emulation/link-settings.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { asked } from '../support/administer.ts';
import { lossy, Network, randomGraph, useNetworks, wire } from '../support/network.ts';

useNetworks();

const someWire = (rng: Rng): DirectionSettings =>
  wire({ latencyUs: (1 + rng.below(20)) * MILLISECOND });

function reports(host: SimHost): { routes: RoutesReply; nodes: NodesReply; links: LinksReply } {
  return {
    routes: asked(host, 'routes') as RoutesReply,
    nodes: asked(host, 'nodes') as NodesReply,
    links: asked(host, 'links') as LinksReply,
  };
}

describe('ways from what a daemon reports', () => {
  test.each(METRICS)('are those of the daemon, by %s, and so is each way back', (metric) => {
    const network = randomGraph(9, 5, new Rng(5), someWire, { metric });
    network.settle();
    network.run(3 * SECOND);
    const host = network.host(0);
    const { routes, nodes } = reports(host);
    const ways = new Ways(nodes.nodes, metric);
    const view = routesView(routes, nodes, '10.0.0.1');
    for (const route of view.routes) {
      const way = ways.way('10.0.0.1', route.node)!;
      expect(way.cost).toBeCloseTo(route.cost!, -1);
      expect(way.costMs === null).toBe(route.costMs === null);
      expect(route.path!.length).toBe(route.hops! + 1);
      expect(route.path![1]!.node).toBe(route.nextHop);
      const { runnerUp } = route;
      if (runnerUp === null) continue;
      expect(runnerUp.path[1]!.node).not.toBe(route.nextHop);
      expect(runnerUp.path.at(-1)!.node).toBe(route.node);
      expect(new Set(runnerUp.path.map(({ node }) => node)).size).toBe(runnerUp.path.length);
      expect(runnerUp.cost).toBeGreaterThanOrEqual(route.cost! - 10);
    }
  });

  test('say which way is taken and why, what would be, and what is avoided', () => {
    const network = new Network();
    for (let i = 0; i < 4; i += 1) network.add();
    const [a, b, c, d] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    network.connect(a, b, wire({ latencyUs: 5 * MILLISECOND }));
    network.connect(b, d, wire({ latencyUs: 5 * MILLISECOND }));
    network.connect(a, c, lossy(0.4, 10 * MILLISECOND));
    network.connect(c, d, wire({ latencyUs: 10 * MILLISECOND }));
    network.settle();
    network.flow(a, c, { packetsPerSecond: 200, durationUs: 30 * SECOND });
    network.run(30 * SECOND);
    const found = explain('10.0.0.4', { ...reports(a), byzantine: null, self: '10.0.0.1' });
    expect(found.inUse?.path.map(({ name }) => name)).toEqual(['n0', 'n1', 'n3']);
    expect(found.inUse?.links.map(({ latencyMs }) => Math.round(latencyMs))).toEqual([5, 5]);
    expect(found.runnerUp?.path.map(({ name }) => name)).toEqual(['n0', 'n2', 'n3']);
    expect(found.runnerUp?.links[0]?.lossPct).toBeGreaterThan(25);
    expect(found.runnerUp?.links[0]?.lossMs).toBeGreaterThan(5);
    expect(found.avoided).toContainEqual({
      what: 'n0 to n2',
      why: expect.stringMatching(/^it loses \d+ %$/) as string,
    });
    const text = formatExplanation(found, paintFor({}, {}));
    expect(text).toMatch(/^n3 \(10\.0\.0\.4\): n1 > n3, 10\.\d ms, for \d/);
    expect(text).toMatch(/\nrunner-up: n2 > n3, \d+\.\d ms: \d+\.\d ms more\n/);
    expect(text).toMatch(/\nway back: n3 > n1 > n0, 10\.\d ms\n/);

    d.stop();
    network.run(2 * SECOND);
    const gone = explain('10.0.0.4', { ...reports(a), byzantine: null, self: '10.0.0.1' });
    expect(gone.inUse).toBeNull();
    expect(formatExplanation(gone, paintFor({}, {}))).toContain('not reachable');
  });
});

describe('a picture of the overlay', () => {
  test('has all nodes and links, apart from each other, and asks nobody for anything', () => {
    const network = randomGraph(14, 6, new Rng(5), someWire);
    network.settle();
    const graph = graphOf(reports(network.host(0)).nodes);
    expect(graph.nodes).toHaveLength(14);
    expect(graph.links).toHaveLength(network.world.wires.length / 2);
    const svg = toSvg(graph);
    expect(svg).toBe(toSvg(graph));
    expect(svg.match(/<circle /g)).toHaveLength(14);
    expect(svg.match(/<line /g)).toHaveLength(graph.links.length);
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|href|url\(|<script/);
    expect(toDot(graph).match(/ -- /g)).toHaveLength(graph.links.length);
  });

  test('escapes what nodes call themselves', () => {
    const name = 'a"b<c>&\\';
    const graph = graphOf({
      schema: 1,
      nodes: [
        {
          node: '10.0.0.1',
          name,
          reachable: true,
          self: true,
          sequence: 1,
          ageMs: 0,
          links: [{ node: '10.0.0.2', name: null, latencyMs: 1, lossPct: 20, confirmed: false }],
        },
      ],
    });
    expect(toSvg(graph)).toContain('a&quot;b&lt;c&gt;&amp;\\');
    expect(toDot(graph)).toContain('"a\\"b<c>&\\\\\\n10.0.0.1"');
    expect(graph.nodes[1]).toMatchObject({ id: '10.0.0.2', why: 'not heard' });
  });

  test('neighbours are near, others farther, parts beside each other', () => {
    const ring = Array.from({ length: 12 }, (_, i) => `r${i}`);
    const places = layOut(
      [...ring, 'x', 'y'],
      [...ring.map((node, i): [string, string] => [node, ring[(i + 1) % 12]!]), ['x', 'y']],
      100,
    );
    const apart = (a: string, b: string): number =>
      Math.hypot(places.get(a)!.x - places.get(b)!.x, places.get(a)!.y - places.get(b)!.y);
    for (let i = 0; i < 12; i += 1) {
      expect(apart(ring[i]!, ring[(i + 1) % 12]!)).toBeGreaterThan(50);
      expect(apart(ring[i]!, ring[(i + 1) % 12]!)).toBeLessThan(150);
    }
    expect(apart('r0', 'r6')).toBeGreaterThan(250);
    for (const node of ring) expect(apart(node, 'x')).toBeGreaterThan(100);
  });

  const ringOf = (count: number): [number, number][] =>
    Array.from({ length: count }, (_, i) => [i, (i + 1) % count]);
  const gridOf = (width: number, height: number): [number, number][] =>
    Array.from({ length: width * height }, (_, i): [number, number][] => [
      ...(i % width < width - 1 ? [[i, i + 1] as [number, number]] : []),
      ...(i + width < width * height ? [[i, i + width] as [number, number]] : []),
    ]).flat();
  const star: [number, number][] = Array.from({ length: 6 }, (_, i) => [0, i + 1]);

  test.each([
    ['a ring of 4', 4, ringOf(4)],
    ['a ring of 5', 5, ringOf(5)],
    ['a ring of 12', 12, ringOf(12)],
    ['a grid', 9, gridOf(3, 3)],
    ['a star', 7, star],
  ])('no two links of %s cross, whatever the order of its nodes', (_what, count, edges) => {
    const rng = new Rng(3);
    for (let round = 0; round < 20; round += 1) {
      const names = Array.from({ length: count }, (_, i) => `n${i}`);
      for (let i = count - 1; i > 0; i -= 1) {
        const j = rng.below(i + 1);
        [names[i], names[j]] = [names[j]!, names[i]!];
      }
      const links = edges.map(([a, b]): [string, string] => [names[a]!, names[b]!]);
      const places = layOut(names.toSorted(), links, 130);
      const side = (p: Place, q: Place, r: Place): number =>
        Math.sign((q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x));
      for (const [a, b] of links) {
        for (const [c, d] of links) {
          if (new Set([a, b, c, d]).size < 4) continue;
          const [pa, pb, pc, pd] = [a, b, c, d].map((name) => places.get(name)!) as [
            Place,
            Place,
            Place,
            Place,
          ];
          const cross =
            side(pa, pb, pc) !== side(pa, pb, pd) && side(pc, pd, pa) !== side(pc, pd, pb);
          expect(cross, `${a}-${b} and ${c}-${d} of ${names.join(' ')}`).toBe(false);
        }
      }
    }
  });
});
