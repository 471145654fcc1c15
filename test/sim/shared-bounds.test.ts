/**
 * Bounds of a daemon that strangers share: answers to pings, resets, places of packets that wait
 * for a route, kept packets. An insider that takes all that it can get leaves those of other links
 * theirs.
 */

import { echoBy } from '../support/echo-by.ts';
import { describe, expect, test } from 'vitest';

import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { ECHO_REQUEST, encodeEcho } from '../../src/core/wire/echo.ts';
import {
  DISSEMINATION_LINK_STATE,
  KIND_DATAGRAM,
  KIND_ECHO,
  KIND_STREAM,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../../src/core/wire/packet.ts';
import { PacketPool } from '../../src/core/wire/packet-pool.ts';
import { SEGMENT_ACK, Segment } from '../../src/core/wire/segment.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { hosts, useNetworks, wire, type Network } from '../support/network.ts';
import { StreamEnd } from '../support/stream-end.ts';

useNetworks();

const MADE_UP = 0x0b00_0000;

/** A middle with three neighbours: who is honest, the insider, and somebody behind. */
function star(isCut = (): boolean => false): {
  network: Network;
  middle: SimHost;
  honest: SimHost;
  insider: SimHost;
  behind: SimHost;
} {
  const network: Network = hosts(4, {
    seed: 3,
    onArrival: ({ from, to }) =>
      !(
        isCut() && [from, to].every((host) => host === network.host(0) || host === network.host(3))
      ),
  });
  const [middle, honest, insider, behind] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
  for (const other of [honest, insider, behind])
    network.connect(middle, other, wire({ latencyUs: 2 * MS }));
  network.settle();
  return { network, middle, honest, insider, behind };
}

/** `insider` says `perSecond` packets a second to its neighbour, in groups. */
function pour(
  network: Network,
  insider: SimHost,
  perSecond: number,
  untilUs: number,
  kind: number,
  service: number,
  to: (n: number) => number,
  payload: (n: number) => Uint8Array,
): void {
  const [link] = [...insider.node.links.all()],
    packet = new Packet(),
    ends = network.now + untilUs;
  let n = 0;
  const again = (): void => {
    if (network.now >= ends) return;
    for (let i = 0; i < perSecond / 500; i += 1) {
      n += 1;
      const body = payload(n),
        b = new Uint8Array(OVERLAY_HEADER_BYTES + body.length);
      b.set(body, OVERLAY_HEADER_BYTES);
      packet.compose(
        b,
        0,
        b.length,
        kind,
        { service, dissemination: DISSEMINATION_LINK_STATE, ttl: TTL_DEFAULT, priority: 1 },
        MADE_UP + (n % 5_000),
        9,
        to(n),
        9,
      );
      link!.offer(packet);
    }
    insider.endTurn();
    network.world.schedule(network.now + 2 * MS, again);
  };
  again();
}

describe('an insider that takes all it can', () => {
  test('of answers to pings leaves pings by other links theirs', () => {
    const { network, middle, honest, insider } = star();
    pour(
      network,
      insider,
      6_000,
      4 * SECOND,
      KIND_ECHO,
      SERVICE_BEST_EFFORT,
      () => middle.id,
      (n) => {
        const bytes = new Uint8Array(8);
        encodeEcho({ operation: ECHO_REQUEST, ttlLeft: 0, sequence: n & 0xffff, id: n }, bytes, 0);
        return bytes;
      },
    );
    network.run(SECOND);
    let answered = 0;
    for (let i = 0; i < 20; i += 1) {
      honest.node.echo.probe(middle.id, echoBy(), SECOND, (result) => {
        if (result?.reached === true) answered += 1;
      });
      honest.endTurn();
      network.run(97 * MS);
    }
    expect(answered).toBe(20);
    network.run(3 * SECOND);
  });

  test('of resets leaves callers by other links theirs', () => {
    const { network, middle, honest, insider } = star();
    pour(
      network,
      insider,
      3_000,
      4 * SECOND,
      KIND_STREAM,
      SERVICE_BEST_EFFORT,
      () => middle.id,
      (n) => {
        const segment = new Segment(),
          bytes = new Uint8Array(64);
        segment.flags = SEGMENT_ACK;
        segment.stream = n;
        return bytes.subarray(0, segment.encode(bytes, 0));
      },
    );
    network.run(2 * SECOND);
    const calls = Array.from({ length: 10 }, () =>
      new StreamEnd(honest, 0, 1, 2).connect(middle, 7_777),
    );
    network.run(300 * MS);
    expect(calls.map(({ error }) => error)).toEqual(
      Array.from({ length: 10 }, () => 'ECONNREFUSED'),
    );
    network.run(3 * SECOND);
  });

  test(
    'of places for packets that wait for a route leaves a ' +
      'flow whose link fails for a second all of its packets',
    () => {
      let cut = false;
      const { network, middle, honest, insider, behind } = star(() => cut);
      const flow = network.flow(honest, behind, {
        packetsPerSecond: 200,
        durationUs: 4 * SECOND,
        options: { service: SERVICE_RELIABLE },
      });
      pour(
        network,
        insider,
        8_000,
        4 * SECOND,
        KIND_DATAGRAM,
        SERVICE_RELIABLE,
        (n) => MADE_UP + 10_000 + n,
        () => new Uint8Array(8),
      );
      network.run(2_500 * MS);
      expect(middle.node.dissemination.waiting).toBeGreaterThan(12_000);
      cut = true;
      network.run(SECOND);
      cut = false;
      network.run(8 * SECOND);
      expect([flow.sent, flow.meter.delivered]).toEqual([800, 800]);
    },
  );
});

test('no neighbour and no program keeps all the packets that may be kept', () => {
  const pool = new PacketPool(1_000),
    packet = new Packet(),
    program = {};
  packet.compose(
    new Uint8Array(32),
    0,
    32,
    KIND_DATAGRAM,
    { service: 0, dissemination: 0, ttl: 9, priority: 1 },
    1,
    1,
    2,
    2,
  );
  const keepAll = (via: number, user: object | null, most: number): number => {
    packet.via = via;
    packet.user = user;
    let kept = 0;
    while (kept < most && pool.keep(packet) !== null) kept += 1;
    return kept;
  };
  expect(keepAll(7, null, 2_000)).toBe(800);
  expect(keepAll(8, null, 20)).toBe(20);
  expect(keepAll(0, program, 20)).toBe(20);
  expect(keepAll(0, {}, 2_000)).toBeGreaterThan(100);
  expect(keepAll(0, null, 5)).toBe(5);
  expect(keepAll(0, program, 5)).toBe(5);
  expect(pool.inUse).toBeLessThan(1_000);
  // What is released is there again.
  const last = new PacketPool(10),
    slots = [];
  packet.via = 7;
  for (let slot = last.keep(packet); slot !== null; slot = last.keep(packet)) slots.push(slot);
  for (const slot of slots) last.release(slot);
  expect([slots.length, last.inUse, last.keep(packet) !== null]).toEqual([8, 0, true]);
});
