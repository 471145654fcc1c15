/**
 * The receiving half of a stream: puts segments in order, keeps what the owner has not taken, and
 * knows what to acknowledge.
 *
 * Bounded by the window it advertises, whose right edge never moves back. Knows no timers and sends
 * nothing: Stream asks it when to acknowledge and what.
 */

import { ByteQueue } from '../base/byte-queue.ts';
import { copyOf } from '../base/bytes.ts';
import { SACKS_MAX, WINDOW_UNIT, type Segment } from '../wire/segment.ts';
import { ArrivedRanges } from './arrived-ranges.ts';

/**
 * Pieces beyond a gap: a window of full segments is fewer, and one-byte segments must not cost more
 * memory than that.
 */
const PIECES_MAX = 8_192;

interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

export type Accepted = 'new' | 'gap' | 'duplicate' | 'out of window';

export class StreamReceiver {
  /** Next position wanted. */
  next = 0;
  /** Position of the FIN, -1 until known. */
  finAt = -1;
  /** Bytes handed to the owner. */
  received = 0;
  readonly #ready: ByteQueue;
  readonly #limit: number;
  #pieces: Piece[] = [];
  readonly #beyond = new ArrivedRanges(SACKS_MAX);
  #edge: number;

  /**
   * `limit`: most bytes held in order and out of order together; `granted`: how much of it the far
   * end may count on before it is told.
   */
  constructor(limit: number, granted = limit) {
    this.#limit = limit;
    this.#ready = new ByteQueue(limit);
    this.#edge = granted;
  }

  /** In-order bytes that the owner has not taken. */
  get readyBytes(): number {
    return this.#ready.length;
  }

  /** Bytes that are held, or that the far end may send: granted, and not taken by the owner. */
  get grantedBytes(): number {
    return this.finished ? this.#ready.length : this.#edge - this.next + this.#ready.length;
  }

  /** Bytes held, in order and beyond gaps. */
  get heldBytes(): number {
    return this.#pieces.reduce((sum, { bytes }) => sum + bytes.length, this.#ready.length);
  }

  /** True once everything up to the FIN has arrived. */
  get finished(): boolean {
    return this.finAt >= 0 && this.next > this.finAt;
  }

  /** True while something arrived beyond a gap. */
  get hasGap(): boolean {
    return this.#pieces.length > 0;
  }

  /**
   * The window to advertise now, bytes beyond `next`, a multiple of WINDOW_UNIT; moves the edge.
   * `share`: most it may be.
   */
  window(share: number): number {
    const edge = this.next + Math.max(0, Math.min(this.#limit, share) - this.#ready.length);
    const usable = Math.max(this.#edge, edge) - this.next;
    const rounded = Math.floor(usable / WINDOW_UNIT) * WINDOW_UNIT;
    this.#edge = Math.max(this.#edge, this.next + rounded);
    return rounded;
  }

  /** Whether the far end can be at `position` now, its FIN included. */
  mayEndAt(position: number): boolean {
    return position >= this.next && position <= this.#edge + 1;
  }

  /** Data at `start`; `fin`: the stream ends behind it. Bytes are copied. */
  accept(start: number, bytes: Uint8Array, from: number, to: number, fin: boolean): Accepted {
    const end = start + to - from;
    if (end > this.#edge) return 'out of window';
    if (fin) {
      if (this.finAt >= 0 && this.finAt !== end) return 'out of window';
      if (
        this.finAt < 0 &&
        (end < this.next || this.#pieces.some((piece) => piece.start + piece.bytes.length > end))
      )
        return 'out of window';
      this.finAt = end;
    } else if (this.finAt >= 0 && end > this.finAt) return 'out of window';
    const before = this.next;
    if (start > this.next) {
      if (this.#pieces.length >= PIECES_MAX) return 'out of window';
      return to > from && !this.#hold(start, bytes, from, to) ? 'duplicate' : 'gap';
    }
    if (end > this.next) {
      const skip = this.next - start;
      this.#ready.push(bytes, from + skip, to);
      this.next = end;
      this.#joinPieces();
    }
    if (this.finAt >= 0 && this.next === this.finAt) this.next = this.finAt + 1;
    return this.next > before ? 'new' : 'duplicate';
  }

  /** The longest run of bytes to take, valid until the next call. */
  front(): Uint8Array {
    return this.#ready.front();
  }

  /** The owner took `count` bytes of what `front` gave. */
  take(count: number): void {
    this.#ready.drop(count);
    this.received += count;
  }

  /** Fills in acknowledgement and what arrived beyond the gap. */
  describe(segment: Segment): void {
    segment.ack = this.next;
    segment.sackCount = this.#beyond.name(segment.sackStart, segment.sackEnd);
  }

  clear(): void {
    this.#ready.clear();
    this.#pieces = [];
    this.#beyond.clear();
  }

  /**
   * Keeps the parts of a piece that are not held yet, in order of position. False when all of it is
   * held.
   */
  #hold(start: number, bytes: Uint8Array, from: number, to: number): boolean {
    let at = start,
      kept = false;
    const end = start + to - from;
    let index = this.#firstBeyond(start);
    while (at < end) {
      const follower = this.#pieces[index];
      const stop = follower === undefined ? end : Math.min(end, follower.start);
      if (stop > at) {
        this.#pieces.splice(index, 0, {
          start: at,
          bytes: copyOf(bytes, from + at - start, from + stop - start),
        });
        index += 1;
        kept = true;
      }
      if (follower === undefined) break;
      at = Math.max(stop, follower.start + follower.bytes.length);
      index += 1;
    }
    this.#beyond.add(start, end);
    return kept;
  }

  /** Index of the first piece that ends beyond `position`. */
  #firstBeyond(position: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const piece = this.#pieces[middle]!;
      if (piece.start + piece.bytes.length > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #joinPieces(): void {
    let used = 0;
    for (const piece of this.#pieces) {
      if (piece.start > this.next) break;
      used += 1;
      const end = piece.start + piece.bytes.length;
      if (end <= this.next) continue;
      this.#ready.push(piece.bytes, this.next - piece.start, piece.bytes.length);
      this.next = end;
    }
    if (used === 0) return;
    this.#pieces.splice(0, used);
    this.#beyond.dropBelow(this.next);
  }
}
