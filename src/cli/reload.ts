/**
 * `spines reload`: lets a daemon read its config and identity files again, and shows what changed.
 *
 * The daemon reads, judges and applies, all or nothing; SIGHUP does the same and answers in the log
 * only.
 */

import type { Command } from 'commander';

import { addClientFlags, ask, withClient, type ClientFlags } from './client.ts';
import { print, printJson } from './terminal/output.ts';

/** A key under a passphrase takes half a second each. */
const TIMEOUT_MS = 30_000;

export function registerReload(program: Command): void {
  addClientFlags(
    program
      .command('reload')
      .description('let the daemon read its config and identity files again'),
  )
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'reload', async (client) => {
        const { changes } = await ask(client, 'reload', {}, TIMEOUT_MS);
        if (flags.json === true) printJson({ changes });
        else
          print(
            changes.length === 0
              ? 'nothing changed\n'
              : changes.map((line) => `${line}\n`).join(''),
          );
      }),
    );
}
