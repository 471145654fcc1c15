/**
 * By what a node is known, wherever it said so: its name and the groups of its certificate.
 *
 * An insider need not say its links to be heard: whoever has its key's record opens what it sends.
 * So where there is no advertisement of a node, the certificate of its record tells. Asked by the
 * firewall.
 */

import type { NodeId } from '../base/ids.ts';
import type { LinkStateDatabase } from './link-state-database.ts';
import type { Records } from './records.ts';

export interface KnownBy {
  readonly database: LinkStateDatabase;
  /** Null in a network without identities. */
  readonly records: Records | null;
}

/** Null: nothing is known of it. Without certificates the name is what it calls itself. */
export function namesOf(
  { database, records }: KnownBy,
  node: NodeId,
): { readonly name: string; readonly groups: readonly string[] } | null {
  const known = database.get(node);
  if (known !== undefined)
    return { name: known.advertisement.name, groups: known.certificate?.groups ?? [] };
  const certificate = records?.certificateOf(node) ?? null;
  return certificate === null ? null : { name: certificate.name, groups: certificate.groups };
}

/** Changes when `namesOf` of any node may have. */
export function namesVersion({ database, records }: KnownBy): number {
  return database.identities + (records?.database.identities ?? 0);
}
