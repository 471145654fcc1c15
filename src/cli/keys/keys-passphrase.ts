/**
 * Passphrases of private keys: from a file, the environment or the terminal, never from the command
 * line.
 *
 * Owns where one comes from and typing it without echo. Called by the `spines keys` commands.
 */

import type { Command } from 'commander';

import {
  givenPassphrase,
  PASSPHRASE_VARIABLE as VARIABLE,
} from '../../host/identity/identity-reader.ts';
import { EXIT_USAGE, Failure } from '../terminal/failure.ts';

export interface PassphraseFlags {
  readonly passphraseFile?: string;
  /** Ask on the terminal for one. */
  readonly passphrase?: boolean;
}

export function addPassphraseFlags(command: Command, makes: boolean): Command {
  command.option(
    '--passphrase-file <file>',
    `the first line is the passphrase (also: environment ${VARIABLE})`,
  );
  return makes
    ? command.option('--passphrase', 'ask for a passphrase to protect the new private key')
    : command;
}

/** The passphrase that opens `path`. Asks when there is a terminal and nothing else was said. */
export async function passphraseToOpen(flags: PassphraseFlags, path: string): Promise<string> {
  const given = givenPassphrase(flags.passphraseFile ?? null);
  if (given !== null) return given;
  if (process.stdin.isTTY !== true)
    throw new Failure(
      EXIT_USAGE,
      'EPASSPHRASE',
      `${path} has a passphrase; give it with --passphrase-file or ${VARIABLE}, or run this on a ` +
        'terminal',
    );
  return promptHidden(`Passphrase of ${path}: `);
}

/** The passphrase for a new key, or null when none is wanted. */
export async function passphraseToProtect(flags: PassphraseFlags): Promise<string | null> {
  const given = givenPassphrase(flags.passphraseFile ?? null);
  if (given !== null || flags.passphrase !== true) return given;
  if (process.stdin.isTTY !== true)
    throw new Failure(
      EXIT_USAGE,
      'EPASSPHRASE',
      `--passphrase needs a terminal; use --passphrase-file or ${VARIABLE}`,
    );
  const first = await promptHidden('New passphrase: ');
  if (first === '')
    throw new Failure(
      EXIT_USAGE,
      'EPASSPHRASE',
      'the passphrase is empty; leave --passphrase out to have none',
    );
  if ((await promptHidden('Again: ')) !== first)
    throw new Failure(EXIT_USAGE, 'EPASSPHRASE', 'the two are not the same; try again');
  return first;
}

/** The parts of a terminal that typing without echo needs. */
export interface HiddenInput extends NodeJS.ReadableStream {
  setRawMode?(raw: boolean): unknown;
  unshift(text: string): unknown;
}

/** Reads one line that is not shown. Ctrl-U starts over, Ctrl-C gives up. */
export function promptHidden(
  question: string,
  input: HiddenInput = process.stdin,
  output: { write(text: string): unknown } = process.stderr,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = '';
    const finish = (end: () => void): void => {
      input.removeListener('data', onData);
      input.removeListener('end', onEnd);
      input.setRawMode?.(false);
      input.pause();
      output.write('\n');
      end();
    };
    const interrupted = (): void =>
      finish(() => reject(new Failure(130, 'EINTR', 'interrupted; nothing was written')));
    const onEnd = interrupted;
    const onData = (data: string | Buffer): void => {
      const characters = [...String(data)];
      for (const [i, character] of characters.entries()) {
        if (character === '\x03' || character === '\x04') return interrupted();
        if (character === '\r' || character === '\n') {
          const rest = characters.slice(i + 1).join('');
          return finish(() => {
            if (rest !== '') input.unshift(rest);
            resolve(line);
          });
        }
        if (character === '\x7f' || character === '\b') line = [...line].slice(0, -1).join('');
        else if (character === '\x15') line = '';
        else if (character >= ' ') line += character;
      }
    };
    // Raw mode first: what is typed from the question on must not show.
    input.setRawMode?.(true);
    input.setEncoding('utf8');
    output.write(question);
    input.on('data', onData);
    input.on('end', onEnd);
    input.resume();
  });
}
