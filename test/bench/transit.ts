/**
 * What forwarding costs: a bare dgram forwarder beside the transit daemon with links sealed and
 * not, best effort and reliable, over plain dgram and with offload, and realtime, by packet size.
 *
 * Rounds are interleaved: within one, everything is measured once, so that a ratio compares what
 * was measured within a minute.
 */

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Chain, type ChainKind, type ChainOutcome } from './chain.js';
import { findKnee, isCarried } from './knee.js';
import { fragmentsCreated, type Place } from './place.js';
import { median, printTable, ratios, spread, temporaryFolder, whole } from './processes.js';
import { Goals, type Results } from './results.js';
import type { Service } from './role.js';

/** Offered for the cost at a steady rate: well below what any of them carries. */
const STEADY_RATE = 25_000;
/** At that rate nothing is lost but by other work on the machine. */
const STEADY_TRIES = 4;
/**
 * Sealing is worth its cost while the CPU of a packet of 1000 B stays below this many times that
 * without.
 */
const SEALING_MAX = 2.5;

/** Medians at 1000 B, best effort, plain dgram, CPU microseconds per packet at the steady rate. */
export interface TransitFigures {
  readonly bareCpuUs: number;
  /** Of a forwarder that is nothing but the daemon's UdpSink. */
  readonly udpCpuUs: number;
  readonly unsealedCpuUs: number;
  readonly sealedCpuUs: number;
}

interface Case {
  readonly name: string;
  readonly bytes: number;
  readonly shared: boolean;
}
const CASES: readonly Case[] = [
  { name: '1000 B', bytes: 1_000, shared: false },
  { name: '64 B, sharing datagrams', bytes: 64, shared: true },
  { name: '64 B', bytes: 64, shared: false },
  { name: '300 B', bytes: 300, shared: false },
  { name: '1400 B', bytes: 1_400, shared: false },
];
/** Of which allocation is weighed, and of which a quick run has no more than this and the next. */
const MAIN_CASE = CASES[0]!,
  SHARING_CASE = CASES[1]!;

interface Variant {
  readonly name: string;
  readonly kind: ChainKind;
  readonly service: Service;
}
const daemonVariant = (sealed: boolean, service: Service, offload: boolean): Variant => ({
  name: `daemon, ${sealed ? 'sealed' : 'unsealed'}, ${service}${offload ? ', offload' : ''}`,
  kind: { forwarder: 'daemon', sealed, offload },
  service,
});
const BARE: Variant = {
  name: 'bare dgram',
  kind: { forwarder: 'bare-forwarder', sealed: false, offload: false },
  service: 'best effort',
};
const UDP: Variant = {
  name: "the daemon's UDP sockets alone",
  kind: { forwarder: 'udp-forwarder', sealed: false, offload: false },
  service: 'best effort',
};
const SERVICES = ['best effort', 'reliable'] as const satisfies readonly Service[];
/** And realtime where a daemon usually is. */
const DAEMONS: readonly Variant[] = [
  ...[false, true].flatMap((offload) =>
    [false, true].flatMap((sealed) =>
      SERVICES.map((service) => daemonVariant(sealed, service, offload)),
    ),
  ),
  daemonVariant(true, 'realtime', true),
];
const VARIANTS: readonly Variant[] = [BARE, ...DAEMONS];
const [PLAIN_UNSEALED, PLAIN_SEALED] = [DAEMONS[0]!, DAEMONS[2]!];
/** What the goals speak of. */
const QUICK_VARIANTS = VARIANTS.filter(
  (variant) =>
    variant === BARE ||
    variant === PLAIN_SEALED ||
    variant.kind.sealed === (variant.service === 'reliable'),
);

const named = (packets: Case, variant: Variant, figure: string): string =>
  `transit/${packets.name}/${variant.name}/${figure}`;
const STEADY = `CPU at ${whole(STEADY_RATE)}/s`,
  HALF = 'CPU at half the knee',
  KNEE = 'knee',
  LOST = `lost at ${whole(STEADY_RATE)}/s`;
const HEAP = 'heap bytes per packet',
  EXTERNAL = 'bytes outside the heap per packet',
  COLLECTING = 'collector',
  LAG_P50 = 'lag p50',
  LAG_P99 = 'lag p99',
  LAG_MAX = 'lag max';

export interface TransitOrder {
  readonly rounds: number;
  readonly ms: number;
  readonly quick: boolean;
  /** Only what the section "cost" compares with. */
  readonly partsOnly: boolean;
}

class Transit {
  readonly #chains = new Map<string, Chain>();
  readonly #place: Place;
  readonly #results: Results;
  readonly #ms: number;
  /** The last knee of each row, for where to look next. */
  readonly #knees = new Map<Variant, number>();

  constructor(place: Place, results: Results, ms: number) {
    this.#place = place;
    this.#results = results;
    this.#ms = ms;
  }

  async start(variants: readonly Variant[], dir: string): Promise<void> {
    await Promise.all(
      variants.map(async ({ kind }) => {
        const key = JSON.stringify(kind);
        if (this.#chains.has(key)) return;
        const folder = join(dir, String(this.#chains.size));
        mkdirSync(folder);
        const chain = new Chain();
        this.#chains.set(key, chain);
        await chain.start(kind, this.#place, folder);
      }),
    );
  }

  #run(
    { kind, service }: Variant,
    { bytes, shared }: Case,
    packetsPerSecond: number,
    durationMs: number,
  ): Promise<ChainOutcome> {
    return this.#chains
      .get(JSON.stringify(kind))!
      .run({ packetsPerSecond, bytes, shared, service, durationMs });
  }

  async warmUp(variants: readonly Variant[]): Promise<void> {
    for (const variant of variants) await this.#run(variant, MAIN_CASE, STEADY_RATE, 1_000);
  }

  async steady(variant: Variant, packets: Case): Promise<void> {
    let outcome = await this.#run(variant, packets, STEADY_RATE, this.#ms);
    // What was lost cost something too: no figure of a packet can be had from such a run.
    for (let tries = 1; tries < STEADY_TRIES && !isCarried(outcome); tries += 1)
      outcome = await this.#run(variant, packets, STEADY_RATE, this.#ms);
    this.#results.add(
      named(packets, variant, STEADY),
      'us',
      isCarried(outcome) ? outcome.cpuUsPerPacket : NaN,
    );
    this.#results.add(
      named(packets, variant, LOST),
      '%',
      Math.max(0, 100 * (1 - outcome.arrived / outcome.sent)),
    );
  }

  async knee(variant: Variant, packets: Case): Promise<void> {
    const knee = await findKnee(
      (rate) => this.#run(variant, packets, rate, Math.max(200, this.#ms * 0.6)),
      this.#knees.get(variant) ?? null,
    );
    this.#results.add(named(packets, variant, KNEE), 'packets/s', knee);
    if (knee === 0) return;
    this.#knees.set(variant, knee);
    const { cpuUsPerPacket } = await this.#run(variant, packets, Math.round(knee / 2), this.#ms);
    this.#results.add(named(packets, variant, HALF), 'us', cpuUsPerPacket);
  }

  /** What is allocated, at half the knee. */
  async watch(variant: Variant, packets: Case): Promise<void> {
    const { kind, service } = variant;
    const knee = this.#knees.get(variant);
    if (knee === undefined) return;
    const load = {
      packetsPerSecond: Math.round(knee / 2),
      bytes: packets.bytes,
      shared: packets.shared,
      service,
      durationMs: 2 * this.#ms,
    };
    const figures = await this.#chains.get(JSON.stringify(kind))!.watch(load);
    const add = (figure: string, unit: string, value: number): void =>
      this.#results.add(named(packets, variant, figure), unit, value);
    add(HEAP, 'B', figures.heapBytes / figures.arrived);
    add(EXTERNAL, 'B', figures.externalBytes / figures.arrived);
    add(COLLECTING, '% of the time', figures.gcMs / 10 / figures.seconds);
    add(LAG_P50, 'ms', figures.lagP50);
    add(LAG_P99, 'ms', figures.lagP99);
    add(LAG_MAX, 'ms', figures.lagMax);
  }

  /** IP fragments that the forwarders' hosts made. */
  fragments(): number {
    return Math.max(
      ...[...this.#chains.values()].map((chain) => fragmentsCreated(chain.forwarder.child.pid!)),
    );
  }

  stop(): void {
    for (const chain of this.#chains.values()) chain.stop();
  }
}

export async function transit(
  place: Place,
  results: Results,
  { rounds, ms, quick, partsOnly }: TransitOrder,
): Promise<TransitFigures> {
  const dir = temporaryFolder();
  const variants = partsOnly
    ? [BARE, PLAIN_UNSEALED, PLAIN_SEALED]
    : quick
      ? QUICK_VARIANTS
      : VARIANTS;
  const cases = partsOnly ? [MAIN_CASE] : quick ? [MAIN_CASE, SHARING_CASE] : CASES;
  const lab = new Transit(place, results, ms);
  try {
    await lab.start([...variants, UDP], dir);
    await lab.warmUp([...variants, UDP]);
    for (let round = 0; round < rounds; round += 1) {
      for (const packets of cases) {
        // At the steady rate one after the other, since these are what ratios are made of.
        for (const variant of variants) await lab.steady(variant, packets);
        if (packets === MAIN_CASE) await lab.steady(UDP, packets);
        if (partsOnly) continue;
        for (const variant of variants) {
          await lab.knee(variant, packets);
          if (packets === MAIN_CASE) await lab.watch(variant, packets);
        }
      }
    }
    results.add('transit/IP fragments', 'packets', lab.fragments());
  } finally {
    lab.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  const cpu = (variant: Variant): number => results.median(named(MAIN_CASE, variant, STEADY));
  if (!partsOnly) {
    printCosts(results, cases);
    printAllocation(results);
    printGoals(results, quick);
  }
  return {
    bareCpuUs: cpu(BARE),
    udpCpuUs: cpu(UDP),
    unsealedCpuUs: cpu(PLAIN_UNSEALED),
    sealedCpuUs: cpu(PLAIN_SEALED),
  };
}

function printCosts(results: Results, cases: readonly Case[]): void {
  const rows = [
    [
      'packets',
      'forwarder',
      `us/packet at ${whole(STEADY_RATE)}/s`,
      'spread',
      'of bare',
      'knee, packets/s',
      'spread',
      'of bare',
      'us/packet at half the knee',
      'spread',
      'of bare',
    ],
  ];
  for (const packets of cases) {
    for (const variant of VARIANTS) {
      const cells = [
        [STEADY, 2],
        [KNEE, 0],
        [HALF, 2],
      ].flatMap(([figure, digits]) => {
        const values = results.values(named(packets, variant, figure as string)),
          bare = results.values(named(packets, BARE, figure as string));
        if (values.length === 0) return ['', '', ''];
        const apart =
          values.length === 1
            ? ''
            : digits === 0
              ? `${whole(Math.min(...values))}-${whole(Math.max(...values))}`
              : spread(values);
        const ratio = median(
          values.length === bare.length ? ratios(values, bare) : [median(values) / median(bare)],
        ).toFixed(2);
        return [digits === 0 ? whole(median(values)) : median(values).toFixed(2), apart, ratio];
      });
      if (cells.every((cell) => cell === '')) continue;
      rows.push([variant === BARE ? packets.name : '', variant.name, ...cells]);
      const lost = results.median(named(packets, variant, LOST));
      if (results.values(named(packets, variant, STEADY)).length === 0)
        rows.push(['', `  (${whole(STEADY_RATE)}/s was not carried, so there is no figure of it)`]);
      else if (lost > 0.1)
        rows.push(['', `  (${lost.toFixed(2)} % lost at ${whole(STEADY_RATE)}/s)`]);
    }
  }
  console.log(
    `\nTransit: the middle of three processes in a row forwards packets. CPU microseconds of ` +
      `that process for each, at ${whole(STEADY_RATE)} packets/s and at half its knee;`,
  );
  console.log(
    'the knee is the highest rate of which less than 0.1 % is lost. "Of bare": beside the bare ' +
      'dgram forwarder (receive and send, no more) in the same rounds.',
  );
  console.log(
    'Packets are sent one a datagram but where it says sharing; a daemon under load may put ' +
      'several into one.',
  );
  printTable(rows, 2);
  const fragments = results.median('transit/IP fragments');
  if (fragments > 0)
    console.log(`${fragments} IP fragments were made: some datagrams were above the MTU.`);
}

function printAllocation(results: Results): void {
  const rows = [
    [
      'forwarder',
      'heap B/packet',
      'beyond bare',
      'outside the heap B/packet',
      'beyond bare',
      'collector % of time',
      'loop late ms: p50',
      'p99',
      'max',
    ],
  ];
  for (const variant of VARIANTS) {
    const of = (figure: string, which = variant): number =>
      results.median(named(MAIN_CASE, which, figure));
    if (Number.isNaN(of(HEAP))) continue;
    const beyond = (figure: string): string =>
      variant === BARE ? '' : (of(figure) - of(figure, BARE)).toFixed(0);
    const times = [COLLECTING, LAG_P50, LAG_P99, LAG_MAX].map((figure) => of(figure).toFixed(2));
    rows.push([
      variant.name,
      of(HEAP).toFixed(0),
      beyond(HEAP),
      of(EXTERNAL).toFixed(0),
      beyond(EXTERNAL),
      ...times,
    ]);
  }
  console.log(
    `\nWhat the forwarder allocates for each packet of ${MAIN_CASE.bytes} B at half its knee, ` +
      'how long the collector works and how late the event loop is.',
  );
  console.log(
    '"Beyond bare": the bare dgram forwarder allocates what Node itself does for a packet.',
  );
  printTable(rows, 1);
}

function printGoals(results: Results, quick: boolean): void {
  const of = (packets: Case, variant: Variant, figure: string): number => {
    const values = results.values(named(packets, variant, figure)),
      bare = results.values(named(MAIN_CASE, BARE, figure));
    return median(values.length === bare.length ? ratios(values, bare) : []);
  };
  const variant = (sealed: boolean, service: Service, offload: boolean): Variant =>
    DAEMONS.find(
      ({ kind, service: s }) => kind.sealed === sealed && kind.offload === offload && s === service,
    )!;
  const main = MAIN_CASE;
  const goals = new Goals();
  goals.add(
    'best effort, unsealed, 1000 B, plain dgram, steady rate: times bare',
    of(main, variant(false, 'best effort', false), STEADY),
    'at most',
    1.3,
  );
  goals.add(
    'best effort, unsealed, 1000 B, offload, half the knee: times bare',
    of(main, variant(false, 'best effort', true), HALF),
    'at most',
    0.6,
  );
  goals.add(
    'best effort, unsealed, 64 B sharing, plain dgram, steady rate: times bare at 1000 B',
    of(SHARING_CASE, variant(false, 'best effort', false), STEADY),
    'at most',
    0.5,
  );
  goals.add(
    '  the same at half the knee',
    of(SHARING_CASE, variant(false, 'best effort', false), HALF),
    'at most',
    0.5,
  );
  goals.add(
    'reliable, sealed, 1000 B, offload, half the knee: times bare',
    of(main, variant(true, 'reliable', true), HALF),
    'at most',
    1.5,
  );
  goals.add(
    '  the same on plain dgram',
    of(main, variant(true, 'reliable', false), HALF),
    'at most',
    1.5,
  );
  goals.add('  moonshot, offload', of(main, variant(true, 'reliable', true), HALF), 'at most', 1.2);
  // Not among the quick ones.
  if (!quick)
    goals.add(
      'realtime, sealed, 1000 B, offload, half the knee: times best effort',
      of(main, variant(true, 'realtime', true), HALF) /
        of(main, variant(true, 'best effort', true), HALF),
      'at most',
      1.15,
    );
  const sealing = ratios(
    results.values(named(main, variant(true, 'best effort', false), STEADY)),
    results.values(named(main, variant(false, 'best effort', false), STEADY)),
  );
  goals.add(
    'sealed beside unsealed, best effort, 1000 B, plain dgram',
    median(sealing),
    'at most',
    SEALING_MAX,
  );
  const total = (which: Variant): number =>
    results.median(named(main, which, HEAP)) + results.median(named(main, which, EXTERNAL));
  for (const each of DAEMONS)
    goals.add(
      `bytes allocated per packet beyond Node's own: ${each.name}`,
      total(each) - total(BARE),
      'at most',
      32,
      0,
    );
  goals.print(
    `Goals of transit, beside what was measured${quick ? ' in a quick run' : ''} (medians; ` +
      'nothing is asserted):',
  );
}
