/**
 * Acknowledgements that come in heaps: how many bytes they bring beyond the rate.
 *
 * They would stop the sender between two of them, so its window has room for a heap. Owns the bytes
 * of two spans of rounds. Plain arithmetic; called by bbr.ts.
 */

import type { Micros } from '../base/time.ts';

export class AckHeaps {
  #extra = 0;
  #extraBefore = 0;
  #rounds = 0;
  #epochAt: Micros = 0;
  #epochAcked = 0;

  /** Bytes of the largest heap of this span of rounds. */
  get now(): number {
    return this.#extra;
  }

  /** The same, of the span before as well. */
  get most(): number {
    return Math.max(this.#extra, this.#extraBefore);
  }

  /** Nothing was under way: what comes now is counted anew. */
  restart(now: Micros): void {
    this.#epochAt = now;
    this.#epochAcked = 0;
  }

  /**
   * `acked` bytes came, of a flow of `rate` bytes per microsecond and `window` bytes. `span`: a
   * round begins, and a span has so many; 0: none begins.
   */
  onAck(acked: number, rate: number, window: number, span: number, now: Micros): void {
    if (span > 0) {
      this.#rounds += 1;
      if (this.#rounds >= span) {
        this.#rounds = 0;
        this.#extraBefore = this.#extra;
        this.#extra = 0;
      }
    }
    let expected = rate * (now - this.#epochAt);
    if (this.#epochAcked <= expected) {
      this.restart(now);
      expected = 0;
    }
    this.#epochAcked += acked;
    this.#extra = Math.max(this.#extra, Math.min(this.#epochAcked - expected, window));
  }
}
