/**
 * SpinesDatagram: a datagram socket of the overlay in the shape of dgram.Socket.
 *
 * Owns the socket's states, sending, receiving and back-pressure. Does not own its standing at the
 * daemon (datagram-binding.ts), messages held back (held-messages.ts), the connection (client.ts)
 * or frames (core.ts).
 *
 *             bind, send            bound                 connection lost
 *   unbound ─────────────> binding ───────> bound ───────────────────────> away
 *      ^                      │               ^  bound again at its port    │
 *      └──────failed──────────┘               └─────────────────────────────┤
 *      └──────────────────────────port not to be had again──────────────────┘
 *   any ──close──> closed
 */

import { EventEmitter } from 'node:events';

import { formatQuad, isLocalHost, parseQuad } from '../address.ts';
import { clientSymbol } from '../client-symbol.ts';
import { internalsOf, ownedClient, type DaemonConnection } from '../daemon-connection.ts';
import { guarded } from '../guarded.ts';
import type { ClientInternals, ClientMember } from '../attachment.ts';
import { HIGH_WATER_BYTES, WRITE_BUFFER_BYTES_MAX } from '../core/connection.ts';
import { RECV_QUEUE_BYTES } from '../core/core.ts';
import type { SocketListener } from '../core/core.ts';
import { DatagramBinding } from './datagram-binding.ts';
import {
  checkBind,
  checkBufferSize,
  checkDatagramOptions,
  checkOption,
  checkRange,
} from './datagram-options.ts';
import type {
  BindOptions,
  CheckedOptions,
  CreateSocketOptions,
  DatagramEvents,
  RemoteInfo,
  SpinesAddress,
} from './datagram-options.ts';
import {
  SpinesClientError,
  abortError,
  codeOf,
  notConnectedError,
  stateError,
  typeError,
} from '../errors.ts';
import { checkTimeliness, takeMarks, type MessageOptions } from './deadline-options.ts';
import { DroppedCount } from './dropped-count.ts';
import { HELD_BYTES_MAX, HeldMessages, SendAccounting } from './held-messages.ts';
import type { Held } from './held-messages.ts';
import { MESSAGE_BYTES_MAX } from '../shared/protocol.ts';
import { checkPort, readSendArguments } from './send-arguments.ts';
import type { MessagePart, SendCallback } from './send-arguments.ts';

export type {
  BindOptions,
  CreateSocketOptions,
  DatagramEvents,
  DatagramOptions,
  RemoteInfo,
  SpinesAddress,
} from './datagram-options.ts';
export { HELD_BYTES_MAX } from './held-messages.ts';

type DatagramState = 'unbound' | 'binding' | 'bound' | 'away' | 'closed';

const EDGES: Record<DatagramState, readonly DatagramState[]> = {
  unbound: ['binding', 'closed'],
  binding: ['bound', 'unbound', 'closed'],
  bound: ['away', 'closed'],
  away: ['bound', 'unbound', 'closed'],
  closed: [],
};

interface Peer {
  node: number;
  port: number;
}

export class SpinesDatagram extends EventEmitter<DatagramEvents> {
  /** What `createSocket` was given: node:dgram has two, the overlay one. */
  type: 'udp4' | 'udp6';
  readonly #client: DaemonConnection;
  readonly #internals: ClientInternals;
  readonly #ownsClient: boolean;
  readonly #id: number;
  readonly #member: ClientMember;
  readonly #options: CheckedOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => {
    if (this.#state !== 'closed') this.close();
  };
  #state: DatagramState = 'unbound';
  #port = 0;
  /** The local node, as the program called it; undefined: not at all. */
  #bindAddress: string | undefined;
  #referenced = true;
  readonly #binding: DatagramBinding;
  /** Takes bind's callback back. */
  #onBindFailed: (() => void) | null = null;
  /** The bind under way is ready()'s: its failure rejects ready() and is no event. */
  #bindForReady = false;
  #restarted = false;
  /** 'disconnect' was emitted, 'reconnect' not yet. */
  #missed = false;
  readonly #held = new HeldMessages();
  readonly #inFlight = new SendAccounting();
  #peer: Peer | null = null;
  #connecting = false;
  #paused = false;
  #needDrain = false;
  #waiters = new Set<{ resolve: () => void; reject: (error: Error) => void }>();
  readonly #dropped = new DroppedCount((info) => this.emit('dropped', info));
  #refused = new Map<string, { error: SpinesClientError; count: number }>();
  /** The address that a datagram went to last, and the node that it means. */
  #sentTo = '';
  #sentToNode: number | null = null;
  #lastNode = 0;
  #lastAddress = '0.0.0.0';

  constructor(options: CreateSocketOptions = {}) {
    super();
    this.#options = checkDatagramOptions(options);
    const { signal } = this.#options;
    this.type = this.#options.type;
    this.#ownsClient = options.client === undefined;
    this.#client = options.client ?? ownedClient(options.connect ?? {});
    this.#internals = internalsOf(this.#client);
    if (this.#internals.over)
      throw new SpinesClientError('EBADF', 'the client is closed; connect a new one', {
        syscall: 'socket',
      });
    const listener: SocketListener = {
      onMessage: (payload, node, port, proved) => this.#onMessage(payload, node, port, proved),
      onBlocked: () => {},
      onWritable: () => this.#checkWritable(),
      onDropped: (count, late) => this.#dropped.add(count, late),
      onSendError: (error) => {
        this.emit('sendError', error);
      },
    };
    this.#id = this.#internals.core.openSocket(
      listener,
      this.#options.recvQueueBytes ?? RECV_QUEUE_BYTES,
    );
    this.#binding = new DatagramBinding(this.#internals.core, this.#id);
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

  get [clientSymbol](): DaemonConnection {
    return this.#client;
  }

  /** `send` returned false and 'drain' has not come yet. */
  get writableNeedDrain(): boolean {
    return this.#needDrain;
  }

  /* ---------------------------------------------------------------- binding */

  /**
   * Takes a port; 0 or none: any free one. 'listening', or 'error' with EADDRINUSE, EADDRNOTAVAIL
   * (not a name of the local node) ...
   */
  bind(port?: number | string | null, address?: string | null, callback?: () => void): this;
  bind(port: number | string | null | undefined, callback?: () => void): this;
  bind(callback?: () => void): this;
  bind(options: BindOptions, callback?: () => void): this;
  bind(...args: unknown[]): this {
    this.#assertOpen();
    if (this.#state !== 'unbound')
      throw stateError('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    const { port, address } = checkBind(args);
    const callback = args.at(-1);
    if (typeof callback === 'function') {
      const listener = callback as () => void;
      this.once('listening', listener);
      this.#onBindFailed = () => this.off('listening', listener);
    }
    this.#bindAddress = address;
    this.#beginBind(port);
    return this;
  }

  address(): SpinesAddress {
    this.#assertOpen();
    if (this.#state !== 'bound' && this.#state !== 'away') {
      const hint =
        "getsockname EBADF: the socket has no port yet; bind it and wait for 'listening'";
      throw new SpinesClientError('EBADF', hint, { syscall: 'getsockname' });
    }
    return { address: this.#client.node, family: 'spines', port: this.#port };
  }

  #beginBind(port: number): void {
    this.#become('binding');
    this.#port = port;
    if (this.#internals.core.state === 'open') {
      this.#join();
    } else if (!this.#client.connected) {
      this.#client.open().catch((error: SpinesClientError) => {
        if (this.#state === 'binding') guarded(() => this.#bindFailed(error));
      });
    }
  }

  #join(): void {
    const address = this.#bindAddress;
    const { node, name } = this.#client;
    if (address !== undefined && !isLocalHost(address) && address !== node && address !== name) {
      const error = new SpinesClientError(
        'EADDRNOTAVAIL',
        `bind EADDRNOTAVAIL: ${address} is not this node, which is ${name} (${node})`,
        { syscall: 'bind' },
      );
      process.nextTick(() => {
        if (this.#state === 'binding') guarded(() => this.#bindFailed(error));
      });
      return;
    }
    this.#binding.join(this.#options, this.#port, (error, port) => {
      if (error === null) this.#joined(port);
      else this.#joinFailed(error);
    });
  }

  #joined(port: number): void {
    const again = this.#state === 'away';
    this.#port = port;
    this.#onBindFailed = null;
    this.#bindForReady = false;
    this.#become('bound');
    if (!again) guarded(() => this.emit('listening'));
    this.#emitReconnect();
    for (const message of this.#held.takeWaiting()) this.#route(message, true);
    this.#checkWritable();
  }

  #joinFailed(cause: SpinesClientError): void {
    if (
      this.#state === 'away' &&
      cause.code === 'EADDRINUSE' &&
      !this.#restarted &&
      this.#binding.retry(() => this.#join())
    )
      return;
    this.#bindFailed(
      new SpinesClientError(
        cause.code,
        `${this.#port === 0 ? 'no port to be had' : `port ${this.#port} is not to be had`}: ` +
          `${cause.message}`,
        { syscall: 'bind', cause },
      ),
    );
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
   * Sends a datagram. False: wait for 'drain' before the next. Without a callback a wrong name or
   * an oversized message is an 'error' event, a datagram lost to back-pressure or a lost connection
   * a 'sendError' event.
   */
  send(
    message: MessagePart | readonly MessagePart[],
    port?: number,
    address?: string,
    options?: MessageOptions | SendCallback,
    callback?: SendCallback,
  ): boolean;
  send(
    message: MessagePart | readonly MessagePart[],
    port: number,
    callback: SendCallback,
  ): boolean;
  send(message: MessagePart | readonly MessagePart[], callback: SendCallback): boolean;
  send(
    message: MessagePart,
    offset: number,
    length: number,
    port?: number,
    address?: string,
    callback?: SendCallback,
  ): boolean;
  send(
    message: MessagePart,
    offset: number,
    length: number,
    port: number,
    callback: SendCallback,
  ): boolean;
  send(message: MessagePart, offset: number, length: number, callback: SendCallback): boolean;
  send(...args: unknown[]): boolean {
    this.#assertOpen();
    const marks = this.#options.link === 'realtime' ? takeMarks('realtime', args) : 0;
    const request = readSendArguments(this.#peer !== null, args);
    const { parts, bytes, callback } = request;
    const bytesMax = Math.min(
      MESSAGE_BYTES_MAX,
      this.#internals.welcome?.messageBytesMax ?? MESSAGE_BYTES_MAX,
    );
    if (bytes > bytesMax) {
      const error = new SpinesClientError(
        'EMSGSIZE',
        `a message of ${bytes} bytes exceeds ${bytesMax}; split it`,
        { syscall: 'send' },
      );
      process.nextTick(() => {
        if (callback !== undefined) callback(error);
        else this.#emitError(error);
      });
      return !this.#needDrain;
    }
    if (this.#state === 'unbound') this.#beginBind(0);
    const peer = this.#peer;
    const port = peer?.port ?? request.port;
    if (this.#state === 'bound') {
      const node = peer?.node ?? this.#nodeOf(request.address);
      if (node !== null) return this.#transmit(node, port, parts, bytes, marks, callback);
    }
    const payload =
      parts.length === 1 ? new Uint8Array(parts[0]!) : new Uint8Array(Buffer.concat(parts));
    const address = peer === null ? request.address : formatQuad(peer.node);
    return this.#route({ payload, port, address, marks, callback }, false);
  }

  /** Null for a name. */
  #nodeOf(address: string | undefined): number | null {
    const text = address ?? this.#client.node;
    if (text !== this.#sentTo) {
      this.#sentTo = text;
      this.#sentToNode = parseQuad(text);
    }
    return this.#sentToNode;
  }

  /**
   * Sends what is not sendable at once: holds it until the port, then the name, is known. `late`:
   * nobody sees the result.
   */
  #route(message: Held, late: boolean): boolean {
    const { payload, port, marks, callback } = message;
    if (this.#state === 'away') return this.#refuse(notConnectedError(), callback);
    if (!late && !this.#held.fits(payload.length)) {
      return this.#refuse(
        new SpinesClientError(
          'ENOBUFS',
          `${HELD_BYTES_MAX} bytes wait for a port or a name; await ready() before sending on`,
          { syscall: 'send' },
        ),
        callback,
      );
    }
    this.#held.hold(message, this.#state === 'binding');
    if (this.#state !== 'binding') {
      this.#internals.resolve(message.address ?? this.#client.node, (error, node) => {
        this.#held.release(message);
        if (error !== null) this.#nameFailed(error, callback);
        else if (this.#state === 'bound')
          this.#transmit(node, port, [payload], payload.length, marks, callback);
        else this.#refuse(notConnectedError(), callback);
        this.#checkWritable();
      });
    }
    if (this.#held.isHalfFull) this.#needDrain = true;
    return !this.#needDrain;
  }

  #nameFailed(error: SpinesClientError, callback: SendCallback | undefined): void {
    if (
      callback === undefined &&
      codeOf(error) !== 'ECONNRESET' &&
      error.code !== 'ENOTCONN' &&
      error.code !== 'ENOBUFS' &&
      this.#state !== 'closed'
    ) {
      process.nextTick(() => this.emit('error', error));
    } else {
      this.#refuse(error, callback);
    }
  }

  #transmit(
    node: number,
    port: number,
    parts: readonly Uint8Array[],
    bytes: number,
    marks: number,
    callback: SendCallback | undefined,
  ): boolean {
    const { core } = this.#internals;
    if (core.state !== 'open') return this.#refuse(notConnectedError(), callback);
    if (this.#internals.bufferedBytes > WRITE_BUFFER_BYTES_MAX) {
      return this.#refuse(
        new SpinesClientError(
          'ENOBUFS',
          "the daemon reads more slowly than this program sends; wait for 'drain' when send " +
            'returns false',
          { syscall: 'send' },
        ),
        callback,
      );
    }
    const room = core.send(this.#id, node, port, parts, bytes, this.#binding.known(marks));
    this.#inFlight.add(this.#internals.batch, bytes, callback);
    if (room) return !this.#needDrain;
    this.#needDrain = true;
    this.#internals.awaitDrain(this.#member);
    return false;
  }

  /**
   * A datagram is not sent. Without a callback, refusals of one turn are told as one 'sendError'.
   */
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
      this.emit(
        'sendError',
        new SpinesClientError(error.code, error.message, {
          syscall: 'send',
          cause: error.cause,
          count,
        }),
      );
    }
    this.#checkWritable();
  }

  #failHeld(error: SpinesClientError): void {
    for (const message of this.#held.takeWaiting()) {
      this.#refuse(
        new SpinesClientError(error.code, `not sent: ${error.message}`, {
          syscall: 'send',
          cause: error,
        }),
        message.callback,
      );
    }
  }

  /** Payload bytes of this socket that the operating system has not taken yet. */
  getSendQueueSize(): number {
    return this.#inFlight.bytes + this.#held.payloadBytes;
  }

  getSendQueueCount(): number {
    return this.#inFlight.count + this.#held.count;
  }

  /** Resolves when a datagram can be sent; binds the socket where that is still to be done. */
  ready(options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    return this.#ready(options.signal);
  }

  async #ready(signal?: AbortSignal): Promise<void> {
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
        resolve: () => {
          settle();
          resolve();
        },
        reject: (error: Error) => {
          settle();
          reject(error);
        },
      };
      const onAbort = (): void => waiter.reject(abortError(signal!, 'ready'));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  #isWritable(): boolean {
    const { core, bufferedBytes } = this.#internals;
    return (
      this.#state === 'bound' &&
      core.state === 'open' &&
      !core.isBlocked(this.#id) &&
      bufferedBytes < HIGH_WATER_BYTES &&
      !this.#held.isHalfFull
    );
  }

  #checkWritable(): void {
    if (!this.#needDrain && this.#waiters.size === 0) return;
    if (!this.#isWritable()) {
      if (this.#internals.bufferedBytes >= HIGH_WATER_BYTES)
        this.#internals.awaitDrain(this.#member);
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

  /**
   * Sends to, and receives from, this peer only. 'connect', or the callback with an error, or
   * 'error'.
   */
  connect(port: number | string, address?: string | null, callback?: (error?: Error) => void): void;
  connect(port: number | string, callback: (error?: Error) => void): void;
  connect(
    port: number | string,
    address?: string | null | ((error?: Error) => void),
    callback?: (error?: Error) => void,
  ): void {
    const to = checkPort(port, false);
    const done = typeof address === 'function' ? address : callback;
    if (
      address !== undefined &&
      address !== null &&
      typeof address !== 'string' &&
      typeof address !== 'function'
    )
      throw typeError('address', 'of type string', address);
    const name = typeof address === 'string' && !isLocalHost(address) ? address : undefined;
    this.#assertOpen();
    if (this.#peer !== null || this.#connecting)
      throw stateError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    this.#connecting = true;
    const fail = (error: Error): void => {
      this.#connecting = false;
      if (this.#state === 'closed') return;
      if (done !== undefined) done(error);
      else this.emit('error', error);
    };
    this.#ready()
      .then(() => {
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
      })
      .catch((error: Error) => process.nextTick(fail, error));
  }

  disconnect(): void {
    this.#assertOpen();
    if (this.#peer === null) throw stateError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    this.#peer = null;
  }

  remoteAddress(): SpinesAddress {
    this.#assertOpen();
    if (this.#peer === null) throw stateError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    return { address: formatQuad(this.#peer.node), family: 'spines', port: this.#peer.port };
  }

  /* ---------------------------------------------------------------- receiving */

  /**
   * No 'message' events until `resume`; messages wait in the receive queue, what does not fit is
   * dropped and counted.
   */
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

  #onMessage(payload: Uint8Array, node: number, port: number, authenticated: boolean): void {
    const peer = this.#peer;
    if (peer !== null && (peer.node !== node || peer.port !== port)) return;
    if (node !== this.#lastNode) {
      this.#lastNode = node;
      this.#lastAddress = formatQuad(node);
    }
    this.emit('message', payload as Buffer, {
      address: this.#lastAddress,
      family: 'spines',
      port,
      size: payload.length,
      authenticated,
    });
  }

  /* ---------------------------------------------------------------- options */

  /** Overlay hops, 1..255. */
  setTTL(ttl: number): number {
    this.#assertOpen();
    this.#options.ttl = checkOption('ttl', ttl, 1, 255, 'setTTL');
    this.#tellOption('ttl', ttl);
    return ttl;
  }

  /** 1..10: in full queues, here and on the way, the higher of this node leaves first. */
  setPriority(priority: number): number {
    this.#assertOpen();
    this.#options.priority = checkRange('priority', priority, 1, 10);
    this.#tellOption('priority', priority);
    return priority;
  }

  /** Of what is sent from now on over realtime links, 1..2000 milliseconds. */
  setDeadline(deadlineMs: number): number {
    this.#assertOpen();
    checkTimeliness(this.#options.link, { deadlineMs }, undefined);
    this.#tellOption('deadlineMs', (this.#options.deadlineMs = deadlineMs));
    return deadlineMs;
  }

  /** Bound of this socket's receive queue in the library. */
  setRecvBufferSize(bytes: number): void {
    this.#assertOpen();
    this.#options.recvQueueBytes = checkBufferSize(bytes);
    this.#internals.core.setRecvQueueBytes(this.#id, bytes);
  }

  getRecvBufferSize(): number {
    return this.#options.recvQueueBytes ?? RECV_QUEUE_BYTES;
  }

  /** Kept, of no effect: back-pressure is `send`'s result. */
  setSendBufferSize(bytes: number): void {
    this.#assertOpen();
    this.#options.sendBufferSize = checkBufferSize(bytes);
  }

  getSendBufferSize(): number {
    return this.#options.sendBufferSize;
  }

  /** Of no effect: an overlay has no broadcast address. */
  setBroadcast(flag: boolean): void {
    void flag;
    this.#assertOpen();
  }

  /** An option's value at the daemon. */
  async getOption(option: 'ttl' | 'priority'): Promise<number> {
    this.#assertOpen();
    if (!this.#binding.announced) await this.#ready();
    const { value } = await this.#client.request('getOption', { socket: this.#id, option });
    if (typeof value !== 'number')
      throw new SpinesClientError('EPROTO', `the daemon gave no value of ${option}`, {
        syscall: 'getsockopt',
      });
    return value;
  }

  /** Before the socket is announced, options travel with it. */
  #tellOption(option: string, value: number): void {
    if (!this.#binding.announced) return;
    this.#internals.core.request('setOption', { socket: this.#id, option, value }, (error) => {
      if (
        error !== null &&
        error.code !== 'ECONNRESET' &&
        error.code !== 'ENOTCONN' &&
        this.#binding.announced
      )
        this.emit('error', error);
    });
  }

  /**
   * Of a socket with a client of its own; a shared client keeps the process running by itself (its
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

  /** As in dgram a bound socket keeps the process running, and one without a port does not. */
  #keepAlive(): void {
    this.#internals.keepAlive(
      this.#member,
      this.#referenced && this.#state !== 'unbound' && this.#state !== 'closed',
    );
  }

  /* ---------------------------------------------------------------- the connection */

  #onConnectionUp(first: boolean, restarted: boolean): void {
    this.#restarted = restarted;
    if (this.#state === 'binding' || this.#state === 'away') this.#join();
    else if (!first) this.#emitReconnect();
  }

  #onConnectionDown(error: SpinesClientError): void {
    this.#binding.reset();
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
    const announced = this.#binding.announced;
    this.#end();
    const finish = (): void => {
      process.nextTick(() => this.emit('close'));
    };
    if (announced && core.state === 'open')
      core.request('close', { socket: this.#id }, this.#ownsClient ? () => {} : finish);
    else if (!this.#ownsClient) finish();
    if (this.#ownsClient) void this.#client.close().then(finish);
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'closed') return;
    await new Promise<void>((resolve) => {
      this.close(resolve);
    });
  }

  #onClientClosed(): void {
    if (this.#state === 'closed') return;
    this.#end();
    process.nextTick(() => this.emit('close'));
  }

  #end(): void {
    this.#become('closed');
    this.#binding.reset();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#internals.detach(this.#member);
    this.#internals.core.forgetSocket(this.#id);
    const error = new SpinesClientError('EBADF', 'the socket was closed', { syscall: 'close' });
    this.#failHeld(error);
    this.#rejectWaiters(error);
  }

  #assertOpen(): void {
    if (this.#state === 'closed') throw stateError('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
  }

  #become(next: DatagramState): void {
    if (!EDGES[this.#state].includes(next)) throw new Error(`datagram: ${this.#state} -> ${next}`);
    this.#state = next;
    this.#keepAlive();
  }

  /** Not of a socket that was closed meanwhile. */
  #emitError(error: Error): void {
    if (this.#state !== 'closed') this.emit('error', error);
  }
}

/**
 * A datagram socket with a client of its own, or on `options.client`. `type`, 'udp4' or 'udp6', is
 * accepted for node:dgram's sake.
 */
export function createSocket(
  options?: CreateSocketOptions | 'udp4' | 'udp6',
  listener?: (message: Buffer, rinfo: RemoteInfo) => void,
): SpinesDatagram;
export function createSocket(
  listener: (message: Buffer, rinfo: RemoteInfo) => void,
): SpinesDatagram;
export function createSocket(first: unknown = {}, second?: unknown): SpinesDatagram {
  const listener = typeof first === 'function' ? first : second;
  const isOptions =
    typeof first === 'object' &&
    first !== null &&
    !Array.isArray(first) &&
    !(first instanceof String);
  const options = isOptions
    ? (first as CreateSocketOptions)
    : typeof first === 'function'
      ? {}
      : { type: first as 'udp4' };
  const socket = new SpinesDatagram(options);
  if (typeof listener === 'function')
    socket.on('message', listener as (message: Buffer, rinfo: RemoteInfo) => void);
  return socket;
}
