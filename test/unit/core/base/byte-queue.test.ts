/** The byte queue against an array. */

import { expect, test } from 'vitest';

import { ByteQueue } from '../../../../src/core/base/byte-queue.ts';
import { Rng } from '../../../../src/core/base/rng.ts';

test('any mix of pushes, copies and drops agrees with an array', () => {
  const rng = new Rng(1),
    queue = new ByteQueue(30_000);
  let model: number[] = [],
    value = 0;
  for (let step = 0; step < 6_000; step += 1) {
    if (rng.chance(0.5)) {
      const bytes = new Uint8Array(rng.below(4_000)),
        start = rng.below(bytes.length + 1);
      for (let i = 0; i < bytes.length; i += 1) bytes[i] = value = (value + 13) & 0xff;
      const taken = queue.push(bytes, start, bytes.length);
      expect(taken).toBe(Math.min(bytes.length - start, 30_000 - model.length));
      model.push(...bytes.subarray(start, start + taken));
    } else {
      const front = queue.front(),
        count = rng.below(Math.max(1, model.length + 1));
      expect(front.length > 0).toBe(model.length > 0);
      expect([...front.subarray(0, 50)]).toEqual(model.slice(0, Math.min(50, front.length)));
      const offset = rng.below(model.length - count + 1),
        out = new Uint8Array(count + 2);
      queue.copy(offset, count, out, 1);
      expect(
        Buffer.compare(
          out.subarray(1, 1 + count),
          Uint8Array.from(model.slice(offset, offset + count)),
        ),
      ).toBe(0);
      expect([out[0], out[count + 1]]).toEqual([0, 0]);
      queue.drop(count);
      model = model.slice(count);
    }
    expect(queue.length).toBe(model.length);
  }
  queue.clear();
  expect([queue.length, queue.front().length]).toEqual([0, 0]);
});

test("queues that give their memory back and take each other's never mix contents", () => {
  const rng = new Rng(2);
  const queues = Array.from({ length: 40 }, (_, i) => ({
    queue: new ByteQueue(200_000),
    mark: i + 1,
    length: 0,
  }));
  for (let step = 0; step < 8_000; step += 1) {
    const one = queues[rng.below(queues.length)]!,
      { queue, mark } = one;
    if (rng.chance(0.6)) {
      const length = rng.below(rng.chance(0.1) ? 60_000 : 2_000);
      one.length += queue.push(new Uint8Array(length).fill(mark), 0, length);
    } else {
      const count = rng.chance(0.5) ? one.length : rng.below(one.length + 1),
        out = new Uint8Array(one.length);
      queue.copy(0, one.length, out, 0);
      expect(out.every((byte) => byte === mark)).toBe(true);
      queue.drop(count);
      one.length -= count;
    }
    expect(queue.length).toBe(one.length);
  }
});

test(
  'a stream that is read at once has the same memory every time, ' +
    'however much others gave back',
  () => {
    for (const bytes of [8_000_000, 500_000, 60_000]) {
      const large = new ByteQueue(bytes);
      large.push(new Uint8Array(bytes), 0, bytes);
      large.clear();
    }
    const small = new ByteQueue(10_000),
      memory = new Set<ArrayBufferLike>();
    for (let segment = 0; segment < 20; segment += 1) {
      small.push(new Uint8Array(1_400), 0, 1_400);
      memory.add(small.front().buffer);
      small.clear();
    }
    expect(memory.size).toBe(1);
  },
);
