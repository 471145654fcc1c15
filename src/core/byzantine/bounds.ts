/**
 * How long a packet and its acknowledgement may take over a link, an interval or a path of
 * another's network.
 *
 * Owns the rule and the measurements of one interval; no timers. Every bound lies between what the
 * link state says of the links and a cap that follows from it, whatever was measured: who delays,
 * or lies about how long it held a packet, moves the bound of intervals that it lies in or at the
 * end of, and moves it up to the cap at most.
 *
 * Called by path-flow.ts. A search waits for the cap, so that congestion that comes suddenly
 * convicts nobody; what a search can not judge, the loss on the whole of a quiet path, is known
 * after what was measured there, and costs a search when wrong.
 */

import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';

/**
 * Of a link, or of several together: the round trip that the link state knows, and the longest that
 * is honest.
 */
export interface RoundTripRange {
  readonly leastUs: Micros;
  readonly mostUs: Micros;
}

/**
 * The ends of a link may claim any latency; more than this, one way, is not believed. A
 * geostationary satellite's still fits.
 */
export const LATENCY_BELIEVED_US: Micros = 200 * MILLISECOND;
/**
 * Two full queues of a tenth of a second each, one in either direction; where losses are recovered
 * packets wait behind them as well.
 */
const QUEUES_US: Micros = 200 * MILLISECOND,
  QUEUES_RECOVERING_US: Micros = 400 * MILLISECOND;
/**
 * A link that recovers losses delivers after an outage what it was given during it. It may be out
 * for more than a second, by a burst of losses or by a queue that a new stream overfills, before
 * its ends take it for down; that convicts nobody. One link of a path at a time: the timers of all
 * probes are longer by this once.
 */
export const OUTAGE_US: Micros = 1_500 * MILLISECOND;
/**
 * What this node's own packets may wait more, for the link that they leave on: all its programs
 * fill that queue.
 */
const OWN_QUEUE_US: Micros = 500 * MILLISECOND;
/**
 * Round trips of a link: one and its jitter; with recovery of what was lost, the second and third
 * time included.
 */
const ROUNDS_PLAIN = 2,
  ROUNDS_RECOVERING = 6;
/**
 * A quiet path that answers nothing at all for twice its round trip and this is taken for broken,
 * whatever was measured there: the search that begins sends all over a second path as well. Behind
 * a long queue answers come late, but they come.
 */
export const SILENCE_US: Micros = 500 * MILLISECOND;
/** A link that nobody advertises. */
const UNKNOWN: RoundTripRange = { leastUs: 20 * MILLISECOND, mostUs: 300 * MILLISECOND };

/**
 * `latencyUs`: one way, as the worse of its ends says; negative = not known. `own`: it is a link of
 * the source itself.
 */
export function rangeOf(latencyUs: Micros, recovering: boolean, own = false): RoundTripRange {
  const queueUs = own ? OWN_QUEUE_US : 0;
  if (latencyUs < 0) return { ...UNKNOWN, mostUs: UNKNOWN.mostUs + queueUs };
  const leastUs = 2 * Math.min(latencyUs, LATENCY_BELIEVED_US);
  const mostUs = recovering
    ? leastUs * ROUNDS_RECOVERING + QUEUES_RECOVERING_US
    : leastUs * ROUNDS_PLAIN + QUEUES_US;
  return { leastUs, mostUs: mostUs + queueUs };
}

/** One after the other. */
export function sumOf(ranges: readonly RoundTripRange[]): RoundTripRange {
  let leastUs = 0,
    mostUs = 0;
  for (const range of ranges) [leastUs, mostUs] = [leastUs + range.leastUs, mostUs + range.mostUs];
  return { leastUs, mostUs };
}

/** On top of a quarter more than the longest that was seen. */
const MARGIN_US: Micros = 50 * MILLISECOND;
/** Before so many were seen, twice what the link state says and this. */
const SAMPLES_LEAST = 16;
const MARGIN_UNSEEN_US: Micros = 150 * MILLISECOND;
/**
 * The longest of at least so many, and of at least so long, is remembered; at most of twice that.
 */
const SAMPLES_WINDOW = 256;
const TIME_WINDOW: Micros = 10 * SECOND;

/** The bound of one interval, from what was measured lately: a windowed maximum in two halves. */
export class MeasuredBound {
  readonly range: RoundTripRange;
  #samples = 0;
  #longest = 0;
  #longestBefore = 0;
  #inHalf = 0;
  #halfSince: Micros = -1;

  constructor(range: RoundTripRange) {
    this.range = range;
  }

  /**
   * A packet and its acknowledgement took `tookUs` over the interval. More than the cap counts as
   * the cap.
   */
  onSample(tookUs: Micros, now: Micros): void {
    const { mostUs } = this.range;
    if (this.#halfSince < 0) this.#halfSince = now;
    if (this.#inHalf >= SAMPLES_WINDOW && now - this.#halfSince >= TIME_WINDOW) {
      this.#longestBefore = this.#longest;
      this.#longest = 0;
      this.#inHalf = 0;
      this.#halfSince = now;
    }
    this.#inHalf += 1;
    this.#samples = Math.min(SAMPLES_LEAST, this.#samples + 1);
    this.#longest = Math.max(this.#longest, Math.min(mostUs, tookUs));
  }

  /** `waitUs`: how long an answer may wait for others on purpose. */
  boundUs(waitUs: Micros): Micros {
    const { leastUs, mostUs } = this.range;
    const longest = Math.max(this.#longest, this.#longestBefore);
    const seen = longest + longest / 4 + MARGIN_US;
    const bound =
      this.#samples < SAMPLES_LEAST
        ? Math.max(seen, 2 * leastUs + MARGIN_UNSEEN_US)
        : Math.max(seen, leastUs + MARGIN_US);
    return Math.min(mostUs, Math.round(bound)) + waitUs;
  }
}
