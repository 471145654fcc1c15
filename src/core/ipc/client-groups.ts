/**
 * Requests of a client about groups: its sockets join and leave, and anycast finds a node.
 *
 * Owns the checks of what a client wrote; who is in which group is the sessions' matter
 * (core/session/memberships.ts). Rules for remote clients that say where one may send say also
 * which groups it may hear.
 */

import { SpinesError } from '../base/errors.ts';
import { isAnycastId, isGroupId, parseNodeId, type NodeId } from '../base/ids.ts';
import type { DatagramSession } from '../session/datagram-session.ts';
import { SLOW_BRANCHES, type SlowBranch } from '../session/slow-branch.ts';
import { text, type Arguments } from './arguments.ts';
import type { ClientRules } from './client-rules.ts';
import type { ClientServices } from './client-services.ts';

/** The group that `args.group` names. Throws SpinesError EINVAL. */
export function groupOf(args: Arguments): number {
  const written = text(args, 'group');
  const group = parseNodeId(written);
  if (group === null || (!isGroupId(group) && !isAnycastId(group)))
    throw new SpinesError(
      'EINVAL',
      `group must be an address from 224.0.0.0 to 255.255.255.254, not ${written.slice(0, 40)}`,
    );
  return group;
}

/** Adds `session` to the group that `args` names, or takes it out. Throws SpinesError. */
export function changeMembership(
  joins: boolean,
  session: DatagramSession,
  args: Arguments,
  services: ClientServices,
  rules: ClientRules,
): void {
  const group = groupOf(args);
  const source = sourceOf(args, group, services);
  const { memberships } = services.sessions;
  if (!joins) {
    memberships.leave(session, group, source);
    return;
  }
  if (session.port === 0)
    throw new SpinesError('EINVAL', 'a socket has to be bound before it joins a group');
  if (session.secret && isGroupId(group))
    throw new SpinesError(
      'EOPNOTSUPP',
      "what is sent to a group is sealed on links only; open the socket with secrecy 'links'",
    );
  rules.demand('send', group, session.port, 'datagram');
  memberships.join(session, group, source);
}

function sourceOf(args: Arguments, group: number, services: ClientServices): NodeId | null {
  if (args['source'] === undefined || args['source'] === null) return null;
  if (!isGroupId(group))
    throw new SpinesError('EINVAL', 'an anycast group is joined for all sources; leave source out');
  const written = text(args, 'source');
  const node = services.resolve(written);
  if (node === null) throw services.unknown(written);
  return node;
}

/**
 * The node that a stream to `name` goes to, where that is an anycast group: the nearest that is in
 * it; null: it is none. Throws SpinesError ENOTFOUND.
 */
export function anycastOf(name: string, services: ClientServices): NodeId | null {
  const group = parseNodeId(name);
  if (group === null || !isAnycastId(group)) return null;
  const node = services.sessions.memberships.nearest(group);
  if (node === null)
    throw new SpinesError('ENOTFOUND', `nobody in the anycast group ${name} can be reached`);
  return node;
}

/** What a socket does where a branch is slow; undefined: not given. Throws SpinesError EINVAL. */
export function slowBranchOf(value: unknown): SlowBranch | undefined {
  if (value === undefined || value === null) return undefined;
  const known = SLOW_BRANCHES.find((name) => name === value);
  if (known === undefined)
    throw new SpinesError('EINVAL', `slowBranch must be one of ${SLOW_BRANCHES.join(', ')}`);
  return known;
}
