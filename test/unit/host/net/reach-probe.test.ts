/**
 * What the system says of UDP addresses: closed ports, silence, no route, no socket of that family.
 */

import { createSocket, type Socket } from 'node:dgram';
import { afterEach, expect, test } from 'vitest';

import { makeEndpoint } from '../../../../src/core/base/datagram.ts';
import { ReachProbe } from '../../../../src/host/net/reach-probe.ts';
import type { ProbeResult } from '../../../../src/core/base/address-probe.ts';

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.close();
});

async function bound(address: string): Promise<number> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  open.push(socket);
  await new Promise<void>((resolve) => {
    socket.bind(0, address, () => resolve());
  });
  return socket.address().port;
}

async function ask(probe: ReachProbe, address: string, port: number): Promise<ProbeResult> {
  return await new Promise((resolve) => {
    probe.probe(makeEndpoint(address, port), resolve);
  });
}

test.each(['127.0.0.1', '::1'])(
  'a closed port is told from one that is open and silent (%s)',
  async (address) => {
    let turns = 0;
    const probe = new ReachProbe(
      () => true,
      () => {
        turns += 1;
      },
    );
    const port = await bound(address);
    const silent = ask(probe, address, port);
    open.pop()!.close();
    await silent.then((result) => expect(['portClosed', 'nothing']).toContain(result));
    expect(await ask(probe, address, port)).toBe('portClosed');
    expect(await ask(probe, address, await bound(address))).toBe('nothing');
    expect(turns).toBe(3);
  },
);

test(
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

test('a probe that is ended tells nothing, and many at once are refused softly', async () => {
  const probe = new ReachProbe(
    () => true,
    () => {},
  );
  const port = await bound('127.0.0.1');
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
});
