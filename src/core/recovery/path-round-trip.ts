/**
 * The round trip of a path without queues, and whether the latest ones met a queue.
 *
 * Owns the least of the last seconds, and the least mean: a mean and not the least tells of queues,
 * so that jitter is none, and one of two packets is one. Plain arithmetic; called by bbr.ts.
 */

import { NEVER, SECOND, type Micros } from '../base/time.ts';

/**
 * The least of one to two of these is the path's own; after one in which none was as short it is
 * looked at.
 */
export const ROUND_TRIP_SPAN: Micros = 5 * SECOND;
/** A sample this close to the least is as good as the least. */
const SLACK = 1.02;
const SLACK_US: Micros = 100;
/**
 * Round trips met a queue when they are longer, smoothed over so many, than such a mean was of
 * late: by this share of the least, and so much.
 */
const QUEUED = 0.05;
const QUEUED_LEAST: Micros = 500;
const SAMPLES = 8;

export class PathRoundTrip {
  /** Microseconds; NEVER = not known. */
  leastUs: Micros = NEVER;
  /** When a round trip was last as short as the least. */
  shortAt: Micros = 0;
  /** Least of this span and of the one before. */
  #spanUs: Micros = NEVER;
  #lastSpanUs: Micros = NEVER;
  #spanBegan: Micros = 0;
  /** Smoothed over the last few, and the least of that, of this span and of the one before. */
  #smoothedUs: Micros = 0;
  #calmUs: Micros = NEVER;
  #lastCalmUs: Micros = NEVER;

  onSample(rttUs: Micros, now: Micros): void {
    this.#smoothedUs += this.#smoothedUs === 0 ? rttUs : (rttUs - this.#smoothedUs) / SAMPLES;
    if (now - this.#spanBegan >= ROUND_TRIP_SPAN) this.beginSpan(now);
    if (rttUs < this.#spanUs) this.#spanUs = rttUs;
    if (this.#smoothedUs < this.#calmUs) this.#calmUs = this.#smoothedUs;
    this.leastUs = Math.min(this.#spanUs, this.#lastSpanUs);
    if (rttUs <= this.leastUs * SLACK + SLACK_US) this.shortAt = now;
  }

  /** What was found before counts for one span more. */
  beginSpan(now: Micros): void {
    this.#lastSpanUs = this.#spanUs;
    this.#spanUs = NEVER;
    this.#lastCalmUs = this.#calmUs;
    this.#calmUs = NEVER;
    this.#spanBegan = now;
  }

  /** The latest round trips are longer than the path's own. */
  get queued(): boolean {
    return (
      this.#smoothedUs >
      Math.min(this.#calmUs, this.#lastCalmUs) + Math.max(QUEUED_LEAST, QUEUED * this.leastUs)
    );
  }
}
