/**
 * `connect` in the forms of node:net. Owns the reading of what is the socket's and what is the
 * target's; index.ts exports it.
 */

import { readConnectArguments } from './connect-arguments.ts';
import type { ConnectTarget } from './connect-arguments.ts';
import type { SocketOptions } from './socket-options.ts';
import { SpinesSocket } from './socket.ts';

/**
 * A connecting socket, on `options.client` or on a client of its own. Fit for `createConnection` of
 * node:http.
 */
export function connect(
  options: SocketOptions & ConnectTarget & { timeout?: number | undefined },
  callback?: () => void,
): SpinesSocket;
export function connect(
  port: number | string,
  host: string | undefined,
  callback?: () => void,
): SpinesSocket;
export function connect(port: number | string, callback?: () => void): SpinesSocket;
export function connect(...args: unknown[]): SpinesSocket {
  readConnectArguments(args);
  const options =
    typeof args[0] === 'object' && args[0] !== null
      ? (args[0] as SocketOptions & { timeout?: number | undefined })
      : {};
  const { timeout } = options;
  const socket = new SpinesSocket(options);
  if (timeout) socket.setTimeout(timeout);
  return (socket.connect as (...args: unknown[]) => SpinesSocket).apply(socket, args);
}

export const createConnection = connect;
