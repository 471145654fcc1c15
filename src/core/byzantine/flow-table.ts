/**
 * The flows of one source, and who of its users has how many: bounded, and whoever has most gives
 * way.
 *
 * Owns the table and the count of packets that wait; a flow is source-flow.ts's. A user is a client
 * of the daemon, or whoever else sends. A flow that several use counts for each of them, and is the
 * last of theirs to go.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Micros } from '../base/time.ts';
import type { SourceFlow } from './source-flow.ts';

/** Destinations in use, times link services. */
export const FLOWS_MAX = 1_024;
/** Who has not sent on a flow for so long does not use it any longer. */
const UNUSED_AFTER: Micros = 60 * SECOND;
/**
 * Packets of one user that wait for paths, to all destinations together: more than a client library
 * is ahead of a daemon that has told it to wait (512 KiB, 192 B and more for each).
 */

export function flowName(destination: NodeId, service: number): string {
  return `${destination} ${service}`;
}

export class FlowTable {
  readonly #flows = new Map<string, SourceFlow>();
  readonly #onGone: (flow: SourceFlow) => void;

  /** `onGone` hears of each flow that had to give way, after it has left the table. */
  constructor(onGone: (flow: SourceFlow) => void) {
    this.#onGone = onGone;
  }

  /** In the order of their first packet. */
  all(): IterableIterator<SourceFlow> {
    return this.#flows.values();
  }

  get(destination: NodeId, service: number): SourceFlow | undefined {
    return this.#flows.get(flowName(destination, service));
  }

  /** Adds a flow that `user` begins now. */
  add(flow: SourceFlow, user: object, now: Micros): void {
    if (this.#flows.size >= FLOWS_MAX) this.#evict(user, now);
    this.#flows.set(flowName(flow.destination, flow.service), flow);
  }

  #evict(newcomer: object, now: Micros): void {
    const counts = new Map<object, number>([[newcomer, 1]]);
    for (const flow of this.#flows.values()) {
      for (const [user, at] of flow.users) {
        if (now - at > UNUSED_AFTER) flow.users.delete(user);
        else counts.set(user, (counts.get(user) ?? 0) + 1);
      }
    }
    let greediest = newcomer;
    for (const [user, count] of counts) if (count > counts.get(greediest)!) greediest = user;
    // First what nobody uses, then what only the greediest does, then what it shares: each time the
    // one used longest ago.
    let victim: SourceFlow | null = null,
      least = Infinity,
      rank = Infinity;
    for (const flow of this.#flows.values()) {
      const of =
        flow.users.size === 0 ? 0 : !flow.users.has(greediest) ? 3 : flow.users.size === 1 ? 1 : 2;
      if (of > rank || (of === rank && flow.usedAt >= least)) continue;
      [victim, least, rank] = [flow, flow.usedAt, of];
    }
    if (victim === null) return;
    this.#flows.delete(flowName(victim.destination, victim.service));
    this.#onGone(victim);
  }
}
