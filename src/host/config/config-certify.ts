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

/**
 * How a daemon gets at the certificates that its config names, by absolute path. Throws
 * SpinesError.
 */
export type CertificateReader = (path: string) => Certificate;

export interface Certified {
  readonly identity: IdentityPaths | null;
  /** Given, or from the certificate. NO_NODE only where there are faults. */
  readonly id: NodeId;
  readonly name: string;
  /** What a link's certificate, or its keys, say; index = link. */
  readonly links: readonly {
    readonly node: NodeId | null;
    readonly key: Uint8Array | null;
    readonly name: string | null;
  }[];
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
export function certify(
  data: FileData,
  { folder, overrides, readCertificate }: Surroundings,
): Certified {
  const faults: Fault[] = [];
  const at = (text: string): string => resolve(folder, text);
  const read = (text: string, path: Fault['path']): Certificate | null => {
    try {
      return readCertificate(at(text));
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      faults.push({ path, message: error.message });
      return null;
    }
  };
  let identity: IdentityPaths | null = null;
  let own: Certificate | null = null;
  if (data.identity !== undefined) {
    const { key, certificate, authorities, revocations, passphraseFile } = data.identity;
    identity = Object.freeze({
      key: at(key),
      certificate: at(certificate),
      authorities: authorities.map(at),
      revocations: at(revocations ?? resolve(dirname(at(certificate)), 'revocations.crl')),
      passphraseFile: passphraseFile === undefined ? null : at(passphraseFile),
    });
    const preshared = data.network?.presharedKey;
    if (preshared !== undefined)
      identity = Object.freeze({
        ...identity,
        preshared: preshared.map((file) => (file === null ? null : at(file))),
      });
    own = read(certificate, ['identity', 'certificate']);
  }
  if (own !== null) {
    if (own.node === NO_NODE)
      faults.push({
        path: ['identity', 'certificate'],
        message:
          `is ${own.name}'s, a client's and no node's; have one made with \`spines keys ` +
          `node ${own.name} --id QUAD\``,
      });
    if (data.id !== undefined && data.id !== own.node) {
      faults.push({
        path: ['id'],
        message:
          `the certificate says ${formatNodeId(own.node)}, not ${formatNodeId(data.id)}; ` +
          'leave id out, or name the right certificate',
      });
    }
    if (data.name !== undefined && data.name !== own.name) {
      faults.push({
        path: ['name'],
        message:
          `the certificate says ${own.name}, not ` +
          `${data.name === '' ? 'nothing' : data.name}; leave name out, or name the right ` +
          'certificate',
      });
    }
  }
  const links = (data.links ?? []).map(({ node, name: called, key, certificate }, i) => {
    if (certificate === undefined)
      return { node: node ?? null, key: key ?? null, name: called ?? null };
    if (key !== undefined)
      faults.push({
        path: ['links', i, 'key'],
        message: 'a link has a key or a certificate, not both; leave one out',
        atKey: true,
      });
    const peer = read(certificate, ['links', i, 'certificate']);
    if (peer !== null && node !== undefined && peer.node !== node) {
      faults.push({
        path: ['links', i, 'node'],
        message:
          `the certificate says ${formatNodeId(peer.node)}, not ${formatNodeId(node)}; ` +
          'leave node out, or name the right certificate',
      });
    }
    return {
      node: node ?? peer?.node ?? null,
      key: peer?.exchangeKey ?? null,
      name: called ?? peer?.name ?? null,
    };
  });
  links.forEach(({ key }, i) => {
    if (key === null || own === null || !equalBytes(key, own.exchangeKey)) return;
    faults.push({
      path: ['links', i, data.links![i]!.key === undefined ? 'certificate' : 'key'],
      message: "is this daemon's own; name the peer's",
    });
  });
  const { tcp, http } = loopbackDoors(data, at);
  const sockets = (data.client?.sockets ?? []).map(
    ({ path: text, mode, group: of, role }, i): SocketDoor => {
      const fault = socketPathFault(at(text));
      if (fault !== null) faults.push({ path: ['client', 'sockets', i, 'path'], message: fault });
      return { path: at(text), mode: mode ?? null, group: of?.name ?? null, role };
    },
  );
  const socket = data.client?.socket;
  let socketPath = socket === undefined ? defaultSocketPath() : socket.path;
  // A flag's path is meant from where the command runs.
  if (
    socket !== undefined &&
    socketPath !== null &&
    !overrides.some(({ path }) => path.join('.') === 'client.socket')
  ) {
    socketPath = at(socketPath);
  }
  const tooLong = socketPath === null ? null : socketPathFault(socketPath);
  if (tooLong !== null) {
    const where =
      socket === undefined
        ? 'no socket is named, and the default (SPINES_SOCKET, XDG_RUNTIME_DIR) does not do: '
        : '';
    faults.push({ path: ['client', 'socket'], message: `${where}${tooLong}` });
  }
  return {
    identity,
    id: data.id ?? own?.node ?? NO_NODE,
    name: data.name ?? own?.name ?? defaultConfig.name,
    links,
    socketPath,
    sockets,
    tcp,
    http,
    faults,
  };
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
        : { address: door.address, tokenPath: door.token === undefined ? null : at(door.token) },
  };
}
