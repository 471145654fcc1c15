/**
 * SpinesServer: takes streams at a port of the local node, in the shape of net.Server.
 *
 * Owns the listener's life at the daemon, also through lost connections, and counts its sockets.
 * Does not own sockets (socket.ts) or accepting (stream-core.ts).
 *
 *         listen()          answered             connection lost
 *   idle ─────────> joining ───────> listening ─────────────────> away
 *    ^                 │                 │  ^  same port again      │
 *    └──failed, close()┴─────close()─────┘  └──────────────────────┘
 *   away ──not to be had: 'error', 'close'──> idle
 */

import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';

import { isLocalHost } from '../address.ts';
import { clientSymbol } from '../client-symbol.ts';
import { internalsOf, ownedClient, type DaemonConnection } from '../daemon-connection.ts';
import { guarded } from '../guarded.ts';
import type { ClientMember } from '../attachment.ts';
import type { ConnectOptions } from '../connect-options.ts';
import { readListenArguments } from './connect-arguments.ts';
import type { ListenOptions } from './connect-arguments.ts';
import { SpinesClientError, stateError, typeError } from '../errors.ts';
import { Liveness } from './liveness-options.ts';
import { checkCongestion } from './socket-options.ts';
import { SpinesSocket, acceptedSocket } from './socket.ts';
import type { StreamAddress, StreamOptions } from './socket-options.ts';
import type { CoreStream } from '../core/stream-core.ts';

/**
 * Attempts to get a port back from a daemon that has not restarted: it may not have noticed yet
 * that we had gone.
 */
const RELISTEN_TRIES_MAX = 4;
const RELISTEN_DELAY_MS = 100;
/** Where a daemon takes the ports that nobody asked for by number. */
const EPHEMERAL_FIRST = 32_768;
const EPHEMERAL_LAST = 60_999;

export interface ServerOptions extends Omit<StreamOptions, 'signal'> {
  /** Shared client; without it the server makes a client of its own, and closes it. */
  client?: DaemonConnection | undefined;
  /** For the server's own client. */
  connect?: Omit<ConnectOptions, 'signal'> | undefined;
  /** Sockets come paused. */
  pauseOnConnect?: boolean | undefined;
  /** Further streams are reset and told by 'drop'. Default: no limit but the daemon's. */
  maxConnections?: number | undefined;
}

/** A stream that was reset because of `maxConnections`. */
export interface DropInfo {
  localAddress: string;
  localPort: number;
  localFamily: 'spines';
  remoteAddress: string;
  remotePort: number;
  remoteFamily: 'spines';
}

export interface ServerEvents {
  listening: [];
  connection: [socket: SpinesSocket];
  close: [];
  error: [error: Error];
  drop: [info: DropInfo];
  /** The connection to the daemon was lost and is back, and so is the port. */
  relisten: [info: { restarted: boolean }];
}

type ServerState = 'idle' | 'joining' | 'listening' | 'away';

const EDGES: Record<ServerState, readonly ServerState[]> = {
  idle: ['joining'],
  joining: ['listening', 'idle'],
  listening: ['away', 'idle'],
  away: ['listening', 'idle'],
};

export class SpinesServer extends EventEmitter<ServerEvents> {
  maxConnections: number | undefined;
  readonly #options: ServerOptions;
  /** Of the streams that it takes. */
  readonly #liveness: Liveness;
  readonly #member: ClientMember;
  readonly #sockets = new Set<SpinesSocket>();
  #state: ServerState = 'idle';
  #client: DaemonConnection | null = null;
  #referenced = true;
  #id = 0;
  #port = 0;
  /** `#port` is our draw, and nobody has been told. */
  #drawn = false;
  /** The local node, as the program called it; undefined: not at all. */
  #host: string | undefined;
  #backlog: number | undefined;
  /** Counts joins; the answer to an older one is void. */
  #joins = 0;
  #tries = 0;
  /** Why the daemon took no socket, when it did not. */
  #refusal: SpinesClientError | null = null;
  #timer: NodeJS.Timeout | null = null;
  #restarted = false;
  #lost: SpinesClientError | null = null;
  #signal: AbortSignal | null = null;
  readonly #onAbort = (): void => {
    if (this.#state !== 'idle') this.close();
  };
  #onListenFailed: (() => void) | null = null;
  /** `close` was called: 'close' is owed. */
  #closing = false;
  /** Ports that the daemon has not given back yet. */
  #freeing = 0;

  constructor(
    options?: ServerOptions | ((socket: SpinesSocket) => void),
    listener?: (socket: SpinesSocket) => void,
  ) {
    super();
    if (
      options !== undefined &&
      options !== null &&
      typeof options !== 'function' &&
      typeof options !== 'object'
    )
      throw typeError('options', 'of type object', options);
    this.#options = typeof options === 'object' && options !== null ? options : {};
    checkCongestion(this.#options.congestion);
    this.#liveness = new Liveness(this.#options);
    this.maxConnections = this.#options.maxConnections;
    const onConnection = typeof options === 'function' ? options : listener;
    if (typeof onConnection === 'function') this.on('connection', onConnection);
    this.#member = {
      onConnectionUp: (_first, restarted) => this.#onConnectionUp(restarted),
      onConnectionDown: (error) => this.#onConnectionDown(error),
      onConnectionDrain: () => {},
      onClientClosed: () => this.#onClientClosed(),
    };
  }

  /** A port was asked for, not refused, and not closed since. */
  get listening(): boolean {
    return this.#state !== 'idle';
  }

  /** The shared client, or the server's own one while it has one. */
  get [clientSymbol](): DaemonConnection | null {
    return this.#client ?? this.#options.client ?? null;
  }

  /**
   * Null when not listening. Before 'listening' the address is 0.0.0.0 where the node is not known
   * yet, and a port that the program left open is this library's draw; should that turn out to be
   * taken after it was told here, 'error' is EADDRINUSE.
   */
  address(): StreamAddress | null {
    if (this.#state === 'idle' || this.#port === 0) return null;
    this.#drawn = false;
    return { address: this.#client!.node || '0.0.0.0', family: 'spines', port: this.#port };
  }

  /* ---------------------------------------------------------------- listening */

  /** 'listening', or 'error' with EADDRINUSE, EADDRNOTAVAIL (not a name of the local node) ... */
  listen(options: ListenOptions, callback?: () => void): this;
  listen(
    port: number | string | null | undefined,
    host: string | undefined,
    backlog?: number,
    callback?: () => void,
  ): this;
  listen(port: number | string | null | undefined, host: string, callback?: () => void): this;
  listen(port: number | string | null | undefined, backlog: number, callback?: () => void): this;
  listen(port?: number | string | null, callback?: () => void): this;
  listen(callback?: () => void): this;
  listen(...args: unknown[]): this {
    const {
      options: { port, host, backlog, signal },
      callback,
    } = readListenArguments(args);
    if (this.#state !== 'idle' || this.#closing)
      throw stateError(
        'ERR_SERVER_ALREADY_LISTEN',
        'Listen method has been called more than once without closing.',
      );
    const own = this.#options.client === undefined;
    let client = this.#options.client ?? this.#client;
    if (client === null || (own && client.closed)) {
      client = ownedClient(this.#options.connect ?? {});
      client.on('error', (error) => this.emit('error', error));
    }
    if (client.closed)
      throw new SpinesClientError('EBADF', 'the client is closed; connect a new one', {
        syscall: 'listen',
      });
    if (callback !== undefined) {
      this.once('listening', callback);
      this.#onListenFailed = () => this.off('listening', callback);
    }
    this.#client = client;
    this.#drawn = port === 0;
    this.#port = port === 0 ? randomInt(EPHEMERAL_FIRST, EPHEMERAL_LAST + 1) : port;
    this.#host = host;
    this.#backlog = backlog;
    this.#lost = null;
    this.#tries = 0;
    this.#become('joining');
    const { core, attach } = internalsOf(client);
    attach(this.#member);
    this.#keepAlive();
    if (signal !== undefined) {
      this.#signal = signal;
      if (signal.aborted) process.nextTick(this.#onAbort);
      else signal.addEventListener('abort', this.#onAbort, { once: true });
    }
    if (core.state === 'open') this.#join();
    else if (!client.connected)
      client.open().catch((error: SpinesClientError) => {
        if (this.#state === 'joining' && this.#client === client)
          guarded(() => this.#failed(error));
      });
    return this;
  }

  #keepAlive(): void {
    const client = this.#client;
    if (client !== null)
      internalsOf(client).keepAlive(
        this.#member,
        this.#referenced && (this.#state !== 'idle' || this.#freeing > 0),
      );
  }

  #join(): void {
    const { core } = internalsOf(this.#client!);
    if (core.state !== 'open') return;
    const join = ++this.#joins;
    this.#refusal = null;
    if (
      this.#host !== undefined &&
      !isLocalHost(this.#host) &&
      this.#host !== this.#client!.node &&
      this.#host !== this.#client!.name
    ) {
      const error = new SpinesClientError(
        'EADDRNOTAVAIL',
        `${this.#host} is not this node, which is ${this.#client!.name} (${this.#client!.node})`,
      );
      process.nextTick(() => {
        if (join === this.#joins) this.#failed(error);
      });
      return;
    }
    if (this.#id === 0) {
      try {
        this.#id = core.streams.openListener({
          onAccepted: (...accepted) => this.#onAccepted(...accepted),
        });
      } catch (error) {
        process.nextTick(() => {
          if (join === this.#joins) this.#failed(error as SpinesClientError);
        });
        return;
      }
    }
    if (this.#tries === 0) {
      const socket = this.#id;
      const { link = 'reliable', routing = 'link-state', secrecy, congestion } = this.#options;
      const { keepaliveMs, silenceMs } = this.#liveness;
      const options = {
        kind: 'stream',
        link,
        routing,
        secrecy,
        keepaliveMs: keepaliveMs ?? undefined,
        silenceMs,
        congestion,
      };
      core.request('socket', { socket, ...options }, (error) => {
        if (join === this.#joins) this.#refusal = error;
      });
    }
    this.#askPort();
  }

  #askPort(): void {
    const { core } = internalsOf(this.#client!);
    const join = this.#joins;
    core.request(
      'listen',
      { socket: this.#id, port: this.#port, backlog: this.#backlog },
      (error, { port }) => {
        // A lost connection is not an answer: onConnectionUp joins again.
        if (join !== this.#joins || core.state !== 'open') return;
        const refusal = this.#refusal ?? error;
        if (refusal !== null) this.#joinFailed(refusal);
        else if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
          this.#joinFailed(
            new SpinesClientError('EPROTO', 'the daemon listens on no port', { syscall: 'listen' }),
          );
        else this.#joined(port);
      },
    );
  }

  #joined(port: number): void {
    const again = this.#state === 'away';
    this.#port = port;
    this.#drawn = false;
    this.#tries = 0;
    this.#lost = null;
    this.#onListenFailed = null;
    this.#become('listening');
    if (again) guarded(() => this.emit('relisten', { restarted: this.#restarted }));
    else guarded(() => this.emit('listening'));
  }

  #joinFailed(cause: SpinesClientError): void {
    if (this.#drawn && cause.code === 'EADDRINUSE') {
      // Then the daemon's choice, which is never a taken one.
      this.#drawn = false;
      this.#port = 0;
      this.#askPort();
      return;
    }
    if (
      this.#state === 'away' &&
      cause.code === 'EADDRINUSE' &&
      !this.#restarted &&
      this.#tries < RELISTEN_TRIES_MAX - 1
    ) {
      this.#timer = setTimeout(() => this.#join(), RELISTEN_DELAY_MS * 2 ** this.#tries++);
      return;
    }
    this.#failed(cause);
  }

  #failed(cause: SpinesClientError): void {
    const again = this.#state === 'away';
    const error = new SpinesClientError(
      cause.code,
      `listen ${cause.code}: ` +
        `${this.#drawn || this.#port === 0 ? 'any port' : `port ${this.#port}`}: ${cause.message}`,
      {
        syscall: 'listen',
        cause,
        address: this.#client!.node,
        port: this.#port,
      },
    );
    this.#onListenFailed?.();
    this.#onListenFailed = null;
    this.#stop();
    if (again) this.#closing = true;
    try {
      this.emit('error', error);
    } finally {
      this.#checkClosed();
    }
  }

  /* ---------------------------------------------------------------- streams */

  #onAccepted(stream: CoreStream, node: string, port: number, authenticated: boolean): void {
    const client = this.#client;
    if (client === null || (this.#state !== 'listening' && this.#state !== 'away')) return;
    if (this.maxConnections !== undefined && this.#sockets.size >= this.maxConnections) {
      this.emit('drop', {
        localAddress: client.node,
        localPort: this.#port,
        localFamily: 'spines',
        remoteAddress: node,
        remotePort: port,
        remoteFamily: 'spines',
      });
      return;
    }
    const { allowHalfOpen, link, routing, highWaterMark, pauseOnConnect } = this.#options;
    const { silenceMs } = this.#liveness,
      keepaliveMs = this.#liveness.keepaliveMs ?? undefined;
    const socket = acceptedSocket(
      client,
      { stream, node, port, localPort: this.#port, authenticated },
      { allowHalfOpen, link, routing, highWaterMark, keepaliveMs, silenceMs },
    );
    socket.server = this;
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#checkClosed();
    });
    if (pauseOnConnect) socket.pause();
    try {
      this.emit('connection', socket);
    } finally {
      if (!socket.destroyed && !socket.isPaused()) socket.read(0);
    }
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    if (typeof callback !== 'function') throw typeError('callback', 'of type function', callback);
    process.nextTick(() => callback(null, this.#sockets.size));
    return this;
  }

  /* ---------------------------------------------------------------- the connection */

  #onConnectionUp(restarted: boolean): void {
    this.#restarted = restarted;
    if (this.#state === 'joining' || this.#state === 'away') this.#join();
  }

  #onConnectionDown(error: SpinesClientError): void {
    this.#joins++;
    this.#tries = 0;
    this.#clearTimer();
    this.#lost = error;
    if (this.#state === 'listening') this.#become('away');
  }

  #onClientClosed(): void {
    if (this.#state === 'idle') return;
    const lost = this.#lost;
    this.#stop();
    this.#closing = true;
    try {
      const what = { syscall: 'accept', cause: lost, port: this.#port };
      if (lost !== null)
        this.emit(
          'error',
          new SpinesClientError(
            'ECONNRESET',
            `the connection to the daemon ended, and the port with it: ${lost.message}`,
            what,
          ),
        );
    } finally {
      this.#checkClosed();
    }
  }

  /* ---------------------------------------------------------------- closing */

  /** Takes no more streams; 'close' when the port is free and all its sockets are closed. */
  close(callback?: (error?: Error) => void): this {
    const running = this.#state !== 'idle';
    if (typeof callback === 'function') {
      this.once(
        'close',
        running
          ? () => callback()
          : () => callback(stateError('ERR_SERVER_NOT_RUNNING', 'Server is not running.')),
      );
    }
    this.#closing = true;
    if (running) this.#stop();
    this.#checkClosed();
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'idle') return;
    await new Promise<void>((resolve) => {
      this.close(() => resolve());
    });
  }

  /**
   * Of a server with a client of its own; a shared client keeps the process running by itself (its
   * `ref`).
   */
  ref(): this {
    this.#referenced = true;
    this.#keepAlive();
    return this;
  }

  unref(): this {
    this.#referenced = false;
    this.#keepAlive();
    return this;
  }

  /**
   * An asynchronous 'connection' listener that fails costs its socket. Where nobody hears that
   * socket's 'error', the server's tells.
   */
  override [EventEmitter.captureRejectionSymbol](
    error: Error,
    event: unknown,
    ...args: unknown[]
  ): void {
    const [socket] = args;
    const accepted = event === 'connection' && socket instanceof SpinesSocket ? socket : null;
    const told = accepted !== null && accepted.listenerCount('error') > 0;
    accepted?.destroy(told ? error : undefined);
    if (!told) this.emit('error', error);
  }

  /** Gives the listener back. Sockets live on. */
  #stop(): void {
    this.#become('idle');
    this.#joins++;
    this.#clearTimer();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#signal = null;
    const id = this.#id;
    this.#id = 0;
    const client = this.#client!;
    const { core, detach } = internalsOf(client);
    detach(this.#member);
    if (id !== 0) {
      core.streams.forgetListener(id);
      if (core.state === 'open') {
        this.#freeing++;
        this.#keepAlive();
        core.request('close', { socket: id }, () => {
          this.#freeing--;
          if (this.#client === client) this.#keepAlive();
          this.#checkIdle();
          this.#checkClosed();
        });
        return;
      }
    }
    this.#checkIdle();
  }

  /** Lets the server's own client go when nothing uses it. */
  #checkIdle(): void {
    const client = this.#client;
    if (this.#state !== 'idle' || this.#freeing > 0 || this.#sockets.size > 0 || client === null)
      return;
    this.#client = null;
    if (this.#options.client === undefined)
      internalsOf(client).core.streams.settled(() => {
        void client.close();
      });
  }

  #checkClosed(): void {
    this.#checkIdle();
    if (!this.#closing || this.#state !== 'idle' || this.#freeing > 0 || this.#sockets.size > 0)
      return;
    this.#closing = false;
    process.nextTick(() => this.emit('close'));
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #become(next: ServerState): void {
    if (!EDGES[this.#state].includes(next)) throw new Error(`server: ${this.#state} -> ${next}`);
    this.#state = next;
  }
}

/** A server on `options.client`, or on a client of its own. */
export function createServer(
  options?: ServerOptions | ((socket: SpinesSocket) => void),
  listener?: (socket: SpinesSocket) => void,
): SpinesServer {
  return new SpinesServer(options, listener);
}

/** What `listenHttp` needs of a server of node:http. */
export interface ConnectionTaker {
  emit(event: 'connection', socket: SpinesSocket): boolean;
  emit(event: 'listening'): boolean;
}

/**
 * Lets a server of node:http (or any other that takes sockets by its 'connection' event) answer at
 * an overlay port. It is told 'listening', so that its time limits work. Close the returned server
 * to stop.
 */
export function listenHttp(
  server: ConnectionTaker,
  port: number | ListenOptions,
  options: ServerOptions = {},
): SpinesServer {
  const spines = new SpinesServer(options, (socket) => {
    server.emit('connection', socket);
  });
  spines.once('listening', () => {
    server.emit('listening');
  });
  return spines.listen(typeof port === 'number' ? { port } : port);
}
