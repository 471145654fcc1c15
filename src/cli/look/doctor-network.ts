/**
 * What `spines doctor --network` finds about the whole overlay: nodes that are not believed, not
 * reached or do not answer, links that lose, die, or are known at one end only, nodes whose failure
 * would cut others off, and releases that differ.
 *
 * By what link state says at the daemon that is asked, and by a ping to every node that it reaches.
 */

import type { NodeRow, NodesReply, SpinesClient } from 'spines-client';

import { ask } from '../client.ts';
import { toFailure } from '../terminal/failure.ts';
import { formatNode } from '../terminal/table.ts';
import { shortName } from './event-text.ts';
import type { Finding } from './finding.ts';

/** A node that was asked; null: it did not answer in time. */
export type Answers = ReadonlyMap<string, { readonly rttMs: number } | null>;

const LOSSY_PCT = 2,
  LAST_RESORT_PCT = 90;
/** Named each; the rest are a number. */
const NAMED = 8;
const PING_MS = 2_000;
const PINGS_AT_ONCE = 16;

/** Asks every node that the daemon reaches for a sign of life, twice where the first is lost. */
export async function pingAll(client: SpinesClient, nodes: readonly NodeRow[]): Promise<Answers> {
  const answers = new Map<string, { readonly rttMs: number } | null>();
  const waiting = nodes.filter(({ self, reachable }) => reachable && !self);
  const one = async (): Promise<void> => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift())
      answers.set(row.node, (await ping(client, row.node)) ?? (await ping(client, row.node)));
  };
  await Promise.all(Array.from({ length: PINGS_AT_ONCE }, one));
  return answers;
}

async function ping(client: SpinesClient, node: string): Promise<{ rttMs: number } | null> {
  try {
    return await ask(client, 'ping', { node, timeoutMs: PING_MS });
  } catch (error) {
    const { code } = toFailure(error);
    if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH') return null;
    throw error;
  }
}

export function networkFindings({ nodes }: NodesReply, answers: Answers): Finding[] {
  const known = nodes.filter(({ why }) => why == null);
  const silent = known.filter(({ node }) => answers.get(node) === null);
  const answered = [...answers.values()].filter((answer) => answer !== null).length;
  return [
    {
      what: 'network',
      found:
        `${known.length} nodes are known, ${known.filter(({ reachable }) => reachable).length} ` +
        `reachable, ${answered} answered`,
      advice: null,
    },
    ...nodes.flatMap(({ node, name, why }): Finding[] =>
      why == null
        ? []
        : [{ what: shortName({ node, name }), found: why.short, advice: why.text, next: why.next }],
    ),
    ...many(
      'not reachable',
      known.filter(({ reachable, self }) => !reachable && !self),
      {
        advice: 'no link leads there any more: its daemon or its lines are down',
        next: 'see its log, and `spines links` on a neighbour of it',
      },
    ),
    ...many('no answer', silent, {
      advice: 'link state has a way there, and two pings were lost on it or back',
      next: '`spines trace NODE` shows how far packets get',
    }),
    ...linkFaults(known),
    ...cutFindings(known),
    ...releaseFindings(known),
  ];
}

function many(
  what: string,
  rows: readonly NodeRow[],
  { advice, next }: { readonly advice: string; readonly next: string },
): Finding[] {
  if (rows.length === 0) return [];
  return [
    { what, found: listed(rows.map(({ name, node }) => formatNode(name, node))), advice, next },
  ];
}

function listed(texts: readonly string[]): string {
  const rest = texts.length - NAMED;
  return texts.slice(0, NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** By what each end says of its link. */
function linkFaults(nodes: readonly NodeRow[]): Finding[] {
  const lossy: string[] = [],
    dying: string[] = [],
    half: string[] = [];
  for (const { node, name, links } of nodes)
    for (const link of links) {
      const text = `${shortName({ node, name })} to ${shortName(link)}`;
      if (!link.confirmed) half.push(text);
      else if (link.lossPct >= LAST_RESORT_PCT) dying.push(text);
      else if (link.lossPct >= LOSSY_PCT)
        lossy.push(`${text} ${Math.round(link.lossPct * 10) / 10} %`);
    }
  const finding = (what: string, found: string[], advice: string, next: string): Finding[] =>
    found.length === 0 ? [] : [{ what, found: listed(found), advice, next }];
  return [
    ...finding(
      'lossy links',
      lossy,
      'datagrams are lost on these, in the direction that is named',
      '`spines doctor` at the first of the two says whether they are full or bad',
    ),
    ...finding(
      'dying links',
      dying,
      'they died again and again, or lose nearly all, and are used where there is nothing else',
      'see the logs at both ends (`link down`)',
    ),
    ...finding(
      'half links',
      half,
      'only the first of the two says that they have a link: it just came or went, or the other ' +
        'is not believed',
      'look again in some seconds; then `spines links` at both',
    ),
  ];
}

/** Whose failure would cut others off: the overlay has a second way everywhere but there. */
function cutFindings(nodes: readonly NodeRow[]): Finding[] {
  const cuts = cutNodes(nodes);
  if (cuts.length === 0) return [];
  const texts = cuts.map(({ row, cut }) => `${shortName(row)} (${cut})`);
  return [
    {
      what: 'single points',
      found: `${listed(texts)}: without it so many nodes are cut off from the rest`,
      advice: 'where one of these fails, no routing goes round it',
      next: 'give the nodes behind it a second neighbour (`spines link add`)',
    },
  ];
}

/**
 * Nodes without which the overlay falls apart, and how many are then cut off: each is left out
 * once.
 */
export function cutNodes(
  nodes: readonly NodeRow[],
): { readonly row: NodeRow; readonly cut: number }[] {
  const rows = new Map(nodes.map((row) => [row.node, row]));
  const near = (row: NodeRow): NodeRow[] =>
    row.links.flatMap(({ node, confirmed }) => {
      const other = rows.get(node);
      return confirmed && other !== undefined ? [other] : [];
    });
  const found: { row: NodeRow; cut: number }[] = [];
  for (const row of nodes) {
    const others = near(row);
    if (others.length < 2) continue;
    const sizes = partsWithout(row, others, near);
    if (sizes.length > 1)
      found.push({ row, cut: sizes.reduce((sum, size) => sum + size, 0) - Math.max(...sizes) });
  }
  return found.sort((a, b) => b.cut - a.cut);
}

/** How many nodes each part has that `row` joins. */
function partsWithout(
  row: NodeRow,
  others: readonly NodeRow[],
  near: (of: NodeRow) => NodeRow[],
): number[] {
  const seen = new Set<NodeRow>([row]);
  return others.flatMap((start) => {
    if (seen.has(start)) return [];
    const part = [start];
    seen.add(start);
    for (const at of part)
      for (const next of near(at))
        if (!seen.has(next)) {
          seen.add(next);
          part.push(next);
        }
    return [part.length];
  });
}

function releaseFindings(nodes: readonly NodeRow[]): Finding[] {
  const byRelease = new Map<string, string[]>();
  for (const { node, name, facts } of nodes) {
    const release = facts?.version ?? 'before 0.1';
    byRelease.set(release, [...(byRelease.get(release) ?? []), shortName({ node, name })]);
  }
  if (byRelease.size < 2) return [];
  return [
    {
      what: 'releases',
      found: [...byRelease]
        .map(([release, names]) => `${release}: ${names.length} (${listed(names.slice(0, 3))})`)
        .join('; '),
      advice: null,
    },
  ];
}
