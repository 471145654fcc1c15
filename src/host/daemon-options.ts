/**
 * What a daemon is started with, and what a reload changes: config, doors, emulated wires, identity
 * and log, read and checked. Types only.
 */

import type { Logger } from 'pino';
import type { Credentials, Membership } from '../core/crypto/membership.ts';
import type { DirectionSettings } from '../core/emulation/link-settings.ts';
import type { ClientRole } from '../core/ipc/roles.ts';
import type { NodeConfig } from '../core/node/config.ts';
import type { Audit } from '../core/operator/audit.ts';
import type { Offload } from './net/offload.ts';
import type { UdpAddress } from './net/udp.ts';
import type { AuditFigures, LogFigures } from 'spines-client/protocol';

export interface SocketDoor {
  readonly path: string;
  /** As a number, 0o600 for one; null: 0600, or 0660 with a group. */
  readonly mode: number | null;
  readonly group: string | null;
  readonly role: ClientRole;
}

/** A door for looking, over HTTP. */
export interface HttpOptions {
  /** A loopback address. Port 0: any. */
  readonly address: UdpAddress;
  /** The file of the token that is asked for; null: whoever may connect may look. */
  readonly tokenPath: string | null;
  /** It shows the network as a picture, too. */
  readonly dashboard?: boolean;
}

/** What holders of certificates may do, by name or group; nobody named: all. */
export interface RemoteRole {
  readonly clients: readonly string[];
  readonly groups: readonly string[];
  readonly role: ClientRole;
}

export interface DaemonOptions {
  readonly config: NodeConfig;
  readonly listen: readonly UdpAddress[];
  /** Of UDP; null or left out: one system call for each datagram. */
  readonly offload?: Offload | null;
  /**
   * Why not all of it can be had, for log and status; null or left out: it can, or nobody asked.
   */
  readonly without?: string | null;
  readonly client: {
    readonly socketPath: string | null;
    /** Name or number of the group that may open the socket too. */
    readonly group?: string | null;
    /** Further Unix sockets, each with the role of who comes by it. */
    readonly sockets?: readonly SocketDoor[];
    /**
     * A loopback address, and the file of the token that is asked for there; further tokens have
     * less to say.
     */
    readonly tcp: {
      readonly address: UdpAddress;
      readonly tokenPath: string;
      readonly tokens?: readonly { readonly path: string; readonly role: ClientRole }[];
    } | null;
    /** For clients with certificates on other machines; needs a membership. Port 0: any. */
    readonly remote?: UdpAddress | null;
    /** Of those, by certificate: the first that fits. */
    readonly roles?: readonly RemoteRole[];
  };
  /** Null or left out: there is no such door, and nothing of it. */
  readonly http?: HttpOptions | null;
  /** Emulated characteristics of what leaves for a peer's UDP address. */
  readonly emulation: readonly {
    readonly peer: UdpAddress;
    readonly settings: DirectionSettings;
  }[];
  readonly emulationSeed: number;
  /** Null: links are not sealed (security: none). */
  readonly membership: Membership | null;
  /** Where revocation lists from the network are kept. Null: nowhere. */
  readonly revocationsPath: string | null;
  /**
   * Reads config and identity again and says what would change. Throws SpinesError when it is
   * refused. Null: there is nothing to read.
   */
  readonly reload: (() => Reload) | null;
  readonly log: Logger;
  /** What becomes of the log's lines, for `status`. */
  readonly logFigures?: () => LogFigures;
  /** Takes records of what changed the daemon. */
  readonly audit?: Audit;
  readonly auditFigures?: () => AuditFigures;
}

/** An accepted reload. */
export interface Reload {
  readonly config: NodeConfig;
  /** Null: unchanged, or none. */
  readonly credentials: Credentials | null;
  readonly logLevel: string;
  readonly roles?: readonly RemoteRole[];
  /** For the operator, one a line. */
  readonly changes: readonly string[];
}
