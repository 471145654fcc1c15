/**
 * `spines log level`: the least severe level that a running daemon logs, shown or set.
 *
 * What is set holds until the next reload or restart, which go by the config.
 */

import { Argument, type Command } from 'commander';

import { LOG_LEVELS } from '../host/config/file-config.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from './client.ts';
import { print, printJson } from './terminal/output.ts';

export function registerLog(program: Command): void {
  const log = program.command('log').description("a running daemon's log");
  addClientFlags(
    log
      .command('level')
      .addArgument(
        new Argument('[level]', 'from now on, until the next reload').choices(LOG_LEVELS),
      )
      .description('show the least severe level that is logged, or set it'),
  )
    .option('--json', 'print JSON')
    .action((level: string | undefined, flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'log level', async (client) => {
        const reply = await ask(client, 'logLevel', level === undefined ? {} : { level });
        if (flags.json === true) printJson(reply);
        else
          print(
            level === undefined ? `${reply.level}\n` : `${reply.level}, until the next reload\n`,
          );
      }),
    );
}
