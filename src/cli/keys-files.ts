/**
 * The files of `spines keys`: names, modes, and never losing one.
 *
 * Owns how they are written; host/identity-reader.ts reads them, and what is in them is wire/certificate.ts's and
 * crypto/key-file.ts's. Invariants: a file is created or left alone, never overwritten (the revocation list is replaced in
 * one step); a private key has mode 0600.
 */

import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

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

/** The files of a daemon's folder, as `spines init` makes it and `spines daemon --identity` reads it. */
export function nodeFolder(dir: string): { key: string; request: string; certificate: string; authority: string; revocations: string; config: string; socket: string } {
  const { authority, revocations } = authorityFiles(dir);
  return { ...nodeFiles(dir, 'node'), authority, revocations, config: join(dir, 'spines.yaml'), socket: join(dir, 'spines.sock') };
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
