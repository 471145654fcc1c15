/**
 * Standard input for commands that may run in the background: a terminal is read while this job is
 * in its foreground only.
 *
 * Reading it from the background stops the job (SIGTTIN), `wait` for it then waits for ever, and
 * what is typed belongs to the shell. Who is in the foreground is asked of the system, now and
 * then: a shell's `fg` of a job that runs sends no signal.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { PassThrough, type Readable } from 'node:stream';
import { isatty } from 'node:tty';

import { note } from '../terminal/output.ts';

const LOOK_MS = 500;
const STDIN = 0;

export function inputIsTerminal(): boolean {
  return isatty(STDIN);
}

/**
 * Destroy it when it is not needed any more. `onBackground`: it is a terminal that is not read yet.
 */
export function standardInput(onBackground: () => void = () => {}): Readable {
  if (!inputIsTerminal()) return process.stdin;
  const input = new PassThrough();
  let reading = false;
  const look = (): void => {
    const may = inForeground();
    if (may === reading) return;
    reading = may;
    if (may) {
      process.stdin.pipe(input);
      return;
    }
    process.stdin.unpipe(input);
    process.stdin.pause();
  };
  look();
  if (!reading) onBackground();
  // After Ctrl-Z and `bg`.
  process.on('SIGCONT', look);
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  input.once('close', () => {
    clearInterval(timer);
    process.off('SIGCONT', look);
    if (reading) process.stdin.destroy();
  });
  return input;
}

/** For whoever started in the background what has its input from the terminal. */
export function tellNotRead(): void {
  note('standard input is a terminal: it is read once this runs in the foreground');
}

/** Without a terminal of its own a process is never in the background of one. */
function inForeground(): boolean {
  const [group, foreground] = groups();
  return foreground === undefined || !(foreground > 0) || group === foreground;
}

/** The process group, and that in the foreground of its terminal. */
function groups(): readonly (number | undefined)[] {
  try {
    const text = readFileSync('/proc/self/stat', 'latin1');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    return [fields[2], fields[5]];
  } catch {
    const { stdout } = spawnSync('ps', ['-o', 'pgid=,tpgid=', '-p', String(process.pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return (stdout ?? '')
      .trim()
      .split(/\s+/)
      .filter((text) => text !== '')
      .map(Number);
  }
}
