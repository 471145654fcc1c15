/**
 * Graphs of node-disjoint paths from this node to others, for packets that carry them.
 *
 * Owns what was computed, until routes are others or it is old: nodes say what they can without a
 * change of routes. Paths lead over nodes only that take part (the capability ROUTED), have the
 * least total latency, and keep off links with a problem (problem-links.ts) as long as that is no
 * great detour.
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, type Clock, type Micros } from '../base/time.ts';
import type { AdvertisedLink, Advertisement } from '../wire/link-state.ts';
import { hasCapability, ROUTED, type NodeFacts } from '../wire/node-facts.ts';
import { routedHeadBytes, type Graph } from '../wire/routed.ts';
import { DisjointGraph } from './disjoint.ts';
import { GraphBuilder } from './graph-builder.ts';
import { COST_UNIT_US, linkCost } from './metrics.ts';
import type { ProblemLinks } from './problem-links.ts';

/** Destinations, numbers of paths and deadlines for which a graph is kept. */
export const PATH_GRAPHS_MAX = 1_024;
const CHECKED: Micros = 5 * SECOND;
/** A link with a problem counts as longer by so much, in units of 10 us (ICDCS 2017). */
export const PROBLEM_DETOUR = (30 * MILLISECOND) / COST_UNIT_US;

export interface GraphPath {
  /** From this node on to the destination, both included. */
  readonly nodes: readonly NodeId[];
  readonly latencyUs: Micros;
}

export interface PathGraph {
  /** The shortest first; in time, but for the first. */
  readonly paths: readonly GraphPath[];
  /** Null: packets go everywhere, as far as they are in time. */
  readonly graph: Graph | null;
  /** Neighbours that packets go to. */
  readonly next: readonly NodeId[];
  readonly headBytes: number;
  /** Of a message on links, when none is lost. */
  readonly copies: number;
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
  readonly #problems: ProblemLinks;
  #version = -1;
  #epoch = -1;
  #until: Micros = 0;
  #disjoint: DisjointGraph | null = null;
  #links: ReadonlyMap<NodeId, readonly AdvertisedLink[]> = new Map();
  readonly #graphs = new Map<number, PathGraph | null>();

  constructor(
    self: NodeId,
    known: GraphTopology,
    clock: Pick<Clock, 'now'>,
    problems: ProblemLinks,
  ) {
    this.#self = self;
    this.#known = known;
    this.#clock = clock;
    this.#problems = problems;
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
    if (
      this.#version !== this.#known.version ||
      this.#epoch !== this.#problems.epoch ||
      this.#clock.now() >= this.#until
    )
      this.#look();
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
    this.#epoch = this.#problems.epoch;
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
      this.#disjoint = new DisjointGraph(
        capable,
        (link, from) =>
          linkCost(link, 'latency') + (this.#problems.has(from, link.node) ? PROBLEM_DETOUR : 0),
      );
    }
    const found = this.#disjoint
      .paths(this.#self, destination, most)
      .map(({ nodes }) => this.#measured([this.#self, ...nodes]))
      .sort((a, b) => a.latencyUs - b.latencyUs)
      .filter(({ latencyUs }, i) => i === 0 || withinUs === 0 || latencyUs <= withinUs);
    return graphOf(found);
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

/**
 * The graph of these ways, as far as a packet can carry it: the first of them first. Null: of none.
 */
export function graphOf(ways: readonly GraphPath[]): PathGraph | null {
  const [first] = ways;
  if (first === undefined) return null;
  const builder = new GraphBuilder(first.nodes[0]!, first.nodes.at(-1)!);
  const paths = ways.filter(({ nodes }) => builder.add(nodes));
  if (paths.length === 0) return null;
  const graph = builder.graph();
  return {
    paths: [...paths].sort((a, b) => a.latencyUs - b.latencyUs),
    graph,
    next: graph.edges.filter(([from]) => from === 0).map(([, to]) => graph.nodes[to]!),
    headBytes: routedHeadBytes(graph.nodes.length, graph.edges.length),
    copies: graph.edges.length,
  };
}
