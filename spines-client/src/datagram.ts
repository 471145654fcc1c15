/**
 * SpinesDatagram: a datagram socket of the overlay in the shape of dgram.Socket.
 *
 * Owns the socket's life at the daemon (announce, bind, bind again after a reconnect), messages held until a port or a
 * name is known, and back-pressure. Does not own the connection (client.ts) or frames (core.ts).
 *
 *             bind, send            bound                 connection lost
 *   unbound ─────────────> binding ───────> bound ───────────────────────> away
 *      ^                      │               ^  bound again at its port    │
 *      └──────failed──────────┘               └─────────────────────────────┤
 *      └──────────────────────────port not to be had again──────────────────┘    any ──close──> closed
 */

import { EventEmitter } from 'node:events';

import { formatQuad, parseQuad } from './address.ts';
import { SpinesClient, guarded, internalsOf } from './client.ts';
import type { ClientInternals, ClientMember, ConnectOptions } from './client.ts';
import { HIGH_WATER_BYTES, WRITE_BUFFER_BYTES_MAX } from './connection.ts';
import type { WriteBatch } from './connection.ts';
import { RECV_QUEUE_BYTES } from './core.ts';
import type { SocketListener } from './core.ts';
import { SpinesClientError, abortError, argumentError, codeOf, rangeError } from './errors.ts';
import { MESSAGE_BYTES_MAX } from './protocol.ts';
import type { LinkServiceName, RoutingName } from './protocol.ts';
import { checkPort, readSendArguments } from './send-arguments.ts';
import type { MessagePart, SendCallback } from './send-arguments.ts';

/** Bytes held per socket until its port or a name is known; further messages are refused with ENOBUFS. */
export const HELD_BYTES_MAX = 1_048_576;
/** What each held message costs on top of its payload. */
const HELD_COST_BYTES = 64;
/** Attempts to get a port back from a daemon that has not restarted: it may not have noticed yet that we had gone. */
const REBIND_TRIES_MAX = 4;
const REBIND_DELAY_MS = 100;

export interface DatagramOptions {
  /** Recovery on every hop. Default 'best-effort'. */
  link?: LinkServiceName | undefined;
  /** Default 'link-state'. */
  routing?: RoutingName | undefined;
  /** Overlay hops, 1..255. Default: the daemon's. */
  ttl?: number | undefined;
  /** 1..10. Default: the daemon's. */
  priority?: number | undefined;
  /** Bound of the receive queue while paused; each message costs its payload and 64 bytes. Default 1 MiB. */
  recvQueueBytes?: number | undefined;
  /** Closes the socket. */
  signal?: AbortSignal | undefined;
}

export interface CreateSocketOptions extends DatagramOptions {
  /** Shared client; without it the socket makes a client of its own, and closes it. */
  client?: SpinesClient | undefined;
  /** For the socket's own client. */
  connect?: Omit<ConnectOptions, 'signal'> | undefined;
}

export interface RemoteInfo {
  /** Dotted quad of the sending node. */
  address: string;
  family: 'spines';
  port: number;
  size: number;
}

export interface SpinesAddress {
  address: string;
  family: 'spines';
  port: number;
}

export interface DatagramEvents {
  message: [message: Buffer, rinfo: RemoteInfo];
  listening: [];
  connect: [];
  close: [];
  error: [error: Error];
  drain: [];
  dropped: [info: { count: number }];
  sendError: [error: SpinesClientError];
  disconnect: [error: SpinesClientError];
  reconnect: [info: { restarted: boolean }];
}

type DatagramState = 'unbound' | 'binding' | 'bound' | 'away' | 'closed';

const EDGES: Record<DatagramState, readonly DatagramState[]> = {
  unbound: ['binding', 'closed'],
  binding: ['bound', 'unbound', 'closed'],
  bound: ['away', 'closed'],
  away: ['bound', 'unbound', 'closed'],
  closed: [],
};

interface Held {
  payload: Uint8Array;
  port: number;
  address: string | undefined;
  callback: SendCallback | undefined;
}

/** This socket's share of one write batch. */
interface Share {
  bytes: number;
  count: number;
  callbacks: { callback: SendCallback; bytes: number }[];
}

interface Peer {
  node: number;
  port: number;
}

export class SpinesDatagram extends EventEmitter<DatagramEvents> {
  readonly #client: SpinesClient;
  readonly #internals: ClientInternals;
  readonly #ownsClient: boolean;
  readonly #id: number;
  readonly #member: ClientMember;
  readonly #options: { link: LinkServiceName; routing: RoutingName; ttl: number | undefined; priority: number | undefined; recvQueueBytes: number | undefined };
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => { if (this.#state !== 'closed') this.close(); };
  #state: DatagramState = 'unbound';
  #port = 0;
  /** The daemon knows our socket number on this connection. */
  #announced = false;
  /** Counts joins; the answer to an older one is void. */
  #joins = 0;
  /** Takes bind's callback back. */
  #onBindFailed: (() => void) | null = null;
  /** The bind under way is ready()'s: its failure rejects ready() and is no event. */
  #bindForReady = false;
  #rebindTries = 0;
  #rebindTimer: NodeJS.Timeout | null = null;
  #restarted = false;
  /** 'disconnect' was emitted, 'reconnect' not yet. */
  #missed = false;
  #held: Held[] = [];
  #heldBytes = 0;
  #heldCount = 0;
  #share: Share | null = null;
  #shareBatch: WriteBatch | null = null;
  #inFlightBytes = 0;
  #inFlightCount = 0;
  #peer: Peer | null = null;
  #connecting = false;
  #paused = false;
  #needDrain = false;
  #waiters = new Set<{ resolve: () => void; reject: (error: Error) => void }>();
  #droppedCount = 0;
  #refused = new Map<string, { error: SpinesClientError; count: number }>();
  #lastNode = 0;
  #lastAddress = '0.0.0.0';

  constructor(options: CreateSocketOptions = {}) {
    super();
    const { link = 'best-effort', routing = 'link-state', ttl, priority, recvQueueBytes, signal } = options;
    if (!['best-effort', 'reliable', 'realtime'].includes(link)) throw argumentError('ERR_INVALID_ARG_VALUE', `link must be best-effort, reliable or realtime, not ${String(link)}`);
    if (!['link-state', 'byzantine'].includes(routing)) throw argumentError('ERR_INVALID_ARG_VALUE', `routing must be link-state or byzantine, not ${String(routing)}`);
    if (ttl !== undefined) checkRange('ttl', ttl, 1, 255);
    if (priority !== undefined) checkRange('priority', priority, 1, 10);
    if (recvQueueBytes !== undefined) checkRange('recvQueueBytes', recvQueueBytes, 1, 2 ** 31 - 1);
    this.#options = { link, routing, ttl, priority, recvQueueBytes };
    this.#ownsClient = options.client === undefined;
    this.#client = options.client ?? new SpinesClient(options.connect ?? {});
    this.#internals = internalsOf(this.#client);
    if (this.#internals.over) throw new SpinesClientError('EBADF', 'the client is closed; connect a new one', { syscall: 'socket' });
    const listener: SocketListener = {
      onMessage: (payload, node, port) => this.#onMessage(payload, node, port),
      onBlocked: () => {},
      onWritable: () => this.#checkWritable(),
      onDropped: (count) => this.#onDropped(count),
      onSendError: (error) => { this.emit('sendError', error); },
    };
    this.#id = this.#internals.core.openSocket(listener, recvQueueBytes ?? RECV_QUEUE_BYTES);
    this.#member = {
      onConnectionUp: (first, restarted) => this.#onConnectionUp(first, restarted),
      onConnectionDown: (error) => this.#onConnectionDown(error),
      onConnectionDrain: () => this.#checkWritable(),
      onClientClosed: () => this.#onClientClosed(),
    };
    this.#internals.attach(this.#member);
    if (this.#ownsClient) this.#client.on('error', (error) => this.emit('error', error));
    this.#signal = signal;
    if (signal?.aborted) process.nextTick(this.#onAbort);
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get client(): SpinesClient {
    return this.#client;
  }

  /** `send` returned false and 'drain' has not come yet. */
  get writableNeedDrain(): boolean {
    return this.#needDrain;
  }

  /* ---------------------------------------------------------------- binding */

  /** Takes a port; 0 or none: any free one. 'listening', or 'error' with EADDRINUSE ... */
  bind(callback?: () => void): this;
  bind(port: number | undefined, callback?: () => void): this;
  bind(options: { port?: number | undefined }, callback?: () => void): this;
  bind(first?: number | { port?: number | undefined } | (() => void), second?: () => void): this {
    this.#assertOpen();
    const callback = typeof first === 'function' ? first : second;
    const port = checkPort((typeof first === 'object' && first !== null ? first.port : typeof first === 'function' ? 0 : first) ?? 0, true);
    if (this.#state !== 'unbound') throw argumentError('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    if (typeof callback === 'function') {
      this.once('listening', callback);
      this.#onBindFailed = () => this.off('listening', callback);
    }
    this.#beginBind(port);
    return this;
  }

  address(): SpinesAddress {
    this.#assertOpen();
    if (this.#state !== 'bound' && this.#state !== 'away') throw new SpinesClientError('EBADF', 'the socket has no port yet; bind it and wait for \'listening\'', { syscall: 'getsockname' });
    return { address: this.#client.node, family: 'spines', port: this.#port };
  }

  #beginBind(port: number): void {
    this.#become('binding');
    this.#port = port;
    if (this.#internals.core.state === 'open') {
      this.#join();
    } else if (!this.#client.connected) {
      this.#client.open().catch((error: SpinesClientError) => { if (this.#state === 'binding') guarded(() => this.#bindFailed(error)); });
    }
  }

  /** Announces the socket where needed and binds it; both requests go out together. */
  #join(): void {
    const { core } = this.#internals;
    const join = ++this.#joins;
    const options = this.#options;
    let failure: SpinesClientError | null = null;
    if (!this.#announced) {
      this.#announced = true;
      core.request('socket', { socket: this.#id, kind: 'datagram', link: options.link, routing: options.routing, ttl: options.ttl, priority: options.priority }, (error) => {
        if (error === null || join !== this.#joins) return;
        this.#announced = false;
        failure = error;
      });
    }
    core.request('bind', { socket: this.#id, port: this.#port }, (error, result) => {
      // A lost connection is not an answer: onConnectionUp joins again.
      if (join !== this.#joins || core.state !== 'open') return;
      const refusal = failure ?? error;
      const port = result['port'];
      if (refusal !== null) this.#joinFailed(refusal);
      else if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) this.#joinFailed(new SpinesClientError('EPROTO', 'the daemon bound no port', { syscall: 'bind' }));
      else this.#joined(port);
    });
  }

  #joined(port: number): void {
    const again = this.#state === 'away';
    this.#port = port;
    this.#rebindTries = 0;
    this.#onBindFailed = null;
    this.#bindForReady = false;
    this.#become('bound');
    if (!again) guarded(() => this.emit('listening'));
    this.#emitReconnect();
    const held = this.#held;
    this.#held = [];
    for (const message of held) {
      this.#unhold(message);
      this.#route(message, true);
    }
    this.#checkWritable();
  }

  #joinFailed(cause: SpinesClientError): void {
    if (this.#state === 'away' && cause.code === 'EADDRINUSE' && !this.#restarted && this.#rebindTries < REBIND_TRIES_MAX - 1) {
      this.#rebindTimer = setTimeout(() => this.#join(), REBIND_DELAY_MS * 2 ** this.#rebindTries++);
      return;
    }
    this.#bindFailed(new SpinesClientError(cause.code, `${this.#port === 0 ? 'no port to be had' : `port ${this.#port} is not to be had`}: ${cause.message}`, { syscall: 'bind', cause }));
  }

  #bindFailed(error: SpinesClientError): void {
    this.#become('unbound');
    this.#port = 0;
    this.#missed = false;
    this.#onBindFailed?.();
    this.#onBindFailed = null;
    this.#failHeld(error);
    const told = this.#bindForReady && this.#waiters.size > 0;
    this.#bindForReady = false;
    this.#rejectWaiters(error);
    if (!told) this.emit('error', error);
  }

  /* ---------------------------------------------------------------- sending */

  /**
   * Sends a datagram. False: wait for 'drain' before the next. Without a callback a wrong name or an oversized message
   * is an 'error' event, a datagram lost to back-pressure or a lost connection a 'sendError' event.
   */
  send(message: MessagePart | readonly MessagePart[], port?: number, address?: string, callback?: SendCallback): boolean;
  send(message: MessagePart | readonly MessagePart[], port: number, callback: SendCallback): boolean;
  send(message: MessagePart | readonly MessagePart[], callback: SendCallback): boolean;
  send(message: MessagePart, offset: number, length: number, port?: number, address?: string, callback?: SendCallback): boolean;
  send(message: MessagePart, offset: number, length: number, port: number, callback: SendCallback): boolean;
  send(message: MessagePart, offset: number, length: number, callback: SendCallback): boolean;
  send(...args: unknown[]): boolean {
    this.#assertOpen();
    const request = readSendArguments(this.#peer !== null, args);
    const { parts, bytes, callback } = request;
    const bytesMax = Math.min(MESSAGE_BYTES_MAX, this.#internals.welcome?.messageBytesMax ?? MESSAGE_BYTES_MAX);
    if (bytes > bytesMax) {
      const error = new SpinesClientError('EMSGSIZE', `a message of ${bytes} bytes exceeds ${bytesMax}; split it`, { syscall: 'send' });
      process.nextTick(() => { if (callback !== undefined) callback(error); else this.emit('error', error); });
      return !this.#needDrain;
    }
    if (this.#state === 'unbound') this.#beginBind(0);
    const peer = this.#peer;
    const port = peer?.port ?? request.port;
    if (this.#state === 'bound') {
      const node = peer?.node ?? this.#nodeOf(request.address);
      if (node !== null) return this.#transmit(node, port, parts, bytes, callback);
    }
    const payload = parts.length === 1 ? new Uint8Array(parts[0]!) : new Uint8Array(Buffer.concat(parts));
    return this.#route({ payload, port, address: peer === null ? request.address : formatQuad(peer.node), callback }, false);
  }

  #nodeOf(address: string | undefined): number | null {
    return parseQuad(address ?? this.#client.node);
  }

  /** Sends what is not sendable at once: holds it until the port, then the name, is known. `late`: nobody sees the result. */
  #route(message: Held, late: boolean): boolean {
    const { payload, port, callback } = message;
    if (this.#state === 'away') return this.#refuse(notConnected(), callback);
    const held = payload.length + HELD_COST_BYTES;
    if (!late && this.#heldBytes + held > HELD_BYTES_MAX) {
      return this.#refuse(new SpinesClientError('ENOBUFS', `${HELD_BYTES_MAX} bytes wait for a port or a name; await ready() before sending on`, { syscall: 'send' }), callback);
    }
    this.#heldBytes += held;
    this.#heldCount++;
    if (this.#state === 'binding') {
      this.#held.push(message);
    } else {
      this.#internals.resolve(message.address ?? this.#client.node, (error, node) => {
        this.#unhold(message);
        if (error !== null) this.#nameFailed(error, callback);
        else if (this.#state === 'bound') this.#transmit(node, port, [payload], payload.length, callback);
        else this.#refuse(notConnected(), callback);
        this.#checkWritable();
      });
    }
    if (this.#heldBytes * 2 > HELD_BYTES_MAX) this.#needDrain = true;
    return !this.#needDrain;
  }

  #unhold(message: Held): void {
    this.#heldBytes -= message.payload.length + HELD_COST_BYTES;
    this.#heldCount--;
  }

  #nameFailed(error: SpinesClientError, callback: SendCallback | undefined): void {
    if (callback === undefined && codeOf(error) !== 'ECONNRESET' && error.code !== 'ENOTCONN' && error.code !== 'ENOBUFS' && this.#state !== 'closed') {
      process.nextTick(() => this.emit('error', error));
    } else {
      this.#refuse(error, callback);
    }
  }

  #transmit(node: number, port: number, parts: readonly Uint8Array[], bytes: number, callback: SendCallback | undefined): boolean {
    const { core } = this.#internals;
    if (core.state !== 'open') return this.#refuse(notConnected(), callback);
    if (this.#internals.bufferedBytes > WRITE_BUFFER_BYTES_MAX) {
      return this.#refuse(new SpinesClientError('ENOBUFS', 'the daemon reads more slowly than this program sends; wait for \'drain\' when send returns false', { syscall: 'send' }), callback);
    }
    const room = core.send(this.#id, node, port, parts, bytes);
    this.#account(bytes, callback);
    if (room) return !this.#needDrain;
    this.#needDrain = true;
    this.#internals.awaitDrain(this.#member);
    return false;
  }

  #account(bytes: number, callback: SendCallback | undefined): void {
    const batch = this.#internals.batch;
    if (batch === null) return;
    let share = this.#share;
    if (share === null || this.#shareBatch !== batch) {
      const mine: Share = share = { bytes: 0, count: 0, callbacks: [] };
      this.#share = share;
      this.#shareBatch = batch;
      batch.done.push((error) => {
        this.#inFlightBytes -= mine.bytes;
        this.#inFlightCount -= mine.count;
        for (const sent of mine.callbacks) guarded(() => (error === null ? sent.callback(null, sent.bytes) : sent.callback(error)));
      });
    }
    share.bytes += bytes;
    share.count++;
    this.#inFlightBytes += bytes;
    this.#inFlightCount++;
    if (callback !== undefined) share.callbacks.push({ callback, bytes });
  }

  /** A datagram is not sent. Without a callback, refusals of one turn are told as one 'sendError'. */
  #refuse(error: SpinesClientError, callback: SendCallback | undefined): boolean {
    this.#needDrain = true;
    if (this.#internals.bufferedBytes > 0) this.#internals.awaitDrain(this.#member);
    if (callback !== undefined) {
      process.nextTick(callback, error);
      return false;
    }
    const refused = this.#refused.get(error.code);
    if (refused !== undefined) {
      refused.count++;
      return false;
    }
    if (this.#refused.size === 0) process.nextTick(() => this.#emitRefused());
    this.#refused.set(error.code, { error, count: 1 });
    return false;
  }

  #emitRefused(): void {
    const all = [...this.#refused.values()];
    this.#refused.clear();
    for (const { error, count } of all) {
      this.emit('sendError', new SpinesClientError(error.code, error.message, { syscall: 'send', cause: error.cause, count }));
    }
    this.#checkWritable();
  }

  #failHeld(error: SpinesClientError): void {
    const held = this.#held;
    this.#held = [];
    for (const message of held) {
      this.#unhold(message);
      this.#refuse(new SpinesClientError(error.code, `not sent: ${error.message}`, { syscall: 'send', cause: error }), message.callback);
    }
  }

  /** Payload bytes of this socket that the operating system has not taken yet. */
  getSendQueueSize(): number {
    return this.#inFlightBytes + this.#heldBytes - this.#heldCount * HELD_COST_BYTES;
  }

  getSendQueueCount(): number {
    return this.#inFlightCount + this.#heldCount;
  }

  /** Resolves when a datagram can be sent; binds the socket where that is still to be done. */
  async ready(options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    if (signal?.aborted) throw abortError(signal, 'ready');
    this.#assertOpen();
    if (this.#state === 'unbound') {
      this.#bindForReady = true;
      this.#beginBind(0);
    }
    if (this.#isWritable()) return;
    if (this.#internals.bufferedBytes >= HIGH_WATER_BYTES) this.#internals.awaitDrain(this.#member);
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', onAbort);
      };
      const waiter = {
        resolve: () => { settle(); resolve(); },
        reject: (error: Error) => { settle(); reject(error); },
      };
      const onAbort = (): void => waiter.reject(abortError(signal!, 'ready'));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  #isWritable(): boolean {
    const { core, bufferedBytes } = this.#internals;
    return this.#state === 'bound' && core.state === 'open' && !core.isBlocked(this.#id) && bufferedBytes < HIGH_WATER_BYTES && this.#heldBytes * 2 <= HELD_BYTES_MAX;
  }

  #checkWritable(): void {
    if (!this.#needDrain && this.#waiters.size === 0) return;
    if (!this.#isWritable()) {
      if (this.#internals.bufferedBytes >= HIGH_WATER_BYTES) this.#internals.awaitDrain(this.#member);
      return;
    }
    const tell = this.#needDrain;
    this.#needDrain = false;
    for (const waiter of [...this.#waiters]) waiter.resolve();
    if (tell) guarded(() => this.emit('drain'));
  }

  #rejectWaiters(error: Error): void {
    for (const waiter of [...this.#waiters]) waiter.reject(error);
  }

  /* ---------------------------------------------------------------- a fixed peer */

  /** Sends to, and receives from, this peer only. 'connect', or the callback with an error, or 'error'. */
  connect(port: number, address?: string | (() => void), callback?: (error?: Error) => void): void {
    this.#assertOpen();
    const to = checkPort(port, false);
    const done = typeof address === 'function' ? address : callback;
    const name = typeof address === 'string' && address !== '' ? address : undefined;
    if (this.#peer !== null || this.#connecting) throw argumentError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    this.#connecting = true;
    const fail = (error: Error): void => {
      this.#connecting = false;
      if (this.#state === 'closed') return;
      if (done !== undefined) done(error);
      else this.emit('error', error);
    };
    this.ready().then(() => {
      this.#internals.resolve(name ?? this.#client.node, (error, node) => {
        if (this.#state === 'closed') return;
        if (error !== null) {
          process.nextTick(fail, error);
          return;
        }
        process.nextTick(() => {
          this.#connecting = false;
          this.#peer = { node, port: to };
          this.emit('connect');
          done?.();
        });
      });
    }).catch((error: Error) => process.nextTick(fail, error));
  }

  disconnect(): void {
    this.#assertOpen();
    if (this.#peer === null) throw argumentError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    this.#peer = null;
  }

  remoteAddress(): SpinesAddress {
    this.#assertOpen();
    if (this.#peer === null) throw argumentError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    return { address: formatQuad(this.#peer.node), family: 'spines', port: this.#peer.port };
  }

  /* ---------------------------------------------------------------- receiving */

  /** No 'message' events until `resume`; messages wait in the receive queue, what does not fit is dropped and counted. */
  pause(): this {
    this.#paused = true;
    this.#internals.core.setFlowing(this.#id, false);
    return this;
  }

  resume(): this {
    if (!this.#paused) return this;
    this.#paused = false;
    const { core } = this.#internals;
    core.setFlowing(this.#id, true);
    process.nextTick(() => this.#flushQueue());
    return this;
  }

  isPaused(): boolean {
    return this.#paused;
  }

  getRecvQueueSize(): number {
    return this.#internals.core.queuedBytes(this.#id);
  }

  getRecvQueueCount(): number {
    return this.#internals.core.queuedMessages(this.#id);
  }

  #flushQueue(): void {
    try {
      this.#internals.core.flush(this.#id);
    } catch (error) {
      // A listener threw: the messages behind it must not wait for the next one to arrive.
      process.nextTick(() => this.#flushQueue());
      throw error;
    }
  }

  #onMessage(payload: Uint8Array, node: number, port: number): void {
    const peer = this.#peer;
    if (peer !== null && (peer.node !== node || peer.port !== port)) return;
    if (node !== this.#lastNode) {
      this.#lastNode = node;
      this.#lastAddress = formatQuad(node);
    }
    this.emit('message', payload as Buffer, { address: this.#lastAddress, family: 'spines', port, size: payload.length });
  }

  #onDropped(count: number): void {
    if (this.#droppedCount === 0) {
      process.nextTick(() => {
        const total = this.#droppedCount;
        this.#droppedCount = 0;
        this.emit('dropped', { count: total });
      });
    }
    this.#droppedCount += count;
  }

  /* ---------------------------------------------------------------- options */

  /** Overlay hops, 1..255. */
  setTTL(ttl: number): number {
    this.#assertOpen();
    this.#options.ttl = checkRange('ttl', ttl, 1, 255);
    this.#tellOption('ttl', ttl);
    return ttl;
  }

  /** 1..10. */
  setPriority(priority: number): number {
    this.#assertOpen();
    this.#options.priority = checkRange('priority', priority, 1, 10);
    this.#tellOption('priority', priority);
    return priority;
  }

  /** Bound of this socket's receive queue in the library. */
  setRecvBufferSize(bytes: number): void {
    this.#assertOpen();
    this.#options.recvQueueBytes = checkRange('size', bytes, 1, 2 ** 31 - 1);
    this.#internals.core.setRecvQueueBytes(this.#id, bytes);
  }

  getRecvBufferSize(): number {
    return this.#options.recvQueueBytes ?? RECV_QUEUE_BYTES;
  }

  /** An option's value at the daemon. */
  async getOption(option: 'ttl' | 'priority'): Promise<number> {
    this.#assertOpen();
    if (!this.#announced) await this.ready();
    const { value } = await this.#client.request('getOption', { socket: this.#id, option });
    if (typeof value !== 'number') throw new SpinesClientError('EPROTO', `the daemon gave no value of ${option}`, { syscall: 'getsockopt' });
    return value;
  }

  /** Before the socket is announced, options travel with it. */
  #tellOption(option: string, value: number): void {
    if (!this.#announced) return;
    this.#internals.core.request('setOption', { socket: this.#id, option, value }, (error) => {
      if (error !== null && error.code !== 'ECONNRESET' && error.code !== 'ENOTCONN' && this.#announced) this.emit('error', error);
    });
  }

  /** Acts on the socket's own client; with a shared one use the client's `ref`. */
  ref(): this {
    if (this.#ownsClient) this.#client.ref();
    return this;
  }

  unref(): this {
    if (this.#ownsClient) this.#client.unref();
    return this;
  }

  /* ---------------------------------------------------------------- the connection */

  #onConnectionUp(first: boolean, restarted: boolean): void {
    this.#restarted = restarted;
    if (this.#state === 'binding' || this.#state === 'away') this.#join();
    else if (!first) this.#emitReconnect();
  }

  #onConnectionDown(error: SpinesClientError): void {
    this.#joins++;
    this.#announced = false;
    this.#clearRebind();
    this.#rebindTries = 0;
    if (this.#state === 'bound') this.#become('away');
    this.#missed = true;
    this.emit('disconnect', error);
  }

  #emitReconnect(): void {
    if (!this.#missed) return;
    this.#missed = false;
    guarded(() => this.emit('reconnect', { restarted: this.#restarted }));
  }

  /* ---------------------------------------------------------------- closing */

  /** 'close' comes when the port is free again. */
  close(callback?: () => void): this {
    this.#assertOpen();
    if (typeof callback === 'function') this.once('close', callback);
    const { core } = this.#internals;
    const announced = this.#announced;
    this.#end();
    const finish = (): void => { process.nextTick(() => this.emit('close')); };
    if (announced && core.state === 'open') core.request('close', { socket: this.#id }, this.#ownsClient ? () => {} : finish);
    else if (!this.#ownsClient) finish();
    if (this.#ownsClient) void this.#client.close().then(finish);
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'closed') return;
    await new Promise<void>((resolve) => { this.close(resolve); });
  }

  #onClientClosed(): void {
    if (this.#state === 'closed') return;
    this.#end();
    process.nextTick(() => this.emit('close'));
  }

  #end(): void {
    this.#become('closed');
    this.#joins++;
    this.#announced = false;
    this.#clearRebind();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#internals.detach(this.#member);
    this.#internals.core.forgetSocket(this.#id);
    const error = new SpinesClientError('EBADF', 'the socket was closed', { syscall: 'close' });
    this.#failHeld(error);
    this.#rejectWaiters(error);
  }

  #clearRebind(): void {
    if (this.#rebindTimer !== null) clearTimeout(this.#rebindTimer);
    this.#rebindTimer = null;
  }

  #assertOpen(): void {
    if (this.#state === 'closed') throw argumentError('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
  }

  #become(next: DatagramState): void {
    if (!EDGES[this.#state].includes(next)) throw new Error(`datagram: ${this.#state} -> ${next}`);
    this.#state = next;
  }
}

/** A datagram socket with a client of its own, or on `options.client`. */
export function createSocket(options: CreateSocketOptions = {}, listener?: (message: Buffer, rinfo: RemoteInfo) => void): SpinesDatagram {
  const socket = new SpinesDatagram(options);
  if (listener !== undefined) socket.on('message', listener);
  return socket;
}

function notConnected(): SpinesClientError {
  return new SpinesClientError('ENOTCONN', 'the daemon is away; wait for \'reconnect\' or \'drain\'', { syscall: 'send' });
}

function checkRange(what: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) throw rangeError('ERR_OUT_OF_RANGE', `${what} must be an integer of ${min}..${max}, not ${String(value)}`);
  return value;
}
