/**
 * What a daemon may rely on between itself and another node, by what nodes say of themselves and by
 * its routes: whether all on the way have a capability, and how long the way takes.
 *
 * Owns answers, which it keeps until routes change, and CHECKED at most. Asked for each packet that
 * begins here, or is forwarded, by a service that needs it; where all nodes have the capability, as
 * is usual, that costs one comparison.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Clock, type Micros } from '../base/time.ts';
import { DISSEMINATION_LINK_STATE } from '../wire/modes.ts';
import { hasCapability, type NodeFacts } from '../wire/node-facts.ts';
import type { Advertisement } from '../wire/link-state.ts';
import { liesBetween } from './between.ts';
import { COST_UNIT_US, linkCost, type Metric } from './metrics.ts';
import { lastLink, waysTo } from './on-the-way.ts';
import type { ShortestPaths } from './shortest-path.ts';

/** What nodes say may change without a route: they are asked again after this long. */
const CHECKED: Micros = 5 * SECOND;
/**
 * Destinations whose ways are remembered; of further ones it is supposed that somebody lacks it.
 */
export const DESTINATIONS_MAX = 256;
/** Nodes that lack it which are looked at one by one: a search each. */
const WITHOUT_MAX = 32;

/** What the router knows. */
export interface KnownWays {
  readonly version: number;
  readonly paths: ShortestPaths;
  readonly ownFacts: NodeFacts;
  advertisementOf(node: NodeId): Advertisement | null;
}

export class CapableWays {
  readonly #known: KnownWays;
  readonly #metric: Metric;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #capability: number;
  #version = -1;
  #until: Micros = 0;
  #everywhere = false;
  readonly #ways = new Map<NodeId, boolean>();
  readonly #anyWays = new Map<NodeId, boolean>();
  readonly #latencies = new Map<NodeId, Micros>();

  constructor(capability: number, known: KnownWays, metric: Metric, clock: Pick<Clock, 'now'>) {
    this.#capability = capability;
    this.#known = known;
    this.#metric = metric;
    this.#clock = clock;
  }

  /** Every node that can be reached has it, this one included. `@hot` */
  get everywhere(): boolean {
    if (this.#known.version !== this.#version || this.#clock.now() >= this.#until) this.#look();
    return this.#everywhere;
  }

  /** By that dissemination; one that chooses its ways itself may take any that there is. */
  by(dissemination: number, destination: NodeId): boolean {
    return dissemination === DISSEMINATION_LINK_STATE
      ? this.to(destination)
      : this.byAnyWay(destination);
  }

  /** Every node that can lie on a way to `destination` has it, both ends included. `@hot` */
  byAnyWay(destination: NodeId): boolean {
    if (this.everywhere) return true;
    const known = this.#anyWays.get(destination);
    if (known !== undefined) return known;
    if (this.#anyWays.size >= DESTINATIONS_MAX) return false;
    const capable = this.#isCapableByAny(destination);
    this.#anyWays.set(destination, capable);
    return capable;
  }

  /** Every node on every shortest way to `destination` has it, both ends included. `@hot` */
  to(destination: NodeId): boolean {
    if (this.everywhere) return true;
    const known = this.#ways.get(destination);
    if (known !== undefined) return known;
    if (this.#ways.size >= DESTINATIONS_MAX) return false;
    const capable = this.#isCapable(destination);
    this.#ways.set(destination, capable);
    return capable;
  }

  /**
   * What a packet that is lost nowhere takes from here to `node`, microseconds: the latencies of
   * the links of a shortest way, without what recovery adds to them on the average. 0 where there
   * is none. `@hot`
   */
  latencyTo(node: NodeId): Micros {
    if (this.#known.version !== this.#version || this.#clock.now() >= this.#until) this.#look();
    const known = this.#latencies.get(node);
    if (known !== undefined) return known;
    const latency = this.#latencyOf(node);
    if (this.#latencies.size < DESTINATIONS_MAX) this.#latencies.set(node, latency);
    return latency;
  }

  #look(): void {
    this.#version = this.#known.version;
    this.#until = this.#clock.now() + CHECKED;
    this.#ways.clear();
    this.#anyWays.clear();
    this.#latencies.clear();
    const { ids, cost } = this.#known.paths;
    this.#everywhere =
      hasCapability(this.#known.ownFacts.capabilities, this.#capability) &&
      ids.every((node, index) => cost[index]! <= 0 || this.#has(node));
  }

  #latencyOf(destination: NodeId): Micros {
    const { paths } = this.#known;
    let at = paths.indexOf.get(destination),
      units = 0;
    while (at !== undefined && paths.cost[at]! > 0) {
      const before = lastLink(at, paths, this.#metric, (node) => this.#known.advertisementOf(node));
      if (before === null) return 0;
      units += linkCost(before.link, 'latency');
      at = before.from;
    }
    return units * COST_UNIT_US;
  }

  #isCapable(destination: NodeId): boolean {
    const { paths } = this.#known;
    const to = paths.indexOf.get(destination);
    if (to === undefined || paths.cost[to]! < 0) return false;
    const on = waysTo(to, paths, this.#metric, (node) => this.#known.advertisementOf(node));
    return (
      hasCapability(this.#known.ownFacts.capabilities, this.#capability) &&
      paths.ids.every(
        (node, index) => on[index] !== 1 || paths.cost[index] === 0 || this.#has(node),
      )
    );
  }

  #isCapableByAny(destination: NodeId): boolean {
    const { ids, cost, indexOf } = this.#known.paths;
    const to = indexOf.get(destination),
      self = ids.find((_, index) => cost[index] === 0);
    if (to === undefined || cost[to]! < 0 || self === undefined) return false;
    const without = [...ids].filter((node, index) => cost[index]! > 0 && !this.#has(node));
    if (
      !hasCapability(this.#known.ownFacts.capabilities, this.#capability) ||
      without.length > WITHOUT_MAX ||
      without.includes(destination)
    )
      return false;
    // Either end may know of a link first.
    const neighbours = new Map<NodeId, Set<NodeId>>();
    for (const node of ids) neighbours.set(node, new Set());
    for (const node of ids)
      for (const { node: other } of this.#known.advertisementOf(node)?.links ?? []) {
        neighbours.get(node)!.add(other);
        neighbours.get(other)?.add(node);
      }
    return !without.some((node) =>
      liesBetween(node, self, destination, (of) => neighbours.get(of) ?? []),
    );
  }

  #has(node: NodeId): boolean {
    const facts = this.#known.advertisementOf(node)?.facts ?? null;
    return facts !== null && hasCapability(facts.capabilities, this.#capability);
  }
}
