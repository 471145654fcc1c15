/**
 * Generators of regular and random graphs for topology files: ring, grid, random.
 *
 * Owns the node names (n1..nN), the edges and their latencies; nothing else of a topology. Called
 * by topology-parse.ts. Invariant: the graph is connected, has no self link and no double link, and
 * is a function of its arguments only.
 */

import { Rng } from '../../core/base/rng.ts';
import type { Micros } from '../../core/base/time.ts';
import type { GenerateData } from './topology-schema.ts';

export interface GeneratedEdge {
  /** Indexes into names. */
  readonly a: number;
  readonly b: number;
  /** Same in both directions; null = what the link characteristics say. */
  readonly latencyUs: Micros | null;
}

export interface GeneratedGraph {
  readonly names: readonly string[];
  readonly edges: readonly GeneratedEdge[];
}

/** `seed` is used when the generator has none of its own. */
export function generateGraph(generate: GenerateData, seed: number): GeneratedGraph {
  switch (generate.kind) {
    case 'ring':
      return graph(generate.nodes, ring(generate.nodes));
    case 'grid':
      return graph(generate.width * generate.height, grid(generate.width, generate.height));
    case 'random': {
      const rng = new Rng(generate.seed ?? seed).fork('topology');
      const [least, most] = generate.latency ?? [];
      const latencies = rng.fork('latency');
      const edges = random(generate.nodes, generate.degree, rng.fork('edges')).map((edge) =>
        least === undefined || most === undefined
          ? edge
          : { ...edge, latencyUs: least + latencies.below(most - least + 1) },
      );
      return graph(generate.nodes, edges);
    }
  }
}

function graph(nodes: number, edges: readonly GeneratedEdge[]): GeneratedGraph {
  return { names: Array.from({ length: nodes }, (_, i) => `n${i + 1}`), edges };
}

function ring(nodes: number): GeneratedEdge[] {
  return Array.from({ length: nodes }, (_, i) => ({ a: i, b: (i + 1) % nodes, latencyUs: null }));
}

/** Row by row: node n(y * width + x + 1) is at column x, row y. */
function grid(width: number, height: number): GeneratedEdge[] {
  const edges: GeneratedEdge[] = [];
  for (let at = 0; at < width * height; at += 1) {
    if ((at + 1) % width !== 0) edges.push({ a: at, b: at + 1, latencyUs: null });
    if (at + width < width * height) edges.push({ a: at, b: at + width, latencyUs: null });
  }
  return edges;
}

/**
 * A random spanning tree, then random further edges up to the average degree (never beyond the
 * complete graph).
 */
function random(nodes: number, degree: number, rng: Rng): GeneratedEdge[] {
  const wanted = Math.max(
    nodes - 1,
    Math.min(Math.round((nodes * degree) / 2), (nodes * (nodes - 1)) / 2),
  );
  const edges: GeneratedEdge[] = [];
  const taken = new Set<number>();
  const add = (x: number, y: number): void => {
    const a = Math.min(x, y);
    const b = Math.max(x, y);
    if (a === b || taken.has(a * nodes + b)) return;
    taken.add(a * nodes + b);
    edges.push({ a, b, latencyUs: null });
  };
  // In shuffled order, so that low numbers are not the hubs.
  const order = rng.shuffle(Array.from({ length: nodes }, (_, i) => i));
  for (let i = 1; i < nodes; i += 1) add(order[i]!, order[rng.below(i)]!);
  for (let tries = 0; edges.length < wanted && tries < 20 * wanted; tries += 1)
    add(rng.below(nodes), rng.below(nodes));
  // A nearly complete graph: luck takes too long, fill up in order.
  for (let a = 0; a < nodes && edges.length < wanted; a += 1) {
    for (let b = a + 1; b < nodes && edges.length < wanted; b += 1) add(a, b);
  }
  return edges;
}
