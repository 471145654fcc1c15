/**
 * Paths that discovery has found, and which of them are kept: the lightest, and those that share
 * least with it.
 *
 * Pure values; who finds them is discovery.ts, who uses them source-flow.ts.
 */

import { putU32 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Primitives } from '../crypto/primitives.ts';

/** Paths kept besides the best one. */
export const ALTERNATES_MAX = 8;
const PATH_ID_BYTES = 8;

/** A path that all its nodes have signed. */
export interface DiscoveredPath {
  /** From the source, us, to the destination. */
  readonly nodes: readonly NodeId[];
  /**
   * The X25519 epoch key of each node behind us, as that node signed it; none is of low order.
   */
  readonly keys: readonly Uint8Array[];
  /** By the weights of the request. */
  readonly weight: number;
  /** Of the list of nodes, 8 bytes. */
  readonly id: Uint8Array;
}

/** The first 8 bytes of SHA-256 over the node ids. */
export function pathId(
  primitives: Pick<Primitives, 'sha256'>,
  nodes: readonly NodeId[],
): Uint8Array {
  const b = new Uint8Array(nodes.length * 4);
  nodes.forEach((node, i) => putU32(b, i * 4, node));
  return primitives.sha256(b).slice(0, PATH_ID_BYTES);
}

/**
 * The lightest first (the earliest of equals), then those that share fewest nodes and links with
 * it; the rest falls off.
 */
export function ranked(paths: readonly DiscoveredPath[]): DiscoveredPath[] {
  const best = paths.reduce((lightest, path) => (path.weight < lightest.weight ? path : lightest));
  const rest = paths
    .filter((path) => path !== best)
    .map((path) => ({ path, shared: sharedWith(best, path) }));
  rest.sort((x, y) => x.shared - y.shared || x.path.weight - y.path.weight);
  return [best, ...rest.slice(0, ALTERNATES_MAX).map(({ path }) => path)];
}

/** Nodes in between and links that `path` has in common with `best`. */
function sharedWith(best: DiscoveredPath, path: DiscoveredPath): number {
  const next = new Map<NodeId, NodeId>();
  best.nodes.forEach((node, i) => next.set(node, best.nodes[i + 1] ?? node));
  let shared = 0;
  path.nodes.forEach((node, i) => {
    if (i > 0 && i < path.nodes.length - 1 && next.has(node)) shared += 1;
    if (
      i + 1 < path.nodes.length &&
      (next.get(node) === path.nodes[i + 1] || next.get(path.nodes[i + 1]!) === node)
    )
      shared += 1;
  });
  return shared;
}
