/**
 * How a stream travels, and how long it waits: what programs and the daemon's configuration say.
 *
 * Types and defaults only.
 */

import { SECOND, type Micros } from '../base/time.ts';
import type { CongestionName } from '../recovery/controller.ts';
import type { Secrecy } from './secrecy.ts';
import type { LivenessLimits } from './stream-liveness.ts';

export interface StreamTiming extends LivenessLimits {
  /** A connection attempt fails after this long without an answer. */
  readonly connectUs: Micros;
  /** And after this long without a route. */
  readonly unreachableUs: Micros;
  /** After its owner has gone, data not yet delivered is tried for this long. */
  readonly lingerUs: Micros;
}

export const defaultTiming: StreamTiming = {
  connectUs: 10 * SECOND,
  unreachableUs: 3 * SECOND,
  silenceUs: 30 * SECOND,
  keepaliveUs: 15 * SECOND,
  lingerUs: 30 * SECOND,
};

export interface StreamOptions {
  readonly service: number;
  readonly dissemination: number;
  readonly ttl: number;
  readonly priority: number;
  /** Undefined: the daemon's. */
  readonly congestion?: CongestionName | undefined;
  /**
   * Asked for by who opens one, default: the daemon's. Of a stream: 'end-to-end' when its packets
   * are sealed from end to end, and nothing else is taken.
   */
  readonly secrecy?: Secrecy | undefined;
}
