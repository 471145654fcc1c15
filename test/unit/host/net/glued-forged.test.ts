/**
 * Forged datagrams glued to genuine ones of the same two sockets: they cost themselves, and work
 * within bounds.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { SECOND } from '../../../../src/core/base/time.ts';
import { EndpointTable } from '../../../../src/host/net/endpoints.ts';
import { GluedReader } from '../../../../src/host/net/glued.ts';
import {
  OPENS_MAX,
  PIECES_MAX,
  THOROUGH_RATE,
  type Opener,
} from '../../../../src/host/net/segment-search.ts';
import {
  DATAGRAM_SEALED_DATA,
  DATAGRAM_SEALED_INIT,
  decodeDatagramHeader,
  encodeDatagramHeader,
} from '../../../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import {
  DATAGRAM_BYTES_MAX,
  DATAGRAM_HEADER_BYTES,
  TAG_BYTES,
} from '../../../../src/core/wire/sizes.ts';

const LEAST = DATAGRAM_HEADER_BYTES + TAG_BYTES;
/** What a UDP length can say. */
const GLUED_MAX = 65_507;
const OURS = [0x1234567, 0x0bcdef01];

/** A receiver that knows what its peer has sent, byte by byte, and counts what it is asked. */
class Receiver implements Opener {
  readonly from = new EndpointTable().of('10.0.0.1', 8_100);
  readonly taken: Buffer[] = [];
  refused = 0;
  asked = 0;
  opened = 0;
  now = 0;
  /** Sent and not arrived. */
  readonly #sent = new Map<number, Buffer>();
  readonly #reader = new GluedReader(
    this,
    () => this.now,
    (bytes) => this.#take(bytes),
  );
  #number = 1_000;

  /** A datagram of the peer. */
  make(rng: Rng, size: number, receiver = OURS[0]!): Buffer {
    const bytes = Buffer.alloc(size);
    rng.fill(bytes);
    this.#number += 1 + (rng.chance(0.1) ? rng.below(3) : 0);
    encodeDatagramHeader(DATAGRAM_SEALED_DATA, receiver, this.#number, bytes);
    this.#sent.set(this.#number, bytes);
    return bytes;
  }

  knows(receiver: number, number: number): boolean {
    this.asked += 1;
    return OURS.includes(receiver) && (number > this.#number || this.#sent.has(number));
  }

  opens(bytes: Uint8Array, start: number, end: number): boolean {
    this.opened += 1;
    return this.#isGenuine(Buffer.from(bytes.subarray(start, end)));
  }

  read(glued: Buffer): void {
    const before = Buffer.from(glued);
    this.#reader.read(glued, this.from);
    expect(glued.equals(before)).toBe(true);
  }

  #isGenuine(bytes: Buffer): boolean {
    const header = { type: 0, receiver: 0, number: 0 };
    return (
      decodeDatagramHeader(bytes, bytes.length, header) === DropReason.none &&
      this.#sent.get(header.number)?.equals(bytes) === true
    );
  }

  #take(bytes: Buffer): boolean {
    if (!this.#isGenuine(bytes)) {
      this.refused += 1;
      return false;
    }
    this.taken.push(bytes);
    this.#sent.delete(bytes.readUIntBE(6, 6));
    return true;
  }
}

type Forge = (rng: Rng, size: number, receiver: Receiver) => Buffer;

const noise: Forge = (rng, size) => {
  const bytes = Buffer.alloc(size);
  rng.fill(bytes);
  return bytes;
};
const headed = (rng: Rng, size: number, receiver: number, type = DATAGRAM_SEALED_DATA): Buffer => {
  const bytes = noise(rng, size, null as never);
  if (size >= DATAGRAM_HEADER_BYTES)
    encodeDatagramHeader(type, receiver, 1_000 + rng.below(3_000), bytes);
  return bytes;
};
/** Full of heads, `apart` bytes from one another. */
const steered = (
  rng: Rng,
  size: number,
  receiver: number,
  apart: number,
  type = DATAGRAM_SEALED_DATA,
): Buffer => {
  const bytes = noise(rng, size, null as never);
  for (let at = 0; at + DATAGRAM_HEADER_BYTES <= size; at += apart)
    encodeDatagramHeader(type, receiver, 1_000 + rng.below(3_000), bytes.subarray(at));
  return bytes;
};

/** By somebody who does not see what passes. */
const BLIND: Readonly<Record<string, Forge>> = {
  noise,
  zeros: (_rng, size) => Buffer.alloc(size),
  'the first byte of data, again and again': (_rng, size) =>
    Buffer.alloc(size, DATAGRAM_SEALED_DATA),
  'heads of another channel': (rng, size) => headed(rng, size, 0x7777777),
  'full of heads of another channel': (rng, size) =>
    steered(rng, size, 0x7777777, 12 + rng.below(200)),
  'full of beginnings of handshakes': (rng, size) =>
    steered(rng, size, rng.u32(), 12 + rng.below(200), DATAGRAM_SEALED_INIT),
};
/** By somebody who reads it. */
const SEEING: Readonly<Record<string, Forge>> = {
  'heads of the channel': (rng, size) => headed(rng, size, OURS[0]!),
  'full of heads of the channel': (rng, size) => steered(rng, size, OURS[0]!, 12 + rng.below(200)),
};

/** Pieces in any order, some of them `forged`; the last may be shorter. */
function glue(
  rng: Rng,
  receiver: Receiver,
  size: number,
  forges: readonly Forge[],
  genuineShare: number,
): { glued: Buffer; genuine: Buffer[] } {
  const most = Math.min(PIECES_MAX, Math.floor(GLUED_MAX / size));
  const count = Math.max(2, 1 + rng.below(most));
  const genuine: Buffer[] = [],
    pieces: Buffer[] = [];
  for (let i = 0; i < count; i += 1) {
    const short = i === count - 1 && rng.chance(0.5);
    const bytes = short ? LEAST + rng.below(size - LEAST + 1) : size;
    if (rng.chance(genuineShare) || (i === count - 1 && genuine.length === 0)) {
      const one = receiver.make(rng, bytes, OURS[rng.chance(0.1) ? 1 : 0]!);
      genuine.push(one);
      pieces.push(one);
    } else pieces.push(forges[rng.below(forges.length)]!(rng, bytes, receiver));
  }
  return { glued: Buffer.concat(pieces), genuine };
}

function sizeOf(rng: Rng): number {
  return rng.chance(0.3)
    ? [LEAST, 100, 576, 1_172, DATAGRAM_BYTES_MAX - 1, DATAGRAM_BYTES_MAX][rng.below(6)]!
    : LEAST + rng.below(DATAGRAM_BYTES_MAX - LEAST + 1);
}

function run(
  seed: number,
  rounds: number,
  forges: readonly Forge[],
  share: (rng: Rng) => number,
): { lost: number; sent: number } {
  const rng = new Rng(seed);
  let lost = 0,
    sent = 0;
  for (let i = 0; i < rounds; i += 1) {
    const receiver = new Receiver();
    const { glued, genuine } = glue(rng, receiver, sizeOf(rng), forges, share(rng));
    receiver.read(glued);
    sent += genuine.length;
    lost += genuine.length - receiver.taken.length;
    expect(genuine.filter((one) => receiver.taken.some((other) => other.equals(one))).length).toBe(
      receiver.taken.length,
    );
    expect(receiver.opened).toBeLessThanOrEqual(OPENS_MAX + DATAGRAM_BYTES_MAX);
    expect(receiver.asked).toBeLessThanOrEqual(35_000);
    expect(receiver.refused).toBeLessThanOrEqual(2 * PIECES_MAX);
  }
  return { lost, sent };
}

describe('forged datagrams among genuine ones', () => {
  test.each(Object.entries(BLIND))(
    '%s: every genuine one arrives, in front, behind or between',
    (_what, forge) => {
      for (let seed = 1; seed <= 3; seed += 1)
        expect(run(seed, 80, [forge], (rng) => rng.unit())).toMatchObject({ lost: 0 });
    },
  );

  test('of all kinds at once, with few genuine ones', () => {
    expect(run(9, 200, Object.values(BLIND), () => 0.05)).toMatchObject({ lost: 0 });
  });

  test.each(Object.entries(SEEING))(
    '%s: by one who reads what passes, and sends as many as are genuine',
    (_what, forge) => {
      for (let seed = 1; seed <= 3; seed += 1)
        expect(run(seed, 80, [forge, ...Object.values(BLIND)], () => 0.5)).toMatchObject({
          lost: 0,
        });
    },
  );

  test('one in front of 40, and one that would have them cut into 12 bytes each', () => {
    const rng = new Rng(3);
    for (const forged of [
      headed(rng, 1_400, 0x7777777),
      steered(rng, 1_400, OURS[0]!, DATAGRAM_HEADER_BYTES),
    ]) {
      const receiver = new Receiver();
      receiver.read(
        Buffer.concat([forged, ...Array.from({ length: 40 }, () => receiver.make(rng, 1_400))]),
      );
      expect(receiver.taken.length).toBe(40);
      expect(receiver.refused).toBeLessThanOrEqual(PIECES_MAX);
    }
  });

  test('copies of what has arrived, in front of new ones or behind', () => {
    const rng = new Rng(4);
    for (const size of [LEAST, 100, 700, DATAGRAM_BYTES_MAX]) {
      for (const order of [
        [0, 1],
        [1, 0],
        [0, 1, 0, 1, 1],
      ]) {
        const receiver = new Receiver();
        const old = receiver.make(rng, size);
        receiver.read(Buffer.from(old));
        const fresh = order.map(() => receiver.make(rng, size));
        receiver.read(Buffer.concat(order.map((genuine, i) => (genuine === 1 ? fresh[i]! : old))));
        expect(receiver.taken.length, `${size}, ${order.join()}`).toBe(
          1 + order.filter((genuine) => genuine === 1).length,
        );
      }
    }
  });

  test(
    'a shorter one without a head behind a lone genuine one takes every size to be tried: ' +
      'so many times a second and no more',
    () => {
      const rng = new Rng(5),
        receiver = new Receiver();
      const pairs = (count: number): number => {
        const before = receiver.taken.length;
        for (let i = 0; i < count; i += 1)
          receiver.read(Buffer.concat([receiver.make(rng, 900 + i), noise(rng, 333, receiver)]));
        return receiver.taken.length - before;
      };
      expect(pairs(50)).toBe(THOROUGH_RATE);
      expect(receiver.opened).toBeLessThan(THOROUGH_RATE * DATAGRAM_BYTES_MAX + 50 * 10);
      receiver.now += SECOND;
      expect(pairs(50)).toBe(THOROUGH_RATE);
    },
  );
});
