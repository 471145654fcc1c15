/**
 * The strategy of link state: each packet goes to the next hop of the cheapest way.
 *
 * Owns what that needs beside routes: packets of reliable links that wait for one (limbo.ts), what
 * sources are told of them (notices.ts), and the seal from end to end in front of it
 * (protection.ts). A claimed source is told from a proved one where packets are delivered. `@hot`
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { NextHop } from '../link/next-hop.ts';
import type { EncodedPacket } from '../link/send-queue.ts';
import type { Router } from '../routing/router.ts';
import { DropReason, refusalOf, type DropCounters, type Offered } from '../wire/drop.ts';
import { NOTICE_KEY_GONE } from '../wire/notice.ts';
import { Packet, SERVICE_RELIABLE } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import { Limbo } from './limbo.ts';
import { Notices } from './notices.ts';
import type { Protection } from './protection.ts';
import type { Strategy } from './strategy.ts';

/**
 * For so long after routes have changed here they may be others elsewhere; a reliable packet with
 * so few hops left then pauses at each.
 */
const NEWS_TIME: Micros = 1 * SECOND;
const FEW_HOPS = 16;

export interface UnicastEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly drops: DropCounters;
  readonly pool: PacketPool;
  readonly router: Router;
  /** Null where identities are missing that it needs. */
  readonly protection: Protection | null;
  /** A packet for this node that says who sent it, and nobody knows whether that is true. */
  deliverClaimed(packet: Packet): void;
  /** Puts a packet for ourselves into the loopback. */
  loop(packet: Packet): DropReason;
  /** A packet whose hops ran out here. */
  onExpired(packet: Packet): void;
  /** Whether a packet in transit is gone; true in laboratories only. */
  onTransit(packet: Packet, from: NodeId): boolean;
}

export class Unicast implements Strategy {
  forwarded = 0;
  readonly #env: UnicastEnvironment;
  readonly #router: Router;
  readonly #protection: Protection | null;
  readonly #returned = new Packet();
  readonly #limbo: Limbo;
  readonly #notices: Notices;
  /** When routes last changed. */
  #routesAt: Micros = -NEWS_TIME;

  constructor(env: UnicastEnvironment) {
    this.#env = env;
    this.#router = env.router;
    this.#protection = env.protection;
    const { self, clock, timers, drops, pool } = env;
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

  get waiting(): number {
    return this.#limbo.length;
  }

  originate(packet: Packet): Offered {
    if (!packet.secret) return this.sendOn(packet);
    const { destination } = packet;
    return this.#protection !== null &&
      (this.#router.knows(destination) || this.#router.nextHop(destination) !== null)
      ? this.#protection.originate(packet)
      : DropReason.noRoute;
  }

  sendOn(packet: Packet): Offered {
    const link = this.#router.nextHop(packet.destination);
    const offered = link === null ? DropReason.noRoute : link.offer(packet);
    if (
      offered === DropReason.linkDown ||
      (offered === DropReason.noRoute && this.#router.knows(packet.destination))
    )
      return this.#wait(packet, offered);
    return offered;
  }

  onPacket(packet: Packet, from: NodeId): DropReason {
    if (packet.destination === this.#env.self) return this.#arrived(packet);
    if (this.#env.onTransit(packet, from)) return DropReason.none;
    const reason = this.#forward(packet);
    if (reason === DropReason.none) this.forwarded += 1;
    return reason;
  }

  congested(packet: Packet): boolean {
    return this.#router.nextHop(packet.destination)?.holds(packet) ?? false;
  }

  recall(packet: Packet, take: (kept: KeptPacket) => void): void {
    this.#router.nextHop(packet.destination)?.recall(packet, take);
  }

  onTheWay(node: NodeId, destination: NodeId): boolean {
    return this.#router.onTheWay(node, destination);
  }

  onHandBack(kept: KeptPacket): void {
    if (kept.service === SERVICE_RELIABLE) this.#limbo.add(kept);
    else this.#env.pool.release(kept);
  }

  isElsewhere({ destination }: Packet, via: NodeId): boolean {
    const next = this.#router.nextHop(destination);
    return next !== null && next.node !== via;
  }

  /** The flow of `packet`, in transit, has a long queue here: its source is told. See SendQueue. */
  onLong(packet: EncodedPacket, rate: number, dropped: number): void {
    this.#notices.onLong(packet, rate, dropped);
  }

  onUndelivered(packet: Packet, reason: number): void {
    this.#notices.onUndelivered(packet, reason);
  }

  /** What waits for a route is tried again. */
  onRoutes(): void {
    this.#routesAt = this.#env.clock.now();
    if (this.#limbo.length > 0) this.#limbo.retry();
  }

  onRestart(node: NodeId): void {
    this.#protection?.onRestart(node);
  }

  stop(): void {
    this.#protection?.stop();
    this.#notices.stop();
    this.#limbo.stop();
  }

  /** A packet for this node. */
  #arrived(packet: Packet): DropReason {
    // What we send to ourselves never leaves.
    if (packet.source === this.#env.self) return DropReason.sourceUnproved;
    if (packet.sealed) {
      const reason = this.#protection?.onSealed(packet) ?? DropReason.endToEndUnasked;
      // Who sent it had not heard yet that this node began anew, and nobody else will tell.
      if (reason === DropReason.endToEndKeyGone)
        this.#notices.onUndelivered(packet, NOTICE_KEY_GONE);
      return reason;
    }
    this.#env.deliverClaimed(packet);
    return DropReason.none;
  }

  /** False: there is no way to its destination, or no room now. */
  #sendNotice(packet: Packet): boolean {
    // Sealed it says who sends it.
    packet.secret = this.#protection !== null;
    const offered =
      packet.destination === this.#env.self ? this.#env.loop(packet) : this.originate(packet);
    return refusalOf(offered) === DropReason.none;
  }

  #sendAgain(kept: KeptPacket): boolean {
    const packet = this.#returned;
    if (
      packet.decode(kept.bytes, kept.start, kept.end, kept.bytes !== kept.own) !== DropReason.none
    )
      return true;
    packet.via = kept.via;
    packet.user = kept.user;
    const link = this.#router.nextHop(packet.destination);
    return link !== null && refusalOf(link.offer(packet)) === DropReason.none;
  }

  /** Keeps a packet of a reliable link until there is a way; others are dropped for `reason`. */
  #wait(packet: Packet, reason: DropReason): DropReason {
    if (
      packet.service !== SERVICE_RELIABLE ||
      !this.#limbo.open(packet.via, packet.user, packet.source)
    )
      return reason;
    const kept = this.#env.pool.keep(packet);
    if (kept === null) return reason;
    this.#limbo.add(kept);
    return DropReason.none;
  }

  #forward(packet: Packet): DropReason {
    if (packet.ttl <= 1) {
      this.#env.onExpired(packet);
      return DropReason.ttlExpired;
    }
    const link = this.#router.nextHop(packet.destination);
    if (link === null && packet.service !== SERVICE_RELIABLE) return DropReason.noRoute;
    packet.setTtl(packet.ttl - 1);
    if (link === null) return this.#wait(packet, DropReason.noRoute);
    if (packet.service === SERVICE_RELIABLE && this.#circles(packet, link))
      return this.#wait(packet, DropReason.linkQueueFull);
    return refusalOf(link.offer(packet));
  }

  /**
   * It would go back to the neighbour that it came from, or its hops run out just after routes have
   * changed: neighbours that do not know the same yet. Without a pause it would go round between
   * them till its hops ran out, on a local network before the news is everywhere.
   */
  #circles(packet: Packet, link: NextHop): boolean {
    return (
      packet.via === link.node ||
      (packet.ttl < FEW_HOPS && this.#env.clock.now() - this.#routesAt < NEWS_TIME)
    );
  }
}
