/**
 * A graph that a packet can carry, as the union of ways from its source to its destination.
 *
 * Owns the order of its nodes, in which every edge leads to a later one (WIRE.md section 17): a way
 * that would close a circle, or make the graph larger than a packet carries, is left out as a
 * whole, so that no copy ends at a node that has nobody to send it to. What is added first stays.
 */

import type { NodeId } from '../base/ids.ts';
import { GRAPH_EDGES_MAX, GRAPH_NODES_MAX, type Graph } from '../wire/routed.ts';

export class GraphBuilder {
  readonly #source: NodeId;
  readonly #destination: NodeId;
  /** By node, whom it sends to, in the order in which that was added. */
  readonly #next = new Map<NodeId, Set<NodeId>>();
  #edges = 0;

  constructor(source: NodeId, destination: NodeId) {
    this.#source = source;
    this.#destination = destination;
    this.#next.set(source, new Set());
    this.#next.set(destination, new Set());
  }

  get isEmpty(): boolean {
    return this.#edges === 0;
  }

  get edges(): Iterable<readonly [NodeId, NodeId]> {
    return this.#all();
  }

  /** A way of at least two nodes, from the source to the destination. False: it was left out. */
  add(way: readonly NodeId[]): boolean {
    const added: [NodeId, NodeId][] = [];
    for (let i = 1; i < way.length; i += 1) {
      const from = way[i - 1]!,
        to = way[i]!;
      if (this.#next.get(from)?.has(to) === true) continue;
      if (this.#reaches(to, from)) {
        this.#undo(added);
        return false;
      }
      for (const node of [from, to]) if (!this.#next.has(node)) this.#next.set(node, new Set());
      this.#next.get(from)!.add(to);
      this.#edges += 1;
      added.push([from, to]);
    }
    if (this.#next.size <= GRAPH_NODES_MAX && this.#edges <= GRAPH_EDGES_MAX) return true;
    this.#undo(added);
    return false;
  }

  graph(): Graph {
    const nodes = this.#ordered();
    const placeOf = new Map(nodes.map((node, place) => [node, place]));
    const edges = [...this.#all()]
      .map(([from, to]): [number, number] => [placeOf.get(from)!, placeOf.get(to)!])
      .sort(([a, b], [c, d]) => a - c || b - d);
    return { nodes, edges };
  }

  *#all(): Iterable<readonly [NodeId, NodeId]> {
    for (const [from, next] of this.#next) for (const to of next) yield [from, to];
  }

  /** Nodes that are left without an edge go, too. */
  #undo(edges: readonly [NodeId, NodeId][]): void {
    for (const [from, to] of edges) {
      this.#next.get(from)!.delete(to);
      this.#edges -= 1;
    }
    const used = new Set<NodeId>([this.#source, this.#destination]);
    for (const [from, to] of this.#all()) used.add(from).add(to);
    for (const node of this.#next.keys()) if (!used.has(node)) this.#next.delete(node);
  }

  #reaches(from: NodeId, to: NodeId): boolean {
    const seen = new Set<NodeId>([from]);
    for (const node of seen) {
      if (node === to) return true;
      for (const next of this.#next.get(node) ?? []) seen.add(next);
    }
    return false;
  }

  /** The source first, the destination last. */
  #ordered(): NodeId[] {
    const before = new Map<NodeId, number>();
    for (const [, to] of this.#all()) before.set(to, (before.get(to) ?? 0) + 1);
    const nodes: NodeId[] = [this.#source];
    for (const node of nodes)
      for (const next of this.#next.get(node)!) {
        const left = before.get(next)! - 1;
        before.set(next, left);
        if (left === 0 && next !== this.#destination) nodes.push(next);
      }
    nodes.push(this.#destination);
    return nodes;
  }
}
