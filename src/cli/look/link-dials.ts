/**
 * `spines link list`, `link add` and `link remove`: whom a running daemon dials.
 *
 * Without `--save` the daemon alone is told, and goes by its files again at the next reload. With
 * it the config file is changed first, as little as can be, and then read again by the daemon: all
 * or nothing, as with every reload, and a file that is refused is put back.
 */

import { chownSync, realpathSync, statSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { CONGESTION_NAMES, type DialRow } from 'spines-client/protocol';

import { hex } from '../../core/base/bytes.ts';
import { SpinesError } from '../../core/base/errors.ts';
import { formatNodeId } from '../../core/base/ids.ts';
import {
  formatSocketAddress,
  parsePeerAddress,
  type SocketAddress,
} from '../../host/config/config-fields.ts';
import { loadConfigFile } from '../../host/config/config-file.ts';
import { entriesOf, withLink, withoutLink, type LinkEntry } from '../../host/config/links-edit.ts';
import { readText } from '../../host/files/text-file.ts';
import { replaceWhole } from '../../host/files/whole-file.ts';
import { readCertificate } from '../../host/identity/identity-files.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { EXIT_NO, Failure, usage } from '../terminal/failure.ts';
import { note, print, printJson, terminalColumns } from '../terminal/output.ts';
import { formatAge, formatNode, formatTable } from '../terminal/table.ts';

interface AddFlags extends ClientFlags {
  node?: string;
  name?: string;
  peerKey?: string;
  peerCertificate?: string;
  congestion?: string;
  save?: string;
  json?: boolean;
}

const RELOAD_MS = 30_000;

export function registerDials(link: Command): void {
  registerList(link);
  registerAdd(link);
  registerRemove(link);
}

function registerList(link: Command): void {
  addClientFlags(link.command('list').description('list the neighbours that the daemon dials'))
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'link list', async (client) => {
        const reply = await ask(client, 'linkList');
        if (flags.json === true) printJson(reply);
        else print(formatDials(reply.dials, terminalColumns()));
      }),
    );
}

export function formatDials(dials: readonly DialRow[], columns: number): string {
  if (dials.length === 0) return 'dials nobody\n';
  return formatTable(
    [
      { title: 'neighbour', cut: 18, key: true },
      { title: 'address', cut: 24 },
      { title: 'link' },
      { title: 'from' },
      { title: 'congestion' },
    ],
    dials.map(({ address, node, name, congestion, up, sinceMs, added }) => [
      node === null ? (name ?? '?') : formatNode(name, node),
      address,
      up ? `up ${formatAge(sinceMs ?? 0)}` : 'down',
      added ? 'operator' : 'files',
      congestion ?? '',
    ]),
    columns,
  );
}

function registerAdd(link: Command): void {
  addClientFlags(
    link
      .command('add')
      .argument('<address:port>', "the neighbour's address, or the name of its host", addressArg)
      .description('have the daemon dial one neighbour more, from now on'),
  )
    .option('--node <quad>', 'the id that must answer there')
    .option('--name <name>', 'what it is called until it has shown its certificate')
    .option('--peer-key <hex>', "the neighbour's exchange key")
    .addOption(
      new Option(
        '--peer-certificate <file>',
        "the neighbour's certificate, which says node, name and key",
      ).conflicts(['node', 'name', 'peerKey']),
    )
    .addOption(
      new Option('--congestion <name>', 'congestion control of the link').choices(CONGESTION_NAMES),
    )
    .addOption(saveOption())
    .option('--json', 'print JSON')
    .action((at: SocketAddress, flags: AddFlags) =>
      withClient(flags, 'link add', async (client) => {
        if (flags.save !== undefined) {
          const entry = entryOf(at, flags, flags.save);
          const text = readText(flags.save, 'config file');
          const changes = await save(flags.save, withLink(text, entry), () =>
            ask(client, 'reload', {}, RELOAD_MS),
          );
          tell(flags, changes, `${formatSocketAddress(at)} is in ${flags.save}`);
          return;
        }
        const { dial } = await ask(client, 'linkAdd', {
          address: at.host ?? at.address,
          port: at.port,
          ...peerOf(flags),
          ...(flags.congestion === undefined ? {} : { congestion: flags.congestion }),
        });
        if (flags.json === true) printJson({ schema: 1, dial });
        else
          print(
            `dials ${dial.address} until the next reload or restart; with --save FILE it stays ` +
              'in the config\n',
          );
      }),
    );
}

function registerRemove(link: Command): void {
  addClientFlags(
    link
      .command('remove <link>')
      .description('have the daemon dial a neighbour no longer: its address, name or id'),
  )
    .addOption(saveOption())
    .option('--json', 'print JSON')
    .action((meant: string, flags: ClientFlags & { save?: string; json?: boolean }) =>
      withClient(flags, 'link remove', async (client) => {
        if (flags.save !== undefined) {
          const text = readText(flags.save, 'config file');
          const index = indexOf(text, flags.save, meant);
          const changes = await save(flags.save, withoutLink(text, index), () =>
            ask(client, 'reload', {}, RELOAD_MS),
          );
          tell(flags, changes, `${meant} is no longer in ${flags.save}`);
          return;
        }
        const { dial } = await ask(client, 'linkRemove', { link: meant });
        if (flags.json === true) printJson({ schema: 1, dial });
        else
          print(
            `dials ${dial.address} no longer; ` +
              (dial.added
                ? 'it was in no file\n'
                : 'its files still name it, so a reload dials it again: --save FILE takes it ' +
                  'out\n'),
          );
      }),
    );
}

function saveOption(): Option {
  return new Option(
    '--save <config>',
    'change this config file, comments and order kept, and have the daemon read it again',
  );
}

function addressArg(text: string): SocketAddress {
  const parsed = parsePeerAddress(text);
  if (parsed === null)
    throw new InvalidArgumentError(
      'write an address and port, such as 192.0.2.7:8100, [2001:db8::7]:8100 or rome.example:8100.',
    );
  return parsed;
}

/** What the daemon is told of the neighbour beside its address. */
function peerOf({ node, name, peerKey, peerCertificate }: AddFlags): {
  node?: string;
  name?: string;
  key?: string;
} {
  if (peerCertificate !== undefined) {
    const certificate = readCertificate(resolve(peerCertificate));
    return {
      node: formatNodeId(certificate.node),
      name: certificate.name,
      key: hex(certificate.exchangeKey),
    };
  }
  return {
    ...(node === undefined ? {} : { node }),
    ...(name === undefined ? {} : { name }),
    ...(peerKey === undefined ? {} : { key: peerKey }),
  };
}

/** An entry of the config file; a certificate by its path from there. */
function entryOf(at: SocketAddress, flags: AddFlags, file: string): LinkEntry {
  const { peerCertificate, congestion } = flags;
  const within =
    peerCertificate === undefined
      ? null
      : relative(dirname(resolve(file)), resolve(peerCertificate));
  return {
    address: formatSocketAddress(at),
    ...(within === null
      ? peerOf(flags)
      : { certificate: within.startsWith('..') ? resolve(peerCertificate!) : within }),
    ...(congestion === undefined ? {} : { congestion }),
  };
}

/** Which entry of the file is meant by an address, a name or an id. */
function indexOf(text: string, file: string, meant: string): number {
  const { dials } = loadConfigFile(text, file, [], readCertificate).node;
  const found = dials.flatMap((dial, i) =>
    [
      formatSocketAddress(dial),
      dial.name,
      dial.node === null ? '' : formatNodeId(dial.node),
    ].includes(meant)
      ? [i]
      : [],
  );
  if (found.length === 0)
    throw new Failure(
      EXIT_NO,
      'ENOENT',
      `${file} names no neighbour ${meant}; its \`links\` have ${entriesOf(text).length}`,
    );
  if (found.length > 1)
    throw usage(
      `${file} has ${meant} at ` +
        `${found.map((i) => formatSocketAddress(dials[i]!)).join(' and ')}; ` +
        'name an address',
    );
  return found[0]!;
}

/** Checks, writes, has it read; puts the file back where the daemon refuses it. What changed. */
async function save(
  file: string,
  text: string,
  reload: () => Promise<{ readonly changes: readonly string[] }>,
): Promise<readonly string[]> {
  const before = readText(file, 'config file');
  loadConfigFile(text, file, [], readCertificate);
  write(file, text);
  try {
    return (await reload()).changes;
  } catch (error) {
    write(file, before);
    note(`${file} is as it was, since the daemon refused what it was to become`);
    throw error;
  }
}

/** Keeps owner and group, so that who could read it can. */
function write(file: string, text: string): void {
  const path = realpathSync(file);
  const { uid, gid } = statSync(path);
  replaceWhole(path, text);
  const now = statSync(path);
  if (now.uid === uid && now.gid === gid) return;
  try {
    chownSync(path, uid, gid);
  } catch (error) {
    throw new SpinesError(
      'EPERM',
      `${file} is yours now, and user ${uid} may not be able to read it ` +
        `(${(error as NodeJS.ErrnoException).code ?? 'EIO'}); give it back with chown`,
    );
  }
}

function tell(flags: { json?: boolean }, changes: readonly string[], done: string): void {
  if (flags.json === true) {
    printJson({ changes });
    return;
  }
  print(`${done}\n${changes.map((line) => `${line}\n`).join('')}`);
  if (!changes.some((line) => line.startsWith('links:')))
    note('the daemon that was asked saw no change of its links: does it go by another file?');
}
