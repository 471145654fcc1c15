/**
 * Reading identity files: keys, certificates, authorities, revocation lists, and passphrases.
 *
 * Owns the checks that need the file system; what is in the files is wire/certificate.ts's and crypto/key-file.ts's. Called
 * by `spines keys` and by identity-files.ts. Invariant: a secret that others than its owner could have read is refused.
 * Every refusal is a SpinesError "what; what to do next" that names the file and shows nothing of a secret.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import { SpinesError } from '../base/errors.ts';
import { AUTHORITIES_MAX } from '../crypto/certificates.ts';
import { decodeKeyFile, type KeyFile } from '../crypto/key-file.ts';
import {
  ARMOUR_CHARACTERS_MAX, decodeAuthority, decodeCertificate, decodeRequest, decodeRevocations, unarmour,
  type ArmourLabel, type Authority, type Certificate, type CertificateRequest, type RevocationList, type StatementFault,
} from '../wire/certificate.ts';

/** Environment variable that holds the passphrase of a private key. */
export const PASSPHRASE_VARIABLE = 'SPINES_PASSPHRASE';

/** Text of a small file. `secret`: refuses one that others than its owner may read or write. */
export function readSmallFile(path: string, what: string, secret: boolean): string {
  return readChecked(path, what, () => secret);
}

function readChecked(path: string, what: string, isSecret: (text: string) => boolean, charactersMax = ARMOUR_CHARACTERS_MAX): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'may not be read' : `cannot be read (${code})`;
    throw new SpinesError(code, `${what} ${path} ${why}; check the path`);
  }
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new SpinesError('EISDIR', `${what} ${path} is a directory; check the path`);
    const buffer = Buffer.alloc(charactersMax + 1);
    let length = 0;
    for (let count = -1; count !== 0 && length < buffer.length; length += count) count = readSync(fd, buffer, length, buffer.length - length, null);
    if (length > charactersMax) throw new SpinesError('EFORMAT', `${what} ${path} is too long to be one; check the path`);
    const text = buffer.toString('utf8', 0, length);
    buffer.fill(0);
    if (isSecret(text) && stat.isFile() && (stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new SpinesError('EMODE', `${what} ${path} has mode ${mode}, so others could have read it; replace it, or if it is safe run \`chmod 600 ${path}\``);
    }
    return text;
  } finally {
    closeSync(fd);
  }
}

interface Kinds {
  authority: Authority;
  request: CertificateRequest;
  certificate: Certificate;
  revocations: RevocationList;
  key: KeyFile;
}

/** Whatever an identity file holds. */
export type IdentityFile = { [K in keyof Kinds]: { readonly kind: K; readonly value: Kinds[K] } }[keyof Kinds];

const KIND_OF: Readonly<Record<ArmourLabel, IdentityFile['kind']>> = {
  'SPINES AUTHORITY': 'authority', 'SPINES CERTIFICATE REQUEST': 'request', 'SPINES CERTIFICATE': 'certificate', 'SPINES REVOCATION LIST': 'revocations', 'SPINES PRIVATE KEY': 'key',
};
const KIND_TEXT: Readonly<Record<IdentityFile['kind'], string>> = {
  authority: 'authority', request: 'certificate request', certificate: 'certificate', revocations: 'revocation list', key: 'private key',
};

/** Reads a file of any kind. */
export function readIdentity(path: string, what = 'file'): IdentityFile {
  const text = readChecked(path, what, (content) => content.startsWith('-----BEGIN SPINES PRIVATE KEY'));
  const found = unarmour(text);
  if (found === null) throw new SpinesError('EFORMAT', `${what} ${path} is no identity file, or was altered; copy it again, byte for byte`);
  const kind = KIND_OF[found.label];
  const value = decode(kind, found.bytes);
  if (typeof value === 'string') throw new SpinesError('EFORMAT', `${what} ${path} is no valid ${KIND_TEXT[kind]} (${value}); get another copy`);
  return { kind, value } as IdentityFile;
}

/** Reads a file that must be of one kind. */
export function readKind<K extends keyof Kinds>(path: string, kind: K): Kinds[K] {
  const found = readIdentity(path, KIND_TEXT[kind]);
  if (found.kind !== kind) throw new SpinesError('EFORMAT', `${path} is ${article(KIND_TEXT[found.kind])}, not ${article(KIND_TEXT[kind])}; check the path`);
  return found.value as Kinds[K];
}

function article(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

/** The revocation lists of a file: one of each authority, one behind the other. */
export function readRevocations(path: string): RevocationList[] {
  const text = readChecked(path, KIND_TEXT.revocations, () => false, AUTHORITIES_MAX * ARMOUR_CHARACTERS_MAX);
  return text.split(/^(?=-----BEGIN )/m).map((part) => {
    const found = unarmour(part);
    const list = found?.label === 'SPINES REVOCATION LIST' ? decodeRevocations(found.bytes) : null;
    if (list === null || typeof list === 'string') throw new SpinesError('EFORMAT', `${KIND_TEXT.revocations} ${path} is none, or was altered; copy it from the authority again, or remove it`);
    return list;
  });
}

function decode(kind: IdentityFile['kind'], bytes: Uint8Array): IdentityFile['value'] | StatementFault | 'format' {
  switch (kind) {
    case 'authority': return decodeAuthority(bytes);
    case 'request': return decodeRequest(bytes);
    case 'certificate': return decodeCertificate(bytes);
    case 'revocations': return decodeRevocations(bytes);
    case 'key': return decodeKeyFile(bytes) ?? 'format';
  }
}

/** The passphrase in the first line of `file`, else in the environment; null when there is neither. */
export function givenPassphrase(file: string | null): string | null {
  if (file !== null) {
    const line = readSmallFile(file, 'passphrase file', true).split(/\r?\n/, 1)[0]!;
    if (line === '') throw new SpinesError('EPASSPHRASE', `the first line of passphrase file ${file} is empty; write the passphrase there`);
    return line;
  }
  const value = process.env[PASSPHRASE_VARIABLE];
  return value === undefined || value === '' ? null : value;
}
