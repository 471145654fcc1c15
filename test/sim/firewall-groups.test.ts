/**
 * Rules by group: what a certificate says of a node or client decides, and a new certificate
 * decides anew.
 */

import { describe, expect, test, vi } from 'vitest';

import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { LOCAL_ACCESS } from '../../src/core/ipc/client.ts';
import { NO_RULES, type RuleSet } from '../../src/core/session/rules.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { FRAME_LINK_STATE } from '../../src/core/wire/frames.ts';
import { decodeAdvertisement } from '../../src/core/wire/link-state.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { asked } from '../support/administer.ts';
import { ClientProgram } from '../support/client-program.ts';
import { hosts, Inbox, useNetworks, type Network } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const OPS_ONLY: RuleSet = {
  ...NO_RULES,
  defaults: { inbound: 'deny', targets: 'deny', clients: 'deny' },
  inbound: [
    {
      action: 'allow',
      nodes: [],
      groups: ['ops'],
      ports: [],
      kind: null,
      service: null,
      dissemination: null,
    },
  ],
  targets: [{ action: 'allow', nodes: [], groups: ['ops'], targets: [] }],
  clients: [
    {
      action: 'allow',
      clients: [],
      groups: ['guests'],
      use: 'send',
      nodes: [],
      ports: [],
      kind: null,
    },
  ],
};

/** What `origin` says of its links goes no further than `router`; what it says of its key does. */
function hideLinks(router: SimHost, origin: SimHost): void {
  const of = router.node.router,
    hear = of.onControl.bind(of);
  vi.spyOn(of, 'onControl').mockImplementation((link, type, bytes, start, end) => {
    const said = type === FRAME_LINK_STATE ? decodeAdvertisement(bytes, start + 2, end - 4) : null;
    if (said === null || typeof said === 'number' || said.origin !== origin.id)
      hear(link, type, bytes, start, end);
  });
}

/** n1 in the groups ops and video, n2 in video, n3 in none; n0 has the rules. */
function scene(): Network {
  const network = hosts(4);
  const groups = [[], ['ops', 'video'], ['video'], []];
  for (const host of network.hosts)
    host.identity = network.world.authority!.issue(
      host.id,
      host.name,
      undefined,
      undefined,
      groups[host.index]!,
    );
  network.host(0).configure({ firewall: OPS_ONLY });
  for (const leaf of [1, 2, 3]) network.connect(network.host(leaf), network.host(0));
  network.settle();
  return network;
}

describe('a rule by group', () => {
  test('lets in who has it in its certificate: streams, datagrams and targets', () => {
    const network = scene();
    const server = network.host(0),
      inbox = new Inbox(server, 70);
    serve(server, 80, () => new StreamEnd(server, 0, 1, 2));
    const ends = [1, 2, 3].map((leaf) =>
      new StreamEnd(network.host(leaf), 0, 2, 1).connect(server, 80),
    );
    for (const leaf of [1, 2, 3])
      new Inbox(network.host(leaf), 71).send(server, 70, new Uint8Array(3_000));
    network.world.runFor(2 * SECOND);
    expect(ends.map(({ opened, error }) => (opened ? 'open' : error))).toEqual([
      'open',
      'EACCES',
      'EACCES',
    ]);
    expect(inbox.messages.map(({ source }) => source)).toEqual([network.host(1).id]);
    expect(
      [1, 2, 3].map((leaf) => server.node.firewall.mayReach(network.host(leaf).id, 'db', 1)),
    ).toEqual([true, false, false]);
    expect([...server.node.firewall.hits('inbound')].every((hits) => hits > 1)).toBe(true);
    const told = asked(network.host(3), 'nodes') as { nodes: { name: string; groups: string[] }[] };
    expect(told.nodes.map(({ name, groups }) => `${name} ${groups.join(',')}`)).toEqual([
      'n0 ',
      'n1 ops,video',
      'n2 video',
      'n3 ',
    ]);
  });

  test(
    'follows a new certificate: who has left the group is out, ' +
      'streams included, who has joined it is in',
    () => {
      const network = scene();
      const [server, one, two] = network.hosts as [
        (typeof network.hosts)[0],
        (typeof network.hosts)[0],
        (typeof network.hosts)[0],
      ];
      serve(server, 80, () => new StreamEnd(server, 0, 1, 2));
      const before = new StreamEnd(one, Infinity, 2, 1).connect(server, 80);
      network.world.runFor(300 * MS);
      expect(before.opened).toBe(true);
      const renew = (host: typeof one, groups: readonly string[]): void => {
        const { previous, trust } = host.membership!;
        // Certificates of one holder begin at different seconds, as the authority makes them.
        const identity = network.world.authority!.renew(
          host.membership!.identity,
          undefined,
          groups,
        );
        host.membership!.replace({ identity, previous, trust });
        host.endTurn();
      };
      renew(one, ['video']);
      renew(two, ['ops']);
      network.world.runFor(5 * SECOND);
      expect(before.error).toBe('EACCES');
      const ends = [one, two].map((host) => new StreamEnd(host, 0, 2, 1).connect(server, 80));
      network.world.runFor(2 * SECOND);
      expect(ends.map(({ opened, error }) => (opened ? 'open' : error))).toEqual([
        'EACCES',
        'open',
      ]);
      expect(network.linkDowns).toBe(0);
    },
  );

  test.each([
    ['group', { groups: ['guests'] }],
    ['name', { nodes: ['n2'] }],
    ['id', { nodes: [0x0a00_0003] }],
  ] as const)(
    'is that of an insider too who says its key and hides its links: %s',
    (_by, meant) => {
      const network = hosts(3, { routes: false });
      const [server, router, insider] = network.hosts as [SimHost, SimHost, SimHost];
      insider.identity = network.world.authority!.issue(insider.id, 'n2', undefined, undefined, [
        'guests',
      ]);
      const rule = { ...OPS_ONLY.inbound[0]!, action: 'deny', groups: [], ...meant } as const;
      server.configure({ firewall: { ...NO_RULES, inbound: [rule] } });
      for (const host of [server, insider]) network.connect(host, router);
      network.startAll();
      hideLinks(router, insider);
      network.run(5 * SECOND);
      expect([
        server.node.router.database.get(insider.id),
        server.node.router.records!.nodeRecord(insider.id)?.origin,
      ]).toEqual([undefined, insider.id]);
      const inbox = new Inbox(server, 70);
      new Inbox(insider, 71).send(server, 70, new Uint8Array(100));
      new Inbox(router, 71).send(server, 70, new Uint8Array(100));
      network.run(2 * SECOND);
      expect(inbox.messages.map(({ source }) => source)).toEqual([router.id]);
      expect(server.node.drops.snapshot()).toEqual({ firewallDatagram: 1 });
    },
  );

  test('is not asked of all streams without end: who shows two certificates by turns', () => {
    const network = scene();
    const [server, , two] = network.hosts as [SimHost, SimHost, SimHost];
    const authority = network.world.authority!;
    network.run(SECOND);
    const judged = vi.spyOn(server.node.streams, 'onRules');
    const { identity, previous, trust } = two.membership!;
    const shown = [identity, authority.renew(identity, undefined, ['ops'])];
    for (let i = 0; i < 125; i += 1) {
      two.membership!.replace({ identity: shown[i % 2]!, previous, trust });
      two.endTurn();
      network.run(40 * MS);
    }
    expect(server.node.router.database.identities).toBeGreaterThan(40);
    expect(judged.mock.calls.length).toBeLessThanOrEqual(11);
    expect(judged.mock.calls.length).toBeGreaterThan(2);
  });

  test('is asked of remote clients, too', () => {
    const network = scene();
    const guest = new ClientProgram(network.host(0), {
      ...LOCAL_ACCESS,
      certificate: 'eve',
      groups: ['guests'],
      role: 'use',
    });
    const other = new ClientProgram(network.host(0), {
      ...LOCAL_ACCESS,
      certificate: 'bob',
      role: 'use',
    });
    const inbox = new Inbox(network.host(1), 70);
    for (const client of [guest, other]) {
      client.asked('socket', { socket: 1, kind: 'datagram' });
      client.send(1, network.host(1).id, 70, new Uint8Array(5));
    }
    network.world.runFor(SECOND);
    expect([
      inbox.messages.length,
      network.host(0).node.drops.of(DropReason.firewallClient),
    ]).toEqual([1, 1]);
    expect(guest.asked('bind', { socket: 1, port: 70 })).not.toBe('ok');
  });
});
