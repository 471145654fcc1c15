/**
 * One connection to a daemon: a net.Socket read into one reused buffer, and written once per turn.
 * To a remote daemon everything goes through a SealedChannel, whose handshake is part of
 * connecting.
 *
 * Frames written during one turn of the event loop are joined where they are neighbours in memory
 * and go out as one writev. Does not know the protocol. Invariant: `onClosed` is called exactly
 * once, also when connecting fails.
 */

import { connect, Socket } from 'node:net';

import { SealedChannel } from '../remote/sealed-channel.ts';
import { SpinesClientError, connectError, handshakeError } from '../errors.ts';
import type { DaemonTarget } from '../remote/target.ts';
import { socketOwnerFault } from '../remote/socket-owner.ts';

/** Bytes buffered for the daemon past which `write` returns false. */
export const HIGH_WATER_BYTES = 262_144;
/** `onDrain` comes when the buffer has fallen to this. */
export const LOW_WATER_BYTES = 65_536;
/**
 * Datagrams are refused (ENOBUFS) past this; a program that heeds `send() === false` never gets
 * there.
 */
export const WRITE_BUFFER_BYTES_MAX = 8_388_608;

/** Of a Unix socket's path, without the closing zero. */
const SOCKET_PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103;
const READ_BUFFER_BYTES = 131_072;
const FLUSH_GRACE_MS = 1_000;
const HUNG_UP =
  'it hung up; it does not accept this certificate (its log says why), is overloaded, or is not ' +
  'the daemon that was named';

export interface ConnectionEvents {
  onConnected(): void;
  onBytes(chunk: Uint8Array): void;
  onDrain(): void;
  /** The operating system has all that was written: its memory may be used again. */
  onTaken(): void;
  onClosed(error: SpinesClientError): void;
}

/**
 * What was written in one turn; the callbacks run when the operating system has taken it, or never
 * will.
 */
export interface WriteBatch {
  readonly done: ((error: SpinesClientError | null) => void)[];
}

export class Connection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #channel: SealedChannel | null;
  #batch: WriteBatch = { done: [] };
  /**
   * What was written last: a range of memory that frames behind it extend; null = nothing waits.
   */
  #tail: ArrayBufferLike | null = null;
  #tailStart = 0;
  #tailEnd = 0;
  #pendingBytes = 0;
  #flushScheduled = false;
  #needDrain = false;
  #connected = false;
  #closed = false;
  #failure: SpinesClientError | null = null;

  constructor(target: DaemonTarget, events: ConnectionEvents) {
    this.#events = events;
    const remote = 'path' in target ? undefined : target.remote;
    const onReady = (): void => {
      this.#connected = true;
      if (!this.#closed) events.onConnected();
    };
    const onPlain = (bytes: Uint8Array): void => {
      if (!this.#closed) events.onBytes(bytes);
    };
    const channel = (this.#channel =
      remote === undefined ? null : new SealedChannel(remote, { onReady, onBytes: onPlain }));
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        if (this.#closed) return true;
        const bytes = buffer.subarray(0, length);
        if (channel === null) events.onBytes(bytes);
        else this.#onSealed(channel, bytes, target);
        return true;
      },
    };
    // The kernel would cut a longer path, and that is another file.
    const tooLong = 'path' in target && Buffer.byteLength(target.path) > SOCKET_PATH_BYTES_MAX;
    const stranger = 'path' in target && !tooLong ? socketOwnerFault(target.path) : null;
    if (stranger !== null)
      this.#failure = new SpinesClientError('EACCES', stranger, { syscall: 'connect' });
    const socket = (this.#socket = tooLong
      ? new Socket().destroy(Object.assign(new Error('too long'), { code: 'ENAMETOOLONG' }))
      : stranger !== null
        ? new Socket().destroy()
        : 'path' in target
          ? connect({ path: target.path, onread })
          : connect({ host: target.host, port: target.port, noDelay: true, onread }));
    let reached = false;
    socket.on('connect', () => {
      reached = true;
      if (channel === null) {
        onReady();
        return;
      }
      const first = channel.begin();
      if (first === null)
        this.destroy(handshakeError(target, 'its key is no key; copy its certificate again'));
      else socket.write(first);
    });
    socket.on('error', (cause) => {
      this.#failure ??= this.#connected
        ? new SpinesClientError(
            'ECONNRESET',
            `the connection to the daemon broke (${cause.message})`,
            { syscall: 'read', cause },
          )
        : reached
          ? handshakeError(target, HUNG_UP)
          : connectError(target, cause);
    });
    socket.on('close', () => {
      if (reached && !this.#connected) this.#failure ??= handshakeError(target, HUNG_UP);
      this.#finish(
        this.#failure ??
          new SpinesClientError(
            'ECONNRESET',
            'the daemon closed the connection; see its log, or `spines status`',
            { syscall: 'read' },
          ),
      );
    });
  }

  /** The batch that the next `write` belongs to. */
  get batch(): WriteBatch {
    return this.#batch;
  }

  get bufferedBytes(): number {
    return this.#pendingBytes + this.#socket.writableLength;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** False: more is buffered than HIGH_WATER_BYTES; `onDrain` follows. */
  write(bytes: Uint8Array): boolean {
    if (this.#closed) return false;
    if (this.#tail === bytes.buffer && this.#tailEnd === bytes.byteOffset)
      this.#tailEnd += bytes.length;
    else {
      if (this.#tail !== null)
        this.#push(new Uint8Array(this.#tail, this.#tailStart, this.#tailEnd - this.#tailStart));
      this.#tail = bytes.buffer;
      this.#tailStart = bytes.byteOffset;
      this.#tailEnd = bytes.byteOffset + bytes.length;
    }
    this.#pendingBytes += bytes.length;
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      process.nextTick(() => this.#flush());
    }
    if (this.bufferedBytes < HIGH_WATER_BYTES) return true;
    this.#needDrain = true;
    return false;
  }

  /**
   * Writes out what is buffered, then closes; by force when the daemon does not read for a second.
   */
  end(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const gone = new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve());
    });
    if (!this.#connected) {
      this.destroy();
      return gone;
    }
    this.#flush();
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), FLUSH_GRACE_MS);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
    return gone;
  }

  /** Closes at once. `onClosed` is told `error`. */
  destroy(error?: SpinesClientError): void {
    if (error !== undefined) this.#failure ??= error;
    this.#socket.destroy();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  #push(bytes: Uint8Array): void {
    if (this.#socket.writableCorked === 0) this.#socket.cork();
    this.#pendingBytes -= bytes.length;
    this.#socket.write(this.#sealed(bytes));
  }

  #onSealed(channel: SealedChannel, bytes: Uint8Array, target: DaemonTarget): void {
    const fault = channel.onBytes(bytes);
    if (fault === null) return;
    this.destroy(
      this.#connected
        ? new SpinesClientError('EPROTO', `the daemon's bytes make no sense: ${fault}`, {
            syscall: 'read',
          })
        : handshakeError(target, fault),
    );
  }

  #sealed(bytes: Uint8Array): Uint8Array {
    return this.#channel === null ? bytes : this.#channel.seal(bytes);
  }

  #flush(): void {
    this.#flushScheduled = false;
    if (this.#tail === null || this.#closed) return;
    const tail = new Uint8Array(this.#tail, this.#tailStart, this.#tailEnd - this.#tailStart);
    const batch = this.#batch;
    this.#batch = { done: [] };
    this.#tail = null;
    this.#pendingBytes -= tail.length;
    const socket = this.#socket;
    socket.write(this.#sealed(tail), (cause) => this.#written(batch, cause));
    if (socket.writableCorked > 0) socket.uncork();
    if (socket.writableLength === 0) this.#events.onTaken();
  }

  #written(batch: WriteBatch, cause: Error | null | undefined): void {
    const error = cause
      ? new SpinesClientError(
          'ECONNRESET',
          'the connection to the daemon ended before the datagram was handed over',
          { syscall: 'send', cause },
        )
      : null;
    for (const done of batch.done) done(error);
    if (this.#needDrain && !this.#closed && this.bufferedBytes <= LOW_WATER_BYTES) {
      this.#needDrain = false;
      this.#events.onDrain();
    }
  }

  #finish(error: SpinesClientError): void {
    if (this.#closed) return;
    this.#closed = true;
    const batch = this.#batch;
    this.#batch = { done: [] };
    this.#tail = null;
    this.#pendingBytes = 0;
    for (const done of batch.done)
      done(
        new SpinesClientError(
          'ECONNRESET',
          'the connection to the daemon ended before the datagram was handed over',
          { syscall: 'send', cause: error },
        ),
      );
    this.#events.onClosed(error);
  }
}
