/**
 * `spines routes --byzantine`: what the Byzantine-resilient router sends where, how its paths fare,
 * and which links it avoids.
 *
 * Owns the layout of the answer; the facts are the daemon's ByzantineRoutesReply.
 */

import type {
  ByzantineFigures,
  ByzantineFlowRow,
  ByzantineInterval,
  ByzantinePath,
  ByzantineRoutesReply,
  PathNode,
} from 'spines-client/protocol';

import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatAge, formatNode, formatPairs, formatTable, type Paint } from '../terminal/table.ts';

/** Convictions shown; all that the daemon remembers are in --json. */
const CONVICTIONS_SHOWN = 16;

export function formatByzantineRoutes(
  reply: ByzantineRoutesReply,
  paint: Paint,
  columns = COLUMNS_DEFAULT,
): string {
  const { mode, flows, weights, convictions, figures } = plainAnswer(reply);
  const names = new Map<string, string>();
  for (const { main, second } of flows)
    for (const { node, name } of [...(main?.nodes ?? []), ...(second?.nodes ?? [])])
      if (name !== null && name !== '') names.set(node, name);
  const parts: string[] = [
    flows.length === 0
      ? 'nothing is sent with byzantine routing now\n'
      : flowTable(flows, paint, columns),
  ];
  const intervals = flows.flatMap((flow) => [
    ...intervalRows(flow, flow.main, names, paint),
    ...intervalRows(flow, flow.second, names, paint),
  ]);
  if (intervals.length > 0) {
    parts.push(
      formatTable(
        [
          { title: 'to', cut: 20, key: true },
          { title: 'interval', cut: 18, key: true },
          { title: 'links', align: 'right' },
          { title: 'lost', align: 'right' },
          { title: 'of', align: 'right' },
          { title: 'window', align: 'right' },
          { title: 'debt', align: 'right' },
          { title: 'answers' },
        ],
        intervals,
        columns,
      ),
    );
  }
  if (weights.length > 0) parts.push(weightTable(weights, paint, columns));
  if (convictions.length > 0) parts.push(convictionTable(convictions, columns));
  parts.push(formatPairs([['mode', mode], ...figureRows(figures)], columns));
  return parts.join('\n');
}

function weightTable(
  weights: ByzantineRoutesReply['weights'],
  paint: Paint,
  columns: number,
): string {
  return formatTable(
    [
      { title: 'avoided link', cut: 20, key: true },
      { title: 'weight', align: 'right' },
      { title: 'to serve', align: 'right' },
      { title: 'convictions', align: 'right' },
      { title: 'reason' },
      { title: 'last', align: 'right' },
    ],
    weights.map(({ u, v, weight, remaining, convictions: count, reason, agoMs }) => [
      paint('red', link(u, v)),
      String(weight),
      String(remaining),
      String(count),
      reason,
      `${formatAge(agoMs)} ago`,
    ]),
    columns,
  );
}

function convictionTable(
  convictions: ByzantineRoutesReply['convictions'],
  columns: number,
): string {
  return formatTable(
    [
      { title: 'convicted', align: 'right' },
      { title: 'link', cut: 20 },
      { title: 'on the way to', cut: 20 },
      { title: 'losses', align: 'right' },
    ],
    convictions
      .slice(-CONVICTIONS_SHOWN)
      .reverse()
      .map(({ agoMs, destination, u, v, losses }) => [
        `${formatAge(agoMs)} ago`,
        link(u, v),
        formatNode(destination.name, destination.node),
        String(losses),
      ]),
    columns,
  );
}

/** The router's counters in words; of `spines status`, too. */
export function figureRows(f: ByzantineFigures): [string, string][] {
  return [
    [
      'faults',
      `${f.faults} found, ${f.convictions} convictions, ${f.convictedLinks} links avoided now`,
    ],
    [
      'discovery',
      `${f.discoveries} requests of ours, ${f.answered} answered, ${f.requestsForwarded} ` +
        `requests and ${f.responsesForwarded} responses passed on`,
    ],
    [
      'signatures',
      `${f.verified} good, ${f.refused} wrong, ${f.remembered} known before, ${f.overBudget} ` +
        'messages over budget',
    ],
    ['probed', `${f.forwarded} passed on, ${f.probed} as a probe, ${f.delivered} delivered here`],
  ];
}

function flowTable(flows: readonly ByzantineFlowRow[], paint: Paint, columns: number): string {
  return formatTable(
    [
      { title: 'to', cut: 20, key: true },
      { title: 'link' },
      { title: 'path', wrap: 18 },
      { title: 'second path', wrap: 18 },
      { title: 'open', align: 'right' },
      { title: 'waiting', align: 'right' },
      { title: 'delivered', align: 'right' },
      { title: 'lost', align: 'right' },
      { title: 'state' },
    ],
    flows.map(({ node, name, link: service, waiting, main, second }) => [
      formatNode(name, node),
      service,
      main === null ? '-' : way(main),
      second === null ? '-' : way(second),
      String((main?.open ?? 0) + (second?.open ?? 0)),
      String(waiting),
      String(main?.delivered ?? 0),
      String(main?.lost ?? 0),
      main === null
        ? paint('red', 'no path')
        : main.searching
          ? paint('yellow', `searching, ${main.searchLosses} lost`)
          : 'quiet',
    ]),
    columns,
  );
}

function intervalRows(
  { node, name }: ByzantineFlowRow,
  path: ByzantinePath | null,
  names: ReadonlyMap<string, string>,
  paint: Paint,
): string[][] {
  const short = (quad: string): string => names.get(quad) ?? quad;
  return (path?.intervals ?? []).map(
    ({ from, to, links, losses, outcomes, window, debt, probe }: ByzantineInterval) => [
      formatNode(name, node),
      `${short(from)}..${short(to)}`,
      String(links),
      losses === 0 ? '0' : paint('yellow', String(losses)),
      String(outcomes),
      String(window),
      String(debt),
      probe ? 'probe' : 'destination',
    ],
  );
}

/** "A > B > C", by name where there is one. */
function way({ nodes }: ByzantinePath): string {
  return nodes.map(shortName).join(' > ');
}

function link(u: PathNode, v: PathNode): string {
  return `${shortName(u)} - ${shortName(v)}`;
}

function shortName({ node, name }: PathNode): string {
  return name === null || name === '' ? node : name;
}
