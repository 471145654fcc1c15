/**
 * Round-trip time of a link: smoothed, variation, minimum and latest (RFC 9002 section 5), and the
 * least of late.
 *
 * Fed by whoever measures (hello echoes; acknowledgements of packets); read by liveness, routing
 * and loss recovery. Plain arithmetic in microseconds.
 */

import { NEVER, SECOND, type Micros } from '../base/time.ts';

/**
 * The least of one to two of these is what was measured of late; a span has at least so many
 * samples.
 */
const SPAN: Micros = 1 * SECOND;
const SPAN_SAMPLES = 4;

export class RttEstimator {
  /** 0 until the first sample. */
  smoothedUs: Micros = 0;
  variationUs: Micros = 0;
  minUs: Micros = NEVER;
  latestUs: Micros = 0;
  samples = 0;
  /** Least of the span before this one, and of this one. */
  #lastSpanUs: Micros = NEVER;
  #spanUs: Micros = NEVER;
  #spanBegan: Micros = 0;
  #spanSamples = 0;

  /**
   * The least of the last one to two seconds, 0 before the first sample: what the way takes,
   * without queues that come and go and without the moments for which a busy machine lets a daemon
   * wait.
   */
  get recentUs(): Micros {
    return this.samples === 0 ? 0 : Math.min(this.#spanUs, this.#lastSpanUs);
  }

  onSample(rttUs: Micros, now: Micros): void {
    this.latestUs = rttUs;
    this.samples += 1;
    if (now - this.#spanBegan >= SPAN && this.#spanSamples >= SPAN_SAMPLES) {
      this.#lastSpanUs = this.#spanUs;
      this.#spanUs = rttUs;
      this.#spanBegan = now;
      this.#spanSamples = 0;
    } else if (rttUs < this.#spanUs) this.#spanUs = rttUs;
    this.#spanSamples += 1;
    if (rttUs < this.minUs) this.minUs = rttUs;
    if (this.samples === 1) {
      this.smoothedUs = rttUs;
      this.variationUs = rttUs / 2;
      return;
    }
    const difference = rttUs > this.smoothedUs ? rttUs - this.smoothedUs : this.smoothedUs - rttUs;
    this.variationUs += (difference - this.variationUs) / 4;
    this.smoothedUs += (rttUs - this.smoothedUs) / 8;
  }
}
