/**
 * How much later than others a segment may arrive before it counts as lost: the reordering window
 * of RACK (RFC 8985).
 *
 * Until a path has shown that it reorders, three later arrivals are enough (RFC 5681). From then on
 * only time counts: a quarter of the least round trip, a step more for each round trip in which
 * something was sent again in vain, at most a whole smoothed round trip (section 6.2). Steps are
 * taken back when so many recoveries went by without another. Plain arithmetic; StreamSender says
 * what happened.
 */

import { NEVER, type Micros } from '../base/time.ts';
import type { RttEstimator } from '../recovery/rtt.ts';

/** RFC 8985 section 6.2, RACK.reo_wnd_persist. */
const RECOVERIES_KEPT = 16;

export class Reordering {
  /** True once something arrived behind what was sent after it. */
  seen = false;
  #steps = 1;
  #steppedAt: Micros = -1;
  #recoveries = 0;

  /** Beyond a round trip, microseconds; 0 while nothing was ever reordered. */
  windowUs(rtt: RttEstimator): Micros {
    if (!this.seen || rtt.minUs === NEVER) return 0;
    return Math.min(rtt.smoothedUs, Math.round((this.#steps * rtt.minUs) / 4));
  }

  /** What had been sent once was acknowledged after something that was sent later. */
  onLate(): void {
    this.seen = true;
  }

  /** What was sent again had arrived, or was about to. */
  onSpurious(now: Micros, rtt: RttEstimator): void {
    this.#recoveries = 0;
    const first = !this.seen;
    this.seen = true;
    if (this.#steppedAt >= 0 && now - this.#steppedAt < rtt.smoothedUs) return;
    this.#steppedAt = now;
    // The first time it was the threshold by number that was wrong.
    if (!first && this.windowUs(rtt) < rtt.smoothedUs) this.#steps += 1;
  }

  /** A window was narrowed for a loss. */
  onRecovery(): void {
    this.#recoveries += 1;
    if (this.#recoveries > RECOVERIES_KEPT) this.#steps = 1;
  }
}
