/**
 * `spines version`: what is installed. The number is package.json's, wherever this file is built
 * to.
 */

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { PROTOCOL_VERSION } from 'spines-client';

import { print, printJson } from './terminal/output.ts';

export function registerVersion(program: Command): void {
  program
    .command('version')
    .description('print the version')
    .option('--json', 'print JSON')
    .action((flags: { json?: boolean }) => {
      const version = packageVersion();
      if (flags.json === true)
        printJson({ version, node: process.versions.node, clientProtocol: PROTOCOL_VERSION });
      else
        print(
          `spines ${version} (Node ${process.versions.node}, client protocol ` +
            `${PROTOCOL_VERSION})\n`,
        );
    });
}

export function packageVersion(): string {
  const { version } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return version;
}
