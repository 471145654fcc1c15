/**
 * Sending half of the realtime service: packets leave at once, and what the neighbour misses leaves
 * again as long as it can be in time.
 *
 * Owns the history of what left (realtime-history.ts), the budget for what the neighbour asks for,
 * the tail probe, copies and parities, and the choice between them (redundancy.ts). Only while the
 * sink pushes back, or the operator's rate is spent, do packets wait, in a fair queue, and those
 * that can't be in time by then go. The invariants: a request is answered once, and what is sent
 * again is at most AGAIN_PART of what was sent, whatever the neighbour asks for. `@hot`
 */

import { MILLISECOND, SECOND, Timer, type Micros } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { deadlineUs } from '../wire/deadline.ts';
import { DropReason } from '../wire/drop.ts';
import { FRAME_REALTIME, FRAME_REALTIME_AGAIN, FRAME_REPAIR } from '../wire/frames.ts';
import { deadlineAt, destinationAt, PRECIOUS_PRIORITY, type Packet } from '../wire/packet.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';
import {
  AGAIN_HEAD_BYTES,
  encodeAgain,
  numberNear,
  PLACES_MAX,
  putAge,
  REALTIME_HEAD_BYTES,
  Request,
  type AgainHead,
} from '../wire/realtime.ts';
import { DATAGRAM_HEADER_BYTES, FRAME_HEAD_BYTES } from '../wire/sizes.ts';
import type { Channel } from './channel.ts';
import { CopyBudget } from './copy-budget.ts';
import type { ServiceEnvironment, ServiceOutput } from './data-service.ts';
import { DueAgain } from './due-again.ts';
import { RealtimeHistory, type Sent } from './realtime-history.ts';
import { RepairBlock } from './repair-block.ts';
import {
  BLOCK_WAIT,
  BUDGET,
  chooseRedundancy,
  GRAIN,
  PLAIN,
  type Redundancy,
} from './redundancy.ts';
import { SendQueue } from './send-queue.ts';

/**
 * Of the bytes of packets, what may be sent again because the neighbour asks, and how much at once.
 */
export const AGAIN_PART = 0.25;
export const AGAIN_BYTES_MAX = 64 * 1024;
const AGAIN_BYTES_FIRST = 12 * 1024;
/** A further answer to one request leaves only where first ones find so much. */
const AGAIN_BYTES_SPARE = 6 * 1024;
/**
 * What left less than this part of a round trip ago nobody can miss who does not have it: it is
 * under way.
 */
const MISSED_PART = 3 / 4;
/** Requests of one neighbour that are looked at. */
const REQUESTS_PER_SECOND = 2_000,
  REQUESTS_BURST = 512;
/** Below that loss nobody has to be shown the tail. */
const PROBED_LOSS = 0.0005;
const PROBE_LEAST: Micros = 2 * MILLISECOND;
const DECIDE_INTERVAL: Micros = 250 * MILLISECOND;
/** Weight of one look at the loss; the first ones weigh more. */
const LOSS_GAIN = 1 / 32;
/** Before a copy leaves: at least, and of the time left or the round trip, whichever is less. */
const COPY_AFTER_LEAST: Micros = 2 * MILLISECOND;
const COPY_AFTER_PART = 1 / 4;
/** What may leave at once under a rate: at least a long packet, and so many seconds of it. */
const RATE_BURST_LEAST = 3_000,
  RATE_BURST_SECONDS = 0.005;
/** IP and UDP headers. */
const IP_UDP_BYTES = 28;
/** Bytes that a parity may be ahead of its budget. */
const PARITY_BYTES_MAX = 3_000;

/** What the sending half counts, from the start of the link. */
export interface RealtimeSent {
  /** Packets, bytes of their datagrams without headers, and packets a second. */
  packets: number;
  bytes: number;
  rate: number;
  /** Of requests: numbers that were asked for and in the history, sent again, and refused. */
  asked: number;
  answered: number;
  overBudget: number;
  /** Not sent again, as it would have come too late. */
  tooLate: number;
  probes: number;
  copies: number;
  /** Precious packets that left without one: the budget was spent, or the sink was full. */
  uncopied: number;
  parities: number;
  /** Bytes beyond the packets: sent again, copies, parities and probes. */
  extraBytes: number;
}

export class RealtimeSender {
  readonly counts: RealtimeSent = {
    packets: 0,
    bytes: 0,
    rate: 0,
    asked: 0,
    answered: 0,
    overBudget: 0,
    tooLate: 0,
    probes: 0,
    copies: 0,
    uncopied: 0,
    parities: 0,
    extraBytes: 0,
  };
  readonly queue: SendQueue;
  redundancy: Redundancy = PLAIN;
  /** Towards the peer, 0..1, over some seconds. */
  loss = 0;
  readonly #out: ServiceOutput;
  readonly #env: ServiceEnvironment;
  readonly #history: RealtimeHistory;
  readonly #due: DueAgain;
  readonly #copies = new CopyBudget();
  readonly #block = new RepairBlock();
  readonly #request = new Request();
  readonly #requests = new TokenBucket(REQUESTS_PER_SECOND, REQUESTS_BURST);
  readonly #again: AgainHead = { of: 0, index: 0, datagrams: 1, last: true, ageUs: 0 };
  readonly #historyTimer = new Timer(() => this.#onHistoryTimer());
  readonly #probeTimer = new Timer(() => this.#onProbeTimer());
  readonly #blockTimer = new Timer(() => this.#onBlockTimer());
  readonly #rateTimer = new Timer(() => this.pump());
  #againBytes = AGAIN_BYTES_FIRST;
  #parityBytes = 0;
  /** Bytes that may leave under the operator's rate; below 0: owed. */
  #credit = RATE_BURST_LEAST;
  #creditAt: Micros = 0;
  /** Datagram and time of the latest packet, and how many it is behind the first there. */
  #number = -1;
  #datagrams = 1;
  #index = 0;
  #sentAt: Micros = 0;
  /** Of the latest packet, and the least since the choice before this one. */
  #leftUs: Micros = 0;
  #leastUs: Micros = Infinity;
  /** Probes of the tail that have left since, or -1: none is to. */
  #probed = -1;
  #probeAt: Micros = 0;
  #decidedAt: Micros = -1;
  #counted = 0;
  #looks = 0;

  constructor(out: ServiceOutput, env: ServiceEnvironment) {
    this.#out = out;
    this.#env = env;
    this.queue = new SendQueue(
      env.pool,
      env.linkQueueBytes,
      () => out.onPushedOut?.(),
      env.draws.u32(),
    );
    this.#history = new RealtimeHistory(env.pool);
    this.#due = new DueAgain(env.timers, (position, copy) => this.#onDue(position, copy));
  }

  /** Until the peer knows of a loss. */
  get #noticedUs(): Micros {
    return Math.max(PROBE_LEAST, Math.round(this.#env.rtt.smoothedUs / 16));
  }

  /* -------------------------------------------------------------- packets */

  offer(packet: Packet): boolean {
    const channel = this.#out.channel;
    if (channel === null) return false;
    const now = this.#env.clock.now();
    if (this.queue.length > 0 || this.#env.sink.congested || !this.#mayLeave(now)) {
      const taken = this.queue.push(packet, now);
      this.#watchRate(now);
      return taken;
    }
    const leftUs =
      deadlineUs(packet.deadline) - packet.ageUs - this.#env.latencyTo(packet.destination);
    this.#send(channel, packet.bytes, packet.start, packet.end, packet.ageUs, leftUs, now);
    const kept = this.#env.pool.keep(packet);
    if (kept !== null) this.#keep(kept, packet.ageUs, leftUs, packet.priority, now);
    this.#watchTail(now);
    return true;
  }

  /** The sink takes datagrams again. */
  pump(): void {
    const channel = this.#out.channel;
    const { pool, sink, drops } = this.#env;
    const now = this.#env.clock.now();
    while (channel !== null && !sink.congested && this.#mayLeave(now)) {
      const kept = this.queue.shift();
      if (kept === undefined) break;
      const ageUs = kept.ageUs + now - kept.queuedAt;
      const limitUs = deadlineUs(deadlineAt(kept.bytes, kept.start));
      const leftUs = limitUs - ageUs - this.#env.latencyTo(destinationAt(kept.bytes, kept.start));
      if (leftUs < 0) {
        drops.count(DropReason.realtimeLate);
        pool.release(kept);
        continue;
      }
      this.#send(channel, kept.bytes, kept.start, kept.end, ageUs, leftUs, now);
      this.#keep(kept, ageUs, leftUs, kept.priority, now);
      this.#watchTail(now);
    }
    this.#watchRate(now);
    if (this.queue.takeRoom()) this.#out.onWritable();
  }

  /** Whether the operator's bound lets something leave now; what is owed is of the one before. */
  #mayLeave(now: Micros): boolean {
    const perSecond = this.#env.realtimeBytesPerSecond();
    if (perSecond === 0) {
      this.#credit = RATE_BURST_LEAST;
      return true;
    }
    const credit = this.#credit + ((now - this.#creditAt) / SECOND) * perSecond;
    this.#credit = Math.min(credit, Math.max(RATE_BURST_LEAST, perSecond * RATE_BURST_SECONDS));
    this.#creditAt = now;
    return this.#credit >= 0;
  }

  /** Goes on with what waits when what is owed has come in. */
  #watchRate(now: Micros): void {
    const perSecond = this.#env.realtimeBytesPerSecond();
    if (perSecond === 0 || this.queue.length === 0 || this.#env.sink.congested) return;
    if (this.#rateTimer.armed) return;
    const wait = Math.ceil((Math.max(0, -this.#credit) * SECOND) / perSecond);
    this.#env.timers.arm(this.#rateTimer, now + Math.max(GRAIN, wait));
  }

  /** So many bytes beyond packets left. */
  #spend(bytes: number): void {
    this.counts.extraBytes += bytes;
    this.#credit -= bytes;
  }

  #send(
    channel: Channel,
    bytes: Uint8Array,
    start: number,
    end: number,
    ageUs: Micros,
    leftUs: Micros,
    now: Micros,
  ): void {
    if (now - this.#decidedAt >= DECIDE_INTERVAL) this.#decide(now);
    const at = channel.frameOf(FRAME_REALTIME, REALTIME_HEAD_BYTES, bytes, start, end);
    putAge(channel.buffer, at, ageUs);
    const number = channel.fillingNumber;
    this.#index = number === this.#number ? this.#index + 1 : 0;
    this.#number = number;
    this.#datagrams = channel.fillingDatagrams;
    this.#sentAt = now;
    this.#leftUs = leftUs;
    if (leftUs < this.#leastUs) this.#leastUs = leftUs;
    const length = FRAME_HEAD_BYTES + REALTIME_HEAD_BYTES + end - start;
    this.counts.packets += 1;
    this.counts.bytes += length;
    this.#credit -= length + DATAGRAM_HEADER_BYTES + IP_UDP_BYTES;
    this.#againBytes = Math.min(AGAIN_BYTES_MAX, this.#againBytes + AGAIN_PART * length);
    this.#copies.earn(length);
    this.#out.onSent();
    if (this.redundancy.block > 0) this.#cover(channel, at, length, now);
  }

  /** Of what was just sent. */
  #keep(kept: KeptPacket, ageUs: Micros, leftUs: Micros, priority: number, now: Micros): void {
    if (this.#index >= PLACES_MAX || leftUs <= 0) {
      this.#env.pool.release(kept);
      return;
    }
    const history = this.#history;
    history.add(kept, this.#number, this.#datagrams, this.#index, ageUs, now, now + leftUs);
    if (!this.#historyTimer.armed) this.#env.timers.arm(this.#historyTimer, history.oldestUntil);
    if (!this.redundancy.copies || priority < PRECIOUS_PRIORITY) return;
    const payer = kept.via === 0 ? kept.user : kept.via;
    if (this.#copies.take(payer, kept.length, now))
      this.#due.add(history.last, now + this.#copyAfter(leftUs), true);
    else this.counts.uncopied += 1;
  }

  /** Later than what a short burst takes, and as early as a request could hardly be. */
  #copyAfter(leftUs: Micros): Micros {
    const part = Math.min(leftUs, this.#env.rtt.smoothedUs) * COPY_AFTER_PART;
    return Math.max(COPY_AFTER_LEAST, Math.round(part));
  }

  #onHistoryTimer(): void {
    this.#history.expire(this.#env.clock.now());
    if (this.#history.length > 0)
      this.#env.timers.arm(this.#historyTimer, this.#history.oldestUntil);
  }

  /* -------------------------------------------------------------- requests */

  /** A request whose body is `bytes[start..end)`. */
  onRequest(bytes: Uint8Array, start: number, end: number): DropReason {
    const request = this.#request;
    const reason = request.decode(bytes, start, end);
    if (reason !== DropReason.none) return reason;
    const channel = this.#out.channel!,
      now = this.#env.clock.now();
    if (!this.#requests.take(now)) return DropReason.realtimeOverBudget;
    const missed = now - this.#env.rtt.recentUs * MISSED_PART;
    let over = false;
    for (let i = 0; i < request.count; i += 1) {
      const first = numberNear(request.first[i]!, 32, channel.fillingNumber);
      const beyond = Math.min(first + request.length[i]!, channel.fillingNumber);
      for (let at = this.#history.from(first); ; at += 1) {
        const sent = this.#history.at(at);
        if (sent === null || sent.number >= beyond || sent.at > missed) break;
        if (!this.#answer(at, sent, request, now)) over = true;
      }
    }
    return over ? DropReason.realtimeOverBudget : DropReason.none;
  }

  /** False: there are no bytes left for it. */
  #answer(position: number, sent: Sent, request: Request, now: Micros): boolean {
    const bit = 1 << request.strike;
    if ((sent.answered & bit) !== 0) return true;
    this.counts.asked += 1;
    sent.answered |= bit;
    if (!this.#sendAgain(position, sent, now, true)) return false;
    for (let copy = 1; copy < request.copies; copy += 1)
      this.#due.add(position, now + copy * request.spacingMs * MILLISECOND, false);
    return true;
  }

  #onDue(position: number, copy: boolean): void {
    const sent = this.#history.at(position);
    if (sent === null || this.#out.channel === null) return;
    if (!copy && this.#againBytes < AGAIN_BYTES_SPARE) return;
    if (copy && this.#env.sink.congested) {
      this.counts.uncopied += 1;
      return;
    }
    this.#sendAgain(position, sent, this.#env.clock.now(), !copy);
  }

  /**
   * Sends it once more if it can be in time; false: `asked` for, and no bytes are left for that.
   */
  #sendAgain(position: number, sent: Sent, now: Micros, asked: boolean): boolean {
    const { counts } = this;
    if (now > sent.until) {
      counts.tooLate += 1;
      return true;
    }
    const channel = this.#out.channel!,
      kept = sent.kept!;
    const bytes = FRAME_HEAD_BYTES + AGAIN_HEAD_BYTES + kept.length;
    if (asked) {
      if (this.#againBytes < bytes) {
        counts.overBudget += 1;
        return false;
      }
      this.#againBytes -= bytes;
      counts.answered += 1;
      sent.times += 1;
    } else counts.copies += 1;
    const again = this.#again;
    again.of = sent.number % 0x1_0000;
    again.index = sent.index;
    again.datagrams = sent.datagrams;
    again.last = this.#history.isLast(position);
    again.ageUs = sent.ageUs + now - sent.at;
    const at = channel.frameOf(
      FRAME_REALTIME_AGAIN,
      AGAIN_HEAD_BYTES,
      kept.bytes,
      kept.start,
      kept.end,
    );
    encodeAgain(again, channel.buffer, at);
    this.#spend(bytes + DATAGRAM_HEADER_BYTES + IP_UDP_BYTES);
    this.#out.onSent();
    return true;
  }

  /* -------------------------------------------------------------- the tail */

  /**
   * When nothing leaves for a moment an empty datagram does, so that the neighbour sees whether the
   * last packet is missing; and one more when the stream has stopped.
   */
  #watchTail(now: Micros): void {
    if (this.loss < PROBED_LOSS) return;
    const wait = this.#noticedUs;
    this.#probed = 0;
    // What no request mends needs none, and a copy that follows shows as much.
    if (
      this.#leftUs < wait + this.#env.rtt.smoothedUs + GRAIN ||
      this.#due.nextAt <= now + this.#copyAfter(this.#leftUs)
    )
      this.#probed = -1;
    else if (!this.#probeTimer.armed || now + wait < this.#probeAt) this.#armProbe(now + wait);
  }

  #armProbe(at: Micros): void {
    this.#probeAt = at;
    this.#env.timers.arm(this.#probeTimer, at);
  }

  #onProbeTimer(): void {
    const channel = this.#out.channel;
    if (channel === null || this.#probed < 0) return;
    const now = this.#env.clock.now();
    // Packets went on: the timer was armed for an earlier one.
    const pause = this.#probed === 0 ? 0 : Math.round((2 * SECOND) / Math.max(1, this.counts.rate));
    const due = this.#sentAt + this.#noticedUs + pause;
    if (now < due) {
      this.#armProbe(due);
      return;
    }
    const last = this.#number + this.#datagrams - 1;
    if (!this.#env.sink.congested && channel.fillingNumber <= last + 1 + this.#probed)
      this.#probe(channel);
    this.#probed = this.#probed === 0 ? 1 : -1;
    if (this.#probed > 0) this.#armProbe(now + 1);
  }

  #probe(channel: Channel): void {
    if (channel.begun) return;
    channel.sendEmpty();
    this.counts.probes += 1;
    this.#spend(DATAGRAM_HEADER_BYTES + IP_UDP_BYTES);
    this.#out.onSent();
  }

  /* -------------------------------------------------------------- redundancy */

  #decide(now: Micros): void {
    const { rtt, losses } = this.#env;
    const { counts } = this;
    const span = now - this.#decidedAt;
    if (this.#decidedAt >= 0) {
      const rate = ((counts.packets - this.#counted) * SECOND) / span;
      counts.rate +=
        (rate - counts.rate) * Math.min(1, Math.max(span / SECOND, 1 / (this.#looks + 1)));
    }
    this.#looks += 1;
    this.loss += (losses.lossOut - this.loss) * Math.max(LOSS_GAIN, 1 / this.#looks);
    this.redundancy = chooseRedundancy({
      loss: this.loss,
      persistence: losses.burstOut,
      rate: counts.rate,
      leftUs: this.#leastUs === Infinity ? 0 : this.#leastUs,
      rttUs: rtt.smoothedUs,
      noticedUs: this.#noticedUs,
    });
    if (this.redundancy.block === 0) this.#block.clear();
    this.#decidedAt = now;
    this.#counted = counts.packets;
    this.#leastUs = Infinity;
  }

  /** The frame whose body is at `at`, of `length` bytes with its head, was just written. */
  #cover(channel: Channel, at: number, length: number, now: Micros): void {
    const block = this.#block;
    this.#parityBytes = Math.min(PARITY_BYTES_MAX, this.#parityBytes + BUDGET * length);
    if (this.#datagrams > 1) {
      block.clear();
      return;
    }
    const start = at - FRAME_HEAD_BYTES;
    // What does not fit begins another.
    if (!block.add(this.#number, channel.buffer, start, start + length, now))
      block.add(this.#number, channel.buffer, start, start + length, now);
    if (block.units >= this.redundancy.block) this.#repair(channel);
    else if (!this.#blockTimer.armed)
      this.#env.timers.arm(this.#blockTimer, block.since + this.#blockWait);
  }

  get #blockWait(): Micros {
    return Math.max(GRAIN, Math.round(BLOCK_WAIT * Math.max(0, this.#leftUs)));
  }

  #onBlockTimer(): void {
    const channel = this.#out.channel,
      block = this.#block;
    if (channel === null || block.units === 0) return;
    const due = block.since + this.#blockWait;
    if (this.#env.clock.now() < due) this.#env.timers.arm(this.#blockTimer, due);
    else if (block.units > 1 && this.#parityBytes >= block.bytes) this.#repair(channel);
    else block.clear();
  }

  #repair(channel: Channel): void {
    // What a datagram has, the parity in it can't restore.
    channel.cut();
    const bytes = this.#block.bytes;
    this.#block.write(channel.buffer, channel.frame(FRAME_REPAIR, bytes));
    this.#parityBytes -= bytes;
    this.counts.parities += 1;
    this.#spend(FRAME_HEAD_BYTES + bytes + DATAGRAM_HEADER_BYTES + IP_UDP_BYTES);
    this.#out.onSent();
  }

  /* -------------------------------------------------------------- the link */

  onUp(): void {
    this.#forget();
    this.#number = -1;
    this.#requests.level(this.#env.clock.now());
  }

  onDown(): void {
    this.#forget();
    this.queue.clear();
    if (this.queue.takeRoom()) this.#out.onWritable();
  }

  /** Numbers of the channel before mean nothing on another. */
  #forget(): void {
    const { timers } = this.#env;
    timers.cancel(this.#historyTimer);
    timers.cancel(this.#probeTimer);
    timers.cancel(this.#blockTimer);
    timers.cancel(this.#rateTimer);
    this.#due.clear();
    this.#history.clear();
    this.#block.clear();
    this.#probed = -1;
  }
}
