/**
 * Parts of the realtime service: history, strikes, the choice of redundancy, blocks and parities.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND } from '../../../../src/core/base/time.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import {
  HISTORY_BYTES,
  HISTORY_PACKETS,
  HISTORY_TIME,
  RealtimeHistory,
} from '../../../../src/core/link/realtime-history.ts';
import {
  BLOCK_LEAST,
  chooseRedundancy,
  planStrikes,
} from '../../../../src/core/link/redundancy.ts';
import { RepairBlock } from '../../../../src/core/link/repair-block.ts';
import { RepairDecoder } from '../../../../src/core/link/repair-decoder.ts';
import { FRAME_REALTIME, putFrameHead } from '../../../../src/core/wire/frames.ts';
import { KIND_DATAGRAM, Packet, SERVICE_REALTIME } from '../../../../src/core/wire/packet.ts';
import { PacketPool } from '../../../../src/core/wire/packet-pool.ts';
import { decodeRepair } from '../../../../src/core/wire/realtime.ts';

const MS = MILLISECOND;

function packetOf(bytes: number): Packet {
  const packet = new Packet();
  const modes = { service: SERVICE_REALTIME, dissemination: 0, ttl: 9, priority: 1 };
  packet.compose(new Uint8Array(bytes), 0, bytes, KIND_DATAGRAM, modes, 1, 2, 3, 4);
  return packet;
}

describe('history', () => {
  test('finds what left in a datagram, whole or in pieces, and forgets by number and time', () => {
    const pool = new PacketPool(10_000),
      history = new RealtimeHistory(pool);
    const keep = (number: number, datagrams: number, index: number, at: number): void => {
      history.add(pool.keep(packetOf(100))!, number, datagrams, index, 0, at, at + 50);
    };
    keep(10, 1, 0, 1_000);
    keep(10, 1, 1, 1_000);
    keep(14, 2, 0, 2_000);
    keep(20, 1, 0, 3_000);
    const found = (number: number): number | undefined => history.at(history.from(number))?.number;
    expect([9, 10, 11, 14, 15, 16, 20].map(found)).toEqual([10, 10, 14, 14, 14, 20, 20]);
    expect(found(21)).toBeUndefined();
    expect([0, 1, 2, 3].map((at) => history.isLast(at))).toEqual([false, true, true, true]);
    history.expire(1_000 + HISTORY_TIME);
    expect(history.length).toBe(2);
    history.clear();
    expect([history.bytes, pool.inUse]).toEqual([0, 0]);
  });

  test('keeps at most so many packets and bytes, whatever is sent', () => {
    const pool = new PacketPool(100_000),
      history = new RealtimeHistory(pool),
      rng = new Rng(3);
    for (let i = 0; i < 5_000; i += 1) {
      history.add(pool.keep(packetOf(16 + rng.below(1_400)))!, i, 1, 0, 0, i, i);
      expect(history.length).toBeLessThanOrEqual(HISTORY_PACKETS);
      expect(history.bytes).toBeLessThanOrEqual(HISTORY_BYTES);
      expect(pool.inUse).toBe(history.length);
    }
    history.clear();
    expect(pool.inUse).toBe(0);
  });
});

test.each([
  [30, 1, 1],
  [40, 1, 2],
  [60, 2, 2],
  [100, 4, 2],
  [150, 4, 3],
])('with %i ms left, a round trip of 20 ms: %i strikes, the last answered %i times', (ms, n, m) => {
  const plan = planStrikes(ms * MS, 2 * MS, 20 * MS, 0);
  expect([plan.count, plan.copies]).toEqual([n, m]);
});

test('no strike leaves while the answer to one before may be under way, and none too late', () => {
  const rng = new Rng(5);
  for (let i = 0; i < 5_000; i += 1) {
    const left = rng.below(2_000) * MS - 100 * MS,
      rtt = rng.below(400) * MS,
      noticed = rng.below(30) * MS,
      plan = planStrikes(left, noticed, rtt, rng.chance(0.5) ? rng.below(200) * MS : 0);
    if (plan.count === 0) {
      expect(left).toBeLessThan(noticed + rtt + 1 * MS);
      continue;
    }
    expect(plan.count).toBeLessThanOrEqual(4);
    expect(plan.copies).toBeLessThanOrEqual(3);
    expect(plan.spacingUs).toBeGreaterThan(rtt);
    const last =
      noticed + rtt + (plan.count - 1) * plan.spacingUs + (plan.copies - 1) * plan.copySpacingUs;
    expect(last).toBeLessThanOrEqual(left);
  }
});

describe('choice', () => {
  const talk = {
    loss: 0.01,
    persistence: 0.01,
    rate: 1_000,
    leftUs: 15 * MS,
    rttUs: 20 * MS,
    noticedUs: 2 * MS,
  };

  test.each([
    ['parities where no request is in time and packets are many', talk, BLOCK_LEAST, false],
    ['none where a request is in time', { ...talk, leftUs: 30 * MS }, 0, false],
    ['none where packets are few', { ...talk, rate: 500 }, 0, false],
    ['none where nothing is lost', { ...talk, loss: 0.001 }, 0, false],
    ['none where too much is lost', { ...talk, loss: 0.05 }, 0, false],
    ['none in bursts, and the link says so', { ...talk, persistence: 0.8 }, 0, true],
  ])('%s', (_what, measured, block, bursty) => {
    expect(chooseRedundancy(measured)).toMatchObject({ block, bursty });
  });

  test('a block never costs more than its budget, and is there in time', () => {
    const rng = new Rng(9);
    for (let i = 0; i < 5_000; i += 1) {
      const measured = {
        loss: rng.below(1_000) / 5_000,
        persistence: rng.below(1_000) / 2_000,
        rate: rng.below(5_000),
        leftUs: rng.below(200) * MS,
        rttUs: rng.below(200) * MS,
        noticedUs: 2 * MS,
      };
      const { block, bursty, copies } = chooseRedundancy(measured);
      if (bursty) expect([block, copies]).toEqual([0, false]);
      if (block === 0) continue;
      expect(1 / block).toBeLessThanOrEqual(0.12);
      expect(((block - 1) * 1e6) / measured.rate).toBeLessThanOrEqual(measured.leftUs);
    }
  });
});

describe('parities', () => {
  /** Realtime frames of one datagram, as they are written. */
  function frames(rng: Rng): Uint8Array {
    const b = new Uint8Array(1_400);
    let end = 0;
    for (let left = 1 + rng.below(3); left > 0; left -= 1) {
      const body = 18 + rng.below(300);
      const at = putFrameHead(b, end, FRAME_REALTIME, body);
      for (let i = 0; i < body; i += 1) b[at + i] = rng.below(256);
      end = at + body;
    }
    return b.subarray(0, end);
  }

  /** Calls `each` for each frame with its head. */
  function walk(unit: Uint8Array, each: (start: number, end: number) => void): void {
    for (let at = 0; at < unit.length; ) {
      const end = at + 3 + (unit[at + 1]! << 8) + unit[at + 2]!;
      each(at, end);
      at = end;
    }
  }

  test('any one of a block is made from the others, and two are not', () => {
    const rng = new Rng(11);
    for (let round = 0; round < 300; round += 1) {
      const block = new RepairBlock(),
        decoder = new RepairDecoder();
      const units: { number: number; bytes: Uint8Array }[] = [];
      let number = 65_530 + rng.below(20);
      for (let k = 0; k < 2 + rng.below(8); k += 1) {
        units.push({ number, bytes: frames(rng) });
        number += 1 + rng.below(3);
      }
      const gone = new Set([rng.below(units.length), rng.below(units.length)]);
      decoder.solve(0, { base: 0, covered: 3, lengths: 0 }, new Uint8Array(60), 0, 60, 0);
      units.forEach((unit, i) =>
        walk(unit.bytes, (start, end) => {
          expect(block.add(unit.number, unit.bytes, start, end, 0)).toBe(true);
          if (!gone.has(i)) decoder.add(unit.number, unit.bytes, start + 3, end);
        }),
      );
      const body = new Uint8Array(block.bytes),
        head = { base: 0, covered: 0, lengths: 0 };
      block.write(body, 0);
      expect(decodeRepair(body, 0, body.length, head)).toBe(0);
      const made = decoder.solve(units[0]!.number, head, body, 0, body.length, 1);
      expect(made).toBe(gone.size === 1);
      if (!made) continue;
      const [lost] = gone;
      expect(decoder.number).toBe(units[lost!]!.number);
      expect([...decoder.bytes.subarray(0, decoder.length)]).toEqual([...units[lost!]!.bytes]);
      expect([block.units, block.bytes]).toEqual([0, 8]);
    }
  });

  test('a parity that lies makes no frames, or some: never what is not of its bytes', () => {
    const rng = new Rng(12),
      decoder = new RepairDecoder();
    for (let round = 0; round < 3_000; round += 1) {
      const b = new Uint8Array(40 + rng.below(200)).map(() => rng.below(256));
      const head = {
        base: 0,
        covered: (rng.below(2 ** 16) | 1) >>> 0,
        lengths: rng.below(65_536),
      };
      if (rng.chance(0.5)) {
        const unit = frames(rng);
        walk(unit, (start, end) => decoder.add(rng.below(32), unit, start + 3, end));
      }
      if (decoder.solve(0, head, b, 0, b.length, round))
        expect(decoder.length).toBeLessThanOrEqual(b.length);
    }
  });

  test('what reaches beyond its span, or is too long, begins anew', () => {
    const block = new RepairBlock(),
      b = new Uint8Array(2_000);
    expect(block.add(5, b, 0, 100, 0)).toBe(true);
    expect(block.add(5 + 32, b, 0, 100, 0)).toBe(false);
    expect(block.units).toBe(0);
    expect(block.add(6, b, 0, 1_000, 0)).toBe(true);
    expect(block.add(6, b, 0, 414, 0)).toBe(false);
    expect(block.add(7, b, 0, 1_413, 0)).toBe(true);
  });
});
