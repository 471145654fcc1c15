/**
 * The types for `require`, and for TypeScript that compiles to it under module resolution "node16":
 * the same module as by `import` (Node loads ES modules by require). Whoever exports a type or
 * class from src/index.ts names it here; a test looks.
 */

import type * as esm from '../dist/index.js' with { 'resolution-mode': 'import' };

declare const spines: typeof esm;

declare namespace spines {
  export type AcceptListener = esm.AcceptListener;
  export type BindOptions = esm.BindOptions;
  export type CertificateEvent = esm.CertificateEvent;
  export type ClientCore = esm.ClientCore;
  export type ClientEvents = esm.ClientEvents;
  export type ClockEvent = esm.ClockEvent;
  export type CloneEvent = esm.CloneEvent;
  export type CongestionName = esm.CongestionName;
  export type ConnectOptions = esm.ConnectOptions;
  export type ConnectTarget = esm.ConnectTarget;
  export type ConnectionEvent = esm.ConnectionEvent;
  export type ConnectionTaker = esm.ConnectionTaker;
  export type ConvictionEvent = esm.ConvictionEvent;
  export type CoreListener = esm.CoreListener;
  export type CoreOptions = esm.CoreOptions;
  export type CoreSink = esm.CoreSink;
  export type CoreState = esm.CoreState;
  export type CoreStream = esm.CoreStream;
  export type CreateSocketOptions = esm.CreateSocketOptions;
  export type DaemonEvent = esm.DaemonEvent;
  export type DatagramEvents = esm.DatagramEvents;
  export type DatagramOptions = esm.DatagramOptions;
  export type DropInfo = esm.DropInfo;
  export type LatePolicy = esm.LatePolicy;
  export type LinkEvent = esm.LinkEvent;
  export type LinkRow = esm.LinkRow;
  export type LinkServiceName = esm.LinkServiceName;
  export type LinkSettings = esm.LinkSettings;
  export type LinkTrouble = esm.LinkTrouble;
  export type LinksReply = esm.LinksReply;
  export type ListenOptions = esm.ListenOptions;
  export type LogEvent = esm.LogEvent;
  export type MessageOptions = esm.MessageOptions;
  export type MessagePart = esm.MessagePart;
  export type MissedEvent = esm.MissedEvent;
  export type NodeEvent = esm.NodeEvent;
  export type NodeRow = esm.NodeRow;
  export type NodesReply = esm.NodesReply;
  export type OperationAnswer<Op extends string = string> = esm.OperationAnswer<Op>;
  export type OperationArgs<Op extends string = string> = esm.OperationArgs<Op>;
  export type OperationName = esm.OperationName;
  export type Operations = esm.Operations;
  export type PathNode = esm.PathNode;
  export type RealtimeRow = esm.RealtimeRow;
  export type RedundancyName = esm.RedundancyName;
  export type RemoteInfo = esm.RemoteInfo;
  export type RemoteOptions = esm.RemoteOptions;
  export type RequestDone = esm.RequestDone;
  export type RequestOptions = esm.RequestOptions;
  export type RequestRest<Op extends string = string> = esm.RequestRest<Op>;
  export type RouteEvent = esm.RouteEvent;
  export type RouteRow = esm.RouteRow;
  export type SlowBranch = esm.SlowBranch;
  export type GraphName = esm.GraphName;
  export type GroupEdge = esm.GroupEdge;
  export type GroupRow = esm.GroupRow;
  export type GroupSourceRow = esm.GroupSourceRow;
  export type GroupsReply = esm.GroupsReply;
  export type GroupTreeReply = esm.GroupTreeReply;
  export type MembersReply = esm.MembersReply;
  export type RoutesReply = esm.RoutesReply;
  export type RoutingName = esm.RoutingName;
  export type SecrecyName = esm.SecrecyName;
  export type SendCallback = esm.SendCallback;
  export type ServerEvents = esm.ServerEvents;
  export type ServerOptions = esm.ServerOptions;
  export type SessionEvent = esm.SessionEvent;
  export type SessionRow = esm.SessionRow;
  export type SizeEvent = esm.SizeEvent;
  export type SocketEvents = esm.SocketEvents;
  export type SocketInfoReply = esm.SocketInfoReply;
  export type SocketListener = esm.SocketListener;
  export type SocketOptions = esm.SocketOptions;
  export type SpinesAddress = esm.SpinesAddress;
  export type SpinesClient = esm.SpinesClient;
  export type SpinesClientError = esm.SpinesClientError;
  export type SpinesDatagram = esm.SpinesDatagram;
  export type SpinesServer = esm.SpinesServer;
  export type SpinesSocket = esm.SpinesSocket;
  export type StatusReply = esm.StatusReply;
  export type StreamAddress = esm.StreamAddress;
  export type StreamLimit = esm.StreamLimit;
  export type StreamListener = esm.StreamListener;
  export type StreamOptions = esm.StreamOptions;
  export type StreamTable = esm.StreamTable;
  export type TraceHop = esm.TraceHop;
  export type TraceReply = esm.TraceReply;
  export type WatchEvent = esm.WatchEvent;
  export type WatchKind = esm.WatchKind;
  export type WatchOptions = esm.WatchOptions;
  export type WhyReply = esm.WhyReply;
}

export = spines;
