/** The send queue in front of a link: fair between sources, in order within one, bounded, and the pool gets all back. */

import { describe, expect, test } from 'vitest';

import { getU32, putU32 } from '../../../src/base/bytes.ts';
import { Rng } from '../../../src/base/rng.ts';
import { PACKET_OVERHEAD_BYTES, SendQueue } from '../../../src/link/send-queue.ts';
import { Packet } from '../../../src/wire/packet.ts';
import { PacketPool, type KeptPacket } from '../../../src/wire/packet-pool.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../../../src/wire/sizes.ts';

/** A packet of `bytes` in all, numbered in its payload. */
function packetOf(source: number, bytes: number, number = 0): Packet {
  const packet = new Packet();
  packet.bytes = new Uint8Array(bytes);
  packet.end = bytes;
  packet.source = source;
  packet.destination = 99;
  packet.encodeHeader();
  packet.keepable = true;
  if (bytes >= OVERLAY_HEADER_BYTES + 4) putU32(packet.bytes, OVERLAY_HEADER_BYTES, number);
  return packet;
}

const numberOf = (kept: KeptPacket): number => getU32(kept.bytes, kept.start + OVERLAY_HEADER_BYTES);

/** Takes one, gives it back to the pool, returns its source and number. */
function take(queue: SendQueue, pool: PacketPool): { source: number; number: number; bytes: number } | null {
  const kept = queue.shift();
  if (kept === undefined) return null;
  const out = { source: kept.source, number: numberOf(kept), bytes: kept.length };
  pool.release(kept);
  return out;
}

describe('send queue', () => {
  test('one source: first in, first out', () => {
    const pool = new PacketPool(1000), queue = new SendQueue(pool, 1_000_000);
    for (let i = 0; i < 100; i += 1) expect(queue.push(packetOf(1, 20 + i * 10, i))).toBe(true);
    expect([queue.length, pool.inUse]).toEqual([100, 100]);
    for (let i = 0; i < 100; i += 1) expect(take(queue, pool)?.number).toBe(i);
    expect([take(queue, pool), queue.length, queue.bytes, pool.inUse]).toEqual([null, 0, 0, 0]);
  });

  test('a packet from a quiet source passes the backlog of a busy one', () => {
    const pool = new PacketPool(1000), queue = new SendQueue(pool, 1_000_000);
    for (let i = 0; i < 500; i += 1) queue.push(packetOf(1, PACKET_BYTES_MAX, i));
    take(queue, pool);
    queue.push(packetOf(2, 100, 7));
    let waited = 0;
    while (take(queue, pool)!.source === 1) waited += 1;
    expect(waited).toBeLessThanOrEqual(3);
    queue.clear();
  });

  test('sources share by bytes, whatever their packet sizes', () => {
    const pool = new PacketPool(20_000), queue = new SendQueue(pool, 100_000_000);
    const sizes = [40, 300, 700, PACKET_BYTES_MAX];
    sizes.forEach((bytes, source) => { for (let i = 0; i < 4_000; i += 1) queue.push(packetOf(source + 1, bytes, i)); });
    const served = new Map<number, number>();
    // As long as every source has a backlog.
    for (let i = 0; i < 4_000; i += 1) {
      const { source, bytes } = take(queue, pool)!;
      served.set(source, (served.get(source) ?? 0) + bytes + PACKET_OVERHEAD_BYTES);
    }
    const shares = [...served.values()];
    expect(shares).toHaveLength(4);
    // Deficit round robin: no two apart by more than a quantum and a packet.
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(2 * (PACKET_BYTES_MAX + PACKET_OVERHEAD_BYTES));
    expect(queue.clear()).toBe(12_000);
    expect(pool.inUse).toBe(0);
  });

  test('the bound is in bytes, overhead included, and a refused packet leaves no trace', () => {
    const cost = 100 + PACKET_OVERHEAD_BYTES, pool = new PacketPool(1000), queue = new SendQueue(pool, 10 * cost);
    for (let i = 0; i < 10; i += 1) expect(queue.push(packetOf(1, 100))).toBe(true);
    expect(queue.bytes).toBe(queue.limitBytes);
    expect(queue.push(packetOf(9, OVERLAY_HEADER_BYTES))).toBe(false);
    expect([queue.length, pool.inUse]).toEqual([10, 10]);
    take(queue, pool);
    expect(queue.push(packetOf(9, 101))).toBe(false);
    expect(queue.push(packetOf(9, 100))).toBe(true);
    expect(queue.clear()).toBe(10);
    expect([queue.bytes, queue.length, pool.inUse]).toEqual([0, 0, 0]);
  });

  test('sources that offer far more than their turns do not keep others from waiting', () => {
    const pool = new PacketPool(10_000), queue = new SendQueue(pool, 200_000), rng = new Rng(4);
    const served = new Map<number, number>();
    // Source 1 offers ten packets for each one that leaves, 2 and 3 one each.
    for (let i = 0; i < 20_000; i += 1) {
      for (const source of rng.shuffle([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3])) queue.push(packetOf(source, 1_000));
      const { source } = take(queue, pool)!;
      if (i > 2_000) served.set(source, (served.get(source) ?? 0) + 1);
    }
    for (const source of [1, 2, 3]) expect(served.get(source)! / 18_000).toBeCloseTo(1 / 3, 1);
    expect(queue.bytes).toBeGreaterThan(120_000);
    queue.clear();
  });

  test('an exhausted pool refuses without a trace too', () => {
    const pool = new PacketPool(2), queue = new SendQueue(pool, 1_000_000);
    expect([queue.push(packetOf(1, 50)), queue.push(packetOf(2, 50)), queue.push(packetOf(3, 50))]).toEqual([true, true, false]);
    expect(queue.length).toBe(2);
    expect(take(queue, pool)!.source).not.toBe(3);
    expect(queue.push(packetOf(3, 50, 3))).toBe(true);
    expect(queue.clear()).toBe(2);
    expect(pool.inUse).toBe(0);
  });

  test('any mix of pushes and takes keeps order within a source, the counts and the bound', () => {
    const rng = new Rng(12), pool = new PacketPool(400), queue = new SendQueue(pool, 100_000);
    const model = new Map<number, number[]>();
    let number = 0, bytes = 0, length = 0, refused = 0;
    const cost = new Map<number, number>();
    for (let step = 0; step < 40_000; step += 1) {
      if (rng.chance(step % 4_000 < 2_000 ? 0.7 : 0.3)) {
        const source = 1 + rng.below(6), size = 20 + rng.below(PACKET_BYTES_MAX - 19), whole = size + PACKET_OVERHEAD_BYTES;
        const waiting = [...model.values()].filter((list) => list.length > 0).length, mine = (model.get(source) ?? []).reduce((sum, n) => sum + cost.get(n)!, 0);
        const fits = bytes + whole <= 100_000 && length < 400 && (waiting < 2 || mine + whole <= 2 * (100_000 - bytes));
        number += 1;
        expect(queue.push(packetOf(source, size, number))).toBe(fits);
        if (fits) {
          const list = model.get(source) ?? [];
          list.push(number);
          model.set(source, list);
          cost.set(number, size + PACKET_OVERHEAD_BYTES);
          bytes += size + PACKET_OVERHEAD_BYTES;
          length += 1;
        } else refused += 1;
      } else {
        const taken = take(queue, pool);
        expect(taken === null).toBe(length === 0);
        if (taken !== null) {
          expect(taken.number).toBe(model.get(taken.source)!.shift());
          bytes -= cost.get(taken.number)!;
          length -= 1;
        }
      }
      expect([queue.bytes, queue.length, pool.inUse]).toEqual([bytes, length, length]);
    }
    expect(refused).toBeGreaterThan(100);
  });
});
