/**
 * A strategy of dissemination: how packets with its code find their way.
 *
 * Owns the interface between strategies and their daemon, and what they see of it: neighbours, and
 * what nodes say of the network. dissemination.ts has one for each code (core/wire/modes.ts);
 * core/node/strategies.ts is the table of those that daemons have, and laboratories put others in
 * their places, to compare.
 */

import type { NodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { Neighbours } from '../link/next-hop.ts';
import type { EncodedPacket } from '../link/send-queue.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { DropCounters, DropReason, Offered } from '../wire/drop.ts';
import type { Advertisement } from '../wire/link-state.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';

/** What nodes say of the network, and what routes were made of it. */
export interface Topology {
  /** True when the node exists, or did a while ago, whether or not it can be reached now. */
  knows(node: NodeId): boolean;
  /** True when there is a route. */
  reachable(node: NodeId): boolean;
  /** The certificate under which `node` advertised last; null: not known, or without identities. */
  certificateOf(node: NodeId): Certificate | null;
  /** What `node` advertised last; null when it is not known. */
  advertisementOf(node: NodeId): Advertisement | null;
  advertisements(): Iterable<Advertisement>;
  /** Another number whenever routes were computed anew. */
  readonly version: number;
  /** Number of what this node advertised last: it grows, over runs as well. */
  readonly sequence: number;
}

/** What a daemon gives to a strategy. */
export interface StrategyEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly rng: Rng;
  readonly log: Log;
  readonly drops: DropCounters;
  readonly pool: PacketPool;
  readonly links: Neighbours;
  readonly topology: Topology;
  /**
   * An overlay packet of a session arrived for us, and its source is proved: sessions believe it.
   * Valid during the call only.
   */
  deliver(packet: Packet): void;
  /**
   * `bytes[start..end)`, an overlay packet that a session of ours gave, is lost as far as can be
   * known. Valid during the call only.
   */
  onLost(bytes: Uint8Array, start: number, end: number): void;
  /** Congested sessions may try again. */
  onWritable(): void;
}

/** Packets are valid during the call only. What a strategy has no use for it leaves out. */
export interface Strategy {
  /** Sends an overlay packet of a local session to another node, or refuses it. */
  originate(packet: Packet): Offered;
  /**
   * True while the flow of `packet`, which begins here, is to wait: a queue in its way is long.
   */
  congested(packet: Packet): boolean;
  /**
   * A packet of this dissemination came from the neighbour `from`, for us or for somebody else. The
   * caller counts what is not none.
   */
  onPacket(packet: Packet, from: NodeId): DropReason;
  /** Packets in transit that were sent on. */
  readonly forwarded?: number;
  /** Packets that wait for a route. */
  readonly waiting?: number;
  /**
   * Bytes that are put in front of the payload of `packet`, which begins here and says where it
   * goes and by what modes; -1: there is no way for it.
   */
  headBytes?(packet: Packet): number;
  /** Sends a packet of ours that is sealed by now. */
  sendOn?(packet: Packet): Offered;
  /** Takes back what waits in front of its first link of the flow of `packet`; `take` owns it. */
  recall?(packet: Packet, take: (kept: KeptPacket) => void): void;
  /** True when `node` is where packets to `destination` may pass. */
  onTheWay?(node: NodeId, destination: NodeId): boolean;
  /**
   * The link to the neighbour `via` went down, or is left, with this packet undelivered: the callee
   * owns it now.
   */
  onHandBack?(kept: KeptPacket, via: NodeId): void;
  /** Whether there is another way than over the neighbour `via` for what waits there. */
  isElsewhere?(packet: Packet, via: NodeId): boolean;
  /** The flow of `packet`, in transit, has a long queue here; see SendQueue. */
  onLong?(packet: EncodedPacket, rate: number, dropped: number): void;
  /**
   * Nobody takes `packet`, which is for this node and may have come otherwise, for `reason`, e.g.
   * NOTICE_PORT_CLOSED.
   */
  onUndelivered?(packet: Packet, reason: number): void;
  onLinkState?(node: NodeId, up: boolean): void;
  /**
   * The daemon of `node` was started anew, or was not known before: it remembers nothing, and has
   * other keys for each run.
   */
  onRestart?(node: NodeId): void;
  /**
   * An earlier run of ours advertised up to `sequence`, beyond the number that this one began with.
   */
  onOvertaken?(sequence: number): void;
  /** Routes were computed anew. */
  onRoutes?(): void;
  /** No timer fires afterwards, and nothing is kept. */
  stop(): void;
}

/** What an adversary of a laboratory does to packets in transit; true = the packet is gone. */
export interface TransitMisbehaviour {
  onTransit?(packet: Packet, from: NodeId): boolean;
}
