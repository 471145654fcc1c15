/**
 * How many of the calls of a turn are looked into, INITs and questions for the key alike, and how
 * many of them may be answered with a cookie.
 *
 * A daemon that is behind finds many at once. What is not looked into costs next to nothing.
 */

/** The host reads up to 32 datagrams a turn, and has as many only while it is behind. */
const CALLS = 8;
/**
 * Where calls wait apart from what links bring: all that is read of them at once, so that none is
 * lost for another.
 */
const CALLS_APART = 32;
/**
 * Of those, the first may be answered with a cookie, which costs three times what reading does: who
 * has shown one, or asks for a key, gets through then for certain, where otherwise the system would
 * throw away as much of theirs as of what floods.
 */
const COOKIES = 12;

export class CallsOfTurn {
  readonly #most: number;
  #calls = 0;

  /** `apart`: they wait in a queue of their own. */
  constructor(apart: boolean) {
    this.#most = apart ? CALLS_APART : CALLS;
  }

  /** One more came; whether it is looked into. */
  take(): boolean {
    this.#calls += 1;
    return this.#calls <= this.#most;
  }

  /** Of the one taken last: who shows no cookie is given none now. */
  get behind(): boolean {
    return this.#calls > COOKIES;
  }

  onTurnEnd(): void {
    this.#calls = 0;
  }
}
