/**
 * `spines config check` and `spines config show`: a config file judged, and as the daemon would see it.
 *
 * Owns reading the file for these two and for `daemon`; its meaning is host/config-file.ts's.
 */

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';

import { formatNodeId } from '../base/ids.ts';
import { formatEffective, loadConfigFile } from '../host/config-file.ts';
import { EXIT_USAGE, Failure } from './failure.ts';
import { print } from './output.ts';
import { formatNode } from './table.ts';

export function registerConfig(program: Command): void {
  const config = program.command('config').description('look at a config file');
  config.command('check <file>').description('say what is wrong with a config file, if anything')
    .action((file: string) => {
      const { node, listen } = loadConfigFile(readTextFile(file, 'config file'), file);
      const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : (what.endsWith('s') ? 'es' : 's')}`;
      print(`${file}: ok, node ${formatNode(node.name, formatNodeId(node.id))}, ${plural(listen.length, 'address')}, ${plural(node.dials.length, 'neighbour')} to dial\n`);
    });
  config.command('show <file>').description('print the whole configuration, defaults filled in')
    .action((file: string) => print(formatEffective(loadConfigFile(readTextFile(file, 'config file'), file))));
}

/** UTF-8 text of `path`; a file that cannot be read is the operator's error. */
export function readTextFile(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a directory' : code === 'EACCES' ? 'may not be read' : `cannot be read (${code})`;
    throw new Failure(EXIT_USAGE, code, `${what} ${path} ${why}; check the path`);
  }
}
