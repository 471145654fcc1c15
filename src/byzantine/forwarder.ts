/**
 * What a node does for paths of others: passes probed packets on, takes off its layer as a probe, puts its layer on what
 * comes back, and takes what is for itself.
 *
 * Owns the replay windows, the table of flows and the packets whose acknowledgement it waits for as a probe; all bounded,
 * the oldest gives way. A packet counts only from its predecessor on the route, an acknowledgement only from the successor:
 * links are authenticated, so both are facts. Duties of onion.ts: `peel` before the replay window, one acknowledgement per
 * counter, nothing depends on ttl or ECN.
 */

import type { NodeId } from '../base/ids.ts';
import { ReplayWindow } from '../base/replay-window.ts';
import { Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Secret } from '../crypto/keys.ts';
import type { Link } from '../link/link.ts';
import { DropReason } from '../wire/drop.ts';
import { DISSEMINATION_BYZANTINE, KIND_PROBED, Packet, PRIORITY_DEFAULT, TTL_DEFAULT } from '../wire/packet.ts';
import { encodeProbedAckHead, ProbedData, type ProbedAck, type ProbedFlow } from '../wire/probed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../wire/sizes.ts';
import type { FlowKeys } from './keys.ts';
import { openInner, type Onions } from './onion.ts';

/** Flows remembered, one for each source, destination and path. */
const FLOWS_MAX = 2_048;
/** Packets of one source that a probe may wait for; at the bound the oldest is answered as if its time were over. */
const PENDING_MAX = 4_096;

export interface ForwarderEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly onions: Onions;
  readonly keys: FlowKeys;
  readonly secret: Secret;
  readonly linkTo: (node: NodeId) => Link | null;
  /** The epoch key of a source, from its signed request; null when none of that epoch was seen. */
  readonly keyOf: (source: NodeId, epoch: number) => Uint8Array | null;
  /** An inner packet, or a piece of one, for us: its number is at `data.sealedStart`. Valid during the call only. */
  readonly onInner: (data: ProbedData, packet: Packet, start: number, end: number) => void;
}

interface Transit extends ProbedFlow {
  readonly predecessor: NodeId;
  /** 0 at the destination. */
  readonly successor: NodeId;
  /** Nodes behind us on the route. */
  readonly behind: number;
  /** Of a probe or destination: what it has taken. */
  window: ReplayWindow | null;
  readonly pending: Map<number, Pending>;
  readonly timer: Timer;
}

/** A packet that we passed on as a probe. */
interface Pending {
  readonly h: Uint8Array;
  readonly ack: Uint8Array;
  readonly passedAt: Micros;
  readonly due: Micros;
  readonly service: number;
}

export class Forwarder {
  readonly #env: ForwarderEnvironment;
  readonly #flows = new Map<string, Transit>();
  readonly #data = new ProbedData();
  readonly #packet = new Packet();
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  /** Passed on, with and without a layer of ours. */
  forwarded = 0;
  probed = 0;
  delivered = 0;

  constructor(env: ForwarderEnvironment) {
    this.#env = env;
  }

  /** A probed packet from the neighbour `from`. */
  onData(packet: Packet, from: NodeId): DropReason {
    const { self, onions, keys, secret } = this.#env;
    const data = this.#data;
    const reason = data.decode(packet);
    if (reason !== DropReason.none) return reason;
    const place = data.indexOf(self);
    if (place < 0 || from !== (place === 0 ? data.source : data.hop(place - 1))) return DropReason.probedNotOnRoute;
    const transit = this.#transitOf(data, place);
    if (data.tailHead !== self) {
      this.forwarded += 1;
      return this.#passOn(packet, packet.bytes, packet.start, packet.end, transit);
    }
    const sourceKey = this.#env.keyOf(data.source, data.epoch);
    const mine = sourceKey === null ? null : keys.of(data, self, secret, sourceKey);
    if (mine === null) return DropReason.probedPathUnknown;
    const h = onions.digestOf(packet, data.sealedEnd);
    if (place === data.hops - 1) {
      if (!onions.isLast(h, data.tail, mine.forward, self, data.counter)) return DropReason.probedForged;
      if (!this.#takeOnce(transit, data.counter)) return DropReason.probedReplayed;
      if (!openInner(mine.data!, data)) return DropReason.probedForged;
      this.#sendAck(transit, data.counter, packet.service, onions.ackOf(h, self, mine.ack, data.counter, 0));
      this.delivered += 1;
      this.#env.onInner(data, packet, data.sealedStart, data.sealedEnd);
      return DropReason.none;
    }
    const peeled = onions.peel(h, data.tail, mine.forward, self, data.counter);
    if (peeled === null) return DropReason.probedForged;
    if (!this.#takeOnce(transit, data.counter)) return DropReason.probedReplayed;
    const now = this.#env.clock.now();
    this.#remember(transit, data.counter, { h, ack: mine.ack, passedAt: now, due: now + peeled.timerUs, service: packet.service });
    this.probed += 1;
    const b = this.#scratch;
    const head = data.sealedEnd - packet.start;
    b.set(packet.bytes.subarray(packet.start, data.sealedEnd), 0);
    b.set(peeled.rest, head);
    return this.#passOn(packet, b, 0, head + peeled.rest.length, transit);
  }

  /** An acknowledgement from the neighbour `from`, on its way to another source; `service`: by which it came. */
  onAck(ack: ProbedAck, from: NodeId, service: number): DropReason {
    const transit = this.#flows.get(nameOf(ack));
    if (transit === undefined) return DropReason.probedPathUnknown;
    if (from !== transit.successor) return DropReason.probedAckUnexpected;
    const pending = transit.pending.get(ack.counter);
    if (pending === undefined) {
      // A probe has answered for this counter already; anybody else passes on what it cannot judge.
      if (transit.window !== null && !transit.window.isNew(ack.counter)) return DropReason.probedAckUnexpected;
      this.#sendAck(transit, ack.counter, service, ack.onion);
      return DropReason.none;
    }
    const hold = this.#env.clock.now() - pending.passedAt;
    const onion = this.#env.onions.wrap(pending.h, this.#env.self, pending.ack, ack.counter, hold, ack.onion, transit.behind);
    // What can't be an onion is as good as nothing: the time runs on.
    if (onion === null) return DropReason.probedAckMalformed;
    transit.pending.delete(ack.counter);
    this.#sendAck(transit, ack.counter, pending.service, onion);
    return DropReason.none;
  }

  stop(): void {
    for (const transit of this.#flows.values()) this.#env.timers.cancel(transit.timer);
    this.#flows.clear();
  }

  #transitOf(data: ProbedData, place: number): Transit {
    const name = nameOf(data);
    const known = this.#flows.get(name);
    if (known !== undefined) {
      this.#flows.delete(name);
      this.#flows.set(name, known);
      return known;
    }
    const transit: Transit = {
      source: data.source, destination: data.destination, epoch: data.epoch, pathHigh: data.pathHigh, pathLow: data.pathLow,
      predecessor: place === 0 ? data.source : data.hop(place - 1), successor: place === data.hops - 1 ? 0 : data.hop(place + 1), behind: data.hops - 1 - place,
      window: null, pending: new Map(), timer: new Timer(() => this.#onTimer(transit)),
    };
    this.#flows.set(name, transit);
    if (this.#flows.size > FLOWS_MAX) this.#forgetOldest();
    return transit;
  }

  #forgetOldest(): void {
    const [name, oldest] = this.#flows.entries().next().value!;
    this.#env.timers.cancel(oldest.timer);
    this.#flows.delete(name);
  }

  #takeOnce(transit: Transit, counter: number): boolean {
    const window = (transit.window ??= new ReplayWindow());
    if (!window.isNew(counter)) return false;
    window.record(counter);
    return true;
  }

  #remember(transit: Transit, counter: number, pending: Pending): void {
    if (transit.pending.size >= PENDING_MAX) {
      const [oldest, held] = transit.pending.entries().next().value!;
      this.#giveUp(transit, oldest, held);
    }
    transit.pending.set(counter, pending);
    if (!transit.timer.armed) this.#env.timers.arm(transit.timer, pending.due);
  }

  #onTimer(transit: Transit): void {
    const now = this.#env.clock.now();
    for (const [counter, pending] of transit.pending) {
      if (pending.due > now) {
        this.#env.timers.arm(transit.timer, pending.due);
        return;
      }
      this.#giveUp(transit, counter, pending);
    }
  }

  #giveUp(transit: Transit, counter: number, pending: Pending): void {
    transit.pending.delete(counter);
    const hold = this.#env.clock.now() - pending.passedAt;
    this.#sendAck(transit, counter, pending.service, this.#env.onions.timeoutOf(pending.h, this.#env.self, pending.ack, counter, hold));
  }

  /** Offers the packet in `b[start..end)`, header included, to the next node of the route. */
  #passOn(arrived: Packet, b: Uint8Array, start: number, end: number, transit: Transit): DropReason {
    const link = this.#env.linkTo(transit.successor);
    if (link === null) return DropReason.linkDown;
    const out = this.#packet;
    const reason = out.decode(b, start, end, b === arrived.bytes && arrived.keepable);
    return reason === DropReason.none ? link.offer(out) : reason;
  }

  #sendAck(transit: Transit, counter: number, service: number, onion: Uint8Array): void {
    const link = this.#env.linkTo(transit.predecessor);
    if (link === null) return;
    const b = this.#scratch;
    const at = encodeProbedAckHead({ ...flowOf(transit), counter, bitmap: 0 }, b, OVERLAY_HEADER_BYTES);
    b.set(onion, at);
    const modes = { service, dissemination: DISSEMINATION_BYZANTINE, ttl: TTL_DEFAULT, priority: PRIORITY_DEFAULT };
    this.#packet.compose(b, at + onion.length, KIND_PROBED, modes, this.#env.self, 0, transit.predecessor, 0);
    link.offer(this.#packet);
  }
}

function flowOf({ source, destination, epoch, pathHigh, pathLow }: ProbedFlow): ProbedFlow {
  return { source, destination, epoch, pathHigh, pathLow };
}

function nameOf({ source, destination, epoch, pathHigh, pathLow }: ProbedFlow): string {
  return `${source} ${destination} ${epoch} ${pathHigh} ${pathLow}`;
}
