/**
 * `spines stop`: ends a daemon, or all daemons and tunnels of a network's folder or of this user,
 * in order.
 *
 * Owns who is meant and what is said. A daemon is sent SIGTERM by whoever may, so that nobody can
 * stop through a socket what he could not stop otherwise, and is awaited: it says good-bye to its
 * neighbours first.
 */

import type { Command } from 'commander';

import { processIdentity } from '../host/doors/process-identity.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from './client.ts';
import { EXIT_NO, Failure, usage } from './terminal/failure.ts';
import { helpBelow } from './terminal/help-text.ts';
import { note, print, terminalColumns } from './terminal/output.ts';
import { belongsTo, gone, runningCommands, type RunningCommand } from './running.ts';
import { formatNode, wrapText } from './terminal/table.ts';

interface StopFlags extends ClientFlags {
  all?: boolean;
}

/** A daemon with slow clients takes two seconds. */
const END_MS = 10_000;
const LINE_COLUMNS = 60;

const HELP = `
Without arguments: the daemon that --socket or $SPINES_SOCKET names. With FOLDER: \
daemons and tunnels
that were told of a file in it, such as a network that \`spines init\` made.
Tunnels whose daemon is stopped alone wait for it to come back.`;

export function registerStop(program: Command): void {
  addClientFlags(
    program.command('stop [folder]').description('end a daemon, or daemons and tunnels, in order'),
  )
    .option('--all', 'all daemons and tunnels of yours on this machine')
    .addHelpText('after', helpBelow(HELP))
    .action(async (folder: string | undefined, flags: StopFlags) => {
      if (folder !== undefined && flags.all === true)
        throw usage('--all stops everything, a folder what belongs to it; give one of the two');
      if (flags.remote !== undefined)
        throw usage('a daemon is stopped on its own machine; run `spines stop` there');
      if (folder === undefined && flags.all !== true) await stopOne(flags);
      else if (folder === undefined)
        await stopMany(runningCommands(false), 'nothing of yours runs');
      else await stopFolder(folder);
    });
}

/** Ends the daemon that the flags name; `quiet`: and says nothing of it. */
export async function stopOne(flags: ClientFlags, quiet = false): Promise<void> {
  await withClient(flags, 'stop', async (client) => {
    const { name, node, host, clients } = await ask(client, 'status');
    const closed = new Promise<void>((resolve) =>
      client
        .once('disconnect', () => resolve())
        .once('error', () => resolve())
        .once('close', () => resolve()),
    );
    // A process number means nothing in another namespace.
    const pid =
      host !== null && host.process.namespace === processIdentity().namespace
        ? host.process.pid
        : null;
    if (pid === null || !signalled(pid)) {
      try {
        await ask(client, 'shutdown');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
        throw new Failure(
          EXIT_NO,
          'EPERM',
          `${formatNode(name, node)} is not yours to stop; be its user or root, or set ` +
            'allowShutdown in its config',
        );
      }
    }
    const late = new Promise<'late'>((resolve) =>
      setTimeout(() => resolve('late'), END_MS).unref(),
    );
    const over =
      pid === null ? await Promise.race([closed.then(() => true), late]) : await gone(pid, END_MS);
    if (over !== true) throw stillRuns(formatNode(name, node), pid);
    if (!quiet) print(wrapText(`stopped ${formatNode(name, node)}`, '', terminalColumns()));
    if (clients > 1)
      note(`${clients - 1} of its programs were connected; tunnels wait for it to come back`);
  });
}

/** What belongs to `folder`, as far as this user may see. */
async function stopFolder(folder: string): Promise<void> {
  const all = runningCommands(true),
    found = all.filter((one) => belongsTo(one, folder)),
    hidden = all.filter((one) => one.hidden && !found.includes(one));
  const unseen = hidden.map(
    ({ pid, line }) => `${short(line)} (pid ${pid}) is another user's: its files cannot be seen`,
  );
  if (found.length === 0 && hidden.length > 0)
    throw new Failure(
      EXIT_NO,
      'EPERM',
      `nothing that this user may see runs with a file in ${folder}, and ${hidden.length} of ` +
        'other users may; be their user or root',
      unseen,
    );
  await stopMany(found, `nothing that this user may see runs with a file in ${folder}`);
  for (const one of unseen) note(one);
}

async function stopMany(found: readonly RunningCommand[], none: string): Promise<void> {
  if (found.length === 0) {
    print(`${none}\n`);
    return;
  }
  const refused: string[] = [];
  // Tunnels first: they end their connections while there is a daemon to tell.
  for (const group of [
    found.filter(({ isDaemon }) => !isDaemon),
    found.filter(({ isDaemon }) => isDaemon),
  ]) {
    const ending = group.filter(({ pid, line }) => {
      const may = signalled(pid);
      if (!may) refused.push(`${short(line)} (pid ${pid}) is another user's`);
      return may;
    });
    await Promise.all(
      ending.map(async ({ pid, line }) => {
        if (await gone(pid, END_MS)) print(`stopped ${short(line)}\n`);
        else refused.push(stillRuns(short(line), pid).message);
      }),
    );
  }
  if (refused.length > 0)
    throw new Failure(
      EXIT_NO,
      'EPERM',
      `${refused.length} of ${found.length} not stopped; be their user or root, or end them with ` +
        `\`kill -9\``,
      refused,
    );
}

/** False: not allowed. Who is gone already is as good as told. */
function signalled(pid: number): boolean {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  return true;
}

function stillRuns(what: string, pid: number | null): Failure {
  return new Failure(
    EXIT_NO,
    'ETIMEDOUT',
    `${what} still runs after ${END_MS / 1_000} s; see its ` +
      `log${pid === null ? '' : `, or end it with \`kill -9 ${pid}\``}`,
  );
}

function short(line: string): string {
  return line.length <= LINE_COLUMNS ? line : `${line.slice(0, LINE_COLUMNS - 3)}...`;
}
