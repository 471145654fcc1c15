/**
 * What all streams of a daemon together may hold of received data: who is charged for how much, and how far a window may grow.
 *
 * Owns the accounts; no stream's data. A window that was granted can't be taken back, so it is the grant that is charged, used or not, and
 * at least STREAM_WINDOW_LEAST for each stream: with that it makes progress whatever others do. Beyond it a stream may hold as much as is
 * free of a part of the limit, and all streams of one owner (a client) twice as much as is free (dynamic thresholds, Choudhury and Hahne 1998): the
 * greedy end up with equal parts, and room stays for whoever comes. Invariant: the sum of charges is at most the limit.
 */

/** A stream always gets so much of a window. */
export const STREAM_WINDOW_LEAST = 16_384;
/** What all streams of one owner may hold, in units of what is free. */
const OWNER_FACTOR = 2;

/** One stream's account. */
export interface ReceiveAccount {
  bytes: number;
  owner: object;
}

export class ReceiveBudget {
  readonly limit: number;
  /** Charged, at most `limit`. */
  bytes = 0;
  readonly #ofOwner = new Map<object, number>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Whether one more stream finds room. */
  get open(): boolean {
    return this.bytes + STREAM_WINDOW_LEAST <= this.limit;
  }

  /** The account of a new stream. Only while `open`. */
  add(owner: object): ReceiveAccount {
    const account = { bytes: 0, owner };
    this.#charge(account, STREAM_WINDOW_LEAST);
    return account;
  }

  /**
   * How far the account's stream may have granted, `most` at most, whose owner has read `taken` bytes so far. While the half is free windows are as
   * large as can be; then they grow with what is read, and a quarter is left for the least windows of those that come.
   */
  share(account: ReceiveAccount, most: number, taken: number): number {
    const { bytes } = account;
    const free = this.limit - this.bytes;
    const ofOwner = OWNER_FACTOR * free - (this.#ofOwner.get(account.owner) ?? 0);
    const unread = Math.min(most, free - this.limit / 2) - bytes;
    const read = Math.min(most, STREAM_WINDOW_LEAST + 2 * taken, free - this.limit / 4) - bytes;
    const growth = Math.min(Math.max(unread, read), ofOwner);
    return Math.min(most, Math.max(STREAM_WINDOW_LEAST, bytes, bytes + Math.floor(growth)));
  }

  /** The stream has granted `granted` bytes that its owner has not taken, no more than its share allowed; `owner`: whose it is now. */
  set(account: ReceiveAccount, granted: number, owner: object): void {
    if (owner !== account.owner) {
      const { bytes } = account;
      this.#charge(account, 0);
      account.owner = owner;
      this.#charge(account, bytes);
    }
    this.#charge(account, Math.max(STREAM_WINDOW_LEAST, granted));
  }

  /** The stream is gone. */
  remove(account: ReceiveAccount): void {
    this.#charge(account, 0);
  }

  #charge(account: ReceiveAccount, bytes: number): void {
    const { owner } = account;
    const before = account.bytes;
    if (bytes === before) return;
    account.bytes = bytes;
    this.bytes += bytes - before;
    const total = (this.#ofOwner.get(owner) ?? 0) + bytes - before;
    if (total === 0) this.#ofOwner.delete(owner);
    else this.#ofOwner.set(owner, total);
  }
}
