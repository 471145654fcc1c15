/**
 * The files of `spines keys`: names, modes, and never losing one.
 *
 * Owns their names and that several come together; host/files/whole-file.ts writes one,
 * host/identity/identity-reader.ts reads them, and what is in them is core/wire/certificate.ts's
 * and core/crypto/key-file.ts's. Invariants: a file is created or left alone, never overwritten
 * (the revocation list is replaced in one step); a private key has mode 0600.
 */

import { closeSync, existsSync, linkSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { codeOf, unwritable } from '../../host/files/file-error.ts';
import {
  createWhole,
  makeFolder,
  MODE_PRIVATE,
  removeFile,
  replaceWhole,
} from '../../host/files/whole-file.ts';
import { EXIT_USAGE, Failure } from '../terminal/failure.ts';

/** The files of an authority in its folder. */
export function authorityFiles(dir: string): {
  key: string;
  authority: string;
  revocations: string;
  issued: string;
} {
  return {
    key: join(dir, 'authority.key'),
    authority: join(dir, 'authority.pub'),
    revocations: join(dir, 'revocations.crl'),
    issued: join(dir, 'issued'),
  };
}

/** The files of a node: NAME.key, NAME.req and NAME.crt. */
export function nodeFiles(
  dir: string,
  name: string,
): { key: string; request: string; certificate: string } {
  return {
    key: join(dir, `${name}.key`),
    request: join(dir, `${name}.req`),
    certificate: join(dir, `${name}.crt`),
  };
}

/**
 * The files of a daemon's folder, as `spines init` makes it and `spines daemon --identity` reads
 * it.
 */
export function nodeFolder(dir: string): {
  key: string;
  request: string;
  certificate: string;
  authority: string;
  revocations: string;
  config: string;
  socket: string;
} {
  const { authority, revocations } = authorityFiles(dir);
  return {
    ...nodeFiles(dir, 'node'),
    authority,
    revocations,
    config: join(dir, 'spines.yaml'),
    socket: join(dir, 'spines.sock'),
  };
}

export interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/**
 * Creates all of the files, or none: when one exists already, or cannot be written, those before it
 * are removed again.
 */
export function createFiles(files: readonly NewFile[]): void {
  refuseExisting(files.map(({ path }) => path));
  const made: string[] = [];
  try {
    for (const file of files) {
      makeFolder(dirname(file.path), 0o700);
      createWhole(file.path, file.text, file.mode);
      made.push(file.path);
    }
  } catch (error) {
    for (const path of made) removeFile(path);
    throw error;
  }
}

/** Says early what `createFiles` would say. */
export function refuseExisting(paths: readonly string[]): void {
  for (const path of paths) if (existsSync(path)) throw existing(path);
}

/**
 * Replaces the text of `path` by what `make` returns, whole or not at all. A lock file beside it,
 * made before `make` is called, keeps a second caller out.
 */
export function replaceFile(path: string, make: () => string): void {
  const lock = `${path}.lock`;
  try {
    closeSync(openSync(lock, 'wx', MODE_PRIVATE));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw unwritable(lock, error);
    throw new Failure(
      EXIT_USAGE,
      'EEXIST',
      `${lock} exists: another change is under way or was interrupted; remove it if nothing else ` +
        'runs',
    );
  }
  try {
    replaceWhole(path, make());
  } finally {
    removeFile(lock);
  }
}

/**
 * Keeps what is at `path` as PATH.old-1, PATH.old-2, ..., the first name that is free, and returns
 * that; null when there is no such file.
 */
export function keepAside(path: string): string | null {
  if (!existsSync(path)) return null;
  for (let i = 1; ; i += 1) {
    const aside = `${path}.old-${i}`;
    try {
      linkSync(path, aside);
      return aside;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw unwritable(aside, error);
    }
  }
}

function existing(path: string): Failure {
  return new Failure(
    EXIT_USAGE,
    'EEXIST',
    `${path} exists and is not overwritten; move it away or choose another place`,
  );
}
