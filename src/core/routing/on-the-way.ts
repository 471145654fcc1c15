/**
 * Whether a node lies on a shortest way from here to another: who may say that a flow of ours is
 * too fast for its line.
 *
 * Owns the walk back from the destination over links that are part of shortest ways, all of them
 * where several cost the same, since nodes on the way choose among those as they like, and a
 * bounded memory of answers, so that who asks often costs little. Called by LinkStateRouter, which
 * forgets the answers whenever routes are computed.
 */

import type { NodeId } from '../base/ids.ts';
import type { Advertisement } from '../wire/link-state.ts';
import { linkCost, type Metric } from './metrics.ts';
import type { ShortestPaths } from './shortest-path.ts';

const ANSWERS_MAX = 1_024;

export class OnTheWay {
  readonly #answers = new Map<number, boolean>();

  /** Routes are others now. */
  forget(): void {
    this.#answers.clear();
  }

  /** `advertisementOf`: as `paths` were computed from; null: that node is not known. */
  has(
    node: NodeId,
    destination: NodeId,
    paths: ShortestPaths,
    metric: Metric,
    advertisementOf: (node: NodeId) => Advertisement | null,
  ): boolean {
    const at = paths.indexOf.get(node),
      to = paths.indexOf.get(destination);
    if (at === undefined || to === undefined || paths.cost[at]! < 0 || paths.cost[to]! < 0)
      return false;
    const key = at * paths.ids.length + to;
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const found = leadsTo(at, to, paths, metric, advertisementOf);
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    this.#answers.set(key, found);
    return found;
  }
}

function leadsTo(
  node: number,
  destination: number,
  { ids, indexOf, cost }: ShortestPaths,
  metric: Metric,
  advertisementOf: (node: NodeId) => Advertisement | null,
): boolean {
  const seen = new Uint8Array(ids.length),
    open = [destination];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at === node) return true;
    for (const { node: neighbour } of advertisementOf(ids[at]!)?.links ?? []) {
      const before = indexOf.get(neighbour);
      // What is nearer than the node itself does not lead back to it.
      if (before === undefined || seen[before] === 1 || cost[before]! < cost[node]!) continue;
      const link = advertisementOf(neighbour)?.links.find((one) => one.node === ids[at]!);
      if (link === undefined || cost[before]! + linkCost(link, metric) !== cost[at]!) continue;
      seen[before] = 1;
      open.push(before);
    }
  }
  return false;
}
