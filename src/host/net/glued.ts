/**
 * Takes apart what the kernel glued together on arrival (UDP_GRO): at most 64 datagrams, all of one
 * size but the last, which may be shorter, all between the same two sockets. The kernel says that
 * size in a control message that Node does not show.
 *
 * Those of one channel begin with the same type and receiver index and have numbers close together
 * (WIRE.md, section 1): where that comes again and again at one distance, that is the size; in
 * ciphertext it comes by chance once in 2^80 datagrams. But whoever makes the sender's address up
 * can have datagrams of his own glued in front of, between and behind genuine ones: the size is
 * then searched (segment-search.ts). `@hot`
 */

import { getU32, getU48 } from '../../core/base/bytes.ts';
import type { Micros } from '../../core/base/time.ts';
import { PROBE_NUMBER_MIN } from '../../core/wire/datagram-header.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES } from '../../core/wire/sizes.ts';
import type { HeardEndpoint } from './endpoints.ts';
import { SegmentSearch, smallestSegment, type Opener } from './segment-search.ts';

/** Type, reserved byte and receiver index. */
export const SAME_HEAD_BYTES = 6;
/** Numbers of datagrams that arrive together lie closer than this. */
const NEAR = 4_096;
/** A channel hardly sends more size probes: one a second for 18 hours. */
const PROBES_NEAR = PROBE_NUMBER_MIN + 0x1_0000;
/** Distances at which the first head comes again that are looked at before it is called odd. */
const DISTANCES_MAX = 16;

/** Whoever can't tell what is genuine goes by heads alone. */
export const BY_HEADS: Opener = { knows: () => true, opens: () => true };

/**
 * Bytes of each datagram of `b` but the last, when all are one channel's; b.length when it is one,
 * or may be. 0: datagrams of several origins, or none.
 */
function evenSegmentOf(b: Buffer, opener: Opener): number {
  if (b.length >= 2 * DATAGRAM_HEADER_BYTES) {
    const last = Math.min(DATAGRAM_BYTES_MAX, b.length - DATAGRAM_HEADER_BYTES);
    const head = b.subarray(0, SAME_HEAD_BYTES);
    let at = b.indexOf(head, smallestSegment(b.length));
    for (let i = 0; i < DISTANCES_MAX && at >= 0 && at <= last; i += 1) {
      if (isEven(b, at) && opener.knows(getU32(b, 2), getU48(b, SAME_HEAD_BYTES))) return at;
      at = b.indexOf(head, at + 1);
    }
  }
  return b.length <= DATAGRAM_BYTES_MAX ? b.length : 0;
}

/**
 * Bytes of each datagram of `b` but the last as heads alone tell, for whoever has no keys; b.length
 * when it is one, or nothing is to be seen.
 */
export function segmentBytesOf(b: Buffer): number {
  return (
    evenSegmentOf(b, BY_HEADS) || new SegmentSearch(BY_HEADS, () => 0).find(b, 0, 0) || b.length
  );
}

/** Whether the head of `b` comes again at every multiple of `segment`, with a number close by. */
function isEven(b: Buffer, segment: number): boolean {
  const number = getU48(b, SAME_HEAD_BYTES);
  for (let at = segment; at < b.length; at += segment) {
    if (at + DATAGRAM_HEADER_BYTES > b.length) return false;
    for (let i = 0; i < SAME_HEAD_BYTES; i += 1) if (b[at + i] !== b[i]) return false;
    if (!isNear(number, getU48(b, at + SAME_HEAD_BYTES))) return false;
  }
  return true;
}

/**
 * Whether two numbers can have come together. Size probes are numbered apart from data, and may lie
 * beside any.
 */
function isNear(first: number, second: number): boolean {
  if (first >= PROBE_NUMBER_MIN !== second >= PROBE_NUMBER_MIN)
    return first < PROBES_NEAR && second < PROBES_NEAR;
  const apart = second - first;
  return apart !== 0 && apart < NEAR && apart > -NEAR;
}

export class GluedReader {
  readonly #opener: Opener;
  readonly #take: (bytes: Buffer, from: HeardEndpoint) => boolean;
  readonly #search: SegmentSearch;

  /**
   * `take`: false when what it gets is no datagram as it stands, and is as it was. `now` may stand
   * still within a turn.
   */
  constructor(
    opener: Opener,
    now: () => Micros,
    take: (bytes: Buffer, from: HeardEndpoint) => boolean,
  ) {
    this.#opener = opener;
    this.#take = take;
    this.#search = new SegmentSearch(opener, now);
  }

  /** `b` is one datagram, or several. */
  read(b: Buffer, from: HeardEndpoint): void {
    const size = evenSegmentOf(b, this.#opener);
    if (size > 0 && this.#takeAll(b, size, from)) return;
    const found = this.#search.isWorthwhile(b) ? this.#search.find(b, from.segment, size) : 0;
    if (found > 0) {
      from.segment = found;
      this.#takeAll(b, found, from);
    } else if (size === 0) this.#take(b, from);
  }

  /**
   * Whether `size` is right: one that is not the last was taken, or all were. The last begins at
   * the same place by other sizes too.
   */
  #takeAll(b: Buffer, size: number, from: HeardEndpoint): boolean {
    if (size >= b.length) return this.#take(b, from);
    let right = false,
      missed = false;
    for (let at = 0; at < b.length; at += size) {
      const end = Math.min(at + size, b.length);
      if (!this.#take(b.subarray(at, end), from)) missed = true;
      else if (end < b.length || !missed) right = true;
    }
    if (right) from.segment = size;
    return right;
  }
}
