/**
 * `spines routes`: where the daemon sends packets for each node.
 *
 * Owns the layout of the answer; the facts are the daemon's RoutesReply. What --byzantine shows is
 * byzantine-routes.ts's.
 */

import type { Command } from 'commander';
import type { RoutesReply } from 'spines-client';

import { formatByzantineRoutes } from './byzantine-routes.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatNode, formatTable, paintFor, type Paint } from '../terminal/table.ts';

export function registerRoutes(program: Command): void {
  addClientFlags(program.command('routes').description('list the next hop to each node'))
    .option('--byzantine', 'paths, losses and avoided links of byzantine routing instead')
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean; byzantine?: boolean }) =>
      withClient(flags, 'routes', async (client) => {
        if (flags.byzantine === true) {
          const byzantine = await ask(client, 'byzantineRoutes');
          if (flags.json === true) printJson(byzantine);
          else
            print(
              formatByzantineRoutes(
                byzantine,
                paintFor(process.stdout, process.env),
                terminalColumns(),
              ),
            );
          return;
        }
        const routes = await ask(client, 'routes');
        if (flags.json === true) printJson(routes);
        else print(formatRoutes(routes, paintFor(process.stdout, process.env), terminalColumns()));
      }),
    );
}

export function formatRoutes(reply: RoutesReply, paint: Paint, columns = COLUMNS_DEFAULT): string {
  const { routes, metric } = plainAnswer(reply);
  if (routes.length === 0) return 'no routes; see `spines links` for what is up\n';
  return formatTable(
    [
      { title: 'node', key: true },
      { title: 'name', cut: 8 },
      { title: 'next hop', cut: 27 },
      { title: 'hops', align: 'right' },
      { title: `cost (${metric})`, align: 'right' },
    ],
    routes.map((route) => [
      route.node,
      route.name ?? '',
      route.reachable
        ? route.nextHop === null
          ? 'self'
          : formatNode(route.nextHopName, route.nextHop)
        : paint('red', 'unreachable'),
      route.hops === null ? '-' : String(route.hops),
      route.cost === null ? '-' : String(Math.round(route.cost * 1_000) / 1_000),
    ]),
    columns,
  );
}
