/**
 * The overlay as dashboards are told of it, over event streams.
 *
 * ```
 *   source --- what happened ---------------------------+--> event   at once
 *     |                                                 |
 *     +------- nodes, once a second, and soon after     +--> map     what differs from before
 *     |        what happened to links, routes, nodes    |
 *     +------- links, sessions, weights, once a second -+--> look
 * ```
 *
 * Owns what was told last, and the clock of the looks. All dashboards are told the same, made once.
 * Nothing is asked, kept or timed while nobody looks; what a dashboard does not read in time it is
 * told anew as a whole (`map` with all nodes). Invariant: a dashboard that has read all frames
 * knows the network as it was asked last.
 */

import type { DaemonEvent } from 'spines-client';
import type { LinkRow, NodeRow, SessionRow } from 'spines-client/protocol';

import type { Asked, OverlaySource } from './overlay-source.ts';

/** Between two looks; events shorten the wait for the map. */
const LOOK_MS = 1_000;
/** From an event to the map that shows it. */
const SOON_MS = 150;
/** Rows of a look, the busiest first. */
export const SESSIONS_MAX = 200;
const FLOWS_MAX = 64;
const WEIGHTS_MAX = 256;

/** One dashboard that looks. */
export interface Onlooker {
  /** A frame, as JSON. False: it has not read what it was told before, and is not told. */
  tell(name: string, data: string): boolean;
}

/** A node in a map: what link state has of it. */
export interface MapNode {
  readonly node: string;
  readonly name: string | null;
  readonly reachable: boolean;
  readonly self: boolean;
  readonly version: string | null;
  readonly groups: readonly string[];
  readonly why: { readonly short: string; readonly text: string; readonly next: string } | null;
  readonly links: readonly {
    readonly node: string;
    readonly latencyMs: number;
    readonly lossPct: number;
    readonly confirmed: boolean;
  }[];
}

/** `whole`: nodes that it does not name are not there. */
export interface MapFrame {
  readonly whole: boolean;
  readonly nodes: readonly MapNode[];
  readonly gone: readonly string[];
}

export type LookLink = Pick<
  LinkRow,
  | 'node'
  | 'name'
  | 'address'
  | 'state'
  | 'sinceMs'
  | 'rttMs'
  | 'lossOutPct'
  | 'lossInPct'
  | 'sent'
  | 'received'
> & {
  readonly rate: NonNullable<LinkRow['rate']> | null;
  readonly damped: boolean;
  readonly why: { readonly text: string; readonly next: string } | null;
};

export interface LookFrame {
  readonly at: number;
  readonly daemon: Pick<
    Asked['status'],
    'node' | 'name' | 'version' | 'security' | 'uptimeMs' | 'metric'
  >;
  readonly links: readonly LookLink[];
  readonly sessions: readonly SessionRow[];
  /** Of which the busiest are above. */
  readonly sessionsTotal: number;
  /** Null: the daemon has no Byzantine routing. */
  readonly byzantine: {
    readonly weights: Asked['byzantineRoutes']['weights'];
    readonly flows: readonly {
      readonly node: string;
      readonly main: readonly string[] | null;
      readonly second: readonly string[] | null;
    }[];
  } | null;
}

/** By kinds whose events change the map. */
const CHANGES_MAP: ReadonlySet<string> = new Set(['link', 'route', 'node', 'conviction', 'daemon']);

interface Looking {
  readonly onlooker: Onlooker;
  /** It has had the map as it was told last; false: the next one is whole. */
  current: boolean;
  missed: number;
}

export class LiveOverlay {
  readonly #source: OverlaySource;
  readonly #now: () => number;
  readonly #looking = new Set<Looking>();
  /** Nodes as they were told last, each as JSON. */
  #told = new Map<string, string>();
  #lookText: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  #endWatch: (() => void) | null = null;
  #asking = false;

  /** `now`: milliseconds since 1970. */
  constructor(source: OverlaySource, now: () => number = Date.now) {
    this.#source = source;
    this.#now = now;
  }

  /** Dashboards that look now. */
  get size(): number {
    return this.#looking.size;
  }

  /** `onlooker` is told from now on, until the function that is returned is called. */
  join(onlooker: Onlooker): () => void {
    const looking: Looking = { onlooker, current: false, missed: 0 };
    const first = this.#looking.size === 0;
    this.#looking.add(looking);
    if (first) this.#begin();
    else {
      this.#tellMap([], []);
      if (this.#lookText !== null) onlooker.tell('look', this.#lookText);
    }
    return () => {
      this.#looking.delete(looking);
      if (this.#looking.size === 0) this.#end();
    };
  }

  #begin(): void {
    this.#endWatch = this.#source.watch((event) => this.#onEvent(event));
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    void this.#look();
  }

  #end(): void {
    this.#endWatch?.();
    this.#endWatch = null;
    clearInterval(this.#timer!);
    clearTimeout(this.#soon!);
    this.#timer = this.#soon = null;
    this.#told = new Map();
    this.#lookText = null;
  }

  #onEvent(event: DaemonEvent): void {
    this.#tell('event', JSON.stringify(event));
    if (!CHANGES_MAP.has(event.kind) || this.#soon !== null) return;
    this.#soon = setTimeout(() => {
      this.#soon = null;
      void this.#look();
    }, SOON_MS);
  }

  /** One at a time: of a daemon that answers slowly no more is asked. */
  async #look(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const nodes = await this.#source.ask('nodes');
      if (this.#looking.size === 0) return;
      this.#onNodes(nodes.nodes);
      const look = JSON.stringify(await this.#lookFrame());
      if (this.#looking.size === 0) return;
      this.#lookText = look;
      this.#tell('look', look);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#tell('away', JSON.stringify({ at: this.#now(), why }));
    } finally {
      this.#asking = false;
    }
  }

  async #lookFrame(): Promise<LookFrame> {
    const status = await this.#source.ask('status');
    const { node, name, version, security, uptimeMs, metric } = status;
    const { links } = await this.#source.ask('links');
    const { sessions } = await this.#source.ask('sessions');
    const byzantine = status.byzantine === null ? null : await this.#source.ask('byzantineRoutes');
    return {
      at: this.#now(),
      daemon: { node, name, version, security, uptimeMs, metric },
      links: links.map(lookLink),
      sessions: busiest(sessions),
      sessionsTotal: sessions.length,
      byzantine:
        byzantine === null
          ? null
          : {
              weights: byzantine.weights.slice(0, WEIGHTS_MAX),
              flows: byzantine.flows.slice(0, FLOWS_MAX).map((flow) => ({
                node: flow.node,
                main: flow.main?.nodes.map((at) => at.node) ?? null,
                second: flow.second?.nodes.map((at) => at.node) ?? null,
              })),
            },
    };
  }

  #onNodes(rows: readonly NodeRow[]): void {
    const is = new Map(rows.map((row) => [row.node, JSON.stringify(mapNode(row))]));
    const changed = [...is].flatMap(([id, text]) => (this.#told.get(id) === text ? [] : [text]));
    const gone = [...this.#told.keys()].filter((id) => !is.has(id));
    this.#told = is;
    this.#tellMap(changed, gone);
  }

  /** What has changed, to those who know the rest; all of it to others. */
  #tellMap(changed: readonly string[], gone: readonly string[]): void {
    const some =
      changed.length + gone.length === 0
        ? null
        : `{"whole":false,"nodes":[${changed.join(',')}],"gone":${JSON.stringify(gone)}}`;
    let all: string | null = null;
    for (const looking of this.#looking) {
      if (looking.current) {
        if (some !== null) looking.current = looking.onlooker.tell('map', some);
        continue;
      }
      if (this.#told.size === 0) continue;
      all ??= `{"whole":true,"nodes":[${[...this.#told.values()].join(',')}],"gone":[]}`;
      looking.current = looking.onlooker.tell('map', all);
    }
  }

  #tell(name: string, data: string): void {
    for (const looking of this.#looking) {
      if (looking.missed > 0) {
        const seen = { at: this.#now(), kind: 'missed', count: looking.missed };
        if (looking.onlooker.tell('event', JSON.stringify(seen))) looking.missed = 0;
      }
      if (!looking.onlooker.tell(name, data) && name === 'event') looking.missed += 1;
    }
  }
}

function mapNode({ node, name, reachable, self, links, why, facts, groups }: NodeRow): MapNode {
  return {
    node,
    name,
    reachable,
    self,
    version: facts?.version ?? null,
    groups: groups ?? [],
    why: why == null ? null : { short: why.short, text: why.text, next: why.next },
    links: links.map((link) => ({
      node: link.node,
      latencyMs: link.latencyMs,
      lossPct: link.lossPct,
      confirmed: link.confirmed,
    })),
  };
}

function lookLink(row: LinkRow): LookLink {
  const { node, name, address, state, sinceMs, rttMs, lossOutPct, lossInPct } = row;
  return {
    ...{ node, name, address, state, sinceMs, rttMs, lossOutPct, lossInPct },
    sent: row.sent,
    received: row.received,
    rate: row.rate ?? null,
    damped: row.damped === true,
    why: row.why == null ? null : { text: row.why.text, next: row.why.next },
  };
}

/** In the order that they came in. */
function busiest(sessions: readonly SessionRow[]): readonly SessionRow[] {
  if (sessions.length <= SESSIONS_MAX) return sessions;
  const moved = ({ sent, received }: SessionRow): number => sent + received;
  const least = sessions.map(moved).sort((a, b) => b - a)[SESSIONS_MAX - 1]!;
  return sessions.filter((row) => moved(row) >= least).slice(0, SESSIONS_MAX);
}
