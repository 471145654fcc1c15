/**
 * Notes what links and sessions do, once a look, for their charts: of the daemon's own links and
 * sessions always, of a link elsewhere while it is selected.
 */

import type { LookFrame } from '../host/web/live-overlay.ts';
import { linkKey, type OverlayModel } from './model.ts';
import type { Histories } from './series.ts';
import { sessionKey } from './tables.ts';

export class Recorder {
  readonly #model: OverlayModel;
  readonly #histories: Histories;
  /** By session: what it had moved at the last look. */
  #before = new Map<string, { at: number; sent: number; received: number }>();
  #followed: string | null = null;

  constructor(model: OverlayModel, histories: Histories) {
    this.#model = model;
    this.#histories = histories;
  }

  /** A link of whom it is; null: of none. */
  follow(key: string | null): void {
    this.#followed = key;
  }

  record(frame: LookFrame): void {
    const at = frame.at / 1_000;
    const { self, links } = this.#model;
    for (const row of frame.links)
      if (row.node !== null && self !== null)
        this.#histories
          .of(`own ${linkKey(self, row.node)}`, 5)
          .add(at, [
            row.rate?.sentBps ?? null,
            row.rate?.receivedBps ?? null,
            row.rttMs,
            row.lossOutPct,
            row.lossInPct,
          ]);
    const far = this.#followed === null ? undefined : links.get(this.#followed);
    if (far !== undefined && far.own === null) {
      const { ab, ba, goneAt } = far;
      const there = goneAt === null;
      this.#histories
        .of(`far ${far.key}`, 4)
        .add(at, [
          there ? (ab?.latencyMs ?? null) : null,
          there ? (ba?.latencyMs ?? null) : null,
          there ? (ab?.lossPct ?? null) : null,
          there ? (ba?.lossPct ?? null) : null,
        ]);
    }
    this.#sessions(frame, at);
  }

  #sessions(frame: LookFrame, at: number): void {
    const now = new Map<string, { at: number; sent: number; received: number }>();
    for (const row of frame.sessions) {
      if (row.kind === 'listener') continue;
      const key = sessionKey(row);
      const { sent, received } = row;
      now.set(key, { at, sent, received });
      const before = this.#before.get(key);
      if (before === undefined || sent < before.sent || at <= before.at) continue;
      const unit = row.kind === 'stream' ? 8 : 1,
        per = unit / (at - before.at);
      this.#histories
        .of(`session ${key}`, 3)
        .add(at, [(sent - before.sent) * per, (received - before.received) * per, row.rttMs]);
    }
    this.#before = now;
  }
}
