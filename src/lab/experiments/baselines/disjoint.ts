/**
 * Two node-disjoint paths: each packet travels twice, along routes that its source computes from
 * the link state.
 *
 * The pair is the cheapest one of all (core/routing/disjoint.ts). Survives any one bad node, as
 * long as the topology is what the nodes say. Where no second path exists the first is used alone.
 */

import type { NodeId } from '../../../core/base/ids.ts';
import type { StrategyEnvironment } from '../../../core/dissemination/strategy.ts';
import { DisjointGraph } from '../../../core/routing/disjoint.ts';
import { linkCost } from '../../../core/routing/metrics.ts';
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
  readonly #paths = new Map<NodeId, readonly (readonly NodeId[])[]>();
  #computed = -1;
  #sequence = 0;

  constructor(env: StrategyEnvironment) {
    this.#env = env;
  }

  /** From here to `destination`: two, one or no path, without this node itself. */
  paths(destination: NodeId): readonly (readonly NodeId[])[] {
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

/**
 * The two node-disjoint paths of least total cost from `source` to `destination` over links that
 * both ends advertise; one path if there is no pair, none if there is no path. Each without
 * `source`, ending in `destination`.
 */
export function disjointPaths(
  advertisements: readonly Advertisement[],
  source: NodeId,
  destination: NodeId,
): (readonly NodeId[])[] {
  const graph = new DisjointGraph(advertisements, (link) => linkCost(link, METRIC));
  return graph.paths(source, destination, 2).map(({ nodes }) => nodes);
}
