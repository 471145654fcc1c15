/**
 * Constrained flooding: every node passes each packet on once, to all neighbours but the one that
 * it came from.
 *
 * Needs no routes and survives whoever does not cut the network in two, at the price of every link
 * for every packet. The delivery that others can at best reach; cf. the flooding of Obenshain et
 * al., "Practical Intrusion-Tolerant Networks" (ICDCS 2016).
 */

import type { NodeId } from '../../../core/base/ids.ts';
import type { StrategyEnvironment } from '../../../core/dissemination/strategy.ts';
import { DropReason } from '../../../core/wire/drop.ts';
import type { Packet } from '../../../core/wire/packet.ts';
import { best, Envelopes, hop, type Baseline, type BaselineMisbehaviour } from './baseline.ts';

export class FloodingBaseline implements Baseline {
  misbehaviour: BaselineMisbehaviour | null = null;
  readonly #env: StrategyEnvironment;
  readonly #envelopes = new Envelopes();
  #sequence = 0;

  constructor(env: StrategyEnvironment) {
    this.#env = env;
  }

  originate(packet: Packet): DropReason {
    const wrapped = this.#envelopes.wrap(packet, this.#sequence, []);
    if (wrapped === null) return DropReason.packetTooLong;
    this.#envelopes.isFirst(this.#env.self, this.#sequence);
    this.#sequence += 1;
    return this.#flood(wrapped, null);
  }

  congested({ service }: Packet): boolean {
    let up = 0;
    for (const link of this.#env.links.all()) {
      if (!link.up) continue;
      if (!link.congested(service)) return false;
      up += 1;
    }
    return up > 0;
  }

  onPacket(packet: Packet, from: NodeId): DropReason {
    const opened = this.#envelopes.open(packet);
    if (opened === null) return DropReason.probedMalformed;
    if (!this.#envelopes.isFirst(packet.source, opened.sequence)) return DropReason.probedReplayed;
    if (packet.destination === this.#env.self) {
      this.#env.deliver(this.#envelopes.innerOf(packet, opened));
      return DropReason.none;
    }
    if (this.misbehaviour?.onData?.(packet, from) === true) return DropReason.none;
    return hop(packet) ? this.#flood(packet, from) : DropReason.ttlExpired;
  }

  stop(): void {}

  #flood(packet: Packet, from: NodeId | null): DropReason {
    let reason: DropReason = DropReason.noRoute;
    for (const link of this.#env.links.all())
      if (link.up && link.node !== from) reason = best(reason, link.offer(packet));
    return reason;
  }
}
