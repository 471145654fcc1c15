/** The packet pool: bounded, counted, and a kept packet never changes under its keeper. */

import { describe, expect, test } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { Packet } from '../../../../src/core/wire/packet.ts';
import { PacketPool, type KeptPacket } from '../../../../src/core/wire/packet-pool.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../../../../src/core/wire/sizes.ts';

function packetOf(bytes: Uint8Array, start: number, end: number, keepable: boolean): Packet {
  const packet = new Packet();
  packet.bytes = bytes;
  packet.start = start;
  packet.end = end;
  packet.kind = 1;
  packet.source = 9;
  packet.destination = 8;
  packet.priority = 3;
  packet.encodeHeader();
  packet.keepable = keepable;
  return packet;
}

describe('packet pool', () => {
  test('keeps at most its limit and has room again after a release', () => {
    const pool = new PacketPool(3);
    const packet = packetOf(new Uint8Array(40), 0, 40, true);
    const kept = [pool.keep(packet), pool.keep(packet), pool.keep(packet)];
    expect(kept).not.toContain(null);
    expect(pool.keep(packet)).toBeNull();
    expect(pool.inUse).toBe(3);
    pool.release(kept[1]!);
    expect(pool.inUse).toBe(2);
    expect(pool.keep(packet)).not.toBeNull();
    expect(pool.keep(packet)).toBeNull();
  });

  test('refers to bytes that nobody will write to, and copies others', () => {
    const pool = new PacketPool(10);
    const bytes = new Uint8Array(PACKET_BYTES_MAX + 30).fill(7);
    const shared = pool.keep(packetOf(bytes, 30, 100, true))!;
    expect([shared.bytes === bytes, shared.start, shared.end, shared.length]).toEqual([
      true,
      30,
      100,
      70,
    ]);
    for (const length of [OVERLAY_HEADER_BYTES, 64, 65, PACKET_BYTES_MAX]) {
      const packet = packetOf(bytes, 30, 30 + length, false);
      const before = hex(bytes.subarray(30, 30 + length));
      const copied = pool.keep(packet)!;
      bytes.fill(0xee);
      expect(hex(copied.bytes.subarray(copied.start, copied.end))).toBe(before);
      expect(copied).toMatchObject({ source: 9, service: 0, priority: 3, mark: false, length });
    }
  });

  test('releasing twice is our own bug and says so', () => {
    const pool = new PacketPool(2);
    const kept = pool.keep(packetOf(new Uint8Array(20), 0, 20, true))!;
    pool.release(kept);
    expect(() => pool.release(kept)).toThrow('released once');
    expect(pool.inUse).toBe(0);
  });

  test('thousands of keeps and releases in random order: counts agree and contents stay', () => {
    const rng = new Rng(77);
    const pool = new PacketPool(1_500);
    const held: { slot: KeptPacket; text: string }[] = [];
    const scratch = new Uint8Array(PACKET_BYTES_MAX);
    for (let i = 0; i < 30_000; i += 1) {
      if (rng.chance(held.length < 1_500 ? 0.6 : 0.4)) {
        const length = OVERLAY_HEADER_BYTES + rng.below(40);
        const keepable = rng.chance(0.3);
        const bytes = keepable ? new Uint8Array(length) : scratch;
        rng.fill(bytes.subarray(0, length));
        const slot = pool.keep(packetOf(bytes, 0, length, keepable));
        expect(slot === null).toBe(held.length === 1_200);
        if (slot !== null) {
          slot.mark = true;
          held.push({ slot, text: hex(bytes.subarray(0, length)) });
        }
      } else if (held.length > 0) {
        const [{ slot, text }] = held.splice(rng.below(held.length), 1) as [
          { slot: KeptPacket; text: string },
        ];
        expect(hex(slot.bytes.subarray(slot.start, slot.end))).toBe(text);
        pool.release(slot);
      }
      expect(pool.inUse).toBe(held.length);
    }
    for (const { slot, text } of held) {
      expect(hex(slot.bytes.subarray(slot.start, slot.end))).toBe(text);
      pool.release(slot);
    }
    expect(pool.inUse).toBe(0);
    expect(pool.keep(packetOf(scratch, 0, 20, false))!.mark).toBe(false);
  });
});
