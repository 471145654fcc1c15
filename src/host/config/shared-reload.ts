/**
 * When the files of a daemon are read again: at once for the first who asks, once for all who ask
 * soon after that.
 *
 * To read and check them takes the daemon tens of milliseconds in which it does nothing else;
 * whoever sends it a hundred SIGHUPs would otherwise have its links stand still. Owns who waits.
 * Invariant: what is answered was read after it was asked for, and reading takes at most a tenth of
 * the time.
 */

import { SpinesError } from '../../core/base/errors.ts';

export type ReloadReply = (result: { readonly changes: readonly string[] } | SpinesError) => void;

/** Between the end of one reading and the next. */
export const RELOAD_PAUSE_MS = 200;
export const RELOAD_PAUSE_MAX_MS = 10_000;
/** So many times as long as the last reading took. */
const PAUSE_FACTOR = 9;
/** Askers that wait for one reading; more are refused. */
export const RELOAD_WAITING_MAX = 1_024;

export interface SharedReloadSurroundings {
  /** Milliseconds that only grow. */
  now(): number;
  /** Calls `action` after `ms`; what it gives ends that. */
  after(ms: number, action: () => void): () => void;
  /** Reads and applies. Throws SpinesError when it is refused. */
  read(): readonly string[];
}

export class SharedReload {
  readonly #env: SharedReloadSurroundings;
  #waiting: ReloadReply[] = [];
  #cancel: (() => void) | null = null;
  #notBefore = 0;

  constructor(env: SharedReloadSurroundings) {
    this.#env = env;
  }

  /** Reads at once where that is not too soon, else together with others. */
  ask(reply: ReloadReply): void {
    const wait = this.#notBefore - this.#env.now();
    if (wait <= 0 && this.#cancel === null) {
      reply(this.#read());
      return;
    }
    if (this.#waiting.length >= RELOAD_WAITING_MAX) {
      reply(
        new SpinesError(
          'EAGAIN',
          `${RELOAD_WAITING_MAX} wait for the next reload already; ask again in a moment`,
        ),
      );
      return;
    }
    this.#waiting.push(reply);
    this.#cancel ??= this.#env.after(Math.max(0, wait), () => this.#readForAll());
  }

  /** The daemon ends: whoever waits is told so, and nothing is read any more. */
  end(): void {
    this.#cancel?.();
    this.#cancel = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const reply of waiting)
      reply(
        new SpinesError(
          'EDAEMON',
          'the daemon is stopping; start it again with what is in its files now',
        ),
      );
  }

  #readForAll(): void {
    this.#cancel = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    const result = this.#read();
    for (const reply of waiting) reply(result);
  }

  #read(): { readonly changes: readonly string[] } | SpinesError {
    const began = this.#env.now();
    try {
      return { changes: this.#env.read() };
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      return error;
    } finally {
      const now = this.#env.now();
      this.#notBefore =
        now +
        Math.min(RELOAD_PAUSE_MAX_MS, Math.max(RELOAD_PAUSE_MS, PAUSE_FACTOR * (now - began)));
    }
  }
}
