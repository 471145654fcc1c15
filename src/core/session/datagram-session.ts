/**
 * One datagram session: how its packets travel, its port, and who owns it.
 *
 * Owns its state only; sessions.ts sends, receives and closes.
 */

import type { NodeId, Port } from '../base/ids.ts';
import type { DropReason } from '../wire/drop.ts';
import {
  DISSEMINATION_LINK_STATE,
  PRIORITY_DEFAULT,
  SERVICE_BEST_EFFORT,
  TTL_DEFAULT,
} from '../wire/packet.ts';
import type { Asked } from './asked.ts';
import type { Secrecy } from './secrecy.ts';
import type { ThrottlesOf } from './throttles.ts';

/** Who owns a datagram session. */
export interface DatagramOwner {
  /**
   * A message arrived; the payload is `bytes[start..end)`, valid during the call. False = the owner
   * dropped it. `proved`: its source is what it says.
   */
  onMessage(
    session: DatagramSession,
    source: NodeId,
    sourcePort: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    proved: boolean,
  ): boolean;
  /** After a `send` that was refused for lack of room: there is room again. */
  onWritable(session: DatagramSession): void;
  /**
   * `count` packets that were sent to `destination` are lost on the way, a node says, as `reason`
   * has it.
   */
  onLost?(session: DatagramSession, destination: NodeId, reason: DropReason, count: number): void;
}

export interface DatagramOptions {
  /** Link service, e.g. SERVICE_BEST_EFFORT. */
  service?: number;
  dissemination?: number;
  /** 1..255 hops. */
  ttl?: number;
  /** 0..15, higher is more urgent. */
  priority?: number;
  /** Default: the daemon's. */
  secrecy?: Secrecy;
}

export class DatagramSession {
  readonly owner: DatagramOwner;
  /** 0 until bound. */
  port: Port = 0;
  service: number;
  dissemination: number;
  ttl: number;
  priority: number;
  /** What goes by link state is sealed from end to end, and nothing else is taken. */
  secret = false;
  closed = false;
  sent = 0;
  received = 0;
  /** Messages that the owner dropped. */
  dropped = 0;
  /** Number of the next sequenced message, u32. */
  nextMessage = 0;
  /** u32: which run of message numbers. */
  run = 0;
  /** A send met a congested queue; onWritable will follow. */
  blocked = false;
  /** Of its flows those that nodes on the way asked to slow down; null: none. */
  throttles: ThrottlesOf | null = null;
  /** Whom it has sent to, while there are rules about who may send; null: nobody. */
  asked: Asked | null = null;

  constructor(owner: DatagramOwner, options: DatagramOptions) {
    this.owner = owner;
    this.service = options.service ?? SERVICE_BEST_EFFORT;
    this.dissemination = options.dissemination ?? DISSEMINATION_LINK_STATE;
    this.ttl = options.ttl ?? TTL_DEFAULT;
    this.priority = options.priority ?? PRIORITY_DEFAULT;
  }
}
