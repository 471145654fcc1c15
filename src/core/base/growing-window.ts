/**
 * Which numbers have been seen, where many may overtake one: a sliding bitmap that grows instead of
 * forgetting one that is missing.
 *
 * Numbers that all arrived are forgotten as in a ReplayWindow, so a window in which nothing is
 * missing stays small. One that would push out a number that has not come doubles, up to a bound;
 * beyond it that number is too old to judge. `@hot`
 */

/** Numbers behind the highest that are judged at least: 64 words less one. */
const WORDS_LEAST = 64;

export class GrowingWindow {
  /** -1 until the first arrival. */
  highest = -1;
  #words = new Uint32Array(WORDS_LEAST);
  /** Block of 32 numbers that was the first in the window: none before it was ever taken. */
  #oldest = 0;
  readonly #wordsMost: number;
  readonly #mayGrow: (bytes: number) => boolean;

  /**
   * `wordsMost`: a power of two, at least 64. `mayGrow`: whether so many bytes more may be taken.
   */
  constructor(wordsMost: number, mayGrow: (bytes: number) => boolean = () => true) {
    this.#wordsMost = wordsMost;
    this.#mayGrow = mayGrow;
  }

  /** Taken beyond the least. */
  get grownBytes(): number {
    return (this.#words.length - WORDS_LEAST) * 4;
  }

  /** Numbers below this are too old to judge. */
  get floor(): number {
    return this.highest - (this.#words.length * 32 - 32);
  }

  /**
   * Whether `number` is neither recorded nor too old to judge. Records nothing: it may yet prove
   * forged.
   */
  isNew(number: number): boolean {
    if (number > this.highest) return true;
    if (number < this.floor) return false;
    const low = number % (this.#words.length * 32);
    return (this.#words[low >>> 5]! & (1 << (low & 31))) === 0;
  }

  /** Records a number that `isNew` let pass. */
  record(number: number): void {
    if (number > this.highest) {
      if (number !== this.highest + 1 || (number & 31) === 0) this.#advance(number);
      this.highest = number;
    }
    const low = number % (this.#words.length * 32);
    const word = low >>> 5;
    this.#words[word] = this.#words[word]! | (1 << (low & 31));
  }

  /** Makes room for the words up to that of `number`, whose numbers have not come. */
  #advance(number: number): void {
    const block = Math.floor(number / 32),
      before = Math.floor(this.highest / 32);
    if (block === before && this.highest >= 0) return;
    if (this.highest < 0) this.#oldest = Math.max(0, block - this.#words.length + 1);
    while (
      this.#words.length < this.#wordsMost &&
      this.#forgets(before, block) &&
      this.#mayGrow(this.#words.length * 4)
    )
      this.#grow(before);
    const count = this.#words.length;
    const from = Math.max(before + 1, block - count + 1);
    for (let i = from; i <= block; i += 1) this.#words[i % count] = 0;
  }

  /** Whether a number that is missing would be forgotten when the window ends with `block`. */
  #forgets(before: number, block: number): boolean {
    if (this.highest < 0) return false;
    const count = this.#words.length;
    // Blocks that are in the window now and would not be then.
    const first = Math.max(0, before - count + 1),
      last = Math.min(before, block - count);
    for (let i = first; i <= last; i += 1) if (this.#words[i % count] !== 0xffff_ffff) return true;
    // What lies between was never sent before the highest, or is missing.
    return block - count > before;
  }

  #grow(before: number): void {
    const old = this.#words,
      count = old.length;
    const words = new Uint32Array(count * 2);
    for (let i = Math.max(0, before - count + 1); i <= before; i += 1)
      words[i % words.length] = old[i % count]!;
    // What was in the window before and is not now was forgotten because all of it had come, or had
    // become too old: it must not be new again.
    for (let i = Math.max(this.#oldest, before - 2 * count + 1); i <= before - count; i += 1)
      words[i % words.length] = 0xffff_ffff;
    this.#words = words;
  }
}
