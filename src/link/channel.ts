/**
 * A channel: one agreed pair of receiver indices with a peer, and its two packet-number spaces.
 *
 * Owns the datagram being filled: frames of a turn share it up to the size limit, and the turn's end sends
 * it. Does not know what frames mean. A link has one current channel; a handshake makes a new one.
 * The invariant: a packet number is sent once, and an arrived one is used once. `@hot`
 */

import type { DatagramSink, Endpoint } from '../base/datagram.ts';
import { assert } from '../base/assert.ts';
import { DATAGRAM_DATA, encodeDatagramHeader, PACKET_NUMBER_MAX } from '../wire/datagram-header.ts';
import { FRAME_ACK, putFrameHead } from '../wire/frames.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES, FRAME_HEAD_BYTES, TAG_BYTES } from '../wire/sizes.ts';
import { ReplayWindow } from '../base/replay-window.ts';

/** Frames end here, whether or not a tag follows: nothing moves when a link is sealed. */
const BODY_END = DATAGRAM_BYTES_MAX - TAG_BYTES;

/** Channels with a datagram to send at the end of the turn. */
export class FlushList {
  readonly #channels: Channel[] = [];

  get pending(): boolean {
    return this.#channels.length > 0;
  }

  add(channel: Channel): void {
    this.#channels.push(channel);
  }

  /** Sends what every channel has begun. */
  flush(): void {
    for (let i = 0; i < this.#channels.length; i += 1) this.#channels[i]!.flush();
    this.#channels.length = 0;
  }
}

/** Whoever acknowledges what arrives on a channel. */
export interface AckWriter {
  /** Bytes of the ack frame's body that should leave with the next datagram, 0 = none. */
  readonly ackBytes: number;
  /** True when the ack should leave even if nothing else does. */
  readonly ackNow: boolean;
  /** Writes the body at `at` of `buffer`. */
  writeAck(buffer: Uint8Array, at: number): void;
}

export class Channel {
  readonly localIndex: number;
  readonly remoteIndex: number;
  /** The peer's daemon run. */
  readonly instance: number;
  /** Where the peer is now. Moves when a newer datagram comes from elsewhere. */
  endpoint: Endpoint;
  readonly replay = new ReplayWindow();
  sentDatagrams = 0;
  sentBytes = 0;
  receivedDatagrams = 0;
  receivedBytes = 0;
  /** The datagram being filled. Append through `frame` only. */
  readonly buffer = new Uint8Array(DATAGRAM_BYTES_MAX);
  ackWriter: AckWriter | null = null;
  readonly #sink: DatagramSink;
  readonly #flushList: FlushList;
  #end = DATAGRAM_HEADER_BYTES;
  #nextNumber = 0;
  #listed = false;

  constructor(localIndex: number, remoteIndex: number, instance: number, endpoint: Endpoint, sink: DatagramSink, flushList: FlushList) {
    this.localIndex = localIndex;
    this.remoteIndex = remoteIndex;
    this.instance = instance;
    this.endpoint = endpoint;
    this.#sink = sink;
    this.#flushList = flushList;
  }

  /**
   * Begins a frame of exactly `bodyBytes` and returns where in `buffer` its body goes. The caller fills the
   * body before anything else happens on this channel.
   */
  frame(type: number, bodyBytes: number): number {
    assert(DATAGRAM_HEADER_BYTES + FRAME_HEAD_BYTES + bodyBytes <= BODY_END, 'a frame fits a datagram');
    if (this.#end + FRAME_HEAD_BYTES + bodyBytes > BODY_END) this.#send();
    const at = putFrameHead(this.buffer, this.#end, type, bodyBytes);
    this.#end = at + bodyBytes;
    this.touch();
    return at;
  }

  /** The number of the datagram being filled: where the frame begun last will be. */
  get fillingNumber(): number {
    return this.#nextNumber;
  }

  /** Makes the end of the turn flush this channel, even if only an ack is to be sent. */
  touch(): void {
    if (this.#listed) return;
    this.#listed = true;
    this.#flushList.add(this);
  }

  /** Body bytes that a further frame of the same datagram could have; negative when none fits. */
  get room(): number {
    return BODY_END - this.#end - FRAME_HEAD_BYTES;
  }

  /** Sends the datagram being filled, if it has frames. Called at the end of a turn, or when it is full. */
  flush(): void {
    this.#listed = false;
    const ackBytes = this.ackWriter?.ackBytes ?? 0;
    if (ackBytes > 0 && (this.#end > DATAGRAM_HEADER_BYTES || this.ackWriter!.ackNow)) {
      if (this.#end + FRAME_HEAD_BYTES + ackBytes > BODY_END && this.ackWriter!.ackNow) this.#send();
      if (this.#end + FRAME_HEAD_BYTES + ackBytes <= BODY_END) {
        const at = putFrameHead(this.buffer, this.#end, FRAME_ACK, ackBytes);
        this.#end = at + ackBytes;
        this.ackWriter!.writeAck(this.buffer, at);
      }
    }
    if (this.#end > DATAGRAM_HEADER_BYTES) this.#send();
  }

  #send(): void {
    assert(this.#nextNumber < PACKET_NUMBER_MAX, 'packet numbers do not wrap');
    encodeDatagramHeader(DATAGRAM_DATA, this.remoteIndex, this.#nextNumber, this.buffer);
    this.#nextNumber += 1;
    const length = this.#end;
    this.#end = DATAGRAM_HEADER_BYTES;
    this.sentDatagrams += 1;
    this.sentBytes += length;
    this.#sink.send(this.endpoint, this.buffer, length);
  }
}
