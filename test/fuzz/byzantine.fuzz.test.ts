/**
 * A whole daemon in the middle of live discoveries, searches and flows, under damaged packets of
 * Byzantine-resilient routing: captured requests, responses, data and acknowledgements, cut,
 * changed, repeated, renamed and signed anew.
 *
 * From a neighbour who means harm they change nothing for anybody else; from the very neighbours
 * that honest traffic comes from they may cost that traffic, but nothing else, and it goes on when
 * they end. Each packet is dropped under one reason or is a packet that a daemon has to take;
 * nothing throws and nothing grows.
 *
 * SPINES_FUZZ_COUNT=n: packets of each part; SPINES_FUZZ_SEED=s; SPINES_LONG=1: memory is measured
 * too.
 */

import { describe, expect, test } from 'vitest';

import { getU32, hex, putU16, putU32, putU48 } from '../../src/core/base/bytes.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { TARGETS_MAX } from '../../src/core/byzantine/discovery.ts';
import { REQUESTS_MAX } from '../../src/core/byzantine/request-table.ts';
import {
  ROUTE_HOP_LABEL,
  ROUTE_REQUEST_LABEL,
  Verifier,
} from '../../src/core/byzantine/verified.ts';
import type { Link } from '../../src/core/link/link.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import type { SimFlow } from '../../src/lab/sim/flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  appendRouteHop,
  decodeRouteRequest,
  decodeRouteResponse,
  makeRouteRequest,
  ROUTE_HOP_BYTES,
  ROUTE_HOPS_MAX,
  ROUTE_REQUEST,
  ROUTE_REQUEST_BYTES_MAX,
  ROUTE_RESPONSE_HEAD_BYTES,
  type Sign,
} from '../../src/core/wire/discovery.ts';
import { DropReason, dropReasonName } from '../../src/core/wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_PROBED,
  KIND_ROUTE,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import {
  PROBED_ACK_HEAD_BYTES,
  PROBED_DATA,
  PROBED_DATA_HEAD_BYTES,
} from '../../src/core/wire/probed.ts';
import { ROUTE_PART_BYTES_MAX, ROUTE_PART_HEAD_BYTES } from '../../src/core/wire/route-part.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../../src/core/wire/sizes.ts';
import { finish, hosts, useNetworks, wire, type Network } from '../support/network.ts';
import { heapBytes } from './heap.ts';
import { mutate, randomBytes } from './mutate.ts';

useNetworks();

const COUNT = Number(process.env['SPINES_FUZZ_COUNT'] ?? 6_000);
const SEED = Number(process.env['SPINES_FUZZ_SEED'] ?? 0);
const LONG = process.env['SPINES_LONG'] === '1';
const TIMEOUT = 60_000 + 2 * COUNT;
const MS = MILLISECOND;
const PER_MS = 8;
const CAPTURED_MAX = 256;
const GROWTH_MAX = 24 * 1024 * 1024;

/** What travels to the victim, by what it is. */
const TYPES = ['request', 'response', 'data', 'ack'] as const;
type Type = (typeof TYPES)[number];
interface Captured {
  readonly from: number;
  readonly bytes: Uint8Array;
}

/**
 *     0 --- 1 --- 2 --- 3        1: the victim
 *     2 drops data now and then, so that there are searches and discoveries without end
 *          / \
 *         4   5                  4: a member who means harm
 */
class Scene {
  readonly network: Network;
  readonly victim: SimHost;
  readonly insider: SimHost;
  readonly captured: Readonly<Record<Type, Captured[]>> = {
    request: [],
    response: [],
    data: [],
    ack: [],
  };
  readonly reasons = new Map<DropReason, number>();
  readonly flows: SimFlow[] = [];
  /** The one through the node that drops. */
  searched: SimFlow | null = null;
  taken = 0;
  /** Hears of each genuine packet before the daemon does. */
  beforehand: ((bytes: Uint8Array, link: Link) => void) | null = null;
  #seen = 0;
  #injecting = false;
  readonly #packet = new Packet();

  constructor(seed: number) {
    this.network = hosts(6, { seed });
    const { network } = this;
    for (const [a, b] of [
      [0, 1],
      [1, 2],
      [2, 3],
      [4, 1],
      [5, 1],
    ] as const)
      network.connect(network.host(a), network.host(b), wire({ latencyUs: 2 * MS }));
    network.settle();
    this.victim = network.host(1);
    this.insider = network.host(4);
    let passed = 0;
    network.host(2).node.byzantine!.misbehaviour = { onData: () => (passed += 1) % 6 === 0 };
    const router = this.victim.node.byzantine!;
    const onPacket = router.onPacket.bind(router);
    router.onPacket = (packet, from) => {
      if (!this.#injecting) {
        this.#capture(packet, from);
        this.beforehand?.(
          packet.bytes.slice(packet.start, packet.end),
          this.victim.node.links.of(from)!,
        );
      }
      return onPacket(packet, from);
    };
  }

  #capture(packet: Packet, from: number): void {
    const at = packet.payloadStart,
      first = packet.bytes[at]!;
    let type: Type;
    if (packet.kind === KIND_PROBED) type = first === PROBED_DATA ? 'data' : 'ack';
    else if (packet.kind === KIND_ROUTE && packet.bytes[at + 3] === 1)
      type = packet.bytes[at + ROUTE_PART_HEAD_BYTES] === ROUTE_REQUEST ? 'request' : 'response';
    else return;
    const list = this.captured[type],
      one = { from, bytes: packet.bytes.slice(packet.start, packet.end) };
    this.#seen += 1;
    if (list.length < CAPTURED_MAX) list.push(one);
    else list[this.#seen % CAPTURED_MAX] = one;
  }

  start(durationUs: number): void {
    const flow = (
      from: number,
      to: number,
      packetsPerSecond: number,
      sizeBytes: number,
      service: number,
    ): SimFlow =>
      this.network.flow(this.network.host(from), this.network.host(to), {
        packetsPerSecond,
        sizeBytes,
        durationUs,
        options: { service, dissemination: DISSEMINATION_BYZANTINE },
      });
    this.searched = flow(0, 3, 100, 200, SERVICE_BEST_EFFORT);
    // Through the victim, to it and from it; in one piece and in two.
    this.flows.push(
      flow(0, 5, 50, 300, SERVICE_BEST_EFFORT),
      flow(5, 0, 50, 1_380, SERVICE_RELIABLE),
      flow(0, 1, 50, 300, SERVICE_RELIABLE),
      flow(1, 5, 50, 300, SERVICE_BEST_EFFORT),
    );
    // The insider's own: what it may damage and still be heard.
    flow(4, 0, 50, 300, SERVICE_BEST_EFFORT);
    flow(4, 3, 50, 300, SERVICE_RELIABLE);
    this.network.run(600 * MS);
    this.discard();
    for (const type of TYPES) expect(this.captured[type].length, type).toBeGreaterThan(1);
  }

  /** Everything else that anybody sent stays out of the counts. */
  discard(): void {
    this.reasons.clear();
    this.taken = 0;
  }

  /** As from the neighbour at the other end of `link`; `endTurn`: not in the middle of a turn. */
  inject(bytes: Uint8Array, link: Link, endTurn = true): void {
    const { node } = this.victim;
    const packet = this.#packet;
    const before = node.drops.snapshot(),
      total = node.drops.total;
    try {
      const reason = packet.decode(bytes, 0, bytes.length, false);
      if (reason !== DropReason.none) {
        this.#count(reason);
        return;
      }
      this.#injecting = true;
      node.dissemination.onPacket(packet, link.node);
      if (endTurn) this.victim.endTurn();
    } catch (error) {
      throw new Error(`threw ${String(error)} for ${hex(bytes)}`, { cause: error });
    } finally {
      this.#injecting = false;
    }
    const dropped = node.drops.total - total;
    if (dropped === 0) this.taken += 1;
    if (dropped > 1)
      throw new Error(
        `${dropped} drops for ${hex(bytes)}: ${JSON.stringify(before)} ` +
          `${JSON.stringify(node.drops.snapshot())}`,
      );
    if (dropped === 1) {
      for (const reason of Object.values(DropReason))
        if (
          reason !== DropReason.none &&
          node.drops.of(reason) !== (before[dropReasonName(reason)] ?? 0)
        )
          this.#count(reason);
    }
  }

  #count(reason: DropReason): void {
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
  }

  signer(label: string): Sign {
    return new Verifier({
      primitives: cheapPrimitives,
      certificateOf: () => null,
      options: { outerFirst: true, prefixCache: true },
    }).signer(label, this.insider.identity!.signing);
  }

  checkBounds(): void {
    this.network.checkBounds();
    for (const { name, node } of this.network.hosts) {
      const { live, targets } = node.byzantine!.discovery.figures;
      if (live > REQUESTS_MAX || targets > TARGETS_MAX)
        throw new Error(`${name}: ${live} requests, ${targets} destinations`);
    }
  }

  table(): Record<string, number> {
    return Object.fromEntries(
      [...this.reasons]
        .sort((a, b) => b[1] - a[1])
        .map(([reason, count]) => [dropReasonName(reason), count]),
    );
  }
}

/* ------------------------------------------------------------------ damage */

function anyOf<T>(rng: Rng, list: readonly T[]): T {
  return list[rng.below(list.length)]!;
}

/** A packet made of a captured one. */
function damaged(
  rng: Rng,
  scene: Scene,
  type: Type,
): { readonly bytes: Uint8Array; readonly from: number } {
  const { from, bytes } = anyOf(rng, scene.captured[type]);
  const other = anyOf(rng, scene.captured[anyOf(rng, TYPES)]).bytes;
  const how = rng.unit();
  if (how < 0.05) return { from, bytes: bytes.slice() };
  if (how < 0.1) return { from, bytes: cut(mutate(rng, bytes, other)) };
  const head = bytes.slice(0, OVERLAY_HEADER_BYTES);
  const payload = bytes.slice(OVERLAY_HEADER_BYTES);
  const changed =
    how < 0.4
      ? mutate(rng, payload, other.subarray(OVERLAY_HEADER_BYTES))
      : type === 'data' || type === 'ack'
        ? renamed(rng, scene, payload, type)
        : parted(rng, message(rng, scene, payload.subarray(ROUTE_PART_HEAD_BYTES), type));
  return { from, bytes: cut(Uint8Array.of(...head, ...changed)) };
}

/** The same packet with another payload. */
function spoilt(rng: Rng, bytes: Uint8Array): Uint8Array {
  return cut(
    Uint8Array.of(
      ...bytes.subarray(0, OVERLAY_HEADER_BYTES),
      ...mutate(rng, bytes.subarray(OVERLAY_HEADER_BYTES), bytes),
    ),
  );
}

function cut(bytes: Uint8Array): Uint8Array {
  return bytes.slice(0, PACKET_BYTES_MAX);
}

/** One field of a probed packet or acknowledgement is another one. */
function renamed(rng: Rng, scene: Scene, payload: Uint8Array, type: 'data' | 'ack'): Uint8Array {
  const b = payload.slice();
  const id = anyOf(rng, scene.network.hosts).id + (rng.chance(0.2) ? 100 : 0);
  const [epoch, path, counter] = type === 'data' ? [2, 8, 16] : [10, 16, 24];
  const routeAt = PROBED_DATA_HEAD_BYTES;
  switch (rng.below(8)) {
    case 0:
      putU48(b, epoch, rng.chance(0.5) ? 1 : rng.u32());
      break;
    case 1:
      rng.fill(b.subarray(path, path + 8));
      break;
    case 2:
      putU48(b, counter, rng.chance(0.5) ? rng.below(1_000) : 2 ** 48 - 1 - rng.below(20));
      break;
    case 3:
      b[1] = rng.below(256);
      break;
    case 4:
      if (type === 'ack') b[30] = rng.below(256);
      else if (b.length > routeAt + 4) putU32(b, routeAt + 4 * rng.below(Math.max(1, b[23]!)), id);
      break;
    case 5:
      if (type === 'ack') putU32(b, rng.chance(0.5) ? 2 : 6, id);
      else b[23] = rng.below(40);
      break;
    // A node twice on the route; an onion of another length.
    case 6:
      if (type === 'data' && b[23]! > 1) putU32(b, routeAt, getU32(b, routeAt + 4));
      else if (type === 'ack')
        return Uint8Array.of(
          ...b.subarray(0, PROBED_ACK_HEAD_BYTES),
          ...randomBytes(rng, 25 * rng.below(34)),
        );
      break;
    default:
      rng.fill(b.subarray(b.length - Math.min(b.length, 1 + rng.below(60))));
      break;
  }
  return b;
}

/** A message of discovery with another field, node, length or signature. */
function message(
  rng: Rng,
  scene: Scene,
  genuine: Uint8Array,
  type: 'request' | 'response',
): Uint8Array {
  const b = genuine.slice();
  const id = anyOf(rng, scene.network.hosts).id + (rng.chance(0.2) ? 100 : 0);
  switch (rng.below(9)) {
    case 0:
      putU32(b, rng.chance(0.5) ? 1 : 5, id);
      return b;
    case 1:
      putU48(b, 9, rng.chance(0.5) ? 1 : rng.u32() * 1_000);
      return b;
    case 2:
      putU32(b, 15, rng.chance(0.5) ? rng.below(100) : rng.u32());
      return b;
    case 3:
      rng.fill(b.subarray(19, 51));
      return b;
    case 4:
      return type === 'request' ? signedByInsider(rng, scene, b) : joinedByInsider(scene, b);
    case 5:
      if (type === 'request') {
        const most = Uint8Array.of(
          ...b.subarray(0, 51),
          64,
          ...randomBytes(rng, ROUTE_REQUEST_BYTES_MAX - 52 + (rng.chance(0.5) ? 9 : 0)),
        );
        if (rng.chance(0.5)) most[51] = 65;
        return most;
      }
      return withHops(rng, b, rng.below(ROUTE_HOPS_MAX + 3), id);
    case 6:
      return type === 'response' && b.length > ROUTE_RESPONSE_HEAD_BYTES
        ? doubled(b)
        : b.subarray(0, rng.below(b.length));
    case 7:
      rng.fill(b.subarray(b.length - 64));
      return b;
    default:
      return Uint8Array.of(rng.below(8), ...b.subarray(1));
  }
}

/** The insider says the same as itself. */
function signedByInsider(rng: Rng, scene: Scene, b: Uint8Array): Uint8Array {
  const request = decodeRouteRequest(b, 0, b.length);
  if (typeof request === 'number') return b;
  const source = scene.insider.id;
  if (request.destination === source) return b;
  return makeRouteRequest(
    {
      ...request,
      source,
      epoch: rng.chance(0.5) ? request.epoch : rng.u32(),
      sequence: rng.u32(),
      key: randomBytes(rng, 32),
    },
    scene.signer(ROUTE_REQUEST_LABEL),
  ).bytes;
}

function joinedByInsider(scene: Scene, b: Uint8Array): Uint8Array {
  const response = decodeRouteResponse(b, 0, b.length);
  if (typeof response === 'number' || response.hops.length >= ROUTE_HOPS_MAX) return b;
  return appendRouteHop(
    response,
    scene.insider.id,
    new Uint8Array(32).fill(7),
    scene.signer(ROUTE_HOP_LABEL),
  );
}

function withHops(rng: Rng, b: Uint8Array, count: number, last: number): Uint8Array {
  const out = new Uint8Array(ROUTE_RESPONSE_HEAD_BYTES + count * ROUTE_HOP_BYTES);
  out.set(b.subarray(0, ROUTE_RESPONSE_HEAD_BYTES), 0);
  out[147] = count;
  for (let i = 0; i < count; i += 1) {
    const hop = out.subarray(ROUTE_RESPONSE_HEAD_BYTES + i * ROUTE_HOP_BYTES);
    rng.fill(hop.subarray(0, ROUTE_HOP_BYTES));
    putU32(hop, 0, i === count - 1 ? last : 0x0a00_0100 + i);
  }
  return out;
}

/** Its last hop once more. */
function doubled(b: Uint8Array): Uint8Array {
  const out = Uint8Array.of(...b, ...b.subarray(b.length - ROUTE_HOP_BYTES));
  out[147] = b[147]! + 1;
  return out;
}

/** As one part, or as the part of something longer. */
function parted(rng: Rng, whole: Uint8Array): Uint8Array {
  const count = rng.chance(0.05) ? rng.below(5) : Math.ceil(whole.length / ROUTE_PART_BYTES_MAX);
  const index = rng.chance(0.05) ? rng.below(5) : rng.below(Math.max(1, count));
  const out = Uint8Array.of(
    0,
    0,
    index,
    count,
    ...whole.subarray(index * ROUTE_PART_BYTES_MAX, (index + 1) * ROUTE_PART_BYTES_MAX),
  );
  putU16(out, 0, rng.below(200));
  return out;
}

/* ------------------------------------------------------------------ the runs */

/** Injects COUNT packets; `linkOf` says as from whom. */
function storm(scene: Scene, rng: Rng, linkOf: (from: number) => Link | undefined): void {
  let heap = 0;
  for (let sent = 0; sent < COUNT; sent += 1) {
    if (sent % PER_MS === 0) scene.network.run(MS);
    const { bytes, from } = damaged(rng, scene, anyOf(rng, TYPES));
    const link = linkOf(from);
    if (link?.up === true) scene.inject(bytes, link);
    if (sent % 1_000 === 0) scene.checkBounds();
    if (LONG && heap === 0 && sent > COUNT / 5) heap = heapBytes();
  }
  if (heap > 0) expect(heapBytes() - heap).toBeLessThan(GROWTH_MAX);
  scene.checkBounds();
}

/** What no packet may lead to: that an honest link is held to be faulty. */
function expectOnlyTrueConvictions({ network }: Scene, bad: readonly SimHost[]): void {
  for (const host of network.hosts) {
    for (const { u, v } of host.node.byzantine!.convictions)
      expect(
        bad.some(({ id }) => id === u || id === v),
        `${host.name} convicts ${u & 255}-${v & 255}`,
      ).toBe(true);
  }
}

const EVERYBODY_SEES = [
  'routePartMalformed',
  'routeRequestMalformed',
  'routeRequestDuplicate',
  'routeRequestStale',
  'routeRequestForged',
  'routeResponseMalformed',
  'routeResponseUnasked',
  'discoveryNodeUnknown',
  'discoveryOverBudget',
  'probedMalformed',
  'probedNotOnRoute',
  'probedAckMalformed',
  'probedAckUnexpected',
  'probedPathUnknown',
  'reservedNotZero',
  'packetMalformed',
];

describe('fuzz: Byzantine-resilient routing', () => {
  const durationUs = Math.ceil(COUNT / PER_MS) * MS + SECOND;

  test(
    'what a member makes up is dropped, each packet under one reason, and nobody else notices',
    () => {
      const scene = new Scene(31 + SEED),
        rng = new Rng(91 + SEED);
      scene.start(durationUs);
      // It has seen what passes, and is always first with a copy, changed or not.
      scene.beforehand = (bytes) => {
        const link = scene.victim.node.links.of(scene.insider.id)!;
        scene.inject(rng.chance(0.5) ? spoilt(rng, bytes) : bytes, link, false);
      };
      storm(scene, rng, () => scene.victim.node.links.of(scene.insider.id));
      scene.network.run(3 * SECOND);
      console.log(`from a member: ${scene.taken} taken, ${JSON.stringify(scene.table())}`);
      expect(Object.keys(scene.table())).toEqual(expect.arrayContaining(EVERYBODY_SEES));
      for (const flow of scene.flows)
        expect([flow.sent, flow.meter.duplicates, flow.refused]).toEqual([
          flow.meter.delivered,
          0,
          0,
        ]);
      expect(scene.searched!.meter.delivered).toBeGreaterThan(0.7 * scene.searched!.sent);
      expectOnlyTrueConvictions(scene, [scene.insider, scene.network.host(2)]);
      finish(scene.network);
    },
    TIMEOUT,
  );

  test(
    'from the neighbours that honest packets come from they do no lasting harm',
    () => {
      const scene = new Scene(32 + SEED),
        rng = new Rng(92 + SEED);
      const { victim, network } = scene;
      scene.start(durationUs);
      // Half of the time a damaged one is first.
      scene.beforehand = (bytes, link) => {
        if (rng.chance(0.5)) scene.inject(spoilt(rng, bytes), link, false);
      };
      storm(scene, rng, (from) =>
        victim.node.links.of(
          rng.chance(0.9)
            ? from
            : anyOf(
                rng,
                [0, 2, 4, 5].map((i) => network.host(i).id),
              ),
        ),
      );
      console.log(`from everybody: ${scene.taken} taken, ${JSON.stringify(scene.table())}`);
      scene.beforehand = null;
      expect(Object.keys(scene.table())).toEqual(
        expect.arrayContaining([
          ...EVERYBODY_SEES,
          'routeResponseForged',
          'probedForged',
          'probedReplayed',
          'probedAckForged',
        ]),
      );
      expectOnlyTrueConvictions(scene, [victim, scene.insider, network.host(2)]);
      // It is over: budgets fill again, and everybody gets through.
      network.run(30 * SECOND);
      const after = (
        [
          [0, 5],
          [5, 0],
          [0, 1],
          [1, 5],
        ] as const
      ).map(([from, to]) =>
        network.flow(network.host(from), network.host(to), {
          packetsPerSecond: 50,
          sizeBytes: 300,
          durationUs: 4 * SECOND,
          options: { service: SERVICE_RELIABLE, dissemination: DISSEMINATION_BYZANTINE },
        }),
      );
      network.run(8 * SECOND);
      for (const flow of after)
        expect([flow.sent, flow.meter.duplicates, flow.refused]).toEqual([
          flow.meter.delivered,
          0,
          0,
        ]);
      finish(network);
    },
    TIMEOUT,
  );
});
