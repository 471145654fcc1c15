/**
 * Who gets a packet next: the one place where "deliver or forward" is decided.
 *
 * Every packet passes here once per daemon, whether a local session made it or a link brought it.
 * The dissemination code in its header picks the strategy: link-state unicast, or the router beside
 * it (alternate-router.ts). Packets to ourselves go through a bounded loopback that is drained at
 * the end of the turn, so that no session is entered from within another's call. What is delivered
 * says whether its source is proved or only claimed; sessions compare that with what they demand.
 * `@hot`
 */

import type { NodeId } from '../base/ids.ts';
import { Ring } from '../base/ring.ts';
import { SECOND, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Link } from '../link/link.ts';
import type { EncodedPacket } from '../link/send-queue.ts';
import type { Router } from '../routing/router.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  disseminationAt,
  Packet,
  SERVICE_RELIABLE,
} from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import type { AlternateRouter, TransitMisbehaviour } from './alternate-router.ts';
import { Limbo } from './limbo.ts';
import { Notices } from './notices.ts';
import type { Protection } from './protection.ts';

export interface DisseminationUpper {
  /** A packet for this node. Valid during the call only. */
  onDelivery(packet: Packet): void;
  /** A packet whose hops ran out here. Valid during the call only. */
  onExpired(packet: Packet): void;
}

/** Packets to ourselves in one turn: what half a dozen programs may have sent ahead. */
const LOOPBACK_MAX = 16_384;
/**
 * For so long after routes have changed here they may be others elsewhere; a reliable packet with
 * so few hops left then pauses at each.
 */
const NEWS_TIME: Micros = 1 * SECOND;
const FEW_HOPS = 16;

export class Dissemination {
  originated = 0;
  forwarded = 0;
  delivered = 0;
  /**
   * Takes the packets of dissemination BYZANTINE. Null where identities are missing that it needs.
   */
  alternate: AlternateRouter | null = null;
  /**
   * Seals and opens what goes by link state from end to end. Null where identities are missing that
   * it needs.
   */
  protection: Protection | null = null;
  /** Of link-state packets in transit; set in laboratories only. */
  misbehaviour: TransitMisbehaviour | null = null;
  readonly #self: NodeId;
  readonly #router: Router;
  readonly #drops: DropCounters;
  readonly #pool: PacketPool;
  readonly #upper: DisseminationUpper;
  readonly #loopback = new Ring<KeptPacket>(LOOPBACK_MAX);
  readonly #looped = new Packet();
  readonly #returned = new Packet();
  readonly #limbo: Limbo;
  readonly #clock: Clock;
  /** When routes last changed. */
  #routesAt: Micros = -NEWS_TIME;
  readonly #notices: Notices;

  constructor(
    self: NodeId,
    router: Router,
    clock: Clock,
    timers: Timers,
    drops: DropCounters,
    pool: PacketPool,
    upper: DisseminationUpper,
  ) {
    this.#self = self;
    this.#clock = clock;
    this.#router = router;
    this.#drops = drops;
    this.#pool = pool;
    this.#upper = upper;
    this.#limbo = new Limbo(
      clock,
      timers,
      drops,
      pool,
      (kept) => this.#sendAgain(kept),
      (kept) => this.#notices.onLost(kept),
    );
    this.#notices = new Notices(self, clock, timers, (packet) => this.#sendNotice(packet));
  }

  /** Packets that wait for a route. */
  get waiting(): number {
    return this.#limbo.length;
  }

  /** True while packets to ourselves wait for the end of the turn. */
  get loopbackPending(): boolean {
    return this.#loopback.length > 0;
  }

  /**
   * Sends a packet of a local session. Not none = not sent; the caller counts and tells its client.
   */
  originate(packet: Packet): DropReason {
    const alternate = packet.dissemination === DISSEMINATION_BYZANTINE ? this.alternate : null;
    if (packet.dissemination !== DISSEMINATION_LINK_STATE && alternate === null)
      return DropReason.disseminationUnknown;
    let reason: DropReason;
    if (packet.destination === this.#self) reason = this.#loop(packet);
    else if (alternate !== null) reason = alternate.originate(packet);
    else if (
      packet.secret &&
      this.protection !== null &&
      (this.#router.knows(packet.destination) || this.#router.nextHop(packet.destination) !== null)
    )
      reason = this.protection.originate(packet);
    else if (packet.secret) reason = DropReason.noRoute;
    else reason = this.sendOn(packet);
    if (reason === DropReason.none) this.originated += 1;
    return reason;
  }

  /** Sends a packet of ours that is ready for the network. Not none = not sent. */
  sendOn(packet: Packet): DropReason {
    const link = this.#router.nextHop(packet.destination);
    const reason = link === null ? DropReason.noRoute : link.offer(packet);
    if (
      reason === DropReason.linkDown ||
      (reason === DropReason.noRoute && this.#router.knows(packet.destination))
    )
      return this.#wait(packet, reason);
    return reason;
  }

  /** True when `node` is where packets to `destination` may pass. */
  onTheWay(node: NodeId, destination: NodeId): boolean {
    return this.#router.onTheWay(node, destination);
  }

  /** A packet arrived on a link: it is delivered, forwarded, or dropped and counted. */
  onPacket(packet: Packet, link: Link): void {
    if (packet.dissemination === DISSEMINATION_BYZANTINE && this.alternate !== null) {
      const dropped = this.alternate.onPacket(packet, link.node);
      if (dropped !== DropReason.none) this.#drops.count(dropped);
      return;
    }
    if (packet.destination === this.#self) {
      this.#deliverClaimed(packet);
      return;
    }
    if (this.misbehaviour?.onTransit?.(packet, link.node) === true) return;
    const reason = this.#forward(packet);
    if (reason === DropReason.none) this.forwarded += 1;
    else this.#drops.count(reason);
  }

  /**
   * A packet for this node whose source is proved: by the router beside link state, or by its seal.
   */
  deliver(packet: Packet): void {
    packet.authenticated = true;
    this.delivered += 1;
    this.#upper.onDelivery(packet);
  }

  /** A packet for this node that says who sent it, and nobody knows whether that is true. */
  #deliverClaimed(packet: Packet): void {
    // What we send to ourselves never leaves, and a dissemination that proves sources is not this
    // one.
    const reason =
      packet.source === this.#self
        ? DropReason.sourceUnproved
        : packet.dissemination !== DISSEMINATION_LINK_STATE
          ? DropReason.disseminationUnknown
          : DropReason.none;
    if (reason !== DropReason.none) {
      this.#drops.count(reason);
      return;
    }
    if (packet.sealed) {
      const refused =
        this.protection === null ? DropReason.endToEndUnasked : this.protection.onSealed(packet);
      if (refused !== DropReason.none) this.#drops.count(refused);
      return;
    }
    this.delivered += 1;
    this.#upper.onDelivery(packet);
  }

  /**
   * True while the flow of `packet`, which begins here, is to wait: its part of a queue here is
   * long.
   */
  congested(packet: Packet): boolean {
    const { destination, service, dissemination } = packet;
    if (dissemination === DISSEMINATION_BYZANTINE)
      return this.alternate?.congested(destination, service) ?? false;
    return this.#router.nextHop(destination)?.holds(packet) ?? false;
  }

  /**
   * Takes what waits here, in front of its first link, of the flow of `packet`, which goes by link
   * state; `take` owns it.
   */
  recall(packet: Packet, take: (kept: KeptPacket) => void): void {
    this.#router.nextHop(packet.destination)?.recall(packet, take);
  }

  /** Delivers what was sent to ourselves before this call. Returns how many packets. */
  drainLoopback(): number {
    const count = this.#loopback.length;
    for (let i = 0; i < count; i += 1) {
      const kept = this.#loopback.shift()!;
      const reason = this.#looped.decode(kept.bytes, kept.start, kept.end, false);
      if (reason === DropReason.none) this.deliver(this.#looped);
      else this.#drops.count(reason);
      this.#pool.release(kept);
    }
    return count;
  }

  /**
   * A link went down with this packet undelivered: it leaves by another way as soon as there is
   * one.
   */
  onHandBack(kept: KeptPacket): void {
    // A probed packet has its route in it: another way is its source's to choose.
    if (
      kept.service === SERVICE_RELIABLE &&
      disseminationAt(kept.bytes, kept.start) === DISSEMINATION_LINK_STATE
    )
      this.#limbo.add(kept);
    else this.#pool.release(kept);
  }

  /** Routes have another way than `link` for what waits there. */
  isElsewhere(kept: KeptPacket, link: Link): boolean {
    const packet = this.#returned;
    if (
      packet.decode(kept.bytes, kept.start, kept.end, kept.bytes !== kept.own) !==
        DropReason.none ||
      packet.dissemination !== DISSEMINATION_LINK_STATE
    )
      return false;
    const next = this.#router.nextHop(packet.destination);
    return next !== null && next !== link;
  }

  /** The flow of `packet`, in transit, has a long queue here: its source is told. See SendQueue. */
  onLong(packet: EncodedPacket, rate: number, dropped: number): void {
    this.#notices.onLong(packet, rate, dropped);
  }

  #sendNotice(packet: Packet): void {
    // Sealed it says who sends it.
    packet.secret = this.protection !== null;
    if (packet.destination === this.#self) this.#loop(packet);
    else if (this.protection !== null) this.protection.originate(packet);
    else this.#router.nextHop(packet.destination)?.offer(packet);
  }

  /** Routes changed: what waits for one is tried again. */
  onRoutes(): void {
    this.#routesAt = this.#clock.now();
    if (this.#limbo.length > 0) this.#limbo.retry();
  }

  stop(): void {
    this.protection?.stop();
    this.#notices.stop();
    this.#limbo.stop();
    for (let kept = this.#loopback.shift(); kept !== undefined; kept = this.#loopback.shift())
      this.#pool.release(kept);
  }

  #sendAgain(kept: KeptPacket): boolean {
    const packet = this.#returned;
    if (
      packet.decode(kept.bytes, kept.start, kept.end, kept.bytes !== kept.own) !== DropReason.none
    )
      return true;
    packet.via = kept.via;
    packet.user = kept.user;
    return this.#router.nextHop(packet.destination)?.offer(packet) === DropReason.none;
  }

  /** Keeps a packet of a reliable link until there is a way; others are dropped for `reason`. */
  #wait(packet: Packet, reason: DropReason): DropReason {
    if (
      packet.service !== SERVICE_RELIABLE ||
      !this.#limbo.open(packet.via, packet.user, packet.source)
    )
      return reason;
    const kept = this.#pool.keep(packet);
    if (kept === null) return reason;
    this.#limbo.add(kept);
    return DropReason.none;
  }

  #forward(packet: Packet): DropReason {
    if (packet.dissemination !== DISSEMINATION_LINK_STATE) return DropReason.disseminationUnknown;
    if (packet.ttl <= 1) {
      this.#upper.onExpired(packet);
      return DropReason.ttlExpired;
    }
    const link = this.#router.nextHop(packet.destination);
    if (link === null && packet.service !== SERVICE_RELIABLE) return DropReason.noRoute;
    packet.setTtl(packet.ttl - 1);
    if (link === null) return this.#wait(packet, DropReason.noRoute);
    if (packet.service === SERVICE_RELIABLE && this.#circles(packet, link))
      return this.#wait(packet, DropReason.linkQueueFull);
    return link.offer(packet);
  }

  /**
   * It would go back to the neighbour that it came from, or its hops run out just after routes have
   * changed: neighbours that do not know the same yet. Without a pause it would go round between
   * them till its hops ran out, on a local network before the news is everywhere.
   */
  #circles(packet: Packet, link: Link): boolean {
    return (
      packet.via === link.node ||
      (packet.ttl < FEW_HOPS && this.#clock.now() - this.#routesAt < NEWS_TIME)
    );
  }

  #loop(packet: Packet): DropReason {
    if (this.#loopback.length === this.#loopback.limit) return DropReason.loopbackFull;
    const kept = this.#pool.keep(packet);
    if (kept === null) return DropReason.loopbackFull;
    this.#loopback.push(kept);
    return DropReason.none;
  }
}
