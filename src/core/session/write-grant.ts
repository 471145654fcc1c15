/**
 * How much the owner of a stream may write: as far as the window in use reaches twice over.
 *
 * Counts bytes from the beginning of the stream; the owner is told of more by good parts only.
 */

/** What a stream takes from its owner before anything is acknowledged. */
export const WRITE_INITIAL_BYTES = 262_144;
/** Bytes that are written and not acknowledged, at most. */
export const WRITE_MAX_BYTES = 8 * 1024 * 1024;

export class WriteGrant {
  #granted = WRITE_INITIAL_BYTES;
  #written = 0;

  /** Bytes that may be written now. */
  get space(): number {
    return Math.max(0, this.#granted - this.#written);
  }

  onWritten(bytes: number): void {
    this.#written += bytes;
  }

  /**
   * Grants more when that is worth telling; returns how many bytes more. `buffered`: bytes written
   * and not acknowledged; `windowBytes`: the congestion window.
   */
  extend(buffered: number, windowBytes: number): number {
    const want = Math.min(WRITE_MAX_BYTES, Math.max(WRITE_INITIAL_BYTES, 2 * windowBytes));
    const edge = this.#written - buffered + want;
    if (edge - this.#granted < want / 8) return 0;
    const more = Math.floor(edge - this.#granted);
    this.#granted += more;
    return more;
  }
}
