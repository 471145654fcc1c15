/**
 * What link-state routing needs from its surroundings: settings, and what a daemon has one of; and
 * what it counts. Types only.
 */

import type { NodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Clock, Micros, Timers } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import type { DropCounters } from '../wire/drop.ts';
import type { NodeFacts } from '../wire/node-facts.ts';
import type { NodeStatement, SignedRecord } from '../wire/record.ts';
import type { Metric } from './metrics.ts';
import type { RoutedLink } from './routed-link.ts';

export interface LinkStateRouterConfig {
  readonly id: NodeId;
  readonly name: string;
  readonly metric: Metric;
  readonly advertisementRefreshUs: Micros;
  readonly advertisementLifetimeUs: Micros;
  /** Between two renewals of our node record, if those of the advertisement are rarer. */
  readonly keyRotationUs: Micros;
  readonly limits: { readonly nodes: number };
}

export interface LinkStateRouterEnvironment {
  readonly clock: Clock;
  /** Microseconds since 1970. */
  readonly wall: Pick<Clock, 'now'>;
  /** For durations within a turn. */
  readonly stopwatch: Clock;
  readonly timers: Timers;
  readonly rng: Rng;
  readonly log: Log;
  readonly drops: DropCounters;
  /** What our advertisements say of this daemon. */
  readonly facts: NodeFacts;
  /**
   * Who we are and whom we trust; null in a network without identities, where nothing is signed.
   */
  readonly membership: Membership | null;
  /** What an operator adds to the latency of a link that is up, for routes. */
  extraUs?(link: RoutedLink): Micros;
  /** Routes changed. */
  onRoutes(): void;
  /**
   * With identities: the daemon of `node` was started anew, by what it signed itself, or nothing
   * was known of it before.
   */
  onRestart(node: NodeId): void;
  /** With identities: what our node record says now, beside the facts. */
  statement(): NodeStatement;
  /** A node's record was believed, or is no longer. */
  onNodeRecord(node: NodeId, record: SignedRecord | null): void;
  /**
   * With identities: an earlier run of ours went on to `sequence`, beyond where the clock had ours
   * begin.
   */
  onOvertaken(sequence: number): void;
}

export interface RoutingCounters {
  /** Nodes that went by another neighbour than before. */
  routeChanges: number;
  recomputations: number;
  recomputeUsTotal: Micros;
  recomputeUsMax: Micros;
  advertised: number;
  accepted: number;
  duplicates: number;
  /** Advertisements whose certificate and signature were found good, or not. */
  verified: number;
  verifyFailed: number;
}
