/**
 * Whether another daemon runs with this daemon's identity: what neighbours say of it, and what it
 * says itself in our name.
 *
 * Owns the evidence and the line in the log; link-state-router.ts asks it what to do with an
 * advertisement of ours that we did not make. One of another run is no evidence: the daemon was
 * started anew, here or elsewhere. But a run that is over answers nothing: when it goes beyond what
 * we said since, again and again, it lives. So does whoever speaks as this very run. The younger of
 * the two (core/link/twins.ts has the rule) gives way: it lets the elder's advertisements stand,
 * and asks now and then whether it is still there, by saying for it what it said last. Bounded: a
 * neighbour each, RUNS_MAX runs.
 */

import type { Log } from '../base/log.ts';
import { SECOND, type Clock, type Micros } from '../base/time.ts';
import type { Run } from '../link/handshaker.ts';
import { runsLonger } from '../link/twins.ts';
import { hasCapability, IDENTITY_ASKED, type NodeFacts } from '../wire/node-facts.ts';
import type { TwinNews } from '../wire/twin.ts';
import type { RoutedLink } from './routed-link.ts';

/** What to do with an advertisement of ours that another one made. */
export type CloneVerdict =
  /** Go on from its number: it may be of an earlier run. */
  | 'overtake'
  /** Say ours again: somebody asks whether we are there. */
  | 'answer'
  /** Let it stand. */
  | 'yield';

/** The other daemon. */
export interface Clone {
  /** Which of the two is kept: this one? */
  readonly here: 'kept' | 'refused';
  /** Where neighbours hear it, "address:port"; null where none does. */
  readonly at: string | null;
  readonly since: Micros;
}

/**
 * So many advertisements of one other run, each beyond what we said since the one before, are its
 * sign of life.
 */
const SIGNS = 3;
const SIGNS_WITHIN: Micros = 60 * SECOND;
const RUNS_MAX = 8;
/** A neighbour says it again every 5 s, the younger one asks every 10 s. */
const TOLD_KEPT: Micros = 16 * SECOND;
const HEARD_KEPT: Micros = 35 * SECOND;

interface Signs {
  count: number;
  at: Micros;
}

export class CloneWatch {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #own: Run;
  /** Other runs under our name, the one heard longest ago first. */
  readonly #signs = new Map<number, Signs>();
  readonly #told = new Map<RoutedLink, { readonly news: TwinNews; readonly at: Micros }>();
  /** The other daemon as it speaks itself. `run`: null where it speaks as this one. */
  #heard: { run: Run | null; at: Micros } | null = null;
  #since: Micros = 0;
  #known = false;

  constructor(clock: Clock, log: Log, own: Run) {
    this.#clock = clock;
    this.#log = log;
    this.#own = own;
  }

  /** Null: none that is known now. */
  clone(): Clone | null {
    const news = this.#news();
    if (news === null && this.#heard === null) return null;
    return {
      here: this.yields || (news !== null && runsLonger(news, this.#own)) ? 'refused' : 'kept',
      at: news === null || news.at === '' ? null : news.at,
      since: this.#since,
    };
  }

  /** An elder one speaks in our name. */
  get yields(): boolean {
    return (
      this.#heard !== null && this.#heard.run !== null && runsLonger(this.#heard.run, this.#own)
    );
  }

  /** A neighbour has heard it. True: that is news. */
  onTold(link: RoutedLink, news: TwinNews): boolean {
    if (news.instance === this.#own.instance) return false;
    this.#told.set(link, { news, at: this.#clock.now() });
    return this.#look();
  }

  onLinkDown(link: RoutedLink): void {
    this.#told.delete(link);
  }

  /**
   * An advertisement in our name, beyond the newest of ours, that is not ours. `facts`: what it
   * says of its run, null for older releases.
   */
  onForeign(facts: NodeFacts | null, leaving: boolean): CloneVerdict {
    if (facts === null) return 'overtake';
    const now = this.#clock.now();
    if (facts.instance === this.#own.instance) {
      this.#heard = { run: null, at: now };
      this.#look();
      return 'answer';
    }
    if (leaving) {
      this.onGone(facts.instance);
      return 'overtake';
    }
    // One more daemon that has given way asks for it.
    if (hasCapability(facts.capabilities, IDENTITY_ASKED))
      return this.yields ? 'yield' : 'overtake';
    if (this.#heard?.run?.instance !== facts.instance) {
      const before = this.#signs.get(facts.instance);
      const signs =
        before === undefined || now - before.at > SIGNS_WITHIN
          ? { count: 1, at: now }
          : { count: before.count + 1, at: before.at };
      this.#signs.delete(facts.instance);
      this.#signs.set(facts.instance, signs);
      if (this.#signs.size > RUNS_MAX) this.#signs.delete(this.#signs.keys().next().value!);
      if (signs.count < SIGNS) return 'overtake';
    }
    this.#heard = { run: facts, at: now };
    this.#look();
    return this.yields ? 'yield' : 'overtake';
  }

  /** That run is over, by its own word. */
  onGone(instance: number): void {
    this.#signs.delete(instance);
    if (this.#heard?.run?.instance === instance) this.#heard = null;
    this.#look();
  }

  /** It does not answer. */
  onElderGone(): void {
    const run = this.#heard?.run ?? null;
    if (run !== null) this.onGone(run.instance);
  }

  /** Every second. True: it has become known, or is no longer. */
  tick(): boolean {
    const now = this.#clock.now();
    for (const [link, { at }] of this.#told) if (now - at > TOLD_KEPT) this.#told.delete(link);
    if (this.#heard !== null && now - this.#heard.at > HEARD_KEPT) this.#heard = null;
    return this.#look();
  }

  #news(): TwinNews | null {
    for (const { news } of this.#told.values()) return news;
    return null;
  }

  #look(): boolean {
    const known = this.#news() !== null || this.#heard !== null;
    if (known === this.#known) return false;
    this.#known = known;
    this.#since = this.#clock.now();
    const clone = this.clone();
    if (clone === null) this.#log.info({}, "this daemon's identity runs once again");
    else {
      const next = 'stop one of the two daemons, or give it an identity of its own';
      this.#log.warn(
        { at: clone.at ?? 'a place that no neighbour knows', thisOne: clone.here, next },
        "another daemon runs with this daemon's identity: it has the same certificate and node id",
      );
    }
    return true;
  }
}
