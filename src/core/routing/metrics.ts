/**
 * What an advertised link costs under each metric. Costs are positive integers and add up along a
 * path.
 *
 * Owns the arithmetic only. No logarithms: the last bit of Math.log may differ between engines, and
 * all nodes must agree on what is shortest.
 */

import { LATENCY_UNIT_US, type AdvertisedLink } from '../wire/link-state.ts';

/**
 * What a route costs. Expected latency counts the retransmissions that a link's loss will cause.
 */
export type Metric = 'hops' | 'latency' | 'loss' | 'expected-latency';
export const METRICS: readonly Metric[] = ['hops', 'latency', 'loss', 'expected-latency'];

/** Dearest usable link. */
export const COST_MAX = 1_000_000;
/** Costs of latency are in units of 10 us. */
export const COST_UNIT_US = 10;
/**
 * Ten of which are the unit of what is advertised: less than half of that is as near as can be
 * told.
 */
const UNITS_ADVERTISED = LATENCY_UNIT_US / COST_UNIT_US;
const LATENCY_LEAST = UNITS_ADVERTISED / 2;
/**
 * How long a packet waits for each time that it is lost, measured over reliable links that lose 10
 * to 50 %: 1.2 times the round trip and what timers and delayed acknowledgements add to it, and
 * longer the more of what should mend it is lost as well.
 */
const RECOVERY_ROUND_TRIPS = 1.2;
const RECOVERY_UNITS = 150;

/**
 * Cost of sending over `link`, 1..COST_MAX. hops: 1. latency: units of 10 us, one way. loss: 1 plus
 * 10,000 times the mean number of retransmissions. expected-latency: latency, and what a reliable
 * link's recovery adds to it on the average.
 */
export function linkCost(link: AdvertisedLink, metric: Metric): number {
  const loss = link.loss / 65_535;
  const resends = loss >= 0.99 ? 99 : loss / (1 - loss);
  switch (metric) {
    case 'hops':
      return 1;
    case 'latency':
      return clamp(Math.max(LATENCY_LEAST, UNITS_ADVERTISED * link.latency));
    case 'loss':
      return clamp(1 + Math.round(resends * 10_000));
    case 'expected-latency':
      return clamp(
        Math.round(
          expectedLatency(
            Math.max(LATENCY_LEAST, UNITS_ADVERTISED * link.latency),
            loss,
            RECOVERY_UNITS,
          ),
        ),
      );
  }
}

/**
 * Mean of what a packet takes over a reliable link of that latency one way; `fixed`: what recovery
 * takes beyond round trips, in the same unit.
 */
export function expectedLatency(latency: number, loss: number, fixed = RECOVERY_UNITS): number {
  const arrives = loss >= 0.99 ? 0.01 : 1 - loss;
  return (
    latency + RECOVERY_ROUND_TRIPS * (2 * latency + fixed) * ((1 - arrives) / (arrives * arrives))
  );
}

function clamp(cost: number): number {
  return cost < 1 ? 1 : Math.min(cost, COST_MAX);
}
