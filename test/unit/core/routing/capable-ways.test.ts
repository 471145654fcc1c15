/** How long a way takes a packet that is lost nowhere, whatever makes a route short. */

import { expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import { CapableWays, type KnownWays } from '../../../../src/core/routing/capable-ways.ts';
import { METRICS } from '../../../../src/core/routing/metrics.ts';
import { computeShortestPaths } from '../../../../src/core/routing/shortest-path.ts';
import { makeAdvertisement, type Advertisement } from '../../../../src/core/wire/link-state.ts';

/** Nodes 1 to `count` in a row; links of 10 ms forward and 20 ms back, the second one lossy. */
function line(count: number): Advertisement[] {
  return Array.from({ length: count }, (_, i) => {
    const links = [];
    if (i > 0) links.push({ node: i, latency: 200, loss: 0 });
    if (i < count - 1) links.push({ node: i + 2, latency: 100, loss: i === 1 ? 20_000 : 0 });
    return makeAdvertisement(i + 1, 1, false, '', links);
  });
}

test.each(METRICS)('the latency to a node is that of its links, by metric %s', (metric) => {
  const known: { -readonly [key in keyof KnownWays]: KnownWays[key] } = {
    version: 1,
    paths: computeShortestPaths(1, line(6), metric),
    ownFacts: { capabilities: 0 } as KnownWays['ownFacts'],
    advertisementOf: (node) => line(6)[node - 1] ?? null,
  };
  const ways = new CapableWays(0x20, known, metric, { now: () => SECOND });
  const latencies = (): number[] =>
    [1, 2, 3, 6, 7].map((node) => ways.latencyTo(node) / MILLISECOND);
  expect(latencies()).toEqual([0, 10, 20, 50, 0]);
  expect(latencies()).toEqual([0, 10, 20, 50, 0]);
  known.paths = computeShortestPaths(6, line(6), metric);
  known.version = 2;
  expect(latencies()).toEqual([100, 80, 60, 0, 0]);
});
