/**
 * What the file system refuses, in words: what happened to which file, and what to do about it.
 *
 * Owns the sentence for each code, for reading and for writing; the one place for both, so that a
 * full disk is not told as a wrong path. Called by whoever reads or writes a file, and by the
 * command line for what nobody else has put in words.
 */

import { SpinesError } from '../../core/base/errors.ts';

interface Words {
  /** Follows the file's name. */
  readonly what: string;
  readonly remedy: string;
}

const BOTH: Readonly<Record<string, Words>> = {
  EISDIR: { what: 'is a directory', remedy: 'check the path' },
  ENOTDIR: { what: 'lies below something that is no folder', remedy: 'check the path' },
  ENAMETOOLONG: { what: 'is too long for a path', remedy: 'choose a shorter one' },
  ELOOP: { what: 'is a link that leads back to itself', remedy: 'check the path' },
  EIO: { what: 'is on a disk or device that fails (EIO)', remedy: "see the system's log" },
  ESTALE: { what: 'is on a network file system that lost it (ESTALE)', remedy: 'mount it again' },
  EMFILE: {
    what: 'cannot be opened: this process has too many files open',
    remedy: 'raise its limit with `ulimit -n`',
  },
  ENFILE: {
    what: 'cannot be opened: the system has too many files open',
    remedy: 'end what has them open, or raise fs.file-max',
  },
};

const READING: Readonly<Record<string, Words>> = {
  ENOENT: { what: 'does not exist', remedy: 'check the path' },
  EACCES: {
    what: 'may not be read',
    remedy: 'check the path, its mode and whose it is; run this as a user who may',
  },
  EPERM: {
    what: 'may not be read',
    remedy: 'check the path, its mode and whose it is; run this as a user who may',
  },
};

const WRITING: Readonly<Record<string, Words>> = {
  ENOENT: {
    what: 'cannot be written: its folder does not exist',
    remedy: 'check the path, or make the folder',
  },
  EACCES: {
    what: 'may not be written',
    remedy: 'choose a place that this user may write to, or run this as a user who may write there',
  },
  EPERM: {
    what: 'may not be written',
    remedy: 'choose a place that this user may write to, or run this as a user who may write there',
  },
  EROFS: { what: 'is on a file system that is read-only', remedy: 'choose another place' },
  ENOSPC: {
    what: 'cannot be written: the disk is full',
    remedy: 'make room there (see `df` and `df -i`) and do it again',
  },
  EDQUOT: {
    what: "cannot be written: this user's quota of the disk is used up",
    remedy: 'make room there (see `quota`) and do it again',
  },
  EFBIG: {
    what: 'cannot be written: it would be larger than files may be here',
    remedy: 'see `ulimit -f`',
  },
  EBUSY: { what: 'is in use by the system', remedy: 'choose another place' },
  ETXTBSY: { what: 'is in use by the system', remedy: 'choose another place' },
};

/**
 * `what` happened to a file that was read or written, with the remedy; null for a code that says
 * nothing here.
 */
export function fileWords(code: string, writing: boolean): Words | null {
  return (writing ? WRITING : READING)[code] ?? BOTH[code] ?? null;
}

/**
 * `name` of `path` could not be read: "certificate /a/b does not exist; check the path". Never
 * throws.
 */
export function unreadable(name: string, path: string, error: unknown): SpinesError {
  return told(`${name} ${path}`, 'cannot be read', error, false);
}

/** `path` could not be written; `kept` says what became of what was there before. */
export function unwritable(path: string, error: unknown, kept = ''): SpinesError {
  return told(path, 'cannot be written', error, true, kept);
}

function told(
  subject: string,
  otherwise: string,
  error: unknown,
  writing: boolean,
  kept = '',
): SpinesError {
  const code = codeOf(error) ?? 'EIO';
  const words = fileWords(code, writing) ?? {
    what: `${otherwise} (${code})`,
    remedy: 'check the path',
  };
  return new SpinesError(
    code,
    `${subject} ${words.what}${kept === '' ? '' : `, and ${kept}`}; ${words.remedy}`,
  );
}

export function codeOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : null;
}
