/** Bytes to be sent: pieces go in whole, come out in any cut. Holds the pieces, not copies. */

export class ByteQueue {
  #parts: Uint8Array[] = [];
  #head = 0;
  #offset = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** `part` must not change until it has been read. */
  push(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#bytes += part.length;
  }

  /** Moves the next `count` bytes to `out[at..]`; there must be that many. */
  read(out: Uint8Array, at: number, count: number): void {
    if (count > this.#bytes) throw new Error(`byte queue: ${count} of ${this.#bytes} bytes`);
    this.#bytes -= count;
    for (let to = at, left = count; left > 0; ) {
      const part = this.#parts[this.#head]!;
      const take = Math.min(left, part.length - this.#offset);
      out.set(take === part.length ? part : part.subarray(this.#offset, this.#offset + take), to);
      to += take;
      left -= take;
      this.#offset += take;
      if (this.#offset < part.length) break;
      this.#offset = 0;
      this.#head++;
    }
    if (this.#bytes === 0) this.clear();
  }

  clear(): void {
    this.#parts = [];
    this.#head = 0;
    this.#offset = 0;
    this.#bytes = 0;
  }
}
