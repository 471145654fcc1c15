/**
 * `spines reference`: the parts of the documents that are made of tables in the code, for who
 * writes them.
 *
 * Hidden from the help: operators read what it made.
 */

import { Argument, type Command } from 'commander';

import { tableOfKeys } from '../../host/config/config-keys.ts';
import { tableOfMetrics } from '../../host/web/metrics-table.ts';
import { print } from '../terminal/output.ts';

const PARTS: Readonly<Record<string, () => string[]>> = {
  config: tableOfKeys,
  metrics: tableOfMetrics,
};

export function registerReference(program: Command): void {
  program
    .command('reference', { hidden: true })
    .description('print a table that the documents have')
    .addArgument(new Argument('<part>', 'which').choices(Object.keys(PARTS)))
    .action((part: string) => print(`${PARTS[part]!().join('\n')}\n`));
}
