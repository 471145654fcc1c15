/**
 * What a node does for paths of others: passes probed packets on, takes off its layer as a probe,
 * puts its layer on what comes back, and takes what is for itself.
 *
 * Owns the replay windows, the table of flows and the packets whose acknowledgement it waits for as
 * a probe; all bounded: who has most gives way, with the oldest. Of flows that is a neighbour, as
 * anybody may make up sources; of packets that a probe waits for it is a source, which has proved
 * itself by then. A packet counts only from its predecessor on the route, an acknowledgement only
 * from the successor: links are authenticated, so both are facts. Duties of onion.ts: `peel` before
 * the replay window, one acknowledgement for a set of counters, nothing depends on ttl or ECN.
 */

import { getU32 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { ReplayWindow } from '../base/replay-window.ts';
import { Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Secret } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { NextHop } from '../link/next-hop.ts';
import { DropReason, refusalOf } from '../wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_PROBED,
  Packet,
  PRIORITY_DEFAULT,
  SHARE_PATH,
  SHARE_PROBE,
  SHARE_REST,
  TTL_DEFAULT,
} from '../wire/packet.ts';
import {
  bitmapOf,
  encodeProbedAckHead,
  ProbedData,
  type ProbedAck,
  type ProbedFlow,
} from '../wire/probed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../wire/sizes.ts';
import { AckBatch } from './ack-batch.ts';
import { pathId } from './discovered-path.ts';
import { TransitTable } from './transit-table.ts';
import type { FlowKeys } from './keys.ts';
import { openInner, type Onions } from './onion.ts';
import type { ByzantineOptions } from './options.ts';
import { COUNTER_WINDOW_WORDS } from './path-flow.ts';

/** Flows remembered, one for each source, destination and path. */
const FLOWS_MAX = 2_048;
/**
 * Packets of one source, and of all, that a probe may wait for; at the bound the oldest is answered
 * as if its time were over.
 */
export const PENDING_SOURCE_MAX = 4_096;
export const PENDING_MAX = 65_536;

export interface ForwarderEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly primitives: Pick<Primitives, 'sha256'>;
  readonly onions: Onions;
  readonly keys: FlowKeys;
  readonly secret: Secret;
  readonly options: Pick<ByzantineOptions, 'ackBatchPackets' | 'ackBatchDelayUs'>;
  readonly linkTo: (node: NodeId) => NextHop | null;
  /** The epoch key of a source, from its signed request; null when none of that epoch was seen. */
  readonly keyOf: (source: NodeId, epoch: number) => Uint8Array | null;
  /**
   * Whether a signed response of that path was passed on here: `behind` are the nodes behind us,
   * the destination last.
   */
  readonly knows: (source: NodeId, behind: readonly NodeId[]) => boolean;
  /**
   * An inner packet, or a piece of one, for us: its number is at `data.sealedStart`. Valid during
   * the call only.
   */
  readonly onInner: (data: ProbedData, packet: Packet, start: number, end: number) => void;
}

interface Transit extends ProbedFlow {
  readonly predecessor: NodeId;
  /** 0 at the destination. */
  readonly successor: NodeId;
  /** Nodes behind us on the route. */
  readonly behind: number;
  /**
   * The network has shown this node that there is such a path, as far as it is behind us; anybody
   * may make one up.
   */
  known: boolean;
  /** Of a probe or destination: what it has taken. */
  window: ReplayWindow | null;
  readonly pending: Map<number, Pending>;
  readonly timer: Timer;
  /** At the destination: acknowledgements that wait for others. */
  batch: AckBatch | null;
}

/** A packet that we passed on as a probe. */
interface Pending {
  readonly transit: Transit;
  readonly counter: number;
  readonly h: Uint8Array;
  readonly ack: Uint8Array;
  readonly passedAt: Micros;
  readonly due: Micros;
  readonly service: number;
}

export class Forwarder {
  readonly #env: ForwarderEnvironment;
  readonly #flows = new TransitTable<Transit>();
  /** The same by predecessor; the one used longest ago comes first. */
  readonly #flowsFrom = new Map<NodeId, Set<Transit>>();
  /** Packets that we wait for as a probe by source, the oldest first, and how many. */
  readonly #pendingOf = new Map<NodeId, Set<Pending>>();
  #pendingCount = 0;
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

  /** Passed on, whether or not we waited for an answer. */
  get passed(): number {
    return this.forwarded + this.probed;
  }

  /** Packets that we wait for as a probe, at most PENDING_MAX. */
  get pending(): number {
    return this.#pendingCount;
  }

  /** Of one source, at most PENDING_SOURCE_MAX. */
  pendingOf(source: NodeId): number {
    return this.#pendingOf.get(source)?.size ?? 0;
  }

  /** A probed packet from the neighbour `from`. */
  onData(packet: Packet, from: NodeId): DropReason {
    const { self, onions, keys, secret } = this.#env;
    const data = this.#data;
    const reason = data.decode(packet);
    if (reason !== DropReason.none) return reason;
    const place = data.indexOf(self);
    if (place < 0 || from !== (place === 0 ? data.source : data.hop(place - 1)))
      return DropReason.probedNotOnRoute;
    const transit = this.#transitOf(data, place);
    if (transit === null) return DropReason.probedNotOnRoute;
    if (data.tailHead !== self) {
      this.forwarded += 1;
      return this.#passOn(packet, packet.bytes, packet.start, packet.end, transit, SHARE_PATH);
    }
    const sourceKey = this.#env.keyOf(data.source, data.epoch);
    const mine = sourceKey === null ? null : keys.of(data, self, secret, sourceKey);
    if (mine === null) return DropReason.probedPathUnknown;
    const h = onions.digestOf(packet, data.sealedEnd);
    if (place === data.hops - 1) {
      if (!onions.isLast(h, data.tail, mine.forward, self, data.counter))
        return DropReason.probedForged;
      if (!this.#takeOnce(transit, data.counter)) return DropReason.probedReplayed;
      if (!openInner(mine.data!, data)) return DropReason.probedForged;
      if (data.mayWait && this.#env.options.ackBatchPackets > 1)
        (transit.batch ??= this.#batchOf(transit, mine.ack)).add(data.counter, h, packet.service);
      else
        this.#sendAck(
          transit,
          data.counter,
          0,
          packet.service,
          onions.ackOf(h, self, mine.ack, data.counter, 0),
        );
      this.delivered += 1;
      this.#env.onInner(data, packet, data.sealedStart, data.sealedEnd);
      return DropReason.none;
    }
    const peeled = onions.peel(h, data.tail, mine.forward, self, data.counter);
    if (peeled === null) return DropReason.probedForged;
    if (!this.#takeOnce(transit, data.counter)) return DropReason.probedReplayed;
    const now = this.#env.clock.now();
    this.#remember({
      transit,
      counter: data.counter,
      h,
      ack: mine.ack,
      passedAt: now,
      due: now + peeled.timerUs,
      service: packet.service,
    });
    this.probed += 1;
    const b = this.#scratch;
    const head = data.sealedEnd - packet.start;
    b.set(packet.bytes.subarray(packet.start, data.sealedEnd), 0);
    b.set(peeled.rest, head);
    return this.#passOn(packet, b, 0, head + peeled.rest.length, transit, SHARE_PROBE);
  }

  /**
   * An acknowledgement from the neighbour `from`, on its way to another source; `service`: by which
   * it came.
   */
  onAck(ack: ProbedAck, from: NodeId, service: number): DropReason {
    const transit = this.#flows.get(ack);
    if (transit === undefined) return DropReason.probedPathUnknown;
    if (from !== transit.successor) return DropReason.probedAckUnexpected;
    const pending = transit.pending.get(ack.counter);
    if (pending === undefined) {
      // A probe has answered for this counter already; anybody else passes on what it cannot judge.
      if (transit.window !== null && !transit.window.isNew(ack.counter))
        return DropReason.probedAckUnexpected;
      this.#sendAck(transit, ack.counter, ack.bitmap, service, ack.onion, SHARE_PATH);
      return DropReason.none;
    }
    // What a probe waits for is acknowledged alone.
    if (ack.bitmap !== 0) return DropReason.probedAckUnexpected;
    const hold = this.#env.clock.now() - pending.passedAt;
    const onion = this.#env.onions.wrap(
      pending.h,
      this.#env.self,
      pending.ack,
      ack.counter,
      hold,
      ack.onion,
      transit.behind,
    );
    // What can't be an onion is as good as nothing: the time runs on.
    if (onion === null) return DropReason.probedAckMalformed;
    this.#forget(pending);
    this.#sendAck(transit, ack.counter, 0, pending.service, onion);
    return DropReason.none;
  }

  stop(): void {
    for (const transit of this.#flows.values()) {
      this.#env.timers.cancel(transit.timer);
      transit.batch?.stop();
    }
    this.#flows.clear();
    this.#flowsFrom.clear();
    this.#pendingOf.clear();
    this.#pendingCount = 0;
  }

  /**
   * Null when the path's id is not that of the route: acknowledgements are sent by what the first
   * packet said, and an attacker beside the path would name it before its source does, with himself
   * in front of us.
   */
  #transitOf(data: ProbedData, place: number): Transit | null {
    const known = this.#flows.get(data);
    const predecessor = place === 0 ? data.source : data.hop(place - 1);
    const successor = place === data.hops - 1 ? 0 : data.hop(place + 1);
    if (known !== undefined) {
      if (known.predecessor !== predecessor || known.successor !== successor) return null;
      const beside = this.#flowsFrom.get(known.predecessor)!;
      beside.delete(known);
      beside.add(known);
      // Who is in front of us on a path may name it before its response came by.
      if (!known.known) known.known = this.#isKnown(data, place);
      return known;
    }
    const nodes = [data.source];
    for (let i = 0; i < data.hops; i += 1) nodes.push(data.hop(i));
    const id = pathId(this.#env.primitives, nodes);
    if (getU32(id, 0) !== data.pathHigh || getU32(id, 4) !== data.pathLow) return null;
    if (this.#flows.size >= FLOWS_MAX) this.#forgetFlow();
    const transit: Transit = {
      source: data.source,
      destination: data.destination,
      epoch: data.epoch,
      pathHigh: data.pathHigh,
      pathLow: data.pathLow,
      predecessor,
      successor,
      behind: data.hops - 1 - place,
      known: this.#isKnown(data, place),
      window: null,
      pending: new Map(),
      timer: new Timer(() => this.#onTimer(transit)),
      batch: null,
    };
    this.#flows.add(transit);
    let beside = this.#flowsFrom.get(transit.predecessor);
    if (beside === undefined) this.#flowsFrom.set(transit.predecessor, (beside = new Set()));
    beside.add(transit);
    return transit;
  }

  #isKnown(data: ProbedData, place: number): boolean {
    // What a destination says of a path has been verified, and is for its neighbour.
    if (place === data.hops - 1) return true;
    const behind: NodeId[] = [];
    for (let i = place + 1; i < data.hops; i += 1) behind.push(data.hop(i));
    return this.#env.knows(data.source, behind);
  }

  /**
   * Whoever sends us most flows loses the one used longest ago; what waits for an answer in it is
   * answered.
   */
  #forgetFlow(): void {
    let most: Set<Transit> | null = null;
    for (const beside of this.#flowsFrom.values())
      if (most === null || beside.size > most.size) most = beside;
    const oldest = most!.values().next().value!;
    for (const pending of oldest.pending.values()) this.#giveUp(pending);
    oldest.batch?.flush();
    oldest.batch?.stop();
    this.#env.timers.cancel(oldest.timer);
    this.#flows.delete(oldest);
    most!.delete(oldest);
    if (most!.size === 0) this.#flowsFrom.delete(oldest.predecessor);
  }

  #batchOf(transit: Transit, key: Uint8Array): AckBatch {
    const { clock, timers, onions, self, options } = this.#env;
    return new AckBatch({
      clock,
      timers,
      packets: options.ackBatchPackets,
      delayUs: options.ackBatchDelayUs,
      send: (service, of, holdUs) => {
        const counters = of.map(({ counter }) => counter);
        const bitmap = bitmapOf(counters),
          first = counters[0]!;
        const onion = onions.ackOf(
          onions.batchDigest(of.map(({ h }) => h)),
          self,
          key,
          first,
          holdUs,
          bitmap,
        );
        const send = (): void => this.#sendAck(transit, first, bitmap, service, onion);
        send();
        return send;
      },
    });
  }

  #takeOnce(transit: Transit, counter: number): boolean {
    const window = (transit.window ??= new ReplayWindow(COUNTER_WINDOW_WORDS));
    if (!window.isNew(counter)) return false;
    window.record(counter);
    return true;
  }

  #remember(pending: Pending): void {
    const { transit, counter, due } = pending;
    const own = this.#pendingOf.get(transit.source);
    if (own !== undefined && own.size >= PENDING_SOURCE_MAX)
      this.#giveUp(own.values().next().value!);
    else if (this.#pendingCount >= PENDING_MAX) this.#giveUpFullest();
    transit.pending.set(counter, pending);
    // Its last one may just have been given up.
    const kept = this.#pendingOf.get(transit.source);
    if (kept === undefined) this.#pendingOf.set(transit.source, new Set([pending]));
    else kept.add(pending);
    this.#pendingCount += 1;
    if (!transit.timer.armed) this.#env.timers.arm(transit.timer, due);
  }

  #giveUpFullest(): void {
    let most: Set<Pending> | null = null;
    for (const own of this.#pendingOf.values())
      if (most === null || own.size > most.size) most = own;
    this.#giveUp(most!.values().next().value!);
  }

  #forget(pending: Pending): void {
    const { transit, counter } = pending;
    transit.pending.delete(counter);
    const own = this.#pendingOf.get(transit.source)!;
    own.delete(pending);
    this.#pendingCount -= 1;
    if (own.size === 0) this.#pendingOf.delete(transit.source);
  }

  #onTimer(transit: Transit): void {
    const now = this.#env.clock.now();
    for (const pending of transit.pending.values()) {
      if (pending.due > now) {
        this.#env.timers.arm(transit.timer, pending.due);
        return;
      }
      this.#giveUp(pending);
    }
  }

  #giveUp(pending: Pending): void {
    this.#forget(pending);
    const { transit, counter, service, h, ack } = pending;
    const hold = this.#env.clock.now() - pending.passedAt;
    this.#sendAck(
      transit,
      counter,
      0,
      service,
      this.#env.onions.timeoutOf(h, this.#env.self, ack, counter, hold),
    );
  }

  /**
   * Offers the packet in `b[start..end)`, header included, to the next node of the route; as one of
   * `share` if the path is known.
   */
  #passOn(
    arrived: Packet,
    b: Uint8Array,
    start: number,
    end: number,
    transit: Transit,
    share: number,
  ): DropReason {
    const link = this.#env.linkTo(transit.successor);
    if (link === null) return DropReason.linkDown;
    const out = this.#packet;
    const reason = out.decode(b, start, end, b === arrived.bytes && arrived.keepable);
    if (reason !== DropReason.none) return reason;
    out.ageUs = arrived.ageUs;
    out.setShare(transit.known ? share : SHARE_REST, transit.predecessor, transit.source);
    return refusalOf(link.offer(out));
  }

  /**
   * `share`: that of a probe's own, at most one for each packet that it took, or of one that it
   * can't judge.
   */
  #sendAck(
    transit: Transit,
    counter: number,
    bitmap: number,
    service: number,
    onion: Uint8Array,
    share = SHARE_PROBE,
  ): void {
    const link = this.#env.linkTo(transit.predecessor);
    if (link === null) return;
    const b = this.#scratch;
    const at = encodeProbedAckHead(
      { ...flowOf(transit), counter, bitmap },
      b,
      OVERLAY_HEADER_BYTES,
    );
    b.set(onion, at);
    const modes = {
      service,
      dissemination: DISSEMINATION_BYZANTINE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
    };
    this.#packet.compose(
      b,
      0,
      at + onion.length,
      KIND_PROBED,
      modes,
      this.#env.self,
      0,
      transit.predecessor,
      0,
    );
    // In nobody's way: what a destination sends back came by no other link.
    this.#packet.setShare(
      transit.known ? share : SHARE_REST,
      transit.successor === 0 ? transit.predecessor : transit.successor,
      transit.source,
    );
    link.offer(this.#packet);
  }
}

function flowOf({ source, destination, epoch, pathHigh, pathLow }: ProbedFlow): ProbedFlow {
  return { source, destination, epoch, pathHigh, pathLow };
}
