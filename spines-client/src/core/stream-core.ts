/**
 * One stream of a connection to the daemon, without I/O: credit both ways, half-close, reset.
 *
 * Does not own requests (core.ts), its number (stream-table.ts) or the program's face of a stream
 * (socket.ts, server.ts). A stream that is not read gets no credit and so holds at most
 * STREAM_CREDIT_INITIAL bytes here; no other stream waits for it. Invariant: `window` and `#credit`
 * mirror the daemon's.
 *
 * Frames are as small as the overlay's packets. What one read of the connection brings for a stream
 * is handed over as one piece when that read has been gone through, so nothing waits for more to
 * come; until then the pieces are views of the connection's read buffer, and what the program does
 * not take by then is copied.
 *
 *   connecting ──established──> open ──finish──> lingering ──streamClosed──> over
 *       │                        │                   │ data: reset, as for a socket closed
 *       └────────abandon─────────┴──reset, streamClosed, connection lost──> over
 */

import type { ByteQueue } from './byte-queue.ts';
import { SpinesClientError } from '../errors.ts';
import type { FrameSlab } from './frame-slab.ts';
import {
  FRAME_HEAD_BYTES,
  FRAME_STREAM_END,
  FRAME_STREAM_RESET,
  STREAM_CREDIT_INITIAL,
  STREAM_DATA_BYTES_MAX,
  STREAM_HEAD_BYTES,
  encodeCredit,
  encodeSocketFrame,
  encodeStreamHead,
} from '../shared/protocol.ts';

/** Credit goes back in pieces of at least this. */
export const CREDIT_GRANT_BYTES = STREAM_CREDIT_INITIAL / 4;
/** Send credit past this makes no sense. */
export const CREDIT_MAX = 0xffff_ffff;
/** A piece handed over is no longer: what net reads at a time. */
export const PIECE_BYTES_MAX = 65_536;
export interface StreamListener {
  /** `payload` is the listener's own, and counts as consumed. False: no more until `resume`. */
  onData(payload: Uint8Array): boolean;
  /** The far end sends no more; all its data has been handed over. */
  onEnd(): void;
  /** Credit has come. */
  onCredit(): void;
  /**
   * The stream is over: null in an orderly way, or by `release`. Unless it is `cut`, what was
   * received can still be taken. Called once, not after `reset` or `abandon`.
   */
  onClosed(error: SpinesClientError | null): void;
  /** `reading` may have changed. */
  onReading(): void;
}

/** What the table needs of the connection. */
export interface StreamHost {
  readonly slab: FrameSlab;
  /** False: the connection holds more than it should. */
  write(bytes: Uint8Array): boolean;
  protocolError(what: string): void;
  /** Memory that is the program's from then on. */
  allocate(bytes: number): Uint8Array;
  /** A number unused on this connection; throws EMFILE. */
  takeNumber(): number;
  thrown(error: unknown): void;
}

/** What a stream tells the table that it is in. */
export interface StreamHome {
  /** The program is done with it. */
  lingering(stream: CoreStream): void;
  endReceived(stream: CoreStream): void;
  /** It is over. */
  forget(stream: CoreStream): void;
  /** It has got data that lies in `bytes`. */
  toHand(stream: CoreStream, bytes: Uint8Array): void;
}

type StreamState = 'connecting' | 'open' | 'lingering' | 'over';

const EDGES: Record<StreamState, readonly StreamState[]> = {
  connecting: ['open', 'over'],
  open: ['lingering', 'over'],
  lingering: ['over'],
  over: [],
};

export class CoreStream {
  readonly id: number;
  readonly #table: StreamHome;
  readonly #host: StreamHost;
  #queue: (Uint8Array | undefined)[] = [];
  #queueHead = 0;
  /** So many pieces at the end of the queue are views of what is being read. */
  #borrowed = 0;
  #listener: StreamListener | null;
  #state: StreamState = 'connecting';
  #credit = STREAM_CREDIT_INITIAL;
  #window = STREAM_CREDIT_INITIAL;
  /** Handed over and not granted back yet. */
  #consumed = 0;
  #queuedBytes = 0;
  #flowing = false;
  #handing = false;
  #endSent = false;
  #endReceived = false;
  #endTold = false;
  #cut = false;

  constructor(table: StreamHome, host: StreamHost, id: number, listener: StreamListener | null) {
    this.#table = table;
    this.#host = host;
    this.id = id;
    this.#listener = listener;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Bytes that may be sent now. */
  get credit(): number {
    return this.#credit;
  }

  /** Received bytes that nobody has taken. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get endReceived(): boolean {
    return this.#endReceived;
  }

  /** Over before its time: what was received and not taken is lost. */
  get cut(): boolean {
    return this.#cut;
  }

  /** More data is wanted and may come. */
  get reading(): boolean {
    return this.#flowing && !this.#endReceived && this.#state === 'open';
  }

  get attached(): boolean {
    return this.#listener !== null;
  }

  attach(listener: StreamListener): void {
    this.#listener = listener;
  }

  /** `connect` was answered. To be called before the next frame is read. */
  established(): void {
    this.#become('open');
  }

  /**
   * Sends what credit and connection allow. False: the connection is full, go on when it has
   * drained.
   */
  send(queue: ByteQueue): boolean {
    while (this.#state === 'open' && !this.#endSent) {
      const bytes = Math.min(queue.bytes, this.#credit, STREAM_DATA_BYTES_MAX);
      if (bytes === 0) return true;
      const frame = this.#host.slab.take(FRAME_HEAD_BYTES + STREAM_HEAD_BYTES + bytes);
      queue.read(frame, encodeStreamHead(frame, 0, this.id, bytes), bytes);
      this.#credit -= bytes;
      if (!this.#host.write(frame)) return false;
    }
    return true;
  }

  /** No more data from here. */
  end(): void {
    if (this.#state !== 'open' || this.#endSent) return;
    this.#endSent = true;
    this.#host.write(encodeSocketFrame(FRAME_STREAM_END, this.id));
  }

  /** Hands over what is queued, and from now on what comes, until `onData` says false. */
  resume(): void {
    this.#flowing = true;
    this.#hand();
    this.#listener?.onReading();
  }

  /**
   * The program is done with an undisturbed stream: what was sent still arrives, `onClosed` tells
   * when.
   */
  finish(): void {
    if (this.#state !== 'open') return;
    this.end();
    this.#become('lingering');
    this.#table.lingering(this);
  }

  /** Ends the stream now, both ways. */
  reset(): void {
    if (this.#state === 'over') return;
    this.#host.write(encodeSocketFrame(FRAME_STREAM_RESET, this.id));
    this.abandon();
  }

  /**
   * The program closes the connection: over without a word to the daemon, which sees the connection
   * end.
   */
  release(): void {
    if (this.#state === 'lingering' || this.#state === 'over') return;
    this.abandon();
    this.#listener?.onClosed(null);
  }

  /** Forgets the stream; the daemon is told otherwise, or knows. */
  abandon(): void {
    if (this.#state === 'over') return;
    this.#over();
    this.#clear();
  }

  /*
   * ---------------------------------------------------------------- from the daemon; called by the
   * table
   */

  onData(bytes: Uint8Array, start: number, end: number): void {
    const payloadBytes = end - start;
    if (this.#state === 'connecting')
      this.#host.protocolError(`data on stream ${this.id} before it is established`);
    else if (this.#endReceived) this.#host.protocolError(`data after the end of stream ${this.id}`);
    else if (payloadBytes > this.#window)
      this.#host.protocolError(`data on stream ${this.id} beyond its credit`);
    else if (payloadBytes > 0) {
      this.#window -= payloadBytes;
      if (this.#state === 'lingering') {
        this.#lose();
        return;
      }
      this.#queue.push(bytes.subarray(start, end));
      this.#borrowed++;
      this.#queuedBytes += payloadBytes;
      this.#table.toHand(this, bytes);
    }
  }

  onCredit(bytes: number): void {
    if (this.#state === 'connecting' || this.#credit + bytes > CREDIT_MAX) {
      this.#host.protocolError(`credit for stream ${this.id} makes no sense`);
      return;
    }
    this.#credit += bytes;
    if (this.#state === 'open' && bytes > 0) this.#listener?.onCredit();
  }

  onEnd(): void {
    if (this.#state === 'connecting' || this.#endReceived) {
      this.#host.protocolError(`stream ${this.id} ends twice, or before it is established`);
      return;
    }
    this.#endReceived = true;
    this.#table.endReceived(this);
    if (this.#state === 'open') this.#hand();
    this.#listener?.onReading();
  }

  /** All that one read has brought is here. */
  endBatch(): void {
    try {
      this.#hand();
    } finally {
      this.own();
    }
  }

  /** Copies what is still only a view. */
  own(): void {
    const count = this.#borrowed;
    if (count === 0) return;
    this.#borrowed = 0;
    const first = this.#queue.length - count;
    const parts = this.#queue.splice(first) as Uint8Array[];
    for (let at = 0; at < parts.length; ) {
      const end = pieceEnd(parts, at);
      this.#queue.push(this.#joined(parts, at, end));
      at = end;
    }
  }

  onClosed(code: string | undefined, message: string | undefined): void {
    if (code === undefined && this.#endReceived && this.#endSent) {
      this.#over();
      this.#listener?.onClosed(null);
      return;
    }
    this.onBroken(
      new SpinesClientError(
        code ?? 'ECONNRESET',
        message ?? 'the stream ended before both sides had ended it',
        { syscall: 'read' },
      ),
    );
  }

  /** The stream, or the connection under it, is lost. */
  onBroken(error: SpinesClientError): void {
    // What the same read brought before comes before the break, if anybody takes it.
    if (this.#borrowed > 0 && this.#state === 'open') this.#hand();
    // The program may have ended it meanwhile.
    if (this.#state === 'over') return;
    const lingered = this.#state === 'lingering';
    this.#over();
    this.#clear();
    this.#listener?.onClosed(lingered ? null : error);
  }

  /* ---------------------------------------------------------------- helpers */

  #hand(): void {
    if (this.#handing) return;
    this.#handing = true;
    try {
      while (this.#flowing && this.#queuedBytes > 0) {
        const payload = this.#shift();
        this.#consume(payload.length);
        this.#flowing = false;
        if (this.#listener?.onData(payload)) this.#flowing = true;
        else this.#listener?.onReading();
      }
      if (this.#queuedBytes === 0 && this.#endReceived && !this.#endTold) {
        this.#endTold = true;
        this.#listener?.onEnd();
      }
    } finally {
      this.#handing = false;
    }
  }

  /** The next piece: one that is ours as it is, or several as one. */
  #shift(): Uint8Array {
    const queue = this.#queue as Uint8Array[];
    const start = this.#queueHead;
    const end = pieceEnd(queue, start);
    const piece =
      end === start + 1 && start < queue.length - this.#borrowed
        ? queue[start]!
        : this.#joined(queue, start, end);
    for (let i = start; i < end; i++) this.#queue[i] = undefined;
    this.#queueHead = end;
    this.#borrowed = Math.min(this.#borrowed, queue.length - end);
    this.#queuedBytes -= piece.length;
    if (this.#queuedBytes === 0) {
      this.#queue = [];
      this.#queueHead = 0;
    }
    return piece;
  }

  #joined(parts: readonly Uint8Array[], start: number, end: number): Uint8Array {
    let bytes = 0;
    for (let i = start; i < end; i++) bytes += parts[i]!.length;
    const piece = this.#host.allocate(bytes);
    for (let i = start, at = 0; i < end; at += parts[i++]!.length) piece.set(parts[i]!, at);
    return piece;
  }

  #consume(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed < CREDIT_GRANT_BYTES || this.#endReceived || this.#state !== 'open') return;
    this.#window += this.#consumed;
    this.#host.write(encodeCredit(this.id, this.#consumed));
    this.#consumed = 0;
  }

  /** Data for a program that has closed its socket. */
  #lose(): void {
    this.#host.write(encodeSocketFrame(FRAME_STREAM_RESET, this.id));
    this.#over();
    this.#listener?.onClosed(null);
  }

  #over(): void {
    this.#become('over');
    this.#table.forget(this);
  }

  #clear(): void {
    this.#queue = [];
    this.#queueHead = 0;
    this.#borrowed = 0;
    this.#queuedBytes = 0;
    this.#flowing = false;
    this.#endTold = true;
    this.#cut = true;
  }

  #become(next: StreamState): void {
    if (!EDGES[this.#state].includes(next)) throw new Error(`stream: ${this.#state} -> ${next}`);
    this.#state = next;
  }
}

/** Behind the pieces from `start` that make one piece to be handed over. */
function pieceEnd(parts: readonly Uint8Array[], start: number): number {
  let bytes = parts[start]!.length;
  let end = start + 1;
  while (end < parts.length && bytes + parts[end]!.length <= PIECE_BYTES_MAX)
    bytes += parts[end++]!.length;
  return end;
}
