/**
 * Which packets have passed here, by all of their bytes that stay the same on the way: what several
 * neighbours bring is used once, and nothing that one of them makes up takes its place.
 *
 * A packet that carries its graph comes from whoever its graph names, and its graph is what its
 * sender wrote; a neighbour may put anything under the stamp of a packet that it has seen, or that
 * is to come. So there is no window of stamps that one could move ahead (as seen.ts has where the
 * tree is agreed): a packet is known by a hash under keys that are drawn here, and each neighbour
 * takes places of its own only. The hash is NH (Black and others, UMAC, CRYPTO 1999), two of 32
 * bits: who does not know the keys meets another packet's by chance, once in 2^32. Bounded by
 * neighbour. `@hot`
 */

import { putU32 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, type Micros } from '../base/time.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../wire/sizes.ts';
import { clearChanging, type Packet } from '../wire/packet.ts';

/** Of one neighbour: what came later by others is told apart for so many packets. */
export const SEEN_OF_NEIGHBOUR_MAX = 4_096;
/**
 * What says that it is younger by so much than the one before it is used as well: one of the two
 * neighbours lies about its age, and what was first would be late further on.
 */
const YOUNGER: Micros = 5 * MILLISECOND;
/** Likewise what has so many hops more to go, of what goes everywhere. */
const FARTHER = 8;
/** Neighbours that are gone, of which what they brought is remembered: the rest is under way. */
export const GONE_MAX = 8;
/** 16 bits each, two more than a packet has words: the second hash is two further. */
const KEYS = PACKET_BYTES_MAX / 2 + 2;
const LENGTHS = 2 ** 32;

/** Places of one neighbour's packets. */
interface Places {
  readonly base: number;
  next: number;
  readonly keys: Float64Array;
  readonly seconds: Uint32Array;
  readonly ages: Float64Array;
  readonly hops: Uint8Array;
}

export class SeenContents {
  readonly #draw: () => number;
  /** Drawn when there is a packet. */
  #keys: Uint16Array | null = null;
  readonly #header = new Uint8Array(OVERLAY_HEADER_BYTES);
  /** The second hash of the packet at hand. */
  #second = 0;
  readonly #byNeighbour = new Map<NodeId, Places>();
  readonly #all: Places[] = [];
  /** Of neighbours that are gone, the longest ago first; those are used again for others. */
  readonly #gone = new Map<NodeId, Places>();
  /** By first hash and length: base and place. */
  readonly #where = new Map<number, number>();

  /** `draw`: a u32 that nobody can guess. */
  constructor(draw: () => number) {
    this.#draw = draw;
  }

  /** Packets that are remembered. */
  get size(): number {
    return this.#where.size;
  }

  /**
   * Records a packet that came from the neighbour `from`. False: it has come before. `hops`: that
   * it has left; 0 where that is of no meaning. `isEnd`: it goes no further from here, so once is
   * enough, whatever it says of itself.
   */
  take(packet: Packet, from: NodeId, hops = 0, isEnd = false): boolean {
    const key = this.#hash(packet);
    const known = this.#where.get(key);
    let ageUs = packet.ageUs;
    if (known !== undefined) {
      const before = this.#all[Math.floor(known / SEEN_OF_NEIGHBOUR_MAX)]!;
      const place = known % SEEN_OF_NEIGHBOUR_MAX;
      if (before.seconds[place] === this.#second) {
        const isBetter =
          ageUs <= before.ages[place]! - YOUNGER || hops >= before.hops[place]! + FARTHER;
        if (isEnd || !isBetter) return false;
        // The best of both, or two copies that differ could take turns.
        ageUs = Math.min(ageUs, before.ages[place]!);
        hops = Math.max(hops, before.hops[place]!);
      }
    }
    const places = this.#byNeighbour.get(from) ?? this.#placesOf(from);
    const place = places.next;
    places.next = (place + 1) % SEEN_OF_NEIGHBOUR_MAX;
    this.#forget(places, place);
    places.keys[place] = key;
    places.seconds[place] = this.#second;
    places.ages[place] = ageUs;
    places.hops[place] = hops;
    this.#where.set(key, places.base + place);
    return true;
  }

  /** The link to `neighbour` is down: what it brought may still come by others. */
  leave(neighbour: NodeId): void {
    const places = this.#byNeighbour.get(neighbour);
    if (places === undefined) return;
    this.#byNeighbour.delete(neighbour);
    this.#gone.set(neighbour, places);
  }

  #forget({ keys, base }: Places, place: number): void {
    const key = keys[place]!;
    if (key >= 0 && this.#where.get(key) === base + place) this.#where.delete(key);
  }

  #placesOf(neighbour: NodeId): Places {
    let places = this.#gone.get(neighbour);
    if (places !== undefined) this.#gone.delete(neighbour);
    else if (this.#gone.size < GONE_MAX) places = this.#makePlaces();
    else {
      const longest: NodeId = this.#gone.keys().next().value!;
      places = this.#gone.get(longest)!;
      this.#gone.delete(longest);
      for (let place = 0; place < SEEN_OF_NEIGHBOUR_MAX; place += 1) this.#forget(places, place);
      places.keys.fill(-1);
      places.next = 0;
    }
    this.#byNeighbour.set(neighbour, places);
    return places;
  }

  #makePlaces(): Places {
    const places = {
      base: this.#all.length * SEEN_OF_NEIGHBOUR_MAX,
      next: 0,
      keys: new Float64Array(SEEN_OF_NEIGHBOUR_MAX).fill(-1),
      seconds: new Uint32Array(SEEN_OF_NEIGHBOUR_MAX),
      ages: new Float64Array(SEEN_OF_NEIGHBOUR_MAX),
      hops: new Uint8Array(SEEN_OF_NEIGHBOUR_MAX),
    };
    this.#all.push(places);
    return places;
  }

  /** Of header and payload; the second hash is in `#second`. */
  #hash({ bytes: b, start, end }: Packet): number {
    const keys = (this.#keys ??= this.#drawKeys());
    const header = this.#header;
    for (let i = 0; i < OVERLAY_HEADER_BYTES; i += 1) header[i] = b[start + i]!;
    clearChanging(header, 0);
    let first = 0,
      second = 0,
      k = 0;
    for (let at = 0; at < OVERLAY_HEADER_BYTES; at += 4, k += 2) {
      const high = (header[at]! << 8) | header[at + 1]!,
        low = (header[at + 2]! << 8) | header[at + 3]!;
      first += Math.imul((high + keys[k]!) & 0xffff, (low + keys[k + 1]!) & 0xffff);
      second += Math.imul((high + keys[k + 2]!) & 0xffff, (low + keys[k + 3]!) & 0xffff);
    }
    const whole = end - ((end - start) & 3);
    for (let at = start + OVERLAY_HEADER_BYTES; at < whole; at += 4, k += 2) {
      const high = (b[at]! << 8) | b[at + 1]!,
        low = (b[at + 2]! << 8) | b[at + 3]!;
      first = (first + Math.imul((high + keys[k]!) & 0xffff, (low + keys[k + 1]!) & 0xffff)) | 0;
      second =
        (second + Math.imul((high + keys[k + 2]!) & 0xffff, (low + keys[k + 3]!) & 0xffff)) | 0;
    }
    if (whole < end) {
      const high = (b[whole]! << 8) | (whole + 1 < end ? b[whole + 1]! : 0),
        low = whole + 2 < end ? b[whole + 2]! << 8 : 0;
      first += Math.imul((high + keys[k]!) & 0xffff, (low + keys[k + 1]!) & 0xffff);
      second += Math.imul((high + keys[k + 2]!) & 0xffff, (low + keys[k + 3]!) & 0xffff);
    }
    this.#second = second >>> 0;
    return (first >>> 0) + (end - start) * LENGTHS;
  }

  #drawKeys(): Uint16Array {
    const bytes = new Uint8Array(2 * KEYS + 4);
    for (let at = 0; at < 2 * KEYS; at += 4) putU32(bytes, at, this.#draw());
    return Uint16Array.from({ length: KEYS }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  }
}
