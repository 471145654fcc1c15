/**
 * The strategy of groups: each packet goes once over each link of the tree of its source.
 *
 * Owns stamps of what begins here, the rule that a packet comes by the link that its tree has, and
 * what becomes of packets when a tree changes. Over reliable links none is lost then: what waited
 * in front of a link that went down goes to each member behind it, whole, as the payload of a
 * packet to that node; who is new behind this node gets what passed lately; and what comes before
 * routes have changed here waits for them (recent-packets.ts). Members drop what came before by
 * stamp (seen.ts). `@hot`
 */

import { isGroupId, type NodeId } from '../base/ids.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { Neighbours } from '../link/next-hop.ts';
import type { EncodedPacket } from '../link/send-queue.ts';
import {
  DropReason,
  refusalOf,
  TAKEN_FULL,
  type DropCounters,
  type Offered,
} from '../wire/drop.ts';
import { decodeGroupHead, putStamp, type GroupHead } from '../wire/group.ts';
import { DISSEMINATION_LINK_STATE } from '../wire/modes.ts';
import { KIND_GROUP, Packet, SERVICE_RELIABLE, TTL_DEFAULT } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, SEAL_ROOM_BYTES } from '../wire/sizes.ts';
import {
  GROUP_FLOWS_MAX,
  GroupFlows,
  type GroupFlow,
  type GroupFlowsEnvironment,
} from './group-flows.ts';
import { PARKED, RecentPackets } from './recent-packets.ts';
import { Seen } from './seen.ts';
import type { Strategy } from './strategy.ts';

/** Packets that are kept for neighbours to come, and such that came too early. */
export const RECENT_MAX = 2_048,
  EARLY_OF_NEIGHBOUR_MAX = 128;
/** Members behind one link that a packet of it goes to one by one. */
const ORPHANS_MAX = 256;
const U32 = 2 ** 32;
/** In front of each branch of a patient flow: what waits beyond it waits at its session. */
const PATIENT_BYTES = 32 * 1024;
/** Packets ago that a notice may quote. */
const QUOTED_MAX = 1_000_000;

export interface MulticastEnvironment extends GroupFlowsEnvironment {
  readonly timers: Timers;
  readonly clock: Clock;
  readonly drops: DropCounters;
  readonly pool: PacketPool;
  readonly links: Neighbours;
  /** u32, of what begins here. */
  readonly run: number;
  /** The run of `source`, as it advertised it; null where that is not known. */
  runOf(source: NodeId): number | null;
  /** There are identities: who sent a packet to this node can be proved. */
  readonly proves: boolean;
  /** Somebody here is in `group`. */
  isHere(group: number): boolean;
  /** A packet for members here. Valid during the call only. */
  deliver(packet: Packet): void;
  /** Puts a packet for members here into the loopback. */
  loop(packet: Packet): DropReason;
  /** Sends a packet of ours to a node. */
  sendTo(packet: Packet): Offered;
  /** The source of `packet`, in transit, is told that its queue here is long. See SendQueue. */
  onLong(packet: EncodedPacket, rate: number, dropped: number): void;
  /** Whether a packet in transit is gone; true in laboratories only. */
  onTransit(packet: Packet, from: NodeId): boolean;
}

export class Multicast implements Strategy {
  forwarded = 0;
  /** Packets that links took, each branch by itself. */
  copies = 0;
  /** Packets that took a way of their own to a member, as a link of their tree was down. */
  rescued = 0;
  readonly flows: GroupFlows;
  readonly seen: Seen;
  readonly #env: MulticastEnvironment;
  readonly #head: GroupHead = { run: 0, number: 0, content: 0 };
  /** Of what begins here, by group; numbers of groups that are forgotten are below the next. */
  readonly #numbers = new Map<number, number>();
  #run: number;
  #nextNumber = 0;
  readonly #recent: RecentPackets<GroupFlow>;
  /** Begun here since the last way to a member was lost. */
  readonly #parked: RecentPackets<GroupFlow>;
  /** By the neighbour that they came from, so that none takes the places of others. */
  readonly #early = new Map<NodeId, RecentPackets<null>>();
  readonly #returned = new Packet();
  readonly #inner = new Packet();
  readonly #wrap = new Packet();
  readonly #wrapped = new Uint8Array(PACKET_BYTES_MAX);

  constructor(env: MulticastEnvironment) {
    this.#env = env;
    this.#run = env.run;
    this.flows = new GroupFlows(env);
    this.seen = new Seen((source) => env.runOf(source));
    const { clock, timers, pool } = env;
    this.#recent = new RecentPackets(clock, timers, pool, RECENT_MAX);
    const toNobody = (): void => env.drops.count(DropReason.groupNobody);
    this.#parked = new RecentPackets(clock, timers, pool, RECENT_MAX, toNobody, PARKED);
  }

  /** Of what begins here now. */
  get run(): number {
    return this.#run;
  }

  /** Packets kept for neighbours to come. */
  get recent(): number {
    return this.#recent.length;
  }

  /** Packets that came too early, or have no way now, and wait for routes. */
  get waiting(): number {
    let early = this.#parked.length;
    for (const packets of this.#early.values()) early += packets.length;
    return early;
  }

  /* -------------------------------------------------------------- what begins here */

  /** Sends a packet to its group: the stamp is written where it belongs. */
  originate(packet: Packet): Offered {
    const { self, drops } = this.#env;
    const flow = this.flows.of(self, packet.destination);
    if (!flow.allowed) return DropReason.groupForbidden;
    this.#stamp(packet);
    const home = packet.toSelf && this.#env.isHere(packet.destination);
    const looped = home ? this.#env.loop(packet) : DropReason.none;
    if (looped !== DropReason.none) drops.count(looped);
    const { children } = flow;
    if (children.length === 0) {
      if (this.#parks(packet, flow)) return DropReason.none;
      if (!home) drops.count(DropReason.groupNobody);
      return DropReason.none;
    }
    if (packet.service === SERVICE_RELIABLE) this.#recent.add(packet, flow);
    let full = 0,
      refused = 0;
    for (const child of children) {
      const offered = this.#offer(flow, packet, child);
      if (offered === TAKEN_FULL) full += 1;
      else if (offered !== DropReason.none) refused += 1;
    }
    if (refused === children.length && !home) return DropReason.linkQueueFull;
    const waits = packet.patient ? full + refused > 0 : full + refused === children.length;
    return waits ? TAKEN_FULL : DropReason.none;
  }

  /** Of a reliable link, and no member can be reached just now: it leaves when one can. */
  #parks(packet: Packet, flow: GroupFlow): boolean {
    return (
      packet.service === SERVICE_RELIABLE &&
      this.flows.isCutOff(flow, PARKED) &&
      this.#parked.add(packet, flow)
    );
  }

  congested(packet: Packet): boolean {
    const flow = this.flows.of(this.#env.self, packet.destination);
    const { children } = flow;
    if (packet.patient && this.flows.isCutOff(flow, PARKED)) return true;
    let held = 0;
    for (const child of children) {
      const link = this.#env.links.of(child);
      if (link === undefined) continue;
      if (link.holds(packet)) held += 1;
      else if (packet.patient && link.queueBytesOf(packet) > PATIENT_BYTES) return true;
    }
    return packet.patient ? held > 0 : held > 0 && held === children.length;
  }

  onTheWay(node: NodeId, group: number): boolean {
    return this.flows.leadsOver(this.flows.of(this.#env.self, group), node);
  }

  /** Whether a packet with this stamp was sent from here to `group` lately. */
  hasSent(group: number, run: number, number: number): boolean {
    const ago = (this.#numbers.get(group) ?? 0) - 1 - number;
    return run === this.#run && ago >= 0 && ago < QUOTED_MAX;
  }

  /** The flow of `packet`, in transit, has a long queue here: its source is told. */
  onLong(packet: EncodedPacket, rate: number, dropped: number): void {
    this.#env.onLong(packet, rate, dropped);
  }

  #stamp(packet: Packet): void {
    const { destination } = packet;
    let number = this.#numbers.get(destination) ?? this.#nextNumber;
    if (number >= U32) {
      // A run of its own for all: each follows the one before it.
      this.#run = (this.#run + 1) >>> 0;
      this.#numbers.clear();
      this.#nextNumber = number = 0;
    }
    this.#numbers.delete(destination);
    this.#numbers.set(destination, number + 1);
    if (this.#numbers.size > GROUP_FLOWS_MAX) this.#forgetNumber();
    putStamp(packet.bytes, packet.payloadStart, this.#run, number);
  }

  /** Of the group that nothing was sent to for longest. */
  #forgetNumber(): void {
    for (const [group, next] of this.#numbers) {
      this.#numbers.delete(group);
      this.#nextNumber = Math.max(this.#nextNumber, next);
      return;
    }
  }

  /* -------------------------------------------------------------- what arrives */

  onPacket(packet: Packet, from: NodeId): DropReason {
    const { self } = this.#env;
    if (packet.source === self) return DropReason.groupDuplicate;
    const flow = this.flows.of(packet.source, packet.destination);
    if (!flow.allowed) return DropReason.groupForbidden;
    if (!this.flows.mayCome(flow, from)) {
      if (packet.service !== SERVICE_RELIABLE) return DropReason.groupWrongLink;
      this.#earlyOf(from).add(packet, null);
      return DropReason.none;
    }
    return this.#accept(flow, packet, from);
  }

  /**
   * A packet of kind GROUP to this node came: another, whole, is its payload. Its sender, which is
   * proved where it can be, is on the way from the other's source to here, or was lately.
   */
  onWrapped(packet: Packet): DropReason {
    if (this.#env.proves && !packet.authenticated) return DropReason.endToEndMissing;
    const inner = this.#inner;
    const reason = inner.decode(packet.bytes, packet.payloadStart, packet.end, false);
    if (reason !== DropReason.none || inner.kind !== KIND_GROUP || !isGroupId(inner.destination))
      return DropReason.groupMalformed;
    if (inner.source === this.#env.self) return DropReason.groupDuplicate;
    inner.via = packet.via;
    const flow = this.flows.of(inner.source, inner.destination);
    if (!flow.allowed) return DropReason.groupForbidden;
    if (!this.flows.isBefore(flow, packet.source)) return DropReason.groupWrongLink;
    return this.#accept(flow, inner, packet.via);
  }

  /** A packet that came as it may. */
  #accept(flow: GroupFlow, packet: Packet, from: NodeId): DropReason {
    const { children } = flow;
    const local = this.#env.isHere(flow.group);
    if (children.length === 0 && !local && packet.service !== SERVICE_RELIABLE)
      return DropReason.groupNobody;
    const head = this.#head;
    let reason = decodeGroupHead(packet.bytes, packet.payloadStart, packet.end, head);
    if (reason !== DropReason.none) return reason;
    const { run, number } = head;
    const now = this.#env.clock.now();
    reason = this.seen.take(packet.source, packet.destination, run, number, now);
    if (reason !== DropReason.none) return reason;
    if (local) this.#env.deliver(packet);
    if (packet.ttl <= 1) return children.length === 0 ? DropReason.none : DropReason.ttlExpired;
    if (children.length > 0 && this.#env.onTransit(packet, from)) return DropReason.none;
    packet.setTtl(packet.ttl - 1);
    if (packet.service === SERVICE_RELIABLE) this.#recent.add(packet, flow);
    if (children.length === 0) return local ? DropReason.none : DropReason.groupNobody;
    let taken = false;
    for (const child of children)
      if (refusalOf(this.#offer(flow, packet, child)) === DropReason.none) taken = true;
    if (taken) this.forwarded += 1;
    return DropReason.none;
  }

  /** Offers it to one branch; what that refuses is counted here, and concerns no other. */
  #offer(flow: GroupFlow, packet: Packet, child: NodeId): Offered {
    const link = this.#env.links.of(child);
    const offered = link === undefined ? DropReason.linkDown : link.offer(packet);
    if (offered === DropReason.none || offered === TAKEN_FULL) {
      this.copies += 1;
      return offered;
    }
    if (offered === DropReason.linkDown && packet.service === SERVICE_RELIABLE) {
      this.#rescue(flow, child, packet);
      return DropReason.none;
    }
    this.#env.drops.count(
      offered === DropReason.linkQueueFull ? DropReason.groupBranchFull : offered,
    );
    return offered;
  }

  /* -------------------------------------------------------------- trees that change */

  onRoutes(): void {
    this.flows.onRoutes();
    this.#sendToNew();
    this.#sendParked();
    for (const [from, packets] of this.#early)
      packets.sift((kept) => {
        const packet = this.#back(kept);
        if (packet === null) return true;
        const flow = this.flows.of(packet.source, packet.destination);
        if (!this.flows.mayCome(flow, from)) return false;
        const reason = this.#accept(flow, packet, from);
        if (reason !== DropReason.none) this.#env.drops.count(reason);
        return true;
      });
  }

  #earlyOf(from: NodeId): RecentPackets<null> {
    let packets = this.#early.get(from);
    if (packets === undefined) {
      const { clock, timers, pool, drops } = this.#env;
      packets = new RecentPackets(clock, timers, pool, EARLY_OF_NEIGHBOUR_MAX, () =>
        drops.count(DropReason.groupWrongLink),
      );
      this.#early.set(from, packets);
    }
    return packets;
  }

  /** Neighbours that are behind this node since routes have changed get what passed lately. */
  #sendToNew(): void {
    const fresh = new Map<GroupFlow, readonly NodeId[]>();
    this.#recent.sift((kept, flow) => {
      let added = fresh.get(flow);
      if (added === undefined) {
        const { children } = flow;
        added = this.flows.refresh(flow)
          ? flow.children.filter((child) => !children.includes(child))
          : [];
        fresh.set(flow, added);
      }
      if (added.length === 0) return false;
      const packet = this.#back(kept);
      if (packet !== null) for (const child of added) this.#offer(flow, packet, child);
      return false;
    });
  }

  /** What had no way leaves, now that there is one. */
  #sendParked(): void {
    this.#parked.sift((kept, flow) => {
      this.flows.refresh(flow);
      const packet = flow.children.length === 0 ? null : this.#back(kept);
      if (packet === null) return false;
      this.#recent.add(packet, flow);
      for (const child of flow.children) this.#offer(flow, packet, child);
      return true;
    });
  }

  /** A link to the neighbour `via` went down with this packet undelivered. */
  onHandBack(kept: KeptPacket, via: NodeId): void {
    const packet = kept.service === SERVICE_RELIABLE ? this.#back(kept) : null;
    if (packet !== null)
      this.#rescue(this.flows.of(packet.source, packet.destination), via, packet);
    this.#env.pool.release(kept);
  }

  /** What waits in front of a link that is up stays there: the neighbour takes it for a while. */
  isElsewhere(): boolean {
    return false;
  }

  /** Sends it to each member that it would have reached by the neighbour `child`. */
  #rescue(flow: GroupFlow, child: NodeId, { bytes, start, end, priority }: Packet): void {
    const members = this.flows.behind(flow, child);
    if (members.length > ORPHANS_MAX)
      this.#env.drops.count(DropReason.groupBranchFull, members.length - ORPHANS_MAX);
    const modes = {
      service: SERVICE_RELIABLE,
      dissemination: DISSEMINATION_LINK_STATE,
      ttl: TTL_DEFAULT,
      priority,
    };
    const { self, proves } = this.#env;
    const at = proves ? SEAL_ROOM_BYTES : 0,
      payload = at + OVERLAY_HEADER_BYTES;
    for (const member of members.slice(0, ORPHANS_MAX)) {
      this.#wrapped.set(bytes.subarray(start, end), payload);
      const length = payload + end - start;
      this.#wrap.compose(this.#wrapped, at, length, KIND_GROUP, modes, self, 0, member, 0);
      this.#wrap.secret = proves;
      const reason = refusalOf(this.#env.sendTo(this.#wrap));
      if (reason === DropReason.none) this.rescued += 1;
      else this.#env.drops.count(reason);
    }
  }

  /** One that was kept, as a packet again; valid until the next. */
  #back(kept: KeptPacket): Packet | null {
    const packet = this.#returned;
    const reason = packet.decode(kept.bytes, kept.start, kept.end, kept.bytes !== kept.own);
    packet.via = kept.via;
    packet.user = kept.user;
    return reason === DropReason.none ? packet : null;
  }

  stop(): void {
    this.#recent.stop();
    this.#parked.stop();
    for (const packets of this.#early.values()) packets.stop();
  }
}
