/** Packets that wait for paths, shared by the users of a daemon. Owns counts only. */

const WAITING_PER_USER_MAX = 3_072;

/**
 * How many packets wait for paths, by user: nobody fills what others need, nor the memory of the
 * daemon.
 */
export class WaitingShares {
  readonly #most: number;
  readonly #of = new Map<object, number>();
  #all = 0;

  /** `most`: of all users together. */
  constructor(most: number) {
    this.#most = most;
  }

  mayAdd(user: object): boolean {
    return this.#all < this.#most && (this.#of.get(user) ?? 0) < WAITING_PER_USER_MAX;
  }

  add(user: object): void {
    this.#all += 1;
    this.#of.set(user, (this.#of.get(user) ?? 0) + 1);
  }

  remove(user: object): void {
    this.#all -= 1;
    const left = this.#of.get(user)! - 1;
    if (left === 0) this.#of.delete(user);
    else this.#of.set(user, left);
  }
}
