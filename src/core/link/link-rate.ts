/**
 * How much a link carries of late, for people: bits a second, both ways, by what its totals were a
 * few seconds ago.
 *
 * Owns the last looks; who looks, once a second, is the link table. Bounded: LOOKS of them.
 */

import { SECOND, type Micros } from '../base/time.ts';
import type { Totals } from './link-totals.ts';

/** With IP and UDP headers. */
export interface Rate {
  readonly sentBps: number;
  readonly receivedBps: number;
}

const LOOKS = 5;

export class LinkRate {
  /** The oldest first. */
  readonly #looks: { readonly at: Micros; readonly totals: Totals }[] = [];

  /** Once a second. */
  look(totals: Totals, now: Micros): void {
    this.#looks.push({ at: now, totals });
    if (this.#looks.length > LOOKS) this.#looks.shift();
  }

  /** Over as many seconds as there were looks; `headers`: bytes of each datagram beyond its own. */
  now(totals: Totals, now: Micros, headers: number): Rate {
    const [first] = this.#looks;
    const seconds = first === undefined ? 0 : (now - first.at) / SECOND;
    if (first === undefined || seconds < 0.1) return { sentBps: 0, receivedBps: 0 };
    const bps = (bytes: number, datagrams: number): number =>
      Math.round((8 * (bytes + headers * datagrams)) / seconds);
    const before = first.totals;
    return {
      sentBps: bps(
        totals.sentBytes - before.sentBytes,
        totals.sentDatagrams - before.sentDatagrams,
      ),
      receivedBps: bps(
        totals.receivedBytes - before.receivedBytes,
        totals.receivedDatagrams - before.receivedDatagrams,
      ),
    };
  }
}
