/**
 * A bounded first-in first-out queue on a circular array that grows by doubling up to its bound.
 *
 * Thousands of links and sockets have one each and most are empty, so it starts small.
 */

import { assert } from './assert.ts';

export class Ring<T> {
  readonly limit: number;
  #items: (T | undefined)[];
  #head = 0;
  #length = 0;

  /** `limit`: most items ever held, at least 1. */
  constructor(limit: number) {
    assert(limit >= 1, 'a ring holds at least one item');
    this.limit = limit;
    this.#items = new Array<T | undefined>(Math.min(4, limit));
  }

  get length(): number {
    return this.#length;
  }

  /** Appends; false when the ring is full (nothing changes then). */
  push(item: T): boolean {
    if (this.#length === this.limit) return false;
    if (this.#length === this.#items.length) this.#grow();
    this.#items[(this.#head + this.#length) % this.#items.length] = item;
    this.#length += 1;
    return true;
  }

  /** Takes the oldest item, undefined when empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#items.length;
    this.#length -= 1;
    return item;
  }

  /** Takes the newest item, undefined when empty. */
  pop(): T | undefined {
    if (this.#length === 0) return undefined;
    this.#length -= 1;
    const at = (this.#head + this.#length) % this.#items.length;
    const item = this.#items[at];
    this.#items[at] = undefined;
    return item;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head];
  }

  /** The item `index` places behind the oldest, undefined past the end. */
  at(index: number): T | undefined {
    return index < this.#length
      ? this.#items[(this.#head + index) % this.#items.length]
      : undefined;
  }

  clear(): void {
    while (this.#length > 0) this.shift();
  }

  #grow(): void {
    const grown = new Array<T | undefined>(Math.min(this.limit, this.#items.length * 2));
    for (let i = 0; i < this.#length; i += 1)
      grown[i] = this.#items[(this.#head + i) % this.#items.length];
    this.#items = grown;
    this.#head = 0;
  }
}
