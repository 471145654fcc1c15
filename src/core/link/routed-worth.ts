/**
 * What a link is worth to routes: latency and loss, told more steadily than they are measured.
 *
 * Joins the damping of a link that dies again and again with that of numbers that go up and down
 * (`stability.ts`). Plain arithmetic; the link hands in what it measures.
 */

import { MILLISECOND, type Micros } from '../base/time.ts';
import { Damping, Hold, Swings } from './stability.ts';

/**
 * What routes hear of a link that dies again and again: at the latency of any path it is dearer
 * than a detour of a hundred hops.
 */
export const DAMPED_LOSS = 0.9;

export class RoutedWorth {
  readonly #damping = new Damping();
  /** What routes are told of latency, microseconds, and loss, 0..1. */
  readonly #latencyTold: Swings;
  readonly #lossTold: Swings;

  constructor() {
    const hold = new Hold();
    this.#latencyTold = new Swings(1 * MILLISECOND, hold);
    this.#lossTold = new Swings(0.015, hold);
  }

  /** The link died. */
  onDeath(now: Micros): void {
    this.#damping.onDeath(now);
  }

  /** It died again and again of late. */
  damped(now: Micros): boolean {
    return this.#damping.suppressed(now);
  }

  /** One-way latency, microseconds, for one of `measuredUs`. */
  latencyUs(measuredUs: Micros, now: Micros): Micros {
    return this.#latencyTold.show(measuredUs, now);
  }

  /** Loss towards the peer, 0..1, for one that was measured. */
  loss(measured: number, now: Micros): number {
    return Math.max(this.#lossTold.show(measured, now), this.damped(now) ? DAMPED_LOSS : 0);
  }
}
