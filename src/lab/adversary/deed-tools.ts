/**
 * What deeds of adversaries are made of: hooks for what they read, what they send, and bounds of
 * what they keep.
 */

import { putU32 } from '../../core/base/bytes.ts';
import type { NodeId } from '../../core/base/ids.ts';
import { ROUTE_REQUEST_LABEL } from '../../core/byzantine/verified.ts';
import type { Deed } from '../misbehaviour/misbehaviour.ts';
import type {
  DatagramOptions,
  DatagramOwner,
  DatagramSession,
} from '../../core/session/sessions.ts';
import {
  decodeRouteResponse,
  makeRouteRequest,
  ROUTE_RESPONSE,
  ROUTE_RESPONSE_HEAD_BYTES,
  type RouteQuestion,
  type RouteResponse,
  type RouteWeight,
} from '../../core/wire/discovery.ts';
import { DropReason } from '../../core/wire/drop.ts';
import type { Packet } from '../../core/wire/packet.ts';
import { ONION_LAYER_BYTES, ProbedData } from '../../core/wire/probed.ts';
import type { Adversary } from './insider.ts';

export type Make = (me: Adversary, amount: number | null) => Deed;

export const drop = (): boolean => true;
export const BLACK_HOLE: Deed = { onData: drop, onTransit: drop };
/** Acknowledgements kept to be told again, and responses held back. */
export const KEPT_MAX = 256;
/** Responses for one request that are answered with lies. */
export const ANSWERS_MAX = 6;
export const COUNT_AT = ROUTE_RESPONSE_HEAD_BYTES - 1;
/** Of forged packets what is not head. */
export const FORGED_BYTES = 1_000;
/** Nodes that are not there. */
export const MADE_UP: NodeId = 0x0b00_0000;
/** Where a probe's timer stands in a tail that begins with its layer. */
export const TIMER_AT = 4;

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
export function withData(act: (data: ProbedData, packet: Packet, from: NodeId) => boolean): Deed {
  const data = new ProbedData();
  return {
    onData: (packet, from) => data.decode(packet) === DropReason.none && act(data, packet, from),
  };
}

/** Has a search begin: drops most of what comes while nobody is probed. */
export function provoking(me: Adversary): Deed {
  return both(
    withData((data) => data.layers === 1 && me.rng.chance(0.7)),
    { onTransit: drop },
  );
}

/**
 * Responses by `act`, a few for each request: two of these beside each other would tell each other
 * for ever.
 */
export function withResponse(act: (response: RouteResponse, from: NodeId) => boolean): Deed {
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
export class Told {
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

/* ------------------------------------------------------------------ helpers */

export function randomKey(me: Adversary): Uint8Array {
  const key = new Uint8Array(32);
  me.rng.fill(key);
  return key;
}

export function decodeResponse(bytes: Uint8Array): RouteResponse | null {
  const response = decodeRouteResponse(bytes, 0, bytes.length);
  return typeof response === 'number' ? null : response;
}

export function headOf(data: ProbedData): {
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
export function madeOnion(me: Adversary, outermost: NodeId, layers: number): Uint8Array {
  const onion = new Uint8Array(layers * ONION_LAYER_BYTES);
  me.rng.fill(onion);
  putU32(onion, 0, outermost);
  return onion;
}

/** Links that the others advertise, in the order of the wire, as heavy as can be. */
export function knownLinks(me: Adversary): RouteWeight[] {
  const links: RouteWeight[] = [];
  for (const { advertisement } of me.node.router.sortedRecords()) {
    for (const { node } of advertisement.links)
      if (advertisement.origin < node)
        links.push({ u: advertisement.origin, v: node, exponent: 40 });
  }
  return links.sort((x, y) => x.u - y.u || x.v - y.v);
}

export function requests(
  me: Adversary,
  perSecond: number,
  weights: () => readonly RouteWeight[],
): Deed {
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
export function inGroups(me: Adversary, perSecond: number, act: (group: number) => void): void {
  const group = Math.max(1, Math.round(perSecond / 200));
  me.every(perSecond / group, () => act(group));
}

/** Those that are not of them. */
export function honest(me: Adversary): NodeId[] {
  return me.host.world.hosts.map(({ id }) => id).filter((id) => !me.colluders.has(id));
}

/** From its own node on over links that are up, at most `hops` of them and to no node twice. */
export function walkFrom(me: Adversary, hops: number): NodeId[] {
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

export function flood(me: Adversary, perSecond: number, options: DatagramOptions): Deed {
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
