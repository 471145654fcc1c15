/**
 * Flows over reliable links that offer more than a line on their way carries: their sources hear of
 * it and slow down, so that what is refused is refused at the sender, and programs that wait when
 * they are told to lose nothing. Notices are hints: they end nothing, and made-up ones of nodes
 * that are not on the way slow nobody.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { RATE_MIN } from '../../src/core/session/throttles.ts';
import type { SimFlow } from '../../src/lab/sim/flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  encodeNotice,
  NOTICE_BYTES,
  NOTICE_FULL,
  NOTICE_LONG,
} from '../../src/core/wire/notice.ts';
import { KIND_NOTICE, Packet, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { hosts, Inbox, useNetworks, wire, type Network } from '../support/network.ts';
import { PORT, Sender } from '../support/waiting-program.ts';

useNetworks();

const LONG = process.env['SPINES_LONG'] === '1';
/** What a line of so many kbit/s carries of messages of 1,000 bytes, at least. */
const USED = 0.8;

/** s - a - b - d, of which a-b is narrow, and a - c, which is not. */
function line(
  kbps: number,
  ms = 10,
  seed = 3,
): { network: Network; s: SimHost; a: SimHost; b: SimHost; c: SimHost; d: SimHost } {
  const network = hosts(5, { seed });
  const [s, a, b, d, c] = [0, 1, 2, 3, 4].map((i) => network.host(i)) as [
    SimHost,
    SimHost,
    SimHost,
    SimHost,
    SimHost,
  ];
  network.connect(s, a, wire({ latencyUs: 5 * MS, bandwidthKbps: 100_000 }));
  network.connect(a, b, wire({ latencyUs: ms * MS, bandwidthKbps: kbps }));
  network.connect(b, d, wire({ latencyUs: 5 * MS, bandwidthKbps: 100_000 }));
  network.connect(a, c, wire({ latencyUs: 5 * MS, bandwidthKbps: 100_000 }));
  network.settle();
  return { network, s, a, b, c, d };
}

function flow(
  network: Network,
  from: SimHost,
  to: SimHost,
  kbps: number,
  sizeBytes = 1_000,
  seconds = 8,
): SimFlow {
  return network.flow(from, to, {
    packetsPerSecond: (kbps * 125) / sizeBytes,
    sizeBytes,
    durationUs: seconds * SECOND,
    options: { service: SERVICE_RELIABLE },
  });
}

const fullAt = (...all: SimHost[]): number =>
  all.reduce(
    (sum, { node }) =>
      sum + node.drops.of(DropReason.linkQueueFull) + node.drops.of(DropReason.waitedTooLong),
    0,
  );

describe('what is too much is refused at the sender', () => {
  test.each([
    [10_000, 10, 12_000, 1_000],
    [1_000, 50, 3_000, 200],
    ...(LONG
      ? [
          [10_000, 10, 60_000, 1_000],
          [50_000, 40, 90_000, 1_400],
          [10_000, 100, 12_000, 5_000],
          [300, 20, 2_000, 100],
        ]
      : []),
  ] as [number, number, number, number][])(
    'line of %i kbit/s and %i ms, offered %i kbit/s of %i bytes',
    (kbps, ms, offered, bytes) => {
      const { network, s, a, b, d } = line(kbps, ms);
      const one = flow(network, s, d, offered, bytes);
      network.run(8 * SECOND);
      const delivered = one.meter.bytes;
      network.run(12 * SECOND);
      expect(one.meter.delivered + one.refused).toBe(one.sent);
      expect(fullAt(a, b, d)).toBe(0);
      expect(one.refused).toBeGreaterThan(0);
      expect(delivered / (kbps * 125 * 8)).toBeGreaterThan((USED * bytes) / (bytes + 150));
    },
  );

  test('two flows beside each other get their halves, and one to elsewhere all it offers', () => {
    const { network, s, a, b, c, d } = line(10_000);
    const [one, two, elsewhere] = [
      flow(network, s, d, 12_000),
      flow(network, s, d, 12_000),
      flow(network, s, c, 12_000),
    ];
    network.run(8 * SECOND);
    const [first, second] = [one.meter.delivered, two.meter.delivered];
    network.run(8 * SECOND);
    expect(Math.min(first, second) / Math.max(first, second)).toBeGreaterThan(0.85);
    expect([elsewhere.refused, elsewhere.meter.delivered]).toEqual([0, elsewhere.sent]);
    expect(elsewhere.meter.delays.summary()!.p99).toBeLessThan(15);
    expect(fullAt(a, b, d)).toBe(0);
  });
});

test.each([
  [1_000, 1],
  [20, 2],
  [5_000, 2],
])(
  'programs that wait when they are told to lose nothing: %i bytes, %i programs',
  (bytes, programs) => {
    const { network, s, a, b, d } = line(10_000);
    const count = Math.ceil(3_000_000 / (bytes + 200)),
      inbox = new Inbox(d, PORT);
    const senders = Array.from(
      { length: programs },
      () => new Sender(network, s, d, count, bytes, 'link-state'),
    );
    network.until(() => inbox.messages.length >= count * programs, 60 * SECOND, 50 * MS);
    expect([
      inbox.messages.length,
      senders.map(({ errors }) => errors),
      fullAt(s, a, b, d),
    ]).toEqual([count * programs, senders.map(() => 0), 0]);
    for (const { waits } of senders) expect(waits).toBeGreaterThan(0);
  },
);

test('what waits for a route in vain is told to its sender', () => {
  const { network, s, d } = line(10_000);
  let told = 0;
  const one = flow(network, s, d, 400);
  Object.assign(one, {
    onLost: (_session: unknown, destination: number, reason: DropReason, count: number) => {
      expect([destination, reason]).toEqual([d.id, DropReason.waitedTooLong]);
      told += count;
    },
  });
  network.run(SECOND);
  const [, a, b] = network.hosts as [SimHost, SimHost, SimHost];
  for (const [x, y] of [
    [a, b],
    [b, a],
  ] as const)
    x.wires.get(y.endpoint.key)!.model.set({ up: false });
  network.run(5 * SECOND);
  for (const [x, y] of [
    [a, b],
    [b, a],
  ] as const)
    x.wires.get(y.endpoint.key)!.model.set({ up: true });
  network.run(8 * SECOND);
  const lost = one.sent - one.refused - one.meter.delivered;
  expect(lost).toBeGreaterThan(10);
  // One or another was on the wire when it went down, and had arrived.
  expect([told >= lost, told <= lost + 5]).toEqual([true, true]);
});

describe('made-up notices', () => {
  /**
   * `from` says so to `to`, `perSecond` times a second, that its flow from `port` to `d` has to be
   * slow, quoting `run`.
   */
  function say(
    network: Network,
    from: SimHost,
    to: SimHost,
    d: SimHost,
    sourcePort: number,
    destinationPort: number,
    run: number,
    message: () => number,
    seconds: number,
    secret = false,
    reason = NOTICE_LONG,
    dropped = 0,
  ): void {
    const until = network.now + seconds * SECOND;
    const again = (): void => {
      const bytes = new Uint8Array(OVERLAY_HEADER_BYTES + NOTICE_BYTES),
        packet = new Packet();
      encodeNotice(
        {
          reason,
          dropped,
          destination: d.id,
          sourcePort,
          destinationPort,
          rate: 1,
          quoteHigh: run,
          quoteLow: message(),
        },
        bytes,
        OVERLAY_HEADER_BYTES,
      );
      packet.compose(
        bytes,
        0,
        bytes.length,
        KIND_NOTICE,
        { service: SERVICE_RELIABLE, dissemination: 0, ttl: 9, priority: 1 },
        from.id,
        0,
        to.id,
        0,
      );
      packet.secret = secret;
      from.node.dissemination.originate(packet);
      from.endTurn();
      if (network.now < until) network.world.schedule(network.now + 5 * MS, again);
    };
    again();
  }

  test('of losses are believed only of who is on the way', () => {
    for (const [by, believed] of [
      ['a', true],
      ['c', false],
    ] as const) {
      const { network, s, a, c, d } = line(10_000);
      const inbox = new Inbox(s, 77, { service: SERVICE_RELIABLE });
      new Inbox(d, PORT);
      let told = 0;
      Object.assign(inbox, {
        onLost: () => {
          told += 1;
        },
      });
      inbox.send(d, PORT, new Uint8Array(100));
      network.run(SECOND);
      const from = by === 'a' ? a : c;
      say(network, from, s, d, 77, PORT, 0, () => 0, 0.1, true, NOTICE_FULL, 7);
      network.run(SECOND);
      expect(told > 0, by).toBe(believed);
    }
  });

  test.each([
    ['of packets that it has not seen change nothing', 'links', 1, 'a', false, false],
    [
      'of packets that it passes on leave the flow its least rate, and soon the rest',
      'links',
      0,
      'a',
      false,
      true,
    ],
    [
      'of a node that is not on the way change nothing, whatever it has seen',
      'links',
      0,
      'c',
      false,
      false,
    ],
    ['in the name of nobody change nothing of a sealed flow', 'end-to-end', 0, 'a', false, false],
    ['sealed, of a node on the way, slow a sealed flow', 'end-to-end', 0, 'a', true, true],
    ['sealed, of a node that is not on the way, change nothing', 'end-to-end', 0, 'c', true, false],
  ] as const)('%s', (_what, secrecy, off, by, sealed, slows) => {
    const { network, s, a, c, d } = line(10_000);
    const inbox = new Inbox(s, 77, { service: SERVICE_RELIABLE, secrecy }),
      sink = new Inbox(d, PORT, { secrecy });
    const sendUntil = network.now + 12 * SECOND;
    let refused = 0;
    const send = (): void => {
      if (inbox.send(d, PORT, new Uint8Array(1_000)) !== DropReason.none) refused += 1;
      if (network.now < sendUntil) network.world.schedule(network.now + 10 * MS, send);
    };
    send();
    network.run(SECOND);
    say(
      network,
      by === 'a' ? a : c,
      s,
      d,
      77,
      PORT,
      (inbox.session.run ^ off) >>> 0,
      () => inbox.session.nextMessage - 1,
      3,
      sealed,
    );
    const before = sink.messages.length;
    network.run(3 * SECOND);
    const during = sink.messages.length - before;
    expect(during * 1_000).toBeGreaterThan(slows ? 3 * 0.8 * RATE_MIN : 3 * 95_000);
    if (slows) expect(during).toBeLessThan(200);
    network.run(4 * SECOND);
    const after = sink.messages.length;
    network.run(SECOND);
    expect(sink.messages.length - after).toBeGreaterThanOrEqual(98);
    expect([refused, s.node.drops.of(DropReason.noticeUnasked) > 0]).toEqual([0, !slows]);
    network.run(5 * SECOND);
  });
});
