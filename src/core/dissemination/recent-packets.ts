/**
 * Packets to groups over reliable links that were sent on a short while ago, or came a short while
 * too early: a tree that changes loses none of them.
 *
 * A neighbour that is new behind this node gets what passed lately, since what passed before it was
 * here may have gone another way than its new one; it drops what it has by stamp. What comes by a
 * link that is not of the tree waits until routes have changed here as well, and is dropped when
 * they do not. So does what its source can send to nobody since the last way was lost. Bounded in
 * packets and in time.
 */

import { Ring } from '../base/ring.ts';
import { MILLISECOND, SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';

const KEPT: Micros = 500 * MILLISECOND;
/** What has no way at all waits as long as any packet does (limbo.ts). */
export const PARKED: Micros = 3 * SECOND;

interface Held<About> {
  readonly kept: KeptPacket;
  readonly about: About;
  readonly until: Micros;
}

/** The oldest gives way to the newest; each has `about` beside it. */
export class RecentPackets<About> {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #pool: PacketPool;
  readonly #held: Ring<Held<About>>;
  readonly #onOver: (kept: KeptPacket) => void;
  readonly #keptUs: Micros;
  readonly #timer = new Timer(() => this.#expire());

  /**
   * `most`: packets, each kept for `keptUs`. `onOver`: the time of one is over, or it gives way;
   * valid during the call only.
   */
  constructor(
    clock: Clock,
    timers: Timers,
    pool: PacketPool,
    most: number,
    onOver: (kept: KeptPacket) => void = () => {},
    keptUs = KEPT,
  ) {
    this.#clock = clock;
    this.#timers = timers;
    this.#pool = pool;
    this.#held = new Ring(most);
    this.#onOver = onOver;
    this.#keptUs = keptUs;
  }

  get length(): number {
    return this.#held.length;
  }

  /** False: the pool has no room for it. */
  add(packet: Packet, about: About): boolean {
    if (this.#held.length === this.#held.limit) this.#drop();
    const kept = this.#pool.keep(packet);
    if (kept === null) return false;
    const until = this.#clock.now() + this.#keptUs;
    this.#held.push({ kept, about, until });
    if (!this.#timer.armed) this.#timers.arm(this.#timer, until);
    return true;
  }

  /** Calls `each` with everything; what it returns true for stays no longer. */
  sift(each: (kept: KeptPacket, about: About) => boolean): void {
    for (let left = this.#held.length; left > 0; left -= 1) {
      const held = this.#held.shift()!;
      if (each(held.kept, held.about)) this.#pool.release(held.kept);
      else this.#held.push(held);
    }
  }

  stop(): void {
    this.#timers.cancel(this.#timer);
    this.sift(() => true);
  }

  #expire(): void {
    const now = this.#clock.now();
    for (let first = this.#held.peek(); first !== undefined && first.until <= now; ) {
      this.#drop();
      first = this.#held.peek();
    }
    const first = this.#held.peek();
    if (first !== undefined) this.#timers.arm(this.#timer, first.until);
  }

  #drop(): void {
    const { kept } = this.#held.shift()!;
    this.#onOver(kept);
    this.#pool.release(kept);
  }
}
