/**
 * What nodes say of themselves to all: versions and capabilities in networks of several releases,
 * carried also by who does not know them.
 */

import { describe, expect, test } from 'vitest';
import type { NodesReply, StatusReply } from 'spines-client/protocol';

import { SECOND } from '../../src/core/base/time.ts';
import { formatNodes } from '../../src/cli/look/nodes.ts';
import { paintFor } from '../../src/cli/terminal/table.ts';
import { VERSION } from '../../src/core/node/version.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { asked } from '../support/administer.ts';
import { hosts, useNetworks, type Network } from '../support/network.ts';

useNetworks();

const SECURITIES = [['sealed'], ['none']] as const;
const UNKNOWN = 0x8000_0000;

/** A chain of four: what it can do, one after the other. */
function network(
  security: 'sealed' | 'none',
  capabilities: readonly number[],
): { network: Network; nodes: SimHost[] } {
  const made = hosts(0, { routes: false, security });
  const nodes = capabilities.map((bits, i) =>
    made.add(`n${i}`, { wireVersions: { min: 2, max: 2 + (i % 2) }, capabilities: bits }),
  );
  for (let i = 1; i < nodes.length; i += 1) made.connect(nodes[i - 1]!, nodes[i]!);
  made.startAll();
  made.run(5 * SECOND);
  return { network: made, nodes };
}

describe.each(SECURITIES)('security %s', (security) => {
  test(
    'every node shows the release, ' + 'versions and capabilities of every other, in 80 columns',
    () => {
      const { nodes } = network(security, [0, 3, UNKNOWN, 0]);
      for (const host of nodes) {
        const reply = asked(host, 'nodes') as NodesReply;
        expect(reply.nodes.map(({ facts }) => facts)).toEqual(
          nodes.map(({ node }, i) => ({
            version: VERSION,
            wireVersions: { min: 2, max: 2 + (i % 2) },
            capabilities: [[], ['END_TO_END', 'GROUPS'], ['0x80000000'], []][i],
            instance: node.instance,
          })),
        );
        const lines = formatNodes(reply, paintFor({}, {})).split('\n');
        expect(lines[0]).toMatch(/VERSION +WIRE +CLOCK +LINKS$/);
        expect(lines[2]).toContain(`${VERSION}    2-3 `);
        for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
      }
      expect(asked(nodes[1]!, 'status') as StatusReply).toMatchObject({
        version: VERSION,
        wireVersions: { min: 2, max: 3 },
        capabilities: ['END_TO_END', 'GROUPS'],
      });
    },
  );

  test(
    'a capability is usable where all concerned have it, ' +
      'and no longer when one comes back without it',
    () => {
      const { network: net, nodes } = network(security, [3, 7, UNKNOWN + 1, 1]);
      const [a, b, c, d] = nodes as [SimHost, SimHost, SimHost, SimHost];
      const usable = (bits: number, among: readonly SimHost[]): boolean[] =>
        nodes.map(({ node }) =>
          node.router.usable(
            bits,
            among.map(({ id }) => id),
          ),
        );
      expect(usable(1, nodes)).toEqual([true, true, true, true]);
      expect(usable(2, [a, b])).toEqual([true, true, true, true]);
      expect(usable(3, [a, b, c])).toEqual([false, false, false, false]);
      expect(usable(UNKNOWN, [c])).toEqual([true, true, true, true]);
      expect(usable(1, [])).toEqual([true, true, true, true]);
      expect(a.node.router.usable(1, [0x0101_0101])).toBe(false);
      d.stop();
      d.configure({ capabilities: 0 });
      d.start();
      net.run(5 * SECOND);
      expect(usable(1, nodes)).toEqual([false, false, false, false]);
      expect(usable(1, [a, b, c])).toEqual([true, true, true, true]);
    },
  );
});
