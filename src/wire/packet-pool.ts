/**
 * Packets that somebody keeps (a queue, a window): bounded in number, counted, reused.
 *
 * A kept packet refers to the arrived bytes when nobody writes to them any more and copies them otherwise.
 * Who keeps, releases, exactly once; `inUse` is 0 when all queues are empty (checked at the end of every
 * simulation). `@hot`
 */

import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
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
  /** Stamp ECN when it leaves. */
  mark = false;
  /** When a queue took it. Begins as no small integer: V8 keeps it in place then, and allocates for each change otherwise. */
  queuedAt: Micros = NaN;
  /** Buffer of its own, for packets that had to be copied; kept with the slot. */
  own: Uint8Array | null = null;
  kept = false;

  get length(): number {
    return this.end - this.start;
  }
}

export class PacketPool {
  readonly limit: number;
  readonly #free: KeptPacket[] = [];
  #inUse = 0;

  /** `limit`: most packets kept at a time by one daemon. */
  constructor(limit: number) {
    this.limit = limit;
  }

  get inUse(): number {
    return this.#inUse;
  }

  /** A slot that holds `packet`, or null when the daemon keeps as many as it may. */
  keep(packet: Packet): KeptPacket | null {
    if (this.#inUse === this.limit) return null;
    this.#inUse += 1;
    const slot = this.#free.pop() ?? new KeptPacket();
    slot.kept = true;
    slot.mark = false;
    slot.source = packet.source;
    slot.via = packet.via;
    slot.service = packet.service;
    slot.priority = packet.priority;
    if (packet.keepable) {
      slot.bytes = packet.bytes;
      slot.start = packet.start;
      slot.end = packet.end;
      return slot;
    }
    slot.own ??= new Uint8Array(PACKET_BYTES_MAX);
    // What was composed here is copied with the whole of its buffer: a view of its part would cost more.
    if (packet.start === 0 && packet.bytes.length === PACKET_BYTES_MAX) slot.own.set(packet.bytes);
    else copyBytes(packet.bytes, packet.start, packet.end, slot.own, 0);
    slot.bytes = slot.own;
    slot.start = 0;
    slot.end = packet.length;
    return slot;
  }

  release(slot: KeptPacket): void {
    assert(slot.kept, 'a kept packet is released once');
    slot.kept = false;
    slot.bytes = EMPTY;
    this.#inUse -= 1;
    if (this.#free.length < 1024) this.#free.push(slot);
    else slot.own = null;
  }
}
