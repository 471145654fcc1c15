/**
 * The one error class of this library, and the errors it makes itself.
 *
 * Codes are Node's wherever the meaning is equal, plus EPROTO (the daemon's bytes make no sense)
 * and EDAEMON (the daemon announced that it stops). Errors that a caller's wrong argument causes
 * are TypeError or RangeError with the codes of node:dgram, so that code written for dgram keeps
 * its checks.
 */

import { statSync } from 'node:fs';
import { join } from 'node:path';

export interface SpinesClientErrorOptions {
  /** What was being done: 'connect', 'bind', 'send', 'request status' ... */
  syscall?: string | undefined;
  cause?: unknown;
  /**
   * How many datagrams this error stands for (the daemon reports refusals a few times a second).
   */
  count?: number | undefined;
  /** The far end, or the local one where a port was to be had. */
  address?: string | undefined;
  port?: number | undefined;
}

export class SpinesClientError extends Error {
  override name = 'SpinesClientError';
  readonly code: string;
  readonly syscall: string | undefined;
  readonly count: number;
  readonly address?: string;
  readonly port?: number;

  constructor(code: string, message: string, options: SpinesClientErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.syscall = options.syscall;
    this.count = options.count ?? 1;
    if (options.address !== undefined) this.address = options.address;
    if (options.port !== undefined) this.port = options.port;
  }
}

/** As far as errors name it. */
type Place = { path: string } | { host: string; port: number };

export function describeTarget(target: Place): string {
  return 'path' in target ? target.path : `${target.host}:${target.port}`;
}

/** What the operating system said to a connection attempt, with the next step. */
export function connectError(target: Place, cause: Error): SpinesClientError {
  const code = codeOf(cause) ?? 'ECONNREFUSED';
  const advice = ('path' in target ? noSocket(target.path) : null) ?? whyNot(target, code, cause);
  return new SpinesClientError(code, advice, { syscall: 'connect', cause });
}

function whyNot(target: Place, code: string, cause: Error): string {
  const where = describeTarget(target);
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return (
        `no daemon answers at ${where}; ` +
        ('path' in target
          ? 'start one with `spines daemon`, or set SPINES_SOCKET to its socket'
          : 'check the address, and that its config has client.tcp or client.remote')
      );
    case 'EACCES':
    case 'EPERM':
      return `not allowed to open ${where}; run as the daemon's user or group`;
    case 'ENAMETOOLONG':
    case 'EINVAL':
      return (
        `${where} is too long for a socket: ${Buffer.byteLength(where)} bytes, and 107 are the ` +
        'most; choose a shorter path'
      );
    case 'ENOTFOUND':
      return `the name of ${where} is not known; check it, or give the address`;
    case 'EAI_AGAIN':
      return (
        `the name of ${where} cannot be looked up, as no name server answers; check the network, ` +
        'or give the address'
      );
    default:
      return `cannot reach a daemon at ${where} (${cause.message})`;
  }
}

/** What is at a path, if that can be seen and is no socket. */
function noSocket(path: string): string | null {
  let found: ReturnType<typeof statSync>;
  try {
    found = statSync(path, { throwIfNoEntry: false });
  } catch {
    // Too long, not to be looked into, under a file: the code of the connect tells.
    return null;
  }
  if (found === undefined || found.isSocket()) return null;
  return found.isDirectory()
    ? `${path} is a folder; name the socket in it, such as ${join(path, 'spines.sock')}`
    : `${path} is a file and no socket; name the daemon's, \`client.socket\` of its config`;
}

/**
 * No sealed connection came about: one side does not believe the other, or the daemon is
 * overloaded. Trying again may help.
 */
export function handshakeError(target: Place, why: string): SpinesClientError {
  return new SpinesClientError(
    'EACCES',
    `no handshake with the daemon at ${describeTarget(target)}: ${why}`,
    { syscall: 'connect' },
  );
}

/** An operation given up because its AbortSignal fired. */
export function abortError(signal: AbortSignal, syscall: string): SpinesClientError {
  const error = new SpinesClientError('ABORT_ERR', 'The operation was aborted', {
    syscall,
    cause: signal.reason,
  });
  error.name = 'AbortError';
  return error;
}

export function notConnectedError(): SpinesClientError {
  return new SpinesClientError('ENOTCONN', "the daemon is away; wait for 'reconnect' or 'drain'", {
    syscall: 'send',
  });
}

export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** A wrong argument: what node:dgram would throw. */
export function argumentError(code: string, message: string): TypeError & { code: string } {
  return Object.assign(new TypeError(message), { code });
}

/** Called in a state in which it cannot be: what node:net and node:dgram throw as a plain Error. */
export function stateError(code: string, message: string): Error & { code: string } {
  return Object.assign(new Error(message), { code });
}

/**
 * As Node writes them: "Received type number (5)", "Received null", "Received an instance of
 * Array".
 */
export function received(value: unknown): string {
  if (value === undefined || value === null) return `Received ${String(value)}`;
  if (typeof value === 'function') return `Received function ${value.name}`;
  if (typeof value === 'object')
    return `Received an instance of ${value.constructor?.name ?? 'Object'}`;
  const text =
    typeof value === 'string'
      ? `'${value.length > 28 ? `${value.slice(0, 25)}...` : value}'`
      : String(value);
  return `Received type ${typeof value} (${text})`;
}

/** An argument of the wrong type, told as node tells it. `name`: an argument's, or "options.x". */
export function typeError(
  name: string,
  expected: string,
  value: unknown,
): TypeError & { code: string } {
  const what = name.includes('.') ? 'property' : 'argument';
  return argumentError(
    'ERR_INVALID_ARG_TYPE',
    `The "${name}" ${what} must be ${expected}. ${received(value)}`,
  );
}

export function checkSignal(signal: unknown, name: string): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  if (typeof signal !== 'object' || signal === null || !('aborted' in signal))
    throw typeError(name, 'an instance of AbortSignal', signal);
  return signal as AbortSignal;
}

/** An argument out of range: what node:dgram would throw. */
export function rangeError(code: string, message: string): RangeError & { code: string } {
  return Object.assign(new RangeError(message), { code });
}
