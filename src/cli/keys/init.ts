/**
 * `spines init`: a whole network in a folder, ready to run: its authority, and for each node what
 * its daemon needs.
 *
 * Owns the layout and the config files; keys and certificates are made by what is behind `spines
 * keys`. Invariants: every path in a node's folder is relative to it, so the folder can be copied
 * to its host as it is; the authority's private key is in no node's folder; nothing that exists is
 * overwritten.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { stringify } from 'yaml';

import { hex } from '../../core/base/bytes.ts';
import { formatNodeId, isNodeName } from '../../core/base/ids.ts';
import { armour } from '../../core/wire/armour.ts';
import {
  formatSocketAddress,
  isLoopback,
  parseSocketAddress,
  type SocketAddress,
} from '../../host/config/config-fields.ts';
import { usage } from '../terminal/failure.ts';
import { certifyRequest, found } from './keys-authority.ts';
import { MODE_PRIVATE, MODE_PUBLIC } from '../../host/files/whole-file.ts';
import { readText } from '../../host/files/text-file.ts';
import { authorityFiles, createFiles, nodeFolder, refuseExisting } from './keys-files.ts';
import { makeIdentity } from './keys-node.ts';
import { addPassphraseFlags, type PassphraseFlags } from './keys-passphrase.ts';
import { print, printJson } from '../terminal/output.ts';
import { integerArg } from '../terminal/values.ts';

const NODES_MAX = 250;
/** A node has at most 128 links. */
const FULL_MAX = 129;
const FIRST_ID = 0x0a00_0001;
const FIRST_PORT = 8101;
const AUTHORITY_DAYS = 3_650;
/** Of one step, when there are many nodes. */
const LINES_MAX = 6;

interface NetworkFlags extends PassphraseFlags {
  readonly nodes: number;
  readonly dir?: string;
  readonly addresses?: readonly SocketAddress[];
  readonly ring?: boolean;
  readonly full?: boolean;
  readonly days?: number;
  readonly json?: boolean;
}

export function registerInit(program: Command): void {
  const command = program
    .command('init <network>')
    .description(
      'make a network in a folder: authority, and keys, certificate and config of each node',
    )
    .requiredOption('-n, --nodes <count>', 'how many nodes', integerArg(1, NODES_MAX))
    .option('--dir <dir>', 'the folder (default: the name of the network)')
    .option(
      '--addresses <list>',
      'UDP address:port of each node, with commas (default: 127.0.0.1:8101 and on)',
      addressesArg,
    )
    .addOption(
      new Option('--ring', 'link each node with the next one, in a ring (default)').conflicts(
        'full',
      ),
    )
    .option('--full', 'link each node with every other')
    .option(
      '--days <n>',
      'days that the certificates are valid (default: 365)',
      integerArg(1, AUTHORITY_DAYS),
    )
    .option('--json', 'print JSON');
  addPassphraseFlags(command, true).action(makeNetwork);
}

/** Refuses flags that do not go together. */
function check(network: string, { nodes: count, full = false, addresses }: NetworkFlags): void {
  if (!isNodeName(network))
    throw usage(`"${network}" is no name for a network; use 1-63 letters, digits, "-", "_" or "."`);
  if (addresses !== undefined && addresses.length !== count)
    throw usage(
      `--addresses has ${addresses.length} and there are ${count} nodes; give one address ` +
        'for each',
    );
  if (full && count > FULL_MAX)
    throw usage(`a node has at most ${FULL_MAX - 1} links; use --ring, or fewer nodes`);
}

async function makeNetwork(network: string, flags: NetworkFlags): Promise<void> {
  const { nodes: count, full = false } = flags;
  const dir = flags.dir ?? network;
  check(network, flags);
  const addresses =
    flags.addresses ??
    Array.from(
      { length: count },
      (_, i): SocketAddress => ({ address: '127.0.0.1', port: FIRST_PORT + i }),
    );
  const authorityDir = join(dir, 'authority');
  const names = addresses.map((_, i) => `node-${i + 1}`);
  const folders = names.map((name) => nodeFolder(join(dir, name)));
  refuseExisting([authorityDir, ...names.map((name) => join(dir, name))]);

  const authority = authorityFiles(authorityDir);
  const made = names.map((name, i) => makeIdentity(name, FIRST_ID + i));
  type Opened = Awaited<ReturnType<typeof found>>['opened'];
  const fill = ({ request, keyText }: (typeof made)[number], i: number, opened: Opened): void => {
    const files = folders[i]!;
    const neighbours = neighboursOf(i, count, full).map((j) => ({
      address: addresses[j]!,
      node: FIRST_ID + j,
      name: names[j]!,
      key: made[j]!.request.exchangeKey,
    }));
    createFiles([
      { path: files.key, text: keyText(null), mode: MODE_PRIVATE },
      {
        path: files.request,
        text: armour('SPINES CERTIFICATE REQUEST', request.bytes),
        mode: MODE_PUBLIC,
      },
      {
        path: files.config,
        text: configText(network, i, addresses[i]!, neighbours),
        mode: MODE_PUBLIC,
      },
    ]);
    certifyRequest(
      request,
      { dir: authorityDir, ...(flags.days === undefined ? {} : { days: flags.days }) },
      files.certificate,
      opened,
    );
    createFiles([
      {
        path: files.authority,
        text: readText(authority.authority, 'authority'),
        mode: MODE_PUBLIC,
      },
      {
        path: files.revocations,
        text: readText(authority.revocations, 'revocation list'),
        mode: MODE_PUBLIC,
      },
    ]);
  };
  try {
    // The passphrase is for the authority's key: daemons start without anybody there to type one.
    const { opened } = await found({
      ...flags,
      dir: authorityDir,
      name: network,
      days: AUTHORITY_DAYS,
    });
    made.forEach((one, i) => fill(one, i, opened));
  } catch (error) {
    // None of these was there before; half a network would be in the way of the next try.
    for (const folder of [authorityDir, ...names.map((name) => join(dir, name))])
      rmSync(folder, { recursive: true, force: true });
    throw error;
  }

  tell({ network, dir, authorityDir, names, addresses, folders }, flags);
}

/** A network as it was made. */
interface MadeNetwork {
  readonly network: string;
  readonly dir: string;
  readonly authorityDir: string;
  readonly names: readonly string[];
  readonly addresses: readonly SocketAddress[];
  readonly folders: readonly { readonly config: string }[];
}

function tell(
  { network, dir, authorityDir, names, addresses, folders }: MadeNetwork,
  flags: NetworkFlags,
): void {
  const count = names.length;
  const local = addresses.every(({ address }) => isLoopback(address));
  const next = nextSteps(dir, names, addresses, local);
  if (flags.json === true) {
    printJson({
      network,
      dir,
      authority: authorityDir,
      next,
      nodes: names.map((name, i) => ({
        name,
        node: formatNodeId(FIRST_ID + i),
        address: formatSocketAddress(addresses[i]!),
        folder: join(dir, name),
        config: folders[i]!.config,
      })),
    });
    return;
  }
  print(
    `${dir}: the network ${network} of ${count} ` +
      `node${count === 1 ? '' : 's'}\n\n${next.map((line) => `${line}\n`).join('')}`,
  );
}

function neighboursOf(i: number, count: number, full: boolean): number[] {
  const others = Array.from({ length: count }, (_, j) => j).filter((j) => j !== i);
  return full ? others : others.filter((j) => j === (i + 1) % count || i === (j + 1) % count);
}

/** Each end dials: whichever starts last finds the other. */
function configText(
  network: string,
  i: number,
  at: SocketAddress,
  neighbours: readonly { address: SocketAddress; node: number; name: string; key: Uint8Array }[],
): string {
  // A public address may belong to a router in front of the host.
  const everywhere = at.address.includes(':') ? '::' : '0.0.0.0';
  const data = {
    id: formatNodeId(FIRST_ID + i),
    listen: [
      formatSocketAddress(isLoopback(at.address) ? at : { address: everywhere, port: at.port }),
    ],
    links: neighbours.map(({ address, node, name, key }) => ({
      address: formatSocketAddress(address),
      node: formatNodeId(node),
      name,
      key: hex(key),
    })),
    client: { socket: 'spines.sock' },
    identity: {
      key: 'node.key',
      certificate: 'node.crt',
      authorities: ['authority.pub'],
      revocations: 'revocations.crl',
    },
  };
  return (
    `# node-${i + 1} of the network ${network}. Paths are relative to this file's ` +
    `folder.\n${stringify(data)}`
  );
}

/**
 * What to type now. Addresses of this machine only serve both ways: to try it here, and as a
 * pattern.
 */
function nextSteps(
  dir: string,
  names: readonly string[],
  addresses: readonly SocketAddress[],
  local: boolean,
): string[] {
  const at = (...path: string[]): string => quoted(join(dir, ...path));
  const each = (line: (name: string, i: number) => string): string[] => {
    const lines = names.map((name, i) => `  ${line(name, i)}`);
    return lines.length <= LINES_MAX
      ? lines
      : [
          ...lines.slice(0, LINES_MAX - 2),
          `  ... and so on for ${names[LINES_MAX - 2]!} to ${names.at(-2)!}`,
          lines.at(-1)!,
        ];
  };
  const first = at(names[0]!, 'spines.sock');
  return [
    `Keep ${at('authority')} safe and off the nodes: its authority.key signs certificates. No ` +
      `node's folder has it.`,
    '',
    ...(local
      ? [
          'All on this machine:',
          ...each((name) => `spines daemon --config ${at(name, 'spines.yaml')} &`),
          `  spines status --socket ${first}`,
          ...(names.length === 1 ? [] : [`  spines ping ${names.at(-1)!} --socket ${first}`]),
          '',
          'Each on a host of its own: make the network with --addresses that the hosts reach ' +
            'each other at, then',
        ]
      : ['Each on its host:']),
    ...each((name, i) => {
      const { address } = addresses[i]!;
      const host = local ? `HOST-${i + 1}` : address.includes(':') ? `[${address}]` : address;
      return (
        `scp -rp ${at(name)} ${host}:   # and there: spines daemon --config ` +
        `${name}/spines.yaml`
      );
    }),
  ];
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function addressesArg(text: string): SocketAddress[] {
  const seen = new Set<string>();
  return text.split(',').map((part) => {
    const parsed = parseSocketAddress(part.trim());
    if (parsed === null || parsed.address === '0.0.0.0' || parsed.address === '::') {
      throw new InvalidArgumentError(
        `"${part.trim()}" is no numeric address:port; write that of each node, such as ` +
          '192.0.2.1:8100,192.0.2.2:8100.',
      );
    }
    const key = formatSocketAddress(parsed);
    if (seen.has(key))
      throw new InvalidArgumentError(`${key} is there twice; two nodes cannot share an address.`);
    seen.add(key);
    return parsed;
  });
}
