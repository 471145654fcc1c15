/**
 * The sending half of a stream: unsent and unacknowledged bytes, the window, and what must be sent
 * again.
 *
 * Over reliable links hops recover losses, so an acknowledgement of later data says little about
 * earlier data: only long silence counts as loss. Over best-effort links recovery is end to end, by
 * number and time (RFC 6675, RFC 8985): in the order in which segments left, so that a look at the
 * oldest tells. A loss that was none is taken back. A marked acknowledgement narrows the window
 * like a loss and nothing is resent (paper section 2.2). Knows no timers and no packets: Stream
 * asks what to send next and when to look again.
 */

import { assert } from '../base/assert.ts';
import { ByteQueue } from '../base/byte-queue.ts';
import { MILLISECOND, NEVER, type Micros } from '../base/time.ts';
import { makeController } from '../recovery/congestion.ts';
import type { CongestionController, CongestionName } from '../recovery/controller.ts';
import { Pacer } from '../recovery/pacer.ts';
import { RttEstimator } from '../recovery/rtt.ts';
import { SEGMENT_BYTES_MAX, SEGMENT_DUPLICATE, type Segment } from '../wire/segment.ts';
import { Reordering } from './reordering.ts';

const PACKET_THRESHOLD = 3;
const TIMEOUT_MIN: Micros = 200 * MILLISECOND;
const TIMEOUT_MIN_RELIABLE: Micros = 400 * MILLISECOND;
const TIMEOUT_MAX: Micros = 5_000 * MILLISECOND;
const TIMEOUT_UNKNOWN: Micros = 1_000 * MILLISECOND;
/** What a segment costs beyond its data, for the window: headers of every layer. */
const SEGMENT_OVERHEAD = 88;
const SLACK_SEGMENTS = 3;
/**
 * Pacing reckons with at most this many times the shortest round trip seen: one blown up by an
 * outage must not slow what follows, and the window bounds it all the same.
 */
const PACING_RTT_FACTOR = 4;
/**
 * An acknowledgement this much sooner than the least round trip is of what was sent before (RFC
 * 8985 section 6.2).
 */
const TOO_SOON = 0.8;

interface Sent {
  readonly start: number;
  readonly end: number;
  sentAt: Micros;
  /** Order of transmission. */
  order: number;
  times: number;
  /**
   * Of the transmission that was declared lost last: when it left, its order, and the reduction
   * that it belongs to.
   */
  lostSentAt: Micros;
  lostOrder: number;
  /**
   * Nothing was heard for a whole timeout: had it arrived all the same, it was late and not out of
   * order.
   */
  lostByTimer: boolean;
  reduction: number;
  /** Acknowledged beyond a gap. */
  sacked: boolean;
  lost: boolean;
  limited: boolean;
}

/** What to send next. */
export interface Next {
  start: number;
  end: number;
  fin: boolean;
  again: boolean;
}

export class StreamSender {
  readonly rtt = new RttEstimator();
  readonly controller: CongestionController;
  /** First position not acknowledged. */
  unacknowledged = 0;
  /** Position behind the last byte sent. */
  next = 0;
  /** Bytes sent again. */
  resent = 0;
  marks = 0;
  /** Segments sent again that had arrived, or were about to. */
  spurious = 0;
  /** The far end's window: right edge. */
  edge: number;
  timeouts = 0;
  /** When something new was last acknowledged, or everything was. */
  progressAt: Micros = 0;
  readonly #reliable: boolean;
  readonly #segmentBytes: number;
  readonly #buffer: ByteQueue;
  readonly #pacer = new Pacer(10 * (SEGMENT_BYTES_MAX + SEGMENT_OVERHEAD), PACING_RTT_FACTOR);
  #sent: Sent[] = [];
  /** Index of the first record not yet dropped from the front of #sent. */
  #first = 0;
  #inFlight = 0;
  #lostCount = 0;
  /** No record below this position is lost. */
  #lostFrom = Infinity;
  /**
   * Transmissions in the order of their sending, and their numbers in that order: each is its
   * record's latest while the numbers agree. Those before #underWayFrom are over.
   */
  #underWay: Sent[] = [];
  #underWayOrders: number[] = [];
  #underWayFrom = 0;
  readonly #reordering = new Reordering();
  /**
   * Reductions of the window so far; losses that the last one stands for and that are not
   * disproved, -1 = it cannot be undone.
   */
  #reductions = 0;
  #reductionLosses = -1;
  /** Reports of duplicates to come, of segments that are known to have been sent again in vain. */
  #duplicatesToCome = 0;
  /** Losses by the timer since the latest by number or time: duplicates are taken for theirs. */
  #timerLosses = 0;
  /**
   * A timeout lets one segment out beyond the window: what counts as in flight may long have
   * arrived or be lost, unreported.
   */
  #probe = false;
  /** The record that `nextToSend` last proposed to send again. */
  #again: Sent | null = null;
  #orders = 0;
  #newestAckedOrder = -1;
  /** Position of the FIN, -1 until the owner ended the stream. */
  #finAt = -1;
  #askedAt = 0;

  /** `segmentBytes`: data of a full segment. */
  constructor(
    reliable: boolean,
    congestion: CongestionName,
    bufferBytes: number,
    segmentBytes = SEGMENT_BYTES_MAX,
  ) {
    this.#segmentBytes = segmentBytes;
    this.#reliable = reliable;
    this.controller = makeController(congestion);
    this.#buffer = new ByteQueue(bufferBytes);
    this.edge = 0;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Bytes accepted and not acknowledged. */
  get buffered(): number {
    return this.#buffer.length;
  }

  get unsent(): number {
    return Math.max(0, this.#dataEnd - this.next);
  }

  get ended(): boolean {
    return this.#finAt >= 0;
  }

  /** True once the FIN is acknowledged. */
  get finished(): boolean {
    return this.#finAt >= 0 && this.unacknowledged > this.#finAt;
  }

  /** True while something sent is not acknowledged. */
  get outstanding(): boolean {
    return this.#first < this.#sent.length;
  }

  /** Takes as much as fits; returns how much. */
  write(bytes: Uint8Array, start: number, end: number): number {
    return this.#buffer.push(bytes, start, end);
  }

  end(): void {
    if (this.#finAt < 0) this.#finAt = this.unacknowledged + this.#buffer.length;
  }

  /**
   * The next thing that windows let leave now, into `out`; false when nothing may. `wait` receives
   * how long pacing asks to wait when that is what holds, else 0.
   */
  nextToSend(now: Micros, out: Next, wait: { us: Micros }): boolean {
    wait.us = 0;
    for (
      let i = this.#lostCount > 0 ? this.#indexOf(this.#lostFrom) : this.#sent.length;
      i < this.#sent.length;
      i += 1
    ) {
      const record = this.#sent[i]!;
      if (!record.lost) continue;
      this.#lostFrom = record.start;
      this.#again = record;
      if (!this.#probe && !this.#windowOpen(record.end - record.start, now, wait)) return false;
      out.start = record.start;
      out.end = Math.min(record.end, this.#dataEnd);
      out.fin = record.end > this.#dataEnd;
      out.again = true;
      return true;
    }
    const available = Math.min(this.#dataEnd, this.edge) - this.next;
    const finDue =
      this.#finAt >= 0 &&
      this.next <= this.#finAt &&
      this.#finAt - this.next <= Math.max(0, available);
    if (available <= 0 && !(finDue && this.next === this.#finAt)) return false;
    const bytes = Math.min(this.#segmentBytes, Math.max(0, available));
    if (!this.#windowOpen(bytes, now, wait)) return false;
    out.start = this.next;
    out.end = this.next + bytes;
    out.fin = this.#finAt >= 0 && out.end === this.#finAt;
    out.again = false;
    return true;
  }

  /** True when the segment of `what` should ask for an acknowledgement. */
  asks(what: Next): boolean {
    const quarter =
      Math.min(
        this.controller.window,
        Math.max(this.edge - this.unacknowledged, SEGMENT_BYTES_MAX),
      ) / 4;
    return what.again || what.end + (what.fin ? 1 : 0) - this.#askedAt >= quarter;
  }

  /** `what` was handed to the link; `asked`: as `asks` said. */
  onSent(what: Next, asked: boolean, now: Micros): void {
    const end = what.end + (what.fin ? 1 : 0);
    const cost = end - what.start + SEGMENT_OVERHEAD;
    // While more waits to be sent again pacing may be all that holds it back, at a rate from
    // before: RFC 9002 section 7.8.
    const limited =
      this.#inFlight + (1 + SLACK_SEGMENTS) * cost >= this.controller.window ||
      (this.controller.inSlowStart && 2 * this.#inFlight >= this.controller.window) ||
      this.#lostCount > 1;
    this.#orders += 1;
    if (what.again) {
      const record = this.#again!;
      assert(record.start === what.start && record.lost, 'what is sent again was lost');
      this.#probe = false;
      record.lost = false;
      this.#lostCount -= 1;
      record.sentAt = now;
      record.order = this.#orders;
      record.times += 1;
      record.limited = limited;
      this.#enlist(record);
      this.resent += what.end - what.start;
    } else {
      if (this.#first === this.#sent.length) this.progressAt = now;
      const record = {
        start: what.start,
        end,
        sentAt: now,
        order: this.#orders,
        times: 1,
        lostSentAt: 0,
        lostOrder: 0,
        lostByTimer: false,
        reduction: 0,
        sacked: false,
        lost: false,
        limited,
      };
      this.#sent.push(record);
      this.#enlist(record);
      this.next = end;
    }
    this.#inFlight += cost;
    this.#pacer.take(cost);
    this.controller.onSent(cost, this.#inFlight, now);
    this.controller.onSegmentSize(cost);
    if (asked) this.#askedAt = end;
  }

  /**
   * Copies data of a segment to `out[at..)`; zeros for what a peer acknowledged within a segment,
   * which it has.
   */
  copy(start: number, end: number, out: Uint8Array, at: number): void {
    const from = Math.min(end, Math.max(start, this.unacknowledged));
    const held = at + from - start;
    out.fill(0, at, held);
    this.#buffer.copy(from - Math.min(from, this.unacknowledged), end - from, out, held);
  }

  /**
   * An acknowledgement, from a segment that was checked to be of this stream. False when it
   * acknowledges what was never sent.
   */
  onAck(segment: Segment, marked: boolean, now: Micros): boolean {
    if (segment.ack > this.next) return false;
    for (let i = 0; i < segment.sackCount; i += 1)
      if (segment.sackEnd[i]! > this.next) return false;
    this.edge = Math.max(this.edge, segment.ack + segment.window);
    let newest: Sent | null = null;
    while (this.#first < this.#sent.length && this.#sent[this.#first]!.end <= segment.ack) {
      const record = this.#sent[this.#first]!;
      if (!record.sacked) newest = this.#acknowledge(record, newest, now);
      this.#first += 1;
    }
    // An idle stream keeps none.
    if (
      this.#first > 0 &&
      (this.#first === this.#sent.length ||
        (this.#first > 64 && this.#first * 2 > this.#sent.length))
    ) {
      this.#sent = this.#sent.slice(this.#first);
      this.#first = 0;
    }
    if (segment.sackCount > 0) newest = this.#onSacks(segment, newest, now);
    if (segment.ack > this.unacknowledged) {
      const data = Math.min(segment.ack, this.#dataEnd) - this.unacknowledged;
      this.#buffer.drop(data);
      this.unacknowledged = segment.ack;
      this.progressAt = now;
    }
    const rtt = newest === null ? 0 : this.#onNewest(newest, segment, now);
    if ((segment.flags & SEGMENT_DUPLICATE) !== 0) this.#onDuplicate(now);
    if (marked && newest !== null) {
      this.marks += 1;
      if (this.controller.onMark(newest.sentAt, now, this.unsent)) this.#onReduction(-1);
    }
    this.#detectLost(now);
    this.controller.onAckEnd(now, this.#inFlight, rtt);
    return true;
  }

  /** The round trip that it shows, 0 = none. */
  #onNewest(newest: Sent, segment: Segment, now: Micros): Micros {
    this.timeouts = 0;
    if (newest.order > this.#newestAckedOrder) this.#newestAckedOrder = newest.order;
    if (newest.times > 1) return 0;
    const whole = now - newest.sentAt;
    const rtt = whole - segment.delayUs >= this.rtt.minUs ? whole - segment.delayUs : whole;
    this.rtt.onSample(rtt, now);
    return rtt;
  }

  #onReduction(losses: number): void {
    this.#reductions += 1;
    this.#reductionLosses = losses;
    this.#reordering.onRecovery();
  }

  /** The far end had this before what was sent again reached it. */
  #onSpurious(record: Sent, now: Micros): void {
    if (!record.lostByTimer) this.#reordering.onSpurious(now, this.rtt);
    this.spurious += 1;
    if (record.reduction === this.#reductions) this.#disprove();
  }

  /** A segment reached the far end twice: one more that was sent again in vain (RFC 2883). */
  #onDuplicate(now: Micros): void {
    if (this.#duplicatesToCome > 0) {
      this.#duplicatesToCome -= 1;
      return;
    }
    if (this.resent === 0) return;
    if (this.#timerLosses > 0) this.#timerLosses -= 1;
    else this.#reordering.onSpurious(now, this.rtt);
    this.spurious += 1;
    this.#disprove();
  }

  /** Once every loss that the last reduction stands for was none, neither was the reduction. */
  #disprove(): void {
    if (this.#reductionLosses <= 0) return;
    this.#reductionLosses -= 1;
    if (this.#reductionLosses > 0) return;
    this.#reductionLosses = -1;
    this.controller.undo();
  }

  /** Returns whichever of `record` and `newest` was sent later. */
  #acknowledge(record: Sent, newest: Sent | null, now: Micros): Sent {
    if (!record.lost && !record.sacked) {
      this.#inFlight -= record.end - record.start + SEGMENT_OVERHEAD;
      this.controller.onAck(
        record.end - record.start + SEGMENT_OVERHEAD,
        record.sentAt,
        now,
        this.rtt.smoothedUs,
        record.limited,
      );
    }
    if (record.lost) {
      this.#lostCount -= 1;
      record.lost = false;
      this.#onSpurious(record, now);
    } else if (
      record.times > 1 &&
      this.rtt.samples > 0 &&
      now - record.sentAt < TOO_SOON * this.rtt.minUs
    ) {
      this.#duplicatesToCome += 1;
      this.#onSpurious(record, now);
      // What arrived is the transmission before: it says nothing of what left since.
      record.sentAt = record.lostSentAt;
      record.order = record.lostOrder;
    } else if (record.times === 1 && record.order < this.#newestAckedOrder)
      this.#reordering.onLate();
    record.sacked = true;
    return newest === null || record.order > newest.order ? record : newest;
  }

  #onSacks(segment: Segment, newest: Sent | null, now: Micros): Sent | null {
    let range = 0,
      latest = newest;
    for (
      let i = this.#indexOf(segment.sackStart[0]!);
      i < this.#sent.length && range < segment.sackCount;
      i += 1
    ) {
      const record = this.#sent[i]!;
      while (range < segment.sackCount && segment.sackEnd[range]! < record.end) range += 1;
      if (range === segment.sackCount) break;
      if (record.start >= segment.sackStart[range]! && !record.sacked)
        latest = this.#acknowledge(record, latest, now);
    }
    return latest;
  }

  /**
   * How long after its sending an unacknowledged segment is lost, once a later one was
   * acknowledged.
   */
  get #lossDelay(): Micros {
    const { smoothedUs, latestUs, variationUs } = this.rtt;
    const rtt = Math.max(smoothedUs, latestUs);
    if (this.#reliable)
      return Math.max(200 * MILLISECOND, 3 * rtt, Math.round(rtt + 8 * variationUs));
    return Math.max(
      MILLISECOND,
      Math.round((9 * rtt) / 8),
      rtt + this.#reordering.windowUs(this.rtt),
    );
  }

  #detectLost(now: Micros): void {
    if (this.#newestAckedOrder < 0) return;
    const delay = this.#lossDelay;
    const byNumber = !this.#reliable && !this.#reordering.seen;
    for (
      let oldest = this.#oldest;
      oldest !== null && oldest.order <= this.#newestAckedOrder;
      oldest = this.#oldest
    ) {
      if (
        !(byNumber && this.#newestAckedOrder - oldest.order >= PACKET_THRESHOLD) &&
        oldest.sentAt + delay > now
      )
        break;
      this.#timerLosses = 0;
      this.#declareLost(oldest, now, false);
    }
  }

  /** Of what is under way, what left first; null when nothing is. */
  get #oldest(): Sent | null {
    const underWay = this.#underWay,
      orders = this.#underWayOrders;
    let from = this.#underWayFrom;
    for (; from < underWay.length; from += 1) {
      const record = underWay[from]!;
      if (!record.sacked && !record.lost && record.order === orders[from]) break;
    }
    if (from > 0 && (from === underWay.length || (from > 64 && 2 * from > underWay.length))) {
      this.#underWay = underWay.slice(from);
      this.#underWayOrders = orders.slice(from);
      from = 0;
    }
    this.#underWayFrom = from;
    return this.#underWay[from] ?? null;
  }

  #enlist(record: Sent): void {
    this.#underWay.push(record);
    this.#underWayOrders.push(record.order);
  }

  /** Index in #sent of the first record that begins at `position` or beyond. */
  #indexOf(position: number): number {
    let low = this.#first,
      high = this.#sent.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sent[middle]!.start >= position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #declareLost(record: Sent, now: Micros, byTimer: boolean): void {
    record.lost = true;
    record.lostByTimer = byTimer;
    record.lostSentAt = record.sentAt;
    record.lostOrder = record.order;
    this.#lostFrom = this.#lostCount === 0 ? record.start : Math.min(this.#lostFrom, record.start);
    this.#lostCount += 1;
    const cost = record.end - record.start + SEGMENT_OVERHEAD;
    this.#inFlight -= cost;
    if (this.controller.onLoss(cost, record.sentAt, now, this.unsent)) this.#onReduction(0);
    record.reduction = this.#reductions;
    if (this.#reductionLosses >= 0) this.#reductionLosses += 1;
  }

  /** When `onTimer` should be called, NEVER when nothing is outstanding. */
  get dueAt(): Micros {
    const oldest = this.#oldest;
    if (oldest === null) return NEVER;
    const at =
      Math.max(this.#underWay[this.#underWay.length - 1]!.sentAt, this.progressAt) + this.timeout;
    return oldest.order < this.#newestAckedOrder
      ? Math.min(at, oldest.sentAt + this.#lossDelay)
      : at;
  }

  get timeout(): Micros {
    const { samples, smoothedUs, variationUs } = this.rtt;
    const minimum = this.#reliable ? TIMEOUT_MIN_RELIABLE : TIMEOUT_MIN;
    const base =
      samples === 0
        ? TIMEOUT_UNKNOWN
        : Math.max(minimum, Math.round(smoothedUs + 4 * variationUs) + 50 * MILLISECOND);
    return Math.min(TIMEOUT_MAX, base * (1 << Math.min(this.timeouts, 5)));
  }

  /**
   * Time has come: what is lost by time is marked; after a whole timeout the oldest is sent again.
   */
  onTimer(now: Micros): void {
    this.#detectLost(now);
    for (let i = this.#first; i < this.#sent.length; i += 1) {
      const record = this.#sent[i]!;
      if (record.lost || record.sacked) continue;
      if (now - Math.max(record.sentAt, this.progressAt) < this.timeout) return;
      this.timeouts += 1;
      this.#probe = true;
      this.#timerLosses += 1;
      this.#declareLost(record, now, true);
      if (this.timeouts >= 2) this.controller.onPersistentLoss(this.unsent);
      return;
    }
  }

  /** No more leaves now: the controller is told when it is not for its sake. */
  onPause(): void {
    if (this.#lostCount === 0 && this.limit() !== 'congestion window')
      this.controller.onApplicationLimited(this.#inFlight);
  }

  /** What keeps more from leaving. */
  limit(): 'application' | 'congestion window' | 'receiver window' {
    if (this.#dataEnd <= this.next) return 'application';
    return this.edge <= this.next ? 'receiver window' : 'congestion window';
  }

  clear(): void {
    this.#buffer.clear();
    this.#sent = [];
    this.#first = 0;
    this.#lostCount = 0;
    this.#underWay = [];
    this.#underWayOrders = [];
    this.#underWayFrom = 0;
  }

  /** Position behind the last byte accepted. */
  get #dataEnd(): number {
    return this.unacknowledged > this.#finAt && this.#finAt >= 0
      ? this.#finAt
      : this.unacknowledged + this.#buffer.length;
  }

  #windowOpen(bytes: number, now: Micros, wait: { us: Micros }): boolean {
    const cost = bytes + SEGMENT_OVERHEAD;
    if (this.#inFlight > 0 && this.#inFlight + cost > this.controller.window) return false;
    wait.us = this.#pacer.wait(cost, now, this.controller, this.rtt);
    return wait.us === 0;
  }
}
