/**
 * Stories of datagrams over reliable links: nothing lost, nothing twice, late by one link's round trip at most; fair
 * to others; bounded; and whole when links and neighbours die.
 *
 * SPINES_LONG=1 runs the full counts.
 */

import { describe, expect, test } from 'vitest';

import { getU32, putU16, putU32 } from '../../src/base/bytes.ts';
import type { NodeId } from '../../src/base/ids.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/base/time.ts';
import type { DirectionChange } from '../../src/emulation/link-settings.ts';
import type { DatagramOwner, DatagramSession } from '../../src/session/sessions.ts';
import { cut, heal } from '../../src/sim/faults.ts';
import type { SimHost, Wire } from '../../src/sim/world.ts';
import { DropReason } from '../../src/wire/drop.ts';
import { FRAME_ACK, FRAME_HELLO, FRAME_RELIABLE } from '../../src/wire/frames.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/wire/packet.ts';
import { chain, finish, hosts, linkOf, Network, pair, ring, useNetworks, wire } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const LONG = process.env['SPINES_LONG'] === '1';
const RELIABLE = { service: SERVICE_RELIABLE };

/** Sends as fast as its daemon lets it, numbered messages, and counts what arrives where. */
class Greedy implements DatagramOwner {
  readonly #from: SimHost;
  readonly #to: SimHost;
  readonly #session: DatagramSession;
  readonly #payload: Uint8Array;
  readonly #seen = new Set<number>();
  readonly #limit: number;
  sent = 0;
  refused = 0;
  twice = 0;
  bytes = 0;

  constructor(from: SimHost, to: SimHost, port: number, sizeBytes: number, limit = Infinity) {
    this.#from = from;
    this.#to = to;
    this.#limit = limit;
    this.#payload = new Uint8Array(sizeBytes);
    const sink: DatagramOwner = {
      onMessage: (_session: DatagramSession, _source: NodeId, _port: number, bytes: Uint8Array, start: number, end: number) => {
        const number = getU32(bytes, start);
        if (this.#seen.has(number)) this.twice += 1;
        this.#seen.add(number);
        this.bytes += end - start;
        return true;
      },
      onWritable() {},
    };
    to.node.sessions.bind(to.node.sessions.open(sink), port);
    this.#session = from.node.sessions.open(this, RELIABLE);
    this.port = port;
    this.#send();
    from.endTurn();
  }

  readonly port: number;

  get delivered(): number {
    return this.#seen.size;
  }

  stop(): void {
    this.#from.node.sessions.close(this.#session);
  }

  onMessage(): boolean {
    return true;
  }

  onWritable(): void {
    this.#send();
  }

  #send(): void {
    while (!this.#session.blocked && !this.#session.closed && this.sent < this.#limit) {
      putU32(this.#payload, 0, this.sent);
      if (this.#from.node.sessions.send(this.#session, this.#to.id, this.port, this.#payload, 0, this.#payload.length) !== DropReason.none) {
        this.refused += 1;
        return;
      }
      this.sent += 1;
    }
  }
}

/** Jain's index of fairness: 1 = all alike, 1/n = one has all. */
function jain(shares: readonly number[]): number {
  const sum = shares.reduce((a, b) => a + b, 0);
  return (sum * sum) / (shares.length * shares.reduce((a, b) => a + b * b, 0));
}

function drops(network: Network): Record<string, number> {
  const all: Record<string, number> = {};
  for (const host of network.hosts) {
    if (!host.running) continue;
    for (const [name, count] of Object.entries(host.node.drops.snapshot())) all[name] = (all[name] ?? 0) + count;
  }
  return all;
}

/** The paper's chain A..F: 10 ms and 10 Mbit/s each, loss from C to D only. */
function paperChain(loss: number, seed = 1): Network {
  const network = hosts(6, { seed });
  for (let i = 1; i < 6; i += 1) {
    const good = wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000 });
    network.connect(network.host(i - 1), network.host(i), i === 3 ? wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000, loss: { kind: 'bernoulli', rate: loss } }) : good, good);
  }
  network.settle();
  return network;
}

describe('datagrams over reliable links', () => {
  const faults: [string, DirectionChange][] = [
    ['lose 1 %', { loss: { kind: 'bernoulli', rate: 0.01 } }],
    ['lose 5 %', { loss: { kind: 'bernoulli', rate: 0.05 } }],
    ['lose 20 %', { loss: { kind: 'bernoulli', rate: 0.2 } }],
    ['lose in bursts', { loss: { kind: 'gilbert-elliott', goodToBad: 0.005, badToGood: 0.1, lossGood: 0, lossBad: 0.9 } }],
    ['reorder a third', { reorderRate: 0.3, reorderUs: 8 * MS }],
    ['duplicate half', { duplicateRate: 0.5 }],
    ['jitter', { jitterUs: 10 * MS }],
    ['lose, reorder and duplicate', { loss: { kind: 'bernoulli', rate: 0.05 }, reorderRate: 0.2, reorderUs: 5 * MS, duplicateRate: 0.2 }],
  ];
  test.each(faults)('arrive once each over wires that %s', (_what, change) => {
    for (let seed = 1; seed <= 2; seed += 1) {
      const network = chain(4, { seed, routes: false, forward: wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000, ...change }) });
      const [a, d] = [network.host(0), network.host(3)];
      network.settle(60 * SECOND);
      const flows = [
        network.flow(a, d, { packetsPerSecond: 100, sizeBytes: 1_000, durationUs: 10 * SECOND, options: RELIABLE }),
        network.flow(d, a, { packetsPerSecond: 200, sizeBytes: 60, durationUs: 10 * SECOND, options: RELIABLE }),
        network.flow(a, d, { packetsPerSecond: 5, sizeBytes: 20_000, durationUs: 10 * SECOND, options: RELIABLE }),
      ];
      network.run(25 * SECOND);
      for (const flow of flows) {
        expect([flow.sent, flow.refused, flow.meter.delivered, flow.meter.duplicates], `seed ${seed}`).toEqual([flow.sent, 0, flow.sent, 0]);
      }
      finish(network);
    }
  });

  const messages = LONG ? 200_000 : 20_000;
  test(`have the paper's delays: ${messages} messages at 500 kbit/s, 1 % lost on one link of five`, { timeout: LONG ? 900_000 : 60_000 }, () => {
    const network = paperChain(0.01);
    const flow = network.flow(network.host(0), network.host(5), { packetsPerSecond: 62.5, sizeBytes: 1_000, count: messages, options: RELIABLE });
    network.run(((messages / 62.5) + 2) * SECOND);
    const { delays } = flow.meter;
    const summary = delays.summary()!;
    console.log(`reliable datagrams, 500 kbit/s, 1 %: ${JSON.stringify(summary)}, over 60 ms ${delays.percentAbove(60)} %, over 100 ms ${delays.percentAbove(100)} %`);
    expect(flow.meter.delivered).toBe(messages);
    expect(flow.meter.duplicates).toBe(0);
    expect(summary.mean).toBeLessThanOrEqual(51.2);
    expect(summary.stddev).toBeLessThanOrEqual(4);
    expect(delays.percentAbove(60)).toBeLessThanOrEqual(1.1);
    // A message is lost twice once in ten thousand: of few messages, one more or less counts.
    expect(delays.percentAbove(100)).toBeLessThanOrEqual(LONG ? 0.02 : 0.03);
    expect(summary.p999).toBeLessThanOrEqual(90);
    expect(summary.max).toBeLessThanOrEqual(160);
  });

  test('that are small share datagrams when they wait anyway', () => {
    const network = pair({ forward: wire({ latencyUs: 10 * MS, bandwidthKbps: 1_000 }) });
    const [a, b] = [network.host(0), network.host(1)];
    network.settle();
    const greedy = new Greedy(a, b, 6_000, 50);
    network.run(5 * SECOND);
    const before = { datagrams: a.wires.get(b.endpoint.key)!.datagrams, delivered: greedy.delivered };
    network.run(5 * SECOND);
    greedy.stop();
    const perDatagram = (greedy.delivered - before.delivered) / (a.wires.get(b.endpoint.key)!.datagrams - before.datagrams);
    expect(perDatagram).toBeGreaterThan(1.5);
    network.run(10 * SECOND);
    expect([greedy.delivered, greedy.twice]).toEqual([greedy.sent, 0]);
  });

  test('that nothing waits behind are not held back to share one', () => {
    const network = pair({ forward: wire({ latencyUs: 10 * MS }) });
    network.settle();
    const flow = network.flow(network.host(0), network.host(1), { packetsPerSecond: 100, sizeBytes: 50, durationUs: 5 * SECOND, options: RELIABLE });
    network.run(6 * SECOND);
    expect(flow.meter.delays.summary()!.max).toBeLessThan(10.1);
  });

  test('wait in a bounded queue, their sender is told to pause, and every one that was taken arrives', () => {
    const network = pair({ forward: wire({ latencyUs: 20 * MS, bandwidthKbps: 1_000 }) });
    const [a, b] = [network.host(0), network.host(1)];
    network.settle();
    const greedy = new Greedy(a, b, 6_000, 1_000);
    let longest = 0;
    for (let i = 0; i < 1_000; i += 1) {
      network.run(10 * MS);
      longest = Math.max(longest, linkOf(a, b)!.queueBytes);
      network.checkBounds();
    }
    greedy.stop();
    expect(longest).toBeGreaterThan(64 * 1024);
    expect(longest).toBeLessThanOrEqual(a.node.config.limits.linkQueueBytes);
    expect(a.node.drops.of(DropReason.linkQueueFull) + greedy.refused).toBe(0);
    network.run(20 * SECOND);
    expect([greedy.delivered, greedy.twice]).toEqual([greedy.sent, 0]);
    // 1000 of the 1073 bytes of an IP packet are the message; a tenth is more than hellos, link state and slow start need.
    expect(greedy.delivered * 8_000 / 10).toBeGreaterThan(0.9 * 1_000_000 * 1_000 / 1_073);
    expect(a.node.pool.inUse).toBe(0);
  });
});

/** Throughput of TCP in segments of `bytes` a second (Padhye and others, 1998, equation 30), in kbit/s. `b`: segments per ack that count for growth. */
function padhyeKbps(bytes: number, rttS: number, p: number, b: number, rtoS: number): number {
  const time = rttS * Math.sqrt((2 * b * p) / 3) + rtoS * Math.min(1, 3 * Math.sqrt((3 * b * p) / 8)) * p * (1 + 32 * p * p);
  return (bytes * 8) / time / 1_000;
}

describe('a reliable link shares a network', () => {
  test.each([10, 50])('and has the throughput of TCP at every loss, one way %i ms', { timeout: 170_000 }, (latencyMs) => {
    const rows: string[] = [];
    for (const loss of [0.001, 0.005, 0.01, 0.02, 0.05, 0.1]) {
      const network = hosts(2, { seed: 5 });
      const [a, b] = [network.host(0), network.host(1)];
      network.connect(a, b, wire({ latencyUs: latencyMs * MS, bandwidthKbps: 10_000, loss: { kind: 'bernoulli', rate: loss } }), wire({ latencyUs: latencyMs * MS, bandwidthKbps: 10_000 }));
      network.settle();
      const greedy = new Greedy(a, b, 6_000, 1_000);
      network.run(10 * SECOND);
      const from = greedy.bytes;
      const seconds = LONG ? 300 : 60;
      network.run(seconds * SECOND);
      const kbps = ((greedy.bytes - from) * 8) / seconds / 1_000;
      greedy.stop();
      const rtt = linkOf(a, b)!.liveness.rtt.smoothedUs / SECOND;
      rows.push(`${loss * 100} %: ${kbps.toFixed(0)} kbit/s, rtt ${(rtt * 1e3).toFixed(1)}, b=1 ${padhyeKbps(1_000, rtt, loss, 1, 4 * rtt).toFixed(0)} b=2 ${padhyeKbps(1_000, rtt, loss, 2, 4 * rtt).toFixed(0)} b=1 rto 200 ${padhyeKbps(1_000, rtt, loss, 1, 0.2).toFixed(0)}, b=2 rto 200 ${padhyeKbps(1_000, rtt, loss, 2, 0.2).toFixed(0)}`);
      network.run(20 * SECOND);
      expect([greedy.delivered, greedy.twice]).toEqual([greedy.sent, 0]);
      finish(network);
    }
    console.log(rows.join('\n'));
  });
});
