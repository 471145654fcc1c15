/**
 * How much a client may send: bytes and packets a second, each with a tenth of a second in advance.
 *
 * A message is taken whole as long as anything is left, and what it takes beyond that is owed: so
 * the long-run rate holds for messages of any size. Owns no timer: whoever refuses something asks
 * when it can go on.
 */

import { NEVER, SECOND, type Micros } from '../base/time.ts';

/** Payload bytes that count as one packet of a stream. */
const STREAM_PACKET_BYTES = 1_388;
const BURST_SHARE = 0.1;

export interface RateLimits {
  /** 0: unlimited. */
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
}

class Allowance {
  #left = Infinity;
  #at: Micros = 0;

  /** What is left at `perSecond`, which may change; 0 or below: nothing. */
  left(perSecond: number, now: Micros): number {
    this.#left = Math.min(
      Math.max(1, perSecond * BURST_SHARE),
      this.#left + ((now - this.#at) / SECOND) * perSecond,
    );
    this.#at = now;
    return this.#left;
  }

  take(amount: number): void {
    this.#left -= amount;
  }

  /** Until something is left, from the last `left` on. */
  waitUs(perSecond: number): Micros {
    return perSecond === 0 || this.#left > 0
      ? 0
      : Math.ceil((-this.#left / perSecond) * SECOND) + 1;
  }
}

export class ClientRate {
  readonly #limits: RateLimits;
  readonly #bytes = new Allowance();
  readonly #packets = new Allowance();

  /** `limits` may change; they count from then on. */
  constructor(limits: RateLimits) {
    this.#limits = limits;
  }

  get unlimited(): boolean {
    return this.#limits.bytesPerSecond === 0 && this.#limits.packetsPerSecond === 0;
  }

  /** Whether anything may be sent now. `@hot` */
  open(now: Micros): boolean {
    const { bytesPerSecond, packetsPerSecond } = this.#limits;
    const bytes = bytesPerSecond === 0 || this.#bytes.left(bytesPerSecond, now) > 0;
    const packets = packetsPerSecond === 0 || this.#packets.left(packetsPerSecond, now) > 0;
    return bytes && packets;
  }

  /** A datagram of `bytes` was sent. */
  takeMessage(bytes: number, now: Micros): void {
    this.#take(bytes, 1, now);
  }

  /** `bytes` of a stream were written. */
  takeStream(bytes: number, now: Micros): void {
    this.#take(bytes, bytes / STREAM_PACKET_BYTES, now);
  }

  #take(bytes: number, packets: number, now: Micros): void {
    // Idle time earns no more than a burst, also when nobody has asked since.
    this.open(now);
    // What is unlimited now must owe nothing when a reload limits it.
    if (this.#limits.bytesPerSecond !== 0) this.#bytes.take(bytes);
    if (this.#limits.packetsPerSecond !== 0) this.#packets.take(packets);
  }

  /** When anything may be sent again; NEVER when it may now. */
  opensAt(now: Micros): Micros {
    if (this.open(now)) return NEVER;
    const { bytesPerSecond, packetsPerSecond } = this.#limits;
    return (
      now + Math.max(this.#bytes.waitUs(bytesPerSecond), this.#packets.waitUs(packetsPerSecond))
    );
  }
}
