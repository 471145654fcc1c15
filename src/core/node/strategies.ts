/**
 * The strategies that a daemon has, by the code of their dissemination: one row each.
 *
 * A new one is a file that implements Strategy, its row here, and its row among the modes
 * (spines-client/src/shared/modes.ts).
 */

import { ByzantineRouter } from '../byzantine/byzantine-router.ts';
import type { ByzantineOptions } from '../byzantine/options.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Strategy, StrategyEnvironment } from '../dissemination/strategy.ts';
import { Routed } from '../dissemination/routed.ts';
import { Unicast, type UnicastEnvironment } from '../dissemination/unicast.ts';
import { DisseminationGraphs } from '../routing/dissemination-graphs.ts';
import type { GraphTopology } from '../routing/path-graphs.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_GRAPH,
  DISSEMINATION_LINK_STATE,
  DISSEMINATION_ROUTED,
} from '../wire/modes.ts';

/** All that strategies are made of. */
export interface StrategyParts extends StrategyEnvironment, UnicastEnvironment {
  /** Null in a network without identities. */
  readonly membership: Membership | null;
  readonly byzantine: ByzantineOptions;
  readonly nodesMost: number;
  readonly linkState: GraphTopology;
  /** u48, of this run. */
  readonly instance: number;
  /** A u32 that nobody can guess. */
  draw(): number;
  /** Whether a packet of others may not pass; it is counted. */
  refusesTransit(): boolean;
}

export interface MadeStrategies {
  strategy(code: number): Strategy | null;
}

export interface StrategyRow {
  readonly code: number;
  /** Null: this daemon lacks what it needs. `made`: those of the rows before. */
  make(parts: StrategyParts, made: MadeStrategies): Strategy | null;
}

export const STRATEGIES: readonly StrategyRow[] = [
  { code: DISSEMINATION_LINK_STATE, make: (parts) => new Unicast(parts) },
  {
    code: DISSEMINATION_BYZANTINE,
    make: ({ membership, byzantine: options, ...parts }) =>
      membership === null ? null : new ByzantineRouter({ ...parts, membership, options }),
  },
  {
    code: DISSEMINATION_ROUTED,
    make: (parts) =>
      new Routed({
        ...parts,
        graphs: new DisseminationGraphs(parts.self, parts.linkState, parts.clock),
        run: parts.instance % 2 ** 32,
        knows: (node) => parts.router.knows(node),
      }),
  },
  // The same packets; what differs is how their source chooses graphs.
  { code: DISSEMINATION_GRAPH, make: (_, made) => made.strategy(DISSEMINATION_ROUTED) },
];
