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
import { formatAge, formatMs, formatTable, paintFor, tableWidth, wrapText, type Column, type Paint } from './table.ts';
import { formatTwins } from './twins.ts';

/** Neighbours shown of one node; a table with more is read with --json. */
const NEIGHBOURS_SHOWN = 8;
const LINE_COLUMNS = 80;
/** The neighbours have at least this much of a line. */
const LINKS_COLUMNS_MIN = 18;

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
  const columns: Column[] = [{ title: 'node' }, { title: 'name' }, { title: 'state' }, { title: 'heard', align: 'right' }, { title: 'version' }, { title: 'wire' }];
  const facts = nodes.map((node) => [
    node.node, node.name ?? '',
    stateOf(node, paint),
    node.self || node.why?.code === 'notHeard' ? '-' : `${formatAge(node.ageMs)} ago`,
    node.facts?.version ?? '-', node.facts == null ? '-' : wireRange(node.facts.wireVersions),
  ]);
  const room = Math.max(LINKS_COLUMNS_MIN, LINE_COLUMNS - tableWidth(columns, facts) - 2);
  const rows = nodes.flatMap(({ links }, i) => neighbours(links, room).map((line, part) => [...(part === 0 ? facts[i]! : columns.map(() => '')), line]));
  const table = formatTable([...columns, { title: 'links' }], rows);
  const reasons = nodes.flatMap(({ why }) => (why == null ? [] : [`\n${wrapText(why.text, '')}${wrapText(`next: ${why.next}`, '  ')}`]));
  return table + reasons.join('') + formatTwins(twins);
}

function stateOf({ self, reachable, why }: NodesReply['nodes'][number], paint: Paint): string {
  if (self) return 'self';
  if (why != null) return paint('red', why.code === 'notHeard' ? why.short : `refused: ${why.short}`);
  return reachable ? paint('green', 'reachable') : paint('red', 'unreachable');
}

/** "2", "2-3". */
function wireRange({ min, max }: { readonly min: number; readonly max: number }): string {
  return min === max ? String(max) : `${min}-${max}`;
}

/** "B 10.0 ms, C 12.5 ms (unconfirmed)", in lines of at most `room`; a part that is longer has a line of its own. */
function neighbours(links: NodesReply['nodes'][number]['links'], room: number): string[] {
  const parts: string[] = [];
  links.slice(0, NEIGHBOURS_SHOWN).forEach((link, i) => {
    const comma = i === links.length - 1 ? '' : ',';
    const name = link.name === null || link.name === '' ? link.node : link.name;
    const text = `${name} ${formatMs(link.latencyMs)}`;
    if (link.confirmed) parts.push(text + comma);
    else parts.push(text, `(unconfirmed)${comma}`);
  });
  if (links.length > NEIGHBOURS_SHOWN) parts.push(`and ${links.length - NEIGHBOURS_SHOWN} more`);
  const lines: string[] = [];
  let line = '';
  for (const part of parts) {
    if (line !== '' && line.length + 1 + part.length > room) {
      lines.push(line);
      line = part;
    } else line = line === '' ? part : `${line} ${part}`;
  }
  return [...lines, line];
}
