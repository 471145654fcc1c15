/**
 * SpinesClient: a connection to a daemon, and the sockets and servers that are made on it.
 *
 * The connection is daemon-connection.ts's, which knows no socket; this is on top of both.
 */

import { clientSymbol } from './client-symbol.ts';
import type { ConnectOptions } from './connect-options.ts';
import { DaemonConnection, internalsOf, makeOwnedBy } from './daemon-connection.ts';
import { SpinesDatagram } from './sockets/datagram.ts';
import type { DatagramOptions } from './sockets/datagram-options.ts';
import { SpinesServer } from './sockets/server.ts';
import type { ServerOptions } from './sockets/server.ts';
import { SpinesSocket } from './sockets/socket.ts';
import type { StreamOptions } from './sockets/socket-options.ts';
import type { PathNode } from './shared/protocol.ts';
import { Watches, type DaemonEvent, type WatchOptions } from './watch.ts';

export {
  CONNECT_TIMEOUT_MS,
  DEFAULT_TCP_PORT,
  defaultSocketPath,
  type ConnectOptions,
} from './connect-options.ts';
export {
  BACKOFF_MAX_MS,
  BACKOFF_MIN_MS,
  type ClientEvents,
  type RequestOptions,
  type RequestRest,
} from './daemon-connection.ts';

export class SpinesClient extends DaemonConnection {
  /** Null while nobody ever watched. */
  #watches: Watches | null = null;

  /**
   * Connects to a daemon. Rejects with ENOENT or ECONNREFUSED (no daemon), EACCES, ETIMEDOUT,
   * EPROTO, ABORT_ERR.
   */
  static async connect(options: ConnectOptions = {}): Promise<SpinesClient> {
    const client = new SpinesClient(options);
    await client.open(options.signal === undefined ? {} : { signal: options.signal });
    return client;
  }

  /**
   * What happens on the daemon, from now on: `for await (const event of client.watch())`. An event
   * comes within about 0.1 s; `missed` counts those that this program was too slow for, and
   * `daemon` tells that the connection went and came back. Ends with the client; rejects with
   * ENOSYS (a daemon before 0.2), EACCES, ABORT_ERR.
   */
  watch(options: WatchOptions = {}): AsyncIterableIterator<DaemonEvent, undefined> {
    this.#watches ??= new Watches(internalsOf(this));
    return this.#watches.open(options);
  }

  /** Nodes that are in `group` (class D or E, dotted quad), by address. Rejects with EINVAL. */
  async members(group: string): Promise<readonly PathNode[]> {
    return (await this.request('members', { group })).members;
  }

  /** A datagram socket on this connection. */
  datagram(options: DatagramOptions = {}): SpinesDatagram {
    return new SpinesDatagram({ ...options, client: this });
  }

  /** A stream socket on this connection, to be connected. */
  stream(options: StreamOptions = {}): SpinesSocket {
    return new SpinesSocket({ ...options, client: this });
  }

  /** A server on this connection. */
  createServer(
    options: Omit<ServerOptions, 'client' | 'connect'> = {},
    listener?: (socket: SpinesSocket) => void,
  ): SpinesServer {
    return new SpinesServer({ ...options, client: this }, listener);
  }
}

makeOwnedBy((options) => new SpinesClient(options));

/**
 * The client of a socket or server: the shared one, or its own; null: a server that has none now.
 */
export function clientOf<T extends DaemonConnection | null>(of: {
  readonly [clientSymbol]: T;
}): SpinesClient | Extract<T, null> {
  return of[clientSymbol] as SpinesClient | Extract<T, null>;
}
