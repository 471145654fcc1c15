/**
 * The audit log of a daemon: a line of JSON for each operation that changed something, in a file of
 * its own or in the log.
 *
 * Owns the form of a line. That nothing waits for it, and what could not be written is counted, is
 * host/log/log-writer.ts's.
 */

import type { Logger } from 'pino';
import type { AuditFigures } from 'spines-client/protocol';

import { logFileTarget, type LogFileOptions } from '../host/log/log-file.ts';
import { describeLogFailure, LogWriter } from '../host/log/log-writer.ts';
import type { AuditRecord } from '../core/operator/audit.ts';
import { plainJson } from './terminal/plain-text.ts';

/** As pino's level info: all lines are equal. */
const LEVEL = 30;

export class AuditLog {
  readonly #log: Logger;
  #writer: LogWriter | null = null;
  #records = 0;

  /** `log`: where records go while there is no file. */
  constructor(log: Logger) {
    this.#log = log;
    process.on('exit', () => this.#writer?.flushNow());
  }

  readonly write = (record: AuditRecord): void => {
    this.#records += 1;
    if (this.#writer === null) this.#log.info(record, 'audit');
    else this.#writer.write(LEVEL, lineOf({ ...record }));
  };

  get figures(): AuditFigures {
    return { records: this.#records, log: this.#writer?.figures ?? null };
  }

  /**
   * Checks that the file can be had; what to do then. Throws SpinesError 'ECONFIG'. Null: from now
   * on to the log.
   */
  prepare(file: LogFileOptions | null): () => void {
    const target = file === null ? null : logFileTarget(file, 'log.audit');
    return () => {
      if (target !== null && this.#writer !== null) this.#writer.use(target);
      else if (target !== null)
        this.#writer = new LogWriter(target, (lost, code) =>
          lineOf({ op: 'lost', lost, why: describeLogFailure(code) }),
        );
      else this.#writer = null;
    };
  }

  reopen(): void {
    this.#writer?.reopen();
  }
}

function lineOf(fields: Readonly<Record<string, unknown>>): string {
  return plainJson(`${JSON.stringify({ time: new Date().toISOString(), ...fields })}\n`);
}
