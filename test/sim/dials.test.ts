/**
 * Neighbours that operators have a running daemon dial, or dial no longer: links come and go by it,
 * and what is no neighbour is refused.
 */

import { describe, expect, test } from 'vitest';
import type { LinksReply, StatusReply } from 'spines-client';
import type { DialReply, DialsReply } from 'spines-client/protocol';

import { SECOND } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { asked } from '../support/administer.ts';
import { hosts, linked, useNetworks, type Network } from '../support/network.ts';

useNetworks();

/** Two hosts with a wire, of which nobody dials the other. */
function strangers(): { network: Network; a: SimHost; b: SimHost } {
  const network = hosts(2, { routes: false });
  const [a, b] = network.hosts as [SimHost, SimHost];
  network.connect(a, b);
  a.dials.length = 0;
  network.startAll();
  network.run(3 * SECOND);
  expect(linked(a, b)).toBe(false);
  return { network, a, b };
}

const rows = (host: SimHost): DialsReply['dials'] => (asked(host, 'linkList') as DialsReply).dials;

describe('a neighbour', () => {
  test('that is added has a link, and none once it is removed', () => {
    const { network, a, b } = strangers();
    const { address, port } = b.endpoint;
    expect(rows(a)).toEqual([]);
    const { dial } = asked(a, 'linkAdd', { address, port, name: 'beth' }) as DialReply;
    expect(dial).toMatchObject({ address: b.endpoint.key, name: 'beth', up: false, added: true });
    a.endTurn();
    network.run(2 * SECOND);
    expect(linked(a, b)).toBe(true);
    expect(rows(a)).toMatchObject([{ name: b.name, up: true, added: true, node: '10.0.0.2' }]);
    expect(rows(b)).toEqual([]);
    expect(() => asked(a, 'linkAdd', { address, port })).toThrow(/dialled already/);
    for (const called of ['beth?', '10.0.0.9', '192.0.2.1:1'])
      expect(() => asked(a, 'linkRemove', { link: called })).toThrow(/no neighbour/);
    asked(a, 'linkRemove', { link: b.name });
    a.endTurn();
    network.run(5 * SECOND);
    expect(linked(a, b)).toBe(false);
    expect(rows(a)).toEqual([]);
    // Dialled once more, it is as if nothing had been.
    asked(a, 'linkAdd', { address, port, node: '10.0.0.2' });
    a.endTurn();
    network.run(2 * SECOND);
    expect(linked(a, b)).toBe(true);
    asked(a, 'linkRemove', { link: '10.0.0.2' });
    a.endTurn();
  });

  test('that has a name is dialled where that leads, and until then its reason is told', () => {
    const { network, a, b } = strangers();
    const { address, port } = b.endpoint;
    const { dial } = asked(a, 'linkAdd', { address: 'beth.example', port }) as DialReply;
    expect(dial).toMatchObject({ address: `beth.example:${port}`, name: 'beth.example' });
    expect(() => asked(a, 'linkAdd', { address: 'beth.example', port })).toThrow(/already/);
    network.run(6 * SECOND);
    const [row] = (asked(a, 'links') as LinksReply).links;
    expect(row).toMatchObject({ address: `beth.example:${port}`, state: 'connecting' });
    expect(row!.why).toMatchObject({ code: 'nameUnknown', short: 'name unknown' });
    const dials = (change: object): void => {
      const [named] = a.node.config.dials;
      a.node.reconfigure({ ...a.node.config, dials: [{ ...named!, ...change }] });
      a.endTurn();
    };
    dials({ lookupFault: 'ENOTFOUND' });
    network.run(SECOND);
    expect((asked(a, 'status') as StatusReply).links.troubles![0]!.text).toBe(
      'the name of its host is not found: beth.example: ENOTFOUND',
    );
    dials({ address });
    network.run(2 * SECOND);
    expect(linked(a, b)).toBe(true);
    expect(rows(a)).toMatchObject([{ name: b.name, up: true, address: `beth.example:${port}` }]);
    asked(a, 'linkRemove', { link: `beth.example:${port}` });
    a.endTurn();
    expect(rows(a)).toEqual([]);
  });

  test('that cannot be one is refused, and nothing changes', () => {
    const { network, a } = strangers();
    const good = { address: '192.0.2.7', port: 8_100 };
    const wrong: Record<string, unknown>[] = [
      { address: 'rome..example' },
      { address: '-rome' },
      { address: '192.0.2' },
      { address: '0.0.0.0' },
      { address: '::' },
      { address: 7 },
      { port: 0 },
      { port: 65_536 },
      { port: '1' },
      { node: '255.0.0.1' },
      { node: 7 },
      { name: 'a b' },
      { name: '' },
      { key: 'ff' },
      { key: '0'.repeat(64) },
      { congestion: 'vegas' },
    ];
    for (const change of wrong)
      expect(() => asked(a, 'linkAdd', { ...good, ...change }), JSON.stringify(change)).toThrow(
        expect.objectContaining({ code: 'EINVAL' }),
      );
    expect(rows(a)).toEqual([]);
    // As many as the config may have.
    const most = a.node.config.limits.links;
    for (let port = 1; port <= most; port += 1) asked(a, 'linkAdd', { ...good, port });
    expect(() => asked(a, 'linkAdd', { ...good, port: most + 1 })).toThrow(/at most 128/);
    expect(rows(a)).toHaveLength(most);
    for (let port = 1; port <= most; port += 1)
      asked(a, 'linkRemove', { link: `192.0.2.7:${port}` });
    expect(asked(a, 'linkAdd', { address: '2001:DB8:0:0::7', port: 1 })).toMatchObject({
      dial: { address: '[2001:db8::7]:1' },
    });
    asked(a, 'linkRemove', { link: '[2001:db8::7]:1' });
    a.endTurn();
    network.run(SECOND);
  });
});
