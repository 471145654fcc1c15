/**
 * Packets of one flow that wait at their source: for a path, or until the one in use has room.
 *
 * Owns the copies, and whose turn it is: the users of a flow take turns, and each one's packets
 * keep their order, so that whoever sends more than the path carries waits behind his own.
 */

import { Ring } from '../base/ring.ts';
import type { Micros } from '../base/time.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import type { WaitingShares } from './waiting-shares.ts';

/** Each packet is charged so much beside its bytes, as the client library charges it. */
const PACKET_COST_BYTES = 192;
/**
 * Most that waits of one user in one flow: twice what a program may have sent before it heard that
 * it must wait (SEND_AHEAD_BYTES of the client library).
 */
const USER_BYTES_MAX = 1_048_576;
/** With more than this its users are told to wait. */
const LONG_BYTES = 262_144;

/** The bytes are the taker's to release. */
export interface WaitingPacket {
  readonly kept: KeptPacket;
  readonly user: object;
  readonly until: Micros;
}

interface UserQueue {
  readonly packets: Ring<WaitingPacket>;
  bytes: number;
}

export class WaitingPackets {
  /** Most packets, of all users together. */
  readonly limit: number;
  readonly #pool: PacketPool;
  readonly #shares: WaitingShares;
  /** Whose turn is next comes first; nobody is in it who has nothing. */
  readonly #byUser = new Map<object, UserQueue>();
  #length = 0;
  #bytes = 0;

  /** `shares`: of the daemon's flows together. */
  constructor(limit: number, pool: PacketPool, shares: WaitingShares) {
    this.limit = limit;
    this.#pool = pool;
    this.#shares = shares;
  }

  get length(): number {
    return this.#length;
  }

  /** What comes now waits for long. */
  get long(): boolean {
    return this.#bytes > LONG_BYTES || this.#length > this.limit / 8;
  }

  /** Keeps a copy of `packet` of `user` until then at most; false when there is no room for it. */
  push(packet: Packet, user: object, until: Micros): boolean {
    if (this.#length === this.limit || !this.#shares.mayAdd(user)) return false;
    let queue = this.#byUser.get(user);
    const cost = PACKET_COST_BYTES + packet.end - packet.start;
    if (queue !== undefined && queue.bytes + cost > USER_BYTES_MAX) return false;
    const kept = this.#pool.keep(packet);
    if (kept === null) return false;
    if (queue === undefined) {
      queue = { packets: new Ring(this.limit), bytes: 0 };
      this.#byUser.set(user, queue);
    }
    queue.packets.push({ kept, user, until });
    queue.bytes += cost;
    this.#bytes += cost;
    this.#shares.add(user);
    this.#length += 1;
    return true;
  }

  /** The oldest one of the user whose turn it is; undefined when none waits. */
  shift(): WaitingPacket | undefined {
    for (const [user, queue] of this.#byUser) return this.#take(user, queue);
    return undefined;
  }

  /** One whose time is over at `now`; undefined when there is none. */
  shiftExpired(now: Micros): WaitingPacket | undefined {
    for (const [user, queue] of this.#byUser)
      if (queue.packets.peek()!.until <= now) return this.#take(user, queue);
    return undefined;
  }

  #take(user: object, queue: UserQueue): WaitingPacket {
    const waiting = queue.packets.shift()!;
    const cost = PACKET_COST_BYTES + waiting.kept.end - waiting.kept.start;
    queue.bytes -= cost;
    this.#bytes -= cost;
    this.#byUser.delete(user);
    if (queue.packets.length > 0) this.#byUser.set(user, queue);
    this.#shares.remove(user);
    this.#length -= 1;
    return waiting;
  }
}
