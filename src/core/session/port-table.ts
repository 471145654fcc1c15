/**
 * Which datagram session has which port; several may have one when each of them was opened to share
 * it, as with SO_REUSEADDR.
 *
 * Of those that share a port each gets a message that is sent to this node in turn: a packet to an
 * anycast group is one of these. What is sent to a group goes by memberships.
 */

import type { Port } from '../base/ids.ts';
import type { DatagramSession } from './datagram-session.ts';

export class PortTable {
  readonly #first = new Map<Port, DatagramSession>();
  /** Those behind the first, in the order in which they came; few ports have any. */
  readonly #others = new Map<Port, DatagramSession[]>();
  #size = 0;

  /** Bound sessions. */
  get size(): number {
    return this.#size;
  }

  /** Who gets what is sent to `port` of this node. `@hot` */
  get(port: Port): DatagramSession | undefined {
    return this.#first.get(port);
  }

  /** A message for `port` was given to the first: the next is the turn of who waits longest. */
  onGiven(port: Port): void {
    const others = this.#others.get(port);
    if (others === undefined) return;
    const next = others.shift()!;
    others.push(this.#first.get(port)!);
    this.#first.set(port, next);
  }

  has(port: Port): boolean {
    return this.#first.has(port);
  }

  /** Whether `session` may have `port`. */
  isFree(port: Port, session: DatagramSession): boolean {
    const first = this.#first.get(port);
    return first === undefined || (first.sharesPort && session.sharesPort);
  }

  /** `port` must be free for `session`. */
  add(port: Port, session: DatagramSession): void {
    this.#size += 1;
    if (!this.#first.has(port)) this.#first.set(port, session);
    else this.#others.set(port, [...(this.#others.get(port) ?? []), session]);
  }

  delete(port: Port, session: DatagramSession): void {
    const others = (this.#others.get(port) ?? []).filter((other) => other !== session);
    if (this.#first.get(port) === session) {
      const next = others.shift();
      if (next === undefined) this.#first.delete(port);
      else this.#first.set(port, next);
    }
    if (others.length > 0) this.#others.set(port, others);
    else this.#others.delete(port);
    this.#size -= 1;
  }
}
