/**
 * The list of events: what happens, newest first, in the words of `spines watch`; or, of a replay,
 * what happened, in its order. Bounded.
 */

import type { DaemonEvent } from 'spines-client';

import { eventText } from '../cli/look/event-text.ts';
import { by, make } from './dom.ts';
import { clockText, msText } from './format.ts';
import type { Moment } from './replay.ts';

const EVENTS_MAX = 200;

export class EventList {
  readonly #list = by<HTMLOListElement>('events');
  readonly #count = by('events-count');
  readonly #live: HTMLElement[] = [];
  #total = 0;
  #replaying = false;
  #moments: { atMs: number; item: HTMLElement }[] = [];

  constructor() {
    this.showLive();
  }

  add(event: DaemonEvent): void {
    const { kind, text, colour } = eventText(event);
    const item = this.#item(clockText(event.at), kind, text, tone(colour));
    this.#total += 1;
    this.#live.unshift(item);
    const old = this.#live.length > EVENTS_MAX ? this.#live.pop() : undefined;
    if (this.#replaying) return;
    if (this.#live.length === 1) this.#list.replaceChildren();
    old?.remove();
    this.#list.prepend(item);
    this.#count.textContent = String(this.#total);
  }

  showLive(): void {
    this.#replaying = false;
    this.#moments = [];
    this.#count.textContent = this.#total === 0 ? '' : String(this.#total);
    if (this.#live.length > 0) this.#list.replaceChildren(...this.#live);
    else
      this.#list.replaceChildren(
        make('li', 'none', 'Nothing has happened since this page was opened.'),
      );
  }

  showMoments(moments: readonly Moment[]): void {
    this.#replaying = true;
    this.#moments = moments.map(({ atMs, what, settledAfterMs, tone: of }) => ({
      atMs,
      item: this.#item(
        `${(atMs / 1_000).toFixed(1)} s`,
        '',
        settledAfterMs === null ? what : `${what}; routes right after ${msText(settledAfterMs)}`,
        of === 'doubt' ? 'bad' : of,
      ),
    }));
    this.#count.textContent = String(moments.length);
    if (moments.length === 0)
      this.#list.replaceChildren(make('li', 'none', 'Nothing happened in this replay.'));
    else this.#list.replaceChildren(...this.#moments.map(({ item }) => item));
    this.reach(0);
  }

  /** The replay is there now. */
  reach(ms: number): void {
    for (const { atMs, item } of this.#moments) item.classList.toggle('to-come', atMs > ms);
  }

  #item(at: string, kind: string, text: string, of: string): HTMLElement {
    const item = make('li', `tone-${of}`, make('time', '', at));
    if (kind !== '') item.append(make('span', 'kind', kind));
    item.append(make('span', 'what', text));
    return item;
  }
}

function tone(colour: string | null): string {
  return colour === 'red'
    ? 'bad'
    : colour === 'green'
      ? 'good'
      : colour === 'yellow'
        ? 'warn'
        : 'plain';
}
