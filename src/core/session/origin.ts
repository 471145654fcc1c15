/**
 * Where a packet for this node came from, as far as that can't be forged: what is bounded here is
 * shared by it.
 *
 * Sources that are proved have a part of their own, shared by source. A claimed source is what
 * anybody writes: their part is shared by the link that they came on, which is no claim, and within
 * a link by source.
 */

import type { Holder } from '../base/fair-places.ts';
import type { NodeId } from '../base/ids.ts';

/** A Packet says it. */
export interface Origin {
  readonly authenticated: boolean;
  /** The neighbour that brought it, 0 when it began here. */
  readonly via: NodeId;
  readonly source: NodeId;
}

/** Among those of its kind: the proved source, or the link that brought a claimed one. */
export function groupOf({ authenticated, via, source }: Origin): NodeId {
  return authenticated ? source : via;
}

/** The same as text, of both kinds. */
export function originName(origin: Origin): string {
  return `${origin.authenticated ? 'proved' : 'claimed'} ${groupOf(origin)}`;
}

export function holderOf(origin: Origin): Holder {
  const group = groupOf(origin);
  // Proved sources and links are two kinds of group: the former count below zero.
  return [origin.authenticated ? -1 - group : group, origin.source];
}
