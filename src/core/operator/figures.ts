/**
 * The named figures of a daemon: counters, gauges, and bounded things beside their bounds.
 *
 * One row is one figure: what it counts, where it is read, and, for a bound, the limit in force.
 * The report of status has them by these names; limits are those that the code keeps, never copies.
 */

import { GROUP_FLOWS_MAX } from '../dissemination/group-flows.ts';
import { LIMBO_PACKETS_MAX } from '../dissemination/limbo.ts';
import { RECENT_MAX } from '../dissemination/multicast.ts';
import { QUEUE_FACTOR } from '../link/send-queue.ts';
import { MEMBERSHIPS_MAX } from '../routing/group-database.ts';
import { SOURCE_TREES_MAX } from '../routing/source-tree.ts';
import { OUTSTANDING_MAX } from '../session/echo-service.ts';
import { CAPTURES_MAX } from './capture-filter.ts';
import { ms, type Operator } from './operation.ts';

/** One figure: `text` says in a few words what it is. Counters only grow, from the start on. */
export interface Figure {
  readonly kind: 'counter' | 'gauge';
  readonly text: string;
  now(operator: Operator): number;
}

/** A gauge of something bounded; `most` is the limit in force, in the same unit. */
export interface Bound {
  readonly text: string;
  now(operator: Operator): number;
  most(operator: Operator): number;
}

function counter(text: string, now: Figure['now']): Figure {
  return { kind: 'counter', text, now };
}

function gauge(text: string, now: Figure['now']): Figure {
  return { kind: 'gauge', text, now };
}

function bound(text: string, now: Bound['now'], most: Bound['most']): Bound {
  return { text, now, most };
}

/** By the part of the status report that has them. */
export const FIGURES = {
  routing: {
    routeChanges: counter(
      'nodes that were reached by one neighbour and then by another',
      ({ node }) => node.router.counters.routeChanges,
    ),
    recomputations: counter(
      'computations of all routes',
      ({ node }) => node.router.counters.recomputations,
    ),
    recomputeMsTotal: counter('milliseconds that these took', ({ node }) =>
      ms(node.router.counters.recomputeUsTotal),
    ),
    recomputeMsMax: gauge('milliseconds of the longest of them', ({ node }) =>
      ms(node.router.counters.recomputeUsMax),
    ),
    advertisements: counter(
      'advertisements of others that were believed',
      ({ node }) => node.router.counters.accepted,
    ),
  },
  packets: {
    originated: counter('packets of this node', ({ node }) => node.dissemination.originated),
    forwarded: counter('packets passed on', ({ node }) => node.dissemination.forwarded),
    delivered: counter('packets for this node', ({ node }) => node.dissemination.delivered),
    realtimeDowngraded: counter(
      'messages for realtime links that went by best effort: somebody on the way is older',
      ({ node }) => node.sessions.realtimeDowngraded,
    ),
    groupCopies: counter(
      'packets to groups that links took, each branch by itself',
      ({ node }) => node.groups.multicast.copies,
    ),
    groupRescued: counter(
      'packets to groups that went to a member by itself: a link of their tree was down',
      ({ node }) => node.groups.multicast.rescued,
    ),
    routed: counter(
      'packets of this node that went by several paths',
      ({ node }) => node.routed?.sent ?? 0,
    ),
    routedCopies: counter(
      'copies of such packets that links took, of this node and passed on',
      ({ node }) => node.routed?.copies ?? 0,
    ),
    pathsDowngraded: counter(
      'messages for several paths that went by link state: there was none over nodes that know ' +
        'them',
      ({ node }) => node.sessions.pathsDowngraded,
    ),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Figure>>>>;

export const BOUNDS = {
  links: bound(
    'links, up or not',
    ({ node }) => node.links.size,
    ({ node }) => node.config.limits.links,
  ),
  nodes: bound(
    'nodes in the link-state database',
    ({ node }) => node.router.database.size,
    ({ node }) => node.config.limits.nodes,
  ),
  packetsKept: bound(
    'packets in all queues',
    ({ node }) => node.pool.inUse,
    ({ node }) => node.pool.limit,
  ),
  longestLinkQueueBytes: bound(
    'bytes in the longest queue of a link',
    ({ node }) => longest(node.links.all(), (link) => link.queueBytes),
    ({ node }) => QUEUE_FACTOR * node.config.limits.linkQueueBytes,
  ),
  clients: bound(
    'connected programs',
    ({ clients }) => clients.size,
    ({ node }) => node.config.limits.clients,
  ),
  longestClientQueueBytes: bound(
    'bytes that one of them has not read',
    ({ clients }) => longest(clients, (client) => client.bufferedBytes),
    ({ node }) => node.config.limits.clientQueueBytes,
  ),
  streams: bound(
    'streams, half-open ones included',
    ({ node }) => node.streams.size,
    ({ node }) => node.config.limits.streams,
  ),
  streamBytes: bound(
    'bytes held for slow readers of streams, or granted',
    ({ node }) => node.streams.grantedBytes,
    ({ node }) => node.config.limits.streamBytes,
  ),
  waitingForRoute: bound(
    'packets that wait for a route',
    ({ node }) => node.dissemination.waiting,
    () => LIMBO_PACKETS_MAX,
  ),
  reassemblyBytes: bound(
    'bytes of incomplete fragmented messages',
    ({ node }) => node.sessions.reassembly.bytes,
    ({ node }) => node.config.limits.reassemblyBytes,
  ),
  memberships: bound(
    'nodes in groups, each group by itself',
    ({ node }) => node.groups.records.database.memberships,
    () => MEMBERSHIPS_MAX,
  ),
  groupFlows: bound(
    'sources of groups that pass here',
    ({ node }) => node.groups.multicast.flows.size,
    () => GROUP_FLOWS_MAX,
  ),
  groupTrees: bound(
    'trees of sources',
    ({ node }) => node.groups.trees.size,
    () => SOURCE_TREES_MAX,
  ),
  groupPacketsKept: bound(
    'packets to groups kept for neighbours to come',
    ({ node }) => node.groups.multicast.recent,
    () => RECENT_MAX,
  ),
  probes: bound(
    'probes under way, of ping and trace',
    ({ node }) => node.echo.outstanding,
    () => OUTSTANDING_MAX,
  ),
  captures: bound(
    'programs that capture',
    ({ captures }) => captures.size,
    () => CAPTURES_MAX,
  ),
} as const satisfies Readonly<Record<string, Bound>>;

/** Sockets of all clients, streams and listeners included. */
export function socketsOf({ clients }: Operator): number {
  let sockets = 0;
  for (const client of clients) sockets += client.sockets;
  return sockets;
}

/** What each figure of a table is now, in its order. */
export function figuresNow<Name extends string>(
  figures: Readonly<Record<Name, Figure>>,
  operator: Operator,
): Record<Name, number> {
  return mapped(figures, (figure) => figure.now(operator));
}

/** What each bounded thing is now, and its bound. */
export function boundsNow<Name extends string>(
  bounds: Readonly<Record<Name, Bound>>,
  operator: Operator,
): Record<Name, [number, number]> {
  return mapped(bounds, (one) => [one.now(operator), one.most(operator)]);
}

function mapped<Name extends string, From, To>(
  table: Readonly<Record<Name, From>>,
  of: (from: From) => To,
): Record<Name, To> {
  const entries = Object.entries<From>(table).map(([name, from]) => [name, of(from)]);
  return Object.fromEntries(entries) as Record<Name, To>;
}

function longest<T>(all: Iterable<T>, bytesOf: (one: T) => number): number {
  let most = 0;
  for (const one of all) most = Math.max(most, bytesOf(one));
  return most;
}
