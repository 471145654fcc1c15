/**
 * What a daemon knows of one socket, and how it is asked for; and what is known of a stream that
 * was accepted.
 */

import type { CoreStream } from '../core/stream-core.ts';
import type { DaemonConnection } from '../daemon-connection.ts';
import { SpinesClientError } from '../errors.ts';
import type { SocketInfoReply } from '../shared/protocol.ts';

export type { SocketInfoReply } from '../shared/protocol.ts';

/** A stream that has come. */
export interface Accepted {
  stream: CoreStream;
  /** Dotted quad. */
  node: string;
  port: number;
  localPort: number;
  authenticated: boolean;
}

/** `number`: the socket's at the daemon; undefined: it has none now. Rejects with ENOTCONN. */
export async function socketInfo(
  client: DaemonConnection,
  number: number | undefined,
): Promise<SocketInfoReply> {
  if (number === undefined)
    throw new SpinesClientError(
      'ENOTCONN',
      "the daemon knows nothing of this socket yet, or any more; wait for 'connect' or 'listening'",
      { syscall: 'info' },
    );
  return await client.request('socketInfo', { socket: number });
}

/** The value of an option of socket `number`. Rejects with EPROTO where it is none. */
export async function optionValue(
  client: DaemonConnection,
  number: number,
  option: string,
): Promise<number> {
  const { value } = await client.request('getOption', { socket: number, option });
  if (typeof value !== 'number')
    throw new SpinesClientError('EPROTO', `the daemon gave no value of ${option}`, {
      syscall: 'getsockopt',
    });
  return value;
}
