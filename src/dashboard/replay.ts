/**
 * A report of `spines replay` as a network at a moment: what its events had done by then.
 *
 * A report says what each link carried in the whole run and what happened when; it has no latencies
 * and no routes, so paths of it are those of the fewest hops. Owns the reading of event texts.
 */

import type { Report, ReportEvent, ReportFlow } from '../lab/report/report.ts';
import { linkKey, OverlayModel, stateOf } from './model.ts';

export interface Moment {
  readonly atMs: number;
  readonly what: string;
  /** Of its mark on the timeline. */
  readonly tone: 'bad' | 'good' | 'doubt' | 'plain';
  /** Until routes were right again; null: not said. */
  readonly settledAfterMs: number | null;
}

/** Throws Error, in words for people, for what is no report. */
export function readReport(text: string): Report {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error('the file is no JSON; a report is what `spines replay --json FILE` writes');
  }
  const report = data as Partial<Report> | null;
  if (
    report === null ||
    typeof report !== 'object' ||
    report.schema !== 1 ||
    !Array.isArray(report.links) ||
    !Array.isArray(report.flows) ||
    !Array.isArray(report.events) ||
    typeof report.durationMs !== 'number'
  )
    throw new Error('the file is no report of `spines replay`, or of another version');
  return report as Report;
}

export class Replay {
  readonly report: Report;
  readonly model = new OverlayModel();
  readonly moments: readonly Moment[];

  constructor(report: Report) {
    this.report = report;
    this.model.metric = 'hops';
    const names = new Set<string>();
    for (const { a, b } of report.links) names.add(a).add(b);
    for (const { from, to } of report.flows) names.add(from).add(to);
    // Nodes are told apart by id: a report has names, and any quads do.
    const ids = new Map(
      [...names].map((name, i) => [name, `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`]),
    );
    this.#ids = ids;
    for (const [name, id] of ids)
      this.model.nodes.set(id, {
        ...{ id, name, self: false, reachable: true, why: null, next: null },
        ...{ version: null, groups: [] },
      });
    for (const { a, b, ...carried } of report.links) {
      const [one, two] = [ids.get(a)!, ids.get(b)!];
      const key = linkKey(one, two);
      const [low = '', high = ''] = key.split(' ');
      const lossPct = carried.datagrams === 0 ? 0 : (100 * carried.dropped) / carried.datagrams;
      const both = { latencyMs: 1, lossPct };
      this.model.links.set(key, {
        ...{ key, a: low, b: high, ab: both, ba: both, weight: 1, state: 'good' },
        ...{ goneAt: null, own: null, carried },
      });
      this.#named.set(`${a}-${b}`, key).set(`${b}-${a}`, key);
    }
    this.model.shape += 1;
    this.moments = report.events.map((event) => this.#moment(event));
    this.at(0);
  }

  readonly #ids: ReadonlyMap<string, string>;
  /** Links as event texts name them. */
  readonly #named = new Map<string, string>();

  idOf(name: string): string | null {
    return this.#ids.get(name) ?? null;
  }

  /** The network as it was `ms` after the start of the flows. */
  at(ms: number): void {
    const down = new Set<string>(),
      convicted = new Set<string>(),
      crashed = new Set<string>(),
      wrong = new Map<string, string>();
    for (const { atMs, what } of this.report.events) {
      if (atMs > ms) break;
      const [verb = '', name = '', deed = ''] = what.split(' ');
      const key = this.#named.get(name);
      if (verb === 'down' && key !== undefined) down.add(key);
      else if (verb === 'up' && key !== undefined) down.delete(key);
      else if (verb === 'crash') crashed.add(name);
      else if (verb === 'restart') crashed.delete(name);
      else if (verb === 'misbehave') wrong.set(name, deed);
      else if (name === 'convicts') convicted.add(this.#named.get(deed) ?? '');
    }
    for (const node of this.model.nodes.values()) {
      node.reachable = !crashed.has(node.name);
      const deed = wrong.get(node.name);
      node.why = crashed.has(node.name)
        ? 'crashed'
        : deed === undefined || deed === 'honest'
          ? null
          : `misbehaves: ${deed}`;
    }
    const gone = ({ a, b }: { a: string; b: string }): boolean =>
      crashed.has(this.model.nameOf(a)) || crashed.has(this.model.nameOf(b));
    for (const link of this.model.links.values()) {
      link.goneAt = down.has(link.key) || gone(link) ? 0 : null;
      link.weight = convicted.has(link.key) ? 2 : 1;
      link.state = stateOf(link);
    }
    this.model.forgetWays();
  }

  #moment({ atMs, what }: ReportEvent): Moment {
    const settled = (this.report.convergence ?? []).find(
      (one) => one.event === what && Math.abs(one.atMs - atMs) < 1,
    );
    const tone = /^(?:down|crash|partition)/.test(what)
      ? 'bad'
      : /^(?:up|restart|heal)/.test(what)
        ? 'good'
        : /^misbehave| convicts /.test(what)
          ? 'doubt'
          : 'plain';
    return { atMs, what, tone, settledAfterMs: settled?.convergedAfterMs ?? null };
  }
}

/** "98 of 100 delivered, 12.1 ms in the middle, 40 ms for 99 of 100". */
export function flowWords({ sent, delivered, delayMs }: ReportFlow): string {
  const delay =
    delayMs === null
      ? ''
      : `, ${delayMs.p50.toFixed(1)} ms in the middle, ${delayMs.p99.toFixed(1)} ms for 99 of 100`;
  return `${delivered} of ${sent} delivered${delay}`;
}
