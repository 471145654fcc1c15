/**
 * The stream sockets of one client: frames to streams and back, with credit in both directions.
 *
 * A stream that the client does not read stops getting data when its credit is used up, and a
 * stream whose far end is slow gives the client no credit; neither holds up another. Owns the
 * socket numbers of streams and listeners.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId, type Port } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { ReachedTarget } from '../session/firewall.ts';
import type { LivenessLimits, OwnLimits } from '../session/stream-liveness.ts';
import type { Stream, StreamOwner } from '../session/stream.ts';
import type { StreamError } from '../session/stream-state.ts';
import type { StreamOptions } from '../session/stream-settings.ts';
import { nobody, type StreamListener, type Streams } from '../session/streams.ts';
import { WRITE_INITIAL_BYTES } from '../session/write-grant.ts';
import {
  ACCEPTED_SOCKET_FIRST,
  encodeControl,
  encodeCredit,
  encodeSocketFrame,
  encodeStreamHead,
  FRAME_EVENT,
  FRAME_HEAD_BYTES,
  FRAME_STREAM_END,
  STREAM_CREDIT_INITIAL,
  STREAM_DATA_BYTES_MAX,
  STREAM_HEAD_BYTES,
} from 'spines-client/protocol';
import { assert } from '../base/assert.ts';
import type { ClientOut, Reply } from './client.ts';

assert(
  WRITE_INITIAL_BYTES === STREAM_CREDIT_INITIAL,
  'what a stream takes at first is what the protocol promises',
);

export interface StreamSocket {
  readonly number: number;
  readonly options: StreamOptions;
  /** Of its stream, or of those that it accepts. */
  limits: OwnLimits;
  /** Bound port, 0 = none. */
  port: Port;
  stream: Stream | null;
  listening: boolean;
  /** Payload bytes that the client still takes. */
  credit: number;
  /** Answers the client's connect. */
  onConnect: Reply | null;
  /** END was sent to the client. */
  endTold: boolean;
  /** Credit that the client gets when its rate allows. */
  held: number;
  /** Credit that it got and its rate was charged for already. */
  prepaid: number;
}

/** The client's rate, for what it writes to streams. */
export interface CreditGate {
  readonly unlimited: boolean;
  /** Whether it may send more now. */
  open(): boolean;
  take(bytes: number): void;
  /** Asks for a `grantHeld` when it may. */
  onHeld(): void;
}

/** Who hears of streams and listeners that come and go. */
export interface StreamsTold {
  onOpened(socket: StreamSocket): void;
  /** `code`: of one that did not end in order. */
  onClosed(socket: StreamSocket, code: string | null): void;
}

const NOBODY_TOLD: StreamsTold = { onOpened() {}, onClosed() {} };

/**
 * Credit is given in pieces, so that streams share the rate evenly and no burst goes far beyond it.
 */
const CREDIT_PIECE_BYTES = 4_096;

/** Filled and copied at once. */
const DATA_HEAD = new Uint8Array(FRAME_HEAD_BYTES + STREAM_HEAD_BYTES);

export class ClientStreams implements StreamOwner {
  readonly #streams: Streams;
  readonly #out: ClientOut;
  readonly #socketsMax: number;
  readonly #nameOf: (node: NodeId) => string;
  readonly #gate: CreditGate;
  readonly #told: StreamsTold;
  readonly #sockets = new Map<number, StreamSocket>();
  readonly #byStream = new Map<Stream, StreamSocket>();
  /** Those with credit held back, the next first. */
  readonly #waiting = new Set<StreamSocket>();
  #nextAccepted = ACCEPTED_SOCKET_FIRST;

  constructor(
    streams: Streams,
    out: ClientOut,
    socketsMax: number,
    nameOf: (node: NodeId) => string,
    gate: CreditGate,
    told: StreamsTold = NOBODY_TOLD,
  ) {
    this.#streams = streams;
    this.#out = out;
    this.#socketsMax = socketsMax;
    this.#nameOf = nameOf;
    this.#gate = gate;
    this.#told = told;
  }

  get size(): number {
    return this.#sockets.size;
  }

  sockets(): IterableIterator<StreamSocket> {
    return this.#sockets.values();
  }

  has(number: number): boolean {
    return this.#sockets.has(number);
  }

  of(number: number): StreamSocket | undefined {
    return this.#sockets.get(number);
  }

  open(number: number, options: StreamOptions, limits: OwnLimits): void {
    this.#sockets.set(number, {
      number,
      options,
      limits,
      port: 0,
      stream: null,
      listening: false,
      credit: STREAM_CREDIT_INITIAL,
      onConnect: null,
      endTold: false,
      held: 0,
      prepaid: 0,
    });
  }

  /** Remembers the port; it is taken when the socket listens or connects. */
  bind(number: number, port: Port): Port {
    const socket = this.#idle(number);
    socket.port = port;
    return port;
  }

  /** Of its stream from now on, or of those that it accepts from now on. */
  setLimits(number: number, change: Partial<OwnLimits>): void {
    const socket = this.#sockets.get(number)!;
    socket.limits = { ...socket.limits, ...change };
    if (socket.stream !== null) socket.stream.limits = socket.limits;
  }

  /** In force: its own, or the daemon's. */
  limitsOf(number: number): LivenessLimits {
    const { stream, limits } = this.#sockets.get(number)!;
    return stream?.effectiveLimits ?? this.#streams.limitsFor(limits);
  }

  connect(
    number: number,
    node: NodeId,
    port: Port,
    timeoutUs: Micros | undefined,
    reply: Reply,
  ): void {
    const socket = this.#idle(number);
    socket.onConnect = reply;
    socket.stream = this.#streams.connect(node, port, socket.port, this, socket.options, timeoutUs);
    socket.stream.limits = socket.limits;
    socket.port = socket.stream.localPort;
    this.#byStream.set(socket.stream, socket);
  }

  listen(number: number, port: Port, backlog: number): Port {
    const socket = this.#idle(number);
    const { dissemination, congestion, secrecy } = socket.options;
    socket.port = this.#streams.listen(
      port === 0 ? socket.port : port,
      backlog,
      (chosen): StreamListener => ({
        port: chosen,
        dissemination,
        congestion,
        secrecy,
        onAccept: (stream) => this.#onAccept(socket, stream),
      }),
    );
    socket.listening = true;
    this.#told.onOpened(socket);
    return socket.port;
  }

  /** The client carries on to `target` what came from that port of `node` to `localPort`. */
  aim(node: NodeId, port: Port, localPort: Port, target: ReachedTarget): void {
    for (const stream of this.#byStream.keys())
      if (
        !stream.initiator &&
        stream.node === node &&
        stream.port === port &&
        stream.localPort === localPort
      )
        this.#streams.aim(stream, target);
  }

  /**
   * The client is done with the socket: what it wrote is still delivered. `broken`: the client
   * itself is gone, in the middle of what it did.
   */
  close(number: number, broken = false): void {
    const socket = this.#sockets.get(number);
    if (socket === undefined) return;
    this.#sockets.delete(number);
    this.#gone(socket, broken && socket.stream !== null ? 'ECONNABORTED' : null);
    if (socket.listening) this.#streams.unlisten(socket.port);
    if (socket.stream !== null) this.#release(socket.stream, broken);
    socket.onConnect?.(new SpinesError('ECONNABORTED', 'the socket was closed while it connected'));
  }

  /* -------------------------------------------------------------- from the client */

  /** `bytes[start..end)` for the stream; false when the client overdraws its credit. */
  onData(number: number, bytes: Uint8Array, start: number, end: number): boolean {
    const stream = this.#sockets.get(number)?.stream;
    if (stream === null || stream === undefined || stream.sender.ended) return true;
    if (end - start > STREAM_DATA_BYTES_MAX || end - start > stream.space) return false;
    stream.write(bytes, start, end);
    if (this.#gate.unlimited) return true;
    const socket = this.#sockets.get(number)!;
    const paid = Math.min(socket.prepaid, end - start);
    socket.prepaid -= paid;
    this.#gate.take(end - start - paid);
    return true;
  }

  onCredit(number: number, bytes: number): void {
    const socket = this.#sockets.get(number);
    if (socket === undefined) return;
    socket.credit = Math.min(socket.credit + bytes, 0xffff_ffff);
    if (socket.stream !== null) this.#pass(socket, socket.stream);
  }

  onEnd(number: number): void {
    this.#sockets.get(number)?.stream?.end();
  }

  onReset(number: number): void {
    const socket = this.#sockets.get(number);
    if (socket === undefined) return;
    this.#sockets.delete(number);
    this.#gone(socket, 'ECONNABORTED');
    const { stream } = socket;
    if (stream === null) return;
    this.#byStream.delete(stream);
    stream.owner = nobody;
    stream.reset();
  }

  /** The connection of the client is gone. */
  closeAll(): void {
    for (const number of [...this.#sockets.keys()]) this.close(number, true);
    this.#waiting.clear();
  }

  /* -------------------------------------------------------------- from streams */

  onOpen(stream: Stream): void {
    const socket = this.#byStream.get(stream);
    if (socket?.onConnect === null || socket === undefined) return;
    const reply = socket.onConnect;
    socket.onConnect = null;
    this.#told.onOpened(socket);
    reply({
      port: stream.localPort,
      remoteNode: formatNodeId(stream.node),
      remotePort: stream.port,
      authenticated: this.#streams.isProved(stream),
    });
  }

  onReadable(stream: Stream): void {
    const socket = this.#byStream.get(stream);
    if (socket !== undefined) this.#pass(socket, stream);
  }

  onSpace(stream: Stream, bytes: number): void {
    const socket = this.#byStream.get(stream);
    if (socket === undefined) return;
    if (this.#gate.unlimited && socket.held === 0) {
      this.#out.write(encodeCredit(socket.number, bytes));
      return;
    }
    socket.held += bytes;
    this.#waiting.add(socket);
    this.grantHeld();
  }

  /** Gives out credit that was held back for the client's rate, as much as that allows now. */
  grantHeld(): void {
    for (const socket of this.#waiting) {
      if (!this.#gate.open()) {
        this.#gate.onHeld();
        return;
      }
      // Taken out and put in again at the end: the loop gets to it after all others.
      this.#waiting.delete(socket);
      if (this.#sockets.get(socket.number) !== socket) continue;
      const bytes = this.#gate.unlimited ? socket.held : Math.min(socket.held, CREDIT_PIECE_BYTES);
      this.#out.write(encodeCredit(socket.number, bytes));
      this.#gate.take(bytes);
      socket.held -= bytes;
      if (!this.#gate.unlimited) socket.prepaid += bytes;
      if (socket.held > 0) this.#waiting.add(socket);
    }
  }

  onClosed(stream: Stream, error: StreamError): void {
    const socket = this.#byStream.get(stream);
    this.#byStream.delete(stream);
    if (socket === undefined) return;
    this.#sockets.delete(socket.number);
    this.#gone(socket, error);
    if (socket.onConnect !== null) {
      socket.onConnect(this.#describe(stream, error ?? 'ECONNRESET'));
      return;
    }
    if (error === null && !socket.endTold)
      this.#out.write(encodeSocketFrame(FRAME_STREAM_END, socket.number));
    const why =
      error === null ? {} : { code: error, message: this.#describe(stream, error).message };
    this.#out.write(
      encodeControl(FRAME_EVENT, { event: 'streamClosed', socket: socket.number, ...why }),
    );
  }

  #onAccept(listener: StreamSocket, stream: Stream): StreamOwner | null {
    if (!this.#sockets.has(listener.number) || this.#sockets.size >= this.#socketsMax) return null;
    do
      this.#nextAccepted =
        this.#nextAccepted === 0xffff_ffff ? ACCEPTED_SOCKET_FIRST : this.#nextAccepted + 1;
    while (this.#sockets.has(this.#nextAccepted));
    const number = this.#nextAccepted;
    const socket: StreamSocket = {
      number,
      options: stream.options,
      limits: listener.limits,
      port: stream.localPort,
      stream,
      listening: false,
      credit: STREAM_CREDIT_INITIAL,
      onConnect: null,
      endTold: false,
      held: 0,
      prepaid: 0,
    };
    stream.limits = socket.limits;
    this.#sockets.set(number, socket);
    this.#byStream.set(stream, socket);
    this.#told.onOpened(socket);
    this.#out.write(
      encodeControl(FRAME_EVENT, {
        event: 'accepted',
        listener: listener.number,
        socket: number,
        node: formatNodeId(stream.node),
        port: stream.port,
        authenticated: this.#streams.isProved(stream),
      }),
    );
    return this;
  }

  /** Gives the client what it has credit for. */
  #pass(socket: StreamSocket, stream: Stream): void {
    while (socket.credit > 0 && stream.receiver.readyBytes > 0) {
      const front = stream.front();
      const count = Math.min(front.length, socket.credit, STREAM_DATA_BYTES_MAX);
      encodeStreamHead(DATA_HEAD, 0, socket.number, count);
      this.#out.append(DATA_HEAD, front, 0, count);
      socket.credit -= count;
      stream.take(count);
    }
    if (stream.readEnded && !socket.endTold) {
      socket.endTold = true;
      this.#out.write(encodeSocketFrame(FRAME_STREAM_END, socket.number));
      stream.onTaken();
    }
  }

  /** One that never was connected is told of as well: it was refused, or given up. */
  #gone(socket: StreamSocket, code: string | null): void {
    if (socket.stream !== null || socket.listening) this.#told.onClosed(socket, code);
  }

  #release(stream: Stream, broken: boolean): void {
    this.#byStream.delete(stream);
    stream.abandon(nobody, broken);
  }

  #idle(number: number): StreamSocket {
    const socket = this.#sockets.get(number);
    if (socket === undefined)
      throw new SpinesError('EBADF', `there is no socket ${number} on this connection`);
    if (socket.listening) throw new SpinesError('EINVAL', `socket ${number} is listening already`);
    if (socket.stream !== null)
      throw new SpinesError('EISCONN', `socket ${number} is connected, or connecting, already`);
    return socket;
  }

  #describe(stream: Stream, error: Exclude<StreamError, null>): SpinesError {
    const where = `${this.#nameOf(stream.node)} port ${stream.port}`;
    switch (error) {
      case 'ECONNREFUSED':
        return new SpinesError(
          error,
          `nobody listens on ${where}, or not for this routing; start the program there, or ` +
            'check port and routing',
        );
      case 'EACCES':
        return new SpinesError(
          error,
          `rules of ${this.#nameOf(stream.node)} do not let this node open streams to port ` +
            `${stream.port}; ask its operator (firewall.inbound in its config)`,
        );
      case 'ETIMEDOUT':
        return new SpinesError(
          error,
          stream.noRoute
            ? `${where} has been out of reach for too long, no route leads there; \`spines ` +
                `routes\` shows what is reachable`
            : `${where} does not answer any more, or never did; \`spines trace\` shows how far ` +
                'packets get',
        );
      case 'EHOSTUNREACH':
        return new SpinesError(
          error,
          `no route to ${this.#nameOf(stream.node)}; \`spines routes\` shows what is reachable`,
        );
      case 'ECONNRESET':
        return new SpinesError(
          error,
          `${where} ended the stream: its program or its daemon stopped`,
        );
      case 'ECONNABORTED':
        return new SpinesError(error, `the stream to ${where} was ended here`);
    }
  }
}
