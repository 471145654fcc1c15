/**
 * Stories of streams: opening and every way to fail at it, transfers byte for byte over bad wires,
 * closing, dying, slow readers, overload with marks instead of drops, and peers that lie.
 *
 * SPINES_LONG=1 runs the full counts.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { DirectionChange } from '../../src/core/emulation/link-settings.ts';
import { RECEIVE_MAX_BYTES } from '../../src/core/session/stream.ts';
import { defaultTiming } from '../../src/core/session/stream-settings.ts';
import { cut, heal } from '../../src/lab/sim/faults.ts';
import { SimStreamFlow } from '../../src/lab/sim/stream-flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  KIND_STREAM,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { Segment, SEGMENT_ACK, SEGMENT_FIN, SEGMENT_SYN } from '../../src/core/wire/segment.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import {
  chain,
  finish,
  hosts,
  linkOf,
  type Network,
  pair,
  useNetworks,
  wire,
} from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const MS = MILLISECOND;
const LONG = process.env['SPINES_LONG'] === '1';
const PORT = 7_000;

function ends(network: Network): [SimHost, SimHost] {
  return [network.host(0), network.host(network.hosts.length - 1)];
}

function totals(network: Network): Record<string, number> {
  const all: Record<string, number> = {};
  for (const host of network.hosts)
    for (const [name, count] of Object.entries(host.node.drops.snapshot()))
      all[name] = (all[name] ?? 0) + count;
  return all;
}

describe('a stream', () => {
  test(
    'opens in a round trip, carries both ways, ' + 'half-closes and ends in order on both sides',
    () => {
      const network = chain(3, { forward: wire({ latencyUs: 10 * MS }) });
      const [a, c] = ends(network);
      network.settle();
      const served = serve(c, PORT, () => new StreamEnd(c, 30_000, 2, 1));
      const client = new StreamEnd(a, 50_000, 1, 2).connect(c, PORT);
      expect(network.until(() => client.opened, SECOND)).toBeLessThanOrEqual(41 * MS);
      network.run(2 * SECOND);
      expect([client.error, client.read, client.wrong, client.readEnded]).toEqual([
        null,
        30_000,
        0,
        true,
      ]);
      expect([served[0]!.error, served[0]!.read, served[0]!.wrong, served[0]!.readEnded]).toEqual([
        null,
        50_000,
        0,
        true,
      ]);
      // Two ends that are both closed have nothing more to say to each other.
      const said = (): number => a.node.dissemination.originated + c.node.dissemination.originated;
      const before = said();
      network.run(5 * SECOND);
      expect(said() - before).toBe(0);
      expect([a.node.streams.size, c.node.streams.size]).toEqual([0, 0]);
    },
  );

  test('to a closed port is refused at once', () => {
    const network = chain(3, { forward: wire({ latencyUs: 10 * MS }) });
    const [a, c] = ends(network);
    network.settle();
    const client = new StreamEnd(a, 10, 1, 2).connect(c, PORT);
    expect(network.until(() => client.error !== undefined, SECOND)).toBeLessThanOrEqual(41 * MS);
    expect(client.error).toBe('ECONNREFUSED');
  });

  test(
    'to an unknown node fails within four seconds, ' +
      'to one that is cut off as well, to a silent one within eleven',
    () => {
      const network = chain(3, { routes: false });
      const [a, c] = ends(network);
      network.settle();
      const unknown = new StreamEnd(a, 10, 1, 2).connect({ id: c.id + 99 }, PORT);
      expect(network.until(() => unknown.error !== undefined, 20 * SECOND)).toBeLessThanOrEqual(
        4 * SECOND,
      );
      expect(unknown.error).toBe('EHOSTUNREACH');
      cut(network.host(1), c);
      network.run(SECOND);
      const gone = new StreamEnd(a, 10, 1, 2).connect(c, PORT);
      expect(network.until(() => gone.error !== undefined, 20 * SECOND)).toBeLessThanOrEqual(
        5 * SECOND,
      );
      expect(gone.error).toBe('EHOSTUNREACH');
      heal(network.host(1), c);
      network.run(2 * SECOND);
      // The far daemon is there, but answers nobody.
      c.node.streams.onPacket = () => {};
      const silent = new StreamEnd(a, 10, 1, 2).connect(c, PORT);
      expect(network.until(() => silent.error !== undefined, 20 * SECOND)).toBeLessThanOrEqual(
        defaultTiming.connectUs + 2 * SECOND,
      );
      expect(silent.error).toBe('ETIMEDOUT');
    },
  );

  test('ends in order when both sides close at the same time, and at once when one resets', () => {
    const network = pair({ forward: wire({ latencyUs: 10 * MS }) });
    const [a, b] = ends(network);
    network.settle();
    const served = serve(b, PORT, () => new StreamEnd(b, 0, 2, 1));
    const client = new StreamEnd(a, 0, 1, 2).connect(b, PORT);
    network.run(SECOND);
    expect([client.error, served[0]!.error]).toEqual([null, null]);
    const other = new StreamEnd(a, Infinity, 1, 2).connect(b, PORT);
    network.run(SECOND);
    other.stream!.reset();
    a.endTurn();
    network.run(SECOND);
    expect([other.error, served[1]!.error, served[1]!.wrong]).toEqual([
      'ECONNABORTED',
      'ECONNRESET',
      0,
    ]);
    expect(served[1]!.read).toBeGreaterThan(1_000_000);
  });

  const faults: [string, DirectionChange][] = [
    ['are perfect', {}],
    ['lose 1 %', { loss: { kind: 'bernoulli', rate: 0.01 } }],
    ['lose 10 %', { loss: { kind: 'bernoulli', rate: 0.1 } }],
    ['reorder', { reorderRate: 0.2, reorderUs: 8 * MS }],
    ['duplicate', { duplicateRate: 0.3 }],
    [
      'do everything',
      {
        loss: { kind: 'bernoulli', rate: 0.03 },
        reorderRate: 0.1,
        reorderUs: 5 * MS,
        duplicateRate: 0.1,
      },
    ],
  ];
  test.each(
    faults.flatMap(
      ([what, change]) =>
        [
          ['reliable', SERVICE_RELIABLE, what, change],
          ['best-effort', SERVICE_BEST_EFFORT, what, change],
        ] as const,
    ),
  )(
    'over %s links (%i) that %s carries every byte, once and in order',
    (_name, service, _what, change) => {
      for (const congestion of ['newreno', 'cubic'] as const) {
        const network = chain(3, {
          seed: 7,
          routes: false,
          forward: wire({ latencyUs: 5 * MS, bandwidthKbps: 50_000, ...change }),
        });
        const [a, c] = ends(network);
        network.settle(60 * SECOND);
        const served = serve(c, PORT, () => new StreamEnd(c, 200_000, 2, 1));
        const client = new StreamEnd(a, 2_000_000, 1, 2).connect(c, PORT, service, congestion);
        expect(
          network.until(
            () => client.error !== undefined && served[0]?.error !== undefined,
            300 * SECOND,
            50 * MS,
          ),
          congestion,
        ).not.toBeNull();
        expect([client.error, client.read, client.wrong]).toEqual([null, 200_000, 0]);
        expect([served[0]!.error, served[0]!.read, served[0]!.wrong]).toEqual([null, 2_000_000, 0]);
        finish(network);
      }
    },
  );

  test(
    'whose reader stops closes its window, ' +
      'holds no more than that, and goes on when it reads again',
    () => {
      const network = pair({ forward: wire({ latencyUs: 10 * MS, bandwidthKbps: 50_000 }) });
      const [a, b] = ends(network);
      network.settle();
      const served = serve(b, PORT, () => {
        const end = new StreamEnd(b, 0, 2, 1);
        end.reading = false;
        return end;
      });
      const client = new StreamEnd(a, 12_000_000, 1, 2).connect(b, PORT);
      network.run(60 * SECOND);
      const slow = served[0]!;
      expect(slow.stream!.receiver.readyBytes).toBeLessThanOrEqual(RECEIVE_MAX_BYTES);
      expect(slow.stream!.receiver.readyBytes).toBeGreaterThan(RECEIVE_MAX_BYTES - 2_048);
      expect(client.written).toBeLessThanOrEqual(RECEIVE_MAX_BYTES + 9 * 1024 * 1024);
      expect(client.error).toBeUndefined();
      slow.reading = true;
      slow.take();
      b.endTurn();
      expect(network.until(() => slow.error !== undefined, 60 * SECOND, 50 * MS)).not.toBeNull();
      expect([slow.error, slow.read, slow.wrong]).toEqual([null, 12_000_000, 0]);
    },
  );

  test('that is idle notices a vanished peer within the stated time', () => {
    const network = chain(3, { routes: false });
    const [a, c] = ends(network);
    network.settle();
    const served = serve(c, PORT, () => {
      const end = new StreamEnd(c, Infinity, 2, 1);
      return end;
    });
    const client = new StreamEnd(a, 1_000, 1, 2);
    client.connect(c, PORT);
    client.reading = false;
    network.run(20 * SECOND);
    expect([client.error, served[0]!.error]).toEqual([undefined, undefined]);
    c.crash();
    expect(
      network.until(() => client.error !== undefined, 120 * SECOND, 100 * MS),
    ).toBeLessThanOrEqual(defaultTiming.keepaliveUs + defaultTiming.silenceUs + 6 * SECOND);
    expect(client.error).toBe('ETIMEDOUT');
  });

  test.each(['the far daemon', 'its own daemon'])('is reset when %s restarts', (which) => {
    const network = chain(3, { forward: wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000 }) });
    const [a, c] = ends(network);
    network.settle();
    const served = serve(c, PORT, () => new StreamEnd(c, 0, 2, 1));
    const client = new StreamEnd(a, Infinity, 1, 2).connect(c, PORT);
    network.run(2 * SECOND);
    const [restarts, survivor] = which === 'the far daemon' ? [c, client] : [a, served[0]!];
    restarts.crash();
    network.run(100 * MS);
    restarts.start();
    // Whoever sends learns at once; whoever only listens learns when it asks for a sign of life.
    const patience =
      which === 'the far daemon' ? 5 * SECOND : defaultTiming.keepaliveUs + 2 * SECOND;
    expect(
      network.until(() => survivor.error !== undefined, 60 * SECOND, 10 * MS),
    ).toBeLessThanOrEqual(patience);
    expect(survivor.error).toBe('ECONNRESET');
    expect(survivor.wrong).toBe(0);
  });
});

describe('the paper', () => {
  function measured(service: number, kbps: number, loss: number, count: number): SimStreamFlow {
    const network = hosts(6, { seed: 1 });
    for (let i = 1; i < 6; i += 1) {
      const good = wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000 });
      network.connect(
        network.host(i - 1),
        network.host(i),
        i === 3
          ? wire({
              latencyUs: 10 * MS,
              bandwidthKbps: 10_000,
              loss: { kind: 'bernoulli', rate: loss },
            })
          : good,
        good,
      );
    }
    network.settle();
    const packetsPerSecond = kbps / 8;
    const flow = new SimStreamFlow(
      network.world,
      1,
      network.host(0),
      network.host(5),
      {
        packetsPerSecond,
        sizeBytes: 1_000,
        startUs: SECOND,
        durationUs: 36_000 * SECOND,
        count,
        options: { service },
      },
      network.now,
    );
    network.host(0).endTurn();
    network.run((count / packetsPerSecond + 10) * SECOND);
    expect(flow.meter.delivered).toBe(count);
    expect(flow.meter.duplicates + flow.meter.outOfOrder).toBe(0);
    const { delays } = flow.meter;
    console.log(
      `stream, service ${service}, ${kbps} kbit/s, ${loss * 100} %: ` +
        `${JSON.stringify(delays.summary())}, over 60 ms ${delays.percentAbove(60)} %, over 100 ` +
        `ms ${delays.percentAbove(100)} %`,
    );
    flow.stream?.reset();
    network.host(0).endTurn();
    return flow;
  }

  test('500 kbit/s and 1 % loss: hop-by-hop recovery keeps the delay, ' +
    'end-to-end recovery does not', {
    timeout: 600_000,
  }, () => {
    const count = LONG ? 200_000 : 20_000;
    const hop = measured(SERVICE_RELIABLE, 500, 0.01, count).meter.delays;
    const end = measured(SERVICE_BEST_EFFORT, 500, 0.01, count).meter.delays;
    expect(hop.percentAbove(60)).toBeLessThanOrEqual(3.2);
    expect(hop.percentAbove(100)).toBeLessThanOrEqual(0.1);
    expect(hop.summary()!.stddev).toBeLessThanOrEqual(end.summary()!.stddev / 3);
  });

  test('1000 kbit/s and 5 % loss: it keeps up', { timeout: 600_000 }, () => {
    const { delays } = measured(SERVICE_RELIABLE, 1_000, 0.05, LONG ? 200_000 : 20_000).meter;
    expect(delays.summary()!.mean).toBeLessThan(65);
  });
});

describe('overload', () => {
  const seconds = LONG ? 600 : 60;
  test('by eight senders through one link of 1 Mbit/s for ' +
    `${seconds} s drops nothing, marks, and fills the link`, {
    timeout: 600_000,
  }, () => {
    const network = hosts(2, { seed: 1, config: { secrecy: 'links' } });
    const [m, n] = [network.host(0), network.host(1)];
    network.connect(m, n, wire({ latencyUs: 10 * MS, bandwidthKbps: 1_000 }));
    const sources = Array.from({ length: 8 }, (_, i) => network.add(`s${i}`)),
      sinks = Array.from({ length: 8 }, (_, i) => network.add(`t${i}`));
    for (const host of sources)
      network.connect(host, m, wire({ latencyUs: 5 * MS, bandwidthKbps: 10_000 }));
    for (const host of sinks)
      network.connect(n, host, wire({ latencyUs: 5 * MS, bandwidthKbps: 10_000 }));
    network.settle();
    const readers = sinks.map((host, i) =>
      serve(host, PORT, () => new StreamEnd(host, 0, 100 + i, i)),
    );
    const writers = sources.map((host, i) =>
      new StreamEnd(host, Infinity, i, 100 + i).connect(sinks[i]!, PORT),
    );
    network.run(20 * SECOND);
    const read = (): number[] => readers.map((all) => all[0]?.read ?? 0);
    const before = read();
    let longest = 0;
    for (let i = 0; i < seconds * 10; i += 1) {
      network.run(100 * MS);
      longest = Math.max(longest, linkOf(m, n)!.queueBytes);
      if (i % 100 === 0) network.checkBounds();
    }
    const got = read().map((bytes, i) => bytes - before[i]!);
    // Application bytes against the link's rate, which counts IP bytes: a full segment is 1378 of
    // 1463.
    const goodput = (got.reduce((sum, bytes) => sum + bytes) * 8) / seconds / 1_000_000;
    const { marked } = linkOf(m, n)!.service(SERVICE_RELIABLE)!;
    console.log(
      `overload: goodput ${(100 * goodput).toFixed(1)} % of 1 Mbit/s, longest queue ${longest} ` +
        `bytes, ${marked} marks, shares ` +
        `${got.map((bytes) => (bytes / 1e6).toFixed(2)).join(' ')} MB, drops ` +
        `${JSON.stringify(totals(network))}`,
    );
    expect(goodput).toBeGreaterThanOrEqual(0.9);
    expect(marked).toBeGreaterThan(10);
    for (const name of [
      'linkQueueFull',
      'waitedTooLong',
      'linkDown',
      'noRoute',
      'clientTooSlow',
      'loopbackFull',
    ])
      expect(totals(network)[name] ?? 0, name).toBe(0);
    for (const all of readers) expect(all[0]!.wrong).toBe(0);
    for (const writer of writers) writer.stream!.reset();
    for (const host of sources) host.endTurn();
    network.run(30 * SECOND);
  });
});

/** A hostile program's packet: any segment, from any port. */
function inject(
  from: SimHost,
  to: SimHost,
  port: number,
  toPort: number,
  flags: number,
  stream: number,
  sequence: number,
  ack: number,
  window: number,
  data: Uint8Array,
  sacks: readonly (readonly [number, number])[] = [],
): void {
  const segment = new Segment(),
    packet = new Packet();
  segment.flags = flags;
  segment.stream = stream;
  segment.sequence = sequence;
  segment.ack = ack;
  segment.window = window;
  segment.sackCount = sacks.length;
  sacks.forEach(([start, end], i) => {
    segment.sackStart[i] = start;
    segment.sackEnd[i] = end;
  });
  packet.bytes = new Uint8Array(OVERLAY_HEADER_BYTES + segment.headBytes + data.length);
  packet.end = packet.bytes.length;
  packet.bytes.set(data, segment.encode(packet.bytes, OVERLAY_HEADER_BYTES));
  packet.kind = KIND_STREAM;
  packet.ttl = 64;
  packet.service = SERVICE_RELIABLE;
  packet.priority = 1;
  packet.source = from.id;
  packet.destination = to.id;
  packet.sourcePort = port;
  packet.destinationPort = toPort;
  packet.encodeHeader();
  from.node.dissemination.originate(packet);
}

describe('a hostile node', () => {
  test('that half-opens 100,000 streams is bounded, and others are not disturbed', () => {
    // Of those that cannot be told from what routers invent.
    const network = hosts(3, { seed: 1, config: { secrecy: 'links' } });
    const [rogue, victim, honest] = [network.host(0), network.host(1), network.host(2)];
    network.connect(rogue, victim, wire({ latencyUs: MS }));
    network.connect(honest, victim, wire({ latencyUs: MS, bandwidthKbps: 10_000 }));
    network.settle();
    const served = serve(victim, PORT, () => new StreamEnd(victim, 1_000, 2, 1));
    // The rogue answers nothing: its own daemon would reset what it does not know.
    rogue.node.streams.onPacket = () => {};
    let most = 0;
    const honestEnds: StreamEnd[] = [];
    for (let i = 0; i < 100_000; i += 1) {
      const id = i + 1;
      inject(
        rogue,
        victim,
        1 + (i % 60_000),
        PORT,
        SEGMENT_SYN,
        0,
        0,
        0,
        65_536,
        Uint8Array.of(id >>> 24, id >>> 16, id >>> 8, id),
      );
      if (i % 50 === 49) {
        rogue.endTurn();
        network.run(5 * MS);
        most = Math.max(most, victim.node.streams.halfOpen);
      }
      if (i % 10_000 === 0)
        honestEnds.push(new StreamEnd(honest, 100_000, 1, 2).connect(victim, PORT));
    }
    network.run(20 * SECOND);
    expect(most).toBeLessThanOrEqual(64);
    expect(victim.node.drops.of(DropReason.streamRefused)).toBeGreaterThan(90_000);
    expect(honestEnds.map((end) => [end.error, end.read, end.wrong])).toEqual(
      honestEnds.map(() => [null, 1_000, 0]),
    );
    expect(served.every((end) => end.read === 100_000 && end.wrong === 0)).toBe(true);
    network.run(20 * SECOND);
    expect([victim.node.streams.size, victim.node.streams.halfOpen]).toEqual([0, 0]);
  });

  test(
    'whose segments lie about acks, ranges, ' +
      'windows and positions is counted, and the stream carries every byte',
    () => {
      const network = pair({
        forward: wire({ latencyUs: 5 * MS, bandwidthKbps: 20_000 }),
        config: { secrecy: 'links' },
      });
      const [a, b] = ends(network);
      network.settle();
      const served = serve(b, PORT, () => new StreamEnd(b, 0, 2, 1));
      const client = new StreamEnd(a, 3_000_000, 1, 2).connect(b, PORT);
      network.run(200 * MS);
      const stream = client.stream!,
        id = stream.id,
        at = (): number => stream.sender.unacknowledged;
      const none = new Uint8Array(0),
        data = new Uint8Array(100).fill(0xaa);
      // From b, into a's stream: everything but the truth.
      const lies: (() => void)[] = [
        () =>
          inject(
            b,
            a,
            PORT,
            stream.localPort,
            SEGMENT_ACK,
            id,
            0,
            stream.sender.next + 3_000_000,
            65_536,
            none,
          ),
        () =>
          inject(b, a, PORT, stream.localPort, SEGMENT_ACK, id, 0, 0xffff_ffff_0000, 65_536, none),
        () =>
          inject(b, a, PORT, stream.localPort, SEGMENT_ACK, id, 0, at(), 65_536, none, [
            [at() + 10, stream.sender.next + 3_000_000],
          ]),
        () =>
          inject(
            b,
            a,
            PORT,
            stream.localPort,
            SEGMENT_ACK,
            id,
            RECEIVE_MAX_BYTES,
            at(),
            65_536,
            data,
          ),
        () =>
          inject(
            b,
            a,
            PORT,
            stream.localPort,
            SEGMENT_ACK,
            id,
            0xffff_ffff_fff0,
            at(),
            65_536,
            data,
          ),
        () =>
          inject(
            b,
            a,
            PORT,
            stream.localPort,
            SEGMENT_ACK | SEGMENT_FIN,
            id,
            RECEIVE_MAX_BYTES + 1,
            at(),
            65_536,
            none,
          ),
      ];
      for (const lie of lies) {
        const before = a.node.drops.of(DropReason.streamOutOfWindow);
        lie();
        b.endTurn();
        network.run(20 * MS);
        expect(a.node.drops.of(DropReason.streamOutOfWindow) - before).toBe(1);
      }
      // A window that shrinks takes nothing back; a stream that is not this one is not touched.
      inject(b, a, PORT, stream.localPort, SEGMENT_ACK, id, 0, at(), 0, none);
      inject(b, a, PORT + 1, stream.localPort, SEGMENT_ACK, id, 0, at(), 0, none);
      inject(b, a, PORT, stream.localPort, SEGMENT_ACK, id ^ 1, 0, at(), 0, none);
      b.endTurn();
      network.run(20 * MS);
      expect(a.node.drops.of(DropReason.streamUnknown)).toBe(2);
      expect(
        network.until(
          () => client.error !== undefined && served[0]!.error !== undefined,
          30 * SECOND,
          10 * MS,
        ),
      ).not.toBeNull();
      expect([client.error, served[0]!.error, served[0]!.read, served[0]!.wrong]).toEqual([
        null,
        null,
        3_000_000,
        0,
      ]);
    },
  );
});
