/**
 * `spines nodes`: every daemon of the overlay that link state knows, with its links.
 *
 * Owns the layout of the answer; the facts are the daemon's NodesReply.
 */

import type { Command } from 'commander';
import type { NodesReply } from 'spines-client';

import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT, NO_BREAK } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import {
  formatAge,
  formatMs,
  formatTable,
  paintFor,
  wrapText,
  type Paint,
} from '../terminal/table.ts';
import { formatTwins } from './twins.ts';

/** Neighbours shown of one node; a table with more is read with --json. */
const NEIGHBOURS_SHOWN = 8;
/** The neighbours have at least this much of a line. */
const LINKS_COLUMNS_MIN = 14;
const LOSS_SHOWN_PCT = 0.05;
/** How well clocks of neighbours are known, and from where on one is wrong. */
const CLOCK_SHOWN_MS = 5_000,
  CLOCK_WRONG_MS = 60_000;

export function registerNodes(program: Command): void {
  addClientFlags(program.command('nodes').description('list the nodes of the overlay'))
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'nodes', async (client) => {
        const nodes = await ask(client, 'nodes');
        if (flags.json === true) printJson(nodes);
        else print(formatNodes(nodes, paintFor(process.stdout, process.env), terminalColumns()));
      }),
    );
}

export function formatNodes(reply: NodesReply, paint: Paint, columns = COLUMNS_DEFAULT): string {
  const { nodes, twins } = plainAnswer(reply);
  const grouped = nodes.some(({ groups = [] }) => groups.length > 0);
  const versions = new Set(
    nodes.map(({ facts }) =>
      facts == null ? '-' : `${facts.version}, wire ${wireRange(facts.wireVersions)}`,
    ),
  );
  // Who is of another release is worth a column, and that nobody is a line.
  const others = versions.size > 1;
  const table = formatTable(
    [
      { title: 'node', key: true },
      { title: 'name', cut: 8 },
      ...(grouped ? [{ title: 'groups', wrap: 8 }] : []),
      { title: 'state', wrap: 11 },
      { title: 'heard', align: 'right' },
      ...(others ? [{ title: 'version' }, { title: 'wire' }] : []),
      { title: 'clock' },
      { title: 'links', wrap: LINKS_COLUMNS_MIN },
    ],
    nodes.map((node) => [
      node.node,
      node.name ?? '',
      ...(grouped ? [(node.groups ?? []).join(', ')] : []),
      stateOf(node, paint),
      node.self || node.why?.code === 'notHeard' ? '-' : `${formatAge(node.ageMs)} ago`,
      ...(others
        ? [
            node.facts?.version ?? '-',
            node.facts == null ? '-' : wireRange(node.facts.wireVersions),
          ]
        : []),
      clockText(node, paint),
      neighbours(node.links),
    ]),
    columns,
  );
  const [facts] = versions;
  const same = others || facts === undefined ? '' : `all are of version ${facts}\n`;
  const reasons = nodes.flatMap(({ why }) =>
    why == null
      ? []
      : [`\n${wrapText(why.text, '', columns)}${wrapText(`next: ${why.next}`, '  ', columns)}`],
  );
  return table + same + reasons.join('') + formatTwins(twins, columns);
}

function stateOf(
  { self, reachable, why, transit }: NodesReply['nodes'][number],
  paint: Paint,
): string {
  if (self) return transit === false ? 'self, no transit' : 'self';
  if (why != null)
    return paint('red', why.code === 'notHeard' ? why.short : `refused: ${why.short}`);
  if (!reachable) return paint('red', 'unreachable');
  return transit === false ? paint('yellow', 'no transit') : paint('green', 'reachable');
}

/** Of neighbours; a minute is what certificates and advertisements begin to mind. */
function clockText({ self, clockAheadMs }: NodesReply['nodes'][number], paint: Paint): string {
  if (self || clockAheadMs == null) return '-';
  if (Math.abs(clockAheadMs) < CLOCK_SHOWN_MS) return 'agrees';
  const span = `${clockAheadMs > 0 ? '+' : '-'}${formatAge(Math.abs(clockAheadMs))}`;
  return paint(Math.abs(clockAheadMs) < CLOCK_WRONG_MS ? 'yellow' : 'red', span);
}

/** "2", "2-3". */
function wireRange({ min, max }: { readonly min: number; readonly max: number }): string {
  return min === max ? String(max) : `${min}-${max}`;
}

/** "B 10.0 ms, C 12.5 ms 3 % (unconfirmed)": latency one way and what is lost on it. */
function neighbours(links: NodesReply['nodes'][number]['links']): string {
  const parts: string[] = [];
  links.slice(0, NEIGHBOURS_SHOWN).forEach((link, i) => {
    const comma = i === links.length - 1 ? '' : ',';
    const name = link.name === null || link.name === '' ? link.node : link.name;
    // A name that is long is broken, and keeps its figures.
    const loss = link.lossPct >= LOSS_SHOWN_PCT ? ` ${Math.round(link.lossPct * 10) / 10}%` : '';
    const text = `${name} ${formatMs(link.latencyMs)}${loss}`.replaceAll(
      ' ',
      name.length > LINKS_COLUMNS_MIN ? ' ' : NO_BREAK,
    );
    if (link.confirmed) parts.push(text + comma);
    else parts.push(text, `(unconfirmed)${comma}`);
  });
  if (links.length > NEIGHBOURS_SHOWN)
    parts.push(`and ${links.length - NEIGHBOURS_SHOWN} more`.replaceAll(' ', NO_BREAK));
  return parts.join(' ');
}
