/**
 * What the system says of UDP addresses: closed ports, silence, no route, no socket of that family.
 */

import { createSocket, type Socket } from 'node:dgram';
import { expect, test } from 'vitest';

import { makeEndpoint } from '../../../../src/core/base/datagram.ts';
import { ReachProbe } from '../../../../src/host/net/reach-probe.ts';
import type { ProbeResult } from '../../../../src/core/base/address-probe.ts';

async function bound(address: string): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve) => {
    socket.bind(0, address, () => resolve());
  });
  return socket;
}

async function ask(probe: ReachProbe, address: string, port: number): Promise<ProbeResult> {
  return await new Promise((resolve) => {
    probe.probe(makeEndpoint(address, port), resolve);
  });
}

// Silence takes a second to be told: these wait for it beside each other.
test.concurrent.each(['127.0.0.1', '::1'])(
  'a closed port is told from one that is open and silent (%s)',
  async (address) => {
    let turns = 0;
    const probe = new ReachProbe(
      () => true,
      () => {
        turns += 1;
      },
    );
    const closed = await bound(address);
    const { port } = closed.address();
    const silent = ask(probe, address, port);
    closed.close();
    await silent.then((result) => expect(['portClosed', 'nothing']).toContain(result));
    expect(await ask(probe, address, port)).toBe('portClosed');
    const open = await bound(address);
    expect(await ask(probe, address, open.address().port)).toBe('nothing');
    open.close();
    expect(turns).toBe(3);
  },
);

test.concurrent(
  'an address of a family that the daemon has no socket of, ' + 'and one that nothing leads to',
  async () => {
    const probe = new ReachProbe(
      (v6) => !v6,
      () => {},
    );
    expect(await ask(probe, '::1', 9)).toBe('noSocket');
    // Multicast from nowhere, broadcast without leave: this machine says no by itself, whatever its
    // routes.
    expect(['forbidden', 'unreachable']).toContain(await ask(probe, '255.255.255.255', 9));
  },
);

test.concurrent(
  'a probe that is ended tells nothing, ' + 'and many at once are refused softly',
  async () => {
    const probe = new ReachProbe(
      () => true,
      () => {},
    );
    const open = await bound('127.0.0.1');
    const { port } = open.address();
    const results: ProbeResult[] = [];
    for (let i = 0; i < 40; i += 1)
      probe.probe(makeEndpoint('127.0.0.1', port), (result) => results.push(result));
    await new Promise((resolve) => {
      setImmediate(() => setImmediate(resolve));
    });
    expect(results).toEqual(Array.from({ length: 24 }, () => 'nothing'));
    probe.close();
    expect(await ask(probe, '127.0.0.1', port)).toBe('nothing');
    expect(results).toHaveLength(24);
    open.close();
  },
);
