/**
 * Metrics of the node itself: who it is, routes, packets, drops, sockets, convictions, certificate.
 *
 * Cardinality is that of tables in the code (drop reasons, link services, routings) and of the
 * authorities of the configuration; never of nodes, ports, programs or addresses.
 */

import { VERSION } from '../node/version.ts';
import {
  DISSEMINATION_NAMES,
  disseminationName,
  SERVICE_NAMES,
  serviceName,
} from '../wire/modes.ts';
import { DROP_REASON_COUNT, dropReasonName, type DropReason } from '../wire/drop.ts';
import { formatNodeId } from '../base/ids.ts';
import type { ByzantineFigures } from 'spines-client/protocol';
import { byzantineFigures } from './byzantine-report.ts';
import { BOUNDS, FIGURES, socketsOf } from './figures.ts';
import { twinRows } from './links-report.ts';
import { familiesOf, familiesOfBounds, family, single, snakeCase } from './metric.ts';
import type { MetricFamily } from './metric.ts';
import type { Operator } from './operation.ts';

const SOCKET_KINDS = ['datagram', 'stream', 'listener'];
const LIMITS = [
  'application',
  'congestion window',
  'receiver window',
  'pacing',
  'link queue',
  'nothing',
];

/** What each counter of the Byzantine-resilient router counts; the others are gauges. */
const BYZANTINE_COUNTERS: Partial<Record<keyof ByzantineFigures, string>> = {
  faults: 'losses enough to blame a part of a path',
  convictions: 'links blamed',
  discoveries: 'requests for paths of this node',
  answered: 'answers to such requests of others',
  requestsForwarded: 'requests passed on',
  responsesForwarded: 'answers passed on',
  verified: 'signatures found good',
  refused: 'signatures found wrong',
  remembered: 'signatures known from before',
  overBudget: 'messages refused for want of budget',
  forwarded: 'probed packets passed on without a layer of ours',
  probed: 'probed packets passed on with one',
  delivered: 'probed packets taken as destination',
};

function byzantineFamilies(): MetricFamily[] {
  const of = (name: keyof ByzantineFigures) => (operator: Operator) =>
    operator.node.byzantine === null ? null : byzantineFigures(operator.node.byzantine)[name];
  return [
    single('gauge', 'spines_byzantine_flows', 'destinations that are sent to', of('flows')),
    single(
      'gauge',
      'spines_byzantine_convicted_links',
      'links heavier than 1 now',
      of('convictedLinks'),
    ),
    ...Object.entries(BYZANTINE_COUNTERS).map(([name, text]) =>
      single(
        'counter',
        `spines_byzantine_${snakeCase(name)}`,
        text,
        of(name as keyof ByzantineFigures),
      ),
    ),
  ];
}

/** Sockets by what they are, none where there is none; by a key of three labels. */
function countSockets({ clients }: Operator): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of SOCKET_KINDS)
    for (const link of SERVICE_NAMES)
      for (const routing of DISSEMINATION_NAMES) counts.set(`${kind} ${link} ${routing}`, 0);
  const count = (kind: string, service: number, dissemination: number): void => {
    const key = `${kind} ${serviceName(service)} ${disseminationName(dissemination)}`;
    counts.set(key, counts.get(key)! + 1);
  };
  for (const client of clients) {
    for (const { service, dissemination } of client.datagrams.sockets())
      count('datagram', service, dissemination);
    for (const { stream, listening, options } of client.streams.sockets()) {
      if (stream !== null) count('stream', stream.options.service, stream.options.dissemination);
      else if (listening) count('listener', options.service, options.dissemination);
    }
  }
  return counts;
}

/** Streams of programs by what keeps them from sending more; null is "nothing". */
function countLimits({ clients }: Operator): Map<string, number> {
  const counts = new Map(LIMITS.map((by) => [by, 0]));
  for (const client of clients)
    for (const { stream } of client.streams.sockets()) {
      if (stream === null) continue;
      const by = stream.limitedBy ?? 'nothing';
      counts.set(by, (counts.get(by) ?? 0) + 1);
    }
  return counts;
}

const IDENTITY_METRICS: readonly MetricFamily[] = [
  single(
    'gauge',
    'spines_certificate_expiry_timestamp_seconds',
    "end of this node's certificate, since 1970",
    ({ env }) => env.membership?.identity.certificate.notAfterS ?? null,
  ),
  single(
    'gauge',
    'spines_certificate_remaining_seconds',
    'time until then; negative when it is over',
    ({ env: { membership } }) =>
      membership === null ? null : membership.identity.certificate.notAfterS - membership.nowS,
  ),
  family(
    'gauge',
    'spines_authority_expiry_timestamp_seconds',
    'end of the authorities that are trusted, since 1970',
    ({ env }, add) => {
      const ends = new Map<string, number>();
      for (const { name, notAfterS } of env.membership?.trust.authorities ?? [])
        ends.set(name, Math.max(notAfterS, ends.get(name) ?? 0));
      for (const [name, notAfterS] of ends) add(notAfterS, name);
    },
    ['authority'],
    'one an authority',
  ),
  single(
    'gauge',
    'spines_revoked_certificates',
    'serials on the revocation lists in force',
    ({ env }) =>
      env.membership?.trust.revocations.reduce((sum, { serials }) => sum + serials.length, 0) ??
      null,
  ),
  family(
    'gauge',
    'spines_identity_twice',
    'identities that run on two machines, as seen from here: own is this node',
    (operator, add) => {
      const rows = twinRows(operator);
      const own = rows.filter(({ self }) => self).length;
      add(own, 'own');
      add(rows.length - own, 'other');
    },
    ['whose'],
    '2',
  ),
];

export const NODE_METRICS: readonly MetricFamily[] = [
  family(
    'gauge',
    'spines_info',
    'who the daemon is; always 1',
    ({ node: { config, instance }, env }, add) =>
      add(
        1,
        formatNodeId(config.id),
        config.name,
        VERSION,
        instance,
        env.membership === null ? 'none' : 'sealed',
      ),
    ['node', 'name', 'version', 'instance', 'security'],
  ),
  family(
    'gauge',
    'spines_nodes',
    'nodes of the network that are known, and that routes lead to, this one included',
    ({ node: { router } }, add) => {
      let reachable = 0;
      for (const cost of router.paths.cost) if (cost >= 0) reachable += 1;
      add(router.database.size, 'known');
      add(reachable, 'reachable');
    },
    ['state'],
    '2',
  ),
  single(
    'gauge',
    'spines_nodes_refused',
    'nodes whose word is not believed, for their clock or certificate',
    ({ node: { router } }) => router.clocks?.refused().length ?? null,
  ),
  ...familiesOf('routing', FIGURES.routing),
  ...familiesOf('packets', FIGURES.packets),
  family(
    'counter',
    'spines_drops',
    'what was not used, by the reasons of `spines status`',
    ({ node: { drops } }, add) => {
      for (let reason = 1; reason < DROP_REASON_COUNT; reason += 1)
        add(drops.of(reason as DropReason), dropReasonName(reason as DropReason));
    },
    ['reason'],
    `${DROP_REASON_COUNT - 1}`,
  ),
  ...familiesOfBounds(BOUNDS),
  family(
    'gauge',
    'spines_sockets',
    'sockets of programs',
    (operator, add) => {
      for (const [key, sockets] of countSockets(operator)) {
        const [kind = '', link = '', routing = ''] = key.split(' ');
        add(sockets, kind, link, routing);
      }
    },
    ['kind', 'link', 'routing'],
    'kinds x link services x routings',
  ),
  single('gauge', 'spines_sockets_open', 'sockets of programs, of all kinds', socketsOf),
  family(
    'gauge',
    'spines_streams_limited',
    'streams of programs by what keeps them from sending more now',
    (operator, add) => {
      for (const [by, streams] of countLimits(operator)) add(streams, by);
    },
    ['by'],
    `${LIMITS.length}`,
  ),
  ...byzantineFamilies(),
  ...IDENTITY_METRICS,
];
