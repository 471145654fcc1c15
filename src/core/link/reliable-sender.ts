/**
 * Sending half of the reliable service: what has left, what is lost, and what is sent again.
 *
 * Owns window, pacing, loss detection (RFC 9002) and the packets until the neighbour has them:
 * datagram numbers are never reused, a datagram is lost when later ones are acknowledged by a
 * margin of number or time, and a probe covers the tail. Margins adapt to reordering that the link
 * has shown. Packets wait in a fair queue only while window or pacing hold them; the queue marks
 * passing packets of streams when it is long. `@hot`
 */

import { putU32 } from '../base/bytes.ts';
import { Ring } from '../base/ring.ts';
import { MILLISECOND, NEVER, Timer, type Micros } from '../base/time.ts';
import type { CongestionController } from '../recovery/controller.ts';
import { makeController } from '../recovery/congestion.ts';
import { Pacer } from '../recovery/pacer.ts';
import type { RttEstimator } from '../recovery/rtt.ts';
import { AckRanges } from '../wire/ack.ts';
import { DropReason } from '../wire/drop.ts';
import { FRAME_RELIABLE } from '../wire/frames.ts';
import { stampEcn, type Packet } from '../wire/packet.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';
import { SPLIT_HEAD_BYTES } from '../wire/path-size.ts';
import { DATAGRAM_HEADER_BYTES, FRAME_HEAD_BYTES, RELIABLE_HEAD_BYTES } from '../wire/sizes.ts';
import type { ServiceEnvironment, ServiceOutput, WindowFigures } from './data-service.ts';
import { ackDelay } from './reliable-receiver.ts';
import { SendQueue } from './send-queue.ts';
import { PacketsUnderWay, Transmissions } from './unacknowledged.ts';

/**
 * Packets between the oldest unacknowledged and the newest. The receiver remembers more than that.
 */
export const SPAN_MAX = 16_384;
/**
 * Transmissions whose fate may be open before nothing is sent again on suspicion: a link that is so
 * silent is about to be dead.
 */
const TRANSMISSIONS_MAX = 4 * SPAN_MAX;
const PACKET_THRESHOLD = 3;
const PACKET_THRESHOLD_MAX = 128;
const TIME_THRESHOLD = 9 / 8;
const TIME_THRESHOLD_MAX = 2;
const GRANULARITY: Micros = 1 * MILLISECOND;
const INITIAL_RTT: Micros = 100 * MILLISECOND;
const PROBE_MAX: Micros = 1_000 * MILLISECOND;
/** Pauses between probes grow once: what longer silence means is for liveness to say, and soon. */
const PROBE_BACKOFF = 2;
/**
 * So many probes in a row without an answer say that the path is gone, not that a packet was lost.
 */
const PERSISTENT_PROBES = 3;
/** IP and UDP headers: windows count what the network carries. */
const IP_UDP_BYTES = 28;
const BURST_BYTES = 10 * 1_480;
/** What each piece of a split frame has of its own. */
const PIECE_BYTES = IP_UDP_BYTES + DATAGRAM_HEADER_BYTES + FRAME_HEAD_BYTES + SPLIT_HEAD_BYTES;
/** A window that this much is free of does not limit. */
const SLACK_SEGMENTS = 3;
/**
 * Bounds of what a packet of a stream may wait in its flow's queue before it is marked; between
 * them it is twice the link's round trip. The stream's own is longer than that of one link, and a
 * window that halves leaves the line idle where the queue was shorter than that.
 */
const MARK_AFTER_MIN: Micros = 40 * MILLISECOND;
const MARK_AFTER_MAX: Micros = 200 * MILLISECOND;

/**
 * A transmission older than the newest acknowledged. One of several datagrams has arrived when all
 * of them have.
 */
interface Suspect {
  readonly number: number;
  readonly parts: number;
  /** Of its datagrams those that are not acknowledged, as AckRanges.missingOf. */
  missing: number;
  readonly sequence: number;
  readonly sentAt: Micros;
  readonly bytes: number;
  lost: boolean;
  lostAt: Micros;
  /** The window was nearly full when this left. */
  readonly limited: boolean;
}

export class ReliableSender implements WindowFigures {
  retransmitted = 0;
  /** Transmissions declared lost that had arrived after all. */
  spurious = 0;
  readonly #out: ServiceOutput;
  readonly #env: ServiceEnvironment;
  readonly #rtt: RttEstimator;
  /** What waits in front of the window. */
  readonly queue: SendQueue;
  readonly #lossTimer = new Timer(() => this.#onLossTimer());
  readonly #paceTimer = new Timer(() => this.pump());
  #controller: CongestionController;
  #pacer = new Pacer(BURST_BYTES);
  readonly #packets = new PacketsUnderWay();
  readonly #outstanding = new Transmissions();
  /** Missing, or declared lost a short while ago. */
  #suspects: Suspect[] = [];
  /** Sequence numbers of what is to be sent again. */
  readonly #again = new Ring<number>(SPAN_MAX);
  /** What had been in the queue when others left for another way: it goes before the queue. */
  #first: KeptPacket[] = [];
  #inFlight = 0;
  #lastChargedNumber = -1;
  #largestAcked = -1;
  #probedAt: Micros = 0;
  /** When anything last came from the neighbour. */
  #heardAt: Micros = 0;
  /** When the latest ack with news came, and the mean time between such acks. */
  #ackedAt: Micros = 0;
  #ackGap: Micros = 0;
  #probes = 0;
  #packetThreshold = PACKET_THRESHOLD;
  #timeThreshold = TIME_THRESHOLD;
  readonly #decoded = new AckRanges();

  constructor(out: ServiceOutput, env: ServiceEnvironment) {
    this.#out = out;
    this.#env = env;
    this.#rtt = env.rtt;
    this.#controller = makeController(env.congestion);
    this.queue = new SendQueue(
      env.pool,
      env.linkQueueBytes,
      () => out.onPushedOut?.(),
      env.draws.u32(),
    );
    this.queue.onLong = (packet, rate, dropped) => out.onLong?.(packet, rate, dropped);
  }

  /** Congestion control in use. */
  get congestion(): WindowFigures['congestion'] {
    return this.#env.congestion;
  }

  get windowBytes(): number {
    return Math.round(this.#controller.window);
  }

  get inFlightBytes(): number {
    return this.#inFlight;
  }

  /** Packets sent and not yet acknowledged. */
  get unacknowledged(): number {
    return this.#packets.length;
  }

  /* -------------------------------------------------------------- sending */

  offer(packet: Packet): boolean {
    if (this.#out.channel === null) return false;
    if (
      this.queue.length === 0 &&
      this.#again.length === 0 &&
      this.#first.length === 0 &&
      this.#maySend(packet.length)
    ) {
      const kept = this.#env.pool.keep(packet);
      if (kept === null) return false;
      this.#sendNew(kept);
      // Set by what is older, if anything is.
      if (!this.#lossTimer.armed) this.#armLossTimer();
      this.#controller.onApplicationLimited(this.#inFlight);
      return true;
    }
    return this.queue.push(packet, this.#env.clock.now());
  }

  get #markAfter(): Micros {
    return Math.min(MARK_AFTER_MAX, Math.max(MARK_AFTER_MIN, 2 * this.#rtt.smoothedUs));
  }

  /**
   * True when window, pacing, span and sink let a packet of `length` bytes go now; arms the pacing
   * timer if that is all.
   */
  #maySend(length: number): boolean {
    if (this.#env.sink.congested || this.#packets.length >= SPAN_MAX) return false;
    const bytes =
      length + FRAME_HEAD_BYTES + RELIABLE_HEAD_BYTES + DATAGRAM_HEADER_BYTES + IP_UDP_BYTES;
    const controller = this.#controller;
    if (this.#inFlight > 0 && this.#inFlight + bytes > controller.window) return false;
    const wait = this.#pacer.wait(bytes, this.#env.clock.now(), controller, this.#rtt);
    if (wait === 0) return true;
    if (!this.#paceTimer.armed) this.#env.timers.arm(this.#paceTimer, this.#env.clock.now() + wait);
    return false;
  }

  /** Sends what may be sent: lost packets first, then the queue. */
  pump(): void {
    if (this.#out.channel === null) return;
    for (;;) {
      const again = this.#again.peek();
      if (again !== undefined) {
        const kept = this.#packets.of(again);
        if (kept !== null && !this.#maySend(kept.length)) break;
        this.#again.shift();
        this.#packets.setQueued(again, false);
        if (kept !== null) this.#transmit(again, kept, true);
        continue;
      }
      const [first] = this.#first,
        head = first?.length ?? this.queue.peekLength();
      if (head < 0 || !this.#maySend(head)) break;
      if (first !== undefined) this.#first.shift();
      this.#sendNew(first ?? this.queue.shift(this.#env.clock.now(), this.#markAfter)!);
    }
    if (this.#first.length === 0 && this.queue.length === 0 && this.#again.length === 0)
      this.#controller.onApplicationLimited(this.#inFlight);
    this.#armLossTimer();
    if (this.queue.takeRoom()) this.#out.onWritable();
  }

  #sendNew(kept: KeptPacket): void {
    this.#transmit(this.#packets.add(kept), kept, false);
  }

  #transmit(sequence: number, kept: KeptPacket, again: boolean): void {
    const channel = this.#out.channel!;
    const length = kept.end - kept.start;
    const at = channel.frameOf(
      FRAME_RELIABLE,
      RELIABLE_HEAD_BYTES,
      kept.bytes,
      kept.start,
      kept.end,
    );
    putU32(channel.buffer, at, sequence >>> 0);
    if (kept.mark) stampEcn(channel.buffer, at + RELIABLE_HEAD_BYTES);
    const number = channel.fillingNumber;
    const first = number !== this.#lastChargedNumber;
    this.#lastChargedNumber = number;
    const parts = channel.fillingDatagrams;
    const bytes =
      parts > 1
        ? RELIABLE_HEAD_BYTES + length + parts * PIECE_BYTES
        : FRAME_HEAD_BYTES +
          RELIABLE_HEAD_BYTES +
          length +
          (first ? DATAGRAM_HEADER_BYTES + IP_UDP_BYTES : 0);
    const now = this.#env.clock.now();
    this.#packets.sentIn(sequence, number);
    this.#inFlight += bytes;
    this.#pacer.take(bytes);
    if (first) this.#controller.onSegmentSize(bytes / parts);
    const limited =
      this.#inFlight + SLACK_SEGMENTS * bytes >= this.#controller.window ||
      (this.#controller.inSlowStart && 2 * this.#inFlight >= this.#controller.window);
    this.#outstanding.push(number, parts, sequence, now, bytes, limited);
    this.#controller.onSent(bytes, this.#inFlight, now);
    if (again) this.retransmitted += 1;
    this.#out.onSent();
  }

  /* -------------------------------------------------------------- acks of what we sent */

  onAckFrame(bytes: Uint8Array, start: number, end: number): DropReason {
    const ranges = this.#decoded;
    const reason = ranges.decode(bytes, start, end);
    if (reason !== DropReason.none) return reason;
    const channel = this.#out.channel;
    if (channel === null || ranges.largest >= channel.fillingNumber) return DropReason.ackUnsent;
    this.#onAck(ranges);
    this.#out.onAcknowledged?.(ranges);
    return DropReason.none;
  }

  #onAck(ranges: AckRanges): void {
    const now = this.#env.clock.now();
    const { largest } = ranges;
    // Number, and send time, of the newest transmission under way that this acknowledges.
    let newest = -1,
      newestSentAt: Micros = 0,
      rtt: Micros = 0;
    if (this.#suspects.length > 0) {
      let kept = 0;
      for (const sent of this.#suspects) {
        if (
          sent.parts === 1
            ? ranges.has(sent.number)
            : (sent.missing &= ranges.missingOf(sent.number, sent.parts)) === 0
        )
          this.#acknowledge(sent, now);
        else this.#suspects[kept++] = sent;
      }
      this.#suspects.length = kept;
    }
    const outstanding = this.#outstanding;
    while (outstanding.length > 0 && outstanding.last <= largest) {
      const { number, parts, sentAt } = outstanding;
      const missing = parts === 1 ? (ranges.has(number) ? 0 : 1) : ranges.missingOf(number, parts);
      if (missing === 0) {
        newest = outstanding.last;
        newestSentAt = sentAt;
        this.#inFlight -= outstanding.bytes;
        this.#controller.onAck(
          outstanding.bytes,
          sentAt,
          now,
          this.#rtt.smoothedUs,
          outstanding.limited,
        );
        this.#arrivedThere(outstanding.sequence);
      } else this.#suspects.push(this.#suspect(missing));
      outstanding.shift();
    }
    if (largest > this.#largestAcked) this.#largestAcked = largest;
    if (newest >= 0) {
      this.#probes = 0;
      this.#ackGap += (Math.min(now - this.#ackedAt, 1_000 * MILLISECOND) - this.#ackGap) / 4;
      this.#ackedAt = now;
      if (newest === largest) {
        const whole = now - newestSentAt;
        rtt = whole - ranges.delayUs >= this.#rtt.minUs ? whole - ranges.delayUs : whole;
        this.#rtt.onSample(rtt, now);
      }
    }
    this.#detectLost(now);
    this.#controller.onAckEnd(now, this.#inFlight, rtt);
    this.#packets.advance();
    this.pump();
  }

  #acknowledge(sent: Suspect, now: Micros): void {
    if (sent.lost) {
      // Declared lost, and yet it arrived: the link reorders more than we thought.
      this.spurious += 1;
      this.#packetThreshold = Math.min(
        PACKET_THRESHOLD_MAX,
        Math.max(this.#packetThreshold, this.#largestAcked - sent.number + 1),
      );
      this.#timeThreshold = Math.min(TIME_THRESHOLD_MAX, this.#timeThreshold * 1.125);
    } else {
      this.#inFlight -= sent.bytes;
      this.#controller.onAck(sent.bytes, sent.sentAt, now, this.#rtt.smoothedUs, sent.limited);
    }
    this.#arrivedThere(sent.sequence);
  }

  #arrivedThere(sequence: number): void {
    const kept = this.#packets.of(sequence);
    if (kept === null) return;
    this.#packets.done(sequence);
    this.#env.pool.release(kept);
  }

  /** The oldest transmission whose fate is open, as a suspect. */
  #suspect(missing: number): Suspect {
    const { number, parts, sequence, sentAt, bytes, limited } = this.#outstanding;
    return { number, parts, missing, sequence, sentAt, bytes, lost: false, lostAt: 0, limited };
  }

  get #lossDelay(): Micros {
    const { smoothedUs, latestUs } = this.#rtt;
    return Math.max(GRANULARITY, Math.round(this.#timeThreshold * Math.max(smoothedUs, latestUs)));
  }

  #detectLost(now: Micros): void {
    const lossDelay = this.#lossDelay;
    const forget = now - 3 * Math.max(lossDelay, 10 * MILLISECOND);
    let kept = 0;
    for (const sent of this.#suspects) {
      if (sent.lost) {
        if (sent.lostAt >= forget) this.#suspects[kept++] = sent;
        continue;
      }
      if (
        this.#largestAcked - sent.number - sent.parts + 1 < this.#packetThreshold &&
        sent.sentAt > now - lossDelay
      ) {
        this.#suspects[kept++] = sent;
        continue;
      }
      this.#declareLost(sent, now);
      this.#suspects[kept++] = sent;
    }
    this.#suspects.length = kept;
  }

  #declareLost(sent: Suspect, now: Micros): void {
    sent.lost = true;
    sent.lostAt = now;
    this.#inFlight -= sent.bytes;
    // What is longer than the path takes by now was lost for that.
    const channel = this.#out.channel;
    if (channel === null || channel.lengthOf(sent.number) <= channel.size)
      this.#controller.onLoss(sent.bytes, sent.sentAt, now, this.queue.bytes);
    const { sequence } = sent;
    if (
      this.#packets.of(sequence) === null ||
      this.#packets.isQueued(sequence) ||
      this.#packets.lastNumber(sequence) !== sent.number
    )
      return;
    this.#packets.setQueued(sequence, true);
    this.#again.push(sequence);
  }

  /* -------------------------------------------------------------- timers */

  /**
   * When the oldest suspect is lost by time, or, with none, when the oldest packet under way should
   * long have been acknowledged. RFC 9002 counts from the newest; a sparse flow would then wait for
   * a packet more.
   */
  #armLossTimer(): void {
    let at = NEVER;
    for (const sent of this.#suspects)
      if (!sent.lost) at = Math.min(at, sent.sentAt + this.#lossDelay);
    if (at === NEVER && this.#outstanding.length > 0) {
      at = Math.max(this.#outstanding.sentAt, this.#probedAt) + this.#probeAfter;
      // While several acks come in every round trip, the next is waited for: a queue that builds up
      // on the way is no loss.
      if (2 * this.#ackGap < this.#rtt.smoothedUs)
        at = Math.max(at, this.#ackedAt + Math.round(1.25 * this.#ackGap));
    }
    if (at === NEVER) this.#env.timers.cancel(this.#lossTimer);
    else this.#env.timers.arm(this.#lossTimer, at);
  }

  get #probeAfter(): Micros {
    const { samples, smoothedUs, variationUs } = this.#rtt;
    const base =
      samples === 0
        ? 2 * INITIAL_RTT
        : Math.round(smoothedUs + Math.max(4 * variationUs, GRANULARITY)) + ackDelay(this.#rtt);
    return Math.min(PROBE_MAX, base * (this.#probes === 0 ? 1 : PROBE_BACKOFF));
  }

  #onLossTimer(): void {
    const now = this.#env.clock.now();
    if (this.#suspects.some((sent) => !sent.lost)) {
      this.#detectLost(now);
      this.pump();
      return;
    }
    this.#probe();
    this.#armLossTimer();
  }

  /** Sends the oldest packets again, whatever the window says. */
  #probe(): void {
    if (this.#out.channel === null) return;
    // A neighbour who is heard is there: then it was a packet or an ack that was lost, and the path
    // is not gone.
    if (this.#probes < 2 || this.#heardAt <= this.#probedAt) this.#probes += 1;
    this.#probedAt = this.#env.clock.now();
    if (this.#probes === PERSISTENT_PROBES) this.#controller.onPersistentLoss(this.queue.bytes);
    if (this.#outstanding.length >= TRANSMISSIONS_MAX) return;
    let left = this.#probes === 1 ? 1 : 2;
    for (
      let sequence = this.#packets.oldest;
      sequence < this.#packets.next && left > 0;
      sequence += 1
    ) {
      const kept = this.#packets.of(sequence);
      if (kept === null) continue;
      left -= 1;
      this.#transmit(sequence, kept, true);
    }
    if (this.#packets.length === 0) this.#forgetCopies();
  }

  /**
   * The neighbour has everything, yet copies sent twice are not accounted for: nothing would ever
   * tell, and they hold the window.
   */
  #forgetCopies(): void {
    const now = this.#env.clock.now();
    for (; this.#outstanding.length > 0; this.#outstanding.shift()) {
      const sent = this.#suspect((1 << this.#outstanding.parts) - 1);
      this.#declareLost(sent, now);
      this.#suspects.push(sent);
    }
    this.pump();
  }

  /** Something arrived from the neighbour. `@hot` */
  onHeard(now: Micros): void {
    this.#heardAt = now;
    if (this.#probes < 2) return;
    // After an outage there is no need to wait for what the silence made of the pauses.
    this.#probes = 1;
    this.#armLossTimer();
  }

  /* -------------------------------------------------------------- life */

  /** Hands back what has not left, and what was lost on its way, as far as it may go elsewhere. */
  shed(elsewhere: (kept: KeptPacket) => boolean): void {
    const back: KeptPacket[] = [];
    for (let left = this.#again.length; left > 0; left -= 1) {
      const sequence = this.#again.shift()!,
        kept = this.#packets.of(sequence);
      if (kept !== null && elsewhere(kept)) {
        this.#packets.done(sequence);
        back.push(kept);
      } else this.#again.push(sequence);
    }
    this.#packets.advance();
    const stay: KeptPacket[] = [];
    for (const kept of this.#waiting()) (elsewhere(kept) ? back : stay).push(kept);
    this.#first = stay;
    for (const kept of back) this.#out.onHandBack(kept);
  }

  /** Takes out everything that has not left yet, in the order in which it would have. */
  #waiting(): KeptPacket[] {
    const waiting = this.#first;
    this.#first = [];
    for (let kept = this.queue.shift(); kept !== undefined; kept = this.queue.shift())
      waiting.push(kept);
    return waiting;
  }

  onDown(): void {
    for (const timer of [this.#lossTimer, this.#paceTimer]) this.#env.timers.cancel(timer);
    const back: KeptPacket[] = [];
    for (let sequence = this.#packets.oldest; sequence < this.#packets.next; sequence += 1) {
      const kept = this.#packets.of(sequence);
      if (kept !== null) back.push(kept);
    }
    for (const kept of this.#waiting()) back.push(kept);
    this.#packets.clear();
    this.#outstanding.clear();
    this.#suspects = [];
    this.#again.clear();
    this.#inFlight = 0;
    this.#lastChargedNumber = -1;
    this.#largestAcked = -1;
    this.#probes = 0;
    this.#ackGap = 0;
    this.#controller = makeController(this.#env.congestion);
    this.#pacer = new Pacer(BURST_BYTES);
    for (const kept of back) this.#out.onHandBack(kept);
    if (this.queue.takeRoom()) this.#out.onWritable();
  }
}
