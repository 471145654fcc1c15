/**
 * Which links have a problem now, by what their own ends advertise: noticed at once, left slowly.
 *
 * Owns, for each direction of a link, the least latency of the last ten minutes or so, and since
 * when it is well again. A problem is on when more than 2 % is lost, or the latency is a quarter
 * and 5 ms above its least; it is off when both have been clearly better for 5 s, twice as long for
 * each onset within ten minutes, 120 s at most (thresholds of A. Babay and others, ICDCS 2017, and
 * of Spines 5.7). What is advertised of a link that is well differs by up to 1.5 points from what
 * is measured, so that is where it is off. Only an end of a link can make it a problem. Bounded by
 * the link-state database. What follows from it is path-graphs.ts's and graph-choice.ts's.
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';
import {
  LATENCY_UNIT_US,
  LINKS_PER_NODE_MAX,
  type AdvertisedLink,
  type Advertisement,
} from '../wire/link-state.ts';

const LOSS_ON = 0.02,
  LOSS_OFF = 0.015;
/** Above the least latency by both of these. */
const LATER_ON = 1.25,
  LATER_ON_US: Micros = 5 * MILLISECOND,
  LATER_OFF = 1.15,
  LATER_OFF_US: Micros = 3 * MILLISECOND;
/** The least of one to two of these counts. */
const SPAN: Micros = 300 * SECOND;
const HOLD_FIRST: Micros = 5 * SECOND;
export const HOLD_MAX: Micros = 120 * SECOND;
const SOON: Micros = 600 * SECOND;
/** Links of one node that are remembered, of those that it no longer has too. */
const REMEMBERED_MAX = 2 * LINKS_PER_NODE_MAX;
const FORGOTTEN: Micros = SOON;

export interface ProblemLink {
  readonly from: NodeId;
  readonly to: NodeId;
  /** 0..1. */
  readonly loss: number;
  readonly latencyUs: Micros;
  readonly since: Micros;
}

/** One direction of a link. */
class Condition implements ProblemLink {
  readonly from: NodeId;
  readonly to: NodeId;
  loss = 0;
  latencyUs: Micros = 0;
  /** When the problem began. */
  since: Micros = 0;
  toldAt: Micros = 0;
  isProblem = false;
  #onsets = 0;
  #onsetAt: Micros = -SOON;
  /** Since when it is well while the problem is on; -1: it is not. */
  #wellSince: Micros = -1;
  #spanBegan: Micros = 0;
  #least: Micros;
  #leastBefore: Micros;

  constructor(from: NodeId, to: NodeId, latencyUs: Micros, now: Micros) {
    this.from = from;
    this.to = to;
    this.#least = this.#leastBefore = latencyUs;
    this.#spanBegan = now;
  }

  /** Whether it is another than before: a problem, or none. */
  onTold(link: AdvertisedLink, now: Micros): boolean {
    this.#turn(now);
    this.toldAt = now;
    this.loss = link.loss / 65_535;
    this.latencyUs = link.latency * LATENCY_UNIT_US;
    this.#least = Math.min(this.#least, this.latencyUs);
    const base = Math.min(this.#least, this.#leastBefore);
    if (this.loss > LOSS_ON || this.latencyUs > later(base, LATER_ON, LATER_ON_US)) {
      this.#wellSince = -1;
      if (this.isProblem) return false;
      this.#onsets = now - this.#onsetAt < SOON ? this.#onsets + 1 : 1;
      this.#onsetAt = this.since = now;
      return (this.isProblem = true);
    }
    const well = this.loss < LOSS_OFF && this.latencyUs <= later(base, LATER_OFF, LATER_OFF_US);
    if (!well) this.#wellSince = -1;
    else if (this.#wellSince < 0) this.#wellSince = now;
    return false;
  }

  /** True when the problem is over now. */
  isOver(now: Micros): boolean {
    const hold = Math.min(HOLD_MAX, HOLD_FIRST * 2 ** Math.min(8, this.#onsets - 1));
    if (this.#wellSince < 0 || now - this.#wellSince < hold) return false;
    this.isProblem = false;
    return true;
  }

  /** A latency that stays for ten minutes is that of the link. */
  #turn(now: Micros): void {
    if (now - this.#spanBegan < SPAN) return;
    const current = this.toldAt > 0 ? this.latencyUs : this.#least;
    this.#leastBefore = now - this.#spanBegan < 2 * SPAN ? this.#least : current;
    this.#least = current;
    this.#spanBegan = now;
  }
}

function later(base: Micros, factor: number, more: Micros): Micros {
  return Math.max(factor * base, base + more);
}

export class ProblemLinks {
  /** Another number whenever a problem began or ended. */
  epoch = 0;
  readonly #byOrigin = new Map<
    NodeId,
    { told: Advertisement; readonly links: Map<NodeId, Condition> }
  >();
  readonly #on = new Set<Condition>();

  /** Those that there are now. */
  get all(): Iterable<ProblemLink> {
    return this.#on;
  }

  get size(): number {
    return this.#on.size;
  }

  has(from: NodeId, to: NodeId): boolean {
    if (this.#on.size === 0) return false;
    return this.#byOrigin.get(from)?.links.get(to)?.isProblem === true;
  }

  /** What nodes advertise now. What has not changed costs a look at each node. */
  observe(advertisements: Iterable<Advertisement>, now: Micros): void {
    let nodes = 0;
    for (const advertisement of advertisements) {
      nodes += 1;
      const known = this.#byOrigin.get(advertisement.origin);
      if (known?.told === advertisement) continue;
      if (known === undefined)
        this.#byOrigin.set(advertisement.origin, { told: advertisement, links: new Map() });
      else known.told = advertisement;
      this.#onTold(advertisement, now);
    }
    if (nodes < this.#byOrigin.size) this.#forget(new Set(origins(advertisements)));
    this.refresh(now);
  }

  /** Ends what has been well for long enough. */
  refresh(now: Micros): void {
    for (const condition of this.#on) {
      if (!condition.isOver(now)) continue;
      this.#on.delete(condition);
      this.epoch += 1;
    }
  }

  #onTold({ origin, links }: Advertisement, now: Micros): void {
    const { links: known } = this.#byOrigin.get(origin)!;
    for (const link of links) {
      let condition = known.get(link.node);
      if (condition === undefined) {
        if (known.size >= REMEMBERED_MAX) this.#forgetOld(known, now);
        condition = new Condition(origin, link.node, link.latency * LATENCY_UNIT_US, now);
        known.set(link.node, condition);
      }
      if (!condition.onTold(link, now)) continue;
      this.#on.add(condition);
      this.epoch += 1;
    }
  }

  /** What a node no longer has; the caller adds one afterwards. */
  #forgetOld(known: Map<NodeId, Condition>, now: Micros): void {
    let oldest: Condition | null = null;
    for (const condition of known.values()) {
      if (now - condition.toldAt > FORGOTTEN) this.#drop(known, condition);
      else if (oldest === null || condition.toldAt < oldest.toldAt) oldest = condition;
    }
    if (known.size >= REMEMBERED_MAX && oldest !== null) this.#drop(known, oldest);
  }

  #drop(known: Map<NodeId, Condition>, condition: Condition): void {
    known.delete(condition.to);
    if (this.#on.delete(condition)) this.epoch += 1;
  }

  #forget(present: ReadonlySet<NodeId>): void {
    for (const [origin, { links }] of this.#byOrigin) {
      if (present.has(origin)) continue;
      this.#byOrigin.delete(origin);
      for (const condition of links.values()) this.#drop(links, condition);
    }
  }
}

function* origins(advertisements: Iterable<Advertisement>): Iterable<NodeId> {
  for (const { origin } of advertisements) yield origin;
}
