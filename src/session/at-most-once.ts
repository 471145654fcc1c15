/**
 * Which sequenced datagrams were delivered already: one window of message numbers per sender's run.
 *
 * Bounded in senders; the one not heard from for longest gives way (a duplicate of it could then pass, which
 * takes a link that died at just that time).
 */

import type { NodeId, Port } from '../base/ids.ts';
import { ReplayWindow } from '../base/replay-window.ts';

const SENDERS_MAX = 4_096;
/** As many as a reliable link has under way and more: what waited for a route comes late, and is not old. */
const WINDOW_WORDS = 1_024;

export class AtMostOnce {
  readonly #windows = new Map<string, ReplayWindow>();

  get senders(): number {
    return this.#windows.size;
  }

  /** True when this message has not been recorded and is not too old to tell. */
  isNew(source: NodeId, port: Port, run: number, message: number): boolean {
    return this.#windows.get(`${source} ${port} ${run}`)?.isNew(message) ?? true;
  }

  record(source: NodeId, port: Port, run: number, message: number): void {
    const key = `${source} ${port} ${run}`;
    let window = this.#windows.get(key);
    if (window === undefined) {
      if (this.#windows.size >= SENDERS_MAX) {
        for (const oldest of this.#windows.keys()) {
          this.#windows.delete(oldest);
          break;
        }
      }
      window = new ReplayWindow(WINDOW_WORDS);
    } else this.#windows.delete(key);
    this.#windows.set(key, window);
    window.record(message);
  }
}
