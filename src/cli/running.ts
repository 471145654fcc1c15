/**
 * Which spines commands run on this machine: looked up among its processes, so that nothing has to
 * be kept in files that outlive them.
 *
 * Owns how a process is recognised, the files by which it belongs to a network's folder, and ending
 * it. Called by stop.ts.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';

export interface RunningCommand {
  readonly pid: number;
  /** "daemon --config lab/node-1/spines.yaml". */
  readonly line: string;
  readonly isDaemon: boolean;
  /** Files that it was told of: config, identity, socket. Absolute. */
  readonly files: readonly string[];
  /**
   * It was told of more, relative to a folder or in an environment that is another user's to look
   * at.
   */
  readonly hidden: boolean;
}

/** Those that run until they are ended. */
const COMMANDS: readonly string[] = [
  'daemon',
  'bridge',
  'expose',
  'forward',
  'socks',
  'cat',
  'talk',
  'dashboard',
];
const FILE_FLAGS: readonly string[] = ['--config', '--identity', '--socket'];
/** Daemons with it belong to the process that started them, as those of `replay`. */
const OWNED_FLAG = '--exit-with-parent';
const LOOK_MS = 50;

interface Process {
  readonly pid: number;
  readonly argv: readonly string[];
  /** null: not for this user to see. */
  readonly cwd: string | null;
  /** Of its environment; null: there is none, undefined: not for this user to see. */
  readonly socket: string | null | undefined;
}

/** Of this user, or with `everybodys` of all whose command line can be read. */
export function runningCommands(everybodys: boolean): RunningCommand[] {
  const own = process.getuid?.();
  return processes()
    .filter(({ pid }) => everybodys || own === undefined || ownerOf(pid) === own)
    .flatMap((found) => {
      const command = recognise(found);
      return command === null || found.pid === process.pid ? [] : [command];
    });
}

/** The command that a process is; null: none of ours. */
export function recognise({ pid, argv, cwd, socket }: Process): RunningCommand | null {
  if (!/^node(js)?([\d.]*)$/.test(basename(argv[0] ?? ''))) return null;
  const script = argv.findIndex(
    (text, i) =>
      i > 0 && (text.endsWith(join('dist', 'cli', 'main.js')) || basename(text) === 'spines'),
  );
  const args = argv.slice(script + 1);
  if (script < 0 || !COMMANDS.includes(args[0] ?? '') || args.includes(OWNED_FLAG)) return null;
  const files = args.flatMap((text, i) => {
    const [flag, ...value] = text.split('=');
    if (!FILE_FLAGS.includes(flag!)) return [];
    return value.length > 0 ? [value.join('=')] : args[i + 1] === undefined ? [] : [args[i + 1]!];
  });
  const isDaemon = args[0] === 'daemon';
  const byEnvironment = !isDaemon && !args.some((text) => /^--(socket|tcp|remote)(=|$)/.test(text));
  if (byEnvironment && typeof socket === 'string') files.push(socket);
  return {
    pid,
    line: args.join(' '),
    isDaemon,
    files: files
      .filter((file) => cwd !== null || file.startsWith(sep))
      .map((file) => resolve(cwd ?? sep, file)),
    hidden:
      (byEnvironment && socket === undefined) ||
      (cwd === null && files.some((file) => !file.startsWith(sep))),
  };
}

/** Has it a file in `folder`, whichever way there is named? */
export function belongsTo({ files }: RunningCommand, folder: string): boolean {
  const within = real(resolve(folder)) + sep;
  return files.some((file) => (real(file) + sep).startsWith(within));
}

/**
 * True once no process `pid` runs any more, as a zombie neither; false when it still does after
 * `mostMs`.
 */
export async function gone(pid: number, mostMs: number): Promise<boolean> {
  const until = performance.now() + mostMs;
  while (runs(pid)) {
    if (performance.now() >= until) return false;
    await new Promise((then) => setTimeout(then, LOOK_MS));
  }
  return true;
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return true;
  }
}

function processes(): Process[] {
  let pids: string[];
  try {
    pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    if (pids.length === 0) return psProcesses();
  } catch {
    return psProcesses();
  }
  return pids.flatMap((pid): Process[] => {
    const argv = read(`/proc/${pid}/cmdline`)?.split('\0').slice(0, -1) ?? [];
    if (argv.length < 3) return [];
    const environment = read(`/proc/${pid}/environ`);
    const socket = environment
      ?.split('\0')
      .find((text) => text.startsWith('SPINES_SOCKET='))
      ?.slice('SPINES_SOCKET='.length);
    let cwd: string | null = null;
    try {
      cwd = readlinkSync(`/proc/${pid}/cwd`);
    } catch {
      // Another user's.
    }
    return [
      {
        pid: Number(pid),
        argv,
        cwd,
        socket:
          environment === null ? undefined : socket === undefined || socket === '' ? null : socket,
      },
    ];
  });
}

/** Where there is no /proc: without folders and environment, so that only absolute paths tell. */
function psProcesses(): Process[] {
  const { stdout } = spawnSync('ps', ['-axo', 'pid=,command='], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return (stdout ?? '').split('\n').flatMap((text): Process[] => {
    const [pid, ...argv] = text.trim().split(/\s+/);
    return argv.length < 3 ? [] : [{ pid: Number(pid), argv, cwd: null, socket: undefined }];
  });
}

function ownerOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    // Where there is none, what is another user's is refused when it is ended.
    return process.getuid?.();
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Without links as far as it exists. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const folder = dirname(path);
    return folder === path ? path : join(real(folder), basename(path));
  }
}
