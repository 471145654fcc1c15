/**
 * Graphs of node-disjoint paths from this node to others, for packets that carry them.
 *
 * Owns what was computed, until routes are others or it is old: nodes say what they can without a
 * change of routes. Paths lead over nodes only that take part (the capability ROUTED), have the
 * least total latency, and keep off links that lose something as long as that is no great detour.
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, type Clock, type Micros } from '../base/time.ts';
import type { AdvertisedLink, Advertisement } from '../wire/link-state.ts';
import { hasCapability, ROUTED, type NodeFacts } from '../wire/node-facts.ts';
import { GRAPH_EDGES_MAX, GRAPH_NODES_MAX, routedHeadBytes, type Graph } from '../wire/routed.ts';
import { DisjointGraph } from './disjoint.ts';
import { COST_UNIT_US, linkCost } from './metrics.ts';

/** Destinations, numbers of paths and deadlines for which a graph is kept. */
export const PATH_GRAPHS_MAX = 1_024;
const CHECKED: Micros = 5 * SECOND;
/** A link that loses more than so much counts as longer by so much (ICDCS 2017). */
const LOSSY = 0.02;
const LOSSY_DETOUR = (30 * MILLISECOND) / COST_UNIT_US;

export interface GraphPath {
  /** From this node on to the destination, both included. */
  readonly nodes: readonly NodeId[];
  readonly latencyUs: Micros;
}

export interface PathGraph {
  /** The cheapest first. */
  readonly paths: readonly GraphPath[];
  readonly graph: Graph;
  /** Neighbours that packets go to, in the order of the paths. */
  readonly next: readonly NodeId[];
  readonly headBytes: number;
}

/** What the router knows. */
export interface GraphTopology {
  readonly version: number;
  readonly ownFacts: NodeFacts;
  advertisements(): Iterable<Advertisement>;
}

export class PathGraphs {
  readonly #self: NodeId;
  readonly #known: GraphTopology;
  readonly #clock: Pick<Clock, 'now'>;
  #version = -1;
  #until: Micros = 0;
  #disjoint: DisjointGraph | null = null;
  #links: ReadonlyMap<NodeId, readonly AdvertisedLink[]> = new Map();
  readonly #graphs = new Map<number, PathGraph | null>();

  constructor(self: NodeId, known: GraphTopology, clock: Pick<Clock, 'now'>) {
    this.#self = self;
    this.#known = known;
    this.#clock = clock;
  }

  /** Graphs that are kept. */
  get size(): number {
    return this.#graphs.size;
  }

  /**
   * At most `most` paths, 1..PATHS_MAX, those without the longest that no packet has the time for:
   * `withinUs`, 0 for all the time there is; the shortest in any case. Null: there is none. `@hot`
   */
  to(destination: NodeId, most: number, withinUs: Micros): PathGraph | null {
    if (this.#version !== this.#known.version || this.#clock.now() >= this.#until) this.#look();
    const key = (destination * 8 + most) * 4_096 + Math.min(4_095, withinUs / MILLISECOND);
    const known = this.#graphs.get(key);
    if (known !== undefined) return known;
    const made = this.#make(destination, most, withinUs);
    if (this.#graphs.size >= PATH_GRAPHS_MAX) this.#graphs.clear();
    this.#graphs.set(key, made);
    return made;
  }

  #look(): void {
    this.#version = this.#known.version;
    this.#until = this.#clock.now() + CHECKED;
    this.#graphs.clear();
    this.#disjoint = null;
  }

  #make(destination: NodeId, most: number, withinUs: Micros): PathGraph | null {
    if (!hasCapability(this.#known.ownFacts.capabilities, ROUTED)) return null;
    if (this.#disjoint === null) {
      const capable = [...this.#known.advertisements()].filter(
        ({ facts }) => facts !== null && hasCapability(facts.capabilities, ROUTED),
      );
      this.#links = new Map(capable.map(({ origin, links }) => [origin, links]));
      this.#disjoint = new DisjointGraph(capable, costOf);
    }
    const found = this.#disjoint
      .paths(this.#self, destination, most)
      .map(({ nodes }) => this.#measured([this.#self, ...nodes]))
      .sort((a, b) => a.latencyUs - b.latencyUs)
      .filter(({ latencyUs }, i) => i === 0 || withinUs === 0 || latencyUs <= withinUs);
    while (found.length > 1 && !fits(found)) found.pop();
    if (found.length === 0 || !fits(found)) return null;
    const graph = graphOf(found);
    return {
      paths: found,
      graph,
      next: found.map(({ nodes }) => nodes[1]!),
      headBytes: routedHeadBytes(graph.nodes.length, graph.edges.length),
    };
  }

  #measured(nodes: readonly NodeId[]): GraphPath {
    let units = 0;
    for (let i = 1; i < nodes.length; i += 1) {
      const link = this.#links.get(nodes[i - 1]!)?.find(({ node }) => node === nodes[i]);
      if (link !== undefined) units += linkCost(link, 'latency');
    }
    return { nodes, latencyUs: units * COST_UNIT_US };
  }
}

function costOf(link: AdvertisedLink): number {
  return linkCost(link, 'latency') + (link.loss > LOSSY * 65_535 ? LOSSY_DETOUR : 0);
}

/** Nodes without the ends, and edges, of so many disjoint paths. */
function fits(paths: readonly GraphPath[]): boolean {
  const inside = paths.reduce((sum, { nodes }) => sum + nodes.length - 2, 0);
  return inside + 2 <= GRAPH_NODES_MAX && inside + paths.length <= GRAPH_EDGES_MAX;
}

function graphOf(paths: readonly GraphPath[]): Graph {
  const { nodes: one } = paths[0]!;
  const nodes = [one[0]!],
    edges: [number, number][] = [];
  const last = 1 + paths.reduce((sum, path) => sum + path.nodes.length - 2, 0);
  for (const path of paths) {
    let before = 0;
    for (const node of path.nodes.slice(1, -1)) {
      edges.push([before, nodes.length]);
      before = nodes.length;
      nodes.push(node);
    }
    edges.push([before, last]);
  }
  nodes.push(one.at(-1)!);
  return { nodes, edges: edges.sort(([a, b], [c, d]) => a - c || b - d) };
}
