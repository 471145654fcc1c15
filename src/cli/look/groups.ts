/**
 * `spines groups [GROUP]`: which groups there are, who is in them, and what passes this daemon; and
 * the tree of a source, for `spines trace --group`.
 *
 * Owns the layout of the answers; the facts are the daemon's GroupsReply and GroupTreeReply.
 */

import type { Command } from 'commander';
import type { GroupsReply, GroupTreeReply, PathNode } from 'spines-client';

import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatMs, formatTable } from '../terminal/table.ts';

export function registerGroups(program: Command): void {
  addClientFlags(
    program
      .command('groups [group]')
      .description('list the groups of the overlay, who is in them and what passes here'),
  )
    .option('--json', 'print JSON')
    .action((group: string | undefined, flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'groups', async (client) => {
        const reply = await ask(client, 'groups', group === undefined ? {} : { group });
        if (flags.json === true) printJson(reply);
        else print(formatGroups(reply, terminalColumns()));
      }),
    );
}

export function formatGroups(reply: GroupsReply, columns = COLUMNS_DEFAULT): string {
  const { groups } = plainAnswer(reply);
  if (groups.length === 0) return 'nobody is in any group\n';
  return formatTable(
    [
      { title: 'group', key: true },
      { title: 'kind' },
      { title: 'here', align: 'right' },
      { title: 'members', wrap: 12 },
      { title: 'sources: from > to', wrap: 18 },
    ],
    groups.map(({ group, kind, members, sockets, sources }) => [
      group,
      kind,
      String(sockets),
      members.map(nameOf).join(', '),
      sources
        .map((source) => {
          const from = source.from === null ? 'here' : nameOf(source.from);
          return `${nameOf(source)}: ${from} > ${source.branches.map(nameOf).join(' ') || '-'}`;
        })
        .join(', '),
    ]),
    columns,
  );
}

/** The tree as an outline: who is in the group has a star. */
export function formatGroupTree(reply: GroupTreeReply): string {
  const { root, edges, unreached, group } = plainAnswer(reply);
  const lines = [`${nameOf(root)} to ${group}`];
  const below = (node: string, indent: string): void => {
    for (const { from, to, latencyMs, member } of edges) {
      if (from.node !== node) continue;
      const latency = latencyMs === null ? '' : `  ${formatMs(latencyMs)}`;
      lines.push(`${indent}${nameOf(to)}${member ? ' *' : ''}${latency}`);
      below(to.node, `${indent}  `);
    }
  };
  below(root.node, '  ');
  if (edges.length === 0) lines.push('  nobody else is in it');
  else lines.push(`* is in the group; ${edges.length} links carry each packet once`);
  if (unreached.length > 0) lines.push(`not reached: ${unreached.map(nameOf).join(', ')}`);
  return `${lines.join('\n')}\n`;
}

function nameOf({ node, name }: PathNode): string {
  return name === null || name === '' ? node : name;
}
