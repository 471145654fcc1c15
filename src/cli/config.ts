/**
 * `spines config check` and `spines config show`: a config file judged, and as the daemon would see
 * it.
 *
 * Owns reading the file, and the identity that it names, for these two and for `daemon`; their
 * meaning is host/config/config-file.ts's and host/identity/identity-files.ts's.
 */

import type { Command } from 'commander';

import { formatNodeId } from '../core/base/ids.ts';
import { formatEffective, loadConfigFile } from '../host/config/config-file.ts';
import type { ConfigOverride } from '../host/config/config-places.ts';
import { formatTime } from '../core/base/calendar.ts';
import { readCertificate, readIdentityFiles } from '../host/identity/identity-files.ts';
import type { LoadedConfig } from '../host/config/reload.ts';
import { readText } from '../host/files/text-file.ts';
import { nowS } from './keys/keys-authority.ts';
import { note, print } from './terminal/output.ts';
import { formatNode } from './terminal/table.ts';

export function registerConfig(program: Command): void {
  const config = program.command('config').description('look at a config file');
  config
    .command('check <file>')
    .description('say what is wrong with a config file and the identity that it names, if anything')
    .action((file: string) => {
      const {
        config: { node, listen, security },
        identity,
      } = loadConfig(file);
      for (const text of identity?.notes ?? []) note(text);
      const plural = (count: number, what: string): string =>
        `${count} ${what}${count === 1 ? '' : what.endsWith('s') ? 'es' : 's'}`;
      const trust =
        identity === null
          ? `security: ${security}`
          : 'certificate valid until ' +
            `${formatTime(identity.credentials.identity.certificate.notAfterS)}`;
      print(
        `${file}: ok, node ${formatNode(node.name, formatNodeId(node.id))}, ` +
          `${plural(listen.length, 'address')}, ${plural(node.dials.length, 'neighbour')} to ` +
          `dial, ${trust}\n`,
      );
    });
  config
    .command('show <file>')
    .description('print the whole configuration, defaults filled in')
    .action((file: string) =>
      print(
        formatEffective(loadConfigFile(readText(file, 'config file'), file, [], readCertificate)),
      ),
    );
}

/**
 * The config of `file` (null: of the overrides alone) and its identity, both checked. Throws
 * SpinesError.
 */
export function loadConfig(
  file: string | null,
  overrides: readonly ConfigOverride[] = [],
): LoadedConfig {
  const config =
    file === null
      ? loadConfigFile('', 'command line', overrides, readCertificate)
      : loadConfigFile(readText(file, 'config file'), file, overrides, readCertificate);
  return {
    config,
    identity:
      config.security === 'none' || config.identity === null
        ? null
        : readIdentityFiles(config.identity, nowS()),
  };
}
