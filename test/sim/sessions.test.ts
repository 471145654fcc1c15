/**
 * Stories of messages between programs: every size over a chain, lost and hostile fragments, ports,
 * hops, echo.
 */

import { echoBy } from '../support/echo-by.ts';
import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import { defaultLimits } from '../../src/core/node/config.ts';
import { OUTSTANDING_MAX, type EchoResult } from '../../src/core/session/echo-service.ts';
import type { DatagramSession } from '../../src/core/session/sessions.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  encodeFragmentHead,
  FRAGMENT_BYTES,
  FRAGMENT_HEAD_BYTES,
} from '../../src/core/wire/fragment.ts';
import { KIND_FRAGMENT, Packet } from '../../src/core/wire/packet.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import {
  chain,
  hosts,
  Inbox,
  lossy,
  type Network,
  pair,
  pattern,
  useNetworks,
  wire,
} from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const PORT = 5_000;

function ends(network: Network): [SimHost, SimHost] {
  return [network.host(0), network.host(network.hosts.length - 1)];
}

/** Sends the first pieces of a message that never gets whole. */
function sendFragments(
  from: SimHost,
  to: SimHost,
  message: number,
  count: number,
  pieces: number,
  port = PORT,
): void {
  for (let index = 0; index < pieces; index += 1) {
    const packet = new Packet();
    packet.bytes = new Uint8Array(OVERLAY_HEADER_BYTES + FRAGMENT_HEAD_BYTES + FRAGMENT_BYTES);
    packet.end = packet.bytes.length;
    encodeFragmentHead({ message, index, count }, packet.bytes, OVERLAY_HEADER_BYTES);
    packet.kind = KIND_FRAGMENT;
    packet.ttl = 64;
    packet.priority = 1;
    packet.source = from.id;
    packet.destination = to.id;
    packet.sourcePort = 9;
    packet.destinationPort = port;
    packet.encodeHeader();
    from.node.dissemination.originate(packet);
  }
  from.endTurn();
}

/** Sends one probe and runs until it is settled. */
function probe(
  network: Network,
  from: SimHost,
  to: number,
  ttl = 64,
  timeout: Micros = SECOND,
): EchoResult | null | DropReason {
  let result: EchoResult | null | undefined;
  const reason = from.node.echo.probe(to, echoBy(ttl), timeout, (answer) => {
    result = answer;
  });
  from.endTurn();
  if (reason !== DropReason.none) return reason;
  expect(
    network.until(() => result !== undefined, timeout + MS),
    'every probe is settled',
  ).not.toBeNull();
  return result!;
}

describe('messages', () => {
  test.each([0, 1, 1_394, 1_399, 1_400, 1_401, 2_788, 2_789, 30_000, 65_535, 65_536])(
    'of %i bytes arrive whole over five hops',
    (size) => {
      const network = chain(6, { forward: wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000 }) });
      const [a, f] = ends(network);
      network.settle();
      const inbox = new Inbox(f, PORT);
      const sender = new Inbox(a, 77);
      for (let i = 0; i < 3; i += 1) {
        expect(sender.send(f, PORT, pattern(size, i))).toBe(DropReason.none);
        network.run(SECOND);
      }
      expect(inbox.messages).toHaveLength(3);
      inbox.messages.forEach((message, i) => {
        expect(message).toMatchObject({ source: a.id, port: 77 });
        expect(Buffer.compare(message.bytes, pattern(size, i))).toBe(0);
      });
      expect(f.node.sessions.reassembly.messages).toBe(0);
    },
  );

  test('of more than 65,536 bytes are refused', () => {
    const network = pair();
    const [a, b] = ends(network);
    network.settle();
    const inbox = new Inbox(b, PORT);
    expect(new Inbox(a, 77).send(b, PORT, pattern(65_537))).toBe(DropReason.packetTooLong);
    network.run(SECOND);
    expect(inbox.messages).toHaveLength(0);
  });

  test('to an unknown node are refused, to a closed port dropped and counted', () => {
    const network = pair();
    const [a, b] = ends(network);
    network.settle();
    const sender = new Inbox(a, 77);
    const nobody = { ...b, id: b.id + 50 } as SimHost;
    expect(sender.send(nobody, PORT, pattern(10))).toBe(DropReason.noRoute);
    expect(sender.send(b, PORT, pattern(10))).toBe(DropReason.none);
    network.run(SECOND);
    expect(b.node.drops.of(DropReason.portClosed)).toBe(1);
  });

  test('to oneself arrive, of any size, in order and not before the call returns', () => {
    const network = pair();
    const [a] = ends(network);
    network.settle();
    const inbox = new Inbox(a, PORT);
    const sizes = [0, 1, 1_400, 1_401, 65_536];
    for (const size of sizes) {
      const { sessions } = a.node;
      expect(sessions.send(inbox.session, a.id, PORT, pattern(size), 0, size)).toBe(
        DropReason.none,
      );
    }
    expect(inbox.messages).toHaveLength(0);
    a.endTurn();
    expect(inbox.messages.map((m) => m.bytes.length)).toEqual(sizes);
    for (const m of inbox.messages)
      expect(Buffer.compare(m.bytes, pattern(m.bytes.length))).toBe(0);
  });

  test('to oneself from within a delivery end with the turn, and are bounded', () => {
    const network = pair();
    const [a] = ends(network);
    network.settle();
    let deliveries = 0;
    const { sessions } = a.node;
    const owner = {
      onMessage(session: DatagramSession): boolean {
        deliveries += 1;
        for (let i = 0; i < 2; i += 1)
          sessions.send(session, a.id, PORT, new Uint8Array(10), 0, 10);
        return true;
      },
      onWritable(): void {},
    };
    const session = sessions.open(owner);
    sessions.bind(session, PORT);
    sessions.send(session, a.id, PORT, new Uint8Array(10), 0, 10);
    a.endTurn();
    expect(deliveries).toBe(255);
    expect(a.node.dissemination.loopbackPending).toBe(true);
    sessions.close(session);
    for (let i = 0; i < 3; i += 1) a.endTurn();
    expect(a.node.dissemination.loopbackPending).toBe(false);
    expect(a.node.pool.inUse).toBe(0);
  });

  test('to oneself are refused beyond a bound, until the turn has ended', () => {
    const network = pair();
    const [a] = ends(network);
    network.settle();
    const inbox = new Inbox(a, PORT);
    const send = (): DropReason =>
      a.node.sessions.send(inbox.session, a.id, PORT, pattern(1), 0, 1);
    let taken = 0;
    while (send() === DropReason.none) taken += 1;
    expect([taken, send()]).toEqual([16_384, DropReason.loopbackFull]);
    a.endTurn();
    expect(inbox.messages).toHaveLength(taken);
    expect(send()).toBe(DropReason.none);
  });
});

describe('fragments', () => {
  test(
    'that are lost take their message with them, ' + 'never part of it, and memory returns to zero',
    () => {
      const network = pair({ seed: 3, forward: lossy(0.05) });
      const [a, b] = ends(network);
      network.settle();
      const inbox = new Inbox(b, PORT);
      const sender = new Inbox(a, 77);
      for (let i = 0; i < 200; i += 1) {
        sender.send(b, PORT, pattern(20_000, i));
        network.run(20 * MS);
      }
      network.run(SECOND);
      expect(inbox.messages.length).toBeGreaterThan(60);
      expect(inbox.messages.length).toBeLessThan(140);
      for (const { bytes } of inbox.messages) {
        expect(bytes.length).toBe(20_000);
        expect(
          Array.from({ length: 200 }, (_, i) => i).some(
            (i) => Buffer.compare(bytes, pattern(20_000, i)) === 0,
          ),
        ).toBe(true);
      }
      expect(b.node.sessions.reassembly.bytes).toBeGreaterThan(0);
      network.run(7 * SECOND);
      expect(b.node.sessions.reassembly.bytes).toBe(0);
      expect(b.node.sessions.reassembly.messages).toBe(0);
      expect(
        b.node.drops.of(DropReason.fragmentTimedOut) +
          b.node.drops.of(DropReason.fragmentTableFull) +
          inbox.messages.length,
      ).toBe(200);
    },
  );

  test('that arrive twice and out of order make one message', () => {
    const network = pair({
      seed: 4,
      forward: wire({ latencyUs: 5 * MS, duplicateRate: 0.5, reorderRate: 0.4, reorderUs: 3 * MS }),
    });
    const [a, b] = ends(network);
    network.settle();
    const inbox = new Inbox(b, PORT);
    const sender = new Inbox(a, 77);
    for (let i = 0; i < 50; i += 1) {
      sender.send(b, PORT, pattern(50_000, i));
      network.run(10 * MS);
    }
    network.run(SECOND);
    expect(inbox.messages).toHaveLength(50);
    for (let i = 0; i < 50; i += 1)
      expect(inbox.messages.some((m) => Buffer.compare(m.bytes, pattern(50_000, i)) === 0)).toBe(
        true,
      );
  });

  /** A victim in the middle of `rogues` that send first pieces only, and one honest neighbour. */
  function underAttack(
    rogues: number,
    kbps = 10_000,
    every = 100,
  ): { delivered: number; victim: SimHost } {
    const network = hosts(0, { config: { limits: defaultLimits, secrecy: 'links' } });
    const victim = network.add('victim');
    const honest = network.add('honest');
    network.connect(honest, victim, wire({ latencyUs: 5 * MS, bandwidthKbps: kbps }));
    const attackers = Array.from({ length: rogues }, (_, i) => network.add(`rogue${i}`));
    for (const rogue of attackers) network.connect(rogue, victim, wire({ latencyUs: MS }));
    network.settle();
    const inbox = new Inbox(victim, PORT);
    const sender = new Inbox(honest, 77);
    let message = 0;
    const until = network.now + 5 * SECOND;
    for (let at = 0; network.now < until; at += 1) {
      for (const rogue of attackers) sendFragments(rogue, victim, (message += 1), 47, 1);
      if (at % every === 0) sender.send(victim, PORT, pattern(20_000, at / every));
      network.run(MS);
      network.checkBounds();
    }
    network.run(3 * SECOND);
    return { delivered: inbox.messages.length, victim };
  }

  test('of one hostile sender do not cost an honest one a message', () => {
    const { delivered, victim } = underAttack(1);
    expect(delivered).toBe(50);
    expect(victim.node.drops.of(DropReason.fragmentTableFull)).toBeGreaterThan(3_900);
  });

  test('of five hostile senders do not cost an honest one a message', () => {
    expect(underAttack(5).delivered).toBe(50);
  });

  test('of five hostile senders do not cost an honest one behind a slow wire a message', () => {
    // Its pieces arrive 60 ms apart; meanwhile the others open 300 messages.
    expect(underAttack(5, 200, 1_250).delivered).toBe(4);
  });

  test('that contradict each other are counted and give nothing', () => {
    const network = pair({ config: { secrecy: 'links' } });
    const [a, b] = ends(network);
    network.settle();
    const inbox = new Inbox(b, PORT);
    sendFragments(a, b, 1, 10, 3);
    sendFragments(a, b, 1, 5, 5);
    sendFragments(a, b, 2, 49, 1);
    sendFragments(a, b, 3, 1, 1);
    network.run(SECOND);
    expect(inbox.messages).toHaveLength(0);
    expect(b.node.drops.of(DropReason.fragmentMalformed)).toBe(7);
  });
});

describe('ports', () => {
  test('are one socket’s at a time', () => {
    const network = pair();
    const [a] = ends(network);
    network.settle();
    const first = new Inbox(a, PORT);
    expect(() => new Inbox(a, PORT)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    expect(() => a.node.sessions.bind(first.session, PORT + 1)).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    );
    a.node.sessions.close(first.session);
    new Inbox(a, PORT);
    expect(() => a.node.sessions.bind(first.session, 0)).toThrow(
      expect.objectContaining({ code: 'EBADF' }),
    );
  });

  test('that the system chooses run out with an error, and come back', () => {
    const network = pair();
    const [a] = ends(network);
    network.settle();
    const all = Array.from({ length: 60_999 - 32_768 + 1 }, () => new Inbox(a, 0));
    expect(new Set(all.map((inbox) => inbox.session.port)).size).toBe(all.length);
    expect(() => new Inbox(a, 0)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    new Inbox(a, PORT);
    const freed = all[1_234]!.session;
    a.node.sessions.close(freed);
    expect(new Inbox(a, 0).session.port).toBe(freed.port);
  });
});

describe('hops', () => {
  test('run out exactly where the ttl says', () => {
    const network = chain(5);
    const [a] = ends(network);
    network.settle();
    const inboxes = network.hosts.map((host) => new Inbox(host, PORT));
    const sender = new Inbox(a, 77, { ttl: 3 });
    for (const host of network.hosts.slice(1)) sender.send(host, PORT, pattern(10));
    network.run(SECOND);
    expect(inboxes.map((inbox) => inbox.messages.length)).toEqual([0, 1, 1, 1, 0]);
    expect(network.host(3).node.drops.of(DropReason.ttlExpired)).toBe(1);
  });
});

describe('echo', () => {
  test('pings every node of a chain with its distance and round trip', () => {
    const network = chain(6, { forward: wire({ latencyUs: 10 * MS }) });
    const [a] = ends(network);
    network.settle();
    network.hosts.forEach((host, hops) => {
      expect(probe(network, a, host.id)).toEqual({
        node: host.id,
        reached: true,
        rttUs: hops * 20 * MS,
        hops,
      });
    });
  });

  test('traces every hop of a chain', () => {
    const network = chain(6, { forward: wire({ latencyUs: 10 * MS }) });
    const [a, f] = ends(network);
    network.settle();
    for (let ttl = 1; ttl <= 6; ttl += 1) {
      const hop = Math.min(ttl, 5);
      expect(probe(network, a, f.id, ttl), `ttl ${ttl}`).toEqual({
        node: network.host(hop).id,
        reached: ttl >= 5,
        rttUs: hop * 20 * MS,
        hops: hop,
      });
    }
  });

  test('says at once that a node is unreachable, and later that it does not answer', () => {
    const network = chain(4);
    const [a, d] = ends(network);
    network.settle();
    expect(probe(network, a, d.id + 9)).toBe(DropReason.noRoute);
    d.crash();
    expect(probe(network, a, d.id, 64, 200 * MS)).toBeNull();
    network.run(SECOND);
    expect(probe(network, a, d.id)).toBe(DropReason.noRoute);
    expect(a.node.echo.outstanding).toBe(0);
  });

  test('has places for every asker, however many one has taken', () => {
    const network = chain(3);
    const [a, c] = ends(network);
    network.settle();
    for (const crowd of ['alice', 'bob', 'carol', 'dave']) {
      for (let i = 0; i < 2_000; i += 1)
        a.node.echo.probe(network.host(1).id, echoBy(), 3 * SECOND, () => {}, crowd);
    }
    expect(a.node.echo.outstanding).toBe(OUTSTANDING_MAX);
    const answers: (EchoResult | null)[] = [];
    for (let i = 0; i < 20; i += 1)
      expect(
        a.node.echo.probe(c.id, echoBy(), 5 * SECOND, (result) => answers.push(result), 'honest'),
      ).toBe(DropReason.none);
    for (let i = 0; i < 100; i += 1)
      a.node.echo.probe(network.host(1).id, echoBy(), 3 * SECOND, () => {}, 'alice');
    network.run(4 * SECOND);
    expect(answers).toHaveLength(20);
    expect(answers.every((answer) => answer?.reached === true)).toBe(true);
  });

  test('counts lost probes as lost, and no answer twice', () => {
    const network = pair({
      seed: 8,
      forward: wire({
        latencyUs: 5 * MS,
        duplicateRate: 0.5,
        loss: { kind: 'bernoulli', rate: 0.2 },
      }),
    });
    const [a, b] = ends(network);
    network.settle();
    const results: (EchoResult | null)[] = [];
    for (let i = 0; i < 500; i += 1) {
      a.node.echo.probe(b.id, echoBy(64, 100), SECOND, (result) => results.push(result));
      a.endTurn();
      network.run(5 * MS);
    }
    network.run(2 * SECOND);
    expect(results).toHaveLength(500);
    const share = results.filter((result) => result !== null).length / 500;
    expect(share).toBeGreaterThan(0.57);
    expect(share).toBeLessThan(0.71);
  });

  test(
    'answers a flood with 2,000 replies a second and no more, ' +
      'and outstanding probes are bounded',
    () => {
      const network = pair();
      const [a, b] = ends(network);
      network.settle();
      let answered = 0;
      let refused = 0;
      for (let i = 0; i < 1_000; i += 1) {
        for (let k = 0; k < 20; k += 1) {
          const reason = a.node.echo.probe(b.id, echoBy(), 3 * SECOND, (result) => {
            if (result !== null) answered += 1;
          });
          if (reason !== DropReason.none) refused += 1;
        }
        a.endTurn();
        expect(a.node.echo.outstanding).toBeLessThanOrEqual(4_096);
        network.run(MS);
      }
      network.run(4 * SECOND);
      expect(answered).toBeGreaterThan(400);
      expect(answered).toBeLessThanOrEqual(2_300);
      expect(refused).toBeGreaterThan(1_000);
      expect(b.node.drops.of(DropReason.echoRateLimited)).toBeGreaterThan(1_000);
      expect(probe(network, a, b.id)).toMatchObject({ reached: true });
    },
  );
});
