/**
 * Metrics of links, a sample for each neighbour: state, round trip, loss, traffic, queue, clock.
 *
 * Reads the report of links once for all families. Measured values are of links that are up only: a
 * link that is down has none, not its last ones. Cardinality is bounded by `limits.links` and the
 * neighbours of the configuration.
 */

import type { LinkRow } from 'spines-client/protocol';

import { linksReport } from './links-report.ts';
import { family, type MetricFamily } from './metric.ts';
import type { Operator } from './operation.ts';

/** Neighbours by the name that their samples bear: name, else id, else address. */
export type LinkRows = ReadonlyMap<string, LinkRow>;

const STATES = ['up', 'connecting', 'down', 'standby'] as const;

/**
 * Rows by peer. Further addresses of a neighbour that has its link (standby) are not rows; of two
 * neighbours of one name the second one bears its id or address as well.
 */
export function linkRows(operator: Operator): LinkRows {
  const rows = new Map<string, LinkRow>();
  for (const row of linksReport(operator).links) {
    if (row.state === 'standby') continue;
    const peer = row.name ?? row.node ?? row.address;
    const twice = `${peer} ${row.node ?? row.address}`;
    if (!rows.has(peer)) rows.set(peer, row);
    else rows.set(rows.has(twice) ? `${peer} ${row.address}` : twice, row);
  }
  return rows;
}

/** A sample for each neighbour for which `of` has a value. */
function each(
  kind: MetricFamily['kind'],
  name: string,
  text: string,
  of: (row: LinkRow) => number | null | undefined,
): MetricFamily<LinkRows> {
  return family(
    kind,
    `spines_link_${name}`,
    text,
    (rows, add) => {
      for (const [peer, row] of rows) {
        const value = of(row);
        if (value != null) add(value, peer);
      }
    },
    ['peer'],
    'one a link',
  );
}

/** A gauge of links that are up. */
function whileUp(
  name: string,
  text: string,
  of: (row: LinkRow) => number | null | undefined,
): MetricFamily<LinkRows> {
  return each('gauge', name, text, (row) => (row.state === 'up' ? of(row) : null));
}

/** Two samples for each neighbour: away from this daemon, and towards it. */
function bothWays(
  kind: MetricFamily['kind'],
  name: string,
  text: string,
  of: (row: LinkRow) => readonly [out: number, back: number] | null,
): MetricFamily<LinkRows> {
  return family(
    kind,
    `spines_link_${name}`,
    text,
    (rows, add) => {
      for (const [peer, row] of rows) {
        const both = of(row);
        if (both === null) continue;
        add(both[0], peer, 'out');
        add(both[1], peer, 'in');
      }
    },
    ['peer', 'direction'],
    'two a link',
  );
}

/** Milliseconds as seconds; null stays. */
function seconds(ms: number | null | undefined): number | null {
  return ms == null ? null : ms / 1_000;
}

export const LINK_METRICS: readonly MetricFamily<LinkRows>[] = [
  family(
    'gauge',
    'spines_links',
    'neighbours by the state of their links',
    (rows, add) => {
      const counts = new Map<string, number>(STATES.map((state) => [state, 0]));
      for (const { state } of rows.values()) counts.set(state, counts.get(state)! + 1);
      for (const state of STATES) if (state !== 'standby') add(counts.get(state)!, state);
    },
    ['state'],
    '3',
  ),
  each('gauge', 'up', 'whether there is a link: 1 or 0', ({ state }) => (state === 'up' ? 1 : 0)),
  each('gauge', 'state_seconds', 'time in this state', ({ sinceMs }) => seconds(sinceMs)),
  each('gauge', 'flaps', 'times it went down in the last hour', ({ flaps }) => flaps),
  whileUp('rtt_seconds', 'smoothed round trip', ({ rttMs }) => seconds(rttMs)),
  bothWays('gauge', 'loss_ratio', 'estimated loss of a link that is up', (row) => {
    const { lossOutPct, lossInPct } = row;
    return lossOutPct === null || lossInPct === null ? null : [lossOutPct / 100, lossInPct / 100];
  }),
  whileUp('cost', 'cost by the metric of `metric`', ({ cost }) => cost),
  bothWays('counter', 'datagrams', 'UDP datagrams', ({ sent, received }) => [
    sent.datagrams,
    received.datagrams,
  ]),
  bothWays('counter', 'bytes', 'their bytes, with IP and UDP headers', ({ sent, received }) => [
    sent.bytes,
    received.bytes,
  ]),
  each('counter', 'retransmitted', 'packets sent again', ({ retransmitted }) => retransmitted),
  each(
    'counter',
    'dropped',
    'packets refused by its full queue, or lost on an emulated wire',
    ({ dropped }) => dropped,
  ),
  whileUp('queue_bytes', 'bytes that wait to be sent', ({ queueBytes }) => queueBytes),
  whileUp('window_bytes', 'congestion window of reliable packets', (row) => row.windowBytes),
  whileUp('in_flight_bytes', 'reliable bytes under way', ({ inFlightBytes }) => inFlightBytes),
  whileUp('packet_size_bytes', 'longest IP packet that passes', ({ size }) => size?.packetBytes),
  whileUp('clock_ahead_seconds', "by how much the peer's clock is ahead", ({ clockAheadMs }) =>
    seconds(clockAheadMs),
  ),
  whileUp('key_age_seconds', 'age of its keys', ({ seal }) => seconds(seal?.keyAgeMs)),
  whileUp(
    'certificate_expiry_timestamp_seconds',
    "end of the peer's certificate, since 1970",
    ({ seal }) => seal?.notAfterS,
  ),
  bothWays('counter', 'realtime_packets', 'packets with a deadline', ({ realtime }) =>
    realtime == null ? null : [realtime.sentPackets, realtime.receivedPackets],
  ),
  each(
    'counter',
    'realtime_missing',
    'datagrams with such packets that were missing',
    (row) => row.realtime?.missing,
  ),
  each('counter', 'realtime_recovered', 'such packets that were had in time after all', (row) =>
    row.realtime == null ? null : row.realtime.recovered + row.realtime.repaired,
  ),
];
