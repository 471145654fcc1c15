/**
 * What an operator wants of the link to a neighbour, whichever of the two dials it.
 *
 * Pure. Routes go by what the near end of a link advertises, so a cost is one more part of the
 * latency that is said of it: every node understands that, of any release.
 */

import { formatNodeId, type NodeId } from '../base/ids.ts';
import { SECOND, type Micros } from '../base/time.ts';

/** Of a neighbour. */
export interface NeighbourPolicy {
  /** Dotted quad, or a name as in its certificate. */
  readonly node: string;
  /** Its link counts as longer by this, for what is sent over it. */
  readonly costUs: Micros;
  /** What goes over its link is paid by the byte: only where there is no other way. */
  readonly metered: boolean;
}

export const NEIGHBOURS_MAX = 128;
export const COST_MAX_US: Micros = 1 * SECOND;
/** More than the latency of any way that one would rather take. */
export const METERED_US: Micros = 2 * SECOND;

/** What is added to the latency of the link to that neighbour. */
export function extraUs(
  policies: readonly NeighbourPolicy[],
  node: NodeId,
  name: string | null,
): Micros {
  if (policies.length === 0) return 0;
  const quad = formatNodeId(node);
  const policy =
    policies.find((one) => one.node === quad) ?? policies.find((one) => one.node === name);
  return policy === undefined ? 0 : policy.costUs + (policy.metered ? METERED_US : 0);
}
