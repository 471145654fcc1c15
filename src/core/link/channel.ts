/**
 * A channel: an agreement with a peer, its two packet-number spaces, and the keys and receiver
 * indices of the day.
 *
 * Owns the datagram being filled: frames of a turn share it up to the path's size, and the turn's
 * end seals and sends it. A frame that is longer than the path takes stands alone until it is sent,
 * and then leaves in pieces: whoever writes frames need not know. Does not know what frames mean. A
 * link has one current channel; a handshake makes a new one, or gives the channel a new epoch:
 * other keys and indices, while numbers, acknowledgements and what is under way go on. The
 * invariant: a packet number is sent once, and an arrived one is used once, over all epochs. `@hot`
 */

import type { DatagramSink, Endpoint } from '../base/datagram.ts';
import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { NEVER, type Micros } from '../base/time.ts';
import {
  DATAGRAM_DATA,
  DATAGRAM_SEALED_DATA,
  encodeDatagramHeader,
  PACKET_NUMBER_MAX,
  PROBE_NUMBER_MIN,
} from '../wire/datagram-header.ts';
import { FRAME_ACK, FRAME_SIZE_PROBE, FRAME_SPLIT, putFrameHead } from '../wire/frames.ts';
import {
  encodeSplitHead,
  putSizeToken,
  SIZE_TOKEN_BYTES,
  splitParts,
  SPLIT_HEAD_BYTES,
  type SizeToken,
  type SplitHead,
} from '../wire/path-size.ts';
import {
  DATAGRAM_BYTES_MAX,
  DATAGRAM_HEADER_BYTES,
  FRAME_HEAD_BYTES,
  TAG_BYTES,
} from '../wire/sizes.ts';
import { ReplayWindow } from '../base/replay-window.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { Seal } from './handshaker.ts';
import type { Taps } from './tap.ts';

/**
 * Frames of the largest datagram end here, whether or not a tag follows: nothing moves when a link
 * is sealed.
 */
const BODY_END_MAX = DATAGRAM_BYTES_MAX - TAG_BYTES;
/**
 * Datagrams whose lengths are remembered: more than may be under way when the path is found to lose
 * the long ones.
 */
const LENGTHS = 256;
/** Of numbers of size probes a peer may have missed or got in another order. */
const PROBE_WINDOW_WORDS = 4;

/** What stands in front of the first packet of a datagram is shorter. */
const FRONT = new Uint8Array(64);

/** Pieces and probes are laid out here: a sink keeps nothing of it. */
const SCRATCH = new Uint8Array(DATAGRAM_BYTES_MAX);
const SPLIT: SplitHead = { id: 0, index: 0, count: 0, type: 0 };

/** Channels with a datagram to send at the end of the turn. */
export class FlushList {
  /** The first `#count` count: an array that is emptied gives its memory away. */
  readonly #channels: (Channel | null)[] = [];
  #count = 0;

  get pending(): boolean {
    return this.#count > 0;
  }

  add(channel: Channel): void {
    this.#channels[this.#count] = channel;
    this.#count += 1;
  }

  /** Sends what every channel has begun. */
  flush(): void {
    for (let i = 0; i < this.#count; i += 1) {
      this.#channels[i]!.flush();
      this.#channels[i] = null;
    }
    this.#count = 0;
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

/** One pair of receiver indices, and the keys that go with it. */
export class Epoch {
  readonly localIndex: number;
  readonly remoteIndex: number;
  /** Null on a link that is not sealed. */
  readonly seal: Seal | null;
  readonly madeAt: Micros;
  /** What the peer showed when it was agreed on, null on a link that is not sealed. */
  readonly certificate: Certificate | null;
  /** Names the certificate of ours that the peer was shown then, and our pre-shared keys. */
  readonly presented: string;
  /**
   * Another handshake, made at the same time, counts: what comes with these keys is taken, but
   * nothing is sent with them.
   */
  superseded = false;
  /** Datagrams sent with it. */
  sent = 0;

  constructor(
    localIndex: number,
    remoteIndex: number,
    seal: Seal | null,
    madeAt: Micros,
    certificate: Certificate | null,
    presented: string,
  ) {
    this.localIndex = localIndex;
    this.remoteIndex = remoteIndex;
    this.seal = seal;
    this.madeAt = madeAt;
    this.certificate = certificate;
    this.presented = presented;
  }
}

/** What all channels of a daemon share. */
export interface ChannelSurroundings {
  readonly sink: DatagramSink;
  readonly flushList: FlushList;
  readonly taps: Taps;
}

export class Channel {
  /** What we send with. */
  epoch: Epoch;
  /** Offered to the peer, who has not used it yet. */
  nextEpoch: Epoch | null = null;
  /** What we sent with before: datagrams under way may still need it, until `lastUntil`. */
  lastEpoch: Epoch | null = null;
  lastUntil: Micros = NEVER;
  /** Changes of keys so far. */
  rekeys = 0;
  /** The peer's daemon run. */
  readonly instance: number;
  /** Whose run that is. */
  readonly node: NodeId = 0;
  /** Of that run, as its handshake said: when it began, and the wire version that was agreed on. */
  started = 0;
  version = 0;
  /** Where the peer is now. Moves when a newer datagram comes from elsewhere. */
  endpoint: Endpoint;
  readonly replay = new ReplayWindow();
  /** Of size probes, which are numbered apart. */
  readonly probeReplay = new ReplayWindow(PROBE_WINDOW_WORDS);
  sentDatagrams = 0;
  sentBytes = 0;
  receivedDatagrams = 0;
  receivedBytes = 0;
  /** The datagram being filled. Append through `frame` only. */
  readonly buffer = new Uint8Array(DATAGRAM_BYTES_MAX);
  ackWriter: AckWriter | null = null;
  /**
   * Called once, at the end of the turn, and may write frames. Whoever sets it touches the channel.
   */
  lastWord: (() => void) | null = null;
  /** Frames that left in pieces. */
  splitFrames = 0;
  readonly #sink: DatagramSink;
  readonly #flushList: FlushList;
  readonly #taps: Taps;
  #end = DATAGRAM_HEADER_BYTES;
  #nextNumber = 0;
  #nextProbe = PROBE_NUMBER_MIN;
  #nextSplit = 0;
  #size = DATAGRAM_BYTES_MAX;
  #bodyEnd = BODY_END_MAX;
  readonly #lengths = new Uint16Array(LENGTHS);
  #listed = false;

  constructor(
    epoch: Epoch,
    instance: number,
    endpoint: Endpoint,
    { sink, flushList, taps }: ChannelSurroundings,
  ) {
    this.epoch = epoch;
    this.instance = instance;
    this.endpoint = endpoint;
    this.#sink = sink;
    this.#flushList = flushList;
    this.#taps = taps;
  }

  /**
   * Sends with `epoch` from now on; what was used before is still taken until `overlapUntil`.
   * Returns the epoch that is over at once, if any.
   */
  enter(epoch: Epoch, overlapUntil: Micros): Epoch | null {
    const over = this.lastEpoch;
    this.lastEpoch = this.epoch;
    this.lastUntil = overlapUntil;
    this.epoch = epoch;
    if (this.nextEpoch === epoch) this.nextEpoch = null;
    this.rekeys += 1;
    return over;
  }

  /** What has arrived under numbers of that kind. */
  windowOf(number: number): ReplayWindow {
    return number >= PROBE_NUMBER_MIN ? this.probeReplay : this.replay;
  }

  /** Bytes of the longest datagram that is sent. */
  get size(): number {
    return this.#size;
  }

  set size(bytes: number) {
    if (bytes === this.#size) return;
    // What is begun leaves as it was counted.
    if (this.#end > DATAGRAM_HEADER_BYTES) this.#send();
    this.#size = bytes;
    this.#bodyEnd = bytes - TAG_BYTES;
  }

  /**
   * Begins a frame of exactly `bodyBytes` and returns where in `buffer` its body goes. The caller
   * fills the body before anything else happens on this channel.
   */
  frame(type: number, bodyBytes: number): number {
    assert(
      DATAGRAM_HEADER_BYTES + FRAME_HEAD_BYTES + bodyBytes <= BODY_END_MAX,
      'a frame fits the largest datagram',
    );
    if (
      this.#end + FRAME_HEAD_BYTES + bodyBytes > this.#bodyEnd &&
      this.#end > DATAGRAM_HEADER_BYTES
    )
      this.#send();
    const at = putFrameHead(this.buffer, this.#end, type, bodyBytes);
    this.#end = at + bodyBytes;
    this.touch();
    return at;
  }

  /**
   * Begins a frame of `prefixBytes`, for the caller to fill, and a copy of `from[start..end)`.
   * Returns where the frame's body begins.
   */
  frameOf(type: number, prefixBytes: number, from: Uint8Array, start: number, end: number): number {
    const at = this.frame(type, prefixBytes + end - start);
    this.#copy(from, start, end, at + prefixBytes);
    return at;
  }

  /**
   * `from[start..end)` to the end of what is filled. A copy of part of an array makes a view of it
   * first; it is cheaper to copy the whole, and to put back the few bytes that this overwrote in
   * front. What lies behind the end of the datagram means nothing.
   */
  #copy(from: Uint8Array, start: number, end: number, at: number): void {
    const { buffer } = this;
    const shift = at - start;
    if (
      start > FRONT.length ||
      end - start <= FRONT.length ||
      shift < 0 ||
      shift + from.length > buffer.length
    ) {
      copyBytes(from, start, end, buffer, at);
      return;
    }
    for (let i = 0; i < start; i += 1) FRONT[i] = buffer[shift + i]!;
    buffer.set(from, shift);
    for (let i = 0; i < start; i += 1) buffer[shift + i] = FRONT[i]!;
  }

  /** The number of the datagram being filled: where the frame begun last will be. */
  get fillingNumber(): number {
    return this.#nextNumber;
  }

  /** Datagrams that what is being filled will leave in, under numbers that follow one another. */
  get fillingDatagrams(): number {
    return this.#end > this.#bodyEnd
      ? splitParts(this.#end - DATAGRAM_HEADER_BYTES - FRAME_HEAD_BYTES, this.#size)
      : 1;
  }

  /** Bytes of the datagram with that number; 0 when it was not sent, or is forgotten. */
  lengthOf(number: number): number {
    return number < this.#nextNumber && number >= this.#nextNumber - LENGTHS
      ? this.#lengths[number & (LENGTHS - 1)]!
      : 0;
  }

  /** Makes the end of the turn flush this channel, even if only an ack is to be sent. */
  touch(): void {
    if (this.#listed) return;
    this.#listed = true;
    this.#flushList.add(this);
  }

  /** Body bytes that a further frame of the same datagram could have; negative when none fits. */
  get room(): number {
    return this.#bodyEnd - this.#end - FRAME_HEAD_BYTES;
  }

  /** Sends what is begun now: what is written next leaves in another datagram. */
  cut(): void {
    if (this.#end > DATAGRAM_HEADER_BYTES) this.#send();
  }

  /** Sends a datagram without frames, unless one is begun: its number shows what was lost. */
  sendEmpty(): void {
    if (this.#end === DATAGRAM_HEADER_BYTES) this.#sendNext(this.buffer, this.#end);
  }

  /** A datagram has frames and did not leave yet. */
  get begun(): boolean {
    return this.#end > DATAGRAM_HEADER_BYTES;
  }

  /**
   * Sends what was written since the last flush to `endpoint`, wherever the peer is believed to be.
   */
  flushTo(endpoint: Endpoint): void {
    const usual = this.endpoint;
    this.endpoint = endpoint;
    this.#send();
    this.endpoint = usual;
  }

  /**
   * Sends the datagram being filled, if it has frames. Called at the end of a turn, or when it is
   * full.
   */
  flush(): void {
    if (this.lastWord !== null) {
      const say = this.lastWord;
      this.lastWord = null;
      say();
    }
    this.#listed = false;
    const ackBytes = this.ackWriter?.ackBytes ?? 0;
    if (ackBytes > 0 && (this.#end > DATAGRAM_HEADER_BYTES || this.ackWriter!.ackNow)) {
      if (this.#end + FRAME_HEAD_BYTES + ackBytes > this.#bodyEnd && this.ackWriter!.ackNow)
        this.#send();
      if (this.#end + FRAME_HEAD_BYTES + ackBytes <= this.#bodyEnd) {
        const at = putFrameHead(this.buffer, this.#end, FRAME_ACK, ackBytes);
        this.#end = at + ackBytes;
        this.ackWriter!.writeAck(this.buffer, at);
      }
    }
    if (this.#end > DATAGRAM_HEADER_BYTES) this.#send();
  }

  /**
   * Sends a datagram of exactly `bytes` that asks whether it arrives; at once, and apart from all
   * others.
   */
  probeSize(bytes: number, token: SizeToken): void {
    const end = bytes - (this.epoch.seal === null ? 0 : TAG_BYTES);
    const at = putFrameHead(
      SCRATCH,
      DATAGRAM_HEADER_BYTES,
      FRAME_SIZE_PROBE,
      end - DATAGRAM_HEADER_BYTES - FRAME_HEAD_BYTES,
    );
    putSizeToken(SCRATCH, at, token);
    SCRATCH.fill(0, at + SIZE_TOKEN_BYTES, end);
    this.#sendAs(this.#nextProbe, SCRATCH, end);
    this.#nextProbe += 1;
  }

  #send(): void {
    const { buffer } = this;
    const end = this.#end;
    this.#end = DATAGRAM_HEADER_BYTES;
    if (end <= this.#bodyEnd) this.#sendNext(buffer, end);
    else this.#sendPieces(buffer, end);
  }

  /**
   * `buffer[..end)` has one frame, which is too long. Pieces are alike, so that they leave in one
   * batch.
   */
  #sendPieces(buffer: Uint8Array, end: number): void {
    const start = DATAGRAM_HEADER_BYTES + FRAME_HEAD_BYTES;
    const count = splitParts(end - start, this.#size);
    const each = Math.ceil((end - start) / count);
    SPLIT.id = this.#nextSplit;
    SPLIT.count = count;
    SPLIT.type = buffer[DATAGRAM_HEADER_BYTES]!;
    this.#nextSplit = (this.#nextSplit + 1) & 0xffff;
    this.splitFrames += 1;
    for (let index = 0; index < count; index += 1) {
      const from = start + index * each,
        to = Math.min(end, from + each);
      SPLIT.index = index;
      const body = putFrameHead(
        SCRATCH,
        DATAGRAM_HEADER_BYTES,
        FRAME_SPLIT,
        SPLIT_HEAD_BYTES + to - from,
      );
      const at = encodeSplitHead(SPLIT, SCRATCH, body);
      copyBytes(buffer, from, to, SCRATCH, at);
      this.#sendNext(SCRATCH, at + to - from);
    }
  }

  #sendNext(buffer: Uint8Array, end: number): void {
    const number = this.#nextNumber;
    assert(number < PACKET_NUMBER_MAX, 'packet numbers do not wrap');
    this.#nextNumber = number + 1;
    this.#lengths[number & (LENGTHS - 1)] = this.#sendAs(number, buffer, end);
  }

  /** Seals and sends; the length of the datagram. */
  #sendAs(number: number, buffer: Uint8Array, end: number): number {
    const { epoch } = this;
    const type = epoch.seal === null ? DATAGRAM_DATA : DATAGRAM_SEALED_DATA;
    encodeDatagramHeader(type, epoch.remoteIndex, number, buffer);
    if (this.#taps.tap !== null) this.#taps.tap.onSent(this, buffer, end);
    let length = end;
    if (epoch.seal !== null) {
      epoch.seal.send.seal(number, buffer, DATAGRAM_HEADER_BYTES, length);
      length += TAG_BYTES;
    }
    epoch.sent += 1;
    this.sentDatagrams += 1;
    this.sentBytes += length;
    this.#sink.send(this.endpoint, buffer, length);
    return length;
  }
}
