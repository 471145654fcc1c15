/**
 * One path in use by its source: what leaves on it, what is acknowledged, and what that says about
 * the path.
 *
 * Owns the packets whose fate is open, the timers, what was measured and the monitor of one path;
 * the choice of paths is source-flow.ts's. Timers are nested: each probe waits longer than the next
 * one by the cap of the interval between them (bounds.ts), so that a loss far away is never blamed
 * on an honest interval nearby. While nobody is probed, acknowledgements may come in batches
 * (ack-batch.ts), and a packet is lost after what was measured on the path: that can start a
 * search, and convicts nobody. Where it could, on a path of one link, the cap holds as well.
 */

import { getU32, putU48 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, NEVER, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Secret } from '../crypto/keys.ts';
import type { NextHop } from '../link/next-hop.ts';
import { DropReason, refusalOf } from '../wire/drop.ts';
import {
  deadlineAt,
  DISSEMINATION_BYZANTINE,
  KIND_PROBED,
  Packet,
  SERVICE_RELIABLE,
  SHARE_PROBE,
  TTL_DEFAULT,
  type PacketModes,
} from '../wire/packet.ts';
import {
  ackedCounters,
  encodeProbedHead,
  PROBED_COUNTER_MAX,
  PROBED_PIECES_MAX,
  probedInnerMax,
  sealedOffset,
  tailBytes,
  type ProbedAck,
  type ProbedFlow,
} from '../wire/probed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, TAG_BYTES } from '../wire/sizes.ts';
import { batchWaitUs } from './ack-batch.ts';
import { OUTAGE_US, SILENCE_US, type MeasuredBound, type RoundTripRange } from './bounds.ts';
import type { DiscoveredPath } from './discovered-path.ts';
import { PathMonitor, type Verdict } from './intervals.ts';
import type { FlowKeys } from './keys.ts';
import { sealInner, type Onions } from './onion.ts';
import type { ByzantineOptions } from './options.ts';
import { ProbePlans, type Plan } from './probe-plans.ts';

/** In front of every inner packet, or piece of one: which message of the source it is. */
export const NUMBER_BYTES = 6;
/**
 * Packets of one path whose fate is open; more are refused. At half of them programs are told to
 * wait: what they had sent by then must find room.
 */
const OPEN_MAX = 8_192;
/**
 * Whoever takes a packet once must tell its counter from those of all that may be under way beside
 * it: over reliable links one that is sent again comes behind them, and looks lost if it is too old
 * to tell. Twice as many, for two paths or services at a time.
 */
export const COUNTER_WINDOW_WORDS = (2 * OPEN_MAX) / 32;
/** Packets that the monitor has not judged yet; more are refused. */
const UNJUDGED_MAX = 16_384;
/**
 * Packets whose fate is known that an acknowledgement may still name: as one of a batch, or too
 * late.
 */
const SETTLED_MAX = 256;
/**
 * An answer that takes this much longer than the quickest says that queues fill, on links of others
 * as well: nobody marks a probed packet, and a queue that is longer than honest ones may be would
 * convict its link. So does a queue of our own of so many bytes. But whoever holds packets up could
 * slow us down by it: so many may be under way all the same.
 */
export const QUEUES_LONG_US: Micros = 100 * MILLISECOND;
/** Half of it marks packets of streams, as a queue marks them that sees what they are. */
const QUEUES_MARK_US: Micros = 50 * MILLISECOND;
export const QUEUE_OWN_BYTES = 32_768;
export const OPEN_LEAST = 16;
/** Before the first answer. */
const OPEN_UNANSWERED = 64;
/** Packets whose time is over within this are looked at together. */
const TIMER_GRAIN: Micros = 2 * MILLISECOND;

export interface PathFlowEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly options: ByzantineOptions;
  readonly onions: Onions;
  readonly keys: FlowKeys;
  readonly epoch: number;
  readonly secret: Secret;
  readonly linkTo: (node: NodeId) => NextHop | null;
  /**
   * The next counter for packets to `destination`: keys belong to a destination and a path, and
   * outlive the use of both.
   */
  readonly nextCounter: (destination: NodeId) => number;
  /** How long a packet and its answer take over the link between two neighbours, by `service`. */
  readonly rangeOf: (u: NodeId, v: NodeId, service: number) => RoundTripRange;
}

/** Calls come after the path's own state is up to date. */
export interface PathFlowOwner {
  onVerdict(flow: PathFlow, verdict: Verdict): void;
  /** A packet reached the destination for certain. */
  onDelivered(): void;
  /** `congested` was true when it was asked, and is no longer. */
  onRoom(): void;
  /**
   * All packets of a message reached the destination for certain, or one of them was lost. At most
   * once for each call of `send`.
   */
  onMessage(flow: PathFlow, number: number, arrived: boolean): void;
}

/** A message on its way, in one or more packets. */
interface Sending {
  readonly number: number;
  left: number;
}

/** A packet whose fate is open, or was until lately. */
interface Open {
  readonly h: Uint8Array;
  readonly list: readonly number[];
  readonly generation: number;
  readonly mayWait: boolean;
  readonly sentAt: Micros;
  readonly deadline: Micros;
  /** It is over earlier when nothing at all was answered for so long. */
  readonly silenceUs: Micros;
  readonly sending: Sending;
  /** An acknowledgement came, in time or not. */
  answered: boolean;
}

interface Fate {
  readonly packet: Open;
  readonly reached: number;
  /** Index of the interval that took too long, -1 = none. */
  readonly soft: number;
}

/** What the newest whole acknowledgement said of times. */
export interface PathTimes {
  readonly roundTripUs: Micros;
  /**
   * Indices into the path of the probes, the destination last, and how long each held the packet's
   * answer.
   */
  readonly list: readonly number[];
  readonly holdsUs: readonly Micros[];
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
  readonly #modes: PacketModes & { deadline: number; spentUs: Micros };
  readonly #open = new Map<number, Open>();
  /**
   * Packets in the order of sending, and their fate as soon as it is known. The monitor hears of it
   * in this order: an answer is known long before a loss is, and of a fast flow all debts would be
   * paid before the first loss of a search was counted.
   */
  /** When an answer came last. */
  #answeredAt: Micros = 0;
  readonly #fates = new Map<number, Fate | null>();
  /** The same, after their fate was known; the oldest first. */
  readonly #settled = new Map<number, Open>();
  readonly #timer = new Timer(() => this.#onTimer());
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX + TAG_BYTES);
  readonly #packet = new Packet();
  readonly #route: readonly NodeId[];
  readonly #plans: ProbePlans;
  /** Of the quickest answer of all and of the newest. */
  #shortest: Micros = Infinity;
  #newest: Micros = 0;
  #saidCongested = false;
  #ended = false;

  constructor(
    path: DiscoveredPath,
    service: number,
    priority: number,
    env: PathFlowEnvironment,
    owner: PathFlowOwner,
  ) {
    this.path = path;
    this.service = service;
    this.#env = env;
    this.#owner = owner;
    this.#route = path.nodes.slice(1);
    this.#modes = {
      service,
      dissemination: DISSEMINATION_BYZANTINE,
      ttl: TTL_DEFAULT,
      priority,
      deadline: 0,
      spentUs: 0,
    };
    this.flow = {
      source: env.self,
      destination: path.nodes.at(-1)!,
      epoch: env.epoch,
      pathHigh: getU32(path.id, 0),
      pathLow: getU32(path.id, 4),
    };
    this.monitor = new PathMonitor(path.nodes, env.options);
    this.#plans = new ProbePlans(path, this.flow, service, env);
  }

  /** The link that it leaves on; null while that is down. */
  get link(): NextHop | null {
    return this.#env.linkTo(this.#route[0]!);
  }

  /** True while a further packet would lengthen a queue, here or on the way. `onRoom` follows. */
  get congested(): boolean {
    if (!this.#isCongested()) return this.link?.holds(this.#packet) ?? false;
    this.#saidCongested = true;
    return true;
  }

  /** Of the run of the destination that this path leads to. */
  get destinationKey(): Uint8Array {
    return this.path.keys.at(-1)!;
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

  /**
   * Sends `bytes[start..end)`, an inner packet in as many pieces as it needs, at most
   * PROBED_PIECES_MAX. `ageUs`: see Packet.
   */
  send(number: number, bytes: Uint8Array, start: number, end: number, ageUs = 0): DropReason {
    const room = this.roomBytes;
    const count = Math.ceil((end - start) / room);
    if (count > PROBED_PIECES_MAX) return DropReason.packetTooLong;
    const link = this.link;
    if (link === null) return DropReason.linkDown;
    if (this.#open.size + count > OPEN_MAX || this.#fates.size + count > UNJUDGED_MAX)
      return DropReason.linkQueueFull;
    this.#modes.deadline = deadlineAt(bytes, start);
    this.#modes.spentUs = ageUs;
    const sending = { number, left: count };
    for (let i = 0; i < count; i += 1) {
      const reason = this.#sendPiece(
        link,
        sending,
        i,
        count,
        bytes,
        start + i * room,
        Math.min(end, start + (i + 1) * room),
      );
      if (reason !== DropReason.none) return reason;
    }
    return DropReason.none;
  }

  #sendPiece(
    link: NextHop,
    sending: Sending,
    index: number,
    count: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): DropReason {
    const plan = this.#planNow();
    // What does not leave was not lost on the path; its counter is not used again all the same.
    const counter = this.#env.nextCounter(this.flow.destination);
    if (plan === null || counter > PROBED_COUNTER_MAX) return DropReason.noRoute;
    const { onions, clock, options } = this.#env;
    const mayWait = plan.quiet && options.ackBatchPackets > 1;
    const data = this.#plans.keysOf(this.#route.length - 1)!.data!;
    const b = this.#scratch;
    const head = OVERLAY_HEADER_BYTES;
    const plainEnd = head + sealedOffset(this.#route.length) + NUMBER_BYTES + end - start;
    const sealedEnd = plainEnd + TAG_BYTES;
    const sealedStart = encodeProbedHead(
      {
        epoch: this.flow.epoch,
        pathHigh: this.flow.pathHigh,
        pathLow: this.flow.pathLow,
        counter,
        mayWait,
        pieceIndex: index,
        pieceCount: count,
        route: this.#route,
        sealedBytes: NUMBER_BYTES + end - start + TAG_BYTES,
      },
      b,
      head,
    );
    putU48(b, sealedStart, sending.number);
    b.set(bytes.subarray(start, end), sealedStart + NUMBER_BYTES);
    sealInner(data, counter, b, head, sealedStart, plainEnd);
    const packet = this.#packet;
    packet.compose(
      b,
      0,
      sealedEnd + tailBytes(plan.tail.length),
      KIND_PROBED,
      this.#modes,
      this.flow.source,
      0,
      this.flow.destination,
      0,
    );
    packet.share = SHARE_PROBE;
    const h = onions.digestOf(packet, sealedEnd);
    b.set(onions.buildTail(h, plan.tail, counter), sealedEnd);
    const reason = refusalOf(link.offer(packet));
    if (reason !== DropReason.none) return reason;
    const now = clock.now();
    const patienceUs = this.#patienceUs(plan);
    const silenceUs =
      plan.quiet && options.softLoss && this.#route.length > 1
        ? Math.min(patienceUs, 2 * plan.bounds[0]!.range.leastUs + SILENCE_US)
        : patienceUs;
    const packetOpen: Open = {
      h,
      list: plan.list,
      generation: plan.generation,
      mayWait,
      sentAt: now,
      deadline: now + patienceUs,
      silenceUs,
      sending,
      answered: false,
    };
    this.#open.set(counter, packetOpen);
    this.#fates.set(counter, null);
    const dueAt = this.#dueAt(packetOpen);
    if (!this.#timer.armed || this.#timer.at > dueAt)
      this.#env.timers.arm(this.#timer, Math.max(dueAt, now + TIMER_GRAIN));
    return DropReason.none;
  }

  /** An acknowledgement of this path, from its first node. */
  onAck(ack: ProbedAck): DropReason {
    const { onions, clock } = this.#env;
    const counters = ackedCounters(ack.counter, ack.bitmap);
    const packets: Open[] = [];
    for (const counter of counters) {
      const packet = this.#open.get(counter) ?? this.#settled.get(counter);
      // What was never sent here, or had to be answered alone: the batch is a fake, and the timers
      // run on.
      if (packet === undefined || (counters.length > 1 && !packet.mayWait))
        return DropReason.probedAckUnexpected;
      packets.push(packet);
    }
    const last = packets.at(-1)!;
    if (!counters.some((counter, i) => this.#open.has(counter) || !packets[i]!.answered))
      return DropReason.probedAckUnexpected;
    const plan = this.#plans.of(last.generation, last.list, this.monitor.generation);
    if (plan === null) return DropReason.probedAckUnexpected;
    const { reached, holdsUs, noise } = onions.unwrap(
      onions.batchDigest(packets.map(({ h }) => h)),
      plan.onion,
      ack.counter,
      ack.onion,
      ack.bitmap,
    );
    if (noise) return DropReason.probedAckForged;
    const now = clock.now();
    this.#answeredAt = now;
    if (reached === last.list.length) this.#onTimes(now - last.sentAt, last.list, holdsUs);
    for (let i = 0; i < packets.length && !this.#ended; i += 1) {
      const packet = packets[i]!;
      if (!packet.answered) this.#onAnswer(counters[i]!, packet, plan, reached, holdsUs, now);
    }
    this.#tellRoom();
    return DropReason.none;
  }

  #onTimes(roundTripUs: Micros, list: readonly number[], holdsUs: readonly Micros[]): void {
    this.times = { roundTripUs, list, holdsUs };
    this.#newest = roundTripUs - holdsUs.at(-1)!;
    this.#shortest = Math.min(this.#shortest, this.#newest);
  }

  #isCongested(): boolean {
    if (this.#open.size >= OPEN_MAX / 2) return true;
    if (this.#shortest === Infinity) return this.#open.size >= OPEN_UNANSWERED;
    return (
      this.#open.size >= OPEN_LEAST &&
      (this.#newest - this.#shortest > QUEUES_LONG_US ||
        (this.link?.queueBytesOf(this.#packet) ?? 0) > QUEUE_OWN_BYTES)
    );
  }

  /** True when a stream that sends on this path should slow down. */
  get marks(): boolean {
    return (
      this.#shortest !== Infinity &&
      this.#open.size >= OPEN_LEAST &&
      this.#newest - this.#shortest > QUEUES_MARK_US
    );
  }

  #tellRoom(): void {
    if (!this.#saidCongested || this.#ended || this.#isCongested()) return;
    this.#saidCongested = false;
    this.#owner.onRoom();
  }

  #onAnswer(
    counter: number,
    packet: Open,
    plan: Plan,
    reached: number,
    holdsUs: readonly Micros[],
    now: Micros,
  ): void {
    packet.answered = true;
    const isOpen = this.#open.has(counter);
    let soft = -1;
    let outside = now - packet.sentAt;
    // While nobody is probed one hold is that of the batch's last packet: it can't be taken from
    // the others' time.
    for (let i = 0; i < holdsUs.length; i += 1) {
      const inside = plan.quiet ? 0 : holdsUs[i]!;
      const bound = plan.bounds[i]!,
        took = outside - inside;
      if (soft < 0 && !plan.quiet && took > this.#honestUs(bound)) soft = i;
      bound.onSample(took, now);
      outside = inside;
    }
    if (isOpen) this.#settle(counter, packet, reached, soft);
  }

  /**
   * The longest that is no loss. A link that recovers losses is late by whole outages, of which
   * what was measured lately says nothing.
   */
  #honestUs(bound: MeasuredBound): Micros {
    return this.service === SERVICE_RELIABLE ? bound.range.mostUs + OUTAGE_US : bound.boundUs(0);
  }

  /** Ends without a word: what is open stays unknown. */
  end(): void {
    this.#ended = true;
    this.#open.clear();
    this.#fates.clear();
    this.#settled.clear();
    this.#env.timers.cancel(this.#timer);
  }

  #settle(counter: number, packet: Open, reached: number, soft: number): void {
    this.#open.delete(counter);
    this.#settled.set(counter, packet);
    if (this.#settled.size > SETTLED_MAX) this.#settled.delete(this.#settled.keys().next().value!);
    const whole = reached === packet.list.length;
    if (!whole) this.lost += 1;
    this.#fates.set(counter, { packet, reached, soft });
    const { sending } = packet;
    if (whole) {
      this.#owner.onDelivered();
      sending.left -= 1;
      if (sending.left === 0) this.#owner.onMessage(this, sending.number, true);
    } else if (sending.left > 0) {
      sending.left = -1;
      this.#owner.onMessage(this, sending.number, false);
    }
    this.#judge();
  }

  /** Tells the monitor what is known without a gap. */
  #judge(): void {
    for (const [counter, fate] of this.#fates) {
      if (this.#ended) return;
      if (fate === null) {
        // Of an older list: what it says is of intervals that are gone, and it may be long in
        // coming.
        if ((this.#open.get(counter)?.generation ?? -1) < this.monitor.generation) continue;
        return;
      }
      this.#fates.delete(counter);
      const verdict = this.monitor.onOutcome(
        fate.packet.generation,
        fate.packet.list,
        fate.reached,
        fate.soft,
      );
      if (verdict !== null) this.#owner.onVerdict(this, verdict);
    }
  }

  /** When it is lost, as far as is known now. */
  #dueAt({ sentAt, deadline, silenceUs }: Open): Micros {
    return Math.min(deadline, Math.max(sentAt, this.#answeredAt) + silenceUs);
  }

  #onTimer(): void {
    const now = this.#env.clock.now();
    // What was sent during a search is waited for longer than what was sent after it.
    let next = NEVER;
    for (const [counter, packet] of this.#open) {
      const dueAt = this.#dueAt(packet);
      if (dueAt > now) {
        next = Math.min(next, dueAt);
        continue;
      }
      this.#settle(counter, packet, 0, -1);
      if (this.#ended) return;
    }
    if (next !== NEVER) this.#env.timers.arm(this.#timer, Math.max(next, now + TIMER_GRAIN));
    this.#tellRoom();
  }

  /** How long the answer to what is sent now is waited for. */
  #patienceUs(plan: Plan): Micros {
    const { options } = this.#env;
    const waitUs =
      options.ackBatchPackets > 1 && plan.quiet
        ? batchWaitUs(options.ackBatchDelayUs, this.service)
        : 0;
    if (!plan.quiet || !options.softLoss || this.#route.length === 1)
      return plan.timeoutUs + waitUs;
    return plan.bounds[0]!.boundUs(waitUs);
  }

  #planNow(): Plan | null {
    return this.#plans.now(this.monitor);
  }
}
