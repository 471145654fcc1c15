/**
 * The daemon's event stream: frames as they come, and whether they still come.
 *
 * Owns the connection. `live`: frames come; `silent`: the connection stands and nothing has come
 * for SILENT_MS; `away`: there is none, or the program in between says that its daemon does not
 * answer. It is tried again as long as the page is open.
 */

import type { DaemonEvent } from 'spines-client';
import type { LookFrame, MapFrame } from '../host/web/live-overlay.ts';

export type FeedState = 'waiting' | 'live' | 'silent' | 'away';

export interface FeedEvents {
  onMap(frame: MapFrame): void;
  onLook(frame: LookFrame): void;
  onEvent(event: DaemonEvent): void;
  /** `why`: for people; null: nothing is known. */
  onState(state: FeedState, why: string | null): void;
}

const SILENT_MS = 4_000;
const AGAIN_MS = 2_000;

export class Feed {
  readonly #url: string;
  readonly #events: FeedEvents;
  #source: EventSource | null = null;
  #heardAt = 0;
  #state: FeedState = 'waiting';
  #why: string | null = null;

  constructor(url: string, events: FeedEvents) {
    this.#url = url;
    this.#events = events;
  }

  start(): void {
    this.#connect();
    setInterval(() => this.#check(), 500);
  }

  #connect(): void {
    this.#source?.close();
    const source = new EventSource(this.#url);
    this.#source = source;
    const on = (name: string, take: (data: string) => void): void =>
      source.addEventListener(name, (message: MessageEvent<string>) => {
        this.#heardAt = performance.now();
        take(message.data);
      });
    on('map', (data) => this.#events.onMap(JSON.parse(data) as MapFrame));
    on('look', (data) => {
      this.#set('live', null);
      this.#events.onLook(JSON.parse(data) as LookFrame);
    });
    on('event', (data) => this.#events.onEvent(JSON.parse(data) as DaemonEvent));
    on('away', (data) => this.#set('away', (JSON.parse(data) as { why: string }).why));
    source.onerror = () => {
      if (this.#source !== source) return;
      source.close();
      this.#source = null;
      this.#set('away', this.#why);
      void this.#askWhy();
      setTimeout(() => this.#connect(), AGAIN_MS);
    };
  }

  /** An event stream that was refused does not say why; another request does. */
  async #askWhy(): Promise<void> {
    try {
      const answer = await fetch('licences.txt', { cache: 'no-store' });
      if (answer.status === 401)
        this.#set('away', 'the token is asked for again; load the page anew');
      else if (answer.ok) this.#set('away', 'as many dashboards look as may; close one');
    } catch {
      this.#set('away', null);
    }
  }

  #check(): void {
    const quiet = performance.now() - this.#heardAt;
    if (this.#state === 'live' && quiet > SILENT_MS) this.#set('silent', null);
  }

  #set(state: FeedState, why: string | null): void {
    if (state === this.#state && why === this.#why) return;
    this.#state = state;
    this.#why = why;
    this.#events.onState(state, why);
  }
}
