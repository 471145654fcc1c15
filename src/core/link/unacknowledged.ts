/**
 * What a reliable link has sent and does not know to have arrived: packets by their number on the
 * link, and transmissions in the order of their datagrams.
 *
 * Both are rings of columns, so that a packet on its way makes no object. They begin empty, since
 * most links have nothing under way, and grow by doubling; bounds are the caller's. `@hot`
 */

import { assert } from '../base/assert.ts';
import type { Micros } from '../base/time.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';

const ROWS_MIN = 16;

/** Packets from the oldest that the neighbour may not have to the newest. */
export class PacketsUnderWay {
  /** Link sequence numbers: of the oldest packet, and of the next one. */
  oldest = 0;
  next = 0;
  /** By sequence; null = the neighbour has it. */
  #kept: (KeptPacket | null)[] = [];
  /** Number of the datagram that carried it last. */
  #lastNumber = new Float64Array(0);
  /** 1 = waits to be sent again. */
  #queued = new Uint8Array(0);

  get length(): number {
    return this.next - this.oldest;
  }

  /** Returns the packet's sequence number. */
  add(kept: KeptPacket): number {
    if (this.length === this.#kept.length) this.#grow();
    const sequence = this.next;
    const row = this.#row(sequence);
    this.#kept[row] = kept;
    this.#queued[row] = 0;
    this.next += 1;
    return sequence;
  }

  /** Null when the neighbour has it. */
  of(sequence: number): KeptPacket | null {
    return sequence < this.oldest ? null : this.#kept[this.#row(sequence)]!;
  }

  sentIn(sequence: number, datagram: number): void {
    this.#lastNumber[this.#row(sequence)] = datagram;
  }

  lastNumber(sequence: number): number {
    return this.#lastNumber[this.#row(sequence)]!;
  }

  isQueued(sequence: number): boolean {
    return this.#queued[this.#row(sequence)] === 1;
  }

  setQueued(sequence: number, queued: boolean): void {
    if (sequence >= this.oldest) this.#queued[this.#row(sequence)] = queued ? 1 : 0;
  }

  /** The neighbour has it: whoever calls releases the packet. */
  done(sequence: number): void {
    this.#kept[this.#row(sequence)] = null;
  }

  /** Moves `oldest` past packets that the neighbour has. */
  advance(): void {
    while (this.oldest < this.next && this.#kept[this.#row(this.oldest)] === null) this.oldest += 1;
  }

  clear(): void {
    this.oldest = 0;
    this.next = 0;
    this.#kept = [];
    this.#lastNumber = new Float64Array(0);
    this.#queued = new Uint8Array(0);
  }

  #row(sequence: number): number {
    // Sequence numbers may exceed 32 bits, of which `&` looks at the lowest; rows are a power of
    // two.
    return sequence & (this.#kept.length - 1);
  }

  #grow(): void {
    const rows = Math.max(ROWS_MIN, 2 * this.#kept.length);
    const kept = new Array<KeptPacket | null>(rows).fill(null),
      lastNumber = new Float64Array(rows),
      queued = new Uint8Array(rows);
    for (let sequence = this.oldest; sequence < this.next; sequence += 1) {
      const from = this.#row(sequence),
        to = sequence & (rows - 1);
      kept[to] = this.#kept[from]!;
      lastNumber[to] = this.#lastNumber[from]!;
      queued[to] = this.#queued[from]!;
    }
    this.#kept = kept;
    this.#lastNumber = lastNumber;
    this.#queued = queued;
  }
}

/**
 * Transmissions whose fate is open, in the order of their datagram numbers; the same packet may be
 * in it more than once.
 */
export class Transmissions {
  #head = 0;
  #length = 0;
  #number = new Float64Array(0);
  #sequence = new Float64Array(0);
  #sentAt = new Float64Array(0);
  /**
   * Bytes, times eight, plus twice the datagrams beyond the first, plus one when the window was
   * nearly full.
   */
  #bytesLimited = new Uint32Array(0);

  get length(): number {
    return this.#length;
  }

  /** `parts`: datagrams, 1..4, of the numbers from `number` on. */
  push(
    number: number,
    parts: number,
    sequence: number,
    sentAt: Micros,
    bytes: number,
    limited: boolean,
  ): void {
    if (this.#length === this.#number.length) this.#grow();
    const row = (this.#head + this.#length) & (this.#number.length - 1);
    this.#number[row] = number;
    this.#sequence[row] = sequence;
    this.#sentAt[row] = sentAt;
    this.#bytesLimited[row] = 8 * bytes + 2 * (parts - 1) + (limited ? 1 : 0);
    this.#length += 1;
  }

  /* Of the oldest; there must be one. */

  get number(): number {
    return this.#number[this.#head]!;
  }

  get parts(): number {
    return ((this.#bytesLimited[this.#head]! >>> 1) & 3) + 1;
  }

  /** Number of its last datagram. */
  get last(): number {
    return this.number + this.parts - 1;
  }

  get sequence(): number {
    return this.#sequence[this.#head]!;
  }

  get sentAt(): Micros {
    return this.#sentAt[this.#head]!;
  }

  get bytes(): number {
    return this.#bytesLimited[this.#head]! >>> 3;
  }

  get limited(): boolean {
    return (this.#bytesLimited[this.#head]! & 1) === 1;
  }

  /** Takes the oldest out. */
  shift(): void {
    assert(this.#length > 0, 'there is a transmission to take');
    this.#head = (this.#head + 1) & (this.#number.length - 1);
    this.#length -= 1;
  }

  clear(): void {
    this.#head = 0;
    this.#length = 0;
    this.#number = new Float64Array(0);
    this.#sequence = new Float64Array(0);
    this.#sentAt = new Float64Array(0);
    this.#bytesLimited = new Uint32Array(0);
  }

  #grow(): void {
    const rows = Math.max(ROWS_MIN, 2 * this.#number.length);
    this.#number = unrolled(this.#number, this.#head, new Float64Array(rows));
    this.#sequence = unrolled(this.#sequence, this.#head, new Float64Array(rows));
    this.#sentAt = unrolled(this.#sentAt, this.#head, new Float64Array(rows));
    this.#bytesLimited = unrolled(this.#bytesLimited, this.#head, new Uint32Array(rows));
    this.#head = 0;
  }
}

/** A full ring's rows from `head` on, at the beginning of `into`. */
function unrolled<T extends Float64Array | Uint32Array>(ring: T, head: number, into: T): T {
  into.set(ring.subarray(head), 0);
  into.set(ring.subarray(0, head), ring.length - head);
  return into;
}
