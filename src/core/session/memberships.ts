/**
 * Which sessions of this daemon are in which group, and so which groups the node is in.
 *
 * Owns joins and leaves of sessions, and whom they want to hear. The node is in a group while a
 * session is; when and how others learn of that is routing's (core/routing/own-groups.ts). Bounded
 * in memberships, and by routing in groups.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId, type Port } from '../base/ids.ts';
import { Anycast, nearest, type Nearness } from './anycast.ts';
import type { DatagramSession } from './datagram-session.ts';

/** Of all sessions, each source of a source-specific one by itself. */
export const MEMBERSHIPS_OF_NODE_MAX = 16_384;

/** What memberships ask of routing. */
export interface NodeGroups extends Nearness {
  /** Somebody here is in `group`; false: the node may be in no more. */
  join(group: number): boolean;
  /** Nobody here is any more. */
  leave(group: number): void;
  /** Whether this node's certificate lets it be in `group`. */
  mayJoin(group: number): boolean;
}

/** Whom a session wants to hear of a group: everybody, or these. */
type Sources = 'any' | Set<NodeId>;

export class Memberships {
  readonly #groups: NodeGroups;
  readonly #byGroup = new Map<number, Map<DatagramSession, Sources>>();
  readonly #ofSession = new Map<DatagramSession, Set<number>>();
  #count = 0;

  constructor(groups: NodeGroups) {
    this.#groups = groups;
  }

  /** Memberships of all sessions. */
  get size(): number {
    return this.#count;
  }

  /** Nodes that are in `group`, this one included. */
  members(group: number): ReadonlySet<NodeId> {
    return this.#groups.members(group);
  }

  /** Whether a session is in `group`. */
  has(group: number): boolean {
    return this.#byGroup.has(group);
  }

  /** The node in `group` that is nearest; null: none can be reached. */
  nearest(group: number): NodeId | null {
    return nearest(group, this.#groups);
  }

  /** Where the next message of `session` to the anycast group `group` goes; null: nowhere. */
  nodeFor(session: DatagramSession, group: number): NodeId | null {
    session.anycast ??= new Anycast();
    return session.anycast.next(group, this.#groups);
  }

  /** Groups of sessions here, in no order. */
  groups(): IterableIterator<number> {
    return this.#byGroup.keys();
  }

  /** Groups that `session` is in. */
  groupsOf(session: DatagramSession): Iterable<number> {
    return this.#ofSession.get(session) ?? [];
  }

  /** Sessions in `group`. */
  sessionsIn(group: number): Iterable<DatagramSession> {
    return this.#byGroup.get(group)?.keys() ?? [];
  }

  /**
   * `session` hears `group`: what `source` sends to it, or everybody (null). Throws SpinesError
   * EADDRINUSE (it does already), EINVAL (by source and from everybody at once), EMFILE, EACCES.
   */
  join(session: DatagramSession, group: number, source: NodeId | null): void {
    const sessions = this.#byGroup.get(group);
    const known = sessions?.get(session);
    const name = formatNodeId(group);
    if (known !== undefined && (source === null) !== (known === 'any'))
      throw new SpinesError(
        'EINVAL',
        `the socket is in ${name} ${known === 'any' ? 'with all sources' : 'by source'}; drop ` +
          'that membership first',
      );
    if (known === 'any' || (source !== null && known?.has(source) === true))
      throw new SpinesError('EADDRINUSE', `the socket is in ${name} already`);
    if (this.#count >= MEMBERSHIPS_OF_NODE_MAX)
      throw new SpinesError(
        'EMFILE',
        `this daemon has ${MEMBERSHIPS_OF_NODE_MAX} memberships; drop some`,
      );
    if (!this.#groups.mayJoin(group))
      throw new SpinesError(
        'EACCES',
        `the certificate of this daemon does not let it be in ${name}; ask its authority for one ` +
          'that does',
      );
    if (!this.#groups.join(group))
      throw new SpinesError('EMFILE', `this daemon is in as many groups as a node may; leave some`);
    this.#count += 1;
    if (known !== undefined) {
      (known as Set<NodeId>).add(source!);
      return;
    }
    const of = sessions ?? new Map<DatagramSession, Sources>();
    this.#byGroup.set(group, of);
    of.set(session, source === null ? 'any' : new Set([source]));
    const groups = this.#ofSession.get(session) ?? new Set<number>();
    this.#ofSession.set(session, groups.add(group));
  }

  /** The reverse of `join` with the same arguments. Throws SpinesError EADDRNOTAVAIL. */
  leave(session: DatagramSession, group: number, source: NodeId | null): void {
    const known = this.#byGroup.get(group)?.get(session);
    const is = source === null ? known === 'any' : known !== 'any' && known?.has(source) === true;
    if (!is)
      throw new SpinesError(
        'EADDRNOTAVAIL',
        `the socket is not in ${formatNodeId(group)}` +
          (source === null ? '' : ` for ${formatNodeId(source)}`),
      );
    const sources = known as Set<NodeId>;
    if (source !== null && sources.size > 1) {
      sources.delete(source);
      this.#count -= 1;
    } else this.#remove(session, group);
  }

  /** `session` is closed. */
  leaveAll(session: DatagramSession): void {
    for (const group of [...this.groupsOf(session)]) this.#remove(session, group);
  }

  /** Whether `session` wants to hear what `source` sends to `group`. */
  hears(session: DatagramSession, group: number, source: NodeId): boolean {
    const sources = this.#byGroup.get(group)?.get(session);
    return sources === 'any' || sources?.has(source) === true;
  }

  /** Sessions at `port` that hear what `source` sends to `group`. */
  listeners(group: number, port: Port, source: NodeId): DatagramSession[] {
    const listeners: DatagramSession[] = [];
    const sessions = this.#byGroup.get(group);
    if (sessions === undefined) return listeners;
    for (const [session, sources] of sessions)
      if (session.port === port && (sources === 'any' || sources.has(source)))
        listeners.push(session);
    return listeners;
  }

  #remove(session: DatagramSession, group: number): void {
    const sessions = this.#byGroup.get(group)!,
      sources = sessions.get(session)!;
    this.#count -= sources === 'any' ? 1 : sources.size;
    sessions.delete(session);
    const groups = this.#ofSession.get(session)!;
    groups.delete(group);
    if (groups.size === 0) this.#ofSession.delete(session);
    if (sessions.size > 0) return;
    this.#byGroup.delete(group);
    this.#groups.leave(group);
  }
}
