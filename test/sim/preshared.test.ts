/**
 * A network's pre-shared key: without it, or with another one, there is no link and both sides say
 * why; it changes under traffic.
 */

import { describe, expect, test } from 'vitest';

import { nullLog } from '../../src/core/base/log.ts';
import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import {
  commonKey,
  idsOf,
  NO_PRESHARED_KEY,
  presharedKey,
  type PresharedKey,
} from '../../src/core/crypto/preshared.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { asked } from '../support/administer.ts';
import { hosts, Inbox, useNetworks, type Network } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const OLD = presharedKey(new Uint8Array(32).fill(1)),
  NEW = presharedKey(new Uint8Array(32).fill(2)),
  NONE = NO_PRESHARED_KEY;
type Keys = readonly PresharedKey[];

function pair(dialler: Keys | null, other: Keys | null, rekeyAfterUs = 120 * SECOND): Network {
  const network = hosts(2, { routes: false, config: { rekeyAfterUs } });
  network.connect(network.host(0), network.host(1));
  network.host(0).preshared = dialler;
  network.host(1).preshared = other;
  return network.startAll();
}

function up(network: Network): boolean {
  return network.hosts.every(
    (host) => [...host.node.links.all()].filter((link) => link.up).length === 1,
  );
}

interface LinksSaid {
  links: { why: { code: string; text: string; next: string } | null }[];
}

describe('which key is used', () => {
  test('is the first of the one who is called that both have', () => {
    expect([
      commonKey([NEW, OLD], idsOf([OLD])),
      commonKey([NEW, OLD], idsOf([OLD, NEW])),
      commonKey([NEW], idsOf([OLD])),
      commonKey([NEW, NONE], idsOf([NONE])),
    ]).toEqual([OLD, NEW, null, NONE]);
    expect(idsOf([NEW])).toEqual([NEW.id, NEW.id]);
    expect(NEW.id).not.toBe(OLD.id);
    expect([OLD.id, NEW.id].every((id) => id > 0 && id <= 0xffff_ffff)).toBe(true);
  });

  const cases: [string, Keys | null, Keys | null, boolean][] = [
    ['both have the same', [OLD], [OLD], true],
    ['both have none', null, null, true],
    ['one has it besides another', [OLD], [NEW, OLD], true],
    ['the dialler has two', [NEW, OLD], [OLD], true],
    ['one has none', [OLD], null, false],
    ['the dialler has none', null, [OLD], false],
    ['each has another', [OLD], [NEW], false],
    ['none will do as well', null, [NEW, NONE], true],
    ['none will do for the dialler', [NEW, NONE], null, true],
    ['none would do, another is given', [OLD], [NEW, NONE], false],
  ];
  test.each(cases)('%s', (_what, dialler, other, works) => {
    const network = pair(dialler, other);
    network.world.runFor(8 * SECOND);
    expect(up(network)).toBe(works);
    expect(network.host(1).node.drops.of(DropReason.handshakePresharedKey) > 0).toBe(!works);
  });
});

describe('without one in common', () => {
  test.each<[string, Keys | null, Keys | null, RegExp]>([
    [
      'missing at the dialler',
      null,
      [OLD],
      new RegExp(
        String.raw`n0 has no pre-shared key in common with this daemon: it has no ` +
          String.raw`pre-shared key, and this daemon wants one`,
      ),
    ],
    ['missing here', [OLD], null, /it wants a pre-shared key, and this daemon has none/],
    [
      'another',
      [OLD],
      [NEW],
      /it has another pre-shared key \([0-9a-f]{8}\) than this daemon \([0-9a-f]{8}\)/,
    ],
  ])('%s: both sides are told, and what to do', (_what, dialler, other, told) => {
    const network = pair(dialler, other);
    const said: string[] = [];
    // The other side has it in its configuration, too.
    const { endpoint } = network.host(0);
    network.host(1).stop();
    network
      .host(1)
      .dials.push({ address: endpoint.address, port: endpoint.port, node: network.host(0).id });
    network.host(1).log = {
      ...nullLog,
      warn: (fields, message) => {
        said.push(`${message} ${JSON.stringify(fields)}`);
      },
    };
    network.host(1).start();
    network.world.runFor(8 * SECOND);
    const why = (host: SimHost): LinksSaid['links'][number]['why'] =>
      (asked(host, 'links') as LinksSaid).links.map((row) => row.why).find((one) => one !== null) ??
      null;
    const calling = why(network.host(0)),
      called = why(network.host(1));
    expect([calling?.code, called?.code].sort()[0]).toMatch(/resharedKey$/);
    expect(calling?.next).toBe(
      "give both the file of the network's key in `network.presharedKey`, and run `spines " +
        'reload` on both',
    );
    expect(said.join('\n')).toMatch(told);
    expect(up(network)).toBe(false);
  });
});

describe('a change', () => {
  const take = (network: Network, host: SimHost, preshared: Keys): void => {
    const { identity, previous, trust } = host.membership!;
    host.membership!.replace({ identity, previous, trust, preshared });
    host.endTurn();
    network.world.runFor(700 * MS);
  };

  test.each<[string, readonly Keys[]]>([
    ['from one key to another', [[OLD], [NEW, OLD], [NEW]]],
    ['to a first key', [[NONE], [NEW, NONE], [NEW]]],
    ['to none again', [[NEW], [NONE, NEW], [NONE]]],
  ])('%s goes node by node under traffic, and costs nothing', (_what, steps) => {
    const network = hosts(3, { config: { rekeyAfterUs: SECOND } });
    network.connect(network.host(0), network.host(1));
    network.connect(network.host(1), network.host(2));
    for (const host of network.hosts) host.preshared = steps[0]!;
    network.settle();
    const [a, , c] = network.hosts as [SimHost, SimHost, SimHost];
    const inbox = new Inbox(c, 70, { service: SERVICE_RELIABLE }),
      sender = new Inbox(a, 71, { service: SERVICE_RELIABLE });
    let sent = 0;
    const send = (): void => {
      sender.send(c, 70, Uint8Array.of(sent >> 8, sent));
      sent += 1;
      if (sent < 1_000) network.world.schedule(network.now + 10 * MS, send);
    };
    send();
    const TOTAL = 3_000_000;
    const ends = serve(c, 80, () => new StreamEnd(c, 0, 1, 2));
    new StreamEnd(a, TOTAL, 2, 1).connect(c, 80);
    for (const keys of steps.slice(1)) for (const host of network.hosts) take(network, host, keys);
    network.world.runFor(8 * SECOND);
    expect([
      inbox.messages.length,
      new Set(inbox.messages.map(({ bytes }) => (bytes[0]! << 8) | bytes[1]!)).size,
    ]).toEqual([1_000, 1_000]);
    expect([ends[0]!.read, ends[0]!.wrong]).toEqual([TOTAL, 0]);
    expect([
      network.linkDowns,
      network.hosts.map(({ node }) => node.drops.of(DropReason.handshakePresharedKey)),
    ]).toEqual([0, [0, 0, 0]]);
    for (const host of network.hosts)
      for (const link of host.node.links.all()) expect(link.channel!.rekeys).toBeGreaterThan(3);
  });

  test('takes effect at once: links that are up get new keys under it, and nothing is lost', () => {
    const network = pair([OLD], [OLD]);
    network.world.runFor(3 * SECOND);
    const rekeys = (): number[] =>
      network.hosts.map((host) => [...host.node.links.all()][0]!.channel!.rekeys);
    expect(rekeys()).toEqual([0, 0]);
    let before = 0;
    for (const keys of [[NEW, OLD], [NEW]]) {
      for (const host of network.hosts) take(network, host, keys);
      network.world.runFor(3 * SECOND);
      const now = rekeys();
      // By each of the two changes once, or by both together, and then no more.
      for (const count of now) expect(count).toBeGreaterThan(before);
      network.world.runFor(30 * SECOND);
      expect(rekeys()).toEqual(now);
      before = Math.min(...now);
    }
    expect([up(network), network.linkDowns]).toEqual([true, 0]);
    // Who has lost the key is told so meanwhile, and not cut off.
    take(network, network.host(0), [OLD]);
    network.world.runFor(5 * SECOND);
    expect([up(network), network.linkDowns]).toEqual([true, 0]);
    const refused = network.hosts.reduce(
      (sum, { node }) => sum + node.drops.of(DropReason.handshakePresharedKey),
      0,
    );
    expect(refused).toBeGreaterThan(0);
  });

  test(
    'that one node has missed ends its links once their keys are too old, ' +
      'not before, and a reload mends it',
    () => {
      const network = pair([OLD], [OLD], 2 * SECOND);
      network.world.runFor(3 * SECOND);
      take(network, network.host(0), [NEW]);
      network.world.runFor(SECOND);
      expect([up(network), network.linkDowns]).toEqual([true, 0]);
      network.world.runFor(80 * SECOND);
      expect(up(network)).toBe(false);
      take(network, network.host(1), [OLD, NEW]);
      network.world.runFor(5 * SECOND);
      expect(up(network)).toBe(true);
    },
  );
});
