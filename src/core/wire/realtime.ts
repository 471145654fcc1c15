/**
 * Frames of the realtime service: packets with their age, packets sent again, requests for what is
 * missing, and parities. WIRE.md section 3.
 *
 * A packet is named by the number of the datagram that brought it, and its place among the realtime
 * packets there; what a path splits, by the number of its first piece. Numbers are cut to 16 or 32
 * bits and meant near the newest one.
 */

import { getU16, getU32, putU16, putU32 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';
import { FRAME_REALTIME, frameBodyBytes } from './frames.ts';
import { FRAME_BODY_BYTES_MAX, FRAME_HEAD_BYTES, OVERLAY_HEADER_BYTES } from './sizes.ts';

/** An age counts in these, microseconds, up to 65,535 of them. */
export const AGE_UNIT_US = 100;
const AGE_MAX = 0xffff;

/* ------------------------------------------------------------------ realtime */

export const REALTIME_HEAD_BYTES = 2;
export const REALTIME_LAYOUT = { age: [0, 2] } as const;

export function putAge(b: Uint8Array, at: number, ageUs: number): void {
  putU16(b, at, Math.min(AGE_MAX, Math.round(ageUs / AGE_UNIT_US)));
}

export function ageUsAt(b: Uint8Array, at: number): number {
  return getU16(b, at) * AGE_UNIT_US;
}

/** Whether `start..end` has an age and what may be a packet. `@hot` */
export function isRealtime(start: number, end: number): boolean {
  return end - start >= REALTIME_HEAD_BYTES + OVERLAY_HEADER_BYTES;
}

/* ------------------------------------------------------------------ again */

const OF = 0,
  PART = 2,
  AGAIN_AGE = 3;
export const AGAIN_HEAD_BYTES = 5;
export const AGAIN_LAYOUT = { of: [OF, 2], part: [PART, 1], age: [AGAIN_AGE, 2] } as const;

const INDEX_MASK = 0x1f,
  DATAGRAMS_SHIFT = 5,
  DATAGRAMS_MASK = 0x03,
  LAST = 0x80;
/** Packets of one datagram that can be named. */
export const PLACES_MAX = 32;

export interface AgainHead {
  /** Low 16 bits of the number of the datagram that had the packet, or its first piece. */
  of: number;
  /** Its place among the realtime packets of that datagram, from 0. */
  index: number;
  /** Datagrams that it left in; more than 1 for one in pieces, which is alone in them. */
  datagrams: number;
  /** That datagram had none behind it that can be named. */
  last: boolean;
  /** Microseconds. */
  ageUs: number;
}

export function decodeAgain(b: Uint8Array, start: number, end: number, out: AgainHead): DropReason {
  if (end - start < AGAIN_HEAD_BYTES + OVERLAY_HEADER_BYTES) return DropReason.realtimeMalformed;
  const part = b[start + PART]!;
  out.of = getU16(b, start + OF);
  out.index = part & INDEX_MASK;
  out.datagrams = ((part >> DATAGRAMS_SHIFT) & DATAGRAMS_MASK) + 1;
  out.last = (part & LAST) !== 0;
  out.ageUs = ageUsAt(b, start + AGAIN_AGE);
  return out.datagrams > 1 && (out.index !== 0 || !out.last)
    ? DropReason.realtimeMalformed
    : DropReason.none;
}

export function encodeAgain(head: AgainHead, b: Uint8Array, at: number): void {
  putU16(b, at + OF, head.of);
  b[at + PART] = head.index | ((head.datagrams - 1) << DATAGRAMS_SHIFT) | (head.last ? LAST : 0);
  putAge(b, at + AGAIN_AGE, head.ageUs);
}

/* ------------------------------------------------------------------ request */

const STRIKE = 0,
  COPIES = 1,
  SPACING = 2,
  COUNT = 3,
  FIRST = 4;
export const REQUEST_HEAD_BYTES = 8;
export const REALTIME_REQUEST_LAYOUT = {
  strike: [STRIKE, 1],
  copies: [COPIES, 1],
  spacing: [SPACING, 1],
  count: [COUNT, 1],
  first: [FIRST, 4],
} as const;
const GAP = 0,
  LENGTH = 1;
export const REQUEST_RANGE_BYTES = 2;
export const REQUEST_RANGE_LAYOUT = { gap: [GAP, 1], length: [LENGTH, 1] } as const;

/** Requests for one packet, answers to one request, and ranges in one. */
export const STRIKES_MAX = 4,
  COPIES_MAX = 3,
  REQUEST_RANGES_MAX = 32;
/** Of a gap between two ranges, and of a range. */
export const REQUEST_RUN_MAX = 255;

/** Numbers of datagrams that are missing, in ascending ranges. */
export class Request {
  /** 0 for the first request for these, up to STRIKES_MAX - 1. */
  strike = 0;
  /** How often each is to be sent, 1..COPIES_MAX, and how far apart, milliseconds, at most 255. */
  copies = 1;
  spacingMs = 0;
  count = 0;
  /** First number of each range, low 32 bits, and how many. */
  readonly first = new Uint32Array(REQUEST_RANGES_MAX);
  readonly length = new Uint8Array(REQUEST_RANGES_MAX);

  get bytes(): number {
    return REQUEST_HEAD_BYTES + this.count * REQUEST_RANGE_BYTES;
  }

  /**
   * Adds a number above all that are in it; false when it has no room, or the number is too far
   * ahead: it goes into the next.
   */
  add(number: number): boolean {
    const low = number >>> 0,
      at = this.count - 1;
    if (at >= 0) {
      const gap = (low - this.first[at]! - this.length[at]!) >>> 0;
      if (gap === 0 && this.length[at]! < REQUEST_RUN_MAX) {
        this.length[at] = this.length[at]! + 1;
        return true;
      }
      if (this.count === REQUEST_RANGES_MAX || gap === 0 || gap > REQUEST_RUN_MAX) return false;
    }
    this.first[at + 1] = low;
    this.length[at + 1] = 1;
    this.count += 1;
    return true;
  }

  decode(b: Uint8Array, start: number, end: number): DropReason {
    if (end - start < REQUEST_HEAD_BYTES) return DropReason.realtimeMalformed;
    this.strike = b[start + STRIKE]!;
    this.copies = b[start + COPIES]!;
    this.spacingMs = b[start + SPACING]!;
    this.count = b[start + COUNT]!;
    if (
      this.strike >= STRIKES_MAX ||
      this.copies < 1 ||
      this.copies > COPIES_MAX ||
      this.count < 1 ||
      this.count > REQUEST_RANGES_MAX ||
      end - start !== this.bytes
    )
      return DropReason.realtimeMalformed;
    let next = getU32(b, start + FIRST);
    for (let i = 0; i < this.count; i += 1) {
      const at = start + REQUEST_HEAD_BYTES + i * REQUEST_RANGE_BYTES;
      const gap = b[at + GAP]!,
        length = b[at + LENGTH]!;
      if (length === 0 || (i === 0) !== (gap === 0)) return DropReason.realtimeMalformed;
      this.first[i] = next + gap;
      this.length[i] = length;
      next += gap + length;
    }
    return DropReason.none;
  }

  encode(b: Uint8Array, at: number): void {
    b[at + STRIKE] = this.strike;
    b[at + COPIES] = this.copies;
    b[at + SPACING] = this.spacingMs;
    b[at + COUNT] = this.count;
    putU32(b, at + FIRST, this.first[0]!);
    let next = this.first[0]!;
    for (let i = 0; i < this.count; i += 1) {
      const range = at + REQUEST_HEAD_BYTES + i * REQUEST_RANGE_BYTES;
      b[range + GAP] = (this.first[i]! - next) >>> 0;
      b[range + LENGTH] = this.length[i]!;
      next = (this.first[i]! + this.length[i]!) >>> 0;
    }
  }
}

/* ------------------------------------------------------------------ repair */

const BASE = 0,
  COVERED = 2,
  LENGTHS = 6;
export const REPAIR_HEAD_BYTES = 8;
export const REPAIR_LAYOUT = {
  base: [BASE, 2],
  covered: [COVERED, 4],
  lengths: [LENGTHS, 2],
} as const;
/**
 * The realtime frames of one datagram, heads included, as they stand there without what is between
 * them; longer ones no parity covers.
 */
export const UNIT_BYTES_MAX = FRAME_BODY_BYTES_MAX - REPAIR_HEAD_BYTES;
/** Numbers that one parity reaches over. */
export const REPAIR_SPAN = 32;

export interface RepairHead {
  /** Low 16 bits of the number of the first datagram that it covers. */
  base: number;
  /** Bit i: the datagram base + i. Bit 0 is set, and another. */
  covered: number;
  /** XOR of the bytes of their units. */
  lengths: number;
}

/** The XOR of the units is what follows, each with zeros up to the longest. */
export function decodeRepair(
  b: Uint8Array,
  start: number,
  end: number,
  out: RepairHead,
): DropReason {
  const unit = end - start - REPAIR_HEAD_BYTES;
  if (unit < FRAME_HEAD_BYTES + REALTIME_HEAD_BYTES + OVERLAY_HEADER_BYTES)
    return DropReason.realtimeMalformed;
  out.base = getU16(b, start + BASE);
  out.covered = getU32(b, start + COVERED);
  out.lengths = getU16(b, start + LENGTHS);
  return (out.covered & 1) === 0 || out.covered === 1
    ? DropReason.realtimeMalformed
    : DropReason.none;
}

export function encodeRepair(head: RepairHead, b: Uint8Array, at: number): void {
  putU16(b, at + BASE, head.base);
  putU32(b, at + COVERED, head.covered);
  putU16(b, at + LENGTHS, head.lengths);
}

/** Whether `b[0..end)` is realtime frames and nothing else, at least one. */
export function isUnit(b: Uint8Array, end: number): boolean {
  let at = 0;
  while (at < end) {
    const body = frameBodyBytes(b, at, end);
    const start = at + FRAME_HEAD_BYTES;
    if (body < 0 || b[at] !== FRAME_REALTIME || !isRealtime(start, start + body)) return false;
    at = start + body;
  }
  return end > 0;
}

/* ------------------------------------------------------------------ numbers */

/** The number nearest to `reference` whose low `bits` (16 or 32) are `low`; may be negative. */
export function numberNear(low: number, bits: 16 | 32, reference: number): number {
  const span = 2 ** bits;
  const candidate = reference - (reference % span) + low;
  if (candidate > reference + span / 2) return candidate - span;
  if (candidate < reference - span / 2) return candidate + span;
  return candidate;
}
