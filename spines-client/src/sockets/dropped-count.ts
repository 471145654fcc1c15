/**
 * Messages that a socket did not get: counted as they are told, and told once for a turn of the
 * event loop. Owns the counts only.
 */

export interface Dropped {
  count: number;
  /** Of these, came after their deadline; absent: none. */
  late?: number;
}

export class DroppedCount {
  readonly #tell: (dropped: Dropped) => void;
  #count = 0;
  #late = 0;

  constructor(tell: (dropped: Dropped) => void) {
    this.#tell = tell;
  }

  add(count: number, late: number): void {
    if (this.#count === 0)
      process.nextTick(() => {
        const dropped: Dropped = { count: this.#count };
        if (this.#late > 0) dropped.late = this.#late;
        this.#count = 0;
        this.#late = 0;
        this.#tell(dropped);
      });
    this.#count += count;
    this.#late += late;
  }
}
