/**
 * The choice of a port for a socket that did not ask for one (RFC 6056, section 3.3.1): nobody who
 * sees some knows the next.
 */

import type { Draws } from '../base/draws.ts';
import type { Port } from '../base/ids.ts';

const FIRST: Port = 32_768;
const LAST: Port = 60_999;

/** A port of 32768..60999 for which `taken` is false, null when there is none. */
export function drawPort(draws: Draws, taken: (port: Port) => boolean): Port | null {
  const count = LAST - FIRST + 1;
  const start = draws.below(count);
  for (let i = 0; i < count; i += 1) {
    const port = FIRST + ((start + i) % count);
    if (!taken(port)) return port;
  }
  return null;
}
