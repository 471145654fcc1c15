/**
 * What a datagram socket sends: messages that wait for a port or a name (held-messages.ts), those
 * that the connection has taken, refusals, told once for a turn of the event loop, and who waits
 * for room. Does not own arguments (send-arguments.ts) or states (datagram.ts).
 *
 * Invariant: after `send` has returned false one `onDrain` comes, once the socket can send.
 */

import { formatQuad, parseQuad } from '../address.ts';
import type { ClientInternals, ClientMember } from '../attachment.ts';
import { HIGH_WATER_BYTES, WRITE_BUFFER_BYTES_MAX } from '../core/connection.ts';
import { SpinesClientError, abortError, codeOf, notConnectedError } from '../errors.ts';
import { guarded } from '../guarded.ts';
import { MESSAGE_BYTES_MAX } from '../shared/protocol.ts';
import type { DatagramBinding, DatagramState } from './datagram-binding.ts';
import type { Peer } from './fixed-peer.ts';
import { HELD_BYTES_MAX, HeldMessages, SendAccounting } from './held-messages.ts';
import type { Held } from './held-messages.ts';
import type { SendArguments, SendCallback } from './send-arguments.ts';

/** A socket as its sender sees it. */
export interface SendingSocket {
  readonly internals: ClientInternals;
  readonly member: ClientMember;
  readonly binding: DatagramBinding;
  /** Its number at the daemon. */
  readonly id: number;
  state(): DatagramState;
  /** Dotted quad of the local node. */
  localNode(): string;
  /** What `send` returned false for is over. */
  onDrain(): void;
  /** Datagrams were lost here that nobody is told of by a callback. */
  onSendError(error: SpinesClientError): void;
  /** The program named a node that there is not. */
  onError(error: SpinesClientError): void;
}

export class DatagramSender {
  readonly #socket: SendingSocket;
  readonly #internals: ClientInternals;
  readonly #held = new HeldMessages();
  readonly #inFlight = new SendAccounting();
  #needDrain = false;
  readonly #waiters = new Set<{ resolve: () => void; reject: (error: Error) => void }>();
  readonly #refused = new Map<string, { error: SpinesClientError; count: number }>();
  /** The address that a datagram went to last, and the node that it means. */
  #sentTo = '';
  #sentToNode: number | null = null;

  constructor(socket: SendingSocket) {
    this.#socket = socket;
    this.#internals = socket.internals;
  }

  /** A message was not sent at once, or the next would not be, and `onDrain` has not come yet. */
  get needsDrain(): boolean {
    return this.#needDrain;
  }

  /** Somebody waits in `writable`. */
  get isAwaited(): boolean {
    return this.#waiters.size > 0;
  }

  /** Payload bytes that the operating system has not taken yet. */
  get bytes(): number {
    return this.#inFlight.bytes + this.#held.payloadBytes;
  }

  get count(): number {
    return this.#inFlight.count + this.#held.count;
  }

  /** False: longer than the daemon takes, which the callback is told, or `onError`. */
  takes({ bytes, callback }: SendArguments): boolean {
    const bytesMax = Math.min(
      MESSAGE_BYTES_MAX,
      this.#internals.welcome?.messageBytesMax ?? MESSAGE_BYTES_MAX,
    );
    if (bytes <= bytesMax) return true;
    const error = new SpinesClientError(
      'EMSGSIZE',
      `a message of ${bytes} bytes exceeds ${bytesMax}; split it`,
      { syscall: 'send' },
    );
    process.nextTick(() => {
      if (callback !== undefined) callback(error);
      else this.#socket.onError(error);
    });
    return false;
  }

  /**
   * Sends a message whose length was checked; false: the next one is to wait for `onDrain`.
   * `marks`: see deadline-options.ts.
   */
  send(request: SendArguments, peer: Peer | null, marks: number): boolean {
    const { parts, bytes, callback } = request;
    const port = peer?.port ?? request.port;
    if (this.#socket.state() === 'bound') {
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
    const text = address ?? this.#socket.localNode();
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
    if (this.#socket.state() === 'away') return this.#refuse(notConnectedError(), callback);
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
    this.#held.hold(message, this.#socket.state() === 'binding');
    if (this.#socket.state() !== 'binding') {
      this.#internals.resolve(message.address ?? this.#socket.localNode(), (error, node) => {
        this.#held.release(message);
        if (error !== null) this.#nameFailed(error, callback);
        else if (this.#socket.state() === 'bound')
          this.#transmit(node, port, [payload], payload.length, marks, callback);
        else this.#refuse(notConnectedError(), callback);
        this.checkWritable();
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
      this.#socket.state() !== 'closed'
    ) {
      process.nextTick(() => this.#socket.onError(error));
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
    const room = core.send(
      this.#socket.id,
      node,
      port,
      parts,
      bytes,
      this.#socket.binding.known(marks),
    );
    this.#inFlight.add(this.#internals.batch, bytes, callback);
    if (room) return !this.#needDrain;
    this.#needDrain = true;
    this.#internals.awaitDrain(this.#socket.member);
    return false;
  }

  /**
   * A datagram is not sent. Without a callback, refusals of one turn are told as one 'sendError'.
   */
  #refuse(error: SpinesClientError, callback: SendCallback | undefined): boolean {
    this.#needDrain = true;
    if (this.#internals.bufferedBytes > 0) this.#internals.awaitDrain(this.#socket.member);
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
      this.#socket.onSendError(
        new SpinesClientError(error.code, error.message, {
          syscall: 'send',
          cause: error.cause,
          count,
        }),
      );
    }
    this.checkWritable();
  }

  /** The socket has a port: what waited for it goes. */
  sendWaiting(): void {
    for (const message of this.#held.takeWaiting()) this.#route(message, true);
    this.checkWritable();
  }

  /** The socket gets no port: what waited for it is refused. */
  failHeld(error: SpinesClientError): void {
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

  /** Resolves when a datagram can be sent; rejects when that can't be, or with `signal`. */
  async writable(signal?: AbortSignal): Promise<void> {
    if (this.#isWritable()) return;
    if (this.#internals.bufferedBytes >= HIGH_WATER_BYTES)
      this.#internals.awaitDrain(this.#socket.member);
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
      this.#socket.state() === 'bound' &&
      core.state === 'open' &&
      !core.isBlocked(this.#socket.id) &&
      bufferedBytes < HIGH_WATER_BYTES &&
      !this.#held.isHalfFull
    );
  }

  /** Tells that there is room, to all that wait for it, where there is. */
  checkWritable(): void {
    if (!this.#needDrain && this.#waiters.size === 0) return;
    if (!this.#isWritable()) {
      if (this.#internals.bufferedBytes >= HIGH_WATER_BYTES)
        this.#internals.awaitDrain(this.#socket.member);
      return;
    }
    const tell = this.#needDrain;
    this.#needDrain = false;
    for (const waiter of [...this.#waiters]) waiter.resolve();
    if (tell) guarded(() => this.#socket.onDrain());
  }

  /** Nobody waits any longer. */
  rejectWaiters(error: Error): void {
    for (const waiter of [...this.#waiters]) waiter.reject(error);
  }
}
