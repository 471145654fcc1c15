/**
 * Arguments of a client's requests: what they may be, and the error that says so.
 *
 * A request is a map of anything. Each function takes one argument out of it and throws SpinesError
 * EINVAL that names it and its bounds.
 */

import { assert } from '../base/assert.ts';
import { SpinesError } from '../base/errors.ts';
import { isNodeId, parseNodeId, type NodeId } from '../base/ids.ts';
import { MILLISECOND, type Micros } from '../base/time.ts';
import { LATE_POLICIES, REDUNDANCIES, type DatagramOptions } from '../session/datagram-session.ts';
import { SECRECIES, type Secrecy } from '../session/secrecy.ts';
import {
  KEEPALIVE_MIN,
  LIMIT_MAX,
  NO_LIMITS,
  SILENCE_MIN,
  type OwnLimits,
} from '../session/stream-liveness.ts';
import { DEADLINE_MS_MAX, deadlineOf } from '../wire/deadline.ts';
import {
  carriesGraph,
  DISSEMINATION_GRAPH,
  DISSEMINATION_ROUTED,
  disseminationName,
  GRAPH_NAMES,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../wire/modes.ts';
import { PATHS_MAX } from '../wire/packet.ts';
import {
  CONGESTION_NAMES,
  KEEPALIVE_MS_MIN,
  LIVENESS_MS_MAX,
  SILENCE_MS_MIN,
  type CongestionName,
} from 'spines-client/protocol';

export type Arguments = Readonly<Record<string, unknown>>;

/** An integer argument between `min` and `max`. Throws SpinesError EINVAL. */
export function integer(args: Arguments, name: string, min: number, max: number): number {
  const value = args[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new SpinesError('EINVAL', `${name} must be a whole number from ${min} to ${max}`);
  }
  return value;
}

assert(
  SILENCE_MIN === SILENCE_MS_MIN * MILLISECOND &&
    KEEPALIVE_MIN === KEEPALIVE_MS_MIN * MILLISECOND &&
    LIMIT_MAX === LIVENESS_MS_MAX * MILLISECOND,
  'a client may set what a config may',
);

/** A stream's own limits, where given. Throws SpinesError EINVAL. */
export function streamLimits(args: Arguments): OwnLimits {
  if (args['kind'] === 'stream')
    return { silenceUs: limitOf(args, 'silenceMs'), keepaliveUs: limitOf(args, 'keepaliveMs') };
  for (const name of ['silenceMs', 'keepaliveMs'])
    if (args[name] !== undefined)
      throw new SpinesError(
        'EINVAL',
        `${name} is for streams; leave it out, or ask for kind "stream"`,
      );
  return NO_LIMITS;
}

/** A stream's own congestion control; undefined: the daemon's. Throws SpinesError EINVAL. */
export function congestionOf(args: Arguments): CongestionName | undefined {
  const value = args['congestion'];
  if (value === undefined || value === null) return undefined;
  const found = CONGESTION_NAMES.find((name) => name === value);
  if (found === undefined)
    throw new SpinesError(
      'EINVAL',
      `congestion must be one of ${CONGESTION_NAMES.join(', ')}, or nothing for the daemon's`,
    );
  return found;
}

/**
 * Deadline, what becomes of late messages, and redundancy, where given. Throws SpinesError EINVAL:
 * also for a redundancy with another link service than realtime, and for a deadline with neither
 * that nor routing "graph".
 */
export function timelinessOf(
  args: Arguments,
  { service, dissemination }: DatagramOptions,
): DatagramOptions {
  const { deadlineMs, late, redundancy } = args;
  const out: DatagramOptions = {};
  for (const [name, value] of Object.entries({ deadlineMs, redundancy }))
    if (
      value !== undefined &&
      value !== null &&
      service !== SERVICE_REALTIME &&
      (name !== 'deadlineMs' || dissemination !== DISSEMINATION_GRAPH)
    )
      throw new SpinesError(
        'EINVAL',
        name === 'deadlineMs'
          ? 'deadlineMs is for link "realtime" or routing "graph"; leave it out, or ask for one'
          : `${name} is for link "realtime"; leave it out, or ask for it`,
      );
  if (deadlineMs !== undefined && deadlineMs !== null)
    Object.assign(out, deadlineOf(integer(args, 'deadlineMs', 1, DEADLINE_MS_MAX)));
  if (late !== undefined && late !== null) out.late = nameOf(late, LATE_POLICIES, 'late');
  if (redundancy !== undefined && redundancy !== null)
    out.redundancy = nameOf(redundancy, REDUNDANCIES, 'redundancy');
  return out;
}

/**
 * How many disjoint paths, or which graph, where given. Throws SpinesError EINVAL, and EOPNOTSUPP
 * for what does not go several ways.
 */
export function waysOf(
  args: Arguments,
  { service, dissemination }: DatagramOptions,
  kind: 'datagram' | 'stream',
): DatagramOptions {
  const code = dissemination ?? 0;
  if (carriesGraph(code) && (kind === 'stream' || service === SERVICE_RELIABLE))
    throw new SpinesError(
      'EOPNOTSUPP',
      `routing "${disseminationName(code)}" is for datagrams over link "best-effort" or ` +
        '"realtime"',
    );
  const { paths, graph } = args;
  const out: DatagramOptions = {};
  if (paths !== undefined && paths !== null) {
    if (code !== DISSEMINATION_ROUTED)
      throw new SpinesError('EINVAL', 'paths is for routing "paths"; leave it out, or ask for it');
    out.paths = integer(args, 'paths', 1, PATHS_MAX);
  }
  if (graph !== undefined && graph !== null) {
    if (code !== DISSEMINATION_GRAPH)
      throw new SpinesError('EINVAL', 'graph is for routing "graph"; leave it out, or ask for it');
    out.graph = nameOf(graph, GRAPH_NAMES, 'graph');
  }
  return out;
}

function nameOf<T extends string>(value: unknown, names: readonly T[], what: string): T {
  const known = names.find((name) => name === value);
  if (known === undefined)
    throw new SpinesError('EINVAL', `${what} must be one of ${names.join(', ')}`);
  return known;
}

/**
 * How a socket is to be protected; undefined: as the daemon's config says. Throws SpinesError
 * EINVAL.
 */
export function secrecyOf(args: Arguments): Secrecy | undefined {
  const value = args['secrecy'];
  if (value === undefined || value === null) return undefined;
  const known = SECRECIES.find((name) => name === value);
  if (known === undefined)
    throw new SpinesError('EINVAL', 'secrecy must be "end-to-end" or "links"');
  return known;
}

/** Null: the daemon's. */
export function limitOf(args: Arguments, name: 'keepaliveMs' | 'silenceMs'): Micros | null {
  const value = args[name];
  if (value === undefined || value === null) return null;
  const least = name === 'silenceMs' ? SILENCE_MS_MIN : KEEPALIVE_MS_MIN;
  if (name === 'keepaliveMs' && value === 0) return 0;
  if (
    typeof value !== 'number' ||
    !Number.isInteger(value) ||
    value < least ||
    value > LIVENESS_MS_MAX
  ) {
    throw new SpinesError(
      'EINVAL',
      `${name} must be a whole number from ${least} to ` +
        `${LIVENESS_MS_MAX}${name === 'keepaliveMs' ? ', or 0 for none' : ''}`,
    );
  }
  return value * MILLISECOND;
}

/** A text argument, 1..255 characters. Throws SpinesError EINVAL. */
export function truth(args: Arguments, name: string): boolean {
  const value = args[name] ?? false;
  if (typeof value !== 'boolean') throw new SpinesError('EINVAL', `${name} must be true or false`);
  return value;
}

export function text(args: Arguments, name: string): string {
  const value = args[name];
  if (typeof value !== 'string' || value.length < 1 || value.length > 255)
    throw new SpinesError('EINVAL', `${name} must be a text of 1 to 255 characters`);
  return value;
}

/** Dotted quad of a class a node can have, or null. */
export function quadOf(name: string): NodeId | null {
  const id = parseNodeId(name);
  return id !== null && isNodeId(id) ? id : null;
}
