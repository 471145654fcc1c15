/**
 * What an advertised link costs under each metric. Costs are positive integers and add up along a path.
 *
 * Owns the arithmetic only. No logarithms: the last bit of Math.log may differ between engines, and all
 * nodes must agree on what is shortest.
 */

import type { AdvertisedLink } from '../wire/link-state.ts';

/** What a route costs. Expected latency counts the retransmissions that a link's loss will cause. */
export type Metric = 'hops' | 'latency' | 'loss' | 'expected-latency';
export const METRICS: readonly Metric[] = ['hops', 'latency', 'loss', 'expected-latency'];

/** Dearest usable link. */
export const COST_MAX = 1_000_000;

/**
 * Cost of sending over `link`, 1..COST_MAX. hops: 1. latency: units of 100 us, one way. loss: 1 plus 10,000
 * times the mean number of retransmissions. expected-latency: latency plus one round trip per retransmission.
 */
export function linkCost(link: AdvertisedLink, metric: Metric): number {
  const loss = link.loss / 65_535;
  const resends = loss >= 0.99 ? 99 : loss / (1 - loss);
  switch (metric) {
    case 'hops': return 1;
    case 'latency': return clamp(link.latency);
    case 'loss': return clamp(1 + Math.round(resends * 10_000));
    case 'expected-latency': return clamp(Math.round(link.latency * (1 + 2 * resends)));
  }
}

function clamp(cost: number): number {
  return cost < 1 ? 1 : cost > COST_MAX ? COST_MAX : cost;
}
