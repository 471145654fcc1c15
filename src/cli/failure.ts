/**
 * How the command line fails: exit codes, and one line on stderr that says what happened and what to do next.
 *
 * Owns the exit codes and the translation of every error (commander's, the client library's, the daemon's,
 * a config file's) into a Failure. It prints nothing: that is program.ts. An error it does not know is our
 * own bug and keeps its stack.
 */

import { SpinesError } from '../base/errors.ts';

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

/** What the daemon, or the way to it, can answer with, and what the person at the terminal does then. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOTFOUND: 'see `spines nodes` for the nodes that this daemon knows',
  ENOENT: 'see `spines nodes` and `spines links` for what this daemon knows',
  ENETUNREACH: 'see `spines routes` and `spines links` for what is up',
  EHOSTUNREACH: 'see `spines routes` and `spines links` for what is up',
  ETIMEDOUT: 'try `spines trace` to see where it stops, or a longer -W',
  EPERM: 'start the daemon with --allow-emulation (or `emulation: {allow: true}` in its config file)',
  EACCES: 'start the daemon with --allow-emulation (or `emulation: {allow: true}` in its config file)',
  EADDRINUSE: 'choose another port, or leave the port to the daemon with 0',
  EINVAL: 'correct the argument; `spines help` shows the commands',
  ENOTSUP: 'check that daemon and command line are of one version with `spines version` and `spines status`',
  EMFILE: 'close some sockets, or raise limits.socketsPerClient in the daemon\'s config',
  ECONFIG: 'correct it and try again',
  ETOPOLOGY: 'correct it and try again',
  ENOTCONVERGED: 'check the topology\'s links',
  ECONNRESET: 'see the daemon\'s log, then try again',
  EDAEMON: 'the daemon is stopping; start it again with `spines daemon`',
};

const USAGE_CODES: ReadonlySet<string> = new Set(['EINVAL', 'ERANGE', 'EPERM', 'EACCES', 'ENOTSUP', 'ENOSYS', 'EADDRINUSE', 'EMSGSIZE', 'ECONFIG', 'ETOPOLOGY', 'ENOTEMULATED']);
const NO_DAEMON_CODES: ReadonlySet<string> = new Set(['ECONNRESET', 'ECONNREFUSED', 'ENOTCONN', 'EDAEMON', 'EPROTO', 'EPIPE']);

/** The failure that `error` is to a person. Everything that is thrown gets one; unknown errors become EXIT_BUG. */
export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof SpinesError) return fromSpinesError(error);
  const { code, message, syscall, name } = shapeOf(error);
  if (name === 'SpinesClientError' || name === 'AbortError') return fromClient(code ?? 'EUNKNOWN', message, syscall);
  if (code !== null && syscall !== null) return new Failure(EXIT_USAGE, code, `${oneLine(message)}; check the path or address`);
  const stack = error instanceof Error && error.stack !== undefined ? error.stack.split('\n') : [];
  return new Failure(EXIT_BUG, 'EBUG', `internal error: ${oneLine(message)}; please report it with the lines above`, stack);
}

function fromSpinesError(error: SpinesError): Failure {
  const lines = error.message.split('\n').filter((line) => line !== '');
  const located = lines.some((line) => /:\d+:\d+: /.test(line));
  if (!located && lines.length <= 1) return new Failure(EXIT_USAGE, error.code, withAdvice(error.code, error.message));
  const count = `${lines.length} problem${lines.length === 1 ? '' : 's'}`;
  return new Failure(EXIT_USAGE, error.code, `${count} found; correct ${lines.length === 1 ? 'it' : 'them'} and try again`, lines);
}

function fromClient(code: string, message: string, syscall: string | null): Failure {
  const connecting = syscall === 'connect';
  const exitCode = connecting || NO_DAEMON_CODES.has(code) ? EXIT_NO_DAEMON : USAGE_CODES.has(code) ? EXIT_USAGE : EXIT_NO;
  return new Failure(exitCode, code, connecting && message.includes(';') ? oneLine(message) : withAdvice(code, message));
}

/** A message that names the next step itself ("what; do this") is left as it is. */
function withAdvice(code: string, message: string): string {
  const text = oneLine(message);
  if (text.includes(';')) return text;
  return `${text}; ${ADVICE[code] ?? 'see `spines status` and the daemon\'s log'}`;
}

function shapeOf(error: unknown): { code: string | null; message: string; syscall: string | null; name: string | null } {
  const { code, message, syscall, name } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return { code: text(code), message: text(message) ?? String(error), syscall: text(syscall), name: error instanceof Error ? text(error.constructor.name) ?? text(name) : text(name) };
}

export function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
