/**
 * Links as routing sees them: what was measured of each, and the datagram under way on it, into
 * which control frames are written.
 *
 * Types only; Link and LinkTable are what daemons have there, and tests have wires of their own.
 */

import type { Endpoint } from '../base/datagram.ts';
import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { NextHop } from '../link/next-hop.ts';

/** What a link measures of its peer. */
export interface MeasuredLiveness {
  readonly rtt: {
    readonly samples: number;
    readonly smoothedUs: Micros;
    readonly variationUs: Micros;
  };
  /** 0..1, of what we send. */
  readonly lossOut: number;
}

/** The datagram that a link is filling, and what its peer reads. */
export interface ControlChannel {
  readonly buffer: Uint8Array;
  /** The wire version of the link. */
  readonly version: number;
}

export interface RoutedLink extends NextHop {
  /** Small number, dense, unique among the links of this node. */
  readonly slot: number;
  /** For people: the peer's name, or its id. */
  readonly label: string;
  /** Where the peer is. */
  readonly endpoint: Endpoint;
  /** One way. */
  readonly latencyUs: Micros;
  readonly liveness: MeasuredLiveness;
  /** It died again and again of late. */
  readonly damped: boolean;
  /** Null while the link is down. */
  readonly channel: ControlChannel | null;
  /** What routes go by: as measured, but for what changes for a moment. */
  routedLatencyUs(): Micros;
  routedLoss(): number;
  /**
   * Begins a control frame; returns where its body goes in the buffer of the channel, -1 when the
   * link is down.
   */
  control(type: number, bodyBytes: number): number;
}

export interface RoutedLinks {
  of(node: NodeId): RoutedLink | undefined;
  at(slot: number): RoutedLink | null;
  /** All links, up or not, in the order in which they were made. */
  all(): Iterable<RoutedLink>;
}
