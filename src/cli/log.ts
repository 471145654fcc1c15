/**
 * The log of a command that runs on: to stderr, pretty on a terminal, JSON lines otherwise.
 *
 * Used by `daemon` and by the tunnels. Loaded on demand, so that the other commands start faster.
 */

import type { Logger } from 'pino';

import type { LogLevel } from '../host/config-file.ts';

export async function makeLog(level: LogLevel): Promise<Logger> {
  const { pino } = await import('pino');
  // Written synchronously: the last lines before an exit are the ones that matter.
  if (process.stderr.isTTY) {
    const { default: pretty } = await import('pino-pretty');
    return pino({ level }, pretty({ destination: 2, sync: true, ignore: 'pid,hostname', colorize: !process.env['NO_COLOR'] }));
  }
  return pino({ level }, pino.destination({ dest: 2, sync: true }));
}
