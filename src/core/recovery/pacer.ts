/**
 * Spreads what is sent over time: a token bucket filled at the controller's rate, or at a little
 * more than its window per round trip.
 *
 * RFC 9002 section 7.7. Asked before every packet; knows no timers. `@hot`
 */

import type { Micros } from '../base/time.ts';
import type { CongestionController } from './controller.ts';

const GAIN = 1.25;
const GAIN_SLOW_START = 2;
/** A timer may be this late without costing throughput: the bucket holds as much. */
const TIMER_GRAIN: Micros = 2_000;

/** What a window is spread over; see RttEstimator. */
export interface RoundTrip {
  readonly smoothedUs: Micros;
  readonly minUs: Micros;
}

export class Pacer {
  readonly #burstBytes: number;
  readonly #rttFactorMax: number;
  /** Begins as a number: V8 keeps it in place then, and allocates for each change otherwise. */
  #tokens = 0;
  #filledAt: Micros = 0;

  /** `rttFactorMax`: a smoothed round trip counts as at most so many times the least. */
  constructor(burstBytes: number, rttFactorMax = Infinity) {
    this.#burstBytes = burstBytes;
    this.#rttFactorMax = rttFactorMax;
    this.#tokens = burstBytes;
  }

  /**
   * Microseconds until `bytes` may leave, 0 = now. Does not take them. Takes objects: numbers that
   * are no small integers V8 would allocate for each call.
   */
  wait(
    bytes: number,
    now: Micros,
    controller: Pick<CongestionController, 'window' | 'inSlowStart' | 'pacingRate'>,
    rtt: RoundTrip,
  ): Micros {
    // Infinity times 0 is not less than anything.
    const most = this.#rttFactorMax * rtt.minUs;
    const rttUs = most < rtt.smoothedUs ? most : rtt.smoothedUs;
    if (rttUs <= 0) return 0;
    const rate =
      controller.pacingRate > 0
        ? controller.pacingRate
        : ((controller.inSlowStart ? GAIN_SLOW_START : GAIN) * controller.window) / rttUs;
    const capacity = Math.max(this.#burstBytes, rate * TIMER_GRAIN);
    this.#tokens = Math.min(capacity, this.#tokens + (now - this.#filledAt) * rate);
    this.#filledAt = now;
    return this.#tokens >= bytes || this.#tokens >= capacity
      ? 0
      : Math.ceil((bytes - this.#tokens) / rate);
  }

  take(bytes: number): void {
    this.#tokens -= bytes;
  }
}
