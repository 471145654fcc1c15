/**
 * Streams and listeners of one connection to the daemon, by number.
 *
 * Owns the numbers, those that are gone lately included, checks every frame and event about
 * streams, and hands over what one read of the connection has brought when it has been gone through
 * (`beginBatch`, `endBatch`). A single stream's life is stream-core.ts's.
 */

import { SpinesClientError } from '../errors.ts';
import {
  ACCEPTED_SOCKET_FIRST,
  FRAME_STREAM_DATA,
  FRAME_STREAM_CREDIT,
  FRAME_STREAM_END,
  STREAM_DATA_BYTES_MAX,
  STREAM_HEAD_BYTES,
  getWord,
} from '../shared/protocol.ts';
import {
  CoreStream,
  type StreamHome,
  type StreamHost,
  type StreamListener,
} from './stream-core.ts';

/** Numbers remembered after their stream: what the daemon sent before it knew is ignored. */
export const GONE_MAX = 65_536;

export interface AcceptListener {
  /**
   * A stream has come; it is reset where `attach` is not called before this returns. `node`: dotted
   * quad; `authenticated`: and it is proved.
   */
  onAccepted(stream: CoreStream, node: string, port: number, authenticated: boolean): void;
}

export class StreamTable implements StreamHome {
  readonly #host: StreamHost;
  readonly #streams = new Map<number, CoreStream>();
  readonly #listeners = new Map<number, AcceptListener>();
  readonly #gone = new Set<number>();
  /** Ended both ways, not yet acknowledged by the far end. */
  readonly #settling = new Set<CoreStream>();
  /** What is being read, and the streams that have something in it. */
  #batch: Uint8Array | null = null;
  #toHand: CoreStream[] = [];
  #onSettled: (() => void)[] = [];
  #strays = 0;

  constructor(host: StreamHost) {
    this.#host = host;
  }

  /** Numbers in use: streams and listeners. */
  get size(): number {
    return this.#streams.size + this.#listeners.size;
  }

  /** Frames for streams that were just over; they are ignored. */
  get strayFrames(): number {
    return this.#strays;
  }

  has(id: number): boolean {
    return this.#streams.has(id) || this.#listeners.has(id);
  }

  /** A number for a stream to be connected. The daemon is not told. */
  open(listener: StreamListener): CoreStream {
    const id = this.#host.takeNumber();
    const stream = new CoreStream(this, this.#host, id, listener);
    this.#gone.delete(id);
    this.#streams.set(id, stream);
    return stream;
  }

  /** A number for a listener; it stays through lost connections, until `forgetListener`. */
  openListener(listener: AcceptListener): number {
    const id = this.#host.takeNumber();
    this.#gone.delete(id);
    this.#listeners.set(id, listener);
    return id;
  }

  forgetListener(id: number): void {
    if (this.#listeners.delete(id)) this.#remember(id);
  }

  get isSettled(): boolean {
    return this.#settling.size === 0;
  }

  /** Releases all streams but those that linger. */
  release(): void {
    for (const stream of [...this.#streams.values()]) stream.release();
  }

  /**
   * Calls back, at once or later, when no stream that has ended both ways waits for its
   * acknowledgement.
   */
  settled(callback: () => void): void {
    if (this.#settling.size === 0) callback();
    else this.#onSettled.push(callback);
  }

  lingering(stream: CoreStream): void {
    if (stream.endReceived) this.#settling.add(stream);
  }

  endReceived(stream: CoreStream): void {
    if (stream.state === 'lingering') this.#settling.add(stream);
  }

  forget(stream: CoreStream): void {
    this.#streams.delete(stream.id);
    this.#remember(stream.id);
    if (!this.#settling.delete(stream) || this.#settling.size > 0) return;
    const callbacks = this.#onSettled;
    this.#onSettled = [];
    for (const callback of callbacks) callback();
  }

  /** The connection is lost, and with it every stream. */
  onConnectionLost(cause: SpinesClientError): void {
    const streams = [...this.#streams.values()];
    const code = cause.code === 'EPROTO' ? 'EPROTO' : 'ECONNRESET';
    for (const stream of streams) {
      // A connect under way has been answered already.
      if (stream.state === 'over') continue;
      try {
        stream.onBroken(
          new SpinesClientError(
            code,
            `the connection to the daemon ended, and the stream with it: ${cause.message}`,
            { syscall: 'read', cause },
          ),
        );
      } catch (error) {
        this.#host.thrown(error);
      }
    }
    this.#gone.clear();
  }

  /* ---------------------------------------------------------------- frames */

  /** What comes now until `endBatch` lies in `chunk`, unless it began in one before. */
  beginBatch(chunk: Uint8Array): void {
    this.#batch = chunk;
  }

  /** Hands over what has come. */
  endBatch(): void {
    this.#batch = null;
    const streams = this.#toHand;
    this.#toHand = [];
    for (const stream of streams) {
      try {
        stream.endBatch();
      } catch (error) {
        this.#host.thrown(error);
      }
    }
  }

  /** `stream` has got data that lies in `bytes`. */
  toHand(stream: CoreStream, bytes: Uint8Array): void {
    // A frame that two reads brought lies in memory that the next one overwrites.
    if (bytes !== this.#batch) stream.own();
    if (this.#batch === null) stream.endBatch();
    else if (this.#toHand.at(-1) !== stream) this.#toHand.push(stream);
  }

  /** False: not a frame about streams. */
  onFrame(type: number, bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    switch (type) {
      case FRAME_STREAM_DATA:
        if (length < STREAM_HEAD_BYTES || length > STREAM_HEAD_BYTES + STREAM_DATA_BYTES_MAX)
          this.#host.protocolError('STREAM_DATA is malformed');
        else
          this.#find(getWord(bytes, start), 'data')?.onData(bytes, start + STREAM_HEAD_BYTES, end);
        return true;
      case FRAME_STREAM_CREDIT:
        if (length !== 8) this.#host.protocolError('STREAM_CREDIT is malformed');
        else this.#find(getWord(bytes, start), 'credit')?.onCredit(getWord(bytes, start + 4));
        return true;
      case FRAME_STREAM_END:
        if (length !== 4) this.#host.protocolError('STREAM_END is malformed');
        else this.#find(getWord(bytes, start), 'an end')?.onEnd();
        return true;
      default:
        return false;
    }
  }

  onAcceptedEvent(body: Record<string, unknown>): void {
    const { listener, socket: id, node, port, authenticated } = body;
    if (
      !isNumber(listener) ||
      !isNumber(id) ||
      id < ACCEPTED_SOCKET_FIRST ||
      this.#streams.has(id) ||
      typeof node !== 'string' ||
      !isPort(port)
    ) {
      this.#host.protocolError('EVENT accepted is malformed');
      return;
    }
    const target = this.#listeners.get(listener);
    if (target === undefined && !this.#gone.has(listener)) {
      this.#host.protocolError(`a stream was accepted for ${listener}, which does not listen`);
      return;
    }
    this.#gone.delete(id);
    const stream = new CoreStream(this, this.#host, id, null);
    this.#streams.set(id, stream);
    stream.established();
    try {
      target?.onAccepted(stream, node, port, authenticated === true);
    } finally {
      if (!stream.attached) stream.reset();
    }
  }

  onClosedEvent(body: Record<string, unknown>): void {
    const { socket: id, code, message } = body;
    if (
      !isNumber(id) ||
      (code !== undefined && typeof code !== 'string') ||
      (message !== undefined && typeof message !== 'string')
    ) {
      this.#host.protocolError('EVENT streamClosed is malformed');
      return;
    }
    const stream = this.#find(id, 'a close');
    if (stream?.state === 'connecting')
      this.#host.protocolError(`stream ${id} is over before it is established`);
    else stream?.onClosed(code, message);
  }

  #find(id: number, what: string): CoreStream | undefined {
    const stream = this.#streams.get(id);
    if (stream !== undefined) return stream;
    if (this.#gone.has(id)) this.#strays++;
    else this.#host.protocolError(`${what} for ${id}, which is no stream`);
    return undefined;
  }

  #remember(id: number): void {
    this.#gone.add(id);
    if (this.#gone.size <= GONE_MAX) return;
    const oldest = this.#gone.keys().next();
    if (!oldest.done) this.#gone.delete(oldest.value);
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0xffff_ffff;
}

function isPort(value: unknown): value is number {
  return isNumber(value) && value <= 65_535;
}
