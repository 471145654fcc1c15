/**
 * What an advertisement says of our links, and which change of it is worth saying.
 *
 * Pure functions of measurements; when to speak is link-state-router.ts's.
 */

import { LATENCY_UNIT_US, type AdvertisedLink } from '../wire/link-state.ts';
import { linkCost, type Metric } from './metrics.ts';
import type { RoutedLink } from './routed-link.ts';

/** What is said of `link`. */
export function measured(link: RoutedLink): AdvertisedLink {
  return {
    node: link.node,
    latency: Math.min(0xffff, Math.round(link.routedLatencyUs() / LATENCY_UNIT_US)),
    loss: Math.min(0xffff, Math.round(link.routedLoss() * 65_535)),
  };
}

/**
 * Latency differs by more than 1 ms and a fifth, or loss by more than 1.5 points, and by a third
 * or, where that counts, a tenth of the cost.
 */
export function materially(a: AdvertisedLink, b: AdvertisedLink, metric: Metric): boolean {
  const latency = Math.abs(a.latency - b.latency);
  if (latency > 10 && latency * 5 > Math.min(a.latency, b.latency)) return true;
  const loss = Math.abs(a.loss - b.loss);
  if (loss <= 983) return false;
  if (metric !== 'expected-latency') return loss * 3 > Math.min(a.loss, b.loss);
  // Estimates of equal ways that lose a little wander, and routes would with them.
  const before = linkCost(a, metric),
    now = linkCost(b, metric);
  return Math.abs(before - now) * 10 > Math.min(before, now);
}

/** Whether `links` are worth saying, after `held`. */
export function changed(
  held: readonly AdvertisedLink[],
  links: readonly AdvertisedLink[],
  metric: Metric,
): boolean {
  if (held.length !== links.length) return true;
  return links.some((link, i) => link.node !== held[i]!.node || materially(held[i]!, link, metric));
}
