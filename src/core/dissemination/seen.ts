/**
 * Which packets of a source have passed here: so that each goes on once, whatever ways it took.
 *
 * A packet is known by its source, the stream that it is in (a group), and its stamp, run and
 * number. The caller has made sure that it came by a link that packets of that source may take:
 * nobody else gets to write here. What is written is bounded all the same: a number goes ahead of
 * the highest by no more than the stream's rate explains, and a new run is believed when link state
 * says so, or the one before is silent; else one packet with a high number or run would silence its
 * source behind this node. Bounded in streams; one not heard of lately gives way. `@hot`
 */

import type { NodeId } from '../base/ids.ts';
import { ReplayWindow } from '../base/replay-window.ts';
import { SECOND, type Micros } from '../base/time.ts';
import { DropReason } from '../wire/drop.ts';

/** Of a window: 16,384 numbers. */
const WINDOW_WORDS = 513;
/** Windows of 2 KB, two a stream at most. */
export const SEEN_STREAMS_MAX = 2_048;
const RUNS_MAX = 2;
/** How far a number may be ahead: so much, and what its stream makes in AHEAD_TIME. */
const AHEAD = 4_096;
const AHEAD_TIME: Micros = 2 * SECOND;
/** After this silence any number or run is believed. */
const SILENCE: Micros = SECOND;
/** A run follows the one before it when its numbers have run out, about. */
const LAST_NUMBERS = 0xffff_ffff - AHEAD;

interface Run {
  readonly run: number;
  readonly window: ReplayWindow;
  heardAt: Micros;
  /** The rate is measured since then, from that number on. */
  since: Micros;
  from: number;
  /** Numbers a second, at the highest of late. */
  rate: number;
}

interface Stream {
  readonly source: NodeId;
  readonly stream: number;
  /** Newest first. */
  readonly runs: Run[];
  /** Since eviction passed it by. */
  heard: boolean;
}

export class Seen {
  readonly #runOf: (source: NodeId) => number | null;
  readonly #bySource = new Map<NodeId, Map<number, Stream>>();
  /** In the order in which they are evicted, but for those heard of lately (second chance). */
  readonly #inTurn = new Set<Stream>();
  /** Packets come in trains. */
  #latest: Stream | null = null;

  /** `runOf`: the run of `source`, as it advertised it; null where that is not known. */
  constructor(runOf: (source: NodeId) => number | null) {
    this.#runOf = runOf;
  }

  get streams(): number {
    return this.#inTurn.size;
  }

  /**
   * Records the packet if it is new: none; else why it is not to be used: groupDuplicate (known, or
   * too old to tell), groupStampAhead.
   */
  take(source: NodeId, stream: number, run: number, number: number, now: Micros): DropReason {
    const of = this.#of(source, stream);
    const { runs } = of;
    of.heard = true;
    for (let i = 0; i < runs.length; i += 1) {
      const known = runs[i]!;
      if (known.run === run) return takeNumber(known, number, now);
    }
    if (runs.length > 0 && !this.#mayBegin(source, runs[0]!, run, now))
      return DropReason.groupStampAhead;
    const begun: Run = {
      run,
      window: new ReplayWindow(WINDOW_WORDS),
      heardAt: now,
      since: now,
      from: number,
      rate: 0,
    };
    begun.window.record(number);
    if (runs.length === RUNS_MAX) runs.pop();
    runs.unshift(begun);
    return DropReason.none;
  }

  #mayBegin(source: NodeId, latest: Run, run: number, now: Micros): boolean {
    return (
      now - latest.heardAt >= SILENCE ||
      this.#runOf(source) === run ||
      (run === (latest.run + 1) >>> 0 && latest.window.highest >= LAST_NUMBERS)
    );
  }

  #of(source: NodeId, stream: number): Stream {
    const latest = this.#latest;
    if (latest !== null && latest.source === source && latest.stream === stream) return latest;
    let streams = this.#bySource.get(source);
    let found = streams?.get(stream);
    if (found === undefined) {
      if (this.#inTurn.size >= SEEN_STREAMS_MAX) this.#evict();
      streams = this.#bySource.get(source);
      if (streams === undefined) this.#bySource.set(source, (streams = new Map()));
      found = { source, stream, runs: [], heard: false };
      streams.set(stream, found);
      this.#inTurn.add(found);
    }
    return (this.#latest = found);
  }

  #evict(): void {
    for (const stream of this.#inTurn) {
      this.#inTurn.delete(stream);
      if (stream.heard) {
        stream.heard = false;
        this.#inTurn.add(stream);
        continue;
      }
      const streams = this.#bySource.get(stream.source)!;
      streams.delete(stream.stream);
      if (streams.size === 0) this.#bySource.delete(stream.source);
      if (this.#latest === stream) this.#latest = null;
      return;
    }
  }
}

function takeNumber(of: Run, number: number, now: Micros): DropReason {
  const { window } = of;
  if (!window.isNew(number)) return DropReason.groupDuplicate;
  const silent = now - of.heardAt >= SILENCE;
  if (!silent && number > window.highest + AHEAD + (of.rate * AHEAD_TIME) / SECOND)
    return DropReason.groupStampAhead;
  if (silent) of.rate = 0;
  if (silent || now - of.since >= SECOND) {
    if (!silent) of.rate = Math.max(of.rate / 2, ((number - of.from) * SECOND) / (now - of.since));
    of.since = now;
    of.from = number;
  }
  of.heardAt = now;
  window.record(number);
  return DropReason.none;
}
