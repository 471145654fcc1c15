/**
 * A connection to a daemon that comes back by itself.
 *
 * Owns connecting, the greeting's time limit, back-off, requests as promises, name resolution.
 * Sockets and servers attach to it as members and are told when the connection goes and returns.
 * The protocol itself is core.ts; what is made on a connection is
 * client.ts's.
 *
 *   idle ──open()──> connecting ──WELCOME──> open
 *    ^                 │   ^                  │
 *    └─first failed────┘   └─back-off─ waiting <┘ lost        any ──close(), no reconnect──> closed
 */

import { EventEmitter } from 'node:events';

import { parseQuad } from './address.ts';
import type { ClientInternals, ClientMember } from './attachment.ts';
import { CONNECT_TIMEOUT_MS, targetOf, type ConnectOptions } from './connect-options.ts';
import { Connection } from './core/connection.ts';
import { ClientCore } from './core/core.ts';
import { NameCache } from './core/name-cache.ts';
import {
  SpinesClientError,
  abortError,
  argumentError,
  describeTarget,
  rangeError,
} from './errors.ts';
import { guarded, rethrowLater } from './guarded.ts';
import type { DaemonTarget } from './remote/target.ts';
import type { OperationAnswer, OperationArgs, WelcomeBody } from './shared/protocol.ts';

export const BACKOFF_MIN_MS = 100;
export const BACKOFF_MAX_MS = 2_000;

/** How long `close` waits for streams that have ended and are not acknowledged. */
const SETTLE_MS = 2_000;
/** Names being resolved at one time. */
const RESOLVING_MAX = 1024;

/** What follows the name of an operation: its arguments where it has any, and options. */
export type RequestRest<Op extends string = string> =
  Readonly<Record<string, never>> extends OperationArgs<Op>
    ? [args?: OperationArgs<Op>, options?: RequestOptions]
    : [args: OperationArgs<Op>, options?: RequestOptions];

export interface RequestOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

export interface ClientEvents {
  disconnect: [error: SpinesClientError];
  reconnect: [info: { restarted: boolean }];
  close: [];
  error: [error: SpinesClientError];
}

type ClientState = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';

const EDGES: Record<ClientState, readonly ClientState[]> = {
  idle: ['connecting', 'closed'],
  connecting: ['open', 'idle', 'waiting', 'closed'],
  open: ['waiting', 'closed'],
  waiting: ['connecting', 'closed'],
  closed: [],
};

interface Opening {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: SpinesClientError): void;
}

export let internalsOf: (client: DaemonConnection) => ClientInternals;

/** The same, for a new socket: throws EBADF where the client is closed. */
export function liveInternalsOf(client: DaemonConnection): ClientInternals {
  const internals = internalsOf(client);
  if (internals.over)
    throw new SpinesClientError('EBADF', 'the client is closed; connect a new one', {
      syscall: 'socket',
    });
  return internals;
}

let owned: <C extends DaemonConnection>(client: C) => C;

let make: ((options: ConnectOptions) => DaemonConnection) | null = null;

/** Says how clients of single sockets and servers are made: with all the methods of a client. */
export function makeOwnedBy(maker: (options: ConnectOptions) => DaemonConnection): void {
  make = maker;
}

/**
 * A client that belongs to one socket or server: it keeps the process running only while its
 * members have something to wait for.
 */
export function ownedClient(options: ConnectOptions): DaemonConnection {
  return owned(make === null ? new DaemonConnection(options) : make(options));
}

export class DaemonConnection extends EventEmitter<ClientEvents> {
  static {
    internalsOf = (client) => client.#internals;
    owned = (client) => {
      client.#referenced = false;
      client.#owned = true;
      return client;
    };
  }

  readonly #target: DaemonTarget;
  readonly #reconnect: boolean;
  readonly #timeoutMs: number;
  readonly #core: ClientCore;
  readonly #internals: ClientInternals;
  readonly #members = new Set<ClientMember>();
  readonly #names = new NameCache();
  readonly #resolving = new Map<
    string,
    ((error: SpinesClientError | null, node: number) => void)[]
  >();
  #awaitingDrain = new Set<ClientMember>();
  #state: ClientState = 'idle';
  #connection: Connection | null = null;
  #opening: Opening | null = null;
  #closing: Promise<void> | null = null;
  #welcome: WelcomeBody | null = null;
  #draining = false;
  #openedAtMs = 0;
  #attempts = 0;
  #timer: NodeJS.Timeout | null = null;
  #referenced = true;
  #owned = false;
  /** Members that keep an owned client's connection referenced. */
  readonly #busy = new Set<ClientMember>();

  /** `open` connects; `SpinesClient.connect` does both. */
  constructor(options: ConnectOptions = {}) {
    super();
    const { path, host, port, timeoutMs = CONNECT_TIMEOUT_MS } = options;
    if (path !== undefined && (host !== undefined || port !== undefined))
      throw argumentError('ERR_INVALID_ARG_VALUE', 'give either path or host and port');
    if (path !== undefined && (typeof path !== 'string' || path === ''))
      throw argumentError('ERR_INVALID_ARG_VALUE', 'path must be a non-empty string');
    if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536))
      throw rangeError('ERR_SOCKET_BAD_PORT', `port must be 1..65535, not ${String(port)}`);
    if (!(timeoutMs > 0 && timeoutMs < 2 ** 31))
      throw rangeError('ERR_OUT_OF_RANGE', `timeoutMs must be above 0, not ${String(timeoutMs)}`);
    this.#target = targetOf(options);
    this.#reconnect = options.reconnect ?? true;
    this.#timeoutMs = timeoutMs;
    const client = this;
    this.#core = new ClientCore({
      clientName: options.name ?? `node ${process.pid}`,
      asksOnly: options.asksOnly ?? false,
      token: 'path' in this.#target ? null : (this.#target.token ?? null),
      allocate: (bytes) => Buffer.allocUnsafe(bytes),
      sink: {
        write: (bytes) => this.#connection?.write(bytes) ?? false,
        end: () => this.#connection?.destroy(),
      },
      listener: {
        onWelcome: (welcome) => this.#onWelcome(welcome),
        onDraining: () => {
          this.#draining = true;
        },
        onClosed: (error) => this.#lost(error),
        onThrown: rethrowLater,
      },
    });
    this.#internals = {
      core: this.#core,
      get welcome() {
        return client.#welcome;
      },
      get over() {
        return client.#state === 'closed';
      },
      get batch() {
        return client.#connection?.batch ?? null;
      },
      get bufferedBytes() {
        return client.#connection?.bufferedBytes ?? 0;
      },
      attach: (member) => {
        this.#members.add(member);
      },
      detach: (member) => {
        this.#members.delete(member);
        this.#awaitingDrain.delete(member);
        this.#keepAlive(member, false);
      },
      keepAlive: (member, busy) => this.#keepAlive(member, busy),
      awaitDrain: (member) => {
        this.#awaitingDrain.add(member);
      },
      resolve: (name, done) => this.#resolve(name, done),
    };
  }

  /** Address of the daemon's node, dotted quad; '' before the first connection. */
  get node(): string {
    return this.#welcome?.node ?? '';
  }

  get name(): string {
    return this.#welcome?.name ?? '';
  }

  /** Changes when the daemon restarts. */
  get instance(): string {
    return this.#welcome?.instance ?? '';
  }

  get connected(): boolean {
    return this.#state === 'open';
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  /**
   * First connection of a client made with `new`. After a failure it may be called again. One that
   * was connected, and connects again by itself, is not waited for.
   */
  async open(options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    if (this.#state === 'closed')
      throw new SpinesClientError('EBADF', 'this client is closed; make a new one', {
        syscall: 'connect',
      });
    if (this.#state === 'open' || this.#reconnecting) return;
    if (signal?.aborted) throw abortError(signal, 'connect');
    const opening = this.#opening ?? this.#beginOpening();
    const onAbort = (): void => this.#abandon(abortError(signal!, 'connect'));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await opening.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * One request to the daemon. Arguments and answers of its operations are those of `Operations`
   * (shared/operations.ts); of any other name they are maps. Rejects with the daemon's code,
   * ENOTCONN, ECONNRESET (connection lost meanwhile), ENOBUFS, ETIMEDOUT, ABORT_ERR.
   */
  request<Op extends string>(
    op: Op,
    ...[args, options]: RequestRest<Op>
  ): Promise<OperationAnswer<Op>> {
    const { signal, timeoutMs } = options ?? {};
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortError(signal, `request ${op}`));
        return;
      }
      const timer =
        timeoutMs === undefined
          ? null
          : setTimeout(() => {
              settle();
              reject(
                new SpinesClientError(
                  'ETIMEDOUT',
                  `the daemon did not answer ${op} within ${timeoutMs} ms`,
                  { syscall: `request ${op}` },
                ),
              );
            }, timeoutMs);
      const onAbort = (): void => {
        settle();
        reject(abortError(signal!, `request ${op}`));
      };
      const settle = (): void => {
        if (timer !== null) clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#core.request(op, { ...args }, (error, result) => {
        settle();
        if (error === null) resolve(result as OperationAnswer<Op>);
        else reject(error);
      });
    });
  }

  /**
   * Closes the client's sockets and the connection, after what was written has been handed over.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The connection keeps the process running (default). */
  ref(): this {
    this.#referenced = true;
    this.#applyReferences();
    return this;
  }

  unref(): this {
    this.#referenced = false;
    this.#applyReferences();
    return this;
  }

  /** An attempt that nobody has asked for is under way, or will be. */
  get #reconnecting(): boolean {
    return this.#state === 'waiting' || (this.#state === 'connecting' && this.#opening === null);
  }

  #keepAlive(member: ClientMember, busy: boolean): void {
    if (!this.#owned || this.#busy.has(member) === busy) return;
    if (busy) this.#busy.add(member);
    else this.#busy.delete(member);
    if (this.#busy.size === (busy ? 1 : 0)) this.#applyReferences();
  }

  get #keepsProcess(): boolean {
    return this.#referenced || this.#busy.size > 0;
  }

  #applyReferences(): void {
    if (this.#keepsProcess) {
      this.#connection?.ref();
      this.#timer?.ref();
    } else {
      this.#connection?.unref();
      this.#timer?.unref();
    }
  }

  /* ---------------------------------------------------------------- connecting */

  #beginOpening(): Opening {
    let resolve!: () => void;
    let reject!: (error: SpinesClientError) => void;
    const promise = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    this.#opening = { promise, resolve, reject };
    this.#attempt();
    return this.#opening;
  }

  #attempt(): void {
    this.#become('connecting');
    this.#draining = false;
    const connection: Connection = new Connection(this.#target, {
      onConnected: () => {
        if (this.#connection === connection) this.#core.onConnected();
      },
      onBytes: (chunk) => {
        if (this.#connection === connection) this.#core.onBytes(chunk);
      },
      onDrain: () => {
        if (this.#connection === connection) this.#onDrain();
      },
      onTaken: () => {
        if (this.#connection === connection) this.#core.onTaken();
      },
      onClosed: (error) => {
        if (this.#connection !== connection) return;
        if (this.#core.state === 'closed') this.#lost(error);
        else this.#core.onClosed(error);
      },
    });
    this.#connection = connection;
    this.#setTimer(this.#timeoutMs, () => {
      const hint =
        `no greeting from ${describeTarget(this.#target)} within ${this.#timeoutMs} ` +
        'ms; is it a spines daemon, and is it alive?';
      this.#abandon(new SpinesClientError('ETIMEDOUT', hint, { syscall: 'connect' }));
    });
    this.#applyReferences();
  }

  /** Gives up the connection attempt under way. */
  #abandon(error: SpinesClientError): void {
    if (this.#state !== 'connecting') return;
    this.#connection?.destroy();
    if (this.#core.state === 'closed') this.#lost(error);
    else this.#core.onClosed(error);
  }

  #onWelcome(welcome: WelcomeBody): void {
    const first = this.#welcome === null;
    const restarted = !first && this.#welcome!.instance !== welcome.instance;
    this.#clearTimer();
    this.#welcome = welcome;
    this.#openedAtMs = performance.now();
    this.#names.clear();
    this.#become('open');
    this.#opening?.resolve();
    this.#opening = null;
    for (const member of [...this.#members]) guarded(() => member.onConnectionUp(first, restarted));
    if (!first) guarded(() => this.emit('reconnect', { restarted }));
  }

  #onDrain(): void {
    const members = this.#awaitingDrain;
    this.#awaitingDrain = new Set();
    for (const member of members) guarded(() => member.onConnectionDrain());
  }

  /** The connection, or the attempt at one, is over. */
  #lost(cause: SpinesClientError): void {
    this.#connection = null;
    this.#clearTimer();
    const state = this.#state;
    if (state === 'closed') return;
    if (state === 'connecting' && this.#opening !== null) {
      const opening = this.#opening;
      this.#opening = null;
      this.#become('idle');
      opening.reject(cause);
      return;
    }
    const error =
      this.#draining && cause.code === 'ECONNRESET'
        ? new SpinesClientError(
            'EDAEMON',
            'the daemon has stopped; the client reconnects when it is back',
            { syscall: 'read', cause },
          )
        : cause;
    // A daemon of another version will not change its mind, nor one that knows this program and
    // does not want it.
    const hopeless =
      (state === 'connecting' && cause.code === 'EPROTO' && cause.syscall === 'connect') ||
      (cause.code === 'EACCES' && cause.syscall === 'authenticate');
    if (state === 'open' && performance.now() - this.#openedAtMs >= BACKOFF_MAX_MS)
      this.#attempts = 0;
    if (this.#reconnect && !hopeless) {
      this.#become('waiting');
      const delayMs =
        Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(this.#attempts++, 10)) *
        (0.5 + Math.random() / 2);
      this.#setTimer(delayMs, () => this.#attempt());
    }
    if (state === 'open') {
      for (const member of [...this.#members]) guarded(() => member.onConnectionDown(error));
      guarded(() => this.emit('disconnect', error));
    }
    if (this.#reconnect && !hopeless) return;
    if (hopeless && this.#reconnect) guarded(() => this.emit('error', error));
    void this.close();
  }

  async #close(): Promise<void> {
    if (this.#state !== 'closed') this.#become('closed');
    this.#clearTimer();
    const error = new SpinesClientError('ECONNRESET', 'the client was closed', {
      syscall: 'close',
    });
    this.#opening?.reject(error);
    this.#opening = null;
    const { streams } = this.#core;
    streams.release();
    if (this.#core.state === 'open' && !streams.isSettled) await this.#settled();
    const connection = this.#connection;
    this.#connection = null;
    // 'close' is owed, whoever waits for it; it is not far.
    connection?.ref();
    // The connection goes first: what the members do now must not be written any more.
    const gone = connection === null ? Promise.resolve() : connection.end();
    this.#core.onClosed(error);
    for (const member of [...this.#members]) guarded(() => member.onClientClosed());
    this.#members.clear();
    this.#awaitingDrain.clear();
    await gone;
    process.nextTick(() => this.emit('close'));
  }

  /**
   * Waits, for a limited time, for streams that have ended both ways: their last data is still on
   * its way.
   */
  #settled(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, SETTLE_MS);
      this.#core.streams.settled(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /* ---------------------------------------------------------------- names */

  #resolve(name: string, done: (error: SpinesClientError | null, node: number) => void): void {
    const known = parseQuad(name) ?? this.#names.get(name, performance.now());
    if (known !== undefined) {
      done(null, known);
      return;
    }
    const waiting = this.#resolving.get(name);
    if (waiting !== undefined) {
      waiting.push(done);
      return;
    }
    if (this.#resolving.size >= RESOLVING_MAX) {
      done(
        new SpinesClientError(
          'ENOBUFS',
          `${RESOLVING_MAX} names are being resolved; send to fewer names at a time, or to ` +
            'addresses',
          { syscall: 'resolve' },
        ),
        0,
      );
      return;
    }
    const callbacks = [done];
    this.#resolving.set(name, callbacks);
    this.#core.request('resolve', { name }, (failure, result) => {
      this.#resolving.delete(name);
      const node = typeof result['node'] === 'string' ? parseQuad(result['node']) : null;
      const error =
        failure !== null
          ? new SpinesClientError(failure.code, `${name}: ${failure.message}`, {
              syscall: 'resolve',
              cause: failure,
            })
          : node === null
            ? new SpinesClientError('EPROTO', `the daemon resolved ${name} to no address`, {
                syscall: 'resolve',
              })
            : null;
      if (error === null) this.#names.set(name, node!, performance.now());
      for (const callback of callbacks) guarded(() => callback(error, node ?? 0));
    });
  }

  /* ---------------------------------------------------------------- helpers */

  #setTimer(delayMs: number, action: () => void): void {
    this.#clearTimer();
    this.#timer = setTimeout(action, delayMs);
    if (!this.#keepsProcess) this.#timer.unref();
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #become(next: ClientState): void {
    if (!EDGES[this.#state].includes(next)) throw new Error(`client: ${this.#state} -> ${next}`);
    this.#state = next;
  }
}
