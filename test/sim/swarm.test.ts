/**
 * The swarm: random networks under random faults. Safety first (nothing foreign, nothing twice, all
 * bounds kept while everything breaks), then liveness (everything healed: routes right soon, a new
 * flow loses nothing).
 *
 * SPINES_SWARM=n raises the number of seeds; SPINES_SWARM_FIRST=s starts at seed s. A failure names
 * its seed.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import { METRICS } from '../../src/core/node/config.ts';
import { cut, heal, partition } from '../../src/lab/sim/faults.ts';
import type { SimFlow } from '../../src/lab/sim/flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  databasesEqual,
  finish,
  randomGraph,
  wire,
  worst,
  type Network,
} from '../support/network.ts';

const SEEDS = Math.max(1, Number(process.env['SPINES_SWARM'] ?? 20));
const FIRST = Number(process.env['SPINES_SWARM_FIRST'] ?? 1);
const SAFETY: Micros = 20 * SECOND;
const MS = MILLISECOND;

function build(seed: number, rng: Rng): Network {
  const count = 5 + rng.below(16);
  const faulty = rng.below(4);
  const settings = (r: Rng): ReturnType<typeof wire> =>
    wire({
      latencyUs: r.below(15 * MS),
      ...(faulty === 1 ? { loss: { kind: 'bernoulli' as const, rate: r.unit() * 0.1 } } : {}),
      ...(faulty === 2 ? { jitterUs: 3 * MS, reorderRate: 0.05, reorderUs: 3 * MS } : {}),
      ...(faulty === 3
        ? {
            duplicateRate: 0.2,
            loss: {
              kind: 'gilbert-elliott' as const,
              goodToBad: 0.005,
              badToGood: 0.2,
              lossGood: 0,
              lossBad: 0.8,
            },
          }
        : {}),
    });
  const drift = (r: Rng): number => (r.chance(0.3) ? r.below(401) - 200 : 0);
  return randomGraph(
    count,
    rng.below(count),
    rng,
    settings,
    { seed, metric: METRICS[rng.below(METRICS.length)]! },
    drift,
  );
}

/** Breaks and mends at random; keeps a list of how to mend the rest. */
class Chaos {
  readonly #network: Network;
  readonly #rng: Rng;
  readonly #flows: Map<SimHost, SimFlow[]>;
  #merge: (() => void) | null = null;
  readonly done: string[] = [];

  constructor(network: Network, rng: Rng, flows: Map<SimHost, SimFlow[]>) {
    this.#network = network;
    this.#rng = rng;
    this.#flows = flows;
  }

  step(): void {
    const rng = this.#rng;
    const { world } = this.#network;
    const wire = world.wires[rng.below(world.wires.length)]!;
    const host = world.hosts[rng.below(world.hosts.length)]!;
    switch (rng.below(9)) {
      case 0:
      case 1:
        cut(wire.from, wire.to);
        break;
      case 2:
        heal(wire.from, wire.to);
        break;
      case 3:
        wire.model.set({ up: !wire.model.settings.up });
        break;
      case 4:
        for (let i = 0; i < 6; i += 1) {
          world.schedule(world.now() + i * 2 * 80 * MS, () => cut(wire.from, wire.to));
          world.schedule(world.now() + (i * 2 + 1) * 80 * MS, () => heal(wire.from, wire.to));
        }
        break;
      case 5:
        if (host.running) host.crash();
        break;
      case 6:
        if (host.running) host.stop();
        break;
      case 7:
        this.#start(host);
        break;
      case 8:
        if (this.#merge !== null) {
          this.#merge();
          this.#merge = null;
        } else {
          const some = rng.shuffle([...world.hosts]);
          const at = 1 + rng.below(some.length - 1);
          this.#merge = partition(world, [some.slice(0, at), some.slice(at)]);
        }
    }
  }

  mendAll(): void {
    const { world } = this.#network;
    for (const { from, to } of world.wires) heal(from, to);
    for (const host of world.hosts) this.#start(host);
  }

  #start(host: SimHost): void {
    if (!host.running) this.#network.restart(host, this.#flows.get(host));
  }
}

function run(seed: number): { routesAfter: Micros; equalAfter: Micros } {
  const rng = new Rng(seed).fork('swarm');
  const network = build(seed, rng);
  const { world } = network;
  for (const host of world.hosts)
    world.schedule(rng.below(SECOND), () => {
      if (!host.running) host.start();
    });
  network.run(SECOND);

  const flows = new Map<SimHost, SimFlow[]>();
  for (let i = 0; i < 4; i += 1) {
    const [from, to] = rng.shuffle([...world.hosts]) as [SimHost, SimHost];
    const flow = network.flow(from, to, {
      packetsPerSecond: 50,
      sizeBytes: rng.chance(0.25) ? 4_000 : 200,
      durationUs: SAFETY,
    });
    flows.set(to, [...(flows.get(to) ?? []), flow]);
  }
  const chaos = new Chaos(network, rng, flows);
  const end = world.now() + SAFETY;
  while (world.now() < end) {
    network.run(rng.below(600 * MS) + 1);
    chaos.step();
    network.checkBounds();
  }
  // The last of the flaps that are under way.
  network.run(2 * SECOND);

  chaos.mendAll();
  for (const { model } of world.wires) model.set({ loss: { kind: 'bernoulli', rate: 0 } });
  // Loss that was measured while it lasted still weighs in some routes: those are judged when it is
  // forgotten.
  const reachable = network.until(
    () =>
      world.hosts.every((a) =>
        world.hosts.every((b) => a === b || a.node.router.nextHop(b.id) !== null),
      ),
    2 * SECOND,
    5 * MS,
  );
  expect(reachable, 'every node has a route to every other within two seconds').not.toBeNull();
  const exact = network.metric === 'hops' || network.metric === 'latency';
  const right = network.converged(exact ? 2 * SECOND - reachable! : 120 * SECOND);
  expect(right, `routes are right: ${JSON.stringify(network.routeFaults())}`).not.toBeNull();
  const equal = network.until(() => databasesEqual(world.hosts), 5 * SECOND, 5 * MS);
  expect(equal, 'databases are equal').not.toBeNull();

  const [from, to] = [world.hosts[0]!, world.hosts.at(-1)!];
  const last = network.flow(from, to, { packetsPerSecond: 100, durationUs: 3 * SECOND });
  network.run(4 * SECOND);
  expect(last.meter.delivered, 'messages delivered on healed wires').toBe(300);
  finish(network);
  return {
    routesAfter: reachable! + (exact ? right! : 0),
    equalAfter: reachable! + right! + equal!,
  };
}

describe('the swarm', () => {
  test(`survives ${SEEDS} seeds from ${FIRST}`, {
    timeout: Math.max(60_000, SEEDS * 5_000),
  }, () => {
    const routes: Micros[] = [];
    const failed: string[] = [];
    for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
      try {
        routes.push(run(seed).routesAfter);
      } catch (error) {
        failed.push(
          `SPINES_SWARM=1 SPINES_SWARM_FIRST=${seed}: ` +
            `${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
        );
      }
    }
    console.log(`swarm of ${SEEDS}: routes after all is healed, worst ${worst(routes)}`);
    expect(failed).toEqual([]);
  });
});
