/**
 * The swarm of streams: random networks with several transfers, while transit nodes crash, wires
 * flap and networks part and merge. Every byte arrives once and in order, or the stream reports its
 * death at the side that waits; nothing else.
 *
 * SPINES_SWARM=n sets the number of seeds, SPINES_SWARM_FIRST=s the first. A failure names its
 * seed.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { cut, heal, partition } from '../../src/lab/sim/faults.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { finish, randomGraph, ring, wire, type Network } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

const SEEDS = Math.max(1, Number(process.env['SPINES_SWARM'] ?? 15));
const FIRST = Number(process.env['SPINES_SWARM_FIRST'] ?? 1);
const MS = MILLISECOND;
const PORT = 7_000;

function build(seed: number, rng: Rng): Network {
  const lossy = rng.chance(0.5);
  const settings = (r: Rng): ReturnType<typeof wire> =>
    wire({
      latencyUs: (1 + r.below(15)) * MS,
      bandwidthKbps: 5_000 + r.below(20_000),
      ...(lossy
        ? {
            loss: { kind: 'bernoulli' as const, rate: r.unit() * 0.03 },
            reorderRate: 0.02,
            reorderUs: 3 * MS,
          }
        : {}),
    });
  if (rng.chance(0.5))
    return ring(4 + rng.below(4), { seed, routes: false, forward: settings(rng) });
  const count = 6 + rng.below(6);
  return randomGraph(count, count, rng, settings, { seed, routes: false });
}

interface Transfer {
  readonly client: StreamEnd;
  readonly served: StreamEnd[];
  readonly up: number;
  readonly down: number;
}

function run(seed: number): { done: number; died: number } {
  const rng = new Rng(seed).fork('streams');
  const network = build(seed, rng);
  const { world } = network;
  network.settle(60 * SECOND);
  const ends = rng.shuffle([...world.hosts]).slice(0, 4);
  const transit = world.hosts.filter((host) => !ends.includes(host));
  const transfers: Transfer[] = [];
  for (let i = 0; i < 4; i += 1) {
    const [from, to] = rng.shuffle([...ends]) as [SimHost, SimHost];
    const up = rng.below(3_000_000),
      down = rng.below(1_000_000);
    const served = serve(to, PORT + i, () => new StreamEnd(to, down, 50 + i, i));
    const client = new StreamEnd(from, up, i, 50 + i).connect(
      to,
      PORT + i,
      rng.chance(0.7) ? SERVICE_RELIABLE : SERVICE_BEST_EFFORT,
      rng.chance(0.5) ? 'newreno' : 'cubic',
    );
    transfers.push({ client, served, up, down });
  }
  let merge: (() => void) | null = null;
  for (let step = 0; step < 25; step += 1) {
    network.run(rng.below(500 * MS) + 1);
    const along = world.wires[rng.below(world.wires.length)]!;
    const host = transit.length > 0 ? transit[rng.below(transit.length)]! : null;
    switch (rng.below(6)) {
      case 0:
        cut(along.from, along.to);
        break;
      case 1:
        for (const each of world.wires) if (rng.chance(0.5)) each.model.set({ up: true });
        break;
      case 2:
        for (let i = 0; i < 4; i += 1) {
          world.schedule(world.now() + i * 200 * MS, () => cut(along.from, along.to));
          world.schedule(world.now() + (i * 200 + 100) * MS, () => heal(along.from, along.to));
        }
        break;
      case 3:
        if (host?.running === true) host.crash();
        break;
      case 4:
        if (host?.running === false) host.start();
        break;
      case 5:
        if (merge === null) {
          const some = rng.shuffle([...world.hosts]),
            at = 1 + rng.below(some.length - 1);
          merge = partition(world, [some.slice(0, at), some.slice(at)]);
        } else {
          merge();
          merge = null;
        }
    }
    network.checkBounds();
  }
  network.run(2 * SECOND);
  for (const { from, to } of world.wires) heal(from, to);
  for (const host of world.hosts) if (!host.running) host.start();
  const over = (): boolean =>
    transfers.every(
      ({ client, served }) =>
        client.error !== undefined && served.every((end) => end.error !== undefined),
    );
  expect(
    network.until(over, 240 * SECOND, 100 * MS),
    'every stream comes to an end: ' +
      transfers
        .map(
          ({ client, served, up, down }) =>
            `${client.read}/${down} ${served[0]?.read}/${up} ${client.error} ${served[0]?.error}`,
        )
        .join('; '),
  ).not.toBeNull();
  let done = 0;
  for (const { client, served, up, down } of transfers) {
    const [far] = served;
    expect(client.wrong + (far?.wrong ?? 0), 'bytes that are not what was written').toBe(0);
    if (client.error === null)
      expect([client.read, far?.read], 'a stream that ended in order is complete').toEqual([
        down,
        up,
      ]);
    if (far?.error === null) expect(far.read, 'and so on the far side').toBe(up);
    if (client.error === null && far?.error === null) done += 1;
  }
  finish(network);
  for (const host of world.hosts)
    expect(host.node.streams.size, `${host.name}: streams left`).toBe(0);
  return { done, died: transfers.length - done };
}

describe('the swarm of streams', () => {
  test(`survives ${SEEDS} seeds from ${FIRST}`, {
    timeout: Math.max(60_000, SEEDS * 5_000),
  }, () => {
    const failed: string[] = [];
    let done = 0,
      died = 0;
    for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
      try {
        const result = run(seed);
        done += result.done;
        died += result.died;
      } catch (error) {
        failed.push(
          `SPINES_SWARM=1 SPINES_SWARM_FIRST=${seed}: ` +
            `${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
        );
      }
    }
    console.log(
      `swarm of ${SEEDS} with four streams each: ${done} complete, ${died} reported their death`,
    );
    expect(failed).toEqual([]);
    expect(done).toBeGreaterThan(died);
  });
});
