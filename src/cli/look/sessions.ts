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
import { formatMs, formatRate, formatTable, paintFor, type Paint } from '../terminal/table.ts';

/** How far apart the two looks are that rates come from. */
const LOOKS_APART_MS = 500;

/** A session, and what it moves a second: bits of a stream, messages of a datagram socket. */
export interface SessionView extends SessionRow {
  /** Null: it was not there at the first look. */
  rate: { sentPerSecond: number; receivedPerSecond: number } | null;
}

/** What --json prints. */
export interface SessionsView {
  schema: 1;
  sessions: SessionView[];
}

type SessionFlags = ClientFlags & { json?: boolean; all?: boolean };

export function registerSessions(program: Command): void {
  addClientFlags(
    program
      .command('sessions')
      .description("list the sockets of this daemon's clients, with what keeps each stream"),
  )
    .option('--all', 'windows, what was resent and what waits, as well')
    .option('--json', 'print JSON')
    .action((flags: SessionFlags) =>
      withClient(flags, 'sessions', async (client) => {
        const before = await ask(client, 'sessions'),
          at = performance.now();
        await new Promise((then) => setTimeout(then, LOOKS_APART_MS));
        const after = await ask(client, 'sessions');
        const view = sessionsView(before, after, performance.now() - at);
        const paint = paintFor(process.stdout, process.env);
        if (flags.json === true) printJson(view);
        else if (flags.all === true) print(formatAllOfSessions(view, paint, terminalColumns()));
        else print(formatSessions(view, paint, terminalColumns()));
      }),
    );
}

/** Rates from what two looks, `apartMs` apart, have. */
export function sessionsView(
  before: SessionsReply,
  after: SessionsReply,
  apartMs: number,
): SessionsView {
  const first = new Map(before.sessions.map((row) => [keyOf(row), row]));
  return {
    schema: 1,
    sessions: after.sessions.map((row): SessionView => {
      const was = first.get(keyOf(row));
      const rate = (now: number, then: number): number =>
        (Math.max(0, now - then) * (row.kind === 'stream' ? 8 : 1) * 1_000) / apartMs;
      return {
        ...row,
        rate:
          was === undefined
            ? null
            : {
                sentPerSecond: Math.round(rate(row.sent, was.sent)),
                receivedPerSecond: Math.round(rate(row.received, was.received)),
              },
      };
    }),
  };
}

/** No two sockets of a daemon share it. */
function keyOf({ kind, port, remoteNode, remotePort, client }: SessionRow): string {
  return [kind, port, remoteNode, remotePort, client].join(' ');
}

export function formatSessions(
  reply: SessionsView,
  paint: Paint,
  columns = COLUMNS_DEFAULT,
): string {
  const { sessions } = plainAnswer(reply);
  if (sessions.length === 0) return 'no sessions; no client of this daemon has a socket open\n';
  return formatTable(
    [
      { title: 'program', cut: 9 },
      { title: 'socket' },
      { title: 'port', align: 'right', key: true },
      { title: 'remote', cut: 12, key: true },
      { title: 'by', wrap: 9 },
      { title: 'out / in a second', align: 'right' },
      { title: 'limited by', wrap: 11 },
    ],
    sessions.map((row) => [
      row.certificate === null ? row.client : `${row.client} (${row.certificate})`,
      socketText(row, paint),
      row.port === 0 ? '-' : String(row.port),
      remote(row),
      row.routing === 'link-state' ? row.link : `${row.link}, ${row.routing}`,
      rateText(row),
      limitText(row, paint),
    ]),
    columns,
  );
}

/** "stream", or with its state where that is not the usual one. */
function socketText({ kind, state: name }: SessionRow, paint: Paint): string {
  return name === '' || name === 'established' ? kind : paint('yellow', `${kind} ${name}`);
}

/** "1.20M / 840 bit", "12 / 0 msg". */
function rateText({ kind, rate }: SessionView): string {
  if (kind === 'listener') return '-';
  if (rate === null) return 'new';
  const unit = kind === 'stream' ? 'bit' : 'msg';
  return `${formatRate(rate.sentPerSecond)} / ${formatRate(rate.receivedPerSecond)} ${unit}`;
}

/** What a program that sends nothing is limited by goes without saying. */
function limitText({ limitedBy }: SessionRow, paint: Paint): string {
  return limitedBy === null || limitedBy === 'application' ? '-' : paint('yellow', limitedBy);
}

/** All that is known of sockets. */
export function formatAllOfSessions(
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
