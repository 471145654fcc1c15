/**
 * A budget for what strangers ask for, part of which no flood from one address can use up: so many
 * actions a second for whoever is first, and some more that only sources may take which make no
 * more than their share.
 *
 * Where addresses can be made up, a flood in everybody's names takes both, and one in the name of a
 * single address takes that one's share: the first part is for all the same. So a budget is as
 * large as what it may cost, and not larger than its kind needs.
 */

import { SourceBudget } from './source-budget.ts';
import type { Micros } from './time.ts';
import { TokenBucket } from './token-bucket.ts';

export interface SharedBudgetLimits {
  readonly perSecond: number;
  readonly burst: number;
  /** Beyond those, for sources within their share. */
  readonly keptPerSecond: number;
  readonly keptBurst: number;
  /** Of one source, of so many that are remembered. */
  readonly sharePerSecond: number;
  readonly shareBurst: number;
  readonly sources: number;
}

export class SharedBudget {
  readonly #all: TokenBucket;
  readonly #kept: TokenBucket;
  readonly #shares: SourceBudget;

  constructor({
    perSecond,
    burst,
    keptPerSecond,
    keptBurst,
    sharePerSecond,
    shareBurst,
    sources,
  }: SharedBudgetLimits) {
    this.#all = new TokenBucket(perSecond, burst);
    this.#kept = new TokenBucket(keptPerSecond, keptBurst);
    this.#shares = new SourceBudget(sharePerSecond, shareBurst, sources);
  }

  take(source: string, now: Micros): boolean {
    const withinShare = this.#shares.take(source, now);
    return this.#all.take(now) || (withinShare && this.#kept.take(now));
  }
}
