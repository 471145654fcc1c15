/**
 * Who is told which sockets of clients come and go, as long as somebody wants to know.
 *
 * A place for one listener: the watch of the operator's room sets it while programs watch, and
 * where there is none nothing is done.
 */

import type { DatagramSession } from '../session/sessions.ts';
import type { ConnectedClient } from './client.ts';
import type { StreamSocket } from './client-streams.ts';

export interface SocketsListener {
  onStream(
    client: ConnectedClient,
    socket: StreamSocket,
    closed: boolean,
    code: string | null,
  ): void;
  onDatagram(client: ConnectedClient, session: DatagramSession, closed: boolean): void;
}

export class SocketsWatch {
  /** Null: nobody looks. */
  listener: SocketsListener | null = null;
}
