/**
 * Congestion control by a model of the path: what it delivers a second, and its least round trip
 * (BBRv3, draft-ietf-ccwg-bbr). Paced at the rate delivered, so that the queue of the path stays
 * short and loss that is no congestion costs nothing.
 *
 *     startup ──rate grows no more──▶ drain ──queue gone──▶ down ──▶ cruise ──time to look──┐
 *        ▲                                                   ▲                              ▼
 *        │                                                   │                           refill
 *        │                                                   │                              │
 *        │                                                   └── more than the path takes ─ up
 *        └── any ──round trip not seen as short for 5 s──▶ round-trip ──200 ms──▶ cruise
 *
 * Where it differs, because links and streams of an overlay are mostly limited by their programs
 * and often lossy by nature:
 * - Loss is a sign of congestion only while the round trip is longer than the path's own, and
 *   beyond what is lost while it is not.
 * - Nobody who sends less than the path takes is asked to send less still to see the round trip:
 *   his own samples show it.
 * - The window is never below four packets.
 * A mark is obeyed at once, whatever the round trip. Knows no timers: what falls due is seen with
 * the next acknowledgement.
 */

import { MILLISECOND, NEVER, SECOND, type Micros } from '../base/time.ts';
import { AckHeaps } from './ack-heaps.ts';
import type { CongestionController } from './controller.ts';
import { DeliveryRate, type RateSample } from './delivery-rate.ts';
import { PathRoundTrip, ROUND_TRIP_SPAN } from './path-round-trip.ts';

const SEGMENT = 1_480;
const INITIAL_WINDOW = 10 * SEGMENT;
const MINIMUM_WINDOW = 4 * SEGMENT;
const WINDOW_MAX = 64 * 1024 * 1024;
/** Round trip while none is known. */
const UNKNOWN_RTT: Micros = 1 * MILLISECOND;

/**
 * Of the draft, section 2: gains of rate and window by state. The window's in `down` and `cruise`
 * is 2.
 */
const STARTUP_PACING = 2.77;
const DRAIN_PACING = 0.5;
const DOWN_PACING = 0.75;
const UP_PACING = 1.25;
const UP_WINDOW = 2.25;
const WINDOW_GAIN = 2;
const ROUND_TRIP_WINDOW = 0.5;
/** The rate stays this much below what is delivered, so that a queue drains. */
const MARGIN = 0.995;
/** Beyond this share lost, above what is lost anyway, more is under way than the path takes. */
const LOSS_THRESHOLD = 0.02;
/** What congestion leaves of rate and window. */
const BETA = 0.7;
/** Left free for others of what the path takes. */
const HEADROOM = 0.85;
/** Startup is over after so many round trips in which the rate grew by less than a quarter. */
const FULL_ROUNDS = 3;
const FULL_GROWTH = 1.25;
const LOSSES_FULL = 6;
/**
 * So much lost in a round trip of startup is its own doing, with or without a longer round trip.
 */
const LOSS_STARTUP = 0.2;
/**
 * Between looks for more: two to three seconds, or as many round trips as NewReno would take to be
 * as far.
 */
const PROBE_WAIT: Micros = 2 * SECOND;
const PROBE_SPREAD: Micros = 1 * SECOND;
const RENO_ROUNDS_MAX = 63;
const ROUND_TRIP_TIME: Micros = 200 * MILLISECOND;
/** Heaps of acknowledgements are remembered for so many rounds. */
const HEAP_ROUNDS = 10;
/** Timers fire once a millisecond: that much leaves in one go. */
const QUANTUM: Micros = 1 * MILLISECOND;

export type BbrState = 'startup' | 'drain' | 'down' | 'cruise' | 'refill' | 'up' | 'round-trip';

export class Bbr implements CongestionController {
  window = INITIAL_WINDOW;
  /** Bytes per microsecond. */
  pacingRate = 0;
  state: BbrState = 'startup';
  readonly #rate = new DeliveryRate();
  readonly #then = { inFlight: 0, lost: 0, applicationLimited: false };

  /* The path: bytes per microsecond of this cycle and the one before, and the least round trip. */
  #rateNow = 0;
  #rateBefore = 0;
  readonly #roundTrip = new PathRoundTrip();
  /** Share lost while no queue is met. */
  #lossAnyway = 0;

  /* Bounds: of what may be under way in the long run, and what congestion has left for now. */
  #inFlightHigh = Infinity;
  #inFlightLow = Infinity;
  #rateLow = Infinity;

  /* Rounds: of acknowledgements, and of what losses belong to. */
  #rounds = 0;
  #roundEnds = 0;
  #lossRoundEnds = 0;
  #lossRoundDelivered = 0;
  #lossRoundLost = 0;
  #losses = 0;
  /** A queue was met when something of this round was lost. */
  #lostQueued = false;
  #rateLatest = 0;
  #inFlightLatest = 0;
  #roundLimited = false;
  #markedRound = false;

  /* Startup. */
  #full = false;
  #fullRate = 0;
  #fullRounds = 0;

  /* Looking for more. */
  #stateAt: Micros = 0;
  #cycles = 0;
  #probeWait: Micros = 0;
  #roundsSinceProbe = 0;
  #cycleAt: Micros = 0;
  #upRounds = 0;
  #upBytes = 0;
  #upEvery = 0;
  /**
   * Samples of the last look are still to come; a new cycle of rates begins with the next round.
   */
  #probeSamples = false;
  #cycleEnds = false;

  /* The round trip is looked at. */
  #roundTripUntil: Micros = NEVER;
  #windowBefore = 0;

  readonly #heaps = new AckHeaps();

  /** Losses of what was sent before this time belong to a reduction already made. */
  #recoveryFrom: Micros = -1;
  readonly #before = {
    known: false,
    inFlightHigh: Infinity,
    inFlightLow: Infinity,
    rateLow: Infinity,
    recoveryFrom: -1,
  };
  #inFlight = 0;
  /** What was sent last filled the bound of what may be under way. */
  #bounded = false;
  #idle = true;

  get inSlowStart(): boolean {
    return this.state === 'startup';
  }

  /** Bytes per microsecond that the path delivers, as far as is known; 0 = nothing is. */
  get rate(): number {
    return Math.min(this.#maxRate, this.#rateLow);
  }

  /** Microseconds; 0 = not known. */
  get minRttUs(): Micros {
    return this.#roundTrip.leastUs === NEVER ? 0 : this.#roundTrip.leastUs;
  }

  onSegmentSize(): void {}

  onSent(bytes: number, inFlight: number, now: Micros): void {
    if (inFlight <= bytes && this.#idle) this.#restart(now);
    this.#idle = false;
    this.#inFlight = inFlight;
    this.#bounded = inFlight + SEGMENT > this.#inFlightHigh;
    this.#rate.onSent(bytes, inFlight, now);
  }

  onApplicationLimited(inFlight: number): void {
    if (inFlight >= this.window) return;
    this.#rate.onApplicationLimited(inFlight);
    this.#idle = true;
  }

  onAck(bytes: number, sentAt: Micros, now: Micros): void {
    this.#rate.onAcked(bytes, sentAt, now);
  }

  onLoss(bytes: number, sentAt: Micros, now: Micros): boolean {
    this.#rate.onLost(bytes);
    this.#lossRoundLost += bytes;
    this.#losses += 1;
    if (this.#roundTrip.queued) this.#lostQueued = true;
    const first = sentAt > this.#recoveryFrom;
    if (first) this.#remember(now);
    if (this.#rate.since(sentAt, this.#then) && this.#probeSamples && this.#tooMuch(this.#then))
      this.#onTooMuch(this.#then, now);
    return first;
  }

  onMark(sentAt: Micros, now: Micros): boolean {
    if (sentAt <= this.#recoveryFrom) return false;
    this.#remember(now);
    this.#markedRound = true;
    return true;
  }

  undo(): void {
    const before = this.#before;
    if (!before.known) return;
    before.known = false;
    this.#inFlightHigh = Math.max(this.#inFlightHigh, before.inFlightHigh);
    this.#inFlightLow = Math.max(this.#inFlightLow, before.inFlightLow);
    this.#rateLow = Math.max(this.#rateLow, before.rateLow);
    this.#recoveryFrom = before.recoveryFrom;
  }

  onPersistentLoss(): void {
    // What is known of the path stands: the first acknowledgement opens the window again.
    this.#windowBefore = Math.max(this.#windowBefore, this.window);
    this.window = MINIMUM_WINDOW;
  }

  onAckEnd(now: Micros, inFlight: number, rttUs: Micros): void {
    this.#inFlight = inFlight;
    const sample = this.#rate.finish(now, this.minRttUs);
    if (sample.acked > 0) this.#onSample(sample, now, rttUs);
    this.#rate.reset();
  }

  #onSample(sample: RateSample, now: Micros, rttUs: Micros): void {
    const roundBegins = sample.priorDelivered >= this.#roundEnds;
    if (roundBegins) {
      this.#roundEnds = this.#rate.delivered;
      this.#rounds += 1;
      this.#roundsSinceProbe += 1;
      this.#roundLimited = sample.applicationLimited;
    } else if (sample.applicationLimited) this.#roundLimited = true;
    this.#rateLatest = Math.max(this.#rateLatest, sample.rate);
    this.#inFlightLatest = Math.max(this.#inFlightLatest, sample.delivered);
    if (rttUs > 0) this.#roundTrip.onSample(rttUs, now);
    if (sample.rate > 0 && (!sample.applicationLimited || sample.rate >= this.#maxRate))
      this.#rateNow = Math.max(this.#rateNow, sample.rate);
    this.#adaptUpper(sample, roundBegins, now);
    if (sample.priorDelivered >= this.#lossRoundEnds) this.#onLossRound(sample, now);
    this.#heaps.onAck(
      sample.acked,
      this.rate,
      this.window,
      roundBegins ? (this.#full ? HEAP_ROUNDS : 1) : 0,
      now,
    );
    this.#checkFull(sample, roundBegins, now);
    this.#cycle(roundBegins, now);
    this.#checkRoundTrip(roundBegins, now);
    this.#setRate();
    this.#setWindow(sample);
  }

  /* -------------------------------------------------------------- the path */

  get #maxRate(): number {
    return Math.max(this.#rateNow, this.#rateBefore);
  }

  /** Bytes under way that fill the path and no queue, times `gain`. */
  #pipe(gain: number, rate = this.rate): number {
    return this.#roundTrip.leastUs === NEVER || rate === 0
      ? INITIAL_WINDOW
      : gain * rate * this.#roundTrip.leastUs;
  }

  /* -------------------------------------------------------------- congestion */

  /** A round of losses is over. */
  #onLossRound(sample: RateSample, now: Micros): void {
    const delivered = this.#rate.delivered - this.#lossRoundDelivered,
      lost = this.#lossRoundLost;
    const share = delivered + lost > 0 ? lost / (delivered + lost) : 0;
    const queued = this.#roundTrip.queued || this.#lostQueued;
    // Who comes late sees the queue of others as the path's own round trip, but not losses as
    // these.
    if (
      this.state === 'startup' &&
      this.#losses >= LOSSES_FULL &&
      share > (queued ? LOSS_THRESHOLD + 2 * this.#lossAnyway : LOSS_STARTUP)
    )
      this.#onFull();
    // A packet more or less is chance.
    const congested = queued && lost > 2 * this.#lossAnyway * delivered;
    if (!queued && !this.#lostQueued) this.#lossAnyway += (share - this.#lossAnyway) / 16;
    if (congested || this.#markedRound) this.#adaptLower(now);
    this.#markedRound = false;
    this.#lossRoundEnds = this.#rate.delivered;
    this.#lossRoundDelivered = this.#rate.delivered;
    this.#lossRoundLost = 0;
    this.#losses = 0;
    this.#lostQueued = false;
    this.#rateLatest = sample.rate;
    this.#inFlightLatest = sample.delivered;
  }

  /** Congestion, seen in the round that is over. */
  #adaptLower(now: Micros): void {
    if (this.#markedRound) {
      if (this.state === 'startup') this.#onFull();
      if (this.state === 'up') {
        this.#inFlightHigh = Math.max(this.#inFlight, BETA * this.#target);
        this.#enter('down', now);
      }
    }
    if (this.state === 'startup' || this.state === 'refill' || this.state === 'up') return;
    if (this.#rateLow === Infinity) this.#rateLow = this.#maxRate;
    if (this.#inFlightLow === Infinity) this.#inFlightLow = this.window;
    const rate = BETA * this.#rateLow,
      inFlight = BETA * this.#inFlightLow;
    this.#rateLow = this.#markedRound ? rate : Math.max(this.#rateLatest, rate);
    this.#inFlightLow = this.#markedRound ? inFlight : Math.max(this.#inFlightLatest, inFlight);
  }

  /** Bytes that the path takes, or congestion would leave. */
  get #target(): number {
    return Math.min(this.#pipe(1), this.window);
  }

  /** Of what was under way more than it should be was lost, and there is a queue. */
  #tooMuch(then: { readonly inFlight: number; readonly lost: number }): boolean {
    return (
      then.lost > (LOSS_THRESHOLD + 2 * this.#lossAnyway) * then.inFlight && this.#roundTrip.queued
    );
  }

  #onTooMuch(
    then: { readonly inFlight: number; readonly applicationLimited: boolean },
    now: Micros,
  ): void {
    this.#probeSamples = false;
    if (!then.applicationLimited) this.#inFlightHigh = Math.max(then.inFlight, BETA * this.#target);
    if (this.state === 'up') this.#enter('down', now);
  }

  #adaptUpper(sample: RateSample, roundBegins: boolean, now: Micros): void {
    if (this.#cycleEnds && roundBegins && this.state !== 'up' && this.state !== 'refill') {
      this.#cycleEnds = false;
      this.#probeSamples = false;
      if (!sample.applicationLimited) {
        this.#rateBefore = this.#rateNow;
        this.#rateNow = 0;
      }
    }
    if (this.#tooMuch(sample)) {
      if (this.#probeSamples) this.#onTooMuch(sample, now);
      return;
    }
    if (this.#inFlightHigh === Infinity) return;
    if (sample.inFlight > this.#inFlightHigh) this.#inFlightHigh = sample.inFlight;
    if (this.state === 'up') this.#raise(sample, roundBegins);
  }

  /** The bound of what may be under way rises slowly first, then faster and faster. */
  #raise(sample: RateSample, roundBegins: boolean): void {
    if (sample.applicationLimited || this.window < this.#inFlightHigh) return;
    this.#upBytes += sample.acked;
    if (this.#upBytes >= this.#upEvery) {
      const steps = Math.floor(this.#upBytes / this.#upEvery);
      this.#upBytes -= steps * this.#upEvery;
      this.#inFlightHigh += steps * SEGMENT;
    }
    if (roundBegins) this.#raiseFaster();
  }

  #raiseFaster(): void {
    this.#upRounds = Math.min(this.#upRounds + 1, 30);
    this.#upEvery = Math.max(SEGMENT, this.window / 2 ** (this.#upRounds - 1));
  }

  /* -------------------------------------------------------------- states */

  #checkFull(sample: RateSample, roundBegins: boolean, now: Micros): void {
    if (!this.#full && roundBegins && !sample.applicationLimited && sample.rate > 0) {
      if (sample.rate >= FULL_GROWTH * this.#fullRate) {
        this.#fullRate = sample.rate;
        this.#fullRounds = 0;
      } else {
        this.#fullRounds += 1;
        if (this.#fullRounds >= FULL_ROUNDS) this.#full = true;
      }
    }
    if (this.#full && this.state === 'startup') this.#enter('drain', now);
    if (this.state === 'drain' && this.#inFlight <= this.#pipe(1)) this.#enter('down', now);
  }

  #onFull(): void {
    this.#full = true;
    this.#inFlightHigh = Math.max(this.#pipe(1), this.#inFlightLatest);
  }

  #cycle(roundBegins: boolean, now: Micros): void {
    switch (this.state) {
      case 'down':
        if (this.#timeToProbe(now)) this.#enter('refill', now);
        else if (this.#inFlight <= this.#room && this.#inFlight <= this.#pipe(1))
          this.#enter('cruise', now);
        break;
      case 'cruise':
        if (this.#timeToProbe(now)) this.#enter('refill', now);
        break;
      case 'refill':
        if (roundBegins) this.#enter('up', now);
        break;
      case 'up':
        // Who is held by a bound of his own, in a queue that others make too, has seen nothing yet.
        if (
          now - this.#stateAt > this.#roundTrip.leastUs &&
          this.#inFlight >= this.#pipe(UP_PACING) &&
          !this.#bounded
        )
          this.#enter('down', now);
        break;
      default:
    }
  }

  /** Enough time has passed, or as many round trips as NewReno would need to take what we would. */
  #timeToProbe(now: Micros): boolean {
    const rounds = Math.min(RENO_ROUNDS_MAX, this.#target / SEGMENT);
    return now - this.#cycleAt > this.#probeWait || this.#roundsSinceProbe >= rounds;
  }

  /** What may be under way while room is left for others. */
  get #room(): number {
    return this.#inFlightHigh === Infinity
      ? Infinity
      : Math.max(MINIMUM_WINDOW, HEADROOM * this.#inFlightHigh);
  }

  #enter(state: BbrState, now: Micros): void {
    this.state = state;
    this.#stateAt = now;
    if (state === 'down') {
      this.#forgetCongestion();
      this.#cycleAt = now;
      this.#cycles += 1;
      // No two flows that began together look for more together for long.
      this.#probeWait =
        PROBE_WAIT +
        ((Math.imul(Math.floor(now) ^ this.#cycles, 0x9e37_79b1) >>> 12) % PROBE_SPREAD);
      this.#roundsSinceProbe = 0;
      this.#cycleEnds = true;
      this.#beginRound();
    } else if (state === 'refill') {
      this.#inFlightLow = Infinity;
      this.#rateLow = Infinity;
      this.#upRounds = 0;
      this.#upBytes = 0;
      this.#beginRound();
    } else if (state === 'up') {
      this.#probeSamples = true;
      this.#beginRound();
      this.#raiseFaster();
    }
  }

  #forgetCongestion(): void {
    this.#lossRoundLost = 0;
    this.#losses = 0;
    this.#lostQueued = false;
    this.#rateLatest = 0;
    this.#inFlightLatest = 0;
    this.#lossRoundEnds = this.#rate.delivered;
    this.#lossRoundDelivered = this.#rate.delivered;
  }

  #beginRound(): void {
    this.#roundEnds = this.#rate.delivered;
  }

  /** Something leaves after nothing was under way. */
  #restart(now: Micros): void {
    this.#heaps.restart(now);
    if (this.state === 'round-trip') this.#leaveRoundTrip(now);
    else if (this.#full && this.state !== 'startup')
      this.pacingRate = Math.max(this.pacingRate, this.rate * MARGIN);
  }

  /* -------------------------------------------------------------- the round trip */

  #checkRoundTrip(roundBegins: boolean, now: Micros): void {
    if (this.state !== 'round-trip') {
      // Who sends less than the path takes sees the round trip as it is.
      if (
        now - this.#roundTrip.shortAt <= ROUND_TRIP_SPAN ||
        this.#roundLimited ||
        !this.#full ||
        this.state === 'startup' ||
        this.state === 'drain'
      )
        return;
      this.#windowBefore = Math.max(this.window, this.#windowBefore);
      this.#enter('round-trip', now);
      this.#roundTripUntil = NEVER;
      this.#roundTrip.beginSpan(now);
      return;
    }
    if (this.#roundTripUntil === NEVER) {
      if (this.#inFlight > this.#pipe(ROUND_TRIP_WINDOW) && this.#inFlight > MINIMUM_WINDOW) return;
      this.#roundTripUntil = now + ROUND_TRIP_TIME;
      this.#beginRound();
    } else if (roundBegins && now >= this.#roundTripUntil) this.#leaveRoundTrip(now);
  }

  #leaveRoundTrip(now: Micros): void {
    this.#roundTrip.shortAt = now;
    this.window = Math.max(this.window, this.#windowBefore);
    this.#windowBefore = 0;
    this.#inFlightLow = Infinity;
    this.#rateLow = Infinity;
    this.#enter('down', now);
    this.state = 'cruise';
  }

  /* -------------------------------------------------------------- rate and window */

  get #pacingGain(): number {
    switch (this.state) {
      case 'startup':
        return STARTUP_PACING;
      case 'drain':
        return DRAIN_PACING;
      case 'down':
        return DOWN_PACING;
      case 'up':
        return UP_PACING;
      default:
        return 1;
    }
  }

  #setRate(): void {
    const rtt = this.#roundTrip.leastUs === NEVER ? UNKNOWN_RTT : this.#roundTrip.leastUs;
    const least = this.#full ? MINIMUM_WINDOW / rtt : (STARTUP_PACING * INITIAL_WINDOW) / rtt;
    const rate = Math.max(this.#pacingGain * this.rate * MARGIN, least);
    if (this.#full || rate > this.pacingRate) this.pacingRate = rate;
  }

  #setWindow(sample: RateSample): void {
    const gain =
      this.state === 'up'
        ? UP_WINDOW
        : this.state === 'round-trip'
          ? ROUND_TRIP_WINDOW
          : WINDOW_GAIN;
    const quantum = Math.max(2 * SEGMENT, QUANTUM * this.pacingRate);
    const heap = this.state === 'round-trip' ? 0 : this.#full ? this.#heaps.most : this.#heaps.now;
    const most = this.#pipe(gain) + (this.state === 'round-trip' ? 0 : heap + 3 * quantum);
    if (this.#full)
      this.window = Math.min(
        Math.max(this.window + sample.acked, this.state === 'round-trip' ? 0 : this.#windowBefore),
        most,
      );
    else if (this.window < most) this.window += sample.acked;
    if (this.state !== 'round-trip') this.#windowBefore = 0;
    // What congestion has shown, and room for others except while more is looked for.
    const high =
      this.state === 'up' || this.state === 'refill' || this.state === 'startup'
        ? this.#inFlightHigh
        : this.#room;
    this.window = Math.min(
      Math.max(Math.min(this.window, high, this.#inFlightLow), MINIMUM_WINDOW),
      WINDOW_MAX,
    );
  }

  #remember(now: Micros): void {
    const before = this.#before;
    before.known = true;
    before.inFlightHigh = this.#inFlightHigh;
    before.inFlightLow = this.#inFlightLow;
    before.rateLow = this.#rateLow;
    before.recoveryFrom = this.#recoveryFrom;
    this.#recoveryFrom = now;
  }
}
