/**
 * SpinesServer: takes streams at a port of the local node, in the shape of net.Server.
 *
 * Owns the listener's life at the daemon, also through lost connections, and counts its sockets. Does not own
 * sockets (socket.ts) or accepting (stream-core.ts).
 *
 *         listen()          answered             connection lost
 *   idle ─────────> joining ───────> listening ─────────────────> away
 *    ^                 │                 │  ^  same port again      │
 *    └──failed, close()┴─────close()─────┘  └──────────────────────┘ not to be had: 'error', 'close' -> idle
 */

import { EventEmitter } from 'node:events';

import { SpinesClient, guarded, internalsOf } from './client.ts';
import type { ClientMember, ConnectOptions } from './client.ts';
import { readListenArguments } from './connect-arguments.ts';
import type { ListenOptions } from './connect-arguments.ts';
import { SpinesClientError } from './errors.ts';
import { acceptedSocket } from './socket.ts';
import type { SpinesSocket, StreamAddress, StreamOptions } from './socket.ts';
import type { CoreStream } from './stream-core.ts';

/** Attempts to get a port back from a daemon that has not restarted: it may not have noticed yet that we had gone. */
const RELISTEN_TRIES_MAX = 4;
const RELISTEN_DELAY_MS = 100;

export interface ServerOptions extends Omit<StreamOptions, 'signal'> {
  /** Shared client; without it the server makes a client of its own, and closes it. */
  client?: SpinesClient | undefined;
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
  readonly #member: ClientMember;
  readonly #sockets = new Set<SpinesSocket>();
  #state: ServerState = 'idle';
  #client: SpinesClient | null = null;
  #referenced = true;
  #id = 0;
  #port = 0;
  #backlog: number | undefined;
  /** Counts joins; the answer to an older one is void. */
  #joins = 0;
  #tries = 0;
  #timer: NodeJS.Timeout | null = null;
  #restarted = false;
  #lost: SpinesClientError | null = null;
  #signal: AbortSignal | null = null;
  readonly #onAbort = (): void => { if (this.#state !== 'idle') this.close(); };
  #onListenFailed: (() => void) | null = null;
  /** `close` was called: 'close' is owed. `freed`: the daemon has given the port back. */
  #closing = false;
  #freed = true;

  constructor(options?: ServerOptions | ((socket: SpinesSocket) => void), listener?: (socket: SpinesSocket) => void) {
    super();
    this.#options = typeof options === 'object' ? options : {};
    this.maxConnections = this.#options.maxConnections;
    const onConnection = typeof options === 'function' ? options : listener;
    if (onConnection !== undefined) this.on('connection', onConnection);
    this.#member = {
      onConnectionUp: (_first, restarted) => this.#onConnectionUp(restarted),
      onConnectionDown: (error) => this.#onConnectionDown(error),
      onConnectionDrain: () => {},
      onClientClosed: () => this.#onClientClosed(),
    };
  }

  /** A port was asked for, and not closed since. */
  get listening(): boolean {
    return this.#state === 'listening' || this.#state === 'away';
  }

  /** The shared client, or the server's own one while it has one. */
  get client(): SpinesClient | null {
    return this.#client ?? this.#options.client ?? null;
  }

  address(): StreamAddress | null {
    return this.listening ? { address: this.#client!.node, family: 'spines', port: this.#port } : null;
  }

  /* ---------------------------------------------------------------- listening */

  /** 'listening', or 'error' with EADDRINUSE ... */
  listen(options: ListenOptions, callback?: () => void): this;
  listen(port: number, backlog: number, callback?: () => void): this;
  listen(port: number, callback?: () => void): this;
  listen(callback?: () => void): this;
  listen(...args: unknown[]): this {
    const { options: { port = 0, backlog, signal }, callback } = readListenArguments(args);
    if (this.#state !== 'idle' || this.#closing) throw Object.assign(new Error('Listen method has been called more than once without closing.'), { code: 'ERR_SERVER_ALREADY_LISTEN' });
    const client = this.#options.client ?? new SpinesClient(this.#options.connect ?? {});
    if (client.closed) throw new SpinesClientError('EBADF', 'the client is closed; connect a new one', { syscall: 'listen' });
    if (callback !== undefined) {
      this.once('listening', callback);
      this.#onListenFailed = () => this.off('listening', callback);
    }
    if (this.#options.client === undefined) {
      client.on('error', (error) => this.emit('error', error));
      if (!this.#referenced) client.unref();
    }
    this.#client = client;
    this.#port = port;
    this.#backlog = backlog;
    this.#lost = null;
    this.#tries = 0;
    this.#become('joining');
    const { core, attach } = internalsOf(client);
    attach(this.#member);
    if (signal !== undefined) {
      this.#signal = signal;
      if (signal.aborted) process.nextTick(this.#onAbort);
      else signal.addEventListener('abort', this.#onAbort, { once: true });
    }
    if (core.state === 'open') this.#join();
    else if (!client.connected) client.open().catch((error: SpinesClientError) => { if (this.#state === 'joining' && this.#client === client) guarded(() => this.#failed(error)); });
    return this;
  }

  #join(): void {
    const { core } = internalsOf(this.#client!);
    const join = ++this.#joins;
    let failure: SpinesClientError | null = null;
    if (this.#id === 0) {
      try {
        this.#id = core.streams.openListener({ onAccepted: (stream, node, port) => this.#onAccepted(stream, node, port) });
      } catch (error) {
        process.nextTick(() => { if (join === this.#joins) this.#failed(error as SpinesClientError); });
        return;
      }
    }
    const socket = this.#id;
    if (this.#tries === 0) {
      core.request('socket', { socket, kind: 'stream', link: this.#options.link ?? 'reliable', routing: this.#options.routing ?? 'link-state' }, (error) => { failure = error; });
    }
    core.request('listen', { socket, port: this.#port, backlog: this.#backlog }, (error, { port }) => {
      // A lost connection is not an answer: onConnectionUp joins again.
      if (join !== this.#joins || core.state !== 'open') return;
      const refusal = failure ?? error;
      if (refusal !== null) this.#joinFailed(refusal);
      else if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
        this.#joinFailed(new SpinesClientError('EPROTO', 'the daemon listens on no port', { syscall: 'listen' }));
      else this.#joined(port);
    });
  }

  #joined(port: number): void {
    const again = this.#state === 'away';
    this.#port = port;
    this.#tries = 0;
    this.#lost = null;
    this.#onListenFailed = null;
    this.#become('listening');
    if (again) guarded(() => this.emit('relisten', { restarted: this.#restarted }));
    else guarded(() => this.emit('listening'));
  }

  #joinFailed(cause: SpinesClientError): void {
    if (this.#state === 'away' && cause.code === 'EADDRINUSE' && !this.#restarted && this.#tries < RELISTEN_TRIES_MAX - 1) {
      this.#timer = setTimeout(() => this.#join(), RELISTEN_DELAY_MS * 2 ** this.#tries++);
      return;
    }
    this.#failed(cause);
  }

  #failed(cause: SpinesClientError): void {
    const again = this.#state === 'away';
    const error = new SpinesClientError(cause.code, `listen ${cause.code}: ${this.#port === 0 ? 'any port' : `port ${this.#port}`}: ${cause.message}`, {
      syscall: 'listen', cause, address: this.#client!.node, port: this.#port,
    });
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

  #onAccepted(stream: CoreStream, node: string, port: number): void {
    const client = this.#client;
    if (client === null || !this.listening) return;
    if (this.maxConnections !== undefined && this.#sockets.size >= this.maxConnections) {
      this.emit('drop', { localAddress: client.node, localPort: this.#port, localFamily: 'spines', remoteAddress: node, remotePort: port, remoteFamily: 'spines' });
      return;
    }
    const { allowHalfOpen, link, routing, highWaterMark, pauseOnConnect } = this.#options;
    const socket = acceptedSocket(client, { stream, node, port, localPort: this.#port }, { allowHalfOpen, link, routing, highWaterMark });
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
      if (lost !== null) this.emit('error', new SpinesClientError('ECONNRESET', `the connection to the daemon ended, and the port with it: ${lost.message}`, what));
    } finally {
      this.#checkClosed();
    }
  }

  /* ---------------------------------------------------------------- closing */

  /** Takes no more streams; 'close' when the port is free and all its sockets are closed. */
  close(callback?: (error?: Error) => void): this {
    const running = this.#state !== 'idle';
    if (typeof callback === 'function') {
      this.once('close', running ? () => callback() : () => callback(Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' })));
    }
    this.#closing = true;
    if (running) this.#stop();
    this.#checkClosed();
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'idle') return;
    await new Promise<void>((resolve) => { this.close(() => resolve()); });
  }

  /** Acts on the server's own client; with a shared one use the client's `ref`. */
  ref(): this {
    this.#referenced = true;
    if (this.#options.client === undefined) this.#client?.ref();
    return this;
  }

  unref(): this {
    this.#referenced = false;
    if (this.#options.client === undefined) this.#client?.unref();
    return this;
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
    if (id === 0) {
      this.#checkIdle();
      return;
    }
    core.streams.forgetListener(id);
    if (core.state !== 'open') {
      this.#checkIdle();
      return;
    }
    this.#freed = false;
    core.request('close', { socket: id }, () => {
      this.#freed = true;
      this.#checkIdle();
      this.#checkClosed();
    });
  }

  /** Lets the server's own client go when nothing uses it. */
  #checkIdle(): void {
    const client = this.#client;
    if (this.#state !== 'idle' || !this.#freed || this.#sockets.size > 0 || client === null) return;
    this.#client = null;
    if (this.#options.client === undefined) internalsOf(client).core.streams.settled(() => { void client.close(); });
  }

  #checkClosed(): void {
    this.#checkIdle();
    if (!this.#closing || this.#state !== 'idle' || !this.#freed || this.#sockets.size > 0) return;
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
export function createServer(options?: ServerOptions | ((socket: SpinesSocket) => void), listener?: (socket: SpinesSocket) => void): SpinesServer {
  return new SpinesServer(options, listener);
}

/** What `listenHttp` needs of a server of node:http. */
export interface ConnectionTaker {
  emit(event: 'connection', socket: SpinesSocket): boolean;
  emit(event: 'listening'): boolean;
}

/**
 * Lets a server of node:http (or any other that takes sockets by its 'connection' event) answer at an overlay port.
 * It is told 'listening', so that its time limits work. Close the returned server to stop.
 */
export function listenHttp(server: ConnectionTaker, port: number | ListenOptions, options: ServerOptions = {}): SpinesServer {
  const spines = new SpinesServer(options, (socket) => { server.emit('connection', socket); });
  spines.once('listening', () => { server.emit('listening'); });
  return spines.listen(typeof port === 'number' ? { port } : port);
}
