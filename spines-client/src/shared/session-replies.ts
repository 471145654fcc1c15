/**
 * What operations of the daemon answer about ways and sessions: the shapes of replies, continued.
 *
 * Types only. Part of the protocol (protocol.ts).
 */

import type { LinkServiceName, RoutingName } from './modes.ts';
import type { PathNode } from './replies.ts';

export interface TraceHop {
  hop: number;
  node: string | null;
  name: string | null;
  rttMs: number | null;
  sent: number;
  received: number;
}
export interface TraceReply {
  schema: 1;
  node: string;
  reached: boolean;
  hops: TraceHop[];
}

/** What keeps a stream from sending more now. */
export type StreamLimit =
  | 'application'
  | 'congestion window'
  | 'receiver window'
  | 'pacing'
  | 'link queue';

export interface SessionRow {
  kind: 'datagram' | 'stream' | 'listener';
  /** The name in a remote client's certificate; null for programs on the daemon's machine. */
  certificate: string | null;
  /** Stream state, e.g. 'established'; '' for the others. */
  state: string;
  client: string;
  port: number;
  remoteNode: string | null;
  remoteName: string | null;
  remotePort: number | null;
  link: LinkServiceName;
  routing: RoutingName;
  sent: number;
  received: number;
  /** Streams only. */
  rttMs: number | null;
  windowBytes: number | null;
  inFlightBytes: number | null;
  queuedBytes: number | null;
  resentBytes: number | null;
  ecnMarks: number | null;
  limitedBy: StreamLimit | null;
}
export interface SessionsReply {
  schema: 1;
  sessions: SessionRow[];
}

/**
 * One socket of the asking program. `path`: from this node to the far end of a stream, as routes
 * are now; null where there is none, and of other sockets.
 */
export interface SocketInfoReply extends SessionRow {
  schema: 1;
  path: PathNode[] | null;
}
