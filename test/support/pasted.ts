/**
 * A document's code blocks, pasted one by one into an interactive shell, as a reader does who has
 * just fetched the checkout.
 *
 * Owns the extraction, the reader (an unprivileged user with an empty home, a copy of the checkout,
 * a terminal of 80 columns; as root also a network namespace of his own) and how the end of a block
 * is told. What is wrong with a block is the test's. Needs bash and `script` of util-linux.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Block {
  readonly language: string;
  /** Of its first line in the document. */
  readonly line: number;
  readonly text: string;
}

export interface Outcome {
  /** What the terminal showed. */
  readonly screen: string;
  /** Of each command line, in order. */
  readonly ran: readonly { readonly command: string; readonly code: number }[];
  /** Background jobs that were stopped by the terminal. */
  readonly stopped: number;
}

export const COLUMNS = 80;
const CAN_PASTE = ['bash', 'script'].every(
  (program) => spawnSync(program, ['--version']).status === 0,
);
export { CAN_PASTE };

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; line: number; lines: string[] } | null = null;
  markdown.split('\n').forEach((text, i) => {
    const fence = /^ {0,3}```\s*(\S*)\s*$/.exec(text);
    if (open === null) {
      if (fence !== null) open = { language: fence[1]!, line: i + 2, lines: [] };
    } else if (fence !== null && fence[1] === '') {
      blocks.push({ language: open.language, line: open.line, text: open.lines.join('\n') });
      open = null;
    } else open.lines.push(text);
  });
  return blocks;
}

const RC = `
PS1='\\$ '
unset HISTFILE
PROMPT_COMMAND='printf "%s\\t%s\\n" "$?" "$(history 1)" >> "$HOME/codes"'
`;

export class Reader {
  readonly folder = mkdtempSync(join(tmpdir(), 'spines-reader-'));
  /** His copy of the checkout, in which the shell starts. */
  readonly checkout = join(this.folder, 'spines');
  readonly #home = join(this.folder, 'home');
  /** Null: the user who runs this. */
  readonly #uid = process.getuid!() === 0 ? 61_000 + Math.floor(Math.random() * 4_000) : null;
  #shell: ChildProcess | null = null;
  #screen = '';
  #pasted = 0;

  /**
   * Copies the checkout `from`, without what git or a run left there, and opens the terminal.
   * `packages`: a cache of npm's; then it is cloned instead, with nothing installed, and npm takes
   * packages from there, as the reader's network has none.
   */
  open(from: string, packages: string | null = null): void {
    mkdirSync(this.#home);
    if (packages === null) {
      mkdirSync(this.checkout);
      const entries = readdirSync(from).filter((name) => !['.git', 'reports'].includes(name));
      must('cp', ['-a', ...entries.map((name) => join(from, name)), this.checkout]);
    } else {
      must('git', ['clone', '--quiet', '--no-hardlinks', from, this.checkout]);
      must('cp', ['-a', packages, join(this.#home, 'packages')]);
    }
    writeFileSync(join(this.#home, 'rc'), RC);
    const run =
      `stty cols ${COLUMNS} rows 24; exec bash --noprofile --rcfile ` +
      `${join(this.#home, 'rc')} -i`;
    let command = ['script', '-qefc', run, '/dev/null'];
    if (this.#uid !== null) {
      must('chown', ['-R', `${this.#uid}:${this.#uid}`, this.folder]);
      const user = [
        'setpriv',
        `--reuid=${this.#uid}`,
        `--regid=${this.#uid}`,
        '--clear-groups',
        ...command,
      ];
      command = ['unshare', '-n', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh', ...user];
    }
    const { PATH = '', LANG = 'C.UTF-8' } = process.env;
    this.#shell = spawn(command[0]!, command.slice(1), {
      cwd: this.checkout,
      stdio: ['pipe', 'pipe', 'pipe'],
      // Nothing of npm's, whose variables this process has from `npm test`.
      env: {
        PATH,
        LANG,
        HOME: this.#home,
        TERM: 'xterm',
        SHELL: '/bin/bash',
        npm_config_update_notifier: 'false',
        ...(packages === null
          ? {}
          : { npm_config_cache: join(this.#home, 'packages'), npm_config_offline: 'true' }),
      },
    });
    for (const stream of [this.#shell.stdout!, this.#shell.stderr!])
      stream.on('data', (chunk: Buffer) => {
        this.#screen += chunk.toString();
      });
    this.#shell.stdin!.on('error', () => {});
  }

  /**
   * Everything at once, and what shows that the prompt is there again right behind it: a command
   * that reads the terminal takes that away.
   */
  async paste(text: string, mostMs: number): Promise<Outcome> {
    const from = this.#screen.length;
    const before = this.#codes().length;
    this.#pasted += 1;
    this.#shell!.stdin!.write(
      `${text.trimEnd()}\necho "pasted-$((40 + 2))-${this.#pasted}-$(jobs -s | wc -l)."\n`,
    );
    const end = new RegExp(`pasted-42-${this.#pasted}-\\s*(\\d+)\\.`);
    const until = performance.now() + mostMs;
    for (;;) {
      const shown = end.exec(this.#screen.slice(from));
      // The last line's own code is written with the next prompt.
      if (shown !== null && this.#codes().at(-1)?.command.includes(`-${this.#pasted}-`) === true) {
        return {
          screen: this.#screen.slice(from),
          ran: this.#codes().slice(before, -1),
          stopped: Number(shown[1]),
        };
      }
      if (performance.now() > until || this.#shell!.exitCode !== null)
        throw new Error(
          `the prompt did not come back within ${mostMs} ms:\n${this.#screen.slice(from)}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Ends the shell. What still runs of what the reader started, known for root only. */
  async close(): Promise<string[]> {
    const shell = this.#shell;
    if (shell !== null && shell.exitCode === null) {
      const gone = new Promise((resolve) => shell.once('close', resolve));
      shell.stdin!.end('\x04');
      await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 5_000).unref())]);
      if (shell.exitCode === null) shell.kill('SIGKILL');
    }
    const left = this.#processes();
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone in between.
      }
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    return left.map(({ line }) => line);
  }

  #codes(): { command: string; code: number }[] {
    let text: string;
    try {
      text = readFileSync(join(this.#home, 'codes'), 'utf8');
    } catch {
      return [];
    }
    return [...text.matchAll(/^(\d+)\t *\d+ +(.*)$/gm)].map(([, code, command]) => ({
      code: Number(code),
      command: command!,
    }));
  }

  #processes(): { pid: number; line: string }[] {
    if (this.#uid === null) return [];
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => {
        try {
          if (statSync(`/proc/${pid}`).uid !== this.#uid) return [];
          const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
          return line === '' ? [] : [{ pid: Number(pid), line }];
        } catch {
          return [];
        }
      });
  }
}

function must(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
}
