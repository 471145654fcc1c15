/**
 * `spines explain NODE`: which way packets to a node take and why, what would be taken instead,
 * what each link costs, and what is avoided.
 *
 * Owns joining what the daemon says of routes, nodes, links and convictions; how ways are computed
 * is core/operator/ways.ts's. Exit code 1 when the node is not reachable.
 */

import type { Command } from 'commander';
import type { LinkRow, LinksReply, NodesReply, RoutesReply } from 'spines-client';
import type { ByzantineRoutesReply, PathNode } from 'spines-client/protocol';

import { Ways } from '../../core/operator/ways.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { EXIT_NO } from '../terminal/failure.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import {
  formatAge,
  formatMs,
  formatNode,
  formatPct,
  formatTable,
  paintFor,
  wrapText,
  type Paint,
} from '../terminal/table.ts';
import { pathText, shortName } from './event-text.ts';
import { neighbourName, rateText } from './links.ts';
import { costText, routesView } from './routes.ts';

/** One direction of a link, and what it adds to the cost of a way. */
export interface ExplainedLink {
  from: PathNode;
  to: PathNode;
  latencyMs: number;
  lossPct: number;
  cost: number;
  costMs: number | null;
  /** Of `costMs`, what loss and its recovery add. */
  lossMs: number | null;
}

export interface ExplainedWay {
  path: PathNode[];
  cost: number;
  costMs: number | null;
  links: ExplainedLink[];
}

/** What --json prints. */
export interface Explanation {
  schema: 1;
  node: string;
  name: string | null;
  metric: string;
  /** Null: it is not reachable. */
  inUse: (ExplainedWay & { sinceMs: number | null }) | null;
  runnerUp: ExplainedWay | null;
  wayBack: ExplainedWay | null;
  /** What the first link carries now; null where it is not up. */
  firstLink: { name: string; rate: LinkRow['rate']; queueBytes: number } | null;
  /** Links and nodes that are kept away from, each with why. */
  avoided: { what: string; why: string }[];
  /** Of a node that is not reachable. */
  why: string | null;
}

export interface ExplainedFrom {
  readonly routes: RoutesReply;
  readonly nodes: NodesReply;
  readonly links: LinksReply;
  /** Null: the daemon has no such router. */
  readonly byzantine: ByzantineRoutesReply | null;
  readonly self: string;
}

/** Loss from which routes keep away, and from which a link is a last resort. */
const LOSSY_PCT = 15,
  LAST_RESORT_PCT = 90;

export function registerExplain(program: Command): void {
  addClientFlags(
    program
      .command('explain <node>')
      .description('say which way packets to a node take, why, and what would be taken instead'),
  )
    .option('--json', 'print JSON')
    .action((name: string, flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'explain', async (client) => {
        const { node } = await ask(client, 'resolve', { name });
        const status = await ask(client, 'status');
        const found = explain(node, {
          routes: await ask(client, 'routes'),
          nodes: await ask(client, 'nodes'),
          links: await ask(client, 'links'),
          byzantine: status.byzantine === null ? null : await ask(client, 'byzantineRoutes'),
          self: client.node,
        });
        if (flags.json === true) printJson(found);
        else
          print(formatExplanation(found, paintFor(process.stdout, process.env), terminalColumns()));
        if (found.inUse === null && node !== client.node) process.exitCode = EXIT_NO;
      }),
    );
}

export function explain(node: string, from: ExplainedFrom): Explanation {
  const { routes, nodes, self } = from;
  const ways = new Ways(nodes.nodes, routes.metric);
  const row = nodes.nodes.find((one) => one.node === node);
  const route = routesView(routes, nodes, self).routes.find((one) => one.node === node);
  const explained = (
    way: { path: PathNode[]; cost: number | null; costMs?: number | null } | null,
  ): ExplainedWay | null =>
    way === null
      ? null
      : {
          path: way.path,
          cost: way.cost ?? 0,
          costMs: way.costMs ?? null,
          links: linksOf(way.path, ways),
        };
  const inUse =
    route?.path == null ? null : explained({ ...route, path: route.path, cost: route.cost });
  const back = ways.way(node, self);
  const first = from.links.links.find((link) => link.node === route?.nextHop);
  return {
    schema: 1,
    node,
    name: row?.name ?? null,
    metric: routes.metric,
    inUse: inUse === null ? null : { ...inUse, sinceMs: route?.changedMs ?? null },
    runnerUp: explained(route?.runnerUp ?? null),
    wayBack: explained(
      back === null
        ? null
        : { ...back, path: back.nodes.map((at) => ({ node: at, name: ways.nameOf(at) })) },
    ),
    firstLink:
      first?.state === 'up'
        ? { name: neighbourName(first), rate: first.rate ?? null, queueBytes: first.queueBytes }
        : null,
    avoided: avoided(from),
    why:
      inUse !== null || node === self
        ? null
        : (row?.why?.text ??
          (row === undefined
            ? 'nothing is known of it'
            : 'no link of its leads here: both ends of a link must say that they have it')),
  };
}

function linksOf(path: readonly PathNode[], ways: Ways): ExplainedLink[] {
  return path.slice(1).flatMap((to, i): ExplainedLink[] => {
    const from = path[i]!;
    const link = ways.link(from.node, to.node);
    if (link === null) return [];
    const { latencyMs, lossPct, cost, costMs } = link;
    const lossMs =
      costMs === null || ways.metric !== 'expected-latency'
        ? null
        : Math.max(0, Math.round((costMs - latencyMs) * 100) / 100);
    return [{ from, to, latencyMs, lossPct, cost, costMs, lossMs }];
  });
}

/** By routes, by Byzantine routing, and because nobody believes them. */
function avoided({ nodes, links, byzantine }: ExplainedFrom): Explanation['avoided'] {
  const found: Explanation['avoided'] = [];
  for (const { damped, node, name, address } of links.links)
    if (damped === true)
      found.push({
        what: `our link to ${name ?? node ?? address}`,
        why: 'it died again and again: routes use it where there is nothing else',
      });
  for (const { node, name, links: theirs, why } of nodes.nodes) {
    const who = shortName({ node, name });
    if (why != null) found.push({ what: who, why: why.text });
    for (const link of theirs)
      if (link.lossPct >= LOSSY_PCT)
        found.push({
          what: `${who} to ${shortName(link)}`,
          why:
            link.lossPct >= LAST_RESORT_PCT
              ? 'it died again and again, or loses nearly all'
              : `it loses ${formatPct(Math.round(link.lossPct))}`,
        });
  }
  for (const { u, v, weight, reason } of byzantine?.weights ?? [])
    found.push({
      what: `${shortName(u)} - ${shortName(v)}, by byzantine routing`,
      why:
        (reason === 'loss' ? 'it lost packets' : 'one of its ends said it is broken') +
        `: ${weight} times as heavy`,
    });
  return found;
}

export function formatExplanation(
  found: Explanation,
  paint: Paint,
  columns = COLUMNS_DEFAULT,
): string {
  const plain = plainAnswer(found);
  const { node, name, inUse, runnerUp, wayBack, firstLink, metric, why } = plain;
  const who = formatNode(name, node);
  const parts: string[] = [];
  const say = (text: string, indent = ''): void => void parts.push(wrapText(text, indent, columns));
  if (inUse === null)
    say(why === null ? `${who} is this node` : `${who}: ${paint('red', 'not reachable')}: ${why}`);
  else {
    const since = inUse.sinceMs === null ? '' : `, for ${formatAge(inUse.sinceMs)}`;
    say(`${who}: ${pathText(inUse.path)}, ${costText(inUse)}${since}`);
    parts.push(wayTable(inUse, columns));
    if (firstLink !== null)
      say(
        `the first link, to ${firstLink.name}, carries ` +
          `${rateText({ rate: firstLink.rate ?? null })} bit/s out / in; ` +
          `${firstLink.queueBytes} B wait for it`,
      );
  }
  if (runnerUp !== null) {
    say(`runner-up: ${pathText(runnerUp.path)}, ${costText(runnerUp)}${moreText(inUse, runnerUp)}`);
    parts.push(wayTable(runnerUp, columns));
  } else if (inUse !== null) say('runner-up: none by another neighbour');
  if (wayBack !== null && inUse !== null)
    say(`way back: ${wayBack.path.map(shortName).join(' > ')}, ${costText(wayBack)}`);
  if (inUse !== null) say(METRIC_TEXTS[metric] ?? `the way is the cheapest by ${metric}`);
  for (const { what, why: reason } of plain.avoided)
    say(`${paint('yellow', 'avoided')}: ${what}: ${reason}`);
  return parts.join('');
}

const METRIC_TEXTS: Readonly<Record<string, string>> = {
  'expected-latency':
    'why: the cheapest by expected latency, which is latency one way and what recovery from loss ' +
    'adds on the average',
  latency: 'why: the cheapest by latency one way; loss does not count (`metric`)',
  hops: 'why: the fewest links; latency and loss do not count (`metric`)',
  loss: 'why: the least loss; latency does not count (`metric`)',
};

function moreText(inUse: ExplainedWay | null, { costMs, cost }: ExplainedWay): string {
  if (inUse === null) return '';
  return costMs !== null && inUse.costMs !== null
    ? `: ${formatMs(Math.max(0, costMs - inUse.costMs))} more`
    : `: ${cost - inUse.cost} more`;
}

function wayTable({ links }: ExplainedWay, columns: number): string {
  return formatTable(
    [
      { title: '  link', cut: 24 },
      { title: 'cost', align: 'right' },
      { title: 'latency', align: 'right' },
      { title: 'loss', align: 'right' },
      { title: 'which adds', align: 'right' },
    ],
    links.map((link) => [
      `  ${shortName(link.from)} > ${shortName(link.to)}`,
      costText(link),
      formatMs(link.latencyMs),
      formatPct(Math.round(link.lossPct * 10) / 10),
      link.lossMs === null ? '-' : formatMs(link.lossMs),
    ]),
    columns,
  );
}
