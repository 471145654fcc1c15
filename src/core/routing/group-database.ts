/**
 * Who is in which group, by the newest record of every node and page; as what is flooded, in GROUPS
 * frames.
 *
 * Bounded in records and in memberships. Counts the changes of each group, so that what was made of
 * its members knows when it is old. The invariant: under one key the sequence number only grows
 * while a record exists.
 */

import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import { FRAME_GROUPS, FRAME_GROUPS_ACK, FRAME_GROUPS_DIGEST } from '../wire/frames.ts';
import type { GroupsRecord } from '../wire/groups.ts';
import { FloodedRecords } from './flooded-records.ts';

/** Memberships of all nodes together; a record that would make it more is not held. */
export const MEMBERSHIPS_MAX = 65_536;

export interface HeldGroups {
  readonly record: GroupsRecord;
  /** Of its groups those that its certificate allows: what counts. */
  readonly allowed: readonly number[];
  /** Under which it was verified; null in a network without identities. */
  readonly certificate: Certificate | null;
  expiresAt: Micros;
}

interface Group {
  readonly members: Set<NodeId>;
  /** Changes so far, over all groups: no two states of a group have the same. */
  generation: number;
}

const NOBODY: ReadonlySet<NodeId> = new Set();

export class GroupDatabase extends FloodedRecords<HeldGroups> {
  readonly frames = { item: FRAME_GROUPS, ack: FRAME_GROUPS_ACK, digest: FRAME_GROUPS_DIGEST };
  readonly #groups = new Map<number, Group>();
  #memberships = 0;
  #changes = 0;

  /** Of all nodes in all groups. */
  get memberships(): number {
    return this.#memberships;
  }

  /** Groups that somebody is in, in no order. */
  groups(): IterableIterator<number> {
    return this.#groups.keys();
  }

  /** Nodes that are in `group`, this one included; valid until the next change. */
  members(group: number): ReadonlySet<NodeId> {
    return this.#groups.get(group)?.members ?? NOBODY;
  }

  /** Another number whenever the members of `group` are others. */
  generation(group: number): number {
    return this.#groups.get(group)?.generation ?? 0;
  }

  /** Whether there is room for `record` in place of the one that is held under its key. */
  fits({ id, groups }: GroupsRecord): boolean {
    const held = this.held.get(id);
    return (
      (held !== undefined || this.held.size < this.limit) &&
      this.#memberships - (held?.allowed.length ?? 0) + groups.length <= MEMBERSHIPS_MAX
    );
  }

  install(held: HeldGroups): void {
    const { id, origin } = held.record;
    const before = this.held.get(id)?.allowed ?? [];
    this.held.set(id, held);
    this.#count(origin, before, held.allowed);
  }

  remove(key: number): void {
    const held = this.held.get(key);
    if (held === undefined) return;
    this.held.delete(key);
    this.#count(held.record.origin, held.allowed, []);
  }

  /** `origin` is in `now` by one of its records, and was in `before`; both ascend. */
  #count(origin: NodeId, before: readonly number[], now: readonly number[]): void {
    this.#memberships += now.length - before.length;
    const stays = new Set(now);
    for (const group of before) if (!stays.has(group)) this.#leave(group, origin);
    for (const group of now) {
      let of = this.#groups.get(group);
      if (of?.members.has(origin) === true) continue;
      if (of === undefined) this.#groups.set(group, (of = { members: new Set(), generation: 0 }));
      of.members.add(origin);
      of.generation = this.#changes += 1;
    }
  }

  #leave(group: number, origin: NodeId): void {
    const of = this.#groups.get(group);
    if (of === undefined || this.#isElsewhere(group, origin)) return;
    of.members.delete(origin);
    of.generation = this.#changes += 1;
    if (of.members.size === 0) this.#groups.delete(group);
  }

  /** Whether another page of `origin` has the group too: pages of a moment may overlap. */
  #isElsewhere(group: number, origin: NodeId): boolean {
    for (const { record, allowed } of this.held.values())
      if (record.origin === origin && allowed.includes(group)) return true;
    return false;
  }
}
