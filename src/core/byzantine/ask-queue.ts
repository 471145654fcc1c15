/**
 * Which destination is asked for next: requests leave at the pace that other nodes take of one
 * source, and users share it.
 *
 * A user is whoever sends (a client of the daemon); what the items are is the caller's business.
 * Users take turns, and a part of the pace is kept for those who ask for little: one that asks for
 * hundreds of destinations delays itself. An item that several wait for leaves with the first turn
 * of any of them.
 */

import { SECOND, type Micros } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';

/**
 * Requests of one source: below what others remember of it and take, LIVE_PER_SOURCE in a lifetime.
 */
const PACE_PER_SECOND = 8;
const PACE_BURST = 36;
/** Kept of these for users who have not had OWN_BURST of late. */
const RESERVE = 8;
const OWN_PER_SECOND = 1;
const OWN_BURST = 4;

/** Who is meant where nobody is said. */
export const ANYBODY: object = Object.freeze({});

export class AskQueue<T> {
  readonly #pace = new TokenBucket(PACE_PER_SECOND, PACE_BURST);
  /** What each user may take of the reserve. */
  readonly #own = new WeakMap<object, TokenBucket>();
  /** Items by user; whose turn is next comes first. None is empty. */
  readonly #waiting = new Map<object, Set<T>>();

  add(item: T, users: Iterable<object>): void {
    for (const user of users) {
      const items = this.#waiting.get(user);
      if (items === undefined) this.#waiting.set(user, new Set([item]));
      else items.add(item);
    }
  }

  delete(item: T): void {
    for (const [user, items] of this.#waiting)
      if (items.delete(item) && items.size === 0) this.#waiting.delete(user);
  }

  clear(): void {
    this.#waiting.clear();
  }

  /**
   * Takes the item whose turn it is, null when there is none or the pace allows none now: `nextAt`
   * says when.
   */
  take(now: Micros): T | null {
    for (const [user, items] of this.#waiting) {
      if (!this.#mayTake(user, now)) continue;
      const item = items.values().next().value!;
      this.delete(item);
      // The others come first now.
      if (items.size > 0) {
        this.#waiting.delete(user);
        this.#waiting.set(user, items);
      }
      return item;
    }
    return null;
  }

  /** When `take` may have something; null when nothing waits. After a `take` that gave null. */
  nextAt(now: Micros): Micros | null {
    if (this.#waiting.size === 0) return null;
    // With a full token some user may take it, or all must wait until the reserve is full.
    let at = now + untilLevel(this.#pace, PACE_PER_SECOND, RESERVE + 1, now);
    const shared = now + untilLevel(this.#pace, PACE_PER_SECOND, 1, now);
    for (const user of this.#waiting.keys())
      at = Math.min(
        at,
        Math.max(shared, now + untilLevel(this.#ownOf(user), OWN_PER_SECOND, 1, now)),
      );
    return Math.max(at, now + 1);
  }

  #mayTake(user: object, now: Micros): boolean {
    const level = this.#pace.level(now);
    return (
      (level >= RESERVE + 1 || (level >= 1 && this.#ownOf(user).take(now))) && this.#pace.take(now)
    );
  }

  #ownOf(user: object): TokenBucket {
    let own = this.#own.get(user);
    if (own === undefined) this.#own.set(user, (own = new TokenBucket(OWN_PER_SECOND, OWN_BURST)));
    return own;
  }
}

/** How long until `bucket` has `level`; exact enough to find it there. */
export function untilLevel(
  bucket: TokenBucket,
  perSecond: number,
  level: number,
  now: Micros,
): Micros {
  return Math.max(0, Math.ceil(((level - bucket.level(now)) / perSecond) * SECOND) + 1);
}
