/**
 * Heads that carry a graph: what is written comes back, and of anything else what decodes is a
 * graph without a circle, from its source to its destination.
 */

import { expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import type { NodeId } from '../../../../src/core/base/ids.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { KIND_DATAGRAM, KIND_FRAGMENT } from '../../../../src/core/wire/packet.ts';
import {
  encodeFloodHead,
  encodeRoutedHead,
  GRAPH_EDGES_MAX,
  GRAPH_NODES_MAX,
  putRoutedStamp,
  ROUTED_HEAD_BYTES_MAX,
  routedHeadBytes,
  RoutedHead,
  type Graph,
} from '../../../../src/core/wire/routed.ts';

const FUZZ = Number(process.env['SPINES_FUZZ_COUNT'] ?? 20_000);

function randomGraph(rng: Rng): Graph {
  const count = 2 + rng.below(GRAPH_NODES_MAX - 1);
  const nodes = Array.from({ length: count }, (_, i) => 1 + i * 1_000 + rng.below(1_000));
  const edges: [number, number][] = [];
  for (let from = 0; from < count; from += 1)
    for (let to = from + 1; to < count; to += 1)
      if (edges.length < GRAPH_EDGES_MAX && rng.chance(4 / count)) edges.push([from, to]);
  return { nodes, edges: edges.length === 0 ? [[0, 1]] : edges };
}

test('a graph comes back as it was written, and a shorter packet is none', () => {
  const rng = new Rng(1);
  const head = new RoutedHead();
  for (let round = 0; round < 300; round += 1) {
    const graph = randomGraph(rng);
    const [source, destination] = [graph.nodes[0]!, graph.nodes.at(-1)!];
    const b = new Uint8Array(ROUTED_HEAD_BYTES_MAX + 20);
    const kind = round % 2 === 0 ? KIND_DATAGRAM : KIND_FRAGMENT;
    putRoutedStamp(b, 5, rng.u32(), rng.u32());
    const end = encodeRoutedHead(kind, graph, b, 5);
    expect(end - 5).toBe(routedHeadBytes(graph.nodes.length, graph.edges.length));
    expect(head.decode(b, 5, end + 7, source, destination)).toBe(DropReason.none);
    expect([head.kind, head.payloadStart]).toEqual([kind, end]);
    const out: NodeId[] = [];
    graph.nodes.forEach((node, place) => {
      expect(head.placeOf(node)).toBe(place);
      const next = graph.edges.filter(([from]) => from === place).map(([, to]) => to);
      const count = head.nextOf(place, out);
      expect(out.slice(0, count)).toEqual(next.map((to) => graph.nodes[to]));
      graph.nodes.forEach((_, to) => expect(head.hasEdge(place, to)).toBe(next.includes(to)));
    });
    expect(head.placeOf(99_999_999)).toBe(-1);
    expect(head.hasEdge(-1, 1)).toBe(false);
    const shorter = 5 + rng.below(end - 5);
    expect(head.decode(b, 5, shorter, source, destination)).toBe(DropReason.routedMalformed);
    expect(head.decode(b, 5, end, source + 1, destination)).toBe(DropReason.routedMalformed);
    expect(head.decode(b, 5, end, source, destination + 1)).toBe(DropReason.routedMalformed);
  }
});

test('what goes everywhere has its time in the place of the counts, and no graph', () => {
  const head = new RoutedHead(),
    b = new Uint8Array(40);
  for (const ms of [0, 1, 65, 255, 256, 2_000, 65_535]) {
    const end = encodeFloodHead(KIND_FRAGMENT, ms, b, 3);
    expect(head.decode(b, 3, end + 4, 7, 8)).toBe(DropReason.none);
    expect([head.isFlood, head.withinMs, head.kind]).toEqual([true, ms, KIND_FRAGMENT]);
    expect([head.payloadStart, head.placeOf(7), head.hasEdge(0, 0)]).toEqual([end, -1, false]);
    expect(head.decode(b, 3, end - 1, 7, 8)).toBe(DropReason.routedMalformed);
    expect(head.decode(b, 3, end, 7, 7)).toBe(DropReason.routedMalformed);
    b[3 + 9] = 3;
    expect(head.decode(b, 3, end, 7, 8)).toBe(DropReason.routedMalformed);
  }
});

test('of mutated heads, what decodes leads forward only, and stays within its bytes', () => {
  const rng = new Rng(2);
  const head = new RoutedHead();
  let taken = 0;
  for (let round = 0; round < FUZZ; round += 1) {
    const graph = randomGraph(rng);
    const b = new Uint8Array(ROUTED_HEAD_BYTES_MAX + 20);
    const end = encodeRoutedHead(KIND_DATAGRAM, graph, b, 0);
    for (let i = 0; i <= rng.below(3); i += 1) b[8 + rng.below(end - 8)] = rng.below(256);
    const [source, destination] = [graph.nodes[0]!, graph.nodes.at(-1)!];
    if (head.decode(b, 0, end + rng.below(20), source, destination) !== DropReason.none) continue;
    taken += 1;
    expect(head.payloadStart).toBeLessThanOrEqual(end + 19);
    for (let from = 0; from < GRAPH_NODES_MAX; from += 1) {
      for (let to = 0; to <= from; to += 1) expect(head.hasEdge(from, to)).toBe(false);
      for (let to = b[10]!; to < 256; to += 1) if (head.hasEdge(from, to)) expect(to).toBe(-1);
    }
  }
  expect(taken).toBeGreaterThan(FUZZ / 100);
});
