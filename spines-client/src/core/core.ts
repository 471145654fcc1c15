/**
 * The client's half of the protocol with the daemon, without I/O: no sockets, timers or promises.
 *
 * Owns: the greeting, socket numbers, datagram sockets with their receive queues, checking every
 * byte the daemon sends. Parts of it in files of their own: requests (requests.ts) and streams
 * (stream-table.ts). Does not own: connecting, time, rebinding after a reconnect (client.ts,
 * datagram.ts). Invariant: once the daemon's bytes stop making sense the connection ends with
 * EPROTO, and no callback is left over.
 *
 *            onConnected            WELCOME
 *   closed ──────────────> greeting ───────> open
 *     ^                        │               │
 *     └────────────────────────┴───────────────┘  onClosed, protocol error
 *
 * The table of datagram sockets survives 'closed': queues stay readable, and a host may announce
 * the same numbers again. Streams do not: each is told, and its number is forgotten.
 */

import { SpinesClientError } from '../errors.ts';
import { FrameSlab } from './frame-slab.ts';
import {
  ACCEPTED_SOCKET_FIRST,
  DATAGRAM_HEAD_BYTES,
  FRAME_BLOCKED,
  FRAME_EVENT,
  FRAME_HEAD_BYTES,
  FRAME_HELLO,
  FRAME_RECV,
  FRAME_REPLY,
  FRAME_SEND,
  FRAME_WELCOME,
  FRAME_WRITABLE,
  FrameReader,
  MESSAGE_BYTES_MAX,
  PROTOCOL_VERSION,
  RECV_GROUP,
  RECV_GROUP_BYTES,
  RECV_PROVED,
  decodeControl,
  encodeControl,
  encodeDatagramHead,
  getWord,
} from '../shared/protocol.ts';
import type { WelcomeBody } from '../shared/protocol.ts';
import { ReceiveQueue } from './receive-queue.ts';
import type { QueuedMessage } from './receive-queue.ts';
import { REQUESTS_MAX, Requests, type RequestDone } from './requests.ts';
import { SendAhead } from './send-ahead.ts';
import { StreamTable } from './stream-table.ts';

/**
 * Sockets of one connection, streams and listeners among them. Past it opening one throws EMFILE.
 */
export const SOCKETS_MAX = 65_536;
/** Default bound of a socket's receive queue. */
export const RECV_QUEUE_BYTES = 1_048_576;

/** Numbers above are the daemon's to choose. */
const SOCKET_ID_MAX = ACCEPTED_SOCKET_FIRST - 1;

export type CoreState = 'closed' | 'greeting' | 'open';

const EDGES: Record<CoreState, readonly CoreState[]> = {
  closed: ['greeting'],
  greeting: ['open', 'closed'],
  open: ['closed'],
};

/**
 * Where bytes for the daemon go. Consecutive `write`s often are neighbours in one ArrayBuffer; a
 * sink may join them.
 */
export interface CoreSink {
  /**
   * Takes `bytes` over. False: the connection holds more than it should; go on when it has drained.
   */
  write(bytes: Uint8Array): boolean;
  /** Ends the connection; `onClosed` may be called afterwards, or not. */
  end(): void;
}

export interface CoreListener {
  onWelcome(welcome: WelcomeBody): void;
  /** The daemon is about to stop. */
  onDraining(): void;
  /** The connection is over; every outstanding request has been answered with ECONNRESET. */
  onClosed(error: SpinesClientError): void;
  /**
   * A callback of the program threw; the stream of frames is unharmed. The host rethrows outside
   * this call.
   */
  onThrown(error: unknown): void;
}

/** Called during `onBytes`, or during `flush` for held messages. */
export interface SocketListener {
  /** `payload` is the listener's own. */
  /** `proved`: the daemon vouches for `node` as the source. */
  /** `group`: that it was sent to, 0: to this node. */
  onMessage(payload: Uint8Array, node: number, port: number, proved: boolean, group: number): void;
  onBlocked(): void;
  onWritable(): void;
  /** Messages lost because this program reads too slowly. */
  /** `late` of them came after their deadline. */
  onDropped(count: number, late: number): void;
  onSendError(error: SpinesClientError): void;
}

export interface CoreOptions {
  sink: CoreSink;
  listener: CoreListener;
  /** For the daemon's log. */
  clientName?: string;
  /** Makes requests and opens no sockets. */
  asksOnly?: boolean;
  /** What a daemon's TCP listener asks for; null: nothing. */
  token?: string | null;
  requestsMax?: number;
  /** Memory for what is handed over, which fills it. Default: new Uint8Array. */
  allocate?: (bytes: number) => Uint8Array;
}

interface CoreSocket {
  readonly listener: SocketListener;
  readonly queue: ReceiveQueue;
  flowing: boolean;
  flushing: boolean;
  blocked: boolean;
}

export class ClientCore {
  readonly #sink: CoreSink;
  readonly #listener: CoreListener;
  readonly #clientName: string;
  readonly #asksOnly: boolean;
  readonly #token: string | null;
  readonly #allocate: (bytes: number) => Uint8Array;
  readonly #requests: Requests;
  readonly #sockets = new Map<number, CoreSocket>();
  readonly #slab = new FrameSlab();
  /** Streams and listeners of this connection. */
  readonly streams: StreamTable;
  readonly #ahead: SendAhead;
  /** What happened on the daemon, where it was asked for (`watch`). */
  onWatched: (seen: unknown) => void = () => {};
  #state: CoreState = 'closed';
  #reader: FrameReader = new FrameReader({ onFrame: () => {} });
  #nextSocket = 1;
  #strays = 0;

  constructor(options: CoreOptions) {
    this.#sink = options.sink;
    this.#listener = options.listener;
    this.#clientName = options.clientName ?? 'spines-client';
    this.#asksOnly = options.asksOnly ?? false;
    this.#token = options.token ?? null;
    this.#requests = new Requests(
      options.requestsMax ?? REQUESTS_MAX,
      (frame) => this.#sink.write(frame),
      (error) => this.#listener.onThrown(error),
    );
    this.#allocate = options.allocate ?? ((bytes) => new Uint8Array(bytes));
    this.#ahead = new SendAhead(
      // The answer does not matter, not even whether the socket is still there.
      (id, answered) => this.request('getOption', { socket: id, option: 'ttl' }, answered),
      () => this.#state === 'open',
      () => {
        for (const socket of [...this.#sockets.values()])
          if (!socket.blocked) socket.listener.onWritable();
      },
    );
    this.streams = new StreamTable({
      slab: this.#slab,
      write: (bytes) => this.#state === 'open' && this.#sink.write(bytes),
      protocolError: (what) => this.#protocolError(what),
      allocate: this.#allocate,
      takeNumber: () => this.#takeNumber(),
      thrown: (error) => this.#listener.onThrown(error),
    });
  }

  get state(): CoreState {
    return this.#state;
  }

  get outstandingRequests(): number {
    return this.#requests.size;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  /** Messages for sockets that this side had already closed; they are ignored. */
  get strayMessages(): number {
    return this.#strays;
  }

  /* ---------------------------------------------------------------- inputs */

  onConnected(): void {
    this.#become('greeting');
    // A fresh reader per connection: half a frame of the last one must not be glued to this one.
    const reader: FrameReader = new FrameReader({
      onFrame: (type, bytes, start, end) => {
        if (this.#reader !== reader || this.#state === 'closed') return;
        try {
          this.#onFrame(type, bytes, start, end);
        } catch (error) {
          this.#listener.onThrown(error);
        }
      },
    });
    this.#reader = reader;
    this.#sink.write(
      encodeControl(FRAME_HELLO, {
        version: PROTOCOL_VERSION,
        client: this.#clientName,
        ...(this.#asksOnly ? { asksOnly: true } : {}),
        ...(this.#token === null ? {} : { token: this.#token }),
      }),
    );
  }

  /** `chunk` is the caller's again after the call. */
  onBytes(chunk: Uint8Array): void {
    if (this.#state === 'closed') return;
    const { streams } = this;
    streams.beginBatch(chunk);
    try {
      if (!this.#reader.push(chunk) && !this.#isClosed())
        this.#protocolError('a frame has an impossible length');
    } finally {
      streams.endBatch();
    }
  }

  #copy(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const own = this.#allocate(end - start);
    own.set(bytes.subarray(start, end));
    return own;
  }

  /** The operating system has all frames that were written. */
  onTaken(): void {
    this.#slab.reuse();
  }

  /** The connection has ended, for `cause` when that is known. */
  onClosed(cause?: SpinesClientError): void {
    if (this.#state === 'closed') return;
    this.#down(
      cause ??
        new SpinesClientError(
          'ECONNRESET',
          'the daemon closed the connection; see its log, or `spines status`',
          { syscall: 'read' },
        ),
    );
  }

  /* ---------------------------------------------------------------- requests */

  /** `done` is called exactly once; at once when the request cannot be sent. */
  request(op: string, args: Record<string, unknown>, done: RequestDone): void {
    this.#requests.ask(op, args, done, this.#state === 'open');
  }

  /* ---------------------------------------------------------------- sockets */

  /** A socket number, unused on this connection, with a receive queue. The daemon is not told. */
  openSocket(listener: SocketListener, recvQueueBytes: number = RECV_QUEUE_BYTES): number {
    const id = this.#takeNumber();
    this.#sockets.set(id, {
      listener,
      queue: new ReceiveQueue(recvQueueBytes),
      flowing: true,
      flushing: false,
      blocked: false,
    });
    return id;
  }

  #takeNumber(): number {
    if (this.#sockets.size + this.streams.size >= SOCKETS_MAX) {
      throw new SpinesClientError(
        'EMFILE',
        `${SOCKETS_MAX} sockets are open on this connection; close some, or open a second client`,
        { syscall: 'socket' },
      );
    }
    while (this.#sockets.has(this.#nextSocket) || this.streams.has(this.#nextSocket))
      this.#nextSocket = (this.#nextSocket % SOCKET_ID_MAX) + 1;
    const id = this.#nextSocket;
    this.#nextSocket = (id % SOCKET_ID_MAX) + 1;
    return id;
  }

  /** Forgets a socket and what is queued for it. */
  forgetSocket(id: number): void {
    this.#sockets.get(id)?.queue.clear();
    this.#sockets.delete(id);
  }

  /**
   * One datagram; `parts` are copied. `payloadBytes`: their sum, at most MESSAGE_BYTES_MAX.
   * False: hold further ones until the daemon says WRITABLE or the connection has drained. Needs
   * state 'open'.
   */
  send(
    id: number,
    node: number,
    port: number,
    parts: readonly Uint8Array[],
    payloadBytes: number,
    marks = 0,
  ): boolean {
    const socket = this.#sockets.get(id);
    if (socket === undefined || this.#state !== 'open' || payloadBytes > MESSAGE_BYTES_MAX) {
      throw new Error(`send on socket ${id} of ${payloadBytes} bytes in state ${this.#state}`);
    }
    const frame = this.#slab.take(FRAME_HEAD_BYTES + DATAGRAM_HEAD_BYTES + payloadBytes);
    let at = encodeDatagramHead(frame, 0, FRAME_SEND, id, node, port, payloadBytes, marks);
    for (const part of parts) {
      frame.set(part, at);
      at += part.length;
    }
    const room = this.#sink.write(frame);
    this.#ahead.onSent(id, payloadBytes);
    return room && !socket.blocked && !this.#ahead.full;
  }

  isBlocked(id: number): boolean {
    return this.#ahead.full || (this.#sockets.get(id)?.blocked ?? false);
  }

  /** Not flowing: messages are held in the bounded queue. To flow again, `flush` afterwards. */
  setFlowing(id: number, flowing: boolean): void {
    const socket = this.#sockets.get(id);
    if (socket !== undefined) socket.flowing = flowing;
  }

  /** Hands held messages to the listener, oldest first, while the socket flows. */
  flush(id: number): void {
    const socket = this.#sockets.get(id);
    if (socket === undefined || socket.flushing) return;
    socket.flushing = true;
    try {
      while (socket.flowing) {
        const message = socket.queue.shift();
        if (message === undefined) break;
        const { payload, node, port, proved, group } = message;
        socket.listener.onMessage(payload, node, port, proved, group);
      }
    } finally {
      socket.flushing = false;
    }
  }

  /** The oldest held message, or undefined. */
  take(id: number): QueuedMessage | undefined {
    return this.#sockets.get(id)?.queue.shift();
  }

  queuedMessages(id: number): number {
    return this.#sockets.get(id)?.queue.length ?? 0;
  }

  queuedBytes(id: number): number {
    return this.#sockets.get(id)?.queue.bytes ?? 0;
  }

  setRecvQueueBytes(id: number, bytesMax: number): void {
    const socket = this.#sockets.get(id);
    if (socket !== undefined) socket.queue.bytesMax = bytesMax;
  }

  /* ---------------------------------------------------------------- frames from the daemon */

  #onFrame(type: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#state === 'greeting') {
      if (type === FRAME_WELCOME) this.#onWelcome(decodeControl(bytes.subarray(start, end)));
      else if (type === FRAME_EVENT) this.#onRefused(decodeControl(bytes.subarray(start, end)));
      else this.#protocolError(`frame type ${type} came before WELCOME`);
      return;
    }
    switch (type) {
      case FRAME_RECV:
        this.#onRecv(bytes, start, end);
        return;
      case FRAME_REPLY:
        this.#onReply(decodeControl(bytes.subarray(start, end)));
        return;
      case FRAME_BLOCKED:
      case FRAME_WRITABLE:
        this.#onRoom(type === FRAME_BLOCKED, bytes, start, end);
        return;
      case FRAME_EVENT:
        this.#onEvent(decodeControl(bytes.subarray(start, end)));
        return;
      default:
        if (!this.streams.onFrame(type, bytes, start, end))
          this.#protocolError(`frame type ${type} is not one a daemon sends`);
    }
  }

  #onWelcome(body: Record<string, unknown> | null): void {
    if (body === null || !isCount(body['version'])) {
      this.#protocolError('WELCOME is malformed');
      return;
    }
    if (body['version'] !== PROTOCOL_VERSION) {
      this.#sink.end();
      this.#down(versionError(body['version']));
      return;
    }
    const { version, node, name, instance, messageBytesMax, socketsMax } = body;
    if (
      typeof node !== 'string' ||
      typeof name !== 'string' ||
      typeof instance !== 'string' ||
      !isCount(messageBytesMax) ||
      !isCount(socketsMax)
    ) {
      this.#protocolError('WELCOME is malformed');
      return;
    }
    this.#become('open');
    this.#listener.onWelcome({ version, node, name, instance, messageBytesMax, socketsMax });
  }

  /** The daemon says why it closes. */
  #onRefused(body: Record<string, unknown> | null): void {
    const { event, code, message } = body ?? {};
    if (event !== 'closing' || typeof code !== 'string' || typeof message !== 'string') {
      this.#protocolError('EVENT came before WELCOME, or is malformed');
      return;
    }
    const syscall =
      code === 'EACCES' ? 'authenticate' : this.#state === 'greeting' ? 'connect' : 'read';
    this.#sink.end();
    this.#down(
      new SpinesClientError(code, `the daemon ends the connection: ${message}`, { syscall }),
    );
  }

  #onReply(body: Record<string, unknown> | null): void {
    const fault = this.#requests.onReply(body);
    if (fault !== null) this.#protocolError(fault);
  }

  #onRecv(bytes: Uint8Array, start: number, end: number): void {
    const groupBytes = (bytes[start + 11]! & RECV_GROUP) === 0 ? 0 : RECV_GROUP_BYTES,
      from = start + DATAGRAM_HEAD_BYTES + groupBytes,
      payloadBytes = end - from;
    if (
      payloadBytes < 0 ||
      payloadBytes > MESSAGE_BYTES_MAX ||
      bytes[start + 10] !== 0 ||
      bytes[start + 11]! > (RECV_PROVED | RECV_GROUP)
    ) {
      this.#protocolError('RECV is malformed');
      return;
    }
    const socket = this.#sockets.get(getWord(bytes, start));
    if (socket === undefined) {
      this.#strays++;
      return;
    }
    const node = getWord(bytes, start + 4);
    const port = (bytes[start + 8]! << 8) | bytes[start + 9]!;
    const proved = (bytes[start + 11]! & RECV_PROVED) !== 0;
    const group = groupBytes === 0 ? 0 : getWord(bytes, from - groupBytes);
    if (socket.flowing && socket.queue.length === 0) {
      socket.listener.onMessage(this.#copy(bytes, from, end), node, port, proved, group);
    } else if (socket.queue.fits(payloadBytes)) {
      socket.queue.push({
        payload: this.#copy(bytes, from, end),
        node,
        port,
        proved,
        group,
      });
    } else {
      socket.listener.onDropped(1, 0);
    }
  }

  #onRoom(blocked: boolean, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 4) {
      this.#protocolError(`${blocked ? 'BLOCKED' : 'WRITABLE'} is malformed`);
      return;
    }
    const socket = this.#sockets.get(getWord(bytes, start));
    if (socket === undefined || socket.blocked === blocked) return;
    socket.blocked = blocked;
    if (blocked) socket.listener.onBlocked();
    else socket.listener.onWritable();
  }

  #onEvent(body: Record<string, unknown> | null): void {
    if (body === null || typeof body['event'] !== 'string') {
      this.#protocolError('EVENT is malformed');
      return;
    }
    const { event, socket: id, count, late, code, message } = body;
    if (event === 'draining') {
      this.#listener.onDraining();
      return;
    }
    if (event === 'closing') {
      this.#onRefused(body);
      return;
    }
    if (event === 'accepted') {
      this.streams.onAcceptedEvent(body);
      return;
    }
    if (event === 'streamClosed') {
      this.streams.onClosedEvent(body);
      return;
    }
    if (event === 'watch') {
      this.onWatched(body['seen']);
      return;
    }
    // An event of a newer daemon is none of our business.
    if (event !== 'sendError' && event !== 'recvDropped') return;
    const refused = event === 'sendError';
    if (
      !isCount(id) ||
      !isCount(count) ||
      (refused && (typeof code !== 'string' || typeof message !== 'string'))
    ) {
      this.#protocolError(`EVENT ${event} is malformed`);
      return;
    }
    const listener = this.#sockets.get(id)?.listener;
    if (refused)
      listener?.onSendError(
        new SpinesClientError(code as string, message as string, { syscall: 'send', count }),
      );
    else listener?.onDropped(count, isCount(late) ? late : 0);
  }

  /* ---------------------------------------------------------------- ends */

  #protocolError(what: string): void {
    if (this.#state === 'closed') return;
    this.#sink.end();
    this.#down(
      new SpinesClientError(
        'EPROTO',
        `the daemon sent bytes that make no sense (${what}); check that daemon and library are ` +
          'of one version',
        { syscall: 'read' },
      ),
    );
  }

  #down(error: SpinesClientError): void {
    this.#become('closed');
    for (const socket of this.#sockets.values()) socket.blocked = false;
    this.#requests.onLost(error);
    this.streams.onConnectionLost(error);
    this.#listener.onClosed(error);
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #become(next: CoreState): void {
    if (!EDGES[this.#state].includes(next))
      throw new Error(`client core: ${this.#state} -> ${next}`);
    this.#state = next;
  }
}

export function versionError(daemonVersion: number): SpinesClientError {
  return new SpinesClientError(
    'EPROTO',
    `the daemon speaks protocol version ${daemonVersion}, this library version ` +
      `${PROTOCOL_VERSION}; install the same release of both`,
    { syscall: 'connect' },
  );
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
