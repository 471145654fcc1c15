/** Frames of the realtime service, deadlines, and numbers that are cut. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import {
  DEADLINE_MS_MAX,
  DEADLINES_MS,
  deadlineClass,
  deadlineUs,
} from '../../../../src/core/wire/deadline.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { FRAME_REALTIME, putFrameHead } from '../../../../src/core/wire/frames.ts';
import {
  KIND_DATAGRAM,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_REALTIME,
} from '../../../../src/core/wire/packet.ts';
import {
  AGAIN_HEAD_BYTES,
  ageUsAt,
  decodeAgain,
  decodeRepair,
  encodeAgain,
  encodeRepair,
  isUnit,
  numberNear,
  putAge,
  REPAIR_HEAD_BYTES,
  Request,
  REQUEST_RANGES_MAX,
  UNIT_BYTES_MAX,
} from '../../../../src/core/wire/realtime.ts';
import { FRAME_BODY_BYTES_MAX, PACKET_BYTES_MAX } from '../../../../src/core/wire/sizes.ts';

const ROUNDS = 2_000;

function rounds(check: (rng: Rng) => void): void {
  const rng = new Rng(7);
  for (let i = 0; i < ROUNDS; i += 1) check(rng);
}

test('a full packet fits each frame that carries one', () => {
  expect(AGAIN_HEAD_BYTES + PACKET_BYTES_MAX).toBeLessThanOrEqual(FRAME_BODY_BYTES_MAX);
  expect(REPAIR_HEAD_BYTES + UNIT_BYTES_MAX).toBeLessThanOrEqual(FRAME_BODY_BYTES_MAX);
});

describe('deadlines', () => {
  test('a class is that of the shortest deadline that is long enough', () => {
    for (let ms = 1; ms <= DEADLINE_MS_MAX; ms += 1) {
      const code = deadlineClass(ms);
      expect(DEADLINES_MS[code]).toBeGreaterThanOrEqual(ms);
      if (code > 1) expect(DEADLINES_MS[code - 1]).toBeLessThan(ms);
      expect(deadlineUs(code)).toBe(DEADLINES_MS[code]! * 1_000);
    }
    expect(deadlineClass(1e9)).toBe(15);
    expect(deadlineUs(0)).toBe(150_000);
  });

  test('a packet has one with the realtime service and with no other', () => {
    const packet = new Packet(),
      b = new Uint8Array(40);
    for (let code = 0; code < 16; code += 1) {
      const modes = { service: SERVICE_REALTIME, dissemination: 0, ttl: 3, priority: 9 };
      packet.compose(b, 0, 40, KIND_DATAGRAM, { ...modes, deadline: code }, 1, 2, 3, 4);
      const read = new Packet();
      expect(read.decode(b, 0, 40, true)).toBe(DropReason.none);
      expect([read.deadline, read.priority, read.ageUs]).toEqual([code, 9, 0]);
      b[2] = SERVICE_BEST_EFFORT;
      expect(read.decode(b, 0, 40, true)).toBe(
        code === 0 ? DropReason.none : DropReason.reservedNotZero,
      );
    }
  });
});

test('an age is kept to 100 us, and one that is too long as the longest', () =>
  rounds((rng) => {
    const b = new Uint8Array(8),
      at = rng.below(6),
      ageUs = rng.below(10_000_000);
    putAge(b, at, ageUs);
    expect(Math.abs(ageUsAt(b, at) - Math.min(ageUs, 6_553_500))).toBeLessThanOrEqual(50);
  }));

test('what is sent again comes back, and parts that are none are refused', () =>
  rounds((rng) => {
    const datagrams = 1 + rng.below(4);
    const head = {
      of: rng.below(65_536),
      index: datagrams > 1 ? 0 : rng.below(32),
      datagrams,
      last: datagrams > 1 || rng.chance(0.5),
      ageUs: rng.below(65_536) * 100,
    };
    const b = new Uint8Array(64),
      at = rng.below(20),
      end = at + AGAIN_HEAD_BYTES + 16 + rng.below(20);
    encodeAgain(head, b, at);
    const out = { of: 0, index: 0, datagrams: 0, last: false, ageUs: 0 };
    expect(decodeAgain(b, at, end, out)).toBe(DropReason.none);
    expect(out).toEqual(head);
    expect(decodeAgain(b, at, at + AGAIN_HEAD_BYTES + 15, out)).toBe(DropReason.realtimeMalformed);
    b[at + 2] = 0x20 | (b[at + 2]! & 0x60) | 0x01;
    expect(decodeAgain(b, at, end, out)).toBe(DropReason.realtimeMalformed);
  }));

describe('request', () => {
  test('numbers come back, cut to 32 bits, and what does not fit is said', () =>
    rounds((rng) => {
      const request = new Request();
      request.strike = rng.below(4);
      request.copies = 1 + rng.below(3);
      request.spacingMs = rng.below(256);
      const numbers: number[] = [];
      let number = rng.below(2) === 0 ? 2 ** 32 - 40 : rng.below(2 ** 40);
      for (let i = 0; i < 200; i += 1) {
        const near = rng.chance(0.98);
        number += near ? 1 + rng.below(3) : 1 + rng.below(400);
        if (!request.add(number)) break;
        numbers.push(number);
      }
      expect(request.count).toBeLessThanOrEqual(REQUEST_RANGES_MAX);
      const b = new Uint8Array(100),
        at = rng.below(20);
      request.encode(b, at);
      const read = new Request();
      expect(read.decode(b, at, at + request.bytes)).toBe(DropReason.none);
      const told: number[] = [];
      for (let i = 0; i < read.count; i += 1)
        for (let k = 0; k < read.length[i]!; k += 1) told.push((read.first[i]! + k) >>> 0);
      expect(told).toEqual(numbers.map((one) => one % 2 ** 32));
      expect([read.strike, read.copies, read.spacingMs]).toEqual([
        request.strike,
        request.copies,
        request.spacingMs,
      ]);
      expect(read.decode(b, at, at + request.bytes - 1)).toBe(DropReason.realtimeMalformed);
      expect(read.decode(b, at, at + request.bytes + 1)).toBe(DropReason.realtimeMalformed);
    }));

  test.each([
    ['a fifth strike', [4, 1, 0, 1, 0, 0, 0, 9, 0, 1]],
    ['no copy', [0, 0, 0, 1, 0, 0, 0, 9, 0, 1]],
    ['four copies', [0, 4, 0, 1, 0, 0, 0, 9, 0, 1]],
    ['no range', [0, 1, 0, 0, 0, 0, 0, 9]],
    ['an empty range', [0, 1, 0, 1, 0, 0, 0, 9, 0, 0]],
    ['a gap in front of the first', [0, 1, 0, 1, 0, 0, 0, 9, 1, 1]],
    ['two ranges that touch', [0, 1, 0, 2, 0, 0, 0, 9, 0, 1, 0, 1]],
    ['33 ranges', [0, 1, 0, 33, 0, 0, 0, 9, 0, 1, ...Array.from({ length: 64 }, () => 1)]],
  ])('%s is refused', (_what, bytes) => {
    const b = Uint8Array.from(bytes);
    expect(new Request().decode(b, 0, b.length)).toBe(DropReason.realtimeMalformed);
  });
});

describe('repair', () => {
  test('its head comes back; one that covers a single datagram, or not its base, is refused', () =>
    rounds((rng) => {
      const covered = ((rng.below(2 ** 16) * 2 ** 16 + rng.below(2 ** 16)) | 1) >>> 0;
      const head = { base: rng.below(65_536), covered, lengths: rng.below(65_536) };
      const b = new Uint8Array(60);
      encodeRepair(head, b, 3);
      const out = { base: 0, covered: 0, lengths: 0 };
      const reason = decodeRepair(b, 3, 3 + REPAIR_HEAD_BYTES + 21, out);
      expect(reason).toBe(covered === 1 ? DropReason.realtimeMalformed : DropReason.none);
      expect(out).toEqual(head);
      expect(decodeRepair(b, 3, 3 + REPAIR_HEAD_BYTES + 20, out)).toBe(
        DropReason.realtimeMalformed,
      );
      b[8] = b[8]! & ~1;
      expect(decodeRepair(b, 3, 60, out)).toBe(DropReason.realtimeMalformed);
    }));

  test('a unit is realtime frames and nothing else', () => {
    const b = new Uint8Array(80);
    const once = putFrameHead(b, 0, FRAME_REALTIME, 20) + 20;
    const twice = putFrameHead(b, once, FRAME_REALTIME, 18) + 18;
    expect([0, once - 1, once, once + 1, twice].map((end) => isUnit(b, end))).toEqual([
      false,
      false,
      true,
      false,
      true,
    ]);
    b[once] = 0x08;
    expect(isUnit(b, twice)).toBe(false);
  });
});

test('a number that was cut is the nearest one', () =>
  rounds((rng) => {
    const reference = rng.below(2) === 0 ? rng.below(100_000) : rng.below(2 ** 45);
    for (const bits of [16, 32] as const) {
      const number = reference + rng.below(60_000) - 30_000;
      if (number < 0) continue;
      expect(numberNear(number % 2 ** bits, bits, reference)).toBe(number);
    }
  }));
