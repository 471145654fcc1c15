/**
 * Who looks for a path without a flow of its own (a trace): the best of those that come first.
 *
 * Owns the searches under way, a bounded number. Whether there are flows to a destination its
 * router says.
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { DiscoveredPath } from './discovered-path.ts';
import type { Discovery } from './discovery.ts';
import type { WeightList } from './weights.ts';

/** At once. */
const FINDERS_MAX = 64;
/** Paths are waited for so long after the first. */
const FIND_BETTER: Micros = 100 * MILLISECOND;

export interface PathFindersEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly discovery: Discovery;
  readonly weights: WeightList;
  /** Whether a flow of this node goes there. */
  hasFlow(destination: NodeId): boolean;
}

interface Finder {
  readonly destination: NodeId;
  readonly timer: Timer;
  found: boolean;
}

export class PathFinders {
  readonly #env: PathFindersEnvironment;
  readonly #finders = new Set<Finder>();

  constructor(env: PathFindersEnvironment) {
    this.#env = env;
  }

  /**
   * The lightest path to `destination`, asked for if need be; null when none was found in time.
   * False: not looked for, because there is no such node (`exists`) or too many are looking.
   */
  find(
    destination: NodeId,
    exists: boolean,
    timeoutUs: Micros,
    done: (path: DiscoveredPath | null) => void,
  ): boolean {
    const { clock, timers, discovery, weights } = this.#env;
    const known = this.#lightest(destination);
    if (known !== null) {
      done(known);
      return true;
    }
    if (this.#finders.size >= FINDERS_MAX || !exists) return false;
    const finder: Finder = {
      destination,
      found: false,
      timer: new Timer(() => {
        this.#finders.delete(finder);
        // Nobody else waits for it: it is not looked for any longer.
        if (!finder.found && !this.isWanted(destination)) discovery.abandon(destination);
        done(this.#lightest(destination));
      }),
    };
    this.#finders.add(finder);
    timers.arm(finder.timer, clock.now() + timeoutUs);
    // All who trace share what one client has: none of them is delayed by it.
    discovery.discover(destination, weights.entries(), [this.#finders]);
    return true;
  }

  /** A path there was accepted. */
  onPath(destination: NodeId): void {
    const { clock, timers } = this.#env;
    for (const finder of this.#finders) {
      if (finder.destination !== destination || finder.found) continue;
      finder.found = true;
      timers.arm(finder.timer, clock.now() + FIND_BETTER);
    }
  }

  /** Whether somebody here wants paths to `destination`: a flow, or one who looks. */
  isWanted(destination: NodeId): boolean {
    if (this.#env.hasFlow(destination)) return true;
    for (const finder of this.#finders) if (finder.destination === destination) return true;
    return false;
  }

  /** No timer fires afterwards. */
  stop(): void {
    for (const finder of this.#finders) this.#env.timers.cancel(finder.timer);
    this.#finders.clear();
  }

  #lightest(destination: NodeId): DiscoveredPath | null {
    let best: DiscoveredPath | null = null,
      least = Infinity;
    for (const path of this.#env.discovery.paths(destination)) {
      const weight = this.#env.weights.pathWeight(path.nodes);
      if (weight < least) [best, least] = [path, weight];
    }
    return best;
  }
}
