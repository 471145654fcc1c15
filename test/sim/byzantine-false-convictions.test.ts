/**
 * No adversary, but bad weather: losses, bursts of them and full queues. Over reliable links, in
 * secure mode, no link is convicted and every message arrives.
 *
 * SPINES_LONG=1: three kinds of weather for six hours of virtual time each and all of it at once
 * for a day, instead of ten minutes. SPINES_FUZZ_SEED=s: another run of each. Prints hours,
 * packets, losses, faults and convictions.
 */

import { expect, test } from 'vitest';

import type { Port } from '../../src/core/base/ids.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { DirectionChange } from '../../src/core/emulation/link-settings.ts';
import type { DatagramOwner, DatagramSession } from '../../src/core/session/sessions.ts';
import type { SimFlow } from '../../src/lab/sim/flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  DISSEMINATION_BYZANTINE,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { finish, hosts, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

const LONG = process.env['SPINES_LONG'] === '1';
const SEED = Number(process.env['SPINES_FUZZ_SEED'] ?? 0);
const MS = MILLISECOND,
  MINUTE = 60 * SECOND,
  HOUR = 60 * MINUTE;
const PACKETS_PER_SECOND = 10;

/** Mean 1 %: a burst of five datagrams, four of them lost, after 400 good ones. */
const BURSTS: DirectionChange = {
  loss: { kind: 'gilbert-elliott', goodToBad: 0.0025, badToGood: 0.2, lossGood: 0, lossBad: 0.8 },
};
const LOSSES: DirectionChange = { loss: { kind: 'bernoulli', rate: 0.01 } };
/** Its queue holds 64 KiB: 0.26 s. */
const NARROW: DirectionChange = { bandwidthKbps: 2_000 };
const JITTER: DirectionChange = { jitterUs: 8 * MS };

interface Weather {
  readonly name: string;
  /** Of every wire, of the wires at the last host, and of the wire between 1 and 2. */
  readonly all: DirectionChange;
  readonly last: DirectionChange;
  readonly middle: DirectionChange;
  /** A bulk flow beside fills the queue between 1 and 2 now and then. */
  readonly bulk: boolean;
}

const WEATHER: readonly Weather[] = [
  { name: '1 % loss', all: LOSSES, last: {}, middle: {}, bulk: false },
  { name: '1 % loss in bursts', all: BURSTS, last: {}, middle: {}, bulk: false },
  { name: 'full queues', all: JITTER, last: {}, middle: NARROW, bulk: true },
  { name: 'all of it', all: { ...LOSSES, ...JITTER }, last: BURSTS, middle: NARROW, bulk: true },
];

/**
 * Much more than the narrow wire takes, for a second at a time, by link-state routing; both link
 * services in turn.
 */
class Bulk implements DatagramOwner {
  received = 0;
  readonly #network: Network;
  readonly #from: SimHost;
  readonly #to: SimHost;
  readonly #sessions: readonly DatagramSession[];
  readonly #payload = new Uint8Array(1_200);
  readonly #rng: Rng;
  readonly #port: Port = 9;
  #bursts = 0;

  constructor(network: Network, from: SimHost, to: SimHost, rng: Rng) {
    [this.#network, this.#from, this.#to, this.#rng] = [network, from, to, rng];
    to.node.sessions.bind(to.node.sessions.open(this), this.#port);
    this.#sessions = [SERVICE_BEST_EFFORT, SERVICE_RELIABLE].map((service) =>
      from.node.sessions.open(this, { service }),
    );
    this.#later(0);
  }

  onMessage(): boolean {
    this.received += 1;
    return true;
  }

  onWritable(): void {}

  #later(step: number): void {
    const { world } = this.#network;
    const pause = step % 10 === 0 ? (5 + this.#rng.below(30)) * SECOND : 100 * MS;
    world.schedule(world.now() + pause, () => {
      if (step % 10 === 0) this.#bursts += 1;
      for (let i = 0; i < 40; i += 1)
        this.#from.node.sessions.send(
          this.#sessions[this.#bursts % 2]!,
          this.#to.id,
          this.#port,
          this.#payload,
          0,
          this.#payload.length,
        );
      this.#from.endTurn();
      this.#later(step + 1);
    });
  }
}

interface Figures {
  readonly hours: number;
  readonly packets: number;
  readonly missing: number;
  readonly losses: number;
  readonly faults: number;
  readonly convictions: number;
}

function run(
  weather: Weather,
  seed: number,
  durationUs: Micros,
  service: number = SERVICE_RELIABLE,
): Figures {
  const network = hosts(8, { seed, routes: false });
  const connect = (a: number, b: number, latencyUs: Micros, change: DirectionChange = {}): void => {
    network.connect(
      network.host(a),
      network.host(b),
      wire({ ...weather.all, ...change, latencyUs }),
    );
  };
  // The short way, on which everything happens; a longer one beside it; and 7, which only has bulk
  // to send.
  connect(0, 1, 10 * MS);
  connect(1, 2, 20 * MS, weather.middle);
  connect(2, 3, 5 * MS, weather.last);
  connect(0, 4, 10 * MS);
  connect(4, 5, 10 * MS);
  connect(5, 6, 10 * MS);
  connect(6, 3, 10 * MS, weather.last);
  connect(7, 1, 2 * MS);
  network.settle(MINUTE);
  const bulk = weather.bulk
    ? new Bulk(network, network.host(7), network.host(3), new Rng(seed))
    : null;
  const options = { service, dissemination: DISSEMINATION_BYZANTINE };
  const settings = { packetsPerSecond: PACKETS_PER_SECOND, sizeBytes: 200, durationUs, options };
  const flows: SimFlow[] = [
    [0, 3],
    [3, 0],
  ].map(([from, to]) => network.flow(network.host(from!), network.host(to!), settings));
  network.run(durationUs);
  network.run(10 * SECOND);

  const routers = network.hosts.map((host) => host.node.byzantine!);
  const of = (figure: (router: (typeof routers)[number]) => number): number =>
    routers.reduce((sum, router) => sum + figure(router), 0);
  const figures: Figures = {
    hours: durationUs / HOUR,
    packets: flows.reduce((sum, flow) => sum + flow.sent, 0),
    missing: flows.reduce((sum, flow) => sum + flow.sent - flow.meter.delivered, 0),
    losses: network.world.wires.reduce(
      (sum, { model: { counters } }) => sum + counters.lost + counters.queueDropped,
      0,
    ),
    faults: of((router) => router.totals.faults),
    convictions: of((router) => router.totals.convictions),
  };
  const { hours, packets, missing, losses, faults, convictions } = figures;
  console.log(
    `${weather.name}, seed ${seed}: ${hours.toFixed(2)} h, ${packets} packets, ${missing} ` +
      `missing, ${losses} datagrams lost, ${faults} faults, ${convictions} convictions; ` +
      `${network.linkDowns} links down`,
  );
  // Where a conviction fell is worth more than that it did.
  for (const router of routers)
    for (const { at, u, v, losses: cost } of router.convictions)
      console.log(
        `  at ${(at / SECOND).toFixed(3)} s: ${(u & 0xff) - 1}-${(v & 0xff) - 1} for ${cost} ` +
          'losses',
      );
  if (bulk !== null) expect(bulk.received).toBeGreaterThan(0);
  finish(network);
  return figures;
}

const runs: readonly (readonly [string, Weather, number, Micros])[] = LONG
  ? WEATHER.map((weather, i) => [
      weather.name,
      weather,
      100 * SEED + i + 1,
      i === WEATHER.length - 1 ? 24 * HOUR : 6 * HOUR,
    ])
  : [['all of it', WEATHER[3]!, 100 * SEED + 4, 10 * MINUTE]];

test.each(runs)(
  'weather convicts nobody: %s',
  (_name, weather, seed, durationUs) => {
    const { packets, missing, losses, convictions } = run(weather, seed, durationUs);
    expect(packets).toBe((2 * PACKETS_PER_SECOND * durationUs) / SECOND);
    expect(losses).toBeGreaterThan(packets / 50);
    expect([convictions, missing]).toEqual([0, 0]);
  },
  LONG ? 3_600_000 : 60_000,
);

test('where links recover nothing, the same losses are taken for faults: ' +
  'what is measured above can be measured', () => {
  const worse: Weather = {
    name: '3 % loss, best effort',
    all: { loss: { kind: 'bernoulli', rate: 0.03 } },
    last: {},
    middle: {},
    bulk: false,
  };
  const { convictions } = run(worse, 1, 3 * MINUTE, SERVICE_BEST_EFFORT);
  expect(convictions).toBeGreaterThan(0);
}, 60_000);
