/**
 * Draining: an operator has a daemon carry nothing for others any longer, and hears when nobody
 * misses it.
 *
 * Owns the question who would be cut off. The daemon goes on; who asked stops it (`spines drain`).
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { truth, type Arguments } from '../ipc/arguments.ts';
import { carriesTransit } from '../wire/node-facts.ts';
import { advertises } from '../routing/shortest-path.ts';
import type { DrainReply, OperationAnswer } from 'spines-client/protocol';
import { ms, type Operator } from './operation.ts';

/** Named in an answer. */
const CUT_OFF_MAX = 64;

/**
 * Begins to drain, goes on with it, or ends it (`end`). EBUSY: nodes would be cut off from others,
 * and `force` was not said.
 */
export function drain(operator: Operator, args: Arguments): OperationAnswer<'drain'> {
  const { transit } = operator.node;
  const force = truth(args, 'force');
  if (truth(args, 'end')) {
    transit.drain(false);
    return drainReply(operator);
  }
  const reply = drainReply(operator);
  if (!transit.draining && reply.cutOff.length > 0 && !force) {
    const names = reply.cutOff.map(({ name, node }) => name ?? node).join(', ');
    throw new SpinesError(
      'EBUSY',
      `${names} would be cut off from other nodes without this one; give them another link, or ` +
        'drain all the same with --force',
    );
  }
  transit.drain(true);
  return drainReply(operator);
}

function drainReply(operator: Operator): DrainReply {
  const { transit, router, links, dissemination } = operator.node;
  let queuedBytes = 0,
    unacknowledged = 0;
  for (const link of links.all()) {
    queuedBytes += link.queueBytes;
    unacknowledged += link.unacknowledged;
  }
  return {
    schema: 1,
    state: !transit.draining ? 'serving' : transit.drained ? 'drained' : 'draining',
    quietMs: ms(transit.quietUs),
    queuedBytes,
    unacknowledged,
    waitingForRoute: dissemination.waiting,
    cutOff: cutOff(operator)
      .slice(0, CUT_OFF_MAX)
      .map((node) => ({ node: formatNodeId(node), name: router.nameOf(node) })),
  };
}

/**
 * Nodes that reach the most of the others through this one alone, in the order of their ids: all
 * that have no way into the largest part that the network falls into without it.
 */
function cutOff({ node: { router, config } }: Operator): NodeId[] {
  const others = new Map(
    router
      .sortedRecords()
      .map(({ advertisement }) => advertisement)
      .filter(({ origin }) => origin !== config.id && router.reachable(origin))
      .map((advertisement) => [advertisement.origin, advertisement]),
  );
  const neighbours = (of: NodeId): NodeId[] =>
    others
      .get(of)!
      .links.map(({ node }) => node)
      .filter((node) => others.has(node) && advertises(others.get(node)!.links, of));
  const carriers = [...others.values()].filter(({ facts }) => carriesTransit(facts));
  const left = new Set(carriers.map(({ origin }) => origin));
  // Where nobody carries anything each is an end by itself.
  const nobody = [...others.keys()].slice(0, 1);
  let main = nobody;
  for (const first of left) {
    const part = [first];
    left.delete(first);
    for (const at of part)
      for (const next of neighbours(at)) if (left.delete(next)) part.push(next);
    if (part.length > main.length || main === nobody) main = part;
  }
  const kept = new Set(main);
  return [...others.keys()].filter(
    (node) => !kept.has(node) && !neighbours(node).some((next) => kept.has(next)),
  );
}
