/**
 * What operators see of nodes and routes: what each node says of itself, what is not believed, who
 * is named and not heard, and the way to each.
 *
 * Reads only. Owns which node a request means by a name, since a refused one has a reason to tell.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { MILLISECOND } from '../base/time.ts';
import { text, type Arguments } from '../ipc/arguments.ts';
import { instanceText } from '../link/twins.ts';
import { unknownName } from '../link/unknown-name.ts';
import { clockFault } from '../routing/clock-watch.ts';
import { COST_UNIT_US } from '../routing/metrics.ts';
import { advertises } from '../routing/shortest-path.ts';
import { DropReason, dropReasonName } from '../wire/drop.ts';
import { LATENCY_UNIT_US } from '../wire/link-state.ts';
import {
  capabilityNames,
  carriesTransit,
  releaseText,
  type NodeFacts,
} from '../wire/node-facts.ts';
import type { NodeFactsReply, NodeRow, NodesReply, RoutesReply } from 'spines-client/protocol';
import { twinRows } from './links-report.ts';
import { ms, percent, type Operator } from './operation.ts';

const UNHEARD_MAX = 64;

/** The way to each node that is known, our own left out. */
export function routesReport(operator: Operator): RoutesReply {
  const { router, config } = operator.node;
  const { ids, cost, hops, firstHop, before } = router.paths;
  const now = operator.env.clock.now();
  const routes: RoutesReply['routes'] = [];
  for (let i = 0; i < ids.length; i += 1) {
    const node = ids[i]!;
    if (node === config.id) continue;
    const reachable = cost[i]! >= 0;
    const hop = firstHop[i]! < 0 ? null : ids[firstHop[i]!]!;
    routes.push({
      node: formatNodeId(node),
      name: router.nameOf(node),
      reachable,
      nextHop: hop === null ? null : formatNodeId(hop),
      nextHopName: hop === null ? null : router.nameOf(hop),
      cost: reachable ? cost[i]! : null,
      hops: reachable ? hops[i]! : null,
      before: before[i]! < 0 ? null : formatNodeId(ids[before[i]!]!),
      costMs: costMs(operator, cost[i]!),
      changedMs: ms(now - router.changedAt(i)),
    });
  }
  return { schema: 1, metric: config.metric, routes };
}

/** Each node that is known, refused or named by others. */
export function nodesReport(operator: Operator): NodesReply {
  const { router, config } = operator.node;
  const now = operator.env.clock.now();
  const refused = refusedNodes(operator);
  const nodes = router.sortedRecords().map(({ advertisement, receivedAt }): NodeRow => {
    const row = refused.get(advertisement.origin);
    refused.delete(advertisement.origin);
    return {
      node: formatNodeId(advertisement.origin),
      name: router.nameOf(advertisement.origin),
      reachable: router.reachable(advertisement.origin),
      self: advertisement.origin === config.id,
      sequence: advertisement.sequence,
      ageMs: ms(now - receivedAt),
      links: advertisement.links.map((link) => ({
        node: formatNodeId(link.node),
        name: router.nameOf(link.node),
        latencyMs: (link.latency * LATENCY_UNIT_US) / MILLISECOND,
        lossPct: percent(link.loss / 65_535),
        confirmed: advertises(
          router.database.get(link.node)?.advertisement.links ?? [],
          advertisement.origin,
        ),
      })),
      facts: factsReply(router.factsOf(advertisement.origin)),
      groups: [...(router.certificateOf(advertisement.origin)?.groups ?? [])],
      clockAheadMs: clockAheadMs(operator, advertisement.origin),
      transit: carriesTransit(advertisement.facts),
      ...(row === undefined ? {} : { why: row.why }),
    };
  });
  return {
    schema: 1,
    twins: twinRows(operator),
    nodes: [...nodes, ...refused.values(), ...unheardNodes(operator, refused)],
  };
}

/** The cost in milliseconds, where the metric is one of time; null: there is none. */
export function costMs({ node: { config } }: Operator, cost: number): number | null {
  const timed = config.metric === 'latency' || config.metric === 'expected-latency';
  return timed && cost >= 0 ? ms(cost * COST_UNIT_US) : null;
}

/** Of a neighbour; null: not known. */
function clockAheadMs({ node: { links, router } }: Operator, node: NodeId): number | null {
  const link = links.of(node);
  const aheadUs = link?.up === true ? (router.clocks?.aheadUs(link) ?? null) : null;
  return aheadUs === null ? null : ms(aheadUs);
}

/** Nodes whose word is not believed now, by id. */
export function refusedNodes(operator: Operator): Map<NodeId, NodeRow> {
  const { router, links } = operator.node;
  const now = operator.env.clock.now();
  const rows = new Map<NodeId, NodeRow>();
  for (const {
    origin,
    reason,
    certificate,
    aheadUs,
    via,
    sequence,
    at,
  } of router.clocks?.refused() ?? []) {
    const name = certificate?.name ?? router.nameOf(origin);
    const who = name ?? formatNodeId(origin);
    const fault =
      reason === DropReason.linkStateOutOfTime || certificate === null
        ? clockFault(aheadUs)
        : links.watch.certificateFault(reason, certificate, via.endpoint);
    const short =
      reason === DropReason.linkStateOutOfTime
        ? 'clock'
        : `${links.watch.shortFault(reason)} certificate`;
    const text =
      `what ${who} says of its links is not believed (it came by ${via.label}): ` + `${fault.why}`;
    rows.set(origin, {
      node: formatNodeId(origin),
      name,
      reachable: false,
      self: false,
      sequence,
      ageMs: ms(now - at),
      links: [],
      why: { code: dropReasonName(reason), short, text, next: fault.next },
    });
  }
  return rows;
}

/**
 * Nodes that others name as their neighbours and that are not heard themselves: somebody between
 * does not believe them.
 */
function unheardNodes(operator: Operator, refused: ReadonlyMap<NodeId, NodeRow>): NodeRow[] {
  const { router, config } = operator.node;
  const rows = new Map<NodeId, NodeRow>();
  for (const {
    advertisement: { origin, links },
  } of router.sortedRecords()) {
    if (origin === config.id) continue;
    const by = router.nameOf(origin) ?? formatNodeId(origin);
    for (const { node } of links) {
      if (
        rows.size >= UNHEARD_MAX ||
        node === config.id ||
        rows.has(node) ||
        refused.has(node) ||
        router.knows(node)
      )
        continue;
      const quad = formatNodeId(node);
      const text =
        `${quad} is a neighbour of ${by}, and what it says of its links does not ` +
        `come here: it started just now, or ${by} does not believe it`;
      rows.set(node, {
        node: quad,
        name: router.nameOf(node),
        reachable: false,
        self: false,
        sequence: -1,
        ageMs: 0,
        links: [],
        why: {
          code: 'notHeard',
          short: 'not heard',
          text,
          next: `see \`spines nodes\` and \`spines doctor\` on ${by}, which say why`,
        },
      });
    }
  }
  return [...rows.values()];
}

/** The node that argument `name` means. Throws SpinesError ENOTFOUND, with the reason if known. */
export function targetOf(operator: Operator, args: Arguments, name: string): NodeId {
  const written = text(args, name);
  const node = operator.node.resolve(written);
  const refused =
    node === null
      ? [...refusedNodes(operator).values()].find((row) => row.name === written)?.why
      : undefined;
  if (refused != null) throw new SpinesError('ENOTFOUND', `${refused.text}; ${refused.next}`);
  if (node === null) throw unknownName(written, operator.node.links);
  return node;
}

function factsReply(facts: NodeFacts | null): NodeFactsReply | null {
  if (facts === null) return null;
  const { wire, release, capabilities, instance } = facts;
  return {
    version: releaseText(release),
    wireVersions: { ...wire },
    capabilities: capabilityNames(capabilities),
    instance: instanceText(instance),
  };
}
