/**
 * `createSocket` in the forms of node:dgram: options, a type or a listener. Owns the reading of
 * these forms only; index.ts exports it.
 */

import { SpinesDatagram } from './datagram.ts';
import type { CreateSocketOptions, RemoteInfo } from './datagram-options.ts';

/**
 * A datagram socket with a client of its own, or on `options.client`. `type`, 'udp4' or 'udp6', is
 * accepted for node:dgram's sake.
 */
export function createSocket(
  options?: CreateSocketOptions | 'udp4' | 'udp6',
  listener?: (message: Buffer, rinfo: RemoteInfo) => void,
): SpinesDatagram;
export function createSocket(
  listener: (message: Buffer, rinfo: RemoteInfo) => void,
): SpinesDatagram;
export function createSocket(first: unknown = {}, second?: unknown): SpinesDatagram {
  const listener = typeof first === 'function' ? first : second;
  const isOptions =
    typeof first === 'object' &&
    first !== null &&
    !Array.isArray(first) &&
    !(first instanceof String);
  const options = isOptions
    ? (first as CreateSocketOptions)
    : typeof first === 'function'
      ? {}
      : { type: first as 'udp4' };
  const socket = new SpinesDatagram(options);
  if (typeof listener === 'function')
    socket.on('message', listener as (message: Buffer, rinfo: RemoteInfo) => void);
  return socket;
}
