/**
 * One datagram session: how its packets travel, its port, and who owns it.
 *
 * Owns its state only; sessions.ts sends, receives and closes.
 */

import type { NodeId, Port } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { Deadline } from '../wire/deadline.ts';
import type { DropReason } from '../wire/drop.ts';
import type { GraphName } from '../wire/modes.ts';
import {
  DISSEMINATION_LINK_STATE,
  PATHS_DEFAULT,
  PRIORITY_DEFAULT,
  SERVICE_BEST_EFFORT,
  TTL_DEFAULT,
} from '../wire/packet.ts';
import type { Anycast } from './anycast.ts';
import type { Asked } from './asked.ts';
import type { Secrecy } from './secrecy.ts';
import type { SlowBranch } from './slow-branch.ts';
import { SentTo } from './sent-to.ts';
import type { ThrottlesOf } from './throttles.ts';

/** Who owns a datagram session. */
export interface DatagramOwner {
  /**
   * A message arrived; the payload is `bytes[start..end)`, valid during the call. False = the owner
   * dropped it. `proved`: its source is what it says. `group`: that it was sent to; 0: to this
   * node.
   */
  onMessage(
    session: DatagramSession,
    source: NodeId,
    sourcePort: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    proved: boolean,
    group: number,
  ): boolean;
  /** After a `send` that was refused for lack of room: there is room again. */
  onWritable(session: DatagramSession): void;
  /**
   * `count` messages that were sent to `destination` are lost, a node says, as `reason` has it:
   * never more than were sent there.
   */
  onLost?(session: DatagramSession, destination: NodeId, reason: DropReason, count: number): void;
  /** A message came later than its deadline and was dropped, as the session wants it. */
  onLate?(session: DatagramSession): void;
}

/** What becomes of messages that come later than their deadline. */
export const LATE_POLICIES = ['drop', 'deliver'] as const;
export type LatePolicy = (typeof LATE_POLICIES)[number];

/**
 * What links of the realtime service send beyond a packet of the session: what they choose, never
 * copies, or a copy wherever something is lost.
 */
export const REDUNDANCIES = ['auto', 'none', 'copy'] as const;
export type RedundancyName = (typeof REDUNDANCIES)[number];

/** Of one message, in place of its session's. */
export interface MessageOptions {
  /** Null: the session's. */
  readonly deadline: Deadline | null;
  /** Null: the session's. */
  readonly redundancy: RedundancyName | null;
}

export interface DatagramOptions {
  /** Link service, e.g. SERVICE_BEST_EFFORT. */
  service?: number;
  dissemination?: number;
  /** See PacketModes. */
  paths?: number;
  graph?: GraphName;
  /** 1..255 hops. */
  ttl?: number;
  /** 0..15, higher is more urgent. */
  priority?: number;
  /** Default: the daemon's. */
  secrecy?: Secrecy;
  /**
   * Class of the deadline of its messages, 0..15 (core/wire/deadline.ts); with SERVICE_REALTIME,
   * and with DISSEMINATION_GRAPH for the choice of ways.
   */
  deadline?: number;
  /** See Deadline; default 0. */
  spentUs?: Micros;
  /** Default 'drop'. */
  late?: LatePolicy;
  /** Default 'auto'; with SERVICE_REALTIME. */
  redundancy?: RedundancyName;
  /** Its port may be others' too, who say so as well. Default false. */
  sharesPort?: boolean;
  /** Default 'drop'. */
  slowBranch?: SlowBranch;
}

export class DatagramSession {
  readonly owner: DatagramOwner;
  /** 0 until bound. */
  port: Port = 0;
  service: number;
  dissemination: number;
  paths: number;
  graph: GraphName;
  ttl: number;
  priority: number;
  /** See DatagramOptions. */
  deadline: number;
  spentUs: Micros;
  late: LatePolicy;
  redundancy: RedundancyName;
  readonly sharesPort: boolean;
  slowBranch: SlowBranch;
  /** What it sends to a group is for members of this daemon too. */
  multicastLoopback = true;
  /** Hops of what it sends to groups, 1..255. */
  multicastTtl: number;
  /** What goes by link state is sealed from end to end, and nothing else is taken. */
  secret = false;
  closed = false;
  sent = 0;
  received = 0;
  /** Messages that the owner dropped. */
  dropped = 0;
  /** Messages that came too late, of these. */
  tooLate = 0;
  /** Number of the next sequenced message, u32. */
  nextMessage = 0;
  /** u32: which run of message numbers. */
  run = 0;
  /** A send met a congested queue; onWritable will follow. */
  blocked = false;
  /** Of its flows those that nodes on the way asked to slow down; null: none. */
  throttles: ThrottlesOf | null = null;
  /** Whom its messages to anycast groups go to; null: it sent none. */
  anycast: Anycast | null = null;
  /** Whom it has sent to, while there are rules about who may send; null: nobody. */
  asked: Asked | null = null;

  /** Messages over reliable links that may be lost for all that is known; null: none was sent. */
  #sentTo: SentTo | null = null;

  constructor(owner: DatagramOwner, options: DatagramOptions) {
    this.owner = owner;
    this.service = options.service ?? SERVICE_BEST_EFFORT;
    this.dissemination = options.dissemination ?? DISSEMINATION_LINK_STATE;
    this.paths = options.paths ?? PATHS_DEFAULT;
    this.graph = options.graph ?? 'auto';
    this.ttl = options.ttl ?? TTL_DEFAULT;
    this.priority = options.priority ?? PRIORITY_DEFAULT;
    this.deadline = options.deadline ?? 0;
    this.spentUs = options.spentUs ?? 0;
    this.late = options.late ?? 'drop';
    this.redundancy = options.redundancy ?? 'auto';
    this.sharesPort = options.sharesPort ?? false;
    this.slowBranch = options.slowBranch ?? 'drop';
    this.multicastTtl = TTL_DEFAULT;
  }
  /** A message over reliable links was taken. `@hot` */
  onSent(destination: NodeId): void {
    (this.#sentTo ??= new SentTo()).add(destination);
  }

  /** `count` packets to `destination` are lost, as somebody says who may have made that up. */
  onLost(destination: NodeId, reason: DropReason, count: number): void {
    const lost = this.#sentTo?.take(destination, count) ?? 0;
    if (lost > 0) this.owner.onLost?.(this, destination, reason, lost);
  }
}
