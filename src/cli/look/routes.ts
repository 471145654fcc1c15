/**
 * `spines routes`: where the daemon sends packets for each node.
 *
 * Owns the layout of the answer; the facts are the daemon's RoutesReply. What --byzantine shows is
 * byzantine-routes.ts's.
 */

import type { Command } from 'commander';
import type { NodesReply, RouteRow, RoutesReply } from 'spines-client';
import type { PathNode } from 'spines-client/protocol';

import { Ways } from '../../core/operator/ways.ts';
import { formatByzantineRoutes } from './byzantine-routes.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatAge, formatMs, formatTable, paintFor, type Paint } from '../terminal/table.ts';
import { pathText, shortName } from './event-text.ts';

export function registerRoutes(program: Command): void {
  addClientFlags(
    program
      .command('routes')
      .description('list the way to each node, and what would be taken instead'),
  )
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
        const view = routesView(
          await ask(client, 'routes'),
          await ask(client, 'nodes'),
          client.node,
        );
        if (flags.json === true) printJson(view);
        else print(formatRoutes(view, paintFor(process.stdout, process.env), terminalColumns()));
      }),
    );
}

/** A route as people read it: all of the way, and the one that would be taken instead. */
export interface RouteView extends RouteRow {
  /** From this node on; null: there is none. */
  path: PathNode[] | null;
  /** The best one by another neighbour; null: none, or too many nodes to look for it. */
  runnerUp: { path: PathNode[]; costMs: number | null; cost: number } | null;
}

/** What --json prints. */
export interface RoutesView {
  schema: 1;
  metric: string;
  routes: RouteView[];
}

/** Joins routes with what nodes advertise, where runners-up come from. */
export function routesView(
  { metric, routes }: RoutesReply,
  nodes: NodesReply,
  self: string,
): RoutesView {
  const byNode = new Map(routes.map((route) => [route.node, route]));
  const inUse = new Map(
    routes.flatMap(({ node, nextHop }) => (nextHop === null ? [] : [[node, nextHop] as const])),
  );
  const ways = new Ways(nodes.nodes, metric);
  const runnersUp = ways.runnersUp(self, inUse);
  const at = (node: string): PathNode => ({
    node,
    name: byNode.get(node)?.name ?? ways.nameOf(node),
  });
  return {
    schema: 1,
    metric,
    routes: routes.map((route) => {
      const second = runnersUp?.get(route.node);
      return {
        ...route,
        path: pathOf(byNode, route, self)?.map(at) ?? null,
        runnerUp:
          second === undefined
            ? null
            : { path: second.nodes.map(at), costMs: second.costMs, cost: second.cost },
      };
    }),
  };
}

/** By each node's one before it; null: unreachable, or a daemon before 0.2, which does not say. */
function pathOf(
  byNode: ReadonlyMap<string, RouteRow>,
  route: RouteRow,
  self: string,
): string[] | null {
  if (!route.reachable || route.before === undefined) return null;
  const path = [route.node];
  for (let at: string | null = route.before ?? null; at !== null; ) {
    path.push(at);
    if (at === self || path.length > byNode.size + 1) break;
    at = byNode.get(at)?.before ?? null;
  }
  return path.reverse();
}

/** "20.1 ms", or where the metric is none of time the cost itself. */
export function costText({
  costMs,
  cost,
}: {
  readonly costMs?: number | null;
  readonly cost: number | null;
}): string {
  if (costMs != null) return formatMs(costMs);
  return cost === null ? '-' : String(Math.round(cost * 1_000) / 1_000);
}

export function formatRoutes(
  { routes, metric }: RoutesView,
  paint: Paint,
  columns = COLUMNS_DEFAULT,
): string {
  if (routes.length === 0) return 'no routes; see `spines links` for what is up\n';
  const looked = routes.some(({ runnerUp }) => runnerUp !== null);
  const timed = routes.some(({ costMs }) => costMs != null);
  return formatTable(
    [
      { title: 'node', cut: 10, key: true },
      { title: timed ? 'cost' : metric, align: 'right' },
      { title: 'path', wrap: 18 },
      ...(looked ? [{ title: 'runner-up', wrap: 18 }] : []),
      { title: 'since', align: 'right' },
    ],
    plainAnswer(routes).map((route) => {
      const { path, runnerUp, reachable, changedMs, nextHopName, nextHop } = route;
      return [
        shortName(route),
        costText(route),
        !reachable
          ? paint('red', 'unreachable')
          : path === null
            ? `by ${nextHopName ?? nextHop ?? '?'}`
            : pathText(path),
        ...(looked
          ? [runnerUp === null ? '-' : `${costText(runnerUp)} by ${wayText(runnerUp.path)}`]
          : []),
        changedMs === undefined ? '-' : formatAge(changedMs),
      ];
    }),
    columns,
  );
}

/** The nodes between, or that there are none. */
function wayText(path: readonly PathNode[]): string {
  const between = path.slice(1, -1);
  return between.length === 0 ? 'no other' : between.map(shortName).join(' > ');
}
