/**
 * Route discovery among nodes that lie: what they say is refused or changes nothing, and what it
 * costs is bounded.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../../../src/core/base/time.ts';
import { draw } from '../../../../src/core/crypto/keys.ts';
import { IMPROVEMENTS_MAX } from '../../../../src/core/byzantine/discovery.ts';
import { LIVE_PER_SOURCE } from '../../../../src/core/byzantine/request-table.ts';
import {
  ROUTE_HOP_LABEL,
  ROUTE_REQUEST_LABEL,
  ROUTE_RESPONSE_LABEL,
} from '../../../../src/core/byzantine/verified.ts';
import { cheapPrimitives } from '../../../../src/lab/sim/cheap-primitives.ts';
import {
  appendRouteHop,
  decodeRouteRequest,
  makeRouteRequest,
  makeRouteResponse,
  ROUTE_REQUEST,
  ROUTE_RESPONSE,
  ROUTE_WEIGHTS_MAX,
  type RouteRequest,
  type RouteWeight,
} from '../../../../src/core/wire/discovery.ts';
import {
  decoded,
  Lab,
  lightest,
  randomGraph,
  randomWeights,
  steadyDelays,
  type Edge,
  type Station,
} from './discovery-lab.ts';

const chain = (size: number): Edge[] =>
  Array.from({ length: size - 1 }, (_, i) => [i + 1, i + 2] as const);

function requestIn(bytes: Uint8Array): RouteRequest {
  const request = decodeRouteRequest(bytes, 0, bytes.length);
  if (typeof request === 'number') throw new Error(`no request: ${request}`);
  return request;
}

/** A genuine request of `station`. */
function requestOf(
  station: Station,
  destination: number,
  sequence: number,
  weights: readonly RouteWeight[] = [],
  epoch = 1,
): Uint8Array {
  const content = {
    source: station.id,
    destination,
    epoch,
    sequence,
    key: station.exchangeKey,
    weights,
  };
  return makeRouteRequest(content, station.signer(ROUTE_REQUEST_LABEL)).bytes;
}

/** What `from` said to `to`, the last of its kind. */
function lastSaid(lab: Lab, type: number, from: number, to: number): Uint8Array {
  return lab.traffic.findLast(
    (message) => message.bytes[0] === type && message.from === from && message.to === to,
  )!.bytes;
}

/** Names of the drops that `action` causes at `station`. */
function dropsDuring(station: Station, action: () => void): string[] {
  const before = station.drops.snapshot();
  action();
  return Object.entries(station.drops.snapshot())
    .filter(([name, count]) => count !== (before[name] ?? 0))
    .map(([name]) => name);
}

describe('liars in between', () => {
  test('that are first gain nothing (A6)', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const rng = new Rng(seed);
      const edges = randomGraph(rng, 20, 25);
      const rushers = new Set(rng.shuffle([3, 4, 5, 6, 7, 8, 9]).slice(0, 4));
      const weights = edges
        .filter(([a, b]) => rushers.has(a) || rushers.has(b))
        .map(([u, v]) => ({ u, v, exponent: 3 }));
      const steady = steadyDelays(seed, 20 * MILLISECOND);
      const lab = new Lab(20, edges, {
        seed,
        delay: (from, to) => (rushers.has(from) || rushers.has(to) ? 1 : steady(from, to)),
      });
      for (const node of rushers) {
        // Verifies nothing, waits for nothing, improves every time.
        lab.at(node).behaviour = (station, bytes, from) => {
          const passed =
            bytes[0] === ROUTE_REQUEST
              ? bytes
              : decoded(bytes).hops.some((hop) => hop.node === station.id)
                ? null
                : station.signInto(decoded(bytes));
          if (passed !== null && lab.traffic.length < 20_000)
            for (const neighbour of station.neighbours)
              if (neighbour !== from) station.send(neighbour, passed);
        };
      }
      lab.at(1).discovery.discover(20, weights);
      lab.run(2 * SECOND);
      expect(lab.at(1).best!.weight, `seed ${seed}`).toBe(lightest(20, edges, weights, 1, 20));
    }
  });

  test('cannot pass on a response with its end cut off (A9)', () => {
    const lab = new Lab(6, [...chain(6), [2, 4]]);
    // 2 hears of 5-4-3 and 5-4 and hides all behind 5.
    lab.at(2).behaviour = (station, bytes, from) => {
      if (bytes[0] === ROUTE_REQUEST) return station.obey(bytes, from);
      const cut = bytes.slice(0, 248);
      cut[147] = 1;
      station.send(1, cut);
    };
    lab.at(1).discovery.discover(6, []);
    lab.run(SECOND);
    expect(lab.at(1).found).toEqual([]);
    expect(lab.at(1).drops.snapshot()).toMatchObject({
      routeResponseForged: expect.any(Number) as number,
    });
    expect(lab.at(1).discovery.figures.verified).toBe(0);
  });

  test.each([
    ['of no order', new Uint8Array(32)],
    ['of order one, with the top bit set', new Uint8Array(32).fill(1, 0, 1).fill(0x80, 31)],
  ])('cannot stand in the way of a heavier path with a key %s', (_what, key) => {
    // 2 and 3 are all shorter ways.
    const lab = new Lab(6, [
      [1, 2],
      [2, 6],
      [1, 3],
      [3, 6],
      [3, 4],
      [1, 4],
      [4, 5],
      [5, 6],
      [2, 5],
    ]);
    for (const liar of [2, 3])
      lab.at(liar).behaviour = (station, bytes, from) => {
        if (bytes[0] === ROUTE_REQUEST) return station.obey(bytes, from);
        const response = decoded(bytes);
        if (response.hops.some((hop) => hop.node === station.id)) return;
        const lie = appendRouteHop(response, station.id, key, station.signer(ROUTE_HOP_LABEL));
        for (const neighbour of station.neighbours)
          if (neighbour !== from) station.send(neighbour, lie);
      };
    lab.at(1).discovery.discover(6, []);
    lab.run(2 * SECOND);
    expect(lab.at(1).best!.nodes).toEqual([1, 4, 5, 6]);
    for (const { path } of lab.at(1).found) expect(path.nodes).not.toContain(2);
    expect(lab.at(1).drops.snapshot()['routeResponseMalformed']).toBeGreaterThan(0);
  });

  test('cannot join what does not touch, where links are known (A9, A10)', () => {
    const run = (topology: boolean): Lab => {
      const lab = new Lab(6, chain(6), { topology });
      // 2 claims to be a neighbour of 5.
      lab.at(2).behaviour = (station, bytes, from) => {
        if (bytes[0] === ROUTE_REQUEST) return station.obey(bytes, from);
        const cut = bytes.slice(0, 248);
        cut[147] = 1;
        station.send(1, station.signInto(decoded(cut)));
      };
      lab.at(1).discovery.discover(6, []);
      lab.run(SECOND);
      return lab;
    };
    const [blind, knowing] = [run(false), run(true)];
    expect(blind.at(1).best!.nodes).toEqual([1, 2, 5, 6]);
    expect(knowing.at(1).found).toEqual([]);
    expect(knowing.dropsOf('routeResponseForged')).toBeGreaterThan(0);
  });

  const inventions: [string, (station: Station, request: RouteRequest) => Uint8Array, string][] = [
    [
      'be the destination',
      (station, request) => {
        const hash = cheapPrimitives.sha256(request.bytes);
        return station.signInto(
          decoded(
            makeRouteResponse(
              request,
              hash,
              station.exchangeKey,
              station.signer(ROUTE_RESPONSE_LABEL),
            ),
          ),
        );
      },
      'routeResponseForged',
    ],
    [
      'name a hop that did not sign',
      (station, request) => {
        const hash = cheapPrimitives.sha256(request.bytes);
        const bare = makeRouteResponse(
          request,
          hash,
          station.exchangeKey,
          station.signer(ROUTE_RESPONSE_LABEL),
        );
        return station.signInto(
          decoded(
            appendRouteHop(decoded(bare), 4, station.exchangeKey, station.signer(ROUTE_HOP_LABEL)),
          ),
        );
      },
      'routeResponseForged',
    ],
    [
      'name a hop that nobody has certified',
      (station, request) => {
        const hash = cheapPrimitives.sha256(request.bytes);
        const bare = makeRouteResponse(
          request,
          hash,
          station.exchangeKey,
          station.signer(ROUTE_RESPONSE_LABEL),
        );
        return station.signInto(
          decoded(
            appendRouteHop(decoded(bare), 77, station.exchangeKey, station.signer(ROUTE_HOP_LABEL)),
          ),
        );
      },
      'discoveryNodeUnknown',
    ],
    [
      'answer another request',
      (station, request) => {
        return station.signInto(
          decoded(
            makeRouteResponse(
              request,
              draw(new Rng(1), 32),
              station.exchangeKey,
              station.signer(ROUTE_RESPONSE_LABEL),
            ),
          ),
        );
      },
      'routeResponseUnasked',
    ],
  ];
  test.each(inventions)('cannot %s (A10)', (_what, invent, reason) => {
    const lab = new Lab(5, chain(5));
    // Twice: nothing of what was refused may be remembered as good.
    lab.at(2).behaviour = (station, bytes) => {
      for (let i = 0; i < 2 && bytes[0] === ROUTE_REQUEST; i += 1)
        station.send(1, invent(station, requestIn(bytes)));
    };
    lab.at(1).discovery.discover(5, []);
    lab.run(SECOND / 5);
    expect(lab.at(1).found).toEqual([]);
    expect(lab.at(1).drops.snapshot()).toEqual({ [reason]: 2 });
  });

  test('that say nothing are gone round, if there is a way round (A20)', () => {
    const outcomes = { found: 0, cut: 0 };
    for (let seed = 1; seed <= 60; seed += 1) {
      const rng = new Rng(seed);
      const edges = randomGraph(rng, 20, 6);
      const silent = new Set(
        rng.shuffle(Array.from({ length: 18 }, (_, i) => i + 2)).slice(0, 1 + rng.below(7)),
      );
      const weights = randomWeights(rng, edges, 10, 4);
      const lab = new Lab(20, edges, { seed, delay: steadyDelays(seed, 10 * MILLISECOND) });
      for (const node of silent) {
        // Half of them swallow everything, the others pass requests on and swallow responses.
        lab.at(node).behaviour = rng.chance(0.5)
          ? () => {}
          : (station, bytes, from) => {
              if (bytes[0] === ROUTE_REQUEST) station.obey(bytes, from);
            };
      }
      lab.at(1).discovery.discover(20, weights);
      lab.run(3 * SECOND);
      const clean = lightest(20, edges, weights, 1, 20, silent);
      expect(lab.at(1).best?.weight ?? Infinity, `seed ${seed}`).toBe(clean);
      outcomes[clean === Infinity ? 'cut' : 'found'] += 1;
    }
    expect(outcomes.found).toBeGreaterThan(15);
    expect(outcomes.cut).toBeGreaterThan(15);
  });

  test('that improve step by step keep nobody from the lightest path (A21)', () => {
    // 2 is next to the destination 30 and to 3, by way of which 1 hears; it tells of ever lighter
    // detours, one a millisecond. The honest way 4 is slower than all of them.
    const detours = Array.from({ length: 25 }, (_, i) => 5 + i);
    const edges: Edge[] = [
      [1, 3],
      [2, 3],
      [2, 30],
      [4, 30],
      [3, 4],
      ...detours.flatMap((node): Edge[] => [
        [node, 30],
        [2, node],
      ]),
    ];
    const weights = detours
      .map((node, i) => ({ u: 2, v: node, exponent: 30 - i }))
      .concat([{ u: 2, v: 30, exponent: 4 }]);
    for (const gap of [MILLISECOND, 6 * MILLISECOND, 40 * MILLISECOND]) {
      const honest: Micros = 300 * MILLISECOND;
      const lab = new Lab(30, edges, {
        nodesMost: 30,
        delay: (from, to) => (from === 30 && to === 4 ? honest : 100),
      });
      let step = 0;
      lab.at(2).behaviour = (station, bytes, from) => {
        if (bytes[0] === ROUTE_REQUEST) return station.obey(bytes, from);
        const response = decoded(bytes);
        if (response.hops.length !== 1 || response.hops[0]!.node < 5) return;
        const later = response.hops[0]!.node - 5;
        step = Math.max(step, later);
        lab.after(later * gap, () => station.send(3, station.signInto(response)));
      };
      lab.at(1).discovery.discover(30, weights);
      lab.run(3 * SECOND);
      const victim = lab.at(3).discovery.figures;
      expect(victim.responsesForwarded).toBeLessThanOrEqual(IMPROVEMENTS_MAX);
      expect(lab.at(3).responsesSent).toBeLessThanOrEqual(IMPROVEMENTS_MAX * 3);
      // No more than this neighbour's share was verified: two signatures of a detour and one of the
      // request, and the honest ones.
      expect(victim.verified).toBeLessThanOrEqual(1 + 3 * IMPROVEMENTS_MAX + 3);
      if (25 * gap < honest)
        expect(lab.at(3).drops.snapshot()['discoveryOverBudget']).toBeGreaterThan(10);
      expect(lab.at(1).best!.nodes, `gap ${gap}`).toEqual([1, 3, 4, 30]);
    }
  });
});

describe('floods', () => {
  /**
   * When 1 first had a path to 12, while 3 tells its neighbours something `perSecond` times a
   * second for a second.
   */
  function timeUnder(
    perSecond: number,
    says: ((station: Station, to: number, i: number) => Uint8Array | null) | null,
  ): { at: Micros; lab: Lab } {
    const edges = randomGraph(new Rng(3), 12, 14)
      .filter(([a, b]) => a !== 3 && b !== 3)
      .concat([
        [1, 3],
        [3, 12],
        [2, 3],
        [3, 7],
      ]);
    const lab = new Lab(12, edges, { delay: steadyDelays(9, 10 * MILLISECOND) });
    lab.at(3).behaviour = () => {};
    if (says !== null) {
      for (let i = 0; i < perSecond; i += 1) {
        lab.after(Math.floor((i * SECOND) / perSecond), () => {
          for (const to of lab.at(3).neighbours) {
            const bytes = says(lab.at(3), to, i);
            if (bytes !== null) lab.at(3).send(to, bytes);
          }
        });
      }
    }
    lab.run(SECOND / 2);
    lab.at(1).discovery.discover(12, []);
    lab.run(3 * SECOND);
    return { at: lab.at(1).found[0]!.at - SECOND / 2, lab };
  }
  const calm = timeUnder(0, null).at;

  test('of forged requests cost a bounded number of signatures and hold nobody up (A17)', () => {
    const rng = new Rng(1);
    const { at, lab } = timeUnder(10_000, (station, _to, i) => {
      // In the name of 1: its budget must not suffer.
      return makeRouteRequest(
        {
          source: 1,
          destination: 12,
          epoch: 1,
          sequence: i,
          key: station.exchangeKey,
          weights: [],
        },
        () => draw(rng, 64),
      ).bytes;
    });
    expect(at).toBeLessThan(2 * calm);
    for (const id of [2, 7, 12]) {
      const { refused, overBudget } = lab.at(id).discovery.figures;
      // 400 of burst and 200 a second at 20 each.
      expect(refused).toBeLessThanOrEqual(20 + 10 + 1);
      expect(refused).toBeGreaterThan(20);
      expect(overBudget).toBeGreaterThan(9_000);
    }
    expect(lab.at(12).drops.snapshot()['routeRequestForged']).toBe(
      lab.at(12).discovery.figures.refused,
    );
  });

  test.each([
    ['outermost', false],
    ['innermost', true],
  ])('of responses with the %s signature wrong likewise (A17)', (_which, outerGood) => {
    const rng = new Rng(2);
    let latest: RouteRequest | null = null;
    const { at, lab } = timeUnder(10_000, (station) => {
      latest ??= requestHeardBy(station);
      if (latest === null) return null;
      const bare = decoded(
        makeRouteResponse(latest, cheapPrimitives.sha256(latest.bytes), station.exchangeKey, () =>
          draw(rng, 64),
        ),
      );
      return outerGood
        ? station.signInto(bare)
        : appendRouteHop(bare, station.id, station.exchangeKey, () => draw(rng, 64));
    });
    expect(at).toBeLessThan(2 * calm);
    let refused = 0;
    for (const station of lab.stations.values()) {
      expect(station.discovery.figures.refused).toBeLessThanOrEqual(IMPROVEMENTS_MAX);
      refused += station.discovery.figures.refused;
    }
    expect(refused).toBeGreaterThan(0);
  });

  /** The first request that reached `station`, once there is one. */
  function requestHeardBy(station: Station): RouteRequest | null {
    const message = station.heard.find((bytes) => bytes[0] === ROUTE_REQUEST);
    return message === undefined ? null : requestIn(message);
  }

  test(
    'of genuine requests are cut to the rate of a source, ' + 'and others find as before (A18)',
    () => {
      const { at, lab } = timeUnder(1_000, (station, _to, i) => requestOf(station, 12, i));
      expect(at).toBeLessThan(2 * calm);
      for (const station of lab.stations.values()) {
        if (station.id === 3) continue;
        const { figures } = station.discovery;
        // 100 of burst and 50 a second, for a second; the destination signs no more than that.
        expect(figures.requestsForwarded).toBeLessThanOrEqual(100 + 50 + 2);
        expect(figures.answered).toBeLessThanOrEqual(100 + 50 + 2);
        expect(figures.live).toBeLessThanOrEqual(LIVE_PER_SOURCE + 1);
      }
      expect(lab.at(12).drops.snapshot()['discoveryOverBudget']).toBeGreaterThan(500);
    },
  );

  test('of genuine requests by several at once leave room for others, too (A18)', () => {
    const rng = new Rng(8);
    const edges = randomGraph(rng, 20, 25);
    const time = (stormers: readonly number[]): Micros => {
      const lab = new Lab(20, edges, { delay: steadyDelays(8, 10 * MILLISECOND) });
      for (const node of stormers) {
        for (let i = 0; i < 600; i += 1)
          lab.after(i * MILLISECOND, () => {
            for (const to of lab.at(node).neighbours)
              lab.at(node).send(to, requestOf(lab.at(node), 20, i));
          });
      }
      lab.run(SECOND / 2);
      lab.at(1).discovery.discover(20, []);
      lab.run(SECOND);
      return lab.at(1).found[0]!.at;
    };
    expect(time([4, 7, 9, 13, 15, 18])).toBe(time([]));
  });
});

describe('what was said before', () => {
  test('is no request again: neither while it lives nor later (E6)', () => {
    const lab = new Lab(4, chain(4));
    lab.at(1).discovery.discover(4, []);
    lab.run(SECOND / 10);
    const request = lastSaid(lab, ROUTE_REQUEST, 2, 3);
    expect(dropsDuring(lab.at(3), () => lab.at(3).receive(request, 2))).toEqual([
      'routeRequestDuplicate',
    ]);
    lab.run(100 * SECOND);
    const sent = lab.traffic.length;
    for (const id of [1, 2, 3, 4]) {
      expect(
        dropsDuring(lab.at(id), () => lab.at(id).receive(request, id === 1 ? 2 : id - 1)),
      ).toEqual(['routeRequestStale']);
    }
    expect(lab.traffic.length).toBe(sent);
  });

  test('is no request of an earlier run of its source, nor one far behind', () => {
    const lab = new Lab(2, [[1, 2]]);
    const take = (epoch: number, sequence: number): string[] =>
      dropsDuring(lab.at(2), () =>
        lab.at(2).receive(requestOf(lab.at(1), 2, sequence, [], epoch), 1),
      );
    expect(take(5, 100)).toEqual([]);
    expect(take(5, 36)).toEqual([]);
    expect(take(5, 35)).toEqual(['routeRequestStale']);
    expect(take(4, 200)).toEqual(['routeRequestStale']);
    expect(take(6, 0)).toEqual([]);
    expect(take(5, 300)).toEqual(['routeRequestStale']);
  });

  test(
    'of a run that link state does not believe, ' +
      'with a clock ahead, keeps out no run that it does',
    () => {
      const lab = new Lab(2, [[1, 2]]);
      const take = (epoch: number, sequence: number): string[] =>
        dropsDuring(lab.at(2), () =>
          lab.at(2).receive(requestOf(lab.at(1), 2, sequence, [], epoch), 1),
        );
      lab.sequences.set(1, 1_000);
      expect(take(900, 1)).toEqual([]);
      // The run ahead is believed by nobody; then a right one says what link state takes.
      expect(take(6_000_000, 1)).toEqual([]);
      expect(take(1_100, 0)).toEqual(['routeRequestStale']);
      lab.sequences.set(1, 1_101);
      expect(take(1_100, 0)).toEqual([]);
      expect(lab.at(2).sources.map(({ epoch }) => epoch)).toEqual([900, 6_000_000, 1_100]);
      // All as before among runs that are believed.
      lab.run(10 * SECOND);
      expect(take(1_100, 0)).toEqual(['routeRequestStale']);
      expect(take(900, 2)).toEqual(['routeRequestStale']);
      expect(take(1_101, 0)).toEqual([]);
      lab.sequences.set(1, 900);
      expect(take(901, 0)).toEqual(['routeRequestStale']);
    },
  );

  test('is no response again: neither while its request lives nor later', () => {
    const lab = new Lab(4, chain(4));
    lab.at(1).discovery.discover(4, []);
    lab.run(SECOND / 10);
    const response = lastSaid(lab, ROUTE_RESPONSE, 3, 2);
    expect(dropsDuring(lab.at(2), () => lab.at(2).receive(response, 3))).toEqual([
      'routeResponseWorse',
    ]);
    lab.run(100 * SECOND);
    lab.at(1).discovery.discover(4, []);
    lab.run(SECOND / 10);
    expect(dropsDuring(lab.at(2), () => lab.at(2).receive(response, 3))).toEqual([
      'routeResponseUnasked',
    ]);
    const last = lastSaid(lab, ROUTE_RESPONSE, 2, 1);
    lab.run(100 * SECOND);
    expect(dropsDuring(lab.at(1), () => lab.at(1).receive(last, 2))).toEqual([
      'routeResponseUnasked',
    ]);
    expect(lab.at(1).found).toHaveLength(2);
  });

  test('a forgery that comes first does not keep out the true request (E4)', () => {
    const lab = new Lab(3, chain(3));
    const genuine = requestOf(lab.at(1), 3, 0);
    const forged = genuine.slice();
    forged[30] = forged[30]! ^ 1;
    expect(dropsDuring(lab.at(2), () => lab.at(2).receive(forged, 1))).toEqual([
      'routeRequestForged',
    ]);
    expect(dropsDuring(lab.at(2), () => lab.at(2).receive(genuine, 1))).toEqual([]);
    expect(lab.at(2).discovery.figures.live).toBe(1);
  });
});

describe('every byte counts', () => {
  test('of a request', () => {
    const genuine = requestOf(new Lab(4, chain(4)).at(1), 4, 7, [{ u: 2, v: 3, exponent: 2 }]);
    const reasons = new Set<string>();
    for (let at = 0; at < genuine.length; at += 1) {
      for (const flip of [0x01, 0x80]) {
        const lab = new Lab(4, chain(4));
        const changed = genuine.slice();
        changed[at] = changed[at]! ^ flip;
        const [reason, ...more] = dropsDuring(lab.at(2), () =>
          lab.at(2).discovery.onRequest(changed, 1),
        );
        expect(more, `byte ${at}`).toEqual([]);
        expect(reason, `byte ${at}`).toBeDefined();
        reasons.add(reason!);
        expect(lab.traffic, `byte ${at}`).toEqual([]);
      }
    }
    expect([...reasons].sort()).toEqual([
      'discoveryNodeUnknown',
      'routeRequestForged',
      'routeRequestMalformed',
    ]);
  });

  test.each([true, false])('of a response with three hops (outermost first: %s)', (outerFirst) => {
    const options = { outerFirst, prefixCache: true };
    const make = (): { lab: Lab; response: Uint8Array } => {
      const lab = new Lab(5, chain(5), { options });
      let response: Uint8Array | null = null;
      // 1 does not take it yet.
      lab.at(1).behaviour = (_station, bytes) => {
        if (bytes[0] === ROUTE_RESPONSE) response = bytes;
      };
      lab.at(1).discovery.discover(5, []);
      lab.run(SECOND / 10);
      return { lab, response: response! };
    };
    const { lab: first, response: genuine } = make();
    expect(decoded(genuine).hops.map((hop) => hop.node)).toEqual([4, 3, 2]);
    const reasons = new Set<string>();
    for (let at = 0; at < genuine.length; at += 1) {
      const { lab, response } = make();
      expect(response).toEqual(genuine);
      const changed = response.slice();
      changed[at] = changed[at]! ^ (1 << (at % 8));
      const [reason, ...more] = dropsDuring(lab.at(1), () => lab.at(1).obey(changed, 2));
      expect(more, `byte ${at}`).toEqual([]);
      expect(reason, `byte ${at}`).toBeDefined();
      reasons.add(reason!);
      expect(lab.at(1).found).toEqual([]);
      // Nothing of it is remembered as good: the true one is verified in full, and taken.
      if (at % 16 === 0) {
        lab.at(1).obey(response, 2);
        expect(lab.at(1).found).toHaveLength(1);
      }
    }
    expect([...reasons].sort()).toEqual([
      'discoveryNodeUnknown',
      'routeResponseForged',
      'routeResponseMalformed',
      'routeResponseUnasked',
    ]);
    first.at(1).obey(genuine, 2);
    expect(first.at(1).best!.nodes).toEqual([1, 2, 3, 4, 5]);
  });

  test(
    'of a weight list: one that is too long goes nowhere, ' +
      'one that is hostile turns its own source only (A19)',
    () => {
      const lab = new Lab(6, [
        [1, 2],
        [2, 6],
        [1, 3],
        [3, 4],
        [4, 6],
        [5, 2],
        [5, 4],
      ]);
      const list = Array.from({ length: ROUTE_WEIGHTS_MAX }, (_, i) => ({
        u: 7,
        v: 8 + i,
        exponent: 40,
      }));
      const longest = requestOf(lab.at(5), 6, 0, list);
      const longer = new Uint8Array(longest.length + 9);
      longer.set(longest.subarray(0, 52 + 9 * ROUTE_WEIGHTS_MAX), 0);
      longer[51] = ROUTE_WEIGHTS_MAX + 1;
      longer.set([0, 0, 0, 9, 0, 0, 0, 10, 1], 52 + 9 * ROUTE_WEIGHTS_MAX);
      longer.set(
        lab.at(5).signer(ROUTE_REQUEST_LABEL)(longer.subarray(0, longer.length - 64)),
        longer.length - 64,
      );
      expect(dropsDuring(lab.at(2), () => lab.at(2).receive(longer, 5))).toEqual([
        'routeRequestMalformed',
      ]);
      expect(lab.traffic).toEqual([]);
      lab.at(5).discovery.discover(6, [{ u: 2, v: 6, exponent: 30 }]);
      lab.run(SECOND);
      lab.at(1).discovery.discover(6, []);
      lab.run(SECOND);
      expect(lab.at(5).best!.nodes).toEqual([5, 4, 6]);
      expect(lab.at(1).best!.nodes).toEqual([1, 2, 6]);
    },
  );

  test('and whatever comes, nobody falls over', () => {
    const rng = new Rng(11);
    const lab = new Lab(8, randomGraph(rng, 8, 8), { delay: steadyDelays(1, 5 * MILLISECOND) });
    for (let round = 0; round < 40; round += 1) {
      const source = 1 + rng.below(8);
      lab.at(source).discovery.discover(1 + (source % 8), randomWeights(rng, lab.edges, 5, 5));
      lab.run(200 * MILLISECOND);
      const heard = lab.traffic.slice(-200);
      for (let i = 0; i < 200; i += 1) {
        const { to, from, bytes } = heard[rng.below(heard.length)]!;
        const changed = bytes.slice(
          0,
          rng.chance(0.2) ? rng.below(bytes.length + 1) : bytes.length,
        );
        for (let n = rng.below(3); n > 0 && changed.length > 0; n -= 1)
          changed[rng.below(changed.length)] = rng.u32() & 0xff;
        const { discovery, neighbours } = lab.at(rng.chance(0.2) ? 1 + rng.below(8) : to);
        const sender =
          rng.chance(0.2) || !neighbours.includes(from)
            ? neighbours[rng.below(neighbours.length)]!
            : from;
        if (rng.chance(0.5)) discovery.onRequest(changed, sender);
        else discovery.onResponse(changed, sender);
      }
    }
    lab.run(10 * SECOND);
    for (const station of lab.stations.values()) {
      for (const { path } of station.found) {
        for (let i = 1; i < path.nodes.length; i += 1)
          expect(lab.linked(path.nodes[i - 1]!, path.nodes[i]!)).toBe(true);
      }
    }
  });
});
