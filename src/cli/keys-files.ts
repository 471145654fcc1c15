/**
 * The files of `spines keys`: names, modes, and never losing one.
 *
 * Owns how they are written and read; what is in them is wire/certificate.ts's and crypto/key-file.ts's. Invariants:
 * a file is created or left alone, never overwritten (the revocation list is replaced in one step); a private key has
 * mode 0600 and is not read when others could have read it.
 */

import { closeSync, existsSync, fstatSync, fsyncSync, linkSync, mkdirSync, openSync, readSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { decodeKeyFile, type KeyFile } from '../crypto/key-file.ts';
import {
  ARMOUR_CHARACTERS_MAX, decodeAuthority, decodeCertificate, decodeRequest, decodeRevocations, unarmour,
  type ArmourLabel, type Authority, type Certificate, type CertificateRequest, type RevocationList, type StatementFault,
} from '../wire/certificate.ts';
import { EXIT_USAGE, Failure } from './failure.ts';

export const MODE_PRIVATE = 0o600;
export const MODE_PUBLIC = 0o644;

/** The files of an authority in its folder. */
export function authorityFiles(dir: string): { key: string; authority: string; revocations: string; issued: string } {
  return { key: join(dir, 'authority.key'), authority: join(dir, 'authority.pub'), revocations: join(dir, 'revocations.crl'), issued: join(dir, 'issued') };
}

/** The files of a node: NAME.key, NAME.req and NAME.crt. */
export function nodeFiles(dir: string, name: string): { key: string; request: string; certificate: string } {
  return { key: join(dir, `${name}.key`), request: join(dir, `${name}.req`), certificate: join(dir, `${name}.crt`) };
}

export interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** Creates all of the files, or none: when one exists already, or cannot be written, those before it are removed again. */
export function createFiles(files: readonly NewFile[]): void {
  refuseExisting(files.map(({ path }) => path));
  const made: string[] = [];
  try {
    for (const file of files) {
      mkdirSync(dirname(file.path), { recursive: true, mode: 0o700 });
      const fd = openNew(file.path, file.mode);
      made.push(file.path);
      writeAll(fd, file.text);
    }
  } catch (error) {
    for (const path of made) unlinkSync(path);
    throw error;
  }
}

/** Says early what `createFiles` would say. */
export function refuseExisting(paths: readonly string[]): void {
  for (const path of paths) if (existsSync(path)) throw existing(path);
}

/**
 * Replaces the text of `path` by what `make` returns; readers see the old text or the new. The file for the new text is
 * made before `make` is called and keeps a second caller out.
 */
export function replaceFile(path: string, make: () => string): void {
  const next = `${path}.new`;
  let fd: number;
  try {
    fd = openSync(next, 'wx', MODE_PUBLIC);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Failure(EXIT_USAGE, 'EEXIST', `${next} exists: another change is under way or was interrupted; remove it if nothing else runs`);
  }
  let text: string;
  try {
    text = make();
  } catch (error) {
    closeSync(fd);
    unlinkSync(next);
    throw error;
  }
  writeAll(fd, text);
  renameSync(next, path);
}

/** Gives `path` the first free name PATH.old-1, PATH.old-2, ... and returns it; null when there is no such file. */
export function setAside(path: string): string | null {
  if (!existsSync(path)) return null;
  for (let i = 1; ; i += 1) {
    const aside = `${path}.old-${i}`;
    try {
      linkSync(path, aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    unlinkSync(path);
    return aside;
  }
}

function openNew(path: string, mode: number): number {
  try {
    return openSync(path, 'wx', mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw existing(path);
    throw error;
  }
}

function writeAll(fd: number, text: string): void {
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function existing(path: string): Failure {
  return new Failure(EXIT_USAGE, 'EEXIST', `${path} exists and is not overwritten; move it away or choose another place`);
}

/* ------------------------------------------------------------------ reading */

/** Text of a small file. `secret`: refuses one that others than its owner may read or write. */
export function readSmallFile(path: string, what: string, secret: boolean): string {
  return readChecked(path, what, () => secret);
}

function readChecked(path: string, what: string, isSecret: (text: string) => boolean): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'may not be read' : `cannot be read (${code})`;
    throw new Failure(EXIT_USAGE, code, `${what} ${path} ${why}; check the path`);
  }
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new Failure(EXIT_USAGE, 'EISDIR', `${what} ${path} is a directory; check the path`);
    const buffer = Buffer.alloc(ARMOUR_CHARACTERS_MAX + 1);
    let length = 0;
    for (let count = -1; count !== 0 && length < buffer.length; length += count) count = readSync(fd, buffer, length, buffer.length - length, null);
    if (length > ARMOUR_CHARACTERS_MAX) throw new Failure(EXIT_USAGE, 'EFORMAT', `${what} ${path} is too long to be one; check the path`);
    const text = buffer.toString('utf8', 0, length);
    buffer.fill(0);
    if (isSecret(text) && stat.isFile() && (stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new Failure(EXIT_USAGE, 'EMODE', `${what} ${path} has mode ${mode}, so others could have read it; replace it, or if it is safe \`chmod 600\` it`);
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
export type Identity = { [K in keyof Kinds]: { readonly kind: K; readonly value: Kinds[K] } }[keyof Kinds];

const KIND_OF: Readonly<Record<ArmourLabel, Identity['kind']>> = {
  'SPINES AUTHORITY': 'authority', 'SPINES CERTIFICATE REQUEST': 'request', 'SPINES CERTIFICATE': 'certificate', 'SPINES REVOCATION LIST': 'revocations', 'SPINES PRIVATE KEY': 'key',
};
const KIND_TEXT: Readonly<Record<Identity['kind'], string>> = {
  authority: 'authority', request: 'certificate request', certificate: 'certificate', revocations: 'revocation list', key: 'private key',
};

/** Reads a file of any kind. */
export function readIdentity(path: string, what = 'file'): Identity {
  const text = readChecked(path, what, (content) => content.startsWith('-----BEGIN SPINES PRIVATE KEY'));
  const found = unarmour(text);
  if (found === null) throw new Failure(EXIT_USAGE, 'EFORMAT', `${what} ${path} is no identity file, or was altered; copy it again, byte for byte`);
  const kind = KIND_OF[found.label];
  const value = decode(kind, found.bytes);
  if (typeof value === 'string') throw new Failure(EXIT_USAGE, 'EFORMAT', `${what} ${path} is no valid ${KIND_TEXT[kind]} (${value}); get another copy`);
  return { kind, value } as Identity;
}

/** Reads a file that must be of one kind. */
export function readKind<K extends keyof Kinds>(path: string, kind: K): Kinds[K] {
  const found = readIdentity(path, KIND_TEXT[kind]);
  if (found.kind !== kind) throw new Failure(EXIT_USAGE, 'EFORMAT', `${path} is a ${KIND_TEXT[found.kind]}, not a ${KIND_TEXT[kind]}; check the path`);
  return found.value as Kinds[K];
}

function decode(kind: Identity['kind'], bytes: Uint8Array): Identity['value'] | StatementFault | 'format' {
  switch (kind) {
    case 'authority': return decodeAuthority(bytes);
    case 'request': return decodeRequest(bytes);
    case 'certificate': return decodeCertificate(bytes);
    case 'revocations': return decodeRevocations(bytes);
    case 'key': return decodeKeyFile(bytes) ?? 'format';
  }
}
