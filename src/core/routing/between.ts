/**
 * Whether a node can lie on any way between two others that passes no node twice, however long.
 *
 * It does exactly when it reaches both by ways that share nothing but itself (Menger): a flow of
 * two units through nodes that carry one each, found by two searches. Pure. Called by
 * capable-ways.ts for routing that chooses its ways itself.
 */

import type { NodeId } from '../base/ids.ts';

/** Of a node, with whom it may have a link; nodes that are not known have none. */
export type NeighboursOf = (node: NodeId) => Iterable<NodeId>;

/** Whether `node`, which is neither end, can lie between `one` and `other`. */
export function liesBetween(
  node: NodeId,
  one: NodeId,
  other: NodeId,
  neighboursOf: NeighboursOf,
): boolean {
  // The first way, to whichever end is nearer.
  const before = new Map<NodeId, NodeId>([[node, node]]);
  let end: NodeId | null = null;
  for (const at of before.keys()) {
    if (at === one || at === other) {
      end = at;
      break;
    }
    for (const next of neighboursOf(at)) if (!before.has(next)) before.set(next, at);
  }
  if (end === null) return false;
  /** On the first way: the node before each. */
  const taken = new Map<NodeId, NodeId>();
  for (let at = end; at !== node; at = before.get(at)!) taken.set(at, before.get(at)!);
  const goal = end === one ? other : one;
  // The second may push the first aside: what enters one of its nodes leaves it backwards along it.
  const entered = new Set<NodeId>(),
    left = new Set<NodeId>([node]);
  const queue: { readonly at: NodeId; readonly leaves: boolean }[] = [{ at: node, leaves: true }];
  const enter = (at: NodeId): void => {
    if (entered.has(at)) return;
    entered.add(at);
    queue.push({ at, leaves: false });
  };
  for (const { at, leaves } of queue) {
    if (!leaves) {
      // Entered from outside, a node of the first way can only be left to the one before it.
      const onward = taken.get(at) ?? at;
      if (left.has(onward)) continue;
      left.add(onward);
      queue.push({ at: onward, leaves: true });
      continue;
    }
    if (at === goal) return true;
    for (const next of neighboursOf(at)) if (next !== node && taken.get(next) !== at) enter(next);
    // Backwards through it: it is passed by the second way alone then.
    if (taken.has(at)) enter(at);
  }
  return false;
}
