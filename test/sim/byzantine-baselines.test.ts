/**
 * Byzantine routing beside four other ways to route, each under the adversary that theory says it
 * fails against.
 *
 * Small versions of the figures (`spines figures byzantine`), from the same laboratory.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { Advertisement } from '../../src/core/wire/link-state.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { disjointPaths } from '../../src/lab/experiments/baselines/disjoint.ts';
import { SILENCE_MAX } from '../../src/lab/experiments/baselines/on-demand.ts';
import { costRun, idleBytes } from '../../src/lab/experiments/byzantine-figures.ts';
import {
  grid,
  joinedWithout,
  Lab,
  pairsOf,
  ROUTERS,
  type Edge,
  type RouterName,
} from '../../src/lab/experiments/byzantine-figures-lab.ts';
import { cut, heal } from '../../src/lab/sim/faults.ts';

const MS = MILLISECOND;

/** From 0 to 5 over 1 and 2 (the quick way), over 3 and 4, and over 6, 7 and 8. */
const THREE_WAYS: readonly Edge[] = [
  ...[
    [0, 1],
    [1, 2],
    [2, 5],
  ].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 5 * MS })),
  ...[
    [0, 3],
    [3, 4],
    [4, 5],
  ].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 8 * MS })),
  ...[
    [0, 6],
    [6, 7],
    [7, 8],
    [8, 5],
  ].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 12 * MS })),
];

function threeWays(
  router: RouterName,
  options: { seed?: number; tunnels?: [number, number][] } = {},
): Lab {
  return new Lab({
    router,
    seed: options.seed ?? 1,
    nodes: 9,
    edges: THREE_WAYS,
    tunnels: options.tunnels ?? [],
  });
}

interface Phase {
  readonly sent: number;
  readonly delivered: number;
}

/** A flow from 0 to 5 for a while, and what came of it. */
function send(lab: Lab, seconds: number, service: number = SERVICE_BEST_EFFORT): Phase {
  const flow = lab.flow(0, 5, 50, 500, seconds * SECOND, service);
  lab.run((seconds + 1) * SECOND);
  return { sent: flow.sent, delivered: flow.meter.delivered };
}

describe('without adversaries', () => {
  test.each(ROUTERS)('%s delivers everything once, by both link services', (router) => {
    const lab = threeWays(router);
    const flows = [SERVICE_BEST_EFFORT, SERVICE_RELIABLE].map((service) =>
      lab.flow(0, 5, 100, 900, 2 * SECOND, service),
    );
    lab.run(4 * SECOND);
    for (const flow of flows)
      expect([flow.sent, flow.meter.delivered, flow.meter.duplicates, flow.foreign]).toEqual([
        200, 200, 0, 0,
      ]);
    for (const host of lab.world.hosts) expect(host.node.pool.inUse).toBe(0);
  });

  test('the same run gives the same trace', () => {
    const traces = [1, 1, 2].map((seed) => {
      const lab = threeWays('on-demand', { seed });
      send(lab, 2);
      return lab.world.traceHash;
    });
    expect(traces[0]).toBe(traces[1]);
    expect(traces[0]).not.toBe(traces[2]);
  });
});

describe('a black hole on the path', () => {
  test(
    'link state loses everything behind it for as long as it goes on, ' +
      'and nothing once it is over',
    () => {
      const lab = threeWays('link-state');
      const [bad] = lab.linkStatePath(0, 5);
      let on = true;
      lab.blackHole(bad!, false, () => on);
      expect(send(lab, 30).delivered).toBe(0);
      on = false;
      expect(send(lab, 5)).toEqual({ sent: 250, delivered: 250 });
    },
  );

  // Each fault costs ten losses and those under way; paper mode needs more faults, and keeps no
  // second path meanwhile.
  test.each([
    ['paper', 0.25],
    ['secure', 0.75],
  ] as const)(
    'Byzantine routing, %s mode, loses nothing once it has learnt, and delivers %d until then',
    (mode, least) => {
      const lab = threeWays(mode);
      for (const node of [1, 4]) lab.blackHole(node);
      const learning = send(lab, 20);
      expect(learning.delivered / learning.sent).toBeGreaterThan(least);
      expect(send(lab, 10)).toEqual({ sent: 500, delivered: 500 });
      const ids = [1, 4].map((node) => lab.host(node).id);
      for (const { u, v } of lab.host(0).node.byzantine!.convictions)
        expect(ids.includes(u) || ids.includes(v)).toBe(true);
    },
  );
});

describe('first arrival on demand', () => {
  test(
    'an adversary that hurries requests is on the path again and again; ' +
      'without hurry the source comes past it',
    () => {
      const share = (rush: boolean): number => {
        let [sent, delivered] = [0, 0];
        for (let seed = 1; seed <= 4; seed += 1) {
          // Two ways of the same length: who waits loses.
          const edges = [
            ...THREE_WAYS.slice(0, 3),
            ...THREE_WAYS.slice(0, 3).map(({ a, b }) => ({
              a: a === 0 ? 0 : a + 2,
              b: b === 5 ? 5 : b + 2,
              latencyUs: 6 * MS,
            })),
          ];
          const lab = new Lab({ router: 'on-demand', seed, nodes: 6, edges });
          for (const node of [3, 4]) lab.blackHole(node, rush);
          const phase = send(lab, 20);
          sent += phase.sent;
          delivered += phase.delivered;
        }
        return delivered / sent;
      };
      const [calm, rushed] = [share(false), share(true)];
      expect(calm).toBeGreaterThan(0.5);
      expect(rushed).toBeLessThan(0.2);
    },
  );

  test('a tunnel between colluders is the quickest way; Byzantine routing comes past it', () => {
    // Over 1, the tunnel and 4; the only clean way is the longest.
    const tunnels: [number, number][] = [[1, 4]];
    const results = (['on-demand', 'secure'] as const).map((router) => {
      const lab = threeWays(router, { tunnels });
      for (const node of [1, 4]) lab.blackHole(node, true);
      send(lab, 20);
      return send(lab, 10);
    });
    expect(results[0]).toEqual({ sent: 500, delivered: 0 });
    expect(results[1]).toEqual({ sent: 500, delivered: 500 });
  });

  test('gives a route up after silence, and after a link on it broke', () => {
    const lab = threeWays('on-demand');
    expect(send(lab, 2)).toEqual({ sent: 100, delivered: 100 });
    const flow = lab.flow(0, 5, 50, 500, 20 * SECOND);
    lab.run(SECOND);
    for (const [a, b] of [
      [1, 2],
      [3, 4],
    ] as const)
      cut(lab.host(a), lab.host(b));
    lab.run(20 * SECOND);
    const lost = flow.sent - flow.meter.delivered;
    expect(lost).toBeGreaterThan(0);
    // What was sent until the silence is noticed, and half a second for each of few requests.
    expect(lost).toBeLessThan(50 * (SILENCE_MAX / SECOND + 2));
    for (const [a, b] of [
      [1, 2],
      [3, 4],
    ] as const)
      heal(lab.host(a), lab.host(b));
  });
});

describe('two disjoint paths', () => {
  test('survive an adversary on one of them, and not one on each', () => {
    const lab = threeWays('disjoint');
    lab.blackHole(1);
    expect(send(lab, 10)).toEqual({ sent: 500, delivered: 500 });
    lab.blackHole(4);
    expect(send(lab, 10).delivered).toBe(0);
    const ours = threeWays('secure');
    for (const node of [1, 4]) ours.blackHole(node);
    send(ours, 20);
    expect(send(ours, 10)).toEqual({ sent: 500, delivered: 500 });
  });

  test('are the cheapest pair, even where the cheapest path is in neither', () => {
    // The cheapest path 1-2-3-4 uses up what both others need: Suurballe's example.
    const links: [number, number, number][] = [
      [1, 2, 1],
      [2, 3, 1],
      [3, 4, 1],
      [1, 3, 3],
      [2, 4, 3],
    ];
    const advertisements = [1, 2, 3, 4].map(
      (origin): Advertisement => ({
        origin,
        sequence: 1,
        leaving: false,
        name: '',
        facts: null,
        proof: null,
        bytes: new Uint8Array(0),
        links: links
          .flatMap(([a, b, cost]) =>
            a === origin
              ? [{ node: b, latency: cost, loss: 0 }]
              : b === origin
                ? [{ node: a, latency: cost, loss: 0 }]
                : [],
          )
          .sort((x, y) => x.node - y.node),
      }),
    );
    expect(
      disjointPaths(advertisements, 1, 4)
        .map((path) => path.join('-'))
        .sort(),
    ).toEqual(['2-4', '3-4']);
    expect(disjointPaths(advertisements, 1, 1)).toEqual([]);
    expect(disjointPaths(advertisements, 1, 9)).toEqual([]);
    // A line has one.
    expect(
      disjointPaths(
        advertisements.map((one) => ({
          ...one,
          links: one.links.filter(({ node }) => Math.abs(node - one.origin) === 1),
        })),
        1,
        4,
      ),
    ).toEqual([[2, 3, 4]]);
  });
});

describe('flooding', () => {
  test('survives whatever leaves one honest way, and costs several times the bytes', () => {
    const bad = [1, 6, 9];
    const edges = grid(4, 4, 5 * MS);
    expect(joinedWithout(edges, new Set(bad), 0, 15)).toBe(true);
    const lab = new Lab({ router: 'flooding', seed: 1, nodes: 16, edges, tunnels: pairsOf(bad) });
    for (const node of bad) lab.blackHole(node);
    const flow = lab.flow(0, 15, 50, 500, 4 * SECOND);
    lab.run(5 * SECOND);
    expect([flow.sent, flow.meter.delivered]).toEqual([200, 200]);
  });

  test(
    'cost over link state: flooding and disjoint paths a multiple, ' +
      'Byzantine routing a few percent',
    () => {
      const network = { nodes: 16, edges: grid(4, 4, 5 * MS), from: 0, to: 15 };
      const duration = 2 * SECOND;
      const idle = idleBytes(network, duration);
      const perByte = (router: RouterName): number => {
        const { wireBytes, payloadBytes } = costRun(
          network,
          router,
          SERVICE_RELIABLE,
          duration,
          idle,
        );
        return wireBytes / payloadBytes;
      };
      const shortest = perByte('link-state');
      const ratios = Object.fromEntries(
        (['flooding', 'disjoint', 'secure'] as const).map((router) => [
          router,
          perByte(router) / shortest,
        ]),
      );
      console.log(
        `bytes over link state, 4 x 4 grid, ${duration / SECOND} s with discovery: ${Object.entries(
          ratios,
        )
          .map(([router, ratio]) => `${router} ${ratio.toFixed(3)}`)
          .join(', ')}`,
      );
      expect(ratios.flooding).toBeGreaterThan(4);
      expect(ratios.disjoint).toBeGreaterThan(1.9);
      expect(ratios.secure).toBeLessThan(1.15);
    },
  );
});
