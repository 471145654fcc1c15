/**
 * A topology as the engines run it: nodes, links, flows and a timeline, all references resolved.
 *
 * Owns the types only. topology-parse.ts makes them from a file's text; the real-time replay and
 * the virtual-time simulator read them. Invariant: a Topology is frozen through and through, its
 * indexes are in range, ids and names are unique, and events are in order of time.
 */

import type {
  CongestionName,
  LinkServiceName,
  GraphName,
  RoutingName,
  SessionKind,
} from 'spines-client/protocol';
import type { MisbehaviourName } from '../misbehaviour/misbehaviours.ts';

import type { NodeId } from '../../core/base/ids.ts';
import type { Micros } from '../../core/base/time.ts';
import type { DirectionChange, DirectionSettings } from '../../core/emulation/link-settings.ts';
import type { FigurePlan } from './topology-figure.ts';

export type MetricName = 'hops' | 'latency' | 'loss' | 'expected-latency';

export interface TopologyNode {
  readonly name: string;
  readonly id: NodeId;
}

export interface TopologyLink {
  /** Indexes into nodes. */
  readonly a: number;
  readonly b: number;
  /** a -> b. */
  readonly forward: DirectionSettings;
  /** b -> a. */
  readonly backward: DirectionSettings;
}

export interface TopologyFlow {
  readonly name: string;
  /** Indexes into nodes. */
  readonly from: number;
  readonly to: number;
  /** Messages per second, above 0, up to FLOW_RATE_MAX. */
  readonly packetsPerSecond: number;
  /** Payload bytes of a message, FLOW_SIZE_MIN..FLOW_SIZE_MAX. */
  readonly sizeBytes: number;
  /**
   * Of the first message, from `startUs`; null: send-times.ts chooses, and no two flows stay in
   * step.
   */
  readonly phaseUs: Micros | null;
  /** Every message is up to this late, at most the time between two. */
  readonly jitterUs: Micros;
  /** From the start of the run (the network has converged then). */
  readonly startUs: Micros;
  /** How long it sends; ends with the run at the latest. */
  readonly durationUs: Micros;
  /** Messages after which it stops even if time is left; null = no such bound. */
  readonly count: number | null;
  readonly link: LinkServiceName;
  readonly session: SessionKind;
  readonly routing: RoutingName;
  /** Of routing paths: how many at most. */
  readonly paths?: number;
  /** Of routing graph. */
  readonly graph?: GraphName;
  /**
   * After which a message is late: links of realtime mend it until then, with others it is only
   * told in the report. 1 ms to 2 s; null: none, and the service's default.
   */
  readonly deadlineUs: Micros | null;
  /** Of a stream, at both its ends; null: the daemons' own. */
  readonly congestion: CongestionName | null;
}

/**
 * `at` counts from the start of the run, like a flow's start. `link` indexes links, `node` indexes
 * nodes.
 */
export type TopologyEvent =
  | {
      readonly at: Micros;
      readonly kind: 'set';
      readonly link: number;
      readonly direction: 'forward' | 'backward' | 'both';
      readonly change: DirectionChange;
    }
  | { readonly at: Micros; readonly kind: 'down' | 'up'; readonly link: number }
  | { readonly at: Micros; readonly kind: 'crash' | 'restart'; readonly node: number }
  /** The node does that to what it should pass on, until it crashes or `what` is none. */
  | {
      readonly at: Micros;
      readonly kind: 'misbehave';
      readonly node: number;
      readonly what: MisbehaviourName;
    }
  /**
   * Whoever is in the middle of the byzantine path that flow `on` uses by then does it; nobody when
   * there is none between its ends.
   */
  | {
      readonly at: Micros;
      readonly kind: 'misbehave-on';
      readonly on: number;
      readonly what: MisbehaviourName;
    }
  /**
   * `groups`: every node is in exactly one. `cut`: the links that cross groups, to be taken down.
   */
  | {
      readonly at: Micros;
      readonly kind: 'partition';
      readonly groups: readonly (readonly number[])[];
      readonly cut: readonly number[];
    }
  /** Ends the partition in force: its cut links come back, except those taken down by a `down`. */
  | { readonly at: Micros; readonly kind: 'heal' };

export interface Topology {
  readonly name: string;
  readonly description: string;
  /** One sentence for the reader of a run's report; empty = none. */
  readonly note: string;
  /** 0..2^32-1. */
  readonly seed: number;
  readonly durationUs: Micros;
  readonly metric: MetricName;
  /** Congestion control of all links; null: the daemons' own. */
  readonly congestion: CongestionName | null;
  /** 'none': links are neither encrypted nor authenticated. */
  readonly security: 'sealed' | 'none';
  readonly nodes: readonly TopologyNode[];
  readonly links: readonly TopologyLink[];
  readonly flows: readonly TopologyFlow[];
  readonly events: readonly TopologyEvent[];
  /** What `spines figures` makes of the file; a replay ignores it. */
  readonly figure: FigurePlan | null;
}

/**
 * Of a path with both its ends: whom an event `misbehave-on` turns; undefined when nobody is
 * between them.
 */
export function inTheMiddle<T>(path: readonly T[]): T | undefined {
  return path.length < 3 ? undefined : path[path.length >> 1];
}

/** How a report names such an event when there is nobody. */
export const NOBODY_MISBEHAVES = 'misbehave nobody: there is no node in the middle of a path';
