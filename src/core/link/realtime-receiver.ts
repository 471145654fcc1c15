/**
 * Receiving half of the realtime service: what is missing, when it is asked for again, and what has
 * come already.
 *
 * Owns the gaps in the numbers of datagrams, which any datagram of the link shows, the requests for
 * them (redundancy.ts says how many and how far apart), and what parities make whole. Delivers at
 * once, in any order, each packet once. Bounded: GAPS_MAX gaps, at most JUMP_MAX of one datagram,
 * each for GAP_TIME beyond its use. `@hot` for what arrives in order.
 *
 *     missing ──number comes──▶ arrived        all of it came otherwise ──▶ mended
 *        └──requests are over, or time is──▶ given up (what comes late is still new)
 */

import { MILLISECOND, SECOND, Timer, type Micros } from '../base/time.ts';
import { deadlineUs } from '../wire/deadline.ts';
import { DropReason } from '../wire/drop.ts';
import { FRAME_REQUEST, frameBodyBytes } from '../wire/frames.ts';
import { deadlineAt, destinationAt } from '../wire/packet.ts';
import {
  AGAIN_HEAD_BYTES,
  ageUsAt,
  COPIES_MAX,
  decodeAgain,
  decodeRepair,
  isRealtime,
  numberNear,
  PLACES_MAX,
  REALTIME_HEAD_BYTES,
  Request,
  REQUEST_RUN_MAX,
  STRIKES_MAX,
  type AgainHead,
  type RepairHead,
} from '../wire/realtime.ts';
import { FRAME_HEAD_BYTES } from '../wire/sizes.ts';
import type { ServiceEnvironment, ServiceOutput } from './data-service.ts';
import { Expected } from './expected.ts';
import { BURSTY, GRAIN, LOSS_LEAST, planStrikes, type Strikes } from './redundancy.ts';
import { RepairDecoder } from './repair-decoder.ts';

export const GAPS_MAX = 512;
/** A longer jump is an outage: nothing of it is asked for. */
export const JUMP_MAX = 256;
/**
 * A gap is remembered so long: copies, parities and late datagrams are told from new ones by it.
 */
const GAP_TIME: Micros = 1 * SECOND;
/** Without a packet for so long nothing is watched. */
const WATCH_TIME: Micros = 60 * SECOND;
/** Before a first request, where datagrams overtake each other: steps, and of the round trip. */
const REORDER_STEP: Micros = 250;
const REORDER_PART = 1 / 4,
  REORDER_DECAY = 1 / 64;
/** What packets have left is the most of those that came within this. */
const LEFT_SPAN: Micros = 1 * SECOND;
const NOTICED_LEAST: Micros = 2 * MILLISECOND;
const BURST_GAIN = 1 / 8;
const SPACING_MS_MAX = 255;

/**
 * The last request leaves twice, so far apart, where requests are lost as well: who gets both
 * answers one.
 */
const REPEAT_AFTER: Micros = 2 * MILLISECOND;

/**
 * What is expected and does not come is asked for so often, so far apart at least, and for so long.
 */
const AHEAD_MAX = 32,
  AHEAD_MAX_SINGLE = 2;
const AHEAD_INTERVAL: Micros = 5 * MILLISECOND;
const AHEAD_TIME: Micros = 400 * MILLISECOND;

interface Gap {
  readonly number: number;
  readonly since: Micros;
  readonly plan: Strikes;
  /** Later than this no request is of use. */
  readonly until: Micros;
  /** Name of the first strike: what was asked for before it was missed had another. */
  readonly first: number;
  /** Requests that are to leave, and that have left. */
  readonly requests: number;
  strikes: number;
  due: Micros;
  /** The datagram itself came after all. */
  arrived: boolean;
  /** Bit i: the i-th packet of it came otherwise. */
  recovered: number;
  /** All of them did. */
  mended: boolean;
}

/** What the receiving half counts, from the start of the link. */
export interface RealtimeReceived {
  packets: number;
  /**
   * Datagrams that were missing, requests for them, and what came before its request was answered.
   */
  gaps: number;
  requested: number;
  spurious: number;
  /** Requests for what was expected and did not come, before it was known to be missing. */
  ahead: number;
  /** Packets that came again, as asked or unasked, and by parities. */
  recovered: number;
  repaired: number;
  /**
   * Datagrams with packets whose place is known that never came again: not counted, nobody knows.
   */
  givenUp: number;
}

export class RealtimeReceiver {
  readonly counts: RealtimeReceived = {
    packets: 0,
    gaps: 0,
    requested: 0,
    spurious: 0,
    ahead: 0,
    recovered: 0,
    repaired: 0,
    givenUp: 0,
  };
  readonly #out: ServiceOutput;
  readonly #env: ServiceEnvironment;
  readonly #decoder = new RepairDecoder();
  readonly #timer = new Timer(() => this.#onTimer());
  readonly #expected = new Expected();
  readonly #aheadTimer = new Timer(() => this.#onSilence());
  /** Asked for since the last packet, and when next. */
  #asked = 0;
  #askAt: Micros = 0;
  /** The datagram at hand showed that others are missing. */
  #jumped = false;
  readonly #lastWord = (): void => this.#onTimer();
  /** By number, ascending. */
  readonly #gaps = new Map<number, Gap>();
  readonly #request = new Request();
  readonly #again: AgainHead = { of: 0, index: 0, datagrams: 1, last: true, ageUs: 0 };
  readonly #repair: RepairHead = { base: 0, covered: 0, lengths: 0 };
  /** -1: no packet of this service has come on this channel. */
  #highest = -1;
  #lastAt: Micros = 0;
  #packetAt: Micros = 0;
  /** The datagram at hand, or the first piece of what it made whole; its packets so far. */
  #number = -1;
  #datagrams = 1;
  #index = 0;
  /** The datagram at hand was missing. */
  #late = false;
  #reorderUs: Micros = 0;
  /** How late a packet is still useful here, the most of late. */
  #leftUs: Micros = 0;
  #leftAt: Micros = 0;
  /** Mean of what is lost in a row, in time. */
  #burstUs: Micros = 0;

  constructor(out: ServiceOutput, env: ServiceEnvironment) {
    this.#out = out;
    this.#env = env;
  }

  /** Gaps that are remembered. */
  get gaps(): number {
    return this.#gaps.size;
  }

  get reorderUs(): Micros {
    return this.#reorderUs;
  }

  /** A datagram arrived, before its frames are looked at. */
  onDatagram(number: number): void {
    this.#number = number;
    this.#datagrams = 1;
    this.#index = 0;
    this.#late = false;
    this.#jumped = false;
    if (this.#highest < 0) return;
    const now = this.#env.clock.now();
    if (number > this.#highest) {
      if (number > this.#highest + 1) {
        this.#jumped = true;
        this.#onJump(number, now);
        // What was to come before it is known to be missing.
        if (this.#askAt < Infinity) this.#askAt = this.#expected.missedAfter(now);
      }
      this.#highest = number;
      this.#lastAt = now;
      return;
    }
    const gap = this.#gaps.get(number);
    if (gap === undefined) return;
    this.#late = true;
    gap.arrived = true;
    if (gap.strikes > 0 && !gap.mended) {
      this.counts.spurious += 1;
      this.#reorderUs = Math.min(
        this.#env.rtt.smoothedUs * REORDER_PART,
        this.#reorderUs + REORDER_STEP,
      );
    }
  }

  /** The frame that comes next was in pieces, of which this datagram is the `index`-th. */
  onWhole(index: number, count: number): void {
    this.#number -= index;
    this.#datagrams = count;
    this.#late = true;
  }

  onFrame(bytes: Uint8Array, start: number, end: number): DropReason {
    const index = this.#index;
    this.#index += 1;
    if (!isRealtime(start, end)) return DropReason.realtimeMalformed;
    const now = this.#env.clock.now();
    if (this.#highest < 0) {
      this.#highest = this.#number + this.#datagrams - 1;
      this.#lastAt = now;
    }
    if (!this.#late) {
      if (index === 0) this.#onNext(now);
    } else if (this.#came(this.#number, this.#datagrams, index))
      return DropReason.realtimeDuplicate;
    if (this.#datagrams === 1 && this.#decoder.keeps(now))
      this.#decoder.add(this.#number, bytes, start, end);
    const ageUs = ageUsAt(bytes, start) + this.#latencyUs;
    return this.#deliver(bytes, start + REALTIME_HEAD_BYTES, end, ageUs, now);
  }

  onAgain(bytes: Uint8Array, start: number, end: number): DropReason {
    const again = this.#again;
    const reason = decodeAgain(bytes, start, end, again);
    if (reason !== DropReason.none) return reason;
    const { index, datagrams, last, ageUs } = again;
    const of = numberNear(again.of, 16, this.#highest);
    if (this.#highest < 0 || !this.#recover(of, datagrams, index, last))
      return DropReason.realtimeDuplicate;
    this.counts.recovered += 1;
    const now = this.#env.clock.now();
    return this.#deliver(bytes, start + AGAIN_HEAD_BYTES, end, ageUs + this.#latencyUs, now);
  }

  onRepair(bytes: Uint8Array, start: number, end: number): DropReason {
    const repair = this.#repair,
      decoder = this.#decoder;
    const reason = decodeRepair(bytes, start, end, repair);
    if (reason !== DropReason.none) return reason;
    if (this.#highest < 0) return DropReason.none;
    const now = this.#env.clock.now();
    const base = numberNear(repair.base, 16, this.#highest);
    if (!decoder.solve(base, repair, bytes, start, end, now)) return DropReason.none;
    const gap = this.#gaps.get(decoder.number);
    if (gap === undefined) return DropReason.none;
    // Whoever is given these bytes may keep them.
    const unit = decoder.bytes.slice(0, decoder.length);
    let index = 0;
    for (let at = 0; at < unit.length; index += 1) {
      const body = at + FRAME_HEAD_BYTES,
        next = body + frameBodyBytes(unit, at, unit.length);
      at = next;
      if (!this.#recover(gap.number, 1, index, next === unit.length)) continue;
      this.counts.repaired += 1;
      const ageUs = ageUsAt(unit, body) + this.#latencyUs + now - gap.since;
      const result = this.#deliver(unit, body + REALTIME_HEAD_BYTES, next, ageUs, now);
      if (result !== DropReason.none) return result;
    }
    return DropReason.none;
  }

  /** One way, as routes have it. */
  get #latencyUs(): Micros {
    return Math.round(this.#env.rtt.recentUs / 2);
  }

  #deliver(bytes: Uint8Array, start: number, end: number, ageUs: Micros, now: Micros): DropReason {
    this.counts.packets += 1;
    this.#packetAt = now;
    const leftUs =
      deadlineUs(deadlineAt(bytes, start)) -
      ageUs -
      this.#env.latencyTo(destinationAt(bytes, start));
    if (leftUs >= this.#leftUs || now - this.#leftAt > LEFT_SPAN) {
      this.#leftUs = leftUs;
      this.#leftAt = now;
    }
    return this.#out.onPacket(bytes, start, end, ageUs);
  }

  /* -------------------------------------------------------------- gaps */

  /** Whether the packet came otherwise before. */
  #came(number: number, datagrams: number, index: number): boolean {
    if (index >= PLACES_MAX) return false;
    for (let at = number; at < number + datagrams; at += 1) {
      const gap = this.#gaps.get(at);
      if (gap !== undefined && ((gap.recovered >>> index) & 1) === 1) return true;
    }
    return false;
  }

  /**
   * Notes that a packet of that datagram, or of one of these, came otherwise; false: it is no news.
   */
  #recover(number: number, datagrams: number, index: number, last: boolean): boolean {
    let news = false;
    for (let at = number; at < number + datagrams; at += 1) {
      const gap = this.#gaps.get(at);
      if (gap === undefined || gap.arrived || ((gap.recovered >>> index) & 1) === 1) continue;
      news = true;
    }
    if (!news || this.#came(number, datagrams, index)) return false;
    for (let at = number; at < number + datagrams; at += 1) {
      const gap = this.#gaps.get(at);
      if (gap === undefined) continue;
      gap.recovered = (gap.recovered | (1 << index)) >>> 0;
      const whole = index === 31 ? 0xffff_ffff : (1 << (index + 1)) - 1;
      if (last && gap.recovered >>> 0 === whole >>> 0) {
        gap.mended = true;
        this.#reorderUs -= this.#reorderUs * REORDER_DECAY;
      }
    }
    return true;
  }

  /** Everything between the highest number and `number` is missing. */
  #onJump(number: number, now: Micros): void {
    if (now - this.#packetAt > WATCH_TIME) {
      this.#forget();
      return;
    }
    const missing = number - this.#highest - 1;
    if (missing > JUMP_MAX) return;
    this.counts.gaps += missing;
    const { rtt, losses } = this.#env;
    const first = this.#asked > 0 ? 1 : 0;
    const silence = now - this.#lastAt;
    this.#burstUs += ((silence * missing) / (missing + 1) - this.#burstUs) * BURST_GAIN;
    const noticed = Math.min(silence, Math.max(NOTICED_LEAST, rtt.smoothedUs / 16));
    const burstUs = losses.lossIn.persistence > BURSTY ? this.#burstUs : 0;
    const plan = planStrikes(this.#leftUs, noticed, rtt.smoothedUs, burstUs);
    const until = now - noticed + this.#leftUs - rtt.smoothedUs;
    const strikes = Math.min(plan.count, STRIKES_MAX - first);
    const requests = strikes > 0 && losses.lossOut >= LOSS_LEAST ? strikes + 1 : strikes;
    for (let at = this.#highest + 1; at < number; at += 1) {
      if (this.#gaps.size >= GAPS_MAX) this.#forgetOldest();
      this.#gaps.set(at, {
        number: at,
        since: now,
        plan,
        until,
        first,
        requests,
        strikes: 0,
        due: now + this.#reorderUs,
        arrived: false,
        recovered: 0,
        mended: false,
      });
    }
    // At the end of the turn: what is missing may come with this very datagram, or the next.
    const channel = this.#out.channel;
    if (this.#reorderUs === 0 && plan.count > 0 && channel !== null) {
      channel.lastWord = this.#lastWord;
      channel.touch();
    }
    this.#armTimer();
  }

  #forgetOldest(): void {
    const [number] = this.#gaps.keys();
    this.#gaps.delete(number!);
  }

  /** Asks for what is due, each strike in requests of its own. */
  #strike(now: Micros): void {
    const request = this.#request;
    request.count = 0;
    for (const gap of this.#gaps.values()) {
      if (gap.arrived || gap.mended || gap.due > now || gap.strikes >= gap.requests) continue;
      if (now > gap.until) {
        gap.strikes = gap.requests;
        continue;
      }
      const { plan, first } = gap;
      const strike = Math.min(first + gap.strikes, STRIKES_MAX - 1, first + plan.count - 1);
      const isLast = strike === Math.min(STRIKES_MAX, first + plan.count) - 1;
      // What was asked for before may have been answered.
      const copies = isLast ? Math.max(1, Math.min(COPIES_MAX, plan.copies) - first) : 1;
      const spacingMs = Math.min(SPACING_MS_MAX, Math.round(plan.copySpacingUs / MILLISECOND));
      if (
        request.count > 0 &&
        (request.strike !== strike ||
          request.copies !== copies ||
          request.spacingMs !== spacingMs ||
          !request.add(gap.number))
      )
        this.#send();
      if (request.count === 0) {
        request.strike = strike;
        request.copies = copies;
        request.spacingMs = spacingMs;
        request.add(gap.number);
      }
      gap.strikes += 1;
      gap.due = now + (isLast ? REPEAT_AFTER : plan.spacingUs);
      this.counts.requested += 1;
    }
    if (request.count > 0) this.#send();
  }

  #send(): void {
    const channel = this.#out.channel;
    if (channel !== null) {
      this.#request.encode(channel.buffer, channel.frame(FRAME_REQUEST, this.#request.bytes));
      this.#out.onSent();
    }
    this.#request.count = 0;
  }

  /* -------------------------------------------------------------- silence */

  /** A packet came in its turn. */
  #onNext(now: Micros): void {
    this.#expected.onPacket(now, !this.#jumped);
    this.#asked = 0;
    this.#askAt = this.#expected.missedAt;
    const isLossy = this.#env.losses.lossIn.rate >= LOSS_LEAST;
    if (isLossy && !this.#aheadTimer.armed && this.#askAt < Infinity)
      this.#env.timers.arm(this.#aheadTimer, this.#askAt);
  }

  /**
   * A packet was expected and has not come, nor what would show that it is missing: whatever left
   * long enough ago is asked for. In a burst, as often as one may be expected, and answers are
   * spread over the time that is left: the later the likelier that it is over.
   */
  #onSilence(): void {
    const { clock, timers, rtt, losses } = this.#env;
    const now = clock.now(),
      request = this.#request,
      expected = this.#expected;
    const isBursty = losses.lossIn.persistence > BURSTY;
    const spare = this.#leftUs - expected.slackUs - rtt.smoothedUs - GRAIN;
    if (
      this.#highest < 0 ||
      spare < 0 ||
      this.#asked >= (isBursty ? AHEAD_MAX : AHEAD_MAX_SINGLE) ||
      now - expected.missedAt > AHEAD_TIME ||
      this.#out.channel === null
    )
      return;
    if (now < this.#askAt) {
      timers.arm(this.#aheadTimer, this.#askAt);
      return;
    }
    request.strike = 0;
    request.copies = isBursty ? COPIES_MAX : 1;
    const spacingMs = Math.floor(spare / (COPIES_MAX - 1) / MILLISECOND);
    request.spacingMs = Math.min(SPACING_MS_MAX, spacingMs);
    request.first[0] = this.#highest + 1;
    request.length[0] = REQUEST_RUN_MAX;
    request.count = 1;
    this.#send();
    this.#asked += 1;
    this.counts.ahead += 1;
    this.#askAt = now + Math.max(AHEAD_INTERVAL, Math.round(expected.pauseUs));
    timers.arm(this.#aheadTimer, this.#askAt);
  }

  /* -------------------------------------------------------------- time */

  #onTimer(): void {
    const now = this.#env.clock.now();
    for (const gap of this.#gaps.values()) {
      if (gap.since + GAP_TIME > now) break;
      this.#gaps.delete(gap.number);
      if (!gap.arrived && !gap.mended) this.counts.givenUp += 1;
    }
    this.#strike(now);
    this.#armTimer();
  }

  #armTimer(): void {
    let next = Infinity;
    for (const gap of this.#gaps.values()) {
      if (next === Infinity) next = gap.since + GAP_TIME;
      if (!gap.arrived && !gap.mended && gap.strikes < gap.requests && gap.due < next)
        next = gap.due;
    }
    if (next < Infinity) this.#env.timers.arm(this.#timer, next);
    else this.#env.timers.cancel(this.#timer);
  }

  #forget(): void {
    this.#gaps.clear();
    this.#decoder.clear();
    this.#env.timers.cancel(this.#timer);
    this.#env.timers.cancel(this.#aheadTimer);
    this.#expected.clear();
    this.#asked = 0;
    this.#highest = -1;
    this.#leftUs = 0;
    this.#leftAt = 0;
  }

  /** The link has another channel, or none. */
  onChannel(): void {
    this.#forget();
    this.#number = -1;
    this.#reorderUs = 0;
  }
}
