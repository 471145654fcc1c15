/**
 * Groups of the overlay that a certificate lets its node be in and send to.
 *
 * A certificate has groups of nodes by name; one that is written as addresses, `239.1.0.0-16` for
 * all whose first 16 bits are those of 239.1.0.0, or `239.1.2.3` for one, is a grant. A certificate
 * without grants allows all groups. So there is no form of certificate for it, and daemons before
 * groups read them.
 */

import { isAnycastId, isGroupId, parseNodeId } from '../base/ids.ts';

interface Grant {
  readonly first: number;
  readonly last: number;
}

/** Whether a certificate with these names allows `group`. */
export function allowsGroup(
  { groups }: { readonly groups: readonly string[] },
  group: number,
): boolean {
  if (groups.length === 0) return true;
  const grants = groups.map(grantOf).filter((grant) => grant !== null);
  return grants.length === 0 || grants.some(({ first, last }) => group >= first && group <= last);
}

/** What `name` grants; null: it is the name of a group of nodes. */
export function grantOf(name: string): Grant | null {
  const [, quad = '', bits = '32'] = /^([\d.]+)(?:-(\d{1,2}))?$/.exec(name) ?? [];
  const first = parseNodeId(quad),
    length = Number(bits);
  if (first === null || (!isGroupId(first) && !isAnycastId(first)) || length < 4 || length > 32)
    return null;
  const size = 2 ** (32 - length);
  return first % size === 0 ? { first, last: first + size - 1 } : null;
}
