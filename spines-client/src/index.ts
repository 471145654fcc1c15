/**
 * The public face of spines-client. The classic calls are in compat.ts, the wire format in
 * protocol.ts.
 */

export {
  BACKOFF_MAX_MS,
  BACKOFF_MIN_MS,
  CONNECT_TIMEOUT_MS,
  DEFAULT_TCP_PORT,
  SpinesClient,
  clientOf,
  defaultSocketPath,
} from './client.ts';
export { clientSymbol } from './client-symbol.ts';
export type { ClientEvents, ConnectOptions, RequestOptions, RequestRest } from './client.ts';
export type { ConnectionEvent, DaemonEvent, WatchOptions } from './watch.ts';
export type { RemoteOptions } from './remote/credentials.ts';
export { createSocket } from './sockets/create-socket.ts';
export { SpinesDatagram } from './sockets/datagram.ts';
export type {
  BindOptions,
  CreateSocketOptions,
  DatagramEvents,
  DatagramOptions,
  RemoteInfo,
  SlowBranch,
  SpinesAddress,
} from './sockets/datagram-options.ts';
export type { LatePolicy, MessageOptions, RedundancyName } from './sockets/deadline-options.ts';
export { connect, createConnection } from './sockets/connect.ts';
export { SpinesSocket } from './sockets/socket.ts';
export type {
  SocketEvents,
  SocketOptions,
  StreamAddress,
  StreamOptions,
} from './sockets/socket-options.ts';
export type { ConnectTarget, ListenOptions } from './sockets/connect-arguments.ts';
export { SpinesServer, createServer, listenHttp } from './sockets/server.ts';
export type { ConnectionTaker, DropInfo, ServerEvents, ServerOptions } from './sockets/server.ts';
export { SpinesClientError } from './errors.ts';
export { ClientCore } from './core/core.ts';
export type {
  CoreListener,
  CoreOptions,
  CoreSink,
  CoreState,
  SocketListener,
} from './core/core.ts';
export type { RequestDone } from './core/requests.ts';
export type { AcceptListener, StreamTable } from './core/stream-table.ts';
export type { CoreStream, StreamListener } from './core/stream-core.ts';
export type { MessagePart, SendCallback } from './sockets/send-arguments.ts';
export { MESSAGE_BYTES_MAX, PROTOCOL_VERSION, STREAM_CREDIT_INITIAL } from './shared/protocol.ts';
export type {
  CertificateEvent,
  CloneEvent,
  ClockEvent,
  CongestionName,
  ConvictionEvent,
  GroupEdge,
  GroupRow,
  GroupSourceRow,
  GroupsReply,
  GroupTreeReply,
  LinkEvent,
  LinkRow,
  LinkServiceName,
  LinkSettings,
  LinksReply,
  LinkTrouble,
  LogEvent,
  MembersReply,
  MissedEvent,
  NodeEvent,
  NodeRow,
  RealtimeRow,
  NodesReply,
  OperationAnswer,
  OperationArgs,
  OperationName,
  Operations,
  PathNode,
  RouteEvent,
  RouteRow,
  RoutesReply,
  GraphName,
  RoutingName,
  SecrecyName,
  SessionEvent,
  SessionRow,
  SizeEvent,
  SocketInfoReply,
  StatusReply,
  StreamLimit,
  TraceHop,
  TraceReply,
  WatchEvent,
  WatchKind,
  WhyReply,
} from './shared/protocol.ts';
