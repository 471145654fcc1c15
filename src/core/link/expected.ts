/**
 * When the next packet of a link is expected, by the pauses before those that came: a packet that
 * does not come is missed then, before anything behind it shows that it is missing.
 *
 * In a burst of losses nothing comes that would show a gap, so whoever waits for that asks when the
 * burst is over, and often too late. Owns the mean of pauses and their deviation (as RFC 6298 has
 * it for round trips); who asks, and for what, is realtime-receiver.ts's. `@hot`
 */

import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';

/** Pauses before anything is expected. */
const PAUSES_LEAST = 8;
/** A longer pause is the end of a talk. */
const PAUSE_MOST: Micros = 1 * SECOND;
/** One pause counts for so many means at most: the first packets of a talk tell nothing. */
const OUTLIER = 4;
const GAIN = 1 / 8,
  DEVIATION_GAIN = 1 / 4,
  DEVIATIONS = 4;
/** What shows the tail comes first (realtime-sender.ts). */
const SLACK_LEAST: Micros = 3_500;

export class Expected {
  /** Mean pause; 0 before the first. */
  pauseUs: Micros = 0;
  #deviationUs: Micros = 0;
  #pauses = 0;
  /** When the last packet came. */
  #at: Micros = 0;

  /** Beyond the mean pause, until what has not come is missed. */
  get slackUs(): Micros {
    return Math.max(SLACK_LEAST, Math.round(DEVIATIONS * this.#deviationUs));
  }

  /** When what comes next is missed, if it has not come; Infinity while nothing is expected. */
  get missedAt(): Micros {
    return this.#pauses < PAUSES_LEAST
      ? Infinity
      : this.#at + Math.round(this.pauseUs) + this.slackUs;
  }

  /** The same of what comes after `now`, whatever was to come before. */
  missedAfter(now: Micros): Micros {
    const pauses = Math.floor((now - this.#at) / Math.max(1, this.pauseUs));
    return this.missedAt + Math.round(pauses * this.pauseUs);
  }

  /** A packet came; `next`: nothing was missing between it and the one before. */
  onPacket(now: Micros, next: boolean): void {
    const pause = now - this.#at;
    this.#at = now;
    if (!next || pause > PAUSE_MOST) return;
    this.#pauses += 1;
    if (this.#pauses === 1) {
      this.pauseUs = pause;
      this.#deviationUs = pause / 2;
      return;
    }
    const off = Math.min(pause, OUTLIER * this.pauseUs + MILLISECOND) - this.pauseUs;
    this.#deviationUs += (Math.abs(off) - this.#deviationUs) * DEVIATION_GAIN;
    this.pauseUs += off * GAIN;
  }

  /** Another channel: pauses on this one begin anew. */
  clear(): void {
    this.#pauses = 0;
    this.#at = 0;
  }
}
