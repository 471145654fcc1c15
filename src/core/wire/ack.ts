/**
 * The ack frame of a link: which datagrams have arrived, newest first. WIRE.md section 3.
 *
 * Shape of RFC 9000 section 19.3 with fixed widths: the highest number, how long it was held, the
 * length of the range that ends there, then pairs of a gap and a length. Decoded into a
 * caller-owned struct. `@hot`
 */

import { getU16, getU48, putU16, putU48 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';

const LARGEST = 0,
  DELAY = 6,
  COUNT = 8,
  RESERVED = 9,
  FIRST = 10;
export const ACK_FIXED_BYTES = 12;
export const ACK_LAYOUT = {
  largest: [LARGEST, 6],
  delay: [DELAY, 2],
  count: [COUNT, 1],
  reserved: [RESERVED, 1],
  first: [FIRST, 2],
} as const;
const GAP = 0,
  LENGTH = 2;
export const ACK_RANGE_BYTES = 4;
export const ACK_RANGE_LAYOUT = { gap: [GAP, 2], length: [LENGTH, 2] } as const;

/** Most ranges in one ack. Older ones are left out. */
export const ACK_RANGES_MAX = 32;
/** Unit of `delay`, microseconds. */
export const ACK_DELAY_UNIT_US = 8;

/** Ranges of datagram numbers, newest first: `low[i]..high[i]`, all below `low[i - 1]`. */
export class AckRanges {
  readonly low = new Float64Array(ACK_RANGES_MAX);
  readonly high = new Float64Array(ACK_RANGES_MAX);
  count = 0;
  delayUs = 0;

  /** Highest number, -1 when empty. */
  get largest(): number {
    return this.count === 0 ? -1 : this.high[0]!;
  }

  has(number: number): boolean {
    for (let i = 0; i < this.count; i += 1)
      if (number >= this.low[i]!) return number <= this.high[i]!;
    return false;
  }

  /** Which of `parts` numbers from `number` on are not in it: bit 0 stands for the first. */
  missingOf(number: number, parts: number): number {
    let missing = 0;
    for (let part = 0; part < parts; part += 1) if (!this.has(number + part)) missing |= 1 << part;
    return missing;
  }

  clear(): void {
    this.count = 0;
  }

  /**
   * Records an arrival that was not there. Returns true when it was the next in order. The oldest
   * range gives way.
   */
  add(number: number): boolean {
    const { low, high } = this;
    if (this.count > 0 && number === high[0]! + 1) {
      high[0] = number;
      return true;
    }
    let at = 0;
    while (at < this.count && number < low[at]!) at += 1;
    if (at < this.count && number <= high[at]!) return false;
    const joinsOlder = at < this.count && number === high[at]! + 1;
    const joinsNewer = at > 0 && number === low[at - 1]! - 1;
    if (joinsOlder && joinsNewer) {
      low[at - 1] = low[at]!;
      this.#removeAt(at);
    } else if (joinsOlder) high[at] = number;
    else if (joinsNewer) low[at - 1] = number;
    else this.#insertAt(at, number);
    return this.count === 1 && number === high[0];
  }

  #insertAt(at: number, number: number): void {
    if (at >= ACK_RANGES_MAX) return;
    if (this.count < ACK_RANGES_MAX) this.count += 1;
    for (let i = this.count - 1; i > at; i -= 1) {
      this.low[i] = this.low[i - 1]!;
      this.high[i] = this.high[i - 1]!;
    }
    this.low[at] = number;
    this.high[at] = number;
  }

  #removeAt(at: number): void {
    this.count -= 1;
    for (let i = at; i < this.count; i += 1) {
      this.low[i] = this.low[i + 1]!;
      this.high[i] = this.high[i + 1]!;
    }
  }

  get frameBytes(): number {
    return ACK_FIXED_BYTES + (this.#encodable - 1) * ACK_RANGE_BYTES;
  }

  /**
   * Ranges up to the first gap that 16 bits can't say; what is older is left out, never
   * acknowledged wrongly.
   */
  get #encodable(): number {
    let previous = Math.max(this.low[0]!, this.high[0]! - 0xfffe);
    for (let i = 1; i < this.count; i += 1) {
      if (previous - this.high[i]! - 1 > 0xffff || this.high[i]! - this.low[i]! >= 0xffff) return i;
      previous = this.low[i]!;
    }
    return this.count;
  }

  /**
   * Writes the body of an ack frame (`frameBytes` long); at least one range. Long ranges are cut at
   * their old end.
   */
  encode(b: Uint8Array, at: number): void {
    putU48(b, at + LARGEST, this.largest);
    putU16(b, at + DELAY, Math.min(0xffff, Math.floor(this.delayUs / ACK_DELAY_UNIT_US)));
    const count = this.#encodable;
    b[at + COUNT] = count - 1;
    b[at + RESERVED] = 0;
    putU16(b, at + FIRST, Math.min(0xffff, this.high[0]! - this.low[0]! + 1));
    let previous = Math.max(this.low[0]!, this.high[0]! - 0xfffe);
    let to = at + ACK_FIXED_BYTES;
    for (let i = 1; i < count; i += 1, to += ACK_RANGE_BYTES) {
      const gap = previous - this.high[i]! - 1;
      const length = this.high[i]! - this.low[i]! + 1;
      putU16(b, to + GAP, gap);
      putU16(b, to + LENGTH, length);
      previous -= gap + length;
    }
  }

  decode(b: Uint8Array, start: number, end: number): DropReason {
    if (end - start < ACK_FIXED_BYTES) return DropReason.ackMalformed;
    const more = b[start + COUNT]!;
    if (more >= ACK_RANGES_MAX || end - start !== ACK_FIXED_BYTES + more * ACK_RANGE_BYTES)
      return DropReason.ackMalformed;
    if (b[start + RESERVED] !== 0) return DropReason.reservedNotZero;
    const largest = getU48(b, start + LARGEST);
    const first = getU16(b, start + FIRST);
    if (first === 0 || first > largest + 1) return DropReason.ackMalformed;
    this.high[0] = largest;
    this.low[0] = largest - first + 1;
    let previous = this.low[0]!;
    for (let i = 1, at = start + ACK_FIXED_BYTES; i <= more; i += 1, at += ACK_RANGE_BYTES) {
      const gap = getU16(b, at + GAP);
      const length = getU16(b, at + LENGTH);
      if (gap === 0 || length === 0 || gap + length > previous) return DropReason.ackMalformed;
      this.high[i] = previous - gap - 1;
      this.low[i] = previous - gap - length;
      previous = this.low[i]!;
    }
    this.count = more + 1;
    this.delayUs = getU16(b, start + DELAY) * ACK_DELAY_UNIT_US;
    return DropReason.none;
  }
}
