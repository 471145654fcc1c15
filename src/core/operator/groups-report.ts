/**
 * What operators see of groups: who is in which, what of them passes here, and the tree by which a
 * source reaches its members.
 *
 * Reads only. Bounded by what the daemon holds of groups.
 */

import { formatNodeId, isAnycastId, type NodeId } from '../base/ids.ts';
import type { Arguments } from '../ipc/arguments.ts';
import { groupOf } from '../ipc/client-groups.ts';
import { LATENCY_UNIT_US } from '../wire/link-state.ts';
import type {
  GroupEdge,
  GroupRow,
  GroupSourceRow,
  GroupsReply,
  GroupTreeReply,
  MembersReply,
  PathNode,
} from 'spines-client/protocol';
import { nodeAt } from './look.ts';
import { targetOf } from './nodes-report.ts';
import { ms, type Operator } from './operation.ts';

/** Nodes that are in the group `args.group`. Throws SpinesError EINVAL. */
export function members(operator: Operator, args: Arguments): MembersReply {
  return { members: named(operator, operator.node.groups.members(groupOf(args))) };
}

/**
 * All groups that somebody is in, or that were sent to through here lately; or the one asked for.
 */
export function groupsReport(operator: Operator, args: Arguments): GroupsReply {
  const { groups } = operator.node;
  const sources = new Map<number, GroupSourceRow[]>();
  for (const flow of groups.multicast.flows.all()) {
    const row = {
      ...nodeAt(operator, flow.source),
      from: flow.parent === null ? null : nodeAt(operator, flow.parent),
      branches: flow.children.map((child) => nodeAt(operator, child)),
    };
    const rows = sources.get(flow.group);
    if (rows === undefined) sources.set(flow.group, [row]);
    else rows.push(row);
  }
  const asked = args['group'] === undefined ? null : groupOf(args);
  const all = new Set([...groups.records.database.groups(), ...sources.keys()]);
  const rows = [...all]
    .filter((group) => asked === null || group === asked)
    .sort((a, b) => a - b)
    .map(
      (group): GroupRow => ({
        group: formatNodeId(group),
        kind: isAnycastId(group) ? 'anycast' : 'multicast',
        members: named(operator, groups.members(group)),
        sockets: [...operator.node.sessions.memberships.sessionsIn(group)].length,
        sources: sources.get(group) ?? [],
      }),
    );
  return { schema: 1, groups: rows };
}

/** The tree by which the node `args.from`, or this one, reaches `args.group`. */
export function groupTree(operator: Operator, args: Arguments): GroupTreeReply {
  const { node } = operator;
  const group = groupOf(args);
  const root = args['from'] === undefined ? node.config.id : targetOf(operator, args, 'from');
  const tree = node.groups.trees.of(root);
  const all = node.groups.members(group);
  const edges: GroupEdge[] = [];
  const from = [root];
  for (let at = from.shift(); at !== undefined; at = from.shift()) {
    for (const to of tree.children(at, all).sort((a, b) => a - b)) {
      edges.push({
        from: nodeAt(operator, at),
        to: nodeAt(operator, to),
        latencyMs: latencyOf(operator, at, to),
        member: all.has(to),
      });
      from.push(to);
    }
  }
  const unreached = [...all].filter((member) => !tree.reaches(member));
  return {
    schema: 1,
    group: formatNodeId(group),
    root: nodeAt(operator, root),
    edges,
    unreached: named(operator, unreached),
  };
}

function latencyOf({ node }: Operator, from: NodeId, to: NodeId): number | null {
  const link = node.router.advertisementOf(from)?.links.find((one) => one.node === to);
  return link === undefined ? null : ms(link.latency * LATENCY_UNIT_US);
}

function named(operator: Operator, nodes: Iterable<NodeId>): PathNode[] {
  return [...nodes].sort((a, b) => a - b).map((node) => nodeAt(operator, node));
}
