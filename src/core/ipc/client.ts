/**
 * What a connected client needs from the daemon, and the daemon from whoever carries the client's bytes.
 *
 * Types, and the access of a local program; so that parts of a client need not know the port that holds them.
 */

import type { Secrecy } from '../session/secrecy.ts';
import type { SpinesError } from '../base/errors.ts';
import type { NodeId } from '../base/ids.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { Firewall } from '../session/firewall.ts';
import type { Sessions } from '../session/sessions.ts';
import type { Streams } from '../session/streams.ts';
import type { DropCounters } from '../wire/drop.ts';
import type { WelcomeBody } from 'spines-client/protocol';
import type { Arguments } from './arguments.ts';
import type { ClientPlaces } from './client-places.ts';
import type { ClientPort } from './client-port.ts';
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
  /** What a HELLO's token lets its bearer do; null: it is none of this daemon's. Null: the way itself says who may come. */
  readonly tokenGrant: ((token: string) => TokenGrant | null) | null;
  /** The name in a remote client's certificate; null for programs on this machine. */
  readonly certificate: string | null;
  /** Groups in that certificate. */
  readonly groups?: readonly string[];
  /** Where no token says it. */
  readonly role: ClientRole;
  /** The way that it came, for people: the path of a socket, or the address that it came from. */
  readonly from: string;
}

/** A program that may open the daemon's own Unix socket. */
export const LOCAL_ACCESS: ClientAccess = Object.freeze({ tokenGrant: null, certificate: null, role: 'full', from: 'this machine' });
/** Of a certificate, where nothing else is said. */
export const REMOTE_ROLE: ClientRole = 'use';

/** Who asked for something, as far as the daemon knows. */
export interface Asker {
  /** What the program calls itself. */
  readonly program: string;
  readonly role: ClientRole;
  readonly from: string;
  readonly certificate: string | null;
  /** File of the token that it showed. */
  readonly token: string | null;
}

/** Answers a request: a result, or an error with a code. Called once, now or later. */
export type Reply = (result: Record<string, unknown> | SpinesError) => void;

export interface ClientServices {
  readonly self: NodeId;
  readonly firewall: Firewall;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly drops: DropCounters;
  readonly sessions: Sessions;
  readonly streams: Streams;
  readonly places: ClientPlaces;
  readonly socketsMax: number;
  readonly queueBytes: number;
  /** 0: unlimited. */
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
  welcome(): WelcomeBody;
  /** The node that `name` (a node name or a dotted quad) means, or null. */
  resolve(name: string): NodeId | null;
  nameOf(node: NodeId): string | null;
  /** Which of the link services and routings this daemon can do; an error text otherwise. */
  checkModes(service: number, dissemination: number, secrecy?: Secrecy): string | null;
  /** Requests about the daemon. False when it knows no such op. */
  administer(op: string, args: Arguments, reply: Reply, asker: ClientPort): boolean;
  /** `asker` lacks the role for `op`. */
  refused(op: string, asker: ClientPort, code: string): void;
  onClosed(port: ClientPort): void;
}
