/**
 * The token that programs show on the daemon's TCP listener: its file, and whether what was shown
 * is it.
 *
 * Any user of the machine can connect to a loopback port; who can read the file is who may use the
 * daemon. So the file has mode 0600 from the moment it exists, and one that others may read is
 * refused.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

import { SpinesError } from '../../core/base/errors.ts';
import { unreadable } from '../files/file-error.ts';
import { decodeText, isTrustedOwner } from '../files/text-file.ts';
import { createWhole, MODE_PRIVATE } from '../files/whole-file.ts';

const TOKEN_BYTES = 32;
const FILE_BYTES_MAX = 256;
const OTHERS = 0o077;

/**
 * The token in `path`, 64 hexadecimal digits; a missing file is made. `key`: of the config, which
 * names it. Throws SpinesError.
 */
export function readOrMakeToken(path: string, key = 'client.tcp.token'): string {
  return read(path, key) ?? make(path, key);
}

/**
 * Finds what a text that was shown is good for, in a time that says nothing about the tokens; null:
 * it is none of them.
 */
export function tokenGrants<T>(
  tokens: readonly { readonly token: string; readonly grant: T }[],
): (shown: string) => T | null {
  // Digests are compared, so that not even the length of the token shows in the time it takes.
  const wanted = tokens.map(({ token, grant }) => ({ digest: digest(token), grant }));
  return (shown) => {
    const found = digest(shown);
    let granted: T | null = null;
    for (const one of wanted) if (timingSafeEqual(found, one.digest)) granted = one.grant;
    return granted;
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

function read(path: string, key: string): string | null {
  let file: number;
  try {
    // A FIFO would hold the daemon up for ever. A link is nothing that this program makes: somebody
    // else has put it there.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (code === 'ELOOP')
      throw new SpinesError(
        'ECONFIG',
        `${key}: ${path} is a symbolic link; name the file itself, or remove the link ` +
          'and a file is made',
      );
    throw new SpinesError('ECONFIG', unreadable(`${key}:`, path, error).message);
  }
  try {
    const { mode, uid } = fstatSync(file);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG)
      throw new SpinesError(
        'ECONFIG',
        `${key}: ${path} is not a file; name one, or a place where one can be made`,
      );
    if (!isTrustedOwner(uid))
      throw new SpinesError(
        'ECONFIG',
        `${key}: ${path} belongs to user ${uid}, who knows what is in it; remove it ` +
          'and a new one is made',
      );
    if ((mode & OTHERS) !== 0) {
      throw new SpinesError(
        'ECONFIG',
        `${key}: others may read ${path} (mode 0${(mode & 0o777).toString(8)}); run ` +
          `\`chmod 600 ${path}\`, or remove it and a new one is made`,
      );
    }
    const bytes = Buffer.alloc(FILE_BYTES_MAX);
    const text = decodeText(bytes.subarray(0, readSync(file, bytes))).trim();
    if (!/^[0-9a-f]{64}$/.test(text))
      throw new SpinesError(
        'ECONFIG',
        `${key}: ${path} does not hold 64 hexadecimal digits; remove it and a new one ` + 'is made',
      );
    return text;
  } finally {
    closeSync(file);
  }
}

function make(path: string, key: string): string {
  const token = randomBytes(TOKEN_BYTES).toString('hex');
  try {
    createWhole(path, `${token}\n`, MODE_PRIVATE);
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    // A daemon that was faster has made one.
    const other = error.code === 'EEXIST' ? read(path, key) : null;
    if (other !== null) return other;
    throw new SpinesError('ECONFIG', `${key}: ${error.message}`);
  }
  return token;
}
