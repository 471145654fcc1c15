/**
 * Whether this node carries packets of others: as its configuration has it, and not while it is
 * drained.
 *
 * Owns the two reasons not to, and what of transit is seen meanwhile. That nobody routes through it
 * follows from what it advertises; what comes all the same is carried until all can have heard, so
 * that nothing is lost, and refused from then on: nobody keeps a node from being drained.
 */

import { SECOND, type Clock, type Micros } from '../base/time.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';

/**
 * What comes so long after a node has begun not to carry anything is sent by somebody who does not
 * go by link state.
 */
export const TRANSIT_GRACE: Micros = 5 * SECOND;
/** A node that is drained has not passed anything on for so long. */
export const DRAINED_AFTER: Micros = 1 * SECOND;

export interface TransitEnvironment {
  readonly clock: Pick<Clock, 'now'>;
  readonly drops: DropCounters;
  /** Packets of others passed on since the start. */
  passed(): number;
  /** Bytes, or packets, that a link or a route still owes somebody. */
  waiting(): number;
  /** Tells everybody. */
  tell(carried: boolean): void;
}

export class Transit {
  readonly #env: TransitEnvironment;
  #allowed: boolean;
  #draining = false;
  #refusesFrom: Micros = Infinity;
  /** As they were looked at last: packets passed on, and when that was another number before. */
  #passed = 0;
  #passedAt: Micros = 0;

  constructor(allowed: boolean, env: TransitEnvironment) {
    this.#env = env;
    this.#allowed = allowed;
  }

  /** Whether others may route through this node. */
  get carried(): boolean {
    return this.#allowed && !this.#draining;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Nothing of others has passed for a while, and nothing waits: nobody misses this node. */
  get drained(): boolean {
    return this.#draining && this.quietUs >= DRAINED_AFTER && this.#env.waiting() === 0;
  }

  /** For how long nothing has been passed on, at least; 0 when nobody has looked before. */
  get quietUs(): Micros {
    const passed = this.#env.passed(),
      now = this.#env.clock.now();
    if (passed !== this.#passed) [this.#passed, this.#passedAt] = [passed, now];
    return now - this.#passedAt;
  }

  start(): void {
    this.#changed();
  }

  /** As the configuration has it from now on. */
  allow(allowed: boolean): void {
    if (allowed === this.#allowed) return;
    this.#allowed = allowed;
    this.#changed();
  }

  /** From now on, or no longer. */
  drain(draining: boolean): void {
    if (draining === this.#draining) return;
    this.#draining = draining;
    this.#passed = this.#env.passed();
    this.#passedAt = this.#env.clock.now();
    this.#changed();
  }

  /** Whether a packet of others may not pass; it is counted. `@hot` */
  refuses(): boolean {
    if (this.carried || this.#env.clock.now() < this.#refusesFrom) return false;
    this.#env.drops.count(DropReason.transitRefused);
    return true;
  }

  #changed(): void {
    this.#refusesFrom = this.carried ? Infinity : this.#env.clock.now() + TRANSIT_GRACE;
    this.#env.tell(this.carried);
  }
}
