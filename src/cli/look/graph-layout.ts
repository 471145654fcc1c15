/**
 * Where the nodes of a graph go: so that those far apart in hops are far apart on the picture.
 *
 * Stress majorization (Gansner, Koren, North 2004) from circles in several orders, of which the
 * best end is taken, as it finds the nearest valley only: the same result each time. Parts that are
 * not connected stand beside each other. O(n^2) a round, for a thousand nodes at most some seconds;
 * rounds are fewer where there are many.
 */

export interface Place {
  x: number;
  y: number;
}

const ROUNDS = 300;
/** Beginnings that are tried with few nodes; with many, as many as the work allows. */
const STARTS_MAX = 8;
/** Pairs of nodes times rounds. */
const WORK_MAX = 30_000_000;
/** Parts and their margins, of `spacing`. */
const BETWEEN_PARTS = 1.5;

/** Places from (0, 0) on; neighbours are about `spacing` apart. */
export function layOut(
  nodes: readonly string[],
  links: readonly (readonly [string, string])[],
  spacing: number,
): Map<string, Place> {
  const near = new Map<string, string[]>(nodes.map((node) => [node, []]));
  for (const [a, b] of links) {
    near.get(a)?.push(b);
    near.get(b)?.push(a);
  }
  const places = new Map<string, Place>();
  let left = 0;
  for (const part of partsOf(nodes, near)) {
    const laid = layOutPart(part, near, spacing);
    const least = (by: 'x' | 'y'): number => Math.min(...laid.map((place) => place[by]));
    const [x0, y0] = [least('x'), least('y')];
    let right = left;
    laid.forEach(({ x, y }, i) => {
      places.set(part[i]!, { x: left + x - x0, y: y - y0 });
      right = Math.max(right, left + x - x0);
    });
    left = right + BETWEEN_PARTS * spacing;
  }
  return places;
}

/** Connected parts, the largest first. */
function partsOf(
  nodes: readonly string[],
  near: ReadonlyMap<string, readonly string[]>,
): string[][] {
  const seen = new Set<string>();
  const parts: string[][] = [];
  for (const start of nodes) {
    if (seen.has(start)) continue;
    const part = [start];
    seen.add(start);
    for (let i = 0; i < part.length; i += 1)
      for (const next of near.get(part[i]!) ?? [])
        if (near.has(next) && !seen.has(next)) {
          seen.add(next);
          part.push(next);
        }
    parts.push(part);
  }
  return parts.sort((a, b) => b.length - a.length);
}

function layOutPart(
  part: readonly string[],
  near: ReadonlyMap<string, readonly string[]>,
  spacing: number,
): Place[] {
  const count = part.length;
  const hops = hopsIn(part, near);
  const rounds = Math.max(20, Math.min(ROUNDS, Math.floor(WORK_MAX / (count * count + 1))));
  const starts = Math.min(STARTS_MAX, Math.floor(WORK_MAX / (rounds * count * count + 1)));
  let best: Place[] = [],
    least = Infinity;
  for (const order of ordersOf(part, near, Math.max(1, starts))) {
    let places = onCircle(order, (spacing * count) / (2 * Math.PI));
    for (let round = 0; round < rounds; round += 1)
      places = places.map((place, i) => moved(place, i, places, hops, spacing));
    const stress = stressOf(places, hops, spacing);
    // What is as good as another is no better: rounding must not choose.
    if (stress >= least * (1 - 1e-6)) continue;
    least = stress;
    best = places;
  }
  return widened(best);
}

/** The node that stands at the i-th place of a circle, by its index in `part`, in several ways. */
function ordersOf(
  part: readonly string[],
  near: ReadonlyMap<string, readonly string[]>,
  most: number,
): number[][] {
  const count = part.length;
  const byDepth = depthFirst(part, near);
  const orders = [byDepth, part.map((_, i) => i)];
  // A stride that has no divisor with the count visits all.
  for (let stride = 2; stride < count / 2 && orders.length < STARTS_MAX; stride += 1)
    if (divisor(stride, count) === 1)
      orders.push(byDepth.map((_, i) => byDepth[(i * stride) % count]!));
  return orders.slice(0, most);
}

/** A ring in its own order, a chain from end to end. */
function depthFirst(
  part: readonly string[],
  near: ReadonlyMap<string, readonly string[]>,
): number[] {
  const indexOf = new Map(part.map((node, i) => [node, i]));
  const seen = new Set<number>(),
    waiting = [0];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    for (const next of (near.get(part[at]!) ?? []).toReversed()) {
      const i = indexOf.get(next);
      if (i !== undefined) waiting.push(i);
    }
  }
  return [...seen];
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

function onCircle(order: readonly number[], radius: number): Place[] {
  const places: Place[] = [];
  order.forEach((node, i) => {
    const angle = (2 * Math.PI * i) / order.length;
    places[node] = { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
  });
  return places;
}

/** How far all pairs are from where they should be, each by its distance in hops. */
function stressOf(places: readonly Place[], hops: readonly Int32Array[], spacing: number): number {
  let stress = 0;
  places.forEach((a, i) => {
    for (let j = 0; j < i; j += 1) {
      const wanted = hops[i]![j]! * spacing;
      const apart = Math.hypot(a.x - places[j]!.x, a.y - places[j]!.y);
      stress += ((apart - wanted) / wanted) ** 2;
    }
  });
  return stress;
}

/** Towards where all others together want it, each by its distance in hops. */
function moved(
  own: Place,
  i: number,
  places: readonly Place[],
  hops: readonly Int32Array[],
  spacing: number,
): Place {
  let x = 0,
    y = 0,
    weights = 0;
  places.forEach((other, j) => {
    if (i === j) return;
    const wanted = hops[i]![j]! * spacing;
    const weight = 1 / (wanted * wanted);
    const dx = own.x - other.x,
      dy = own.y - other.y;
    const apart = Math.sqrt(dx * dx + dy * dy);
    // Two in one place go apart by their order.
    const scale = apart < 1e-6 ? 0 : wanted / apart;
    x += weight * (other.x + (apart < 1e-6 ? (i - j) * 0.1 : dx * scale));
    y += weight * (other.y + dy * scale);
    weights += weight;
  });
  return weights === 0 ? own : { x: x / weights, y: y / weights };
}

/** Turned so that it is wider than high, as screens are. */
function widened(places: readonly Place[]): Place[] {
  const span = (by: 'x' | 'y'): number =>
    Math.max(...places.map((place) => place[by])) - Math.min(...places.map((place) => place[by]));
  return span('x') >= span('y') ? [...places] : places.map(({ x, y }) => ({ x: y, y: x }));
}

/** Breadth first from each. */
function hopsIn(
  part: readonly string[],
  near: ReadonlyMap<string, readonly string[]>,
): Int32Array[] {
  const indexOf = new Map(part.map((node, i) => [node, i]));
  const lists = part.map((node) =>
    (near.get(node) ?? []).flatMap((next) => indexOf.get(next) ?? []),
  );
  return part.map((_, from) => {
    const hops = new Int32Array(part.length).fill(part.length);
    hops[from] = 0;
    const queue = [from];
    for (const at of queue)
      for (const next of lists[at]!)
        if (hops[next]! === part.length && next !== from) {
          hops[next] = hops[at]! + 1;
          queue.push(next);
        }
    return hops;
  });
}
