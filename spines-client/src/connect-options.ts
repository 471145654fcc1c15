/**
 * Which daemon a client means, and what it shows it: options, environment, defaults.
 */

import { readFileSync } from 'node:fs';

import { argumentError, codeOf, SpinesClientError } from './errors.ts';
import { readRemoteCredentials } from './remote/credentials.ts';
import type { RemoteOptions } from './remote/credentials.ts';
import type { DaemonTarget } from './remote/target.ts';

/** Default port of a daemon's TCP listener for clients. */
export const DEFAULT_TCP_PORT = 8100;
/** Default limit of connecting and greeting. */
export const CONNECT_TIMEOUT_MS = 5_000;

const TOKEN_CHARACTERS_MAX = 512;

/**
 * A daemon is reached by its Unix socket (default), by TCP on its machine with its token, or from
 * another machine with certificates.
 */
export interface ConnectOptions extends RemoteOptions {
  /** Unix socket of the daemon. Default: `defaultSocketPath()`. */
  path?: string | undefined;
  /** TCP instead of the Unix socket, when this or `port` is given. Default 127.0.0.1. */
  host?: string | undefined;
  /** Default 8100. */
  port?: number | undefined;
  /**
   * Over TCP: the contents of the daemon's token file. Default: the file that $SPINES_TOKEN_FILE
   * names, if it is set.
   */
  token?: string | undefined;
  /** For the daemon's log. Default: `node <pid>`. */
  name?: string | undefined;
  /**
   * Only makes requests and opens no sockets: for such the daemon has places when all others are
   * taken. Default false.
   */
  asksOnly?: boolean | undefined;
  /** Gives up connecting; of no effect afterwards. */
  signal?: AbortSignal | undefined;
  /**
   * Connect again when the connection is lost. Default true. The first connection is tried once.
   */
  reconnect?: boolean | undefined;
  /** Limit of connecting and greeting, each time. Default 5000. */
  timeoutMs?: number | undefined;
}

/** $SPINES_SOCKET, else spines.sock in $XDG_RUNTIME_DIR or /tmp. */
export function defaultSocketPath(): string {
  const { SPINES_SOCKET, XDG_RUNTIME_DIR } = process.env;
  return SPINES_SOCKET || `${XDG_RUNTIME_DIR || '/tmp'}/spines.sock`;
}

/**
 * The daemon that `options` mean. Throws ERR_INVALID_ARG_VALUE, or the reason why its files can't
 * be read.
 */
export function targetOf(options: ConnectOptions): DaemonTarget {
  const { path, host, port, token, daemonCertificate, daemonKey, certificate, key } = options;
  const remote = [daemonCertificate, daemonKey, certificate, key].some(
    (given) => given !== undefined,
  );
  if (host === undefined && port === undefined) {
    if (remote || token !== undefined)
      throw argumentError(
        'ERR_INVALID_ARG_VALUE',
        `${remote ? 'certificates are' : 'a token is'} for a daemon with host and port; give them`,
      );
    return { path: path ?? defaultSocketPath() };
  }
  const at = { host: host ?? '127.0.0.1', port: port ?? DEFAULT_TCP_PORT };
  if (remote) {
    if (token !== undefined)
      throw argumentError('ERR_INVALID_ARG_VALUE', 'give either a token or certificates');
    return { ...at, remote: readRemoteCredentials(options) };
  }
  const secret = token ?? environmentToken();
  if (secret === undefined) return at;
  if (typeof secret !== 'string' || secret.length > TOKEN_CHARACTERS_MAX)
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      "token must be the contents of the daemon's token file",
    );
  return { ...at, token: secret.trim() };
}

function environmentToken(): string | undefined {
  const file = process.env['SPINES_TOKEN_FILE'];
  if (!file) return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = codeOf(cause) ?? 'EIO';
    throw new SpinesClientError(
      code,
      `can't read the token file ${file} that SPINES_TOKEN_FILE names (${code}); run as a user ` +
        'who may, or correct it',
      { syscall: 'connect', cause },
    );
  }
}
