/**
 * Where on one path packets get lost: the probes of the path, the intervals between them, and the
 * search for a link.
 *
 * Owns the counting and the decision, from outcomes that somebody else has verified; no packets,
 * keys or timers. One PathMonitor per path in use, owned by its source. WiSe 2002 section 4.2,
 * "Interval and Probe Management".
 *
 *     quiet: one interval, no probe --fault, one link--> conviction, quiet again
 *       |  ^                                                  ^
 *     fault | all debts paid, probes retired                   | fault on one link
 *       v  |                                                  |
 *     searching: intervals that cover the path, ends are probes --fault, more links--> more probes
 *
 * A fault is b = ceil(tau * W) losses among the last W outcomes since the interval came to be: a
 * count, so that the first loss of an empty window is not "all packets lost". Invariants: intervals
 * cover the path without overlap; an interval counts only packets that were sent while it existed;
 * no loss is counted where it cannot have happened.
 */

import { assert } from '../base/assert.ts';
import type { NodeId } from '../base/ids.ts';
import {
  faultLosses,
  MILLION,
  packetsToPay,
  toleranceMillionths,
  type ByzantineOptions,
} from './options.ts';

/** What an outcome led to. Ends are node ids, the one nearer to the source first. */
export type Verdict =
  /** Probes were added between `from` and `to`. */
  | { readonly kind: 'fault'; readonly from: NodeId; readonly to: NodeId }
  /**
   * The link u-v is held to be faulty; `losses`: all that were seen on the path since its search
   * began. The monitor starts anew.
   */
  | {
      readonly kind: 'conviction';
      readonly u: NodeId;
      readonly v: NodeId;
      readonly losses: number;
    };

export interface IntervalRow {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly links: number;
  /** Losses among the last `outcomes` (at most W). */
  readonly losses: number;
  readonly outcomes: number;
  /** Good packets until its probes may go: the paper's C. */
  readonly debt: number;
}

export interface PathSnapshot {
  readonly generation: number;
  readonly searching: boolean;
  /** Losses since the search began, 0 when there is none. */
  readonly searchLosses: number;
  /** Packets with a full set of good acknowledgements, and the others. */
  readonly delivered: number;
  readonly lost: number;
  /** Good acknowledgements that came too late. */
  readonly softLosses: number;
  /**
   * Losses of packets whose interval was gone when their outcome was known. They are in `lost` (or
   * `softLosses`) too, and paid for.
   */
  readonly uncharged: number;
  readonly faults: number;
  readonly convictions: number;
  readonly intervals: readonly IntervalRow[];
  /** Intervals of former searches that are still held suspicious; `losses` after what has faded. */
  readonly remembered: readonly {
    readonly from: NodeId;
    readonly to: NodeId;
    readonly losses: number;
  }[];
}

/** What a monitor needs to know of the rules. */
export type MonitorOptions = Pick<
  ByzantineOptions,
  'windowPackets' | 'tolerance' | 'fullProbing' | 'fullProbingHops' | 'softLoss' | 'searchMemory'
>;

/** A remembered score fades per delivered packet by this part of the tolerance. */
const FADE_PART = 16;
/** A search is paid for at most two to the power of this times as long. */
const PATIENCE_MAX = 10;
/** Packets delivered outside searches that make up for one. */
const QUIET_FORGIVES = 20_000;

export class PathMonitor {
  readonly path: readonly NodeId[];
  readonly #options: MonitorOptions;
  readonly #faultLosses: number;
  /**
   * Of searchMemory: what a success takes off a live score, and a delivery off a remembered one;
   * millionths of a loss.
   */
  readonly #drift: number;
  readonly #fade: number;
  readonly #last: number;
  readonly #full: boolean;
  #intervals: Interval[];
  #probes: readonly number[];
  #generation = 0;
  #searchLosses = 0;
  /** Searches since the last conviction; one less after each QUIET_FORGIVES deliveries in peace. */
  #searches = 0;
  #quietDelivered = 0;
  #memory: Suspect[] = [];
  #delivered = 0;
  #lost = 0;
  #softLosses = 0;
  #uncharged = 0;
  #faults = 0;
  #convictions = 0;

  /** `path`: node ids from source to destination, two or more, none twice. */
  constructor(path: readonly NodeId[], options: MonitorOptions) {
    assert(path.length >= 2, 'a path has two ends');
    assert(new Set(path).size === path.length, 'a path visits a node once');
    this.path = path;
    this.#options = options;
    this.#faultLosses = faultLosses(options.windowPackets, options.tolerance);
    this.#drift = Math.ceil(toleranceMillionths(options.tolerance) / 2);
    this.#fade = Math.ceil(toleranceMillionths(options.tolerance) / FADE_PART);
    this.#last = path.length - 1;
    this.#full = options.fullProbing && this.#last <= options.fullProbingHops;
    this.#intervals = [this.#interval(0, this.#last, 0)];
    this.#probes = [this.#last];
  }

  /**
   * The list L: indices into `path` of the probes in order, the destination last. Never changed in
   * place: a packet may keep it.
   */
  get probes(): readonly number[] {
    return this.#probes;
  }

  /** Grows with each change of `probes`. */
  get generation(): number {
    return this.#generation;
  }

  /** From the first fault until a conviction, or until all probes have retired. */
  get searching(): boolean {
    return this.#intervals.length > 1;
  }

  /**
   * The fate of one packet is known: all acknowledgements are in, or its timer has fired.
   *
   * `generation`, `list`: those it was sent with. `reached`: how many of the list, from its
   * beginning, acknowledged well, 0..list.length; fewer than all is a loss after the last of them.
   * `soft`: index into `list` of the end of an interval whose acknowledgement was good but late, -1
   * = none; it counts under softLoss only.
   */
  onOutcome(
    generation: number,
    list: readonly number[],
    reached: number,
    soft = -1,
  ): Verdict | null {
    assert(generation <= this.#generation, 'an outcome of a list that was never given');
    assert(
      reached >= 0 && reached <= list.length && list[list.length - 1] === this.#last,
      'an outcome of another path',
    );
    const late = this.#options.softLoss && soft >= 0 && soft < reached ? soft : -1;
    if (late >= 0) this.#softLosses += 1;
    if (reached === list.length) {
      this.#delivered += 1;
      this.#forgive();
      this.#fadeMemory();
    } else {
      this.#lost += 1;
    }
    let from = 0;
    for (let i = 0; i < list.length && i <= reached; i += 1) {
      const to = list[i]!;
      this.#count(generation, from, to, i === reached || i === late);
      from = to;
    }
    const faulty = this.#intervals.findIndex((interval) => this.#isFaulty(interval));
    if (faulty >= 0) return this.#onFault(faulty);
    if (this.searching) this.#retire();
    return null;
  }

  snapshot(): PathSnapshot {
    return {
      generation: this.#generation,
      searching: this.searching,
      searchLosses: this.#searchLosses,
      delivered: this.#delivered,
      lost: this.#lost,
      softLosses: this.#softLosses,
      uncharged: this.#uncharged,
      faults: this.#faults,
      convictions: this.#convictions,
      intervals: this.#intervals.map(({ from, to, window, debt }) => ({
        from: this.path[from]!,
        to: this.path[to]!,
        links: to - from,
        losses: window.losses,
        outcomes: window.length,
        debt,
      })),
      remembered: this.#memory.map(({ from, to, score }) => ({
        from: this.path[from]!,
        to: this.path[to]!,
        losses: score / MILLION,
      })),
    };
  }

  #count(generation: number, from: number, to: number, lost: boolean): void {
    if (lost && this.searching) this.#searchLosses += 1;
    const interval = this.#intervals.find(
      (candidate) =>
        candidate.from === from && candidate.to === to && candidate.since <= generation,
    );
    if (interval === undefined) {
      if (lost) this.#onUncharged(from, to);
      return;
    }
    interval.window.push(lost);
    if (lost) {
      interval.score += MILLION;
    } else {
      interval.score = Math.max(0, interval.score - this.#drift);
      interval.debt = Math.max(0, interval.debt - 1);
    }
  }

  /**
   * Of a packet that was under way when the probes changed: no window may count it, but it was lost
   * between `from` and `to`, and what lies there pays for it. Else who stops while it is probed
   * pays for b losses and takes all that is under way with them.
   */
  #onUncharged(from: number, to: number): void {
    this.#uncharged += 1;
    if (!this.searching) return;
    const debt = packetsToPay(1, this.#options.tolerance);
    for (const interval of this.#intervals)
      if (interval.from >= from && interval.to <= to) interval.debt += debt;
  }

  #isFaulty(interval: Interval): boolean {
    return (
      interval.window.losses >= this.#faultLosses ||
      (interval.resumed && interval.score >= this.#faultLosses * MILLION)
    );
  }

  #onFault(index: number): Verdict {
    const { from, to, window, debt } = this.#intervals[index]!;
    // A remembered score may bring a fault with a window of few losses: the others were paid for by
    // the search that saw them.
    const losses = Math.max(1, window.losses);
    if (!this.searching) {
      this.#searchLosses = losses;
      this.#searches += 1;
    }
    this.#faults += 1;
    const u = this.path[from]!;
    const v = this.path[to]!;
    if (to - from === 1) {
      const spent = this.#searchLosses;
      this.#convictions += 1;
      this.#startAnew();
      return { kind: 'conviction', u, v, losses: spent };
    }
    this.#generation += 1;
    const pieces: Interval[] = [];
    let start = from;
    for (const end of [...this.#splits(from, to), to]) {
      pieces.push(
        this.#interval(
          start,
          end,
          packetsToPay(losses, this.#options.tolerance) * this.#patience + debt,
        ),
      );
      start = end;
    }
    this.#intervals.splice(index, 1, ...pieces);
    this.#listProbes();
    return { kind: 'fault', from: u, to: v };
  }

  /**
   * Each search on a path that found nothing is paid for twice as long as the one before: who waits
   * for its end waits ever longer.
   */
  get #patience(): number {
    return this.#options.searchMemory ? 2 ** Math.min(this.#searches - 1, PATIENCE_MAX) : 1;
  }

  #startAnew(): void {
    this.#generation += 1;
    this.#searchLosses = 0;
    this.#searches = 0;
    this.#quietDelivered = 0;
    this.#memory = [];
    this.#intervals = [this.#interval(0, this.#last, 0)];
    this.#listProbes();
  }

  /**
   * Where new probes go inside from..to: everywhere, around what was suspicious before, or in the
   * middle.
   */
  #splits(from: number, to: number): number[] {
    if (this.#full) return Array.from({ length: to - from - 1 }, (_, i) => from + 1 + i);
    let best: Suspect | null = null;
    for (const suspect of this.#memory) {
      const inside =
        suspect.from >= from && suspect.to <= to && suspect.to - suspect.from < to - from;
      if (inside && (best === null || suspect.score > best.score)) best = suspect;
    }
    if (best === null) return [(from + to) >> 1];
    return [best.from, best.to].filter((split) => split > from && split < to);
  }

  /** Takes out each probe that owes nothing on either side. */
  #retire(): void {
    let retired = false;
    for (let i = 1; i < this.#intervals.length; ) {
      const near = this.#intervals[i - 1]!;
      const far = this.#intervals[i]!;
      if (near.debt > 0 || far.debt > 0) {
        i += 1;
        continue;
      }
      if (!retired) this.#generation += 1;
      retired = true;
      this.#remember(near);
      this.#remember(far);
      this.#intervals.splice(i - 1, 2, this.#interval(near.from, far.to, 0));
    }
    if (!retired) return;
    this.#listProbes();
    if (!this.searching) this.#searchLosses = 0;
  }

  #listProbes(): void {
    this.#probes = this.#intervals.map((interval) => interval.to);
  }

  /**
   * A new interval of the present generation; one that was suspicious before goes on from its
   * score.
   */
  #interval(from: number, to: number, debt: number): Interval {
    const known = this.#memory.findIndex((suspect) => suspect.from === from && suspect.to === to);
    const score = known < 0 ? 0 : this.#memory.splice(known, 1)[0]!.score;
    return {
      from,
      to,
      since: this.#generation,
      window: new LossWindow(this.#options.windowPackets),
      debt,
      score,
      resumed: score > 0,
    };
  }

  /**
   * Against an adversary that stops while it is probed and goes on when the probes have retired:
   * what the probed intervals did lose, less tau / 2 per good packet, outlives the probes. Kept
   * below a fault, so that memory alone convicts nobody.
   */
  #remember(interval: Interval): void {
    const score = Math.min(interval.score, (this.#faultLosses - 1) * MILLION);
    if (!this.#options.searchMemory || score <= 0) return;
    this.#memory.push({ from: interval.from, to: interval.to, score });
    if (this.#memory.length <= this.#last) return;
    let least = 0;
    this.#memory.forEach((suspect, i) => {
      if (suspect.score < this.#memory[least]!.score) least = i;
    });
    this.#memory.splice(least, 1);
  }

  #forgive(): void {
    if (this.#searches === 0 || this.searching) return;
    this.#quietDelivered += 1;
    if (this.#quietDelivered < QUIET_FORGIVES) return;
    this.#quietDelivered = 0;
    this.#searches -= 1;
  }

  #fadeMemory(): void {
    if (this.#memory.length === 0) return;
    for (const suspect of this.#memory) suspect.score -= this.#fade;
    this.#memory = this.#memory.filter((suspect) => suspect.score > 0);
  }
}

interface Interval {
  /** Indices into the path. */
  readonly from: number;
  readonly to: number;
  /** Generation that it came with. */
  readonly since: number;
  readonly window: LossWindow;
  debt: number;
  /**
   * Millionths: a loss adds one, a success takes tau / 2, never below 0. Counts as soon as it was
   * remembered once.
   */
  score: number;
  readonly resumed: boolean;
}

interface Suspect {
  readonly from: number;
  readonly to: number;
  score: number;
}

/** The last W outcomes. */
class LossWindow {
  readonly #outcomes: Uint8Array;
  #next = 0;
  #length = 0;
  #losses = 0;

  constructor(size: number) {
    this.#outcomes = new Uint8Array(size);
  }

  get losses(): number {
    return this.#losses;
  }

  get length(): number {
    return this.#length;
  }

  push(lost: boolean): void {
    if (this.#length < this.#outcomes.length) this.#length += 1;
    const outcome = lost ? 1 : 0;
    this.#losses += outcome - this.#outcomes[this.#next]!;
    this.#outcomes[this.#next] = outcome;
    this.#next = (this.#next + 1) % this.#outcomes.length;
  }
}
