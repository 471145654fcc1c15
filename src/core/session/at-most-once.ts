/**
 * Which sequenced datagrams were delivered already: one window of message numbers per sender's run.
 *
 * Bounded in windows; of the group (origin.ts) that has most of them a sender not heard from for
 * long gives way (a duplicate of it could then pass, which takes a link that died at just that
 * time): who makes up ports, runs or sources forgets his own. `@hot`
 */

import type { NodeId, Port } from '../base/ids.ts';
import { ReplayWindow } from '../base/replay-window.ts';

/** Windows, 4 KB each, of all senders together. */
const WINDOWS_MAX = 4_096;
/**
 * Of one port that are remembered: a program that was started again, and what is late from before.
 */
const RUNS_MAX = 4;
/** Windows of a group that are nobody's business while others have no more. */
const MODEST = 16;
/**
 * As many as a reliable link has under way and more: what waited for a route comes late, and is not
 * old.
 */
const WINDOW_WORDS = 1_024;

interface Run {
  readonly run: number;
  readonly window: ReplayWindow;
}

/** A port of a node; newest run first. */
interface Sender {
  readonly key: number;
  readonly group: Group;
  readonly runs: Run[];
  /** Since eviction passed it by. */
  heard: boolean;
}

/**
 * Senders in the order in which they are evicted, but for those heard from lately (second chance).
 */
interface Group {
  readonly id: NodeId;
  windows: number;
  readonly senders: Set<Sender>;
}

export class AtMostOnce {
  readonly #senders = new Map<number, Sender>();
  /** In the order of eviction, as those of a group. */
  readonly #inTurn = new Set<Sender>();
  readonly #groups = new Map<NodeId, Group>();
  /** Messages come in trains. */
  #latest: Sender | null = null;
  #windows = 0;

  get senders(): number {
    return this.#senders.size;
  }

  /** True when this message has not been recorded and is not too old to tell. */
  isNew(source: NodeId, port: Port, run: number, message: number): boolean {
    const sender = this.#of(source, port);
    if (sender === undefined) return true;
    for (let i = 0; i < sender.runs.length; i += 1)
      if (sender.runs[i]!.run === run) return sender.runs[i]!.window.isNew(message);
    return true;
  }

  /** `group`: whom the window counts for. */
  record(source: NodeId, port: Port, run: number, message: number, group: NodeId = source): void {
    const sender = this.#of(source, port);
    if (sender !== undefined) {
      const { runs } = sender;
      for (let i = 0; i < runs.length; i += 1) {
        if (runs[i]!.run !== run) continue;
        sender.heard = true;
        runs[i]!.window.record(message);
        return;
      }
    }
    this.#addRun(source, port, run, group).record(message);
  }

  #of(source: NodeId, port: Port): Sender | undefined {
    const key = source * 0x1_0000 + port;
    if (this.#latest !== null && this.#latest.key === key) return this.#latest;
    const sender = this.#senders.get(key);
    if (sender !== undefined) this.#latest = sender;
    return sender;
  }

  #addRun(source: NodeId, port: Port, run: number, groupId: NodeId): ReplayWindow {
    while (this.#windows >= WINDOWS_MAX) this.#evict();
    let sender = this.#of(source, port);
    if (sender === undefined) {
      let group = this.#groups.get(groupId);
      if (group === undefined)
        this.#groups.set(groupId, (group = { id: groupId, windows: 0, senders: new Set() }));
      sender = { key: source * 0x1_0000 + port, group, runs: [], heard: false };
      this.#senders.set(sender.key, sender);
      for (const order of [this.#inTurn, group.senders]) order.add(sender);
    } else sender.heard = true;
    const window = new ReplayWindow(WINDOW_WORDS);
    if (sender.runs.length === RUNS_MAX) sender.runs.pop();
    else this.#count(sender.group, 1);
    sender.runs.unshift({ run, window });
    return window;
  }

  #evict(): void {
    let most: Group | null = null;
    for (const group of this.#groups.values())
      if (most === null || group.windows > most.windows) most = group;
    // Where nobody has many it is whoever was not heard from for longest.
    const among = most!.windows > MODEST ? most!.senders : this.#inTurn;
    for (const sender of among) {
      const { group } = sender;
      for (const order of [this.#inTurn, group.senders]) order.delete(sender);
      if (!sender.heard) {
        this.#senders.delete(sender.key);
        this.#count(group, -sender.runs.length);
        if (this.#latest === sender) this.#latest = null;
        return;
      }
      // Goes behind all others, where this loop meets it at most once more.
      sender.heard = false;
      for (const order of [this.#inTurn, group.senders]) order.add(sender);
    }
  }

  #count(group: Group, windows: number): void {
    this.#windows += windows;
    group.windows += windows;
    if (group.windows === 0) this.#groups.delete(group.id);
  }
}
