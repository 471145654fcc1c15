/**
 * `spines sessions`: what this daemon's clients have open, and how each stream does.
 *
 * Owns the layout of the answer; the facts are the daemon's SessionsReply.
 */

import type { Command } from 'commander';
import type { SessionRow, SessionsReply } from 'spines-client/protocol';

import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatMs, formatTable, paintFor, type Paint } from '../terminal/table.ts';

export function registerSessions(program: Command): void {
  addClientFlags(
    program
      .command('sessions')
      .description("list the sockets of this daemon's clients, with what keeps each stream"),
  )
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'sessions', async (client) => {
        const sessions = await ask(client, 'sessions');
        if (flags.json === true) printJson(sessions);
        else
          print(formatSessions(sessions, paintFor(process.stdout, process.env), terminalColumns()));
      }),
    );
}

export function formatSessions(
  reply: SessionsReply,
  paint: Paint,
  columns = COLUMNS_DEFAULT,
): string {
  const { sessions } = plainAnswer(reply);
  if (sessions.length === 0) return 'no sessions; no client of this daemon has a socket open\n';
  return (
    formatTable(
      [
        { title: 'kind' },
        { title: 'state' },
        { title: 'client', cut: 12 },
        { title: 'port', align: 'right', key: true },
        { title: 'remote', cut: 14, key: true },
        { title: 'link' },
        { title: 'sent', align: 'right' },
        { title: 'received', align: 'right' },
        { title: 'rtt', align: 'right' },
        { title: 'window', align: 'right' },
        { title: 'in flight', align: 'right' },
        { title: 'queued', align: 'right' },
        { title: 'resent', align: 'right' },
        { title: 'marks', align: 'right' },
        { title: 'limited by' },
      ],
      sessions.map((row) => [
        row.kind,
        state(row, paint),
        row.certificate === null ? row.client : `${row.client} (${row.certificate})`,
        row.port === 0 ? '-' : String(row.port),
        remote(row),
        row.link,
        String(row.sent),
        String(row.received),
        formatMs(row.rttMs),
        number(row.windowBytes),
        number(row.inFlightBytes),
        number(row.queuedBytes),
        number(row.resentBytes),
        number(row.ecnMarks),
        row.limitedBy ?? '',
      ]),
      columns,
    ) + 'Streams count bytes, datagram sockets count messages.\n'
  );
}

function state({ state: name }: SessionRow, paint: Paint): string {
  return name === '' ? '-' : paint(name === 'established' ? 'green' : 'yellow', name);
}

function remote({ remoteNode, remoteName, remotePort }: SessionRow): string {
  return remoteNode === null
    ? '-'
    : `${remoteName === null || remoteName === '' ? remoteNode : remoteName}:${remotePort ?? '?'}`;
}

function number(value: number | null): string {
  return value === null ? '-' : String(value);
}
