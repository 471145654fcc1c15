/**
 * Where an adversary of a laboratory lays hands on what comes to a node's Byzantine-resilient
 * router.
 *
 * Owns the interface only. Without one (always, in earnest) the router asks nobody. An adversary
 * has full power over its node: a hook may change the bytes in place, keep a copy, send what it
 * likes over the node's links, and swallow the original. What it does by name is
 * lab/misbehaviour/misbehaviour.ts's, and lab/adversary/adversary.ts's for what needs a simulation.
 */

import type { NodeId } from '../base/ids.ts';
import type { Packet } from '../wire/packet.ts';
import type { ProbedAck } from '../wire/probed.ts';

/**
 * Each hook is called before the router acts, with what came from the neighbour `from`; true = the
 * router never sees it.
 */
export interface Misbehaviour {
  /** Data that should be passed on; valid during the call only. */
  onData?(packet: Packet, from: NodeId): boolean;
  /** An acknowledgement on its way to another source; valid during the call only. */
  onAck?(ack: ProbedAck, from: NodeId, service: number): boolean;
  /** A whole message of route discovery, a request or a response; its bytes are the callee's. */
  onRoute?(message: Uint8Array, from: NodeId): boolean;
}
