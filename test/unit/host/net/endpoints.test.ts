/** Peers' addresses as objects: one for each, bounded, whoever makes addresses up. */

import { describe, expect, test } from 'vitest';

import { makeEndpoint } from '../../../../src/core/base/datagram.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { EndpointTable, GENERATION } from '../../../../src/host/net/endpoints.ts';

function madeUp(i: number): string {
  return `172.${16 + ((i >> 16) & 15)}.${(i >> 8) & 255}.${i & 255}`;
}

describe('EndpointTable', () => {
  test('gives one object for an address and port, and another for any other', () => {
    const table = new EndpointTable(),
      rng = new Rng(4);
    const seen = new Map<string, unknown>();
    for (let i = 0; i < 20_000; i += 1) {
      const v6 = rng.chance(0.5);
      const address = v6 ? `fd00::${rng.below(20).toString(16)}` : `10.0.0.${rng.below(20)}`;
      const port = 8_100 + rng.below(20);
      const endpoint = table.of(address, port);
      const { key } = makeEndpoint(address, port);
      expect(endpoint).toMatchObject({ address, port, key });
      if (seen.has(key)) expect(endpoint).toBe(seen.get(key));
      seen.set(key, endpoint);
    }
    expect(table.size).toBe(seen.size);
  });

  test.each([
    ['many addresses, one port', (i: number) => [madeUp(i), 8_100] as const],
    ['one address, many ports', (i: number) => ['172.16.0.1', 1 + (i % 65_535)] as const],
    ['many of both', (i: number) => [madeUp(i * 7), 1 + ((i * 31) % 65_535)] as const],
  ])('%s: bounded, and who talks meanwhile stays the same object', (_what, spoofed) => {
    const table = new EndpointTable();
    const peers = Array.from({ length: 40 }, (_, i) => ({
      address: `10.0.0.${i}`,
      object: table.of(`10.0.0.${i}`, 8_100),
    }));
    for (let i = 0; i < 100_000; i += 1) {
      const [address, port] = spoofed(i);
      table.of(address, port);
      if (i % 20 !== 0) continue;
      const peer = peers[(i / 20) % peers.length]!;
      expect(table.of(peer.address, 8_100)).toBe(peer.object);
    }
    expect(table.size).toBeLessThanOrEqual(2 * GENERATION);
  });
});
