/**
 * Sealed from source to destination: a router on the way reads nothing, and whatever it does to
 * packets delivers nothing, ends no stream and is counted by what it did.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { DropReason, dropReasonName } from '../../src/core/wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_DATAGRAM,
  KIND_PIECE,
  KIND_STREAM,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { SEALED_FROM, SEALED_PAYLOAD_BYTES_MAX } from '../../src/core/wire/sealed-packet.ts';
import { atRouter, PORT, random, Scene, SERVICES } from '../support/end-to-end-scene.ts';
import { chain, Inbox, useNetworks } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

function holds(haystack: readonly Uint8Array[], needle: Uint8Array): boolean {
  const all = Buffer.concat(haystack);
  for (let at = 0; at + 8 <= needle.length; at += 8)
    if (all.includes(Buffer.from(needle.subarray(at, at + 8)))) return true;
  return false;
}

describe('a router that writes down what it passes on', () => {
  test.each([
    ['cheap primitives', undefined],
    ['real ones', nodePrimitives],
  ] as const)('sees no payload of datagrams nor of streams, %s', (_name, primitives) => {
    const scene = new Scene(SERVICE_RELIABLE, primitives === undefined ? {} : { primitives });
    const { network, a, b } = scene;
    const served = serve(b, PORT, () => new StreamEnd(b, 50_000, 99, 1));
    const client = new StreamEnd(a, 50_000, 1, 99).connect(b, PORT);
    const best = new Inbox(a, 0);
    new Inbox(b, PORT + 1);
    const payloads = [
      1,
      100,
      1_370,
      SEALED_PAYLOAD_BYTES_MAX,
      SEALED_PAYLOAD_BYTES_MAX + 1,
      1_400,
      20_000,
    ].map((length) => random(length));
    for (const payload of payloads) {
      scene.say(payload);
      best.send(b, PORT + 1, payload);
    }
    network.run(2 * SECOND);
    expect(scene.receiver.messages.map(({ bytes }) => bytes)).toEqual(payloads);
    expect(scene.receiver.messages.every(({ source, proved }) => source === a.id && proved)).toBe(
      true,
    );
    expect([client.read, client.wrong, served[0]!.read, served[0]!.wrong]).toEqual([
      50_000, 0, 50_000, 0,
    ]);
    expect(scene.seen.length).toBeGreaterThan(100);
    for (const payload of payloads) expect(holds(scene.seen, payload)).toBe(false);
    // The same search finds what is not sealed so.
    const open = new Inbox(a, 0, { secrecy: 'links' }),
      listening = new Inbox(b, PORT + 2, { secrecy: 'links' });
    open.send(b, PORT + 2, payloads[1]!);
    network.run(100 * MILLISECOND);
    expect([
      listening.messages.length,
      listening.messages[0]!.proved,
      holds(scene.seen, payloads[1]!),
    ]).toEqual([1, false, true]);
    expect(b.node.drops.snapshot()).toEqual({});
  });

  test.each(SERVICES)(
    'finds one packet for a message of up to %s 1,372 bytes, and even pieces above',
    (_name, service) => {
      const scene = new Scene(service);
      const lengths = (bytes: number): number[] => {
        scene.seen.length = 0;
        scene.say(random(bytes));
        return scene.seen.map(({ length }) => length - SEALED_FROM - 16);
      };
      expect(SEALED_PAYLOAD_BYTES_MAX).toBe(1_372);
      expect(lengths(1_372)).toEqual([1_372]);
      expect(lengths(1_373)).toEqual([687 + 8, 686 + 8]);
      expect(lengths(1_400)).toEqual([708, 708]);
      expect(lengths(65_536)).toHaveLength(49);
      expect(scene.receiver.messages.at(-1)!.bytes).toEqual(random(65_536));
    },
  );
});

/** What the router makes of a packet that it has seen. The bytes are a copy. */
const ALTERED: readonly (readonly [
  string,
  (bytes: Uint8Array, scene: Scene) => void,
  DropReason,
])[] = [
  [
    'a byte of the payload',
    (b) => {
      b[SEALED_FROM]! ^= 1;
    },
    DropReason.endToEndForged,
  ],
  [
    'a byte of the tag',
    (b) => {
      b[b.length - 1]! ^= 0x80;
    },
    DropReason.endToEndForged,
  ],
  [
    'the counter',
    (b) => {
      b[27]! ^= 1;
    },
    DropReason.endToEndForged,
  ],
  [
    'the source port',
    (b) => {
      b[13]! ^= 1;
    },
    DropReason.endToEndForged,
  ],
  [
    'the destination port',
    (b) => {
      b[15]! ^= 1;
    },
    DropReason.endToEndForged,
  ],
  [
    'the priority',
    (b) => {
      b[3] = 7;
    },
    DropReason.endToEndForged,
  ],
  [
    'the kind',
    (b) => {
      b[0] = KIND_PIECE;
    },
    DropReason.endToEndForged,
  ],
  [
    'the kind, to that of a stream',
    (b) => {
      b[0] = KIND_STREAM;
    },
    DropReason.endToEndForged,
  ],
  [
    'the link service',
    (b) => {
      b[2]! ^= 1;
    },
    DropReason.endToEndForged,
  ],
  [
    'the source',
    (b, { c }) => {
      b.set(
        [c.id >>> 24, c.id >>> 16, c.id >>> 8, c.id].map((byte) => byte & 0xff),
        4,
      );
    },
    DropReason.endToEndEpochUnknown,
  ],
  [
    'the epoch of the source',
    (b) => {
      b[16]! ^= 1;
    },
    DropReason.endToEndEpochUnknown,
  ],
  [
    'the epoch of the destination',
    (b) => {
      b[19]! ^= 1;
    },
    DropReason.endToEndKeyGone,
  ],
  [
    'the counter, beyond all that there are',
    (b) => {
      b[22] = 0xff;
    },
    DropReason.endToEndMalformed,
  ],
  [
    'the protection: it is taken off',
    (b) => {
      b[2]! &= ~0x40;
    },
    DropReason.endToEndMissing,
  ],
];

describe.each(SERVICES)('a router that alters what it passes on, %s', (_name, service) => {
  test.each(ALTERED)(
    '%s: nothing is delivered, and the genuine packet still is',
    (_what, alter, reason) => {
      const scene = new Scene(service);
      atRouter(scene.router, (packet) => {
        if (packet.destination !== scene.b.id) return false;
        const genuine = packet.bytes.slice(packet.start, packet.end),
          altered = genuine.slice();
        alter(altered, scene);
        scene.seen.push(genuine, altered);
        return true;
      });
      scene.say(random(100));
      atRouter(scene.router, null);
      const [genuine, altered] = scene.seen as [Uint8Array, Uint8Array];
      expect(scene.inject(altered.slice())).toBe(DropReason.none);
      scene.network.run(2 * SECOND);
      expect(scene.receiver.messages).toEqual([]);
      expect(scene.drops).toEqual({ [dropReasonName(reason)]: 1 });
      scene.inject(genuine.slice());
      expect(scene.receiver.messages).toHaveLength(1);
    },
  );

  test('hops and the mark of congestion may change', () => {
    const scene = new Scene(service);
    atRouter(scene.router, (packet) => {
      packet.bytes[packet.start + 1] = 3;
      packet.bytes[packet.start + 2]! |= 0x80;
      return (
        packet.decode(packet.bytes, packet.start, packet.end, packet.keepable) !== DropReason.none
      );
    });
    scene.say(random(100));
    expect(scene.receiver.messages).toHaveLength(1);
    expect(scene.drops).toEqual({});
  });

  test('dissemination, and another node: nothing is delivered there either', () => {
    const scene = new Scene(service);
    scene.say(random(100));
    const [genuine] = scene.seen as [Uint8Array];
    const swapped = genuine.slice(),
      redirected = genuine.slice();
    swapped[2]! |= DISSEMINATION_BYZANTINE << 3;
    scene.inject(swapped);
    redirected.set(
      [scene.c.id >>> 24, scene.c.id >>> 16, scene.c.id >>> 8, scene.c.id].map(
        (byte) => byte & 0xff,
      ),
      8,
    );
    scene.inject(redirected, scene.c);
    expect([scene.receiver.messages.length, scene.elsewhere.messages.length]).toEqual([1, 0]);
    expect(scene.drops).toEqual({ sessionKindUnknown: 1 });
    expect(scene.c.node.drops.snapshot()).toEqual({ endToEndKeyGone: 1 });
  });

  test('early ones that come again after later ones went missing are delivered once', () => {
    const scene = new Scene(service);
    const { network } = scene;
    const pour = (count: number): void => {
      for (let i = 0; i < count; i += 1) {
        scene.sender.send(scene.b, PORT, random(20, i));
        if (i % 50 === 49) network.run(10 * MILLISECOND);
      }
      network.run(200 * MILLISECOND);
    };
    // As many as are forgotten while none is missing.
    pour(6_000);
    const early = scene.seen.slice(100, 400),
      before = scene.receiver.messages.length;
    expect(before).toBe(6_000);
    let dropped = 0;
    atRouter(scene.router, () => (dropped += 1) <= 20);
    pour(4_000);
    expect(scene.receiver.messages.length).toBe(before + 3_980);
    atRouter(scene.router, null);
    for (const copy of early) scene.inject(copy);
    expect(scene.receiver.messages.length).toBe(before + 3_980);
    expect((scene.drops['endToEndReplayed'] ?? 0) + (scene.drops['endToEndTooOld'] ?? 0)).toBe(
      early.length,
    );
  });

  test('copies are taken once while a clone of their source comes and goes', () => {
    const scene = new Scene(service, { duplicates: true });
    const { network, a, c } = scene;
    for (let i = 0; i < 20; i += 1) scene.say(random(100 + i));
    const copies = scene.seen.map((bytes) => bytes.slice());
    const clone = network.world.addTwin(a, 'clone');
    network.connect(clone, c);
    for (let round = 0; round < 3; round += 1) {
      clone.start();
      network.run(3 * SECOND);
      clone.crash();
      network.run(3 * SECOND);
      for (const copy of copies) scene.inject(copy.slice());
      expect(scene.receiver.messages).toHaveLength(20);
    }
  });

  test(
    'copies are taken once: at once, later, ' + 'after new keys, and after a restart of either end',
    () => {
      const scene = new Scene(service, { config: { keyRotationUs: 2 * SECOND } });
      const { network, a, b } = scene;
      for (let i = 0; i < 20; i += 1) scene.say(random(100 + i));
      const copies = scene.seen.map((bytes) => bytes.slice());
      const replay = (): void => {
        for (const copy of copies) scene.inject(copy.slice());
      };
      replay();
      expect(scene.drops).toEqual({ endToEndReplayed: 20 });
      network.run(10 * SECOND);
      expect(a.node.epochs!.rotations).toBeGreaterThan(2);
      replay();
      expect(b.node.drops.of(DropReason.endToEndReplayed)).toBe(40);
      network.run(60 * SECOND);
      replay();
      // Its keys are no longer those of the source.
      network.run(2 * SECOND);
      expect(
        b.node.drops.of(DropReason.endToEndReplayed) +
          b.node.drops.of(DropReason.endToEndEpochUnknown),
      ).toBe(60);
      expect(scene.receiver.messages).toHaveLength(20);
      a.crash();
      network.run(SECOND);
      a.start();
      network.run(3 * SECOND);
      replay();
      network.run(2 * SECOND);
      expect(b.node.drops.of(DropReason.endToEndEpochUnknown)).toBeGreaterThanOrEqual(20);
      b.crash();
      network.run(SECOND);
      b.start();
      const again = new Inbox(b, PORT, { service });
      network.run(3 * SECOND);
      replay();
      network.run(2 * SECOND);
      expect(again.messages).toEqual([]);
      expect(b.node.drops.of(DropReason.endToEndKeyGone)).toBe(20);
    },
  );

  test('pieces of two messages are not put together to a third', () => {
    const scene = new Scene(service);
    atRouter(scene.router, (packet) => {
      scene.seen.push(packet.bytes.slice(packet.start, packet.end));
      return true;
    });
    scene.say(new Uint8Array(2_000).fill(0x61));
    scene.say(new Uint8Array(2_000).fill(0x62));
    atRouter(scene.router, null);
    const [a0, a1, b0, b1] = scene.seen.slice(0, 4) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    // What is sealed of one under the head of the other, then whole packets of both, out of order.
    for (const [head, body] of [
      [a0, b0],
      [b1, a1],
    ] as const) {
      const spliced = head.slice();
      spliced.set(body.subarray(SEALED_FROM), SEALED_FROM);
      scene.inject(spliced);
    }
    expect(scene.drops).toEqual({ endToEndForged: 2 });
    scene.inject(a0);
    scene.inject(b1);
    expect(scene.receiver.messages).toEqual([]);
    scene.inject(a1);
    scene.inject(b0);
    expect(scene.receiver.messages.map(({ bytes }) => [bytes.length, new Set(bytes).size])).toEqual(
      [
        [2_000, 1],
        [2_000, 1],
      ],
    );
  });

  test(
    'streams go on: what is altered, ' + 'repeated or invented ends none, and every byte is right',
    () => {
      const scene = new Scene(service);
      const { network, a, b, router } = scene;
      const rng = new Rng(5);
      let deeds = 0;
      const served = serve(b, PORT, () => new StreamEnd(b, 100_000, 99, 1));
      const client = new StreamEnd(a, 300_000, 1, 99).connect(b, PORT, service);
      network.run(100 * MILLISECOND);
      const again = new Packet();
      atRouter(router, (packet) => {
        if (!rng.chance(0.3)) return false;
        deeds += 1;
        const copy = packet.bytes.slice(packet.start, packet.end);
        if (rng.chance(0.3)) copy[2]! &= ~0x40;
        else if (rng.chance(0.5))
          copy[rng.below(copy.length - SEALED_FROM) + SEALED_FROM]! ^= 1 << rng.below(8);
        if (again.decode(copy, 0, copy.length, true) === DropReason.none)
          router.node.links.of(packet.destination)?.offer(again);
        return false;
      });
      network.run(30 * SECOND);
      expect([
        client.read,
        client.wrong,
        client.error,
        served[0]!.read,
        served[0]!.wrong,
        served[0]!.error,
      ]).toEqual([100_000, 0, null, 300_000, 0, null]);
      expect(deeds).toBeGreaterThan(30);
      const seen = [a, b].reduce(
        (sum, { node }) =>
          sum +
          node.drops.of(DropReason.endToEndForged) +
          node.drops.of(DropReason.endToEndReplayed) +
          node.drops.of(DropReason.endToEndMissing),
        0,
      );
      expect(seen).toBeGreaterThan(20);
    },
  );
});

describe('who does not want it end to end', () => {
  test(
    'reaches only who does not either, and the other way round always; ' +
      'in a network without identities there is nothing else',
    () => {
      const scene = new Scene(SERVICE_RELIABLE);
      const { network, a, b } = scene;
      const open = new Inbox(a, 0, { secrecy: 'links', service: SERVICE_RELIABLE }),
        listening = new Inbox(b, PORT + 1, { secrecy: 'links' });
      open.send(b, PORT, random(10));
      open.send(b, PORT + 1, random(10));
      scene.sender.send(b, PORT + 1, random(20));
      network.run(SECOND);
      expect(scene.receiver.messages).toEqual([]);
      expect(listening.messages.map(({ bytes, proved }) => [bytes.length, proved])).toEqual([
        [10, false],
        [20, true],
      ]);
      expect(scene.drops).toEqual({ endToEndMissing: 1 });
      const plain = chain(2, { security: 'none' });
      plain.settle();
      const inbox = new Inbox(plain.host(1), PORT, { secrecy: 'end-to-end' });
      new Inbox(plain.host(0), 0, { secrecy: 'end-to-end' }).send(
        plain.host(1),
        PORT,
        random(1_400),
      );
      plain.run(SECOND);
      expect(inbox.messages.map(({ bytes, proved }) => [bytes.length, proved])).toEqual([
        [1_400, false],
      ]);
    },
  );

  test('is refused a stream at once by a listener that does', () => {
    const scene = new Scene(SERVICE_RELIABLE);
    const { network, a, b } = scene;
    const served = serve(b, PORT, () => new StreamEnd(b, 0, 99, 1));
    const client = new StreamEnd(a, 100, 1, 99);
    client.stream = a.node.streams.connect(b.id, PORT, 0, client, {
      service: SERVICE_RELIABLE,
      dissemination: 0,
      ttl: 64,
      priority: 1,
      congestion: 'newreno',
      secrecy: 'links',
    });
    a.endTurn();
    network.run(200 * MILLISECOND);
    expect([client.opened, client.error, served.length]).toEqual([false, 'ECONNREFUSED', 0]);
    expect(scene.drops).toEqual({ endToEndMissing: 1 });
  });

  test('a plain packet in the name of an honest node is not delivered, whatever its kind', () => {
    const scene = new Scene(SERVICE_BEST_EFFORT);
    for (const kind of [KIND_DATAGRAM, 2, 5, KIND_PIECE]) {
      const bytes = new Uint8Array(16 + 100),
        packet = new Packet();
      packet.compose(
        bytes,
        0,
        bytes.length,
        kind,
        { service: 0, dissemination: 0, ttl: 9, priority: 1 },
        scene.a.id,
        5,
        scene.b.id,
        PORT,
      );
      scene.inject(bytes);
    }
    expect(scene.receiver.messages).toEqual([]);
    expect(scene.drops).toEqual({ endToEndMissing: 4 });
  });
});
