/**
 * Puts together the one datagram's packets that a parity and all others of its block tell.
 *
 * Owns copies of the realtime frames of the last datagrams, which it keeps only while parities
 * come: a copy of each packet is what that costs. Bounded: UNITS datagrams. Whether what it makes
 * is still wanted its caller knows.
 */

import { copyBytes } from '../base/bytes.ts';
import { SECOND, type Micros } from '../base/time.ts';
import { FRAME_REALTIME, putFrameHead } from '../wire/frames.ts';
import {
  isUnit,
  REPAIR_HEAD_BYTES,
  REPAIR_SPAN,
  UNIT_BYTES_MAX,
  type RepairHead,
} from '../wire/realtime.ts';
import { FRAME_HEAD_BYTES } from '../wire/sizes.ts';

/** A power of two, at least REPAIR_SPAN: with the longest units 90 KB. */
const UNITS = 64;
/** After the latest parity. */
const KEEPING: Micros = 5 * SECOND;

interface Unit {
  number: number;
  length: number;
  readonly bytes: Uint8Array;
}

export class RepairDecoder {
  /** What `solve` has made: frames in `bytes[0..length)`, of the datagram `number`. */
  number = 0;
  length = 0;
  readonly bytes = new Uint8Array(UNIT_BYTES_MAX);
  readonly #units: (Unit | undefined)[] = [];
  #until: Micros = 0;

  /** Whether units are kept now. `@hot` */
  keeps(now: Micros): boolean {
    return now < this.#until;
  }

  /** A realtime frame with the body `b[start..end)` came in the datagram `number`. */
  add(number: number, b: Uint8Array, start: number, end: number): void {
    const unit = (this.#units[number & (UNITS - 1)] ??= {
      number: -1,
      length: 0,
      bytes: new Uint8Array(UNIT_BYTES_MAX),
    });
    if (unit.number !== number) {
      unit.number = number;
      unit.length = 0;
    }
    if (unit.length + FRAME_HEAD_BYTES + end - start > UNIT_BYTES_MAX) {
      // No parity covers it.
      unit.number = -1;
      return;
    }
    const at = putFrameHead(unit.bytes, unit.length, FRAME_REALTIME, end - start);
    copyBytes(b, start, end, unit.bytes, at);
    unit.length = at + end - start;
  }

  /**
   * A parity came: `head`, and the XOR in `b[start..end)` behind it. True when exactly one of its
   * datagrams is not here, and what the others leave of it is realtime frames.
   */
  solve(
    base: number,
    head: RepairHead,
    b: Uint8Array,
    start: number,
    end: number,
    now: Micros,
  ): boolean {
    this.#until = now + KEEPING;
    let missing = -1,
      lengths = head.lengths;
    for (let bit = 0; bit < REPAIR_SPAN; bit += 1) {
      if (((head.covered >>> bit) & 1) === 0) continue;
      const number = base + bit,
        unit = this.#units[number & (UNITS - 1)];
      if (unit === undefined || unit.number !== number) {
        if (missing >= 0) return false;
        missing = number;
      } else lengths ^= unit.length;
    }
    const from = start + REPAIR_HEAD_BYTES;
    if (missing < 0 || lengths > end - from) return false;
    const { bytes } = this;
    bytes.fill(0);
    copyBytes(b, from, end, bytes, 0);
    for (let bit = 0; bit < REPAIR_SPAN; bit += 1) {
      if (((head.covered >>> bit) & 1) === 0 || base + bit === missing) continue;
      const unit = this.#units[(base + bit) & (UNITS - 1)]!;
      for (let i = 0; i < unit.length; i += 1) bytes[i] = bytes[i]! ^ unit.bytes[i]!;
    }
    this.number = missing;
    this.length = lengths;
    return isUnit(bytes, lengths);
  }

  /** The channel is gone, and its numbers. */
  clear(): void {
    this.#units.length = 0;
    this.#until = 0;
  }
}
