/**
 * Groups of a daemon, put together: who is in which, the trees of their sources, and the strategy
 * that goes by them.
 *
 * Owns only how these are joined: records are routing's (core/routing/group-records.ts), packets
 * core/dissemination/multicast.ts's, and sockets core/session/memberships.ts's.
 */

import { isGroupId, type NodeId } from '../base/ids.ts';
import type { Clock } from '../base/time.ts';
import { Multicast } from '../dissemination/multicast.ts';
import type { EncodedPacket } from '../link/send-queue.ts';
import type { GroupRecords } from '../routing/group-records.ts';
import type { LinkStateRouter } from '../routing/link-state-router.ts';
import type { Metric } from '../routing/metrics.ts';
import { SourceTrees } from '../routing/source-tree.ts';
import type { NodeGroups } from '../session/memberships.ts';
import { DropReason, type Offered } from '../wire/drop.ts';
import type { Packet } from '../wire/packet.ts';
import type { StrategyParts } from './strategies.ts';

export interface GroupsParts extends StrategyParts {
  readonly groupRecords: GroupRecords;
  readonly linkState: LinkStateRouter;
  readonly metric: Metric;
  readonly stopwatch: Clock;
  /** Sends a packet of ours to a node. */
  sendTo(packet: Packet): Offered;
  /** The source of `packet`, in transit, is told that its queue here is long. */
  onLong(packet: EncodedPacket, rate: number, dropped: number): void;
  /** A session of this daemon is in `group`. */
  isHere(group: number): boolean;
  /** A packet to a group that somebody here is in. */
  onGroupPacket(packet: Packet): void;
}

export class Groups implements NodeGroups {
  readonly trees: SourceTrees;
  readonly multicast: Multicast;
  readonly #parts: GroupsParts;
  readonly #records: GroupRecords;

  constructor(parts: GroupsParts) {
    this.#parts = parts;
    const { groupRecords, linkState, membership, metric, stopwatch } = parts;
    this.#records = groupRecords;
    this.trees = new SourceTrees(linkState, metric, stopwatch);
    this.multicast = new Multicast({
      ...parts,
      trees: this.trees,
      groups: groupRecords.database,
      run: lowBits(parts.instance),
      runOf: (source) => {
        const instance = linkState.instanceOf(source);
        return instance === null ? null : lowBits(instance);
      },
      proves: membership !== null,
      allows: (source, group) => groupRecords.allows(linkState.certificateOf(source), group),
      isHere: (group) => parts.isHere(group),
      deliver: (packet) => parts.deliverClaimed(packet),
      onLong: (packet, rate, dropped) => parts.onLong(packet, rate, dropped),
    });
  }

  /** Who is in which group. */
  get records(): GroupRecords {
    return this.#records;
  }

  join(group: number): boolean {
    return this.#records.own.join(group);
  }

  leave(group: number): void {
    this.#records.own.leave(group);
  }

  mayJoin(group: number): boolean {
    return this.#records.allows(this.#parts.membership?.identity.certificate ?? null, group);
  }

  members(group: number): ReadonlySet<NodeId> {
    return this.#records.database.members(group);
  }

  costTo(node: NodeId): number {
    const { paths } = this.#parts.linkState;
    const at = paths.indexOf.get(node);
    return at === undefined ? -1 : paths.cost[at]!;
  }

  version(): number {
    return this.#parts.linkState.version;
  }

  generation(group: number): number {
    return this.#records.database.generation(group);
  }

  /** A packet of kind GROUP is for this node, or for members here. */
  onDelivery(packet: Packet): void {
    if (isGroupId(packet.destination)) {
      this.#parts.onGroupPacket(packet);
      return;
    }
    const reason = this.multicast.onWrapped(packet);
    if (reason !== DropReason.none) this.#parts.drops.count(reason);
  }
}

function lowBits(instance: number): number {
  return instance % 2 ** 32;
}
