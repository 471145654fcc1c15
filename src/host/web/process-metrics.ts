/**
 * Metrics of the daemon's process and sockets, under the names that Prometheus' own clients have
 * for processes.
 *
 * Owns how late timers ran as a histogram. Read when somebody asks; what Linux alone can say is
 * left out elsewhere.
 */

import { readdirSync } from 'node:fs';
import type { HostFigures } from 'spines-client/protocol';

import { single, type MetricFamily } from '../../core/operator/metric.ts';
import type { Exposition } from './exposition.ts';

/** What they are read from. */
export interface ProcessView {
  readonly figures: HostFigures;
  /** Sum of all that timers were late, since the start. Seconds. */
  readonly lateSumS: number;
}

/** When this process began, seconds since 1970. */
const STARTED_S = Math.round(Date.now() - performance.now()) / 1_000;
/** Powers of two microseconds: buckets end below 128 us, 256 us and so on to 8.4 s. */
const FIRST_BUCKET = 7,
  LAST_BUCKET = 23;
const LATENESS = 'spines_timer_lateness_seconds';

function of(
  kind: MetricFamily['kind'],
  name: string,
  text: string,
  now: (view: ProcessView) => number | null,
): MetricFamily<ProcessView> {
  return single(kind, name, text, now);
}

export const PROCESS_METRICS: readonly MetricFamily<ProcessView>[] = [
  of(
    'gauge',
    'spines_udp_offload',
    'whether the system takes and gives many datagrams in one call: 1 or 0',
    ({ figures }) => (figures.offload ? 1 : 0),
  ),
  of(
    'counter',
    'spines_udp_batches',
    'calls that sent several datagrams',
    (v) => v.figures.batches,
  ),
  of(
    'counter',
    'spines_udp_batched_datagrams',
    'datagrams that these sent',
    ({ figures }) => figures.batchedDatagrams,
  ),
  of(
    'gauge',
    'spines_udp_receive_buffer_bytes',
    'smallest receive buffer of its UDP sockets; Linux counts twice what it grants',
    ({ figures }) => figures.receiveBufferBytes,
  ),
  of(
    'gauge',
    'spines_udp_unsent',
    'datagrams that the system did not send over the last half to whole minute',
    ({ figures }) => (figures.unsent ?? []).reduce((sum, { datagrams }) => sum + datagrams, 0),
  ),
  of(
    'counter',
    'spines_log_lines_lost',
    'lines of the log that could not be written in time',
    ({ figures }) => figures.log?.lost ?? null,
  ),
  of(
    'gauge',
    'spines_log_waiting_bytes',
    'bytes of the log that wait to be written',
    ({ figures }) => figures.log?.waitingBytes ?? null,
  ),
  of(
    'counter',
    'spines_audit_records',
    'records of operations that changed something',
    ({ figures }) => figures.audit?.records ?? null,
  ),
  of('counter', 'process_cpu_seconds', 'processor time, of user and system', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }),
  of('gauge', 'process_start_time_seconds', 'when the process began, since 1970', () => STARTED_S),
  of(
    'gauge',
    'process_resident_memory_bytes',
    'memory that is in use of the machine',
    ({ figures }) => figures.memoryBytes,
  ),
  of('gauge', 'process_open_fds', 'open file descriptors', openFiles),
  of(
    'gauge',
    'nodejs_heap_used_bytes',
    "memory in use of V8's heap",
    () => process.memoryUsage().heapUsed,
  ),
  of(
    'gauge',
    'nodejs_external_memory_bytes',
    'memory outside of that heap, as of buffers',
    () => process.memoryUsage().external,
  ),
];

/** For the table: the one metric that is no family of these rows. */
export const HISTOGRAM_ROW = {
  name: LATENESS,
  kind: 'histogram',
  labels: ['le'],
  most: `${LAST_BUCKET - FIRST_BUCKET + 2}`,
  text: 'by how much timers were late, since the start',
} as const;

/** Writes all of them. */
export function writeProcess(out: Exposition, view: ProcessView): void {
  for (const family of PROCESS_METRICS) out.family(family, (add) => family.samples(view, add));
  const counts = view.figures.timersLateCounts ?? [];
  const between = (first: number, end?: number): number =>
    counts.slice(first, end).reduce((sum, count) => sum + count, 0);
  const buckets = [{ le: 2 ** FIRST_BUCKET / 1e6, count: between(0, FIRST_BUCKET + 1) }];
  for (let i = FIRST_BUCKET + 1; i <= LAST_BUCKET; i += 1)
    buckets.push({ le: 2 ** i / 1e6, count: between(i, i + 1) });
  out.histogram({
    ...HISTOGRAM_ROW,
    buckets,
    above: between(LAST_BUCKET + 1),
    sum: view.lateSumS,
  });
}

/** Null where the system does not say. */
function openFiles(): number | null {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}
