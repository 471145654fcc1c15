/**
 * The neighbours that a running daemon dials: list, add, remove.
 *
 * Changes what the daemon goes by, not its files: the next reload makes it go by these again, and
 * says what that takes away. Checks are those of the config file.
 */

import { hex } from '../base/bytes.ts';
import { makeEndpoint } from '../base/datagram.ts';
import { SpinesError } from '../base/errors.ts';
import { formatNodeId, isNodeName } from '../base/ids.ts';
import { ADDRESS_BYTES, addressAt, putAddress } from '../base/ip-address.ts';
import { isExchangeKey } from '../crypto/keys.ts';
import { congestionOf, integer, quadOf, text, type Arguments } from '../ipc/arguments.ts';
import type { Dial } from '../link/dial.ts';
import { isHostName, UNRESOLVED, type DialConfig } from '../link/dial-config.ts';
import { makeConfig } from '../node/config.ts';
import type { DialRow, LinkAddArgs, OperationAnswer } from 'spines-client/protocol';
import { ms, type Operator } from './operation.ts';

/** A row for each neighbour to dial, in the order in which they are dialled. */
export function linkList(operator: Operator): OperationAnswer<'linkList'> {
  const { config, links } = operator.node;
  const byConfig = new Map<DialConfig, Dial>();
  for (const { dial } of links.neighbours()) if (dial !== null) byConfig.set(dial.config, dial);
  return {
    schema: 1,
    dials: config.dials.map((dial) => rowOf(operator, dial, byConfig.get(dial) ?? null)),
  };
}

function rowOf(operator: Operator, config: DialConfig, dial: Dial | null): DialRow {
  const { router } = operator.node;
  const node = config.node ?? dial?.link?.node ?? dial?.node ?? null;
  const up = dial?.link?.up === true;
  return {
    address: writtenAt(config),
    node: node === null ? null : formatNodeId(node),
    name: (node === null ? null : router.nameOf(node)) ?? config.name ?? null,
    key: config.key === undefined ? null : hex(config.key),
    congestion: config.congestion ?? null,
    up,
    sinceMs: !up ? null : ms(operator.env.clock.now() - dial!.link!.stateSince),
    added: config.added === true,
  };
}

/** As files have it: "address:port", or "name:port". */
function writtenAt({ host, address, port }: DialConfig): string {
  return host === undefined ? makeEndpoint(address, port).key : `${host}:${port}`;
}

/** Dials one neighbour more, and keeps on doing so. EEXIST: it is dialled already. */
export function linkAdd(operator: Operator, args: Arguments): OperationAnswer<'linkAdd'> {
  const dial = dialOf(args);
  const { node } = operator;
  const key = writtenAt(dial);
  if (node.config.dials.some((one) => writtenAt(one) === key))
    throw new SpinesError(
      'EEXIST',
      `${key} is dialled already; \`spines link list\` shows it, and \`link remove\` ends it`,
    );
  use(operator, [...node.config.dials, dial]);
  return { schema: 1, dial: rowOf(operator, dial, null) };
}

/** Dials a neighbour no longer, and lets go of the link that came of it. ENOENT: there is none. */
export function linkRemove(operator: Operator, args: Arguments): OperationAnswer<'linkRemove'> {
  const meant = text(args, 'link');
  const { dials } = linkList(operator);
  const found = dials.flatMap(({ address, node, name }, i) =>
    [address, node, name].includes(meant) ? [i] : [],
  );
  if (found.length === 0)
    throw new SpinesError(
      'ENOENT',
      `no neighbour that is dialled is called ${meant}; \`spines link list\` has them, by ` +
        'address ' +
        'and name',
    );
  if (found.length > 1)
    throw new SpinesError(
      'EINVAL',
      `${meant} is dialled at ${found.map((i) => dials[i]!.address).join(' and ')}; name an ` +
        'address',
    );
  use(
    operator,
    operator.node.config.dials.filter((_dial, i) => i !== found[0]),
  );
  return { schema: 1, dial: dials[found[0]!]! };
}

function use({ node }: Operator, dials: readonly DialConfig[]): void {
  try {
    node.reconfigure(makeConfig({ ...node.config, dials }));
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    throw new SpinesError('EINVAL', `${error.message}; remove one with \`spines link remove\``);
  }
}

/** What a client wants dialled. Throws SpinesError EINVAL. */
function dialOf(args: Arguments): DialConfig {
  const named: { readonly [Name in keyof LinkAddArgs]-?: unknown } = {
    address: args['address'],
    port: args['port'],
    node: args['node'],
    name: args['name'],
    key: args['key'],
    congestion: args['congestion'],
  };
  const congestion = congestionOf(args);
  return {
    ...placeOf(text(args, 'address')),
    port: integer(args, 'port', 1, 65_535),
    node: named.node == null ? null : nodeOf(text(args, 'node')),
    ...(named.name == null ? {} : { name: nameOf(text(args, 'name')) }),
    ...(named.key == null ? {} : { key: keyOf(text(args, 'key')) }),
    ...(congestion === undefined ? {} : { congestion }),
    added: true,
  };
}

/** A name is looked up by the host, as soon as it sees it. */
function placeOf(written: string): Pick<DialConfig, 'address' | 'host' | 'name'> {
  if (!isHostName(written)) return { address: addressOf(written) };
  return {
    address: UNRESOLVED,
    host: written,
    ...(isNodeName(written) ? { name: written } : {}),
  };
}

function addressOf(written: string): string {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  if (!putAddress(bytes, 0, written))
    throw new SpinesError('EINVAL', 'address must be numeric, or the name of a host');
  const address = addressAt(bytes, 0);
  if (address === '0.0.0.0' || address === '::')
    throw new SpinesError(
      'EINVAL',
      `${address} is no address to send to; name the neighbour's own`,
    );
  return address;
}

function nodeOf(written: string): number {
  const node = quadOf(written);
  if (node === null)
    throw new SpinesError('EINVAL', 'node must be a dotted quad from 0.0.0.1 to 223.255.255.255');
  return node;
}

function nameOf(written: string): string {
  if (!isNodeName(written))
    throw new SpinesError('EINVAL', 'name must be 1-63 letters, digits, "-", "_" or "."');
  return written;
}

function keyOf(written: string): Uint8Array {
  const digits = /^[0-9a-fA-F]{64}$/.test(written) ? written.match(/../g)! : [];
  const key = Uint8Array.from(digits, (pair) => parseInt(pair, 16));
  if (key.length === 0 || !isExchangeKey(key))
    throw new SpinesError(
      'EINVAL',
      "key must be the peer's exchange key, 64 hexadecimal digits that are no weak key",
    );
  return key;
}
