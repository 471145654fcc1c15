/**
 * SpinesSocket: a byte stream over the overlay in the shape of net.Socket.
 *
 * Owns connecting, the bridge between Duplex and the stream's credit, idle time-out, and how a
 * socket goes. Does not own credit and frames (stream-core.ts), dialling (stream-dial.ts), the
 * write under way (outgoing-bytes.ts), how its stream ends (stream-ending.ts) or the connection
 * (client.ts).
 *
 *   idle ──connect()──> connecting ──established──> open ──destroyed──> lingering ──> over
 *    ^                      └──refused──> destroyed        └─ data lost, far end lost ─> over
 *    └────────────connect() after 'close'─────┘
 *
 * Invariant: at most STREAM_CREDIT_INITIAL bytes, plus what the Duplex buffers up to its high-water
 * mark, are held unread. Libraries keep their state on sockets: no public name here that net.Socket
 * does not have but `authenticated` and `info`, and none read-only that is writable there. A
 * socket keeps the process running while it connects, wants to read or has something to write.
 */

import type { ClientInternals, ClientMember } from '../attachment.ts';
import { clientSymbol } from '../client-symbol.ts';
import type { ConnectOptions } from '../connect-options.ts';
import { HIGH_WATER_BYTES } from '../core/connection.ts';
import type { CoreStream } from '../core/stream-core.ts';
import { liveInternalsOf, ownedClient, type DaemonConnection } from '../daemon-connection.ts';
import { SpinesClientError, abortError, checkSignal, typeError } from '../errors.ts';
import { guarded } from '../guarded.ts';
import { checkDuration, readConnectArguments } from './connect-arguments.ts';
import type { CheckedTarget, ConnectTarget } from './connect-arguments.ts';
import { EventDuplex } from './event-duplex.ts';
import { IdleTimer } from './idle-timer.ts';
import { Liveness } from './liveness-options.ts';
import { OutgoingBytes, type WriteDone } from './outgoing-bytes.ts';
import { STREAM_HIGH_WATER_BYTES, checkStreamOptions } from './socket-options.ts';
import type { SocketOptions, StreamAddress, StreamOptions } from './socket-options.ts';
import { dial, dialError, whyNotDial, type Dialled, type StreamKind } from './stream-dial.ts';
import { socketInfo, type Accepted, type SocketInfoReply } from './socket-info.ts';
import { endStream, linger, type SocketListener } from './stream-ending.ts';
import { writeAfterEnd } from './write-after-end.ts';

/** A socket for a stream that has come. */
export let acceptedSocket: (
  client: DaemonConnection,
  accepted: Accepted,
  options: StreamOptions,
) => SpinesSocket;

export class SpinesSocket extends EventDuplex {
  static {
    acceptedSocket = (client, accepted, options) => {
      const socket = new SpinesSocket({ ...options, client });
      socket.#accept(accepted);
      return socket;
    };
  }

  /** Of an accepted socket: its server, as in net. */
  server: unknown;
  /** Not connected yet, and on the way. */
  connecting = false;
  /**
   * Once connected: the far end's node is proved, and nobody else's bytes are taken. False: it is
   * what it says (`secrecy: 'links'`, `security: none`, or a daemon that does not tell).
   */
  authenticated = false;
  /** Milliseconds of `setTimeout`, undefined without. */
  declare timeout: number | undefined;
  #client: DaemonConnection;
  #internals: ClientInternals;
  readonly #ownsClient: boolean;
  readonly #ownOptions: Omit<ConnectOptions, 'signal'>;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => {
    this.destroy(abortError(this.#signal!, this.#connecting ? 'connect' : 'read'));
  };
  #referenced = true;
  readonly #kind: Omit<StreamKind, 'keepaliveMs' | 'silenceMs'>;
  readonly #liveness: Liveness;
  readonly #member: ClientMember;
  #listener: SocketListener;
  readonly #outgoing = new OutgoingBytes();
  #stream: CoreStream | null = null;
  #target: CheckedTarget | null = null;
  #connecting = false;
  /** The callback of the end under way. */
  #finalDone: WriteDone | null = null;
  #wanted = false;
  #resetAsked = false;
  #bytesRead = 0;
  #local: StreamAddress | null = null;
  #remote: StreamAddress | null = null;
  #closeEmitted = false;
  readonly #idle = new IdleTimer(() => this.emit('timeout'));

  constructor(options: SocketOptions = {}) {
    const {
      allowHalfOpen = false,
      highWaterMark = STREAM_HIGH_WATER_BYTES,
      link = 'reliable',
      routing = 'link-state',
      congestion,
    } = options;
    checkStreamOptions(options, link, routing);
    const signal = checkSignal(options.signal, 'signal');
    const liveness = new Liveness(options);
    // 'close' carries hadError, so it is emitted here, as in net.
    super({
      allowHalfOpen: Boolean(allowHalfOpen),
      emitClose: false,
      autoDestroy: true,
      decodeStrings: true,
      highWaterMark,
    });
    this.#kind = { link, routing, secrecy: options.secrecy, congestion };
    this.#liveness = liveness;
    this.#ownsClient = options.client === undefined;
    // A stream does not survive its connection, so its own client need not come back.
    this.#ownOptions = { ...options.connect, reconnect: false };
    this.#client = options.client ?? ownedClient(this.#ownOptions);
    this.#internals = liveInternalsOf(this.#client);
    this.#member = {
      onConnectionUp: () => {},
      onConnectionDown: () => {},
      onConnectionDrain: () => this.#pump(),
      onClientClosed: () => {
        this.destroy();
      },
    };
    this.#listener = this.#makeListener();
    this.#internals.attach(this.#member);
    this.on('end', () => {
      if (!this.allowHalfOpen) this.write = writeAfterEnd;
    });
    this.#signal = signal;
    // Not at once: whoever made the socket must have the chance to listen for 'error'.
    if (signal?.aborted) process.nextTick(this.#onAbort);
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** As its daemon has it now: round trip, path, window, what limits it. Rejects with ENOTCONN. */
  info(): Promise<SocketInfoReply> {
    return socketInfo(this.#client, this.#stream?.id);
  }

  #makeListener(): SocketListener {
    const listener: SocketListener = {
      onData: (payload) => this.#onData(payload),
      onEnd: () => this.#onEnd(),
      onCredit: () => this.#pump(),
      onClosed: (error) => {
        if (listener.lingered !== null) listener.lingered();
        else this.#onClosed(error);
      },
      onReading: () => {
        if (listener === this.#listener) this.#keepAlive();
      },
      lingered: null,
    };
    return listener;
  }

  get [clientSymbol](): DaemonConnection {
    return this.#client;
  }

  /* ---------------------------------------------------------------- connecting */

  /**
   * 'connect' and 'ready', or 'error' with ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, EADDRINUSE,
   * ENOENT (name), EISCONN (is connected), EALREADY (is connecting) ... and 'close'. After 'close'
   * it may be called again.
   */
  connect(options: ConnectTarget, callback?: () => void): this;
  connect(port: number | string, host: string | undefined, callback?: () => void): this;
  connect(port: number | string, callback?: () => void): this;
  connect(...args: unknown[]): this {
    const { target, callback } = readConnectArguments(args);
    if (this.destroyed && this.#closeEmitted) this.#renew();
    if (callback !== undefined) this.once('connect', callback);
    if (this.destroyed) return this;
    if (this.#connecting || this.#stream !== null) {
      const [code, what] = this.#connecting
        ? ['EALREADY', 'is connecting']
        : ['EISCONN', 'is connected'];
      return this.destroy(
        new SpinesClientError(code, `connect ${code}: this socket ${what}; make a new one`, {
          syscall: 'connect',
        }),
      );
    }
    this.#target = target;
    this.#setConnecting(true);
    this.#active();
    if (this.#internals.core.state === 'open') this.#dial(target);
    else {
      const internals = this.#internals;
      this.#client.open().then(
        () =>
          guarded(() => {
            if (this.#target === target && this.#internals === internals) this.#dial(target);
          }),
        (error: SpinesClientError) => {
          if (this.#target === target) this.#failed(error, 'connect');
        },
      );
    }
    return this;
  }

  /** A closed socket as if new. */
  #renew(): void {
    if (this.#ownsClient) this.#client = ownedClient(this.#ownOptions);
    this.#listener = this.#makeListener();
    this.#internals = liveInternalsOf(this.#client);
    (this as { _undestroy?: () => void })._undestroy?.();
    if (this.write === writeAfterEnd) this.write = SpinesSocket.prototype.write;
    this.#internals.attach(this.#member);
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#stream = null;
    this.#wanted = false;
    this.#resetAsked = false;
    this.#closeEmitted = false;
    this.#bytesRead = 0;
    this.#outgoing.renew();
    this.#local = null;
    this.#remote = null;
    this.authenticated = false;
  }

  #setConnecting(connecting: boolean): void {
    this.#connecting = connecting;
    this.connecting = connecting;
    this.#keepAlive();
  }

  #keepAlive(): void {
    const busy =
      this.#referenced &&
      !this.destroyed &&
      (this.#connecting || this.#outgoing.busy || this.#stream?.reading === true);
    this.#internals.keepAlive(this.#member, busy);
  }

  #dial(target: CheckedTarget): void {
    if (this.destroyed) return;
    const { core } = this.#internals;
    const refusal = whyNotDial(target, this.#client.node);
    if (refusal !== null) {
      process.nextTick(() => this.#failed(refusal.error, refusal.syscall));
      return;
    }
    let stream: CoreStream;
    try {
      stream = core.streams.open(this.#listener);
    } catch (error) {
      this.#failed(error as SpinesClientError, 'socket');
      return;
    }
    this.#stream = stream;
    const { keepaliveMs, silenceMs } = this.#liveness;
    dial(
      core,
      stream,
      { ...this.#kind, keepaliveMs: keepaliveMs ?? undefined, silenceMs },
      target,
      this.#client.node,
      (dialled) => this.#established(dialled),
      (error, syscall) => this.#failed(error, syscall),
    );
  }

  #established(dialled: Dialled | null): void {
    if (dialled === null) {
      this.resetAndDestroy(
        new SpinesClientError('EPROTO', 'the daemon connected to no address', {
          syscall: 'connect',
        }),
      );
      return;
    }
    this.#setConnecting(false);
    this.#local = dialled.local;
    this.#remote = dialled.remote;
    this.authenticated = dialled.authenticated;
    this.#active();
    guarded(() => this.emit('connect'));
    guarded(() => this.emit('ready'));
    this.#begin();
  }

  #accept({ stream, node, port, localPort, authenticated }: Accepted): void {
    this.#stream = stream;
    this.authenticated = authenticated;
    this.#local = { address: this.#client.node, family: 'spines', port: localPort };
    this.#remote = { address: node, family: 'spines', port };
    stream.attach(this.#listener);
  }

  /** What was asked for while connecting. */
  #begin(): void {
    if (this.destroyed) return;
    this.#pump();
    const final = this.#finalDone;
    if (final !== null) {
      this.#finalDone = null;
      this.#end(final);
    }
    if (this.#wanted) this.#stream!.resume();
    else if (!this.isPaused()) this.read(0);
  }

  #failed(cause: SpinesClientError, syscall: string): void {
    if (this.destroyed) return;
    this.destroy(dialError(cause, syscall, this.#target!, this.#client.node));
  }

  /* ---------------------------------------------------------------- reading */

  override _read(): void {
    this.#wanted = true;
    if (!this.#connecting) this.#stream?.resume();
  }

  #onData(payload: Uint8Array): boolean {
    this.#bytesRead += payload.length;
    this.#active();
    return this.push(payload);
  }

  #onEnd(): void {
    if (this.destroyed) return;
    this.#active();
    this.push(null);
    // Without a reader, and nothing to be read, 'end' must come all the same.
    this.read(0);
  }

  /* ---------------------------------------------------------------- writing */

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: WriteDone): void {
    this.#put([chunk], callback);
  }

  override _writev(
    chunks: { chunk: Uint8Array; encoding: BufferEncoding }[],
    callback: WriteDone,
  ): void {
    this.#put(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  #put(parts: readonly Uint8Array[], callback: WriteDone): void {
    const state = this.#stream?.state;
    if (!this.#connecting && state !== 'open') {
      callback(
        state === undefined
          ? new SpinesClientError('ERR_SOCKET_CLOSED', 'Socket is closed', { syscall: 'write' })
          : new SpinesClientError('EPIPE', 'write EPIPE: the stream is over', { syscall: 'write' }),
      );
      return;
    }
    this.#outgoing.put(parts, callback);
    this.#active();
    this.#pump();
    if (this.#outgoing.busy) this.#keepAlive();
  }

  /**
   * Sends what credit and connection allow; the write under way is done once all of it is handed
   * over.
   */
  #pump(): void {
    const stream = this.#stream;
    if (!this.#outgoing.busy || stream === null || stream.state !== 'open') return;
    if (this.#internals.bufferedBytes >= HIGH_WATER_BYTES) {
      this.#internals.awaitDrain(this.#member);
      return;
    }
    const before = this.#outgoing.bytes;
    const room = this.#outgoing.sendTo(stream);
    if (this.#outgoing.bytes < before) this.#active();
    if (!room) this.#internals.awaitDrain(this.#member);
    if (!room || this.#outgoing.bytes > 0) return;
    this.#outgoing.finish();
    this.#keepAlive();
  }

  override _final(callback: WriteDone): void {
    if (this.#connecting) {
      this.#finalDone = callback;
      return;
    }
    this.#end(callback);
  }

  /**
   * `done` in a later turn, once the operating system has the end: as in net, where a socket whose
   * far end has ended lives until then.
   */
  #end(done: WriteDone): void {
    this.#stream?.end();
    const { batch } = this.#internals;
    if (batch === null) done();
    else batch.done.push(() => setImmediate(done));
  }

  /* ---------------------------------------------------------------- the end */

  /** Ends, and destroys once all is written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Ends the stream at once; the far end sees a reset. */
  resetAndDestroy(error?: Error): this {
    if (this.#stream === null && !this.#connecting)
      return this.destroy(new SpinesClientError('ERR_SOCKET_CLOSED', 'Socket is closed'));
    this.#resetAsked = true;
    return this.destroy(error);
  }

  override _destroy(error: Error | null, callback: WriteDone): void {
    this.#connecting = false;
    this.connecting = false;
    this.#finalDone = null;
    this.#idle.set(0);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#internals.detach(this.#member);
    const { core } = this.#internals;
    const stream = this.#stream;
    if (stream !== null) {
      const lost =
        this.#resetAsked ||
        this.readableLength > 0 ||
        stream.queuedBytes > 0 ||
        this.writableLength > 0 ||
        this.#outgoing.bytes > 0;
      endStream(core, stream, lost);
    }
    const done = this.#outgoing.clear();
    const client = this.#client;
    linger(stream, this.#listener, () => {
      if (this.#ownsClient) void client.close();
    });
    callback(error);
    process.nextTick(() => {
      done?.(
        error ??
          new SpinesClientError(
            'ERR_STREAM_DESTROYED',
            'the socket was destroyed before this was sent',
            { syscall: 'write' },
          ),
      );
      this.#closeEmitted = true;
      this.emit('close', error !== null);
    });
  }

  #onClosed(error: SpinesClientError | null): void {
    if (this.destroyed) {
      if (this.#ownsClient) void this.#client.close();
      return;
    }
    if (error !== null) {
      const remote = this.#remote ?? {
        address: this.#target?.host ?? '',
        port: this.#target?.port,
      };
      this.destroy(
        new SpinesClientError(error.code, `read ${error.code}: ${error.message}`, {
          syscall: 'read',
          cause: error,
          address: remote.address,
          port: remote.port,
        }),
      );
    } else if (this.#stream?.cut) {
      this.destroy();
    }
  }

  /* ---------------------------------------------------------------- as in net */

  /** Not connected yet. */
  get pending(): boolean {
    return this.#connecting || this.#stream === null || this.destroyed;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.#connecting) return 'opening';
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  get remoteAddress(): string | undefined {
    return this.#remote?.address;
  }

  get remotePort(): number | undefined {
    return this.#remote?.port;
  }

  get remoteFamily(): 'spines' | undefined {
    return this.#remote?.family;
  }

  get localAddress(): string | undefined {
    return this.#local?.address;
  }

  get localPort(): number | undefined {
    return this.#local?.port;
  }

  get localFamily(): 'spines' | undefined {
    return this.#local?.family;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** With what waits to be sent, as in net. */
  get bytesWritten(): number {
    return this.#outgoing.bytesDone + this.writableLength;
  }

  /** As in net, of old: `writableLength`. */
  get bufferSize(): number | undefined {
    return this.#stream === null && !this.#connecting ? undefined : this.writableLength;
  }

  address(): StreamAddress | Record<string, never> {
    return this.#local === null ? {} : { ...this.#local };
  }

  /** 'timeout' after so long without traffic; 0: never. The socket stays as it is. */
  setTimeout(timeoutMs: number, callback?: () => void): this {
    if (this.destroyed) return this;
    const limitMs = checkDuration('msecs', timeoutMs);
    if (callback !== undefined && typeof callback !== 'function')
      throw typeError('callback', 'of type function', callback);
    this.#idle.set(limitMs);
    this.timeout = timeoutMs;
    if (timeoutMs === 0) {
      if (callback !== undefined) this.off('timeout', callback);
      return this;
    }
    if (callback !== undefined) this.once('timeout', callback);
    return this;
  }

  /** Of no effect: the daemon does not hold small writes back. */
  setNoDelay(noDelay?: boolean): this {
    void noDelay;
    return this;
  }

  /**
   * Whether an idle stream asks its far end for a sign of life, and after how many milliseconds, at
   * least 500; 0 or none: as often as before. Unlike in net it is on from the beginning, as the
   * daemon's `streams.keepalive` says.
   */
  setKeepAlive(enable?: boolean, initialDelayMs?: number): this {
    const { core } = this.#internals;
    if (this.#liveness.setKeepAlive(enable, initialDelayMs) && core.state === 'open')
      this.#liveness.tell(core, this.#stream);
    return this;
  }

  /**
   * Of a socket with a client of its own, or its server's; a shared client keeps the process
   * running by itself (its `ref`).
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

  #active(): void {
    this.#idle.refresh();
  }
}
