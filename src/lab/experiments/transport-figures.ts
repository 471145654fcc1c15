/**
 * Tables of what transports do where nobody tuned for it: delay over loss, long fat lines,
 * fairness, sparse flows beside bulk, outages, flaps.
 *
 * Owns which runs make which table, and the targets. Networks are transport-lab.ts's. A regression
 * shows as a difference of numbers: the same source gives the same text. Invariant: every cell is a
 * number or a name; "-" means that the flow does not keep up.
 */

import { CONGESTION_NAMES, type CongestionName } from '../../core/recovery/controller.ts';
import { padhyeMbps } from './figures.ts';
import {
  alone,
  chain,
  jain,
  quantileMs,
  run,
  share,
  WAYS,
  type Outcome,
  type Way,
} from './transport-lab.ts';

export interface TransportTable {
  readonly key: string;
  readonly title: string;
  readonly columns: readonly string[];
  /** So many columns from the left are names. */
  readonly names: number;
  readonly rows: readonly (readonly string[])[];
}

export interface TransportOptions {
  /** The cells that are hardest, in seconds; otherwise all, in half an hour. */
  readonly quick: boolean;
  readonly onRun?: (what: string) => void;
}

type Experiment = (options: TransportOptions) => TransportTable;

const ALL_WAYS = Object.keys(WAYS) as Way[];
/** Payload of a full segment of a stream. */
const SEGMENT_BYTES = 1_372;
const KEEPS_UP = 0.99;

function delay({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  for (const way of ALL_WAYS) {
    for (const hops of quick ? [3] : [1, 3, 10]) {
      for (const both of quick ? [true] : [false, true]) {
        for (const loss of quick ? [1, 5] : [1, 2, 5, 10]) {
          for (const kbps of quick ? [500] : [100, 500, 4_000]) {
            for (const bytes of quick ? [100, 16_384] : [100, 1_000, 16_384, 65_536]) {
              onRun?.(`delay: ${way}, ${hops} hops, ${loss} %, ${kbps} kbit/s, ${bytes} B`);
              // Some 1,500 messages.
              const seconds =
                1 + Math.min(60, Math.max(8, Math.round((1_500 * 8 * bytes) / kbps / 1_000)));
              const { flow, meter } = alone(way, kbps, bytes, {
                hops,
                loss,
                both,
                seconds: quick ? Math.min(seconds, 13) : seconds,
              });
              rows.push([
                way,
                String(hops),
                both ? 'both' : 'forward',
                `${loss}`,
                `${kbps}`,
                `${bytes}`,
                ...delaysOf({ flow, meter }, hops * 10),
              ]);
            }
          }
        }
      }
    }
  }
  return {
    key: 'delay',
    title: 'Delay beyond the path of 10 ms a hop, ms; loss on the middle one of links of 10 Mbit/s',
    columns: ['way', 'hops', 'loss', '%', 'kbit/s', 'bytes', 'mean', 'p50', 'p99', 'max', 'lost'],
    names: 6,
    rows,
  };
}

/** Mean, median, p99 and most beyond `pathMs`, and what did not arrive. */
function delaysOf({ flow, meter }: Outcome, pathMs: number): string[] {
  const missing = String(flow.sent - flow.delivered);
  if (flow.delivered < KEEPS_UP * flow.sent || flow.delayMs === null)
    return ['-', '-', '-', '-', missing];
  return [
    flow.delayMs.mean - pathMs,
    flow.delayMs.p50 - pathMs,
    quantileMs(meter.delays, 99, 100) - pathMs,
    flow.delayMs.max - pathMs,
  ]
    .map((ms) => Math.max(0, ms).toFixed(1))
    .concat(missing);
}

function longFat({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  for (const rttMs of quick ? [100] : [100, 200]) {
    for (const loss of quick ? [0.1] : [0, 0.01, 0.1, 1]) {
      for (const kind of quick ? (['bbr'] as const) : CONGESTION_NAMES) {
        onRun?.(`long-fat: ${rttMs} ms, ${loss} %, ${kind}`);
        const seconds = quick ? 4 : 20;
        const stream =
          share({ kbps: 100_000, rttsMs: [rttMs], buffer: 1, loss: loss / 100, seconds }, [kind])
            .kbps[0]! / 1_000;
        const greedy =
          '  - { name: flow, from: n0, to: n1, rate: 105mbit, size: 1000, link: reliable }';
        const link = run(
          chain({
            hops: 1,
            hopMs: rttMs / 2,
            kbps: 100_000,
            loss,
            seconds,
            congestion: kind,
            flows: greedy,
          }),
        )['flow']!;
        rows.push([
          String(rttMs),
          String(loss),
          kind,
          stream.toFixed(1),
          (link.flow.goodputKbps / 1_000).toFixed(1),
        ]);
      }
    }
  }
  return {
    key: 'long-fat',
    title: 'One greedy flow on 100 Mbit/s, Mbit/s of messages of 1,000 B (at most 92 to 93)',
    columns: ['round trip ms', 'loss %', 'control', 'stream/best-effort', 'reliable'],
    names: 3,
    rows,
  };
}

function equation({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  for (const rttMs of quick ? [100] : [20, 100]) {
    for (const loss of quick ? [1] : [0.1, 0.5, 1, 2, 5]) {
      for (const kind of quick ? (['newreno'] as const) : (['newreno', 'cubic'] as const)) {
        onRun?.(`equation: ${rttMs} ms, ${loss} %, ${kind}`);
        const seconds = quick ? 60 : 100,
          seeds = quick ? 2 : 3;
        let kbps = 0;
        for (let seed = 1; seed <= seeds; seed += 1)
          kbps +=
            share({ kbps: 100_000, rttsMs: [rttMs], buffer: 1, loss: loss / 100, seconds, seed }, [
              kind,
            ]).kbps[0]! / seeds;
        const says = 1_000 * padhyeMbps(loss, rttMs * 1_000, SEGMENT_BYTES, 92_000);
        rows.push([
          String(rttMs),
          String(loss),
          kind,
          kbps.toFixed(0),
          says.toFixed(0),
          (kbps / says).toFixed(2),
        ]);
      }
    }
  }
  return {
    key: 'equation',
    title: 'A greedy stream over best effort beside the equation of RFC 5348, kbit/s',
    columns: ['round trip ms', 'loss %', 'control', 'has', 'equation', 'ratio'],
    names: 3,
    rows,
  };
}

function fairness({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  const seeds = quick ? 1 : 3;
  const mean = (line: Parameters<typeof share>[0], kinds: readonly CongestionName[]): number[] => {
    const sum = kinds.map(() => 0);
    for (let seed = 1; seed <= seeds; seed += 1) {
      const got = share({ ...line, seed }, kinds).kbps;
      // Of two of a kind the one with less first: which it is, is chance.
      if (new Set(kinds).size === 1) got.sort((x, y) => x - y);
      got.forEach((kbps, i) => {
        sum[i]! += kbps / line.kbps / seeds;
      });
    }
    return sum;
  };
  for (const rttMs of quick ? [100] : [10, 100]) {
    for (const buffer of quick ? [1] : [0.25, 1, 4]) {
      onRun?.(`fairness: ${rttMs} ms, buffer of ${buffer}`);
      const line = { kbps: 10_000, rttsMs: [rttMs, rttMs], buffer, seconds: quick ? 40 : 100 };
      for (const other of quick ? (['newreno'] as const) : (['newreno', 'cubic'] as const)) {
        const own = mean(line, [other, other]),
          beside = mean(line, ['bbr', other]);
        rows.push([
          String(rttMs),
          String(buffer),
          other,
          beside[1]!.toFixed(2),
          beside[0]!.toFixed(2),
          ((own[0]! + own[1]!) / 2).toFixed(2),
        ]);
      }
      const two = mean(line, ['bbr', 'bbr']);
      rows.push([
        String(rttMs),
        String(buffer),
        'bbr',
        two[0]!.toFixed(2),
        two[1]!.toFixed(2),
        ((two[0]! + two[1]!) / 2).toFixed(2),
      ]);
    }
  }
  return {
    key: 'fairness',
    title: 'Two greedy streams on 10 Mbit/s: parts of the line; of two BBRs the smaller part first',
    columns: ['round trip ms', 'buffer', 'control', 'has', 'bbr beside', 'beside its own'],
    names: 3,
    rows,
  };
}

function equal({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  for (const [what, rttsMs] of [
    ['equal', [40, 40, 40, 40]],
    ['8-fold', [10, 20, 40, 80]],
  ] as const) {
    for (const kind of quick ? (['bbr'] as const) : CONGESTION_NAMES) {
      onRun?.(`jain: ${what}, ${kind}`);
      const { kbps, queueP99Ms } = share(
        { kbps: 20_000, rttsMs, buffer: what === 'equal' ? 1 : 4, seconds: quick ? 30 : 100 },
        [kind, kind, kind, kind],
      );
      rows.push([
        what,
        kind,
        jain(kbps).toFixed(3),
        ...kbps.map((one) => (one / 20_000).toFixed(2)),
        queueP99Ms.toFixed(1),
      ]);
    }
  }
  return {
    key: 'jain',
    title:
      "Four greedy streams on 20 Mbit/s, round trips of 40 ms or of 10 to 80: Jain's index, " +
      'parts, the queue at p99 in ms',
    columns: ['round trips', 'control', 'index', '1', '2', '3', '4', 'queue'],
    names: 2,
    rows,
  };
}

/** The sparse flow's delays at p50 and p99 and most, and the bulk's part. */
function sparse({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  const seconds = quick ? 12 : 30;
  const network = (
    way: Way,
    bulk: string,
    first: string,
    count = 1,
    congestion: CongestionName = 'bbr',
  ): string => {
    const each = count > 1 ? 5 : 20;
    const flows = Array.from(
      { length: count },
      (_, i) =>
        `  - { name: sparse${i}, from: s, to: d, packetsPerSecond: ${each}, size: 100, ` +
        `start: 2s, ${WAYS[way]} }\n`,
    );
    return `name: sparse
duration: ${seconds}s
seed: 3
congestion: ${congestion}
nodes: [s, t, a, b, d]
links:
  - { between: [s, a], latency: 5ms, bandwidth: 100mbit }
  - { between: [t, a], latency: 5ms, bandwidth: 100mbit }
  - { between: [a, b], latency: 10ms, bandwidth: 10mbit${first} }
  - { between: [b, d], latency: 5ms, bandwidth: 100mbit }
flows:
${bulk}${flows.join('')}`;
  };
  const bulks = {
    nothing: '',
    'reliable bulk of its node':
      '  - { name: bulk, from: s, to: d, rate: 12mbit, size: 1000, link: reliable }\n',
    'reliable bulk of another':
      '  - { name: bulk, from: t, to: d, rate: 12mbit, size: 1000, link: reliable }\n',
    'stream bulk of its node':
      '  - { name: bulk, from: s, to: d, rate: 12mbit, size: 1000, link: reliable, session: ' +
      'stream }\n',
    'stream bulk of another':
      '  - { name: bulk, from: t, to: d, rate: 12mbit, size: 1000, link: reliable, session: ' +
      'stream }\n',
  };
  for (const way of quick ? (['reliable'] as const) : ALL_WAYS) {
    for (const [what, bulk] of Object.entries(bulks)) {
      for (const count of quick || what === 'nothing' ? [1] : [1, 100]) {
        onRun?.(`sparse: ${way} beside ${what}`);
        const flows = run(network(way, bulk, '', count));
        const delays = Object.entries(flows)
          .filter(([name]) => name.startsWith('sparse'))
          .map(([, { meter }]) => meter.delays);
        const worst = (numerator: number, denominator: number): string =>
          Math.max(...delays.map((one) => quantileMs(one, numerator, denominator))).toFixed(1);
        rows.push([
          way,
          String(count),
          what,
          worst(1, 2),
          worst(99, 100),
          worst(1, 1),
          ((flows['bulk']?.flow.goodputKbps ?? 0) / 1_000).toFixed(2),
        ]);
      }
    }
  }
  return {
    key: 'sparse',
    title:
      "Sparse flows of 100 B beside bulk on 10 Mbit/s, a path of 20 ms: the worst flow's delay " +
      "in ms, and the bulk's Mbit/s",
    columns: ['sparse', 'flows', 'beside', 'p50', 'p99', 'max', 'bulk'],
    names: 3,
    rows,
  };
}

function outages({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  for (const ms of quick ? [60, 1_000] : [20, 60, 200, 500, 1_000, 2_000, 3_500]) {
    onRun?.(`outages: ${ms} ms`);
    const seconds = 24;
    const events = [4, 11, 18].flatMap((at) => [
      `  - { at: ${at}s, down: [n1, n2] }`,
      `  - { at: ${at * 1_000 + ms}ms, up: [n1, n2] }`,
    ]);
    const each = ALL_WAYS.map(
      (way) =>
        `  - { name: ${way.replace('/', '.')}, from: n0, to: n3, rate: 500kbit, size: 1000, ` +
        `start: 1s, ${WAYS[way]} }`,
    );
    const flows = run(
      chain({ hops: 3, loss: 0, seconds, flows: each.join('\n') }) +
        `events:\n${events.join('\n')}\n`,
    );
    rows.push([
      String(ms),
      ...ALL_WAYS.flatMap((way) => {
        const { flow, meter } = flows[way.replace('/', '.')]!;
        return [
          (quantileMs(meter.delays, 1, 1) - 30 - ms).toFixed(0),
          String(flow.sent - flow.delivered),
        ];
      }),
    ]);
  }
  return {
    key: 'outages',
    title:
      'The middle one of three links of 10 ms is dead for so long: the longest delay beyond path ' +
      'and outage in ms, and what is missing',
    columns: ['outage ms', ...ALL_WAYS.flatMap((way) => [way, 'missing'])],
    names: 1,
    rows,
  };
}

function flaps({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  for (const half of quick ? [500] : [50, 100, 200, 500, 1_000, 2_000]) {
    onRun?.(`flaps: ${half} ms`);
    const events: string[] = [];
    for (let at = 5_000; at < 60_000; at += 2 * half)
      events.push(`  - { at: ${at}ms, down: [b, d] }`, `  - { at: ${at + half}ms, up: [b, d] }`);
    const flows = run(`name: flaps
duration: 62s
seed: 3
nodes: [a, b, c, d]
links:
  - { between: [a, b], latency: 10ms }
  - { between: [b, d], latency: 10ms }
  - { between: [a, c], latency: 20ms }
  - { between: [c, d], latency: 20ms }
flows:
  - { name: plain, from: a, to: d, packetsPerSecond: 100, size: 500, start: 2s }
  - { name: reliable, from: a, to: d, packetsPerSecond: 100, size: 500, start: 2s, link: reliable }
events:
${events.join('\n')}
`);
    const { plain, reliable } = flows as Record<'plain' | 'reliable', Outcome>;
    rows.push([
      String(half),
      ((100 * (plain.flow.sent - plain.flow.delivered)) / plain.flow.sent).toFixed(2),
      reliable.flow.delayMs!.mean.toFixed(1),
      quantileMs(reliable.meter.delays, 99, 100).toFixed(0),
      reliable.flow.delayMs!.max.toFixed(0),
      String(reliable.flow.sent - reliable.flow.delivered),
    ]);
  }
  return {
    key: 'flaps',
    title:
      "A way of 20 ms flaps beside a clean one of 40: best effort's loss in %, delay of reliable " +
      'datagrams in ms, and what is missing',
    columns: ['half period ms', 'loss %', 'mean', 'p99', 'max', 'missing'],
    names: 1,
    rows,
  };
}

/** What was promised of single flows: value, and its bound. */
function targets({ quick, onRun }: TransportOptions): TransportTable {
  const rows: string[][] = [];
  const atMost = (what: string, value: number, bound: number): void => {
    rows.push([what, value.toFixed(2), `at most ${bound}`, value <= bound ? 'yes' : 'NO']);
  };
  const atLeast = (what: string, value: number, bound: number): void => {
    rows.push([what, value.toFixed(2), `at least ${bound}`, value >= bound ? 'yes' : 'NO']);
  };
  const said = (what: string): string => {
    onRun?.(`targets: ${what}`);
    return what;
  };
  const minute = quick ? 31 : 101;
  const chain5 = { hops: 5, seconds: minute };
  for (const [loss, bound] of [
    [1, 51],
    [2, 52],
  ] as const) {
    const what = said(`reliable, 5 hops, ${loss} %, 4 Mbit/s: mean ms`);
    const { flow } = alone('reliable', 4_000, 1_000, { ...chain5, loss });
    atMost(what, flow.delayMs!.mean, bound);
    atMost(`  and lost`, flow.sent - flow.delivered, 0);
  }
  for (const [loss, bound] of [
    [2, 56],
    [5, 65],
  ] as const) {
    atMost(
      said(`reliable, a hop of 50 ms, ${loss} %, 500 kbit/s: mean ms`),
      alone('reliable', 500, 1_000, { hops: 1, hopMs: 50, loss, seconds: minute }).flow.delayMs!
        .mean,
      bound,
    );
  }
  {
    const what = said('reliable, a hop of 10 ms, 10 % both ways, 100 kbit/s: p99.9 ms');
    atMost(
      what,
      alone('reliable', 100, 1_000, { hops: 1, loss: 10, both: true, seconds: quick ? 201 : 1_001 })
        .flow.delayMs!.p999,
      150,
    );
  }
  atLeast(
    said('stream/best-effort, 5 hops, 1 %, 4 Mbit/s: Mbit/s'),
    alone('stream/best-effort', 4_000, 1_000, { ...chain5, loss: 1 }).flow.goodputKbps / 1_000,
    3.8,
  );
  {
    const { flow } = alone('stream/best-effort', 500, 1_000, {
      hops: 5,
      loss: 1,
      seconds: quick ? 101 : 401,
    });
    atMost(said('stream/best-effort, 5 hops, 1 %, 500 kbit/s: p99 ms'), flow.delayMs!.p99, 250);
    atMost('  and over 60 ms, %', flow.delayedPct['60']!, 12);
  }
  {
    const seeds = quick ? 2 : 10;
    said('chain at 5 %');
    let late = 0;
    for (let seed = 1; seed <= seeds; seed += 1)
      late +=
        alone('reliable', 1_000, 1_000, { ...chain5, loss: 5, seed }).flow.delayedPct['60']! /
        seeds;
    atMost(`reliable, 5 hops, 5 %, 1 Mbit/s, ${seeds} seeds: over 60 ms, %`, late, 5.5);
  }
  return {
    key: 'targets',
    title: 'What was promised of single flows',
    columns: ['what', 'value', 'wanted', 'kept'],
    names: 1,
    rows,
  };
}

export const TRANSPORT_TABLES: Readonly<Record<string, Experiment>> = Object.freeze({
  targets,
  delay,
  'long-fat': longFat,
  equation,
  fairness,
  jain: equal,
  sparse,
  outages,
  flaps,
});

/** Aligned text, ending in a newline. */
export function transportText(tables: readonly TransportTable[]): string {
  return tables
    .map(({ title, columns, names, rows }) => {
      const all = [columns, ...rows];
      const widths = columns.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
      const lines = all.map((row) =>
        row
          .map((cell, i) => (i < names ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
          .join('  ')
          .trimEnd(),
      );
      return `${title}\n\n${lines.map((line) => `  ${line}\n`).join('')}`;
    })
    .join('\n');
}

/** RFC 4180. */
export function transportCsv({ columns, rows }: TransportTable): string {
  return [columns, ...rows]
    .map(
      (row) =>
        row
          .map((cell) => (/[",]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell))
          .join(',') + '\n',
    )
    .join('');
}
