/**
 * The idle time of a stream socket: a timer that any traffic starts over, and that keeps no process
 * running. Owns the timer only.
 */

export class IdleTimer {
  readonly #idle: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(idle: () => void) {
    this.#idle = idle;
  }

  /** `limitMs`: 0 for never. */
  set(limitMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (limitMs === 0) return;
    this.#timer = setTimeout(this.#idle, limitMs);
    this.#timer.unref();
  }

  /** There was traffic. */
  refresh(): void {
    this.#timer?.refresh();
  }
}
