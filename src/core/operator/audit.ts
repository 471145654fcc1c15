/**
 * What changed a daemon, who asked for it, and what came of it.
 *
 * Owns that refused ones cannot crowd out what was done. Where
 * records go is the host's business; giving one never waits.
 */

import type { Clock } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Asker } from '../ipc/client.ts';

export interface AuditRecord {
  /** Of the client protocol, or 'revocations' (a list came from the network), 'start', 'stop'. */
  readonly op: string;
  /** A client; or, in words, a signal, the network or the daemon itself. */
  readonly by: Asker | string;
  /** 'ok', or the code of why it was refused. */
  readonly result: string;
  /** What was asked for and what it did. */
  readonly details: Readonly<Record<string, unknown>>;
}

export type Audit = (record: AuditRecord) => void;

/** Characters: clients say what they like. */
const DETAILS_MAX = 16_384;
/** Of what was refused: a client that asks on and on must not push out what was done. */
const REFUSED_PER_SECOND = 1,
  REFUSED_BURST = 32;

export class ClientAudit {
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #refused = new TokenBucket(REFUSED_PER_SECOND, REFUSED_BURST);
  #untold = 0;

  constructor(audit: Audit, clock: Clock) {
    this.#audit = audit;
    this.#clock = clock;
  }

  /** What a client asked to be changed was done, or was refused with `result`. */
  record(op: string, by: Asker, result: string, details: AuditRecord['details']): void {
    if (result !== 'ok' && !this.#refused.take(this.#clock.now())) {
      this.#untold += 1;
      return;
    }
    const untold = this.#untold;
    this.#untold = 0;
    const length = JSON.stringify(details).length;
    const told = length > DETAILS_MAX ? { tooLong: length } : details;
    this.#audit({
      op,
      by,
      result,
      details: untold === 0 ? told : { ...told, refusedUntold: untold },
    });
  }
}
