/** Names and keys of nodes, as links need them. */

import type { NodeId } from '../base/ids.ts';

/** Who is who, as far as routing knows. */
export interface Directory {
  /** Null: it has no name, or is not known. */
  nameOf(node: NodeId): string | null;
  /** The node whose certificate has this exchange key. */
  ownerOf(key: Uint8Array): NodeId | null;
}

export const NOBODY: Directory = { nameOf: () => null, ownerOf: () => null };
