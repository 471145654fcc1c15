/**
 * The progress line of a long run, on stderr.
 *
 * On a terminal one line, rewritten in place; elsewhere a plain line now and then, so that a log
 * does not fill up. Owns nothing but the line; call `clear` before anything else is printed.
 */

/** Between two plain lines. */
const PLAIN_INTERVAL_MS = 5_000;

export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Progress {
  readonly #stream: ProgressStream;
  readonly #nowMs: () => number;
  #shownAtMs = -Infinity;
  #onLine = false;

  constructor(stream: ProgressStream, nowMs: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#nowMs = nowMs;
  }

  /** Shows where the run is. Called as often as convenient. */
  show(text: string): void {
    if (this.#stream.isTTY === true) {
      this.#stream.write(`\r\x1b[K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`);
      this.#onLine = true;
      return;
    }
    const now = this.#nowMs();
    if (now - this.#shownAtMs < PLAIN_INTERVAL_MS) return;
    this.#shownAtMs = now;
    this.#stream.write(`${text}\n`);
  }

  /** Prints a line that stays. */
  say(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#onLine) this.#stream.write('\r\x1b[K');
    this.#onLine = false;
  }
}
