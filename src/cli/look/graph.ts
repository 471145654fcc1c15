/**
 * `spines graph`: the whole overlay as link state has it, as DOT for Graphviz or as an SVG picture
 * that needs nothing from elsewhere.
 *
 * Owns which facts are drawn and how they look; where nodes go is graph-layout.ts's.
 */

import { Option, type Command } from 'commander';
import type { NodesReply } from 'spines-client';
import type { ByzantineRoutesReply } from 'spines-client/protocol';

import { replaceWhole } from '../../host/files/whole-file.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { note, print, printJson } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatMs } from '../terminal/table.ts';
import { shortName } from './event-text.ts';
import { layOut, type Place } from './graph-layout.ts';

type GraphFormat = 'dot' | 'svg' | 'json';

export interface GraphNode {
  id: string;
  name: string;
  self: boolean;
  reachable: boolean;
  /** Why it is not believed; null: it is. */
  why: string | null;
}

/** Both directions of a link in one. */
export interface GraphLink {
  a: string;
  b: string;
  /** One way, each by what its own end says; null: that end does not say that there is a link. */
  latencyMs: { ab: number | null; ba: number | null };
  lossPct: { ab: number | null; ba: number | null };
  /** Byzantine routing keeps away from it, by this weight. */
  weight: number;
}

/** What --format json prints. */
export interface Graph {
  schema: 1;
  nodes: GraphNode[];
  links: GraphLink[];
}

export function registerGraph(program: Command): void {
  addClientFlags(
    program.command('graph').description('draw the overlay: its nodes, links, latency and loss'),
  )
    .addOption(
      new Option(
        '--format <format>',
        'dot, svg or json (default: by the name of --out, else dot)',
      ).choices(['dot', 'svg', 'json']),
    )
    .option('-o, --out <file>', 'write it there')
    .action((flags: ClientFlags & { format?: GraphFormat; out?: string }) =>
      withClient(flags, 'graph', async (client) => {
        const nodes = await ask(client, 'nodes');
        const { byzantine } = await ask(client, 'status');
        const weights = byzantine === null ? [] : (await ask(client, 'byzantineRoutes')).weights;
        const graph = graphOf(nodes, weights);
        const format = flags.format ?? /\.(svg|json)$/.exec(flags.out ?? '')?.[1] ?? 'dot';
        if (format === 'json' && flags.out === undefined) {
          printJson(graph);
          return;
        }
        const text =
          format === 'svg'
            ? toSvg(graph)
            : format === 'json'
              ? `${JSON.stringify(graph, null, 2)}\n`
              : toDot(graph);
        if (flags.out === undefined) print(text);
        else {
          replaceWhole(flags.out, text);
          note(`wrote ${flags.out}: ${graph.nodes.length} nodes, ${graph.links.length} links`);
        }
      }),
    );
}

export function graphOf(reply: NodesReply, weights: ByzantineRoutesReply['weights'] = []): Graph {
  const { nodes } = plainAnswer(reply);
  const names = new Map(nodes.map((row) => [row.node, shortName(row)]));
  const links = new Map<string, GraphLink>();
  for (const { node, links: theirs } of nodes)
    for (const { node: to, latencyMs, lossPct } of theirs) {
      if (!names.has(to)) names.set(to, to);
      const forward = node < to;
      const [a, b] = forward ? [node, to] : [to, node];
      const key = `${a} ${b}`;
      const link = links.get(key) ?? {
        a,
        b,
        latencyMs: { ab: null, ba: null },
        lossPct: { ab: null, ba: null },
        weight: 1,
      };
      link.latencyMs[forward ? 'ab' : 'ba'] = latencyMs;
      link.lossPct[forward ? 'ab' : 'ba'] = lossPct;
      links.set(key, link);
    }
  for (const { u, v, weight } of weights) {
    const link = links.get(`${u.node} ${v.node}`) ?? links.get(`${v.node} ${u.node}`);
    if (link !== undefined) link.weight = weight;
  }
  const rows = new Map(nodes.map((row) => [row.node, row]));
  return {
    schema: 1,
    nodes: [...names].map(([id, name]) => {
      const row = rows.get(id);
      return {
        id,
        name,
        self: row?.self ?? false,
        reachable: row?.reachable ?? false,
        why: row?.why?.short ?? (row === undefined ? 'not heard' : null),
      };
    }),
    links: [...links.values()],
  };
}

const LOSSY_PCT = 2,
  BAD_PCT = 15;

/** How a link does: by the worse of its directions. */
function colourOf({ lossPct, latencyMs, weight }: GraphLink): string {
  if (weight > 1) return '#7b2d8b';
  if (latencyMs.ab === null || latencyMs.ba === null) return '#9a9a9a';
  const worst = Math.max(lossPct.ab ?? 0, lossPct.ba ?? 0);
  return worst >= BAD_PCT ? '#c0392b' : worst >= LOSSY_PCT ? '#c77700' : '#5b7083';
}

function isHalf({ latencyMs }: GraphLink): boolean {
  return latencyMs.ab === null || latencyMs.ba === null;
}

/** "10.0 ms", "10.0 / 12.0 ms, 3 %". */
function labelOf({ latencyMs: { ab, ba }, lossPct, weight }: GraphLink): string {
  const near = ab !== null && ba !== null && Math.abs(ab - ba) <= 0.1 * Math.max(ab, ba, 1);
  const latency =
    ab === null || ba === null || near
      ? formatMs(ab ?? ba)
      : `${formatMs(ab).replace(' ms', '')} / ${formatMs(ba)}`;
  const worst = Math.max(lossPct.ab ?? 0, lossPct.ba ?? 0);
  const loss = worst >= 0.1 ? `, ${Math.round(worst * 10) / 10} %` : '';
  return `${latency}${loss}${weight > 1 ? ', avoided' : ''}`;
}

export function toDot({ nodes, links }: Graph): string {
  const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;
  const lines = nodes.map(({ id, name, self, reachable, why }) => {
    const label = name === id ? id : `${name}\n${id}`;
    const style = self
      ? 'style=filled, fillcolor="#d6e6f5"'
      : why !== null
        ? 'color="#c0392b", style=dashed'
        : reachable
          ? ''
          : 'color="#9a9a9a", fontcolor="#9a9a9a"';
    const attributes = [
      `label=${quote(label).replace('\n', '\\n')}`,
      ...(style === '' ? [] : [style]),
    ];
    return `  ${quote(id)} [${attributes.join(', ')}];`;
  });
  const edges = links.map(
    (link) =>
      `  ${quote(link.a)} -- ${quote(link.b)} [label=${quote(labelOf(link))}, ` +
      `color="${colourOf(link)}"${isHalf(link) ? ', style=dashed' : ''}];`,
  );
  return (
    `graph spines {\n  node [shape=box, fontname="sans-serif"];\n  edge ` +
    `[fontname="sans-serif", fontsize=10];\n${[...lines, ...edges].join('\n')}\n}\n`
  );
}

/** Room for names at the edge of the picture, and how far apart nodes are. */
const MARGIN = 70,
  SPACING = 130;
/** With more links their figures would cover each other: they are in the titles alone. */
const LABELLED_MAX = 60;

export function toSvg(graph: Graph): string {
  const { nodes, links } = graph;
  const places = layOut(
    nodes.map(({ id }) => id),
    links.map(({ a, b }): [string, string] => [a, b]),
    SPACING,
  );
  const width = Math.ceil(Math.max(...[...places.values()].map(({ x }) => x), 0) + 2 * MARGIN),
    height = Math.ceil(Math.max(...[...places.values()].map(({ y }) => y), 0) + 2 * MARGIN);
  const at = (id: string): Place => {
    const { x, y } = places.get(id)!;
    return { x: Math.round((x + MARGIN) * 10) / 10, y: Math.round((y + MARGIN) * 10) / 10 };
  };
  const parts = [
    ...links.map((link) => lineOf(link, at(link.a), at(link.b))),
    ...(links.length > LABELLED_MAX
      ? []
      : links.map((link) => figureOf(link, at(link.a), at(link.b)))),
    ...nodes.map((node) => nodeOf(node, at(node.id))),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"
 width="${width}" height="${height}" font-family="sans-serif" font-size="13" role="img">
<title>The overlay: ${nodes.length} nodes, ${links.length} links</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`;
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function lineOf(link: GraphLink, from: Place, to: Place): string {
  const dashes = isHalf(link) ? ' stroke-dasharray="6 4"' : '';
  const title = escapeXml(`${link.a} - ${link.b}: ${labelOf(link)}`);
  return (
    `<line x1="${from.x}" y1="${from.y}" x2="${to.x}" y2="${to.y}" stroke="${colourOf(link)}" ` +
    `stroke-width="${link.weight > 1 ? 3 : 2}"${dashes}><title>${title}</title></line>`
  );
}

/** Above lines, with a rim of the ground so that none strikes it through. */
function figureOf(link: GraphLink, from: Place, to: Place): string {
  const x = (from.x + to.x) / 2,
    y = (from.y + to.y) / 2 + 4;
  return (
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="middle" font-size="11" ` +
    `fill="${colourOf(link)}" stroke="#ffffff" stroke-width="4" paint-order="stroke">` +
    `${escapeXml(labelOf(link))}</text>`
  );
}

function nodeOf({ id, name, self, reachable, why }: GraphNode, { x, y }: Place): string {
  const fill = self ? '#1f6fb2' : why !== null ? '#c0392b' : reachable ? '#2e8b57' : '#9a9a9a';
  const state = self
    ? 'this daemon'
    : why !== null
      ? why
      : reachable
        ? 'reachable'
        : 'not reachable';
  const shown = name.length > 20 ? `${name.slice(0, 9)}..${name.slice(-9)}` : name;
  return (
    `<g><title>${escapeXml(`${name} (${id}): ${state}`)}</title>` +
    `<circle cx="${x}" cy="${y}" r="8" fill="${fill}"/>` +
    `<text x="${x}" y="${y - 14}" text-anchor="middle" font-weight="${self ? 'bold' : 'normal'}" ` +
    `fill="#1b2733" stroke="#ffffff" stroke-width="4" paint-order="stroke">` +
    `${escapeXml(why === null ? shown : `${shown} (${why})`)}</text></g>`
  );
}
