/**
 * Finds the size of glued datagrams of several origins: genuine ones, and what somebody made up who
 * writes the sender's address.
 *
 * It looks at all sizes that there can be for heads of channels that we have, which nobody knows
 * who does not read what passes, and believes a size when something of that size opens: what is
 * forged costs itself, and a bounded amount of work. What heads cannot tell (a genuine datagram in
 * front, behind it one without a head that is shorter) takes an attempt for each size, a few times
 * a second. Nothing that is searched is changed.
 */

import { getU32, getU48 } from '../../core/base/bytes.ts';
import { TokenBucket } from '../../core/base/token-bucket.ts';
import type { Micros } from '../../core/base/time.ts';
import {
  DATAGRAM_DATA,
  DATAGRAM_INIT,
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_SEALED_DATA,
  DATAGRAM_SEALED_INIT,
  isDatagramType,
  PACKET_NUMBER_MAX,
} from '../../core/wire/datagram-header.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES } from '../../core/wire/sizes.ts';

/** Whoever can tell what is genuine. */
export interface Opener {
  /** Whether something with this number for this receiver index could be taken now. */
  knows(receiver: number, number: number): boolean;
  /**
   * Whether `bytes[start..end)` is a datagram that only the peer can have made and that has not
   * arrived before. Changes nothing.
   */
  opens(bytes: Uint8Array, start: number, end: number): boolean;
}

/** Linux glues no more (UDP_GRO_CNT_MAX). */
export const PIECES_MAX = 64;
/**
 * Sizes that are tried for how many known heads they meet, and attempts to open something, for each
 * size and in all.
 */
const SIZES_MAX = 8;
const OPENS_A_SIZE = 16;
export const OPENS_MAX = 256;
/**
 * Searches a second that try every size there can be, at some 2 ms each, since no head says where
 * the second datagram begins.
 */
export const THOROUGH_RATE = 8;
/** So many places that look like a head by their first bytes are no chance. */
const PLACES_MAX = 16;
const RECEIVER_AT = 2,
  NUMBER_AT = 6;

/** The least size that gives no more pieces than can be. */
export function smallestSegment(length: number): number {
  return Math.max(DATAGRAM_HEADER_BYTES, Math.ceil(length / PIECES_MAX));
}

export class SegmentSearch {
  readonly #opener: Opener;
  readonly #now: () => Micros;
  readonly #thorough: TokenBucket;
  /**
   * Sizes by how many heads they meet, the most promising first, and those that meet heads of
   * handshakes only.
   */
  readonly #known = new Ranking(SIZES_MAX);
  readonly #strange = new Ranking(1);
  /**
   * What all distances between known heads are a multiple of; 0 when there is none but at the
   * beginning.
   */
  #common = 0;
  #wrong = 0;
  #opens = 0;
  /**
   * A size of which only the last datagram opened, and where: any that begins it there opens it as
   * well.
   */
  #weak = 0;
  #weakAt = 0;

  constructor(opener: Opener, now: () => Micros) {
    this.#opener = opener;
    this.#now = now;
    this.#thorough = new TokenBucket(THOROUGH_RATE, THOROUGH_RATE);
  }

  /**
   * Whether what was not taken as it stands may be several. For what arrives in floods: much
   * cheaper than `find`.
   */
  isWorthwhile(b: Buffer): boolean {
    return (
      b.length >= 2 * DATAGRAM_HEADER_BYTES &&
      (b.length > DATAGRAM_BYTES_MAX || this.#isNew(b, 0) || this.#mayBeginBehind(b))
    );
  }

  /**
   * Bytes of each datagram of `b` but the last. `usual`: the size that came from there last;
   * `wrong`: one that it is not. 0: it can't be told.
   */
  find(b: Buffer, usual: number, wrong: number): number {
    const least = smallestSegment(b.length),
      most = Math.min(DATAGRAM_BYTES_MAX, b.length);
    const tries = (size: number, opens = OPENS_A_SIZE): boolean =>
      size >= least && size <= most && Number.isInteger(size) && this.#proves(b, size, opens);
    this.#wrong = wrong;
    this.#opens = 0;
    this.#weak = 0;
    this.#rank(b, least, most);
    if (tries(usual)) return usual;
    // Where nobody made up heads of ours the size divides this, and one datagram tells which it is.
    for (let part = 1; part <= PIECES_MAX && this.#common >= part * least; part += 1)
      if (tries(this.#common / part, 2)) return this.#common / part;
    for (const size of this.#known.sizes()) if (tries(size)) return size;
    // All of one size, the last too.
    for (let pieces = 2; pieces <= PIECES_MAX; pieces += 1)
      if (tries(b.length / pieces)) return b.length / pieces;
    for (let part = 1; part <= PIECES_MAX && this.#weak > 0; part += 1)
      if (tries(this.#weakAt / part)) return this.#weakAt / part;
    const size =
      this.#weak || this.#tryAll(b, least, most) || this.#known.best || this.#strange.best;
    return size === wrong ? 0 : size;
  }

  /**
   * Looks where the datagrams of each size would begin: some 20,000 places, whatever the length.
   */
  #rank(b: Buffer, least: number, most: number): void {
    this.#known.clear();
    this.#strange.clear();
    this.#common = 0;
    for (let size = least; size <= most; size += 1) {
      let known = 0,
        strange = 0,
        behind = 0,
        pieces = 0;
      for (let at = 0; at < b.length; at += size) {
        pieces += 1;
        // Nearly all that is no head ends here.
        if (b[at + 1] !== 0 || !isDatagramType(b[at]!)) continue;
        if (this.#isOurs(b, at)) {
          known += 1;
          if (at === 0) continue;
          behind += 1;
          this.#common = commonDivisor(this.#common, at);
        } else if (namesItsSender(b[at]!)) strange += 1;
      }
      // The first head is at the beginning of every size.
      if (behind > 0 || (known > 0 && pieces === 1)) this.#known.add(size, known, pieces);
      else if (strange > 1) this.#strange.add(size, strange, pieces);
    }
  }

  #isOurs(b: Buffer, at: number, number = PACKET_NUMBER_MAX): boolean {
    return (
      b[at + 1] === 0 &&
      isDatagramType(b[at]!) &&
      at + DATAGRAM_HEADER_BYTES <= b.length &&
      this.#opener.knows(getU32(b, at + RECEIVER_AT), number)
    );
  }

  #isNew(b: Buffer, at: number): boolean {
    return at + DATAGRAM_HEADER_BYTES <= b.length && this.#isOurs(b, at, getU48(b, at + NUMBER_AT));
  }

  #mayBeginBehind(b: Buffer): boolean {
    for (const head of HEADS) {
      let at = b.indexOf(head, DATAGRAM_HEADER_BYTES);
      for (let places = 1; at >= 0; places += 1) {
        if (places > PLACES_MAX || namesItsSender(b[at]!) || this.#isNew(b, at)) return true;
        at = b.indexOf(head, at + 1);
      }
    }
    return false;
  }

  /** Whether a datagram that this size gives opens, other than the last. */
  #proves(b: Buffer, size: number, opens: number): boolean {
    if (size === this.#wrong) return false;
    let left = Math.min(opens, OPENS_MAX - this.#opens);
    for (let at = 0; at < b.length && left > 0; at += size) {
      if (!this.#isOurs(b, at)) continue;
      left -= 1;
      this.#opens += 1;
      const end = Math.min(at + size, b.length);
      if (!this.#opener.opens(b, at, end)) continue;
      if (end < b.length || at === 0) return true;
      if (this.#weak > 0) continue;
      this.#weak = size;
      this.#weakAt = at;
    }
    return false;
  }

  /** A genuine one in front, and behind it nothing known. */
  #tryAll(b: Buffer, least: number, most: number): number {
    if (!this.#isNew(b, 0) || !this.#thorough.take(this.#now())) return 0;
    for (let size = most; size >= least; size -= 1) if (this.#opener.opens(b, 0, size)) return size;
    return 0;
  }
}

function commonDivisor(a: number, b: number): number {
  let [high, low] = [b, a];
  while (low > 0) [high, low] = [low, high % low];
  return high;
}

/** The receiver index of such is the sender's own: any will do. */
function namesItsSender(type: number): boolean {
  return type === DATAGRAM_INIT || type === DATAGRAM_SEALED_INIT || type === DATAGRAM_KEY_REQUEST;
}

/**
 * How datagrams begin that are sent again when nothing answers them only after a while, or never.
 */
const HEADS = [DATAGRAM_SEALED_DATA, DATAGRAM_DATA, DATAGRAM_SEALED_INIT, DATAGRAM_INIT].map(
  (type) => Buffer.from([type, 0]),
);

/**
 * The sizes of which most pieces begin with a head, at most `#most`, and the largest of those that
 * are as good as the best.
 */
class Ranking {
  readonly #most: number;
  #sizes: number[] = [];
  #shares: number[] = [];
  #largest = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get best(): number {
    return this.#sizes[0] ?? 0;
  }

  clear(): void {
    this.#sizes = [];
    this.#shares = [];
    this.#largest = 0;
  }

  /** Sizes are added in growing order. */
  add(size: number, heads: number, pieces: number): void {
    const share = heads / pieces;
    if (share >= (this.#shares[0] ?? 0)) this.#largest = size;
    let place = this.#shares.length;
    while (place > 0 && this.#shares[place - 1]! < share) place -= 1;
    if (place === this.#most) return;
    this.#sizes.splice(place, 0, size);
    this.#shares.splice(place, 0, share);
    this.#sizes.length = Math.min(this.#sizes.length, this.#most);
    this.#shares.length = this.#sizes.length;
  }

  sizes(): readonly number[] {
    return this.#sizes.includes(this.#largest) ? this.#sizes : [...this.#sizes, this.#largest];
  }
}
