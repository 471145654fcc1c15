/**
 * The attacks that only a simulation can mount, by name: what each adversary does to data,
 * acknowledgements and discovery.
 *
 * Owns no network: a deed is a few hooks that use an adversary's hands (adversary.ts). Deeds are
 * combined by `both`. Names and amounts are those of `SIMULATED_MISBEHAVIOURS` in
 * lab/misbehaviour/misbehaviours.ts. Invariant: nothing here needs a secret that its node, or one
 * that conspires with it, does not have.
 */

import { getU16, getU32, putU32 } from '../../core/base/bytes.ts';
import type { NodeId } from '../../core/base/ids.ts';
import { MILLISECOND, type Micros } from '../../core/base/time.ts';
import { pathId } from '../../core/byzantine/discovery.ts';
import { TIMER_UNIT_US } from '../../core/byzantine/onion.ts';
import { ROUTE_REQUEST_LABEL } from '../../core/byzantine/verified.ts';
import {
  copyOfAck,
  copyOfPacket,
  delayed,
  flipBit,
  type Deed,
} from '../misbehaviour/misbehaviour.ts';
import type {
  DatagramOptions,
  DatagramOwner,
  DatagramSession,
} from '../../core/session/sessions.ts';
import {
  decodeRouteRequest,
  decodeRouteResponse,
  makeRouteRequest,
  ROUTE_HOP_BYTES,
  ROUTE_REQUEST,
  ROUTE_RESPONSE,
  ROUTE_RESPONSE_HEAD_BYTES,
  type RouteQuestion,
  type RouteResponse,
  type RouteWeight,
} from '../../core/wire/discovery.ts';
import { DropReason } from '../../core/wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  KIND_DATAGRAM,
  KIND_PROBED,
  Packet,
  PRIORITY_DEFAULT,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../../core/wire/packet.ts';
import {
  encodeProbedHead,
  ONION_LAYER_BYTES,
  ProbedData,
  TAIL_LAST_BYTES,
  type ProbedAck,
} from '../../core/wire/probed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, TAG_BYTES } from '../../core/wire/sizes.ts';
import type { Adversary } from './insider.ts';

type Make = (me: Adversary, amount: number | null) => Deed;

const drop = (): boolean => true;
const BLACK_HOLE: Deed = { onData: drop, onTransit: drop };
/** Acknowledgements kept to be told again, and responses held back. */
const KEPT_MAX = 256;
/** Responses for one request that are answered with lies. */
const ANSWERS_MAX = 6;
const COUNT_AT = ROUTE_RESPONSE_HEAD_BYTES - 1;
/** Of forged packets what is not head. */
const FORGED_BYTES = 1_000;
/** Nodes that are not there. */
const MADE_UP: NodeId = 0x0b00_0000;
/** Where a probe's timer stands in a tail that begins with its layer. */
const TIMER_AT = 4;

/** What each of them does, one after the other; what the first swallows the second does not see. */
export function both(first: Deed, second: Deed): Deed {
  return {
    onData: (packet, from) =>
      first.onData?.(packet, from) === true || second.onData?.(packet, from) === true,
    onAck: (ack, from, service) =>
      first.onAck?.(ack, from, service) === true || second.onAck?.(ack, from, service) === true,
    onRoute: (message, from) =>
      first.onRoute?.(message, from) === true || second.onRoute?.(message, from) === true,
    onTransit: (packet, from) =>
      first.onTransit?.(packet, from) === true || second.onTransit?.(packet, from) === true,
  };
}

/** Each packet that is data of another, decoded. */
function withData(act: (data: ProbedData, packet: Packet, from: NodeId) => boolean): Deed {
  const data = new ProbedData();
  return {
    onData: (packet, from) => data.decode(packet) === DropReason.none && act(data, packet, from),
  };
}

/** Has a search begin: drops most of what comes while nobody is probed. */
function provoking(me: Adversary): Deed {
  return both(
    withData((data) => data.layers === 1 && me.rng.chance(0.7)),
    { onTransit: drop },
  );
}

/**
 * Responses by `act`, a few for each request: two of these beside each other would tell each other
 * for ever.
 */
function withResponse(act: (response: RouteResponse, from: NodeId) => boolean): Deed {
  const told = new Told(ANSWERS_MAX);
  return {
    onRoute: (message, from) => {
      const response =
        message[0] === ROUTE_RESPONSE ? decodeRouteResponse(message, 0, message.length) : 0;
      return typeof response !== 'number' && told.mayTell(response) && act(response, from);
    },
  };
}

/** How often something was said of each request lately. */
class Told {
  readonly #most: number;
  readonly #times = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  mayTell({ source, epoch, sequence }: RouteQuestion): boolean {
    const name = `${source} ${epoch} ${sequence}`;
    const times = this.#times.get(name) ?? 0;
    this.#times.set(name, times + 1);
    if (this.#times.size > KEPT_MAX) this.#times.delete(this.#times.keys().next().value!);
    return times < this.#most;
  }
}

export const DEEDS: Readonly<Record<string, Make>> = {
  /* ---------------------------------------------------------------- who lies about paths */

  /** A6: everything goes on before it is looked at. */
  rush: (me) => {
    const told = new Told(1);
    return both(
      {
        onRoute: (message, from) => {
          const request =
            message[0] === ROUTE_REQUEST ? decodeRouteRequest(message, 0, message.length) : 0;
          if (typeof request !== 'number' && told.mayTell(request)) me.floodRoute(message, [from]);
          return false;
        },
      },
      BLACK_HOLE,
    );
  },

  /** A7: with one other that does the same; what the tunnel attracts is dropped. */
  wormhole: (me) => {
    const peer =
      me.colluders.members.find(
        (other) => other !== me && other.what === me.what && !other.tunnelled,
      ) ?? null;
    if (peer !== null) {
      me.colluders.tunnel(me.host, peer.host);
      me.tunnelled = peer.tunnelled = true;
    }
    const open = (): boolean => me.tunnelled;
    return { onData: open, onTransit: open };
  },

  /** A8: tunnels from each to each. */
  'super-wormhole': (me) => {
    for (const other of me.colluders.members)
      if (other !== me && other.what === me.what) me.colluders.tunnel(me.host, other.host);
    return BLACK_HOLE;
  },

  /** A9: responses go on shorter than they came, as they are and with a hop of its own behind. */
  'hop-deletion': (me) =>
    both(
      withResponse(({ bytes, hops }) => {
        if (hops.length === 0) return false;
        const left = me.rng.below(hops.length);
        const short = bytes.slice(0, ROUTE_RESPONSE_HEAD_BYTES + left * ROUTE_HOP_BYTES);
        short[COUNT_AT] = left;
        me.floodRoute(short);
        const cut = decodeRouteResponse(short, 0, short.length);
        if (typeof cut !== 'number') me.floodRoute(me.hopBehind(cut, randomKey(me)));
        return true;
      }),
      BLACK_HOLE,
    ),

  /**
   * A10: says to be the destination's neighbour, and that others are its own; signs for nodes that
   * do not exist.
   */
  'forge-path': (me) =>
    both(
      withResponse(({ bytes }) => {
        const head = bytes.slice(0, ROUTE_RESPONSE_HEAD_BYTES);
        head[COUNT_AT] = 0;
        const bare = decodeRouteResponse(head, 0, head.length);
        if (typeof bare === 'number') return false;
        me.floodRoute(me.hopBehind(bare, randomKey(me)));
        for (const other of me.colluders.members) {
          if (other === me) continue;
          const joint = decodeResponse(other.hopBehind(bare, randomKey(me)));
          if (joint !== null) me.floodRoute(me.hopBehind(joint, randomKey(me)));
        }
        const sybil = decodeResponse(me.hopBehind(bare, randomKey(me)));
        if (sybil !== null) {
          putU32(sybil.bytes, ROUTE_RESPONSE_HEAD_BYTES, 0x0b00_0000 + me.rng.below(1 << 20));
          const known = decodeResponse(sybil.bytes);
          if (known !== null) me.floodRoute(me.hopBehind(known, randomKey(me)));
        }
        return false;
      }),
      BLACK_HOLE,
    ),

  /** Signs a key that gives no secret, a key that it has no secret of, or that of another hop. */
  'bad-key': (me) =>
    both(
      provoking(me),
      withResponse((response) => {
        if (response.hops.some(({ node }) => node === me.id)) return true;
        const keys = [new Uint8Array(32), randomKey(me), response.key];
        me.floodRoute(
          me.hopBehind(response, keys[me.rng.below(keys.length)]!),
          response.hops.map(({ node }) => node),
        );
        return true;
      }),
    ),

  /** A21: keeps responses back and tells them from the heaviest to the lightest. */
  staircase: (me) => {
    let held: { readonly response: RouteResponse; readonly from: NodeId }[] = [];
    return withResponse((response, from) => {
      if (held.length >= KEPT_MAX) return true;
      held.push({ response, from });
      if (held.length > 1) return true;
      me.later(30 * MILLISECOND, () => {
        const now = held.sort((x, y) => y.response.hops.length - x.response.hops.length);
        held = [];
        now.forEach((one, i) =>
          me.later(i * 6 * MILLISECOND, () =>
            me.router.discovery.onResponse(one.response.bytes, one.from),
          ),
        );
      });
      return true;
    });
  },

  /* ---------------------------------------------------------------- who damages what passes */

  'corrupt-data': (me) => ({
    onData: (packet) => {
      if (me.rng.chance(0.3)) flipBit(packet.bytes, packet.payloadStart, packet.end, me.rng);
      return false;
    },
    onTransit: drop,
  }),

  'corrupt-acks': (me) => ({
    onAck: (ack) => {
      if (me.rng.chance(0.5)) flipBit(ack.bytes, ack.onionStart, ack.end, me.rng);
      return false;
    },
  }),

  /**
   * A12: answers data that it drops with what looks like an answer, to the one before it and to
   * those behind.
   */
  'fake-ack': (me) =>
    both(
      withData((data, packet) => {
        const beside = me.beside(data);
        if (beside === null) return true;
        const to = [
          beside.before,
          ...(beside.behind === null ? [] : [beside.behind]),
          ...me.neighbours.slice(0, 1),
        ];
        const layers = 1 + me.rng.below(data.hops);
        for (const node of to)
          me.sendAck(
            node,
            headOf(data),
            madeOnion(me, data.hop(data.hops - 1), layers),
            packet.service,
          );
        return true;
      }),
      BLACK_HOLE,
    ),

  /** A13: answers data that it drops with onions of other packets and other flows. */
  'replay-ack': (me) => {
    const kept: ProbedAck[] = [];
    return both(
      {
        onAck: (ack) => {
          if (kept.length < KEPT_MAX) kept.push(copyOfAck(ack));
          else kept[me.rng.below(KEPT_MAX)] = copyOfAck(ack);
          return false;
        },
      },
      withData((data, packet) => {
        if (kept.length < 16) return false;
        const beside = me.beside(data),
          old = kept[me.rng.below(kept.length)]!;
        if (beside !== null)
          me.sendAck(
            beside.before,
            me.rng.chance(0.5) ? { ...headOf(data), bitmap: old.bitmap } : old,
            old.onion,
            packet.service,
          );
        return true;
      }),
    );
  },

  /** A14: data goes on, and goes on again. */
  'replay-data': (me) =>
    withData((data, packet, from) => {
      const copy = copyOfPacket(packet),
        beside = me.beside(data);
      for (let i = 0; i < 2; i += 1) {
        me.later(me.rng.below(200 * MILLISECOND), () => {
          me.router.forwarder.onData(copyOfPacket(copy), from);
          if (beside !== null && beside.behind !== null)
            me.sendPacket(beside.behind, copyOfPacket(copy));
        });
      }
      return false;
    }),

  /* ---------------------------------------------------------------- who plays with time */

  /** A15: each packet and each answer is held for a time of its own. */
  reorder: (me, ms) =>
    delayed(me, () => me.rng.below(Math.max(1, Math.round((ms ?? 100) * MILLISECOND)))),

  /**
   * A16: has a search begin; as a probe it answers when its timer has all but fired; as anybody
   * else it holds answers for as long as a probe might.
   */
  'slack-burning': (me) => {
    const due = new Map<number, Micros>();
    return both(
      both(
        provoking(me),
        withData((data) => {
          if (data.tailHead !== me.id || data.layers === 1) return false;
          if (due.size >= 4_096) due.delete(due.keys().next().value!);
          due.set(
            data.counter,
            me.host.world.now() + getU16(data.bytes, data.sealedEnd + TIMER_AT) * TIMER_UNIT_US,
          );
          return false;
        }),
      ),
      {
        onAck: (ack, from, service) => {
          const copy = copyOfAck(ack),
            at = due.get(ack.counter);
          due.delete(ack.counter);
          const wait =
            at === undefined
              ? 150 * MILLISECOND
              : Math.max(1, at - me.host.world.now() - MILLISECOND);
          me.later(wait, () => me.router.forwarder.onAck(copy, from, service));
          return true;
        },
      },
    );
  },

  /**
   * Has a search begin, and says then that it held answers for longer, or for less long, than it
   * did.
   */
  'lie-hold': (me, ms) => {
    const most = Math.round((ms ?? 300) * MILLISECOND);
    me.lieAboutHolds((holdUs) => holdUs + me.rng.below(2 * most + 1) - most);
    return provoking(me);
  },

  /* ---------------------------------------------------------------- who asks for too much */

  /** A17: requests and responses that it saw, with a bit wrong. */
  'signature-flood': (me, perSecond) => {
    const seen: Uint8Array[] = [];
    me.every(perSecond ?? 200, () => {
      const message = seen[me.rng.below(Math.max(1, seen.length))]?.slice();
      if (message === undefined) return;
      flipBit(message, 1, message.length, me.rng);
      me.floodRoute(message);
    });
    return {
      onRoute: (message) => {
        if (seen.length < 16) seen.push(message.slice());
        else seen[me.rng.below(16)] = message.slice();
        return false;
      },
    };
  },

  /** A18: genuine requests for anybody. */
  'request-storm': (me, perSecond) => requests(me, perSecond ?? 200, () => []),

  /** A19: with the heaviest weights on links of others. */
  'hostile-weights': (me) =>
    requests(me, 5, () => {
      const all = knownLinks(me);
      return all.slice(0, 64);
    }),

  /** A23: packets of its own, by link state, to everybody. */
  congestion: (me, perSecond) =>
    flood(me, perSecond ?? 1_000, {
      service: SERVICE_BEST_EFFORT,
      dissemination: DISSEMINATION_LINK_STATE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
    }),

  /** A27: the same by Byzantine routing. */
  'source-flood': (me, perSecond) =>
    flood(me, perSecond ?? 1_000, {
      service: SERVICE_BEST_EFFORT,
      dissemination: DISSEMINATION_BYZANTINE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
    }),

  /**
   * A28: data on paths and of epochs that it makes up, through its neighbours, which nobody
   * acknowledges.
   */
  'probe-exhaustion': (me, perSecond) => {
    const packet = new Packet(),
      bytes = new Uint8Array(400);
    const { primitives } = me.host.membership!;
    me.every(perSecond ?? 500, () => {
      const others = me.host.world.hosts.map(({ id }) => id).filter((id) => id !== me.id);
      const [first] = me.rng.shuffle(me.neighbours);
      if (first === undefined || others.length < 2) return;
      const route = [
        first,
        ...me.rng.shuffle(others.filter((id) => id !== first)).slice(0, 1 + me.rng.below(2)),
      ];
      const id = pathId(primitives, [me.id, ...route]),
        destination = route.at(-1)!;
      const sealedBytes = TAG_BYTES + 50;
      const sealed = encodeProbedHead(
        {
          epoch: me.rng.below(2 ** 32),
          pathHigh: getU32(id, 0),
          pathLow: getU32(id, 4),
          counter: me.rng.below(2 ** 32),
          pieceIndex: 0,
          pieceCount: 1,
          route,
          sealedBytes,
        },
        bytes,
        OVERLAY_HEADER_BYTES,
      );
      const end = sealed + sealedBytes + TAIL_LAST_BYTES;
      putU32(bytes, sealed + sealedBytes, destination);
      packet.compose(
        bytes,
        0,
        end,
        KIND_PROBED,
        {
          service: SERVICE_BEST_EFFORT,
          dissemination: DISSEMINATION_BYZANTINE,
          ttl: TTL_DEFAULT,
          priority: PRIORITY_DEFAULT,
        },
        me.id,
        0,
        destination,
        0,
      );
      me.sendPacket(first, packet);
    });
    return {};
  },

  /**
   * Link-state packets in the names of others: of a node that is there, of its own neighbour, of
   * 400 that are not.
   */
  'forged-sources': (me, perSecond) => {
    const packet = new Packet(),
      bytes = new Uint8Array(OVERLAY_HEADER_BYTES + FORGED_BYTES);
    const modes = {
      service: SERVICE_RELIABLE,
      dissemination: DISSEMINATION_LINK_STATE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
    };
    let sent = 0;
    inGroups(me, perSecond ?? 1_000, (group) => {
      const others = honest(me),
        to = others[me.rng.below(others.length)]!,
        link = me.node.router.nextHop(to);
      for (let i = 0; i < group && link?.up === true; i += 1) {
        sent += 1;
        const names = [
          others[me.rng.below(others.length)]!,
          me.neighbours[0] ?? to,
          MADE_UP + (sent % 400),
        ];
        packet.compose(
          bytes,
          0,
          bytes.length,
          KIND_DATAGRAM,
          modes,
          names[sent % names.length]!,
          9,
          to,
          9,
        );
        link.offer(packet);
      }
    });
    return {};
  },

  /**
   * Probed packets in the names of others, on made-up paths that lead through itself and on over
   * links that are there.
   */
  'forged-paths': (me, perSecond) => {
    const packet = new Packet(),
      bytes = new Uint8Array(PACKET_BYTES_MAX);
    const { primitives } = me.host.membership!,
      modes = {
        service: SERVICE_RELIABLE,
        dissemination: DISSEMINATION_BYZANTINE,
        ttl: TTL_DEFAULT,
        priority: PRIORITY_DEFAULT,
      };
    let sent = 0;
    inGroups(me, perSecond ?? 1_000, (group) => {
      const others = honest(me),
        source = others[me.rng.below(others.length)]!,
        route = walkFrom(me, 2 + me.rng.below(4)),
        first = route[1];
      if (first === undefined || route.includes(source)) return;
      if (me.rng.chance(0.3)) route.push(MADE_UP);
      const id = pathId(primitives, [source, ...route]),
        destination = route.at(-1)!;
      for (let i = 0; i < group; i += 1) {
        sent += 1;
        const at = encodeProbedHead(
          {
            epoch: 1,
            pathHigh: getU32(id, 0),
            pathLow: getU32(id, 4),
            counter: sent,
            mayWait: false,
            pieceIndex: 0,
            pieceCount: 1,
            route,
            sealedBytes: FORGED_BYTES,
          },
          bytes,
          OVERLAY_HEADER_BYTES,
        );
        putU32(bytes, at + FORGED_BYTES, destination);
        packet.compose(
          bytes,
          0,
          at + FORGED_BYTES + TAIL_LAST_BYTES,
          KIND_PROBED,
          modes,
          source,
          0,
          destination,
          0,
        );
        me.sendPacket(first, packet);
      }
    });
    return {};
  },

  /*
   * ---------------------------------------------------------------- who minds what the source
   * thinks
   */

  /**
   * A29: drops until a source's request says that a link of its own is convicted, then behaves for
   * so many packets.
   */
  'good-bad-cycle': (me, packets) => {
    let good = 0;
    return {
      onRoute: (message) => {
        const request =
          message[0] === ROUTE_REQUEST ? decodeRouteRequest(message, 0, message.length) : 0;
        if (
          typeof request !== 'number' &&
          request.weights.some(({ u, v }) => u === me.id || v === me.id)
        )
          good = packets ?? 300;
        return false;
      },
      onData: () => {
        good -= 1;
        return good < 0;
      },
      onTransit: drop,
    };
  },

  /**
   * A5 and B4: everything while nobody is probed, and what the tolerance lets pass while somebody
   * is.
   */
  greedy: (me) => {
    let seen = 0;
    const { tolerance } = me.node.config.byzantine;
    return both(
      withData((data) => {
        seen += 1;
        return data.layers === 1 || seen % Math.ceil(1.05 / tolerance) === 0;
      }),
      { onTransit: drop },
    );
  },

  /** Any of all that, packet by packet, each adversary with a taste of its own. */
  anything: (me) => {
    const { rng } = me;
    const taste = (): number => (rng.chance(0.5) ? 0 : rng.unit() * 0.4);
    const [
      drops,
      damages,
      delays,
      fakes,
      repeats,
      acksDropped,
      acksDamaged,
      acksDelayed,
      routesDropped,
      lies,
    ] = Array.from({ length: 10 }, taste) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const longest = (1 + rng.below(600)) * MILLISECOND;
    if (lies > 0) me.lieAboutHolds((holdUs) => (rng.chance(lies) ? rng.below(longest) : holdUs));
    return both(
      {
        onRoute: () => rng.chance(routesDropped),
        onAck: (ack, from, service) => {
          if (rng.chance(acksDropped)) return true;
          if (rng.chance(acksDamaged)) flipBit(ack.bytes, ack.onionStart, ack.end, rng);
          if (!rng.chance(acksDelayed)) return false;
          const copy = copyOfAck(ack);
          me.later(rng.below(longest), () => me.router.forwarder.onAck(copy, from, service));
          return true;
        },
        onTransit: () => rng.chance(drops),
      },
      withData((data, packet, from) => {
        const beside = me.beside(data);
        if (beside !== null && rng.chance(fakes))
          me.sendAck(
            beside.before,
            headOf(data),
            madeOnion(me, data.hop(rng.below(data.hops)), 1 + rng.below(data.hops)),
            packet.service,
          );
        if (rng.chance(repeats)) {
          const copy = copyOfPacket(packet);
          me.later(rng.below(longest), () => me.router.forwarder.onData(copy, from));
        }
        if (rng.chance(drops)) return true;
        if (rng.chance(damages)) flipBit(packet.bytes, packet.payloadStart, packet.end, rng);
        if (!rng.chance(delays)) return false;
        const copy = copyOfPacket(packet);
        me.later(rng.below(longest), () => me.router.forwarder.onData(copy, from));
        return true;
      }),
    );
  },
};

/* ------------------------------------------------------------------ helpers */

function randomKey(me: Adversary): Uint8Array {
  const key = new Uint8Array(32);
  me.rng.fill(key);
  return key;
}

function decodeResponse(bytes: Uint8Array): RouteResponse | null {
  const response = decodeRouteResponse(bytes, 0, bytes.length);
  return typeof response === 'number' ? null : response;
}

function headOf(data: ProbedData): {
  source: NodeId;
  destination: NodeId;
  epoch: number;
  pathHigh: number;
  pathLow: number;
  counter: number;
  bitmap: number;
} {
  const { source, destination, epoch, pathHigh, pathLow, counter } = data;
  return { source, destination, epoch, pathHigh, pathLow, counter, bitmap: 0 };
}

/** In the shape of one. */
function madeOnion(me: Adversary, outermost: NodeId, layers: number): Uint8Array {
  const onion = new Uint8Array(layers * ONION_LAYER_BYTES);
  me.rng.fill(onion);
  putU32(onion, 0, outermost);
  return onion;
}

/** Links that the others advertise, in the order of the wire, as heavy as can be. */
function knownLinks(me: Adversary): RouteWeight[] {
  const links: RouteWeight[] = [];
  for (const { advertisement } of me.node.router.sortedRecords()) {
    for (const { node } of advertisement.links)
      if (advertisement.origin < node)
        links.push({ u: advertisement.origin, v: node, exponent: 40 });
  }
  return links.sort((x, y) => x.u - y.u || x.v - y.v);
}

function requests(me: Adversary, perSecond: number, weights: () => readonly RouteWeight[]): Deed {
  const key = randomKey(me);
  // Later than the epoch of its daemon's own requests.
  const epoch = Math.floor(me.host.membership!.wallUs / 100) + 1;
  let sequence = 0;
  me.every(perSecond, () => {
    const { hosts } = me.host.world;
    const destination = hosts[me.rng.below(hosts.length)]!.id;
    if (destination === me.id) return;
    me.floodRoute(
      makeRouteRequest(
        { source: me.id, destination, epoch, sequence, key, weights: weights() },
        me.sign(ROUTE_REQUEST_LABEL),
      ).bytes,
    );
    sequence += 1;
  });
  return {};
}

/**
 * `perSecond` times a second, so many at a time: a timer for each packet would cost more than the
 * packet.
 */
function inGroups(me: Adversary, perSecond: number, act: (group: number) => void): void {
  const group = Math.max(1, Math.round(perSecond / 200));
  me.every(perSecond / group, () => act(group));
}

/** Those that are not of them. */
function honest(me: Adversary): NodeId[] {
  return me.host.world.hosts.map(({ id }) => id).filter((id) => !me.colluders.has(id));
}

/** From its own node on over links that are up, at most `hops` of them and to no node twice. */
function walkFrom(me: Adversary, hops: number): NodeId[] {
  const walk = [me.id];
  for (let node = me.node; walk.length <= hops; ) {
    const next = [...node.links.all()]
      .filter((link) => link.up && !walk.includes(link.node))
      .map((link) => link.node);
    if (next.length === 0) break;
    const id = next[me.rng.below(next.length)]!;
    walk.push(id);
    node = me.host.world.hosts.find((host) => host.id === id)!.node;
  }
  return walk;
}

function flood(me: Adversary, perSecond: number, options: DatagramOptions): Deed {
  const owner: DatagramOwner = { onMessage: () => true, onWritable: () => {} };
  const payload = new Uint8Array(1_000);
  let session: DatagramSession | null = null;
  inGroups(me, perSecond, (group) => {
    session ??= me.node.sessions.open(owner, options);
    const { hosts } = me.host.world;
    const to = hosts[me.rng.below(hosts.length)]!.id;
    for (let i = 0; i < group && to !== me.id; i += 1)
      me.node.sessions.send(session, to, 9, payload, 0, payload.length);
  });
  return {};
}
