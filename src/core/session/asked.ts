/**
 * Which nodes a socket has sent to lately: what they answer comes in, whatever the rules say of who
 * may begin (address-dependent filtering of RFC 4787, section 5: an answer may come from another
 * port). Bounded by forgetting who was asked longest ago. `@hot`
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Micros } from '../base/time.ts';

/** Answers come in for so long after a message was sent (RFC 4787, REQ-5: two minutes at least). */
export const ANSWERS_FOR: Micros = 120 * SECOND;
/** Of one socket. */
const NODES_MAX = 1_024;
/** The time of who is asked again and again is noted so often. */
const GRAIN: Micros = SECOND;

export class Asked {
  /** When, the longest ago first. */
  readonly #at = new Map<NodeId, Micros>();
  #latest: NodeId = 0;
  #latestAt: Micros = -GRAIN;

  /** A message to `node` was taken. */
  note(node: NodeId, now: Micros): void {
    if (node === this.#latest && now - this.#latestAt < GRAIN) return;
    this.#latest = node;
    this.#latestAt = now;
    this.#at.delete(node);
    this.#at.set(node, now);
    if (this.#at.size > NODES_MAX) this.#at.delete(this.#at.keys().next().value!);
  }

  /** Whether what comes from `node` may be an answer. */
  mayAnswer(node: NodeId, now: Micros): boolean {
    const at = this.#at.get(node);
    return at !== undefined && now - at < ANSWERS_FOR;
  }
}
