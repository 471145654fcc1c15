/**
 * How many streams each may have open here at a time, so that nobody takes what is left for all.
 *
 * Owns the counts, no stream. Whoever has many gets no more once it has FACTOR times what is free (dynamic thresholds, Choudhury and Hahne
 * 1998), so that something is always free and the greedy end up with equal parts, however many they are. Programs of this daemon count by
 * themselves, and of those who open streams from elsewhere proved sources do; claimed ones count for the link that they came on, and within
 * it by source (origin.ts).
 */

import { groupOf, type Origin } from './origin.ts';
import { addTo } from './receive-budget.ts';

/** One alone may have most of all. */
const FACTOR = 4;

/** A group and one of it. */
type Names = readonly [unknown, unknown];

export class StreamPlaces<T> {
  readonly #ofGroup = new Map<unknown, number>();
  readonly #ofSource = new Map<unknown, number>();
  readonly #names = new Map<T, Names>();

  /** Whether a program here, or a stranger, may have one more where `free` could be opened. */
  open(whose: object | Origin, free: number): boolean {
    const [group, source] = namesOf(whose);
    const room = FACTOR * free - (this.#ofGroup.get(group) ?? 0);
    return room > 0 && (this.#ofSource.get(source) ?? 0) < FACTOR * room;
  }

  add(item: T, whose: object | Origin): void {
    const names = namesOf(whose);
    this.#names.set(item, names);
    this.#count(names, 1);
  }

  delete(item: T): void {
    const names = this.#names.get(item);
    if (names === undefined) return;
    this.#names.delete(item);
    this.#count(names, -1);
  }

  #count([group, source]: Names, by: number): void {
    addTo(this.#ofGroup, group, by);
    addTo(this.#ofSource, source, by);
  }
}

/** Whom a stream of `origin` counts for. */
export function openerOf(origin: Origin): string {
  return `${origin.authenticated ? 'proved' : 'claimed'} ${groupOf(origin)}`;
}

function namesOf(whose: object | Origin): Names {
  if (!('authenticated' in whose)) return [whose, whose];
  const group = openerOf(whose);
  return [group, `${group} ${whose.source}`];
}
