/** What a datagram socket is made with and what it emits, and the check of the options. */

import type { ConnectOptions } from '../connect-options.ts';
import type { DaemonConnection } from '../daemon-connection.ts';
import { RECV_QUEUE_BYTES } from '../core/core.ts';
import { SpinesClientError, argumentError, checkSignal, rangeError, typeError } from '../errors.ts';
import {
  GRAPHS,
  hasSeveralWays,
  LINK_SERVICE_NAMES,
  offered,
  ROUTING_NAMES,
  type GraphName,
  type LinkServiceName,
  type RoutingName,
  type SecrecyName,
} from '../shared/protocol.ts';
import { checkTimeliness, type LatePolicy, type RedundancyName } from './deadline-options.ts';
import { checkPort } from './send-arguments.ts';

export type SlowBranch = 'drop' | 'wait';

export interface DatagramOptions {
  /** Recovery on every hop. Default 'best-effort'. */
  link?: LinkServiceName | undefined;
  /**
   * 'paths': each message goes by several node-disjoint paths at once, over link 'best-effort' or
   * 'realtime'; 'graph' likewise, over as many ways as the troubles of the network make necessary.
   * Default 'link-state'.
   */
  routing?: RoutingName | undefined;
  /** With routing 'paths': how many at most, 1..5. Default 2. */
  paths?: number | undefined;
  /**
   * With routing 'graph': 'auto' (default) is two paths, or another of these where there are
   * problems; 'dst' has all last links of the destination, 'src' all first links of this node,
   * 'robust' both; 'flood' goes everywhere. What could not be in time is left out.
   */
  graph?: GraphName | undefined;
  /**
   * Who may read it: 'end-to-end' the two daemons only, and nothing else is taken; 'links' the
   * routers on the way too. Default: the daemon's.
   */
  secrecy?: SecrecyName | undefined;
  /** Overlay hops, 1..255. Default: the daemon's. */
  ttl?: number | undefined;
  /** 1..10, the higher is the more urgent, among what this node sends. Default: the daemon's, 1. */
  priority?: number | undefined;
  /**
   * Over link 'realtime' and with routing 'graph': how long a message is worth something, 1..2000
   * milliseconds from its sending on; longer ones are told as the next of 10, 20, 30, 40, 50, 65,
   * 80, 100, 130, 160, 200, 300, 500, 1000 and 2000. Default 150.
   */
  deadlineMs?: number | undefined;
  /** What becomes of messages that come later than their deadline. Default 'drop'. */
  late?: LatePolicy | undefined;
  /**
   * Over link 'realtime': 'copy' sends everything twice on each link that loses, 'none' never,
   * 'auto' what has priority 8 and more. Default 'auto'.
   */
  redundancy?: RedundancyName | undefined;
  /**
   * Bound of the receive queue while paused; each message costs its payload and 64 bytes. Default 1
   * MiB.
   */
  recvQueueBytes?: number | undefined;
  /** Closes the socket. */
  signal?: AbortSignal | undefined;
  /** Of dgram: the default of `recvQueueBytes`. */
  recvBufferSize?: number | undefined;
  /** Of dgram, of no effect. */
  type?: 'udp4' | 'udp6' | undefined;
  sendBufferSize?: number | undefined;
  /** The port may be of several sockets of this node that say so: each hears its groups. */
  reuseAddr?: boolean | undefined;
  /**
   * Of what is sent to groups over reliable links, where a branch of the tree is slow: 'drop' loses
   * there what finds no room, 'wait' has `send` wait for the slowest branch, which loses nothing
   * while who sends heeds false and `drain`. Default 'drop'.
   */
  slowBranch?: SlowBranch | undefined;
  reusePort?: boolean | undefined;
  ipv6Only?: boolean | undefined;
  lookup?: ((...args: never[]) => void) | undefined;
}

export interface BindOptions {
  /** 0 or none: any. */
  port?: number | string | null | undefined;
  /** The local node, in any of its names. */
  address?: string | null | undefined;
  /** Of dgram, of no effect. */
  exclusive?: boolean | undefined;
}

export interface CreateSocketOptions extends DatagramOptions {
  /** Shared client; without it the socket makes a client of its own, and closes it. */
  client?: DaemonConnection | undefined;
  /** For the socket's own client. */
  connect?: Omit<ConnectOptions, 'signal'> | undefined;
}

export interface RemoteInfo {
  /** Dotted quad of the sending node. */
  address: string;
  family: 'spines';
  port: number;
  size: number;
  /** The daemons vouch for `address`; else any router of the network may have written it. */
  authenticated: boolean;
  /** The group that the message was sent to; absent: it was sent to this node. */
  group?: string;
}

export interface SpinesAddress {
  address: string;
  family: 'spines';
  port: number;
}

export interface DatagramEvents {
  message: [message: Buffer, rinfo: RemoteInfo];
  listening: [];
  connect: [];
  close: [];
  error: [error: Error];
  drain: [];
  /** `late` of them had come after their deadline. */
  dropped: [info: { count: number; late?: number }];
  sendError: [error: SpinesClientError];
  disconnect: [error: SpinesClientError];
  reconnect: [info: { restarted: boolean }];
}

/**
 * The options with their defaults; `ttl`, `priority`, `recvQueueBytes` and `sendBufferSize` may
 * change later.
 */
export interface CheckedOptions {
  readonly type: 'udp4' | 'udp6';
  readonly link: LinkServiceName;
  readonly routing: RoutingName;
  paths: number | undefined;
  graph: GraphName | undefined;
  readonly secrecy: SecrecyName | undefined;
  readonly signal: AbortSignal | undefined;
  ttl: number | undefined;
  priority: number | undefined;
  deadlineMs: number | undefined;
  readonly late: LatePolicy | undefined;
  readonly redundancy: RedundancyName | undefined;
  recvQueueBytes: number | undefined;
  sendBufferSize: number;
  readonly reuseAddr: boolean;
  readonly slowBranch: SlowBranch | undefined;
}

/** Throws what net throws for a name that is none of `names`. */
export function checkName(option: string, name: string, names: readonly string[]): void {
  if (names.includes(name)) return;
  throw argumentError(
    'ERR_INVALID_ARG_VALUE',
    `${option} must be ${offered(names)}, not ${String(name)}`,
  );
}

export function checkDatagramOptions(options: DatagramOptions): CheckedOptions {
  const {
    type = 'udp4',
    link = 'best-effort',
    routing = 'link-state',
    paths,
    graph,
    secrecy,
    ttl,
    priority,
    deadlineMs,
    late,
    redundancy,
    recvBufferSize,
    recvQueueBytes = recvBufferSize,
    lookup,
    sendBufferSize,
    reuseAddr = false,
    slowBranch,
  } = options;
  if (type !== 'udp4' && type !== 'udp6')
    throw argumentError(
      'ERR_SOCKET_BAD_TYPE',
      'Bad socket type specified. Valid types are: udp4, udp6',
    );
  checkName('link', link, LINK_SERVICE_NAMES);
  checkName('routing', routing, ROUTING_NAMES);
  checkWays({ paths, graph }, routing, link);
  checkSecrecy(secrecy);
  if (slowBranch !== undefined && slowBranch !== 'drop' && slowBranch !== 'wait')
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      `slowBranch must be drop or wait, not ${String(slowBranch)}`,
    );
  checkTimeliness(link, { deadlineMs, redundancy }, late, routing);
  if (lookup !== undefined && typeof lookup !== 'function')
    throw typeError('lookup', 'of type function', lookup);
  if (recvBufferSize !== undefined && typeof recvBufferSize !== 'number')
    throw typeError('options.recvBufferSize', 'of type number', recvBufferSize);
  if (sendBufferSize !== undefined && typeof sendBufferSize !== 'number')
    throw typeError('options.sendBufferSize', 'of type number', sendBufferSize);
  if (ttl !== undefined) checkRange('ttl', ttl, 1, 255);
  if (priority !== undefined) checkRange('priority', priority, 1, 10);
  if (recvQueueBytes !== undefined) checkRange('recvQueueBytes', recvQueueBytes, 1, 2 ** 31 - 1);
  return {
    type,
    link,
    routing,
    paths,
    graph,
    secrecy,
    signal: checkSignal(options.signal, 'options.signal'),
    ttl,
    priority,
    deadlineMs,
    late,
    redundancy,
    recvQueueBytes,
    sendBufferSize:
      sendBufferSize === undefined ? RECV_QUEUE_BYTES : checkBufferSize(sendBufferSize),
    reuseAddr,
    slowBranch,
  };
}

/** Throws unless these ways may be asked for with that routing. */
export function checkWays(
  { paths, graph }: Pick<DatagramOptions, 'paths' | 'graph'>,
  routing: RoutingName,
  link: LinkServiceName,
): void {
  if (hasSeveralWays(routing) && link === 'reliable')
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      `routing ${routing} is for link best-effort or realtime, not reliable`,
    );
  if (paths !== undefined) checkRange('paths', paths, 1, 5);
  if (graph !== undefined) checkName('graph', graph, GRAPHS);
  for (const [name, value] of Object.entries({ paths, graph }))
    if (value !== undefined && routing !== name)
      throw argumentError(
        'ERR_INVALID_ARG_VALUE',
        `${name} is for routing ${name}, not ${routing}`,
      );
}

/** Throws unless it is one, or none. */
export function checkSecrecy(secrecy: unknown): void {
  if (secrecy !== undefined && secrecy !== 'end-to-end' && secrecy !== 'links')
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      `secrecy must be end-to-end or links, not ${String(secrecy)}`,
    );
}

/** ([port,] [address,] [callback]) or (options, [callback]). */
export function checkBind(args: readonly unknown[]): { port: number; address: string | undefined } {
  const [first, second] = args;
  const given: Record<string, unknown> =
    typeof first === 'object' && first !== null
      ? (first as Record<string, unknown>)
      : {
          port: typeof first === 'function' ? undefined : first,
          address: typeof second === 'function' ? undefined : second,
        };
  const { port, address, fd } = given;
  if (fd !== undefined && fd !== null)
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      'a file descriptor has no meaning on an overlay; bind to a port',
    );
  if (address !== undefined && address !== null && typeof address !== 'string')
    throw typeError('address', 'of type string', address);
  return { port: checkPort(port ?? 0, true), address: address || undefined };
}

export function checkRange(what: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max)
    throw rangeError(
      'ERR_OUT_OF_RANGE',
      `${what} must be an integer of ${min}..${max}, not ${String(value)}`,
    );
  return value;
}

/** As a system call that sets an option refuses it. */
export function checkOption(
  what: string,
  value: unknown,
  min: number,
  max: number,
  syscall: string,
): number {
  if (typeof value !== 'number') throw typeError(what, 'of type number', value);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new SpinesClientError(
      'EINVAL',
      `${syscall} EINVAL: ${what} must be an integer of ${min}..${max}, not ${value}`,
      { syscall },
    );
  return value;
}

export function checkBufferSize(size: unknown): number {
  if (typeof size !== 'number' || !Number.isInteger(size) || size < 1 || size >= 2 ** 31)
    throw argumentError('ERR_SOCKET_BAD_BUFFER_SIZE', 'Buffer size must be a positive integer');
  return size;
}
