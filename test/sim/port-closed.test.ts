/**
 * Datagrams over reliable links that arrive where no program listens: while it is not started yet,
 * after its daemon began anew, or ever. Their source is told how many, by nobody but their
 * destination, and nothing is lost without a word.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { Inbox, useNetworks } from '../support/network.ts';
import { Program, sayClosed, star } from '../support/undelivered.ts';

useNetworks();

const PORT = 77;
const WAYS = [
  ['sealed from end to end', { service: SERVICE_RELIABLE }],
  ['sealed by links', { service: SERVICE_RELIABLE, secrecy: 'links' }],
  ['by Byzantine routing', { service: SERVICE_RELIABLE, dissemination: DISSEMINATION_BYZANTINE }],
] as const;
/** Long ones, and those of Byzantine routing, go in several packets and are told once. */
const SIZES = [1, 100, 1_400, 20_000] as const;

describe.each(WAYS)('a closed port, messages %s', (_what, options) => {
  test('is told to who sent there, for each message, and to nobody for what arrives', () => {
    const { network, a, b } = star();
    const program = new Program(a, 5, options),
      listens = new Inbox(b, PORT + 1, options);
    for (const bytes of SIZES) {
      const before = b.node.drops.of(DropReason.portClosed);
      program.lost.clear();
      for (let i = 0; i < 20; i += 1) {
        expect(program.send(b, PORT, new Uint8Array(bytes))).toBe(DropReason.none);
        expect(program.send(b, PORT + 1, new Uint8Array(bytes))).toBe(DropReason.none);
        network.run(20 * MILLISECOND);
      }
      network.run(2 * SECOND);
      expect(b.node.drops.of(DropReason.portClosed) - before).toBeGreaterThanOrEqual(20);
      expect([...program.lost]).toEqual([[DropReason.portClosed, 20]]);
    }
    expect(listens.messages).toHaveLength(20 * SIZES.length);
  });

  test('of a program that starts a second after its daemon did: all arrive, or are told', () => {
    const { network, a, b } = star();
    const program = new Program(a, 5, options);
    let heard = new Inbox(b, PORT, options);
    const total = 500;
    let arrived = 0;
    for (let i = 0; i < total; i += 1) {
      program.send(b, PORT, new Uint8Array(100));
      network.run(10 * MILLISECOND);
      if (i === 100) {
        arrived += heard.messages.length;
        b.crash();
      }
      if (i === 150) b.start();
      if (i === 250) heard = new Inbox(b, PORT, options);
    }
    network.run(10 * SECOND);
    arrived += heard.messages.length;
    const told = [...program.lost.values()].reduce((sum, count) => sum + count, 0);
    expect(program.lost.get(DropReason.portClosed)).toBeGreaterThan(50);
    // What the daemon had taken when it crashed is acknowledged, and was delivered before.
    expect(arrived + told).toBeGreaterThanOrEqual(total);
    expect(arrived + told).toBeLessThanOrEqual(total + 10);
  });
});

test('best effort promises nothing, and hears nothing', () => {
  const { network, a, b } = star();
  const program = new Program(a, 5, { service: SERVICE_BEST_EFFORT });
  for (let i = 0; i < 20; i += 1) program.send(b, PORT, new Uint8Array(100));
  network.run(SECOND);
  expect(b.node.drops.of(DropReason.portClosed)).toBe(20);
  expect([...program.lost]).toEqual([]);
});

test('a closed port of its own node is told to a program as well', () => {
  const { network, a } = star();
  const program = new Program(a, 5, { service: SERVICE_RELIABLE });
  for (let i = 0; i < 20; i += 1) program.send(a, PORT, new Uint8Array(100));
  network.run(SECOND);
  expect([...program.lost]).toEqual([[DropReason.portClosed, 20]]);
});

test.each(WAYS)('nobody but the destination is believed: %s', (_what, options) => {
  const { network, a, router, b, c } = star();
  const program = new Program(a, 5, options),
    listens = new Inbox(b, PORT, options);
  program.send(b, PORT, new Uint8Array(100));
  network.run(SECOND);
  for (const from of [router, c]) {
    for (const secret of [false, true]) {
      sayClosed(from, from.id, program, a, b.id, PORT, 9, secret);
    }
  }
  network.run(SECOND);
  expect(a.node.drops.of(DropReason.noticeUnasked)).toBe(4);
  expect([[...program.lost], listens.messages.length]).toEqual([[], 1]);
});

test('who makes up flows in one name leaves the notices of others alone', () => {
  const { network, a, b, c } = star();
  const program = new Program(a, 5, { service: SERVICE_RELIABLE });
  for (let i = 0; i < 40; i += 1) {
    for (let n = 0; n < 400; n += 1) {
      const flood = c.node.sessions.open(
        { onMessage: () => true, onWritable() {} },
        { service: SERVICE_RELIABLE },
      );
      c.node.sessions.send(flood, b.id, 1_000 + n, new Uint8Array(8), 0, 8);
      c.node.sessions.close(flood);
    }
    c.endTurn();
    program.send(b, PORT, new Uint8Array(100));
    network.run(25 * MILLISECOND);
  }
  network.run(2 * SECOND);
  expect(program.lost.get(DropReason.portClosed)).toBe(40);
});
