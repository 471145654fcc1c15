/**
 * Whatever standard error is, a daemon carries on: full disks, pipes that nobody reads or that are
 * closed, terminals that stand still.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { SpinesClient, type StatusReply } from 'spines-client';

import { freePorts, PROGRAM, spines } from '../support/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-logs-'));
const children: ChildProcess[] = [];
let made = 0;
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Daemon {
  child: ChildProcess;
  client: SpinesClient;
  socket: string;
  gone: Promise<number | null>;
}

/** `wrap`: the command around a daemon's own command line. */
async function start(
  stderr: number | 'pipe',
  wrap = (command: string[]): string[] => command,
  extra: string[] = [],
): Promise<Daemon> {
  const socket = join(folder, `${(made += 1)}.sock`);
  const [port] = await freePorts(1);
  const [file, ...args] = wrap([
    process.execPath,
    PROGRAM,
    'daemon',
    '--security',
    'none',
    '--id',
    '10.0.0.1',
    '--listen',
    `127.0.0.1:${port!}`,
    '--socket',
    socket,
    ...extra,
  ]);
  const child = spawn(file!, args, { stdio: ['pipe', 'pipe', stderr] });
  children.push(child);
  const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  for (let tries = 0; ; tries += 1) {
    try {
      return {
        child,
        client: await SpinesClient.connect({ path: socket, reconnect: false }),
        socket,
        gone,
      };
    } catch (error) {
      if (tries > 400 || child.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const status = async ({ client }: Daemon): Promise<StatusReply> => await client.request('status');
/**
 * Reloads that are asked for at once: they are one or two readings, and each is a line of who
 * asked.
 */
const AT_ONCE = 500;
/** Each is a line of level info, some 200 bytes; and one more for each reading. */
async function logLines({ client }: Daemon, count: number): Promise<void> {
  for (let left = count; left > 0; left -= AT_ONCE)
    await Promise.all(
      Array.from({ length: Math.min(left, AT_ONCE) }, () => client.request('reload')),
    );
}
/** Logs until lines were lost; the least and the most lines that there can be of it. */
async function logUntilLost(daemon: Daemon): Promise<readonly [number, number]> {
  let rounds = 0;
  await until(async () => {
    await logLines(daemon, AT_ONCE);
    rounds += 1;
    return (await status(daemon)).host!.log!.lost > 0;
  });
  return [rounds * AT_ONCE + 1, rounds * (AT_ONCE + 2)];
}
/** Lines of reloads, those that were lost with them, are as many as were logged. */
function expectAll(
  lines: readonly Record<string, unknown>[],
  lost: number,
  [least, most]: readonly [number, number],
): void {
  const all =
    lines.filter(({ msg, op }) => msg === 'config reloaded' || op === 'reload').length + lost;
  expect(all).toBeGreaterThanOrEqual(least);
  expect(all).toBeLessThanOrEqual(most);
}
async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}
/** A pipe's ends: of a FIFO, so that this process holds both. */
function pipe(): { read: number; write: number } {
  const path = join(folder, `${(made += 1)}.fifo`);
  spawnSync('mkfifo', [path]);
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { read, write: openSync(path, constants.O_WRONLY) };
}
function readAll(fd: number): string {
  const into = Buffer.alloc(1 << 20);
  try {
    return into.toString('utf8', 0, readSync(fd, into, 0, into.length, null));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return '';
    throw error;
  }
}
const flagsOf = (fd: number): number =>
  parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1]!, 8);

describe.skipIf(process.platform !== 'linux')('a daemon whose log goes to', () => {
  test('a full device, from the start: carries, says so, and ends in order', async () => {
    const full = openSync('/dev/full', 'w');
    const daemon = await start(full);
    closeSync(full);
    await logUntilLost(daemon);
    const { log } = (await status(daemon)).host!;
    expect(log).toMatchObject({ target: 'standard error', failing: 'ENOSPC' });
    expect(
      (await spines(['status', '--all', '--socket', daemon.socket])).stdout.toString(),
    ).toMatch(/\nlog +standard error: \d+ bytes wait: no space is left, ENOSPC, \d+ lines lost\n/);
    expect((await spines(['doctor', '--socket', daemon.socket])).stdout.toString()).toMatch(
      /\nlog:\n {2}free some space there, or name another `log\.file`\n/,
    );
    daemon.child.kill('SIGTERM');
    expect(await daemon.gone).toBe(0);
  }, 60_000);

  test('a pipe that nobody reads: carries, leaves the pipe as it was, ' +
    'and tells what was lost when somebody does', async () => {
    const { read, write } = pipe();
    const flags = flagsOf(write);
    const daemon = await start(write);
    const logged = await logUntilLost(daemon);
    expect((await status(daemon)).host!.log).toMatchObject({ failing: 'EAGAIN' });
    expect(flagsOf(write), "the parent's own descriptor still blocks").toBe(flags);
    let text = '';
    await until(async () => {
      text += readAll(read);
      return (
        (await status(daemon)).host!.log!.failing === null && text.includes('log lines were lost')
      );
    });
    text += readAll(read);
    const { lost } = (await status(daemon)).host!.log!;
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find(({ msg }) => msg === 'log lines were lost')).toMatchObject({
      level: 40,
      lost,
      why: 'nobody reads it',
    });
    expectAll(lines, lost, logged);
    // Full again, and ended: the exit waits no longer than it may.
    await logLines(daemon, 1_000);
    daemon.child.kill('SIGTERM');
    expect(await daemon.gone).toBe(0);
    closeSync(write);
    closeSync(read);
  }, 60_000);

  test('a pipe of which the reader goes', async () => {
    const { read, write } = pipe();
    const daemon = await start(write);
    closeSync(write);
    closeSync(read);
    await logLines(daemon, 100);
    expect((await status(daemon)).host!.log).toMatchObject({ failing: 'EPIPE' });
    daemon.child.kill('SIGTERM');
    expect(await daemon.gone).toBe(0);
  }, 60_000);

  test.skipIf(process.getuid!() !== 0)(
    'a pipe of another user, which cannot be opened again: carries, and gives it back as it was',
    async () => {
      const { read, write } = pipe();
      const flags = flagsOf(write);
      // As in /tmp: everybody may put files there, and nobody take another's away.
      chmodSync(folder, 0o1777);
      process.env['SPINES_SOCKET_OWNER'] = '61999';
      const daemon = await start(write, (command) => [
        'setpriv',
        '--reuid=61999',
        '--regid=61999',
        '--clear-groups',
        ...command,
      ]).finally(() => delete process.env['SPINES_SOCKET_OWNER']);
      await until(async () => {
        await logLines(daemon, AT_ONCE);
        return (await status(daemon)).host!.log!.failing === 'EAGAIN';
      });
      daemon.child.kill('SIGTERM');
      expect(await daemon.gone).toBe(0);
      expect(flagsOf(write)).toBe(flags);
      closeSync(write);
      closeSync(read);
    },
    60_000,
  );

  test("a socket that nobody reads, as a service manager's", async () => {
    // What Node gives a child as a pipe is a socket.
    const daemon = await start('pipe');
    daemon.child.stderr!.pause();
    await until(async () => {
      await logLines(daemon, AT_ONCE);
      return (await status(daemon)).host!.log!.failing === 'EAGAIN';
    });
    daemon.child.kill('SIGTERM');
    expect(await daemon.gone).toBe(0);
  }, 60_000);

  test.skipIf(spawnSync('script', ['--version']).status !== 0)(
    'a terminal that Ctrl-S has stopped: carries, and Ctrl-Q shows the rest',
    async () => {
      const daemon = await start('pipe', (command) => [
        'script',
        '-qfec',
        command.join(' '),
        '/dev/null',
      ]);
      let text = '';
      daemon.child.stdout!.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      await until(() => text.includes('daemon started'));
      daemon.child.stdin!.write('\x13');
      // The terminal stops when it has read that.
      await logLines(daemon, 300);
      await until(async () => {
        await logLines(daemon, AT_ONCE);
        return (await status(daemon)).host!.log!.failing === 'EAGAIN';
      });
      daemon.child.stdin!.write('\x11');
      await until(async () => (await status(daemon)).host!.log!.waitingBytes === 0);
      await until(() => text.split('reload').length > 300);
      // Stopped for ever: it ends all the same.
      daemon.child.stdin!.write('\x13');
      await until(async () => {
        await logLines(daemon, AT_ONCE);
        return (await status(daemon)).host!.log!.failing === 'EAGAIN';
      });
      const { pid } = (await status(daemon)).host!.process;
      process.kill(pid, 'SIGTERM');
      await until(
        () =>
          !existsSync(`/proc/${pid}`) ||
          readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z '),
      );
    },
    60_000,
  );

  test.skipIf(process.getuid!() !== 0)(
    'a disk that fills up while it runs, and is freed: the file goes on, whole',
    async () => {
      const disk = join(folder, 'disk');
      const daemon = await start('pipe', (command) => [
        'unshare',
        '-m',
        'sh',
        '-c',
        `mkdir -p ${disk} && mount -t tmpfs -o size=128k tmpfs ${disk} && exec ` +
          `${command.join(' ')} 2> ${disk}/log`,
      ]);
      const there = (...command: string[]): string =>
        spawnSync('nsenter', ['-t', String(daemon.child.pid), '-m', ...command]).stdout.toString();
      const logged = await logUntilLost(daemon);
      const { lost } = (await status(daemon)).host!.log!;
      there('mount', '-o', 'remount,size=8m', disk);
      await until(async () => (await status(daemon)).host!.log!.waitingBytes === 0);
      const lines = there('cat', `${disk}/log`)
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines.filter(({ msg }) => msg === 'log lines were lost')).toMatchObject([
        { lost, why: 'no space is left, ENOSPC' },
      ]);
      expectAll(lines, lost, logged);
    },
    60_000,
  );

  test('a file that its config names, and another one after a reload', async () => {
    const [first, second, config] = ['first.log', 'second.log', 'spines.yaml'].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    const socket = join(folder, 'config.sock');
    const [port] = await freePorts(1);
    const write = (log: string): void =>
      writeFileSync(
        config,
        `security: none\nid: 10.0.0.1\nlisten: ["127.0.0.1:${port!}"]\nclient: { socket: ` +
          `${socket} }\nlog: ${log}\n`,
      );
    write('{ file: first.log }');
    const child = spawn(process.execPath, [PROGRAM, 'daemon', '--config', config], {
      stdio: 'ignore',
    });
    children.push(child);
    expect(
      (await spines(['status', '--all', '--socket', socket, '--wait', '1m'])).stdout.toString(),
    ).toMatch(new RegExp(`\nlog +${first}\n`));
    const client = await SpinesClient.connect({ path: socket, reconnect: false });
    write('{ file: second.log, maxSize: 64KiB, keep: 1 }');
    expect(await client.request('reload')).toMatchObject({
      changes: [
        `log.file: ${first} -> ${second}`,
        'log.maxSize: 10485760 -> 65536',
        'log.keep: 5 -> 1',
      ],
    });
    write('{ file: none/second.log }');
    await expect(client.request('reload')).rejects.toThrow(
      /log\.file .*cannot be opened \(ENOENT\); make its folder/,
    );
    write('{ keep: 1 }');
    await expect(client.request('reload')).rejects.toThrow(/:5:8: log\.keep: is for a log file/);
    expect(readFileSync(first, 'utf8')).toMatch(/daemon started.*\n$/s);
    await until(() => readFileSync(second, 'utf8').split('nothing changed').length === 3);
  }, 60_000);

  test('a file of its own: kept small, and named by status', async () => {
    const file = join(folder, 'own.log');
    const daemon = await start('pipe', undefined, ['--log-file', file]);
    await logLines(daemon, 100);
    daemon.child.kill('SIGTERM');
    expect(await daemon.gone).toBe(0);
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/daemon stopped"}\n$/);
    expect(text.split('"op":"reload"')).toHaveLength(101);
    const refused = await spines([
      'daemon',
      '--security',
      'none',
      '--id',
      '10.0.0.1',
      '--log-file',
      join(folder, 'none', 'x.log'),
    ]);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toMatch(
      /^spines: log\.file .*x\.log cannot be opened \(ENOENT\); make its folder\n$/,
    );
    expect(existsSync(join(folder, 'none'))).toBe(false);
  }, 60_000);
});

describe.skipIf(process.platform !== 'linux')('standard output on a full disk', () => {
  test('is one line and exit code 1, whatever the command prints', async () => {
    const daemon = await start('pipe');
    daemon.child.stderr!.resume();
    const commands = [
      ['help'],
      ['status', '--json', '--socket', daemon.socket],
      ['ping', '10.0.0.1', '-c', '2', '--socket', daemon.socket],
    ];
    for (const command of commands) {
      const full = openSync('/dev/full', 'w');
      const ran = spawnSync(process.execPath, [PROGRAM, ...command], {
        stdio: ['ignore', full, 'pipe'],
      });
      closeSync(full);
      expect(ran.stderr.toString(), command.join(' ')).toBe(
        "spines: can't write to standard output: ENOSPC; make room there, or send it elsewhere\n",
      );
      expect(ran.status, command.join(' ')).toBe(1);
    }
    daemon.child.kill('SIGTERM');
    await daemon.gone;
  }, 60_000);
});
