/**
 * The send queue within one source: flows share by bytes, those that offer little come first and
 * cannot gain by it, priorities count, and none fills the room of the others.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { FLOWS_PER_SOURCE_MAX } from '../../../../src/core/link/queue-parts.ts';
import { SendQueue } from '../../../../src/core/link/send-queue.ts';
import {
  FRESH_CREDIT_BYTES,
  PACKET_OVERHEAD_BYTES,
  QUANTUM,
} from '../../../../src/core/link/turns.ts';
import {
  KIND_DATAGRAM,
  KIND_FRAGMENT,
  KIND_SEQUENCED,
  KIND_STREAM,
  Packet,
  SHARE_REST,
  SHARES,
} from '../../../../src/core/wire/packet.ts';
import { PacketPool, type KeptPacket } from '../../../../src/core/wire/packet-pool.ts';

const NEIGHBOUR = 7,
  SOURCE = 5;

interface Made {
  readonly port: number;
  readonly bytes?: number;
  readonly via?: number;
  readonly source?: number;
  readonly priority?: number;
  readonly kind?: number;
  readonly user?: object;
  readonly share?: number;
}

function made({
  port,
  bytes = 1_000,
  via = NEIGHBOUR,
  source = SOURCE,
  priority = 1,
  kind = KIND_SEQUENCED,
  user,
  share = SHARE_REST,
}: Made): Packet {
  const packet = new Packet();
  packet.compose(
    new Uint8Array(bytes),
    0,
    bytes,
    kind,
    { service: 1, dissemination: 0, ttl: 9, priority },
    source,
    port,
    99,
    9,
  );
  packet.setShare(share, via, source);
  packet.user = user ?? null;
  packet.keepable = true;
  return packet;
}

/** Source port of the next packet, -1 when there is none. */
function take(queue: SendQueue, pool: PacketPool): number {
  const kept = queue.shift();
  if (kept === undefined) return -1;
  const port = portOf(kept);
  pool.release(kept);
  return port;
}

function portOf(kept: KeptPacket): number {
  const packet = new Packet();
  packet.decode(kept.bytes, kept.start, kept.end, false);
  return packet.sourcePort;
}

function setUp(limit = 1_000_000, packets = 60_000) {
  const pool = new PacketPool(packets),
    lost: number[] = [];
  return {
    pool,
    lost,
    queue: new SendQueue(pool, limit, (kept) => lost.push(portOf(kept)), 12_345),
  };
}

/**
 * Of `rounds` packets that leave, how many are of each port, while `offer` is called before each.
 */
function served(
  { queue, pool }: ReturnType<typeof setUp>,
  rounds: number,
  offer: (round: number) => void,
): Map<number, number> {
  const counts = new Map<number, number>();
  for (let round = 0; round < rounds; round += 1) {
    offer(round);
    const port = take(queue, pool);
    counts.set(port, (counts.get(port) ?? 0) + 1);
  }
  return counts;
}

describe.each([NEIGHBOUR, 0])('flows of one source, by neighbour %i', (via) => {
  test('share by bytes, whatever their packets', () => {
    const { queue, pool } = setUp();
    const bytes = new Map<number, number>();
    const sizes = [60, 200, 700, 1_300];
    for (let i = 0; i < 2_000; i += 1) {
      sizes.forEach((size, port) => {
        for (let n = 0; n < 4; n += 1)
          if (queue.bytesOf(made({ port, bytes: size, via })) < 20_000)
            queue.push(made({ port, bytes: size, via }));
      });
      const port = take(queue, pool);
      bytes.set(port, (bytes.get(port) ?? 0) + sizes[port]! + PACKET_OVERHEAD_BYTES);
    }
    const shares = [...bytes.values()];
    expect(shares).toHaveLength(4);
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThan(4 * QUANTUM);
    queue.clear();
    expect(pool.inUse).toBe(0);
  });

  test('one packet of a sparse flow passes the backlog of a busy one, time and again', () => {
    const { queue, pool } = setUp();
    for (let i = 0; i < 300; i += 1) queue.push(made({ port: 1, via }));
    for (let again = 0; again < 20; again += 1) {
      // Behind what its own turn left to the settled, at most.
      for (let i = 0; i < 3; i += 1) take(queue, pool);
      queue.push(made({ port: 2, bytes: 100, via }));
      expect(take(queue, pool), `time ${again}`).toBe(2);
    }
    queue.clear();
  });

  test('a hundred sparse flows at once pass it too', () => {
    const { queue, pool } = setUp();
    for (let i = 0; i < 300; i += 1) queue.push(made({ port: 1, via }));
    for (let port = 2; port < 102; port += 1) queue.push(made({ port, bytes: 100, via }));
    let before = 0;
    for (let left = 100; left > 0; )
      if (take(queue, pool) === 1) before += 1;
      else left -= 1;
    // Which were the first turn of a flow too.
    expect(before).toBeLessThanOrEqual(2);
    queue.clear();
  });

  test('one that is always empty again when its turn is over gets its share and no more', () => {
    const set = setUp();
    const counts = served(set, 2_000, () => {
      for (const port of [1, 2, 3])
        while (set.queue.bytesOf(made({ port, via })) < 9_000) set.queue.push(made({ port, via }));
      if (set.queue.bytesOf(made({ port: 4, via })) === 0) set.queue.push(made({ port: 4, via }));
    });
    expect(counts.get(4)! / 2_000).toBeLessThan(0.27);
    expect(counts.get(4)! / 2_000).toBeGreaterThan(0.15);
    set.queue.clear();
  });

  test('one that makes up a new flow for every packet gets half at most, and some ahead', () => {
    const set = setUp();
    let port = 10;
    const counts = served(set, 4_000, () => {
      for (let n = 0; n < 2; n += 1) set.queue.push(made({ port: (port += 1), via }));
      while (set.queue.bytesOf(made({ port: 1, via })) < 9_000)
        set.queue.push(made({ port: 1, via }));
    });
    // Half of it is of the settled, which are this one and what is not told apart of the others. A
    // turn for each would leave one of 250.
    expect(counts.get(1)!).toBeGreaterThan(
      1_000 - FRESH_CREDIT_BYTES / (1_000 + PACKET_OVERHEAD_BYTES),
    );
    set.queue.clear();
    expect(set.pool.inUse).toBe(0);
  });

  test('flows beyond those that are told apart share one more, and nothing is lost of them', () => {
    const { queue, pool } = setUp(10_000_000);
    const flows = FLOWS_PER_SOURCE_MAX + 300;
    for (let round = 0; round < 3; round += 1)
      for (let port = 1; port <= flows; port += 1)
        expect(queue.push(made({ port, bytes: 100, via }))).toBe(true);
    const seen = new Map<number, number>();
    for (let port = take(queue, pool); port !== -1; port = take(queue, pool))
      seen.set(port, (seen.get(port) ?? 0) + 1);
    expect([seen.size, new Set(seen.values()).size, queue.bytes, pool.inUse]).toEqual([
      flows,
      1,
      0,
      0,
    ]);
  });

  test('a higher priority leaves first, and does not silence the others', () => {
    const set = setUp();
    const counts = served(set, 2_000, () => {
      for (const priority of [1, 4, 10])
        while (set.queue.bytesOf(made({ port: priority, priority, via })) < 9_000)
          set.queue.push(made({ port: priority, priority, via }));
    });
    expect(counts.get(10)! / 2_000).toBeGreaterThan(0.9);
    expect(counts.get(1)!).toBeGreaterThan(20);
    expect(counts.get(4)!).toBeGreaterThan(20);
    set.queue.clear();
  });

  test('a message in pieces is not overtaken by the next one of its socket', () => {
    const { queue, pool } = setUp();
    queue.push(made({ port: 3, via, kind: KIND_FRAGMENT }));
    queue.push(made({ port: 3, via, kind: KIND_FRAGMENT }));
    queue.push(made({ port: 3, via, kind: KIND_DATAGRAM, bytes: 60 }));
    const sizes: number[] = [];
    for (let kept = queue.shift(); kept !== undefined; kept = queue.shift()) {
      sizes.push(kept.length);
      pool.release(kept);
    }
    expect(sizes).toEqual([1_000, 1_000, 60]);
  });
});

describe('room', () => {
  test('priority counts within one source: another source with the highest gains nothing', () => {
    const set = setUp();
    const counts = served(set, 2_000, () => {
      while (set.queue.bytesOf(made({ port: 1 })) < 9_000) set.queue.push(made({ port: 1 }));
      while (set.queue.bytesOf(made({ port: 2, source: 6, priority: 10 })) < 9_000)
        set.queue.push(made({ port: 2, source: 6, priority: 10 }));
    });
    expect(counts.get(1)! / 2_000).toBeCloseTo(0.5, 1);
    set.queue.clear();
  });

  test('in transit the busiest flow of the lowest priority gives way', () => {
    const { queue, lost } = setUp(100_000);
    while (lost.length === 0 && queue.push(made({ port: 1 }))) {}
    for (let n = 0; n < 30; n += 1) expect(queue.push(made({ port: 2 }))).toBe(true);
    expect(new Set(lost)).toEqual(new Set([1]));
    expect(queue.push(made({ port: 1 }))).toBe(false);
    for (let n = 0; n < 88; n += 1) expect(queue.push(made({ port: 3, priority: 5 }))).toBe(true);
    expect(queue.push(made({ port: 3, priority: 4 }))).toBe(false);
    queue.clear();
  });

  test(
    'a program that does not wait leaves another one room, ' + 'and the other is not told to wait',
    () => {
      const { queue } = setUp(100_000),
        bulk = {},
        sparse = {};
      while (queue.push(made({ port: 1, via: 0, user: bulk }))) {}
      expect(queue.holds(made({ port: 1, via: 0, user: bulk }))).toBe(true);
      for (let n = 0; n < 20; n += 1)
        expect(queue.push(made({ port: 2, via: 0, user: sparse }))).toBe(true);
      expect(queue.holds(made({ port: 2, via: 0, user: sparse }))).toBe(false);
      // Nor do many flows of it.
      for (let port = 10; port < 300; port += 1)
        while (queue.push(made({ port, via: 0, user: bulk }))) {}
      expect(queue.push(made({ port: 3, via: 0, user: {} }))).toBe(true);
      queue.clear();
    },
  );

  test(
    'who was told to wait may go on when half of ' + 'what he had has left, whatever others hold',
    () => {
      const { queue, pool } = setUp(100_000),
        bulk = {},
        other = {};
      while (queue.push(made({ port: 1, via: 0, user: bulk }))) {}
      while (!queue.holds(made({ port: 2, via: 0, user: other })))
        expect(queue.push(made({ port: 2, via: 0, user: other }))).toBe(true);
      expect(queue.takeRoom()).toBe(false);
      for (let n = 0; queue.holds(made({ port: 2, via: 0, user: other })); n += 1) {
        expect(n).toBeLessThan(2_000);
        take(queue, pool);
        while (queue.push(made({ port: 1, via: 0, user: bulk }))) {}
      }
      expect([
        queue.takeRoom(),
        queue.takeRoom(),
        queue.holds(made({ port: 1, via: 0, user: bulk })),
      ]).toEqual([true, false, true]);
      queue.clear();
      expect([queue.congested, pool.inUse]).toEqual([false, 0]);
    },
  );
});

describe('marks', () => {
  const waits = (others: number, own: number) => {
    const { queue, pool } = setUp();
    for (let n = 0; n < others; n += 1) queue.push(made({ port: 1 }), 0);
    for (let n = 0; n < own; n += 1) queue.push(made({ port: 2, kind: KIND_STREAM }), 0);
    let marks = 0;
    for (
      let now = 0, kept = queue.shift(now, 25_000);
      kept !== undefined;
      kept = queue.shift((now += 1_000), 25_000)
    ) {
      if (kept.mark) marks += 1;
      pool.release(kept);
    }
    return marks;
  };

  test('are for a stream that queues long behind itself, and not for what others queue', () => {
    expect(waits(400, 3)).toBe(0);
    expect(waits(0, 20)).toBe(0);
    expect(waits(0, 100)).toBeGreaterThan(50);
    expect(waits(400, 100)).toBeGreaterThan(50);
  });
});

test('any mix of pushes and takes keeps order within a flow, the counts and the bounds', () => {
  const rng = new Rng(5),
    { queue, pool, lost } = setUp(60_000, 300);
  const next = new Map<string, number>(),
    expected = new Map<string, number[]>();
  let length = 0,
    numbers = 0;
  const nameOf = (kept: KeptPacket) => {
    const packet = new Packet();
    packet.decode(kept.bytes, kept.start, kept.end, false);
    return `${kept.via} ${packet.source} ${packet.sourcePort} ${packet.priority}`;
  };
  const checked = new SendQueue(
    pool,
    60_000,
    (kept) => {
      expect(kept.via).not.toBe(0);
      length -= 1;
      expected.get(nameOf(kept))!.pop();
    },
    99,
  );
  for (let step = 0; step < 12_000; step += 1) {
    if (rng.chance(step % 3_000 < 1_500 ? 0.7 : step % 3_000 < 2_500 ? 0.3 : 0.49)) {
      const via = [0, 7, 8][rng.below(3)]!,
        source = 1 + rng.below(3),
        share = rng.below(SHARES),
        port = 1 + SHARES * rng.below(5) + share,
        priority = 1 + rng.below(3);
      const packet = made({ via, source, share, port, priority, bytes: 40 + rng.below(1_300) });
      const name = `${via} ${source} ${port} ${priority}`;
      if (!checked.push(packet)) continue;
      next.set(name, (numbers += 1));
      packet.bytes[20] = numbers >> 16;
      packet.bytes[21] = numbers >> 8;
      packet.bytes[22] = numbers;
      expected.set(name, [...(expected.get(name) ?? []), numbers]);
      length += 1;
    } else {
      const peeked = checked.peekLength(),
        kept = checked.shift();
      expect(kept === undefined).toBe(length === 0);
      if (kept === undefined) continue;
      expect(kept.length).toBe(peeked);
      expect((kept.bytes[20]! << 16) | (kept.bytes[21]! << 8) | kept.bytes[22]!).toBe(
        expected.get(nameOf(kept))!.shift(),
      );
      length -= 1;
      pool.release(kept);
    }
    expect(checked.length).toBe(length);
  }
  expect(checked.clear()).toBe(length);
  expect([
    checked.bytes,
    checked.length,
    checked.ownBytes,
    pool.inUse,
    queue.length,
    lost.length,
  ]).toEqual([0, 0, 0, 0, 0, 0]);
});
