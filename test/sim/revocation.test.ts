/**
 * Stories of revocation: a list that reaches one daemon reaches all, soon and over bad wires, and
 * whoever is in it is cut off.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { Identity } from '../../src/core/crypto/membership.ts';
import { cut, heal, partition } from '../../src/lab/sim/faults.ts';
import { SIM_EPOCH } from '../../src/lab/sim/sim-authority.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  REVOCATIONS_BYTES_MAX,
  REVOCATIONS_MAX,
  type RevocationList,
} from '../../src/core/wire/certificate.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  chain,
  linked,
  linkOf,
  lossy,
  type Network,
  pair,
  randomGraph,
  ring,
  useNetworks,
  wire,
  worst,
} from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
/** Round trip 100 ms, one datagram in five lost. */
const bad = lossy(0.2, 50 * MS);
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

function up(network: Network): Network {
  network.startAll();
  expect(
    network.until(
      () => network.world.wires.every(({ from, to }) => linked(from, to)),
      20 * SECOND,
      10 * MS,
    ),
    'all links come up',
  ).not.toBeNull();
  // Routes everywhere, so that there is something to forget.
  expect(
    network.until(
      () =>
        network.hosts.every((a) =>
          network.hosts.every((b) => a === b || a.node.router.knows(b.id)),
        ),
      20 * SECOND,
      10 * MS,
    ),
    'all know all',
  ).not.toBeNull();
  // Long enough to know the loss of every link.
  network.run(10 * SECOND);
  return network;
}

function listOf(network: Network, ...identities: readonly Identity[]): RevocationList {
  return network.world.authority!.revoke(
    Math.floor((SIM_EPOCH + network.now) / SECOND),
    ...identities,
  );
}

/** To fill lists with: issued once, since a list names serials and keys whoever issued them. */
let others: readonly Identity[] = [];

/** A list as long as lists get, with `host` in it. */
function longList(network: Network, host: SimHost): RevocationList {
  if (others.length === 0)
    others = Array.from({ length: REVOCATIONS_MAX - 1 }, (_, i) =>
      network.world.authority!.issue(0x0b00_0000 + i, `other${i}`),
    );
  const list = listOf(network, host.identity!, ...others);
  expect(list.bytes.length).toBe(REVOCATIONS_BYTES_MAX);
  return list;
}

/** As an operator does who copies a list to one daemon. */
function hand(host: SimHost, list: RevocationList): void {
  expect(host.membership!.offerRevocations(list)).toBe('ok');
  host.endTurn();
}

function holds(host: SimHost, list: RevocationList): boolean {
  return host.membership!.trust.revocations.some(({ number }) => number === list.number);
}

/** `host` has nothing to do with `gone` any more. */
function rid(host: SimHost, gone: SimHost): boolean {
  const { router } = host.node;
  return (
    linkOf(host, gone)?.up !== true &&
    !router.knows(gone.id) &&
    router.database.get(gone.id) === undefined &&
    router.nextHop(gone.id) === null
  );
}

function honest(network: Network, ...revoked: readonly SimHost[]): SimHost[] {
  return network.hosts.filter((host) => host.running && !revoked.includes(host));
}

/** Gives `list` to one daemon; how long until everybody has cut off `gone`. */
function spread(network: Network, from: SimHost, list: RevocationList, gone: SimHost): Micros {
  hand(from, list);
  const took = network.until(
    () => honest(network, gone).every((host) => holds(host, list) && rid(host, gone)),
    20 * SECOND,
  );
  expect(took, 'everybody has cut the revoked node off').not.toBeNull();
  return took!;
}

/** Whoever had a wire to `gone` refuses it for as long as it tries. */
function expectRefused(network: Network, gone: SimHost): void {
  const neighbours = honest(network, gone).filter((host) => host.wires.has(gone.endpoint.key));
  const before = neighbours.map((host) => host.node.drops.of(DropReason.certificateRevoked));
  network.run(5 * SECOND);
  neighbours.forEach((host, i) => {
    expect(
      host.node.drops.of(DropReason.certificateRevoked),
      `${host.name}: handshakes refused`,
    ).toBeGreaterThan(before[i]!);
    expect(rid(host, gone), host.name).toBe(true);
  });
  for (const host of honest(network, gone)) expect(rid(host, gone), host.name).toBe(true);
}

function report(what: string, times: readonly Micros[]): void {
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length / MS;
  console.log(`${what}: worst ${worst(times)}, mean ${mean.toFixed(0)} ms of ${times.length}`);
}

describe('a revoked node is cut off by everybody within 2 s of the list reaching one', () => {
  const shapes: [string, (seed: number) => Network][] = [
    [
      'a chain of 6, 10 ms round trip, no loss',
      (seed) => chain(6, { seed, forward: wire({ latencyUs: 5 * MS }) }),
    ],
    [
      'a chain of 6, 10 ms round trip, 20 % loss',
      (seed) => chain(6, { seed, forward: lossy(0.2) }),
    ],
    ['a chain of 6, 100 ms round trip, 20 % loss', (seed) => chain(6, { seed, forward: bad })],
    [
      'a ring of 20, 10 ms round trip, 20 % loss',
      (seed) => ring(20, { seed, forward: lossy(0.2) }),
    ],
    ['a ring of 20, 100 ms round trip, 20 % loss', (seed) => ring(20, { seed, forward: bad })],
    [
      'a random graph of 20, 100 ms round trip, 20 % loss',
      (seed) => randomGraph(20, 20, new Rng(seed), () => bad, { seed }),
    ],
  ];
  test.each(shapes)('%s', (what, make) => {
    const times = SEEDS.map((seed) => {
      const network = up(make(seed));
      const gone = network.hosts.at(-1)!;
      const took = spread(network, network.host(0), listOf(network, gone.identity!), gone);
      expectRefused(network, gone);
      gone.crash();
      return took;
    });
    report(what, times);
    expect(Math.max(...times)).toBeLessThan(2 * SECOND);
  });
});

describe('the longest list is everywhere within 2 s', () => {
  const shapes: [string, (seed: number) => Network][] = [
    [
      '33 KB: a chain of 6, 10 ms round trip, no loss',
      (seed) => chain(6, { seed, forward: wire({ latencyUs: 5 * MS }) }),
    ],
    [
      '33 KB: a chain of 6, 10 ms round trip, 20 % loss',
      (seed) => chain(6, { seed, forward: lossy(0.2) }),
    ],
    [
      '33 KB: a chain of 6, 100 ms round trip, 20 % loss',
      (seed) => chain(6, { seed, forward: bad }),
    ],
    [
      '33 KB: a random graph of 20, 100 ms round trip, 20 % loss',
      (seed) => randomGraph(20, 20, new Rng(seed), () => bad, { seed }),
    ],
  ];
  test.each(shapes)('%s', (what, make) => {
    let partsMax = 0;
    const times = SEEDS.map((seed) => {
      const network = up(make(seed));
      const gone = network.hosts.at(-1)!;
      const took = spread(network, network.host(0), longList(network, gone), gone);
      for (const host of honest(network, gone))
        partsMax = Math.max(partsMax, host.node.revocations!.partsSent);
      gone.crash();
      return took;
    });
    report(`${what}, at most ${partsMax} parts sent by a node`, times);
    expect(Math.max(...times)).toBeLessThan(2 * SECOND);
  });

  test('over wires of 1 Mbit/s, without sending more than is lost', () => {
    const network = up(chain(3, { forward: wire({ latencyUs: 5 * MS, bandwidthKbps: 1_000 }) }));
    const gone = network.add('gone');
    const took = spread(network, network.host(0), longList(network, gone), gone);
    report('33 KB: a chain of 3, 1 Mbit/s', [took]);
    for (const host of network.hosts.slice(0, 2))
      expect(host.node.revocations!.partsSent, host.name).toBeLessThan(40);
    gone.crash();
  });
});

describe('whoever was away learns it', () => {
  test('a node that was off, when its link comes up', () => {
    const network = up(chain(4));
    const [, , off, gone] = network.hosts;
    off!.crash();
    network.run(3 * SECOND);
    const list = listOf(network, gone!.identity!);
    hand(network.host(0), list);
    network.run(1 * SECOND);
    expect(holds(network.host(1), list)).toBe(true);
    off!.start();
    expect(network.until(() => linked(off!, network.host(1)), 5 * SECOND)).not.toBeNull();
    expect(network.until(() => holds(off!, list) && rid(off!, gone!), 2 * SECOND)).not.toBeNull();
    gone!.crash();
  });

  test('both parts of a network that was parted, each of what the other has', () => {
    const network = up(chain(6, { forward: lossy(0.1) }));
    const { hosts } = network;
    const undo = partition(network.world, [hosts.slice(0, 3), hosts.slice(3)]);
    network.run(5 * SECOND);
    const older = listOf(network, hosts[0]!.identity!),
      newer = listOf(network, hosts[5]!.identity!);
    hand(hosts[1]!, older);
    hand(hosts[4]!, newer);
    network.run(2 * SECOND);
    undo();
    expect(network.until(() => linked(hosts[2]!, hosts[3]!), 10 * SECOND)).not.toBeNull();
    expect(
      network.until(
        () =>
          hosts
            .slice(1, 5)
            .every((host) => holds(host, newer) && rid(host, hosts[0]!) && rid(host, hosts[5]!)),
        2 * SECOND,
      ),
    ).not.toBeNull();
    hosts[0]!.crash();
    hosts[5]!.crash();
  });

  test('a list taken over by a reload spreads as well', () => {
    const network = up(chain(4));
    const gone = network.host(3);
    const { membership } = network.host(0);
    const trust = network.world.authority!.trust();
    const list = listOf(network, gone.identity!);
    expect(trust.offer(list)).toBe('ok');
    membership!.replace({ identity: membership!.identity, previous: [], trust });
    network.host(0).endTurn();
    expect(
      network.until(
        () => honest(network, gone).every((host) => holds(host, list) && rid(host, gone)),
        2 * SECOND,
      ),
    ).not.toBeNull();
    gone.crash();
  });
});

describe('a revoked node in the way', () => {
  test('does not keep the list from those behind it when there is another way', () => {
    const network = up(ring(8, { forward: lossy(0.2) }));
    const gone = network.host(1);
    // The list begins beside it: the short way is through it.
    const took = spread(network, network.host(0), listOf(network, gone.identity!), gone);
    expect(took).toBeLessThan(2 * SECOND);
    expectRefused(network, gone);
    gone.crash();
  });

  test('is cut off by its neighbours when it brings the list itself', () => {
    const network = up(ring(4));
    const gone = network.host(1);
    // It does not know itself in the list: its own links go on, and tell the neighbours.
    const list = listOf(network, gone.identity!);
    const took = spread(network, gone, list, gone);
    expect(took).toBeLessThan(2 * SECOND);
    gone.crash();
  });

  test('is let in again with a certificate that is not revoked', () => {
    const network = up(chain(3));
    // Its neighbour does not dial it, and so knows no key that it should have.
    const gone = network.host(0);
    spread(network, network.host(2), listOf(network, gone.identity!), gone);
    gone.crash();
    gone.identity = network.world.authority!.issue(gone.id, gone.name);
    gone.start();
    expect(network.until(() => linked(gone, network.host(1)), 10 * SECOND)).not.toBeNull();
    expect(
      network.until(() => gone.membership!.trust.revocations.length === 1, 2 * SECOND),
    ).not.toBeNull();
  });
});

describe('many lists and many wires', () => {
  test('of lists that follow one another fast everybody ends with the last', () => {
    const network = up(ring(6, { forward: lossy(0.2) }));
    const gone = network.host(5);
    let list = listOf(network, gone.identity!);
    for (let i = 0; i < 20; i += 1) {
      hand(network.host(i % 5), list);
      network.run(50 * MS);
      list = listOf(network, network.world.authority!.issue(0x0b00_0000 + i, `other${i}`));
    }
    const took = spread(network, network.host(2), list, gone);
    expect(took).toBeLessThan(2 * SECOND);
    gone.crash();
  });

  test('a wire that comes and goes delays the list only as long as it is cut', () => {
    const network = up(pair({ forward: lossy(0.2) }));
    const [a, b] = network.hosts;
    const gone = network.add('gone');
    const list = longList(network, gone);
    hand(a!, list);
    network.run(12 * MS);
    cut(a!, b!);
    network.run(5 * SECOND);
    expect(holds(b!, list)).toBe(false);
    heal(a!, b!);
    expect(network.until(() => linked(a!, b!), 10 * SECOND)).not.toBeNull();
    expect(network.until(() => holds(b!, list), 2 * SECOND)).not.toBeNull();
  });

  test(
    'that names keys cuts off an earlier ' + 'certificate of the same keys, and no other node',
    () => {
      const network = up(ring(5));
      const authority = network.world.authority!;
      const gone = network.host(3);
      // Renewed: what is revoked is the new certificate. The earlier one, which all nodes have
      // seen, goes on being shown.
      const renewed = authority.renew(gone.identity!, {
        notBeforeS: SIM_EPOCH / SECOND - 100,
        notAfterS: SIM_EPOCH / SECOND + 86_400,
      });
      expect(renewed.certificate.serial).not.toBe(gone.identity!.certificate.serial);
      const list = authority.revokeKeys(Math.floor((SIM_EPOCH + network.now) / SECOND), renewed);
      expect(list.serials).toEqual([]);
      expect(spread(network, network.host(0), list, gone)).toBeLessThan(2 * SECOND);
      expectRefused(network, gone);
      for (const a of honest(network, gone))
        for (const b of honest(network, gone))
          expect(
            a === b || a.node.router.nextHop(b.id) !== null,
            `${a.name} reaches ${b.name}`,
          ).toBe(true);
      gone.crash();
    },
  );

  test('that names the keys a node had before it changed them leaves the node alone', () => {
    const network = up(pair());
    const [a, b] = [network.host(0), network.host(1)];
    const authority = network.world.authority!;
    const old = authority.issue(b.id, b.name, {
      notBeforeS: SIM_EPOCH / SECOND - 90_000,
      notAfterS: SIM_EPOCH / SECOND + 86_400,
    });
    const list = authority.revokeKeys(Math.floor((SIM_EPOCH + network.now) / SECOND), old);
    hand(a, list);
    network.run(5 * SECOND);
    expect([holds(b, list), linked(a, b)]).toEqual([true, true]);
    expect(a.node.drops.of(DropReason.certificateRevoked)).toBe(0);
    expect(a.membership!.trust.isRevoked(old.certificate)).toBe(true);
  });

  test('costs nothing once everybody has it', () => {
    const quiet = (network: Network): number => {
      network.run(20 * SECOND);
      const before = network.world.wires.reduce((sum, { datagrams }) => sum + datagrams, 0);
      network.run(20 * SECOND);
      return network.world.wires.reduce((sum, { datagrams }) => sum + datagrams, 0) - before;
    };
    const without = quiet(up(chain(3)));
    const network = up(chain(3));
    const stranger = network.world.authority!.issue(0x0b00_0000, 'stranger');
    hand(network.host(0), listOf(network, stranger));
    network.run(SECOND);
    expect(
      network.hosts.every((host) => host.membership!.trust.isRevoked(stranger.certificate)),
    ).toBe(true);
    expect(quiet(network)).toBeLessThan(without * 1.01);
  });
});
