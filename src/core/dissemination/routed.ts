/**
 * The strategy of packets that carry the graph of their ways: copies go over each of its edges, and
 * every node uses one.
 *
 * Owns the wrapping of what begins here into a packet with its graph (routing/path-graphs.ts), the
 * rule that a packet comes over an edge of its graph, and that what several neighbours bring is
 * used once (seen-contents.ts). A link that is down or full costs its copy, and nothing is mended
 * on the way: the others are there for that. Hops are not counted, as no graph has a circle; of
 * what goes everywhere they are, and each node sends it to those from whom it can be in time. What
 * is sealed from end to end is sealed inside; who cannot open it has not used it up. `@hot`
 */

import { copyBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Neighbours } from '../link/next-hop.ts';
import type { DisseminationGraphs } from '../routing/dissemination-graphs.ts';
import type { PathGraph } from '../routing/path-graphs.ts';
import { MILLISECOND, type Clock, type Micros } from '../base/time.ts';
import { deadlineUs } from '../wire/deadline.ts';
import {
  DropReason,
  refusalOf,
  TAKEN_FULL,
  type DropCounters,
  type Offered,
} from '../wire/drop.ts';
import {
  DISSEMINATION_GRAPH,
  isOver,
  KIND_ROUTED,
  Packet,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../wire/packet.ts';
import {
  encodeFloodHead,
  encodeRoutedHead,
  FLOOD_HOPS,
  putRoutedStamp,
  RoutedHead,
} from '../wire/routed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../wire/sizes.ts';
import type { Protection } from './protection.ts';
import { SeenContents } from './seen-contents.ts';
import type { Strategy } from './strategy.ts';

const U32 = 2 ** 32;

export interface RoutedEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly drops: DropCounters;
  readonly links: Neighbours;
  readonly graphs: DisseminationGraphs;
  /** Null where identities are missing that it needs. */
  readonly protection: Protection | null;
  /** u32, differs between runs of the daemon. */
  readonly run: number;
  /** True when the node exists, or did a while ago. */
  knows(node: NodeId): boolean;
  /** A u32 that nobody can guess. */
  draw(): number;
  /** A packet for this node that says who sent it, and nobody knows whether that is true. */
  deliverClaimed(packet: Packet): void;
  /** Whether a packet in transit is gone; true in laboratories only. */
  onTransit(packet: Packet, from: NodeId): boolean;
}

export class Routed implements Strategy {
  forwarded = 0;
  /** Packets that began here, and copies that links took, of these and in transit. */
  sent = 0;
  copies = 0;
  readonly seen: SeenContents;
  readonly graphs: DisseminationGraphs;
  readonly #env: RoutedEnvironment;
  readonly #head = new RoutedHead();
  readonly #next: NodeId[] = [];
  readonly #wrap = new Packet();
  readonly #wrapped = new Uint8Array(PACKET_BYTES_MAX);
  #number = 0;

  constructor(env: RoutedEnvironment) {
    this.#env = env;
    this.graphs = env.graphs;
    this.seen = new SeenContents(() => env.draw());
  }

  /* -------------------------------------------------------------- what begins here */

  originate(packet: Packet): Offered {
    if (packet.service === SERVICE_RELIABLE) return DropReason.linkServiceUnknown;
    if (!packet.secret) return this.sendOn(packet);
    const { protection } = this.#env;
    return protection !== null && this.#env.knows(packet.destination)
      ? protection.originate(packet)
      : DropReason.noRoute;
  }

  /** Taken when one of its copies is; its flow waits when none of those has room for more. */
  sendOn(packet: Packet): Offered {
    const graph = this.#fitting(packet);
    if (graph === null) return DropReason.noRoute;
    if (packet.length + graph.headBytes > PACKET_BYTES_MAX) return DropReason.packetTooLong;
    const wrap = this.#wrapIn(packet, graph);
    let taken = 0,
      full = 0,
      refusal: DropReason = DropReason.noRoute;
    for (const node of graph.next) {
      const offered = this.#env.links.of(node)?.offer(wrap) ?? DropReason.linkDown;
      if (refusalOf(offered) === DropReason.none) taken += 1;
      else refusal = refusalOf(offered);
      if (offered === TAKEN_FULL) full += 1;
    }
    this.copies += taken;
    if (taken === 0) return refusal;
    this.sent += 1;
    if (taken < graph.next.length)
      this.#env.drops.count(DropReason.routedCopyLost, graph.next.length - taken);
    return full === taken ? TAKEN_FULL : DropReason.none;
  }

  congested(packet: Packet): boolean {
    const next = this.#graphOf(packet)?.next ?? [];
    return (
      next.length > 0 && next.every((node) => this.#env.links.of(node)?.holds(packet) === true)
    );
  }

  /** Bytes in front of the payload of `packet`, which begins here; -1: there is no way for it. */
  headBytes(packet: Packet): number {
    return this.#graphOf(packet)?.headBytes ?? -1;
  }

  #graphOf(packet: Packet): PathGraph | null {
    const { destination, dissemination, paths, graph } = packet;
    return dissemination === DISSEMINATION_GRAPH
      ? this.graphs.to(destination, graph, withinUs(packet))
      : this.graphs.paths.to(destination, paths, withinUs(packet));
  }

  /**
   * That of which there is room for: it may be longer than when the message was cut. Else of fewer
   * paths.
   */
  #fitting(packet: Packet): PathGraph | null {
    let graph = this.#graphOf(packet);
    for (let paths = packet.paths; paths >= 1; paths -= 1) {
      if (graph === null || packet.length + graph.headBytes <= PACKET_BYTES_MAX) break;
      graph = this.graphs.paths.to(packet.destination, paths, withinUs(packet));
    }
    return graph;
  }

  #wrapIn(packet: Packet, { graph }: PathGraph): Packet {
    const b = this.#wrapped,
      wrap = this.#wrap;
    const ms = Math.ceil(withinUs(packet) / MILLISECOND);
    const at =
      graph === null
        ? encodeFloodHead(packet.kind, ms, b, OVERLAY_HEADER_BYTES)
        : encodeRoutedHead(packet.kind, graph, b, OVERLAY_HEADER_BYTES);
    putRoutedStamp(b, OVERLAY_HEADER_BYTES, this.#env.run, this.#number);
    this.#number = (this.#number + 1) % U32;
    copyBytes(packet.bytes, packet.payloadStart, packet.end, b, at);
    const { source, sourcePort, destination, destinationPort, user } = packet;
    const end = at + packet.end - packet.payloadStart;
    wrap.bytes = b;
    wrap.start = 0;
    wrap.end = end;
    wrap.keepable = false;
    wrap.nameFlow(KIND_ROUTED, packet, source, sourcePort, destination, destinationPort, user);
    wrap.ageUs = packet.ageUs;
    wrap.sealed = packet.sealed;
    if (graph === null) wrap.ttl = FLOOD_HOPS;
    wrap.encodeHeader();
    return wrap;
  }

  /* -------------------------------------------------------------- what arrives */

  onPacket(packet: Packet, from: NodeId): DropReason {
    const { self } = this.#env;
    const head = this.#head;
    const reason =
      packet.kind === KIND_ROUTED && packet.service !== SERVICE_RELIABLE
        ? head.decode(
            packet.bytes,
            packet.payloadStart,
            packet.end,
            packet.source,
            packet.destination,
          )
        : DropReason.routedMalformed;
    if (reason !== DropReason.none) return reason;
    if (head.isFlood) return this.#onFlood(packet, from);
    const place = head.placeOf(self);
    if (place <= 0 || !head.hasEdge(head.placeOf(from), place)) return DropReason.routedWrongLink;
    // What is late is not remembered: who says that it is may lie.
    if (isOver(packet, packet.ageUs)) return DropReason.realtimeLate;
    if (!this.seen.take(packet, from, 0, packet.destination === self))
      return DropReason.routedDuplicate;
    if (packet.destination === self) return this.#arrived(packet);
    const count = head.nextOf(place, this.#next);
    if (count === 0) return DropReason.routedWrongLink;
    if (this.#env.onTransit(packet, from)) return DropReason.none;
    return this.#pass(packet, this.#next, count, 0);
  }

  /** It comes by any link, and has hops to lose. */
  #onFlood(packet: Packet, from: NodeId): DropReason {
    const { self } = this.#env;
    const { source, destination } = packet;
    // Ours comes back to us, and is known to nobody here.
    if (source === self || packet.ttl > FLOOD_HOPS) return DropReason.routedWrongLink;
    if (isOver(packet, packet.ageUs)) return DropReason.realtimeLate;
    if (!this.seen.take(packet, from, packet.ttl, destination === self))
      return DropReason.routedDuplicate;
    if (destination === self) return this.#arrived(packet);
    if (packet.ttl <= 1) return DropReason.ttlExpired;
    if (this.#env.onTransit(packet, from)) return DropReason.none;
    packet.setTtl(packet.ttl - 1);
    const next = this.graphs.onward(source, destination, this.#head.withinMs * MILLISECOND);
    return this.#pass(packet, next, next.length, from);
  }

  /** Offers it to the first `count` of `next`, but for `from`. */
  #pass(packet: Packet, next: readonly NodeId[], count: number, from: NodeId): DropReason {
    const { links, drops } = this.#env;
    let taken = 0,
      lost = 0;
    for (let i = 0; i < count; i += 1) {
      if (next[i] === from) continue;
      const offered = links.of(next[i]!)?.offer(packet) ?? DropReason.linkDown;
      if (refusalOf(offered) === DropReason.none) taken += 1;
      else lost += 1;
    }
    this.copies += taken;
    if (taken > 0) this.forwarded += 1;
    if (lost > 0) drops.count(DropReason.routedCopyLost, lost);
    return DropReason.none;
  }

  /** Makes `packet` the inner one, whose header is the same but for the kind, and delivers it. */
  #arrived(packet: Packet): DropReason {
    const start = this.#head.payloadStart - OVERLAY_HEADER_BYTES;
    packet.bytes.copyWithin(start, packet.start, packet.payloadStart);
    packet.start = start;
    packet.kind = this.#head.kind;
    packet.encodeHeader();
    if (packet.sealed) return this.#env.protection?.onSealed(packet) ?? DropReason.endToEndUnasked;
    this.#env.deliverClaimed(packet);
    return DropReason.none;
  }

  onLinkState(node: NodeId, up: boolean): void {
    if (!up) this.seen.leave(node);
  }

  onRoutes(): void {
    this.graphs.onRoutes();
  }

  stop(): void {}
}

/** How long a packet that begins here has, 0: for ever. */
function withinUs({ service, deadline, ageUs, withinUs: asked }: Packet): Micros {
  return service === SERVICE_REALTIME ? Math.max(1, deadlineUs(deadline) - ageUs) : asked;
}
