/**
 * Stories of clocks that are wrong: both sides say so, and what was refused for it is taken once
 * they are right. What that leniency gives to who replays handshakes: nothing.
 */

import { describe, expect, test } from 'vitest';
import type { NodesReply, StatusReply } from 'spines-client';

import { clockFindings } from '../../src/cli/look/doctor-links.ts';
import { formatNodes } from '../../src/cli/look/nodes.ts';
import { nullLog, type LogFields } from '../../src/core/base/log.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DATAGRAM_SEALED_INIT } from '../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { asked } from '../support/administer.ts';
import { counted, elsewhere, inject, Tap } from '../support/attacker.ts';
import {
  chain,
  hosts,
  linked,
  linkOf,
  useNetworks,
  wire,
  type Network,
} from '../support/network.ts';

useNetworks();

const MINUTE: Micros = 60 * SECOND;
const plain = (_colour: string, text: string): string => text;

function logOf(host: SimHost): { message: string; fields: LogFields }[] {
  const lines: { message: string; fields: LogFields }[] = [];
  const write = (fields: LogFields, message: string): void => {
    lines.push({ message, fields });
  };
  host.log = { ...nullLog, info: write, warn: write, error: write };
  return lines;
}

describe.each([10 * MINUTE, 8 * 60 * MINUTE, -20 * MINUTE])(
  'a clock that is %i us wrong',
  (skew) => {
    test('is said by both neighbours, in `nodes` of all, and is over once it is right', () => {
      const network = chain(3, { routes: false });
      const [a, b, c] = network.hosts as [SimHost, SimHost, SimHost];
      c.wallSkewUs = skew;
      const logs = [b, c].map(logOf);
      network.startAll();
      network.run(10 * SECOND);
      expect(linked(b, c)).toBe(true);
      const words = skew > 0 ? ['ahead of', 'behind'] : ['behind', 'ahead of'];
      logs.forEach((log, i) => {
        const said = log.filter(({ message }) => message === "a neighbour's clock differs");
        expect(said).toHaveLength(1);
        expect(said[0]!.fields).toMatchObject({ peer: i === 0 ? 'n2' : 'n1' });
        expect(said[0]!.fields['why']).toContain(words[i]);
      });
      const beyond = (asked(a, 'nodes') as NodesReply).nodes.find(
        ({ node }) => node === '10.0.0.3',
      );
      expect(beyond).toMatchObject({
        reachable: false,
        why: { code: 'notHeard', next: expect.stringContaining('on n1') as string },
      });
      // An age of 10 minutes is still believed by who is ahead.
      const refusing =
        skew === 10 * MINUTE
          ? ([[b, c]] as const)
          : ([
              [b, c],
              [c, a],
              [c, b],
            ] as const);
      for (const [viewer, other] of refusing) {
        const reply = asked(viewer, 'nodes') as NodesReply;
        const row = reply.nodes.find(({ name }) => name === other.name);
        expect(row?.why, `${viewer.name} of ${other.name}`).toMatchObject({
          code: 'linkStateOutOfTime',
          short: 'clock',
        });
        const text = formatNodes(reply, plain);
        expect(text).toContain('refused: clock');
        for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
      }
      expect(clockFindings(asked(b, 'status') as StatusReply)).toMatchObject([
        { what: 'clock of n2', next: expect.stringContaining('date -u') as string },
      ]);
      c.wallSkewUs = 0;
      network.run(10 * SECOND);
      for (const viewer of [a, b, c]) {
        const { nodes } = asked(viewer, 'nodes') as NodesReply;
        expect(nodes.map(({ name, reachable, why }) => [name, reachable, why ?? null])).toEqual([
          ['n0', true, null],
          ['n1', true, null],
          ['n2', true, null],
        ]);
        expect(clockFindings(asked(viewer, 'status') as StatusReply)).toMatchObject([
          { what: 'clock', advice: null },
        ]);
      }
    });
  },
);

test('a node in the middle of neighbours that agree is told that its own clock is wrong', () => {
  const network = hosts(4, { routes: false });
  const [hub, ...leaves] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
  for (const leaf of leaves) network.connect(leaf, hub);
  hub.wallSkewUs = -20 * MINUTE;
  network.startAll();
  network.run(10 * SECOND);
  const [finding] = clockFindings(asked(hub, 'status') as StatusReply);
  expect(finding!.advice).toBe(
    "this machine's clock is 20m 0s behind those of n1, n2, n3, which agree with one another",
  );
  for (const leaf of leaves)
    expect(clockFindings(asked(leaf, 'status') as StatusReply)).toMatchObject([
      { what: 'clock of n0' },
    ]);
});

describe('a peer whose clock was ahead, and is right when it comes back', () => {
  test.each([
    [true, false],
    [false, true],
    [true, true],
  ])(
    'is linked within a second, and its keys are renewed (it dials: %s, we dial: %s)',
    (theirs, ours) => {
      for (let seed = 1; seed <= 8; seed += 1) {
        const network = hosts(2, { seed, config: { rekeyAfterUs: 10 * SECOND } });
        const [a, b] = network.hosts as [SimHost, SimHost];
        // Who has the higher id wins when both dial: each is the one that comes back.
        const [stays, returns] = seed % 2 === 0 ? [a, b] : [b, a];
        network.connect(returns, stays, wire({ latencyUs: 5 * MILLISECOND }));
        const dial = returns.dials.pop()!;
        if (theirs) returns.dials.push(dial);
        if (ours)
          stays.dials.push({
            address: returns.endpoint.address,
            port: returns.endpoint.port,
            node: null,
            key: returns.identity!.exchange.publicKey,
          });
        returns.wallSkewUs = 4 * MINUTE;
        network.startAll();
        expect(
          network.until(() => linked(a, b), 3 * SECOND),
          `seed ${seed}`,
        ).not.toBeNull();
        network.run(25 * SECOND);
        returns.crash();
        network.run(seed * 150 * MILLISECOND);
        returns.wallSkewUs = 0;
        returns.start();
        expect(
          network.until(() => linked(a, b), 3 * SECOND),
          `seed ${seed}`,
        ).toBeLessThanOrEqual(1_500 * MILLISECOND);
        network.run(60 * SECOND);
        expect(linked(a, b)).toBe(true);
        expect(linkOf(stays, returns)!.channel!.rekeys).toBeGreaterThanOrEqual(4);
        expect(
          stays.node.drops.of(DropReason.handshakeReplayed),
          `seed ${seed}`,
        ).toBeLessThanOrEqual(4);
      }
    },
  );
});

describe('who replays handshakes', () => {
  /** a has dialled b in `runs` runs, each with its clock ahead of the last one's, all recorded. */
  function recorded(runs: number): {
    network: Network;
    a: SimHost;
    b: SimHost;
    inits: Uint8Array[];
  } {
    const tap = new Tap();
    const network = chain(2, { onArrival: tap.onArrival, routes: false });
    const [a, b] = network.hosts as [SimHost, SimHost];
    network.startAll();
    for (let i = 0; i < runs; i += 1) {
      network.until(() => linked(a, b), 3 * SECOND);
      network.run(2 * SECOND);
      a.crash();
      network.run(2 * SECOND);
      a.wallSkewUs = (i + 1) * MINUTE;
      a.start();
    }
    expect(network.until(() => linked(a, b), 3 * SECOND)).not.toBeNull();
    network.run(SECOND);
    return {
      network,
      a,
      b,
      inits: tap.seen
        .filter(({ from, bytes }) => from === a && bytes[0] === DATAGRAM_SEALED_INIT)
        .map(({ bytes }) => bytes),
    };
  }

  test('of earlier runs moves no link, gets few answers, and leaves nothing behind', () => {
    const { network, a, b, inits } = recorded(6);
    expect(inits.length).toBeGreaterThanOrEqual(7);
    const { channel } = linkOf(b, a)!;
    const downs = network.linkDowns;
    let refused = 0;
    for (let i = 0; i < 1_000; i += 1) {
      refused +=
        counted(b, () => inject(b, inits[i % inits.length]!, elsewhere(i % 3)))[
          'handshakeReplayed'
        ] ?? 0;
      network.run(5 * MILLISECOND);
    }
    // 4 a second and a burst of 8, in 5 s; what was answered is answered again while it waits, at
    // no cost.
    expect(refused).toBeGreaterThan(500);
    expect(linkOf(b, a)!.channel).toBe(channel);
    expect(channel!.endpoint.key).toBe(a.endpoint.key);
    network.run(10 * SECOND);
    expect(linkOf(b, a)!.nextChannel).toBeNull();
    expect(network.linkDowns).toBe(downs);
  });

  test('does not keep a peer out whose stamps go on, however fast', () => {
    const { network, a, b, inits } = recorded(3);
    a.crash();
    const until = network.now + 20 * SECOND;
    const flood = (): void => {
      if (network.now >= until) return;
      for (const init of inits) inject(b, init, elsewhere());
      network.world.schedule(network.now + 2 * MILLISECOND, flood);
    };
    flood();
    network.run(2 * SECOND);
    a.wallSkewUs += MINUTE;
    a.start();
    expect(network.until(() => linked(a, b), 3 * SECOND)).not.toBeNull();
    network.run(15 * SECOND);
    expect(linked(a, b)).toBe(true);
  });
});
