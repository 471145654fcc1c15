/**
 * `spines trace NODE`: every hop on the way, with round-trip times and loss.
 *
 * Owns the summing up over probes: the daemon is asked for one probe per hop at a time, so that
 * smallest and mean round trip can be told apart. With byzantine routing nothing is probed: the
 * path in use is shown, or the one that discovery finds. Exit code 1 when the node was never
 * reached.
 */

import { Option, type Command } from 'commander';
import type { SpinesClient, TraceReply } from 'spines-client';
import type { ByzantineTraceReply, ByzantineWeightRow, RoutingName } from 'spines-client/protocol';

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { formatGroupTree } from './groups.ts';
import { Ways } from '../../core/operator/ways.ts';
import { addClientFlags, ask, routingOption, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { EXIT_NO } from '../terminal/failure.ts';
import { usage } from '../terminal/failure.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { shortName } from './event-text.ts';
import { RttStats, lossPct } from './rtt-stats.ts';
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
import { durationArg, integerArg } from '../terminal/values.ts';

export interface TraceSummary {
  node: string;
  name: string;
  reached: boolean;
  hops: {
    hop: number;
    nodes: { node: string; name: string | null }[];
    sent: number;
    received: number;
    lossPct: number;
    rttMs: { min: number; avg: number; max: number } | null;
    /**
     * The link to this hop from the one before, as the node before it advertises it; null: it does
     * not, or not alone.
     */
    link: { latencyMs: number; lossPct: number } | null;
  }[];
  /** From the node back here, as link state has it; null: none is known. */
  wayBack: { nodes: { node: string; name: string | null }[]; costMs: number | null } | null;
}

interface TraceFlags extends ClientFlags {
  probes: number;
  timeout: Micros;
  json?: boolean;
  routing?: RoutingName;
  group?: string;
  from?: string;
}

/** More hops than any route has: the ttl of a packet ends before. */
const HOPS_MAX = 255;

export function registerTrace(program: Command): void {
  addClientFlags(
    program
      .command('trace [node]')
      .description('show each hop to a node, by name or address; or the tree to a group'),
  )
    .option('--probes <n>', 'probes per hop', integerArg(1, 1_000), 3)
    .addOption(
      new Option('-W, --timeout <time>', 'wait for an answer')
        .argParser(durationArg)
        .default(SECOND, '1s'),
    )
    .addOption(routingOption())
    .option('--group <group>', 'the tree by which packets reach this group, instead of a node')
    .option('--from <node>', 'with --group: of this source (default: the daemon itself)')
    .option('--json', 'print JSON')
    .action((node: string | undefined, flags: TraceFlags) => {
      const { group } = flags;
      if ((node === undefined) === (group === undefined))
        throw usage('name a node or a --group, and not both: `spines trace NODE`');
      if (group === undefined && flags.from !== undefined)
        throw usage('--from is for --group; leave it away');
      return withClient(flags, 'trace', (client) =>
        group === undefined ? trace(client, node!, flags) : traceGroup(client, group, flags),
      );
    });
}

async function traceGroup(client: SpinesClient, group: string, flags: TraceFlags): Promise<void> {
  const { from } = flags;
  const tree = await ask(client, 'groupTree', { group, ...(from === undefined ? {} : { from }) });
  if (flags.json === true) printJson(tree);
  else print(formatGroupTree(tree));
}

async function trace(client: SpinesClient, nodeName: string, flags: TraceFlags): Promise<void> {
  const { node, name } = await ask(client, 'resolve', { name: nodeName });
  const timeoutMs = Math.ceil(flags.timeout / MILLISECOND);
  if (flags.routing === 'byzantine') {
    const path = await ask(client, 'byzantineTrace', { node, timeoutMs }, timeoutMs + 2_000);
    const { weights } = await ask(client, 'byzantineRoutes');
    const nodes = await ask(client, 'nodes'),
      { metric } = await ask(client, 'routes');
    const ways = { ways: new Ways(nodes.nodes, metric), self: client.node };
    if (flags.json === true) printJson({ ...path, avoided: weights });
    else print(formatByzantineTrace(name, path, terminalColumns(), ways, weights));
    return;
  }
  const replies: TraceReply[] = [];
  for (let i = 0; i < flags.probes; i += 1) {
    // The daemon may ask hop after hop: each may take the whole time.
    replies.push(
      await ask(client, 'trace', { node, timeoutMs, probes: 1 }, timeoutMs * HOPS_MAX + 2_000),
    );
  }
  const nodes = await ask(client, 'nodes'),
    { metric } = await ask(client, 'routes');
  const summary = withLinks(summarize(node, name, replies), new Ways(nodes.nodes, metric), client);
  if (flags.json === true) printJson(summary);
  else print(formatTrace(summary, paintFor(process.stdout, process.env), terminalColumns()));
  if (!summary.reached) process.exitCode = EXIT_NO;
}

/**
 * The nodes of a path. A round trip stands where the newest acknowledgement of the flow had one: at
 * its probes and the destination.
 */
export function formatByzantineTrace(
  name: string,
  reply: ByzantineTraceReply,
  columns = COLUMNS_DEFAULT,
  ways: { readonly ways: Ways; readonly self: string } | null = null,
  weights: readonly ByzantineWeightRow[] | null = null,
): string {
  const { node, link, hops } = plainAnswer(reply);
  const here = ways === null ? null : ways.self;
  const table = formatTable(
    [
      { title: 'hop', align: 'right' },
      { title: 'node', cut: 30 },
      { title: 'round trip', align: 'right' },
      ...(ways === null ? [] : [{ title: 'link to it', align: 'right' as const }]),
    ],
    hops.map(({ hop, node: quad, name: hopName, rttMs }, i) => [
      String(hop),
      formatNode(hopName, quad),
      formatMs(rttMs),
      ...(ways === null
        ? []
        : [linkText(ways.ways.link(i === 0 ? here! : hops[i - 1]!.node, quad))]),
    ]),
    columns,
  );
  const avoided = weights === null ? '' : avoidedText(weights, columns);
  const what =
    link === null
      ? 'a path that was found; no flow of this daemon uses one'
      : `the path in use over ${link} links`;
  const head = `TRACE ${formatNode(name, node)}, byzantine: ${what}`;
  return wrapText(head, '', columns) + table + avoided;
}

/**
 * Adds up replies of one probe per hop. A hop that changed its node in between lists each node
 * once.
 */
export function summarize(
  node: string,
  name: string,
  replies: readonly TraceReply[],
): TraceSummary {
  const hops = new Map<
    number,
    { nodes: Map<string, string | null>; sent: number; received: number; stats: RttStats }
  >();
  for (const reply of replies) {
    for (const hop of reply.hops) {
      let sum = hops.get(hop.hop);
      if (sum === undefined)
        hops.set(
          hop.hop,
          (sum = { nodes: new Map(), sent: 0, received: 0, stats: new RttStats() }),
        );
      sum.sent += hop.sent;
      sum.received += hop.received;
      if (hop.node !== null) sum.nodes.set(hop.node, hop.name);
      if (hop.rttMs !== null) sum.stats.add(hop.rttMs);
    }
  }
  return {
    node,
    name,
    reached: replies.some((reply) => reply.reached),
    hops: [...hops]
      .sort(([a], [b]) => a - b)
      .map(([hop, { nodes, sent, received, stats }]) => {
        const rtt = stats.summary();
        return {
          hop,
          nodes: [...nodes].map(([quad, nodeName]) => ({ node: quad, name: nodeName })),
          sent,
          received,
          lossPct: lossPct(sent, received),
          rttMs: rtt === null ? null : { min: rtt.min, avg: rtt.avg, max: rtt.max },
          link: null,
        };
      }),
    wayBack: null,
  };
}

/** With what link state says of each link on the way, and of the way back. */
export function withLinks(
  summary: TraceSummary,
  ways: Ways,
  { node: self, name }: { readonly node: string; readonly name: string },
): TraceSummary {
  const back = ways.way(summary.node, self);
  let before: string | null = self;
  return {
    ...summary,
    hops: summary.hops.map((hop) => {
      const at: string | null = hop.nodes.length === 1 ? hop.nodes[0]!.node : null;
      const link = before === null || at === null ? null : ways.link(before, at);
      before = at;
      return {
        ...hop,
        link: link === null ? null : { latencyMs: link.latencyMs, lossPct: link.lossPct },
      };
    }),
    wayBack:
      back === null
        ? null
        : {
            nodes: back.nodes.map((at) => ({
              node: at,
              name: at === self ? name : ways.nameOf(at),
            })),
            costMs: back.costMs,
          },
  };
}

/** "10.0 ms", and what is lost on it. */
function linkText(link: { latencyMs: number; lossPct: number } | null): string {
  if (link === null) return '-';
  return `${formatMs(link.latencyMs)}, ${formatPct(Math.round(link.lossPct * 10) / 10)}`;
}

/** Which links the path keeps away from, and why. */
function avoidedText(weights: readonly ByzantineWeightRow[], columns: number): string {
  if (weights.length === 0) return '\nno link is avoided\n';
  return weights
    .map(({ u, v, weight, convictions, reason, agoMs }) =>
      wrapText(
        `avoided: ${shortName(u)} - ${shortName(v)}, ${weight} times as heavy: ` +
          (reason === 'loss' ? 'it lost packets' : 'one of its ends said it is broken') +
          `, convicted ${convictions} time${convictions === 1 ? '' : 's'}, last ` +
          `${formatAge(agoMs)} ago`,
        '',
        columns,
      ),
    )
    .join('')
    .replace(/^/, '\n');
}

export function formatTrace(found: TraceSummary, paint: Paint, columns = COLUMNS_DEFAULT): string {
  const summary = plainAnswer(found);
  const table = formatTable(
    [
      { title: 'hop', align: 'right' },
      { title: 'node', wrap: 30 },
      { title: 'min', align: 'right' },
      { title: 'avg', align: 'right' },
      { title: 'loss', align: 'right' },
      { title: 'link to it', align: 'right' },
    ],
    summary.hops.map(({ hop, nodes, rttMs, lossPct: loss, link }) => [
      String(hop),
      nodes.length === 0 ? '*' : nodes.map((at) => formatNode(at.name, at.node)).join(', '),
      formatMs(rttMs?.min ?? null),
      formatMs(rttMs?.avg ?? null),
      loss === 0 ? formatPct(0) : paint(loss === 100 ? 'red' : 'yellow', formatPct(loss)),
      linkText(link),
    ]),
    columns,
  );
  const where = formatNode(summary.name, summary.node);
  const missed = summary.reached ? '' : wrapText(`${where} was not reached`, '', columns);
  const back = summary.wayBack;
  const wayBack =
    back === null
      ? ''
      : wrapText(
          `way back: ${back.nodes.map(shortName).join(' > ')}` +
            (back.costMs === null ? '' : `, ${formatMs(back.costMs)}`),
          '',
          columns,
        );
  return `${wrapText(`TRACE ${where}`, '', columns)}${table}${missed}${wayBack}`;
}
