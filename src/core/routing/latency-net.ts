/**
 * The network as packets with graphs see it: who takes part, links that both ends advertise, and
 * trees of least cost in it, to a node or from it.
 *
 * Owns the arrays and the search. A cost is a latency, in units of 10 us, and what a problem of the
 * link adds. Made anew when routes are others. Called by dissemination-graphs.ts.
 */

import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { AdvertisedLink, Advertisement } from '../wire/link-state.ts';
import { carriesTransit } from '../wire/node-facts.ts';
import { COST_UNIT_US, linkCost } from './metrics.ts';
import { advertises, CostHeap } from './shortest-path.ts';

export interface NetEdge {
  readonly from: number;
  readonly to: number;
  /** Units of 10 us. */
  readonly latency: number;
  readonly cost: number;
}

/** Of the ways between one node and all others. */
export interface Tree {
  /** By place: what the way takes and costs; Infinity: there is none. */
  readonly latencyUs: (place: number) => Micros;
  /** The edge by which the way goes on, nearer to the root; null: the root, or no way. */
  readonly edge: (place: number) => NetEdge | null;
}

/** Above all places: limits.nodes is at most a million. */
export const PLACES = 2 ** 20;
const TREES_MAX = 512;

/** What `link` of `from` costs beyond its latency, in units of 10 us. */
export type Surcharge = (from: NodeId, link: AdvertisedLink) => number;

export class LatencyNet {
  readonly ids: readonly NodeId[];
  /** Others may send through it. */
  readonly carries: readonly boolean[];
  readonly placeOf = new Map<NodeId, number>();
  readonly out: NetEdge[][];
  readonly in: NetEdge[][];
  readonly #trees = new Map<number, Tree>();

  constructor(advertisements: readonly Advertisement[], surcharge: Surcharge) {
    const sorted = [...advertisements].sort((a, b) => a.origin - b.origin);
    this.ids = sorted.map(({ origin }) => origin);
    this.carries = sorted.map(({ facts }) => carriesTransit(facts));
    this.ids.forEach((id, place) => this.placeOf.set(id, place));
    this.out = sorted.map(() => []);
    this.in = sorted.map(() => []);
    sorted.forEach(({ origin, links }, from) => {
      for (const link of links) {
        const to = this.placeOf.get(link.node);
        if (to === undefined || !advertises(sorted[to]!.links, origin)) continue;
        const latency = linkCost(link, 'latency');
        const edge = { from, to, latency, cost: latency + surcharge(origin, link) };
        this.out[from]!.push(edge);
        this.in[to]!.push(edge);
      }
    });
  }

  edge(from: NodeId, to: NodeId): NetEdge | null {
    const at = this.placeOf.get(from),
      end = this.placeOf.get(to);
    return at === undefined ? null : (this.out[at]!.find((edge) => edge.to === end) ?? null);
  }

  /**
   * From `root` to all others, or to it from all others, without the node `without` (-1: with all).
   * `by`: what is least. The last TREES_MAX of them are kept.
   */
  tree(root: number, towards: boolean, without: number, by: 'cost' | 'latency'): Tree {
    const key = keyOf(root, towards, without, by);
    let tree = this.#trees.get(key);
    if (tree === undefined) {
      tree = this.#search(root, towards, without, by);
      if (this.#trees.size >= TREES_MAX) this.#trees.delete(this.#trees.keys().next().value!);
      this.#trees.set(key, tree);
    }
    return tree;
  }

  /** Whether `tree` has it at hand. */
  hasTree(root: number, towards: boolean, without: number, by: 'cost' | 'latency'): boolean {
    return this.#trees.has(keyOf(root, towards, without, by));
  }

  #search(root: number, towards: boolean, without: number, by: 'cost' | 'latency'): Tree {
    const count = this.ids.length;
    const cost = new Float64Array(count).fill(Infinity);
    const latency = new Float64Array(count).fill(Infinity);
    const edges: (NetEdge | null)[] = new Array<NetEdge | null>(count).fill(null);
    const done = new Uint8Array(count);
    const heap = new CostHeap(count, cost);
    cost[root] = latency[root] = 0;
    heap.pushOrLower(root);
    for (let at = heap.pop(); at >= 0; at = heap.pop()) {
      done[at] = 1;
      if (at !== root && !this.carries[at]!) continue;
      for (const edge of (towards ? this.in : this.out)[at]!) {
        const next = towards ? edge.from : edge.to;
        if (next === without || done[next] === 1) continue;
        const through = cost[at]! + edge[by];
        if (through >= cost[next]!) continue;
        cost[next] = through;
        latency[next] = latency[at]! + edge.latency;
        edges[next] = edge;
        heap.pushOrLower(next);
      }
    }
    return {
      latencyUs: (place) => latency[place]! * COST_UNIT_US,
      edge: (place) => edges[place]!,
    };
  }
}

function keyOf(root: number, towards: boolean, without: number, by: 'cost' | 'latency'): number {
  return ((root * PLACES + without + 1) * 2 + (towards ? 1 : 0)) * 2 + (by === 'cost' ? 1 : 0);
}
