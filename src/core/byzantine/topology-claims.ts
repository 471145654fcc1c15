/**
 * What nodes say, signed, of their links, as far as Byzantine routing believes it.
 *
 * Owns nothing. A lie moves only blame for links that the liar is an end of.
 */

import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { Topology } from '../dissemination/strategy.ts';
import { LATENCY_UNIT_US } from '../wire/link-state.ts';
import { carriesTransit } from '../wire/node-facts.ts';
import { SERVICE_RELIABLE } from '../wire/packet.ts';
import { rangeOf, type RoundTripRange } from './bounds.ts';

export class TopologyClaims {
  readonly #self: NodeId;
  readonly #topology: Topology;

  constructor(self: NodeId, topology: Topology) {
    this.#self = self;
    this.#topology = topology;
  }

  /**
   * False when one of the two has said which neighbours it has, and the other is not among them.
   */
  mayLink(a: NodeId, b: NodeId): boolean {
    const [ofA, ofB] = [this.#topology.advertisementOf(a), this.#topology.advertisementOf(b)];
    return (
      (ofA === null || ofA.links.some((link) => link.node === b)) &&
      (ofB === null || ofB.links.some((link) => link.node === a))
    );
  }

  /** False when `node` has said that it carries nothing for others. */
  mayPass(node: NodeId): boolean {
    return carriesTransit(this.#topology.advertisementOf(node)?.facts);
  }

  /** How long a packet and its answer take over a link, by what its two ends say. */
  rangeOf(u: NodeId, v: NodeId, service: number): RoundTripRange {
    return rangeOf(
      Math.max(this.#latencyUs(u, v), this.#latencyUs(v, u)),
      service === SERVICE_RELIABLE,
      u === this.#self,
    );
  }

  #latencyUs(u: NodeId, v: NodeId): Micros {
    const entry = this.#topology.advertisementOf(u)?.links.find((link) => link.node === v);
    return entry === undefined ? -1 : entry.latency * LATENCY_UNIT_US;
  }
}
