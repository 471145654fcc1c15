/**
 * Segments of one stream as they leave: what each says beside its data, and when an acknowledgement
 * is due that nothing else carries.
 *
 * Owns what the far end is still to be told of what arrived: segments not acknowledged, marks and
 * duplicates. Which data leaves, and why, is the stream's business. What a full queue here refuses
 * is said again by the next segment.
 */

import { putU32 } from '../base/bytes.ts';
import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { SERVICE_RELIABLE } from '../wire/packet.ts';
import {
  RESET_UNSAID,
  Segment,
  SEGMENT_ACK,
  SEGMENT_ASK,
  SEGMENT_DUPLICATE,
  SEGMENT_MARKED,
  SEGMENT_RST,
  SEGMENT_SYN,
  SYN_BYTES,
} from '../wire/segment.ts';
import type { StreamReceiver } from './stream-receiver.ts';
import type { StreamSender } from './stream-sender.ts';
import type { StreamState } from './stream-state.ts';

const ACK_DELAY_MIN: Micros = 5 * MILLISECOND;
const ACK_DELAY_MAX: Micros = 25 * MILLISECOND;
/** A segment that a full queue here refused is tried again then, unless room is told before. */
export const REFUSED_RETRY: Micros = 20 * MILLISECOND;

/** What streams of a daemon need to send; `S` is the stream. */
export interface OutputEnvironment<S> {
  readonly clock: Clock;
  readonly timers: Timers;
  /**
   * Sends a segment with `head` and data written by `fill` (or none); false when a full queue here
   * took nothing of it.
   */
  sendSegment(
    stream: S,
    head: Segment,
    dataBytes: number,
    fill: ((out: Uint8Array, at: number) => void) | null,
  ): boolean;
  /** Most that the stream may have granted of its window and not taken. */
  receiveShare(stream: S): number;
  /** The window that it granted has changed, or its owner. */
  onGranted(stream: S): void;
}

/** As much of a stream as its segments need. */
export interface SendingStream {
  readonly id: number;
  /** The far end's id for it, 0 until known. */
  readonly remoteId: number;
  readonly state: StreamState;
  readonly options: { readonly service: number };
  readonly sender: StreamSender;
  readonly receiver: StreamReceiver;
}

export class SegmentOutput<S extends SendingStream> {
  /** RESET_..., of resets. */
  why = RESET_UNSAID;
  readonly #stream: S;
  readonly #env: OutputEnvironment<S>;
  readonly #segment = new Segment();
  readonly #ackTimer = new Timer(() => this.ack());
  #largestAt: Micros = 0;
  #unacknowledged = 0;
  #marked = false;
  /** A segment came that had come before; the next acknowledgement says so. */
  #duplicate = false;
  #advertised = 0;

  constructor(stream: S, env: OutputEnvironment<S>) {
    this.#stream = stream;
    this.#env = env;
  }

  /** Segments that came since the last acknowledgement. */
  get unacknowledged(): number {
    return this.#unacknowledged;
  }

  /** Bytes of the window that the far end was told last. */
  get advertised(): number {
    return this.#advertised;
  }

  /** A segment with data came: `marked` on its way, or a `duplicate`. */
  onData(marked: boolean, duplicate: boolean, now: Micros): void {
    this.#largestAt = now;
    this.#unacknowledged += 1;
    if (marked) this.#marked = true;
    if (duplicate) this.#duplicate = true;
  }

  /** Acknowledges now. */
  ack(): void {
    if (this.#stream.state !== 'open') return;
    this.send(SEGMENT_ACK, this.#stream.sender.next, 0, null);
  }

  /** Acknowledges in a while, unless something else does. */
  ackSoon(now: Micros): void {
    if (this.#ackTimer.armed) return;
    const { options, sender } = this.#stream;
    // Over reliable links nobody waits for it: a sender near the end of its window asks.
    const quarter =
      options.service === SERVICE_RELIABLE ? ACK_DELAY_MAX : Math.round(sender.rtt.smoothedUs / 4);
    this.#env.timers.arm(
      this.#ackTimer,
      now + Math.min(ACK_DELAY_MAX, Math.max(ACK_DELAY_MIN, quarter)),
    );
  }

  /** Asks for a sign of life. */
  ask(): void {
    this.send(SEGMENT_ACK | SEGMENT_ASK, this.#stream.sender.next, 0, null);
  }

  reset(): void {
    this.send(SEGMENT_RST, this.#stream.sender.next, 0, null);
  }

  /** Opens the stream, or answers who opened it. */
  syn(): void {
    const { state, id } = this.#stream;
    const flags = state === 'accepting' ? SEGMENT_SYN | SEGMENT_ACK : SEGMENT_SYN;
    this.send(flags, 0, SYN_BYTES, (out, at) => putU32(out, at, id));
  }

  /**
   * Sends a segment of `dataBytes` at `sequence`, written by `fill`; false when a full queue here
   * took nothing of it.
   */
  send(
    flags: number,
    sequence: number,
    dataBytes: number,
    fill: ((out: Uint8Array, at: number) => void) | null,
  ): boolean {
    const segment = this.#segment,
      stream = this.#stream;
    const now = this.#env.clock.now();
    segment.flags =
      flags | (this.#marked ? SEGMENT_MARKED : 0) | (this.#duplicate ? SEGMENT_DUPLICATE : 0);
    // Before the far end has said its id, it finds the stream by ours, which it has from the SYN.
    segment.stream =
      stream.remoteId === 0 && (flags & SEGMENT_RST) !== 0 ? stream.id : stream.remoteId;
    segment.sequence = sequence;
    segment.why = this.why;
    segment.window = stream.receiver.window(this.#env.receiveShare(stream));
    this.#advertised = segment.window;
    this.#env.onGranted(stream);
    segment.delayUs = this.#unacknowledged > 0 ? now - this.#largestAt : 0;
    stream.receiver.describe(segment);
    if ((flags & SEGMENT_SYN) !== 0 || dataBytes > 0) segment.sackCount = 0;
    const taken = this.#env.sendSegment(stream, segment, dataBytes, fill);
    if ((flags & SEGMENT_ACK) === 0) return taken;
    if (taken) {
      this.#marked = false;
      this.#duplicate = false;
      this.#unacknowledged = 0;
      this.#env.timers.cancel(this.#ackTimer);
    } else if (!this.#ackTimer.armed) this.#env.timers.arm(this.#ackTimer, now + REFUSED_RETRY);
    return taken;
  }

  /** The stream is over. */
  stop(): void {
    this.#env.timers.cancel(this.#ackTimer);
  }
}
