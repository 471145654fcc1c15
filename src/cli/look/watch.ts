/**
 * `spines watch`: what happens on the daemon, as it happens: a line for each event, or with --json
 * an object a line.
 *
 * Owns flags and the end: by signal, after so many events, or when nobody reads any more. A daemon
 * that restarts is waited for. The sentences are event-text.ts's.
 */

import { InvalidArgumentError, type Command } from 'commander';
import type { DaemonEvent, SpinesClient, WatchKind } from 'spines-client';
import { WATCH_KINDS } from 'spines-client/protocol';

import { addClientFlags, withClient, type ClientFlags } from '../client.ts';
import { wrapWords } from '../terminal/columns.ts';
import { print, terminalColumns } from '../terminal/output.ts';
import { plainAnswer, plainJson } from '../terminal/plain-text.ts';
import { paintFor, type Paint } from '../terminal/table.ts';
import { integerArg } from '../terminal/values.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { eventText } from './event-text.ts';

interface WatchFlags extends ClientFlags {
  json?: boolean;
  only?: readonly WatchKind[];
  node?: string;
  count?: number;
}

const KIND_COLUMNS = 11;

export function registerWatch(program: Command): void {
  addClientFlags(
    program.command('watch').description('print what happens on the daemon, as it happens'),
  )
    .option('--only <kinds>', 'only these, as in link,route (default: all)', kindsArg)
    .option('--node <node>', 'only what is about this node, by name or address')
    .option('-c, --count <n>', 'end after so many events', integerArg(1, 1_000_000_000))
    .option('--json', 'print JSON, an object a line')
    .addHelpText('after', helpBelow(`Kinds: ${WATCH_KINDS.join(', ')}.`))
    .action((flags: WatchFlags) =>
      withClient(flags, 'watch', (client) => watch(client, flags), true),
    );
}

function kindsArg(text: string): readonly WatchKind[] {
  return text.split(',').map((word) => {
    const kind = WATCH_KINDS.find((one) => one === word.trim());
    if (kind === undefined)
      throw new InvalidArgumentError(`write some of ${WATCH_KINDS.join(',')}.`);
    return kind;
  });
}

async function watch(client: SpinesClient, flags: WatchFlags): Promise<void> {
  const events = client.watch(flags.only === undefined ? {} : { kinds: flags.only });
  const stop = (): void => void events.return?.();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const paint = paintFor(process.stdout, process.env);
  let count = 0;
  for await (const event of events) {
    if (flags.node !== undefined && !isAbout(event, flags.node)) continue;
    if (flags.json === true) print(plainJson(`${JSON.stringify({ schema: 1, ...event })}\n`));
    else print(formatEvent(event, paint, process.stdout.isTTY ? terminalColumns() : Infinity));
    count += 1;
    if (count === flags.count) break;
  }
  process.off('SIGINT', stop);
  process.off('SIGTERM', stop);
}

/** A line, or as many as it takes where `columns` is finite. */
export function formatEvent(event: DaemonEvent, paint: Paint, columns: number): string {
  const { kind, text, colour } = eventText(plainAnswer(event));
  const head = `${timeText(event.at)}  ${kind.padEnd(KIND_COLUMNS)} `;
  const lines = wrapWords(text, Math.max(1, columns - head.length), true);
  const painted = lines.map((line) => (colour === null ? line : paint(colour, line)));
  return `${head}${painted.join(`\n${' '.repeat(head.length)}`)}\n`;
}

/** By the clock of this machine's time zone: "15:31:02.113". */
export function timeText(at: number): string {
  const time = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.` +
    String(time.getMilliseconds()).padStart(3, '0')
  );
}

/** Whether the event names that node anywhere. */
function isAbout(event: DaemonEvent, wanted: string): boolean {
  if (event.kind === 'missed' || event.kind === 'daemon') return true;
  return names(event).has(wanted);
}

function names(value: unknown, found = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return found;
  for (const [key, each] of Object.entries(value)) {
    if ((key === 'node' || key === 'name') && typeof each === 'string') found.add(each);
    else if (Array.isArray(each)) for (const one of each) names(one, found);
    else names(each, found);
  }
  return found;
}
