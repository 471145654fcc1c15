/**
 * Whether a notice of a node on the way is about something that a session of ours has sent.
 *
 * Called by sessions.ts before anything of a notice is believed.
 */

import type { Notice } from '../wire/notice.ts';

/** Messages ago that a notice may quote. */
const QUOTED_MAX = 1_000_000;

/** Of a datagram session. */
interface Sent {
  readonly run: number;
  readonly nextMessage: number;
  readonly secret: boolean;
}

/**
 * The notice quotes a packet that the session has sent lately: runs are drawn so that nobody can
 * guess them. What is sealed shows none of that: there whoever says so must be known.
 */
export function isOurs(
  { run, nextMessage, secret }: Sent,
  { quoteHigh, quoteLow }: Notice,
  proved: boolean,
): boolean {
  return secret ? proved : quoteHigh === run && (nextMessage - 1 - quoteLow) >>> 0 < QUOTED_MAX;
}
