/**
 * The groups that this node is in, as it tells them: in which page each is, and when it says so.
 *
 * Owns the waits: a join is told a moment later, with what else is joined by then; a leave after a
 * while, so that a program that starts anew costs nothing; one page at most each 50 ms. Signing and
 * flooding are group-records.ts's. Bounded in groups.
 */

import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { GROUP_PAGES, GROUPS_OF_PAGE_MAX } from '../wire/groups.ts';

export const OWN_GROUPS_MAX = GROUP_PAGES * GROUPS_OF_PAGE_MAX;
const JOIN_WAIT: Micros = 1 * MILLISECOND;
export const LEAVE_WAIT: Micros = 200 * MILLISECOND;
const PAGE_INTERVAL: Micros = 50 * MILLISECOND;

interface Page {
  readonly groups: Set<number>;
  /** When it is to be told; null: it is. */
  dueAt: Micros | null;
  toldAt: Micros;
}

export class OwnGroups {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #tell: (page: number, groups: readonly number[]) => void;
  readonly #pages: readonly Page[];
  /** Groups that are told still and nobody is in any more, the first to go first. */
  readonly #leaving = new Map<number, Micros>();
  readonly #timer = new Timer(() => this.#onTimer());

  /** `tell`: what a page says now, ascending. */
  constructor(
    clock: Clock,
    timers: Timers,
    tell: (page: number, groups: readonly number[]) => void,
  ) {
    this.#clock = clock;
    this.#timers = timers;
    this.#tell = tell;
    this.#pages = Array.from({ length: GROUP_PAGES }, () => ({
      groups: new Set<number>(),
      dueAt: null,
      toldAt: -PAGE_INTERVAL,
    }));
  }

  /** Groups that are told, or will be. */
  get size(): number {
    return this.#pages.reduce((sum, { groups }) => sum + groups.size, 0);
  }

  /** Somebody here is in `group`; false: it is one too many. */
  join(group: number): boolean {
    this.#leaving.delete(group);
    if (this.#pageOf(group) !== undefined) return true;
    const page = this.#pages.find(({ groups }) => groups.size < GROUPS_OF_PAGE_MAX);
    if (page === undefined) return false;
    page.groups.add(group);
    this.#change(page, JOIN_WAIT);
    return true;
  }

  /** Nobody here is in `group` any more. */
  leave(group: number): void {
    if (this.#pageOf(group) === undefined || this.#leaving.has(group)) return;
    this.#leaving.set(group, this.#clock.now() + LEAVE_WAIT);
    this.#arm();
  }

  /** Says again what every page says that says something. */
  renew(): void {
    this.#pages.forEach((page, index) => {
      if (page.groups.size > 0) this.#say(page, index);
    });
  }

  /** Page `index` is to be said again, as soon as it may. */
  again(index: number, after: Micros): void {
    this.#change(this.#pages[index]!, after);
  }

  /** Every page that says something says nothing from now on. */
  end(): void {
    this.stop();
    this.#leaving.clear();
    this.#pages.forEach((page, index) => {
      if (page.groups.size === 0) return;
      page.groups.clear();
      this.#say(page, index);
    });
  }

  stop(): void {
    this.#timers.cancel(this.#timer);
  }

  #pageOf(group: number): Page | undefined {
    return this.#pages.find(({ groups }) => groups.has(group));
  }

  #change(page: Page, after: Micros): void {
    page.dueAt ??= Math.max(this.#clock.now() + after, page.toldAt + PAGE_INTERVAL);
    this.#arm();
  }

  #say(page: Page, index: number): void {
    page.dueAt = null;
    page.toldAt = this.#clock.now();
    this.#tell(
      index,
      [...page.groups].sort((a, b) => a - b),
    );
  }

  #onTimer(): void {
    const now = this.#clock.now();
    for (const [group, at] of this.#leaving) {
      if (at > now) break;
      this.#leaving.delete(group);
      const page = this.#pageOf(group)!;
      page.groups.delete(group);
      page.dueAt ??= Math.max(now, page.toldAt + PAGE_INTERVAL);
    }
    this.#pages.forEach((page, index) => {
      if (page.dueAt !== null && page.dueAt <= now) this.#say(page, index);
    });
    this.#arm();
  }

  #arm(): void {
    let at: Micros | null = null;
    for (const { dueAt } of this.#pages)
      if (dueAt !== null && (at === null || dueAt < at)) at = dueAt;
    for (const due of this.#leaving.values()) {
      if (at === null || due < at) at = due;
      break;
    }
    this.#timers.cancel(this.#timer);
    if (at !== null) this.#timers.arm(this.#timer, at);
  }
}
