/**
 * What stands between sessions and the network in a daemon with an identity: packets that are
 * sealed from their source to their destination.
 *
 * Owns the interface only; core/end-to-end/end-to-end.ts is what daemons have there. Called by
 * unicast.ts.
 */

import type { NodeId } from '../base/ids.ts';
import type { DropReason, Offered } from '../wire/drop.ts';
import type { Packet } from '../wire/packet.ts';

export interface Protection {
  /**
   * A packet of a local session to another node that leaves sealed or not at all: seals and sends
   * it, or keeps it until it can be sealed. Valid during the call only. Not none = not taken.
   */
  originate(packet: Packet): Offered;
  /**
   * A sealed packet came for this node: opens and delivers it, or keeps it for a moment. The caller
   * counts what is not none.
   */
  onSealed(packet: Packet): DropReason;
  /** The daemon of `node` was started anew. */
  onRestart(node: NodeId): void;
  stop(): void;
}
