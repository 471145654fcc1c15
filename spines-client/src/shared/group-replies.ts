/**
 * What operations of the daemon answer about groups: who is in which, what passes this daemon, and
 * the tree of a source.
 *
 * Types only. Part of the protocol (protocol.ts).
 */

import type { PathNode } from './replies.ts';

export interface MembersReply {
  /** By address. */
  members: PathNode[];
}

/** What one source sends to a group, as far as this daemon has seen it lately. */
export interface GroupSourceRow extends PathNode {
  /** The neighbour that its packets come from; null: they begin here, or pass elsewhere. */
  from: PathNode | null;
  /** Neighbours that they go to. */
  branches: PathNode[];
}

export interface GroupRow {
  /** Dotted quad. */
  group: string;
  kind: 'multicast' | 'anycast';
  members: PathNode[];
  /** Sockets of this daemon that are in it. */
  sockets: number;
  sources: GroupSourceRow[];
}

export interface GroupsReply {
  schema: 1;
  groups: GroupRow[];
}

/** One link of a tree, away from its root. */
export interface GroupEdge {
  from: PathNode;
  to: PathNode;
  /** Of the link, one way; null: not known. */
  latencyMs: number | null;
  /** `to` is in the group. */
  member: boolean;
}

export interface GroupTreeReply {
  schema: 1;
  group: string;
  root: PathNode;
  /** From the root outwards. */
  edges: GroupEdge[];
  /** Members that the tree does not reach. */
  unreached: PathNode[];
}
