/**
 * Shortest paths from this node to all others: Dijkstra on a binary heap of typed arrays.
 *
 * A link counts when both ends advertise it; each direction costs what its own end says. A node
 * that carries nothing for others is an end of ways and within none. Ties are
 * broken by the lower node index, which is the order of node ids, so that a result does not depend
 * on the order of arrival. Arrays are reused between runs.
 */

import type { NodeId } from '../base/ids.ts';
import type { AdvertisedLink, Advertisement } from '../wire/link-state.ts';
import { carriesTransit, type NodeFacts } from '../wire/node-facts.ts';
import { linkCost, type Metric } from './metrics.ts';

/** What ways are made of. */
export type GraphNode = Pick<Advertisement, 'origin' | 'links'> & {
  readonly facts?: Pick<NodeFacts, 'capabilities'> | null;
};

/** Result of one run; replaced as a whole by the next. Index = place of the node id in `ids`. */
export interface ShortestPaths {
  /** Sorted node ids of the database. */
  readonly ids: Float64Array;
  readonly indexOf: ReadonlyMap<NodeId, number>;
  /** Cost from here, -1 = unreachable. */
  readonly cost: Float64Array;
  readonly hops: Int32Array;
  /** Index of the neighbour to send to, -1 = none (unreachable, or ourselves). */
  readonly firstHop: Int32Array;
  /** Index of the node before it on the way, -1 likewise. */
  readonly before: Int32Array;
}

export function computeShortestPaths(
  self: NodeId,
  advertisements: readonly GraphNode[],
  metric: Metric,
): ShortestPaths {
  const sorted = [...advertisements].sort((a, b) => a.origin - b.origin);
  const count = sorted.length;
  const ids = new Float64Array(count);
  const indexOf = new Map<NodeId, number>();
  for (let i = 0; i < count; i += 1) {
    ids[i] = sorted[i]!.origin;
    indexOf.set(sorted[i]!.origin, i);
  }
  const cost = new Float64Array(count).fill(-1);
  const hops = new Int32Array(count);
  const firstHop = new Int32Array(count).fill(-1);
  const before = new Int32Array(count).fill(-1);
  const done = new Uint8Array(count);
  const start = indexOf.get(self);
  if (start === undefined) return { ids, indexOf, cost, hops, firstHop, before };

  const heap = new CostHeap(count, cost);
  cost[start] = 0;
  heap.pushOrLower(start);
  for (;;) {
    const at = heap.pop();
    if (at < 0) break;
    done[at] = 1;
    const from = sorted[at]!;
    if (at !== start && !carriesTransit(from.facts)) continue;
    for (const link of from.links) {
      const to = indexOf.get(link.node);
      if (to === undefined || done[to] === 1 || !advertises(sorted[to]!.links, from.origin))
        continue;
      const through = cost[at]! + linkCost(link, metric);
      const known = cost[to]!;
      if (known >= 0 && through >= known) continue;
      cost[to] = through;
      hops[to] = hops[at]! + 1;
      firstHop[to] = at === start ? to : firstHop[at]!;
      before[to] = at;
      heap.pushOrLower(to);
    }
  }
  return { ids, indexOf, cost, hops, firstHop, before };
}

/** The nodes of the way to `node`, both ends included; null: there is none. */
export function wayTo(paths: ShortestPaths, node: NodeId): NodeId[] | null {
  const to = paths.indexOf.get(node);
  if (to === undefined || paths.cost[to]! < 0) return null;
  const way: NodeId[] = [];
  for (let at = to; at >= 0; at = paths.before[at]!) way.push(paths.ids[at]!);
  return way.reverse();
}

/** Whether the way to a node is another: its next hop, the node before it, or that there is one. */
export function wayDiffers(
  a: ShortestPaths,
  i: number | undefined,
  b: ShortestPaths,
  j: number | undefined,
): boolean {
  return (
    nodeBy(a, a.firstHop, i) !== nodeBy(b, b.firstHop, j) ||
    nodeBy(a, a.before, i) !== nodeBy(b, b.before, j)
  );
}

function nodeBy({ ids }: ShortestPaths, by: Int32Array, at: number | undefined): NodeId {
  return at === undefined || by[at]! < 0 ? -1 : ids[by[at]!]!;
}

/** True when the sorted `links` name `node`. */
export function advertises(links: readonly AdvertisedLink[], node: NodeId): boolean {
  let low = 0;
  let high = links.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = links[middle]!.node;
    if (at === node) return true;
    if (at < node) low = middle + 1;
    else high = middle;
  }
  return false;
}

/** Min-heap of node indices by cost, then index, with decrease-key. */
export class CostHeap {
  readonly #cost: Float64Array;
  readonly #heap: Int32Array;
  readonly #place: Int32Array;
  #size = 0;

  constructor(count: number, cost: Float64Array) {
    this.#cost = cost;
    this.#heap = new Int32Array(count);
    this.#place = new Int32Array(count).fill(-1);
  }

  /** Inserts `node`, or moves it up after its cost fell. */
  pushOrLower(node: number): void {
    let slot = this.#place[node]!;
    if (slot < 0) {
      slot = this.#size;
      this.#size += 1;
    }
    while (slot > 0) {
      const parentSlot = (slot - 1) >> 1;
      const parent = this.#heap[parentSlot]!;
      if (!this.#before(node, parent)) break;
      this.#heap[slot] = parent;
      this.#place[parent] = slot;
      slot = parentSlot;
    }
    this.#heap[slot] = node;
    this.#place[node] = slot;
  }

  /** The cheapest node, or -1. */
  pop(): number {
    if (this.#size === 0) return -1;
    const top = this.#heap[0]!;
    this.#size -= 1;
    const last = this.#heap[this.#size]!;
    let slot = 0;
    for (;;) {
      let child = 2 * slot + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#before(this.#heap[child + 1]!, this.#heap[child]!))
        child += 1;
      if (!this.#before(this.#heap[child]!, last)) break;
      this.#heap[slot] = this.#heap[child]!;
      this.#place[this.#heap[slot]!] = slot;
      slot = child;
    }
    if (this.#size > 0) {
      this.#heap[slot] = last;
      this.#place[last] = slot;
    }
    return top;
  }

  #before(a: number, b: number): boolean {
    const difference = this.#cost[a]! - this.#cost[b]!;
    return difference < 0 || (difference === 0 && a < b);
  }
}
