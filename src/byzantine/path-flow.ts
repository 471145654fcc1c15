/**
 * One path in use by its source: what leaves on it, what is acknowledged, and what that says about the path.
 *
 * Owns counters, the packets whose fate is open, the timers and the monitor of one path; the choice of paths is
 * source-flow.ts's. Timers are nested (research of section 1.3): each probe waits longer than the next one by twice the
 * bound of the interval between them, so that a loss far away is never blamed on an honest interval nearby.
 */

import { getU32, putU48 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Secret } from '../crypto/keys.ts';
import type { Link } from '../link/link.ts';
import { DropReason } from '../wire/drop.ts';
import { DISSEMINATION_BYZANTINE, KIND_PROBED, Packet, TTL_DEFAULT, type PacketModes } from '../wire/packet.ts';
import {
  encodeProbedHead, PROBED_COUNTER_MAX, PROBED_PIECES_MAX, probedInnerMax, sealedOffset, tailBytes, type ProbedAck, type ProbedFlow,
} from '../wire/probed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, TAG_BYTES } from '../wire/sizes.ts';
import type { DiscoveredPath } from './discovery.ts';
import { PathMonitor, type Verdict } from './intervals.ts';
import type { FlowKeys, HopKeys } from './keys.ts';
import { sealInner, TIMER_US_MAX, type Onions, type OnionLayer, type TailLayer } from './onion.ts';
import type { ByzantineOptions } from './options.ts';

/** In front of every inner packet, or piece of one: which message of the source it is. */
export const NUMBER_BYTES = 6;
/** Packets of one path whose fate is open; more are refused. */
const OPEN_MAX = 4_096;

export interface PathFlowEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly options: ByzantineOptions;
  readonly onions: Onions;
  readonly keys: FlowKeys;
  readonly epoch: number;
  readonly secret: Secret;
  readonly linkTo: (node: NodeId) => Link | null;
  /** The next counter for packets to `destination`: keys belong to a destination and a path, and outlive the use of both. */
  readonly nextCounter: (destination: NodeId) => number;
  /** How long a packet and its answer take over the link between two neighbours at most, by `service`. */
  readonly boundUs: (u: NodeId, v: NodeId, service: number) => Micros;
}

/** Calls come after the path's own state is up to date. */
export interface PathFlowOwner {
  onVerdict(flow: PathFlow, verdict: Verdict): void;
  /** A packet reached the destination for certain. */
  onDelivered(): void;
}

/** A packet whose fate is open. */
interface Open {
  readonly h: Uint8Array;
  readonly list: readonly number[];
  readonly generation: number;
  readonly sentAt: Micros;
  readonly deadline: Micros;
}

/** What the newest whole acknowledgement said of times. */
export interface PathTimes {
  readonly roundTripUs: Micros;
  /** Indices into the path of the probes, the destination last, and how long each held the packet's answer. */
  readonly list: readonly number[];
  readonly holdsUs: readonly Micros[];
}

/** What follows from a list of probes; made anew when the list changes. */
interface Plan {
  readonly generation: number;
  readonly list: readonly number[];
  readonly tail: readonly TailLayer[];
  readonly onion: readonly OnionLayer[];
  /** Of each interval, the one that ends at list[i]: the bound of its round trip. */
  readonly boundsUs: readonly Micros[];
  readonly timeoutUs: Micros;
}

export class PathFlow {
  readonly path: DiscoveredPath;
  readonly monitor: PathMonitor;
  readonly flow: ProbedFlow;
  readonly service: number;
  /** Packets whose acknowledgement did not come in time. */
  lost = 0;
  times: PathTimes | null = null;
  readonly #env: PathFlowEnvironment;
  readonly #owner: PathFlowOwner;
  readonly #modes: PacketModes;
  readonly #open = new Map<number, Open>();
  readonly #timer = new Timer(() => this.#onTimer());
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX + TAG_BYTES);
  readonly #packet = new Packet();
  readonly #route: readonly NodeId[];
  #plan: Plan | null = null;
  #ended = false;

  constructor(path: DiscoveredPath, service: number, priority: number, env: PathFlowEnvironment, owner: PathFlowOwner) {
    this.path = path;
    this.service = service;
    this.#env = env;
    this.#owner = owner;
    this.#route = path.nodes.slice(1);
    this.#modes = { service, dissemination: DISSEMINATION_BYZANTINE, ttl: TTL_DEFAULT, priority };
    this.flow = { source: env.self, destination: path.nodes.at(-1)!, epoch: env.epoch, pathHigh: getU32(path.id, 0), pathLow: getU32(path.id, 4) };
    this.monitor = new PathMonitor(path.nodes, env.options);
  }

  /** The link that it leaves on; null while that is down. */
  get link(): Link | null {
    return this.#env.linkTo(this.#route[0]!);
  }

  /** Packets whose fate is open. */
  get open(): number {
    return this.#open.size;
  }

  /** Longest inner packet, or piece of one, that a packet of this path takes now. */
  get roomBytes(): number {
    return probedInnerMax(this.#route.length, this.monitor.probes.length) - NUMBER_BYTES;
  }

  /** False when a node of the path gave a key that keeps no secret: nothing can be sent. */
  get usable(): boolean {
    return this.#planNow() !== null;
  }

  /** Sends `bytes[start..end)`, an inner packet in as many pieces as it needs, at most PROBED_PIECES_MAX. */
  send(number: number, bytes: Uint8Array, start: number, end: number): DropReason {
    const room = this.roomBytes;
    const count = Math.ceil((end - start) / room);
    if (count > PROBED_PIECES_MAX) return DropReason.packetTooLong;
    const link = this.link;
    if (link === null) return DropReason.linkDown;
    if (this.#open.size + count > OPEN_MAX) return DropReason.linkQueueFull;
    for (let i = 0; i < count; i += 1) {
      const reason = this.#sendPiece(link, number, i, count, bytes, start + i * room, Math.min(end, start + (i + 1) * room));
      if (reason !== DropReason.none) return reason;
    }
    return DropReason.none;
  }

  #sendPiece(link: Link, number: number, index: number, count: number, bytes: Uint8Array, start: number, end: number): DropReason {
    const plan = this.#planNow();
    // What does not leave was not lost on the path; its counter is not used again all the same.
    const counter = this.#env.nextCounter(this.flow.destination);
    if (plan === null || counter > PROBED_COUNTER_MAX) return DropReason.noRoute;
    const { onions, clock } = this.#env;
    const data = this.#keysOf(this.#route.length - 1)!.data!;
    const b = this.#scratch;
    const head = OVERLAY_HEADER_BYTES;
    const plainEnd = head + sealedOffset(this.#route.length) + NUMBER_BYTES + end - start;
    const sealedEnd = plainEnd + TAG_BYTES;
    const sealedStart = encodeProbedHead({
      epoch: this.flow.epoch, pathHigh: this.flow.pathHigh, pathLow: this.flow.pathLow, counter, pieceIndex: index, pieceCount: count, route: this.#route,
      sealedBytes: NUMBER_BYTES + end - start + TAG_BYTES,
    }, b, head);
    putU48(b, sealedStart, number);
    b.set(bytes.subarray(start, end), sealedStart + NUMBER_BYTES);
    sealInner(data, counter, b, head, sealedStart, plainEnd);
    const packet = this.#packet;
    packet.compose(b, sealedEnd + tailBytes(plan.tail.length), KIND_PROBED, this.#modes, this.flow.source, 0, this.flow.destination, 0);
    const h = onions.digestOf(packet, sealedEnd);
    b.set(onions.buildTail(h, plan.tail, counter), sealedEnd);
    const reason = link.offer(packet);
    if (reason !== DropReason.none) return reason;
    const now = clock.now();
    this.#open.set(counter, { h, list: plan.list, generation: plan.generation, sentAt: now, deadline: now + plan.timeoutUs });
    if (!this.#timer.armed) this.#env.timers.arm(this.#timer, now + plan.timeoutUs);
    return DropReason.none;
  }

  /** An acknowledgement of this path, from its first node. */
  onAck(ack: ProbedAck): DropReason {
    const open = this.#open.get(ack.counter);
    if (open === undefined || ack.bitmap !== 0) return DropReason.probedAckUnexpected;
    const plan = this.#planOf(open.generation, open.list);
    if (plan === null) return DropReason.probedAckUnexpected;
    const { reached, holdsUs, noise } = this.#env.onions.unwrap(open.h, plan.onion, ack.counter, ack.onion);
    if (noise) return DropReason.probedAckForged;
    this.#open.delete(ack.counter);
    if (reached === open.list.length) this.times = { roundTripUs: this.#env.clock.now() - open.sentAt, list: open.list, holdsUs };
    this.#settle(open, reached, this.#softInterval(open, plan, holdsUs));
    return DropReason.none;
  }

  /** Ends without a word: what is open stays unknown. */
  end(): void {
    this.#ended = true;
    this.#open.clear();
    this.#env.timers.cancel(this.#timer);
  }

  /** Index of the interval that took longer than it may, -1 = none. */
  #softInterval(open: Open, plan: Plan, holdsUs: readonly Micros[]): number {
    let outside = this.#env.clock.now() - open.sentAt;
    for (let i = 0; i < holdsUs.length; i += 1) {
      if (outside - holdsUs[i]! > plan.boundsUs[i]!) return i;
      outside = holdsUs[i]!;
    }
    return -1;
  }

  #settle(open: Open, reached: number, soft: number): void {
    const whole = reached === open.list.length;
    if (!whole) this.lost += 1;
    const verdict = this.monitor.onOutcome(open.generation, open.list, reached, soft);
    if (whole) this.#owner.onDelivered();
    if (verdict !== null) this.#owner.onVerdict(this, verdict);
  }

  #onTimer(): void {
    const now = this.#env.clock.now();
    for (const [counter, open] of this.#open) {
      if (open.deadline > now) {
        this.#env.timers.arm(this.#timer, open.deadline);
        return;
      }
      this.#open.delete(counter);
      this.#settle(open, 0, -1);
      if (this.#ended) return;
    }
  }

  #planNow(): Plan | null {
    return this.#planOf(this.monitor.generation, this.monitor.probes);
  }

  #planOf(generation: number, list: readonly number[]): Plan | null {
    if (this.#plan?.generation === generation) return this.#plan;
    const { options, boundUs } = this.#env;
    const { nodes } = this.path;
    const boundsUs = list.map((to, i) => {
      let bound = 0;
      for (let at = i === 0 ? 0 : list[i - 1]!; at < to; at += 1) bound += boundUs(nodes[at]!, nodes[at + 1]!, this.service);
      return bound + 5 * MILLISECOND + (i === list.length - 1 ? options.ackBatchDelayUs : 0);
    });
    const tail: TailLayer[] = [];
    const onion: OnionLayer[] = [];
    let timerUs = 0;
    for (let i = list.length - 1; i >= 0; i -= 1) {
      const keys = this.#keysOf(list[i]! - 1);
      if (keys === null) return null;
      tail.unshift({ id: nodes[list[i]!]!, timerUs: Math.min(TIMER_US_MAX, timerUs), forward: keys.forward });
      onion.unshift({ id: nodes[list[i]!]!, ack: keys.ack });
      timerUs += 2 * boundsUs[i]!;
    }
    const plan = { generation, list, tail, onion, boundsUs, timeoutUs: timerUs };
    if (generation === this.monitor.generation) this.#plan = plan;
    return plan;
  }

  /** Of the `index`-th node behind the source. */
  #keysOf(index: number): HopKeys | null {
    return this.#env.keys.of(this.flow, this.#route[index]!, this.#env.secret, this.path.keys[index]!);
  }
}
