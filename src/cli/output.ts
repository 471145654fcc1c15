/**
 * Standard output of a command: JSON for programs, text for people.
 *
 * Owns the JSON envelope ("schema" first, two-space indent) and the end of a pipe's reader. Called by
 * every command. Invariant: with --json, standard output holds one JSON document and nothing else.
 */

import { EXIT_NO, EXIT_OK } from './failure.ts';

/** Prints `reply` as one JSON document whose first key is `schema`. */
export function printJson(reply: object): void {
  const { schema: _ignored, ok: _ok, id: _id, ...rest } = reply as Record<string, unknown>;
  print(`${JSON.stringify({ schema: 1, ...rest }, null, 2)}\n`);
}

export function print(text: string): void {
  process.stdout.write(text);
}

/** For people, while something else may own standard output. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

let losesData = false;

/** From now on a reader who goes away has missed something: exit code 1. Otherwise (`| head`) he had enough: 0. */
export function outputMatters(): void {
  losesData = true;
}

/** Ends the process when standard output takes no more: quietly when nobody reads it, with a reason when its disk is full. Call once, first of all. */
export function watchPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') {
      note(`spines: can't write to standard output: ${error.code ?? error.message}; make room there, or send it elsewhere`);
      process.exit(EXIT_NO);
    }
    process.exit(losesData ? EXIT_NO : EXIT_OK);
  });
  // There is nobody left to tell.
  process.stderr.on('error', () => {});
}

/** Resolves when what was printed is out of this process. */
export async function flushOutput(): Promise<void> {
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  await new Promise<void>((resolve) => process.stderr.write('', () => resolve()));
}
