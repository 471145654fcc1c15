/**
 * What a socket or server and the connection that it lives on have to do with each other.
 *
 * Types only: connections know no socket, and sockets no client with all its methods.
 */

import type { WriteBatch } from './core/connection.ts';
import type { ClientCore } from './core/core.ts';
import type { SpinesClientError } from './errors.ts';
import type { WelcomeBody } from './shared/protocol.ts';

/** What lives on a client's connection. */
export interface ClientMember {
  onConnectionUp(first: boolean, restarted: boolean): void;
  onConnectionDown(error: SpinesClientError): void;
  /** The connection's write buffer has drained. */
  onConnectionDrain(): void;
  onClientClosed(): void;
}

/** What a member may use of its client; not part of the public interface. */
export interface ClientInternals {
  readonly core: ClientCore;
  readonly welcome: WelcomeBody | null;
  readonly over: boolean;
  readonly batch: WriteBatch | null;
  readonly bufferedBytes: number;
  attach(member: ClientMember): void;
  detach(member: ClientMember): void;
  awaitDrain(member: ClientMember): void;
  /**
   * The member has, or has no longer, something to wait for. A client that only members know keeps
   * the process running while any has.
   */
  keepAlive(member: ClientMember, busy: boolean): void;
  resolve(name: string, done: (error: SpinesClientError | null, node: number) => void): void;
}
