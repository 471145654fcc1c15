/**
 * Program to program over 1, 2 and 4 hops: datagrams by best effort and over reliable links, and a
 * bulk stream; links sealed and not, plain dgram and offload; with the C implementation beside them
 * when its programs are given.
 *
 * In each round every row is measured once: its knee, then CPU time and latency at 10, 50 and 90 %
 * of it and with next to nothing to do, so that ratios compare what was measured within minutes. A
 * bare dgram forwarder runs in between: "bare" is its CPU time of a packet; so does a row of five
 * bare processes, whose latency is what this machine takes to wake them.
 */

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BareRow } from './bare-row.js';
import { Chain } from './chain.js';
import { findKnee } from './knee.js';
import { HOPS, Line, type Hops, type LineKind, type LineOutcome } from './line.js';
import { Peer, type PeerService } from './peer.js';
import type { Place } from './place.js';
import { median, printTable, ratios, spread, temporaryFolder, whole } from './processes.js';
import { Goals, type Results } from './results.js';
import type { DatagramWay } from './program.js';

const WAYS = ['best-effort', 'reliable'] as const satisfies readonly DatagramWay[];
const PEER_SERVICES = ['best effort', 'reliable'] as const satisfies readonly PeerService[];
const KINDS: readonly LineKind[] = [false, true].flatMap((offload) =>
  [false, true].map((sealed) => ({ sealed, offload })),
);
/** Hops that the goals speak of: three daemons. */
const MAIN_HOPS: Hops = 2;
const LOADS = [10, 50, 90] as const;
/** Of which CPU time is compared. */
const FULL = 90;
const IDLE_RATE = 100;
/** A stream begins slowly. */
const STREAM_MS_MIN = 1_200;
const BARE_RATE = 25_000;
const BARE = 'end-to-end/bare dgram forwarder/CPU',
  BARE_ROW = 'end-to-end/five bare processes',
  SUM = 'sum';

export interface EndToEndOrder {
  readonly rounds: number;
  readonly ms: number;
  readonly quick: boolean;
  readonly peer: string | null;
}

const kindName = ({ sealed, offload }: LineKind): string =>
  `${sealed ? 'sealed' : 'unsealed'}, ${offload ? 'offload' : 'plain dgram'}`;
const hopsName = (hops: number): string => `${hops} hop${hops === 1 ? '' : 's'}`;
const named = (hops: Hops, kind: LineKind, way: DatagramWay | 'stream', figure: string): string =>
  `end-to-end/${hopsName(hops)}/${kindName(kind)}/${way}/${figure}`;
const peerNamed = (service: PeerService, figure: string): string =>
  `end-to-end/C implementation, ${hopsName(MAIN_HOPS)}/${service}/${figure}`;
const cpuAt = (load: number, part: string): string => `CPU at ${load} % of the knee: ${part}`;
/** Of best effort. */
const CPU_AS_RELIABLE = `CPU at the rate of reliable at ${FULL} % of its knee: ${SUM}`;
const latencyAt = (load: number | null, share: string): string =>
  `latency ${load === null ? 'idle' : `at ${load} % of the knee`}: ${share}`;
const partsOf = (hops: number): string[] => [
  'sending program',
  ...Array.from({ length: hops + 1 }, (_, i) => `daemon ${i + 1}`),
  'receiving program',
];
const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

class EndToEnd {
  readonly #lines = new Map<LineKind, Line>();
  readonly #bare = new Chain();
  readonly #row = new BareRow();
  readonly #results: Results;
  readonly #order: EndToEndOrder;
  readonly #knees = new Map<string, number>();
  #peer: Peer | null = null;

  constructor(results: Results, order: EndToEndOrder) {
    this.#results = results;
    this.#order = order;
  }

  async start(
    place: Place,
    dir: string,
    kinds: readonly LineKind[],
    hops: readonly Hops[],
  ): Promise<void> {
    const folder = (name: string): string => {
      const path = join(dir, name);
      mkdirSync(path);
      return path;
    };
    const { peer } = this.#order;
    if (peer !== null) this.#peer = new Peer(peer, place, folder('peer'));
    await Promise.all(
      kinds.map(async (kind, i) => {
        const line = new Line();
        this.#lines.set(kind, line);
        await line.start(kind, place, folder(String(i)), hops);
      }),
    );
    await this.#bare.start(
      { forwarder: 'bare-forwarder', sealed: false, offload: false },
      place,
      folder('bare'),
    );
    await this.#row.start(place, folder('row'));
    await this.#peer?.start();
  }

  /** Code that is not compiled yet would be measured otherwise. */
  async warmUp(hops: readonly Hops[]): Promise<void> {
    for (const line of this.#lines.values())
      for (const each of hops) for (const way of WAYS) await line.run(way, each, 20_000, 500);
    await this.#bare.run({
      packetsPerSecond: BARE_RATE,
      bytes: 1_000,
      shared: false,
      service: 'best effort',
      durationMs: 1_000,
    });
  }

  get #probeMs(): number {
    return Math.max(200, this.#order.ms * 0.75);
  }

  async bare(): Promise<void> {
    const { cpuUsPerPacket } = await this.#bare.run({
      packetsPerSecond: BARE_RATE,
      bytes: 1_000,
      shared: false,
      service: 'best effort',
      durationMs: this.#order.ms,
    });
    this.#results.add(BARE, 'us', cpuUsPerPacket);
    for (const [share, ms] of Object.entries(await this.#row.run(IDLE_RATE, 2 * this.#order.ms)))
      this.#results.add(`${BARE_ROW}/${latencyAt(null, share)}`, 'ms', ms);
  }

  #addCpu(name: (figure: string) => string, load: number, cpuUs: readonly number[]): void {
    for (const [i, part] of partsOf(cpuUs.length - 3).entries())
      this.#results.add(name(cpuAt(load, part)), 'us', cpuUs[i]!);
    this.#results.add(name(cpuAt(load, SUM)), 'us', total(cpuUs));
  }

  #addLatency(
    name: (figure: string) => string,
    load: number | null,
    { latency }: LineOutcome,
  ): void {
    for (const [share, ms] of Object.entries(latency))
      this.#results.add(name(latencyAt(load, share)), 'ms', ms);
  }

  async datagrams(kind: LineKind, hops: Hops, way: DatagramWay): Promise<void> {
    const line = this.#lines.get(kind)!,
      { ms } = this.#order;
    const name = (figure: string): string => named(hops, kind, way, figure);
    const key = name('');
    this.#addLatency(name, null, await line.run(way, hops, IDLE_RATE, 2 * ms));
    const knee = await findKnee(
      (rate) => line.run(way, hops, rate, this.#probeMs),
      this.#knees.get(key) ?? null,
    );
    this.#results.add(name('knee'), 'packets/s', knee);
    if (knee === 0) return;
    this.#knees.set(key, knee);
    for (const load of LOADS) {
      const outcome = await line.run(way, hops, Math.round((knee * load) / 100), ms);
      this.#addCpu(name, load, outcome.cpuUs);
      this.#addLatency(name, load, outcome);
    }
    if (way !== 'reliable') return;
    // Batches are longer at higher rates, and best effort's knee is higher: compared is what both
    // can.
    const { cpuUs } = await line.run('best-effort', hops, Math.round((knee * FULL) / 100), ms);
    this.#results.add(named(hops, kind, 'best-effort', CPU_AS_RELIABLE), 'us', total(cpuUs));
  }

  async stream(kind: LineKind, hops: Hops): Promise<void> {
    const { perSecond, cpuUs } = await this.#lines
      .get(kind)!
      .stream(hops, Math.max(STREAM_MS_MIN, 4 * this.#order.ms));
    this.#results.add(named(hops, kind, 'stream', 'rate'), '1000 B/s', perSecond);
    this.#addCpu((figure) => named(hops, kind, 'stream', figure), FULL, cpuUs);
  }

  async peer(): Promise<void> {
    const peer = this.#peer;
    if (peer === null) return;
    for (const service of PEER_SERVICES) {
      const key = peerNamed(service, '');
      const knee = await findKnee(
        (rate) => peer.run(service, rate, 2 * this.#probeMs),
        this.#knees.get(key) ?? null,
      );
      this.#results.add(peerNamed(service, 'knee'), 'packets/s', knee);
      if (knee === 0) continue;
      this.#knees.set(key, knee);
      for (const load of [50, FULL]) {
        const { cpuUs } = await peer.run(
          service,
          Math.round((knee * load) / 100),
          4 * this.#order.ms,
        );
        this.#addCpu((figure) => peerNamed(service, figure), load, cpuUs);
      }
    }
  }

  stop(): void {
    for (const line of this.#lines.values()) line.stop();
    this.#bare.stop();
    this.#row.stop();
    this.#peer?.stop();
  }
}

export async function endToEnd(
  place: Place,
  results: Results,
  order: EndToEndOrder,
): Promise<void> {
  const dir = temporaryFolder();
  const lab = new EndToEnd(results, order);
  const hops: readonly Hops[] = order.quick ? [MAIN_HOPS] : HOPS;
  const kinds = order.quick ? KINDS.filter(({ sealed, offload }) => offload || !sealed) : KINDS;
  try {
    await lab.start(place, dir, kinds, hops);
    await lab.warmUp(hops);
    for (let round = 0; round < order.rounds; round += 1) {
      for (const each of hops) {
        await lab.bare();
        for (const kind of kinds) {
          for (const way of WAYS) await lab.datagrams(kind, each, way);
          await lab.stream(kind, each);
        }
        if (each === MAIN_HOPS) await lab.peer();
      }
    }
  } finally {
    lab.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  printRates(results, hops);
  printParts(results, hops);
  printLatency(results, hops);
  printGoals(results, order.quick);
}

const WORDS: Record<DatagramWay | 'stream', string> = {
  'best-effort': 'datagrams, best effort',
  reliable: 'datagrams, reliable',
  stream: 'bulk stream',
};

function range(values: readonly number[]): string {
  return values.length <= 1 ? '' : `${whole(Math.min(...values))}-${whole(Math.max(...values))}`;
}

/**
 * A row of the tables: of ours every path, then those of the C implementation where it was
 * measured.
 */
interface TableRow {
  readonly head: readonly [hops: string, links: string, what: string];
  readonly hops: Hops;
  readonly rate: string;
  readonly name: (figure: string) => string;
}

function* tableRows(hops: readonly Hops[]): Generator<TableRow> {
  for (const each of hops) {
    for (const kind of KINDS) {
      for (const way of [...WAYS, 'stream'] as const) {
        const first = way === WAYS[0];
        yield {
          head: [
            first && kind === KINDS[0] ? String(each) : '',
            first ? kindName(kind) : '',
            WORDS[way],
          ],
          hops: each,
          rate: way === 'stream' ? 'rate' : 'knee',
          name: (figure) => named(each, kind, way, figure),
        };
      }
    }
    if (each !== MAIN_HOPS) continue;
    for (const service of PEER_SERVICES) {
      const first = service === PEER_SERVICES[0];
      yield {
        head: ['', first ? 'C implementation' : '', `datagrams, ${service}`],
        hops: each,
        rate: 'knee',
        name: (figure) => peerNamed(service, figure),
      };
    }
  }
}

function printRates(results: Results, hops: readonly Hops[]): void {
  const bare = results.median(BARE);
  const rows = [
    [
      'hops',
      'links',
      'what',
      'packets/s',
      'spread',
      'us/packet at 50 %',
      `at ${FULL} %`,
      'spread',
      'of bare',
    ],
  ];
  for (const { head, rate, name } of tableRows(hops)) {
    const rates = results.values(name(rate)),
      full = results.values(name(cpuAt(FULL, SUM))),
      half = results.values(name(cpuAt(50, SUM)));
    if (rates.length === 0) continue;
    const apart = full.length === 1 ? '' : spread(full);
    const cells =
      full.length === 0
        ? []
        : [
            half.length === 0 ? '' : median(half).toFixed(2),
            median(full).toFixed(2),
            apart,
            (median(full) / bare).toFixed(2),
          ];
    rows.push([...head, whole(median(rates)), range(rates), ...cells]);
  }
  console.log(
    '\nEnd to end: from one program to another over 1, 2 and 4 hops (2, 3 and 5 daemons), 1000 ' +
      'B. packets/s is the highest rate of which less than 0.1 % is lost; of a stream,',
  );
  console.log(
    `thousands of bytes a second. CPU is that of all processes together, at 50 and ${FULL} % of ` +
      'that rate (of a stream: as fast as it goes).',
  );
  console.log(
    `"Of bare": beside a bare dgram forwarder's ${bare.toFixed(2)} us (at ${whole(BARE_RATE)} ` +
      'packets/s).',
  );
  printTable(rows, 3);
}

function printParts(results: Results, hops: readonly Hops[]): void {
  const most = Math.max(...hops);
  const rows = [
    [
      'hops',
      'links',
      'what',
      'sending',
      ...Array.from({ length: most + 1 }, (_, i) => `daemon ${i + 1}`),
      'receiving',
    ],
  ];
  for (const { head, hops: each, name } of tableRows(hops)) {
    const cells = partsOf(each).map((part) => results.median(name(cpuAt(FULL, part))));
    if (cells.some(Number.isNaN)) continue;
    const texts = cells.map((us) => us.toFixed(2));
    rows.push([
      ...head,
      ...texts.slice(0, -1),
      ...new Array<string>(most - each).fill(''),
      texts.at(-1)!,
    ]);
  }
  console.log(
    `\nThe same CPU microseconds per packet, by process, at ${FULL} % of the knee (stream: per ` +
      '1000 bytes, as fast as it goes):',
  );
  printTable(rows, 3);
}

function printLatency(results: Results, hops: readonly Hops[]): void {
  const loads = [null, ...LOADS] as const;
  const rows = [
    [
      'hops',
      'links',
      'what',
      ...loads.flatMap((load) => [
        load === null ? 'idle: p50' : `${load} %: p50`,
        'p90',
        'p99',
        'max',
      ]),
    ],
  ];
  const row = ['p50', 'p90', 'p99', 'max'].map((share) =>
    results.median(`${BARE_ROW}/${latencyAt(null, share)}`).toFixed(2),
  );
  rows.push([
    String(MAIN_HOPS),
    'five bare processes',
    'Unix socket, UDP, UDP, Unix socket',
    ...row,
  ]);
  for (const { head, name } of tableRows(hops)) {
    const cells = loads.flatMap((load) =>
      ['p50', 'p90', 'p99', 'max'].map((share) => results.median(name(latencyAt(load, share)))),
    );
    if (!cells.every(Number.isNaN))
      rows.push([
        ...head,
        ...cells.map((ms) => (Number.isNaN(ms) ? '' : ms.toFixed(ms < 10 ? 2 : 1))),
      ]);
  }
  console.log(
    `\nLatency from program to program, one way, milliseconds: daemons with next to nothing to ` +
      `do (${IDLE_RATE} packets/s), and at 10, 50 and 90 % of the knee.`,
  );
  console.log(
    "Medians of the rounds' percentiles. The first row is what the machine takes to wake five " +
      'processes, one after the other, that only receive and send:',
  );
  printTable(rows, 3);
}

function printGoals(results: Results, quick: boolean): void {
  const [plain, , offload, offloadSealed] = KINDS as readonly [
    LineKind,
    LineKind,
    LineKind,
    LineKind,
  ];
  const bare = results.median(BARE);
  const cpu = (kind: LineKind, way: DatagramWay | 'stream'): number =>
    results.median(named(MAIN_HOPS, kind, way, cpuAt(FULL, SUM)));
  const knee = (kind: LineKind, way: DatagramWay): number =>
    results.median(named(MAIN_HOPS, kind, way, 'knee'));
  const beside = (
    kind: LineKind,
    way: DatagramWay | 'stream',
    of: DatagramWay,
    figure = cpuAt(FULL, SUM),
  ): number => {
    const a = results.values(named(MAIN_HOPS, kind, way, cpuAt(FULL, SUM))),
      b = results.values(named(MAIN_HOPS, kind, of, figure));
    return median(a.length === b.length ? ratios(a, b) : []);
  };
  const goals = new Goals();
  goals.add(
    'best effort, unsealed, plain dgram: CPU of all five, times bare',
    cpu(plain, 'best-effort') / bare,
    'at most',
    3,
  );
  goals.add('best effort, unsealed, offload', cpu(offload, 'best-effort') / bare, 'at most', 1);
  goals.add(
    'best effort, sealed, offload',
    cpu(offloadSealed, 'best-effort') / bare,
    'at most',
    2.2,
  );
  for (const kind of KINDS) {
    goals.add(
      `reliable, ${kindName(kind)}: CPU, times best effort of the same path, each at ${FULL} % ` +
        'of its knee',
      beside(kind, 'reliable', 'best-effort'),
      'at most',
      1.3,
    );
    goals.add(
      '  the same, both at the same rate',
      beside(kind, 'reliable', 'best-effort', CPU_AS_RELIABLE),
      'at most',
      1.3,
    );
  }
  for (const kind of KINDS)
    goals.add(
      `stream, ${kindName(kind)}: CPU per 1000 bytes, times reliable datagrams`,
      beside(kind, 'stream', 'reliable'),
      'at most',
      1,
    );
  goals.add(
    'best effort, unsealed, plain dgram: packets/s',
    knee(plain, 'best-effort'),
    'over',
    130_000,
    0,
  );
  goals.add(
    'best effort, unsealed, offload: packets/s',
    knee(offload, 'best-effort'),
    'over',
    300_000,
    0,
  );
  goals.add(
    'best effort, sealed, offload: packets/s',
    knee(offloadSealed, 'best-effort'),
    'over',
    150_000,
    0,
  );
  for (const [service, way] of [
    ['best effort', 'best-effort'],
    ['reliable', 'reliable'],
  ] as const) {
    const theirs = results.median(peerNamed(service, 'knee'));
    goals.add(
      `${service}, unsealed, offload: packets/s, times the C implementation`,
      knee(offload, way) / theirs,
      'over',
      3,
    );
    goals.add(
      `${service}, sealed, offload: packets/s, times the C implementation (unsealed)`,
      knee(offloadSealed, way) / theirs,
      'over',
      1,
    );
  }
  /** The worst of all paths keeps the goal, or none does. */
  const latency = (goal: string, load: number | null, share: string, bound: number): void => {
    const measured = KINDS.flatMap((kind) =>
      WAYS.map((way) => ({
        name: `${WORDS[way].split(', ')[1]}, ${kindName(kind)}`,
        ms: results.median(named(MAIN_HOPS, kind, way, latencyAt(load, share))),
      })),
    );
    const worst = measured.filter(({ ms }) => !Number.isNaN(ms)).sort((a, b) => b.ms - a.ms)[0];
    if (worst !== undefined)
      goals.add(`${goal}, worst path (${worst.name}), ms`, worst.ms, 'at most', bound);
  };
  latency('latency through idle daemons, median', null, 'p50', 0.4);
  latency('latency through idle daemons, p99', null, 'p99', 1.5);
  latency('latency at 50 % of the knee, p99', 50, 'p99', 5);
  goals.print(
    `Goals over ${MAIN_HOPS + 1} daemons and two programs, beside what was ` +
      `measured${quick ? ' in a quick run' : ''} (medians; nothing is asserted):`,
  );
}
