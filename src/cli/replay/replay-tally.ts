/**
 * Per-link counters of a real-time replay, out of what the daemons at both ends report.
 *
 * Owns the adding up: counters of a daemon start at zero with each of its lives, and what it
 * counted before the run is not the run's. Pure; fed by replay-real.ts with `links` replies.
 */

import type { LinkRow } from 'spines-client';

import type { ReportLink } from '../../lab/report/report.ts';
import type { Topology } from '../../lab/topology/topology.ts';

interface Counters {
  datagrams: number;
  bytes: number;
  retransmitted: number;
  dropped: number;
}

/** One daemon's end of one link. */
interface End {
  /** Of lives that are over. */
  readonly past: Counters;
  base: Counters;
  last: Counters;
}

export class LinkTally {
  readonly #topology: Topology;
  /** Link -> its ends, [a, b]. */
  readonly #ends: readonly (readonly [End, End])[];
  /** "node peer" -> link. */
  readonly #linkByEnds = new Map<string, number>();
  readonly #crashed = new Set<number>();

  constructor(topology: Topology) {
    this.#topology = topology;
    this.#ends = topology.links.map(() => [newEnd(), newEnd()]);
    topology.links.forEach(({ a, b }, link) => {
      this.#linkByEnds.set(`${a} ${b}`, link);
      this.#linkByEnds.set(`${b} ${a}`, link);
    });
  }

  /** What `node` reports now. `baseline`: counting starts here. */
  update(
    node: number,
    rows: readonly LinkRow[],
    peerOf: (row: LinkRow) => number | null,
    baseline: boolean,
  ): void {
    // An answer from before the crash that comes in after it: its counts are in the past already.
    if (this.#crashed.has(node)) return;
    for (const row of rows) {
      const end = this.#endOf(node, peerOf(row));
      if (end === null) continue;
      end.last = {
        datagrams: row.sent.datagrams,
        bytes: row.sent.bytes,
        retransmitted: row.retransmitted,
        dropped: row.dropped,
      };
      if (baseline) end.base = end.last;
    }
  }

  /** The daemon's counters are gone; what was last seen of them stays. */
  onCrash(node: number): void {
    this.#crashed.add(node);
    this.#topology.links.forEach(({ a, b }, link) => {
      if (a !== node && b !== node) return;
      const end = this.#ends[link]![a === node ? 0 : 1];
      add(end.past, end.base, end.last);
      end.base = zero();
      end.last = zero();
    });
  }

  onRestart(node: number): void {
    this.#crashed.delete(node);
  }

  report(): ReportLink[] {
    const { nodes, links } = this.#topology;
    return links.map(({ a, b }, link) => {
      const sum = zero();
      for (const { past, base, last } of this.#ends[link]!) {
        add(sum, zero(), past);
        add(sum, base, last);
      }
      return { a: nodes[a]!.name, b: nodes[b]!.name, ...sum };
    });
  }

  #endOf(node: number, peer: number | null): End | null {
    const link = peer === null ? undefined : this.#linkByEnds.get(`${node} ${peer}`);
    if (link === undefined) return null;
    return this.#ends[link]![this.#topology.links[link]!.a === node ? 0 : 1];
  }
}

function zero(): Counters {
  return { datagrams: 0, bytes: 0, retransmitted: 0, dropped: 0 };
}

function newEnd(): End {
  return { past: zero(), base: zero(), last: zero() };
}

/** sum += to - from. */
function add(sum: Counters, from: Counters, to: Counters): void {
  for (const key of ['datagrams', 'bytes', 'retransmitted', 'dropped'] as const)
    sum[key] += to[key] - from[key];
}
