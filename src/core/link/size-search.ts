/**
 * How long a datagram may be on the path to one neighbour: packetization layer path MTU discovery
 * (RFC 8899), in small.
 *
 * Sizes are found by padded probes alone: what ICMP says is not asked, since anybody can send it. A
 * path begins with the size that every path carries, and with a probe of the largest; on most paths
 * that is all. Otherwise every size of a ladder is probed at once, twice. Larger ones than what was
 * found are tried again after ten minutes. Where datagrams are lost as by size, the size in use is
 * probed, and unless it is answered the search begins again.
 *
 *              start                  largest answered, or 3 rounds over
 *     off ──────────────▶ searching ──────────────────────────────────▶ settled ◀─┐ answered
 *      ▲                   ▲  ▲   └ each round probes what is larger       │ doubt │
 *      │ stop              │  └── smaller than the largest, after 600 s ───┤       │
 *      └── (from any)      └──────── unanswered twice, or refused ──── verifying ──┘
 *
 * Knows sizes, rounds and time; probes are sent, and sizes used, by the link. What it sends counts
 * neither for loss nor for congestion.
 */

import { assert } from '../base/assert.ts';
import type { Draws } from '../base/draws.ts';
import { MILLISECOND, SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { SizeToken } from '../wire/path-size.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN } from '../wire/sizes.ts';
import { inARow } from './size-losses.ts';

/**
 * UDP payloads, ascending: of MTU 576, 600, 1000, 1280, 1400, 1420, 1440, 1450, 1460 over IPv4,
 * 1280, 1400, 1420, 1450, 1460, 1480, 1492 over IPv6, what lies between, and our largest.
 */
export const SIZE_LADDER: readonly number[] = [
  DATAGRAM_BYTES_MIN,
  548,
  572,
  748,
  972,
  1_100,
  1_200,
  1_232,
  1_252,
  1_300,
  1_352,
  1_372,
  1_392,
  1_402,
  1_412,
  1_422,
  1_432,
  1_444,
  DATAGRAM_BYTES_MAX,
];
/** RFC 8899, 5.1.2: MAX_PROBES. */
const ROUNDS = 3;
const ROUND_MIN: Micros = 100 * MILLISECOND;
/** While the round trip is not known. */
const ROUND_UNKNOWN: Micros = 250 * MILLISECOND;
/** RFC 8899, 5.1.1: PMTU_RAISE_TIMER. */
export const RAISE_AFTER: Micros = 600 * SECOND;
/**
 * A narrow path is asked again this soon, and twice as late each time, up to the above: a route or
 * a tunnel that was away for a moment comes back, one that flaps is left alone.
 */
export const RAISE_SOON: Micros = 10 * SECOND;
const VERIFICATIONS = 2;
/** A size that passes is taken for one that does not this often. */
const FALSE_ALARM = 1e-3;
const COPIES_MAX = 8;
const VERIFY_MIN: Micros = 25 * MILLISECOND;
/**
 * A size that was just shown to pass is not doubted for so long: a full queue on the way loses runs
 * of datagrams too.
 */
const TRUST_FOR: Micros = 250 * MILLISECOND;

export type SizeState = 'off' | 'searching' | 'settled' | 'verifying';

const EDGES: Record<SizeState, readonly SizeState[]> = {
  off: ['searching', 'off'],
  searching: ['searching', 'settled', 'off'],
  settled: ['verifying', 'searching', 'off'],
  verifying: ['settled', 'searching', 'off'],
};

export interface SizeSearchOutput {
  /** Sends one datagram of exactly `bytes` with that token. */
  sendProbe(bytes: number, token: SizeToken): void;
  /** Datagrams have at most `bytes` from now on. `settled`: the search is over. */
  onSize(bytes: number, settled: boolean): void;
  /** The chance, 0..1, that a probe or its answer is lost for another cause than size. */
  failure(): number;
}

export class SizeSearch {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #draws: Draws;
  readonly #rtt: { readonly samples: number; readonly smoothedUs: Micros };
  readonly #out: SizeSearchOutput;
  readonly #timer = new Timer(() => this.#onTimer());
  readonly #token: SizeToken = { high: 0, low: 0 };
  #state: SizeState = 'off';
  #size = DATAGRAM_BYTES_MIN;
  /** Of this search; the place of a size in the ladder is added to it. */
  #tokenHigh = 0;
  #tokenLow = 0;
  /** Probes of this round, or verifications, sent so far. */
  #tries = 0;
  #raises = false;
  #trustedUntil: Micros = 0;
  /** After how long larger ones are asked for again. */
  #raiseAfter: Micros = RAISE_SOON;
  #raiseAt: Micros = 0;

  constructor(
    clock: Clock,
    timers: Timers,
    draws: Draws,
    rtt: { readonly samples: number; readonly smoothedUs: Micros },
    out: SizeSearchOutput,
  ) {
    this.#clock = clock;
    this.#timers = timers;
    this.#draws = draws;
    this.#rtt = rtt;
    this.#out = out;
  }

  get state(): SizeState {
    return this.#state;
  }

  /** Bytes of the longest datagram that is known to arrive. */
  get size(): number {
    return this.#size;
  }

  /** A path of which nothing is known: another channel, another address of either side. */
  start(): void {
    this.#raiseAfter = RAISE_SOON;
    this.#begin();
  }

  /** The same path, which carries less than it did. */
  #begin(): void {
    this.#tokenHigh = this.#draws.u32();
    this.#tokenLow = this.#draws.u32();
    this.#raises = false;
    this.#tries = 0;
    this.#become('searching');
    this.#use(DATAGRAM_BYTES_MIN);
    this.#nextRound();
  }

  stop(): void {
    this.#timers.cancel(this.#timer);
    this.#become('off');
  }

  /** Datagrams seem to be lost for their size, or the path may have changed. */
  doubt(): void {
    if (
      this.#state !== 'settled' ||
      this.#size === DATAGRAM_BYTES_MIN ||
      this.#clock.now() < this.#trustedUntil
    )
      return;
    this.#tries = 0;
    this.#become('verifying');
    this.#verify();
  }

  /** The device refused a datagram, for its size. */
  onRefused(): void {
    if (this.#state !== 'off' && this.#size > DATAGRAM_BYTES_MIN) this.#begin();
  }

  /** False for what was not asked, or too long ago. */
  onAnswer({ high, low }: SizeToken): boolean {
    const step = (low - this.#tokenLow) >>> 0;
    if (this.#state === 'off' || high !== this.#tokenHigh || step >= SIZE_LADDER.length)
      return false;
    const size = SIZE_LADDER[step]!;
    if (size >= this.#size) this.#trustedUntil = this.#clock.now() + TRUST_FOR;
    if (this.#state === 'verifying' && size >= this.#size) this.#settle();
    if (size > this.#size) this.#use(size);
    if (this.#state === 'searching' && this.#size === DATAGRAM_BYTES_MAX) this.#settle();
    return true;
  }

  /**
   * The first round asks for the largest only, later ones for all that is larger than what is known
   * to pass.
   */
  #nextRound(): void {
    this.#tries += 1;
    const from = this.#tries === 1 && !this.#raises ? SIZE_LADDER.length - 1 : 0;
    for (let step = from; step < SIZE_LADDER.length; step += 1)
      if (SIZE_LADDER[step]! > this.#size) this.#probe(step);
    this.#arm(
      this.#rtt.samples === 0
        ? ROUND_UNKNOWN
        : Math.max(ROUND_MIN, Math.round(1.5 * this.#rtt.smoothedUs) + VERIFY_MIN),
    );
  }

  #verify(): void {
    this.#tries += 1;
    // A lossy path is asked by several at once.
    const copies = Math.ceil(
      inARow(this.#out.failure(), FALSE_ALARM, 1, VERIFICATIONS * COPIES_MAX) / VERIFICATIONS,
    );
    for (let copy = 0; copy < copies; copy += 1) this.#probe(SIZE_LADDER.indexOf(this.#size));
    this.#arm(Math.max(VERIFY_MIN, Math.round(1.25 * this.#rtt.smoothedUs) + 10 * MILLISECOND));
  }

  #probe(step: number): void {
    this.#token.high = this.#tokenHigh;
    this.#token.low = (this.#tokenLow + step) >>> 0;
    this.#out.sendProbe(SIZE_LADDER[step]!, this.#token);
  }

  #onTimer(): void {
    if (this.#state === 'searching') {
      if (this.#tries < (this.#raises ? 1 : ROUNDS)) this.#nextRound();
      else this.#settle();
    } else if (this.#state === 'settled') {
      this.#raises = true;
      this.#tries = 0;
      this.#become('searching');
      this.#nextRound();
    } else if (this.#tries < VERIFICATIONS) this.#verify();
    else this.#begin();
  }

  #settle(): void {
    // A size that was in doubt puts off nothing.
    if (this.#state === 'searching' && this.#size < DATAGRAM_BYTES_MAX) {
      this.#raiseAt = this.#clock.now() + this.#raiseAfter;
      this.#raiseAfter = Math.min(RAISE_AFTER, 2 * this.#raiseAfter);
    }
    this.#become('settled');
    if (this.#size === DATAGRAM_BYTES_MAX) this.#timers.cancel(this.#timer);
    else this.#arm(Math.max(0, this.#raiseAt - this.#clock.now()));
    this.#out.onSize(this.#size, true);
  }

  #use(size: number): void {
    this.#size = size;
    this.#out.onSize(size, false);
  }

  #arm(after: Micros): void {
    this.#timers.arm(this.#timer, this.#clock.now() + after);
  }

  #become(next: SizeState): void {
    assert(EDGES[this.#state].includes(next), 'a size search changes state along its edges only');
    this.#state = next;
  }
}
