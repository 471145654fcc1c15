/**
 * The overlay as the page knows it: nodes, links with both their directions, and how they do.
 *
 * Filled by frames of a daemon (host/web/live-overlay.ts) or from a report (replay.ts). Owns what a
 * link's state is called; draws nothing. Links that went away stay for GONE_MS, so that what broke
 * can be seen.
 */

import { Ways, type Way } from '../core/operator/ways.ts';
import type { LookFrame, LookLink, MapFrame, MapNode } from '../host/web/live-overlay.ts';

/** In the order of how bad they are. */
export type LinkState = 'good' | 'lossy' | 'bad' | 'half' | 'avoided' | 'down';

export const LINK_STATES: readonly LinkState[] = [
  'good',
  'lossy',
  'bad',
  'half',
  'avoided',
  'down',
];

export interface Direction {
  readonly latencyMs: number;
  readonly lossPct: number;
}

export interface ModelLink {
  readonly key: string;
  /** Node ids, a < b. */
  readonly a: string;
  readonly b: string;
  /** What each end says; null: nothing. */
  ab: Direction | null;
  ba: Direction | null;
  /** Byzantine routing keeps away from it, by this weight; 1: it does not. */
  weight: number;
  state: LinkState;
  /** When it was last there, by the page's clock; null: it is. */
  goneAt: number | null;
  /** What the daemon itself knows of it, if it is one of its own. */
  own: LookLink | null;
  /** From reports: what it carried in the whole run. */
  carried: { datagrams: number; bytes: number; retransmitted: number; dropped: number } | null;
}

export interface ModelNode {
  readonly id: string;
  name: string;
  self: boolean;
  reachable: boolean;
  /** Why it is not believed, or not there; null: all is well. */
  why: string | null;
  next: string | null;
  version: string | null;
  groups: readonly string[];
}

export const LOSSY_PCT = 2,
  BAD_PCT = 15;
/** How long a link that went away is shown as down. */
export const GONE_MS = 120_000;

export function linkKey(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/** What is wrong with a link, by the worse of its directions. */
export function stateOf(link: Pick<ModelLink, 'ab' | 'ba' | 'weight' | 'goneAt'>): LinkState {
  if (link.goneAt !== null) return 'down';
  if (link.weight > 1) return 'avoided';
  if (link.ab === null || link.ba === null) return 'half';
  const worst = Math.max(link.ab.lossPct, link.ba.lossPct);
  return worst >= BAD_PCT ? 'bad' : worst >= LOSSY_PCT ? 'lossy' : 'good';
}

export class OverlayModel {
  readonly nodes = new Map<string, ModelNode>();
  readonly links = new Map<string, ModelLink>();
  /** Grows when nodes or links came or went. */
  shape = 0;
  metric = 'expected-latency';
  self: string | null = null;
  look: LookFrame | null = null;
  readonly #rows = new Map<string, MapNode>();
  #ways: Ways | null = null;

  /** Takes what a daemon's map says; `now` by the page's clock, ms. */
  applyMap(frame: MapFrame, now: number): void {
    if (frame.whole) this.#rows.clear();
    for (const row of frame.nodes) this.#rows.set(row.node, row);
    for (const id of frame.gone) this.#rows.delete(id);
    this.#ways = null;
    this.#takeNodes();
    this.#takeLinks(now);
  }

  /** Takes what the daemon says of itself, its links and its weights. */
  applyLook(frame: LookFrame): void {
    this.look = frame;
    if (this.metric !== frame.daemon.metric) this.#ways = null;
    this.metric = frame.daemon.metric;
    const own = new Map(
      frame.links.flatMap((row) =>
        row.node === null || this.self === null ? [] : [[linkKey(this.self, row.node), row]],
      ),
    );
    const weights = new Map(
      (frame.byzantine?.weights ?? []).map(({ u, v, weight }) => [linkKey(u.node, v.node), weight]),
    );
    for (const link of this.links.values()) {
      link.own = own.get(link.key) ?? null;
      link.weight = weights.get(link.key) ?? 1;
      link.state = stateOf(link);
    }
  }

  /** Forgets links that have been away for long. True: some were. */
  expire(now: number): boolean {
    let some = false;
    for (const [key, { goneAt }] of this.links)
      if (goneAt !== null && now - goneAt > GONE_MS) {
        this.links.delete(key);
        some = true;
      }
    if (some) this.shape += 1;
    return some;
  }

  nameOf(id: string): string {
    return this.nodes.get(id)?.name ?? id;
  }

  /** The node that a reader means by a name or a dotted quad; null: there is none. */
  find(text: string): ModelNode | null {
    const wanted = text.trim().toLowerCase();
    if (wanted === '') return null;
    for (const node of this.nodes.values())
      if (node.name.toLowerCase() === wanted || node.id === wanted) return node;
    return null;
  }

  /** The way of link-state routing and the one that would be taken instead. Null: none. */
  ways(from: string, to: string): { main: Way | null; second: Way | null } {
    const ways = (this.#ways ??= this.#makeWays());
    const main = from === to ? null : ways.way(from, to);
    const hop = main?.nodes[1];
    const other =
      hop === undefined ? null : (ways.runnersUp(from, new Map([[to, hop]]))?.get(to) ?? null);
    return { main, second: other ?? (main === null ? null : this.#wayPastOne(main)) };
  }

  /** Where no other neighbour leads there: the best way that lacks one link of `main`. */
  #wayPastOne({ nodes }: Way): Way | null {
    let best: Way | null = null;
    for (let i = 1; i < nodes.length; i += 1) {
      const without = linkKey(nodes[i - 1]!, nodes[i]!);
      const way = this.#makeWays(without).way(nodes[0]!, nodes.at(-1)!);
      if (way !== null && way.cost < (best?.cost ?? Infinity)) best = way;
    }
    return best;
  }

  costMs(from: string, to: string): number | null {
    return (this.#ways ??= this.#makeWays()).link(from, to)?.costMs ?? null;
  }

  /** Links changed other than by a map. */
  forgetWays(): void {
    this.#ways = null;
  }

  #makeWays(without: string | null = null): Ways {
    const around = new Map<string, { node: string; direction: Direction }[]>();
    const add = (from: string, to: string, direction: Direction): void => {
      const list = around.get(from) ?? [];
      list.push({ node: to, direction });
      around.set(from, list);
    };
    for (const { key, a, b, ab, ba, goneAt } of this.links.values()) {
      if (goneAt !== null || ab === null || ba === null || key === without) continue;
      add(a, b, ab);
      add(b, a, ba);
    }
    const rows = [...this.nodes.values()].map(({ id, name, why }) => ({
      node: id,
      name,
      ...(why === null ? {} : { why: { code: '', short: '', text: why, next: '' } }),
      links: (around.get(id) ?? []).map(({ node, direction }) => ({
        node,
        name: null,
        latencyMs: direction.latencyMs,
        lossPct: direction.lossPct,
        confirmed: true,
      })),
    }));
    return new Ways(rows, this.metric);
  }

  #takeNodes(): void {
    const ids = new Set<string>();
    for (const row of this.#rows.values()) {
      ids.add(row.node);
      for (const link of row.links) ids.add(link.node);
    }
    for (const id of this.nodes.keys())
      if (!ids.has(id)) {
        this.nodes.delete(id);
        this.shape += 1;
      }
    for (const id of ids) {
      const row = this.#rows.get(id);
      if (!this.nodes.has(id)) this.shape += 1;
      this.nodes.set(id, {
        id,
        name: row?.name ?? id,
        self: row?.self ?? false,
        reachable: row?.reachable ?? false,
        why:
          row === undefined
            ? 'its neighbours name it, and it is not heard'
            : (row.why?.text ?? null),
        next: row?.why?.next ?? null,
        version: row?.version ?? null,
        groups: row?.groups ?? [],
      });
      if (row?.self === true) this.self = id;
    }
  }

  #takeLinks(now: number): void {
    const said = new Map<string, { ab: Direction | null; ba: Direction | null }>();
    for (const { node, links } of this.#rows.values())
      for (const { node: to, latencyMs, lossPct } of links) {
        // What a node said that is out of reach now counts less than the word of one that is not.
        if (!this.#isThere(node) && this.#isThere(to)) continue;
        const key = linkKey(node, to);
        const both = said.get(key) ?? { ab: null, ba: null };
        both[node < to ? 'ab' : 'ba'] = { latencyMs, lossPct };
        said.set(key, both);
      }
    for (const [key, both] of said) {
      const link = this.links.get(key) ?? this.#newLink(key);
      Object.assign(link, both, { goneAt: null });
      link.state = stateOf(link);
    }
    for (const link of this.links.values()) {
      if (said.has(link.key)) continue;
      if (this.nodes.has(link.a) && this.nodes.has(link.b)) {
        link.goneAt ??= now;
        link.state = 'down';
      } else {
        this.links.delete(link.key);
        this.shape += 1;
      }
    }
  }

  #isThere(id: string): boolean {
    const row = this.#rows.get(id);
    return row !== undefined && (row.reachable || row.self);
  }

  #newLink(key: string): ModelLink {
    const [a = '', b = ''] = key.split(' ');
    const link: ModelLink = {
      ...{ key, a, b, ab: null, ba: null, weight: 1, state: 'half' },
      ...{ goneAt: null, own: null, carried: null },
    };
    this.links.set(key, link);
    this.shape += 1;
    return link;
  }
}
