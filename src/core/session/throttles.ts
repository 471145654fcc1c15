/**
 * Flows over reliable links that nodes on the way asked to slow down: what they send above their
 * rate waits here, at its source.
 *
 * Reliable links drop nothing for their own sake, so a flow that sends more than its share of some
 * link fills a queue on the way, and is told (core/wire/notice.ts). Its rate is then a little less
 * than what left that queue, so that it drains, and grows until the next notice. A notice is a
 * hint: it takes effect at most every NOTICE_INTERVAL, sets no rate below RATE_MIN, and is
 * forgotten soon, and only nodes on the flow's way are heard: who makes up notices does less than
 * he could do to the packets. A flow to a group that waits for its slowest branch has a rate from
 * the start, as queues that it fills before the first notice comes are full: it begins with
 * RATE_FIRST, and grows while it uses that. Bounded per flow and in all; who holds little finds
 * room. The rest of a message waits here as well, whose first piece a queue has taken and whose
 * next it has no room for.
 */

import type { NodeId, Port } from '../base/ids.ts';
import { Ring } from '../base/ring.ts';
import { MILLISECOND, SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import { sealedAt, type Packet } from '../wire/packet.ts';
import { SEAL_BYTES } from '../wire/sealed-packet.ts';
import type { SlowBranch } from './slow-branch.ts';

/** Bytes a second that a flow has in any case. */
export const RATE_MIN = 16_000;
/** That one has which begins before anybody on the way has said anything. */
export const RATE_FIRST = 1_000_000;
const NOTICE_INTERVAL: Micros = 50 * MILLISECOND;
/** Of what left the queue that is long. */
const SLOW = 0.9;
/** The rate grows by so much each step, by more when nothing was heard for a while. */
const STEP: Micros = 100 * MILLISECOND;
const GROWTH = 1.05,
  GROWTH_QUIET = 1.25;
/**
 * Bytes a microsecond, more than any path carries: while its own first link holds a flow back its
 * rate would grow without end.
 */
const RATE_MAX = 100_000;
const QUIET: Micros = SECOND;
/** A flow of which nothing waits, and which heard nothing for so long, is free. */
const FORGET: Micros = 5 * SECOND;
const BURST_BYTES = 8 * 1_480;
/** Charged to every packet on top of its bytes, as in queues of links. */
const OVERHEAD_BYTES = 128;
/** Its program is told to wait beyond this, and what it has sent by then finds room. */
const TOLD_BYTES = 64 * 1024;
const HELD_MAX_BYTES = 768 * 1024;
/** Of all flows; one holds at most so many times what is left. */
const ALL_MAX_BYTES = 16 * 1024 * 1024;
const SHARE_FACTOR = 4;
const PACKETS_MAX = 65_536;
/** Of a flow that nobody slows. */
export const RATE_ANY = RATE_MAX * SECOND;

/** The session of a flow. */
export interface Sender {
  readonly owner: object;
  readonly secret: boolean;
  readonly slowBranch: SlowBranch;
  readonly multicastLoopback: boolean;
}

export interface ThrottleEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly pool: PacketPool;
  /** Sends a packet of `sender` on its way, without releasing it; false: a queue here is full. */
  send(kept: KeptPacket, sender: Sender): boolean;
}

/** Flows of one session that were told, by `flowKey`. */
export type ThrottlesOf = Map<number, Throttle>;

/** At most so many of one session; notices of more of them are not heeded. */
export const THROTTLES_OF_SESSION_MAX = 256;

export function flowKey(destination: NodeId, port: Port): number {
  return destination * 65_536 + port;
}

/** What all flows hold. */
export class Throttles {
  readonly env: ThrottleEnvironment;
  heldBytes = 0;
  readonly #all = new Set<Throttle>();

  constructor(env: ThrottleEnvironment) {
    this.env = env;
  }

  get size(): number {
    return this.#all.size;
  }

  /**
   * `onRoom`: its program was told to wait, and may go on; `onFree`: it sends as it likes again.
   * `paced`: it has a rate before anybody has said anything, which grows only while it is used.
   */
  add(
    rate: number,
    sender: Sender,
    onRoom: () => void,
    onFree: () => void,
    paced = false,
  ): Throttle {
    const throttle = new Throttle(this, rate, sender, paced, onRoom, () => {
      this.#all.delete(throttle);
      onFree();
    });
    this.#all.add(throttle);
    return throttle;
  }

  /** Whether packets of so many bytes find room in a flow that holds `held` of them already. */
  fits(bytes: number, packets: number, held = 0): boolean {
    const cost = bytes + packets * OVERHEAD_BYTES;
    return (
      held + cost <=
      Math.min(HELD_MAX_BYTES, SHARE_FACTOR * (ALL_MAX_BYTES - this.heldBytes - cost))
    );
  }

  stop(): void {
    for (const throttle of this.#all) throttle.stop();
    this.#all.clear();
  }
}

/** One flow. */
export class Throttle {
  /** See Throttles.add. */
  readonly paced: boolean;
  readonly #all: Throttles;
  readonly #sender: Sender;
  readonly #onRoom: () => void;
  readonly #onFree: () => void;
  readonly #waiting = new Ring<KeptPacket>(PACKETS_MAX);
  readonly #timer = new Timer(() => this.#onTimer());
  #bytes = 0;
  /** Bytes a microsecond. */
  #rate: number;
  #tokens = BURST_BYTES;
  #filledAt: Micros;
  #noticedAt: Micros;
  #steppedAt: Micros;
  #usedAt: Micros;
  /** Its rate has held something back since the last step. */
  #limited = false;
  #told = false;

  constructor(
    all: Throttles,
    rate: number,
    sender: Sender,
    paced: boolean,
    onRoom: () => void,
    onFree: () => void,
  ) {
    this.paced = paced;
    this.#all = all;
    this.#sender = sender;
    this.#onRoom = onRoom;
    this.#onFree = onFree;
    this.#rate = perMicro(rate);
    const now = all.env.clock.now();
    this.#filledAt = this.#steppedAt = this.#usedAt = now;
    this.#noticedAt = paced ? now - QUIET : now;
    this.#arm();
  }

  /** Bytes a second. */
  get rate(): number {
    return this.#rate * SECOND;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  /** Its program is to wait. */
  get long(): boolean {
    return this.#told;
  }

  /** Its queue somewhere is long, `rate` bytes a second leave it; 0 = not known. */
  onNotice(rate: number): void {
    const now = this.#all.env.clock.now();
    const slower = rate > 0 && perMicro(rate) < this.#rate;
    if (now - this.#noticedAt < NOTICE_INTERVAL && !(this.paced && slower)) return;
    this.#fill(now);
    this.#rate = Math.max(
      RATE_MIN / SECOND,
      Math.min(this.#rate, rate > 0 ? perMicro(rate) : this.#rate / 2),
    );
    this.#noticedAt = this.#steppedAt = now;
  }

  /** True when `packet` may leave now; false: `hold` it. */
  passes(packet: Packet): boolean {
    const now = this.#all.env.clock.now();
    this.#usedAt = now;
    if (this.#waiting.length > 0) return false;
    this.#fill(now);
    if (this.#tokens <= 0) {
      this.#limited = true;
      return false;
    }
    this.#tokens -= packet.length + (this.#sender.secret ? SEAL_BYTES : 0);
    return true;
  }

  /** Keeps `packet` until its time; false when there is no room. */
  hold(packet: Packet): boolean {
    const cost = packet.length + OVERHEAD_BYTES;
    const fits =
      this.#bytes + cost <=
      Math.min(HELD_MAX_BYTES, SHARE_FACTOR * (ALL_MAX_BYTES - this.#all.heldBytes));
    const kept =
      fits && this.#waiting.length < PACKETS_MAX ? this.#all.env.pool.keep(packet) : null;
    if (kept === null) {
      if (this.#waiting.length > 0) this.#told = true;
      return false;
    }
    kept.queuedAt = this.#all.env.clock.now();
    this.#waiting.push(kept);
    this.#charge(cost);
    if (this.#bytes > TOLD_BYTES) this.#told = true;
    this.#arm();
    return true;
  }

  /** Takes over `kept`, which was on its way already. */
  adopt(kept: KeptPacket): void {
    if (!this.#waiting.push(kept)) {
      this.#all.env.pool.release(kept);
      return;
    }
    this.#charge(kept.length + OVERHEAD_BYTES);
    if (this.#bytes > TOLD_BYTES) this.#told = true;
    this.#arm();
  }

  /** Nothing of it waits, and its program need not: without it the flow has no rate until told. */
  get idle(): boolean {
    return this.#waiting.length === 0 && !this.#told;
  }

  /** It is forgotten now. */
  end(): void {
    this.stop();
    this.#onFree();
  }

  /** Lets go of what waits, unsent. */
  stop(): void {
    this.#all.env.timers.cancel(this.#timer);
    for (let kept = this.#take(); kept !== null; kept = this.#take())
      this.#all.env.pool.release(kept);
  }

  #onTimer(): void {
    const { clock, pool } = this.#all.env;
    const now = clock.now();
    this.#fill(now);
    while (this.#tokens > 0) {
      const kept = this.#waiting.peek();
      if (kept === undefined || !this.#all.env.send(kept, this.#sender)) break;
      this.#tokens -=
        kept.length + (this.#sender.secret && !sealedAt(kept.bytes, kept.start) ? SEAL_BYTES : 0);
      this.#take();
      pool.release(kept);
    }
    if (this.#waiting.length > 0) {
      this.#usedAt = now;
      if (this.#tokens <= 0) this.#limited = true;
    }
    if (this.#told && this.#bytes < TOLD_BYTES / 2) {
      this.#told = false;
      this.#onRoom();
    }
    if (this.#waiting.length === 0 && now - this.#lastAt >= FORGET) this.end();
    else this.#arm();
  }

  /** Until when it is remembered, but for FORGET. */
  get #lastAt(): Micros {
    return this.paced ? Math.max(this.#usedAt, this.#noticedAt) : this.#noticedAt;
  }

  #fill(now: Micros): void {
    for (; now - this.#steppedAt >= STEP; this.#steppedAt += STEP) {
      if (this.paced && !this.#limited) continue;
      this.#limited = false;
      this.#rate = Math.min(
        RATE_MAX,
        this.#rate * (this.#steppedAt - this.#noticedAt >= QUIET ? GROWTH_QUIET : GROWTH),
      );
    }
    this.#tokens = Math.min(
      Math.max(BURST_BYTES, 4 * MILLISECOND * this.#rate),
      this.#tokens + (now - this.#filledAt) * this.#rate,
    );
    this.#filledAt = now;
  }

  #arm(): void {
    const { clock, timers } = this.#all.env;
    const now = clock.now();
    const at =
      this.#waiting.length === 0
        ? this.#lastAt + FORGET
        : now + Math.max(MILLISECOND, Math.ceil(-this.#tokens / this.#rate));
    if (!this.#timer.armed || this.#timer.at > at)
      timers.arm(this.#timer, Math.max(at, now + MILLISECOND));
  }

  #take(): KeptPacket | null {
    const kept = this.#waiting.shift();
    if (kept === undefined) return null;
    this.#charge(-(kept.length + OVERHEAD_BYTES));
    return kept;
  }

  #charge(cost: number): void {
    this.#bytes += cost;
    this.#all.heldBytes += cost;
  }
}

function perMicro(rate: number): number {
  return Math.max(RATE_MIN, SLOW * rate) / SECOND;
}

/**
 * Room for one more flow of a session: where there is none, the oldest of those that are idle gives
 * way, so that rates of flows that nobody sends, which anybody on the way can make up, take no
 * place from others. False: of each something waits.
 */
export function makeRoom(throttles: ReadonlyMap<number, Throttle>): boolean {
  if (throttles.size < THROTTLES_OF_SESSION_MAX) return true;
  for (const throttle of throttles.values())
    if (throttle.idle) {
      throttle.end();
      return true;
    }
  return false;
}
