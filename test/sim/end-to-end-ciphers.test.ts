/**
 * Two ciphers from end to end: who takes AES says so in its signed advertisement, and a mark in the
 * counter says which one a packet has. Whatever a router or an end does with the mark, nothing is
 * delivered that was not sent, or twice, and each try is counted by its reason.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { SECOND } from '../../src/core/base/time.ts';
import type { Primitives } from '../../src/core/crypto/primitives.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { AES_SEALS } from '../../src/core/wire/node-facts.ts';
import { Packet } from '../../src/core/wire/packet.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { atRouter, PORT, random, Scene, SERVICES } from '../support/end-to-end-scene.ts';
import { Inbox, useNetworks, type NetworkOptions } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

/** Where the highest byte of the counter is, and its bit that says AES. */
const MARK_AT = 22,
  MARK = 0x80;
const CASES = SERVICES.flatMap(([name, service]) => [
  [name, service, 'cheap primitives', {}] as const,
  [name, service, 'real ones', { primitives: { ...nodePrimitives, aesIsFast: true } }] as const,
]);

/** Who of the two takes AES. */
function scene(service: number, options: NetworkOptions, a: boolean, b: boolean): Scene {
  return new Scene(service, options, (first, _router, second) => {
    first.configure({ capabilities: a ? AES_SEALS : 0 });
    second.configure({ capabilities: b ? AES_SEALS : 0 });
  });
}

function marked(bytes: Uint8Array): boolean {
  return (bytes[MARK_AT]! & MARK) !== 0;
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[MARK_AT]! ^= MARK;
  return copy;
}

/** Sends `bytes`, which the router keeps to itself; what it kept. */
function withheld(at: Scene, bytes: Uint8Array): Uint8Array {
  let kept: Uint8Array | null = null;
  atRouter(at.router, (packet) => {
    kept = packet.bytes.slice(packet.start, packet.end);
    return true;
  });
  at.say(bytes);
  at.record();
  return kept!;
}

describe.each(CASES)('%s, service %i, %s', (_name, service, _primitives, options) => {
  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])('AES is what both ends take: %s and %s', (a, b) => {
    const at = scene(service, options, a, b);
    const back = new Inbox(at.b, PORT + 1, { service });
    new Inbox(at.a, PORT + 2, { service });
    for (const bytes of [1, 700, 1_372, 5_000]) at.say(random(bytes));
    back.send(at.a, PORT + 2, random(300));
    at.network.run(SECOND);
    expect(at.receiver.messages.map(({ bytes }) => bytes.length)).toEqual([1, 700, 1_372, 5_000]);
    expect(at.receiver.messages.every(({ proved }) => proved)).toBe(true);
    expect(at.seen.length).toBeGreaterThan(7);
    expect(new Set(at.seen.map(marked))).toEqual(new Set([a && b]));
    expect([at.drops, at.a.node.drops.snapshot()]).toEqual([{}, {}]);
  });

  test.each([true, false])(
    'a mark that a router changed opens nothing, ends with AES: %s',
    (aes) => {
      const at = scene(service, options, aes, aes);
      const kept = withheld(at, random(300));
      expect(marked(kept)).toBe(aes);
      at.inject(flipped(kept));
      expect(at.receiver.messages).toEqual([]);
      expect(at.drops).toEqual({ endToEndForged: 1 });
      // The window has not moved: the genuine one is still taken, and once.
      at.inject(kept.slice());
      at.inject(flipped(kept));
      at.inject(kept.slice());
      expect(at.receiver.messages.map(({ bytes }) => bytes)).toEqual([random(300)]);
      expect(at.drops).toEqual({ endToEndForged: 1, endToEndReplayed: 2 });
    },
  );

  test('a number that was taken under one cipher is not taken under the other', () => {
    const at = scene(service, options, true, true);
    for (let i = 0; i < 20; i += 1) at.say(random(100 + i));
    const early = at.seen.map((bytes) => bytes.slice());
    expect([at.receiver.messages.length, early.every(marked)]).toEqual([20, true]);
    for (const copy of early) at.inject(flipped(copy));
    expect(at.drops).toEqual({ endToEndReplayed: 20 });
    // Its end comes back without AES: numbers and keys are new, and what is old is neither's.
    at.a.configure({ capabilities: 0 });
    at.a.crash();
    at.network.run(SECOND);
    at.a.start();
    at.network.run(3 * SECOND);
    const again = new Inbox(at.a, 0, { service });
    at.seen.length = 0;
    at.record();
    again.send(at.b, PORT, random(55));
    at.network.run(SECOND);
    expect([at.receiver.messages.length, at.seen.some(marked)]).toEqual([21, false]);
    const before = at.b.node.drops.of(DropReason.endToEndEpochUnknown);
    for (const copy of early) {
      at.inject(copy.slice());
      at.inject(flipped(copy));
    }
    at.network.run(2 * SECOND);
    expect(at.receiver.messages.length).toBe(21);
    expect(at.b.node.drops.of(DropReason.endToEndEpochUnknown) - before).toBe(40);
  });

  test(
    'a sender that marks what it may not, ' +
      'or leaves the mark out, is opened or not by what it did',
    () => {
      // B takes no AES, and A believes that it does: it is opened all the same, as it costs B only.
      const at = scene(service, options, true, false);
      const other = scene(service, options, true, true);
      const lie = (host: SimHost, aes: boolean): void => {
        host.node.router.usable = () => aes;
      };
      lie(at.a, true);
      lie(other.a, false);
      for (const each of [at, other]) each.say(random(99));
      expect([at.seen.map(marked), other.seen.map(marked)]).toEqual([[true], [false]]);
      for (const each of [at, other]) {
        expect(each.receiver.messages.map(({ bytes }) => bytes)).toEqual([random(99)]);
        expect(each.drops).toEqual({});
      }
    },
  );

  test('streams go on beside a router that changes marks of copies and of some packets', () => {
    const at = scene(service, options, true, true);
    const { network, a, b, router } = at;
    const rng = new Rng(7),
      again = new Packet();
    let deeds = 0;
    const served = serve(b, PORT, () => new StreamEnd(b, 50_000, 99, 1));
    atRouter(router, (packet) => {
      if (!rng.chance(0.3)) return false;
      deeds += 1;
      const copy = flipped(packet.bytes.subarray(packet.start, packet.end));
      if (again.decode(copy, 0, copy.length, true) === DropReason.none)
        router.node.links.of(packet.destination)?.offer(again);
      return rng.chance(0.2);
    });
    const client = new StreamEnd(a, 150_000, 1, 99).connect(b, PORT, service);
    network.run(30 * SECOND);
    const [server] = served;
    expect([client.read, client.wrong, client.error]).toEqual([50_000, 0, null]);
    expect([server!.read, server!.wrong, server!.error]).toEqual([150_000, 0, null]);
    const refused = [a, b].reduce(
      (sum, { node }) =>
        sum + node.drops.of(DropReason.endToEndForged) + node.drops.of(DropReason.endToEndReplayed),
      0,
    );
    expect(deeds).toBeGreaterThan(20);
    expect(refused).toBe(deeds);
  });
});

test(
  'a node that says AES and cannot open it harms itself alone, ' + 'until it says so no longer',
  () => {
    let broken = false;
    const primitives: Primitives = {
      ...nodePrimitives,
      aesIsFast: true,
      aesSealer: (key) => {
        const real = nodePrimitives.aesSealer(key);
        return {
          seal: (number, bytes, head, end) => real.seal(number, bytes, head, end),
          open: (number, bytes, head, end) => !broken && real.open(number, bytes, head, end),
        };
      },
    };
    const at = scene(SERVICES[1][1], { primitives }, true, true);
    const { b } = at,
      onDatagram = b.onDatagram.bind(b);
    b.onDatagram = (bytes, from) => {
      broken = true;
      onDatagram(bytes, from);
      broken = false;
    };
    for (let i = 0; i < 10; i += 1) at.say(random(100));
    at.sender.send(at.c, PORT, random(50));
    at.network.run(SECOND);
    expect([at.receiver.messages.length, at.elsewhere.messages.length]).toEqual([0, 1]);
    expect(at.drops).toEqual({ endToEndForged: 10 });
    b.configure({ capabilities: 0 });
    b.crash();
    at.network.run(SECOND);
    b.start();
    at.network.run(3 * SECOND);
    const again = new Inbox(b, PORT);
    at.say(random(100));
    expect(again.messages.length).toBe(1);
  },
);
