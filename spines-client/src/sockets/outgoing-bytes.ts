/**
 * The write under way of a stream socket: its bytes, and the callback that is due once the
 * connection has taken all of them. Owns these and the count of bytes; credit is the stream's
 * (core/stream-core.ts).
 */

import { ByteQueue } from '../core/byte-queue.ts';
import type { CoreStream } from '../core/stream-core.ts';

export type WriteDone = (error?: Error | null) => void;

export class OutgoingBytes {
  readonly #queue = new ByteQueue();
  #done: WriteDone | null = null;
  #underWay = 0;
  #bytesDone = 0;

  /** A write is under way. */
  get busy(): boolean {
    return this.#done !== null;
  }

  /** Bytes of the write under way that the connection has not taken. */
  get bytes(): number {
    return this.#queue.bytes;
  }

  /** Bytes of all writes that are done. */
  get bytesDone(): number {
    return this.#bytesDone;
  }

  /** A write begins; there is none under way. */
  put(parts: readonly Uint8Array[], done: WriteDone): void {
    for (const part of parts) this.#queue.push(part);
    this.#underWay = this.#queue.bytes;
    this.#done = done;
  }

  /** Hands over what the stream's credit allows; false: the connection has no room. */
  sendTo(stream: CoreStream): boolean {
    return stream.send(this.#queue);
  }

  /** All bytes were handed over: the write is done, and the next one may begin in here. */
  finish(): void {
    const done = this.#done;
    this.#done = null;
    this.#bytesDone += this.#underWay;
    this.#underWay = 0;
    done?.();
  }

  /** Forgets the bytes; the callback of their write, null without one, is the caller's to call. */
  clear(): WriteDone | null {
    const done = this.#done;
    this.#queue.clear();
    this.#done = null;
    return done;
  }

  /** A socket that connects once more counts anew. */
  renew(): void {
    this.#bytesDone = 0;
  }
}
