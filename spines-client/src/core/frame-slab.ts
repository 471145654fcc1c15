/**
 * Memory for outgoing frames. Small frames are cut from one slab, one behind the other, so that the
 * connection finds neighbours and writes them as one piece; a large frame gets memory of its own. A
 * slab that the operating system has taken whole is used again.
 */

const SLAB_BYTES = 65_536;

export class FrameSlab {
  #slab = new Uint8Array(0);
  #at = 0;

  /** Memory that nobody else has, until `reuse`. */
  take(bytes: number): Uint8Array {
    if (bytes > SLAB_BYTES / 4) return new Uint8Array(bytes);
    if (this.#at + bytes > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#at = 0;
    }
    const at = this.#at;
    this.#at = at + bytes;
    return new Uint8Array(this.#slab.buffer, at, bytes);
  }

  /** Nobody needs any more what was taken: it is handed out again. */
  reuse(): void {
    this.#at = 0;
  }
}
