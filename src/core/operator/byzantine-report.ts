/**
 * What operators see of the Byzantine-resilient router: its flows, weights, convictions and figures
 * as protocol objects.
 *
 * Reads only. Called by operations.ts; ByzantineRouter owns the facts.
 */

import { serviceName } from '../wire/modes.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import type { ByzantineRouter } from '../byzantine/byzantine-router.ts';
import type { PathFlow } from '../byzantine/path-flow.ts';
import type { SourceFlow } from '../byzantine/source-flow.ts';
import type {
  ByzantineFigures,
  ByzantineFlowRow,
  ByzantinePath,
  ByzantineRoutesReply,
  ByzantineTraceHop,
  LinkServiceName,
  PathNode,
} from 'spines-client/protocol';

/** The name of a node, null when it is not known. */
export type NameOf = (node: NodeId) => string | null;

export function byzantineRoutes(
  router: ByzantineRouter,
  nameOf: NameOf,
  now: Micros,
): ByzantineRoutesReply {
  const at = (node: NodeId): PathNode => nodeAt(node, nameOf);
  const ago = (then: Micros): number => Math.round(now - then) / 1_000;
  return {
    schema: 1,
    mode: router.options.mode,
    flows: [...router.flows()].map((flow) => flowRow(router, flow, nameOf)),
    weights: router.weights
      .rows()
      .map(({ u, v, weight, remaining, convictions, reason, at: then }) => ({
        u: at(u),
        v: at(v),
        weight,
        remaining,
        convictions,
        reason,
        agoMs: ago(then),
      })),
    convictions: router.convictions.map(({ at: then, destination, u, v, losses }) => ({
      agoMs: ago(then),
      destination: at(destination),
      u: at(u),
      v: at(v),
      losses,
    })),
    figures: byzantineFigures(router),
  };
}

export function byzantineFigures(router: ByzantineRouter): ByzantineFigures {
  const { totals, weights, discovery, forwarder } = router;
  const {
    asked,
    answered,
    requestsForwarded,
    responsesForwarded,
    verified,
    refused,
    remembered,
    overBudget,
  } = discovery.figures;
  return {
    flows: [...router.flows()].length,
    faults: totals.faults,
    convictions: totals.convictions,
    convictedLinks: weights.size,
    discoveries: asked,
    answered,
    requestsForwarded,
    responsesForwarded,
    verified,
    refused,
    remembered,
    overBudget,
    forwarded: forwarder.forwarded,
    probed: forwarder.probed,
    delivered: forwarder.delivered,
  };
}

/**
 * The main path to `node` of the flow whose name comes first, and its link service; null when no
 * flow has one.
 */
export function traceInUse(
  router: ByzantineRouter,
  node: NodeId,
  nameOf: NameOf,
): { readonly link: LinkServiceName; readonly hops: ByzantineTraceHop[] } | null {
  for (const flow of router.flows()) {
    if (flow.destination !== node || flow.main === null) continue;
    const { path, times } = flow.main;
    const hops = traceHops(path.nodes, nameOf);
    times?.list.forEach((index, i) => {
      hops[index - 1]!.rttMs =
        Math.max(0, Math.round(times.roundTripUs - times.holdsUs[i]!)) / 1_000;
    });
    return { link: serviceName(flow.service), hops };
  }
  return null;
}

/** A path from this node on. */
export function traceHops(nodes: readonly NodeId[], nameOf: NameOf): ByzantineTraceHop[] {
  return nodes.slice(1).map((node, i) => ({ hop: i + 1, ...nodeAt(node, nameOf), rttMs: null }));
}

function flowRow(router: ByzantineRouter, flow: SourceFlow, nameOf: NameOf): ByzantineFlowRow {
  const { destination, service, waiting, faults, convictions, main, second } = flow;
  const path = (of: PathFlow | null): ByzantinePath | null =>
    of === null ? null : pathOf(router, of, nameOf);
  return {
    node: formatNodeId(destination),
    name: nameOf(destination),
    link: serviceName(service),
    waiting,
    faults,
    convictions,
    main: path(main),
    second: path(second),
    paths: router.discovery.paths(destination).length,
  };
}

function pathOf(
  router: ByzantineRouter,
  { path, open, monitor }: PathFlow,
  nameOf: NameOf,
): ByzantinePath {
  const { searching, searchLosses, delivered, lost, softLosses, faults, intervals } =
    monitor.snapshot();
  const destination = path.nodes.at(-1)!;
  return {
    nodes: path.nodes.map((node) => nodeAt(node, nameOf)),
    weight: router.weights.pathWeight(path.nodes),
    open,
    searching,
    searchLosses,
    delivered,
    lost,
    softLosses,
    faults,
    intervals: intervals.map(({ from, to, links, losses, outcomes, debt }) => ({
      from: formatNodeId(from),
      to: formatNodeId(to),
      links,
      losses,
      outcomes,
      window: router.options.windowPackets,
      debt,
      probe: to !== destination,
    })),
  };
}

function nodeAt(node: NodeId, nameOf: NameOf): PathNode {
  return { node: formatNodeId(node), name: nameOf(node) };
}
