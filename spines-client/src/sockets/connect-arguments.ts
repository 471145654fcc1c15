/**
 * The argument forms of net's `connect` and `listen`, read the way node:net reads them. Throws what
 * node:net throws. What has no meaning on an overlay (paths, file descriptors, handles) is refused
 * by name.
 */

import { isIP } from 'node:net';

import { isLocalHost } from '../address.ts';
import { argumentError, checkSignal, rangeError, received, typeError } from '../errors.ts';
import { checkPort } from './send-arguments.ts';

export interface ConnectTarget {
  port: number | string;
  /** Node name or dotted quad. Default, and 'localhost' and the like: the local node. */
  host?: string | null | undefined;
  /** Default: any. */
  localPort?: number | undefined;
  /** The local node, or 'error' with EADDRNOTAVAIL. */
  localAddress?: string | undefined;
  /** How long the daemon tries. Default: the daemon's. ETIMEDOUT. */
  timeoutMs?: number | undefined;
  /** Of net, of no effect: the daemon resolves names, and holds nothing back. */
  lookup?: ((...args: never[]) => void) | undefined;
  family?: number | undefined;
  hints?: number | undefined;
  noDelay?: boolean | undefined;
}

/** A ConnectTarget that was checked. */
export interface CheckedTarget {
  port: number;
  /** undefined: the local node. */
  host?: string;
  localPort?: number;
  localAddress?: string;
  timeoutMs?: number;
}

export interface ListenOptions {
  /** 0 or none: any. */
  port?: number | string | null | undefined;
  /** The local node, in any of its names, or 'error' with EADDRNOTAVAIL. */
  host?: string | null | undefined;
  /** Streams that may wait in the daemon. Default: the daemon's. */
  backlog?: number | undefined;
  /** Closes the server. */
  signal?: AbortSignal | undefined;
  /** Of net, of no effect. */
  exclusive?: boolean | undefined;
  ipv6Only?: boolean | undefined;
}

export interface CheckedListen {
  port: number;
  host: string | undefined;
  backlog: number | undefined;
  signal: AbortSignal | undefined;
}

type Given = Record<string, unknown>;
type Callback = (() => void) | undefined;

/** (options, [callback]), (port, [host,] [callback]), (path, [callback]). */
function normalize(args: readonly unknown[]): { given: Given; callback: Callback } {
  const [first, second] = args;
  const last = args.at(-1);
  const callback = typeof last === 'function' ? (last as () => void) : undefined;
  if (args.length === 0) return { given: {}, callback };
  if (typeof first === 'object' && first !== null) return { given: first as Given, callback };
  if (typeof first === 'string' && !(Number(first) >= 0))
    return { given: { path: first }, callback };
  return {
    given: { port: first, host: typeof second === 'string' ? second : undefined },
    callback,
  };
}

/** (port, [host,] [callback]) or (options, [callback]). */
export function readConnectArguments(args: readonly unknown[]): {
  target: CheckedTarget;
  callback: Callback;
} {
  const { given, callback } = normalize(args);
  const { port, host, localPort, localAddress, lookup, timeoutMs } = given;
  refuseElsewhere(given, 'connect to a port of a node');
  if (port === undefined)
    throw argumentError('ERR_MISSING_ARGS', 'The "options" or "port" argument must be specified');
  if (typeof port !== 'number' && typeof port !== 'string')
    throw typeError('options.port', 'one of type number or string', port);
  if (host !== undefined && host !== null && typeof host !== 'string')
    throw typeError('options.host', 'of type string', host);
  if (lookup !== undefined && lookup !== null && typeof lookup !== 'function')
    throw typeError('options.lookup', 'of type function', lookup);
  const target: CheckedTarget = { port: checkPort(port, true) };
  if (host && !isLocalHost(host)) target.host = host;
  if (localPort) {
    if (typeof localPort !== 'number')
      throw typeError('options.localPort', 'of type number', localPort);
    target.localPort = checkPort(localPort, true);
  }
  if (localAddress) {
    if (typeof localAddress !== 'string' || isIP(localAddress) === 0)
      throw argumentError('ERR_INVALID_IP_ADDRESS', `Invalid IP address: ${String(localAddress)}`);
    target.localAddress = localAddress;
  }
  if (timeoutMs !== undefined) target.timeoutMs = checkDuration('timeoutMs', timeoutMs);
  return { target, callback };
}

/** ([port, [host,] [backlog,]] [callback]) or (options, [callback]). */
export function readListenArguments(args: readonly unknown[]): {
  options: CheckedListen;
  callback: Callback;
} {
  const { given, callback } = normalize(args);
  const { port, host, signal } = given;
  refuseElsewhere(given, 'listen at a port');
  const backlog = given['backlog'] ?? args.slice(1, 3).find((arg) => typeof arg === 'number');
  const anyPort =
    args.length === 0 ||
    typeof args[0] === 'function' ||
    port === null ||
    (port === undefined && 'port' in given);
  if (!anyPort && port === undefined)
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      `The argument 'options' must have the property "port". ${received(given)}`,
    );
  if (!anyPort && typeof port !== 'number' && typeof port !== 'string')
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      `The property 'options.port' is invalid. ${received(port)}`,
    );
  if (host !== undefined && host !== null && typeof host !== 'string')
    throw typeError('options.host', 'of type string', host);
  if (
    backlog !== undefined &&
    !(typeof backlog === 'number' && Number.isInteger(backlog) && backlog >= 0 && backlog < 2 ** 31)
  )
    throw rangeError(
      'ERR_OUT_OF_RANGE',
      `backlog must be an integer of 0 and above, not ${String(backlog)}`,
    );
  return {
    options: {
      port: anyPort ? 0 : checkPort(port, true),
      host: host && !isLocalHost(host) ? host : undefined,
      backlog: backlog as number | undefined,
      signal: checkSignal(signal, 'options.signal'),
    },
    callback,
  };
}

function refuseElsewhere(given: Given, instead: string): void {
  for (const name of ['path', 'fd', 'handle', '_handle']) {
    const value = given[name];
    if (value !== undefined && value !== null)
      throw argumentError(
        'ERR_INVALID_ARG_VALUE',
        `The property 'options.${name}' has no meaning on an overlay; ${instead}. ` +
          `${received(value)}`,
      );
  }
}

export function checkDuration(what: string, value: unknown): number {
  if (typeof value !== 'number') throw typeError(what, 'of type number', value);
  if (!(value >= 0 && value < Infinity))
    throw rangeError(
      'ERR_OUT_OF_RANGE',
      `The value of "${what}" is out of range. It must be a non-negative finite number. Received ` +
        `${value}`,
    );
  if (value < 2 ** 31) return value;
  process.emitWarning(
    `${value} does not fit into a 32-bit signed integer.\nTimer duration was truncated to ` +
      `${2 ** 31 - 1}.`,
    'TimeoutOverflowWarning',
  );
  return 2 ** 31 - 1;
}
