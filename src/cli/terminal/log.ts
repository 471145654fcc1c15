/**
 * The log of a command that runs on: to standard error, pretty on a terminal, JSON lines otherwise;
 * or to a file.
 *
 * Owns the form of lines and who else writes among them: notes for people, Node's warnings and the
 * last words of a bug. That nothing waits for the log is host/log/log-writer.ts's. Used by `daemon`
 * and by the tunnels. Loaded on demand, so that the other commands start faster.
 */

import { isatty } from 'node:tty';
import type { Logger } from 'pino';

import { AssertionError } from '../../core/base/assert.ts';
import type { LogLevel } from '../../host/config/config-file.ts';
import { logFileTarget, type LogFileOptions } from '../../host/log/log-file.ts';
import { stderrTarget } from '../../host/log/log-stderr.ts';
import { describeLogFailure, LogWriter, type LogTarget } from '../../host/log/log-writer.ts';
import { EXIT_BUG } from './failure.ts';
import { notesGoTo, onBug } from './output.ts';
import { plainInJson, plainJson } from './plain-text.ts';

export interface CommandLog {
  readonly log: Logger;
  readonly writer: LogWriter;
}

/** Lines for people are few, and the last to be lost. */
const FATAL = 60;
const STDERR = 2;

/** Of a command without a log file. */
export async function makeLog(level: LogLevel): Promise<Logger> {
  return (await openLog(level, null)).log;
}

/** Notes of a command without a log that runs on. */
export function notesNeverWait(): void {
  const writer = new LogWriter(
    stderrTarget(),
    (lost, code) => `spines: ${lost} lines were lost here: ${describeLogFailure(code)}\n`,
  );
  giveNotesTo(writer);
}

/** Called once in a process. Throws SpinesError 'ECONFIG' when `file` cannot be opened. */
export async function openLog(level: LogLevel, file: LogFileOptions | null): Promise<CommandLog> {
  let lostLine = (_lost: number, _code: string): string => '';
  const writer = new LogWriter(targetOf(file), (lost, code) => lostLine(lost, code));
  giveNotesTo(writer);
  // Not before: what pino loads looks at standard error.
  const { pino } = await import('pino');
  const pretty = file === null && isatty(STDERR) ? await prettyPrinter() : null;
  // Of what programs and other daemons say, pino escapes some and pino-pretty shows all.
  const formed = (line: string): string =>
    pretty === null ? plainJson(line) : pretty(plainInJson(line));
  let formedLast = '';
  const inside = pino(
    { level: 'warn' },
    {
      write: (text: string) => {
        formedLast = formed(text);
      },
    },
  );
  lostLine = (lost, code) => {
    inside.warn({ lost, why: describeLogFailure(code) }, 'log lines were lost');
    return formedLast;
  };
  // pino sets lastLevel on a stream with this mark.
  const stream = {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write: (text: string) => writer.write(stream.lastLevel, formed(text)),
  };
  const log = pino({ level }, stream);
  // Node would print them itself, and wait for standard error.
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) =>
    log.warn({ warning: name, message }, 'warning of Node.js'),
  );
  onBug((error) => {
    log.fatal(
      { error: error instanceof Error ? error.stack : String(error) },
      error instanceof AssertionError ? 'assertion failed' : 'uncaught error',
    );
    process.exit(EXIT_BUG);
  });
  return { log, writer };
}

function giveNotesTo(writer: LogWriter): void {
  notesGoTo(
    (text) => writer.write(FATAL, text),
    () => writer.flush(),
  );
  process.on('exit', () => writer.flushNow());
}

/** Where a log goes. Throws SpinesError 'ECONFIG'. */
export function targetOf(file: LogFileOptions | null): LogTarget {
  return file === null ? stderrTarget() : logFileTarget(file);
}

async function prettyPrinter(): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  return prettyFactory({ ignore: 'pid,hostname', colorize: !process.env['NO_COLOR'] });
}
