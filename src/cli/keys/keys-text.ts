/**
 * Identities as people and programs read them: what `spines keys` prints about a file.
 *
 * Only public parts come here: a key file is shown by what it says without its passphrase.
 */

import { hex } from '../../core/base/bytes.ts';
import { formatNodeId, NO_NODE } from '../../core/base/ids.ts';
import { authorityIdOf, fingerprintOf, networkIdOf } from '../../core/crypto/certificates.ts';
import { ROLE_CLIENT, ROLE_ROUTER, type Certificate } from '../../core/wire/certificate.ts';
import { formatTime } from '../../core/base/calendar.ts';
import type { IdentityFile } from '../../host/identity/identity-reader.ts';

export type Described = Readonly<
  Record<string, string | number | boolean | null | readonly string[]>
>;

/** What a command has to say. `files`: those written. `next`: what to do now, in order. */
export interface Told extends Described {
  readonly next: readonly string[];
}

/** The public content of an identity file, for --json and, by `pairsOf`, for people. */
export function describe(identity: IdentityFile): Described {
  switch (identity.kind) {
    case 'authority': {
      const { name, network, signingKey, notBeforeS, notAfterS } = identity.value;
      const founding = hex(networkIdOf(signingKey)) === hex(network);
      return {
        kind: 'authority',
        networkName: name,
        network: hex(network),
        authority: hex(authorityIdOf(signingKey)),
        founding,
        notBefore: formatTime(notBeforeS),
        notAfter: formatTime(notAfterS),
        signingKey: hex(signingKey),
      };
    }
    case 'request': {
      const { name, node, groups, signingKey, exchangeKey } = identity.value;
      return {
        kind: 'request',
        name,
        node: nodeText(node),
        ...groupsText(groups),
        signingKey: hex(signingKey),
        exchangeKey: hex(exchangeKey),
        fingerprint: formatFingerprint(identity.value),
      };
    }
    case 'certificate':
      return describeCertificate(identity.value);
    case 'revocations': {
      const { network, authority, number, issuedS, serials, subjects } = identity.value;
      return {
        kind: 'revocations',
        network: hex(network),
        authority: hex(authority),
        number,
        issued: formatTime(issuedS),
        revoked: serials.length,
        serials,
        keysAndHolders: subjects.length,
      };
    }
    case 'key': {
      const { holder, name, node, encrypted, signingKey, exchangeKey } = identity.value;
      const shown = {
        kind: 'private key',
        holder,
        passphrase: encrypted,
        signingKey: hex(signingKey),
      };
      if (exchangeKey === null)
        return { ...shown, networkName: name, authority: hex(authorityIdOf(signingKey)) };
      return {
        ...shown,
        name,
        node: nodeText(node),
        exchangeKey: hex(exchangeKey),
        fingerprint: formatFingerprint({ signingKey, exchangeKey }),
      };
    }
  }
}

function describeCertificate(certificate: Certificate): Described {
  const {
    name,
    node,
    groups,
    roles,
    serial,
    network,
    authority,
    notBeforeS,
    notAfterS,
    signingKey,
    exchangeKey,
  } = certificate;
  return {
    kind: 'certificate',
    name,
    node: nodeText(node),
    roles: formatRoles(roles),
    ...groupsText(groups),
    serial,
    network: hex(network),
    authority: hex(authority),
    notBefore: formatTime(notBeforeS),
    notAfter: formatTime(notAfterS),
    signingKey: hex(signingKey),
    exchangeKey: hex(exchangeKey),
    fingerprint: formatFingerprint(certificate),
  };
}

const LABELS: Readonly<Record<string, string>> = {
  networkName: 'network name',
  network: 'network id',
  authority: 'authority id',
  founding: 'founded it',
  notBefore: 'valid from',
  notAfter: 'valid until',
  signingKey: 'signing key',
  exchangeKey: 'exchange key',
  checkedFor: 'checked for',
  revocationsChecked: 'revocations checked',
  keysAndHolders: 'keys and holders',
  aside: 'kept aside',
};

export function pairsOf(described: Described): [string, string][] {
  return Object.entries(described).map(([key, value]) => {
    const text =
      value === null
        ? 'none'
        : typeof value === 'boolean'
          ? value
            ? 'yes'
            : 'no'
          : Array.isArray(value)
            ? value.join(', ')
            : String(value);
    return [LABELS[key] ?? key, text];
  });
}

export function formatRoles(roles: number): string[] {
  return [
    ...((roles & ROLE_ROUTER) !== 0 ? ['router'] : []),
    ...((roles & ROLE_CLIENT) !== 0 ? ['client'] : []),
  ];
}

/** "3f0a 91c2 ...": eight groups to read out to each other. */
export function formatFingerprint(keys: {
  readonly signingKey: Uint8Array;
  readonly exchangeKey: Uint8Array;
}): string {
  return hex(fingerprintOf(keys)).match(/.{4}/g)!.join(' ');
}

function groupsText(groups: readonly string[]): { groups?: readonly string[] } {
  return groups.length === 0 ? {} : { groups };
}

function nodeText(node: number): string | null {
  return node === NO_NODE ? null : formatNodeId(node);
}
