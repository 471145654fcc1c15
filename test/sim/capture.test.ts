/**
 * Captures: what a program is given of the datagrams of links, who may have it, and what it costs
 * others: nothing while nobody captures, bounded room while somebody does.
 */

import { describe, expect, test } from 'vitest';

import type { CapturedDatagram } from '../../spines-client/src/shared/capture.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { LOCAL_ACCESS } from '../../src/core/ipc/client.ts';
import { DATAGRAM_SEALED_DATA } from '../../src/core/wire/datagram-header.ts';
import { dissect } from '../../src/cli/capture/dissect.ts';
import { captureLine } from '../../src/cli/capture/capture-text.ts';
import { readAll } from '../support/capturing.ts';
import { ClientProgram } from '../support/client-program.ts';
import { chain, Inbox, pattern, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

function line(): Network {
  const network = chain(3, { forward: wire({ latencyUs: 2 * MILLISECOND }) });
  network.settle();
  network.run(2 * SECOND);
  return network;
}

function capturing(network: Network, args: Record<string, unknown> = {}, at = 1): ClientProgram {
  const client = new ClientProgram(network.host(at));
  expect(client.ask('capture', args)()).toMatchObject({ ok: true, node: `10.0.0.${at + 1}` });
  return client;
}

function packetsIn(datagrams: readonly CapturedDatagram[]): string[] {
  return datagrams.flatMap(({ bytes, length, opened }) =>
    dissect(bytes, length, opened)
      .parts.filter(({ structure }) => structure === 'packet')
      .map(({ fields }) => `${fields.get('source')} > ${fields.get('destination')}`),
  );
}

const hexOf = ({ bytes }: CapturedDatagram): string => Buffer.from(bytes).toString('hex');

describe('a capture', () => {
  test('has what each side sent as the other got it, opened, with who and which way', () => {
    const network = line();
    const [one, other] = [capturing(network, {}, 0), capturing(network, { peers: ['n0'] }, 1)];
    const inbox = new Inbox(network.host(2), 80);
    new Inbox(network.host(0), 7).send(network.host(2), 80, pattern(100));
    network.run(1 * SECOND);
    const [near, far] = [readAll(one).datagrams, readAll(other).datagrams];
    expect(inbox.messages.length).toBe(1);
    for (const out of [true, false]) {
      const [from, to] = out ? [near, far] : [far, near];
      const left = from.filter((datagram) => datagram.out === true).map(hexOf);
      const came = to.filter((datagram) => !datagram.out).map(hexOf);
      expect(came.length).toBeGreaterThan(5);
      // Those that are under way at either end of the time are in one of the two.
      expect(came.filter((bytes) => !left.includes(bytes)).length).toBeLessThanOrEqual(2);
    }
    expect(far.every(({ node, name }) => node === '10.0.0.1' && name === 'n0')).toBe(true);
    expect(far.every(({ opened, bytes }) => opened && bytes[0] === DATAGRAM_SEALED_DATA)).toBe(
      true,
    );
    expect(packetsIn(far)).toEqual(['10.0.0.1 > 10.0.0.3']);
    // The payload was sealed by its source for its destination.
    expect(far.some((one) => hexOf(one).includes(Buffer.from(pattern(100)).toString('hex')))).toBe(
      false,
    );
    expect(far.map(captureLine).filter((text) => text.includes('DATAGRAM'))).toEqual([
      expect.stringMatching(
        /^[\d:.]+ < n0 \d+ B: DATA DATAGRAM 10\.0\.0\.1:7 > 10\.0\.0\.3:80 ttl 64 100 B sealed/,
      ),
    ]);
  });

  test('of a session has the datagrams that carry its packets, pieces of them too', () => {
    const network = line();
    const client = capturing(network, { sessions: [{ node: '10.0.0.1', port: 7 }] });
    new Inbox(network.host(2), 80);
    const [wanted, other] = [new Inbox(network.host(0), 7), new Inbox(network.host(0), 8)];
    for (let i = 0; i < 5; i += 1) {
      wanted.send(network.host(2), 80, pattern(3_000));
      other.send(network.host(2), 80, pattern(200));
      network.run(100 * MILLISECOND);
    }
    const { datagrams } = readAll(client);
    const out = datagrams.filter((datagram) => datagram.out);
    expect(out.length).toBe(datagrams.length / 2);
    expect(out.map((datagram) => datagram.node)).toEqual(out.map(() => '10.0.0.3'));
    expect(packetsIn(out).length).toBeGreaterThanOrEqual(15);
    for (const { bytes, length } of datagrams) {
      const ports = dissect(bytes, length, true).parts.flatMap(({ structure, fields }) =>
        structure === 'packet' ? [fields.get('source port')] : [],
      );
      expect(ports.length === 0 || ports.includes(7)).toBe(true);
    }
  });

  test('says what was dropped of a datagram, and has what could not be opened', () => {
    const network = line();
    const client = capturing(network, { dropsOnly: true }, 2);
    const all = capturing(network, {}, 2);
    new Inbox(network.host(0), 7).send(network.host(2), 4_444, pattern(50));
    network.run(500 * MILLISECOND);
    const [to, from] = [network.host(2), network.host(1)];
    const junk = pattern(80);
    junk.set([DATAGRAM_SEALED_DATA, 0]);
    to.node.onDatagram(junk.slice(), junk.length, from.endpoint);
    to.endTurn();
    const { datagrams } = readAll(client);
    expect(datagrams.map(({ drops, opened }) => [drops, opened])).toEqual([
      [['portClosed'], true],
      [['receiverIndexUnknown'], false],
    ]);
    expect(hexOf(datagrams[1]!)).toBe(Buffer.from(junk).toString('hex'));
    const dropped = readAll(all).datagrams.filter(({ drops }) => drops.length > 0);
    expect(dropped.map(({ drops }) => drops)).toEqual(datagrams.map(({ drops }) => drops));
  });

  test('has handshakes, of a neighbour that was not there before too', () => {
    const network = chain(2, { forward: wire({ latencyUs: 2 * MILLISECOND }) });
    network.host(0).start();
    const client = capturing(network, {}, 0);
    network.run(300 * MILLISECOND);
    network.settle();
    const types = new Set(readAll(client).datagrams.map((one) => captureLine(one).split(': ')[1]));
    const said = [...types].join('\n');
    expect(said).toMatch(/^SEALED_INIT #\d/m);
    expect(said).toContain('SEALED_RESPONSE #');
    expect(said).toContain('LINK_STATE of 10.0.0.2');
  });

  test('cuts what it keeps, and counts what there was no room for', () => {
    const network = line();
    const client = capturing(network, { snap: 64, bytes: 65_536 });
    new Inbox(network.host(2), 80);
    const sender = new Inbox(network.host(0), 7);
    for (let i = 0; i < 400; i += 1) {
      sender.send(network.host(2), 80, pattern(900));
      network.run(2 * MILLISECOND);
    }
    const { datagrams, missed } = readAll(client);
    expect(Math.max(...datagrams.map(({ bytes }) => bytes.length))).toBe(64);
    expect(Math.max(...datagrams.map(({ length }) => length))).toBeGreaterThan(900);
    expect(datagrams.length * (64 + 256)).toBeGreaterThan(60_000);
    expect(datagrams.length * 256).toBeLessThanOrEqual(65_536);
    expect(missed).toBeGreaterThan(400);
    network.run(100 * MILLISECOND);
    expect(readAll(client).missed, 'once what was kept is read').toBe(0);
  });

  test('waits for something to answer with, for as long as it was asked to', () => {
    const network = line();
    const client = capturing(network, { sessions: [{ port: 80 }] });
    const idle = client.ask('captureRead', { waitMs: 1_000 });
    network.run(900 * MILLISECOND);
    expect(idle()).toBeUndefined();
    network.run(200 * MILLISECOND);
    expect(idle()).toMatchObject({ ok: true, datagrams: [], missed: 0 });
    const busy = client.ask('captureRead', { waitMs: 5_000 });
    new Inbox(network.host(0), 7).send(network.host(2), 80, pattern(9));
    network.run(50 * MILLISECOND);
    expect(busy()).toMatchObject({ ok: true, datagrams: [{ out: false }, { out: true }] });
  });
});

describe('who captures', () => {
  test('may administer; others are refused, and both are recorded', () => {
    const network = line();
    for (const role of ['read-only', 'use'] as const) {
      const client = new ClientProgram(network.host(0), { ...LOCAL_ACCESS, role });
      expect(client.asked('capture')).toBe('EACCES');
      expect(client.asked('captureRead', { waitMs: 0 })).toBe('EACCES');
    }
    expect(network.host(0).node.links.taps.tap).toBe(null);
  });

  test('is one of four at most, once for each program, and ends with it: then nobody looks', () => {
    const network = line();
    const { node } = network.host(1);
    const clients = Array.from({ length: 4 }, () => capturing(network));
    const fifth = new ClientProgram(network.host(1));
    expect(fifth.asked('capture')).toBe('EUSERS');
    expect(clients[0]!.asked('capture'), 'again').toBe('ok');
    expect(node.links.taps.tap).not.toBe(null);
    for (const client of clients) client.port.close();
    network.run(500 * MILLISECOND);
    expect(node.links.taps.tap).toBe(null);
    expect(fifth.asked('capture')).toBe('ok');
  });

  test.each([
    ['peers of no link', { peers: ['n2'] }, 'ENOENT'],
    ['peers that nobody knows', { peers: ['n9'] }, 'ENOTFOUND'],
    ['peers that are no texts', { peers: [7] }, 'EINVAL'],
    ['too many', { peers: Array.from({ length: 17 }, () => 'n1') }, 'EINVAL'],
    ['sessions without anything', { sessions: [{}] }, 'EINVAL'],
    ['a port that is none', { sessions: [{ port: 65_536 }] }, 'EINVAL'],
    ['a snap that is too short', { snap: 12 }, 'EINVAL'],
    ['room that nobody may have', { bytes: 1e9 }, 'EINVAL'],
  ])('is told what is wrong: %s', (_what, args, code) => {
    const network = line();
    expect(new ClientProgram(network.host(0)).asked('capture', args)).toBe(code);
  });
});
