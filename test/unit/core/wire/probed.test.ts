/**
 * Probed packets and their acknowledgements: what is encoded decodes to the same, and nothing else
 * does.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { Packet, TTL_DEFAULT } from '../../../../src/core/wire/packet.ts';
import {
  ackedCounters,
  bitmapOf,
  encodeProbedAckHead,
  encodeProbedHead,
  ONION_LAYER_BYTES,
  PROBED_ACK_HEAD_BYTES,
  PROBED_ACK_LAYOUT,
  PROBED_COUNTER_MAX,
  PROBED_DATA_HEAD_BYTES,
  PROBED_DATA_LAYOUT,
  PROBED_HOPS_MAX,
  PROBED_PIECES_MAX,
  ProbedAck,
  ProbedData,
  probedInnerMax,
  sealedOffset,
  TAIL_LAST_BYTES,
  TAIL_LAYER_BYTES,
  tailBytes,
  type ProbedAckHead,
  type ProbedHead,
} from '../../../../src/core/wire/probed.ts';
import {
  OVERLAY_HEADER_BYTES,
  PACKET_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  TAG_BYTES,
} from '../../../../src/core/wire/sizes.ts';
import { mutate, randomBytes } from '../../../fuzz/mutate.ts';

const KIND = 6;
const MODES = { service: 0, dissemination: 1, ttl: TTL_DEFAULT, priority: 1 };

function u48(rng: Rng): number {
  return rng.chance(0.1) ? 2 ** 48 - 1 : rng.below(0x1_0000) * 0x1_0000_0000 + rng.u32();
}

function counterOf(rng: Rng): number {
  return rng.chance(0.1) ? PROBED_COUNTER_MAX : rng.below(0x1000) * 0x1_0000_0000 + rng.u32();
}

interface Made {
  packet: Packet;
  head: ProbedHead;
  tail: Uint8Array;
  sealed: Uint8Array;
  source: number;
  destination: number;
}

function make(
  rng: Rng,
  hops = 1 + rng.below(PROBED_HOPS_MAX),
  layers = 1 + rng.below(hops),
  innerMax = probedInnerMax(hops, layers),
): Made {
  const route = Array.from({ length: hops }, (_, i) => 1_000 * (i + 2) + rng.below(1_000));
  const pieceCount = 1 + rng.below(PROBED_PIECES_MAX);
  const sealed = randomBytes(rng, TAG_BYTES + 1 + rng.below(innerMax));
  const head: ProbedHead = {
    epoch: u48(rng),
    pathHigh: rng.u32(),
    pathLow: rng.u32(),
    counter: counterOf(rng),
    mayWait: layers === 1 && rng.chance(0.5),
    pieceIndex: rng.below(pieceCount),
    pieceCount,
    route,
    sealedBytes: sealed.length,
  };
  const tail = randomBytes(rng, tailBytes(layers));
  const b = randomBytes(rng, PACKET_BYTES_MAX);
  const sealedStart = encodeProbedHead(head, b, OVERLAY_HEADER_BYTES);
  b.set(sealed, sealedStart);
  b.set(tail, sealedStart + sealed.length);
  const packet = new Packet();
  const source = 77,
    destination = route.at(-1)!;
  packet.compose(
    b,
    0,
    sealedStart + sealed.length + tail.length,
    KIND,
    MODES,
    source,
    0,
    destination,
    0,
  );
  return { packet, head, tail, sealed, source, destination };
}

function decoded(bytes: Uint8Array, data: ProbedData): DropReason {
  const packet = new Packet();
  const reason = packet.decode(bytes, 0, bytes.length, false);
  return reason === DropReason.none ? data.decode(packet) : reason;
}

function bytesOf(made: Made): Uint8Array {
  return made.packet.bytes.slice(0, made.packet.end);
}

/** A copy with `value` at `at`, counted from the type. */
function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const out = bytes.slice();
  out[OVERLAY_HEADER_BYTES + at] = value;
  return out;
}

describe('data', () => {
  test('is read as it was written', () => {
    const rng = new Rng(1);
    const data = new ProbedData();
    for (let round = 0; round < 500; round += 1) {
      const made = make(rng);
      expect(data.decode(made.packet)).toBe(DropReason.none);
      const { epoch, pathHigh, pathLow, counter, mayWait, pieceIndex, pieceCount, route } =
        made.head;
      expect(data).toMatchObject({
        epoch,
        pathHigh,
        pathLow,
        counter,
        mayWait,
        pieceIndex,
        pieceCount,
        hops: route.length,
        source: made.source,
        destination: made.destination,
      });
      expect(Array.from(route, (_, i) => data.hop(i))).toEqual(route);
      expect(route.map((node) => data.indexOf(node))).toEqual(route.map((_, i) => i));
      expect(data.indexOf(made.source)).toBe(-1);
      expect(data.bytes.slice(data.sealedStart, data.sealedEnd)).toEqual(made.sealed);
      expect(data.tail).toEqual(made.tail);
      expect(tailBytes(data.layers)).toBe(made.tail.length);
    }
  });

  test('sizes are what the formulas say', () => {
    expect(PROBED_DATA_HEAD_BYTES).toBe(
      Object.values(PROBED_DATA_LAYOUT).reduce((sum, [, bytes]) => sum + bytes, 0),
    );
    for (let m = 1; m <= PROBED_HOPS_MAX; m += 1) {
      expect(sealedOffset(m)).toBe(26 + 4 * m);
      for (let n = 1; n <= m; n += 1) {
        expect(tailBytes(n)).toBe(22 * n - 2);
        expect(probedInnerMax(m, n)).toBe(1_360 - 4 * m - 22 * n);
      }
    }
    const rng = new Rng(2);
    const made = make(rng, 32, 32);
    const inner = made.sealed.length - TAG_BYTES;
    expect(made.packet.end - inner + probedInnerMax(32, 32)).toBe(PACKET_BYTES_MAX);
    // With the six bytes of a message number in front of each piece.
    expect(PROBED_PIECES_MAX * (probedInnerMax(32, 32) - 6)).toBeGreaterThanOrEqual(
      PACKET_BYTES_MAX,
    );
    expect(2 * (probedInnerMax(32, 22) - 6)).toBeGreaterThanOrEqual(PACKET_BYTES_MAX);
  });

  test('a cut or a byte too many is refused', () => {
    const rng = new Rng(3);
    const data = new ProbedData();
    for (let round = 0; round < 20; round += 1) {
      const bytes = bytesOf(make(rng, 1 + rng.below(5), undefined, 500));
      const shapes: number[] = [];
      for (let length = OVERLAY_HEADER_BYTES; length < bytes.length; length += 1)
        if (decoded(bytes.slice(0, length), data) === DropReason.none)
          shapes.push(bytes.length - length);
      // A tail without its last layers has a shape as well; only the next probe can tell.
      expect(shapes.every((cut) => cut % TAIL_LAYER_BYTES === 0)).toBe(true);
      for (let more = 1; more < TAIL_LAYER_BYTES; more += 1)
        expect(decoded(Uint8Array.of(...bytes, ...new Uint8Array(more)), data)).toBe(
          DropReason.probedMalformed,
        );
    }
    const full = bytesOf(make(rng, 3, 3));
    expect(decoded(Uint8Array.of(...full, ...new Uint8Array(TAIL_LAYER_BYTES)), data)).toBe(
      DropReason.probedMalformed,
    );
  });

  test('fields out of range are refused', () => {
    const data = new ProbedData();
    const made = make(new Rng(4), 3, 2);
    const bytes = bytesOf(made);
    for (const type of [0, 2, 255])
      expect(decoded(withByte(bytes, 0, type), data)).toBe(DropReason.probedMalformed);
    for (const flags of [2, 3, 128])
      expect(decoded(withByte(bytes, 1, flags), data)).toBe(DropReason.reservedNotZero);
    // An acknowledgement may wait only when nobody but the destination has a layer.
    expect(decoded(withByte(bytes, 1, 1), data)).toBe(DropReason.probedMalformed);
    const lone = bytesOf(make(new Rng(4), 3, 1));
    for (const flags of [0, 1])
      expect([decoded(withByte(lone, 1, flags), data), data.mayWait]).toEqual([
        DropReason.none,
        flags === 1,
      ]);
    expect(decoded(withByte(bytes, 16, 0x0f), data)).toBe(DropReason.none);
    expect(decoded(withByte(bytes, 16, 0x10), data)).toBe(DropReason.probedMalformed);
    for (const piece of [0x00, 0x11, 0x22, 0x33, 0x04, 0x10, 0xf2])
      expect(decoded(withByte(bytes, 22, piece), data)).toBe(DropReason.probedMalformed);
    for (const piece of [0x01, 0x02, 0x12, 0x03, 0x13, 0x23])
      expect(decoded(withByte(bytes, 22, piece), data)).toBe(DropReason.none);
    for (const hops of [0, 1, 2, 4, 33, 255])
      expect(decoded(withByte(bytes, 23, hops), data)).toBe(DropReason.probedMalformed);
    const withSealed = (length: number): Uint8Array =>
      withByte(withByte(bytes, 36, length >> 8), 37, length & 255);
    for (const length of [0, TAG_BYTES, made.sealed.length - 1, made.sealed.length + 1, 0xffff])
      expect(decoded(withSealed(length), data)).toBe(DropReason.probedMalformed);
    const inTail = made.tail.length - TAIL_LAST_BYTES;
    expect(decoded(withSealed(made.sealed.length + inTail), data)).toBe(DropReason.none);
  });

  test('a route leads from the source to the destination and meets nobody twice', () => {
    const data = new ProbedData();
    const made = make(new Rng(5), 4, 2);
    const bytes = bytesOf(made);
    const withHop = (index: number, id: number): Uint8Array => {
      let out = bytes;
      for (let i = 0; i < 4; i += 1)
        out = withByte(out, PROBED_DATA_HEAD_BYTES + 4 * index + i, (id >>> (24 - 8 * i)) & 255);
      return out;
    };
    expect(decoded(withHop(1, 123_456), data)).toBe(DropReason.none);
    for (const id of [
      0,
      0xe000_0000,
      0xffff_ffff,
      made.source,
      made.destination,
      made.head.route[0]!,
      made.head.route[2]!,
    ]) {
      expect(decoded(withHop(1, id), data)).toBe(DropReason.probedMalformed);
    }
    expect(decoded(withHop(3, 123_456), data)).toBe(DropReason.probedMalformed);
  });
});

describe('acknowledgement', () => {
  function ack(
    rng: Rng,
    layers = 1 + rng.below(PROBED_HOPS_MAX),
  ): { bytes: Uint8Array; head: ProbedAckHead; onion: Uint8Array } {
    const head = {
      source: 1 + rng.below(1_000),
      destination: 2_000 + rng.below(1_000),
      epoch: u48(rng),
      pathHigh: rng.u32(),
      pathLow: rng.u32(),
      counter: Math.max(0, counterOf(rng) - 8),
      bitmap: rng.below(256),
    };
    const onion = randomBytes(rng, layers * ONION_LAYER_BYTES);
    const bytes = randomBytes(rng, PROBED_ACK_HEAD_BYTES + onion.length);
    bytes.set(onion, encodeProbedAckHead(head, bytes, 0));
    return { bytes, head, onion };
  }

  test('is read as it was written, wherever it lies', () => {
    const rng = new Rng(6);
    const back = new ProbedAck();
    for (let round = 0; round < 500; round += 1) {
      const { bytes, head, onion } = ack(rng);
      const at = rng.below(20);
      const b = Uint8Array.of(...randomBytes(rng, at), ...bytes, ...randomBytes(rng, 5));
      expect(back.decode(b, at, at + bytes.length)).toBe(DropReason.none);
      expect(back).toMatchObject(head);
      expect(back.onion).toEqual(onion);
      expect(back.layers * ONION_LAYER_BYTES).toBe(onion.length);
    }
  });

  test('sizes are what the formulas say', () => {
    expect(PROBED_ACK_HEAD_BYTES).toBe(
      Object.values(PROBED_ACK_LAYOUT).reduce((sum, [, bytes]) => sum + bytes, 0),
    );
    expect(PROBED_ACK_HEAD_BYTES).toBe(31);
    expect(ONION_LAYER_BYTES).toBe(25);
    expect(PROBED_ACK_HEAD_BYTES + PROBED_HOPS_MAX * ONION_LAYER_BYTES).toBeLessThanOrEqual(
      PAYLOAD_BYTES_MAX,
    );
  });

  test(
    'what is no whole number of layers, 1 to 32, ' + 'is refused, and so is what names nobody',
    () => {
      const rng = new Rng(7);
      const back = new ProbedAck();
      const { bytes } = ack(rng, 4);
      for (let length = 0; length < bytes.length; length += 1) {
        const whole =
          length > PROBED_ACK_HEAD_BYTES &&
          (length - PROBED_ACK_HEAD_BYTES) % ONION_LAYER_BYTES === 0;
        expect(back.decode(bytes, 0, length)).toBe(
          whole ? DropReason.none : DropReason.probedAckMalformed,
        );
      }
      const long = Uint8Array.of(...ack(rng, 32).bytes, ...new Uint8Array(ONION_LAYER_BYTES));
      expect(back.decode(long, 0, long.length)).toBe(DropReason.probedAckMalformed);
      const but = (at: number, ...values: number[]): DropReason => {
        const b = bytes.slice();
        b.set(values, at);
        return back.decode(b, 0, b.length);
      };
      expect(but(0, 1)).toBe(DropReason.probedAckMalformed);
      expect(but(1, 0x80)).toBe(DropReason.reservedNotZero);
      expect(but(2, 0, 0, 0, 0)).toBe(DropReason.probedAckMalformed);
      expect(but(6, 255, 0, 0, 1)).toBe(DropReason.probedAckMalformed);
      expect(but(2, 0, 0, 9, 9, 0, 0, 9, 9)).toBe(DropReason.probedAckMalformed);
      expect(but(24, 15, 255, 255, 255, 255, 255, 0)).toBe(DropReason.none);
      expect(but(24, 15, 255, 255, 255, 255, 255, 1)).toBe(DropReason.probedAckMalformed);
      expect(but(24, 15, 255, 255, 255, 255, 254, 1)).toBe(DropReason.none);
      expect(but(24, 15, 255, 255, 255, 255, 254, 2)).toBe(DropReason.probedAckMalformed);
    },
  );

  test('a bitmap and the counters that it names are one', () => {
    for (let bitmap = 0; bitmap < 256; bitmap += 1) {
      const counters = ackedCounters(500, bitmap);
      expect(bitmapOf(counters)).toBe(bitmap);
      expect(
        counters.every(
          (counter, i) =>
            counter >= 500 && counter <= 508 && (i === 0 || counter > counters[i - 1]!),
        ),
      ).toBe(true);
    }
  });
});

test('damaged bytes never make a decoder throw, and what it takes lies within them', () => {
  const rng = new Rng(8);
  const data = new ProbedData(),
    ack = new ProbedAck();
  const other = randomBytes(rng, 200);
  let taken = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = mutate(rng, bytesOf(make(rng, 1 + rng.below(4))), other);
    if (decoded(bytes, data) === DropReason.none) {
      taken += 1;
      expect(data.sealedStart).toBeLessThan(data.sealedEnd);
      expect(data.end).toBe(bytes.length);
      expect(data.layers).toBeGreaterThanOrEqual(1);
      expect(data.layers).toBeLessThanOrEqual(data.hops);
      expect(data.hop(data.hops - 1)).toBe(data.destination);
    }
    const b = mutate(rng, randomBytes(rng, 31 + 25 * rng.below(4)), other);
    b[0] = 2;
    b[1] = 0;
    if (ack.decode(b, 0, b.length) === DropReason.none)
      expect(ack.onionStart + ack.layers * ONION_LAYER_BYTES).toBe(b.length);
  }
  expect(taken).toBeGreaterThan(1_000);
});
