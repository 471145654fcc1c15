/**
 * One member of the network spends all it has on wearing out the Byzantine-resilient router of its
 * neighbours: signatures to verify, requests to flood, tables to fill. What that costs them is
 * bounded and small, and flows of others do not notice.
 *
 * Each abuse runs in whole daemons beside honest flows, one of which looks for its path under fire,
 * and is compared with the same run without it. Asserts counts and virtual latencies only. What a
 * single Discovery does is shown in test/unit/core/byzantine/discovery-attacks.test.ts.
 */

import { expect, test } from 'vitest';

import { getU32 } from '../../src/core/base/bytes.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { draw, Secret } from '../../src/core/crypto/keys.ts';
import { pathId } from '../../src/core/byzantine/discovered-path.ts';
import { TARGETS_MAX } from '../../src/core/byzantine/discovery.ts';
import { LIVE_PER_SOURCE, REQUESTS_MAX } from '../../src/core/byzantine/request-table.ts';
import { PENDING_SOURCE_MAX } from '../../src/core/byzantine/forwarder.ts';
import { FlowKeys } from '../../src/core/byzantine/keys.ts';
import { Onions } from '../../src/core/byzantine/onion.ts';
import { NUMBER_BYTES } from '../../src/core/byzantine/path-flow.ts';
import { RouteMessages } from '../../src/core/byzantine/route-messages.ts';
import {
  ROUTE_HOP_LABEL,
  ROUTE_REQUEST_LABEL,
  Shares,
  SOURCE_BURST,
  SOURCE_PER_SECOND,
  Verifier,
} from '../../src/core/byzantine/verified.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import type { SimFlow } from '../../src/lab/sim/flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  appendRouteHop,
  decodeRouteRequest,
  decodeRouteResponse,
  makeRouteRequest,
  makeRouteResponse,
  ROUTE_WEIGHTS_MAX,
  type RouteRequest,
  type RouteWeight,
  type Sign,
} from '../../src/core/wire/discovery.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_PROBED,
  KIND_ROUTE,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
  type PacketModes,
} from '../../src/core/wire/packet.ts';
import { encodeProbedHead } from '../../src/core/wire/probed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, TAG_BYTES } from '../../src/core/wire/sizes.ts';
import { finish, hosts, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
/** How long the abuse goes on, and how often a millisecond its hand may be used. */
const ABUSE = 1_500 * MS,
  PER_MS = 10;
const MODES: PacketModes = {
  service: SERVICE_BEST_EFFORT,
  dissemination: DISSEMINATION_BYZANTINE,
  ttl: TTL_DEFAULT,
  priority: 1,
};

/**
 * Who owns a router's keys and links, and does what it likes with them. Its daemon goes on as ever
 * beside.
 */
class Insider {
  readonly host: SimHost;
  readonly rng: Rng;
  readonly epochSecret: Secret;
  readonly epochKey: Uint8Array;
  readonly messages: RouteMessages;
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  readonly #packet = new Packet();
  /** Different from what its daemon uses. */
  sequence = 1_000_000;

  constructor(host: SimHost, seed: number) {
    this.host = host;
    this.rng = new Rng(seed);
    this.epochSecret = new Secret(draw(this.rng, 32));
    this.epochKey = cheapPrimitives.x25519PublicKey(this.epochSecret.reveal());
    this.messages = new RouteMessages(host.id);
  }

  /** Of a run of this node that began `later` than its daemon's. */
  epoch(later = 1): number {
    return Math.floor(this.host.membership!.wallUs / 100) + later;
  }

  signer(label: string): Sign {
    return new Verifier({
      primitives: cheapPrimitives,
      certificateOf: () => null,
      options: { outerFirst: true, prefixCache: true },
    }).signer(label, this.host.identity!.signing);
  }

  request(destination: SimHost, epoch: number, weights: readonly RouteWeight[] = []): RouteRequest {
    this.sequence += 1;
    const content = {
      source: this.host.id,
      destination: destination.id,
      epoch,
      sequence: this.sequence,
      key: this.epochKey,
      weights,
    };
    return makeRouteRequest(content, this.signer(ROUTE_REQUEST_LABEL));
  }

  neighbours(): SimHost[] {
    return [...this.host.node.links.all()]
      .filter((link) => link.up)
      .map((link) => this.host.world.hosts.find((host) => host.id === link.node)!);
  }

  /** A whole message of discovery, as honest nodes send it. */
  tell(to: SimHost, message: Uint8Array): void {
    this.messages.send(this.host.node.links.of(to.id)!, message);
  }

  /** Any packet, in anybody's name. */
  say(
    to: SimHost,
    kind: number,
    payload: Uint8Array,
    source: number,
    destination: number,
    service: number = SERVICE_BEST_EFFORT,
  ): void {
    this.#scratch.set(payload, OVERLAY_HEADER_BYTES);
    this.#packet.compose(
      this.#scratch,
      0,
      OVERLAY_HEADER_BYTES + payload.length,
      kind,
      { ...MODES, service },
      source,
      0,
      destination,
      0,
    );
    this.host.node.links.of(to.id)!.offer(this.#packet);
  }

  /** A message of discovery in one part, as fast as the link takes it. */
  shout(to: SimHost, message: Uint8Array): void {
    this.say(
      to,
      KIND_ROUTE,
      Uint8Array.of(this.rng.below(256), this.rng.below(256), 0, 1, ...message),
      this.host.id,
      to.id,
    );
  }
}

/* ------------------------------------------------------------------ the scene */

/** Honest nodes 0-5 and 7; 6 is a member who means harm. */
const INSIDER = 6;
/** Flows: the first has its path when the abuse begins, the others look for theirs meanwhile. */
const FLOWS = [
  [0, 3, SERVICE_RELIABLE],
  [7, 3, SERVICE_RELIABLE],
  [4, 1, SERVICE_BEST_EFFORT],
  [3, 0, SERVICE_BEST_EFFORT],
] as const;

class Scene {
  readonly network: Network;
  readonly insider: Insider;
  readonly flows: SimFlow[] = [];

  constructor() {
    this.network = hosts(8, { seed: 5 });
    for (const [a, b] of [
      [0, 1],
      [1, 2],
      [2, 3],
      [0, 4],
      [4, 5],
      [5, 3],
      [6, 1],
      [6, 2],
      [6, 5],
      [7, 4],
      [7, 2],
    ] as const) {
      this.network.connect(this.network.host(a), this.network.host(b), wire({ latencyUs: 5 * MS }));
    }
    this.network.settle();
    this.insider = new Insider(this.network.host(INSIDER), 6);
  }

  /** `abuse` is called each millisecond. */
  run(abuse: Abuse | null): this {
    const { network, insider } = this;
    for (const [i, [from, to, service]] of FLOWS.entries()) {
      const options = { service, dissemination: DISSEMINATION_BYZANTINE };
      this.flows.push(
        network.flow(network.host(from), network.host(to), {
          packetsPerSecond: 50,
          sizeBytes: 400,
          startUs: i * 600 * MS,
          durationUs: ABUSE + SECOND,
          options,
        }),
      );
    }
    network.run(SECOND / 2);
    for (let at = 0; at < ABUSE; at += MS) {
      abuse?.(insider, network, at / MS);
      insider.host.endTurn();
      network.run(MS);
      if (at % (100 * MS) === 0) this.checkBounds();
    }
    network.run(6 * SECOND);
    this.checkBounds();
    return this;
  }

  checkBounds(): void {
    this.network.checkBounds();
    for (const { name, node } of this.network.hosts) {
      const { live, targets } = node.byzantine!.discovery.figures;
      expect(live, name).toBeLessThanOrEqual(
        Math.min(REQUESTS_MAX, LIVE_PER_SOURCE * this.network.hosts.length),
      );
      expect(targets, name).toBeLessThanOrEqual(TARGETS_MAX);
    }
  }

  get honest(): readonly SimHost[] {
    return this.network.hosts.filter((host) => host !== this.insider.host);
  }

  /** Signatures that each honest node has looked at. */
  get verifications(): number[] {
    return this.honest
      .map((host) => host.node.byzantine!.discovery.figures)
      .map(({ verified, refused }) => verified + refused);
  }
}

type Abuse = (insider: Insider, network: Network, ms: number) => void;

const calm = new Scene().run(null);
const calmDelays = calm.flows.map((flow) => flow.meter.delays.summary()!);
const calmVerified = calm.verifications;
finish(calm.network);

/** The first message waits for the path: the longest delay is that of a discovery. */
test('without abuse everything arrives', () => {
  for (const flow of calm.flows)
    expect([flow.sent, flow.meter.delivered, flow.refused]).toEqual([125, 125, 0]);
});

/**
 * What an abuse left behind: flows as they were, no conviction of what is honest, a bounded number
 * of signatures at each node.
 */
function expectUnharmed(scene: Scene, verificationsMost: number): void {
  const table = scene.flows.map((flow, i) => {
    const { p50, max } = flow.meter.delays.summary()!;
    return {
      sent: flow.sent,
      delivered: flow.meter.delivered,
      p50,
      max,
      calmP50: calmDelays[i]!.p50,
      calmMax: calmDelays[i]!.max,
    };
  });
  const extra = scene.verifications.map((count, i) => count - calmVerified[i]!);
  const flows = table
    .map(
      ({ sent, delivered, max, calmMax }) => `${delivered}/${sent} in ${max}, calm ${calmMax} ms`,
    )
    .join('; ');
  console.log(
    `signatures more than calm ${extra.join(' ')} (most allowed ${verificationsMost}); flows ` +
      `${flows}`,
  );
  for (const { sent, delivered, p50, max, calmP50, calmMax } of table) {
    expect(delivered).toBeGreaterThanOrEqual(0.95 * sent);
    expect(p50).toBeLessThan(2 * calmP50);
    expect(max).toBeLessThan(2 * calmMax);
  }
  for (const count of extra) expect(count).toBeLessThanOrEqual(verificationsMost);
  for (const host of scene.honest) {
    for (const { u, v } of host.node.byzantine!.convictions)
      expect([u, v], `${host.name} convicts`).toContain(scene.insider.host.id);
  }
  finish(scene.network);
}

/* ------------------------------------------------------------------ A17: signatures */

/**
 * A neighbour has 400 at once and 200 a second, and each lie costs 20. The seconds before and after
 * count, too.
 */
const LIES_MOST = (400 + 200 * 10) / 20;

test(
  'ten thousand forged requests a second to each neighbour, ' +
    'in the name of an honest source (A17)',
  () => {
    let made = 0;
    const scene = new Scene().run((insider, network) => {
      const content = {
        source: network.host(0).id,
        destination: network.host(3).id,
        epoch: insider.epoch(),
        key: insider.epochKey,
        weights: [],
      };
      for (let i = 0; i < PER_MS; i += 1) {
        made += 1;
        const forged = makeRouteRequest({ ...content, sequence: made }, () =>
          draw(insider.rng, 64),
        ).bytes;
        for (const to of insider.neighbours()) insider.shout(to, forged);
      }
    });
    for (const to of scene.insider.neighbours()) {
      const { refused, overBudget } = to.node.byzantine!.discovery.figures;
      expect(refused).toBeGreaterThan(20);
      expect(refused + overBudget).toBeGreaterThan(0.9 * made);
    }
    expectUnharmed(scene, LIES_MOST);
  },
);

test(
  'ten thousand answers a second to live requests, ' +
    'with a wrong signature inside or outside (A17)',
  () => {
    /** The newest. */
    let asked: RouteRequest | null = null;
    let made = 0;
    const scene = new Scene();
    // What its daemon hears of requests it answers at once, as the destination's neighbour.
    scene.insider.host.node.byzantine!.misbehaviour = {
      onRoute: (message) => {
        const request = decodeRouteRequest(message, 0, message.length);
        if (typeof request === 'object') asked = request;
        return false;
      },
    };
    scene.run((insider) => {
      for (let i = 0; i < PER_MS && asked !== null; i += 1) {
        made += 1;
        const hash = cheapPrimitives.sha256(asked.bytes);
        const bare = decodeRouteResponse(
          makeRouteResponse(asked, hash, draw(insider.rng, 32), () => draw(insider.rng, 64)),
          0,
          148,
        );
        if (typeof bare === 'number') throw new Error('no response');
        const sign = made % 2 === 0 ? insider.signer(ROUTE_HOP_LABEL) : () => draw(insider.rng, 64);
        const forged = appendRouteHop(bare, insider.host.id, insider.epochKey, sign);
        for (const to of insider.neighbours()) insider.shout(to, forged);
      }
    });
    expect(made).toBeGreaterThan((PER_MS * ABUSE) / MS / 2);
    expectUnharmed(scene, 2 * LIES_MOST);
  },
);

test(
  'ten thousand parts a second of messages that are never finished, ' +
    'and garbage in whole ones (A17)',
  () => {
    const scene = new Scene().run((insider) => {
      for (const to of insider.neighbours()) {
        for (let i = 0; i < PER_MS; i += 1) {
          const part = draw(insider.rng, i % 2 === 0 ? 1_400 : 200);
          part[2] = 0;
          part[3] = i % 2 === 0 ? 3 : 1;
          part[4] = 3 + ((i & 3) % 2);
          insider.say(to, KIND_ROUTE, part, insider.host.id, to.id);
        }
      }
    });
    const drops = scene.insider.neighbours()[0]!.node.drops.snapshot();
    expect(
      (drops['routeRequestMalformed'] ?? 0) + (drops['routeResponseMalformed'] ?? 0),
    ).toBeGreaterThan((PER_MS * ABUSE) / MS / 3);
    expectUnharmed(scene, 0);
  },
);

/* ------------------------------------------------------------------ A18, A19: genuine requests */

/** Requests of one source that a node takes in the time of a run. */
const REQUESTS_TAKEN = SOURCE_BURST + SOURCE_PER_SECOND * 2;
/**
 * Signatures of one request at one node: its own, and of each response that is lighter those that
 * were not verified before.
 */
const PER_REQUEST = 8;

/** Links of others, as heavy as can be. */
function hostileWeights(network: Network, rng: Rng): RouteWeight[] {
  const ids = network.hosts.map((host) => host.id);
  const all = ids.flatMap((u, i) =>
    ids.slice(i + 1).map((v) => ({ u, v, exponent: 40 - rng.below(3) })),
  );
  for (let i = 0; all.length < ROUTE_WEIGHTS_MAX; i += 1)
    all.push({ u: 0x0a00_1000 + i, v: 0x0a00_2000, exponent: 40 });
  return all.slice(0, ROUTE_WEIGHTS_MAX).sort((a, b) => a.u - b.u || a.v - b.v);
}

test.each([
  ['', false],
  [', with 64 heavy weights of links of others', true],
])('a genuine request each millisecond%s (A18, A19)', (_name, hostile) => {
  const scene = new Scene().run((insider, network, ms) => {
    const request = insider.request(
      network.host(3 + (ms % 2)),
      insider.epoch(0) + (ms % 7 === 0 ? 1 : 0),
      hostile ? hostileWeights(network, insider.rng) : [],
    );
    for (const to of insider.neighbours()) insider.tell(to, request.bytes);
  });
  for (const host of scene.honest) {
    const { requestsForwarded, answered } = host.node.byzantine!.discovery.figures;
    const before = calm.honest.find((other) => other.id === host.id)!.node.byzantine!.discovery
      .figures;
    expect(requestsForwarded - before.requestsForwarded).toBeLessThanOrEqual(REQUESTS_TAKEN);
    expect(answered - before.answered).toBeLessThanOrEqual(REQUESTS_TAKEN);
  }
  expectUnharmed(scene, REQUESTS_TAKEN * PER_REQUEST);
});

const STORM_HOSTS = 12;

test('all members but one ask without end, and that one finds its way as ever (A18)', () => {
  const run = (storm: boolean): { delayMs: number; verifiedMost: number; overBudget: number } => {
    const rng = new Rng(12);
    const network = hosts(STORM_HOSTS, { seed: 12 });
    for (let i = 1; i < STORM_HOSTS; i += 1)
      network.connect(network.host(i), network.host(rng.below(i)), wire({ latencyUs: 5 * MS }));
    for (let i = 0; i < STORM_HOSTS; i += 1) {
      const to = (i + 5 + rng.below(6)) % STORM_HOSTS;
      if (!network.host(i).wires.has(network.host(to).endpoint.key))
        network.connect(network.host(i), network.host(to), wire({ latencyUs: 5 * MS }));
    }
    network.settle();
    const insiders = network.hosts.slice(1, -1).map((host, i) => new Insider(host, i));
    const flow = network.flow(network.host(0), network.host(STORM_HOSTS - 1), {
      packetsPerSecond: 50,
      sizeBytes: 400,
      startUs: 500 * MS,
      durationUs: SECOND / 2,
      options: { dissemination: DISSEMINATION_BYZANTINE },
    });
    const before = network.hosts.map((host) => host.node.byzantine!.discovery.figures);
    for (let at = 0; at < SECOND; at += 10 * MS) {
      if (storm) {
        for (const insider of insiders) {
          const request = insider.request(
            network.host((insider.host.index + 7) % STORM_HOSTS),
            insider.epoch(0),
          );
          for (const to of insider.neighbours()) insider.tell(to, request.bytes);
          insider.host.endTurn();
        }
      }
      network.run(10 * MS);
    }
    network.run(SECOND);
    const work = network.hosts.map(
      (host, i) => host.node.byzantine!.discovery.figures.verified - before[i]!.verified,
    );
    const overBudget = network.hosts.reduce(
      (sum, host, i) =>
        sum + host.node.byzantine!.discovery.figures.overBudget - before[i]!.overBudget,
      0,
    );
    expect(flow.meter.delivered).toBe(flow.sent);
    finish(network);
    return {
      delayMs: flow.meter.delays.summary()!.max,
      verifiedMost: Math.max(...work),
      overBudget,
    };
  };
  const [quiet, loud] = [run(false), run(true)];
  console.log(JSON.stringify({ quiet, loud }));
  expect(loud.delayMs).toBeLessThan(2 * quiet.delayMs);
  // Of each source what it may ask for, and for each request the share of one node.
  expect(loud.verifiedMost).toBeLessThanOrEqual((STORM_HOSTS - 2) * REQUESTS_TAKEN * PER_REQUEST);
  expect(loud.overBudget).toBeGreaterThan(100);
});

test(
  'work is shared evenly by sources that ask for all they can get, ' +
    'and a newcomer gets its part at once (A18)',
  () => {
    const shares = new Shares(1_000, 1_000),
      done = new Map<number, number>();
    const take = (source: number, now: number): boolean => {
      if (!shares.admits(source, now)) return false;
      shares.charge(source, 3);
      done.set(source, (done.get(source) ?? 0) + 3);
      return true;
    };
    for (let now = 0; now < 10 * SECOND; now += MS) {
      for (let source = 1; source <= 9; source += 1)
        for (let i = 0; i < 5; i += 1) take(source, now);
      // One that needs 50 a second, and comes late.
      if (now >= 5 * SECOND && now % (60 * MS) === 0)
        expect(take(10, now), `newcomer at ${now}`).toBe(true);
    }
    const greedy = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((source) => done.get(source)!);
    expect(Math.max(...greedy) - Math.min(...greedy)).toBeLessThan(0.05 * Math.max(...greedy));
    expect(greedy.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0.9 * 10_000);
    expect(greedy.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(11_000);
    // Nothing is remembered of what is done.
    expect(shares.admits(1, 20 * SECOND)).toBe(true);
    expect(shares.size).toBe(0);
  },
);

/* ------------------------------------------------------------------ A28: tables of probes */

/**
 * A probed packet by the insider over `route`, with a layer for the first node of it; behind that
 * nobody can read it.
 */
function probedPacket(
  insider: Insider,
  keys: FlowKeys,
  onions: Onions,
  route: readonly number[],
  peer: Uint8Array,
  epoch: number,
  counter: number,
): Uint8Array {
  const { host, rng } = insider;
  const id = pathId(cheapPrimitives, [host.id, ...route]);
  const flow = {
    source: host.id,
    destination: route.at(-1)!,
    epoch,
    pathHigh: getU32(id, 0),
    pathLow: getU32(id, 4),
  };
  const sealedBytes = NUMBER_BYTES + 20 + TAG_BYTES;
  const b = new Uint8Array(PACKET_BYTES_MAX);
  const sealedStart = encodeProbedHead(
    { ...flow, counter, pieceIndex: 0, pieceCount: 1, route, sealedBytes },
    b,
    OVERLAY_HEADER_BYTES,
  );
  const sealedEnd = sealedStart + sealedBytes;
  b.set(draw(rng, sealedBytes), sealedStart);
  const packet = new Packet();
  packet.compose(b, 0, sealedEnd, KIND_PROBED, MODES, host.id, 0, flow.destination, 0);
  const { forward } = keys.of(flow, route[0]!, insider.epochSecret, peer)!;
  const tail = onions.buildTail(
    onions.digestOf(packet, sealedEnd),
    [
      { id: route[0]!, timerUs: 6 * SECOND, forward },
      { id: flow.destination, timerUs: 0, forward: draw(rng, 32) },
    ],
    counter,
  );
  b.set(tail, sealedEnd);
  return b.slice(OVERLAY_HEADER_BYTES, sealedEnd + tail.length);
}

const EXHAUSTION: readonly (readonly [
  string,
  (ms: number, i: number) => { readonly path: number; readonly renews: boolean },
])[] = [
  ['on one path', () => ({ path: 1, renews: false })],
  ['on a hundred paths', (_ms, i) => ({ path: i % 100, renews: false })],
  ['each on a path of its own', (_ms, i) => ({ path: i, renews: false })],
  [
    'each on a path of its own, and a new epoch ten times a second',
    (ms, i) => ({ path: i, renews: ms % 100 === 0 && i % PER_MS === 0 }),
  ],
];

test.each(EXHAUSTION)(
  'ten thousand probed packets a second that nobody will acknowledge, %s (A28)',
  (_name, plan) => {
    const scene = new Scene();
    const keys = new FlowKeys(cheapPrimitives),
      onions = new Onions(cheapPrimitives);
    let epoch = 0,
      sent = 0,
      peer: Uint8Array | null = null;
    const victim = scene.network.host(2);
    let pendingMost = 0;
    scene.run((insider, network, ms) => {
      pendingMost = Math.max(pendingMost, victim.node.byzantine!.forwarder.pending);
      if (epoch === 0) {
        // The victim's key is in any path that leads through it.
        insider.host.node.byzantine!.findPath(victim.id, SECOND, (path) => {
          peer = path?.keys[path.nodes.indexOf(victim.id) - 1] ?? null;
        });
      }
      for (let i = 0; i < PER_MS; i += 1) {
        const { path, renews } = plan(ms, sent);
        if (epoch === 0 || renews) {
          epoch = insider.epoch(1 + ms);
          insider.tell(victim, insider.request(network.host(3), epoch).bytes);
        }
        if (peer === null) continue;
        sent += 1;
        // To somebody who does not exist, by way of two who do.
        const route = [victim.id, network.host(3).id, 0x0b00_0000 + path];
        insider.say(
          victim,
          KIND_PROBED,
          probedPacket(insider, keys, onions, route, peer, epoch, sent),
          insider.host.id,
          route[2]!,
        );
      }
    });
    expect(sent).toBeGreaterThan((0.8 * PER_MS * ABUSE) / MS);
    expect(victim.node.byzantine!.forwarder.probed).toBeGreaterThan(0.5 * sent);
    expect(pendingMost).toBeGreaterThan(1_000);
    // The insider's, and what honest sources may have under way.
    expect(pendingMost).toBeLessThanOrEqual(PENDING_SOURCE_MAX + 1_000);
    expectUnharmed(scene, REQUESTS_TAKEN * PER_REQUEST);
  },
);
