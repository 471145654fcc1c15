/**
 * `spines links`: the daemon's neighbours, and how each link does.
 *
 * Owns the layout of the answer; the facts are the daemon's LinksReply.
 */

import type { Command } from 'commander';
import type { LinksReply } from 'spines-client';

import { addClientFlags, ask, withClient, type ClientFlags } from './client.ts';
import { print, printJson } from './output.ts';
import { plainAnswer } from './plain-text.ts';
import { formatAge, formatMs, formatPct, formatTable, paintFor, wrapText, type Paint } from './table.ts';
import { formatTwins } from './twins.ts';

const STATE_COLOURS = { up: 'green', connecting: 'yellow', down: 'red', standby: 'dim' } as const;

export function registerLinks(program: Command): void {
  addClientFlags(program.command('links').description('list the links to neighbours'))
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'links', async (client) => {
        const links = await ask(client, 'links');
        if (flags.json === true) printJson(links);
        else print(formatLinks(links, paintFor(process.stdout, process.env)));
      }),
    );
}

export function formatLinks(reply: LinksReply, paint: Paint): string {
  const { links, twins } = plainAnswer(reply);
  if (links.length === 0) return 'no links; add neighbours with `links:` in the config file or --link\n';
  const flapping = links.some(({ flaps = 0 }) => flaps > 0);
  const table = formatTable(
    [
      { title: 'node' }, { title: 'name' }, { title: 'address' }, { title: 'state' }, { title: 'since', align: 'right' }, { title: 'rtt', align: 'right' },
      { title: 'loss out', align: 'right' }, { title: 'loss in', align: 'right' }, { title: 'sent', align: 'right' }, { title: 'received', align: 'right' },
      { title: 'resent', align: 'right' }, { title: 'dropped', align: 'right' }, { title: 'queue', align: 'right' },
      { title: 'size', align: 'right' }, ...(flapping ? [{ title: 'flaps', align: 'right' as const }] : []), { title: 'keys' },
      ...(links.some(({ why }) => why != null) ? [{ title: 'why' }] : []),
    ],
    links.map((link) => [
      link.node ?? '?', link.name ?? '', link.address, paint(STATE_COLOURS[link.state], link.state), formatAge(link.sinceMs), formatMs(link.rttMs),
      formatPct(link.lossOutPct), formatPct(link.lossInPct), String(link.sent.datagrams), String(link.received.datagrams),
      String(link.retransmitted), String(link.dropped), `${link.queueBytes} B`,
      link.size === null ? '' : `${link.size.datagramBytes}${link.size.searching ? '?' : ''}`,
      ...(flapping ? [String(link.flaps ?? 0)] : []),
      link.seal === null ? (link.state === 'up' ? paint('red', 'not sealed') : '') : `${formatAge(link.seal.keyAgeMs)} old`,
      link.why?.short ?? '',
    ]),
  );
  return table + links.map(reasonOf).join('') + formatTwins(twins);
}

/** Cause and next step of a link that is not up, below the table. */
function reasonOf({ name, node, address, state, sinceMs, why }: LinksReply['links'][number]): string {
  if (why == null) return '';
  const who = name ?? node;
  return `\n${who === null ? address : `${who} at ${address}`}, ${state} for ${formatAge(sinceMs)}: ${why.short}\n${wrapText(why.text, '  ')}${wrapText(`next: ${why.next}`, '  ')}`;
}
