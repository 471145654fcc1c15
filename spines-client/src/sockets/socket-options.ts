/** What a stream socket is made with and what it emits. */

import type { ConnectOptions } from '../connect-options.ts';
import type { DaemonConnection } from '../daemon-connection.ts';
import { argumentError } from '../errors.ts';
import { checkName, checkSecrecy } from './datagram-options.ts';
import type { LivenessOptions } from './liveness-options.ts';
import {
  CONGESTION_NAMES,
  ROUTING_NAMES,
  STREAM_LINK_NAMES,
  type CongestionName,
  type LinkServiceName,
  type RoutingName,
  type SecrecyName,
} from '../shared/protocol.ts';

/** Throws what net throws for wrong arguments. */
export function checkCongestion(congestion: unknown): void {
  if (congestion === undefined || CONGESTION_NAMES.some((name) => name === congestion)) return;
  throw argumentError(
    'ERR_INVALID_ARG_VALUE',
    `congestion must be ${CONGESTION_NAMES.join(', ')}, or undefined for the daemon's, not ` +
      `${String(congestion)}`,
  );
}

/** Bytes of each of a socket's two buffers. */
export const STREAM_HIGH_WATER_BYTES = 65_536;

/**
 * Throws what net throws for wrong options of a stream; `link` and `routing` with their defaults.
 */
export function checkStreamOptions(options: StreamOptions, link: string, routing: string): void {
  checkName('link', link, STREAM_LINK_NAMES);
  checkName('routing', routing, ROUTING_NAMES);
  checkCongestion(options.congestion);
  checkSecrecy(options.secrecy);
  for (const mode of ['objectMode', 'readableObjectMode', 'writableObjectMode'] as const) {
    if (options[mode])
      throw argumentError(
        'ERR_INVALID_ARG_VALUE',
        `The property 'options.${mode}' is not supported. Received true`,
      );
  }
}

export interface StreamOptions extends LivenessOptions {
  /** Stay writable after the far end has ended. Default false. */
  allowHalfOpen?: boolean | undefined;
  /** Destroys the socket. */
  signal?: AbortSignal | undefined;
  /** Recovery on every hop. Default 'reliable'. Delivery is reliable and in order with either. */
  link?: LinkServiceName | undefined;
  /** Default 'link-state'. */
  routing?: RoutingName | undefined;
  /** Congestion control of what is sent; of a server: of what it accepts. Default: the daemon's. */
  congestion?: CongestionName | undefined;
  /**
   * Who may read it: 'end-to-end' the two daemons only, and nothing else is taken; 'links' the
   * routers on the way too. Default: the daemon's.
   */
  secrecy?: SecrecyName | undefined;
  /** Of net, refused: a socket carries bytes. */
  objectMode?: false | undefined;
  readableObjectMode?: false | undefined;
  writableObjectMode?: false | undefined;
  /** Of both buffers. Default 65,536. */
  highWaterMark?: number | undefined;
}

export interface SocketOptions extends StreamOptions {
  /** Shared client; without it the socket makes a client of its own, and closes it. */
  client?: DaemonConnection | undefined;
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
