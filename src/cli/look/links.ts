/**
 * `spines links`: the daemon's neighbours, and how each link does.
 *
 * Owns the layout of the answer; the facts are the daemon's LinksReply.
 */

import type { Command } from 'commander';
import type { LinkRow, LinksReply } from 'spines-client';

import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import {
  formatAge,
  formatMs,
  formatPct,
  formatRate,
  formatTable,
  paintFor,
  wrapText,
  type Paint,
} from '../terminal/table.ts';
import { formatTwins } from './twins.ts';

const STATE_COLOURS = { up: 'green', connecting: 'yellow', down: 'red', standby: 'dim' } as const;

type LinkFlags = ClientFlags & { json?: boolean; realtime?: boolean; all?: boolean };

export function registerLinks(program: Command): void {
  addClientFlags(program.command('links').description('list the links to neighbours'))
    .option('--all', 'addresses, counters, sizes and keys as well')
    .option('--realtime', 'what links do for packets with a deadline')
    .option('--json', 'print JSON')
    .action((flags: LinkFlags) =>
      withClient(flags, 'links', async (client) => {
        const links = await ask(client, 'links');
        const paint = paintFor(process.stdout, process.env),
          columns = terminalColumns();
        if (flags.json === true) printJson(links);
        else if (flags.realtime === true) print(formatRealtime(links, columns));
        else if (flags.all === true) print(formatAllOfLinks(links, paint, columns));
        else print(formatLinks(links, paint, columns));
      }),
    );
}

/** So wide a terminal has room for ids and addresses. */
const WIDE_COLUMNS = 120;
const LOSS_WARN_PCT = 2,
  LOSS_BAD_PCT = 15;

/** A neighbour as people call it; where nothing is known of it, where it is. */
export function neighbourName({ name, node, address }: LinkRow): string {
  return name !== null && name !== '' ? name : (node ?? address);
}

/** "0 / 0 %", out and in. */
export function lossText({ lossOutPct, lossInPct }: LinkRow, paint: Paint): string {
  if (lossOutPct === null || lossInPct === null) return '-';
  const text = `${tenths(lossOutPct)} / ${tenths(lossInPct)} %`;
  const worst = Math.max(lossOutPct, lossInPct);
  return worst >= LOSS_BAD_PCT
    ? paint('red', text)
    : worst >= LOSS_WARN_PCT
      ? paint('yellow', text)
      : text;
}

/** "1.20M / 840", out and in. */
export function rateText({ rate }: Pick<LinkRow, 'rate'>): string {
  return rate == null ? '-' : `${formatRate(rate.sentBps)} / ${formatRate(rate.receivedBps)}`;
}

/** Why it is not up, and how often it went down in the last hour. */
export function whyText({ state, why, ended = '', flaps = 0, damped }: LinkRow): string {
  const parts: string[] = [];
  if (why != null) parts.push(why.short);
  else if (state === 'down' && ended !== '') parts.push(ended.split(':')[0]!);
  if (damped === true) parts.push('not trusted');
  if (flaps > 0) parts.push(`${flaps} flap${flaps === 1 ? '' : 's'}`);
  return parts.join(', ');
}

const NO_LINKS = 'no links; add neighbours with `links:` in the config file or --link\n';

/** The table alone. Texts are plain by now. */
export function linksTable(links: readonly LinkRow[], paint: Paint, columns: number): string {
  if (links.length === 0) return NO_LINKS;
  const wide = columns >= WIDE_COLUMNS;
  const noted = links.some((link) => whyText(link) !== '');
  return formatTable(
    [
      { title: 'name', cut: 8, key: true },
      ...(wide ? [{ title: 'node' }, { title: 'address', cut: 21 }] : []),
      { title: 'state' },
      { title: 'since', align: 'right' },
      { title: 'rtt', align: 'right' },
      { title: 'loss o/i', align: 'right' },
      { title: 'bit/s out/in', align: 'right' },
      ...(noted ? [{ title: 'why', wrap: 12 }] : []),
    ],
    links.map((link) => [
      neighbourName(link),
      ...(wide ? [link.node ?? '?', link.address] : []),
      paint(STATE_COLOURS[link.state], link.state),
      formatAge(link.sinceMs),
      link.state === 'up' ? formatMs(link.rttMs) : '-',
      lossText(link, paint),
      rateText(link),
      ...(noted ? [paint(link.state === 'up' ? 'yellow' : 'red', whyText(link))] : []),
    ]),
    columns,
  );
}

export function formatLinks(reply: LinksReply, paint: Paint, columns = COLUMNS_DEFAULT): string {
  const { links, twins } = plainAnswer(reply);
  if (links.length === 0) return NO_LINKS;
  const open = links.some(({ state, seal }) => state === 'up' && seal === null)
    ? `${paint('red', 'not sealed')}: anyone who reaches the UDP port can join, read and forge\n`
    : '';
  return (
    linksTable(links, paint, columns) +
    open +
    links.map((link) => reasonOf(link, columns)).join('') +
    formatTwins(twins, columns)
  );
}

function tenths(pct: number): string {
  return String(Math.round(pct * 10) / 10);
}

/** All that is known of links, in as many parts as that takes. */
export function formatAllOfLinks(
  reply: LinksReply,
  paint: Paint,
  columns = COLUMNS_DEFAULT,
): string {
  const { links, twins } = plainAnswer(reply);
  if (links.length === 0) return NO_LINKS;
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
      pctText(link.lossOutPct),
      pctText(link.lossInPct),
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

function pctText(pct: number | null): string {
  return pct === null ? '-' : formatPct(pct);
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
      { title: 'uncopied', ...right },
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
      String(row.uncopied),
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
