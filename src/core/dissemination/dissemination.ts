/**
 * Who gets a packet next: the one place where a packet meets the strategy of its dissemination.
 *
 * Every packet passes here once per daemon, whether a local session made it or a link brought it.
 * The dissemination code in its header picks the strategy (strategy.ts). Packets to ourselves go
 * through a bounded loopback that is drained at the end of the turn, so that no session is entered
 * from within another's call. What is delivered says whether its source is proved or only claimed;
 * sessions compare that with what they demand. `@hot`
 */

import { GROUP_FIRST, type NodeId } from '../base/ids.ts';
import { Ring } from '../base/ring.ts';
import type { EncodedPacket } from '../link/send-queue.ts';
import { DropReason, refusalOf, type DropCounters, type Offered } from '../wire/drop.ts';
import {
  destinationAt,
  DISSEMINATION_LINK_STATE,
  disseminationAt,
  Packet,
} from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import type { Multicast } from './multicast.ts';
import type { Strategy, TransitMisbehaviour } from './strategy.ts';

export interface DisseminationUpper {
  /** A packet for this node. Valid during the call only. */
  onDelivery(packet: Packet): void;
}

/** Packets to ourselves in one turn: what half a dozen programs may have sent ahead. */
const LOOPBACK_MAX = 16_384;

export class Dissemination {
  originated = 0;
  delivered = 0;
  /** Of link-state packets in transit; set in laboratories only. */
  misbehaviour: TransitMisbehaviour | null = null;
  readonly #self: NodeId;
  readonly #drops: DropCounters;
  readonly #pool: PacketPool;
  readonly #upper: DisseminationUpper;
  /** By code; null where there is none. */
  readonly #strategies: (Strategy | null)[] = [];
  /** Of packets to groups, whatever their code. */
  #groups: Multicast | null = null;
  readonly #loopback = new Ring<KeptPacket>(LOOPBACK_MAX);
  readonly #looped = new Packet();
  readonly #returned = new Packet();

  constructor(self: NodeId, drops: DropCounters, pool: PacketPool, upper: DisseminationUpper) {
    this.#self = self;
    this.#drops = drops;
    this.#pool = pool;
    this.#upper = upper;
  }

  /** Packets of that code go by `strategy` from now on, in place of any other. */
  use(code: number, strategy: Strategy): void {
    while (this.#strategies.length <= code) this.#strategies.push(null);
    this.#strategies[code] = strategy;
  }

  /** Packets to groups go by `strategy` from now on. */
  useGroups(strategy: Multicast): void {
    this.#groups = strategy;
  }

  /** The strategy of that code; null where this daemon has none. */
  strategy(code: number): Strategy | null {
    return this.#strategies[code] ?? null;
  }

  /** Packets in transit that were sent on. */
  get forwarded(): number {
    return this.#all().reduce((sum, strategy) => sum + (strategy.forwarded ?? 0), 0);
  }

  /** Packets that wait for a route. */
  get waiting(): number {
    return this.#all().reduce((sum, strategy) => sum + (strategy.waiting ?? 0), 0);
  }

  /** True while packets to ourselves wait for the end of the turn. */
  get loopbackPending(): boolean {
    return this.#loopback.length > 0;
  }

  /**
   * Sends a packet of a local session, or refuses it: then the caller counts, and tells its client.
   */
  originate(packet: Packet): Offered {
    const strategy = this.#of(packet);
    if (strategy === null) return DropReason.disseminationUnknown;
    const offered =
      packet.destination === this.#self ? this.loop(packet) : strategy.originate(packet);
    if (refusalOf(offered) === DropReason.none) this.originated += 1;
    return offered;
  }

  /** See Strategy; 0 where nothing is. */
  headBytes(packet: Packet): number {
    return this.#strategies[packet.dissemination]?.headBytes?.(packet) ?? 0;
  }

  /** Sends a packet of ours that is sealed by now. */
  sendOn(packet: Packet): Offered {
    return (
      this.#strategies[packet.dissemination]?.sendOn?.(packet) ?? DropReason.disseminationUnknown
    );
  }

  /** True when `node` is where packets of that dissemination to `destination` may pass. */
  onTheWay(dissemination: number, node: NodeId, destination: NodeId): boolean {
    if (destination >= GROUP_FIRST) return this.#groups?.onTheWay(node, destination) ?? false;
    return this.#strategies[dissemination]?.onTheWay?.(node, destination) ?? false;
  }

  /** Whether a packet with this stamp was sent from here to `group` lately. */
  hasSent(group: number, run: number, number: number): boolean {
    return this.#groups?.hasSent(group, run, number) ?? false;
  }

  /** A packet arrived from a neighbour: it is delivered, forwarded, or dropped and counted. */
  onPacket(packet: Packet, from: NodeId): void {
    const strategy = this.#of(packet);
    const reason =
      strategy === null ? DropReason.disseminationUnknown : strategy.onPacket(packet, from);
    if (reason !== DropReason.none) this.#drops.count(reason);
  }

  /** A packet for this node whose source is proved, by its strategy or by its seal. */
  deliver(packet: Packet): void {
    packet.authenticated = true;
    this.deliverClaimed(packet);
  }

  /** A packet for this node that says who sent it, and nobody knows whether that is true. */
  deliverClaimed(packet: Packet): void {
    this.delivered += 1;
    this.#upper.onDelivery(packet);
  }

  /**
   * True while the flow of `packet`, which begins here, is to wait: its part of a queue here is
   * long.
   */
  congested(packet: Packet): boolean {
    return this.#of(packet)?.congested(packet) ?? false;
  }

  /**
   * Nobody takes `packet`, which is for this node, for `reason`, e.g. NOTICE_PORT_CLOSED: its
   * source is told, by link state however it came.
   */
  onUndelivered(packet: Packet, reason: number): void {
    this.#strategies[DISSEMINATION_LINK_STATE]?.onUndelivered?.(packet, reason);
  }

  /** Takes what waits here, in front of its first link, of the flow of `packet`; `take` owns it. */
  recall(packet: Packet, take: (kept: KeptPacket) => void): void {
    this.#of(packet)?.recall?.(packet, take);
  }

  /** Puts a packet for ourselves into the loopback, which the end of the turn delivers. */
  loop(packet: Packet): DropReason {
    if (this.#loopback.length === this.#loopback.limit) return DropReason.loopbackFull;
    const kept = this.#pool.keep(packet);
    if (kept === null) return DropReason.loopbackFull;
    this.#loopback.push(kept);
    return DropReason.none;
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
   * The link to the neighbour `via` went down with this packet undelivered: it leaves by another
   * way, where its strategy has one for it.
   */
  onHandBack(kept: KeptPacket, via: NodeId): void {
    const strategy = this.#at(kept.bytes, kept.start);
    if (strategy?.onHandBack === undefined) this.#pool.release(kept);
    else strategy.onHandBack(kept, via);
  }

  /** There is another way than over the neighbour `via` for what waits there. */
  isElsewhere(kept: KeptPacket, via: NodeId): boolean {
    const packet = this.#returned;
    return (
      packet.decode(kept.bytes, kept.start, kept.end, kept.bytes !== kept.own) ===
        DropReason.none && this.#of(packet)?.isElsewhere?.(packet, via) === true
    );
  }

  /** The flow of `packet`, in transit, has a long queue here. See SendQueue. */
  onLong(packet: EncodedPacket, rate: number, dropped: number): void {
    this.#at(packet.bytes, packet.start)?.onLong?.(packet, rate, dropped);
  }

  /** `@hot` */
  #of({ destination, dissemination }: Packet): Strategy | null {
    return destination < GROUP_FIRST ? (this.#strategies[dissemination] ?? null) : this.#groups;
  }

  /** Of an encoded packet. */
  #at(bytes: Uint8Array, start: number): Strategy | null {
    return destinationAt(bytes, start) < GROUP_FIRST
      ? (this.#strategies[disseminationAt(bytes, start)] ?? null)
      : this.#groups;
  }

  /** Each once; that of groups last: it goes by what the others know. */
  #all(): Strategy[] {
    return [...new Set([...this.#strategies, this.#groups])].filter((one) => one !== null);
  }

  onLinkState(node: NodeId, up: boolean): void {
    for (const strategy of this.#all()) strategy.onLinkState?.(node, up);
  }

  /** The daemon of `node` was started anew. */
  onRestart(node: NodeId): void {
    for (const strategy of this.#all()) strategy.onRestart?.(node);
  }

  /** See Strategy. */
  onOvertaken(sequence: number): void {
    for (const strategy of this.#all()) strategy.onOvertaken?.(sequence);
  }

  /** Routes changed. */
  onRoutes(): void {
    for (const strategy of this.#all()) strategy.onRoutes?.();
  }

  stop(): void {
    for (const strategy of this.#all()) strategy.stop();
    for (let kept = this.#loopback.shift(); kept !== undefined; kept = this.#loopback.shift())
      this.#pool.release(kept);
  }
}
