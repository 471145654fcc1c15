/**
 * Node-disjoint paths between two nodes, as many as are wanted, of the least total cost.
 *
 * Suurballe's algorithm in Bhandari's form: each node is split in two, with what is inside it for
 * one path only, and each search may take back links of the paths found before. Potentials keep
 * costs from being negative, so that every search is Dijkstra's: O(k (E + N) log N) for k paths. A
 * link counts when both ends advertise it, and costs what its own end says.
 *
 * J. W. Suurballe and R. E. Tarjan, A quick method for finding shortest pairs of disjoint paths,
 * Networks 14 (1984).
 */

import type { NodeId } from '../base/ids.ts';
import type { AdvertisedLink } from '../wire/link-state.ts';
import { carriesTransit } from '../wire/node-facts.ts';
import { advertises, CostHeap, type GraphNode } from './shortest-path.ts';

export interface DisjointPath {
  /** From the node behind the source to the destination. */
  readonly nodes: readonly NodeId[];
  readonly cost: number;
}

export class DisjointGraph {
  readonly #ids: NodeId[] = [];
  readonly #indexOf = new Map<NodeId, number>();
  /**
   * Node i is entered at the half 2i and left at the half 2i + 1. Arcs by the half that they leave;
   * the arc back of arc a is a ^ 1.
   */
  readonly #from: number[][];
  readonly #to: number[] = [];
  readonly #costs: number[] = [];
  /** By arc: it may be taken. Arcs back may where their others are taken. */
  readonly #open: Uint8Array;

  /** `costOf` a link is above 0. */
  constructor(
    advertisements: Iterable<GraphNode>,
    costOf: (link: AdvertisedLink, from: NodeId) => number,
  ) {
    const sorted = [...advertisements].sort((a, b) => a.origin - b.origin);
    for (const { origin } of sorted) {
      this.#indexOf.set(origin, this.#ids.length);
      this.#ids.push(origin);
    }
    this.#from = Array.from({ length: 2 * sorted.length }, () => []);
    sorted.forEach(({ origin, links, facts }, index) => {
      // Who carries nothing for others can be an end, which is not crossed.
      if (carriesTransit(facts)) this.#add(2 * index, 2 * index + 1, 0);
      for (const link of links) {
        const other = this.#indexOf.get(link.node);
        if (other !== undefined && advertises(sorted[other]!.links, origin))
          this.#add(2 * index + 1, 2 * other, costOf(link, origin));
      }
    });
    this.#open = new Uint8Array(this.#to.length);
  }

  /**
   * At most `most` of them, the cheapest first; fewer where there are no more, none where there is
   * no path. No node but the ends is on two of them.
   */
  paths(source: NodeId, destination: NodeId, most: number): DisjointPath[] {
    const from = this.#indexOf.get(source),
      to = this.#indexOf.get(destination);
    if (from === undefined || to === undefined || from === to) return [];
    for (let arc = 0; arc < this.#open.length; arc += 1) this.#open[arc] = 1 - (arc & 1);
    const potentials = new Float64Array(this.#from.length);
    for (let found = 0; found < most; found += 1)
      if (!this.#augment(2 * from + 1, 2 * to, potentials)) break;
    return this.#taken(2 * from + 1, 2 * to).sort((a, b) => a.cost - b.cost);
  }

  #add(from: number, to: number, cost: number): void {
    this.#from[from]!.push(this.#to.length);
    this.#to.push(to);
    this.#costs.push(cost);
    this.#from[to]!.push(this.#to.length);
    this.#to.push(from);
    this.#costs.push(-cost);
  }

  /** Takes the cheapest way over what is open. False: there is none. */
  #augment(from: number, to: number, potentials: Float64Array): boolean {
    const count = this.#from.length;
    const cost = new Float64Array(count).fill(Infinity);
    const by = new Int32Array(count).fill(-1);
    const done = new Uint8Array(count);
    const heap = new CostHeap(count, cost);
    cost[from] = 0;
    heap.pushOrLower(from);
    for (let at = heap.pop(); at >= 0 && at !== to; at = heap.pop()) {
      done[at] = 1;
      for (const arc of this.#from[at]!) {
        const next = this.#to[arc]!;
        if (this.#open[arc] === 0 || done[next] === 1) continue;
        const through = cost[at]! + this.#costs[arc]! + potentials[at]! - potentials[next]!;
        if (through >= cost[next]!) continue;
        cost[next] = through;
        by[next] = arc;
        heap.pushOrLower(next);
      }
    }
    const whole = cost[to]!;
    if (whole === Infinity) return false;
    // What was not settled is no nearer than the destination.
    for (let half = 0; half < count; half += 1) potentials[half]! += Math.min(cost[half]!, whole);
    for (let at = to; at !== from; at = this.#to[by[at]! ^ 1]!) {
      this.#open[by[at]!] = 0;
      this.#open[by[at]! ^ 1] = 1;
    }
    return true;
  }

  #taken(from: number, to: number): DisjointPath[] {
    const paths: DisjointPath[] = [];
    for (const first of this.#from[from]!) {
      if (!this.#isTaken(first)) continue;
      const nodes: NodeId[] = [];
      let cost = 0;
      for (let arc: number | undefined = first; arc !== undefined; ) {
        const at: number = this.#to[arc]!;
        cost += this.#costs[arc]!;
        if (at % 2 === 0) nodes.push(this.#ids[at >> 1]!);
        arc = at === to ? undefined : this.#from[at]!.find((next) => this.#isTaken(next));
      }
      paths.push({ nodes, cost });
    }
    return paths;
  }

  #isTaken(arc: number): boolean {
    return arc % 2 === 0 && this.#open[arc] === 0;
  }
}
