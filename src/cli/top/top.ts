/**
 * `spines top`: links, flows, routes and events of the daemon on one screen, live.
 *
 * Owns asking, once an interval, keys, and the end: by key, by signal, or with the daemon. What is
 * drawn is view.ts's, how is screen.ts's. Where there is no terminal it says so.
 */

import { Option, type Command } from 'commander';
import type { DaemonEvent, SpinesClient } from 'spines-client';
import type { SessionsReply } from 'spines-client/protocol';

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { usage } from '../terminal/failure.ts';
import { paintFor } from '../terminal/table.ts';
import { durationArg } from '../terminal/values.ts';
import { routesView } from '../look/routes.ts';
import { sessionsView } from '../look/sessions.ts';
import { Screen } from './screen.ts';
import { pageOf, scrollMost, topLines, type TopPage, type TopState } from './view.ts';

/** Events that are kept to be scrolled through. */
const EVENTS_MAX = 500;
const INTERVAL_MIN: Micros = 200 * MILLISECOND;
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export function registerTop(program: Command): void {
  addClientFlags(
    program.command('top').description('show links, flows, routes and events, live; q quits'),
  )
    .addOption(
      new Option('-i, --interval <time>', 'between two looks')
        .argParser(durationArg)
        .default(SECOND, '1s'),
    )
    .action((flags: ClientFlags & { interval: Micros }) => {
      if (!process.stdout.isTTY || !process.stdin.isTTY)
        throw usage(
          'top needs a terminal to show and to be steered; for a pipe or a file there are ' +
            '`spines links --json`, `spines sessions --json` and `spines watch --json`',
        );
      const intervalMs = Math.max(INTERVAL_MIN, flags.interval) / MILLISECOND;
      return withClient(flags, 'top', (client) => new Top(client, intervalMs).run());
    });
}

class Top {
  readonly #client: SpinesClient;
  readonly #intervalMs: number;
  readonly #screen: Screen;
  readonly #paint = paintFor(process.stdout, process.env);
  readonly #events: DaemonEvent[] = [];
  #page: TopPage = 'all';
  #scrolled = 0;
  #paused = false;
  #looked: Omit<TopState, 'page' | 'scrolled' | 'paused' | 'events'> | null = null;
  #before: { readonly sessions: SessionsReply; readonly at: number } | null = null;
  /** Ends the wait for the next look. */
  #wake: () => void = () => {};
  #over = false;

  constructor(client: SpinesClient, intervalMs: number) {
    this.#client = client;
    this.#intervalMs = intervalMs;
    this.#screen = new Screen(process.stdout, process.stdin, {
      onKey: (key) => this.#onKey(key),
      onResize: () => this.#draw(),
    });
  }

  async run(): Promise<void> {
    const end = (): void => this.#end();
    const back = (): void => this.#comeBack();
    for (const signal of SIGNALS) process.on(signal, end);
    process.on('SIGCONT', back);
    const watching = this.#client.watch();
    // Asked for first: the screen changes once there is something to show on it.
    try {
      await this.#look();
      this.#screen.enter();
      this.#draw();
      void this.#follow(watching);
      while (!this.#over) {
        await this.#pause();
        if (this.#over || this.#paused) continue;
        await this.#look();
        this.#draw();
      }
    } finally {
      this.#screen.leave();
      await watching.return?.();
      for (const signal of SIGNALS) process.off(signal, end);
      process.off('SIGCONT', back);
    }
  }

  #end(): void {
    this.#over = true;
    this.#wake();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#intervalMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #follow(watching: AsyncIterableIterator<DaemonEvent>): Promise<void> {
    try {
      for await (const event of watching) {
        this.#events.push(event);
        if (this.#events.length > EVENTS_MAX) this.#events.shift();
        if (!this.#paused) this.#draw();
      }
    } catch {
      // A daemon that tells no events still answers, and one that is gone is met by the next look.
    }
  }

  async #look(): Promise<void> {
    const client = this.#client;
    const status = await ask(client, 'status');
    const { links } = await ask(client, 'links');
    const sessions = await ask(client, 'sessions'),
      at = performance.now();
    const routes = await ask(client, 'routes');
    const before = this.#before ?? { sessions, at: at - this.#intervalMs };
    this.#before = { sessions, at };
    this.#looked = {
      status,
      links,
      sessions: sessionsView(before.sessions, sessions, Math.max(1, at - before.at)),
      routes: routesView(routes, { schema: 1, nodes: [] }, client.node),
      at: Date.now(),
    };
  }

  #draw(): void {
    const state = this.#state();
    if (state === null) return;
    const { columns, rows } = this.#screen;
    this.#screen.draw(topLines(state, columns, rows, this.#paint));
  }

  #state(): TopState | null {
    if (this.#looked === null) return null;
    return {
      ...this.#looked,
      events: this.#events,
      page: this.#page,
      scrolled: this.#scrolled,
      paused: this.#paused,
    };
  }

  #onKey(key: string): void {
    const page = pageOf(key);
    if (page !== null) {
      this.#page = page;
      this.#scrolled = 0;
    } else if (key === 'q' || key === 'ctrl-c' || key === 'ctrl-d' || key === 'escape') this.#end();
    else if (key === ' ') this.#paused = !this.#paused;
    else if (key === 'ctrl-z') this.#suspend();
    else if (key === 'ctrl-l') this.#screen.forget();
    else this.#scroll(key);
    this.#draw();
  }

  #scroll(key: string): void {
    const state = this.#state();
    if (state === null) return;
    const { columns, rows } = this.#screen;
    const most = scrollMost(state, columns, rows),
      step = Math.max(1, rows - 3);
    const to: Readonly<Record<string, number>> = {
      up: this.#scrolled - 1,
      k: this.#scrolled - 1,
      down: this.#scrolled + 1,
      j: this.#scrolled + 1,
      pageup: this.#scrolled - step,
      pagedown: this.#scrolled + step,
      home: 0,
      end: most,
    };
    if (Object.hasOwn(to, key)) this.#scrolled = Math.min(most, Math.max(0, to[key]!));
  }

  /** As other programs stop at ctrl-z: with the terminal as it was. */
  #suspend(): void {
    this.#screen.leave();
    process.kill(process.pid, 'SIGSTOP');
  }

  #comeBack(): void {
    if (this.#looked === null || this.#over) return;
    this.#screen.enter();
    // Whoever had the terminal meanwhile may have written on it.
    this.#screen.forget();
    this.#draw();
  }
}
