/**
 * What happens on a daemon, as a program that watches it is told: one shape for each kind.
 *
 * Types, and the list of kinds. Part of the protocol (protocol.ts). A daemon tells state changes
 * within a tenth of a second, and only while somebody watches; what goes and comes back within less
 * is told as both.
 */

import type { LinkServiceName, RoutingName } from './modes.ts';
import type { PathNode, TwinRow } from './replies.ts';

/** In the order of `spines watch --help`. */
export const WATCH_KINDS = [
  'link',
  'route',
  'node',
  'session',
  'conviction',
  'certificate',
  'clock',
  'clone',
  'size',
  'log',
] as const;
export type WatchKind = (typeof WATCH_KINDS)[number];

/** A link came up, ended, or is not what it was. */
export interface LinkEvent {
  kind: 'link';
  /**
   * `changed`: of one that is up its loss, round trip or damping; of another why it is not up.
   */
  what: 'up' | 'down' | 'changed';
  /** Null while nobody has answered at `address`. */
  node: string | null;
  name: string | null;
  /** The peer's UDP address. */
  address: string;
  /** What ended it, or has changed; null: it is up. */
  why: string | null;
  /** What the operator can do, where that is known. */
  next: string | null;
  rttMs: number | null;
  lossOutPct: number | null;
  lossInPct: number | null;
}

/** The way to a node is there, gone, or another: its next hop, or the node before it. */
export interface RouteEvent {
  kind: 'route';
  what: 'found' | 'lost' | 'changed';
  node: string;
  name: string | null;
  /** From this node on; null: there is none. */
  path: PathNode[] | null;
  was: PathNode[] | null;
  /** Where the metric is one of time. */
  costMs: number | null;
}

/** A node is known, forgotten, or what it says is not believed, or is again. */
export interface NodeEvent {
  kind: 'node';
  what: 'known' | 'forgotten' | 'refused' | 'believed';
  node: string;
  name: string | null;
  why: string | null;
  next: string | null;
}

/** A program of this daemon has a socket more or less. */
export interface SessionEvent {
  kind: 'session';
  what: 'opened' | 'closed';
  socket: 'datagram' | 'stream' | 'listener';
  /** What the program calls itself, and the name in the certificate of a remote one. */
  program: string;
  certificate: string | null;
  port: number;
  node: string | null;
  name: string | null;
  remotePort: number | null;
  link: LinkServiceName;
  routing: RoutingName;
  /** Bytes of a stream, messages of a datagram socket, so far. */
  sent: number;
  received: number;
  /** Of a stream that did not end in order. */
  code: string | null;
}

/** Byzantine routing blamed a link for losses, on the way to `destination`. */
export interface ConvictionEvent {
  kind: 'conviction';
  u: PathNode;
  v: PathNode;
  destination: PathNode;
  losses: number;
}

/** Of this daemon's own certificate. */
export interface CertificateEvent {
  kind: 'certificate';
  /** `expiring`: 30, 7 and 1 days before its end. `refused`: it was revoked, or its authority's. */
  what: 'expiring' | 'expired' | 'refused' | 'renewed';
  serial: string;
  /** Seconds until its end; negative when that is over. */
  leftS: number;
  why: string | null;
}

/** A neighbour's clock differs by a minute or more, or no longer does. */
export interface ClockEvent {
  kind: 'clock';
  what: 'differs' | 'agrees';
  node: string;
  name: string | null;
  aheadMs: number;
}

/** One identity runs twice, or no longer does. */
export interface CloneEvent {
  kind: 'clone';
  what: 'found' | 'over';
  twin: TwinRow;
}

/** The path to a neighbour takes smaller datagrams than all others, or full ones again. */
export interface SizeEvent {
  kind: 'size';
  what: 'narrow' | 'full';
  node: string;
  name: string | null;
  /** The longest IP packet that passes. */
  packetBytes: number;
}

/** Lines of the daemon's log, or records of its audit, could not be written in time. */
export interface LogEvent {
  kind: 'log';
  target: string;
  lost: number;
}

/** Events that were left out because this program did not read them in time. */
export interface MissedEvent {
  kind: 'missed';
  count: number;
}

/** What may happen on a daemon, without its time. */
export type Happened =
  | LinkEvent
  | RouteEvent
  | NodeEvent
  | SessionEvent
  | ConvictionEvent
  | CertificateEvent
  | ClockEvent
  | CloneEvent
  | SizeEvent
  | LogEvent;

/**
 * What happened, and when: milliseconds since 1970 by the daemon's clock.
 */
export type WatchEvent = { at: number } & (Happened | MissedEvent);
