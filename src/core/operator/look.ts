/**
 * What a look at a part of the daemon is: it remembers what was, and tells what is different.
 *
 * Types, and what several looks need. watch.ts calls them while somebody watches.
 */

import { formatNodeId, type NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { Happened, PathNode } from 'spines-client/protocol';
import type { Operator } from './operation.ts';

/** `at`: by the daemon's running clock. */
export type TellHappened = (happened: Happened, at: Micros) => void;

/** Made when the first program watches: what is then is what was. */
export interface Look {
  look(tell: TellHappened): void;
}

/** A node as events name it. */
export function nodeAt({ node: { router, config } }: Operator, node: NodeId): PathNode {
  return {
    node: formatNodeId(node),
    name: node === config.id ? config.name : router.nameOf(node),
  };
}
