/**
 * Options of datagrams with a deadline: of a socket, of one message, and as marks of a SEND.
 *
 * Owns their checks and their form on the way to the daemon. Does not know sockets.
 */

import { argumentError, rangeError } from '../errors.ts';
import {
  DEADLINE_MS_MAX,
  MARK_REDUNDANCY_SHIFT,
  type LinkServiceName,
  type RoutingName,
} from '../shared/protocol.ts';

/** What becomes of messages that come later than their deadline. */
export type LatePolicy = 'drop' | 'deliver';
/** What realtime links send beyond a message. */
export type RedundancyName = 'auto' | 'none' | 'copy';

/** Of one message over realtime links, in place of its socket's. */
export interface MessageOptions {
  /** 1..2000, from now on. */
  deadlineMs?: number | undefined;
  redundancy?: RedundancyName | undefined;
}

const REDUNDANCIES: readonly unknown[] = ['auto', 'none', 'copy'];

/** Throws unless they are what the link service, or the routing, takes. */
export function checkTimeliness(
  link: LinkServiceName,
  { deadlineMs, redundancy }: MessageOptions,
  late: unknown,
  routing: RoutingName = 'link-state',
): void {
  if (deadlineMs !== undefined) checkDeadline(deadlineMs);
  if (redundancy !== undefined) checkRedundancy(redundancy);
  if (late !== undefined && late !== 'drop' && late !== 'deliver')
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      `late must be drop or deliver, not ${String(late)}`,
    );
  const hasDeadline = deadlineMs !== undefined && routing !== 'graph';
  if (link !== 'realtime' && (hasDeadline || redundancy !== undefined))
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      `deadlineMs and redundancy are for link realtime, not ${link}`,
    );
}

export function checkDeadline(ms: unknown): number {
  if (typeof ms !== 'number' || !Number.isInteger(ms) || ms < 1 || ms > DEADLINE_MS_MAX)
    throw rangeError(
      'ERR_OUT_OF_RANGE',
      `deadlineMs must be an integer of 1..${DEADLINE_MS_MAX}, not ${String(ms)}`,
    );
  return ms;
}

function checkRedundancy(name: unknown): void {
  if (!REDUNDANCIES.includes(name))
    throw argumentError(
      'ERR_INVALID_ARG_VALUE',
      `redundancy must be auto, none or copy, not ${String(name)}`,
    );
}

/**
 * Takes options of a message out of the arguments of `send`, wherever behind the message they
 * stand; what they are as marks, 0 without any. Throws for another link service than realtime.
 */
export function takeMarks(link: LinkServiceName, args: unknown[]): number {
  for (let i = 1; i < args.length; i += 1) {
    const given = args[i];
    if (typeof given !== 'object' || given === null) continue;
    if (!('deadlineMs' in given || 'redundancy' in given)) continue;
    const options = given as MessageOptions;
    checkTimeliness(link, options, undefined);
    args.splice(i, 1);
    const redundancy =
      options.redundancy === undefined ? 0 : REDUNDANCIES.indexOf(options.redundancy) + 1;
    return (options.deadlineMs ?? 0) | (redundancy << MARK_REDUNDANCY_SHIFT);
  }
  return 0;
}
