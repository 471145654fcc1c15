/**
 * Turns by deficit round robin (Shreedhar and Varghese, SIGCOMM 1995), and whoever offers little
 * comes first, both as in FQ-CoDel (RFC 8290 section 4.2), over anything that has packets: flows,
 * or groups of such, so that turns nest.
 *
 * Two circular lists through the members, without allocation. One that had nothing joins the fresh,
 * who are served before the settled until their quantum is spent. Nobody gains by being fresh again
 * and again: who runs empty while others wait stays among the settled until their round has come to
 * it, so that it is fresh once a round; and all the fresh together are ahead by FRESH_CREDIT_BYTES
 * at most, after which every second byte is of the settled, however many names somebody makes up.
 * `@hot`
 */

import { PACKET_BYTES_MAX } from '../wire/sizes.ts';

/** Charged to every packet on top of its bytes, so that many small ones are bounded too. */
export const PACKET_OVERHEAD_BYTES = 128;
/**
 * Of each turn. No packet costs more: who has spent more than he had has something again after one
 * round.
 */
export const QUANTUM = PACKET_BYTES_MAX + PACKET_OVERHEAD_BYTES;
/** A hundred small packets of a hundred flows that come at once pass all that waits. */
export const FRESH_CREDIT_BYTES = 32 * 1024;

/** One of those who take turns. */
export class Turn {
  deficit = 0;
  /** Of its packets that wait, with their overhead, and how many they are. */
  bytes = 0;
  waiting = 0;
  fresh = false;
  previous: this | null = null;
  next: this | null = null;
}

export class Turns<T extends Turn> {
  #fresh: T | null = null;
  #settled: T | null = null;
  #length = 0;
  #credit = FRESH_CREDIT_BYTES;
  readonly #onGone: (turn: T) => void;

  /** `onGone`: that member is in neither list any more, and has no packet. */
  constructor(onGone: (turn: T) => void) {
    this.#onGone = onGone;
  }

  /** Members, also those that have run empty and are not forgotten yet. */
  get length(): number {
    return this.#length;
  }

  /** `turn` has a packet now, and is no member. */
  add(turn: T): void {
    turn.deficit = QUANTUM;
    turn.fresh = true;
    this.#fresh = appended(this.#fresh, turn);
    this.#length += 1;
  }

  /** `turn` has run empty: it stays until its round is over, or is gone now. */
  emptied(turn: T): void {
    if (turn.fresh && this.#settled !== null) this.#settle(turn);
    else this.#remove(turn);
  }

  /**
   * Gives turns until one with a packet has something left to spend; null when none has a packet.
   */
  serve(): T | null {
    for (;;) {
      const fresh = this.#fresh;
      if (fresh !== null && (this.#credit > 0 || this.#settled === null)) {
        if (fresh.waiting > 0 && fresh.deficit > 0) return fresh;
        this.#settle(fresh);
        continue;
      }
      const turn = this.#settled;
      if (turn === null) return null;
      if (turn.waiting === 0) this.#remove(turn);
      else if (turn.deficit > 0) return turn;
      else {
        turn.deficit += QUANTUM;
        this.#settled = turn.next;
      }
    }
  }

  /** The packet of `turn`, which `serve` named, is taken. */
  taken(turn: T, cost: number): void {
    turn.deficit -= cost;
    this.#credit = turn.fresh
      ? this.#credit - cost
      : Math.min(FRESH_CREDIT_BYTES, this.#credit + cost);
  }

  /**
   * Of the first `most` members, the one that `holdsMore` says so of most often; null without
   * members that have packets.
   */
  most(most: number, holdsMore: (turn: T, than: T) => boolean): T | null {
    let found: T | null = null;
    let left = most;
    for (const front of [this.#settled, this.#fresh]) {
      let turn = front;
      while (turn !== null && left > 0) {
        left -= 1;
        if (turn.waiting > 0 && (found === null || holdsMore(turn, found))) found = turn;
        turn = turn.next === front ? null : turn.next;
      }
    }
    return found;
  }

  /** Nobody is a member any more. */
  clear(): void {
    while (this.#fresh !== null) this.#remove(this.#fresh);
    while (this.#settled !== null) this.#remove(this.#settled);
    this.#credit = FRESH_CREDIT_BYTES;
  }

  #settle(turn: T): void {
    this.#fresh = without(this.#fresh!, turn);
    turn.fresh = false;
    // What is left of being fresh is not spent in the round of the settled as well.
    if (turn.deficit > 0) turn.deficit = 0;
    this.#settled = appended(this.#settled, turn);
  }

  #remove(turn: T): void {
    if (turn.fresh) this.#fresh = without(this.#fresh!, turn);
    else this.#settled = without(this.#settled!, turn);
    this.#length -= 1;
    this.#onGone(turn);
  }
}

/** The front of the list after `turn` came last. */
function appended<T extends Turn>(front: T | null, turn: T): T {
  if (front === null) return (turn.previous = turn.next = turn);
  const last = front.previous!;
  turn.previous = last;
  turn.next = front;
  last.next = front.previous = turn;
  return front;
}

/** The front of the list after `turn` left. */
function without<T extends Turn>(front: T, turn: T): T | null {
  const next = turn.next === turn ? null : turn.next;
  turn.previous!.next = turn.next;
  turn.next!.previous = turn.previous;
  turn.previous = turn.next = null;
  return front === turn ? next : front;
}
