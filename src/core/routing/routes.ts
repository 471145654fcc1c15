/**
 * Routes: the shortest paths over what nodes advertise, and the link towards each of them.
 *
 * Owns the next-hop table and when to compute it: soon after a change, then at bounded intervals.
 * What is advertised, and believed, is link-state-router.ts's.
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, Timer, type Micros } from '../base/time.ts';
import type { Advertisement } from '../wire/link-state.ts';
import type { LinkStateDatabase } from './link-state-database.ts';
import type { Metric } from './metrics.ts';
import { OnTheWay } from './on-the-way.ts';
import type { LinkStateRouterEnvironment, RoutingCounters } from './router-environment.ts';
import { computeShortestPaths, wayDiffers, type ShortestPaths } from './shortest-path.ts';
import type { RoutedLink, RoutedLinks } from './routed-link.ts';

/** The first one after a quiet time waits this long, so that a burst of changes is one. */
const SETTLE: Micros = 1 * MILLISECOND;
/** At most one recomputation in this time. */
const RECOMPUTE_INTERVAL: Micros = 20 * MILLISECOND;

export interface RoutesConfig {
  readonly id: NodeId;
  readonly metric: Metric;
}

export class Routes {
  readonly #config: RoutesConfig;
  readonly #env: Pick<LinkStateRouterEnvironment, 'clock' | 'stopwatch' | 'timers' | 'onRoutes'>;
  readonly #links: RoutedLinks;
  readonly #database: LinkStateDatabase;
  readonly #counters: RoutingCounters;
  readonly #timer = new Timer(() => this.recompute());
  readonly #onTheWay = new OnTheWay();
  #paths: ShortestPaths;
  /** Node index -> link slot, -1 = no route. */
  #nextHopSlot = new Int32Array(0);
  /** Node index -> when the way there became what it is. */
  #changedAt = new Float64Array(0);
  #recomputedAt: Micros = -SECOND;
  #stopped = false;

  constructor(
    config: RoutesConfig,
    env: Pick<LinkStateRouterEnvironment, 'clock' | 'stopwatch' | 'timers' | 'onRoutes'>,
    links: RoutedLinks,
    database: LinkStateDatabase,
    counters: RoutingCounters,
  ) {
    this.#config = config;
    this.#env = env;
    this.#links = links;
    this.#database = database;
    this.#counters = counters;
    this.#paths = computeShortestPaths(config.id, [], config.metric);
  }

  get paths(): ShortestPaths {
    return this.#paths;
  }

  /** The link towards `destination`, null when there is no usable route now. `@hot` */
  nextHop(destination: NodeId): RoutedLink | null {
    const index = this.#paths.indexOf.get(destination);
    if (index === undefined) return null;
    const slot = this.#nextHopSlot[index]!;
    if (slot < 0) return null;
    const link = this.#links.at(slot);
    return link?.up ? link : null;
  }

  /** Whether `node` is on a shortest way from here to `destination`, as far as is known here. */
  onTheWay(node: NodeId, destination: NodeId): boolean {
    return this.#onTheWay.has(
      node,
      destination,
      this.#paths,
      this.#config.metric,
      (of) => this.#database.get(of)?.advertisement ?? null,
      this.#env.clock.now(),
    );
  }

  reachable(node: NodeId): boolean {
    const index = this.#paths.indexOf.get(node);
    return index !== undefined && this.#paths.cost[index]! >= 0;
  }

  /** When the way to the node of that index in `paths` became what it is. */
  changedAt(index: number): Micros {
    return this.#changedAt[index]!;
  }

  /** What was advertised has changed. */
  schedule(): void {
    if (this.#stopped || this.#timer.armed) return;
    this.#env.timers.arm(
      this.#timer,
      Math.max(this.#env.clock.now() + SETTLE, this.#recomputedAt + RECOMPUTE_INTERVAL),
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#env.timers.cancel(this.#timer);
  }

  /** Computes routes now. */
  recompute(): void {
    const started = this.#env.stopwatch.now();
    this.#recomputedAt = this.#env.clock.now();
    const advertisements: Advertisement[] = [];
    for (const record of this.#database.records()) advertisements.push(record.advertisement);
    const paths = computeShortestPaths(this.#config.id, advertisements, this.#config.metric);
    const slots = new Int32Array(paths.ids.length).fill(-1);
    for (let i = 0; i < slots.length; i += 1) {
      const hop = paths.firstHop[i]!;
      if (hop >= 0) slots[i] = this.#links.of(paths.ids[hop]!)?.slot ?? -1;
    }
    this.#counters.routeChanges += this.#moved(paths, slots);
    this.#changedAt = this.#changes(paths);
    this.#paths = paths;
    this.#onTheWay.forget();
    this.#nextHopSlot = slots;
    const took = this.#env.stopwatch.now() - started;
    this.#counters.recomputations += 1;
    this.#counters.recomputeUsTotal += took;
    this.#counters.recomputeUsMax = Math.max(this.#counters.recomputeUsMax, took);
    this.#env.onRoutes();
  }

  #changes(paths: ShortestPaths): Float64Array<ArrayBuffer> {
    const at = new Float64Array(paths.ids.length).fill(this.#recomputedAt);
    for (let i = 0; i < at.length; i += 1) {
      const before = this.#paths.indexOf.get(paths.ids[i]!);
      if (before !== undefined && !wayDiffers(this.#paths, before, paths, i))
        at[i] = this.#changedAt[before]!;
    }
    return at;
  }

  /** Nodes whose next hop is another now. */
  #moved({ ids }: ShortestPaths, slots: Int32Array): number {
    let moved = 0;
    for (let i = 0; i < slots.length; i += 1) {
      const before = this.#nextHopSlot[this.#paths.indexOf.get(ids[i]!) ?? -1] ?? -1;
      if (before >= 0 && slots[i]! >= 0 && before !== slots[i]) moved += 1;
    }
    return moved;
  }
}
