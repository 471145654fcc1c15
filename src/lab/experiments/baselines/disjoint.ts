/**
 * Two node-disjoint paths: each packet travels twice, along routes that its source computes from
 * the link state.
 *
 * The pair is the cheapest one of all (Bhandari's form of Suurballe's algorithm: a second search
 * may take back links of the first, on nodes that are split in two). Survives any one bad node, as
 * long as the topology is what the nodes say. Where no second path exists the first is used alone.
 */

import type { NodeId } from '../../../core/base/ids.ts';
import type { StrategyEnvironment } from '../../../core/dissemination/strategy.ts';
import { linkCost } from '../../../core/routing/metrics.ts';
import { advertises } from '../../../core/routing/shortest-path.ts';
import { DropReason, refusalOf } from '../../../core/wire/drop.ts';
import type { Advertisement } from '../../../core/wire/link-state.ts';
import type { Packet } from '../../../core/wire/packet.ts';
import { best, Envelopes, hop, type Baseline, type BaselineMisbehaviour } from './baseline.ts';

const METRIC = 'expected-latency';

export class DisjointBaseline implements Baseline {
  misbehaviour: BaselineMisbehaviour | null = null;
  readonly #env: StrategyEnvironment;
  readonly #envelopes = new Envelopes();
  /**
   * By destination, as long as routes stay as they are; at most one for each node of the database.
   */
  readonly #paths = new Map<NodeId, readonly NodeId[][]>();
  #computed = -1;
  #sequence = 0;

  constructor(env: StrategyEnvironment) {
    this.#env = env;
  }

  /** From here to `destination`: two, one or no path, without this node itself. */
  paths(destination: NodeId): readonly NodeId[][] {
    const { topology, self } = this.#env;
    if (topology.version !== this.#computed) {
      this.#computed = topology.version;
      this.#paths.clear();
    }
    let known = this.#paths.get(destination);
    if (known === undefined) {
      known = disjointPaths([...topology.advertisements()], self, destination);
      if (topology.knows(destination)) this.#paths.set(destination, known);
    }
    return known;
  }

  originate(packet: Packet): DropReason {
    let reason: DropReason = DropReason.noRoute;
    for (const path of this.paths(packet.destination)) {
      const wrapped = this.#envelopes.wrap(packet, this.#sequence, path);
      reason = best(
        reason,
        wrapped === null ? DropReason.packetTooLong : this.#offer(wrapped, path[0]!),
      );
    }
    this.#sequence += 1;
    return reason;
  }

  congested({ destination, service }: Packet): boolean {
    const links = this.paths(destination).map((path) => this.#env.links.of(path[0]!));
    return links.length > 0 && links.every((link) => link?.congested(service) === true);
  }

  onPacket(packet: Packet, from: NodeId): DropReason {
    const opened = this.#envelopes.open(packet);
    if (opened === null) return DropReason.probedMalformed;
    const { self } = this.#env;
    const { route, sequence } = opened;
    const place = route.indexOf(self);
    if (
      place < 0 ||
      route.at(-1) !== packet.destination ||
      (place > 0 && route[place - 1] !== from)
    )
      return DropReason.probedNotOnRoute;
    if (packet.destination === self) {
      if (!this.#envelopes.isFirst(packet.source, sequence)) return DropReason.probedReplayed;
      this.#env.deliver(this.#envelopes.innerOf(packet, opened));
      return DropReason.none;
    }
    if (place === route.length - 1) return DropReason.probedNotOnRoute;
    if (this.misbehaviour?.onData?.(packet, from) === true) return DropReason.none;
    return hop(packet) ? this.#offer(packet, route[place + 1]!) : DropReason.ttlExpired;
  }

  stop(): void {}

  #offer(packet: Packet, next: NodeId): DropReason {
    const link = this.#env.links.of(next);
    return link === undefined ? DropReason.linkDown : refusalOf(link.offer(packet));
  }
}

interface Arc {
  readonly to: number;
  readonly cost: number;
  reverse: Arc | null;
  used: boolean;
  readonly real: boolean;
}

/**
 * The two node-disjoint paths of least total cost from `source` to `destination` over links that
 * both ends advertise; one path if there is no pair, none if there is no path. Each without
 * `source`, ending in `destination`.
 */
export function disjointPaths(
  advertisements: readonly Advertisement[],
  source: NodeId,
  destination: NodeId,
): NodeId[][] {
  const sorted = [...advertisements].sort((a, b) => a.origin - b.origin);
  const index = new Map(sorted.map((advertisement, i) => [advertisement.origin, i]));
  const [from, to] = [index.get(source), index.get(destination)];
  if (from === undefined || to === undefined || from === to) return [];
  // Node i is entered at 2i and left at 2i + 1; what is inside carries one path.
  const arcs: Arc[][] = Array.from({ length: 2 * sorted.length }, () => []);
  const add = (a: number, b: number, cost: number): void => {
    const back: Arc = { to: a, cost: -cost, reverse: null, used: true, real: false };
    const there: Arc = { to: b, cost, reverse: back, used: false, real: true };
    back.reverse = there;
    arcs[a]!.push(there);
    arcs[b]!.push(back);
  };
  sorted.forEach((advertisement, i) => {
    add(2 * i, 2 * i + 1, 0);
    for (const link of advertisement.links) {
      const j = index.get(link.node);
      if (j !== undefined && advertises(sorted[j]!.links, advertisement.origin))
        add(2 * i + 1, 2 * j, linkCost(link, METRIC));
    }
  });
  for (let found = 0; found < 2 && augment(arcs, 2 * from + 1, 2 * to); found += 1);
  const paths: NodeId[][] = [];
  for (const first of arcs[2 * from + 1]!) {
    if (!first.real || !first.used) continue;
    const path: NodeId[] = [];
    for (
      let arc: Arc | undefined = first;
      arc !== undefined;
      arc = arcs[arc.to + 1]!.find((next) => next.real && next.used)
    ) {
      path.push(sorted[arc.to >> 1]!.origin);
      if (arc.to === 2 * to) break;
    }
    paths.push(path);
  }
  return paths;
}

/**
 * Bellman-Ford over what is not used up, as costs back are negative; takes the cheapest way. False:
 * there is none.
 */
function augment(arcs: readonly Arc[][], from: number, to: number): boolean {
  const cost = new Float64Array(arcs.length).fill(Infinity);
  const by: (Arc | null)[] = arcs.map(() => null);
  cost[from] = 0;
  let work = [from];
  for (let round = 0; work.length > 0 && round < arcs.length; round += 1) {
    const next = new Set<number>();
    for (const at of work) {
      for (const arc of arcs[at]!) {
        const through = cost[at]! + arc.cost;
        if (arc.used || through >= cost[arc.to]!) continue;
        cost[arc.to] = through;
        by[arc.to] = arc;
        next.add(arc.to);
      }
    }
    work = [...next];
  }
  if (cost[to] === Infinity) return false;
  for (let at = to; at !== from; ) {
    const arc = by[at]!;
    arc.used = true;
    arc.reverse!.used = false;
    at = arc.reverse!.to;
  }
  return true;
}
