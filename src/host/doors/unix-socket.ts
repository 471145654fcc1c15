/**
 * The file of a Unix socket: how long its name may be, and whose it is.
 *
 * A daemon's file can be removed under it (a cleaner of /tmp, an operator) and another daemon can
 * have the place by the time the first one ends. Owns that nobody ever removes the file of a daemon
 * that lives. A file is known by device and inode.
 */

import { linkSync, lstatSync, renameSync } from 'node:fs';
import { connect, type Server } from 'node:net';

import { SpinesError } from '../../core/base/errors.ts';
import { codeOf, unwritable } from '../files/file-error.ts';
import { removeFile } from '../files/whole-file.ts';

/**
 * Bytes of a path, without the closing zero. The kernel's limit: longer ones were cut, and are
 * another file.
 */
export const SOCKET_PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103;

/** Which file it is, whatever its name. */
export interface FileId {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** What is wrong with `path` as a socket's, for people; null: nothing. */
export function socketPathFault(path: string): string | null {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return null;
  return (
    `${path} is too long for a socket: ${bytes} bytes, and ${SOCKET_PATH_BYTES_MAX} are the ` +
    'most; choose a shorter path'
  );
}

/** Null: there is none. */
export function fileIdOf(path: string): FileId | null {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? null : { dev: stat.dev, ino: stat.ino };
}

/**
 * Removes a socket file that nobody listens on. Throws SpinesError: EADDRINUSE when a daemon
 * answers there, EEXIST when it is no socket.
 */
export async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket())
    throw new SpinesError(
      'EEXIST',
      `${path} exists and is not a socket; remove it, or choose another place with --socket`,
    );
  const pinned = asideOf(path),
    taken = asideOf(path);
  try {
    // A second name: while the dead file has one, no new file gets its number.
    linkSync(path, pinned);
    if (await answers(path)) throw inUse(path);
    // Two daemons may start at once: what is taken away is looked at, and put back if it is the
    // other one's by now.
    renameSync(path, taken);
    if (isSame(fileIdOf(taken), fileIdOf(pinned)!)) return;
    putBack(taken, path);
    throw inUse(path);
  } catch (error) {
    if (error instanceof SpinesError) throw error;
    // Gone meanwhile: there is nothing to remove.
    if (codeOf(error) !== 'ENOENT') throw unwritable(path, error);
  } finally {
    removeFile(pinned);
    removeFile(taken);
  }
}

/**
 * Closes a server that listens on `path`, where `own` is its file. Node removes whatever has the
 * name then, in the call; a file of somebody else keeps it.
 */
export function closeUnix(server: Server, path: string, own: FileId, done: () => void): void {
  const there = fileIdOf(path);
  if (there === null || isSame(there, own)) {
    server.close(done);
    return;
  }
  const kept = asideOf(path);
  try {
    linkSync(path, kept);
  } catch {
    // It went in this moment.
  }
  server.close(done);
  putBack(kept, path);
  removeFile(kept);
}

let asides = 0;

/** A name beside `path` that nobody else uses. */
function asideOf(path: string): string {
  asides += 1;
  return `${path}.${process.pid}-${asides}`;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // A daemon that is too busy to accept lives; so does one whose socket we may not open.
    probe.once('error', (error) =>
      resolve(
        codeOf(error) === 'EAGAIN' || codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM',
      ),
    );
  });
}

function putBack(from: string, path: string): void {
  try {
    linkSync(from, path);
  } catch {
    // Somebody has the name again, or there was nothing.
  }
}

function isSame(a: FileId | null, b: FileId): boolean {
  return a !== null && a.dev === b.dev && a.ino === b.ino;
}

function inUse(path: string): SpinesError {
  return new SpinesError(
    'EADDRINUSE',
    `a daemon answers on ${path} already; stop it, or give this one another place with --socket`,
  );
}
