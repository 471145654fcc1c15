/** Pings of several sizes, link services and routings: what leaves, and what is told. */

import { expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { dissect } from '../../src/cli/capture/dissect.ts';
import { readAll } from '../support/capturing.ts';
import { ClientProgram, type Told } from '../support/client-program.ts';
import { chain, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

function line(security: 'sealed' | 'none' = 'sealed'): Network {
  const network = chain(3, { security, forward: wire({ latencyUs: 10 * MILLISECOND }) });
  network.settle();
  network.run(3 * SECOND);
  return network;
}

/** The answer, and kind, mode and payload of what passed the node in the middle for it. */
function ping(network: Network, args: Told): { told: Told | undefined; passed: string[] } {
  const looker = new ClientProgram(network.host(1));
  looker.ask('capture');
  const client = new ClientProgram(network.host(0));
  const answer = client.ask('ping', { node: 'n2', timeoutMs: 1_000, ...args });
  network.run(1 * SECOND);
  const passed = readAll(looker).datagrams.flatMap(({ bytes, length, opened, out }) => {
    const { parts } = dissect(bytes, length, opened);
    const found: string[] = [];
    parts.forEach(({ structure, fields }, i) => {
      const kind = Number(fields.get('kind'));
      if (structure !== 'packet' || !out || kind === 7 || kind === 13) return;
      const payload = parts
        .slice(i + 1)
        .find((part) => part.fields.has('payload'))
        ?.fields.get('payload') as string | undefined;
      found.push(`${kind} mode ${Number(fields.get('mode'))} ${(payload?.length ?? 0) / 2} B`);
    });
    return found;
  });
  looker.port.close();
  return { told: answer(), passed };
}

test('as it always was: small, by best effort, along the shortest way', () => {
  const { told, passed } = ping(line(), {});
  expect(told).toMatchObject({ ok: true, hops: 2, rttMs: expect.closeTo(40, 0) });
  expect(passed).toEqual(['4 mode 0 0 B', '4 mode 0 0 B']);
});

test.each([
  ['best-effort', 0],
  ['reliable', 1],
  ['realtime', 2],
])('by %s links, as large as a packet may be, both ways', (link, service) => {
  const { told, passed } = ping(line(), { link, bytes: 1_392 });
  expect(told).toMatchObject({ ok: true, hops: 2 });
  const one = `4 mode ${service} 1392 B`;
  expect(passed.filter((text) => text === one).length).toBeGreaterThanOrEqual(2);
});

test('by byzantine routing, request and answer are in probed packets, and nobody counts', () => {
  const { told, passed } = ping(line(), { routing: 'byzantine', bytes: 100 });
  expect(told).toMatchObject({ ok: true, hops: null });
  expect(passed.length).toBeGreaterThanOrEqual(4);
  expect(passed.filter((text) => !text.startsWith('6 '))).toEqual([]);
});

test('what cannot be is refused, and says why', () => {
  const network = line('none');
  const client = new ClientProgram(network.host(0));
  for (const [args, code] of [
    [{ bytes: 1_393 }, 'EINVAL'],
    [{ link: 'fast' }, 'EINVAL'],
    [{ routing: 'straight' }, 'EINVAL'],
    [{ routing: 'byzantine' }, 'EOPNOTSUPP'],
  ] as const)
    expect(client.asked('ping', { node: 'n2', timeoutMs: 100, ...args })).toBe(code);
});
