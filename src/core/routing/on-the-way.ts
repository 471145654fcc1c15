/**
 * Whether a node lies on a shortest way from here to another: who may say that a flow of ours is
 * too fast for its line, or lost something.
 *
 * Owns the walk back from a destination over links that are part of shortest ways, all of them
 * where several cost the same, since nodes on the way choose among those as they like; what it
 * found, for some destinations; and a budget, as whoever asks names any destination. Called by
 * LinkStateRouter, which forgets what was found whenever routes are computed.
 */

import type { NodeId } from '../base/ids.ts';
import { SharedBudget } from '../base/shared-budget.ts';
import type { Micros } from '../base/time.ts';
import type { AdvertisedLink, Advertisement } from '../wire/link-state.ts';
import { carriesTransit } from '../wire/node-facts.ts';
import { linkCost, type Metric } from './metrics.ts';
import type { ShortestPaths } from './shortest-path.ts';

/** Destinations whose ways are remembered. */
export const WAYS_MAX = 64;
/**
 * Walks: one costs some milliseconds in a network of a thousand nodes. Part of them is left for
 * nodes that ask for little: who may say something is named by its certificate, or only claimed.
 */
const WALKS = {
  perSecond: 20,
  burst: WAYS_MAX,
  keptPerSecond: 20,
  keptBurst: WAYS_MAX,
  sharePerSecond: 2,
  shareBurst: 8,
  sources: 1_024,
};

export class OnTheWay {
  /** By a destination's index: 1 for each node on a way to it. The one used longest ago first. */
  readonly #ways = new Map<number, Uint8Array>();
  readonly #walks = new SharedBudget(WALKS);
  /** Walks so far. */
  walked = 0;

  /** Routes are others now. */
  forget(): void {
    this.#ways.clear();
  }

  /**
   * `advertisementOf`: as `paths` were computed from; null: that node is not known. False also for
   * what nobody has looked at yet, where `node` has asked for too much.
   */
  has(
    node: NodeId,
    destination: NodeId,
    paths: ShortestPaths,
    metric: Metric,
    advertisementOf: (node: NodeId) => Advertisement | null,
    now: Micros,
  ): boolean {
    const at = paths.indexOf.get(node),
      to = paths.indexOf.get(destination);
    if (at === undefined || to === undefined || paths.cost[at]! < 0 || paths.cost[to]! < 0)
      return false;
    // What is further away than the destination leads nowhere.
    if (paths.cost[at]! > paths.cost[to]!) return false;
    let ways = this.#ways.get(to);
    if (ways === undefined) {
      if (!this.#walks.take(String(node), now)) return false;
      this.walked += 1;
      ways = waysTo(to, paths, metric, advertisementOf);
      if (this.#ways.size >= WAYS_MAX) this.#ways.delete(this.#ways.keys().next().value!);
    } else this.#ways.delete(to);
    this.#ways.set(to, ways);
    return ways[at] === 1;
  }
}

/**
 * The link by which a shortest way reaches the node with index `at`, and the index of its near end;
 * null where what is known does not say.
 */
export function lastLink(
  at: number,
  { ids, indexOf, cost }: ShortestPaths,
  metric: Metric,
  advertisementOf: (node: NodeId) => Advertisement | null,
): { from: number; link: AdvertisedLink } | null {
  for (const { node: neighbour } of advertisementOf(ids[at]!)?.links ?? []) {
    const from = indexOf.get(neighbour);
    const said = from === undefined ? null : advertisementOf(neighbour);
    if (from === undefined || !isLeft(cost[from]!, said)) continue;
    const link = said!.links.find((one) => one.node === ids[at]!);
    if (link !== undefined && cost[from]! + linkCost(link, metric) === cost[at]!)
      return { from, link };
  }
  return null;
}

/** Whether ways go on from a node that so much leads to, by what it says of itself. */
function isLeft(cost: number, said: Advertisement | null): boolean {
  return said !== null && cost >= 0 && (cost === 0 || carriesTransit(said.facts));
}

/** 1 for each node on a shortest way to the one with that index, both ends included. */
export function waysTo(
  destination: number,
  { ids, indexOf, cost }: ShortestPaths,
  metric: Metric,
  advertisementOf: (node: NodeId) => Advertisement | null,
): Uint8Array {
  const on = new Uint8Array(ids.length),
    open = [destination];
  on[destination] = 1;
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const { node: neighbour } of advertisementOf(ids[at]!)?.links ?? []) {
      const before = indexOf.get(neighbour);
      const said = before === undefined ? null : advertisementOf(neighbour);
      if (before === undefined || on[before] === 1 || !isLeft(cost[before]!, said)) continue;
      const link = said!.links.find((one) => one.node === ids[at]!);
      if (link === undefined || cost[before]! + linkCost(link, metric) !== cost[at]!) continue;
      on[before] = 1;
      open.push(before);
    }
  }
  return on;
}
