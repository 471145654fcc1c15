/**
 * Trees of shortest paths from any node, for packets to groups: all nodes make the same ones.
 *
 * Owns the trees that packets asked for, made when one does, anew when routes are others, the one
 * used longest ago forgotten first. A tree leads over nodes only that take part in groups. That all
 * agree follows from one database, one metric and one order among equals (shortest-path.ts); what
 * happens while they do not is dissemination/multicast.ts's.
 */

import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { Advertisement } from '../wire/link-state.ts';
import { GROUPS, hasCapability } from '../wire/node-facts.ts';
import type { Metric } from './metrics.ts';
import { computeShortestPaths, type ShortestPaths } from './shortest-path.ts';

/** Roots whose trees are kept: 30 KB each with 1,000 nodes. */
export const SOURCE_TREES_MAX = 256;

/** What trees are made of. */
export interface TreeGraph {
  /** Another number whenever routes were computed anew. */
  readonly version: number;
  advertisements(): Iterable<Advertisement>;
}

export class SourceTree {
  readonly root: NodeId;
  /** The routes' that it is of. */
  readonly version: number;
  readonly #paths: ShortestPaths;

  constructor(root: NodeId, version: number, paths: ShortestPaths) {
    this.root = root;
    this.version = version;
    this.#paths = paths;
  }

  /** Whether a packet from the root can reach `node`. */
  reaches(node: NodeId): boolean {
    const at = this.#paths.indexOf.get(node);
    return at !== undefined && this.#paths.cost[at]! >= 0;
  }

  /** Cost from the root to `node`, -1: not reached. */
  cost(node: NodeId): number {
    const at = this.#paths.indexOf.get(node);
    return at === undefined ? -1 : this.#paths.cost[at]!;
  }

  /** The node before `node` on the way from the root; null: none. */
  parent(node: NodeId): NodeId | null {
    const { indexOf, before, ids } = this.#paths;
    const at = indexOf.get(node);
    return at === undefined || before[at]! < 0 ? null : ids[before[at]!]!;
  }

  /** Whether the way from the root to `node` passes `over`, or begins there. */
  passes(over: NodeId, node: NodeId): boolean {
    for (let at = this.parent(node); at !== null; at = this.parent(at))
      if (at === over) return true;
    return false;
  }

  /**
   * Of the way from the root to each of `members`, the node behind `node`, where `node` is on it
   * and not its end. In no order, each once.
   */
  children(node: NodeId, members: Iterable<NodeId>): NodeId[] {
    const { indexOf, before, ids, cost } = this.#paths;
    const self = indexOf.get(node);
    const children = new Set<number>(),
      done = new Set<number>();
    if (self === undefined) return [];
    for (const member of members) {
      let at = indexOf.get(member) ?? -1;
      if (at < 0 || cost[at]! < 0) continue;
      while (at !== self && at >= 0 && !done.has(at)) {
        done.add(at);
        if (before[at] === self) children.add(at);
        at = before[at]!;
      }
    }
    return [...children].map((at) => ids[at]!);
  }

  /** Those of `members` whose way from the root passes `over`, or who are it. */
  behind(over: NodeId, members: Iterable<NodeId>): NodeId[] {
    return [...members].filter(
      (member) => this.reaches(member) && (member === over || this.passes(over, member)),
    );
  }
}

export class SourceTrees {
  readonly #graph: TreeGraph;
  readonly #metric: Metric;
  readonly #stopwatch: { now(): Micros };
  /** The one used longest ago first. */
  readonly #trees = new Map<NodeId, SourceTree>();
  #version = -1;
  #capable: Advertisement[] = [];
  #latest: SourceTree | null = null;
  /** Trees made, and how long that took, microseconds. */
  made = 0;
  madeUs: Micros = 0;

  constructor(graph: TreeGraph, metric: Metric, stopwatch: { now(): Micros }) {
    this.#graph = graph;
    this.#metric = metric;
    this.#stopwatch = stopwatch;
  }

  get size(): number {
    return this.#trees.size;
  }

  /** Of the routes that there are now. `@hot` */
  get version(): number {
    return this.#graph.version;
  }

  /** Of the routes that there are now. `@hot` */
  of(root: NodeId): SourceTree {
    const { version } = this.#graph;
    if (this.#latest !== null && this.#latest.root === root && this.#latest.version === version)
      return this.#latest;
    const known = this.#trees.get(root);
    this.#trees.delete(root);
    const tree = known !== undefined && known.version === version ? known : this.#make(root);
    this.#trees.set(root, tree);
    if (this.#trees.size > SOURCE_TREES_MAX) this.#trees.delete(this.#trees.keys().next().value!);
    return (this.#latest = tree);
  }

  #make(root: NodeId): SourceTree {
    const started = this.#stopwatch.now();
    const { version } = this.#graph;
    if (version !== this.#version) {
      this.#version = version;
      this.#capable = [...this.#graph.advertisements()]
        .filter(({ facts }) => facts !== null && hasCapability(facts.capabilities, GROUPS))
        .sort((a, b) => a.origin - b.origin);
    }
    const paths = computeShortestPaths(root, this.#capable, this.#metric);
    this.made += 1;
    this.madeUs += this.#stopwatch.now() - started;
    return new SourceTree(root, version, paths);
  }
}
