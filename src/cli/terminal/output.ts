/**
 * Standard output and error of a command: JSON for programs, text for people, and what becomes of
 * it when nobody can take it.
 *
 * Owns the JSON envelope ("schema" first, two-space indent), the end of a pipe's reader, a full
 * disk, and who is told of a bug. Called by every command. Invariant: with --json, standard output
 * holds one JSON document and nothing else; no failure to write shows a stack.
 */

import { Writable } from 'node:stream';

import { columnsOf } from './columns.ts';
import { EXIT_NO, EXIT_OK, toFailure } from './failure.ts';
import { plainButColour, plainJson, plainLines } from './plain-text.ts';

/** Prints `reply` as one JSON document whose first key is `schema`. */
export function printJson(reply: object): void {
  const { schema: _ignored, ok: _ok, id: _id, ...rest } = reply as Record<string, unknown>;
  print(plainJson(`${JSON.stringify({ schema: 1, ...rest }, null, 2)}\n`));
}

/** How wide what is printed may be. */
export function terminalColumns(): number {
  return columnsOf(process.stdout, process.env);
}

export function print(text: string): void {
  process.stdout.write(plainButColour(text));
}

let writeNote = (text: string): void => {
  process.stderr.write(text);
};
let flushNotes = async (): Promise<void> => {
  if (usedErrors) await new Promise<void>((resolve) => process.stderr.write('', () => resolve()));
};

/** For people, while something else may own standard output. */
export function note(text: string): void {
  writeNote(`${plainLines(text)}\n`);
}

/**
 * In a command that runs on, and may not wait for whoever reads its standard error. Whatever else
 * writes there, or only looks at it, as node:assert does when it is loaded, gets this instead of
 * Node's own stream.
 */
export function notesGoTo(write: (text: string) => void, flush: () => Promise<void>): void {
  writeNote = write;
  flushNotes = flush;
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      write(chunk.toString());
      done();
    },
  });
  Object.defineProperty(process, 'stderr', {
    configurable: true,
    enumerable: true,
    writable: true,
    value: stream,
  });
}

let losesData = false;

/**
 * From now on a reader who goes away has missed something: exit code 1. Otherwise (`| head`) he had
 * enough: 0.
 */
export function outputMatters(): void {
  losesData = true;
}

let tellBug = (error: unknown): void => {
  const { details, message, exitCode } = toFailure(error);
  for (const line of [...details, `spines: ${message}`]) note(line);
  process.exit(exitCode);
};

/** What is done about an error that nobody caught; it ends the process. */
export function onBug(tell: (error: unknown) => void): void {
  tellBug = tell;
}

/**
 * Call once, first of all. The streams themselves are made when they are first used: Node sets
 * O_NONBLOCK on pipes that others have too.
 */
export function watchOutput(): void {
  const bug = (error: unknown): void => tellBug(error);
  process.on('uncaughtException', bug);
  process.on('unhandledRejection', bug);
  watchWhenUsed('stdout', onOutputError);
  // There is nobody left to tell.
  watchWhenUsed('stderr', () => {});
}

/**
 * Ends the process: quietly when nobody reads standard output any more, with a line when it cannot
 * be written.
 */
function onOutputError({ code = 'EIO' }: NodeJS.ErrnoException): void {
  if (code === 'EPIPE' || code === 'ECONNRESET') process.exit(losesData ? EXIT_NO : EXIT_OK);
  note(`spines: can't write to standard output: ${code}; make room there, or send it elsewhere`);
  process.exit(EXIT_NO);
}

function watchWhenUsed(
  name: 'stdout' | 'stderr',
  onError: (error: NodeJS.ErrnoException) => void,
): void {
  const { get } = Object.getOwnPropertyDescriptor(process, name)!;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get: () => {
      const stream = get!.call(process) as NodeJS.WriteStream;
      Object.defineProperty(process, name, {
        configurable: true,
        enumerable: true,
        writable: true,
        value: stream,
      });
      usedOutput ||= name === 'stdout';
      usedErrors ||= name === 'stderr';
      return stream.on('error', onError);
    },
  });
}

let usedOutput = false;
let usedErrors = false;

/** Resolves when what was printed is out of this process. */
export async function flushOutput(): Promise<void> {
  if (usedOutput) await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  await flushNotes();
}
