/**
 * The order of a peer's INITs: which of those that come are old.
 *
 * An INIT has a stamp of its sender's clock, and names the run of its daemon. An old one is a
 * replay, or comes from a peer whose clock was set back before its restart; these are told apart by
 * what follows, so a few of them are answered. Knows stamps and runs only; the link says what it
 * offered and what was proved.
 */

import type { Micros } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';

/** INITs with an old stamp that are answered, per link. */
const LATE_PER_SECOND = 4,
  LATE_BURST = 8;

export class InitOrder {
  /** The newest stamp of an INIT from the peer, whatever its run. */
  #newestStamp = 0;
  /** The peer's run that has proved itself last, and the newest stamp of its INITs; -1 for none. */
  #run = -1;
  #runStamp = 0;
  /** Of the INIT that the channel on offer answers. */
  #offeredStamp = 0;
  #offeredLate = false;
  readonly #late = new TokenBucket(LATE_PER_SECOND, LATE_BURST);

  /**
   * Whether an INIT is older than another of the peer: a replay, or from a peer whose clock was set
   * back before its restart. A run that has proved itself is compared with itself.
   */
  isLate(instance: number, stamp: number): boolean {
    return stamp > 0 && stamp <= (this.#run === instance ? this.#runStamp : this.#newestStamp);
  }

  /**
   * Whether one that is late may be answered. Never one of the run whose link is `alive`, whose
   * stamps only grow, and never in place of an answer to a newer INIT, whose channel is `offered`.
   */
  mayAnswerLate(instance: number, alive: boolean, offered: boolean, now: Micros): boolean {
    if ((this.#run === instance && alive) || (offered && !this.#offeredLate)) return false;
    return this.#late.take(now);
  }

  /** An INIT was answered. */
  onAnswered(instance: number, stamp: number): void {
    this.#newestStamp = Math.max(this.#newestStamp, stamp);
    if (this.#run === instance) this.#runStamp = Math.max(this.#runStamp, stamp);
  }

  /** A new channel answers the INIT with that stamp. */
  onOffered(stamp: number, late: boolean): void {
    this.#offeredStamp = stamp;
    this.#offeredLate = late;
  }

  /** The peer uses a channel of that run, which this side `dialled` or which was on offer. */
  onProved(instance: number, dialled: boolean): void {
    if (this.#run === instance) return;
    this.#run = instance;
    this.#runStamp = dialled ? 0 : this.#offeredStamp;
  }
}
