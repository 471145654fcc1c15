/**
 * `spines links`: the daemon's neighbours, and how each link does.
 *
 * Owns the layout of the answer; the facts are the daemon's LinksReply.
 */

import type { Command } from 'commander';
import type { LinksReply } from 'spines-client';

import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import {
  formatAge,
  formatMs,
  formatPct,
  formatTable,
  paintFor,
  wrapText,
  type Paint,
} from '../terminal/table.ts';
import { formatTwins } from './twins.ts';

const STATE_COLOURS = { up: 'green', connecting: 'yellow', down: 'red', standby: 'dim' } as const;

export function registerLinks(program: Command): void {
  addClientFlags(program.command('links').description('list the links to neighbours'))
    .option('--json', 'print JSON')
    .option('--realtime', 'what links do for packets with a deadline')
    .action((flags: ClientFlags & { json?: boolean; realtime?: boolean }) =>
      withClient(flags, 'links', async (client) => {
        const links = await ask(client, 'links');
        if (flags.json === true) printJson(links);
        else if (flags.realtime === true) print(formatRealtime(links, terminalColumns()));
        else print(formatLinks(links, paintFor(process.stdout, process.env), terminalColumns()));
      }),
    );
}

export function formatLinks(reply: LinksReply, paint: Paint, columns = COLUMNS_DEFAULT): string {
  const { links, twins } = plainAnswer(reply);
  if (links.length === 0)
    return 'no links; add neighbours with `links:` in the config file or --link\n';
  const flapping = links.some(({ flaps = 0 }) => flaps > 0);
  const table = formatTable(
    [
      { title: 'node', key: true },
      { title: 'name', cut: 8 },
      { title: 'address', cut: 21 },
      { title: 'state' },
      { title: 'since', align: 'right' },
      ...(links.some(({ why }) => why != null) ? [{ title: 'why' }] : []),
      { title: 'rtt', align: 'right' },
      { title: 'loss out', align: 'right' },
      { title: 'loss in', align: 'right' },
      { title: 'sent', align: 'right' },
      { title: 'received', align: 'right' },
      { title: 'resent', align: 'right' },
      { title: 'dropped', align: 'right' },
      { title: 'queue', align: 'right' },
      { title: 'size', align: 'right' },
      ...(flapping ? [{ title: 'flaps', align: 'right' as const }] : []),
      { title: 'keys' },
    ],
    links.map((link) => [
      link.node ?? '?',
      link.name ?? '',
      link.address,
      paint(STATE_COLOURS[link.state], link.state),
      formatAge(link.sinceMs),
      ...(links.some(({ why }) => why != null) ? [link.why?.short ?? ''] : []),
      formatMs(link.rttMs),
      formatPct(link.lossOutPct),
      formatPct(link.lossInPct),
      String(link.sent.datagrams),
      String(link.received.datagrams),
      String(link.retransmitted),
      String(link.dropped),
      `${link.queueBytes} B`,
      link.size === null ? '' : `${link.size.datagramBytes}${link.size.searching ? '?' : ''}`,
      ...(flapping ? [String(link.flaps ?? 0)] : []),
      link.seal === null
        ? link.state === 'up'
          ? paint('red', 'not sealed')
          : ''
        : `${formatAge(link.seal.keyAgeMs)} old`,
    ]),
    columns,
  );
  return (
    table + links.map((link) => reasonOf(link, columns)).join('') + formatTwins(twins, columns)
  );
}

/** What links do for packets with a deadline, and what that costs. */
export function formatRealtime(reply: LinksReply, columns = COLUMNS_DEFAULT): string {
  const rows = plainAnswer(reply).links.flatMap(({ node, name, realtime }) =>
    realtime == null ? [] : [{ who: name ?? node ?? '?', ...realtime }],
  );
  if (rows.length === 0) return 'no packet with a deadline has passed a link here\n';
  const right = { align: 'right' } as const;
  return formatTable(
    [
      { title: 'link', key: true },
      { title: 'mode' },
      { title: 'extra', ...right },
      { title: 'sent', ...right },
      { title: 'per s', ...right },
      { title: 'loss out', ...right },
      { title: 'in bursts', ...right },
      { title: 'asked', ...right },
      { title: 'again', ...right },
      { title: 'too late', ...right },
      { title: 'refused', ...right },
      { title: 'probes', ...right },
      { title: 'copies', ...right },
      { title: 'parities', ...right },
      { title: 'received', ...right },
      { title: 'missing', ...right },
      { title: 'requests', ...right },
      { title: 'needless', ...right },
      { title: 'mended', ...right },
    ],
    rows.map((row) => [
      row.who,
      row.mode,
      formatPct(row.extraPct),
      String(row.sentPackets),
      String(row.packetsPerSecond),
      formatPct(row.lossOutPct),
      formatPct(row.burstPct),
      String(row.asked),
      String(row.again),
      String(row.tooLate),
      String(row.overBudget),
      String(row.probes),
      String(row.copies),
      String(row.parities),
      String(row.receivedPackets),
      String(row.missing),
      String(row.requests),
      String(row.needless),
      String(row.recovered + row.repaired),
    ]),
    columns,
  );
}

/** Cause and next step of a link that is not up, below the table. */
function reasonOf(
  { name, node, address, state, sinceMs, why }: LinksReply['links'][number],
  columns: number,
): string {
  if (why == null) return '';
  const who = name ?? node;
  const head =
    `${who === null ? address : `${who} at ${address}`}, ${state} for ` +
    `${formatAge(sinceMs)}: ${why.short}`;
  const next = wrapText(`next: ${why.next}`, '  ', columns);
  return `\n${wrapText(head, '', columns)}${wrapText(why.text, '  ', columns)}${next}`;
}
