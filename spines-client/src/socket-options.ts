/** What a stream socket is made with and what it emits. */

import type { ConnectOptions, SpinesClient } from './client.ts';
import type { LivenessOptions } from './liveness-options.ts';
import type { LinkServiceName, RoutingName } from './protocol.ts';

export interface StreamOptions extends LivenessOptions {
  /** Stay writable after the far end has ended. Default false. */
  allowHalfOpen?: boolean | undefined;
  /** Destroys the socket. */
  signal?: AbortSignal | undefined;
  /** Recovery on every hop. Default 'reliable'. Delivery is reliable and in order with either. */
  link?: LinkServiceName | undefined;
  /** Default 'link-state'. */
  routing?: RoutingName | undefined;
  /** Of net, refused: a socket carries bytes. */
  objectMode?: false | undefined;
  readableObjectMode?: false | undefined;
  writableObjectMode?: false | undefined;
  /** Of both buffers. Default 65,536. */
  highWaterMark?: number | undefined;
}

export interface SocketOptions extends StreamOptions {
  /** Shared client; without it the socket makes a client of its own, and closes it. */
  client?: SpinesClient | undefined;
  /** For the socket's own client. */
  connect?: Omit<ConnectOptions, 'signal' | 'reconnect'> | undefined;
}

export interface StreamAddress {
  address: string;
  family: 'spines';
  port: number;
}

export interface SocketEvents {
  connect: [];
  ready: [];
  data: [chunk: Buffer];
  drain: [];
  end: [];
  timeout: [];
  error: [error: Error];
  /** `hadError`: 'error' came before. */
  close: [hadError: boolean];
}
