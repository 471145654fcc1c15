/**
 * Reading identity files: keys, certificates, authorities, revocation lists, and passphrases.
 *
 * Owns which kinds there are; how a text is read is text-file.ts's, what is in it
 * core/wire/certificate.ts's and core/crypto/key-file.ts's. Called by `spines keys` and by
 * identity-files.ts. Invariant: a secret that others than its owner could have read is refused.
 * Every refusal is a SpinesError "what; what to do next" that names the file and shows nothing of a
 * secret.
 */

import { SpinesError } from '../../core/base/errors.ts';
import { AUTHORITIES_MAX } from '../../core/crypto/certificates.ts';
import { decodeKeyFile, type KeyFile } from '../../core/crypto/key-file.ts';
import { ARMOUR_CHARACTERS_MAX, unarmour, type ArmourLabel } from '../../core/wire/armour.ts';
import {
  decodeAuthority,
  decodeCertificate,
  decodeRequest,
  decodeRevocations,
  type Authority,
  type Certificate,
  type CertificateRequest,
  type RevocationList,
  type StatementFault,
} from '../../core/wire/certificate.ts';
import { passphraseOfEnvironment } from '../process-secrets.ts';
import { readText, tidied } from '../files/text-file.ts';

export { PASSPHRASE_VARIABLE } from '../process-secrets.ts';

/**
 * A daemon without its list lets in again whom the list keeps out: no advice may be to remove it.
 */
export const LIST_REMEDY =
  'copy the list from the authority, or from another node, into its place; without it revoked ' +
  'certificates would count again';

/** Text of a small file. `secret`: refuses one that others than its owner may read or write. */
export function readSmallFile(path: string, what: string, secret: boolean): string {
  return readText(path, what, { bytesMax: ARMOUR_CHARACTERS_MAX, isSecret: () => secret });
}

interface Kinds {
  authority: Authority;
  request: CertificateRequest;
  certificate: Certificate;
  revocations: RevocationList;
  key: KeyFile;
}

/** Whatever an identity file holds. */
export type IdentityFile = {
  [K in keyof Kinds]: { readonly kind: K; readonly value: Kinds[K] };
}[keyof Kinds];

const KIND_OF: Readonly<Record<ArmourLabel, IdentityFile['kind']>> = {
  'SPINES AUTHORITY': 'authority',
  'SPINES CERTIFICATE REQUEST': 'request',
  'SPINES CERTIFICATE': 'certificate',
  'SPINES REVOCATION LIST': 'revocations',
  'SPINES PRIVATE KEY': 'key',
};
const KIND_TEXT: Readonly<Record<IdentityFile['kind'], string>> = {
  authority: 'authority',
  request: 'certificate request',
  certificate: 'certificate',
  revocations: 'revocation list',
  key: 'private key',
};

/** Reads a file of any kind. */
export function readIdentity(path: string, what = 'file'): IdentityFile {
  const text = readText(path, what, {
    bytesMax: 2 * ARMOUR_CHARACTERS_MAX,
    isSecret: (content) => content.includes('-----BEGIN SPINES PRIVATE KEY'),
  });
  const found = unarmour(tidied(text));
  if (found === null)
    throw new SpinesError(
      'EFORMAT',
      `${what} ${path} ${noIdentity(text)}; copy it again, or check the path`,
    );
  const kind = KIND_OF[found.label];
  const value = decode(kind, found.bytes);
  if (typeof value === 'string')
    throw new SpinesError(
      'EFORMAT',
      `${what} ${path} is no valid ${KIND_TEXT[kind]} (${value}); get another copy`,
    );
  return { kind, value } as IdentityFile;
}

/** Why a text is no identity file. */
function noIdentity(text: string): string {
  if (text.trim() === '') return 'is empty';
  const begin = text.indexOf('-----BEGIN SPINES '),
    end = text.indexOf('-----END SPINES ');
  if (begin < 0) return 'is no identity file, as `spines keys` writes them';
  if (end < begin) return 'is cut off in the middle';
  if (text.slice(0, begin).trim() !== '') return 'has something in front of its -----BEGIN line';
  return 'was altered, or has more behind its -----END line';
}

/** Reads a file that must be of one kind. */
export function readKind<K extends keyof Kinds>(path: string, kind: K): Kinds[K] {
  const found = readIdentity(path, KIND_TEXT[kind]);
  if (found.kind !== kind)
    throw new SpinesError(
      'EFORMAT',
      `${path} is ${article(KIND_TEXT[found.kind])}, not ${article(KIND_TEXT[kind])}; check the ` +
        'path',
    );
  return found.value as Kinds[K];
}

function article(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

/** The revocation lists of a file: one of each authority, one behind the other. */
export function readRevocations(path: string): RevocationList[] {
  const text = tidied(
    readText(path, KIND_TEXT.revocations, {
      bytesMax: 2 * AUTHORITIES_MAX * ARMOUR_CHARACTERS_MAX,
    }),
  );
  return text.split(/^(?=-----BEGIN )/m).map((part) => {
    const found = unarmour(tidied(part));
    const list = found?.label === 'SPINES REVOCATION LIST' ? decodeRevocations(found.bytes) : null;
    if (list === null || typeof list === 'string') {
      const why = found === null ? noIdentity(part) : 'is none';
      throw new SpinesError('EFORMAT', `${KIND_TEXT.revocations} ${path} ${why}; ${LIST_REMEDY}`);
    }
    return list;
  });
}

function decode(
  kind: IdentityFile['kind'],
  bytes: Uint8Array,
): IdentityFile['value'] | StatementFault | 'format' {
  switch (kind) {
    case 'authority':
      return decodeAuthority(bytes);
    case 'request':
      return decodeRequest(bytes);
    case 'certificate':
      return decodeCertificate(bytes);
    case 'revocations':
      return decodeRevocations(bytes);
    case 'key':
      return decodeKeyFile(bytes) ?? 'format';
  }
}

/**
 * The passphrase in the first line of `file`, else in the environment; null when there is neither.
 */
export function givenPassphrase(file: string | null): string | null {
  if (file !== null) {
    const line = readSmallFile(file, 'passphrase file', true).split(/\r?\n/, 1)[0]!;
    if (line === '')
      throw new SpinesError(
        'EPASSPHRASE',
        `the first line of passphrase file ${file} is empty; write the passphrase there`,
      );
    return line;
  }
  return passphraseOfEnvironment();
}
