/**
 * What paths and certificates make of a config file's data: who the daemon is, whom its links are
 * to, and where its doors are.
 *
 * Reads no file itself: certificates come through a function. Faults come out, each with its place.
 */

import { dirname, resolve } from 'node:path';
import { defaultSocketPath } from 'spines-client';

import { equalBytes } from '../../core/base/bytes.ts';
import { SpinesError } from '../../core/base/errors.ts';
import { formatNodeId, NO_NODE, type NodeId } from '../../core/base/ids.ts';
import { defaultConfig } from '../../core/node/config.ts';
import type { Certificate } from '../../core/wire/certificate.ts';
import type { SocketDoor } from '../daemon-options.ts';
import { socketPathFault } from '../doors/unix-socket.ts';
import type { IdentityPaths } from '../identity/identity-files.ts';
import type { ConfigOverride, Fault } from './config-places.ts';
import type { FileData } from './config-schema.ts';
import type { DaemonFileConfig } from './file-config.ts';

type FileLink = NonNullable<FileData['links']>[number];

/**
 * How a daemon gets at the certificates that its config names, by absolute path. Throws
 * SpinesError.
 */
export type CertificateReader = (path: string) => Certificate;

/** What a link's certificate, or its keys, say. */
export interface CertifiedLink {
  readonly node: NodeId | null;
  readonly key: Uint8Array | null;
  readonly name: string | null;
}

export interface Certified {
  readonly identity: IdentityPaths | null;
  /** Given, or from the certificate. NO_NODE only where there are faults. */
  readonly id: NodeId;
  readonly name: string;
  /** Index = link. */
  readonly links: readonly CertifiedLink[];
  /** Null: none. */
  readonly socketPath: string | null;
  readonly sockets: readonly SocketDoor[];
  readonly tcp: DaemonFileConfig['client']['tcp'];
  readonly http: DaemonFileConfig['http'];
  readonly faults: readonly Fault[];
}

export interface Surroundings {
  /** That relative paths are meant from. */
  readonly folder: string;
  readonly overrides: readonly ConfigOverride[];
  readonly readCertificate: CertificateReader;
}

export function cannotRead(): never {
  throw new SpinesError('ECONFIG', 'certificates cannot be read here');
}

/** A missing id or identity, which may stand for each other. */
export function findAbsent(data: unknown): Fault[] {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return [];
  const { id, security, identity } = data as Readonly<Record<string, unknown>>;
  if (identity !== undefined) return [];
  if (security === undefined || security === 'sealed') {
    return [
      {
        path: ['security'],
        message:
          'sealed (the default) needs an identity: make one with `spines init` or `spines keys`, ' +
          'or write `security: none` for a laboratory',
      },
    ];
  }
  return id === undefined ? [{ path: ['id'], message: 'is missing' }] : [];
}

/** What paths and certificates make of the data. */
export function certify(data: FileData, surroundings: Surroundings): Certified {
  const reader = new Reader(surroundings);
  const identity = identityOf(data, reader);
  const own =
    data.identity === undefined
      ? null
      : reader.read(data.identity.certificate, ['identity', 'certificate']);
  if (own !== null) reader.faults.push(...contradictions(data, own));
  const links = (data.links ?? []).map((link, i) => certifiedLink(link, i, reader));
  reader.faults.push(...linksToSelf(data, links, own));
  const sockets = (data.client?.sockets ?? []).map(
    ({ path: text, mode, group: of, role }, i): SocketDoor => {
      const path = reader.at(text);
      reader.fault(['client', 'sockets', i, 'path'], socketPathFault(path));
      return { path, mode: mode ?? null, group: of?.name ?? null, role };
    },
  );
  const socketPath = socketPathOf(data, surroundings, reader);
  return {
    identity,
    id: data.id ?? own?.node ?? NO_NODE,
    name: data.name ?? own?.name ?? defaultConfig.name,
    links,
    socketPath,
    sockets,
    ...loopbackDoors(data, (text) => reader.at(text)),
    faults: reader.faults,
  };
}

/** Paths and certificates as the file means them; keeps what is wrong, in the order of the file. */
class Reader {
  readonly faults: Fault[] = [];
  readonly #folder: string;
  readonly #readCertificate: CertificateReader;

  constructor({ folder, readCertificate }: Surroundings) {
    this.#folder = folder;
    this.#readCertificate = readCertificate;
  }

  at(text: string): string {
    return resolve(this.#folder, text);
  }

  /** Null: cannot be read, which is a fault at `path`. */
  read(text: string, path: Fault['path']): Certificate | null {
    try {
      return this.#readCertificate(this.at(text));
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      this.fault(path, error.message);
      return null;
    }
  }

  fault(path: Fault['path'], message: string | null): void {
    if (message !== null) this.faults.push({ path, message });
  }
}

function identityOf({ identity, network }: FileData, reader: Reader): IdentityPaths | null {
  if (identity === undefined) return null;
  const { key, certificate, authorities, revocations, passphraseFile } = identity;
  const at = (text: string): string => reader.at(text);
  const preshared = network?.presharedKey;
  return Object.freeze({
    key: at(key),
    certificate: at(certificate),
    authorities: authorities.map(at),
    revocations: at(revocations ?? resolve(dirname(at(certificate)), 'revocations.crl')),
    passphraseFile: passphraseFile === undefined ? null : at(passphraseFile),
    ...(preshared === undefined
      ? {}
      : { preshared: preshared.map((file) => (file === null ? null : at(file))) }),
  });
}

/** What the file says of this daemon and its certificate does not. */
function contradictions({ id, name }: FileData, own: Certificate): Fault[] {
  const faults: Fault[] = [];
  if (own.node === NO_NODE)
    faults.push({
      path: ['identity', 'certificate'],
      message:
        `is ${own.name}'s, a client's and no node's; have one made with \`spines keys ` +
        `node ${own.name} --id QUAD\``,
    });
  if (id !== undefined && id !== own.node)
    faults.push({
      path: ['id'],
      message:
        `the certificate says ${formatNodeId(own.node)}, not ${formatNodeId(id)}; ` +
        'leave id out, or name the right certificate',
    });
  if (name !== undefined && name !== own.name)
    faults.push({
      path: ['name'],
      message:
        `the certificate says ${own.name}, not ` +
        `${name === '' ? 'nothing' : name}; leave name out, or name the right ` +
        'certificate',
    });
  return faults;
}

function certifiedLink(
  { node, name: called, key, certificate }: FileLink,
  i: number,
  reader: Reader,
): CertifiedLink {
  if (certificate === undefined)
    return { node: node ?? null, key: key ?? null, name: called ?? null };
  if (key !== undefined)
    reader.faults.push({
      path: ['links', i, 'key'],
      message: 'a link has a key or a certificate, not both; leave one out',
      atKey: true,
    });
  const peer = reader.read(certificate, ['links', i, 'certificate']);
  if (peer !== null && node !== undefined && peer.node !== node)
    reader.fault(
      ['links', i, 'node'],
      `the certificate says ${formatNodeId(peer.node)}, not ${formatNodeId(node)}; ` +
        'leave node out, or name the right certificate',
    );
  return {
    node: node ?? peer?.node ?? null,
    key: peer?.exchangeKey ?? null,
    name: called ?? peer?.name ?? null,
  };
}

function linksToSelf(
  data: FileData,
  links: readonly CertifiedLink[],
  own: Certificate | null,
): Fault[] {
  return links.flatMap(({ key }, i): Fault[] =>
    key === null || own === null || !equalBytes(key, own.exchangeKey)
      ? []
      : [
          {
            path: ['links', i, data.links![i]!.key === undefined ? 'certificate' : 'key'],
            message: "is this daemon's own; name the peer's",
          },
        ],
  );
}

function socketPathOf(
  { client }: FileData,
  { overrides }: Surroundings,
  reader: Reader,
): string | null {
  const socket = client?.socket;
  const named = socket === undefined ? defaultSocketPath() : socket.path;
  // A flag's path is meant from where the command runs.
  const ofFlag = overrides.some(({ path }) => path.join('.') === 'client.socket');
  const path = socket === undefined || named === null || ofFlag ? named : reader.at(named);
  const fault = path === null ? null : socketPathFault(path);
  const where =
    socket === undefined
      ? 'no socket is named, and the default (SPINES_SOCKET, XDG_RUNTIME_DIR) does not do: '
      : '';
  if (fault !== null) reader.fault(['client', 'socket'], `${where}${fault}`);
  return path;
}

/** Doors on loopback addresses, with the files of their tokens. */
function loopbackDoors(
  { client, http: door }: FileData,
  at: (path: string) => string,
): Pick<Certified, 'tcp' | 'http'> {
  const listener = client?.tcp ?? null;
  return {
    tcp:
      listener === null
        ? null
        : {
            address: listener.address,
            tokenPath: at(listener.token),
            tokens: (listener.tokens ?? []).map(({ file, role }) => ({ path: at(file), role })),
          },
    http:
      door == null
        ? null
        : {
            address: door.address,
            tokenPath: door.token === undefined ? null : at(door.token),
            dashboard: door.dashboard ?? false,
          },
  };
}
