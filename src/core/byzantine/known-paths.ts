/**
 * Paths whose signed responses this node has passed on, as far as they lead on from here: what it
 * can believe of a route that a packet names. Whoever is in front of us on a route has not signed
 * when its response comes by; the link by which a packet comes says who the nearest of them is.
 *
 * A source has as many as its own signed requests had answered, up to a bound; at the bound of all,
 * whoever has most gives way.
 */

import type { NodeId } from '../base/ids.ts';

export const KNOWN_PER_SOURCE = 1_024;
export const KNOWN_MAX = 65_536;

export class KnownPaths {
  /** The one used longest ago first. */
  readonly #bySource = new Map<NodeId, Set<string>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `behind`: the nodes behind us, the destination last. */
  add(source: NodeId, behind: readonly NodeId[]): void {
    let known = this.#bySource.get(source);
    if (known === undefined) this.#bySource.set(source, (known = new Set()));
    const name = behind.join();
    if (known.delete(name)) this.#size -= 1;
    else if (known.size >= KNOWN_PER_SOURCE) this.#forgetOldest(source, known);
    known.add(name);
    this.#size += 1;
    if (this.#size <= KNOWN_MAX) return;
    let most = source;
    for (const [other, { size }] of this.#bySource)
      if (size > this.#bySource.get(most)!.size) most = other;
    this.#forgetOldest(most, this.#bySource.get(most)!);
  }

  has(source: NodeId, behind: readonly NodeId[]): boolean {
    const known = this.#bySource.get(source),
      name = behind.join();
    if (known === undefined || !known.delete(name)) return false;
    known.add(name);
    return true;
  }

  #forgetOldest(source: NodeId, known: Set<string>): void {
    known.delete(known.keys().next().value!);
    this.#size -= 1;
    if (known.size === 0) this.#bySource.delete(source);
  }
}
