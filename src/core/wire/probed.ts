/**
 * Probed packets: what the Byzantine-resilient router puts behind the overlay header, and its
 * acknowledgements.
 *
 *     DATA = head | route: one u32 for each node behind the source | sealed length u16 | sealed |
 *     tail
 *     ACK  = head | onion
 *
 * Owns the bytes and their shape; what tail and onion say is core/byzantine/onion.ts's. Whatever an
 * honest node takes, every other honest node takes as well: a shape that only some refuse would let
 * an attacker have a loss charged to links that are not his. Decoded into reused structs that point
 * into the packet; decoders never throw. `@hot`
 */

import { assert } from '../base/assert.ts';
import { getU16, getU32, getU48, putU16, putU32, putU48 } from '../base/bytes.ts';
import { isNodeId, type NodeId } from '../base/ids.ts';
import { DropReason } from './drop.ts';
import type { Packet } from './packet.ts';
import { PAYLOAD_BYTES_MAX, TAG_BYTES } from './sizes.ts';

export const PROBED_DATA = 1;
export const PROBED_ACK = 2;

const TYPE = 0,
  RESERVED = 1,
  FLAGS = 1;
const EPOCH = 2,
  PATH = 8,
  COUNTER = 16,
  PIECE = 22,
  HOPS = 23;
/** Of a DATA, in front of the route. */
export const PROBED_DATA_HEAD_BYTES = 24;
export const PROBED_DATA_LAYOUT = {
  type: [TYPE, 1],
  flags: [FLAGS, 1],
  epoch: [EPOCH, 6],
  path: [PATH, 8],
  counter: [COUNTER, 6],
  piece: [PIECE, 1],
  hops: [HOPS, 1],
} as const;
const HOP_BYTES = 4,
  SEALED_LENGTH_BYTES = 2;

const ACK_SOURCE = 2,
  ACK_DESTINATION = 6,
  ACK_EPOCH = 10,
  ACK_PATH = 16,
  ACK_COUNTER = 24,
  ACK_BITMAP = 30;
/** Of an ACK, in front of the onion. */
export const PROBED_ACK_HEAD_BYTES = 31;
export const PROBED_ACK_LAYOUT = {
  type: [TYPE, 1],
  reserved: [RESERVED, 1],
  source: [ACK_SOURCE, 4],
  destination: [ACK_DESTINATION, 4],
  epoch: [ACK_EPOCH, 6],
  path: [ACK_PATH, 8],
  counter: [ACK_COUNTER, 6],
  bitmap: [ACK_BITMAP, 1],
} as const;

/** Nodes behind the source on a route, the destination included. */
export const PROBED_HOPS_MAX = 32;
/** So that the longest inner packet goes on the longest route with all its nodes probed. */
export const PROBED_PIECES_MAX = 3;
/**
 * So that a counter, a bitmap and the type of an acknowledgement make one number below 2^53. At a
 * million a second: half a year.
 */
export const PROBED_COUNTER_MAX = 2 ** 44 - 1;
/** Packets that one onion acknowledges at most: the first, and one for each bit. */
export const PROBED_BATCH_MAX = 9;

/**
 * Flag of a DATA: the destination may let its acknowledgement wait for others'. Only with a tail of
 * one layer.
 */
export const MAY_WAIT_PROBED = 0x01;

/** A layer of the tail: id, timer, tag; what it hides lies between timer and tag. */
export const TAIL_LAYER_BYTES = 4 + 2 + TAG_BYTES;
/** The innermost of the tail, the destination's: id and tag. */
export const TAIL_LAST_BYTES = 4 + TAG_BYTES;
/**
 * A layer of an acknowledgement: id, type, hold time, tag; what it hides lies between hold time and
 * tag.
 */
export const ONION_LAYER_BYTES = 4 + 1 + 4 + TAG_BYTES;

/** Of a tail with `layers` layers, the destination's included. */
export function tailBytes(layers: number): number {
  return (layers - 1) * TAIL_LAYER_BYTES + TAIL_LAST_BYTES;
}

/** Where the sealed part begins, counted from the type. */
export function sealedOffset(hops: number): number {
  return PROBED_DATA_HEAD_BYTES + hops * HOP_BYTES + SEALED_LENGTH_BYTES;
}

/** Longest inner packet, or piece of one, on a route of `hops` with `layers` layers. */
export function probedInnerMax(hops: number, layers: number): number {
  return PAYLOAD_BYTES_MAX - sealedOffset(hops) - TAG_BYTES - tailBytes(layers);
}

/** Names the packets of one source to one destination on one path. */
export interface ProbedFlow {
  readonly source: NodeId;
  readonly destination: NodeId;
  /** Of the source, u48: other after every restart, as counters begin anew. */
  readonly epoch: number;
  /** The path id's first and last 32 bits. */
  readonly pathHigh: number;
  readonly pathLow: number;
}

/** What stands in front of the sealed part. */
export interface ProbedHead {
  readonly epoch: number;
  readonly pathHigh: number;
  readonly pathLow: number;
  /** At most PROBED_COUNTER_MAX, never twice in a flow. */
  readonly counter: number;
  readonly mayWait?: boolean;
  readonly pieceIndex: number;
  readonly pieceCount: number;
  /** Nodes behind the source, the destination last. */
  readonly route: readonly NodeId[];
  /** Of the inner bytes and their tag. */
  readonly sealedBytes: number;
}

/** A DATA in a packet: valid as long as the packet is. */
export class ProbedData implements ProbedFlow {
  bytes: Uint8Array = new Uint8Array(0);
  source: NodeId = 0;
  destination: NodeId = 0;
  epoch = 0;
  pathHigh = 0;
  pathLow = 0;
  counter = 0;
  mayWait = false;
  pieceIndex = 0;
  pieceCount = 0;
  /** Nodes on the route behind the source. */
  hops = 0;
  readonly #route = new Uint32Array(PROBED_HOPS_MAX);
  /** Of the type. */
  start = 0;
  /** The sealed part is `bytes[sealedStart..sealedEnd)`, its tag included. */
  sealedStart = 0;
  sealedEnd = 0;
  /** The tail is `bytes[sealedEnd..end)`. */
  end = 0;

  /** Id of the `index`-th node behind the source, 0..hops-1. */
  hop(index: number): NodeId {
    return this.#route[index]!;
  }

  /** Index of `node` on the route, -1 when it is not on it. */
  indexOf(node: NodeId): number {
    for (let i = 0; i < this.hops; i += 1) if (this.#route[i] === node) return i;
    return -1;
  }

  /** Who is to take off the next layer of the tail. */
  get tailHead(): NodeId {
    return getU32(this.bytes, this.sealedEnd);
  }

  /** A view. */
  get tail(): Uint8Array {
    return this.bytes.subarray(this.sealedEnd, this.end);
  }

  /** Layers of the tail, the destination's included. */
  get layers(): number {
    return (this.end - this.sealedEnd - TAIL_LAST_BYTES) / TAIL_LAYER_BYTES + 1;
  }

  /** Decodes the payload of `packet`. The struct is undefined on a non-zero result. */
  decode(packet: Packet): DropReason {
    const { bytes: b, payloadStart: start, end } = packet;
    if (end - start < PROBED_DATA_HEAD_BYTES || b[start + TYPE] !== PROBED_DATA)
      return DropReason.probedMalformed;
    const flags = b[start + FLAGS]!;
    if ((flags & ~MAY_WAIT_PROBED) !== 0) return DropReason.reservedNotZero;
    const hops = b[start + HOPS]!;
    const sealedStart = start + sealedOffset(hops);
    if (hops < 1 || hops > PROBED_HOPS_MAX || sealedStart > end) return DropReason.probedMalformed;
    const piece = b[start + PIECE]!;
    this.pieceIndex = piece >> 4;
    this.pieceCount = piece & 0x0f;
    if (
      this.pieceCount < 1 ||
      this.pieceCount > PROBED_PIECES_MAX ||
      this.pieceIndex >= this.pieceCount
    )
      return DropReason.probedMalformed;
    const sealedBytes = getU16(b, sealedStart - SEALED_LENGTH_BYTES);
    const tail = end - sealedStart - sealedBytes - TAIL_LAST_BYTES;
    if (
      sealedBytes <= TAG_BYTES ||
      tail < 0 ||
      tail % TAIL_LAYER_BYTES !== 0 ||
      tail / TAIL_LAYER_BYTES >= hops
    )
      return DropReason.probedMalformed;
    this.mayWait = flags === MAY_WAIT_PROBED;
    if (this.mayWait && tail !== 0) return DropReason.probedMalformed;
    this.bytes = b;
    this.source = packet.source;
    this.destination = packet.destination;
    this.epoch = getU48(b, start + EPOCH);
    this.pathHigh = getU32(b, start + PATH);
    this.pathLow = getU32(b, start + PATH + 4);
    this.counter = getU48(b, start + COUNTER);
    this.hops = hops;
    this.start = start;
    this.sealedStart = sealedStart;
    this.sealedEnd = sealedStart + sealedBytes;
    this.end = end;
    if (this.counter > PROBED_COUNTER_MAX) return DropReason.probedMalformed;
    return this.#readRoute() ? DropReason.none : DropReason.probedMalformed;
  }

  /** Reads the route: nodes, none twice, from the source to the destination. */
  #readRoute(): boolean {
    for (let i = 0; i < this.hops; i += 1) {
      const node = getU32(this.bytes, this.start + PROBED_DATA_HEAD_BYTES + i * HOP_BYTES);
      if (
        !isNodeId(node) ||
        node === this.source ||
        (node === this.destination) !== (i === this.hops - 1)
      )
        return false;
      for (let j = 0; j < i; j += 1) if (this.#route[j] === node) return false;
      this.#route[i] = node;
    }
    return true;
  }
}

/** Writes everything in front of the sealed part; returns where that begins. */
export function encodeProbedHead(h: ProbedHead, b: Uint8Array, at: number): number {
  assert(
    h.route.length >= 1 && h.route.length <= PROBED_HOPS_MAX,
    'a route has 1 to 32 nodes behind the source',
  );
  b[at + TYPE] = PROBED_DATA;
  b[at + FLAGS] = h.mayWait === true ? MAY_WAIT_PROBED : 0;
  putU48(b, at + EPOCH, h.epoch);
  putU32(b, at + PATH, h.pathHigh);
  putU32(b, at + PATH + 4, h.pathLow);
  putU48(b, at + COUNTER, h.counter);
  b[at + PIECE] = (h.pieceIndex << 4) | h.pieceCount;
  b[at + HOPS] = h.route.length;
  let to = at + PROBED_DATA_HEAD_BYTES;
  for (const node of h.route) {
    putU32(b, to, node);
    to += HOP_BYTES;
  }
  putU16(b, to, h.sealedBytes);
  return to + SEALED_LENGTH_BYTES;
}

/* ------------------------------------------------------------------ acknowledgements */

/**
 * What stands in front of the onion. Source and destination are those of the packets that it
 * acknowledges.
 */
export interface ProbedAckHead extends ProbedFlow {
  /** Of the first packet acknowledged. */
  readonly counter: number;
  /** Bit i: `counter + 1 + i` is acknowledged as well. */
  readonly bitmap: number;
}

export class ProbedAck implements ProbedAckHead {
  bytes: Uint8Array = new Uint8Array(0);
  source: NodeId = 0;
  destination: NodeId = 0;
  epoch = 0;
  pathHigh = 0;
  pathLow = 0;
  counter = 0;
  bitmap = 0;
  /** The onion is `bytes[onionStart..end)`. */
  onionStart = 0;
  end = 0;

  /** A view. */
  get onion(): Uint8Array {
    return this.bytes.subarray(this.onionStart, this.end);
  }

  get layers(): number {
    return (this.end - this.onionStart) / ONION_LAYER_BYTES;
  }

  /**
   * Decodes `b[start..end)`, the payload of a packet. The struct is undefined on a non-zero result.
   */
  decode(b: Uint8Array, start: number, end: number): DropReason {
    const onion = end - start - PROBED_ACK_HEAD_BYTES;
    if (
      onion < ONION_LAYER_BYTES ||
      onion > PROBED_HOPS_MAX * ONION_LAYER_BYTES ||
      onion % ONION_LAYER_BYTES !== 0
    )
      return DropReason.probedAckMalformed;
    if (b[start + TYPE] !== PROBED_ACK) return DropReason.probedAckMalformed;
    if (b[start + RESERVED] !== 0) return DropReason.reservedNotZero;
    this.bytes = b;
    this.source = getU32(b, start + ACK_SOURCE);
    this.destination = getU32(b, start + ACK_DESTINATION);
    this.epoch = getU48(b, start + ACK_EPOCH);
    this.pathHigh = getU32(b, start + ACK_PATH);
    this.pathLow = getU32(b, start + ACK_PATH + 4);
    this.counter = getU48(b, start + ACK_COUNTER);
    this.bitmap = b[start + ACK_BITMAP]!;
    this.onionStart = start + PROBED_ACK_HEAD_BYTES;
    this.end = end;
    if (!isNodeId(this.source) || !isNodeId(this.destination) || this.source === this.destination)
      return DropReason.probedAckMalformed;
    return this.counter + 32 - Math.clz32(this.bitmap) > PROBED_COUNTER_MAX
      ? DropReason.probedAckMalformed
      : DropReason.none;
  }
}

/** Writes everything in front of the onion; returns where that begins. */
export function encodeProbedAckHead(h: ProbedAckHead, b: Uint8Array, at: number): number {
  b[at + TYPE] = PROBED_ACK;
  b[at + RESERVED] = 0;
  putU32(b, at + ACK_SOURCE, h.source);
  putU32(b, at + ACK_DESTINATION, h.destination);
  putU48(b, at + ACK_EPOCH, h.epoch);
  putU32(b, at + ACK_PATH, h.pathHigh);
  putU32(b, at + ACK_PATH + 4, h.pathLow);
  putU48(b, at + ACK_COUNTER, h.counter);
  b[at + ACK_BITMAP] = h.bitmap;
  return at + PROBED_ACK_HEAD_BYTES;
}

/** The counters that a head acknowledges, ascending. */
export function ackedCounters(counter: number, bitmap: number): number[] {
  const counters = [counter];
  for (let i = 0; i < PROBED_BATCH_MAX - 1; i += 1)
    if ((bitmap & (1 << i)) !== 0) counters.push(counter + 1 + i);
  return counters;
}

/** The bitmap for ascending `counters`, at most 8 beyond the first. */
export function bitmapOf(counters: readonly number[]): number {
  const first = counters[0]!;
  let bitmap = 0;
  for (let i = 1; i < counters.length; i += 1) {
    const beyond = counters[i]! - first;
    assert(
      beyond >= 1 && beyond < PROBED_BATCH_MAX,
      'the counters of one onion lie close together',
    );
    bitmap |= 1 << (beyond - 1);
  }
  return bitmap;
}

assert(
  probedInnerMax(PROBED_HOPS_MAX, PROBED_HOPS_MAX) > 0,
  'the longest route leaves room for data',
);
assert(
  PROBED_ACK_HEAD_BYTES + PROBED_HOPS_MAX * ONION_LAYER_BYTES <= PAYLOAD_BYTES_MAX,
  'the longest acknowledgement fits a packet',
);
