/**
 * Which numbers have been seen: a sliding bitmap (RFC 6479 shape), so that each is used once.
 * `@hot`
 */

const WORDS = 64;
/** Numbers this far behind the highest are too old to judge, with the default size. */
export const REPLAY_WINDOW = WORDS * 32 - 32;

export class ReplayWindow {
  /** -1 until the first arrival. */
  highest = -1;
  readonly #words: Uint32Array;
  readonly #bits: number;

  /** `words`: size in 32-bit words; the window is 32 numbers less than its bits. */
  constructor(words = WORDS) {
    this.#words = new Uint32Array(words);
    this.#bits = words * 32;
  }

  /** Numbers below this are too old to judge. */
  get floor(): number {
    return this.highest - (this.#bits - 32);
  }

  /**
   * Whether `number` is neither recorded nor too old to judge. Records nothing: a datagram may yet
   * prove forged.
   */
  isNew(number: number): boolean {
    if (number > this.highest) return true;
    if (number < this.floor) return false;
    const low = number % this.#bits;
    return (this.#words[low >>> 5]! & (1 << (low & 31))) === 0;
  }

  /** Records a number that `isNew` let pass. */
  record(number: number): void {
    if (number > this.highest) {
      // Most numbers follow the one before them, and most of those within its word.
      if (number !== this.highest + 1 || (number & 31) === 0) this.#clearUpTo(number);
      this.highest = number;
    }
    const low = number % this.#bits;
    const word = low >>> 5;
    this.#words[word] = this.#words[word]! | (1 << (low & 31));
  }

  #clearUpTo(number: number): void {
    const block = Math.floor(number / 32);
    const from = Math.floor(this.highest / 32) + 1;
    const words = this.#words.length;
    const clear = block - from >= words ? block - words + 1 : from;
    for (let i = clear; i <= block; i += 1) this.#words[i % words] = 0;
  }
}
