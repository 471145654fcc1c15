/**
 * What all streams of a daemon together may hold of received data: who is charged for how much, and
 * how far a window may grow.
 *
 * Owns the accounts; no stream's data. A window that was granted can't be taken back, so it is the
 * grant that is charged, used or not, and at least STREAM_WINDOW_LEAST for each stream: with that
 * it makes progress whatever others do. Beyond it a stream may hold as much as is free of a part of
 * the limit, and all streams of one owner (a client) twice as much as is free (dynamic thresholds,
 * Choudhury and Hahne 1998): the greedy end up with equal parts, and room stays for whoever comes.
 * So do streams that one stranger opened here, whichever program they are of. Invariant: the sum of
 * charges is at most the limit.
 */

import { addTo } from '../base/fair-places.ts';

/** A stream always gets so much of a window. */
export const STREAM_WINDOW_LEAST = 16_384;
/** What all streams of one owner may hold, in units of what is free. */
const OWNER_FACTOR = 2;

/** One stream's account. */
export interface ReceiveAccount {
  bytes: number;
  owner: object;
  /** Who opened it, null: a program of this daemon. */
  readonly opener: string | null;
}

export class ReceiveBudget {
  readonly limit: number;
  /** Charged, at most `limit`. */
  bytes = 0;
  readonly #ofOwner = new Map<object, number>();
  readonly #ofOpener = new Map<string, number>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** How many streams more would find room. */
  get free(): number {
    return Math.floor((this.limit - this.bytes) / STREAM_WINDOW_LEAST);
  }

  /** The account of a new stream. Only while one is `free`. */
  add(owner: object, opener: string | null = null): ReceiveAccount {
    const account = { bytes: 0, owner, opener };
    this.#charge(account, STREAM_WINDOW_LEAST);
    return account;
  }

  /**
   * How far the account's stream may have granted, `most` at most, whose owner has read `taken`
   * bytes so far. While the half is free windows are as large as can be; then they grow with what
   * is read, and a quarter is left for the least windows of those that come.
   */
  share(account: ReceiveAccount, most: number, taken: number): number {
    const { bytes, opener } = account;
    const free = this.limit - this.bytes;
    const ofOwner = OWNER_FACTOR * free - (this.#ofOwner.get(account.owner) ?? 0);
    const unread = Math.min(most, free - this.limit / 2) - bytes;
    const read = Math.min(most, STREAM_WINDOW_LEAST + 2 * taken, free - this.limit / 4) - bytes;
    const ofOpener =
      opener === null ? Infinity : free - this.limit / 4 - (this.#ofOpener.get(opener) ?? 0);
    const growth = Math.min(Math.max(unread, read), ofOwner, ofOpener);
    return Math.min(most, Math.max(STREAM_WINDOW_LEAST, bytes, bytes + Math.floor(growth)));
  }

  /**
   * The stream has granted `granted` bytes that its owner has not taken, no more than its share
   * allowed; `owner`: whose it is now.
   */
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
    const { owner, opener } = account;
    const more = bytes - account.bytes;
    if (more === 0) return;
    account.bytes = bytes;
    this.bytes += more;
    addTo(this.#ofOwner, owner, more);
    if (opener !== null) addTo(this.#ofOpener, opener, more);
  }
}
