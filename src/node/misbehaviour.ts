/**
 * What an adversary of a laboratory does, by name: it drops one kind of what it should pass on, and takes part in all else.
 *
 * Called by administration.ts, where the configuration allows it, and by the simulator.
 */

import type { Misbehaviour } from '../byzantine/byzantine-router.ts';
import type { MisbehaviourName } from 'spines-client/protocol';
import type { SpinesNode } from './node.ts';

const drop = (): boolean => true;

const DEEDS: Readonly<Record<MisbehaviourName, Misbehaviour | null>> = {
  'drop-data': { onData: drop },
  'drop-acks': { onAck: drop },
  'drop-routes': { onRoute: drop },
  none: null,
};

/** From now on; false in a network without identities, where there is nothing to disturb. */
export function misbehave(node: SpinesNode, what: MisbehaviourName): boolean {
  if (node.byzantine === null) return false;
  node.byzantine.misbehaviour = DEEDS[what];
  return true;
}
