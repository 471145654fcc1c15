/**
 * A bounded first-in first-out queue of bytes on a circular buffer that grows as needed and is
 * given back when empty.
 *
 * Streams keep unsent and unread data in it; most are empty most of the time, so an empty queue
 * holds no memory. A stream whose owner reads at once fills and empties its queue with every
 * segment: buffers that were given back are used again. `@hot`
 */

import { assert } from './assert.ts';

const SMALLEST = 4_096;
const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * Of each size, a power of two, kept for whoever grows next; larger ones are not. A few large ones
 * can't take the place of the small: 4 MB in all.
 */
const SPARE_BYTES_MAX = 512 * 1024;
const spares = new Map<number, Uint8Array[]>();
for (let size = SMALLEST; size <= SPARE_BYTES_MAX; size *= 2) spares.set(size, []);

/** With what was left in it: a queue gives out only what was pushed. */
function takeBuffer(size: number): Uint8Array {
  return spares.get(size)?.pop() ?? new Uint8Array(size);
}

function giveBack(buffer: Uint8Array): void {
  const same = spares.get(buffer.length);
  if (same !== undefined && same.length * buffer.length < SPARE_BYTES_MAX) same.push(buffer);
}

export class ByteQueue {
  readonly limit: number;
  #buffer = EMPTY;
  #head = 0;
  #length = 0;

  /** `limit`: most bytes ever held. */
  constructor(limit: number) {
    this.limit = limit;
  }

  get length(): number {
    return this.#length;
  }

  /** Appends as much of `bytes[start..end)` as fits; returns how much. */
  push(bytes: Uint8Array, start: number, end: number): number {
    const count = Math.min(end - start, this.limit - this.#length);
    if (count <= 0) return 0;
    if (this.#length + count > this.#buffer.length) this.#grow(this.#length + count);
    const at = (this.#head + this.#length) % this.#buffer.length;
    const first = Math.min(count, this.#buffer.length - at);
    this.#buffer.set(bytes.subarray(start, start + first), at);
    if (first < count) this.#buffer.set(bytes.subarray(start + first, start + count), 0);
    this.#length += count;
    return count;
  }

  /** Copies `count` bytes, `offset` behind the oldest, to `out[at..)`. They must be there. */
  copy(offset: number, count: number, out: Uint8Array, at: number): void {
    assert(offset + count <= this.#length, 'a byte queue copies what it holds');
    if (count === 0) return;
    const from = (this.#head + offset) % this.#buffer.length;
    const first = Math.min(count, this.#buffer.length - from);
    out.set(this.#buffer.subarray(from, from + first), at);
    if (first < count) out.set(this.#buffer.subarray(0, count - first), at + first);
  }

  /** The longest run of the oldest bytes that lies in one piece; valid until the next call. */
  front(): Uint8Array {
    return this.#buffer.subarray(
      this.#head,
      Math.min(this.#head + this.#length, this.#buffer.length),
    );
  }

  /** Drops the `count` oldest bytes. */
  drop(count: number): void {
    assert(count <= this.#length, 'a byte queue drops what it holds');
    this.#length -= count;
    if (this.#length === 0) {
      giveBack(this.#buffer);
      this.#buffer = EMPTY;
      this.#head = 0;
    } else this.#head = (this.#head + count) % this.#buffer.length;
  }

  clear(): void {
    this.drop(this.#length);
  }

  #grow(needed: number): void {
    let size = Math.max(SMALLEST, this.#buffer.length);
    while (size < needed) size *= 2;
    const grown = takeBuffer(size);
    this.copy(0, this.#length, grown, 0);
    giveBack(this.#buffer);
    this.#buffer = grown;
    this.#head = 0;
  }
}
