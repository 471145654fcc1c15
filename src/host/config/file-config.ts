/**
 * What a daemon's config file and the flags over it come to: the shape of the outcome.
 *
 * Types, and the words that some keys have. config-file.ts makes it, config-text.ts writes it.
 */

import type { DirectionSettings } from '../../core/emulation/link-settings.ts';
import type { ClientRole } from '../../core/ipc/roles.ts';
import type { NodeConfig } from '../../core/node/config.ts';
import type { HttpOptions, RemoteRole, SocketDoor } from '../daemon-options.ts';
import type { IdentityPaths } from '../identity/identity-files.ts';
import type { LogFileOptions } from '../log/log-file.ts';
import type { SocketAddress } from './config-fields.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
/**
 * sealed: links are encrypted, and only members of the network take part. none: for a laboratory.
 */
export const SECURITIES = ['sealed', 'none'] as const;
export type Security = (typeof SECURITIES)[number];
export const DEFAULT_UDP_PORT = 8100;

export interface EmulatedPeer {
  readonly peer: SocketAddress;
  /** Towards the peer. */
  readonly settings: DirectionSettings;
}

/** Everything that a config file and the flags over it say. Frozen. */
export interface DaemonFileConfig {
  readonly node: NodeConfig;
  /** At least one. */
  readonly listen: readonly SocketAddress[];
  /** Of datagrams of links, 0..63. */
  readonly dscp: number;
  readonly client: {
    /** Null: no Unix socket. */
    readonly socketPath: string | null;
    /** Name or number of the group that may open the socket beside its owner. Null: none. */
    readonly group: string | null;
    /** Further sockets, for clients of other roles. */
    readonly sockets: readonly SocketDoor[];
    /**
     * A loopback address, and the file of the token that clients show there; further tokens with
     * roles of their own. Null: no TCP.
     */
    readonly tcp: {
      readonly address: SocketAddress;
      readonly tokenPath: string;
      readonly tokens: readonly { readonly path: string; readonly role: ClientRole }[];
    } | null;
    /** Where clients of other machines come, with certificates. Null: nowhere. */
    readonly remote: SocketAddress | null;
    /** What those may do: the first that fits, or 'use'. */
    readonly roles: readonly RemoteRole[];
  };
  /** Null: no HTTP door. */
  readonly http: HttpOptions | null;
  readonly emulation: { readonly seed: number; readonly links: readonly EmulatedPeer[] };
  readonly logLevel: LogLevel;
  /** Null: standard error. */
  readonly logFile: LogFileOptions | null;
  /** Of operations that changed something. Null: they are in the log. */
  readonly auditFile: LogFileOptions | null;
  readonly security: Security;
  /** Never null when `security` is sealed. */
  readonly identity: IdentityPaths | null;
}
