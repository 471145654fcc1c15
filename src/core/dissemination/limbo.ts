/**
 * Packets of reliable links that have no way to go at the moment: they wait for routes to change.
 *
 * Places are shared by the neighbour that a packet came from, our own programs each by itself, and
 * within it by source, so that no flood towards nodes that are not there takes those of others
 * (core/base/fair-places.ts).
 *
 * A link that goes down hands back what its neighbour may not have, and for a moment routes still
 * lead over it. Waiting is bounded in packets and in time; what waits too long is dropped and
 * counted, and its source is told.
 */

import { FairPlaces, type Holder } from '../base/fair-places.ts';
import type { NodeId } from '../base/ids.ts';
import { Ring } from '../base/ring.ts';
import { MILLISECOND, SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';

const WAIT_MAX: Micros = 3 * SECOND;
/** Packets that wait, all together; further ones are dropped. */
export const LIMBO_PACKETS_MAX = 16_384;
/** Queues may be full for a while even when there is a route. */
const RETRY_INTERVAL: Micros = 20 * MILLISECOND;

interface Waiting {
  readonly kept: KeptPacket;
  readonly until: Micros;
}

export class Limbo {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #drops: DropCounters;
  readonly #pool: PacketPool;
  readonly #send: (kept: KeptPacket) => boolean;
  readonly #onDropped: (kept: KeptPacket) => void;
  readonly #waiting = new Ring<Waiting>(LIMBO_PACKETS_MAX);
  readonly #places = new FairPlaces<KeptPacket>();
  readonly #timer = new Timer(() => this.retry());

  /**
   * `send` tries to send a packet on, without releasing it; false = no way now. `onDropped`: it
   * waited too long; valid during the call only.
   */
  constructor(
    clock: Clock,
    timers: Timers,
    drops: DropCounters,
    pool: PacketPool,
    send: (kept: KeptPacket) => boolean,
    onDropped: (kept: KeptPacket) => void,
  ) {
    this.#clock = clock;
    this.#timers = timers;
    this.#drops = drops;
    this.#pool = pool;
    this.#send = send;
    this.#onDropped = onDropped;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /**
   * Whether there is a place for a packet of `user` (null: of no program of ours), that came by
   * `via` and names `source`.
   */
  open(via: NodeId, user: object | null, source: NodeId): boolean {
    return this.#places.open(holderOf(via, user, source), LIMBO_PACKETS_MAX - this.#waiting.length);
  }

  /** Takes over `kept`. */
  add(kept: KeptPacket): void {
    const { via, user, source } = kept;
    if (!this.open(via, user, source)) {
      this.#dropped(kept);
      this.#pool.release(kept);
      return;
    }
    this.#places.add(kept, holderOf(via, user, source));
    this.#waiting.push({ kept, until: this.#clock.now() + WAIT_MAX });
    if (!this.#timer.armed) this.#timers.arm(this.#timer, this.#clock.now() + RETRY_INTERVAL);
  }

  /** Routes changed, or time passed: tries everything once. */
  retry(): void {
    const now = this.#clock.now();
    for (let left = this.#waiting.length; left > 0; left -= 1) {
      const waiting = this.#waiting.shift()!;
      const sent = this.#send(waiting.kept);
      if (!sent && now < waiting.until) {
        this.#waiting.push(waiting);
        continue;
      }
      if (!sent) this.#dropped(waiting.kept);
      this.#leave(waiting.kept);
    }
    if (this.#waiting.length > 0) this.#timers.arm(this.#timer, now + RETRY_INTERVAL);
  }

  #dropped(kept: KeptPacket): void {
    this.#drops.count(DropReason.waitedTooLong);
    this.#onDropped(kept);
  }

  stop(): void {
    this.#timers.cancel(this.#timer);
    for (
      let waiting = this.#waiting.shift();
      waiting !== undefined;
      waiting = this.#waiting.shift()
    )
      this.#leave(waiting.kept);
  }

  #leave(kept: KeptPacket): void {
    this.#places.delete(kept);
    this.#pool.release(kept);
  }
}

function holderOf(via: NodeId, user: object | null, source: NodeId): Holder {
  return via === 0 ? [user ?? via, user ?? via] : [via, source];
}
