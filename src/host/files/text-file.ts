/**
 * Reading texts that people edit and mail: the one way in which this program reads a small file.
 *
 * Editors and mail leave texts with CRLF, a byte order mark, blanks at ends of lines and without
 * the last newline; Windows shells write UTF-16. All of that is read as what was meant. Owns
 * bounds, modes of secrets and the sentence for what cannot be read; what a text means is the
 * caller's. Every refusal is a SpinesError "what; what to do next" that names the file and shows
 * nothing of it.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import { SpinesError } from '../../core/base/errors.ts';
import { codeOf, unreadable } from './file-error.ts';

/** Texts of people: configs and topologies. */
const BYTES_MAX = 16_777_216;
const OTHERS = 0o077;
const ROOT = 0;

export interface TextFileOptions {
  /** Longer files are refused. Default: 16 MiB. */
  readonly bytesMax?: number;
  /** Whether others than the owner must not be able to read or write what has this text. */
  readonly isSecret?: (text: string) => boolean;
  /** In front of each refusal, such as the setting that names the file. */
  readonly subject?: string;
}

/**
 * The text of `path`, lines ended by LF, without a byte order mark. `what`: "config file",
 * "certificate".
 */
export function readText(path: string, what: string, options: TextFileOptions = {}): string {
  const { bytesMax = BYTES_MAX, isSecret, subject = '' } = options;
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw prefixed(subject, unreadable(what, path, error));
  }
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory())
      throw prefixed(
        subject,
        new SpinesError('EISDIR', `${what} ${path} is a directory; check the path`),
      );
    const bytes = readBytes(
      fd,
      bytesMax + 1,
      stat.isFile() ? Math.min(stat.size + 1, bytesMax + 1) : 0,
    );
    if (bytes.length > bytesMax)
      throw prefixed(
        subject,
        new SpinesError('EFORMAT', `${what} ${path} is too long to be one; check the path`),
      );
    const text = decodeText(bytes);
    bytes.fill(0);
    if (isSecret !== undefined && stat.isFile() && !isTrustedOwner(stat.uid) && isSecret(text)) {
      const whose = `belongs to user ${stat.uid}, who could have put it there`;
      throw prefixed(
        subject,
        new SpinesError(
          'EMODE',
          `${what} ${path} ${whose}; run this as that user, or if it is safe make it yours with ` +
            `\`chown\``,
        ),
      );
    }
    if (isSecret !== undefined && stat.isFile() && (stat.mode & OTHERS) !== 0 && isSecret(text)) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw prefixed(
        subject,
        new SpinesError(
          'EMODE',
          `${what} ${path} has mode ${mode}, so others could have read it; replace it, or if it ` +
            `is safe run \`chmod 600 ${path}\``,
        ),
      );
    }
    return text;
  } catch (error) {
    throw error instanceof SpinesError || codeOf(error) === null
      ? error
      : prefixed(subject, unreadable(what, path, error));
  } finally {
    closeSync(fd);
  }
}

/**
 * Whether a secret of this user's may be in a file of user `uid`: its own or root's. Links are
 * followed, since secrets are mounted as links to files; what counts is the file that is read.
 */
export function isTrustedOwner(uid: number): boolean {
  const own = process.getuid?.();
  return own === undefined || uid === own || uid === ROOT;
}

/**
 * `text` as a program writes it: no blanks at the ends of lines, no blank lines around it, one
 * newline at its end.
 */
export function tidied(text: string): string {
  const lines = text.replace(/[ \t]+$/gm, '').replace(/^\n+|\n+$/g, '');
  return `${lines}\n`;
}

/** UTF-8, or UTF-16 behind its byte order mark. */
export function decodeText(bytes: Uint8Array): string {
  const utf16 =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? 'utf-16le'
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? 'utf-16be'
        : null;
  return new TextDecoder(utf16 ?? 'utf-8').decode(bytes).replace(/\r\n?/g, '\n');
}

function readBytes(fd: number, max: number, expected: number): Buffer {
  let buffer = Buffer.alloc(Math.max(expected, 4_096));
  let length = 0;
  for (;;) {
    const count = readSync(fd, buffer, length, Math.min(buffer.length, max) - length, null);
    length += count;
    if (count === 0 || length >= max) return buffer.subarray(0, length);
    if (length < buffer.length) continue;
    const larger = Buffer.alloc(Math.min(max, 2 * buffer.length));
    buffer.copy(larger, 0, 0, length);
    buffer.fill(0);
    buffer = larger;
  }
}

function prefixed(subject: string, error: SpinesError): SpinesError {
  return subject === '' ? error : new SpinesError(error.code, `${subject}: ${error.message}`);
}
