/**
 * Which node a socket's messages to an anycast group go to: the nearest that is in it, and the same
 * one again for as long as that is near enough.
 *
 * Owns the choice of one socket; members and costs are asked for. Bounded in groups. A packet goes
 * to the node as any other does: nobody on the way chooses anew, so none goes round.
 */

import type { NodeId } from '../base/ids.ts';

/** Kept while it costs no more than this beyond the nearest, in shares and in 10 us. */
const STICKY_SHARE = 1.25,
  STICKY_UNITS = 200;
/** Of one socket; the one used longest ago gives way. */
const GROUPS_MAX = 64;

/** What the choice is made of. */
export interface Nearness {
  members(group: number): ReadonlySet<NodeId>;
  /** Of the way to `node`; 0: this node; -1: none. */
  costTo(node: NodeId): number;
  /** Another number whenever costs may be others. */
  version(): number;
  /** Another number whenever the members of `group` are others. */
  generation(group: number): number;
}

/** The member of least cost, the lower id among equals; null: none can be reached. */
export function nearest(group: number, near: Nearness): NodeId | null {
  let best: NodeId | null = null,
    least = Infinity;
  for (const node of near.members(group)) {
    const cost = near.costTo(node);
    if (cost < 0 || cost > least || (cost === least && node > (best ?? 0))) continue;
    best = node;
    least = cost;
  }
  return best;
}

interface Chosen {
  readonly node: NodeId;
  /** Of what it was chosen by. */
  readonly version: number;
  readonly generation: number;
}

export class Anycast {
  readonly #chosen = new Map<number, Chosen>();

  /** Where the next message to `group` goes; null: nobody is there. */
  next(group: number, near: Nearness): NodeId | null {
    const chosen = this.#chosen.get(group);
    const version = near.version(),
      generation = near.generation(group);
    if (chosen?.version === version && chosen.generation === generation) return chosen.node;
    let node = nearest(group, near);
    this.#chosen.delete(group);
    if (node === null) return null;
    if (chosen !== undefined && isNearEnough(chosen.node, node, group, near)) ({ node } = chosen);
    this.#chosen.set(group, { node, version, generation });
    if (this.#chosen.size > GROUPS_MAX) this.#chosen.delete(this.#chosen.keys().next().value!);
    return node;
  }
}

function isNearEnough(chosen: NodeId, best: NodeId, group: number, near: Nearness): boolean {
  const cost = near.costTo(chosen);
  return (
    near.members(group).has(chosen) &&
    cost >= 0 &&
    cost <= near.costTo(best) * STICKY_SHARE + STICKY_UNITS
  );
}
