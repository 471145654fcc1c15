/**
 * What route discovery needs from its node and tells it, and its figures for status. Types only.
 */

import type { NodeId } from '../base/ids.ts';
import type { Rng } from '../base/rng.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { KeyPair } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { DropCounters } from '../wire/drop.ts';
import type { DiscoveredPath } from './discovered-path.ts';
import type { VerifierFigures, VerifierOptions } from './verified.ts';

export interface DiscoveryEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly primitives: Pick<Primitives, 'sign' | 'verify' | 'sha256'>;
  readonly signing: KeyPair;
  /**
   * Which run of this node, u48: more than any earlier run's. Grows when an earlier run turns out
   * to have been ahead.
   */
  readonly epoch: number;
  /** Public part of our present X25519 epoch key. */
  readonly exchangeKey: () => Uint8Array;
  readonly certificateOf: (node: NodeId) => Certificate | null;
  /** Those with an authenticated link that is up. */
  readonly neighbours: () => Iterable<NodeId>;
  /** Takes over `bytes`, up to ROUTE_RESPONSE_BYTES_MAX of them. */
  readonly send: (neighbour: NodeId, bytes: Uint8Array) => void;
  /**
   * The newest number of a node's advertisements that link state believes, null without one: no run
   * that it believes has an epoch beyond it.
   */
  readonly sequenceOf: (node: NodeId) => number | null;
  /**
   * False for a link that the network cannot have. Without such knowledge always true; then a liar
   * can claim a link to any node of a response that it saw.
   */
  readonly mayLink: (a: NodeId, b: NodeId) => boolean;
  /** Whether paths of others may lead through this node. */
  readonly carriesTransit?: () => boolean;
  /** Whether the network knows a way to `node`. */
  readonly reachable: (node: NodeId) => boolean;
  /**
   * A path was accepted; `best`: none of this request is lighter. May call `discover` and
   * `abandon`.
   */
  readonly onPath: (destination: NodeId, path: DiscoveredPath, best: boolean) => void;
  /**
   * A source's epoch and its X25519 key, from a request that it signed and that was not seen
   * before; `anew`: its epochs begin anew, as it signs with another key than before, or had a clock
   * that was ahead.
   */
  readonly onSource: (source: NodeId, epoch: number, key: Uint8Array, anew: boolean) => void;
  /**
   * A response to `source` goes on from here; `behind`: the nodes that signed it, the destination
   * last.
   */
  readonly onPassedOn?: (source: NodeId, behind: readonly NodeId[]) => void;
  readonly drops: DropCounters;
  /** N: most nodes of the network. */
  readonly nodesMost: number;
  readonly rng: Rng;
  readonly options: VerifierOptions;
}

/** For status. */
export interface DiscoveryFigures extends VerifierFigures {
  /** Requests of ours, attempts included. */
  readonly asked: number;
  /** Requests of others for us that we answered. */
  readonly answered: number;
  readonly requestsForwarded: number;
  readonly responsesForwarded: number;
  /** Requests remembered now. */
  readonly live: number;
  /** Destinations looked for or found now. */
  readonly targets: number;
}
