/**
 * The operations of a daemon: what each is asked with, and what it answers.
 *
 * Types only, one row each, for both sides: the daemon's table (core/operator/operations.ts in its
 * sources) must have each of them, and `client.request` returns what stands here. Requests about a
 * client's own sockets are the library's business, and are listed in protocol.ts.
 */

import type { CaptureArgs, CaptureReadReply, CaptureReply } from './capture.ts';
import type { DialReply, DialsReply, LinkAddArgs } from './dials.ts';
import type { LinkServiceName, RoutingName } from './modes.ts';
import type {
  ByzantineRoutesReply,
  ByzantineTraceReply,
  DrainReply,
  FirewallReply,
  LinkSettings,
  LinksReply,
  NodesReply,
  ReloadReply,
  RoutesReply,
  StatusReply,
} from './replies.ts';
import type { GroupsReply, GroupTreeReply, MembersReply } from './group-replies.ts';
import type { SessionsReply, SocketInfoReply, TraceReply } from './session-replies.ts';
import type { WatchKind } from './watch-events.ts';

type Nothing = Readonly<Record<string, never>>;

/** `node`, `peer` and `name` are node names or dotted quads. */
export interface Operations {
  status: { args: Nothing; answer: StatusReply };
  links: { args: Nothing; answer: LinksReply };
  routes: { args: Nothing; answer: RoutesReply };
  nodes: { args: Nothing; answer: NodesReply };
  sessions: { args: Nothing; answer: SessionsReply };
  /** `group`: a dotted quad of class D or E. */
  members: { args: { group: string }; answer: MembersReply };
  /** Without `group`: all. */
  groups: { args: { group?: string }; answer: GroupsReply };
  /** `from`: the source; absent: the daemon's node. */
  groupTree: { args: { group: string; from?: string }; answer: GroupTreeReply };
  byzantineRoutes: { args: Nothing; answer: ByzantineRoutesReply };
  /**
   * From now on this connection is told what happens, of these kinds, by `watch` EVENTs; none: no
   * more.
   */
  watch: { args: { kinds: readonly WatchKind[] }; answer: { kinds: WatchKind[] } };
  /** From now on datagrams of links are kept for this connection; a capture before it is over. */
  capture: { args: CaptureArgs; answer: CaptureReply };
  /** What was kept since; waits up to `waitMs`, 0..5,000, for something to answer with. */
  captureRead: { args: { waitMs: number }; answer: CaptureReadReply };
  /** `socket`: a number of this connection. */
  socketInfo: { args: { socket: number }; answer: SocketInfoReply };
  /** `from`: the first rule of the answer, counted from 0. */
  firewall: { args: { list: FirewallReply['list']; from?: number }; answer: FirewallReply };
  /**
   * Of a target behind this daemon, for `node`; `remotePort` and `localPort` name the stream of
   * `node` that is carried on to there.
   */
  mayReach: {
    args: { node: string; host: string; port: number; remotePort?: number; localPort?: number };
    answer: { allowed: boolean };
  };
  /**
   * `timeoutMs`: 1..60,000; `bytes` of payload, both ways: 0..1,392. `hops`: null by byzantine
   * routing.
   */
  ping: {
    args: {
      node: string;
      timeoutMs: number;
      bytes?: number;
      link?: LinkServiceName;
      routing?: RoutingName;
    };
    answer: { node: string; rttMs: number; hops: number | null };
  };
  /** `probes` for each hop: 1..20, 3 where not given. */
  trace: { args: { node: string; timeoutMs: number; probes?: number }; answer: TraceReply };
  byzantineTrace: { args: { node: string; timeoutMs: number }; answer: ByzantineTraceReply };
  resolve: { args: { name: string }; answer: { node: string; name: string } };
  linkSet: {
    args: { peer: string; settings: LinkSettings };
    answer: { settings: LinkSettings };
  };
  linkList: { args: Nothing; answer: DialsReply };
  linkAdd: { args: LinkAddArgs; answer: DialReply };
  /** `link`: address, name or dotted quad of one that is dialled. */
  linkRemove: { args: { link: string }; answer: DialReply };
  /** `level`: one of pino's, or "silent", which holds until the next reload; absent: only said. */
  logLevel: { args: { level?: string }; answer: { level: string } };
  reload: { args: Nothing; answer: ReloadReply };
  /**
   * Has the daemon carry nothing for others, and asks how far that is; `end`: as before. Without
   * `force` refused with EBUSY where nodes would be cut off.
   */
  drain: { args: { force?: boolean; end?: boolean }; answer: DrainReply };
  shutdown: { args: Nothing; answer: Nothing };
}

export type OperationName = keyof Operations;

/** What operation `Op` is asked with; of a name that is not known here, anything. */
export type OperationArgs<Op extends string = string> = Op extends OperationName
  ? Operations[Op]['args']
  : Readonly<Record<string, unknown>>;

/** What it answers. */
export type OperationAnswer<Op extends string = string> = Op extends OperationName
  ? Operations[Op]['answer']
  : Record<string, unknown>;
