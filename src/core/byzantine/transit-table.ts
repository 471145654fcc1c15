/**
 * What a node keeps for the flows of others that it passes on, found by their numbers: no text is
 * made for a packet.
 *
 * Owns the index only. A path id is a digest over source, route and destination; nearly all of it
 * and the source's epoch find the few flows that are compared whole. Who makes up epochs, or grinds
 * paths whose ids are alike, makes no look-up longer than the few that a grinder can find.
 */

import type { ProbedFlow } from '../wire/probed.ts';

/** A number keeps 53 bits: all of the id's first 32 and as many of its last. */
const LOW_BITS = 21;

export class TransitTable<T extends ProbedFlow> {
  readonly #byPath = new Map<number, Map<number, T[]>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(flow: ProbedFlow): T | undefined {
    const alike = this.#byPath.get(pathKey(flow))?.get(flow.epoch);
    if (alike === undefined) return undefined;
    for (const kept of alike) if (isSame(kept, flow)) return kept;
    return undefined;
  }

  /** `flow` is not in it yet. */
  add(flow: T): void {
    const path = pathKey(flow);
    let epochs = this.#byPath.get(path);
    if (epochs === undefined) this.#byPath.set(path, (epochs = new Map()));
    const alike = epochs.get(flow.epoch);
    if (alike === undefined) epochs.set(flow.epoch, [flow]);
    else alike.push(flow);
    this.#size += 1;
  }

  /** `flow` is in it. */
  delete(flow: T): void {
    const path = pathKey(flow);
    const epochs = this.#byPath.get(path)!;
    const alike = epochs.get(flow.epoch)!;
    alike.splice(alike.indexOf(flow), 1);
    if (alike.length === 0) epochs.delete(flow.epoch);
    if (epochs.size === 0) this.#byPath.delete(path);
    this.#size -= 1;
  }

  *values(): Generator<T> {
    for (const epochs of this.#byPath.values()) for (const alike of epochs.values()) yield* alike;
  }

  clear(): void {
    this.#byPath.clear();
    this.#size = 0;
  }
}

function pathKey({ pathHigh, pathLow }: ProbedFlow): number {
  return pathHigh * 2 ** LOW_BITS + (pathLow >>> (32 - LOW_BITS));
}

function isSame(a: ProbedFlow, b: ProbedFlow): boolean {
  return (
    a.pathLow === b.pathLow &&
    a.pathHigh === b.pathHigh &&
    a.epoch === b.epoch &&
    a.source === b.source &&
    a.destination === b.destination
  );
}
