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
/** Number of a flow: link services have three bits in a packet's header. `@hot` */
export function flowNumber(destination: NodeId, service: number): number {
  return destination * 8 + service;
}

export class FlowTable {
  readonly #flows = new Map<number, SourceFlow>();
  readonly #toward = new Map<NodeId, SourceFlow[]>();
  readonly #onGone: (flow: SourceFlow) => void;

  /** `onGone` hears of each flow that had to give way, after it has left the table. */
  constructor(onGone: (flow: SourceFlow) => void) {
    this.#onGone = onGone;
  }

  /** In the order of their first packet. */
  all(): IterableIterator<SourceFlow> {
    return this.#flows.values();
  }

  /** Those to `destination`, one for each link service, in the order of their first packet. */
  toward(destination: NodeId): readonly SourceFlow[] {
    return this.#toward.get(destination) ?? [];
  }

  get(destination: NodeId, service: number): SourceFlow | undefined {
    return this.#flows.get(flowNumber(destination, service));
  }

  /** Adds a flow that `user` begins now. */
  add(flow: SourceFlow, user: object, now: Micros): void {
    if (this.#flows.size >= FLOWS_MAX) this.#evict(user, now);
    this.#flows.set(flowNumber(flow.destination, flow.service), flow);
    this.#toward.set(flow.destination, [...this.toward(flow.destination), flow]);
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
    const { destination, service } = victim;
    this.#flows.delete(flowNumber(destination, service));
    const beside = this.toward(destination).filter((flow) => flow !== victim);
    if (beside.length > 0) this.#toward.set(destination, beside);
    else this.#toward.delete(destination);
    this.#onGone(victim);
  }
}
