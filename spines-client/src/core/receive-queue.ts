/**
 * Messages held for a socket that does not read: first in, first out, bounded in bytes.
 *
 * A message that does not fit is refused, not an older one evicted, as a kernel's UDP socket does.
 * Each message is charged `MESSAGE_COST_BYTES` on top of its payload, so that empty messages are
 * bounded too.
 */

export const MESSAGE_COST_BYTES = 64;

export interface QueuedMessage {
  readonly payload: Uint8Array;
  readonly node: number;
  readonly port: number;
  readonly proved: boolean;
  /** That it was sent to, 0: to this node. */
  readonly group: number;
}

export class ReceiveQueue {
  bytesMax: number;
  #items: (QueuedMessage | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Bytes charged now: payloads and the cost of each message. */
  get bytes(): number {
    return this.#bytes;
  }

  fits(payloadBytes: number): boolean {
    return this.#bytes + payloadBytes + MESSAGE_COST_BYTES <= this.bytesMax;
  }

  push(message: QueuedMessage): void {
    this.#bytes += message.payload.length + MESSAGE_COST_BYTES;
    this.#items.push(message);
  }

  shift(): QueuedMessage | undefined {
    const message = this.#items[this.#head];
    if (message === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    this.#bytes -= message.payload.length + MESSAGE_COST_BYTES;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
