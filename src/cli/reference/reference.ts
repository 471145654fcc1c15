/**
 * `spines reference`: what documents and packages have that is made of tables in the code: tables
 * of the documents, schemas of JSON, and man pages into a folder.
 *
 * Hidden from the help: operators read what it made.
 */

import { join } from 'node:path';
import { Argument, type Command } from 'commander';

import { tableOfKeys } from '../../host/config/config-keys.ts';
import { makeFolder, replaceWhole } from '../../host/files/whole-file.ts';
import { tableOfMetrics } from '../../host/web/metrics-table.ts';
import { usage } from '../terminal/failure.ts';
import { print } from '../terminal/output.ts';
import { packageVersion } from '../version.ts';
import { tableOf } from './command-table.ts';
import { schemasText } from './json-schemas.ts';
import { manPages, optionsReference } from './man.ts';

const PARTS = ['config', 'metrics', 'options', 'schemas', 'man'] as const;

/** `all`: the program with all of its commands. */
export function registerReference(program: Command, all: () => Promise<Command>): void {
  program
    .command('reference', { hidden: true })
    .description('print a table that the documents have; man: write the pages into --out')
    .addArgument(new Argument('<part>', 'which').choices(PARTS))
    .option('--out <dir>', 'folder for man pages')
    .action(async (part: (typeof PARTS)[number], { out }: { out?: string }) => {
      if (part === 'config') printLines(tableOfKeys());
      else if (part === 'metrics') printLines(tableOfMetrics());
      else if (part === 'schemas') printLines([schemasText()]);
      else if (part === 'options') printLines(optionsReference(tableOf(await all())));
      else if (out === undefined) throw usage('man pages are several; give a folder with --out');
      else {
        makeFolder(out);
        for (const { file, text } of manPages(tableOf(await all()), packageVersion()))
          replaceWhole(join(out, file), text);
      }
    });
}

function printLines(lines: readonly string[]): void {
  print(`${lines.join('\n')}\n`);
}
