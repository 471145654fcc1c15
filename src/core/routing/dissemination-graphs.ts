/**
 * Graphs for packets that carry one, by what they are for: `two` disjoint paths, all last links of
 * the destination (`dst`), all first links of the source (`src`), all of these (`robust`),
 * everywhere (`flood`); and which of them `auto` is now, for each destination.
 *
 * Owns what was computed, until routes or problems are others or it is old, and the choices. Trees
 * are of least latency where a link with a problem counts 30 ms more, or of least latency where
 * that would be late; what is late is left out. Where nothing of a graph is in time, two paths are
 * used, and of these the shortest in any case. Bounded. A. Babay, E. Wagner, M. Dinitz and Y.
 * Amir, Timely, Reliable, and Cost-Effective Internet Transport Service Using Dissemination Graphs,
 * ICDCS 2017.
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, type Clock, type Micros } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Advertisement } from '../wire/link-state.ts';
import type { GraphName } from '../wire/modes.ts';
import { hasCapability, ROUTED } from '../wire/node-facts.ts';
import { ROUTED_HEAD_BYTES } from '../wire/routed.ts';
import { GraphChoice, type ChosenGraph, type WantedGraph } from './graph-choice.ts';
import { LatencyNet, PLACES, type NetEdge, type Tree } from './latency-net.ts';
import { COST_UNIT_US } from './metrics.ts';
import {
  graphOf,
  PATH_GRAPHS_MAX,
  PathGraphs,
  PROBLEM_DETOUR,
  type GraphPath,
  type GraphTopology,
  type PathGraph,
} from './path-graphs.ts';
import { ProblemLinks } from './problem-links.ts';

/** What nodes say may change without a route: they are asked again after this long. */
const CHECKED: Micros = 5 * SECOND;
/** While something is no longer so bad, or never was for long. */
const CHECKED_IN_TROUBLE: Micros = 100 * MILLISECOND;
/**
 * Trees of floods of others that are made in a second: who names other ends each time has floods
 * that go everywhere, late or not.
 */
const TREES_PER_SECOND = 100,
  TREES_BURST = 300;

/** Longer times count as the longest: twice what a socket may ask for. */
const FLOOD_MS_MAX = 2 ** 12 - 1;

type Built = Exclude<GraphName, 'auto'>;
const BUILT: readonly Built[] = ['two', 'dst', 'src', 'robust', 'flood'];

/** Why packets to a destination have the graph that they have. */
export interface GraphInUse {
  readonly graph: Built;
  readonly way: PathGraph;
  readonly why: string;
  /** When `auto` chose it; 0: it was asked for. */
  readonly since: Micros;
  readonly changes: number;
}

export class DisseminationGraphs {
  readonly problems = new ProblemLinks();
  readonly paths: PathGraphs;
  readonly #self: NodeId;
  readonly #known: GraphTopology;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #ways = new Map<number, PathGraph | null>();
  readonly #choices = new Map<number, { readonly choice: GraphChoice; checked: number }>();
  /** Of floods that pass here, by the places of source and destination, and time. */
  readonly #onward = new Map<number, readonly NodeId[]>();
  readonly #treeBudget = new TokenBucket(TREES_PER_SECOND, TREES_BURST);
  #net: LatencyNet | null = null;
  #version = -1;
  #epoch = -1;
  #until: Micros = -1;
  #renewAt: Micros = 0;
  /** Choices are looked at once in each of these. */
  #round = 0;

  constructor(self: NodeId, known: GraphTopology, clock: Pick<Clock, 'now'>) {
    this.#self = self;
    this.#known = known;
    this.#clock = clock;
    this.paths = new PathGraphs(self, known, clock, this.problems);
  }

  /** Graphs and choices that are kept. */
  get size(): number {
    return this.#ways.size + this.#choices.size + this.#onward.size;
  }

  /** Routes were computed anew. */
  onRoutes(): void {
    this.problems.observe(this.#known.advertisements(), this.#clock.now());
  }

  /**
   * What packets to `destination` that have so long, 0 for ever, go over. Null: there is no way for
   * them. `@hot`
   */
  to(destination: NodeId, graph: GraphName, withinUs: Micros): PathGraph | null {
    this.#refresh();
    return this.#wayOf(
      destination,
      graph === 'auto' ? this.#chosen(destination, withinUs).graph : graph,
      withinUs,
    );
  }

  /** The same, and why. Null: there is no way. */
  inUse(destination: NodeId, graph: GraphName, withinUs: Micros): GraphInUse | null {
    this.#refresh();
    const choice = graph === 'auto' ? this.#chosen(destination, withinUs) : null;
    const built: Built = choice === null ? (graph as Built) : choice.graph;
    const way = this.#wayOf(destination, built, withinUs);
    if (way === null) return null;
    const own = this.#own(destination, built, withinUs);
    const falls = own === null ? `nothing of ${built} is in time` : null;
    return {
      graph: own === null ? 'two' : built,
      way,
      why: falls ?? choice?.why ?? 'it was asked for',
      since: choice?.since ?? 0,
      changes: choice?.changes ?? 0,
    };
  }

  /**
   * Neighbours to whom this node sends on what `source` floods to `destination`: those from whom it
   * can be there in time, by what is known here. `@hot`
   */
  onward(source: NodeId, destination: NodeId, withinUs: Micros): readonly NodeId[] {
    this.#refresh();
    const { placeOf } = this.#theNet();
    const from = placeOf.get(source),
      to = placeOf.get(destination);
    const ms = Math.min(FLOOD_MS_MAX, Math.ceil(withinUs / MILLISECOND));
    // The last place is of nodes that are not known.
    const ends = (from ?? PLACES - 1) * PLACES + (to ?? PLACES - 1);
    const key = ends * (FLOOD_MS_MAX + 1) + ms;
    let next = this.#onward.get(key);
    if (next !== undefined) return next;
    next = this.#makeOnward(from, to, ms * MILLISECOND);
    if (this.#onward.size >= PATH_GRAPHS_MAX) this.#onward.clear();
    this.#onward.set(key, next);
    return next;
  }

  /* -------------------------------------------------------------- what is known */

  #refresh(): void {
    const now = this.#clock.now();
    if (this.#version === this.#known.version && now < this.#until) return;
    if (this.#until < 0) this.onRoutes();
    this.problems.refresh(now);
    this.#round += 1;
    if (
      this.#version !== this.#known.version ||
      this.#epoch !== this.problems.epoch ||
      now >= this.#renewAt
    ) {
      this.#version = this.#known.version;
      this.#epoch = this.problems.epoch;
      this.#renewAt = now + CHECKED;
      this.#net = null;
      this.#ways.clear();
      this.#onward.clear();
    }
    const leaving = [...this.#choices.values()].some(({ choice }) => choice.isLeaving);
    this.#until = now + (leaving || this.problems.size > 0 ? CHECKED_IN_TROUBLE : CHECKED);
  }

  #theNet(): LatencyNet {
    if (this.#net !== null) return this.#net;
    const capable: Advertisement[] = [];
    if (hasCapability(this.#known.ownFacts.capabilities, ROUTED))
      for (const advertisement of this.#known.advertisements())
        if (advertisement.facts !== null && hasCapability(advertisement.facts.capabilities, ROUTED))
          capable.push(advertisement);
    this.#net = new LatencyNet(capable, (from, { node }) =>
      this.problems.has(from, node) ? PROBLEM_DETOUR : 0,
    );
    return this.#net;
  }

  /* -------------------------------------------------------------- graphs */

  /** What stands in for a graph that has nothing in time: two paths. */
  #wayOf(destination: NodeId, graph: Built, withinUs: Micros): PathGraph | null {
    return this.#own(destination, graph, withinUs) ?? this.paths.to(destination, 2, withinUs);
  }

  #own(destination: NodeId, graph: Built, withinUs: Micros): PathGraph | null {
    const key = keyOf(destination, withinUs) * 8 + BUILT.indexOf(graph);
    const known = this.#ways.get(key);
    if (known !== undefined) return known;
    const made = this.#make(destination, graph, withinUs);
    if (this.#ways.size >= PATH_GRAPHS_MAX) this.#ways.clear();
    this.#ways.set(key, made);
    return made;
  }

  #make(destination: NodeId, graph: Built, withinUs: Micros): PathGraph | null {
    const net = this.#theNet();
    const from = net.placeOf.get(this.#self),
      to = net.placeOf.get(destination);
    if (from === undefined || to === undefined || from === to) return null;
    if (graph === 'two') return this.paths.to(destination, 2, withinUs);
    if (graph === 'flood') return this.#flood(net, from, to, withinUs);
    const ends = graph === 'robust' ? (['dst', 'src'] as const) : [graph];
    const ways = ends.flatMap((end) => branches(net, from, to, end, withinUs));
    if (graph !== 'robust') return graphOf(ways);
    return graphOf([...(this.paths.to(destination, 2, withinUs)?.paths ?? []), ...ways]);
  }

  #flood(net: LatencyNet, from: number, to: number, withinUs: Micros): PathGraph | null {
    const there = net.tree(from, false, to, 'latency'),
      on = net.tree(to, true, from, 'latency');
    const path = branches(net, from, to, 'src', withinUs)[0];
    if (path === undefined) return null;
    let copies = 0;
    for (const edges of net.out)
      for (const edge of edges)
        if (isOnFlood(net, edge, from, to, there, on, withinUs) && !isBack(edge, there))
          copies += 1;
    const next = net.out[from]!.filter((edge) =>
      isOnFlood(net, edge, from, to, there, on, withinUs),
    );
    if (next.length === 0) return null;
    return {
      paths: [path],
      graph: null,
      next: next.map((edge) => net.ids[edge.to]!),
      headBytes: ROUTED_HEAD_BYTES,
      copies,
    };
  }

  #makeOnward(from: number | undefined, to: number | undefined, withinUs: Micros): NodeId[] {
    const net = this.#theNet();
    const self = net.placeOf.get(this.#self);
    if (self === undefined || !net.carries[self]!) return [];
    const all = net.out[self]!.filter(
      (edge) => edge.to !== from && (edge.to === to || net.carries[edge.to]!),
    );
    if (from === undefined || to === undefined) return all.map((edge) => net.ids[edge.to]!);
    const there = this.#treeOf(from, false, to),
      on = this.#treeOf(to, true, from);
    return all
      .filter(
        (edge) =>
          there === null || on === null || isOnFlood(net, edge, from, to, there, on, withinUs),
      )
      .map((edge) => net.ids[edge.to]!);
  }

  /** Null: too many were made of late. */
  #treeOf(root: number, towards: boolean, without: number): Tree | null {
    const net = this.#theNet();
    return net.hasTree(root, towards, without, 'latency') ||
      this.#treeBudget.take(this.#clock.now())
      ? net.tree(root, towards, without, 'latency')
      : null;
  }

  /* -------------------------------------------------------------- choices */

  #chosen(destination: NodeId, withinUs: Micros): GraphChoice {
    const key = keyOf(destination, withinUs);
    const now = this.#clock.now();
    let kept = this.#choices.get(key);
    if (kept?.checked === this.#round) return kept.choice;
    const wanted = this.#wanted(destination, withinUs);
    if (kept === undefined) {
      if (this.#choices.size >= PATH_GRAPHS_MAX)
        this.#choices.delete(this.#choices.keys().next().value!);
      kept = { choice: new GraphChoice(wanted, now), checked: this.#round };
      this.#choices.set(key, kept);
      return kept.choice;
    }
    kept.checked = this.#round;
    kept.choice.update(wanted, now);
    if (kept.choice.isLeaving) this.#until = Math.min(this.#until, now + CHECKED_IN_TROUBLE);
    return kept.choice;
  }

  #wanted(destination: NodeId, withinUs: Micros): WantedGraph {
    const net = this.#theNet();
    const from = net.placeOf.get(this.#self),
      to = net.placeOf.get(destination);
    const out = from === undefined ? [] : net.out[from]!,
      into = to === undefined ? [] : net.in[to]!;
    const badOut = this.#problemsOf(net, out),
      badIn = this.#problemsOf(net, into);
    const source = `${badOut} of ${out.length} links of this node have problems`,
      end = `${badIn} of ${into.length} links into the destination have problems`;
    const isSource = isBad(badOut, out.length),
      isEnd = isBad(badIn, into.length);
    if (isSource && isEnd) return { graph: 'robust', why: `${source}, and ${end}` };
    if (!isSource && !isEnd)
      return {
        graph: 'two',
        why:
          badOut + badIn === 0
            ? 'no problem at either end'
            : `only ${badOut + badIn} link at an end has a problem`,
      };
    const graph: ChosenGraph = isSource ? 'src' : 'dst';
    const why = isSource ? source : end;
    return this.#isClean(destination, graph, withinUs)
      ? { graph, why }
      : { graph: 'robust', why: `${why}, and one on the ${graph} graph` };
  }

  /** Whether the graph has no problem but at the end that it is for. */
  #isClean(destination: NodeId, graph: 'src' | 'dst', withinUs: Micros): boolean {
    const way = this.#own(destination, graph, withinUs);
    if (way?.graph == null) return true;
    const { nodes, edges } = way.graph;
    return edges.every(([from, to]) => {
      const own = graph === 'src' ? from === 0 : to === nodes.length - 1;
      return own || !this.problems.has(nodes[from]!, nodes[to]!);
    });
  }

  #problemsOf(net: LatencyNet, edges: readonly NetEdge[]): number {
    let count = 0;
    for (const { from, to } of edges)
      if (this.problems.has(net.ids[from]!, net.ids[to]!)) count += 1;
    return count;
  }
}

function keyOf(destination: NodeId, withinUs: Micros): number {
  return destination * 4_096 + Math.min(4_095, Math.ceil(withinUs / MILLISECOND));
}

/** Two links of an end, or all but one. */
function isBad(problems: number, links: number): boolean {
  return problems >= 2 || (problems > 0 && problems >= links - 1);
}

function isLate(latencyUs: Micros, withinUs: Micros): boolean {
  return latencyUs === Infinity || (withinUs > 0 && latencyUs > withinUs);
}

/** A node that has it sends it on over `edge`, if it can be there in time. */
function isOnFlood(
  net: LatencyNet,
  edge: NetEdge,
  from: number,
  to: number,
  there: Tree,
  on: Tree,
  withinUs: Micros,
): boolean {
  if (edge.from === to || edge.to === from) return false;
  if (edge.from !== from && !net.carries[edge.from]!) return false;
  if (edge.to !== to && !net.carries[edge.to]!) return false;
  const latency = there.latencyUs(edge.from) + edge.latency * COST_UNIT_US + on.latencyUs(edge.to);
  return !isLate(latency, withinUs);
}

/** Back to the neighbour that brings it first. */
function isBack(edge: NetEdge, there: Tree): boolean {
  return there.edge(edge.from)?.from === edge.to;
}

/** A way for each neighbour of an end: over it, and between it and the other end the best. */
function branches(
  net: LatencyNet,
  from: number,
  to: number,
  end: 'src' | 'dst',
  withinUs: Micros,
): GraphPath[] {
  const [root, other] = end === 'dst' ? [from, to] : [to, from];
  const trees = (['cost', 'latency'] as const).map((by) =>
    net.tree(root, end === 'src', other, by),
  );
  const found: GraphPath[] = [];
  for (const edge of end === 'dst' ? net.in[to]! : net.out[from]!) {
    const neighbour = end === 'dst' ? edge.from : edge.to;
    if (neighbour !== root && !net.carries[neighbour]!) continue;
    for (const tree of trees) {
      const latencyUs = tree.latencyUs(neighbour) + edge.latency * COST_UNIT_US;
      if (isLate(latencyUs, withinUs)) continue;
      const nodes =
        end === 'dst'
          ? [...wayFrom(net, tree, neighbour), net.ids[to]!]
          : [net.ids[from]!, ...wayTowards(net, tree, neighbour)];
      found.push({ nodes, latencyUs });
      break;
    }
  }
  return found.sort((a, b) => a.latencyUs - b.latencyUs);
}

/** From the root of `tree` to `place`. */
function wayFrom(net: LatencyNet, tree: Tree, place: number): NodeId[] {
  const way = [net.ids[place]!];
  for (let edge = tree.edge(place); edge !== null; edge = tree.edge(edge.from))
    way.push(net.ids[edge.from]!);
  return way.reverse();
}

/** From `place` to the root of `tree`, which leads there. */
function wayTowards(net: LatencyNet, tree: Tree, place: number): NodeId[] {
  const way = [net.ids[place]!];
  for (let edge = tree.edge(place); edge !== null; edge = tree.edge(edge.to))
    way.push(net.ids[edge.to]!);
  return way;
}
