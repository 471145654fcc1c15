/**
 * What the system did not send for a daemon over the last minute, and why: counts by reason, and
 * the address that it was for last.
 *
 * Two tables, of which the older is forgotten, as of lateness (host/lateness.ts): what is over is
 * no trouble half a minute to a minute later. At most REASONS_MAX reasons. A refusal is known of
 * batches, and of single datagrams that asked (udp.ts), so counts are too low.
 */

import { SECOND, type Micros } from '../../core/base/time.ts';

const SPAN: Micros = 30 * SECOND;
const REASONS_MAX = 16;

export interface SendTrouble {
  /**
   * The system's code (EHOSTUNREACH, EPERM ...), or "full": it took none for too long, or
   * "noSocket": of that family there is none.
   */
  readonly code: string;
  readonly datagrams: number;
  /** Where the last of them was to go, "ip:port". */
  readonly to: string;
}

interface Row {
  datagrams: number;
  to: string;
}

export class SendTroubles {
  #rows = new Map<string, Row>();
  #older = new Map<string, Row>();
  #began: Micros;

  constructor(now: Micros) {
    this.#began = now;
  }

  note(code: string, to: string, datagrams: number, now: Micros): void {
    this.#turn(now);
    const row = this.#rows.get(code);
    if (row !== undefined) {
      row.datagrams += datagrams;
      row.to = to;
    } else if (this.#rows.size < REASONS_MAX) this.#rows.set(code, { datagrams, to });
  }

  /** The most frequent first. */
  figures(now: Micros): SendTrouble[] {
    this.#turn(now);
    const codes = new Set([...this.#rows.keys(), ...this.#older.keys()]);
    return [...codes]
      .map((code) => {
        const row = this.#rows.get(code),
          older = this.#older.get(code);
        return {
          code,
          datagrams: (row?.datagrams ?? 0) + (older?.datagrams ?? 0),
          to: (row ?? older)!.to,
        };
      })
      .sort((a, b) => b.datagrams - a.datagrams);
  }

  #turn(now: Micros): void {
    const passed = now - this.#began;
    if (passed < SPAN) return;
    this.#older = passed >= 2 * SPAN ? new Map() : this.#rows;
    this.#rows = new Map();
    this.#began = now;
  }
}
