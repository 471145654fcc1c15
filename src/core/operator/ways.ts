/**
 * Ways through a network as one of its daemons reports its nodes: the shortest, the one that would
 * be taken instead, and the way back.
 *
 * Owns no facts: everything is computed from a NodesReply, where it is looked at and not in the
 * daemon, by the same arithmetic as routes are. Runners-up of all nodes are computed while that is
 * little work.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, parseNodeId, type NodeId } from '../base/ids.ts';
import { MILLISECOND } from '../base/time.ts';
import { COST_UNIT_US, linkCost, METRICS, type Metric } from '../routing/metrics.ts';
import {
  advertises,
  computeShortestPaths,
  wayTo,
  type GraphNode,
  type ShortestPaths,
} from '../routing/shortest-path.ts';
import { LATENCY_UNIT_US, type AdvertisedLink } from '../wire/link-state.ts';
import { NO_TRANSIT } from '../wire/node-facts.ts';
import type { NodeLinkRow, NodeRow } from 'spines-client/protocol';

/** Nodes times neighbours up to which runners-up of all are computed. */
const RUNNERS_UP_WORK_MAX = 32_768;

/** From one node to another, both ends included, as dotted quads. */
export interface Way {
  readonly nodes: readonly string[];
  readonly cost: number;
  /** Where the metric is one of time. */
  readonly costMs: number | null;
}

/** One direction of a link as its own end advertises it. */
export interface WayLink extends NodeLinkRow {
  readonly from: string;
  readonly cost: number;
  readonly costMs: number | null;
}

/** What ways need to know of a node. */
export type WayNode = Pick<NodeRow, 'node' | 'name' | 'links' | 'why' | 'transit'>;

export class Ways {
  readonly metric: Metric;
  readonly #rows: ReadonlyMap<string, WayNode>;
  readonly #graph: readonly GraphNode[];

  /** Throws SpinesError EINVAL for a metric that is not known here. */
  constructor(nodes: readonly WayNode[], metric: string) {
    const known = METRICS.find((one) => one === metric);
    if (known === undefined)
      throw new SpinesError('EINVAL', `the daemon's metric ${metric} is not known here`);
    this.metric = known;
    this.#rows = new Map(nodes.map((row) => [row.node, row]));
    // What is not believed, or not heard, is no part of any way.
    this.#graph = nodes
      .filter(({ why }) => why == null)
      .map(({ node, links, transit = true }) => ({
        origin: idOf(node),
        links: links.map(advertisedLink),
        facts: { capabilities: transit ? 0 : NO_TRANSIT },
      }));
  }

  nameOf(node: string): string | null {
    return this.#rows.get(node)?.name ?? null;
  }

  /** Null: there is none. */
  way(from: string, to: string): Way | null {
    return this.#wayIn(this.#pathsFrom(idOf(from), this.#graph), idOf(to));
  }

  /** What `from` says of its link to `to`; null: nothing. */
  link(from: string, to: string): WayLink | null {
    const row = this.#rows.get(from)?.links.find(({ node }) => node === to);
    if (row === undefined) return null;
    const cost = linkCost(advertisedLink(row), this.metric);
    return { ...row, from, cost, costMs: this.costMs(cost) };
  }

  costMs(cost: number): number | null {
    return this.metric === 'latency' || this.metric === 'expected-latency'
      ? (cost * COST_UNIT_US) / MILLISECOND
      : null;
  }

  /**
   * By node, the best way from `self` whose first hop is another than the one in use; null: to
   * compute them is too much work. `only`: of these nodes alone.
   */
  runnersUp(self: string, inUse: ReadonlyMap<string, string>): Map<string, Way> | null {
    const id = idOf(self);
    const own = this.#graph.find(({ origin }) => origin === id);
    const rest = this.#graph.filter(({ origin }) => origin !== id);
    if (own === undefined) return new Map();
    if (own.links.length * rest.length > RUNNERS_UP_WORK_MAX) return null;
    const best = new Map<string, Way>();
    for (const link of own.links) {
      const next = rest.find(({ origin }) => origin === link.node);
      if (next === undefined || !advertises(next.links, id)) continue;
      const first = linkCost(link, this.metric),
        hop = formatNodeId(link.node);
      // Our neighbour is on the way, or the end of it.
      const ends = next.facts?.capabilities === NO_TRANSIT;
      const paths = this.#pathsFrom(link.node, ends ? [next] : rest);
      paths.ids.forEach((to, i) => {
        const node = formatNodeId(to);
        if (paths.cost[i]! < 0 || inUse.get(node) === hop) return;
        const cost = first + paths.cost[i]!;
        if (cost >= (best.get(node)?.cost ?? Infinity)) return;
        const way = wayTo(paths, to)!.map(formatNodeId);
        best.set(node, { nodes: [self, ...way], cost, costMs: this.costMs(cost) });
      });
    }
    return best;
  }

  #pathsFrom(from: NodeId, graph: readonly GraphNode[]): ShortestPaths {
    return computeShortestPaths(from, graph, this.metric);
  }

  #wayIn(paths: ShortestPaths, to: NodeId): Way | null {
    const nodes = wayTo(paths, to);
    if (nodes === null) return null;
    const cost = paths.cost[paths.indexOf.get(to)!]!;
    return { nodes: nodes.map(formatNodeId), cost, costMs: this.costMs(cost) };
  }
}

function idOf(quad: string): NodeId {
  return parseNodeId(quad) ?? 0;
}

function advertisedLink({ node, latencyMs, lossPct }: NodeLinkRow): AdvertisedLink {
  return {
    node: idOf(node),
    latency: Math.round((latencyMs * MILLISECOND) / LATENCY_UNIT_US),
    loss: Math.round((lossPct / 100) * 65_535),
  };
}
