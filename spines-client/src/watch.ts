/**
 * What happens on a daemon, as an async iterator of typed events.
 *
 * Owns which kinds this connection asks its daemon for (those that any of its watchers wants), each
 * watcher's bounded queue with the count of what did not fit, and that watching goes on when the
 * connection comes back. Called by client.ts.
 */

import type { ClientInternals, ClientMember } from './attachment.ts';
import { SpinesClientError, abortError, argumentError, checkSignal, typeError } from './errors.ts';
import { WATCH_KINDS, type WatchEvent, type WatchKind } from './shared/watch-events.ts';

/** Events that wait for a watcher; what comes beyond is counted. */
export const WATCH_QUEUE_MAX = 1_024;

/** The connection to the daemon: events of the time between were not seen. */
export interface ConnectionEvent {
  kind: 'daemon';
  what: 'away' | 'back';
  /** Of `back`: it is another run of the daemon. */
  restarted: boolean;
}

/** What `client.watch` brings. `at`: milliseconds since 1970, of `daemon` by this machine. */
export type DaemonEvent = WatchEvent | ({ at: number } & ConnectionEvent);

export interface WatchOptions {
  /** Default: all. Events `missed` and `daemon` come in any case. */
  kinds?: readonly WatchKind[];
  /** Ends it: the iterator rejects with ABORT_ERR. */
  signal?: AbortSignal;
}

/** Those of one client. */
export class Watches implements ClientMember {
  readonly #internals: ClientInternals;
  readonly #watchers = new Set<Watcher>();

  constructor(internals: ClientInternals) {
    this.#internals = internals;
  }

  open(options: WatchOptions): Watcher {
    const { core, over } = this.#internals;
    if (over)
      throw new SpinesClientError('EBADF', 'this client is closed; make a new one', {
        syscall: 'watch',
      });
    const watcher = new Watcher(checkKinds(options.kinds), (one) => this.#close(one));
    const signal = checkSignal(options.signal, 'options.signal');
    if (signal !== undefined) watcher.endWith(signal);
    if (this.#watchers.size === 0) {
      this.#internals.attach(this);
      core.onWatched = (seen) => this.#onSeen(seen);
    }
    this.#watchers.add(watcher);
    if (core.state === 'open') this.#ask();
    return watcher;
  }

  #close(watcher: Watcher): void {
    if (!this.#watchers.delete(watcher)) return;
    if (this.#internals.core.state === 'open') this.#ask();
    if (this.#watchers.size === 0) this.#internals.detach(this);
  }

  /** Tells the daemon what is wanted now. */
  #ask(): void {
    const asking = [...this.#watchers];
    const kinds = WATCH_KINDS.filter((kind) => asking.some((one) => one.kinds.has(kind)));
    this.#internals.core.request('watch', { kinds }, (error) => {
      // A connection that ends is told as such, and asked again when it is back.
      if (error === null || error.code === 'ECONNRESET') return;
      for (const watcher of asking) watcher.fail(error);
    });
  }

  #onSeen(seen: unknown): void {
    if (typeof seen !== 'object' || seen === null || !('kind' in seen)) return;
    // Checked as far as it matters here: the rest is the daemon's word.
    const event = seen as WatchEvent;
    for (const watcher of [...this.#watchers]) watcher.offer(event);
  }

  #tell(what: ConnectionEvent['what'], restarted: boolean): void {
    for (const watcher of [...this.#watchers])
      watcher.offer({ at: Date.now(), kind: 'daemon', what, restarted });
  }

  onConnectionUp(first: boolean, restarted: boolean): void {
    if (!first) this.#tell('back', restarted);
    this.#ask();
  }

  onConnectionDown(): void {
    this.#tell('away', false);
  }

  onConnectionDrain(): void {}

  onClientClosed(): void {
    for (const watcher of [...this.#watchers]) watcher.end();
  }
}

interface Waiting {
  resolve(result: IteratorResult<DaemonEvent, undefined>): void;
  reject(error: Error): void;
}

/** One iterator. Ends when it is left (`break`), or when its client is closed. */
export class Watcher implements AsyncIterableIterator<DaemonEvent, undefined> {
  readonly kinds: ReadonlySet<WatchKind>;
  readonly #onEnd: (watcher: Watcher) => void;
  readonly #queue: DaemonEvent[] = [];
  readonly #waiting: Waiting[] = [];
  #missed = 0;
  #over = false;
  #error: Error | null = null;
  #unhook: () => void = () => {};

  constructor(kinds: readonly WatchKind[], onEnd: (watcher: Watcher) => void) {
    this.kinds = new Set(kinds);
    this.#onEnd = onEnd;
  }

  endWith(signal: AbortSignal): void {
    const onAbort = (): void => this.fail(abortError(signal, 'watch'));
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    this.#unhook = () => signal.removeEventListener('abort', onAbort);
  }

  offer(event: DaemonEvent): void {
    const { kind } = event;
    if (kind !== 'missed' && kind !== 'daemon' && !this.kinds.has(kind)) return;
    const next = this.#waiting.shift();
    if (next !== undefined) next.resolve({ value: event, done: false });
    else if (this.#queue.length < WATCH_QUEUE_MAX) {
      // What was missed is told where it was missed.
      const missed = this.#takeMissed();
      if (missed !== null) this.#queue.push(missed);
      this.#queue.push(event);
    } else this.#missed += kind === 'missed' ? event.count : 1;
  }

  fail(error: Error): void {
    if (this.#over) return;
    this.#error = error;
    this.#finish();
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#error = null;
    next.reject(error);
    this.#endWaiting();
  }

  end(): void {
    this.#finish();
    this.#endWaiting();
  }

  next(): Promise<IteratorResult<DaemonEvent, undefined>> {
    const event = this.#queue.shift() ?? this.#takeMissed();
    if (event !== null) return Promise.resolve({ value: event, done: false });
    const error = this.#error;
    this.#error = null;
    if (error !== null) return Promise.reject(error);
    if (this.#over) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<DaemonEvent, undefined>> {
    this.#queue.length = 0;
    this.#missed = 0;
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #takeMissed(): DaemonEvent | null {
    const count = this.#missed;
    this.#missed = 0;
    return count === 0 ? null : { at: Date.now(), kind: 'missed', count };
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#unhook();
    this.#onEnd(this);
  }

  #endWaiting(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve({ value: undefined, done: true });
  }
}

function checkKinds(kinds: unknown): readonly WatchKind[] {
  if (kinds === undefined) return WATCH_KINDS;
  if (!Array.isArray(kinds)) throw typeError('options.kinds', 'an array', kinds);
  const list: readonly unknown[] = kinds;
  return list.map((kind) => {
    const known = WATCH_KINDS.find((one) => one === kind);
    if (known === undefined)
      throw argumentError(
        'ERR_INVALID_ARG_VALUE',
        `kinds may have ${WATCH_KINDS.join(', ')}, not ${String(kind)}`,
      );
    return known;
  });
}
