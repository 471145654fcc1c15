/**
 * What of a datagram socket is on its way out: messages held until a port or a name is known
 * (bounded), and datagrams handed to the connection that the operating system has not taken yet.
 */

import { guarded } from '../guarded.ts';
import type { WriteBatch } from '../core/connection.ts';
import type { SendCallback } from './send-arguments.ts';

/**
 * Bytes held per socket until its port or a name is known; further messages are refused with
 * ENOBUFS.
 */
export const HELD_BYTES_MAX = 1_048_576;
/** What each held message costs on top of its payload. */
const HELD_COST_BYTES = 64;

export interface Held {
  payload: Uint8Array;
  port: number;
  address: string | undefined;
  /** See deadline-options.ts. */
  marks: number;
  callback: SendCallback | undefined;
}

export class HeldMessages {
  #waiting: Held[] = [];
  #bytes = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get payloadBytes(): number {
    return this.#bytes - this.#count * HELD_COST_BYTES;
  }

  get isHalfFull(): boolean {
    return this.#bytes * 2 > HELD_BYTES_MAX;
  }

  fits(payloadBytes: number): boolean {
    return this.#bytes + payloadBytes + HELD_COST_BYTES <= HELD_BYTES_MAX;
  }

  /** `waits`: for the port, until `takeWaiting`; otherwise for a name, until `release`. */
  hold(message: Held, waits: boolean): void {
    this.#bytes += message.payload.length + HELD_COST_BYTES;
    this.#count++;
    if (waits) this.#waiting.push(message);
  }

  release(message: Held): void {
    this.#bytes -= message.payload.length + HELD_COST_BYTES;
    this.#count--;
  }

  /** Those that wait for the port; each is released as the caller gets to it. */
  *takeWaiting(): Generator<Held> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const message of waiting) {
      this.release(message);
      yield message;
    }
  }
}

/** This socket's share of one write batch. */
interface Share {
  bytes: number;
  count: number;
  callbacks: { callback: SendCallback; bytes: number }[];
}

export class SendAccounting {
  #share: Share | null = null;
  #batch: WriteBatch | null = null;
  #bytes = 0;
  #count = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * A datagram that went into `batch`; `callback` runs when the operating system has taken it, or
   * never will.
   */
  add(batch: WriteBatch | null, bytes: number, callback: SendCallback | undefined): void {
    if (batch === null) return;
    let share = this.#share;
    if (share === null || this.#batch !== batch) {
      const mine: Share = (share = { bytes: 0, count: 0, callbacks: [] });
      this.#share = share;
      this.#batch = batch;
      batch.done.push((error) => {
        this.#bytes -= mine.bytes;
        this.#count -= mine.count;
        for (const sent of mine.callbacks)
          guarded(() => (error === null ? sent.callback(null, sent.bytes) : sent.callback(error)));
      });
    }
    share.bytes += bytes;
    share.count++;
    this.#bytes += bytes;
    this.#count++;
    if (callback !== undefined) share.callbacks.push({ callback, bytes });
  }
}
