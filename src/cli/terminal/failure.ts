/**
 * How the command line fails: exit codes, and one line on stderr that says what happened and what
 * to do next.
 *
 * Owns the exit codes and the translation of every error (commander's, the client library's, the
 * daemon's, a config file's) into a Failure. It prints nothing: that is program.ts. An error it
 * does not know is our own bug and keeps its stack.
 */

import { SpinesError } from '../../core/base/errors.ts';
import { fileWords } from '../../host/files/file-error.ts';
import { plainText } from './plain-text.ts';

/** Part of the interface: scripts depend on them. */
export const EXIT_OK = 0;
/** The answer is no: unreachable, unknown, nothing answered. */
export const EXIT_NO = 1;
/** Wrong usage, or a wrong config or topology file. */
export const EXIT_USAGE = 2;
export const EXIT_NO_DAEMON = 3;
/** Our own bug (EX_SOFTWARE of sysexits.h). */
export const EXIT_BUG = 70;

export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exitCode: number;
  /** Stable, e.g. 'EUSAGE', 'ENOTFOUND'. */
  readonly code: string;
  /** Printed before the summary line, one problem a line ("file:line:column: ..."). */
  readonly details: readonly string[];

  /** `message`: "what happened; what to do next", one line. */
  constructor(exitCode: number, code: string, message: string, details: readonly string[] = []) {
    super(message);
    this.exitCode = exitCode;
    this.code = code;
    this.details = details;
  }
}

export function usage(message: string): Failure {
  return new Failure(EXIT_USAGE, 'EUSAGE', message);
}

/**
 * What the daemon, or the way to it, can answer with, and what the person at the terminal does
 * then.
 */
const ADVICE: Readonly<Record<string, string>> = {
  ENOTFOUND: 'see `spines nodes` for the nodes that this daemon knows',
  ENOENT: 'see `spines nodes` and `spines links` for what this daemon knows',
  ENOTCONN: 'start it again with `spines daemon`',
  EPROTO:
    "check that daemon and command line are of one version: `spines version`, and the daemon's log",
  ENETUNREACH: 'see `spines routes` and `spines links` for what is up',
  EHOSTUNREACH: 'see `spines routes` and `spines links` for what is up',
  ETIMEDOUT: 'try `spines trace` to see where it stops, or a longer -W',
  EPERM:
    'start the daemon with --allow-emulation (or `emulation: {allow: true}` in its config file)',
  EACCES:
    'start the daemon with --allow-emulation (or `emulation: {allow: true}` in its config file)',
  EADDRINUSE: 'choose another port, or leave the port to the daemon with 0',
  EINVAL: 'correct the argument; `spines help` shows the commands',
  ENOTSUP:
    'check that daemon and command line are of one version with `spines version` and `spines ' +
    'status`',
  EMFILE: "close some sockets, or raise limits.socketsPerClient in the daemon's config",
  ECONFIG: 'correct it and try again',
  ETOPOLOGY: 'correct it and try again',
  ENOTCONVERGED: "check the topology's links",
  ECONNRESET: "see the daemon's log, then try again",
  EDAEMON: 'the daemon is stopping; start it again with `spines daemon`',
};

const USAGE_CODES: ReadonlySet<string> = new Set([
  'EINVAL',
  'ERANGE',
  'EPERM',
  'EACCES',
  'ENOTSUP',
  'ENOSYS',
  'EADDRINUSE',
  'EMSGSIZE',
  'ECONFIG',
  'ETOPOLOGY',
  'ENOTEMULATED',
]);
const NO_DAEMON_CODES: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ENOTCONN',
  'EDAEMON',
  'EPROTO',
  'EPIPE',
]);

/**
 * The failure that `error` is to a person. Everything that is thrown gets one; unknown errors
 * become EXIT_BUG.
 */
export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof SpinesError) return fromSpinesError(error);
  const { code, message, syscall, name } = shapeOf(error);
  if (name === 'SpinesClientError' || name === 'AbortError')
    return fromClient(code ?? 'EUNKNOWN', message, syscall);
  if (code !== null && syscall !== null)
    return new Failure(EXIT_USAGE, code, `${oneLine(message)}; ${systemAdvice(code, syscall)}`);
  const stack = error instanceof Error && error.stack !== undefined ? error.stack.split('\n') : [];
  return new Failure(
    EXIT_BUG,
    'EBUG',
    `internal error: ${oneLine(message)}; please report it with the lines above`,
    stack,
  );
}

function fromSpinesError(error: SpinesError): Failure {
  const lines = error.message.split('\n').filter((line) => line !== '');
  const located = lines.some((line) => /:\d+:\d+: /.test(line));
  if (!located && lines.length <= 1)
    return new Failure(EXIT_USAGE, error.code, withAdvice(error.code, error.message));
  const count = `${lines.length} problem${lines.length === 1 ? '' : 's'}`;
  return new Failure(
    EXIT_USAGE,
    error.code,
    `${count} found; correct ${lines.length === 1 ? 'it' : 'them'} and try again`,
    lines,
  );
}

function fromClient(code: string, message: string, syscall: string | null): Failure {
  const connecting = syscall === 'connect';
  const exitCode =
    connecting || NO_DAEMON_CODES.has(code)
      ? EXIT_NO_DAEMON
      : USAGE_CODES.has(code)
        ? EXIT_USAGE
        : EXIT_NO;
  return new Failure(exitCode, code, clientText(code, message, syscall));
}

function clientText(code: string, message: string, syscall: string | null): string {
  const text = oneLine(message);
  // What a program waits for, nobody at a terminal can.
  if (code === 'ENOTCONN') return withAdvice(code, 'the daemon is away');
  if (text.includes(';')) return text;
  // The codes below are about the overlay, and here they are about the way to the daemon.
  if (syscall === 'connect') return `${text}; check its address, and that it runs there`;
  // A request that waits by itself says where it stops; any other one is answered at once by a
  // daemon that is well.
  if (code === 'ETIMEDOUT' && /^request (?!ping|trace|byzantineTrace)/.test(syscall ?? ''))
    return `${text}; it has too much to do, or stands still: see its log, and \`top\``;
  return withAdvice(code, text);
}

const NETWORK_CALLS: ReadonlySet<string> = new Set([
  'listen',
  'bind',
  'connect',
  'getaddrinfo',
  'setsockopt',
  'accept',
  'sendmsg',
  'send',
]);
const NETWORK_ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'choose another port, or end what has it',
  EADDRNOTAVAIL: 'choose an address of this machine',
  EACCES: 'choose a port from 1024 on, or run this as a user who may',
  ENOTFOUND: 'check the name',
  EAI_AGAIN: 'no name server answers: check the network, or give an address',
};

/** What to do when the system refused, for errors that nobody else has put in words. */
export function systemAdvice(code: string, syscall: string): string {
  if (NETWORK_CALLS.has(syscall)) return NETWORK_ADVICE[code] ?? 'check the address';
  const reads =
    syscall === 'open' ||
    syscall === 'read' ||
    syscall === 'scandir' ||
    syscall === 'stat' ||
    syscall === 'lstat';
  return (fileWords(code, !reads) ?? fileWords(code, reads))?.remedy ?? 'check the path';
}

/** A message that names the next step itself ("what; do this") is left as it is. */
function withAdvice(code: string, message: string): string {
  const text = oneLine(message);
  if (text.includes(';')) return text;
  return `${text}; ${ADVICE[code] ?? "see the daemon's log"}`;
}

function shapeOf(error: unknown): {
  code: string | null;
  message: string;
  syscall: string | null;
  name: string | null;
} {
  const { code, message, syscall, name } = (
    typeof error === 'object' && error !== null ? error : {}
  ) as Record<string, unknown>;
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return {
    code: text(code),
    message: text(message) ?? String(error),
    syscall: text(syscall),
    name: error instanceof Error ? (text(error.constructor.name) ?? text(name)) : text(name),
  };
}

export function oneLine(text: string): string {
  return plainText(text.replace(/\s*\n\s*/g, ' ').trim());
}
