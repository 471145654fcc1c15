/**
 * `spines keys`: the identities of a closed network. Authority, keys of nodes, certificates,
 * revocation.
 *
 * Owns the flags and the form of the answers; each command's work is in keys-authority.ts,
 * keys-node.ts or keys-look.ts. No answer contains a private key.
 */

import { InvalidArgumentError, type Command } from 'commander';

import { GROUPS_BYTES_MAX, isNodeId, parseNodeId } from '../../core/base/ids.ts';
import { sortedGroups } from '../../core/base/ids.ts';
import { ROLE_CLIENT, ROLE_ROUTER } from '../../core/wire/certificate.ts';
import { init, revoke, sign, type InitFlags, type SignFlags } from './keys-authority.ts';
import { show, verify, type VerifyFlags } from './keys-look.ts';
import { node, psk, rotate, type NodeFlags } from './keys-node.ts';
import { addPassphraseFlags, type PassphraseFlags } from './keys-passphrase.ts';
import { pairsOf, type Told } from './keys-text.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { formatPairs, wrapText } from '../terminal/table.ts';
import { collect, integerArg } from '../terminal/values.ts';

const daysArg = integerArg(1, 36_500);
const AUTHORITY_DIR =
  'folder of the authority (default: this one, or authority/ here or beside the file)';

export function registerKeys(program: Command): void {
  const keys = program
    .command('keys')
    .description('make and check the identities of a closed network');
  registerMakers(keys);
  registerReaders(keys);
  registerChangers(keys);
}

/** What makes identities. */
function registerMakers(keys: Command): void {
  add(keys, 'init', 'make the authority of a new network', true)
    .option('--dir <dir>', 'folder of the authority', '.')
    .option('--name <network>', 'name of the network (default: spines)')
    .option('--days <n>', 'days that the authority is valid', daysArg, 3_650)
    .option('--network <file>', 'make another authority for the network of this authority.pub')
    .action(async (flags: InitFlags & Json) => tell(await init(flags), flags));
  add(keys, 'node <name>', 'make the keys of a node, and a request for a certificate', true)
    .option('--id <quad>', 'id of the node, such as 10.0.0.1', nodeIdArg)
    .option('--client', 'for a client program that is no node')
    .option('--groups <list>', 'groups to ask the authority for, such as ops,video', groupsArg)
    .option('--dir <dir>', 'folder for the files', '.')
    .action(async (name: string, flags: NodeFlags & Json) => tell(await node(name, flags), flags));
  add(keys, 'sign <request>', 'sign a request: make a certificate', false)
    .option('--dir <dir>', AUTHORITY_DIR)
    .option(
      '--days <n>',
      'days that the certificate is valid (default: 365, or what is left of the authority)',
      daysArg,
    )
    .option(
      '--roles <list>',
      'router, client or router,client (default: router for a node, client for a client)',
      rolesArg,
    )
    .option(
      '--groups <list>',
      'groups that the certificate says, such as ops,video (default: none, whatever the request ' +
        'asks for)',
      groupsArg,
    )
    .option('--out <file>', 'where to write the certificate (default: next to the request, .crt)')
    .action(async (path: string, flags: SignFlags & Json) => tell(await sign(path, flags), flags));
}

/** What only reads. */
function registerReaders(keys: Command): void {
  keys
    .command('show <file>')
    .description('say what is in a certificate, request, authority, revocation list or key file')
    .option('--json', 'print JSON')
    .action((path: string, flags: Json) => tell(show(path), flags));
  keys
    .command('verify <certificate>')
    .description('say whether a certificate is good; exit code 1: no')
    .option('--json', 'print JSON')
    .option('--dir <dir>', 'folder with authority.pub and revocations.crl', '.')
    .option('--authority <file>', 'trust this authority instead; may be repeated', collect)
    .option('--revocations <file>', 'use this revocation list; may be repeated', collect)
    .option(
      '--at <time>',
      'judge for this time, such as 2030-01-31 or 2030-01-31T12:00:00Z',
      timeArg,
    )
    .action((path: string, flags: VerifyFlags & Json) => tell(verify(path, flags), flags));
}

/** What takes back, or makes keys for what there is. */
function registerChangers(keys: Command): void {
  add(
    keys,
    'revoke <what...>',
    'revoke certificates, named by file or serial, with their keys and what the same node had ' +
      'before; or all of a node, by name or id',
    false,
  )
    .option('--dir <dir>', AUTHORITY_DIR)
    .action(async (targets: string[], flags: PassphraseFlags & Json & { dir?: string }) =>
      tell(await revoke(targets, flags), flags),
    );
  keys
    .command('psk <file>')
    .description(
      'make a pre-shared key for a whole network: the same file goes to each of its nodes',
    )
    .option('--json', 'print JSON')
    .action((path: string, flags: Json) => tell(psk(path), flags));
  add(
    keys,
    'rotate <key>',
    'make new keys for the identity of a key file; the old files are kept aside',
    true,
  ).action(async (path: string, flags: PassphraseFlags & Json) =>
    tell(await rotate(path, flags), flags),
  );
}

interface Json {
  readonly json?: boolean;
}

/** A command that writes or opens a private key. */
function add(keys: Command, usage: string, description: string, makes: boolean): Command {
  return addPassphraseFlags(keys.command(usage).description(description), makes).option(
    '--json',
    'print JSON',
  );
}

function tell(told: Told, { json }: Json): void {
  if (json === true) return printJson(told);
  const { next, ...facts } = told;
  print(formatPairs(pairsOf(facts), terminalColumns()));
  if (next.length > 0)
    print(`\nNext:\n${next.map((step) => wrapText(step, '  ', terminalColumns())).join('')}`);
}

function nodeIdArg(text: string): number {
  const id = parseNodeId(text);
  if (id === null || !isNodeId(id))
    throw new InvalidArgumentError(
      'write four numbers from 0.0.0.1 to 223.255.255.255, such as 10.0.0.1.',
    );
  return id;
}

function groupsArg(text: string): readonly string[] {
  const groups = sortedGroups(text.split(','));
  if (groups === null)
    throw new InvalidArgumentError(
      'write names of letters, digits, "-", "_" and "." with commas between, at most ' +
        `${GROUPS_BYTES_MAX} characters.`,
    );
  return groups;
}

function rolesArg(text: string): number {
  let roles = 0;
  for (const part of text.split(',')) {
    const role = part === 'router' ? ROLE_ROUTER : part === 'client' ? ROLE_CLIENT : 0;
    if (role === 0 || (roles & role) !== 0)
      throw new InvalidArgumentError('write router, client or router,client.');
    roles |= role;
  }
  return roles;
}

/** Seconds since 1970. */
function timeArg(text: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?$/.test(text) ? Date.parse(text) : NaN;
  if (!(ms >= 0))
    throw new InvalidArgumentError(
      'write a day or a time in UTC, such as 2030-01-31 or 2030-01-31T12:00:00Z.',
    );
  return ms / 1_000;
}
