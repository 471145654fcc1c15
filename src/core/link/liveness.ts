/**
 * Is the peer there, how far is it, how much is lost: the hello protocol of one link.
 *
 * Hellos fill in when the link is quiet, so that something arrives every hello interval; any
 * datagram is a sign of life. What an idle daemon costs is being woken: hellos of its links leave
 * on common beats, and a peer's hello is answered in the same turn when ours is nearly due. When
 * silence lasts longer than that, the link is suspected and probed (a hello that must be answered
 * at once) every 25 ms, and it is dead once enough probes have gone unanswered for a round trip:
 *
 *     heard ──silence > 1.25 hello──▶ suspected ──probes unanswered and silence > deadAfter──▶ dead
 *       ▲                                │
 *       └──────────── anything arrives ──┘
 *
 * Losses that begin are noticed by a dozen datagrams (loss-onset.ts), told at once, and asked for
 * where a link is quiet. How many probes are enough follows from the loss measured, and from how
 * much of it comes in a row: the chance that all of them fail on a live link stays below
 * FALSE_DEATH. Does not decide what a death means: that is the link's.
 */

import type { Rng } from '../base/rng.ts';
import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { HELLO_ECHOES, HELLO_PROBE, type Hello } from '../wire/frames.ts';
import { LossEstimator } from './loss.ts';
import { LOSS_ONSET, LOSS_USUAL, LossOnset } from './loss-onset.ts';
import { RttEstimator } from '../recovery/rtt.ts';

const PROBE_INTERVAL: Micros = 25 * MILLISECOND;
/** The longest round trip at which a new channel's first answer is waited for. */
const FIRST_ANSWER: Micros = 1_500 * MILLISECOND;
const FALSE_DEATH = 2e-6;
const PROBES_MIN = 8;
const PROBES_MAX = 60;
/** A hello goes out this often even when data flows: it carries the loss and the echo. */
const REPORT_INTERVAL: Micros = 1_000 * MILLISECOND;
/** Loss that is so much more than the peer was told is told at once. */
const LOSS_NEWS = 0.1;
/**
 * A link that loses this much, and has nothing to carry since routes avoid it, is asked more often
 * whether it still does: on the average every 50 ms, off any beat.
 */
const LOSSY = 0.03;
const LOSSY_INTERVAL_LEAST: Micros = 30 * MILLISECOND;
const LOSSY_INTERVAL_SPREAD: Micros = 40 * MILLISECOND;
/**
 * A link that loses no more than so much and misses something of late is in doubt for so long:
 * when it is quiet the peer is asked to say something. What has begun is told several times, as the
 * way back may lose as well.
 */
const WELL = 0.02;
const DOUBT: Micros = 2_000 * MILLISECOND;
const DOUBT_INTERVAL: Micros = 25 * MILLISECOND;
const ONSET_TOLD = 4;
/**
 * A check that runs this late says that we were stopped, not that the peer was: what it sent may
 * wait to be read. Suspicion starts over.
 */
const STALL: Micros = 60 * MILLISECOND;
/**
 * But only so often in one silence: a daemon that is always late looks at its sockets between
 * checks, and must notice a death too.
 */
const STALLS_MAX = 8;
/** What an OS timer is late by anyway. */
const GRAIN: Micros = 1 * MILLISECOND;

export interface LivenessConfig {
  /**
   * Between hellos on a link that carries nothing else. 20..5,000 ms. 150 ms costs an idle link 13
   * datagrams/s.
   */
  readonly helloIntervalUs: Micros;
  /**
   * Silence after which a lossless link is dead; grows with the loss measured. At least two hello
   * intervals.
   */
  readonly deadAfterUs: Micros;
}

export interface LivenessOutput {
  sendHello(hello: Hello): void;
  /** The peer is silent for longer than it should be: before each probe. */
  onSuspected(): void;
  onDead(): void;
  /** Loss or latency estimates have new input. */
  onEstimate(): void;
}

export class Liveness {
  readonly rtt = new RttEstimator();
  readonly lossIn = new LossEstimator();
  /** What the peer says it misses of ours, 0..1. */
  lossOut = 0;
  /** And how often what follows one of these is missing too, 0..1. */
  burstOut = 0;
  readonly #config: LivenessConfig;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #rng: Rng;
  readonly #out: LivenessOutput;
  readonly #helloTimer = new Timer(() => this.#onHelloDue());
  readonly #checkTimer = new Timer(() => this.#onCheck());
  readonly #doubtTimer = new Timer(() => this.#onDoubt());
  readonly #onset = new LossOnset();
  readonly #hello: Hello = { flags: 0, burst: 0, loss: 0, stamp: 0, echo: 0, held: 0 };
  #running = false;
  /** Our latest hello answered the peer's. */
  #follows = false;
  /** Since the channel came up. */
  #heard = false;
  #lastHeardAt: Micros = 0;
  #lastSentAt: Micros = 0;
  #lastHelloAt: Micros = 0;
  #lossTold = 0;
  #doubtUntil: Micros = 0;
  /** How often it is still to be told that losses began. */
  #toTell = 0;
  #peerStamp = 0;
  #peerStampAt: Micros = -1;
  #firstProbeAt: Micros = 0;
  #probing = false;
  /**
   * By how much checks were late since the first probe: probes that a busy daemon did not send were
   * not left unanswered.
   */
  #lateUs: Micros = 0;
  /** How often suspicion started over in this silence. */
  #stalls = 0;
  #checkDueAt: Micros = 0;

  constructor(config: LivenessConfig, clock: Clock, timers: Timers, rng: Rng, out: LivenessOutput) {
    this.#config = config;
    this.#clock = clock;
    this.#timers = timers;
    this.#rng = rng;
    this.#out = out;
  }

  /** A channel came up: the peer was heard just now. */
  start(): void {
    const now = this.#clock.now();
    this.#running = true;
    this.#lastHeardAt = now;
    this.#heard = false;
    this.#peerStampAt = -1;
    this.#probing = false;
    this.lossIn.restart();
    this.#onset.restart();
    this.#sendHello(HELLO_PROBE);
    this.#armCheck(now + this.#suspectAfter);
  }

  stop(): void {
    this.#running = false;
    this.#timers.cancel(this.#helloTimer);
    this.#timers.cancel(this.#checkTimer);
    this.#timers.cancel(this.#doubtTimer);
    this.#toTell = 0;
  }

  /** Something must leave now: the peer waits for our first datagram under new keys. */
  greet(): void {
    if (this.#running) this.#sendHello(HELLO_PROBE);
  }

  /** Something was sent on the link. `@hot` */
  onSent(): void {
    this.#lastSentAt = this.#clock.now();
  }

  /** A new datagram arrived; `highest` is the highest packet number so far. `@hot` */
  onReceived(highest: number): void {
    const now = this.#clock.now();
    this.#lastHeardAt = now;
    this.#heard = true;
    this.#probing = false;
    this.lossIn.onReceived(highest);
    const news = this.#onset.onReceived(highest, now);
    if (news !== LOSS_USUAL && this.#running && this.lossIn.before <= WELL)
      this.#onLosses(news, now);
    if (this.#running && this.lossIn.rate > this.#lossTold + LOSS_NEWS) this.#sendHello(0);
  }

  onHello(hello: Hello): void {
    const now = this.#clock.now();
    this.#peerStamp = hello.stamp;
    this.#peerStampAt = now;
    this.lossOut = hello.loss / 65_535;
    this.burstOut = hello.burst / 255;
    if ((hello.flags & HELLO_ECHOES) !== 0) {
      const rtt = (((now >>> 0) - hello.echo) >>> 0) - hello.held;
      if (rtt >= 0 && rtt < 60_000_000) this.rtt.onSample(rtt, now);
    }
    // Put off here, where a hello has cost a turn anyway: on an idle link the check then never
    // fires for nothing.
    if (this.#running) this.#armCheck(this.#lastHeardAt + this.#suspectAfter);
    this.#out.onEstimate();
    if ((hello.flags & HELLO_PROBE) !== 0) this.#sendHello(0);
    else if (
      now - this.#lastSentAt >=
      this.#config.helloIntervalUs - (this.#config.helloIntervalUs >> 2)
    ) {
      // Ours is nearly due: it leaves in the turn that the peer's has cost.
      this.#follows = true;
      this.#sendHello(0);
    }
  }

  /** What the average calls well misses something: it is asked for, or told. */
  #onLosses(news: number, now: Micros): void {
    this.#doubtUntil = now + DOUBT;
    if (news === LOSS_ONSET) {
      this.lossIn.onOnset(this.#onset.share);
      this.#onset.restart();
      this.#toTell = ONSET_TOLD;
    }
    if (!this.#doubtTimer.armed) this.#timers.arm(this.#doubtTimer, now + DOUBT_INTERVAL);
  }

  #onDoubt(): void {
    const now = this.#clock.now();
    const isQuiet = now - this.#lastHeardAt >= DOUBT_INTERVAL - (DOUBT_INTERVAL >> 2);
    if (now < this.#doubtUntil && isQuiet) this.#sendHello(HELLO_PROBE);
    else if (this.#toTell > 0) this.#sendHello(0);
    this.#toTell = Math.max(0, this.#toTell - 1);
    if (now < this.#doubtUntil || this.#toTell > 0)
      this.#timers.arm(this.#doubtTimer, now + DOUBT_INTERVAL);
  }

  get #suspectAfter(): Micros {
    return Math.round(this.#config.helloIntervalUs * 1.25);
  }

  /** Unanswered probes that prove a death at the loss measured. */
  get #probesNeeded(): number {
    // Losses in a row are no independent chances: probes meet the same burst as what they follow.
    const failure = Math.max(
      1 - (1 - this.lossIn.rate) * (1 - this.lossOut),
      this.lossIn.persistence,
    );
    let needed = 0;
    for (let chance = 1; chance > FALSE_DEATH && needed < PROBES_MAX; needed += 1)
      chance *= failure;
    return Math.max(needed, PROBES_MIN);
  }

  #onHelloDue(): void {
    if (!this.#running) return;
    const now = this.#clock.now();
    const interval = this.#pace;
    const quiet = now - this.#lastSentAt >= interval - (interval >> 2);
    if (quiet || now - this.#lastHelloAt >= REPORT_INTERVAL) {
      this.#follows = false;
      this.#sendHello(0);
    } else this.#armHello();
  }

  get #pace(): Micros {
    const { helloIntervalUs } = this.#config;
    return this.lossOut > LOSSY
      ? Math.min(helloIntervalUs, LOSSY_INTERVAL_LEAST + this.#rng.below(LOSSY_INTERVAL_SPREAD))
      : helloIntervalUs;
  }

  /**
   * Whoever begins does so on a beat, a quarter of an interval by its own clock; whoever answers
   * leaves the peer time to begin again.
   */
  #armHello(): void {
    const interval = this.#pace;
    const latest = this.#lastSentAt + interval;
    const next =
      interval < this.#config.helloIntervalUs
        ? latest
        : this.#follows
          ? latest + (interval >> 4) + this.#rng.below(Math.max(1, interval >> 5))
          : latest - (latest % (interval >> 2));
    this.#timers.arm(this.#helloTimer, Math.max(next, this.#clock.now() + MILLISECOND));
  }

  #sendHello(flags: number): void {
    const now = this.#clock.now();
    const hello = this.#hello;
    hello.flags = flags;
    hello.burst = Math.round(this.lossIn.persistence * 255);
    hello.loss = Math.round(this.lossIn.rate * 65_535);
    this.#lossTold = this.lossIn.rate;
    hello.stamp = now >>> 0;
    hello.echo = 0;
    hello.held = 0;
    if (this.#peerStampAt >= 0 && now - this.#peerStampAt < 0xffff_ffff) {
      hello.flags |= HELLO_ECHOES;
      hello.echo = this.#peerStamp;
      hello.held = now - this.#peerStampAt;
    }
    this.#lastHelloAt = now;
    this.#lastSentAt = now;
    this.#out.sendHello(hello);
    this.#armHello();
  }

  #armCheck(at: Micros): void {
    this.#checkDueAt = at;
    this.#timers.arm(this.#checkTimer, at);
  }

  #onCheck(): void {
    if (!this.#running) return;
    const now = this.#clock.now();
    const silence = now - this.#lastHeardAt;
    if (silence < this.#suspectAfter) {
      this.#armCheck(this.#lastHeardAt + this.#suspectAfter);
      return;
    }
    const late = now - this.#checkDueAt;
    if (!this.#probing) {
      this.#stalls = 0;
      this.#startProbing(now);
    } else if (late > STALL && this.#stalls < STALLS_MAX) {
      this.#stalls += 1;
      this.#startProbing(now);
    } else if (late > GRAIN) this.#lateUs += late;
    const answerable =
      now -
      this.#firstProbeAt -
      this.#lateUs -
      Math.round(this.rtt.smoothedUs * 1.25) -
      10 * MILLISECOND;
    // Who dialled hears nothing for the first round trip, and does not know yet how long that is.
    const deadAfter = this.#heard
      ? this.#config.deadAfterUs
      : Math.max(this.#config.deadAfterUs, FIRST_ANSWER);
    if (silence >= deadAfter && answerable >= (this.#probesNeeded - 1) * PROBE_INTERVAL) {
      this.stop();
      this.#out.onDead();
      return;
    }
    this.#out.onSuspected();
    this.#sendHello(HELLO_PROBE);
    this.#armCheck(now + PROBE_INTERVAL);
  }

  #startProbing(now: Micros): void {
    this.#probing = true;
    this.#firstProbeAt = now;
    this.#lateUs = 0;
  }
}
