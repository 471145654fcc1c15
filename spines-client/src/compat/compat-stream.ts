/**
 * A stream descriptor of the classic calls: one of fresh, listening or connected, with calls that
 * wait as those of C.
 *
 * Owns the waiting (accept, recv) and what has come before anyone waited. Descriptor numbers and
 * shared clients are compat.ts's. A stream here stays half-open, as in C: recv gives 0 at the end,
 * and sending goes on.
 */

import type { SpinesClient } from '../client.ts';
import { SpinesClientError, abortError } from '../errors.ts';
import type { LinkServiceName, RoutingName } from '../shared/protocol.ts';
import type { SpinesServer } from '../sockets/server.ts';
import type { SpinesSocket } from '../sockets/socket.ts';

/** `backlog` of listen without one. */
const BACKLOG_DEFAULT = 128;

export class StreamDescriptor {
  readonly client: SpinesClient;
  readonly #link: LinkServiceName;
  readonly #routing: RoutingName;
  #localPort = 0;
  #socket: SpinesSocket | null = null;
  #server: SpinesServer | null = null;
  #accepted: SpinesSocket[] = [];
  #failure: Error | null = null;
  #closed = false;
  #readShut = false;
  readonly #wakers = new Set<() => void>();

  constructor(
    client: SpinesClient,
    link: LinkServiceName,
    routing: RoutingName,
    socket: SpinesSocket | null = null,
  ) {
    this.client = client;
    this.#link = link;
    this.#routing = routing;
    if (socket !== null) this.#adopt(socket);
  }

  get remote(): { address: string; port: number } {
    const { remoteAddress, remotePort } = this.#connected('getpeername');
    return { address: remoteAddress!, port: remotePort! };
  }

  get local(): { address: string; port: number } {
    return {
      address: this.client.node,
      port: this.#server?.address()?.port ?? this.#socket?.localPort ?? this.#localPort,
    };
  }

  /** The port is taken with `listen` or `connect`; one in use is reported there. */
  bind(port: number): void {
    if (
      this.#socket !== null ||
      this.#server !== null ||
      !Number.isInteger(port) ||
      port < 0 ||
      port > 65_535
    ) {
      throw new SpinesClientError(
        'EINVAL',
        `cannot bind to ${port}: the descriptor is in use, or this is no port`,
        { syscall: 'bind' },
      );
    }
    this.#localPort = port;
  }

  async listen(backlog: number): Promise<void> {
    if (this.#socket !== null || this.#server !== null)
      throw new SpinesClientError('EINVAL', 'the descriptor is connected or listens already', {
        syscall: 'listen',
      });
    const queueMax = backlog > 0 ? backlog : BACKLOG_DEFAULT;
    const server = this.client.createServer(
      { allowHalfOpen: true, pauseOnConnect: true, link: this.#link, routing: this.#routing },
      (socket) => {
        if (this.#accepted.length >= queueMax) {
          socket.resetAndDestroy();
          return;
        }
        // A stream that breaks before it is accepted is found broken by recv; nobody is to hear of
        // it before.
        socket.on('error', () => {});
        this.#accepted.push(socket);
        this.#wake();
      },
    );
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      let up = false;
      server.on('error', (error) => {
        this.#server = null;
        if (up) this.#fail(error);
        else reject(error);
      });
      server.listen({ port: this.#localPort, backlog: queueMax }, () => {
        up = true;
        resolve();
      });
    });
  }

  async accept(signal: AbortSignal | undefined): Promise<SpinesSocket> {
    for (;;) {
      if (this.#closed) throw closedError('accept');
      const socket = this.#accepted.shift();
      if (socket !== undefined) return socket;
      if (this.#failure !== null) throw this.#failure;
      if (this.#server === null)
        throw new SpinesClientError('EINVAL', 'call spinesListen first', { syscall: 'accept' });
      await this.#wait(signal, 'accept');
    }
  }

  async connect(address: string, port: number): Promise<void> {
    if (this.#socket !== null || this.#server !== null)
      throw new SpinesClientError('EISCONN', 'the descriptor is connected, connecting or listens', {
        syscall: 'connect',
      });
    const socket = this.client.stream({
      allowHalfOpen: true,
      link: this.#link,
      routing: this.#routing,
    });
    this.#socket = socket;
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject).once('close', () => reject(closedError('connect')));
        socket.connect({ port, host: address, localPort: this.#localPort || undefined }, resolve);
      });
    } catch (error) {
      this.#socket = null;
      throw error;
    }
    this.#adopt(socket);
  }

  async send(message: Uint8Array | string): Promise<number> {
    const socket = this.#connected('send');
    const data = typeof message === 'string' ? Buffer.from(message) : message;
    if (this.#failure !== null) throw this.#failure;
    if (!socket.writable)
      throw new SpinesClientError('EPIPE', 'this side of the stream has been shut down', {
        syscall: 'send',
      });
    await new Promise<void>((resolve, reject) => {
      socket.write(data, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
    return data.length;
  }

  /** Bytes put into `buffer`; 0 at the end of the stream. */
  async recv(buffer: Uint8Array, signal: AbortSignal | undefined): Promise<number> {
    const socket = this.#connected('recv');
    if (buffer.length === 0) return 0;
    for (;;) {
      if (this.#closed) throw closedError('recv');
      if (this.#failure !== null) throw this.#failure;
      if (this.#readShut || socket.readableEnded) return 0;
      const chunk = (
        socket.readableLength > 0
          ? socket.read(Math.min(buffer.length, socket.readableLength))
          : socket.read()
      ) as Buffer | null;
      if (chunk !== null) {
        // A read that found an empty buffer may give more than was asked for.
        buffer.set(chunk.subarray(0, buffer.length));
        if (chunk.length > buffer.length) socket.unshift(chunk.subarray(buffer.length));
        return Math.min(chunk.length, buffer.length);
      }
      if (socket.errored !== null) throw socket.errored;
      if (socket.destroyed) return 0;
      await this.#wait(signal, 'recv');
    }
  }

  /** 0: no more receiving; 1: no more sending; 2: neither. */
  async shutdown(how: number): Promise<void> {
    const socket = this.#connected('shutdown');
    if (how !== 0 && how !== 1 && how !== 2)
      throw new SpinesClientError(
        'EINVAL',
        `how must be SHUT_RD, SHUT_WR or SHUT_RDWR, not ${how}`,
        { syscall: 'shutdown' },
      );
    if (how !== 1) {
      this.#readShut = true;
      socket.removeAllListeners('readable');
      socket.resume();
      this.#wake();
    }
    if (how !== 0 && socket.writable)
      await new Promise<void>((resolve) => {
        socket.end(resolve);
      });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    for (const socket of this.#accepted.splice(0)) socket.resetAndDestroy();
    const socket = this.#socket;
    if (socket !== null && !socket.destroyed) {
      await new Promise<void>((resolve) => {
        socket.once('close', () => resolve()).destroy();
      });
    }
    // The streams accepted here live on, so the port is all that is waited for.
    const server = this.#server;
    this.#server = null;
    server?.close();
    // Requests are handled in their order: after this answer the port is free.
    if (server !== null && this.client.connected)
      await this.client.request('resolve', { name: this.client.node }).catch(() => {});
  }

  #adopt(socket: SpinesSocket): void {
    this.#socket = socket;
    socket
      .on('readable', () => this.#wake())
      .on('end', () => this.#wake())
      .on('close', () => this.#wake());
    socket.on('error', (error) => this.#fail(error));
  }

  #connected(syscall: string): SpinesSocket {
    if (this.#socket === null || this.#socket.connecting)
      throw new SpinesClientError('ENOTCONN', 'call spinesConnect first', { syscall });
    return this.#socket;
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#wake();
  }

  #wake(): void {
    for (const waker of [...this.#wakers]) waker();
  }

  /** Until something has happened. */
  #wait(signal: AbortSignal | undefined, syscall: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortError(signal, syscall));
        return;
      }
      const settle = (): void => {
        this.#wakers.delete(waker);
        signal?.removeEventListener('abort', onAbort);
      };
      const waker = (): void => {
        settle();
        resolve();
      };
      const onAbort = (): void => {
        settle();
        reject(abortError(signal!, syscall));
      };
      this.#wakers.add(waker);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}

function closedError(syscall: string): SpinesClientError {
  return new SpinesClientError('EBADF', 'the descriptor was closed', { syscall });
}
