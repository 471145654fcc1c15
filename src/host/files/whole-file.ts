/**
 * Files that are written whole or not at all: the one way in which this program writes a file that
 * somebody reads later.
 *
 * The text goes to a draft in the same folder, every byte of it is seen to be taken (a full disk
 * takes a part without an error), it is brought to the disk, and only then does it get the name.
 * Whoever reads sees the old content or the new one, also after a power cut. A draft is removed
 * when something fails, and one that a killed process left when the file is written next. Errors
 * are SpinesErrors that name the file, the cause and the remedy.
 */

import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
  type Stats,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { SpinesError } from '../../core/base/errors.ts';
import { codeOf, unwritable } from './file-error.ts';

/** A secret: for its owner alone, whatever the umask is. */
export const MODE_PRIVATE = 0o600;
/** Anybody may read it, as far as the umask lets them. */
export const MODE_PUBLIC = 0o644;

/** What of the file system a test must be able to make fail. */
export interface FileCalls {
  /** Bytes taken, perhaps fewer than given. */
  write(fd: number, bytes: Uint8Array, from: number): number;
  sync(fd: number): void;
  /** Gives the draft its name, in the place of what has it. */
  rename(draft: string, path: string): void;
  /** Gives the draft its name if nothing has it: else EEXIST. */
  link(draft: string, path: string): void;
}

const SYSTEM: FileCalls = {
  write: (fd, bytes, from) => writeSync(fd, bytes, from),
  sync: fsyncSync,
  rename: renameSync,
  link: linkSync,
};

/** A draft of a process that is not running and that is as old as this was left behind. */
const LEFT_BEHIND_MS = 60_000;
/** File systems without hard links. */
const NO_LINKS: ReadonlySet<string> = new Set([
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
]);
/** What a folder answers that cannot be brought to the disk by itself; the file was, before. */
const NO_FOLDER_SYNC: ReadonlySet<string> = new Set([
  'EINVAL',
  'EACCES',
  'EPERM',
  'EISDIR',
  'ENOTSUP',
  'EOPNOTSUPP',
  'EBADF',
  'EMFILE',
  'ENFILE',
]);

/**
 * Writes `text` to `path`, in the place of what was there. A file that is replaced keeps its mode,
 * as far as `mode` reaches; a symbolic link stays one. A device or a pipe (/dev/null, /dev/stdout)
 * is written to as it is. Throws SpinesError; the old file is as it was then.
 */
export function replaceWhole(
  path: string,
  text: string,
  mode: number = MODE_PUBLIC,
  calls: FileCalls = SYSTEM,
): void {
  const bytes = Buffer.from(text, 'utf8');
  const before = statOf(path);
  if (before !== null && !before.isFile() && !before.isDirectory()) {
    writeThrough(path, bytes, calls);
    return;
  }
  let draft: string | null = null;
  try {
    if (before?.isDirectory() === true)
      throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
    const target = before === null ? path : realpathSync(path);
    draft = writeDraft(
      target,
      bytes,
      mode,
      before === null ? null : before.mode & 0o777 & mode,
      calls,
    );
    calls.rename(draft, target);
    draft = null;
    syncFolder(dirname(target), calls);
  } catch (error) {
    throw unwritable(path, error, before === null ? '' : 'what was there is still there');
  } finally {
    if (draft !== null) removeFile(draft);
  }
}

/**
 * Writes `text` to `path`, where nothing may be. Throws SpinesError: 'EEXIST' when there is
 * something, and there it stays.
 */
export function createWhole(
  path: string,
  text: string,
  mode: number = MODE_PUBLIC,
  calls: FileCalls = SYSTEM,
): void {
  let draft: string | null = null;
  try {
    draft = writeDraft(path, Buffer.from(text, 'utf8'), mode, null, calls);
    nameDraft(draft, path, calls);
    syncFolder(dirname(path), calls);
  } catch (error) {
    if (codeOf(error) === 'EEXIST')
      throw new SpinesError(
        'EEXIST',
        `${path} exists and is not overwritten; move it away or choose another place`,
      );
    throw unwritable(path, error);
  } finally {
    // With a link it has two names, and this one goes.
    if (draft !== null) removeFile(draft);
  }
}

/**
 * Makes a folder and those above it that are not there. `mode` is for all of them, less the umask.
 * Throws SpinesError.
 */
export function makeFolder(dir: string, mode = 0o777): void {
  try {
    mkdirSync(dir, { recursive: true, mode });
  } catch (error) {
    if (codeOf(error) === 'EEXIST')
      throw new SpinesError('ENOTDIR', `${dir} exists and is no folder; choose another place`);
    throw unwritable(dir, error);
  }
}

/** Removes a file if it is there. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already.
  }
}

function writeDraft(
  target: string,
  bytes: Uint8Array,
  mode: number,
  exactMode: number | null,
  calls: FileCalls,
): string {
  sweep(target);
  const draft = `${target}.${process.pid}.tmp`;
  // Of an earlier process with this number: this one writes one file after the other.
  removeFile(draft);
  const fd = openSync(
    draft,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    mode,
  );
  try {
    if (exactMode !== null) fchmodSync(fd, exactMode);
    writeAll(fd, bytes, calls);
    calls.sync(fd);
  } catch (error) {
    closeSync(fd);
    removeFile(draft);
    throw error;
  }
  closeSync(fd);
  return draft;
}

/** A short write is no error by itself: what is left is written next, and that says why. */
function writeAll(fd: number, bytes: Uint8Array, calls: FileCalls): void {
  for (let done = 0; done < bytes.length; ) {
    const count = calls.write(fd, bytes, done);
    if (count <= 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' });
    done += count;
  }
}

/** Unlike a rename, a link never takes the place of what somebody else was faster with. */
function nameDraft(draft: string, path: string, calls: FileCalls): void {
  try {
    calls.link(draft, path);
  } catch (error) {
    if (!NO_LINKS.has(codeOf(error) ?? '')) throw error;
    // The name is taken with an empty file first, which the draft then replaces.
    closeSync(openSync(path, 'wx', MODE_PRIVATE));
    try {
      calls.rename(draft, path);
    } catch (failed) {
      removeFile(path);
      throw failed;
    }
  }
}

function writeThrough(path: string, bytes: Uint8Array, calls: FileCalls): void {
  try {
    const fd = openSync(path, 'w');
    try {
      writeAll(fd, bytes, calls);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** Drafts of `target` that killed processes left. */
function sweep(target: string): void {
  const start = `${basename(target)}.`,
    end = '.tmp';
  let names: string[];
  try {
    names = readdirSync(dirname(target));
  } catch {
    return;
  }
  for (const name of names) {
    if (!name.startsWith(start) || !name.endsWith(end)) continue;
    const pid = name.slice(start.length, -end.length);
    if (!/^[1-9]\d{0,9}$/.test(pid) || isRunning(Number(pid))) continue;
    const path = join(dirname(target), name);
    const stat = statOf(path);
    // In another container a process may run that is not seen here: it is not at it for this long.
    if (stat !== null && Date.now() - stat.mtimeMs >= LEFT_BEHIND_MS) removeFile(path);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}

function syncFolder(dir: string, calls: FileCalls): void {
  let fd: number;
  try {
    fd = openSync(dir, constants.O_RDONLY);
  } catch (error) {
    if (NO_FOLDER_SYNC.has(codeOf(error) ?? '')) return;
    throw error;
  }
  try {
    calls.sync(fd);
  } catch (error) {
    if (!NO_FOLDER_SYNC.has(codeOf(error) ?? '')) throw error;
  } finally {
    closeSync(fd);
  }
}

function statOf(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null;
}
