/**
 * A block of realtime packets in the making: the XOR of what has left, until its parity leaves.
 *
 * Owns these bytes and which datagrams are in it. A unit is the realtime frames of one datagram as
 * they stand there (core/wire/realtime.ts). Does not decide how long a block is: redundancy.ts
 * does. Called by realtime-sender.ts for what it has written. `@hot`
 */

import type { Micros } from '../base/time.ts';
import {
  encodeRepair,
  REPAIR_HEAD_BYTES,
  REPAIR_SPAN,
  UNIT_BYTES_MAX,
  type RepairHead,
} from '../wire/realtime.ts';

export class RepairBlock {
  /** Datagrams in it. */
  units = 0;
  /** When the first of them was written. */
  since: Micros = 0;
  readonly #xor = new Uint8Array(UNIT_BYTES_MAX);
  readonly #head: RepairHead = { base: 0, covered: 0, lengths: 0 };
  #base = 0;
  #last = -1;
  /** Bytes of the unit of `#last`, and of the longest. */
  #unitBytes = 0;
  #longest = 0;

  /** Bytes of the frame's body. */
  get bytes(): number {
    return REPAIR_HEAD_BYTES + this.#longest;
  }

  /**
   * The realtime frame `b[start..end)`, head included, is written into the datagram `number`.
   * False: it has no place in this block, which is empty now; what is in it had better been sent.
   */
  add(number: number, b: Uint8Array, start: number, end: number, now: Micros): boolean {
    const same = number === this.#last && this.units > 0;
    const from = same ? this.#unitBytes : 0;
    const to = from + end - start;
    if (to > UNIT_BYTES_MAX || (this.units > 0 && number - this.#base >= REPAIR_SPAN)) {
      this.clear();
      return false;
    }
    if (this.units === 0) {
      this.#base = number;
      this.since = now;
    }
    if (!same) {
      this.units += 1;
      this.#last = number;
    }
    const xor = this.#xor;
    for (let i = 0, at = from; at < to; i += 1, at += 1) xor[at] = xor[at]! ^ b[start + i]!;
    const head = this.#head;
    head.covered = (head.covered | (1 << (number - this.#base))) >>> 0;
    head.lengths ^= (same ? this.#unitBytes : 0) ^ to;
    this.#unitBytes = to;
    if (to > this.#longest) this.#longest = to;
    return true;
  }

  /** Writes the body of the parity, `bytes` of it, and begins anew. */
  write(b: Uint8Array, at: number): void {
    this.#head.base = this.#base & 0xffff;
    encodeRepair(this.#head, b, at);
    b.set(this.#xor.subarray(0, this.#longest), at + REPAIR_HEAD_BYTES);
    this.clear();
  }

  clear(): void {
    if (this.#longest > 0) this.#xor.fill(0, 0, this.#longest);
    this.units = 0;
    this.#last = -1;
    this.#unitBytes = 0;
    this.#longest = 0;
    this.#head.covered = 0;
    this.#head.lengths = 0;
  }
}
