/**
 * What may stand beside link-state routing: a router of its own for packets that ask for
 * dissemination BYZANTINE.
 *
 * Owns the two interfaces between such a router and its daemon. Production daemons have the
 * Byzantine-resilient router there; laboratories may put something else in its place, to compare.
 * Called by dissemination.ts and node.ts.
 */

import type { NodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { Link } from '../link/link.ts';
import type { LinkTable } from '../link/link-table.ts';
import type { LinkStateRouter } from '../routing/link-state-router.ts';
import type { DropCounters, DropReason } from '../wire/drop.ts';
import type { Packet } from '../wire/packet.ts';
import type { PacketPool } from '../wire/packet-pool.ts';

/** What a daemon gives to a router beside link state. */
export interface AlternateEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly rng: Rng;
  readonly log: Log;
  readonly drops: DropCounters;
  readonly pool: PacketPool;
  readonly links: LinkTable;
  readonly topology: LinkStateRouter;
  /**
   * An overlay packet of a session arrived for us, and its source is proved: sessions believe it.
   * Valid during the call only.
   */
  deliver(packet: Packet): void;
  /** Congested sessions may try again. */
  onWritable(): void;
  /**
   * `bytes[start..end)`, an overlay packet that a session of ours gave, is lost as far as can be
   * known. Valid during the call only.
   */
  onLost(bytes: Uint8Array, start: number, end: number): void;
}

export interface AlternateRouter {
  /**
   * An overlay packet of a local session to another node; valid during the call only. Not none =
   * not sent, the caller counts.
   */
  originate(packet: Packet): DropReason;
  /** True while a further packet to `destination` would meet a congested queue here. */
  congested(destination: NodeId, service: number): boolean;
  /**
   * A packet of this dissemination came from the neighbour `from`; valid during the call only. The
   * caller counts what is not none.
   */
  onPacket(packet: Packet, from: NodeId): DropReason;
  onLinkState(link: Link, up: boolean): void;
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
