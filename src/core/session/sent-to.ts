/**
 * How many messages a socket has sent to whom, over reliable links, without hearing that they are
 * lost: it is told of no more than that. Who tells may know the flow and still make up the number,
 * count pieces, or speak of a socket that had the port before. Bounded by forgetting to whom
 * nothing was sent for longest. `@hot`
 */

import type { NodeId } from '../base/ids.ts';

/** Of one socket. */
const NODES_MAX = 1_024;

interface Sent {
  messages: number;
}

export class SentTo {
  /** The longest ago first. */
  readonly #of = new Map<NodeId, Sent>();
  #latest: NodeId = 0;
  #latestSent: Sent = { messages: 0 };

  /** A message to `node` was taken. */
  add(node: NodeId): void {
    if (node !== this.#latest) this.#begin(node);
    this.#latestSent.messages += 1;
  }

  /** Takes away `count` messages to `node`, or as many as there are: how many. */
  take(node: NodeId, count: number): number {
    const sent = this.#of.get(node);
    if (sent === undefined) return 0;
    const taken = Math.min(count, sent.messages);
    sent.messages -= taken;
    return taken;
  }

  #begin(node: NodeId): void {
    const sent = this.#of.get(node) ?? { messages: 0 };
    this.#of.delete(node);
    this.#of.set(node, sent);
    if (this.#of.size > NODES_MAX) this.#of.delete(this.#of.keys().next().value!);
    this.#latest = node;
    this.#latestSent = sent;
  }
}
