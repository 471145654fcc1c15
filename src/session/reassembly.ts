/**
 * Putting fragmented datagrams together again at the destination, within bounds.
 *
 * The caller names messages by a key (source, ports, message number). Incomplete messages are bounded in
 * bytes over all sources and in number per source, and time out; at a bound the oldest gives way, of the
 * source itself or of the one that holds most, so a source that sends only first halves hurts itself.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';

/** A message of which no piece arrived for this long is given up. */
export const REASSEMBLY_TIMEOUT: Micros = 5 * SECOND;
/** A window of small messages, some of whose pieces are being sent again; bytes bound the long ones. */
const PER_SOURCE_MAX = 1_024;

interface Partial {
  readonly key: string;
  readonly source: NodeId;
  readonly bytes: Uint8Array;
  readonly have: Uint8Array;
  missing: number;
  length: number;
  deadline: Micros;
}

export class Reassembly {
  readonly limitBytes: number;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #drops: DropCounters;
  /** In the order of the last arrival of a piece. */
  readonly #partials = new Map<string, Partial>();
  readonly #perSource = new Map<NodeId, number>();
  readonly #timer = new Timer(() => this.#expire());
  #bytes = 0;

  constructor(limitBytes: number, clock: Clock, timers: Timers, drops: DropCounters) {
    this.limitBytes = limitBytes;
    this.#clock = clock;
    this.#timers = timers;
    this.#drops = drops;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get messages(): number {
    return this.#partials.size;
  }

  /**
   * Piece `index` of `count` of a message named by `key` is `b[start..end)`; all pieces but the last have `pieceBytes`
   * (checked by the caller). Returns the whole message when it was the last missing piece.
   */
  onPiece(key: string, source: NodeId, index: number, count: number, pieceBytes: number, b: Uint8Array, start: number, end: number): Uint8Array | null {
    let partial = this.#partials.get(key);
    if (partial === undefined) partial = this.#open(key, source, count, pieceBytes);
    else {
      this.#partials.delete(key);
      this.#partials.set(key, partial);
    }
    if (partial.have.length !== count) {
      this.#drops.count(DropReason.fragmentMalformed);
      return null;
    }
    if (partial.have[index] === 1) {
      this.#drops.count(DropReason.fragmentDuplicate);
      return null;
    }
    partial.bytes.set(b.subarray(start, end), index * pieceBytes);
    partial.have[index] = 1;
    partial.missing -= 1;
    partial.length += end - start;
    partial.deadline = this.#clock.now() + REASSEMBLY_TIMEOUT;
    if (partial.missing > 0) return null;
    this.#remove(partial);
    return partial.bytes.subarray(0, partial.length);
  }

  stop(): void {
    this.#timers.cancel(this.#timer);
    this.#partials.clear();
    this.#perSource.clear();
    this.#bytes = 0;
  }

  #open(key: string, source: NodeId, count: number, pieceBytes: number): Partial {
    const size = count * pieceBytes;
    if ((this.#perSource.get(source) ?? 0) >= PER_SOURCE_MAX) {
      for (const held of this.#partials.values()) {
        if (held.source !== source) continue;
        this.#giveUp(held, DropReason.fragmentTableFull);
        break;
      }
    }
    while (this.#bytes + size > this.limitBytes && this.#partials.size > 0) {
      const crowd = this.#largestSource();
      for (const held of this.#partials.values()) {
        if (held.source !== crowd) continue;
        this.#giveUp(held, DropReason.fragmentTableFull);
        break;
      }
    }
    const partial: Partial = {
      key, source, bytes: new Uint8Array(size), have: new Uint8Array(count), missing: count, length: 0,
      deadline: this.#clock.now() + REASSEMBLY_TIMEOUT,
    };
    this.#partials.set(key, partial);
    this.#perSource.set(source, (this.#perSource.get(source) ?? 0) + 1);
    this.#bytes += size;
    if (!this.#timer.armed) this.#timers.arm(this.#timer, partial.deadline);
    return partial;
  }

  /** The source with most incomplete messages: it gives way when bytes run out. */
  #largestSource(): NodeId {
    let found = 0;
    let most = 0;
    for (const [source, count] of this.#perSource) {
      if (count <= most) continue;
      most = count;
      found = source;
    }
    return found;
  }

  #giveUp(partial: Partial, reason: DropReason): void {
    this.#drops.count(reason);
    this.#remove(partial);
  }

  #remove(partial: Partial): void {
    this.#partials.delete(partial.key);
    this.#bytes -= partial.bytes.length;
    const left = this.#perSource.get(partial.source)! - 1;
    if (left === 0) this.#perSource.delete(partial.source);
    else this.#perSource.set(partial.source, left);
  }

  #expire(): void {
    const now = this.#clock.now();
    for (const partial of this.#partials.values()) {
      if (partial.deadline > now) {
        this.#timers.arm(this.#timer, partial.deadline);
        return;
      }
      this.#giveUp(partial, DropReason.fragmentTimedOut);
    }
  }
}
