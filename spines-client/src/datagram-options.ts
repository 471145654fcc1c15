/** What a datagram socket is made with and what it emits, and the check of the options. */

import type { ConnectOptions, SpinesClient } from './client.ts';
import { argumentError, rangeError } from './errors.ts';
import type { SpinesClientError } from './errors.ts';
import type { LinkServiceName, RoutingName } from './protocol.ts';

export interface DatagramOptions {
  /** Recovery on every hop. Default 'best-effort'. */
  link?: LinkServiceName | undefined;
  /** Default 'link-state'. */
  routing?: RoutingName | undefined;
  /** Overlay hops, 1..255. Default: the daemon's. */
  ttl?: number | undefined;
  /** 1..10. Default: the daemon's. */
  priority?: number | undefined;
  /** Bound of the receive queue while paused; each message costs its payload and 64 bytes. Default 1 MiB. */
  recvQueueBytes?: number | undefined;
  /** Closes the socket. */
  signal?: AbortSignal | undefined;
}

export interface CreateSocketOptions extends DatagramOptions {
  /** Shared client; without it the socket makes a client of its own, and closes it. */
  client?: SpinesClient | undefined;
  /** For the socket's own client. */
  connect?: Omit<ConnectOptions, 'signal'> | undefined;
}

export interface RemoteInfo {
  /** Dotted quad of the sending node. */
  address: string;
  family: 'spines';
  port: number;
  size: number;
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
  dropped: [info: { count: number }];
  sendError: [error: SpinesClientError];
  disconnect: [error: SpinesClientError];
  reconnect: [info: { restarted: boolean }];
}

/** The options with their defaults; `ttl`, `priority` and `recvQueueBytes` may change later. */
export interface CheckedOptions {
  readonly link: LinkServiceName;
  readonly routing: RoutingName;
  ttl: number | undefined;
  priority: number | undefined;
  recvQueueBytes: number | undefined;
}

export function checkDatagramOptions(options: DatagramOptions): CheckedOptions {
  const { link = 'best-effort', routing = 'link-state', ttl, priority, recvQueueBytes } = options;
  if (!['best-effort', 'reliable', 'realtime'].includes(link)) throw argumentError('ERR_INVALID_ARG_VALUE', `link must be best-effort, reliable or realtime, not ${String(link)}`);
  if (!['link-state', 'byzantine'].includes(routing)) throw argumentError('ERR_INVALID_ARG_VALUE', `routing must be link-state or byzantine, not ${String(routing)}`);
  if (ttl !== undefined) checkRange('ttl', ttl, 1, 255);
  if (priority !== undefined) checkRange('priority', priority, 1, 10);
  if (recvQueueBytes !== undefined) checkRange('recvQueueBytes', recvQueueBytes, 1, 2 ** 31 - 1);
  return { link, routing, ttl, priority, recvQueueBytes };
}

export function checkRange(what: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) throw rangeError('ERR_OUT_OF_RANGE', `${what} must be an integer of ${min}..${max}, not ${String(value)}`);
  return value;
}
