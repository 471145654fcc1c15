/**
 * What the realtime service has sent lately, so that it can be sent again: a ring by the number of
 * the datagram, bounded in packets, bytes and time; the oldest gives way.
 *
 * Owns the kept packets and what was answered of each. Does not send. The invariant: numbers only
 * grow, so a number is found by halving. `@hot` for `add` and `expire`.
 */

import { MILLISECOND, type Micros } from '../base/time.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';

/** Packets, a power of two, bytes of them, and how long. */
export const HISTORY_PACKETS = 1_024;
export const HISTORY_BYTES = 512 * 1024;
export const HISTORY_TIME: Micros = 500 * MILLISECOND;

const MASK = HISTORY_PACKETS - 1;

/** One packet that was sent. */
export interface Sent {
  number: number;
  /** Datagrams that it left in, and its place among the packets of its datagram. */
  datagrams: number;
  index: number;
  /** Its age then, and when that was. */
  ageUs: Micros;
  at: Micros;
  /** Sent later than this it is of no use. */
  until: Micros;
  /** Bit i: the request of that strike was answered. */
  answered: number;
  /** How often it was sent again. */
  times: number;
  kept: KeptPacket | null;
}

export class RealtimeHistory {
  readonly #pool: PacketPool;
  readonly #entries: (Sent | undefined)[] = [];
  /** Positions count up: entries are at `#head..#tail)`. */
  #head = 0;
  #tail = 0;
  #bytes = 0;

  constructor(pool: PacketPool) {
    this.#pool = pool;
  }

  get length(): number {
    return this.#tail - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** When the oldest goes; only while there is one. */
  get oldestUntil(): Micros {
    return this.#entries[this.#head & MASK]!.at + HISTORY_TIME;
  }

  /** Takes `kept`, which left now in the datagram `number`, as high as any before. */
  add(
    kept: KeptPacket,
    number: number,
    datagrams: number,
    index: number,
    ageUs: Micros,
    at: Micros,
    until: Micros,
  ): void {
    this.expire(at);
    while (this.length >= HISTORY_PACKETS || this.#bytes + kept.length > HISTORY_BYTES)
      this.#drop();
    const place = this.#tail & MASK;
    const sent = (this.#entries[place] ??= {
      number: 0,
      datagrams: 1,
      index: 0,
      ageUs: NaN,
      at: NaN,
      until: NaN,
      answered: 0,
      times: 0,
      kept: null,
    });
    sent.number = number;
    sent.datagrams = datagrams;
    sent.index = index;
    sent.ageUs = ageUs;
    sent.at = at;
    sent.until = until;
    sent.answered = 0;
    sent.times = 0;
    sent.kept = kept;
    this.#bytes += kept.length;
    this.#tail += 1;
  }

  /** Position of what was added last; it stays good until that is forgotten. */
  get last(): number {
    return this.#tail - 1;
  }

  /** What is at a position; null when it is forgotten. */
  at(position: number): Sent | null {
    return position >= this.#head && position < this.#tail ? this.#entries[position & MASK]! : null;
  }

  /** Position of the first packet that left in `number` or later; past the last: none did. */
  from(number: number): number {
    let low = this.#head,
      high = this.#tail;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const { number: first, datagrams } = this.#entries[middle & MASK]!;
      if (first + datagrams > number) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Whether another packet than the one at `position` follows it in the same datagram. */
  isLast(position: number): boolean {
    const next = this.at(position + 1);
    return next === null || next.number !== this.at(position)!.number;
  }

  /** Forgets what is too old. */
  expire(now: Micros): void {
    while (this.length > 0 && this.oldestUntil <= now) this.#drop();
  }

  clear(): void {
    while (this.length > 0) this.#drop();
  }

  #drop(): void {
    const sent = this.#entries[this.#head & MASK]!;
    this.#bytes -= sent.kept!.length;
    this.#pool.release(sent.kept!);
    sent.kept = null;
    this.#head += 1;
  }
}
