/**
 * The protocol between a client program and its daemon: frame layout, limits, message shapes.
 *
 * Shared by both sides: the daemon imports it, and it imports nothing of the daemon. A frame is a
 * 32-bit big-endian length (of all that follows), a type byte and a body. Control bodies are
 * msgpack maps; bodies on the data path have a fixed binary head. The client speaks first (HELLO);
 * every REQUEST is answered by one REPLY with the same id. Over TCP on the daemon's machine HELLO
 * carries a token; with `asksOnly: true` the client opens no sockets, and finds a place when others
 * do not. From other machines the same bytes travel in sealed records, after a handshake with
 * certificates (sealed-records.ts).
 */

import { Packr, Unpackr } from 'msgpackr';

import type { WatchEvent } from './watch-events.ts';

export * from './capture.ts';
export * from './operations.ts';
export * from './group-replies.ts';
export * from './dials.ts';
export * from './modes.ts';
export * from './replies.ts';
export * from './sealed-records.ts';
export * from './session-replies.ts';
export * from './watch-events.ts';

export const PROTOCOL_VERSION = 1;

/** A HELLO frame is no longer. */
export const HELLO_BYTES_MAX = 1_024;

/** Bytes before a frame's body: length u32 and type u8. */
export const FRAME_HEAD_BYTES = 5;
/** Largest datagram an application may send. */
export const MESSAGE_BYTES_MAX = 65_536;
/** Largest value of a frame's length field; a longer frame ends the connection. */
export const FRAME_LENGTH_MAX = 262_144;

export const FRAME_HELLO = 0x01;
export const FRAME_WELCOME = 0x02;
export const FRAME_REQUEST = 0x03;
export const FRAME_REPLY = 0x04;
export const FRAME_EVENT = 0x05;
/**
 * client -> daemon: socket u32, destination node u32, destination port u16, reserved u16 = 0,
 * payload.
 */
export const FRAME_SEND = 0x10;
/**
 * daemon -> client: socket u32, source node u32, source port u16, flags u16 (RECV_PROVED, where the
 * socket asked for it; RECV_GROUP, to sockets that joined a group), payload.
 */
export const FRAME_RECV = 0x11;
/**
 * The source is what the message says: it was sealed from end to end, came by byzantine routing, or
 * from this daemon.
 */
export const RECV_PROVED = 0x0001;
/** The message was sent to a group: its id, u32, is in front of the payload. */
export const RECV_GROUP = 0x0002;
export const RECV_GROUP_BYTES = 4;
/**
 * daemon -> client: socket u32. Nothing more should be sent on it until WRITABLE; what is sent may
 * be dropped.
 */
export const FRAME_BLOCKED = 0x12;
/** daemon -> client: socket u32. */
export const FRAME_WRITABLE = 0x13;

/**
 * Both ways: socket u32, payload of at most STREAM_DATA_BYTES_MAX; never more payload than credit
 * allows.
 */
export const FRAME_STREAM_DATA = 0x20;
/**
 * Both ways: socket u32, bytes u32: the sender of this frame takes that many payload bytes more.
 */
export const FRAME_STREAM_CREDIT = 0x21;
/** Both ways: socket u32. No more data from this side (half-close). */
export const FRAME_STREAM_END = 0x22;
/**
 * client -> daemon: socket u32. The stream ends at once, the far end sees a reset; the number is
 * free.
 */
export const FRAME_STREAM_RESET = 0x23;

/** Payload bytes that either side may send on a new stream before it has got any credit. */
export const STREAM_CREDIT_INITIAL = 262_144;
export const STREAM_DATA_BYTES_MAX = 65_536;
/** Bytes of the fixed head of STREAM_DATA bodies. */
export const STREAM_HEAD_BYTES = 4;
/** Socket numbers from here on are chosen by the daemon (accepted streams). */
export const ACCEPTED_SOCKET_FIRST = 0x8000_0000;

/** Milliseconds of a stream's keepalive (0 as well: it never asks) and silence limit. */
export const KEEPALIVE_MS_MIN = 500;
export const SILENCE_MS_MIN = 1_000;
export const LIVENESS_MS_MAX = 86_400_000;

/** What holds a stream's sender back when the network is full. */
export const CONGESTION_NAMES = ['newreno', 'cubic', 'bbr'] as const;
export type CongestionName = (typeof CONGESTION_NAMES)[number];

/** Bytes of the fixed head of SEND and RECV bodies. */
export const DATAGRAM_HEAD_BYTES = 12;
/**
 * Marks of a SEND of a realtime socket, the last two bytes of its head, where the daemon answered
 * `socket` with link 'realtime': bits 0-11 a deadline of this message, milliseconds, 1..2000, 0:
 * the socket's; bits 12-13 its redundancy: 0 the socket's, 1 auto, 2 none, 3 copy.
 */
export const MARK_DEADLINE_MASK = 0x0fff;
export const MARK_REDUNDANCY_SHIFT = 12;
export const MARK_MAX = 0x3fff;
export const DEADLINE_MS_MAX = 2_000;

export interface HelloBody {
  version: number;
  /** Free text for the daemon's log, e.g. "spines cat". */
  client: string;
  /**
   * Over TCP on the daemon's machine: the contents of the daemon's token file, 64 hexadecimal
   * digits. Wrong or missing: the daemon answers with a `closing` EVENT of code EACCES instead of
   * WELCOME, and closes. Not looked at elsewhere.
   */
  token?: string;
}

export interface WelcomeBody {
  version: number;
  /** Dotted quad. */
  node: string;
  name: string;
  /** Changes with every start of the daemon, so that a client can tell a restart from a hiccup. */
  instance: string;
  messageBytesMax: number;
  socketsMax: number;
  /**
   * What this client may do; each may do what those before it may. Absent from daemons before 0.2.
   */
  role?: 'read-only' | 'use' | 'full';
}

/**
 * Requests: `{id, op, ...}`. `socket` is chosen by the client, 1..2^31-1, unused on this
 * connection; it is free again once `close` is answered. `close` ends a stream in an orderly way; a
 * connection that ends takes its streams along, and the far ends of those that were not ended see a
 * reset. Requests and SENDs of one connection are handled in their order. A daemon of another
 * protocol version answers HELLO with a WELCOME of its own version and closes. What a client may
 * ask is a matter of its role: read-only is for operations that change nothing, use for sockets as
 * well, full for all; the rest answers EACCES. Remote clients have use unless the daemon's config
 * says otherwise.
 *
 * op          arguments                                              reply
 * socket      socket, kind, link, routing, secrecy? ('end-to-end',   {link?} (asked for realtime:
 *             'links'; default: the daemon's), ttl?, priority?,      'realtime', or 'best-effort'
 *             proof? (true: RECV says RECV_PROVED), deadlineMs?      of a daemon that has none)
 *             1..2000, late? ('drop', 'deliver'), redundancy?
 *             ('auto', 'none', 'copy'), reuseAddr? (true: others may
 *             have its port who say so too), slowBranch? ('drop',
 *             'wait'), paths? (of routing 'paths', 1..5; default 2),
 *             graph? (of routing 'graph', GraphName; default 'auto';
 *             deadlineMs of that routing too),
 *             keepaliveMs?, silenceMs?,
 *             congestion?: CongestionName (the last three of
 *             streams, and of those that a listener accepts)
 * bind        socket, port (0 = any)                                 {node, port}
 * close       socket                                                 {}
 * join        socket (bound), group (class D or E, dotted quad),     {}
 *             source? (a node: hear only what it sends)
 * leave       the same as were joined                                {}
 * setOption   socket, option, value                                  {}
 *             option: of datagrams 'ttl' 1..255, 'priority' 1..10, 'deadlineMs', 'late',
 *             'redundancy', 'paths', 'graph', 'multicastTtl' 1..255, 'multicastLoopback' true |
 *             false; of streams and listeners 'keepaliveMs' 0 | 500..86400000, 'silenceMs'
 *             1000..86400000, both null: the daemon's
 * getOption   socket, option                                         {value}
 * connect     socket, node (name or quad), port, timeoutMs?          {node, port, remoteNode,
 *                                                                    remotePort, authenticated}
 *             once established; `authenticated`: remoteNode is proved
 * listen      socket, port (0 = any), backlog?                       {node, port}
 *
 * The operations about the daemon itself, their arguments and answers, are in operations.ts.
 */
export interface RequestBody {
  id: number;
  op: string;
  [argument: string]: unknown;
}

export type ReplyBody =
  | { id: number; ok: true; [result: string]: unknown }
  | { id: number; ok: false; code: string; message: string };

/**
 * `closing`: the connection ends, because this client broke the protocol (EPROTO) or may not, or no
 * longer, use this daemon (EACCES; may come instead of WELCOME). `sendError`: a datagram of
 * `socket` was refused; at most a few a second are reported, `count` says how many.
 */
export type EventBody =
  | { event: 'sendError'; socket: number; code: string; message: string; count: number }
  /** Of `count` that the socket did not get, `late` came after their deadline. */
  | { event: 'recvDropped'; socket: number; count: number; late?: number }
  | { event: 'draining' }
  | { event: 'closing'; code: string; message: string }
  /**
   * A stream reached `listener`: it is `socket` from now on. `node` is a dotted quad, and proved
   * where `authenticated` is true.
   */
  | {
      event: 'accepted';
      listener: number;
      socket: number;
      node: string;
      port: number;
      authenticated: boolean;
    }
  /** The stream is over, both ways; its number is free. `code` is absent after an orderly end. */
  | { event: 'streamClosed'; socket: number; code?: string; message?: string }
  /** Something happened on the daemon, and this client asked for such things (`watch`). */
  | { event: 'watch'; seen: WatchEvent };

/* ------------------------------------------------------------------ codec */

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number', copyBuffers: true });

/** A whole frame with a msgpack body. */
export function encodeControl(type: number, body: object): Uint8Array {
  const packed = packr.pack(body);
  const frame = new Uint8Array(FRAME_HEAD_BYTES + packed.length);
  putHead(frame, 0, type, packed.length);
  frame.set(packed, FRAME_HEAD_BYTES);
  return frame;
}

/** The map in `body`, or null when it is not msgpack or not a plain map with string keys. */
export function decodeControl(body: Uint8Array): Record<string, unknown> | null {
  let value: unknown;
  try {
    value = unpackr.unpack(body);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  if (Object.getPrototypeOf(value) !== Object.prototype) return null;
  return value as Record<string, unknown>;
}

/** Writes length and type of a frame whose body has `bodyBytes`. */
export function putHead(out: Uint8Array, at: number, type: number, bodyBytes: number): void {
  const length = bodyBytes + 1;
  out[at] = length >>> 24;
  out[at + 1] = length >>> 16;
  out[at + 2] = length >>> 8;
  out[at + 3] = length;
  out[at + 4] = type;
}

/** A whole SEND (or RECV) frame. `node`: the far node, u32. */
export function encodeDatagram(
  type: number,
  socket: number,
  node: number,
  port: number,
  payload: Uint8Array,
): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + DATAGRAM_HEAD_BYTES + payload.length);
  encodeDatagramHead(frame, 0, type, socket, node, port, payload.length);
  frame.set(payload, FRAME_HEAD_BYTES + DATAGRAM_HEAD_BYTES);
  return frame;
}

/** Writes the frame head and the fixed head of a SEND or RECV; returns where the payload goes. */
export function encodeDatagramHead(
  out: Uint8Array,
  at: number,
  type: number,
  socket: number,
  node: number,
  port: number,
  payloadBytes: number,
  marks = 0,
): number {
  putHead(out, at, type, DATAGRAM_HEAD_BYTES + payloadBytes);
  const view = at + FRAME_HEAD_BYTES;
  putWord(out, view, socket);
  putWord(out, view + 4, node);
  out[view + 8] = port >>> 8;
  out[view + 9] = port;
  out[view + 10] = marks >>> 8;
  out[view + 11] = marks;
  return view + DATAGRAM_HEAD_BYTES;
}

/** A whole CREDIT frame. */
export function encodeCredit(socket: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + 8);
  putHead(frame, 0, FRAME_STREAM_CREDIT, 8);
  putWord(frame, FRAME_HEAD_BYTES, socket);
  putWord(frame, FRAME_HEAD_BYTES + 4, bytes);
  return frame;
}

/** Writes the frame head and the socket number of a STREAM_DATA; returns where the payload goes. */
export function encodeStreamHead(
  out: Uint8Array,
  at: number,
  socket: number,
  payloadBytes: number,
): number {
  putHead(out, at, FRAME_STREAM_DATA, STREAM_HEAD_BYTES + payloadBytes);
  putWord(out, at + FRAME_HEAD_BYTES, socket);
  return at + FRAME_HEAD_BYTES + STREAM_HEAD_BYTES;
}

/** A whole frame whose body is one socket number (BLOCKED, WRITABLE, STREAM_END, STREAM_RESET). */
export function encodeSocketFrame(type: number, socket: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + 4);
  putHead(frame, 0, type, 4);
  putWord(frame, FRAME_HEAD_BYTES, socket);
  return frame;
}

export function getWord(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

function putWord(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/* ------------------------------------------------------------------ reading a byte stream */

export interface FrameSink {
  /** `bytes[start..end)` is the body; valid during the call only. */
  onFrame(type: number, bytes: Uint8Array, start: number, end: number): void;
}

/**
 * Cuts a byte stream into frames. Holds at most one incomplete frame. `push` returns false, from
 * then on always, once a length is out of bounds: the connection is then beyond repair.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  #partial: Uint8Array = new Uint8Array(0);
  #partialLength = 0;
  #broken = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Bytes of the incomplete frame held back. */
  get pendingBytes(): number {
    return this.#partialLength;
  }

  push(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length && !this.#broken) {
      if (this.#partialLength > 0) at = this.#fill(chunk, at);
      else {
        if (chunk.length - at < 4) return this.#keep(chunk, at);
        const end = at + 4 + getWord(chunk, at);
        if (!this.#lengthOk(getWord(chunk, at))) return false;
        if (end > chunk.length) return this.#keep(chunk, at);
        this.#sink.onFrame(chunk[at + 4]!, chunk, at + FRAME_HEAD_BYTES, end);
        at = end;
      }
    }
    return !this.#broken;
  }

  #lengthOk(length: number): boolean {
    if (length < 1 || length > FRAME_LENGTH_MAX) this.#broken = true;
    return !this.#broken;
  }

  #keep(chunk: Uint8Array, at: number): boolean {
    this.#append(chunk, at, chunk.length);
    return true;
  }

  /** Completes the held frame from `chunk`; returns where the next frame starts. */
  #fill(chunk: Uint8Array, start: number): number {
    let at = start;
    if (this.#partialLength < 4) {
      const take = Math.min(4 - this.#partialLength, chunk.length - at);
      this.#append(chunk, at, at + take);
      at += take;
      if (this.#partialLength < 4) return at;
    }
    const length = getWord(this.#partial, 0);
    if (!this.#lengthOk(length)) return chunk.length;
    const take = Math.min(4 + length - this.#partialLength, chunk.length - at);
    this.#append(chunk, at, at + take);
    at += take;
    if (this.#partialLength === 4 + length) {
      const frame = this.#partial;
      this.#partialLength = 0;
      if (frame.length > 65_536 + 64) this.#partial = new Uint8Array(0);
      this.#sink.onFrame(frame[4]!, frame, FRAME_HEAD_BYTES, 4 + length);
    }
    return at;
  }

  #append(chunk: Uint8Array, start: number, end: number): void {
    const needed = this.#partialLength + end - start;
    if (needed > this.#partial.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#partial.length, 256));
      grown.set(this.#partial.subarray(0, this.#partialLength));
      this.#partial = grown;
    }
    this.#partial.set(chunk.subarray(start, end), this.#partialLength);
    this.#partialLength = needed;
  }
}
