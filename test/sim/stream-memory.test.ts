/**
 * Many streams whose readers are slow: what a daemon holds for them stays within its limit, the
 * gauge says how much that is, every stream goes on, and who reads is not held up by who does not.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { defaultLimits } from '../../src/core/node/config.ts';
import {
  ReceiveBudget,
  STREAM_WINDOW_LEAST,
  type ReceiveAccount,
} from '../../src/core/session/receive-budget.ts';
import type { Stream, StreamOwner } from '../../src/core/session/stream.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { hosts, useNetworks, wire } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const PORT = 7_000,
  MIB = 1_048_576;

/** One program's streams that it does not read until told to. */
class Hoarder implements StreamOwner {
  readonly streams = new Set<Stream>();
  read = 0;
  onOpen(): void {}
  onReadable(): void {}
  onSpace(): void {}
  onClosed(stream: Stream): void {
    this.streams.delete(stream);
  }

  readAll(): void {
    for (const stream of this.streams) {
      while (stream.receiver.readyBytes > 0) {
        const count = stream.front().length;
        this.read += count;
        stream.take(count);
      }
      if (!stream.readEnded) continue;
      stream.end();
      stream.onTaken();
    }
  }
}

describe('streams that nobody reads', () => {
  test.each([
    [70, 5],
    [120, 5],
    [300, 64],
    [20, 256],
  ])(
    '%i of them against %i MiB: the limit holds, the gauge is right, ' +
      'another program reads on, and in the end all arrives',
    (count, mib) => {
      const network = hosts(2, {
        seed: 4,
        config: { limits: { ...defaultLimits, streamBytes: mib * MIB } },
      });
      const [a, b] = [network.host(0), network.host(1)];
      network.connect(a, b, wire({ latencyUs: 2 * MILLISECOND, bandwidthKbps: 400_000 }));
      network.settle();
      const hoarder = new Hoarder();
      b.node.streams.listen(PORT, 1_024, (port) => ({
        port,
        onAccept: (stream) => {
          hoarder.streams.add(stream);
          return hoarder;
        },
      }));
      const each = mib >= 256 ? 6_000_000 : 200_000;
      const writers: StreamEnd[] = [];
      for (let i = 0; i < count; i += 1) {
        writers.push(new StreamEnd(a, each, 1, 2).connect(b, PORT));
        if (i % 40 === 39) network.run(100 * MILLISECOND);
      }
      let most = 0;
      for (let i = 0; i < 100; i += 1) {
        network.run(100 * MILLISECOND);
        const { heldBytes, grantedBytes } = b.node.streams;
        most = Math.max(most, heldBytes);
        expect(grantedBytes).toBeLessThanOrEqual(mib * MIB);
        expect(heldBytes).toBeLessThanOrEqual(grantedBytes);
      }
      // What can be held is held: the bound is not kept by holding nothing.
      expect(most).toBeGreaterThan(Math.min(count * each, 0.2 * mib * MIB));
      const served = serve(b, PORT + 1, () => new StreamEnd(b, 0, 2, 1));
      const other = new StreamEnd(a, 2_000_000, 1, 2).connect(b, PORT + 1);
      expect(
        network.until(() => other.error !== undefined, 60 * SECOND, 10 * MILLISECOND),
      ).not.toBeNull();
      expect([other.error, served[0]!.read, served[0]!.wrong]).toEqual([null, 2_000_000, 0]);
      expect(
        network.until(
          () => {
            hoarder.readAll();
            b.endTurn();
            return writers.every((writer) => writer.error !== undefined);
          },
          600 * SECOND,
          20 * MILLISECOND,
        ),
      ).not.toBeNull();
      expect([writers.filter((writer) => writer.error !== null).length, hoarder.read]).toEqual([
        0,
        count * each,
      ]);
      network.run(5 * SECOND);
      expect([b.node.streams.grantedBytes, b.node.streams.size]).toEqual([0, 0]);
    },
  );

  test(
    'one more than the least windows fit is refused with a reason, ' +
      'and let in when another is gone',
    () => {
      const network = hosts(2, {
        seed: 4,
        config: { limits: { ...defaultLimits, streamBytes: 10 * STREAM_WINDOW_LEAST } },
      });
      const [a, b] = [network.host(0), network.host(1)];
      network.connect(a, b);
      network.settle();
      serve(b, PORT, () => {
        const end = new StreamEnd(b, 0, 2, 1);
        end.reading = false;
        return end;
      });
      const ends = Array.from({ length: 4 }, () =>
        new StreamEnd(a, Infinity, 1, 2).connect(b, PORT),
      );
      network.run(5 * SECOND);
      expect(() => {
        for (let i = 0; i < 12; i += 1)
          ends.push(new StreamEnd(a, Infinity, 1, 2).connect(b, PORT));
      }).toThrow(/raise limits\.streamBytes/);
      for (const end of ends.splice(0, 6)) end.stream!.reset();
      a.endTurn();
      network.run(SECOND);
      const late = new StreamEnd(a, Infinity, 1, 2).connect(b, PORT);
      expect(network.until(() => late.opened, 5 * SECOND)).not.toBeNull();
      for (const end of [...ends, late]) if (end.stream!.state !== 'closed') end.stream!.reset();
      a.endTurn();
      network.run(SECOND);
    },
  );
});

describe('who opens all the streams that there are', () => {
  const IDLE = 200;
  const idle = (): Hoarder => new Hoarder();
  const options = {
    service: 1,
    dissemination: 0,
    ttl: 64,
    priority: 1,
    congestion: 'newreno',
  } as const;

  test.each([
    ['a node', [0]],
    ['two nodes', [0, 2]],
  ] as const)('%s leaves places and windows to another, and to programs here', (_who, greedy) => {
    const network = hosts(4, {
      seed: 4,
      config: {
        limits: { ...defaultLimits, streams: IDLE, streamBytes: 8 * IDLE * STREAM_WINDOW_LEAST },
      },
    });
    const [, b] = network.hosts as [SimHost, SimHost];
    for (const index of [0, 2, 3])
      network.connect(network.host(index), b, wire({ latencyUs: 2 * MILLISECOND }));
    network.settle();
    b.node.streams.listen(PORT, 1_024, (port) => ({ port, onAccept: idle }));
    for (let i = 0; i < 2 * IDLE; i += 1) {
      // From whatever host, a program of its own each time: the bounds there are not what is
      // tested.
      const from = network.host(greedy[i % greedy.length]!);
      if (from.node.streams.size < IDLE - 1)
        from.node.streams.connect(b.id, PORT, 0, idle(), options);
      from.endTurn();
      network.run(5 * MILLISECOND);
    }
    expect(b.node.streams.size).toBeGreaterThan(0.7 * IDLE);
    const served = serve(b, PORT + 1, () => new StreamEnd(b, 0, 2, 1));
    const honest = Array.from({ length: 10 }, () =>
      new StreamEnd(network.host(3), 100_000, 1, 2).connect(b, PORT + 1),
    );
    expect(
      network.until(
        () => honest.every(({ error }) => error !== undefined),
        60 * SECOND,
        10 * MILLISECOND,
      ),
    ).not.toBeNull();
    expect([
      honest.filter(({ error }) => error !== null).length,
      served.reduce((sum, { read }) => sum + read, 0),
    ]).toEqual([0, 10 * 100_000]);
    expect(() =>
      b.node.streams.connect(network.host(3).id, PORT, 0, idle(), options),
    ).not.toThrow();
    for (const host of network.hosts)
      for (const stream of [...host.node.streams.all()]) stream.reset();
    for (const host of network.hosts) host.endTurn();
    network.run(10 * SECOND);
    expect([b.node.streams.size, b.node.streams.grantedBytes]).toEqual([0, 0]);
  });

  test('a program that does is told so, and another one goes on', () => {
    const network = hosts(2, { seed: 4, config: { limits: { ...defaultLimits, streams: IDLE } } });
    const [a, b] = [network.host(0), network.host(1)];
    network.connect(a, b);
    network.settle();
    b.node.streams.listen(PORT, 1_024, (port) => ({ port, onAccept: idle }));
    const greedy = idle();
    expect(() => {
      for (let i = 0; i < IDLE; i += 1) a.node.streams.connect(b.id, PORT, 0, greedy, options);
    }).toThrow(/has its share of the daemon's 200 streams; close some, or raise limits\.streams/);
    expect(() => a.node.streams.connect(b.id, PORT, 0, idle(), options)).not.toThrow();
    for (const stream of [...a.node.streams.all()]) stream.reset();
    a.endTurn();
    network.run(10 * SECOND);
  });
});

test(
  'any mix of grants, reads, ends and changes of owner keeps the sum below the limit, ' +
    'and every stream above the least',
  () => {
    const rng = new Rng(9),
      owners = Array.from({ length: 5 }, () => ({}));
    const budget = new ReceiveBudget(4 * MIB);
    const all: { account: ReceiveAccount; granted: number; owner: object }[] = [];
    for (let i = 0; i < 100_000; i += 1) {
      const what = rng.below(10),
        owner = owners[rng.below(owners.length)]!;
      if (what === 0 && budget.free > 0)
        all.push({
          account: budget.add(owner, [null, 'a', 'b'][rng.below(3)]!),
          granted: 0,
          owner,
        });
      if (all.length === 0) continue;
      const index = rng.below(all.length),
        one = all[index]!;
      if (what === 1) {
        budget.remove(one.account);
        all.splice(index, 1);
        continue;
      }
      if (what === 2) one.owner = owner;
      if (what < 6) one.granted = rng.below(one.granted + 1);
      else {
        const share = budget.share(one.account, MIB, rng.below(2 * MIB));
        expect(share).toBeGreaterThanOrEqual(STREAM_WINDOW_LEAST);
        one.granted = Math.max(one.granted, share);
      }
      budget.set(one.account, one.granted, one.owner);
      expect(budget.bytes).toBeLessThanOrEqual(budget.limit);
      expect(budget.bytes).toBe(all.reduce((sum, { account }) => sum + account.bytes, 0));
    }
  },
);
