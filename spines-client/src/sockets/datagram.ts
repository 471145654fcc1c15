/**
 * SpinesDatagram: a datagram socket of the overlay in the shape of dgram.Socket.
 *
 * Owns the socket's states and its events. Does not own its standing at the daemon
 * (datagram-binding.ts), what it sends and receives (datagram-sender.ts, datagram-receiver.ts), the
 * peer that it is connected to (fixed-peer.ts), the connection (client.ts) or frames (core.ts).
 *
 *             bind, send            bound                 connection lost
 *   unbound ─────────────> binding ───────> bound ───────────────────────> away
 *      ^                      │               ^  bound again at its port    │
 *      └──────failed──────────┘               └─────────────────────────────┤
 *      └──────────────────────────port not to be had again──────────────────┘
 *   any ──close──> closed
 */

import { isLocalHost } from '../address.ts';
import { clientSymbol } from '../client-symbol.ts';
import { liveInternalsOf, ownedClient, type DaemonConnection } from '../daemon-connection.ts';
import { guarded } from '../guarded.ts';
import type { ClientInternals, ClientMember } from '../attachment.ts';
import { RECV_QUEUE_BYTES, type SocketListener } from '../core/core.ts';
import { DatagramBinding, notLocal, type DatagramState } from './datagram-binding.ts';
import {
  checkBind,
  checkBufferSize,
  checkDatagramOptions,
  checkOption,
  checkRange,
  checkWays,
  type BindOptions,
  type CheckedOptions,
  type CreateSocketOptions,
  type SpinesAddress,
} from './datagram-options.ts';
import type { GraphName } from '../shared/protocol.ts';
import { SpinesClientError, abortError, stateError, typeError } from '../errors.ts';
import { checkTimeliness, takeMarks, type MessageOptions } from './deadline-options.ts';
import { DatagramGroups, GroupMember } from './datagram-groups.ts';
import { DatagramReceiver } from './datagram-receiver.ts';
import { DatagramSender } from './datagram-sender.ts';
import { DroppedCount } from './dropped-count.ts';
import { FixedPeer } from './fixed-peer.ts';
import { optionValue, socketInfo, type SocketInfoReply } from './socket-info.ts';
import { checkPort, readSendArguments, type MessagePart } from './send-arguments.ts';
import type { SendCallback } from './send-arguments.ts';

const EDGES: Record<DatagramState, readonly DatagramState[]> = {
  unbound: ['binding', 'closed'],
  binding: ['bound', 'unbound', 'closed'],
  bound: ['away', 'closed'],
  away: ['bound', 'unbound', 'closed'],
  closed: [],
};

export class SpinesDatagram extends GroupMember {
  /** What `createSocket` was given: node:dgram has two, the overlay one. */
  type: 'udp4' | 'udp6';
  protected readonly groups: DatagramGroups;
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
  readonly #sender: DatagramSender;
  readonly #peer: FixedPeer;
  readonly #receiver: DatagramReceiver;
  readonly #dropped = new DroppedCount((info) => this.emit('dropped', info));

  constructor(options: CreateSocketOptions = {}) {
    super();
    this.#options = checkDatagramOptions(options);
    const { signal } = this.#options;
    this.type = this.#options.type;
    this.#ownsClient = options.client === undefined;
    this.#client = options.client ?? ownedClient(options.connect ?? {});
    this.#internals = liveInternalsOf(this.#client);
    const listener: SocketListener = {
      onMessage: (payload, node, port, proved, group) =>
        this.#receiver.onMessage(payload, node, port, proved, group),
      onBlocked: () => {},
      onWritable: () => this.#sender.checkWritable(),
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
      onConnectionDrain: () => this.#sender.checkWritable(),
      onClientClosed: () => this.#onClientClosed(),
    };
    this.#sender = this.#makeSender();
    this.groups = new DatagramGroups({
      core: this.#internals.core,
      id: this.#id,
      isBound: () => this.#state === 'bound',
      assertOpen: () => this.#assertOpen(),
      bind: () => (this.#state === 'unbound' ? this.#beginBind(0) : undefined),
      onError: (error) => this.#onRefused(error),
    });
    this.#peer = new FixedPeer({
      isClosed: () => this.#state === 'closed',
      ready: () => this.#ready(),
      resolve: (name, done) => this.#internals.resolve(name, done),
    });
    this.#receiver = new DatagramReceiver(
      this.#internals.core,
      this.#id,
      this.#peer,
      (message, from) => this.emit('message', message, from),
    );
    this.#internals.attach(this.#member);
    if (this.#ownsClient) this.#client.on('error', (error) => this.emit('error', error));
    this.#signal = signal;
    if (signal?.aborted) process.nextTick(this.#onAbort);
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  #makeSender(): DatagramSender {
    return new DatagramSender({
      internals: this.#internals,
      member: this.#member,
      binding: this.#binding,
      id: this.#id,
      state: () => this.#state,
      localNode: () => this.#client.node,
      onDrain: () => this.emit('drain'),
      onSendError: (error) => this.emit('sendError', error),
      onError: (error) => this.#onRefused(error),
    });
  }

  #onRefused(error: SpinesClientError): void {
    if (this.#state !== 'closed') this.emit('error', error);
  }

  get [clientSymbol](): DaemonConnection {
    return this.#client;
  }

  /** `send` returned false and 'drain' has not come yet. */
  get writableNeedDrain(): boolean {
    return this.#sender.needsDrain;
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
    const error = notLocal(this.#bindAddress, this.#client);
    if (error !== null) {
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
    this.groups.joinAll();
    if (!again) guarded(() => this.emit('listening'));
    this.#emitReconnect();
    this.#sender.sendWaiting();
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
    this.#sender.failHeld(error);
    const told = this.#bindForReady && this.#sender.isAwaited;
    this.#bindForReady = false;
    this.#sender.rejectWaiters(error);
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
    const request = readSendArguments(this.#peer.current !== null, args);
    if (!this.#sender.takes(request)) return !this.#sender.needsDrain;
    if (this.#state === 'unbound') this.#beginBind(0);
    return this.#sender.send(request, this.#peer.current, marks);
  }

  /** Payload bytes of this socket that the operating system has not taken yet. */
  getSendQueueSize(): number {
    return this.#sender.bytes;
  }

  getSendQueueCount(): number {
    return this.#sender.count;
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
    await this.#sender.writable(signal);
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
    this.#peer.connect(
      to,
      () => name ?? this.#client.node,
      (error) => {
        if (error === null) {
          this.emit('connect');
          done?.();
        } else if (done !== undefined) done(error);
        else this.emit('error', error);
      },
    );
  }

  disconnect(): void {
    this.#assertOpen();
    this.#peer.disconnect();
  }

  remoteAddress(): SpinesAddress {
    this.#assertOpen();
    return this.#peer.address();
  }

  /* ---------------------------------------------------------------- receiving */

  /**
   * No 'message' events until `resume`; messages wait in the receive queue, what does not fit is
   * dropped and counted.
   */
  pause(): this {
    this.#receiver.pause();
    return this;
  }

  resume(): this {
    this.#receiver.resume();
    return this;
  }

  isPaused(): boolean {
    return this.#receiver.isPaused;
  }

  getRecvQueueSize(): number {
    return this.#internals.core.queuedBytes(this.#id);
  }

  getRecvQueueCount(): number {
    return this.#internals.core.queuedMessages(this.#id);
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

  /** With routing 'paths': of what is sent from now on, at most 1..5. */
  setPaths(paths: number): void {
    this.#assertOpen();
    checkWays({ paths }, this.#options.routing, this.#options.link);
    this.#tellOption('paths', (this.#options.paths = paths));
  }

  /** With routing 'graph': of what is sent from now on. */
  setGraph(graph: GraphName): void {
    this.#assertOpen();
    checkWays({ graph }, this.#options.routing, this.#options.link);
    this.#tellOption('graph', (this.#options.graph = graph));
  }

  /** Of what is sent from now on over realtime links or by graphs, 1..2000 milliseconds. */
  setDeadline(deadlineMs: number): number {
    this.#assertOpen();
    checkTimeliness(this.#options.link, { deadlineMs }, undefined, this.#options.routing);
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

  /** An option's value at the daemon. */
  async getOption(option: 'ttl' | 'priority' | 'paths'): Promise<number> {
    this.#assertOpen();
    if (!this.#binding.announced) await this.#ready();
    return await optionValue(this.#client, this.#id, option);
  }

  /** As its daemon has it now. Rejects with ENOTCONN before it is bound. */
  info(): Promise<SocketInfoReply> {
    return socketInfo(this.#client, this.#binding.announced ? this.#id : undefined);
  }

  /** Before the socket is announced, options travel with it. */
  #tellOption(option: string, value: number | string): void {
    if (!this.#binding.announced) return;
    this.#internals.core.request('setOption', { socket: this.#id, option, value }, (error) => {
      const isAway = error?.code === 'ECONNRESET' || error?.code === 'ENOTCONN';
      if (error !== null && !isAway && this.#binding.announced) this.emit('error', error);
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
    this.#sender.failHeld(error);
    this.#sender.rejectWaiters(error);
  }

  #assertOpen(): void {
    if (this.#state === 'closed') throw stateError('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
  }

  #become(next: DatagramState): void {
    if (!EDGES[this.#state].includes(next)) throw new Error(`datagram: ${this.#state} -> ${next}`);
    this.#state = next;
    this.#keepAlive();
  }
}
