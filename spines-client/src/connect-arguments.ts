/** The argument forms of net's `connect` and `listen`, read the way node:net reads them. Throws what node:net throws. */

import { argumentError, rangeError } from './errors.ts';
import { checkPort } from './send-arguments.ts';

export interface ConnectTarget {
  port: number;
  /** Node name or dotted quad. Default, and 'localhost': the local node. */
  host?: string | undefined;
  /** Default: any. */
  localPort?: number | undefined;
  /** How long the daemon tries. Default: the daemon's. ETIMEDOUT. */
  timeoutMs?: number | undefined;
}

export interface ListenOptions {
  /** 0 or none: any. */
  port?: number | undefined;
  /** Streams that may wait in the daemon. Default: the daemon's. */
  backlog?: number | undefined;
  /** Closes the server. */
  signal?: AbortSignal | undefined;
}

/** (port, [host,] [callback]) or (options, [callback]). */
export function readConnectArguments(args: readonly unknown[]): { target: ConnectTarget; callback: (() => void) | undefined } {
  const [first] = args;
  const last = args.at(-1);
  const callback = typeof last === 'function' ? (last as () => void) : undefined;
  const given: { port?: unknown; host?: unknown; localPort?: unknown; timeoutMs?: unknown } =
    typeof first === 'object' && first !== null ? first : { port: first, host: args[1] === callback ? undefined : args[1] };
  const { host } = given;
  if (given.port === undefined || given.port === null) throw argumentError('ERR_MISSING_ARGS', 'The "options" or "port" argument must be specified');
  if (host !== undefined && host !== null && typeof host !== 'string') throw argumentError('ERR_INVALID_ARG_TYPE', 'The "options.host" property must be of type string');
  const target: ConnectTarget = { port: checkPort(given.port, false) };
  if (host && host !== 'localhost') target.host = host;
  if (given.localPort) target.localPort = checkPort(given.localPort, false);
  if (given.timeoutMs !== undefined) target.timeoutMs = checkDuration('timeoutMs', given.timeoutMs);
  return { target, callback };
}

/** ([port, [backlog,]] [callback]) or (options, [callback]). */
export function readListenArguments(args: readonly unknown[]): { options: ListenOptions; callback: (() => void) | undefined } {
  const [first, second] = args;
  const last = args.at(-1);
  const callback = typeof last === 'function' ? (last as () => void) : undefined;
  const given: ListenOptions = typeof first === 'object' && first !== null ? first
    : { port: typeof first === 'function' ? undefined : (first as number | undefined), backlog: typeof second === 'number' ? second : undefined };
  const { backlog, signal } = given;
  if (backlog !== undefined && !(Number.isInteger(backlog) && backlog >= 0 && backlog < 2 ** 31))
    throw rangeError('ERR_OUT_OF_RANGE', `backlog must be an integer of 0 and above, not ${String(backlog)}`);
  return { options: { port: checkPort(given.port ?? 0, true), backlog, signal }, callback };
}

export function checkDuration(what: string, value: unknown): number {
  if (typeof value !== 'number') throw argumentError('ERR_INVALID_ARG_TYPE', `The "${what}" argument must be of type number`);
  if (!(value >= 0 && value < 2 ** 31)) throw rangeError('ERR_OUT_OF_RANGE', `The value of "${what}" is out of range. It must be a non-negative finite number. Received ${value}`);
  return value;
}
