/**
 * Log lines of one kind that somebody else can cause at will, such as refusals: the first at once,
 * the others counted.
 *
 * Whoever is refused decides how often; the log must neither fill with it nor be silent. What was
 * left out is told with the next line, or when the pause is over. Called by the doors for clients
 * and by tunnels.
 */

/** As much of a logger as this needs. */
export interface LineLog {
  warn(fields: object, message: string): void;
}

const PAUSE_MS = 10_000;

export class DampedLog {
  readonly #log: LineLog;
  readonly #pauseMs: number;
  #timer: NodeJS.Timeout | null = null;
  #unlogged = 0;
  #last: { readonly fields: object; readonly message: string } | null = null;

  /** After a line, `pauseMs` without one. */
  constructor(log: LineLog, pauseMs = PAUSE_MS) {
    this.#log = log;
    this.#pauseMs = pauseMs;
  }

  warn(fields: object, message: string): void {
    if (this.#timer !== null) {
      this.#unlogged += 1;
      this.#last = { fields, message };
      return;
    }
    this.#log.warn(fields, message);
    this.#pause();
  }

  #pause(): void {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const { fields, message } = this.#last ?? {};
      if (fields === undefined || message === undefined) return;
      // The last of them stands for all.
      this.#log.warn({ ...fields, times: this.#unlogged }, message);
      this.#unlogged = 0;
      this.#last = null;
      this.#pause();
    }, this.#pauseMs);
    this.#timer.unref();
  }
}
