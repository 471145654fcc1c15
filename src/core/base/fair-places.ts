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

/**
 * The group, and who of it. Groups are equal only for the same, and within a group who of it:
 * numbers or objects, as text would be made for each packet.
 */
export type Holder = readonly [group: unknown, one: unknown];

interface GroupCounts {
  all: number;
  readonly ofOne: Map<unknown, number>;
}

export class FairPlaces<T> {
  readonly #ofGroup = new Map<unknown, GroupCounts>();
  readonly #holders = new Map<T, Holder>();

  /** Whether `holder` may have one more where `free` are free. */
  open([group, one]: Holder, free: number): boolean {
    const counts = this.#ofGroup.get(group);
    const room = FACTOR * free - (counts?.all ?? 0);
    return room > 0 && (counts?.ofOne.get(one) ?? 0) < FACTOR * room;
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
    this.#ofGroup.clear();
    this.#holders.clear();
  }

  #count([group, one]: Holder, by: number): void {
    let counts = this.#ofGroup.get(group);
    if (counts === undefined) this.#ofGroup.set(group, (counts = { all: 0, ofOne: new Map() }));
    counts.all += by;
    addTo(counts.ofOne, one, by);
    if (counts.all === 0) this.#ofGroup.delete(group);
  }
}

/** `more` onto what `key` has; nothing is kept of who has 0. */
export function addTo<K>(sums: Map<K, number>, key: K, more: number): void {
  const sum = (sums.get(key) ?? 0) + more;
  if (sum === 0) sums.delete(key);
  else sums.set(key, sum);
}
