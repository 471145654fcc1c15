/**
 * Puts split frames together again: one for each link, over all its channels.
 *
 * Bounded: so many frames of which pieces are missing, each for so long; the oldest gives way.
 * Whatever is given up is the same as a loss on the way, and is counted. The bytes of a whole frame
 * are new ones, which belong to whoever gets them.
 */

import type { Clock, Micros } from '../base/time.ts';
import { SECOND } from '../base/time.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import { decodeSplitHead, SPLIT_HEAD_BYTES, type SplitHead } from '../wire/path-size.ts';
import { FRAME_BODY_BYTES_MAX } from '../wire/sizes.ts';

/** Frames with pieces missing. With the longest frames these are 91 kB. */
export const SPLIT_ENTRIES_MAX = 64;
export const SPLIT_AGE_MAX: Micros = 1 * SECOND;

interface Entry {
  readonly at: Micros;
  readonly type: number;
  readonly count: number;
  readonly pieces: (Uint8Array | null)[];
  bytes: number;
  missing: number;
}

export class SplitAssembly {
  /** Type of the frame that `onPiece` has made whole, and its body. */
  type = 0;
  body = NOTHING;
  /** Which piece came last, and of how many. */
  index = 0;
  count = 0;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #drops: DropCounters;
  /** By id, the oldest first. */
  readonly #entries = new Map<number, Entry>();
  readonly #head: SplitHead = { id: 0, index: 0, count: 0, type: 0 };

  constructor(clock: Pick<Clock, 'now'>, drops: DropCounters) {
    this.#clock = clock;
    this.#drops = drops;
  }

  /** Frames with pieces missing. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * The body of a SPLIT frame arrived. True when its frame is whole now: see `type` and `body`.
   * What is malformed it counts.
   */
  onPiece(bytes: Uint8Array, start: number, end: number): boolean {
    const head = this.#head;
    const reason = decodeSplitHead(bytes, start, end, head);
    this.type = head.type;
    this.index = head.index;
    this.count = head.count;
    if (reason !== DropReason.none) return this.#refuse(reason);
    this.#forgetOld();
    const entry = this.#entryOf(head);
    const length = end - start - SPLIT_HEAD_BYTES;
    if (entry.pieces[head.index] !== null || entry.bytes + length > FRAME_BODY_BYTES_MAX) {
      this.#entries.delete(head.id);
      return this.#refuse(DropReason.splitMalformed);
    }
    entry.pieces[head.index] = bytes.slice(start + SPLIT_HEAD_BYTES, end);
    entry.bytes += length;
    entry.missing -= 1;
    if (entry.missing > 0) return false;
    this.#entries.delete(head.id);
    return this.#join(entry) || this.#refuse(DropReason.splitMalformed);
  }

  /** The channel is gone, and its numbering of frames. */
  clear(): void {
    this.#entries.clear();
    this.body = NOTHING;
  }

  #entryOf({ id, type, count }: SplitHead): Entry {
    const known = this.#entries.get(id);
    if (known !== undefined && known.type === type && known.count === count) return known;
    // Another frame under the same id: the one before will not be completed any more.
    if (known !== undefined) this.#giveUp(id);
    else if (this.#entries.size >= SPLIT_ENTRIES_MAX)
      this.#giveUp(this.#entries.keys().next().value!);
    const entry: Entry = {
      at: this.#clock.now(),
      type,
      count,
      pieces: new Array<null>(count).fill(null),
      bytes: 0,
      missing: count,
    };
    this.#entries.set(id, entry);
    return entry;
  }

  #forgetOld(): void {
    const until = this.#clock.now() - SPLIT_AGE_MAX;
    for (const [id, { at }] of this.#entries) {
      if (at > until) return;
      this.#giveUp(id);
    }
  }

  #giveUp(id: number): void {
    this.#entries.delete(id);
    this.#drops.count(DropReason.splitIncomplete);
  }

  #join({ pieces, bytes, count }: Entry): boolean {
    const body = new Uint8Array(bytes);
    const each = pieces[0]!.length;
    for (let i = 0; i < count; i += 1) {
      const piece = pieces[i]!;
      if (i < count - 1 ? piece.length !== each : piece.length > each) return false;
      body.set(piece, i * each);
    }
    this.body = body;
    return true;
  }

  #refuse(reason: DropReason): false {
    this.#drops.count(reason);
    return false;
  }
}

const NOTHING = new Uint8Array(0);
