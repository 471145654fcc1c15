/** Graphs made of ways: whatever the ways, a packet can carry it, and no node of it is an end. */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { GraphBuilder } from '../../../../src/core/routing/graph-builder.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { KIND_DATAGRAM } from '../../../../src/core/wire/packet.ts';
import {
  encodeRoutedHead,
  ROUTED_HEAD_BYTES_MAX,
  RoutedHead,
} from '../../../../src/core/wire/routed.ts';

const SOURCE = 1,
  DESTINATION = 1_000;

test('a union of random ways decodes, and leads on from every node but the last', () => {
  const rng = new Rng(4);
  const head = new RoutedHead(),
    b = new Uint8Array(ROUTED_HEAD_BYTES_MAX);
  let left = 0,
    whole = 0;
  for (let round = 0; round < 300; round += 1) {
    const builder = new GraphBuilder(SOURCE, DESTINATION);
    const nodes = 2 + rng.below(60);
    for (let way = 0; way < 20; way += 1) {
      const middle = Array.from({ length: nodes }, (_, i) => i + 2);
      rng.shuffle(middle);
      const added = builder.add([SOURCE, ...middle.slice(0, rng.below(5)), DESTINATION]);
      if (added) whole += 1;
      else left += 1;
    }
    const graph = builder.graph();
    const end = encodeRoutedHead(KIND_DATAGRAM, graph, b, 0);
    expect(head.decode(b, 0, end, SOURCE, DESTINATION)).toBe(DropReason.none);
    const last = graph.nodes.length - 1;
    expect(new Set(graph.edges.map(([from]) => from)).size).toBe(last);
    expect(new Set(graph.edges.map(([, to]) => to)).size).toBe(last);
  }
  expect(Math.min(left, whole)).toBeGreaterThan(300);
});
