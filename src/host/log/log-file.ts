/**
 * The file that `log.file` names: appended to, rotated by size, opened again when told.
 *
 * Owns the file and its older copies FILE.1 (the newest) to FILE.N. Every call of the file system
 * is libuv's and one at a time, so a disk that stands still holds one thread of four and nothing
 * else. A rotation that fails is put off until as much again was written. Called by log-writer.ts.
 */

import { close, fstat, fstatSync, open, openSync, rename, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

import { SpinesError } from '../../core/base/errors.ts';
import type { LogTarget } from './log-writer.ts';

export interface LogFileOptions {
  /** Absolute. */
  readonly path: string;
  /** The file is put away when it would become larger. */
  readonly maxBytes: number;
  /** How many older ones are kept. */
  readonly keep: number;
}

const CHUNK_BYTES = 65_536;
/** The owner's to read and write, the group's to read. */
const MODE = 0o640;
/** What passes by itself: the daemon starts all the same, and tries again. */
const PASSING: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EIO',
  'EMFILE',
  'ENFILE',
  'EINTR',
  'EAGAIN',
]);

const opened = promisify(open),
  closed = promisify(close),
  stated = promisify(fstat),
  renamed = promisify(rename);

/**
 * Throws SpinesError 'ECONFIG', naming `key`, when the file cannot be opened for a reason that the
 * operator has to mend.
 */
export function logFileTarget(options: LogFileOptions, key = 'log.file'): LogTarget {
  return new LogFile(options, key);
}

class LogFile implements LogTarget {
  readonly name: string;
  readonly chunkBytes = CHUNK_BYTES;
  readonly holdsExit = false;
  readonly writeLast = (bytes: Buffer): number =>
    writeSync((this.#fd ??= openSync(this.name, 'a', MODE)), bytes);
  readonly #maxBytes: number;
  readonly #keep: number;
  #fd: number | null = null;
  #size = 0;
  /** Rotated at this size: later than `#maxBytes` after a rotation that failed. */
  #rotateAt: number;
  #stale = false;

  constructor({ path, maxBytes, keep }: LogFileOptions, key: string) {
    this.name = path;
    this.#maxBytes = maxBytes;
    this.#rotateAt = maxBytes;
    this.#keep = keep;
    try {
      this.#fd = openSync(path, 'a', MODE);
      this.#size = fstatSync(this.#fd).size;
    } catch (error) {
      const { code = 'EIO' } = error as NodeJS.ErrnoException;
      if (!PASSING.has(code))
        throw new SpinesError(
          'ECONFIG',
          `${key} ${path} cannot be opened (${code}); ${adviceOn(code)}`,
        );
    }
  }

  write(bytes: Buffer, fresh: boolean, done: (error: string | null, taken: number) => void): void {
    const ready =
      this.#fd !== null &&
      !this.#stale &&
      !(fresh && this.#size > 0 && this.#size + bytes.length > this.#rotateAt);
    if (ready) {
      this.#append(bytes, done);
      return;
    }
    this.#prepare(fresh ? bytes.length : 0).then(
      () => this.#append(bytes, done),
      (error: NodeJS.ErrnoException) => done(error.code ?? 'EIO', 0),
    );
  }

  reopen(): void {
    this.#stale = true;
  }

  close(): void {
    if (this.#fd !== null) close(this.#fd, () => {});
    this.#fd = null;
  }

  #append(bytes: Buffer, done: (error: string | null, taken: number) => void): void {
    write(this.#fd!, bytes, 0, bytes.length, null, (error, taken) => {
      this.#size += taken ?? 0;
      done(error === null ? null : (error.code ?? 'EIO'), taken);
    });
  }

  /**
   * Opens, opens again and puts away as needed; `more`: bytes that are to be added, 0 within a
   * line.
   */
  async #prepare(more: number): Promise<void> {
    if (this.#stale && this.#fd !== null) await this.#closeIt();
    this.#stale = false;
    await this.#open();
    if (more === 0 || this.#size === 0 || this.#size + more <= this.#rotateAt) return;
    try {
      await this.#rotate();
    } catch {
      this.#rotateAt = this.#size + this.#maxBytes;
    }
    await this.#open();
  }

  async #open(): Promise<void> {
    if (this.#fd !== null) return;
    this.#fd = await opened(this.name, 'a', MODE);
    this.#size = (await stated(this.#fd)).size;
    if (this.#size <= this.#maxBytes) this.#rotateAt = this.#maxBytes;
  }

  async #closeIt(): Promise<void> {
    const fd = this.#fd!;
    this.#fd = null;
    await closed(fd);
  }

  async #rotate(): Promise<void> {
    for (let i = this.#keep; i >= 1; i -= 1) {
      try {
        await renamed(i === 1 ? this.name : `${this.name}.${i - 1}`, `${this.name}.${i}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    await this.#closeIt();
    if (this.#keep === 0) await closed(await opened(this.name, 'w', MODE));
  }
}

function adviceOn(code: string): string {
  switch (code) {
    case 'ENOENT':
      return 'make its folder';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return "let the daemon's user write there, or name another file";
    default:
      return 'name another file';
  }
}
