/**
 * The requests of all sources that may still be answered, at one node of the flood.
 *
 * Owns which are kept: a bound for all and one for each source, and room made at the cost of the
 * source that has most. What is done with a request is Discovery's (discovery.ts), who hears of
 * each that goes.
 */

import type { NodeId } from '../base/ids.ts';
import type { Micros, Timer } from '../base/time.ts';
import type { RouteQuestion, RouteRequest, RouteResponse } from '../wire/discovery.ts';

/** Requests remembered, of all sources and of one. */
export const REQUESTS_MAX = 1_024;
export const LIVE_PER_SOURCE = 64;

/** A request that may still be answered. */
export interface LiveRequest {
  readonly request: RouteRequest;
  readonly hash: Uint8Array;
  readonly until: Micros;
  /** Of the lightest response accepted. */
  best: number;
  /** Responses that each neighbour had us verify. */
  readonly heard: Map<NodeId, number>;
  /** Of responses passed on. */
  sends: number;
  nextSendAt: Micros;
  /** The lightest one not yet passed on. */
  waiting: RouteResponse | null;
  timer: Timer | null;
  /**
   * Of our own: nodes that were started anew since it was asked. What they answered to it, their
   * former runs did.
   */
  readonly restarted: Set<NodeId>;
}

/** The requests that may still be answered: REQUESTS_MAX of all sources, LIVE_PER_SOURCE of one. */
export class RequestTable {
  readonly #drop: (live: LiveRequest) => void;
  /** By name, oldest first. All live equally long. */
  readonly #all = new Map<string, LiveRequest>();
  /** The same, by source. */
  readonly #bySource = new Map<NodeId, Set<LiveRequest>>();

  /** `drop` hears of each that goes. */
  constructor(drop: (live: LiveRequest) => void) {
    this.#drop = drop;
  }

  get size(): number {
    return this.#all.size;
  }

  find(question: RouteQuestion): LiveRequest | null {
    return this.#all.get(nameOf(question)) ?? null;
  }

  /** Makes room, if need be, at the cost of the source that has most. */
  add(live: LiveRequest): void {
    const { source } = live.request;
    const own = this.#bySource.get(source) ?? new Set();
    if (own.size >= LIVE_PER_SOURCE) this.#remove(oldestOf(own));
    else if (this.#all.size >= REQUESTS_MAX) this.#remove(oldestOf(this.#greediest()));
    own.add(live);
    this.#bySource.set(source, own);
    this.#all.set(nameOf(live.request), live);
  }

  expire(now: Micros): void {
    for (const live of this.#all.values()) {
      if (live.until > now) return;
      this.#remove(live);
    }
  }

  clear(): void {
    for (const live of this.#all.values()) this.#remove(live);
  }

  #greediest(): Set<LiveRequest> {
    let most = new Set<LiveRequest>();
    for (const own of this.#bySource.values()) if (own.size > most.size) most = own;
    return most;
  }

  #remove(live: LiveRequest): void {
    const own = this.#bySource.get(live.request.source)!;
    own.delete(live);
    if (own.size === 0) this.#bySource.delete(live.request.source);
    this.#all.delete(nameOf(live.request));
    this.#drop(live);
  }
}

function oldestOf(own: ReadonlySet<LiveRequest>): LiveRequest {
  return own.values().next().value!;
}

function nameOf({ source, epoch, sequence }: RouteQuestion): string {
  return `${source} ${epoch} ${sequence}`;
}
