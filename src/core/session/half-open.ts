/**
 * Streams that others have begun to open and not confirmed yet: bounded, and nobody takes the
 * places of all.
 *
 * Proved and claimed sources have places of their own, shared as origin.ts says. Whoever has most
 * gives way to who has less; among equals the oldest does once it had time to answer, so that a
 * flood of made-up sources costs those of its own link some tries.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Micros } from '../base/time.ts';
import { groupOf, type Origin } from './origin.ts';

/** Of all listeners, for each of the two kinds of sources. */
const HALF_OPEN_MAX = 1_024;
/** Of one source that nothing proves. */
export const HALF_OPEN_PER_SOURCE_MAX = 64;
/** A proved one opens what its programs open at once; it gives way when others want a part. */
export const HALF_OPEN_PER_PROVED_MAX = 512;
/** Long enough for a confirmation: then it may give way to another of its like. */
const PATIENCE: Micros = SECOND;

interface Place {
  readonly group: NodeId;
  readonly source: NodeId;
  readonly authenticated: boolean;
  readonly listener: object;
  readonly since: Micros;
}

export class HalfOpen<T> {
  /** The oldest first. */
  readonly #places = new Map<T, Place>();

  get size(): number {
    return this.#places.size;
  }

  has(item: T): boolean {
    return this.#places.has(item);
  }

  keys(): T[] {
    return [...this.#places.keys()];
  }

  listenerOf(item: T): object | undefined {
    return this.#places.get(item)?.listener;
  }

  add(item: T, origin: Origin, listener: object, now: Micros): void {
    this.#places.set(item, {
      group: groupOf(origin),
      source: origin.source,
      authenticated: origin.authenticated,
      listener,
      since: now,
    });
  }

  delete(item: T): boolean {
    return this.#places.delete(item);
  }

  /**
   * Whether there is a place for a newcomer at `listener`, which has `backlog` for each kind of
   * sources: 'free', 'none', or the item that has to give way for it.
   */
  room(
    origin: Origin,
    listener: object,
    backlog: number,
    now: Micros,
  ): 'free' | 'none' | { readonly instead: T } {
    const group = groupOf(origin);
    let ofSource = 0,
      ofListener = 0,
      all = 0;
    for (const place of this.#places.values()) {
      if (place.authenticated !== origin.authenticated) continue;
      all += 1;
      if (place.listener === listener) ofListener += 1;
      if (place.group === group && place.source === origin.source) ofSource += 1;
    }
    const most = origin.authenticated ? HALF_OPEN_PER_PROVED_MAX : HALF_OPEN_PER_SOURCE_MAX;
    if (ofSource >= most) return 'none';
    if (ofListener < backlog && all < HALF_OPEN_MAX) return 'free';
    const among = [...this.#places].filter(
      ([, place]) =>
        place.authenticated === origin.authenticated &&
        (ofListener < backlog || place.listener === listener),
    );
    const greedy = largest(among, ([, place]) => place.group, group);
    const ofGreedy = among.filter(([, place]) => place.group === greedy.key);
    // Within another's group its largest source gives way; within the newcomer's own, one that has
    // more than it, or has had its time.
    const inOwn = greedy.key === group;
    if (!inOwn && greedy.count <= greedy.own + 1) return 'none';
    const source = largest(ofGreedy, ([, place]) => place.source, inOwn ? origin.source : -1);
    const [item, place] = ofGreedy.find(([, one]) => one.source === source.key)!;
    const mayGo = !inOwn || source.count > source.own + 1 || now - place.since >= PATIENCE;
    return mayGo ? { instead: item } : 'none';
  }
}

/** The key that most of `items` have, how many do, and how many have the key `own`. */
function largest<T>(
  items: readonly T[],
  keyOf: (item: T) => number,
  own: number,
): { readonly key: number; readonly count: number; readonly own: number } {
  const counts = new Map<number, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  let key = own,
    count = counts.get(own) ?? 0;
  for (const [other, many] of counts) if (many > count) [key, count] = [other, many];
  return { key, count, own: counts.get(own) ?? 0 };
}
