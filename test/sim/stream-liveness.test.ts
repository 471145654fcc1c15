/**
 * Stories of streams whose far end falls silent: killed, deaf, cut off, cut off one way, started
 * anew; idle or busy, with the daemon's limits or with their own, told at both ends. And of outages
 * shorter than the limit, which end nothing.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import { streamLimits } from '../../src/core/node/config.ts';
import type { OwnLimits } from '../../src/core/session/stream-liveness.ts';
import { cut, heal } from '../../src/lab/sim/faults.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { KIND_STREAM, SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { chain, useNetworks, wire, type Network, type NetworkOptions } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const MS = MILLISECOND;
const PORT = 7_000;
/** Links notice in 400 ms, and routes follow. */
const DETECTION: Micros = SECOND;
/** What a slow wire had taken before is heard for a while. */
const BACKLOG: Micros = 2 * SECOND;
const OWN: OwnLimits = { silenceUs: 5 * SECOND, keepaliveUs: null };
const KINDS = ['idle', 'busy', 'fed'] as const;
const DEFAULT = streamLimits();

interface Scene {
  network: Network;
  a: SimHost;
  b: SimHost;
  c: SimHost;
  near: StreamEnd;
  far: StreamEnd;
}

/**
 * A stream from one end of three nodes to the other. Busy: the near end writes without end; fed:
 * the far end does, at the pace of a slow wire.
 */
function scene(
  kind: (typeof KINDS)[number],
  own: OwnLimits | null = null,
  service = SERVICE_RELIABLE,
  options: NetworkOptions = {},
  kbps = 1_000,
): Scene {
  const network = chain(3, {
    ...options,
    routes: false,
    forward: wire({ latencyUs: 10 * MS, bandwidthKbps: kbps }),
  });
  const [a, b, c] = [network.host(0), network.host(1), network.host(2)];
  network.settle();
  const ends = serve(c, PORT, () => new Talker(c, kind === 'fed' ? Infinity : 0, 2, 1));
  const near = new Talker(a, kind === 'busy' ? Infinity : 0, 1, 2).connect(c, PORT, service);
  network.run(SECOND);
  const far = ends[0]!;
  if (own !== null)
    for (const { host, stream } of [near, far]) {
      stream!.limits = own;
      host.endTurn();
    }
  network.run(SECOND);
  expect([near.error, far.error]).toEqual([undefined, undefined]);
  return { network, a, b, c, near, far };
}

/**
 * Its daemon is there for links and routes, and no more for streams: what a program or machine that
 * hangs looks like.
 */
function hang({ node }: SimHost): void {
  node.streams.onPacket = () => {};
  const originate = node.dissemination.originate.bind(node.dissemination);
  node.dissemination.originate = (packet) =>
    packet.kind === KIND_STREAM ? DropReason.none : originate(packet);
}

function endAll({ network, near, far }: Scene): void {
  for (const { host, stream } of [near, far]) {
    stream!.reset();
    host.endTurn();
  }
  network.run(10 * SECOND);
}

/** Writes as much as it was made with, and leaves its direction open. */
class Talker extends StreamEnd {
  constructor(host: SimHost, total: number, writes: number, reads: number) {
    super(host, total === 0 ? 1 : total, writes, reads);
  }

  override onOpen(stream: Parameters<StreamEnd['onOpen']>[0]): void {
    const end = stream.end.bind(stream);
    stream.end = () => {};
    super.onOpen(stream);
    if (this.written > 1) stream.end = end;
  }
}

function untilOver(network: Network, end: StreamEnd): Micros {
  const took = network.until(() => end.error !== undefined, 200 * SECOND, 50 * MS);
  expect(took, 'it ends').not.toBeNull();
  return took!;
}

describe.each([
  ['reliable', SERVICE_RELIABLE],
  ['best-effort', SERVICE_BEST_EFFORT],
] as const)('over %s links', (_name, service) => {
  test.each(KINDS)(
    'a far daemon that is killed ends a stream, %s, after the silence limit: no route',
    (kind) => {
      for (const [own, silenceUs] of [
        [null, DEFAULT.silenceUs],
        [OWN, 5 * SECOND],
      ] as const) {
        const { network, c, near } = scene(kind, own, service);
        c.crash();
        const took = untilOver(network, near);
        expect([near.error, near.stream!.noRoute]).toEqual(['ETIMEDOUT', true]);
        expect(took).toBeLessThanOrEqual(silenceUs + DETECTION + (kind === 'fed' ? BACKLOG : 0));
        expect(took).toBeGreaterThan(silenceUs - SECOND);
      }
    },
  );

  test.each(KINDS)(
    'a far daemon that hangs ends a stream, %s, ' +
      'after the silence limit, and the keepalive where nothing else asks',
    (kind) => {
      for (const [own, silenceUs, keepaliveUs] of [
        [null, 30 * SECOND, 15 * SECOND],
        [OWN, 5 * SECOND, 2.5 * SECOND],
        [{ silenceUs: 2 * SECOND, keepaliveUs: 10 * SECOND }, 2 * SECOND, 10 * SECOND],
      ] as const) {
        const { network, c, near } = scene(kind, own, service);
        hang(c);
        const took = untilOver(network, near);
        expect([near.error, near.stream!.noRoute]).toEqual(['ETIMEDOUT', false]);
        expect(took).toBeGreaterThan(silenceUs - SECOND);
        expect(took).toBeLessThanOrEqual(silenceUs + (kind === 'busy' ? 0 : keepaliveUs) + BACKLOG);
      }
    },
  );

  test.each(KINDS)(
    'an outage shorter than the limit ends no stream, %s, at neither end, whenever it begins',
    (kind) => {
      for (const phase of [0, 700 * MS, 1_900 * MS, 2_400 * MS]) {
        const story = scene(kind, OWN, service),
          { network, a, b, c, near, far } = story;
        for (const [from, to] of [
          [b, c],
          [a, b],
        ] as const) {
          network.run(3 * SECOND + phase);
          cut(from, to);
          network.run(4 * SECOND);
          heal(from, to);
          network.run(6 * SECOND);
          expect([near.error, far.error]).toEqual([undefined, undefined]);
        }
        expect([near.wrong, far.wrong]).toEqual([0, 0]);
        endAll(story);
      }
    },
  );

  test('a wire that carries one way only ends it at both ends', () => {
    for (const kind of KINDS)
      for (const [i, j] of [
        [1, 2],
        [2, 1],
      ] as const) {
        const { network, near, far } = scene(kind, OWN, service);
        const [from, to] = [network.host(i), network.host(j)];
        from.wires.get(to.endpoint.key)!.model.set({ up: false });
        expect(untilOver(network, near)).toBeLessThanOrEqual(5 * SECOND + DETECTION);
        expect(untilOver(network, far)).toBeLessThanOrEqual(DETECTION);
        for (const { error, stream } of [near, far])
          expect([error, stream!.noRoute]).toEqual(['ETIMEDOUT', true]);
      }
  });

  test.each(KINDS)(
    'a far daemon that is deaf, and speaks, ends a stream, ' +
      '%s, at both ends: the one with the shorter limit decides',
    (kind) => {
      const { network, c, near, far } = scene(kind, null, service);
      far.stream!.limits = OWN;
      c.endTurn();
      c.node.streams.onPacket = () => {};
      expect(untilOver(network, near)).toBeLessThanOrEqual(7.5 * SECOND + BACKLOG);
      expect(untilOver(network, far)).toBeLessThanOrEqual(BACKLOG);
      expect([near.error, far.error]).toEqual(['ECONNRESET', 'ETIMEDOUT']);
    },
  );
});

describe('keepalive', () => {
  test(
    'is not asked when it is off: an idle stream whose far end hangs lives, ' +
      'and fails after the limit from when it writes',
    () => {
      const { network, c, near } = scene('idle', { silenceUs: 5 * SECOND, keepaliveUs: 0 });
      const before = network.host(0).node.dissemination.originated;
      hang(c);
      network.run(600 * SECOND);
      expect(near.error).toBeUndefined();
      expect(network.host(0).node.dissemination.originated - before).toBe(0);
      near.stream!.write(Uint8Array.of(1), 0, 1);
      near.host.endTurn();
      const took = untilOver(network, near);
      expect([near.error, took > 4.9 * SECOND, took < 6 * SECOND]).toEqual([
        'ETIMEDOUT',
        true,
        true,
      ]);
    },
  );

  test('costs a question and an answer each time, and no more', () => {
    const { network, a, c } = scene('idle', { silenceUs: null, keepaliveUs: 2 * SECOND });
    const said = (): number => a.node.dissemination.originated + c.node.dissemination.originated;
    const before = said();
    network.run(100 * SECOND);
    expect(said() - before).toBeLessThanOrEqual(4 * 51);
    expect(said() - before).toBeGreaterThanOrEqual(2 * 49);
  });

  test('and limit of the daemon are of streams that have none, and change while they live', () => {
    const { network, a, c, near } = scene('idle', null, SERVICE_RELIABLE, {
      config: { streams: streamLimits(60 * SECOND, 0) },
    });
    hang(c);
    network.run(100 * SECOND);
    expect(near.error).toBeUndefined();
    a.node.reconfigure({ ...a.node.config, streams: streamLimits(4 * SECOND) });
    a.endTurn();
    expect(untilOver(network, near)).toBeLessThanOrEqual(7 * SECOND);
    expect(near.error).toBe('ETIMEDOUT');
  });
});

describe('a far daemon that was started anew', () => {
  test.each(['sealed', 'none'] as const)(
    'resets streams that only listen as soon as it is reached again (security %s)',
    (security) => {
      for (const kind of KINDS)
        for (const awayUs of [2 * SECOND, 20 * SECOND]) {
          const { network, c, near } = scene(kind, null, SERVICE_RELIABLE, { security });
          c.crash();
          network.run(awayUs);
          c.start();
          // What was on its way was sealed for the run before: nobody can answer it, and it is
          // carried first.
          expect(untilOver(network, near)).toBeLessThanOrEqual(
            2 * SECOND + (kind === 'busy' && security === 'sealed' ? BACKLOG : 0),
          );
          expect(near.error).toBe('ECONNRESET');
        }
    },
  );

  test('resets them, too, when it was away for less than links notice', () => {
    for (const kind of KINDS) {
      const { network, c, near } = scene(kind);
      c.crash();
      network.run(100 * MS);
      c.start();
      expect(untilOver(network, near)).toBeLessThanOrEqual(3 * SECOND);
      expect(near.error).toBe('ECONNRESET');
    }
  });

  test('resets every one of a thousand', () => {
    const { network, a, c } = scene('idle', null, SERVICE_RELIABLE, {}, 100_000);
    const ends: StreamEnd[] = [];
    while (ends.length < 1_000) {
      for (let i = 0; i < 50; i += 1) ends.push(new Talker(a, 0, 1, 2).connect(c, PORT));
      network.run(200 * MS);
    }
    expect(ends.filter(({ opened }) => !opened)).toEqual([]);
    c.crash();
    network.run(2 * SECOND);
    c.start();
    expect(
      network.until(() => ends.every(({ error }) => error === 'ECONNRESET'), 60 * SECOND, 100 * MS),
    ).toBeLessThanOrEqual(8 * SECOND);
  });
});
