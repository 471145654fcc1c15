/**
 * The handshake of a stream in time: when its part is said again, when it has failed, and what it
 * tells of the round trip.
 *
 * Knows no timers and no packets; called by stream.ts.
 */

import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';
import type { StreamTiming } from './stream-settings.ts';

/** Pause before the first repetition, twice as long each time up to the longest. */
const RETRY: Micros = 250 * MILLISECOND;
const RETRY_MAX: Micros = 2 * SECOND;

export class StreamOpening {
  readonly #startedAt: Micros;
  readonly #connectUs: Micros;
  #tries = 0;

  /** `connectUs`: an answer is waited for so long. */
  constructor(now: Micros, connectUs: Micros) {
    this.#startedAt = now;
    this.#connectUs = connectUs;
  }

  /** Our part of it was sent, perhaps again. */
  onSent(): void {
    this.#tries += 1;
  }

  /** From what was sent last to its repetition. */
  get pauseUs(): Micros {
    return Math.min(RETRY_MAX, RETRY * (1 << Math.min(this.#tries - 1, 8)));
  }

  /** A round trip, when the answer came to the first try: else it is not known to which. */
  roundTrip(now: Micros): Micros | null {
    return this.#tries === 1 ? now - this.#startedAt : null;
  }

  /** It has failed; sooner where there is no route. */
  isOver(now: Micros, unreachable: boolean, { unreachableUs }: StreamTiming): boolean {
    return (
      now - this.#startedAt >=
      (unreachable ? Math.min(unreachableUs, this.#connectUs) : this.#connectUs)
    );
  }
}
