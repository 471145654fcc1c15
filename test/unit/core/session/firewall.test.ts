/**
 * Rules: the index finds what going through them finds, verdicts are kept as long as they are true,
 * counters go on.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import {
  FirstMatch,
  fits,
  MODES,
  modeOf,
  type SourceNames,
} from '../../../../src/core/session/first-match.ts';
import { ClientScope, Firewall } from '../../../../src/core/session/firewall.ts';
import {
  NO_RULES,
  rulesData,
  type InboundRule,
  type RuleSet,
} from '../../../../src/core/session/rules.ts';
import { VerdictCache } from '../../../../src/core/session/verdict-cache.ts';
import { Packet } from '../../../../src/core/wire/packet.ts';

const SELF = 1;

function inbound(change: Partial<InboundRule> = {}): InboundRule {
  return {
    action: 'deny',
    nodes: [],
    groups: [],
    ports: [],
    kind: null,
    service: null,
    dissemination: null,
    ...change,
  };
}

function packet(source: number, port: number, service = 0, dissemination = 0): Packet {
  return Object.assign(new Packet(), { source, destinationPort: port, service, dissemination });
}

/** A firewall over nodes whose names a test gives, and how often it was asked for one. */
function walled(
  rules: Partial<RuleSet>,
  names: Record<number, SourceNames | null> = {},
): { firewall: Firewall; known: typeof names; asked: () => number; renamed: () => void } {
  let asked = 0,
    version = 0;
  const firewall = new Firewall(
    {
      self: SELF,
      namesVersion: () => version,
      namesOf: (node) => {
        asked += 1;
        return names[node] ?? null;
      },
    },
    { ...NO_RULES, ...rules },
  );
  return {
    firewall,
    known: names,
    asked: () => asked,
    renamed: () => {
      version += 1;
    },
  };
}

describe('the index of inbound rules', () => {
  const pick = <T>(rng: Rng, from: readonly T[]): T => from[rng.below(from.length)]!;
  const some = <T>(rng: Rng, most: number, from: readonly T[]): T[] =>
    Array.from({ length: rng.below(most + 1) }, () => pick(rng, from));

  test.each([3, 40, 400])(
    'finds for any source, port and mode the rule that going through %i of them finds first',
    (count) => {
      const rng = new Rng(count);
      const names = ['a', 'b', 'c'],
        groups = ['ops', 'video'],
        ports = [1, 2, 79, 80, 81, 5_000, 65_534, 65_535];
      const rules = Array.from(
        { length: count },
        (): InboundRule =>
          inbound({
            nodes: rng.below(3) === 0 ? [] : some(rng, 2, [7, 8, 9, ...names]),
            groups: rng.below(3) > 0 ? [] : some(rng, 2, groups),
            ports: some(rng, 3, ports).map((first) => ({
              first,
              last: pick(
                rng,
                ports.filter((port) => port >= first),
              ),
            })),
            kind: pick(rng, [null, null, 'stream', 'datagram']),
            service: pick(rng, [null, null, 0, 1, 2]),
            dissemination: pick(rng, [null, null, 0, 1]),
          }),
      );
      const index = new FirstMatch(rules);
      for (let i = 0; i < 4_000; i += 1) {
        const source = 6 + rng.below(5),
          port = rng.below(2) === 0 ? pick(rng, ports) : rng.below(65_536),
          mode = rng.below(MODES);
        const known =
          rng.below(4) === 0
            ? null
            : { name: pick(rng, ['', ...names]), groups: some(rng, 2, groups) };
        const meant = ({ nodes, groups: its }: InboundRule): boolean =>
          (nodes.length === 0 && its.length === 0) ||
          nodes.includes(source) ||
          (known !== null &&
            (nodes.includes(known.name) || its.some((group) => known.groups.includes(group))));
        const first = rules.findIndex((rule) => meant(rule) && fits(rule, port, mode));
        expect(index.find(source, known, port, mode)).toBe(first < 0 ? count : first);
      }
    },
  );

  test('modes tell stream and datagram, three services and two routings apart', () => {
    const modes = [true, false].flatMap((stream) =>
      [0, 1, 2, 3].flatMap((service) =>
        [0, 1].map((dissemination) => modeOf(stream, service, dissemination)),
      ),
    );
    expect(new Set(modes).size).toBe(MODES);
    expect(modeOf(true, 7, 7)).toBe(modeOf(true, 3, 1));
  });
});

describe('verdicts', () => {
  test('are kept for source and port, and asked for anew when a node has another name', () => {
    const scene = walled(
      { inbound: [inbound({ nodes: ['cam'], ports: [{ first: 22, last: 22 }] })] },
      { 7: { name: 'cam', groups: [] } },
    );
    const { firewall, known } = scene;
    for (let i = 0; i < 100; i += 1) expect(firewall.admits(packet(7, 22), false)).toBe(false);
    expect(scene.asked()).toBe(1);
    expect(firewall.admits(packet(7, 23), false)).toBe(true);
    expect(firewall.admits(packet(8, 22), false)).toBe(true);
    known[7] = { name: 'other', groups: [] };
    scene.renamed();
    expect(firewall.admits(packet(7, 22), false)).toBe(true);
    expect([...firewall.hits('inbound')]).toEqual([100, 3]);
  });

  test('of what this node sends itself are not asked for', () => {
    const { firewall } = walled({
      defaults: { inbound: 'deny', targets: 'deny', clients: 'deny' },
    });
    expect(firewall.admits(packet(SELF, 22), true)).toBe(true);
    expect(firewall.admits(packet(2, 22), true)).toBe(false);
  });

  test('take a table of fixed size, whatever comes', () => {
    const cache = new VerdictCache(16);
    for (let i = 1; i < 1_000; i += 1) cache.set(i, i, 1, i);
    expect(cache.get(999, 999, 1)).toBe(999);
    expect(cache.get(999, 999, 2)).toBe(-1);
    let kept = 0;
    for (let i = 1; i < 1_000; i += 1) if (cache.get(i, i, 1) >= 0) kept += 1;
    expect(kept).toBeLessThanOrEqual(16);
  });

  test('without rules everything goes, and nothing is looked up', () => {
    const scene = walled({});
    expect(scene.firewall.admits(packet(7, 22), true)).toBe(true);
    expect(scene.asked()).toBe(0);
  });
});

describe('other rules', () => {
  test('counters of rules that a reload keeps go on, in another place too', () => {
    const first = inbound({ ports: [{ first: 1, last: 9 }] }),
      second = inbound({ action: 'allow' });
    const { firewall } = walled({ inbound: [first, second] });
    firewall.admits(packet(2, 5), false);
    firewall.admits(packet(2, 50), false);
    firewall.admits(packet(2, 50), false);
    firewall.use({ ...NO_RULES, inbound: [second, inbound({ nodes: [9] }), first] });
    expect([...firewall.hits('inbound')]).toEqual([2, 0, 1, 0]);
    expect(firewall.admits(packet(2, 5), false)).toBe(true);
  });

  test('targets: the first that fits node, group and target', () => {
    const { firewall } = walled(
      {
        defaults: { ...NO_RULES.defaults, targets: 'deny' },
        targets: [
          { action: 'deny', nodes: ['cam'], groups: [], targets: [{ host: 'db', port: null }] },
          {
            action: 'allow',
            nodes: [],
            groups: ['ops'],
            targets: [
              { host: 'db', port: 5_432 },
              { host: null, port: 80 },
            ],
          },
        ],
      },
      { 7: { name: 'cam', groups: ['ops'] }, 8: { name: 'desk', groups: ['ops'] } },
    );
    const tries: [number, string, number, boolean][] = [
      [7, 'db', 5_432, false],
      [8, 'db', 5_432, true],
      [8, 'db', 5_433, false],
      [8, 'www', 80, true],
      [7, 'www', 80, true],
      [9, 'www', 80, false],
    ];
    for (const [node, host, port, allowed] of tries)
      expect([node, host, port, firewall.mayReach(node, host, port)]).toEqual([
        node,
        host,
        port,
        allowed,
      ]);
    expect([...firewall.hits('targets')]).toEqual([1, 3, 2]);
  });

  test('remote clients: use, destination, port and kind', () => {
    const { firewall } = walled(
      {
        clients: [
          {
            action: 'allow',
            clients: ['alice'],
            groups: [],
            use: 'send',
            nodes: ['desk', 9],
            ports: [{ first: 80, last: 90 }],
            kind: 'stream',
          },
          {
            action: 'deny',
            clients: ['alice'],
            groups: ['guests'],
            use: null,
            nodes: [],
            ports: [],
            kind: null,
          },
        ],
      },
      { 8: { name: 'desk', groups: [] } },
    );
    const alice = new ClientScope({ name: 'alice', groups: [] }),
      bob = new ClientScope({ name: 'bob', groups: [] }),
      guest = new ClientScope({ name: 'eve', groups: ['guests'] });
    for (let round = 0; round < 2; round += 1) {
      expect(firewall.clientMay(alice, 'send', 8, 85, 'stream')).toBe(true);
      expect(firewall.clientMay(alice, 'send', 9, 85, 'stream')).toBe(true);
      expect(firewall.clientMay(alice, 'send', 8, 85, 'datagram')).toBe(false);
      expect(firewall.clientMay(alice, 'send', 8, 91, 'stream')).toBe(false);
      expect(firewall.clientMay(alice, 'send', 7, 85, 'stream')).toBe(false);
      expect(firewall.clientMay(alice, 'listen', SELF, 85, 'stream')).toBe(false);
      expect(firewall.clientMay(bob, 'listen', SELF, 85, 'stream')).toBe(true);
      expect(firewall.clientMay(guest, 'listen', SELF, 85, 'stream')).toBe(false);
    }
  });

  test('are read back in the words of the config file', () => {
    const rules: RuleSet = {
      ...NO_RULES,
      inbound: [
        inbound({
          action: 'allow',
          nodes: [0x0a00_0001, 'cam'],
          groups: ['ops'],
          ports: [
            { first: 1, last: 2 },
            { first: 9, last: 9 },
          ],
          kind: 'stream',
          service: 1,
          dissemination: 1,
        }),
        inbound(),
      ],
      targets: [
        {
          action: 'deny',
          nodes: [],
          groups: [],
          targets: [
            { host: '::1', port: null },
            { host: null, port: 80 },
          ],
        },
      ],
      clients: [
        {
          action: 'deny',
          clients: ['alice'],
          groups: [],
          use: 'send',
          nodes: ['cam'],
          ports: [],
          kind: 'datagram',
        },
      ],
    };
    expect(rulesData(rules, 'inbound')).toEqual([
      {
        action: 'allow',
        node: ['10.0.0.1', 'cam'],
        group: 'ops',
        port: ['1-2', '9'],
        kind: 'stream',
        link: 'reliable',
        routing: 'byzantine',
      },
      { action: 'deny' },
    ]);
    expect(rulesData(rules, 'targets')).toEqual([{ action: 'deny', target: ['[::1]:*', '*:80'] }]);
    expect(rulesData(rules, 'clients')).toEqual([
      { action: 'deny', client: 'alice', use: 'send', node: 'cam', kind: 'datagram' },
    ]);
  });
});
