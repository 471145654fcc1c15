/**
 * Are all routes right? Compares the daemons' next hops with the truth about the wires.
 *
 * Looks from outside: it knows hosts and wire settings, runs its own search (Bellman-Ford on
 * lists), and asks each daemon only for its next hop. A route is right when following next hops
 * reaches the destination over wires that are up, at a cost within the tolerance of the best; an
 * unreachable node must have no route.
 */

import type { Micros } from '../../core/base/time.ts';
import { meanLoss } from '../../core/emulation/link-settings.ts';
import type { Metric } from '../../core/node/config.ts';
import { DAMPED_LOSS } from '../../core/link/routed-worth.ts';
import { expectedLatency } from '../../core/routing/metrics.ts';
import type { SimHost, Wire, World } from './world.ts';

export interface RouteFault {
  readonly from: string;
  readonly to: string;
  readonly what: string;
}

/** How much dearer than the best a route may be: measured latency differs from true latency. */
const TOLERANCE_FACTOR = 1.3;
const TOLERANCE_FIXED = 2_000;

interface Edge {
  readonly to: number;
  readonly cost: number;
}

/**
 * True costs in microseconds, or in units that make the tolerance small: a hop is 100,000; by loss,
 * the daemon's cost times 100.
 */
function wireCost(wire: Wire, metric: Metric): number {
  const { latencyUs, jitterUs, loss } = wire.model.settings;
  const rate = Math.min(0.99, meanLoss(loss));
  const latency: Micros = latencyUs + jitterUs / 2;
  switch (metric) {
    case 'hops':
      return 100_000;
    case 'latency':
      return latency + 100;
    case 'loss':
      return 100 + 1_000_000 * (rate / (1 - rate));
    case 'expected-latency':
      return expectedLatency(latency, rate, 1_500) + 100;
  }
}

/** Its sender means it to be used where there is nothing else. */
function isDamped({ from, to }: Wire): boolean {
  return from.node.links.of(to.id)?.damped === true;
}

/**
 * What the network looks like now, as adjacency lists by host index; null for hosts that do not
 * run.
 */
export function trueGraph(world: World, metric: Metric): (Edge[] | null)[] {
  const graph = world.hosts.map((host): Edge[] | null => (host.running ? [] : null));
  for (const wire of world.wires) {
    const back = wire.to.wires.get(wire.from.endpoint.key)!;
    if (
      !wire.from.running ||
      !wire.to.running ||
      !wire.model.settings.up ||
      !back.model.settings.up
    )
      continue;
    const damped = metric === 'expected-latency' && isDamped(wire);
    graph[wire.from.index]!.push({
      to: wire.to.index,
      cost: damped
        ? expectedLatency(wire.model.settings.latencyUs, DAMPED_LOSS, 1_500)
        : wireCost(wire, metric),
    });
  }
  return graph;
}

/** Costs to `destination` from everywhere, Infinity where there is no way. */
function costsTo(graph: readonly (Edge[] | null)[], destination: number): Float64Array {
  const cost = new Float64Array(graph.length).fill(Infinity);
  const reverse: Edge[][] = graph.map(() => []);
  graph.forEach((edges, from) =>
    edges?.forEach((edge) => reverse[edge.to]!.push({ to: from, cost: edge.cost })),
  );
  cost[destination] = 0;
  const work = [destination];
  const listed = new Uint8Array(graph.length);
  for (let head = 0; head < work.length; head += 1) {
    const at = work[head]!;
    listed[at] = 0;
    for (const edge of reverse[at]!) {
      const through = cost[at]! + edge.cost;
      if (through >= cost[edge.to]!) continue;
      cost[edge.to] = through;
      if (listed[edge.to] === 0) {
        listed[edge.to] = 1;
        work.push(edge.to);
      }
    }
  }
  return cost;
}

/**
 * Precomputed truth: valid until a wire or a host changes; which links are damped is looked at
 * again each time.
 */
export class RouteChecker {
  readonly #world: World;
  readonly #metric: Metric;
  #damped = -1;
  #graph: (Edge[] | null)[] = [];
  #best: (Float64Array | null)[] = [];

  constructor(world: World, metric: Metric) {
    this.#world = world;
    this.#metric = metric;
    this.#look();
  }

  #look(): void {
    let damped = 0;
    for (const [i, wire] of this.#world.wires.entries())
      if (wire.from.running && isDamped(wire)) damped = (Math.imul(damped, 31) + i + 1) >>> 0;
    if (damped === this.#damped) return;
    this.#damped = damped;
    this.#graph = trueGraph(this.#world, this.#metric);
    this.#best = this.#graph.map((edges, i) => (edges === null ? null : costsTo(this.#graph, i)));
  }

  /** The first `limit` faults; none = all routes are right. */
  faults(limit = 1): RouteFault[] {
    this.#look();
    const found: RouteFault[] = [];
    const { hosts } = this.#world;
    for (const destination of hosts) {
      const best = this.#best[destination.index];
      if (best === null || best === undefined) continue;
      const followed = new Float64Array(hosts.length).fill(-1);
      for (const source of hosts) {
        if (source === destination || !source.running) continue;
        const fault = this.#check(source, destination, best, followed);
        if (fault !== null) {
          found.push(fault);
          if (found.length >= limit) return found;
        }
      }
    }
    return found;
  }

  #check(
    source: SimHost,
    destination: SimHost,
    best: Float64Array,
    followed: Float64Array,
  ): RouteFault | null {
    const fault = (what: string): RouteFault => ({ from: source.name, to: destination.name, what });
    const possible = best[source.index] !== Infinity;
    if (!possible)
      return source.node.router.nextHop(destination.id) === null
        ? null
        : fault('has a route to an unreachable node');
    const cost = this.#follow(source, destination, followed, 0);
    if (cost < 0) return fault('next hops do not lead there');
    const bound = best[source.index]! * TOLERANCE_FACTOR + TOLERANCE_FIXED;
    return cost <= bound
      ? null
      : fault(`costs ${Math.round(cost)}, the best way ${Math.round(best[source.index]!)}`);
  }

  /**
   * Cost of following next hops, -1 when they lead nowhere. Remembers what it finds in `followed`.
   */
  #follow(at: SimHost, destination: SimHost, followed: Float64Array, depth: number): number {
    if (at === destination) return 0;
    if (followed[at.index]! >= 0) return followed[at.index]!;
    if (depth > this.#graph.length) return -1;
    const link = at.node.router.nextHop(destination.id);
    const edge =
      link === null
        ? undefined
        : this.#graph[at.index]!.find((e) => this.#world.hosts[e.to]!.id === link.node);
    if (edge === undefined) return -1;
    const rest = this.#follow(this.#world.hosts[edge.to]!, destination, followed, depth + 1);
    if (rest < 0) return -1;
    followed[at.index] = rest + edge.cost;
    return rest + edge.cost;
  }
}
