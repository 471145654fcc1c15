/** What `spines doctor --network` makes of link state and pings, and of convictions. */

import { describe, expect, test } from 'vitest';
import type { NodeRow } from 'spines-client';

import { convictionFindings } from '../../../../src/cli/look/doctor-links.ts';
import { cutNodes, networkFindings } from '../../../../src/cli/look/doctor-network.ts';
import { Rng } from '../../../../src/core/base/rng.ts';

const quad = (i: number): string => `10.0.0.${i}`;

/** Nodes 1 to `count`, joined by `pairs`. */
function network(count: number, pairs: readonly (readonly [number, number])[]): NodeRow[] {
  return Array.from({ length: count }, (_, at) => at + 1).map((i) => ({
    node: quad(i),
    name: `n${i}`,
    reachable: true,
    self: i === 1,
    sequence: 1,
    ageMs: 1,
    links: pairs
      .flatMap(([a, b]) => (a === i ? [b] : b === i ? [a] : []))
      .map((to) => ({
        node: quad(to),
        name: `n${to}`,
        latencyMs: 1,
        lossPct: 0,
        confirmed: true,
      })),
    facts: {
      version: '0.1.0',
      wireVersions: { min: 2, max: 4 },
      capabilities: [],
      instance: `${i}`,
    },
  }));
}

const ring = [1, 2, 3, 4].map((i): [number, number] => [i, (i % 4) + 1]);
const answers = new Map([2, 3, 4].map((i) => [quad(i), { rttMs: 1 }]));

describe('a network', () => {
  test('where all is well: one line, and nothing to do', () => {
    expect(networkFindings({ schema: 1, nodes: network(4, ring) }, answers)).toEqual([
      { what: 'network', found: '4 nodes are known, 4 reachable, 3 answered', advice: null },
    ]);
  });

  test('each fault is found, with what to do', () => {
    const nodes = network(6, [...ring, [4, 5]]);
    nodes[1]!.links[0]!.lossPct = 7;
    nodes[2]!.links[0]!.lossPct = 99;
    nodes[4]!.links.push({
      node: quad(2),
      name: 'n2',
      latencyMs: 1,
      lossPct: 0,
      confirmed: false,
    });
    nodes[5]!.reachable = false;
    nodes[2]!.facts = { ...nodes[2]!.facts!, version: '0.2.0' };
    const why = { code: 'x', short: 'clock', text: 'its clock is wrong', next: 'set it' };
    nodes.push({ ...nodes[5]!, node: quad(7), name: 'n7', links: [], why });
    const found = networkFindings(
      { schema: 1, nodes },
      new Map([...answers, [quad(5), null]] as [string, { rttMs: number } | null][]),
    );
    expect(found.map(({ what, found: text }) => `${what}: ${text}`)).toEqual([
      'network: 6 nodes are known, 5 reachable, 3 answered',
      'n7: clock',
      'not reachable: n6 (10.0.0.6)',
      'no answer: n5 (10.0.0.5)',
      expect.stringMatching(/^lossy links: n2 to n[13] 7 %$/) as string,
      expect.stringMatching(/^dying links: n3 to n[24]$/) as string,
      'half links: n5 to n2',
      'single points: n4 (1): without it so many nodes are cut off from the rest',
      'releases: 0.1.0: 5 (n1, n2, n4); 0.2.0: 1 (n3)',
    ]);
    for (const { what, advice, next } of found.slice(1, -1))
      expect([advice, next], what).not.toContain(undefined);
  });

  test('whose failure cuts others off is right for any network', () => {
    const rng = new Rng(11);
    for (let turn = 0; turn < 60; turn += 1) {
      const count = 3 + rng.below(9);
      const pairs: [number, number][] = [];
      for (let i = 2; i <= count; i += 1) pairs.push([i, 1 + rng.below(i - 1)]);
      for (let extra = rng.below(4); extra > 0; extra -= 1) {
        const [a, b] = [1 + rng.below(count), 1 + rng.below(count)];
        if (a !== b && !pairs.some(([x, y]) => (x === a && y === b) || (x === b && y === a)))
          pairs.push([a, b]);
      }
      const found = new Set(cutNodes(network(count, pairs)).map(({ row }) => row.node));
      for (let without = 1; without <= count; without += 1) {
        const start = without === 1 ? 2 : 1;
        const seen = new Set([start]);
        for (const at of seen)
          for (const [a, b] of pairs)
            if (a !== without && b !== without) {
              if (a === at) seen.add(b);
              if (b === at) seen.add(a);
            }
        expect(found.has(quad(without)), `${JSON.stringify(pairs)} without ${without}`).toBe(
          seen.size < count - 1,
        );
      }
    }
  });
});

test('a convicted link is a finding of doctor', () => {
  const at = (name: string) => ({ node: '10.0.0.2', name });
  const [found] = convictionFindings({
    schema: 1,
    mode: 'secure',
    flows: [],
    weights: [
      {
        u: at('B'),
        v: at('E'),
        weight: 4,
        remaining: 1,
        convictions: 2,
        reason: 'loss',
        agoMs: 65_000,
      },
    ],
    convictions: [],
    figures: {} as never,
  });
  expect(found).toMatchObject({
    what: 'conviction',
    found: 'link B - E, 2 times, last 1m 5s ago; it weighs 4 now',
    advice: expect.stringContaining('were lost there') as string,
  });
});
