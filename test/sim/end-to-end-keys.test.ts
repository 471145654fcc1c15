/**
 * Keys of epochs while they change: under traffic, over restarts of either end, with records that
 * are late or withheld, and beside a neighbour's queue of twenty seconds. What is lost is what a
 * crash held, and nobody waits longer than a flood takes.
 */

import { describe, expect, test, vi } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { FRAME_RECORD } from '../../src/core/wire/frames.ts';
import { Packet, SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import {
  chain,
  hosts,
  Inbox,
  pattern,
  useNetworks,
  wire,
  type Network,
} from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const LONG = process.env['SPINES_LONG'] === '1';
const PORT = 7_000;
const SERVICES = [
  ['best effort', SERVICE_BEST_EFFORT],
  ['reliable', SERVICE_RELIABLE],
] as const;
const END_TO_END = [
  DropReason.endToEndEpochUnknown,
  DropReason.endToEndForged,
  DropReason.endToEndKeyGone,
  DropReason.endToEndMissing,
  DropReason.endToEndNoKey,
  DropReason.endToEndReplayed,
  DropReason.endToEndTooOld,
];

function faults(...among: readonly SimHost[]): number {
  return among.reduce(
    (sum, { node }) => sum + END_TO_END.reduce((all, reason) => all + node.drops.of(reason), 0),
    0,
  );
}

describe('new keys under traffic', () => {
  test.each(SERVICES)(
    'a hundred times cost no message and no byte of a stream, %s',
    (_name, service) => {
      const network = chain(3, { config: { keyRotationUs: 2 * SECOND } });
      const [a, , b] = network.hosts as [SimHost, SimHost, SimHost];
      network.settle();
      const there = network.flow(a, b, {
        packetsPerSecond: LONG ? 1_000 : 40,
        durationUs: 205 * SECOND,
        options: { service },
      });
      const back = network.flow(b, a, {
        packetsPerSecond: LONG ? 1_000 : 40,
        sizeBytes: 2_000,
        durationUs: 205 * SECOND,
        options: { service },
      });
      const served = serve(b, PORT, () => new StreamEnd(b, 0, 2, 1));
      const client = new StreamEnd(a, Infinity, 1, 2);
      client.stream = a.node.streams.connect(
        b.id,
        PORT,
        0,
        {
          ...slow(client),
          onOpen(stream) {
            client.stream = stream;
          },
        },
        { service, dissemination: 0, ttl: 64, priority: 1 },
      );
      a.endTurn();
      let written = 0;
      for (let i = 0; i < 206; i += 1) {
        network.run(SECOND);
        const bytes = client.stream!.write(pattern(20_000), 0, 20_000);
        written += bytes;
        a.endTurn();
      }
      network.run(SECOND);
      expect(a.node.epochs!.rotations).toBeGreaterThan(95);
      expect(b.node.epochs!.rotations).toBeGreaterThan(95);
      for (const flow of [there, back])
        expect([flow.refused, flow.meter.delivered, flow.meter.duplicates]).toEqual([
          0,
          flow.sent,
          0,
        ]);
      expect(served[0]!.stream!.receiver.received).toBe(written);
      expect(faults(a, b)).toBe(0);
      client.stream!.reset();
      a.endTurn();
    },
  );

  test('old ones are erased when nobody can believe a record that names them any more', () => {
    const network = chain(2, { config: { keyRotationUs: 100 * SECOND } });
    const [a, b] = network.hosts as [SimHost, SimHost];
    network.settle();
    const inbox = new Inbox(b, PORT),
      sender = new Inbox(a, 0);
    const first = a.node.epochs!.current;
    sender.send(b, PORT, pattern(10));
    network.run(1_300 * SECOND);
    expect(a.node.epochs!.of(first.name)).toBe(first);
    expect(first.secret.reveal().some((byte) => byte !== 0)).toBe(true);
    network.run(500 * SECOND);
    expect(a.node.epochs!.of(first.name)).toBeNull();
    expect([...first.secret.reveal()]).toEqual(new Array(32).fill(0));
    expect(a.node.epochs!.size).toBeLessThanOrEqual(20);
    sender.send(b, PORT, pattern(10));
    network.run(SECOND);
    expect(inbox.messages).toHaveLength(2);
  });
});

/** An owner that writes nothing by itself. */
function slow(end: StreamEnd): { onReadable(): void; onSpace(): void; onClosed(): void } {
  return { onReadable: () => end.take(), onSpace() {}, onClosed() {} };
}

/**
 * Sends a message each 10 ms until one arrives that was sent after `from`; how long that took since
 * `ready` came true.
 */
function firstAfter(
  network: Network,
  send: () => void,
  arrived: () => boolean,
  ready: () => boolean,
): Micros {
  let readyAt = -1;
  for (let i = 0; i < 3_000; i += 1) {
    send();
    network.run(MILLISECOND);
    if (readyAt < 0 && ready()) readyAt = network.now;
    if (arrived()) return readyAt < 0 ? 0 : network.now - readyAt;
  }
  throw new Error('nothing arrived in 3 s');
}

describe('a restart', () => {
  test.each([
    ['the source', 0],
    ['the destination', 2],
  ] as const)(
    'of %s, ten times: the first message arrives within a flood and 50 ms of the route',
    (_who, index) => {
      const network = chain(3);
      const [a, , b] = network.hosts as [SimHost, SimHost, SimHost];
      network.settle();
      const times: Micros[] = [];
      for (let round = 0; round < 10; round += 1) {
        const who = network.host(index);
        const inbox0 = new Inbox(b, PORT + round),
          sender0 = new Inbox(a, 0);
        sender0.send(b, PORT + round, pattern(100));
        network.run(SECOND);
        expect(inbox0.messages).toHaveLength(1);
        who.crash();
        network.run((round % 2 === 0 ? 100 : 1_500) * MILLISECOND);
        who.start();
        const inbox = new Inbox(b, PORT + 100 + round),
          sender = new Inbox(a, 0);
        const hasRoute = (): boolean =>
          a.node.router.nextHop(b.id) !== null && b.node.router.nextHop(a.id) !== null;
        times.push(
          firstAfter(
            network,
            () => {
              sender.send(b, PORT + 100 + round, pattern(50));
            },
            () => inbox.messages.length > 0,
            hasRoute,
          ),
        );
        network.run(SECOND);
        const before = inbox.messages.length;
        for (let i = 0; i < 20; i += 1) sender.send(b, PORT + 100 + round, pattern(50));
        network.run(SECOND);
        expect(inbox.messages.length - before).toBe(20);
      }
      // A flood over two links of 5 ms.
      expect(Math.max(...times)).toBeLessThanOrEqual(10 * MILLISECOND + 50 * MILLISECOND);
      for (const { node } of network.hosts) expect(node.byzantine!.totals.convictions).toBe(0);
    },
  );

  test(
    'ends the streams of the run before by a reset that is believed, ' +
      'and nothing is taken for its data',
    () => {
      const network = chain(3);
      const [a, , b] = network.hosts as [SimHost, SimHost, SimHost];
      network.settle();
      serve(b, PORT, () => new StreamEnd(b, 0, 2, 1));
      const client = new StreamEnd(a, 50_000_000, 1, 2).connect(b, PORT);
      network.run(300 * MILLISECOND);
      b.crash();
      network.run(100 * MILLISECOND);
      b.start();
      expect(network.until(() => client.error !== undefined, 5 * SECOND)).not.toBeNull();
      expect(client.error).toBe('ECONNRESET');
    },
  );
});

describe('a record that does not come', () => {
  test(
    'of the source: what it sent waits for it a second, ' +
      'is asked for, and arrives in order when it does',
    () => {
      const network = chain(3);
      const [a, , b] = network.hosts as [SimHost, SimHost, SimHost];
      network.settle();
      const held = vi
        .spyOn(b.node.router.records!, 'onFrame')
        .mockImplementation((_link, type) =>
          type === FRAME_RECORD ? DropReason.recordStale : DropReason.none,
        );
      a.crash();
      network.run(SECOND);
      a.start();
      network.run(SECOND);
      const inbox = new Inbox(b, PORT),
        sender = new Inbox(a, 0);
      for (let i = 0; i < 5; i += 1) sender.send(b, PORT, pattern(10 + i));
      network.run(500 * MILLISECOND);
      expect([inbox.messages.length, b.node.endToEnd!.waiting]).toEqual([0, 5]);
      held.mockRestore();
      network.run(100 * MILLISECOND);
      sender.send(b, PORT, pattern(15));
      network.run(300 * MILLISECOND);
      expect(inbox.messages.map(({ bytes }) => bytes.length)).toEqual([10, 11, 12, 13, 14, 15]);
      expect(b.node.drops.of(DropReason.endToEndEpochUnknown)).toBe(0);
    },
  );

  test('at all: what was sent is dropped after a second, within bounds, and counted once', () => {
    const network = chain(3);
    const [a, , b] = network.hosts as [SimHost, SimHost, SimHost];
    network.settle();
    vi.spyOn(b.node.router.records!, 'onFrame').mockReturnValue(DropReason.none);
    a.crash();
    network.run(SECOND);
    a.start();
    network.run(SECOND);
    const inbox = new Inbox(b, PORT),
      sender = new Inbox(a, 0);
    for (let i = 0; i < 1_500; i += 1) sender.send(b, PORT, pattern(10));
    network.run(100 * MILLISECOND);
    expect(b.node.endToEnd!.waiting).toBe(1_024);
    network.run(2 * SECOND);
    expect([
      inbox.messages.length,
      b.node.endToEnd!.waiting,
      b.node.drops.of(DropReason.endToEndEpochUnknown),
    ]).toEqual([0, 0, 1_500]);
  });

  test(
    'of the destination: what is sent waits for it, ' +
      'is refused after three seconds, and never goes plain',
    () => {
      const network = chain(3);
      const [a, router, b] = network.hosts as [SimHost, SimHost, SimHost];
      const start = (host: SimHost): void => host.start();
      start(router);
      start(b);
      a.start();
      const held = vi.spyOn(a.node.router.records!, 'onFrame').mockReturnValue(DropReason.none);
      expect(network.converged(5 * SECOND)).not.toBeNull();
      const inbox = new Inbox(b, PORT),
        sender = new Inbox(a, 0);
      let plain = 0;
      router.node.dissemination.misbehaviour = {
        onTransit: (packet) => {
          if (!packet.sealed) plain += 1;
          return false;
        },
      };
      for (let i = 0; i < 10; i += 1)
        expect(sender.send(b, PORT, pattern(20 + i))).toBe(DropReason.none);
      network.run(2 * SECOND);
      expect([inbox.messages.length, a.node.endToEnd!.waiting]).toEqual([0, 10]);
      network.run(2 * SECOND);
      expect([a.node.endToEnd!.waiting, a.node.drops.of(DropReason.endToEndNoKey)]).toEqual([
        0, 10,
      ]);
      expect(sender.send(b, PORT, pattern(1))).toBe(DropReason.endToEndNoKey);
      held.mockRestore();
      network.run(11 * SECOND);
      expect(sender.send(b, PORT, pattern(1))).toBe(DropReason.none);
      network.run(SECOND);
      expect([inbox.messages.length, plain]).toEqual([1, 0]);
    },
  );

  test(
    "of the destination: what waited leaves as its program's, " +
      'in front of what the program sends next',
    () => {
      const network = chain(2);
      const [a, b] = network.hosts as [SimHost, SimHost];
      b.start();
      a.start();
      const records = a.node.router.records!,
        late: (() => void)[] = [];
      const held = vi
        .spyOn(records, 'onFrame')
        .mockImplementation((link, type, bytes, start, end) => {
          const copy = bytes.slice(start, end);
          late.push(() => records.onFrame(link, type, copy, 0, copy.length));
          return DropReason.none;
        });
      expect(network.converged(5 * SECOND)).not.toBeNull();
      const inbox = new Inbox(b, PORT),
        sender = new Inbox(a, 0);
      for (let i = 0; i < 5; i += 1)
        expect(sender.send(b, PORT, pattern(20 + i))).toBe(DropReason.none);
      expect(a.node.endToEnd!.waiting).toBe(5);
      const send = a.node.dissemination.sendOn.bind(a.node.dissemination),
        users: unknown[] = [];
      vi.spyOn(a.node.dissemination, 'sendOn').mockImplementation((packet) => {
        users.push(packet.user);
        return send(packet);
      });
      held.mockRestore();
      for (const hear of late) hear();
      sender.send(b, PORT, pattern(25));
      network.run(SECOND);
      expect(inbox.messages.map(({ bytes }) => bytes.length)).toEqual([20, 21, 22, 23, 24, 25]);
      expect(users.map((user) => user === sender)).toEqual([true, true, true, true, true, true]);
    },
  );

  test('of one destination: programs that send without end leave another one places', () => {
    const network = chain(2);
    const [a, b] = network.hosts as [SimHost, SimHost];
    b.start();
    a.start();
    vi.spyOn(a.node.router.records!, 'onFrame').mockReturnValue(DropReason.none);
    expect(network.converged(5 * SECOND)).not.toBeNull();
    const greedy = [new Inbox(a, 0), new Inbox(a, 0)],
      modest = new Inbox(a, 0);
    for (let i = 0; i < 3_000; i += 1) for (const one of greedy) one.send(b, PORT, pattern(10));
    for (let i = 0; i < 100; i += 1)
      expect(modest.send(b, PORT, pattern(10)), `message ${i}`).toBe(DropReason.none);
    expect(a.node.endToEnd!.waiting).toBeLessThanOrEqual(2_048);
  });

  test(
    'of many destinations: ' + 'a program that sends to all of them leaves another one places',
    () => {
      const network = chain(9);
      const [a, ...others] = network.hosts as [SimHost, ...SimHost[]];
      for (const host of others) host.start();
      a.start();
      vi.spyOn(a.node.router.records!, 'onFrame').mockReturnValue(DropReason.none);
      expect(network.converged(10 * SECOND)).not.toBeNull();
      const greedy = new Inbox(a, 0),
        modest = new Inbox(a, 0);
      for (const host of others.slice(0, 6))
        for (let i = 0; i < 3_000; i += 1) greedy.send(host, PORT, pattern(10));
      const held = a.node.endToEnd!.waiting;
      expect(held).toBeGreaterThan(6_000);
      for (let i = 0; i < 100; i += 1)
        expect(modest.send(others[7]!, PORT, pattern(10)), `message ${i}`).toBe(DropReason.none);
      network.run(4 * SECOND);
      expect(a.node.endToEnd!.waiting).toBe(0);
    },
  );
});

test.each([
  ['sources that nobody knows', (n: number) => 0x0b00_0000 + n],
  ['nodes that there are', (n: number) => 0x0a00_0001 + [1, 3][n % 2]!],
] as const)(
  'what waits for keys: who invents packets of %s leaves room for those of another source that ' +
    'come by the same link',
  (_who, sourceOf) => {
    const network = hosts(4);
    const [a, router, b, insider] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    for (const host of [a, b, insider]) network.connect(host, router);
    network.settle();
    const held = vi
      .spyOn(b.node.router.records!, 'onFrame')
      .mockImplementation((_link, type) =>
        type === FRAME_RECORD ? DropReason.recordStale : DropReason.none,
      );
    a.crash();
    network.run(SECOND);
    a.start();
    network.run(SECOND);
    const own = b.node.epochs!.sending.name;
    for (let n = 0; n < 3_000; n += 1) {
      const bytes = new Uint8Array(16 + 12 + 16),
        packet = new Packet();
      const mode = { service: 0, dissemination: 0, ttl: 9, priority: 1 };
      packet.compose(bytes, 0, bytes.length, 1, mode, sourceOf(n), 5, b.id, PORT);
      bytes[2]! |= 0x40;
      bytes.set(
        [n >> 16, n >> 8, n, own >> 16, own >> 8, own].map((byte) => byte & 255),
        16,
      );
      packet.decode(bytes, 0, bytes.length, true);
      insider.node.links.of(router.id)!.offer(packet);
      if (n % 100 === 99) {
        insider.endTurn();
        network.run(MILLISECOND);
      }
    }
    const inbox = new Inbox(b, PORT),
      sender = new Inbox(a, 0);
    for (let i = 0; i < 50; i += 1) sender.send(b, PORT, pattern(10 + i));
    network.run(100 * MILLISECOND);
    expect(b.node.endToEnd!.waiting).toBeLessThanOrEqual(2_048);
    held.mockRestore();
    network.run(100 * MILLISECOND);
    sender.send(b, PORT, pattern(9));
    network.run(SECOND);
    expect(inbox.messages).toHaveLength(51);
  },
);

test(
  'revocation ends keys at once: ' +
    'what the revoked node sends is not opened, nor does anything leave for it',
  () => {
    const network = chain(3, { routes: false });
    const [a, , b] = network.hosts as [SimHost, SimHost, SimHost];
    network.settle();
    const inbox = new Inbox(b, PORT),
      sender = new Inbox(a, 0);
    sender.send(b, PORT, pattern(10));
    network.run(SECOND);
    const list = network.world.authority!.revokeKeys(b.membership!.nowS, a.identity!);
    expect(b.membership!.offerRevocations(list)).toBe('ok');
    expect(b.node.router.records!.nodeRecord(a.id)).toBeNull();
    sender.send(b, PORT, pattern(11));
    network.run(2 * SECOND);
    expect(inbox.messages).toHaveLength(1);
  },
);

test(
  'a queue of twenty seconds beside 100,000 a ' + 'second of another client: nothing is too old',
  () => {
    const network = hosts(2, { routes: false });
    const [a, b] = network.hosts as [SimHost, SimHost];
    network.connect(a, b, wire({ latencyUs: 5 * MILLISECOND, bandwidthKbps: 300 }));
    network.settle();
    const inbox = new Inbox(b, PORT + SERVICE_RELIABLE, { service: SERVICE_RELIABLE });
    new Inbox(b, PORT + SERVICE_BEST_EFFORT);
    const patient = new Inbox(a, 0, { service: SERVICE_RELIABLE }),
      busy = new Inbox(a, 0, { service: SERVICE_BEST_EFFORT });
    // 750 kB at 300 kbit/s.
    let taken = 0;
    for (let i = 0; i < 700; i += 1)
      if (patient.send(b, PORT + SERVICE_RELIABLE, pattern(1_000)) === DropReason.none) taken += 1;
    expect(taken).toBe(700);
    const flood = pattern(20);
    for (let ms = 0; ms < (LONG ? 20_000 : 2_000); ms += 1) {
      for (let i = 0; i < 100; i += 1)
        a.node.sessions.send(
          busy.session,
          b.id,
          PORT + SERVICE_BEST_EFFORT,
          flood,
          0,
          flood.length,
        );
      a.endTurn();
      network.run(MILLISECOND);
    }
    network.run(60 * SECOND);
    expect(inbox.messages).toHaveLength(700);
    expect(inbox.messages.at(-1)!.at).toBeGreaterThan(15 * SECOND);
    expect(faults(a, b)).toBe(0);
  },
);
