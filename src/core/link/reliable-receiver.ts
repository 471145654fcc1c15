/**
 * Receiving half of the reliable service: what has arrived, what is new, and when the neighbour
 * hears of it.
 *
 * Owns the numbers of datagrams and of packets that came, and writes the acks that leave with the
 * next datagram of the channel, or soon by themselves. What is missing is told at once. `@hot`
 */

import { getU32 } from '../base/bytes.ts';
import { ReplayWindow } from '../base/replay-window.ts';
import { MILLISECOND, Timer, type Micros } from '../base/time.ts';
import type { RttEstimator } from '../recovery/rtt.ts';
import { AckRanges } from '../wire/ack.ts';
import { DropReason } from '../wire/drop.ts';
import { RELIABLE_HEAD_BYTES } from '../wire/sizes.ts';
import type { AckWriter } from './channel.ts';
import type { ServiceEnvironment, ServiceOutput } from './data-service.ts';

/** Packets whose numbers are remembered, in words of 32: more than a sender has under way. */
const RECEIVED_WORDS = 1_024;
/** A packet whose number is further ahead than this is none that a neighbour sends. */
const AHEAD_MAX = 32_768;
const ACK_EVERY = 2;
const ACK_DELAY_MIN: Micros = 1 * MILLISECOND;
const ACK_DELAY_MAX: Micros = 25 * MILLISECOND;
/**
 * So many datagrams that did not arrive are told even when nothing else asks for it: their sender
 * sees whether they were the long ones.
 */
const REPORT_MISSING = 3;
const REPORT_INTERVAL: Micros = 25 * MILLISECOND;

/** How long an ack may wait for company: an eighth of the round trip, within bounds. */
export function ackDelay({ smoothedUs }: RttEstimator): Micros {
  return Math.min(ACK_DELAY_MAX, Math.max(ACK_DELAY_MIN, Math.round(smoothedUs / 8)));
}

export class ReliableReceiver implements AckWriter {
  readonly #out: ServiceOutput;
  readonly #env: Pick<ServiceEnvironment, 'clock' | 'timers' | 'rtt'>;
  readonly #ackTimer = new Timer(() => this.#onAckTimer());
  readonly #arrived = new AckRanges();
  #received: ReplayWindow | null = null;
  #eliciting = 0;
  #ackNow = false;
  /** The last ack may have been lost: the next hello says it again, once. */
  #ackOnce = false;
  #ackAgain = false;
  #largestAt: Micros = 0;
  #gap = false;
  /** Numbers that were skipped since the latest ack. */
  #missing = 0;
  #ackSentAt: Micros = -REPORT_INTERVAL;

  constructor(out: ServiceOutput, env: Pick<ServiceEnvironment, 'clock' | 'timers' | 'rtt'>) {
    this.#out = out;
    this.#env = env;
  }

  /** A datagram arrived, before its frames are looked at. */
  onDatagram(number: number, now: Micros): void {
    const before = this.#arrived.largest;
    const inOrder = this.#arrived.add(number);
    this.#gap = !inOrder;
    if (number === this.#arrived.largest) this.#largestAt = now;
    if (number > before + 1) this.#missing += number - before - 1;
    if (this.#missing >= REPORT_MISSING) this.#reportMissing(now);
  }

  #reportMissing(now: Micros): void {
    if (this.#ackNow || now - this.#ackSentAt < REPORT_INTERVAL) return;
    if (this.#eliciting === 0) this.#eliciting = 1;
    this.#ackNow = true;
    this.#out.channel!.touch();
  }

  /**
   * A piece of a reliable frame arrived that does not make it whole: what is missing in front of it
   * is told at once, as for whole ones.
   */
  onPiece(): void {
    if (this.#gap) this.#wantAck();
  }

  onFrame(bytes: Uint8Array, start: number, end: number): DropReason {
    if (end - start <= RELIABLE_HEAD_BYTES) return DropReason.reliableMalformed;
    this.#wantAck();
    const received = (this.#received ??= new ReplayWindow(RECEIVED_WORDS));
    const sequence = unwrap(getU32(bytes, start), received.highest);
    if (sequence > received.highest + AHEAD_MAX) return DropReason.reliableMalformed;
    if (!received.isNew(sequence)) return DropReason.reliableDuplicate;
    received.record(sequence);
    return this.#out.onPacket(bytes, start + RELIABLE_HEAD_BYTES, end);
  }

  #wantAck(): void {
    this.#eliciting += 1;
    if (this.#ackNow) return;
    if (this.#gap || this.#eliciting >= ACK_EVERY) {
      this.#ackNow = true;
      this.#out.channel!.touch();
    } else if (!this.#ackTimer.armed)
      this.#env.timers.arm(this.#ackTimer, this.#env.clock.now() + ackDelay(this.#env.rtt));
  }

  #onAckTimer(): void {
    if (this.#eliciting === 0 || this.#out.channel === null) return;
    this.#ackNow = true;
    this.#out.channel.touch();
  }

  get ackBytes(): number {
    return this.#eliciting > 0 || this.#ackAgain ? this.#arrived.frameBytes : 0;
  }

  /** A hello is about to leave. */
  onHello(): void {
    this.#ackAgain = this.#ackOnce;
  }

  get ackNow(): boolean {
    return this.#ackNow;
  }

  writeAck(buffer: Uint8Array, at: number): void {
    this.#arrived.delayUs = this.#env.clock.now() - this.#largestAt;
    this.#arrived.encode(buffer, at);
    this.#ackOnce = this.#eliciting > 0;
    this.#ackAgain = false;
    this.#eliciting = 0;
    this.#ackNow = false;
    this.#missing = 0;
    this.#ackSentAt = this.#env.clock.now();
    this.#env.timers.cancel(this.#ackTimer);
  }

  /** The link has no channel any more. */
  onDown(): void {
    this.#env.timers.cancel(this.#ackTimer);
    this.#arrived.clear();
    this.#received = null;
    this.#eliciting = 0;
    this.#ackNow = false;
    this.#ackOnce = false;
    this.#ackAgain = false;
    this.#missing = 0;
  }
}

/** The number nearest to `reference` whose low 32 bits are `low`; never negative. */
function unwrap(low: number, reference: number): number {
  if (reference < 0) return low;
  const base = reference - (reference % 0x1_0000_0000);
  const candidate = base + low;
  if (candidate > reference + 0x8000_0000 && base > 0) return candidate - 0x1_0000_0000;
  if (candidate + 0x8000_0000 < reference) return candidate + 0x1_0000_0000;
  return candidate;
}
