/**
 * What a connected client needs from the daemon, and the daemon from whoever carries the client's
 * bytes.
 *
 * Types, and the access of a local program; so that parts of a client need not know the port that
 * holds them.
 */

import type { SpinesError } from '../base/errors.ts';
import type { NodeId, Port } from '../base/ids.ts';
import type { ReachedTarget } from '../session/firewall.ts';
import type { ClientRole } from './roles.ts';

/** The way back to the client, given by the host. */
export interface ClientOut {
  /** Queues `bytes`, which the callee owns from now on. */
  write(bytes: Uint8Array): void;
  /** Queues copies of `head` and of `bytes[start..end)`, one behind the other. */
  append(head: Uint8Array, bytes: Uint8Array, start: number, end: number): void;
  /** Closes after what was written has gone. */
  end(): void;
  /** Bytes queued and not yet taken by the client. */
  readonly bufferedBytes: number;
}

/** What a token is good for. */
export interface TokenGrant {
  readonly role: ClientRole;
  /** Its file, for people. */
  readonly file: string;
}

/** Which way a client came, and what it may do. */
export interface ClientAccess {
  /**
   * What a HELLO's token lets its bearer do; null: it is none of this daemon's. Null: the way
   * itself says who may come.
   */
  readonly tokenGrant: ((token: string) => TokenGrant | null) | null;
  /** The name in a remote client's certificate; null for programs on this machine. */
  readonly certificate: string | null;
  /** Groups in that certificate. */
  readonly groups?: readonly string[];
  /** Where no token says it. */
  readonly role: ClientRole;
  /**
   * The user who connected, where the system knows one and the host can ask for it; null: it came
   * over a network.
   */
  readonly user: number | 'unknown' | null;
  /** The way that it came, for people: the path of a socket, or the address that it came from. */
  readonly from: string;
}

/** A program that may open the daemon's own Unix socket. */
export const LOCAL_ACCESS: ClientAccess = Object.freeze({
  tokenGrant: null,
  certificate: null,
  role: 'full',
  user: 'unknown',
  from: 'this machine',
});
/** Of a certificate, where nothing else is said. */
export const REMOTE_ROLE: ClientRole = 'use';

/** Who asked for something, as far as the daemon knows. */
export interface Asker {
  /** What the program calls itself. */
  readonly program: string;
  readonly role: ClientRole;
  readonly from: string;
  /** The id of the user of a program that came by a Unix socket; null: it did not. */
  readonly user: number | 'unknown' | null;
  readonly certificate: string | null;
  /** File of the token that it showed. */
  readonly token: string | null;
}

/** Answers a request: a result, or an error with a code. Called once, now or later. */
export type Reply = (result: Record<string, unknown> | SpinesError) => void;

/** A client as what it asks for sees it. */
export interface ConnectedClient {
  readonly asker: Asker;
  readonly access: ClientAccess;
  /** It opens no sockets: its place is the next one's. */
  readonly asksOnly: boolean;
  /** Open ones. */
  readonly sockets: number;
  /**
   * It carries on to `target`, which the rules let it, its stream from that port of `node` to
   * `localPort`.
   */
  aim(node: NodeId, port: Port, localPort: Port, target: ReachedTarget): void;
  /** An EVENT for it; false: it has not read what it was told before, and is not told. */
  tell(event: object): boolean;
  /** Ends it, with the reason. */
  dismiss(why: string, code?: string): void;
}
