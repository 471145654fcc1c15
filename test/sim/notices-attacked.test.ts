/**
 * Who lies about undelivered datagrams, or makes a destination lie: made-up flows, made-up sources,
 * notices in the name of others. Programs hear of what they sent themselves, of no more than that,
 * and nobody silences what they should hear; to whom rules refuse, closed and open ports look
 * alike.
 */

import { expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { NO_RULES } from '../../src/core/session/rules.ts';
import { THROTTLES_OF_SESSION_MAX } from '../../src/core/session/throttles.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { encodeNotice, NOTICE_BYTES, NOTICE_LONG } from '../../src/core/wire/notice.ts';
import {
  KIND_DATAGRAM,
  KIND_NOTICE,
  Packet,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../../src/core/wire/packet.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { hosts, Inbox, lossy, Network, useNetworks, wire } from '../support/network.ts';
import { Program, sayClosed, star } from '../support/undelivered.ts';

useNetworks();

const PORT = 77;
const SEALED = { service: SERVICE_RELIABLE };
const BY_LINKS = { service: SERVICE_RELIABLE, secrecy: 'links' } as const;
const MODES = { service: SERVICE_RELIABLE, dissemination: 0, ttl: TTL_DEFAULT, priority: 1 };

/** `from` sends a packet to `to` in the name of `source`; `sealed`: it only says so. */
function forge(
  from: SimHost,
  source: number,
  sourcePort: number,
  to: SimHost,
  port: number,
  sealed = false,
): void {
  const bytes = new Uint8Array(OVERLAY_HEADER_BYTES + 64).fill(7);
  const packet = new Packet();
  packet.compose(bytes, 0, bytes.length, KIND_DATAGRAM, MODES, source, sourcePort, to.id, port);
  packet.secret = false;
  if (sealed) {
    packet.sealed = true;
    packet.encodeHeader();
  }
  from.node.dissemination.originate(packet);
}

test('a notice that anybody could write in the name of the destination is not believed', () => {
  const { network, a, b, c } = star();
  const program = new Program(a, 5, BY_LINKS),
    listens = [new Inbox(b, PORT, BY_LINKS), new Inbox(c, PORT, BY_LINKS)];
  for (const to of [b, c]) program.send(to, PORT, new Uint8Array(100));
  network.run(SECOND);
  sayClosed(c, b.id, program, a, b.id, PORT, 1, false);
  network.run(SECOND);
  expect(listens.map(({ messages }) => messages.length)).toEqual([1, 1]);
  expect(program.told).toBe(0);
});

test.each([false, true])(
  'what others sent in its name is told to no program, sealed %s',
  (sealed) => {
    const { network, a, b, c } = star();
    const program = new Program(a, 5, SEALED);
    network.run(SECOND);
    for (let i = 0; i < 10; i += 1) forge(c, a.id, 5, b, 99, sealed);
    c.endTurn();
    network.run(SECOND);
    expect(program.told).toBe(0);
  },
);

test.each(['the source', 'strangers'])(
  'flows made up in the name of %s silence nobody',
  (names) => {
    const { network, a, b, c } = star();
    const program = new Program(a, 5, SEALED);
    network.run(SECOND);
    for (let i = 0; i < 40; i += 1) {
      for (let n = 0; n < 300; n += 1)
        forge(c, names === 'strangers' ? 0x0b00_0000 + n : a.id, 1_000 + n, b, 2_000);
      c.endTurn();
      network.run(12 * MILLISECOND);
      program.send(b, PORT, new Uint8Array(100));
      network.run(13 * MILLISECOND);
    }
    network.run(2 * SECOND);
    expect([...program.lost]).toEqual([[DropReason.portClosed, 40]]);
    // Nothing is kept for sources that nobody knows.
    expect(b.node.pool.inUse).toBeLessThan(100);
  },
);

test.each([SEALED, BY_LINKS])(
  'a socket hears nothing of who had its port before, %j',
  (options) => {
    const { network, a, b } = star();
    const first = new Program(a, 5, options);
    for (let i = 0; i < 10; i += 1) first.send(b, PORT, new Uint8Array(100));
    network.run(10 * MILLISECOND);
    a.node.sessions.close(first.session);
    const second = new Program(a, 5, options);
    network.run(SECOND);
    expect(second.told).toBe(0);
  },
);

test.each([SEALED, BY_LINKS])(
  'closed and open ports look alike to whom rules refuse, %j',
  (options) => {
    const network = hosts(3);
    const [b, a] = network.hosts as [SimHost, SimHost, SimHost];
    b.configure({
      firewall: { ...NO_RULES, defaults: { ...NO_RULES.defaults, inbound: 'deny' } },
    });
    for (const leaf of [1, 2]) network.connect(network.host(leaf), b);
    network.settle();
    const open = new Program(a, 5, options),
      shut = new Program(a, 6, options),
      listens = new Inbox(b, PORT, options);
    open.send(b, PORT, new Uint8Array(10));
    shut.send(b, PORT + 1, new Uint8Array(10));
    network.run(SECOND);
    expect(listens.messages).toHaveLength(0);
    expect([open.told, shut.told]).toEqual([0, 0]);
  },
);

test.each([SEALED, BY_LINKS])(
  'no more are told than were sent while ways change, %j',
  (options) => {
    const network = hosts(4);
    const [a, p, q, b] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
    const slow = wire({ latencyUs: 30 * MILLISECOND });
    network.connect(a, p);
    network.connect(p, b);
    network.connect(a, q, slow);
    network.connect(q, b, slow);
    network.settle();
    const program = new Program(a, 5, options);
    let sent = 0;
    for (let i = 0; i < 600; i += 1) {
      if (program.send(b, PORT, new Uint8Array(100)) === DropReason.none) sent += 1;
      network.run(5 * MILLISECOND);
      if (i === 200) p.crash();
      if (i === 400) p.start();
    }
    network.run(10 * SECOND);
    expect(program.told).toBe(sent);
  },
);

test('what a program does not take for want of proof is told to who sent it', () => {
  const { network, a, b } = star();
  const program = new Program(a, 5, BY_LINKS),
    listens = new Inbox(b, PORT, SEALED);
  for (let i = 0; i < 10; i += 1) program.send(b, PORT, new Uint8Array(100));
  network.run(SECOND);
  expect(listens.messages).toHaveLength(0);
  expect([...program.lost]).toEqual([[DropReason.endToEndMissing, 10]]);
});

test('a hundred closed ports are told, each', () => {
  const { network, a, b } = star();
  const program = new Program(a, 5, SEALED);
  for (let i = 0; i < 100; i += 1) program.send(b, 1_000 + i, new Uint8Array(100));
  network.run(SECOND);
  expect([...program.lost]).toEqual([[DropReason.portClosed, 100]]);
});

test('both ends begin anew on a way that loses 30 %: all arrive, or are told', () => {
  const network = new Network({ seed: 3 });
  for (let i = 0; i < 5; i += 1) network.add();
  for (let i = 0; i < 4; i += 1) network.connect(network.host(i), network.host(i + 1), lossy(0.3));
  network.settle(30 * SECOND);
  const a = network.host(0),
    b = network.host(4);
  let listens = new Inbox(b, PORT, SEALED),
    sent = 0,
    found = 0;
  for (let round = 0; round < 4; round += 1) {
    const program = new Program(a, 5, SEALED),
      isKilled = round % 2 === 1;
    for (let i = 0; i < 1_600; i += 1) {
      if (program.send(b, PORT, new Uint8Array(100)) === DropReason.none) sent += 1;
      if (i % 4 === 3) network.run(5 * MILLISECOND);
      if (isKilled && i === 400) {
        found += listens.messages.length;
        b.crash();
        network.run(900 * MILLISECOND);
        b.start();
        listens = new Inbox(b, PORT, SEALED);
      }
    }
    network.run(15 * SECOND);
    found += program.told;
    if (isKilled) {
      a.node.sessions.close(program.session);
      continue;
    }
    a.crash();
    network.run(200 * MILLISECOND);
    a.start();
    network.run(20 * MILLISECOND);
  }
  found += listens.messages.length;
  // What the daemon had taken when it crashed is acknowledged, and was delivered before.
  expect(found).toBeGreaterThanOrEqual(sent);
  expect(found).toBeLessThanOrEqual(sent + 10);
});

test.each([
  ['end-to-end', 1_400],
  ['end-to-end', 65_536],
  ['links', 3_000],
] as const)(
  'made-up rates of flows that nobody sends keep no long message back (%s, %i bytes)',
  (secrecy, length) => {
    const { network, a, b, c } = star();
    const options = { service: SERVICE_RELIABLE, secrecy } as const;
    const inbox = new Inbox(b, PORT, options),
      from = new Inbox(a, 5, options);
    // Who is sent to may say how it goes.
    from.send(c, 9, new Uint8Array(10));
    network.run(SECOND);
    const { run, nextMessage } = from.session;
    for (let i = 0; i < 20; i += 1) {
      for (let port = 1; port <= THROTTLES_OF_SESSION_MAX; port += 1) {
        const bytes = new Uint8Array(OVERLAY_HEADER_BYTES + NOTICE_BYTES);
        const quote = { quoteHigh: run, quoteLow: nextMessage - 1 };
        const about = { destination: c.id, sourcePort: 5, destinationPort: port };
        const notice = { reason: NOTICE_LONG, dropped: 0, rate: 1, ...about, ...quote };
        encodeNotice(notice, bytes, OVERLAY_HEADER_BYTES);
        const packet = new Packet();
        packet.compose(bytes, 0, bytes.length, KIND_NOTICE, MODES, c.id, 0, a.id, 0);
        packet.secret = true;
        c.node.dissemination.originate(packet);
        c.endTurn();
      }
      network.run(200 * MILLISECOND);
      expect(from.send(b, PORT, new Uint8Array(length))).toBe(DropReason.none);
    }
    network.run(SECOND);
    expect(inbox.messages.length).toBe(20);
  },
);
