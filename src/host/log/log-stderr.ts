/**
 * Standard error as a place for log lines, whatever it is, so that a write never blocks this
 * thread.
 *
 * A descriptor is inherited, and what it refers to is shared with whoever started this process:
 * O_NONBLOCK set on it is set for them too, and their terminal or pipe then loses what they write.
 * So, in this order:
 *
 * - a pipe or terminal is opened again (/proc/self/fd/2; the controlling terminal: /dev/tty). That
 *   makes a description of our own, with O_NONBLOCK;
 * - a socket cannot be opened again, nor a pipe that belongs to another user (a container's, a
 *   supervisor's): it gets O_NONBLOCK from Node, which takes it back at exit;
 * - files, devices and the rest are written by libuv's threads, one write at a time: a disk that
 *   stands still costs one of them. Their offset is shared, so they are not opened again.
 */

import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  write,
  writeSync,
  type Stats,
} from 'node:fs';
import { isatty } from 'node:tty';

import { STDERR_NAME, type LogTarget } from './log-writer.ts';

const STDERR = 2;
/**
 * A write to a pipe of no more is taken whole or not at all (PIPE_BUF of Linux), so that lines of
 * several writers do not mix.
 */
const PIPE_CHUNK_BYTES = 4_096;
const FILE_CHUNK_BYTES = 65_536;

export function stderrTarget(): LogTarget {
  let stats: Stats;
  try {
    stats = fstatSync(STDERR);
  } catch {
    return threaded(false);
  }
  const tty = stats.isCharacterDevice() && isatty(STDERR);
  if (stats.isFIFO() || tty) {
    const own = reopened(tty ? stats.rdev : null);
    if (own !== null) return unblocked(own, own);
  }
  if ((stats.isFIFO() || stats.isSocket()) && borrowNonBlocking()) return unblocked(STDERR, null);
  return threaded(!stats.isFile());
}

/**
 * A descriptor of our own of what standard error is, non-blocking; null where it is not to be had.
 */
function reopened(ttyDevice: number | null): number | null {
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const paths = [
    `/proc/self/fd/${STDERR}`,
    ...(ttyDevice !== null && ttyDevice === controllingTerminal() ? ['/dev/tty'] : []),
  ];
  for (const path of paths) {
    try {
      return openSync(path, flags);
    } catch {
      // Another user's, nobody reads it just now, or no such file on this system.
    }
  }
  return null;
}

/** Device number as in stat, of /proc/self/stat's field 7; null where there is none. */
function controllingTerminal(): number | null {
  try {
    const text = readFileSync('/proc/self/stat', 'latin1');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[4]);
  } catch {
    return null;
  }
}

/**
 * Node makes pipes and sockets non-blocking when its stream for them is first asked for. False: it
 * did not.
 */
function borrowNonBlocking(): boolean {
  process.stderr.on('error', () => {});
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(
      readFileSync(`/proc/self/fdinfo/${STDERR}`, 'latin1'),
    )?.[1];
    return flags === undefined || (parseInt(flags, 8) & constants.O_NONBLOCK) !== 0;
  } catch {
    return true;
  }
}

/** `close`: the descriptor to close at the end, null for what is not ours. */
function unblocked(fd: number, close: number | null): LogTarget {
  const writeNow = (bytes: Buffer): number => writeSync(fd, bytes);
  return {
    name: STDERR_NAME,
    chunkBytes: PIPE_CHUNK_BYTES,
    holdsExit: false,
    writeLast: writeNow,
    write: (bytes, _fresh, done) => {
      let taken: number;
      try {
        taken = writeNow(bytes);
      } catch (error) {
        done(codeOf(error), 0);
        return;
      }
      done(null, taken);
    },
    reopen: () => {},
    close: () => {
      if (close !== null) closeSync(close);
    },
  };
}

/** `holdsExit`: it may never come back from a write, as from a file it does. */
function threaded(holdsExit: boolean): LogTarget {
  return {
    name: STDERR_NAME,
    chunkBytes: FILE_CHUNK_BYTES,
    holdsExit,
    writeLast: holdsExit ? null : (bytes) => writeSync(STDERR, bytes),
    write: (bytes, _fresh, done) => {
      write(STDERR, bytes, 0, bytes.length, null, (error, taken) =>
        done(error === null ? null : codeOf(error), taken),
      );
    },
    reopen: () => {},
    close: () => {},
  };
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'EIO';
}
