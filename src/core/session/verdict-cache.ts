/**
 * What rules said of the last pairs that were asked about: a table of fixed size without a string
 * or an object in it.
 *
 * Each pair of numbers has one place; another pair of the same place takes it over, so nothing has
 * to be thrown out. An answer counts in the generation that it was given in. Owned by whoever asks
 * for every packet. `@hot`
 */

/**
 * Of a place: both numbers, the generation, the verdict. Side by side, so that a look-up touches
 * one line of the processor's cache.
 */
const FIELDS = 4,
  SECOND = 1,
  GENERATION = 2,
  VERDICT = 3;

export class VerdictCache {
  readonly #mask: number;
  readonly #places: Int32Array;

  /** `places`: a power of two. */
  constructor(places: number) {
    this.#mask = places - 1;
    // Generations count from 1.
    this.#places = new Int32Array(FIELDS * places);
  }

  /** The verdict on the pair of two u32, -1: not known in this generation. */
  get(first: number, second: number, generation: number): number {
    const places = this.#places,
      at = this.#placeOf(first, second);
    const known =
      places[at] === (first | 0) &&
      places[at + SECOND] === (second | 0) &&
      places[at + GENERATION] === (generation | 0);
    return known ? places[at + VERDICT]! : -1;
  }

  /** `verdict` at least 0. */
  set(first: number, second: number, generation: number, verdict: number): void {
    const places = this.#places,
      at = this.#placeOf(first, second);
    places[at] = first;
    places[at + SECOND] = second;
    places[at + GENERATION] = generation;
    places[at + VERDICT] = verdict;
  }

  #placeOf(first: number, second: number): number {
    const mixed = Math.imul(first ^ Math.imul(second, 0x85ebca6b), 0x9e3779b1);
    return ((mixed ^ (mixed >>> 15)) & this.#mask) * FIELDS;
  }
}
