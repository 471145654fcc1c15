/** Flows that a node passes on are found by their numbers, whichever are alike. */

import { describe, expect, test } from 'vitest';

import { TransitTable } from '../../../../src/core/byzantine/transit-table.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import type { ProbedFlow } from '../../../../src/core/wire/probed.ts';

const FLOW: ProbedFlow = {
  source: 0x0a00_0001,
  destination: 0xdfff_ffff,
  epoch: 0xffff_ffff_fffe,
  pathHigh: 0xffff_fffe,
  pathLow: 0xffff_fffe,
};

describe('table of transit flows', () => {
  test('tells flows apart that differ in the last bit of one field alone', () => {
    const table = new TransitTable<ProbedFlow>();
    const flows = [
      FLOW,
      ...(['source', 'destination', 'epoch', 'pathHigh', 'pathLow'] as const).map((field) => ({
        ...FLOW,
        [field]: FLOW[field] + (field === 'destination' ? -1 : 1),
      })),
    ];
    for (const flow of flows) table.add(flow);
    for (const flow of flows) expect(table.get({ ...flow })).toBe(flow);
    for (const [i, flow] of flows.entries()) {
      table.delete(flow);
      expect(table.get(flow)).toBeUndefined();
      expect([...table.values()].length).toBe(flows.length - 1 - i);
      for (const left of flows.slice(i + 1)) expect(table.get({ ...left })).toBe(left);
    }
  });

  test('is what a map by text is, in any order of adding and deleting', () => {
    const rng = new Rng(1);
    const table = new TransitTable<ProbedFlow>(),
      map = new Map<string, ProbedFlow>();
    const name = (flow: ProbedFlow): string => Object.values(flow).join();
    for (let i = 0; i < 20_000; i += 1) {
      const flow: ProbedFlow = {
        source: rng.below(3),
        destination: rng.below(3),
        epoch: 2 ** 40 + rng.below(3),
        pathHigh: rng.below(3),
        pathLow: 2 ** 31 + rng.below(3),
      };
      const known = map.get(name(flow));
      expect(table.get(flow)).toBe(known);
      if (known === undefined) {
        table.add(flow);
        map.set(name(flow), flow);
      } else {
        table.delete(known);
        map.delete(name(known));
      }
      expect(table.size).toBe(map.size);
    }
    table.clear();
    expect([table.size, ...table.values()]).toEqual([0]);
  });
});
