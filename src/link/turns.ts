/**
 * Deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) over anything that has a next packet: packets' owners, or groups of
 * such, so that turns nest. A circular list through its members, without allocation. `@hot`
 */

import { PACKET_BYTES_MAX } from '../wire/sizes.ts';

/** Charged to every packet on top of its bytes, so that many small ones are bounded too. */
export const PACKET_OVERHEAD_BYTES = 128;
/** No packet costs more, so whoever got a turn has enough for its next packet. */
const QUANTUM = PACKET_BYTES_MAX + PACKET_OVERHEAD_BYTES;

/** One of those who take turns. */
export abstract class Turn {
  deficit = 0;
  /** Of its packets that wait, with their overhead. */
  bytes = 0;
  previous: this | null = null;
  next: this | null = null;

  /** Of its next packet, overhead included; it has one. */
  abstract headCost(): number;
}

export class Turns<T extends Turn> {
  #front: T | null = null;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Any of them, to begin a walk along `next`, `length` steps; null when there is none. */
  get first(): T | null {
    return this.#front;
  }

  /** `turn` has a packet now; it comes last. */
  add(turn: T): void {
    turn.deficit = 0;
    const front = this.#front;
    if (front === null) {
      this.#front = turn.previous = turn.next = turn;
    } else {
      const last = front.previous!;
      turn.previous = last;
      turn.next = front;
      last.next = front.previous = turn;
    }
    this.#length += 1;
  }

  /** `turn` has no packet any more. */
  remove(turn: T): void {
    if (this.#front === turn) this.#front = turn.next === turn ? null : turn.next;
    turn.previous!.next = turn.next;
    turn.next!.previous = turn.previous;
    turn.previous = turn.next = null;
    this.#length -= 1;
  }

  /** Gives turns until one can pay for its next packet, and stays with it until that is taken; null without members. */
  serve(): T | null {
    for (;;) {
      const turn = this.#front;
      if (turn === null) return null;
      if (turn.deficit >= turn.headCost()) return turn;
      turn.deficit += QUANTUM;
      this.#front = turn.next;
    }
  }
}
