/**
 * Round-trip time of a link: smoothed, variation, minimum and latest (RFC 9002 section 5).
 *
 * Fed by whoever measures (hello echoes; acknowledgements of packets); read by liveness, routing and
 * loss recovery. Plain arithmetic in microseconds.
 */

import { NEVER, type Micros } from '../base/time.ts';

export class RttEstimator {
  /** 0 until the first sample. */
  smoothedUs: Micros = 0;
  variationUs: Micros = 0;
  minUs: Micros = NEVER;
  latestUs: Micros = 0;
  samples = 0;

  onSample(rttUs: Micros): void {
    this.latestUs = rttUs;
    this.samples += 1;
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
