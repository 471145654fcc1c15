/**
 * The timer queue: a binary heap of armed timers, ordered by due time and then by order of arming.
 *
 * One queue serves one daemon in production (the host arms a single OS timer for `nextAt`) and a
 * whole world of daemons in the simulator, so that both run the same code in the same order.
 * Arming, moving and cancelling allocate nothing once the heap array has grown.
 */

import { assert } from './assert.ts';
import { NEVER, type Micros, type Timer, type Timers } from './time.ts';

export class TimerQueue implements Timers {
  readonly #heap: Timer[] = [];
  #armings = 0;

  /** Number of armed timers. */
  get size(): number {
    return this.#heap.length;
  }

  /** Due time of the earliest armed timer, NEVER when there is none. */
  get nextAt(): Micros {
    return this.#heap[0]?.at ?? NEVER;
  }

  arm(timer: Timer, at: Micros): void {
    assert(at >= 0 && at < NEVER, 'timer armed at a time that is not a time');
    timer.order = ++this.#armings;
    if (timer.slot < 0) {
      timer.at = at;
      timer.slot = this.#heap.length;
      this.#heap.push(timer);
      this.#up(timer.slot);
      return;
    }
    const later = at >= timer.at;
    timer.at = at;
    if (later) this.#down(timer.slot);
    else this.#up(timer.slot);
  }

  cancel(timer: Timer): void {
    if (timer.slot >= 0) this.#remove(timer.slot);
  }

  /**
   * Fires, in order, the timers due at or before `now`, at most `limit` of them. Returns how many
   * fired; fewer than `limit` means that nothing is due any more.
   */
  runDue(now: Micros, limit = 1_000_000): number {
    let fired = 0;
    while (fired < limit) {
      const timer = this.#heap[0];
      if (timer === undefined || timer.at > now) break;
      this.#remove(0);
      fired += 1;
      timer.fire();
    }
    return fired;
  }

  #remove(slot: number): void {
    const heap = this.#heap;
    const timer = heap[slot]!;
    const last = heap.pop()!;
    if (last !== timer) {
      heap[slot] = last;
      last.slot = slot;
      this.#down(slot);
      this.#up(last.slot);
    }
    timer.slot = -1;
    timer.at = NEVER;
  }

  #up(start: number): void {
    const heap = this.#heap;
    const timer = heap[start]!;
    let slot = start;
    while (slot > 0) {
      const parentSlot = (slot - 1) >> 1;
      const parent = heap[parentSlot]!;
      if (!before(timer, parent)) break;
      heap[slot] = parent;
      parent.slot = slot;
      slot = parentSlot;
    }
    heap[slot] = timer;
    timer.slot = slot;
  }

  #down(start: number): void {
    const heap = this.#heap;
    const timer = heap[start]!;
    let slot = start;
    for (;;) {
      let childSlot = 2 * slot + 1;
      let child = heap[childSlot];
      if (child === undefined) break;
      const right = heap[childSlot + 1];
      if (right !== undefined && before(right, child)) {
        childSlot += 1;
        child = right;
      }
      if (!before(child, timer)) break;
      heap[slot] = child;
      child.slot = slot;
      slot = childSlot;
    }
    heap[slot] = timer;
    timer.slot = slot;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
