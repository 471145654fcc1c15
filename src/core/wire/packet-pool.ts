/**
 * Packets that somebody keeps (a queue, a window): bounded in number, counted, reused; and no
 * neighbour or program has them all.
 *
 * A kept packet refers to the arrived bytes when nobody writes to them any more and copies them
 * otherwise. Who keeps, releases, exactly once; `inUse` is 0 when all queues are empty (checked at
 * the end of every simulation). `@hot`
 */

import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/bytes.ts';
import { FACTOR } from '../base/fair-places.ts';
import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { GraphName } from './modes.ts';
import type { Packet } from './packet.ts';
import { PACKET_BYTES_MAX } from './sizes.ts';

const EMPTY = new Uint8Array(0);

export class KeptPacket {
  bytes: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  source: NodeId = 0;
  via: NodeId = 0;
  service = 0;
  priority = 0;
  /** When it was kept; see Packet. */
  ageUs = 0;
  paths = 0;
  graph: GraphName = 'auto';
  withinUs: Micros = 0;
  /** Stamp ECN when it leaves. */
  mark = false;
  /**
   * When a queue took it. Begins as no small integer: V8 keeps it in place then, and allocates for
   * each change otherwise.
   */
  queuedAt: Micros = NaN;
  /** For whom it was sent, if it begins here. */
  user: object | null = null;
  holder: PoolHolder | null = null;
  /** Buffer of its own, for packets that had to be copied; kept with the slot. */
  own: Uint8Array | null = null;
  kept = false;

  get length(): number {
    return this.end - this.start;
  }
}

/** How many slots are of one neighbour's packets, or of one program's. */
interface PoolHolder {
  readonly whose: NodeId | object;
  kept: number;
}

export class PacketPool {
  readonly limit: number;
  /** As many as there have been neighbours. */
  readonly #byNeighbour = new Map<NodeId, PoolHolder>();
  readonly #byUser = new WeakMap<object, PoolHolder>();
  /** Packets come in trains. */
  #recent: PoolHolder = { whose: -1, kept: 0 };
  readonly #free: KeptPacket[] = [];
  #inUse = 0;

  /** `limit`: most packets kept at a time by one daemon. */
  constructor(limit: number) {
    this.limit = limit;
  }

  get inUse(): number {
    return this.#inUse;
  }

  /** Whether `count` packets like this one would find slots, one after the other. */
  mayKeep(packet: Packet, count: number): boolean {
    const left = this.limit - this.#inUse - (count - 1);
    return this.#holderOf(packet).kept + count - 1 < FACTOR * left;
  }

  /**
   * A slot that holds `packet`, or null when the daemon keeps as many as it may, or FACTOR times as
   * many as are left for whoever it came from: the neighbour, or the program here.
   */
  keep(packet: Packet): KeptPacket | null {
    const holder = this.#holderOf(packet);
    if (holder.kept >= FACTOR * (this.limit - this.#inUse)) return null;
    holder.kept += 1;
    this.#inUse += 1;
    const slot = this.#free.pop() ?? new KeptPacket();
    slot.kept = true;
    slot.mark = false;
    slot.source = packet.source;
    slot.via = packet.via;
    slot.user = packet.via === 0 ? packet.user : null;
    slot.holder = holder;
    slot.service = packet.service;
    slot.priority = packet.priority;
    slot.ageUs = packet.ageUs;
    slot.paths = packet.paths;
    slot.graph = packet.graph;
    slot.withinUs = packet.withinUs;
    if (packet.keepable) {
      slot.bytes = packet.bytes;
      slot.start = packet.start;
      slot.end = packet.end;
      return slot;
    }
    slot.own ??= new Uint8Array(PACKET_BYTES_MAX);
    // What was composed here is copied with the whole of its buffer: a view of its part would cost
    // more.
    if (packet.start === 0 && packet.bytes.length === PACKET_BYTES_MAX) slot.own.set(packet.bytes);
    else copyBytes(packet.bytes, packet.start, packet.end, slot.own, 0);
    slot.bytes = slot.own;
    slot.start = 0;
    slot.end = packet.length;
    return slot;
  }

  /** Gives `packet`, which is the one that was kept, what its source asked for and bytes lack. */
  restoreWays(slot: KeptPacket, packet: Packet): void {
    packet.paths = slot.paths;
    packet.graph = slot.graph;
    packet.withinUs = slot.withinUs;
  }

  release(slot: KeptPacket): void {
    assert(slot.kept, 'a kept packet is released once');
    slot.kept = false;
    slot.bytes = EMPTY;
    slot.user = null;
    slot.holder!.kept -= 1;
    slot.holder = null;
    this.#inUse -= 1;
    if (this.#free.length < 1024) this.#free.push(slot);
    else slot.own = null;
  }

  #holderOf({ via, user }: Packet): PoolHolder {
    const whose = via === 0 && user !== null ? user : via;
    if (this.#recent.whose === whose) return this.#recent;
    let holder = typeof whose === 'number' ? this.#byNeighbour.get(whose) : this.#byUser.get(whose);
    if (holder === undefined) {
      holder = { whose, kept: 0 };
      if (typeof whose === 'number') this.#byNeighbour.set(whose, holder);
      else this.#byUser.set(whose, holder);
    }
    return (this.#recent = holder);
  }
}
