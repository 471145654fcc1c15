/**
 * The report of one run, real or virtual: its JSON shape, the table for people, and CSV.
 *
 * Owns the shape (schema 1, stable for scripts) and its text forms. Filled by the replay and the
 * simulator through `buildReport`; printed by the command line. The plot is delay-plot.ts's.
 * Invariant: the same run gives the same bytes: key order is fixed and no date is in it.
 */

import { SECOND, type Micros } from '../../core/base/time.ts';
import type { FlowResult } from './delay-stats.ts';
import type { Topology } from '../topology/topology.ts';
import { formatDuration, formatRate } from '../../text/units.ts';

export interface ReportFlow extends FlowResult {
  readonly name: string;
  /** Node names. */
  readonly from: string;
  readonly to: string;
  readonly link: string;
  readonly session: string;
  readonly routing: string;
}

/** Traffic of one link, both directions and all daemons' overhead together. */
export interface ReportLink {
  readonly a: string;
  readonly b: string;
  readonly datagrams: number;
  readonly bytes: number;
  readonly retransmitted: number;
  readonly dropped: number;
}

export interface ReportEvent {
  readonly atMs: number;
  readonly what: string;
  readonly [detail: string]: unknown;
}

export interface ReportConvergence {
  readonly atMs: number;
  readonly event: string;
  /** Null: the routes had not settled when the run ended. */
  readonly convergedAfterMs: number | null;
}

/**
 * By how much this machine was late, in real time: what its processors did not get to do in time
 * shows as delay.
 */
export interface ReportLateness {
  /** The latest daemon: its timers, in 99 of 100 cases and at most. Rounded up. */
  readonly daemon: string;
  readonly daemonP99Ms: number;
  readonly daemonMaxMs: number;
  /** Messages that left after they were due. */
  readonly senderP99Ms: number;
  readonly senderMaxMs: number;
}

export interface Report {
  readonly schema: 1;
  readonly topology: string;
  readonly mode: 'real' | 'virtual';
  readonly security: 'sealed' | 'none';
  readonly seed: number;
  readonly durationMs: number;
  readonly flows: readonly ReportFlow[];
  readonly links: readonly ReportLink[];
  readonly events: readonly ReportEvent[];
  /** Hash over all that happened: equal in two virtual runs of the same file and seed. */
  readonly trace?: string;
  readonly convergence?: readonly ReportConvergence[];
  /** In real time only. */
  readonly lateness?: ReportLateness;
  /** What the reader is seeing, in the topology's words. */
  readonly note?: string;
}

export interface ReportInput {
  readonly topology: Topology;
  readonly mode: 'real' | 'virtual';
  /** One for each of the topology's flows, in their order. */
  readonly flows: readonly FlowResult[];
  readonly links: readonly ReportLink[];
  readonly events: readonly ReportEvent[];
  /** Default: the topology's. */
  readonly durationUs?: Micros;
  readonly trace?: string;
  readonly convergence?: readonly ReportConvergence[];
  readonly lateness?: ReportLateness;
}

/** "A convicts B-C". */
export function convictionEvent(
  atMs: number,
  by: string,
  u: string,
  v: string,
  losses: number,
): ReportEvent {
  return { atMs: Math.round(atMs * 10) / 10, what: `${by} convicts ${u}-${v}`, losses };
}

/** Timeline and convictions in order of time; what happened at once stays in order. */
export function withConvictions(
  events: readonly ReportEvent[],
  convictions: readonly ReportEvent[],
): ReportEvent[] {
  return [...events, ...convictions].sort((x, y) => x.atMs - y.atMs);
}

export function buildReport(input: ReportInput): Report {
  const { topology } = input;
  const flows = topology.flows.flatMap((flow, i): ReportFlow[] => {
    const result = input.flows[i];
    if (result === undefined) return [];
    const { name, link, session, routing } = flow;
    return [
      {
        name,
        from: topology.nodes[flow.from]!.name,
        to: topology.nodes[flow.to]!.name,
        link,
        session,
        routing,
        ...result,
      },
    ];
  });
  return {
    schema: 1,
    topology: topology.name,
    mode: input.mode,
    security: topology.security,
    seed: topology.seed,
    durationMs: Math.round(input.durationUs ?? topology.durationUs) / 1_000,
    flows,
    links: input.links,
    events: input.events,
    ...(input.trace === undefined ? {} : { trace: input.trace }),
    ...(input.convergence === undefined ? {} : { convergence: input.convergence }),
    ...(input.lateness === undefined ? {} : { lateness: input.lateness }),
    ...(topology.note === '' ? {} : { note: topology.note }),
  };
}

/**
 * Aligned text for a terminal of 80 columns, ending in a newline; without the note, which is prose.
 * `linksMax`: rows of the link table, busiest first; default 40.
 */
export function formatReport(report: Report, linksMax = 40): string {
  const out: string[] = [];
  const links =
    report.security === 'sealed' ? 'sealed links' : 'links NOT encrypted (security: none)';
  out.push(
    `${report.topology}: ${report.mode} time, ${formatDuration(report.durationMs * 1_000)}, seed ` +
      `${report.seed}, ${links}`,
  );
  if (report.trace !== undefined) out.push(`trace ${report.trace}`);

  out.push(
    ...flowLines(report),
    ...lateLines(report),
    ...linkLines(report, linksMax),
    ...eventLines(report),
  );
  return `${out.join('\n')}\n`;
}

function flowLines(report: Report): string[] {
  const out: string[] = [];
  out.push('', 'Flows');
  if (report.flows.length === 0) out.push('  none');
  else {
    const timely = hasDeadlines(report);
    // Two tables: together they would be wider than a terminal.
    out.push(
      ...table(
        ['flow', 'way', 'service', 'delivered', 'loss %', 'goodput'],
        report.flows.map((flow) => [
          flow.name,
          `${flow.from}-${flow.to}`,
          serviceOf(flow),
          `${flow.delivered}/${flow.sent}`,
          flow.sent === 0 ? '-' : ((flow.lost / flow.sent) * 100).toFixed(2),
          formatRate(Math.round(flow.goodputKbps * 10) / 10),
        ]),
        3,
      ),
      '',
      'Delay in ms',
      ...table(
        ['flow', 'mean', 'sd', 'p50', 'p99', 'max', '>60 %', ...(timely ? ['late %'] : [])],
        report.flows.map((flow) => [
          flow.name,
          ...(flow.delayMs === null
            ? ['-', '-', '-', '-', '-', '-']
            : [
                flow.delayMs.mean,
                flow.delayMs.stddev,
                flow.delayMs.p50,
                flow.delayMs.p99,
                flow.delayMs.max,
                flow.delayedPct['60'] ?? 0,
              ].map((v) => v.toFixed(2))),
          ...(timely ? [flow.latePct?.toFixed(2) ?? '-'] : []),
        ]),
        1,
      ),
    );
    const odd = report.flows.filter((flow) => flow.duplicates > 0 || flow.outOfOrder > 0);
    for (const { name, refused, sent, refusals = {} } of report.flows) {
      if (refused > 0)
        out.push(
          `  ${name}: ${refused} of ${sent} refused, and told: ${Object.keys(refusals).join(', ')}`,
        );
    }
    for (const flow of odd)
      out.push(`  ${flow.name}: ${flow.duplicates} duplicates, ${flow.outOfOrder} out of order`);
  }
  return out;
}

/** Only of a machine that was late. */
function lateLines(report: Report): string[] {
  const out: string[] = [];
  if (report.lateness !== undefined && isLate(report.lateness)) {
    const { daemon, daemonP99Ms, daemonMaxMs, senderP99Ms, senderMaxMs } = report.lateness;
    out.push(
      '',
      "This machine was late, and the delays above are its own as well as the network's:",
    );
    out.push(
      `  daemons' timers by up to ${lateText(daemonMaxMs)}, 99 % within ${lateText(daemonP99Ms)} ` +
        `(${daemon}, the latest)`,
    );
    out.push(`  senders by up to ${lateText(senderMaxMs)}, 99 % within ${lateText(senderP99Ms)}`);
    out.push(
      '  for delays of the network alone end what else runs here, take fewer nodes, or use ' +
        '--virtual',
    );
  }
  return out;
}

/** The `linksMax` busiest. */
function linkLines(report: Report, linksMax: number): string[] {
  const out: string[] = [];
  if (report.links.length > 0) {
    out.push('', 'Links (both directions)');
    const busiest = report.links
      .map((link, i) => ({ link, i }))
      .sort((x, y) => y.link.bytes - x.link.bytes || x.i - y.i);
    const shown = busiest.slice(0, linksMax).sort((x, y) => x.i - y.i);
    out.push(
      ...table(
        ['a', 'b', 'datagrams', 'bytes', 'retransmitted', 'dropped'],
        shown.map(({ link }) => [
          link.a,
          link.b,
          String(link.datagrams),
          String(link.bytes),
          String(link.retransmitted),
          String(link.dropped),
        ]),
        2,
      ),
    );
    if (shown.length < report.links.length)
      out.push(`  and ${report.links.length - shown.length} less busy links`);
  }
  return out;
}

/** Events, and how long routes took to follow them. */
function eventLines(report: Report): string[] {
  const out: string[] = [];
  if (report.events.length > 0) {
    out.push('', 'Events');
    out.push(
      ...table(
        ['at', 'what', 'details'],
        report.events.map(({ atMs, what, ...details }) => [
          seconds(atMs),
          what,
          detailsOf(details),
        ]),
        3,
      ),
    );
  }
  if (report.convergence !== undefined && report.convergence.length > 0) {
    out.push('', 'Convergence');
    out.push(
      ...table(
        ['at', 'event', 'converged after'],
        report.convergence.map((c) => [
          seconds(c.atMs),
          c.event,
          c.convergedAfterMs === null ? 'not yet' : `${c.convergedAfterMs.toFixed(1)} ms`,
        ]),
        2,
      ),
    );
  }
  return out;
}

/** Whether some flow has a deadline: only then is there anything about it. */
function hasDeadlines(report: Report): boolean {
  return report.flows.some(({ latePct }) => latePct !== undefined);
}

/**
 * One line per flow under a header (RFC 4180, LF); empty delay fields when nothing was delivered.
 */
export function flowsCsv(report: Report): string {
  const thresholds = [
    ...new Set(report.flows.flatMap((flow) => Object.keys(flow.delayedPct))),
  ].sort((a, b) => Number(a) - Number(b));
  const delays = ['mean', 'stddev', 'min', 'p50', 'p90', 'p99', 'p999', 'max'] as const;
  const lines = [
    [
      'topology',
      'mode',
      'seed',
      'flow',
      'from',
      'to',
      'link',
      'session',
      'routing',
      'sent',
      'delivered',
      'refused',
      'lost',
      'duplicates',
      'out_of_order',
      'goodput_kbps',
    ].concat(
      delays.map((name) => `delay_${name}_ms`),
      thresholds.map((ms) => `delayed_over_${ms}ms_pct`),
      hasDeadlines(report) ? ['deadline_ms', 'late_pct'] : [],
    ),
  ];
  for (const flow of report.flows) {
    const head = [
      report.topology,
      report.mode,
      report.seed,
      flow.name,
      flow.from,
      flow.to,
      flow.link,
      flow.session,
      flow.routing,
    ];
    const counts = [
      flow.sent,
      flow.delivered,
      flow.refused,
      flow.lost,
      flow.duplicates,
      flow.outOfOrder,
      flow.goodputKbps,
    ];
    const measured = delays.map((name) => flow.delayMs?.[name] ?? '');
    const late = thresholds.map((ms) => (flow.delayMs === null ? '' : (flow.delayedPct[ms] ?? '')));
    const timely = hasDeadlines(report) ? [flow.deadlineMs ?? '', flow.latePct ?? ''] : [];
    const all = [...head, ...counts, ...measured, ...late, ...timely];
    lines.push(all.map((field) => csvField(String(field))));
  }
  return `${lines.map((line) => line.join(',')).join('\n')}\n`;
}

/** Delays of a busy machine begin to be seen beside those of emulated links. */
const LATE_P99_MS = 5,
  LATE_MAX_MS = 50;

function isLate({ daemonP99Ms, daemonMaxMs, senderP99Ms, senderMaxMs }: ReportLateness): boolean {
  return (
    Math.max(daemonP99Ms, senderP99Ms) >= LATE_P99_MS ||
    Math.max(daemonMaxMs, senderMaxMs) >= LATE_MAX_MS
  );
}

function lateText(ms: number): string {
  return ms >= 1_000
    ? `${(ms / 1_000).toFixed(1)} s`
    : `${ms >= 10 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

function serviceOf(flow: ReportFlow): string {
  return [
    flow.link,
    ...(flow.session === 'datagram' ? [] : [flow.session]),
    ...(flow.routing === 'link-state' ? [] : [flow.routing]),
  ].join(' ');
}

function detailsOf(details: Readonly<Record<string, unknown>>): string {
  return Object.entries(details)
    .map(
      ([key, value]) =>
        `${key}=${typeof value === 'string' ? value : (JSON.stringify(value) ?? '')}`,
    )
    .join(' ');
}

function seconds(ms: number): string {
  return `${((ms * 1_000) / SECOND).toFixed(3)} s`;
}

/**
 * Rows under a header, two spaces apart: the first `textColumns` columns flush left, the others
 * flush right.
 */
function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  textColumns: number,
): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) =>
    all.reduce((widest, row) => Math.max(widest, row[column]!.length), 0),
  );
  return all.map((row) => {
    const cells = row.map((cell, column) =>
      column < textColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    );
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
