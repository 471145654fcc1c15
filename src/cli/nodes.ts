/**
 * `spines nodes`: every daemon of the overlay that link state knows, with its links.
 *
 * Owns the layout of the answer; the facts are the daemon's NodesReply.
 */

import type { Command } from 'commander';
import type { NodesReply } from 'spines-client';

import { addClientFlags, ask, withClient, type ClientFlags } from './client.ts';
import { print, printJson } from './output.ts';
import { plainAnswer } from './plain-text.ts';
import { formatAge, formatMs, formatTable, paintFor, wrapText, type Paint } from './table.ts';
import { formatTwins } from './twins.ts';

/** Neighbours shown of one node; a table with more is read with --json. */
const NEIGHBOURS_SHOWN = 8;

export function registerNodes(program: Command): void {
  addClientFlags(program.command('nodes').description('list the nodes of the overlay'))
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'nodes', async (client) => {
        const nodes = await ask(client, 'nodes');
        if (flags.json === true) printJson(nodes);
        else print(formatNodes(nodes, paintFor(process.stdout, process.env)));
      }),
    );
}

export function formatNodes(reply: NodesReply, paint: Paint): string {
  const { nodes, twins } = plainAnswer(reply);
  const table = formatTable(
    [{ title: 'node' }, { title: 'name' }, { title: 'state' }, { title: 'heard', align: 'right' }, { title: 'links' }],
    nodes.map((node) => [
      node.node, node.name ?? '',
      stateOf(node, paint),
      node.self || node.why?.code === 'notHeard' ? '-' : `${formatAge(node.ageMs)} ago`,
      neighbours(node.links),
    ]),
  );
  const reasons = nodes.flatMap(({ why }) => (why == null ? [] : [`\n${wrapText(why.text, '')}${wrapText(`next: ${why.next}`, '  ')}`]));
  return table + reasons.join('') + formatTwins(twins);
}

function stateOf({ self, reachable, why }: NodesReply['nodes'][number], paint: Paint): string {
  if (self) return 'self';
  if (why != null) return paint('red', why.code === 'notHeard' ? why.short : `refused: ${why.short}`);
  return reachable ? paint('green', 'reachable') : paint('red', 'unreachable');
}

/** "B 10.0 ms, C 12.5 ms (unconfirmed)". */
function neighbours(links: NodesReply['nodes'][number]['links']): string {
  const shown = links.slice(0, NEIGHBOURS_SHOWN).map((link) => {
    const name = link.name === null || link.name === '' ? link.node : link.name;
    return `${name} ${formatMs(link.latencyMs)}${link.confirmed ? '' : ' (unconfirmed)'}`;
  });
  if (links.length > shown.length) shown.push(`and ${links.length - shown.length} more`);
  return shown.join(', ');
}
