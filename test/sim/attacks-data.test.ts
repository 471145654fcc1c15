/**
 * Attacks on sealed links that are up: datagrams copied, changed, kept back, sent from elsewhere,
 * and a man in the middle who only drops, delays and doubles. What is not the peer's word, said
 * now, changes nothing.
 */

import { describe, expect, test } from 'vitest';

import { putU32, putU48 } from '../../src/core/base/bytes.ts';
import { makeEndpoint, type Endpoint } from '../../src/core/base/datagram.ts';
import { REPLAY_WINDOW } from '../../src/core/base/replay-window.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import { cut, heal } from '../../src/lab/sim/faults.ts';
import { SimStreamFlow } from '../../src/lab/sim/stream-flow.ts';
import type { SimHost, Wire } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { DATAGRAM_BYTES_MAX } from '../../src/core/wire/sizes.ts';
import {
  counted,
  elsewhere,
  indexOf,
  inject,
  isData,
  numberOf,
  Tap,
  verdict,
} from '../support/attacker.ts';
import {
  chain,
  hosts,
  Inbox,
  linked,
  linkOf,
  pattern,
  useNetworks,
  wire,
  type Network,
  type ShapeOptions,
} from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const KINDS = [
  ['cheap', cheapPrimitives],
  ['real', nodePrimitives],
] as const;

interface Scene {
  readonly network: Network;
  readonly tap: Tap;
  readonly a: SimHost;
  readonly b: SimHost;
}

function scene(options: ShapeOptions = {}, count = 2): Scene {
  const tap = new Tap();
  const network = chain(count, { onArrival: tap.onArrival, ...options });
  network.settle();
  const [a, b] = network.hosts as [SimHost, SimHost];
  return { network, tap, a, b };
}

/** What a datagram that is not the peer's word must leave as it is. */
function stateOf(host: SimHost, peer: SimHost): unknown {
  const channel = linkOf(host, peer)!.channel!;
  return {
    endpoint: channel.endpoint.key,
    received: channel.receivedDatagrams,
    highest: channel.replay.highest,
    index: channel.epoch.localIndex,
    rekeys: channel.rekeys,
  };
}

/** Keeps the first datagram with a message of a to b back, and returns it. */
function heldMessage({ network, tap, a, b }: Scene, inbox: Inbox): Uint8Array {
  const outbox = new Inbox(a, 0);
  let held: Uint8Array | null = null;
  tap.rule = (w, bytes) => {
    if (held !== null || w.from !== a || !isData(bytes) || bytes.length < 300) return true;
    held = bytes.slice();
    return false;
  };
  outbox.send(b, 700, pattern(300));
  network.run(100 * MS);
  tap.rule = () => true;
  expect([held !== null, inbox.messages.length]).toEqual([true, 0]);
  return held!;
}

describe.each(KINDS)('a datagram that was changed (%s primitives)', (_kind, primitives) => {
  test(
    'in any byte is refused, from anywhere, ' + 'and the genuine one is delivered afterwards, once',
    () => {
      const s = scene({ primitives });
      const inbox = new Inbox(s.b, 700);
      const genuine = heldMessage(s, inbox);
      const before = stateOf(s.b, s.a);
      const reasons = counted(s.b, () => {
        for (let at = 0; at < genuine.length; at += 1) {
          for (const [bit, from] of [
            [at & 7, s.a.endpoint],
            [(at + 3) & 7, elsewhere()],
          ] as const) {
            const bad = genuine.slice();
            bad[at]! ^= 1 << bit;
            inject(s.b, bad, from);
          }
        }
      });
      expect(Object.values(reasons).reduce((sum, n) => sum + n)).toBe(2 * genuine.length);
      expect(reasons['sealBroken']).toBeGreaterThanOrEqual(2 * (genuine.length - 12));
      expect(reasons['receiverIndexUnknown']).toBe(8);
      expect(
        Object.keys(reasons).every((reason) =>
          new RegExp(
            String.raw`^(sealBroken|receiver|reserved|datagramType|packet(TooOld|` +
              String.raw`Replayed)|handshake|securityMismatch)`,
          ).test(reason),
        ),
      ).toBe(true);
      expect(stateOf(s.b, s.a)).toEqual(before);
      expect(inbox.messages).toHaveLength(0);
      expect(verdict(s.b, genuine, s.a.endpoint)).toEqual({});
      expect(verdict(s.b, genuine, s.a.endpoint)).toEqual({ packetReplayed: 1 });
      expect(inbox.messages.map((message) => message.bytes)).toEqual([pattern(300)]);
    },
  );

  test('in length, at any length, is refused', () => {
    const s = scene({ primitives });
    const inbox = new Inbox(s.b, 700);
    const genuine = heldMessage(s, inbox);
    const before = stateOf(s.b, s.a);
    const long = new Uint8Array(DATAGRAM_BYTES_MAX + 1);
    long.set(genuine);
    for (let length = 0; length <= long.length; length += 1) {
      if (length === genuine.length) continue;
      const reason =
        length < 12
          ? 'datagramTooShort'
          : length > DATAGRAM_BYTES_MAX
            ? 'datagramTooLong'
            : 'sealBroken';
      expect(verdict(s.b, long.slice(0, length), s.a.endpoint)).toEqual({ [reason]: 1 });
    }
    expect(stateOf(s.b, s.a)).toEqual(before);
    expect(verdict(s.b, genuine, s.a.endpoint)).toEqual({});
    expect(inbox.messages).toHaveLength(1);
  });
});

describe.each(KINDS)('a datagram that comes again (%s primitives)', (_kind, primitives) => {
  test("is refused at once, from its sender's address and from elsewhere", () => {
    const s = scene({ primitives });
    const flow = s.network.flow(s.a, s.b, { packetsPerSecond: 100, durationUs: 2 * SECOND });
    s.tap.rule = (w, bytes) => {
      s.network.world.schedule(s.network.now + 20 * MS, () => {
        if (isData(bytes))
          for (const from of [w.from.endpoint, elsewhere()])
            expect(verdict(w.to, bytes, from)).toEqual({ packetReplayed: 1 });
      });
      // What is opened is opened in place.
      const copy = bytes.slice();
      inject(w.to, copy, w.from.endpoint);
      return false;
    };
    s.network.run(3 * SECOND);
    s.tap.rule = () => true;
    expect([flow.sent, flow.meter.delivered, flow.meter.duplicates]).toEqual([200, 200, 0]);
    expect(s.network.linkDowns).toBe(0);
    expect(linkOf(s.b, s.a)!.endpoint.key).toBe(s.a.endpoint.key);
  });

  test('out of order is taken once within the window, and beyond it not at all', () => {
    const s = scene({ primitives });
    const flow = s.network.flow(s.a, s.b, { packetsPerSecond: 1_000, durationUs: 3 * SECOND });
    const held: Uint8Array[] = [];
    s.tap.rule = (w, bytes) => {
      // Every eighth of a's first thousand messages waits.
      if (
        w.from !== s.a ||
        !isData(bytes) ||
        bytes.length < 200 ||
        held.length >= 125 ||
        numberOf(bytes) % 8 !== 0
      )
        return true;
      held.push(bytes.slice());
      return false;
    };
    s.network.run(1_200 * MS);
    expect(held).toHaveLength(125);
    s.tap.rule = () => true;
    const late = held.splice(0, 10);
    expect(
      counted(s.b, () => {
        for (const bytes of held.reverse()) inject(s.b, bytes, s.a.endpoint);
      }),
    ).toEqual({});
    expect(
      counted(s.b, () => {
        for (const bytes of held) inject(s.b, bytes, s.a.endpoint);
      }),
    ).toEqual({ packetReplayed: held.length });
    s.network.run(3 * SECOND);
    expect(linkOf(s.b, s.a)!.channel!.replay.highest - numberOf(late.at(-1)!)).toBeGreaterThan(
      REPLAY_WINDOW,
    );
    expect(
      counted(s.b, () => {
        for (const bytes of late) inject(s.b, bytes, s.a.endpoint);
      }),
    ).toEqual({ packetTooOld: 10 });
    expect([flow.meter.delivered, flow.meter.duplicates]).toEqual([flow.sent - 10, 0]);
  });

  test("on another link, or under another index and number, is nobody's", () => {
    const s = scene({ primitives }, 3);
    const c = s.network.host(2);
    s.network.run(SECOND);
    const before = stateOf(c, s.b);
    const channel = linkOf(c, s.b)!.channel!;
    for (const bytes of s.tap.data(s.a, s.b).slice(-20)) {
      expect(verdict(c, bytes, s.b.endpoint)).toEqual({ receiverIndexUnknown: 1 });
      putU32(bytes, 2, channel.epoch.localIndex);
      putU48(bytes, 6, channel.replay.highest + 1);
      expect(verdict(c, bytes, s.b.endpoint)).toEqual({ sealBroken: 1 });
    }
    expect(stateOf(c, s.b)).toEqual(before);
    s.network.run(SECOND);
    expect(s.network.linkDowns).toBe(0);
  });

  test('after new keys is refused, whatever header it is given', () => {
    const s = scene({ primitives, config: { rekeyAfterUs: SECOND } });
    s.network.flow(s.a, s.b, { packetsPerSecond: 50, durationUs: 4 * SECOND });
    s.network.run(1_500 * MS);
    const old = s.tap.data(s.a, s.b).slice(-30);
    const index = linkOf(s.b, s.a)!.channel!.epoch.localIndex;
    expect(
      s.network.until(() => linkOf(s.b, s.a)!.channel!.rekeys >= 3, 5 * SECOND),
    ).not.toBeNull();
    const channel = linkOf(s.b, s.a)!.channel!;
    expect(channel.epoch.localIndex).not.toBe(index);
    const before = stateOf(s.b, s.a);
    for (const bytes of old) {
      const [reason] = Object.keys(verdict(s.b, bytes, s.a.endpoint));
      expect(['packetReplayed', 'packetTooOld', 'receiverIndexUnknown']).toContain(reason);
      putU32(bytes, 2, channel.epoch.localIndex);
      expect(verdict(s.b, bytes, s.a.endpoint)).toEqual({ packetReplayed: 1 });
      putU48(bytes, 6, channel.replay.highest + 1);
      expect(verdict(s.b, bytes, s.a.endpoint)).toEqual({ sealBroken: 1 });
    }
    expect(stateOf(s.b, s.a)).toEqual(before);
    expect(s.network.linkDowns).toBe(0);
  });

  test('after the link was made anew is refused, whatever header it is given', () => {
    const s = scene({ primitives });
    s.network.flow(s.a, s.b, { packetsPerSecond: 50, durationUs: SECOND });
    s.network.run(SECOND);
    const old = s.tap.data(s.a, s.b);
    cut(s.a, s.b);
    expect(
      s.network.until(
        () => linkOf(s.b, s.a)?.up !== true && linkOf(s.a, s.b)?.up !== true,
        2 * SECOND,
      ),
    ).not.toBeNull();
    heal(s.a, s.b);
    expect(s.network.until(() => linked(s.a, s.b), 5 * SECOND)).not.toBeNull();
    const before = stateOf(s.b, s.a);
    expect(
      counted(s.b, () => {
        for (const bytes of old) inject(s.b, bytes, s.a.endpoint);
      }),
    ).toEqual({ receiverIndexUnknown: old.length });
    const channel = linkOf(s.b, s.a)!.channel!;
    const reasons = counted(s.b, () => {
      for (const bytes of old) {
        putU32(bytes, 2, channel.epoch.localIndex);
        putU48(bytes, 6, channel.replay.highest + 1);
        inject(s.b, bytes, s.a.endpoint);
      }
    });
    expect(reasons).toEqual({ sealBroken: old.length });
    expect(stateOf(s.b, s.a)).toEqual(before);
  });
});

describe('a man in the middle', () => {
  test.each(KINDS)(
    'who drops 30 %%, delays by up to 300 ms and doubles 30 %% loses, ' +
      'adds and doubles nothing of a stream or of reliable datagrams (%s primitives)',
    (kind, primitives) => {
      const s = scene({ primitives, routes: false });
      const { network, a, b, tap } = s;
      const rng = new Rng(5);
      tap.recording = false;
      const until = network.now + 20 * SECOND;
      const settings = {
        packetsPerSecond: kind === 'cheap' ? 50 : 20,
        sizeBytes: 1_000,
        startUs: 0,
        durationUs: 10 * SECOND,
        count: null,
      };
      const stream = new SimStreamFlow(network.world, 0, a, b, settings, network.now);
      const reliable = network.flow(b, a, { ...settings, options: { service: SERVICE_RELIABLE } });
      tap.rule = (w, bytes) => {
        if (network.now > until) return true;
        if (rng.chance(0.3)) return false;
        const copies = rng.chance(0.3) ? 2 : 1;
        for (let i = 0; i < copies; i += 1)
          network.world.schedule(network.now + rng.below(300 * MS), () =>
            inject(w.to, bytes, w.from.endpoint),
          );
        return false;
      };
      const all = (): boolean => stream.meter.delivered === settings.packetsPerSecond * 10;
      expect(network.until(all, 120 * SECOND, 100 * MS)).not.toBeNull();
      network.run(10 * SECOND);
      expect([stream.meter.delivered, stream.meter.duplicates, stream.errors]).toEqual([
        stream.sent,
        0,
        [],
      ]);
      expect([reliable.meter.duplicates, reliable.foreign]).toEqual([0, 0]);
      // What a link that went down had under way may be lost without a word; nothing else.
      expect(reliable.meter.delivered).toBeGreaterThanOrEqual(
        reliable.sent - reliable.refused - (network.linkDowns === 0 ? 0 : reliable.sent / 2),
      );
      for (const host of [a, b])
        expect(host.node.drops.of(DropReason.packetReplayed)).toBeGreaterThan(50);
      expect(a.node.drops.of(DropReason.sealBroken) + b.node.drops.of(DropReason.sealBroken)).toBe(
        0,
      );
    },
  );
});

describe.each(KINDS)('source addresses (%s primitives)', (_kind, primitives) => {
  test('copies that are first, from elsewhere, do not take the link with them', () => {
    const s = scene({ primitives });
    const flows = [
      s.network.flow(s.a, s.b, { durationUs: 3 * SECOND }),
      s.network.flow(s.b, s.a, { durationUs: 3 * SECOND }),
    ];
    let copies = 0,
      asked = 0;
    const { transmit } = s.network.world;
    const far: Wire = {
      from: s.b,
      to: s.a,
      get model(): never {
        throw new Error('unused');
      },
      datagrams: 0,
      ipBytes: 0,
    };
    s.b.wires.set(elsewhere().key, far);
    s.network.world.transmit = (w, bytes, length) => {
      if (w === far) asked += 1;
      else transmit.call(s.network.world, w, bytes, length);
    };
    s.tap.rule = (w, bytes) => {
      if (w.to === s.b && isData(bytes)) {
        inject(s.b, bytes, elsewhere());
        copies += 1;
        expect(linkOf(s.b, s.a)!.endpoint.key).toBe(s.a.endpoint.key);
      }
      return true;
    };
    const replays = counted(s.b, () => s.network.run(4 * SECOND));
    expect(replays['packetReplayed']).toBe(copies);
    for (const flow of flows) expect([flow.sent, flow.meter.delivered]).toEqual([300, 300]);
    expect(s.network.linkDowns).toBe(0);
    // It was asked there whether the peer is there, and not more often than once in 25 ms.
    expect(asked).toBeGreaterThan(10);
    expect(asked).toBeLessThanOrEqual(4_000 / 25 + 1);
  });

  test('a question that is passed on to the real peer is answered from the wrong place', () => {
    const s = scene({ primitives });
    const { transmit } = s.network.world;
    const far: Wire = {
      from: s.b,
      to: s.a,
      get model(): never {
        throw new Error('unused');
      },
      datagrams: 0,
      ipBytes: 0,
    };
    s.b.wires.set(elsewhere().key, far);
    s.network.world.transmit = (w, bytes, length) => {
      if (w !== far) return transmit.call(s.network.world, w, bytes, length);
      const copy = bytes.slice(0, length);
      s.network.world.schedule(s.network.now + 5 * MS, () => inject(s.a, copy, s.b.endpoint));
    };
    // Who copied the answer too would be a router between the two, and may be where the link goes.
    let next = 0;
    s.tap.rule = (w, bytes) => {
      if (w.to !== s.b || !isData(bytes) || s.network.now < next) return true;
      next = s.network.now + 200 * MS;
      inject(s.b, bytes, elsewhere());
      return true;
    };
    s.network.flow(s.a, s.b, { durationUs: 4 * SECOND });
    s.network.run(4 * SECOND);
    expect(s.b.node.drops.of(DropReason.pathProbeUnasked)).toBeGreaterThan(5);
    expect(linkOf(s.b, s.a)!.endpoint.key).toBe(s.a.endpoint.key);
    expect(s.network.linkDowns).toBe(0);
  });

  test('a peer whose address changes keeps its link, which follows within two round trips', () => {
    const s = scene({ primitives, routes: false, forward: wire({ latencyUs: 20 * MS }) });
    const { network, tap, a, b } = s;
    const flows = [
      network.flow(a, b, { durationUs: 6 * SECOND }),
      network.flow(b, a, { durationUs: 6 * SECOND }),
    ];
    const moves: Endpoint[] = [
      makeEndpoint('198.51.100.7', 9_001),
      makeEndpoint('198.51.100.8', 9_002),
      a.endpoint,
    ];
    const back = b.wires.get(a.endpoint.key)!;
    for (const address of moves) {
      network.run(1_500 * MS);
      b.wires.clear();
      b.wires.set(address.key, back);
      tap.rule = (w, bytes) => {
        if (w.to === a) return true;
        inject(b, bytes, address);
        return false;
      };
      const took = network.until(() => linkOf(b, a)!.endpoint.key === address.key, SECOND);
      expect(took).not.toBeNull();
      // One way until something from the new address is there, and a round trip for the proof.
      expect(took!).toBeLessThanOrEqual(2 * 40 * MS);
    }
    network.run(3 * SECOND);
    expect(network.linkDowns).toBe(0);
    expect(flows[0]!.meter.delivered).toBe(600);
    // The other direction loses what was on the way to where nobody is any more.
    expect(flows[1]!.meter.delivered).toBeGreaterThanOrEqual(600 - 3 * 10);
  });

  test.each([5, 10, 25, 60])(
    'a peer whose address changes is followed although ' +
      'copies come first from elsewhere every %i ms',
    (every) => {
      const s = scene({ primitives, routes: false, forward: wire({ latencyUs: 20 * MS }) });
      const { network, tap, a, b } = s;
      network.flow(a, b, { packetsPerSecond: 500, durationUs: 4 * SECOND });
      network.run(SECOND);
      const address = elsewhere(9),
        back = b.wires.get(a.endpoint.key)!;
      b.wires.clear();
      b.wires.set(address.key, back);
      let next = 0;
      tap.rule = (w, bytes) => {
        if (w.to === a) return true;
        if (network.now >= next) {
          next = network.now + every * MS;
          inject(b, bytes, elsewhere(Math.floor(network.now / MS) % 4));
        }
        inject(b, bytes, address);
        return false;
      };
      expect(
        network.until(() => linkOf(b, a)!.endpoint.key === address.key, SECOND),
      ).toBeLessThanOrEqual(2 * 40 * MS);
      network.run(4 * SECOND);
      expect(network.linkDowns).toBe(0);
      expect(linkOf(b, a)!.endpoint.key).toBe(address.key);
    },
  );

  test('garbage from anywhere changes nothing', () => {
    const s = scene({ primitives });
    const rng = new Rng(3),
      flow = s.network.flow(s.a, s.b, { durationUs: 2 * SECOND });
    const { localIndex } = linkOf(s.b, s.a)!.channel!.epoch;
    const reasons = counted(s.b, () => {
      for (let i = 0; i < 2_000; i += 1) {
        s.network.run(MS);
        const bytes = new Uint8Array(rng.below(1_400) + 1);
        rng.fill(bytes);
        if (i % 2 === 0 && bytes.length > 12) {
          bytes[0] = 0x24;
          bytes[1] = 0;
          putU32(bytes, 2, localIndex);
          putU48(bytes, 6, linkOf(s.b, s.a)!.channel!.replay.highest + 1 + rng.below(1_000));
        }
        inject(s.b, bytes, i % 4 < 2 ? s.a.endpoint : elsewhere(i));
      }
    });
    expect(Object.values(reasons).reduce((sum, n) => sum + n)).toBe(2_000);
    expect(reasons['sealBroken']).toBeGreaterThan(950);
    s.network.run(SECOND);
    expect(flow.meter.delivered).toBe(200);
    expect(s.network.linkDowns).toBe(0);
    expect(linkOf(s.b, s.a)!.endpoint.key).toBe(s.a.endpoint.key);
    expect(indexOf(s.tap.data(s.a, s.b).at(-1)!)).toBe(localIndex);
  });
});

test('two daemons whose addresses are exchanged by the network find each other again', () => {
  const tap = new Tap();
  const network = hosts(3, { onArrival: tap.onArrival, routes: false });
  const [a, b, c] = network.hosts as [SimHost, SimHost, SimHost];
  network.connect(a, b);
  network.connect(c, b);
  network.settle();
  const toA = b.wires.get(a.endpoint.key)!,
    toC = b.wires.get(c.endpoint.key)!;
  b.wires.set(a.endpoint.key, toC);
  b.wires.set(c.endpoint.key, toA);
  tap.rule = (w, bytes) => {
    if (w.to !== b) return true;
    inject(b, bytes, w.from === a ? c.endpoint : a.endpoint);
    return false;
  };
  network.run(3 * SECOND);
  expect(network.linkDowns).toBe(0);
  expect([linkOf(b, a)!.endpoint.key, linkOf(b, c)!.endpoint.key]).toEqual([
    c.endpoint.key,
    a.endpoint.key,
  ]);
});
