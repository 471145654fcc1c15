/**
 * The send queue in front of a link: fair between classes, neighbours and sources, in order within
 * one, bounded, and the pool gets all back.
 */

import { describe, expect, test } from 'vitest';

import { getU32, putU32 } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { BestEffortService } from '../../../../src/core/link/best-effort.ts';
import {
  LOCAL_FACTOR,
  OWN_FLOW_FACTOR,
  PACKET_OVERHEAD_BYTES,
  QUEUE_FACTOR,
  SendQueue,
} from '../../../../src/core/link/send-queue.ts';
import {
  Packet,
  SHARE_CONTROL,
  SHARE_PATH,
  SHARE_PROBE,
  SHARE_REST,
} from '../../../../src/core/wire/packet.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { PacketPool, type KeptPacket } from '../../../../src/core/wire/packet-pool.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../../../../src/core/wire/sizes.ts';

const NEIGHBOUR = 7;

/**
 * A packet of `bytes` in all, numbered in its payload, that came by a neighbour; 0: it begins here.
 */
function packetOf(
  source: number,
  bytes: number,
  number = 0,
  via = NEIGHBOUR,
  share = SHARE_REST,
): Packet {
  const packet = new Packet();
  packet.bytes = new Uint8Array(bytes);
  packet.end = bytes;
  packet.source = source;
  packet.destination = 99;
  packet.encodeHeader();
  packet.setShare(share, via, source);
  packet.keepable = true;
  if (bytes >= OVERLAY_HEADER_BYTES + 4) putU32(packet.bytes, OVERLAY_HEADER_BYTES, number);
  return packet;
}

const numberOf = (kept: KeptPacket): number =>
  getU32(kept.bytes, kept.start + OVERLAY_HEADER_BYTES);

/** Takes one, gives it back to the pool, returns its source and number. */
function take(
  queue: SendQueue,
  pool: PacketPool,
): { source: number; number: number; bytes: number } | null {
  const kept = queue.shift();
  if (kept === undefined) return null;
  const out = { source: kept.source, number: numberOf(kept), bytes: kept.length };
  pool.release(kept);
  return out;
}

describe('send queue', () => {
  test('one source: first in, first out', () => {
    const pool = new PacketPool(1000),
      queue = new SendQueue(pool, 1_000_000);
    for (let i = 0; i < 100; i += 1) expect(queue.push(packetOf(1, 20 + i * 10, i))).toBe(true);
    expect([queue.length, pool.inUse]).toEqual([100, 100]);
    for (let i = 0; i < 100; i += 1) expect(take(queue, pool)?.number).toBe(i);
    expect([take(queue, pool), queue.length, queue.bytes, pool.inUse]).toEqual([null, 0, 0, 0]);
  });

  test('a packet from a quiet source passes the backlog of a busy one', () => {
    const pool = new PacketPool(1000),
      queue = new SendQueue(pool, 1_000_000);
    for (let i = 0; i < 500; i += 1) queue.push(packetOf(1, PACKET_BYTES_MAX, i));
    take(queue, pool);
    queue.push(packetOf(2, 100, 7));
    let waited = 0;
    while (take(queue, pool)!.source === 1) waited += 1;
    expect(waited).toBeLessThanOrEqual(3);
    queue.clear();
  });

  test('sources share by bytes, whatever their packet sizes', () => {
    const pool = new PacketPool(20_000),
      queue = new SendQueue(pool, 100_000_000);
    const sizes = [40, 300, 700, PACKET_BYTES_MAX];
    sizes.forEach((bytes, source) => {
      for (let i = 0; i < 4_000; i += 1) queue.push(packetOf(source + 1, bytes, i));
    });
    const served = new Map<number, number>();
    // As long as every source has a backlog.
    for (let i = 0; i < 4_000; i += 1) {
      const { source, bytes } = take(queue, pool)!;
      served.set(source, (served.get(source) ?? 0) + bytes + PACKET_OVERHEAD_BYTES);
    }
    const shares = [...served.values()];
    expect(shares).toHaveLength(4);
    // Deficit round robin: no two apart by more than a quantum and a packet.
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(
      2 * (PACKET_BYTES_MAX + PACKET_OVERHEAD_BYTES),
    );
    expect(queue.clear()).toBe(12_000);
    expect(pool.inUse).toBe(0);
  });

  test('the bound is in bytes, overhead included, and a refused packet leaves no trace', () => {
    const cost = 100 + PACKET_OVERHEAD_BYTES,
      pool = new PacketPool(1000),
      queue = new SendQueue(pool, 10 * cost);
    for (let i = 0; i < 10; i += 1) expect(queue.push(packetOf(1, 100))).toBe(true);
    expect(queue.bytes).toBe(queue.limitBytes);
    expect(queue.push(packetOf(1, OVERLAY_HEADER_BYTES))).toBe(false);
    expect([queue.length, pool.inUse]).toEqual([10, 10]);
    take(queue, pool);
    expect(queue.push(packetOf(1, 101))).toBe(false);
    expect(queue.push(packetOf(1, 100))).toBe(true);
    expect(queue.clear()).toBe(10);
    expect([queue.bytes, queue.length, pool.inUse]).toEqual([0, 0, 0]);
  });

  test('sources that offer far more than their turns do not keep others from waiting', () => {
    const pool = new PacketPool(10_000),
      queue = new SendQueue(pool, 200_000),
      rng = new Rng(4);
    const served = new Map<number, number>();
    // Source 1 offers ten packets for each one that leaves, 2 and 3 one each.
    for (let i = 0; i < 20_000; i += 1) {
      for (const source of rng.shuffle([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3]))
        queue.push(packetOf(source, 1_000));
      const { source } = take(queue, pool)!;
      if (i > 2_000) served.set(source, (served.get(source) ?? 0) + 1);
    }
    for (const source of [1, 2, 3]) expect(served.get(source)! / 18_000).toBeCloseTo(1 / 3, 1);
    expect(queue.bytes).toBeGreaterThan(120_000);
    queue.clear();
  });

  test('an exhausted pool refuses without a trace too', () => {
    const pool = new PacketPool(2),
      queue = new SendQueue(pool, 1_000_000);
    expect([
      queue.push(packetOf(1, 50)),
      queue.push(packetOf(2, 50)),
      queue.push(packetOf(3, 50)),
    ]).toEqual([true, true, false]);
    expect(queue.length).toBe(2);
    expect(take(queue, pool)!.source).not.toBe(3);
    expect(queue.push(packetOf(3, 50, 3))).toBe(true);
    expect(queue.clear()).toBe(2);
    expect(pool.inUse).toBe(0);
  });

  test('any mix of pushes and takes keeps order within a source, the counts and the bound', () => {
    const rng = new Rng(12),
      pool = new PacketPool(400),
      model = new Map<number, number[]>(),
      costs = new Map<number, number>();
    let number = 0,
      bytes = 0,
      length = 0,
      refused = 0,
      pushedOut = 0;
    const held = (source: number): number =>
      (model.get(source) ?? []).reduce((sum, one) => sum + costs.get(one)!, 0);
    const gone = (one: number): void => {
      bytes -= costs.get(one)!;
      length -= 1;
    };
    const queue = new SendQueue(pool, 100_000, (kept) => {
      const longest = Math.max(...[...model.keys()].map(held));
      expect(numberOf(kept)).toBe(model.get(kept.source)!.at(-1));
      // One register says which is the longest: it may be behind by what was taken since.
      expect(held(kept.source)).toBeGreaterThan(longest / 2);
      gone(model.get(kept.source)!.pop()!);
      pushedOut += 1;
    });
    for (let step = 0; step < 40_000; step += 1) {
      if (rng.chance(step % 4_000 < 2_000 ? 0.7 : 0.3)) {
        const source = 1 + rng.below(6),
          size = 20 + rng.below(PACKET_BYTES_MAX - 19),
          cost = size + PACKET_OVERHEAD_BYTES;
        const room = bytes + cost <= 100_000 && length < 400,
          others = [...model.keys()].filter((other) => other !== source).map(held);
        number += 1;
        if (queue.push(packetOf(source, size, number))) {
          model.set(source, [...(model.get(source) ?? []), number]);
          costs.set(number, cost);
          bytes += cost;
          length += 1;
        } else {
          refused += 1;
          expect(room).toBe(false);
          if (length < 400) expect(held(source) + cost).toBeGreaterThan(Math.max(...others) / 2);
        }
      } else {
        const taken = take(queue, pool);
        expect(taken === null).toBe(length === 0);
        if (taken === null) continue;
        expect(taken.number).toBe(model.get(taken.source)!.shift());
        gone(taken.number);
      }
      expect([queue.bytes, queue.length, pool.inUse]).toEqual([bytes, length, length]);
      expect(bytes).toBeLessThanOrEqual(100_000);
    }
    expect(refused).toBeGreaterThan(100);
    expect(pushedOut).toBeGreaterThan(100);
  });
});

describe('what nobody can forge comes first', () => {
  /**
   * Of `rounds` packets that leave, how many came by each neighbour, while `offer` is called before
   * each.
   */
  function served(
    queue: SendQueue,
    pool: PacketPool,
    rounds: number,
    offer: () => void,
  ): Map<string, number> {
    const counts = new Map<string, number>();
    for (let i = 0; i < rounds; i += 1) {
      offer();
      const kept = queue.shift()!;
      const name = `${kept.via} ${kept.source}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
      pool.release(kept);
    }
    queue.clear();
    return counts;
  }

  test.each([1, 400, 5_000])(
    "%i sources of one neighbour divide its share and nobody else's",
    (sources) => {
      const pool = new PacketPool(10_000),
        queue = new SendQueue(pool, 200_000),
        refused = { honest: 0 };
      let n = 0;
      const counts = served(queue, pool, 6_000, () => {
        for (let i = 0; i < 6; i += 1) queue.push(packetOf(1_000 + ((n += 1) % sources), 1_000));
        // Half of what leaves is its due, and it asks for a third, in a name that the other uses
        // too.
        if (n % 18 === 0) if (!queue.push(packetOf(1_000, 1_000, 0, 8))) refused.honest += 1;
      });
      expect(refused.honest).toBe(0);
      expect(counts.get('8 1000')).toBeGreaterThan(0.99 * 2_000 - 5);
      expect(pool.inUse).toBe(0);
    },
  );

  test('a late neighbour finds room in a full queue, and what is taken of it stays', () => {
    const pool = new PacketPool(10_000),
      lost: number[] = [],
      queue = new SendQueue(pool, 200_000, (kept) => lost.push(kept.via));
    for (let i = 0; i < 1_000; i += 1) queue.push(packetOf(i, 1_000));
    expect(queue.push(packetOf(3, PACKET_BYTES_MAX, 0, 8))).toBe(true);
    expect(new Set(lost)).toEqual(new Set([NEIGHBOUR]));
    expect(queue.bytes).toBeLessThanOrEqual(queue.limitBytes);
    // Of one neighbour, the source that has more gives way to the one that has less.
    for (let i = 0; i < 500; i += 1) queue.push(packetOf(9, 1_000, 0, 9));
    const before = lost.length;
    expect(queue.push(packetOf(10, 1_000, 0, 9))).toBe(true);
    expect(lost.length).toBe(before + 1);
    queue.clear();
  });

  test('a class keeps its turns and its room whatever fills another', () => {
    for (const [full, quiet] of [
      [SHARE_REST, SHARE_PROBE],
      [SHARE_REST, SHARE_PATH],
      [SHARE_PATH, SHARE_PROBE],
      [SHARE_PATH, SHARE_REST],
      [SHARE_PROBE, SHARE_REST],
    ] as const) {
      const pool = new PacketPool(10_000),
        queue = new SendQueue(pool, 100_000);
      let refused = 0,
        round = 0;
      // Both by the same neighbour, in the same name.
      const counts = new Map<number, number>();
      for (; round < 3_000; round += 1) {
        for (let i = 0; i < 5; i += 1) queue.push(packetOf(5, 1_000, full, NEIGHBOUR, full));
        if (round % 3 === 0 && !queue.push(packetOf(5, 1_000, quiet, NEIGHBOUR, quiet)))
          refused += 1;
        const { number } = take(queue, pool)!;
        counts.set(number, (counts.get(number) ?? 0) + 1);
      }
      expect([refused, counts.get(quiet)! > 990]).toEqual([0, true]);
      queue.clear();
    }
  });

  test('what begins here is refused at its own bound, and is never pushed out', () => {
    const pool = new PacketPool(60_000),
      limit = 20_000,
      queue = new SendQueue(pool, limit, (kept) => expect(kept.via).not.toBe(0));
    for (let i = 0; i < 1_000; i += 1) queue.push(packetOf(i, 1_000));
    const cost = 1_000 + PACKET_OVERHEAD_BYTES,
      most = Math.floor((LOCAL_FACTOR * limit) / cost);
    let own = 0;
    while (queue.push(packetOf(1, 1_000, 0, 0))) own += 1;
    // One flow leaves others room, and together they fill it.
    expect(own / most).toBeCloseTo(OWN_FLOW_FACTOR / (1 + OWN_FLOW_FACTOR), 2);
    for (let program = 2; program < 40; program += 1)
      while (queue.push(packetOf(program, 1_000, 0, 0))) own += 1;
    expect([own > 0.95 * most, own <= most]).toEqual([true, true]);
    expect(queue.ownBytes).toBe(own * cost);
    expect(queue.push(packetOf(1, 1_000, 0, 0, SHARE_PROBE))).toBe(true);
    expect(queue.push(packetOf(1, 1_000, 0, 0, SHARE_CONTROL))).toBe(true);
    for (let i = 0; i < 1_000; i += 1) queue.push(packetOf(2, 1_000, 0, 8));
    expect(queue.bytes).toBeLessThanOrEqual(QUEUE_FACTOR * limit);
    expect(queue.clear()).toBeGreaterThan(own);
    expect([pool.inUse, queue.bytes, queue.ownBytes]).toEqual([0, 0, 0]);
  });
});

describe('a best-effort link whose datagrams wait for the device', () => {
  test.each([1, 400])(
    'programs are told to wait by what they sent, not by a flood in %i names',
    (sources) => {
      const pool = new PacketPool(10_000),
        sink = { congested: true, send: () => {} };
      const left: Packet[] = [];
      const channel = {
        frameOf: (_type: number, _head: number, bytes: Uint8Array, start: number, end: number) => {
          const packet = new Packet();
          packet.decode(bytes.slice(start, end), 0, end - start, true);
          left.push(packet);
          sink.congested = left.length % 10 === 0;
          return 0;
        },
      };
      let dropped = 0;
      const service = new BestEffortService(
        {
          channel,
          onSent: () => {},
          onWritable: () => {},
          onPushedOut: () => {
            dropped += 1;
          },
          onPacket: () => DropReason.none,
          onHandBack: () => {},
        },
        { sink, pool, linkQueueBytes: 100_000, draws: { u32: () => 0 } },
      );
      let own = 0,
        beside = 0;
      for (let round = 0; round < 500; round += 1) {
        for (let i = 0; i < 30; i += 1)
          service.offer(packetOf(1 + ((round * 30 + i) % sources), 1_000));
        own += Number(service.offer(packetOf(2_000, 1_000, 0, 0)));
        beside += Number(service.offer(packetOf(2_001, 1_000, 0, 8)));
        expect(service.congested).toBe(false);
        sink.congested = false;
        service.onSinkWritable();
        sink.congested = true;
      }
      expect([own, beside]).toEqual([500, 500]);
      for (const source of [2_000, 2_001])
        expect(left.filter((packet) => packet.source === source).length).toBeGreaterThan(495);
      expect(dropped).toBeGreaterThan(0);
      service.onDown();
      expect(pool.inUse).toBe(0);
    },
  );
});
