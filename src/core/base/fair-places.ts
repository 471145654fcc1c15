/**
 * How many places of something bounded each may hold, so that nobody takes what is left for all.
 *
 * Owns the counts, not what is held. Whoever has many gets no more once it has FACTOR times what is
 * free (dynamic thresholds, Choudhury and Hahne, IEEE/ACM ToN 1998), so that something is always
 * free and the greedy end up with like parts, however many they are. A holder belongs to a group, a
 * link for one, and within it counts by itself, by the source that it names for one: who can make
 * up the second has the share of the first.
 */

/** One alone may have four fifths of all. */
export const FACTOR = 4;

/** The group, and who of it. Any values that are equal only for the same: objects, or text. */
export type Holder = readonly [group: unknown, one: unknown];

export class FairPlaces<T> {
  readonly #ofGroup = new Map<unknown, number>();
  readonly #ofOne = new Map<unknown, number>();
  readonly #holders = new Map<T, Holder>();

  /** Whether `holder` may have one more where `free` are free. */
  open([group, one]: Holder, free: number): boolean {
    const room = FACTOR * free - (this.#ofGroup.get(group) ?? 0);
    return room > 0 && (this.#ofOne.get(one) ?? 0) < FACTOR * room;
  }

  add(item: T, holder: Holder): void {
    this.#holders.set(item, holder);
    this.#count(holder, 1);
  }

  /** Of no effect on what is not held. */
  delete(item: T): void {
    const holder = this.#holders.get(item);
    if (holder === undefined) return;
    this.#holders.delete(item);
    this.#count(holder, -1);
  }

  clear(): void {
    for (const counts of [this.#ofGroup, this.#ofOne, this.#holders]) counts.clear();
  }

  #count([group, one]: Holder, by: number): void {
    addTo(this.#ofGroup, group, by);
    addTo(this.#ofOne, one, by);
  }
}

/** `more` onto what `key` has; nothing is kept of who has 0. */
export function addTo<K>(sums: Map<K, number>, key: K, more: number): void {
  const sum = (sums.get(key) ?? 0) + more;
  if (sum === 0) sums.delete(key);
  else sums.set(key, sum);
}
