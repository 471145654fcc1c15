/**
 * The life of keys and certificates on sealed links that are in use: new keys by time and by
 * volume, when handshakes are lost, when both sides begin at once; renewed certificates, a second
 * authority, expiry. The stream never notices.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import { authorityIdOf } from '../../src/core/crypto/certificates.ts';
import type { Identity } from '../../src/core/crypto/membership.ts';
import type { Primitives } from '../../src/core/crypto/primitives.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import { SIM_EPOCH, SimAuthority } from '../../src/lab/sim/sim-authority.ts';
import { SimStreamFlow } from '../../src/lab/sim/stream-flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DATAGRAM_SEALED_INIT } from '../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { inject, isData, Tap } from '../support/attacker.ts';
import {
  chain,
  linked,
  linkOf,
  lossy,
  useNetworks,
  wire,
  type Network,
  type ShapeOptions,
} from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const NOW_S = SIM_EPOCH / SECOND;

interface Scene {
  readonly network: Network;
  readonly tap: Tap;
  readonly a: SimHost;
  readonly b: SimHost;
  readonly streams: SimStreamFlow[];
  readonly untilUs: Micros;
}

/**
 * Two or more hosts in a row, and streams of so many Mbit/s both ways from end to end for so long.
 */
function scene(options: ShapeOptions, mbit: number, time: Micros, count = 2): Scene {
  const tap = new Tap();
  tap.recording = false;
  const network = chain(count, { onArrival: tap.onArrival, ...options });
  network.settle();
  const [a, b] = network.hosts as [SimHost, SimHost];
  const last = network.host(count - 1);
  const settings = { sizeBytes: 1_250, startUs: 0, count: null, durationUs: time };
  const streams = [
    [a, last],
    [last, a],
  ].map(
    ([from, to], i) =>
      new SimStreamFlow(
        network.world,
        i,
        from!,
        to!,
        { ...settings, packetsPerSecond: i === 0 ? mbit * 100 : 100 },
        network.now,
      ),
  );
  return { network, tap, a, b, streams, untilUs: network.now + time };
}

/** Not one byte was lost, and no link ever went down. */
function whole({ network, streams, untilUs }: Scene, downs = 0): void {
  network.until(
    () =>
      network.now > untilUs + SECOND &&
      streams.every((stream) => stream.meter.delivered === stream.sent),
    40 * SECOND,
    100 * MS,
  );
  for (const stream of streams)
    expect([stream.meter.delivered, stream.meter.duplicates, stream.errors]).toEqual([
      stream.sent,
      0,
      [],
    ]);
  expect(network.linkDowns).toBe(downs);
}

function rekeysOf(host: SimHost, peer: SimHost): number {
  return linkOf(host, peer)!.channel!.rekeys;
}

/** As a reload with a new certificate does. */
function renew(
  host: SimHost,
  identity: Identity,
  trusted: readonly SimAuthority[],
  keepOld = true,
): void {
  const { membership } = host;
  const trust = host.world.authority!.trust(trusted);
  membership!.replace({ identity, previous: keepOld ? [membership!.identity] : [], trust });
  host.endTurn();
}

function serialSeen(by: SimHost, of: SimHost): string | undefined {
  return linkOf(by, of)?.certificate?.serial;
}

describe('new keys', () => {
  test.each<[string, Partial<ShapeOptions['config']>, number]>([
    ['every second', { rekeyAfterUs: SECOND }, 12],
    ['every 500 datagrams', { rekeyAfterDatagrams: 500 }, 24],
  ])(
    '%s, under 20 Mbit/s for 30 s and one loss in a hundred: no byte is lost',
    (_what, config, least) => {
      const s = scene({ forward: lossy(0.01, 2 * MS), config: { ...config } }, 20, 30 * SECOND);
      s.network.run(30 * SECOND);
      expect(rekeysOf(s.a, s.b)).toBeGreaterThanOrEqual(least);
      expect(Math.abs(rekeysOf(s.b, s.a) - rekeysOf(s.a, s.b))).toBeLessThanOrEqual(1);
      whole(s);
      for (const host of [s.a, s.b])
        expect(
          Object.keys(host.node.drops.snapshot()).filter((reason) =>
            /^(seal|packet|receiver)/.test(reason),
          ),
        ).toEqual([]);
    },
  );

  test('are made by the side that was called when the caller does not', () => {
    const s = scene({ config: { rekeyAfterUs: 2 * SECOND } }, 1, 20 * SECOND);
    // The dialler's INITs for new keys are lost: only the other side can do it.
    s.tap.rule = (w, bytes) => isData(bytes) || w.from !== s.a || bytes[0] !== DATAGRAM_SEALED_INIT;
    s.network.run(20 * SECOND);
    expect(rekeysOf(s.a, s.b)).toBeGreaterThan(3);
    whole(s);
  });

  test(
    'that cannot be made leave the old ones in use until those are too old; ' +
      'then the link ends, and comes back',
    () => {
      const s = scene({ config: { rekeyAfterUs: 2 * SECOND }, routes: false }, 1, 10 * SECOND);
      s.tap.rule = (_w, bytes) => isData(bytes);
      s.network.run(30 * SECOND);
      expect(rekeysOf(s.a, s.b)).toBe(0);
      whole(s);
      // 3 * 2 s and 30 s.
      expect(s.network.until(() => !linked(s.a, s.b), 10 * SECOND)).not.toBeNull();
      s.network.run(2 * SECOND);
      s.tap.rule = () => true;
      expect(s.network.until(() => linked(s.a, s.b), 3 * SECOND)).not.toBeNull();
      s.network.run(5 * SECOND);
      expect(rekeysOf(s.a, s.b)).toBeGreaterThan(0);
    },
  );

  test('are agreed on although four in ten datagrams of all handshakes are lost', () => {
    const s = scene({ config: { rekeyAfterUs: SECOND } }, 2, 40 * SECOND);
    const rng = s.network.world.rng.fork('adversary');
    s.tap.rule = (_w, bytes) => isData(bytes) || !rng.chance(0.4);
    s.network.run(40 * SECOND);
    expect(rekeysOf(s.a, s.b)).toBeGreaterThan(10);
    whole(s);
  });

  test.each([-30, -4, 0, 4, 30])(
    'for which both have called, ' +
      'and were answered at once (one %i ms after the other), are the same for both',
    (apart) => {
      const s = scene({ config: { rekeyAfterUs: 20 * SECOND } }, 1, 45 * SECOND);
      const { network, a, b, tap } = s;
      const held = new Map<SimHost, Uint8Array>();
      const free = (): void => {
        tap.rule = () => true;
        for (const [to, bytes] of held)
          network.world.schedule(network.now + 30 * MS + (to === a ? apart * MS : 0), () =>
            inject(to, bytes, to === a ? b.endpoint : a.endpoint),
          );
      };
      tap.rule = (w, bytes) => {
        if (isData(bytes)) return true;
        // The side that was called begins a quarter later; both are past what breaks ties then.
        if (network.now < 28 * SECOND) return false;
        if (bytes[0] === DATAGRAM_SEALED_INIT) return true;
        if (held.set(w.to, bytes.slice()).size === 2) free();
        return false;
      };
      network.run(31 * SECOND - network.now);
      expect(held.size).toBe(2);
      expect([rekeysOf(a, b) > 0, rekeysOf(b, a) > 0]).toEqual([true, true]);
      // Longer than what came before is kept, and sooner than the next keys are due.
      network.run(14 * SECOND);
      const [there, back] = [linkOf(a, b)!.channel!.epoch, linkOf(b, a)!.channel!.epoch];
      expect([there.localIndex, there.remoteIndex]).toEqual([back.remoteIndex, back.localIndex]);
      whole(s);
      for (const host of [a, b])
        expect(host.node.drops.of(DropReason.receiverIndexUnknown)).toBe(0);
    },
  );

  test.each<[number, number]>([
    [0, 0],
    [7, 0],
    [60, 0],
    [5, 150],
    [5, 300],
    [5, 500],
  ])(
    'begun by both at once, with %i ms on the way and handshakes %i ms more, end in the same keys',
    (latency, more) => {
      for (const lostUs of [0, 1_100 * MS, 1_400 * MS, 2_600 * MS]) {
        const s = scene({ forward: wire({ latencyUs: latency * MS }) }, 1, 25 * SECOND);
        const { network, a, b, tap } = s;
        const until = network.now + SECOND + lostUs;
        tap.rule = (w, bytes) => {
          if (isData(bytes)) return true;
          if (network.now > until)
            network.world.schedule(network.now + more * MS, () =>
              inject(w.to, bytes, w.from.endpoint),
            );
          return false;
        };
        network.run(SECOND);
        for (const host of [a, b])
          renew(host, network.world.authority!.issue(host.id, host.name), [
            network.world.authority!,
          ]);
        expect(
          network.until(
            () =>
              serialSeen(a, b) === b.membership!.identity.certificate.serial &&
              serialSeen(b, a) === a.membership!.identity.certificate.serial,
            10 * SECOND,
          ),
          `lost ${lostUs}`,
        ).not.toBeNull();
        // Longer than what came before is kept.
        network.run(14 * SECOND);
        const [there, back] = [linkOf(a, b)!.channel!.epoch, linkOf(b, a)!.channel!.epoch];
        expect([there.localIndex, there.remoteIndex], `lost ${lostUs}`).toEqual([
          back.remoteIndex,
          back.localIndex,
        ]);
        whole(s);
      }
    },
  );
});

describe.each<[string, Primitives]>([
  ['cheap', cheapPrimitives],
  ['real', nodePrimitives],
])('a renewed certificate (%s primitives)', (_kind, primitives) => {
  const fresh = (host: SimHost): Identity => host.world.authority!.issue(host.id, host.name);

  test.each([
    ["of one node, whose keys are in its neighbour's configuration", [1]],
    ['of the dialling node', [0]],
    ['of two neighbours at the same instant', [0, 1]],
    ['of all', [0, 1, 2]],
  ])('%s is seen by its neighbours within seconds', (_what, which) => {
    const s = scene({ primitives, forward: wire({ latencyUs: 5 * MS }) }, 2, 8 * SECOND, 3);
    const { network } = s;
    network.run(2 * SECOND);
    const serials = network.hosts.map((host) => host.identity!.certificate.serial);
    for (const i of which) {
      const host = network.host(i),
        identity = fresh(host);
      serials[i] = identity.certificate.serial;
      renew(host, identity, [network.world.authority!]);
    }
    const seen = (): boolean =>
      [
        [0, 1],
        [1, 2],
      ].every(
        ([x, y]) =>
          serialSeen(network.host(x!), network.host(y!)) === serials[y!] &&
          serialSeen(network.host(y!), network.host(x!)) === serials[x!],
      );
    expect(network.until(seen, 4 * SECOND)).not.toBeNull();
    network.run(5 * SECOND);
    expect(seen()).toBe(true);
    whole(s);
  });

  test('may end sooner than the one before, which may then be revoked', () => {
    const s = scene({ primitives }, 1, 10 * SECOND);
    const { network, a, b } = s;
    const authority = network.world.authority!;
    const old = b.membership!.identity;
    renew(b, authority.issue(b.id, b.name, { notBeforeS: NOW_S - 10, notAfterS: NOW_S + 3_600 }), [
      authority,
    ]);
    expect(
      network.until(
        () => serialSeen(a, b) === b.membership!.identity.certificate.serial,
        4 * SECOND,
      ),
    ).not.toBeNull();
    const list = authority.revoke(NOW_S + 5, old);
    for (const host of [a, b]) expect(host.membership!.offerRevocations(list)).toBe('ok');
    network.run(5 * SECOND);
    expect(a.node.drops.of(DropReason.certificateRevoked)).toBe(0);
    whole(s);
  });

  test(
    'of a second authority takes over while all trust both, ' +
      'and then the first is trusted no longer',
    () => {
      const s = scene({ primitives }, 2, 16 * SECOND, 3);
      const { network } = s;
      const first = network.world.authority!;
      const second = new SimAuthority(
        primitives,
        network.world.rng.fork('second authority'),
        first.authority.network,
      );
      const each = (action: (host: SimHost) => void): void => {
        for (const host of network.hosts) {
          action(host);
          network.run(SECOND);
        }
      };
      each((host) => renew(host, host.membership!.identity, [first, second]));
      each((host) => renew(host, second.issue(host.id, host.name), [first, second]));
      network.run(4 * SECOND);
      each((host) => renew(host, host.membership!.identity, [second], false));
      network.run(4 * SECOND);
      for (const host of network.hosts) {
        for (const link of host.node.links.all())
          expect(link.certificate!.authority).toEqual(authorityIdOf(second.authority.signingKey));
        expect(host.node.drops.of(DropReason.certificateUnknownAuthority)).toBe(0);
      }
      whole(s);
    },
  );
});

describe('a certificate that ends', () => {
  const END_S = NOW_S + 10;
  const short = (network: Network, host: SimHost): Identity =>
    network.world.authority!.issue(host.id, host.name, {
      notBeforeS: NOW_S - 100,
      notAfterS: END_S,
    });

  function ending(): { network: Network; a: SimHost; b: SimHost } {
    const network = chain(2, { routes: false });
    const [a, b] = network.hosts as [SimHost, SimHost];
    b.identity = short(network, b);
    a.dials[0] = { ...a.dials[0]!, key: b.identity.exchange.publicKey };
    return { network, a, b };
  }

  test('cuts the link within two seconds, and it does not come back', () => {
    const { network, a, b } = ending();
    network.settle();
    network.run(9_900 * MS - network.now);
    expect(linked(a, b)).toBe(true);
    network.run(2_100 * MS);
    expect(linkOf(a, b)!.up).toBe(false);
    network.run(3 * SECOND);
    expect(linked(a, b)).toBe(false);
    expect(a.node.drops.of(DropReason.certificateExpired)).toBeGreaterThan(0);
  });

  test('and was renewed before cuts nothing', () => {
    const { network, a, b } = ending();
    network.settle();
    const flow = network.flow(a, b, {
      durationUs: 12 * SECOND,
      options: { service: SERVICE_RELIABLE },
    });
    network.run(7 * SECOND);
    renew(b, network.world.authority!.issue(b.id, b.name), [network.world.authority!]);
    network.run(8 * SECOND);
    expect(network.linkDowns).toBe(0);
    expect([flow.sent, flow.meter.delivered]).toEqual([1_200, 1_200]);
    expect(a.node.drops.of(DropReason.certificateExpired)).toBe(0);
  });

  test('late by a reader whose clock is behind, but not for ever', () => {
    const { network, a, b } = ending();
    a.wallSkewUs = -5 * SECOND;
    network.settle();
    network.run(14 * SECOND - network.now);
    expect(linked(a, b)).toBe(true);
    network.run(3 * SECOND);
    expect(linked(a, b)).toBe(false);
  });
});

test(
  'cheap primitives change no time and no length: ' +
    'the same world with real ones gives the same arrivals',
  () => {
    const trace = (primitives: Primitives): string[] => {
      const arrivals: string[] = [];
      const network = chain(4, {
        primitives,
        seed: 4,
        forward: lossy(0.02),
        config: { rekeyAfterUs: 2 * SECOND },
        onArrival: (w, bytes) => {
          arrivals.push(`${network.now} ${w.from.name} ${w.to.name} ${bytes[0]} ${bytes.length}`);
          return true;
        },
      });
      network.settle();
      const [first, , , last] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
      const stream = new SimStreamFlow(
        network.world,
        0,
        first,
        last,
        {
          packetsPerSecond: 200,
          sizeBytes: 1_000,
          startUs: 0,
          durationUs: 5 * SECOND,
          count: null,
        },
        network.now,
      );
      network.flow(last, first, { durationUs: 5 * SECOND });
      network.run(8 * SECOND);
      expect(stream.meter.delivered).toBe(stream.sent);
      expect(rekeysOf(first, network.host(1))).toBeGreaterThan(1);
      return arrivals;
    };
    const cheap = trace(cheapPrimitives),
      real = trace(nodePrimitives);
    expect(cheap.length).toBeGreaterThan(5_000);
    expect(real.length).toBe(cheap.length);
    const different = cheap.findIndex((line, i) => line !== real[i]);
    expect(different < 0 ? null : [cheap[different], real[different]]).toBeNull();
  },
);
