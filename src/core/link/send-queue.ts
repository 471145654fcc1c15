/**
 * A bounded queue of packets in front of a link, fair by what cannot be forged, and within that by
 * flow.
 *
 * Turns and room are shared by class first (core/wire/packet.ts, SHARE_...), then by the neighbour
 * that a packet came from, whom its link has authenticated (our own programs count as one), then by
 * the source, which anybody may write into a packet: it divides the share of its neighbour and of
 * nobody else (of what begins here, by the program). Flows divide the share of a source, by the
 * priority that they ask for and then evenly; on every level who offers little comes first
 * (turns.ts). What is in transit has a bound for each class: when it is reached the packet pushes
 * out the last one of whoever holds most of that class, or is refused if that is its own kind.
 * Nobody is pushed out who was told that his packet is taken: local programs have bounds of their
 * own, and are refused there (their bytes are borrowed, and they wait); a flow of theirs takes so
 * much of the room that others find some. Each packet is charged an overhead. A packet that waited
 * long in a queue that its own flow has made is marked as it leaves; what others queue does not
 * matter. `@hot`
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';
import { isSlowed } from '../wire/notice.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import {
  KIND_STREAM,
  SHARE_CONTROL,
  SHARE_PATH,
  SHARE_PROBE,
  SHARE_REST,
  SHARES,
  type Packet,
} from '../wire/packet.ts';
import {
  ClassPart,
  FLOWS_PER_SOURCE_MAX,
  FlowPart,
  NeighbourPart,
  SourcePart,
  type Payer,
} from './queue-parts.ts';
import { PACKET_OVERHEAD_BYTES, Turns } from './turns.ts';

export { PACKET_OVERHEAD_BYTES } from './turns.ts';

/**
 * Packets of local programs have this many times the limit for themselves: what programs had sent
 * before they heard that they must wait is not lost. Each is ahead of the daemon by
 * SEND_AHEAD_BYTES of the client library at most, and 15 at once find room beyond the half of the
 * limit at which they hear of it.
 */
export const LOCAL_FACTOR = 16;
/**
 * A local flow, or program, holds at most so many times what is left (Choudhury and Hahne, IEEE/ACM
 * ToN 1998): one alone four fifths.
 */
export const OWN_FLOW_FACTOR = 4,
  OWN_PROGRAM_FACTOR = 8;
/**
 * Probed packets that were refused convict links: they have more room, on both sides. So have
 * messages of discovery.
 */
const PROBE_FACTOR = 4;
/** By class: bounds of what begins here and of what is in transit, in units of the limit. */
const OWN_FACTORS: readonly number[] = byClass({
  control: PROBE_FACTOR,
  probe: PROBE_FACTOR,
  path: 0,
  rest: LOCAL_FACTOR,
});
const TRANSIT_FACTORS: readonly number[] = byClass({
  control: 0,
  probe: PROBE_FACTOR,
  path: 1,
  rest: 1,
});
/** Most that one queue holds, in units of its limit. */
export const QUEUE_FACTOR = [...OWN_FACTORS, ...TRANSIT_FACTORS].reduce(
  (sum, factor) => sum + factor,
  0,
);
/** A flow with less than this behind a packet has made no queue. */
const MARK_BYTES = 8 * 1024;
/**
 * A flow in transit has a long queue, however quickly it leaves, with so much of what its class may
 * hold, or with so little while the class is long: it came faster, and until its source hears of it
 * as much as is there may come again.
 */
const LONG_PART = 1 / 8,
  LONG_PART_OF_LONG = 1 / 32,
  LONG_CLASS = 1 / 4;
/** The source of a flow is told so often that it is long, and not before its rate can be told. */
const NOTICE_INTERVAL: Micros = 100 * MILLISECOND,
  NOTICE_LEAST: Micros = 4 * MILLISECOND;
/** Empty parts of each kind kept to be used again. */
const SPARE_MAX = 64;
const HASHES = 256;

function byClass({
  control,
  probe,
  path,
  rest,
}: {
  control: number;
  probe: number;
  path: number;
  rest: number;
}): number[] {
  const factors: number[] = [];
  [factors[SHARE_CONTROL], factors[SHARE_PROBE], factors[SHARE_PATH], factors[SHARE_REST]] = [
    control,
    probe,
    path,
    rest,
  ];
  return factors;
}

/** A packet, kept or not. */
export interface EncodedPacket {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

export class SendQueue {
  readonly limitBytes: number;
  marked = 0;
  /**
   * The flow of `packet`, in transit, is long here: `rate` bytes a second of it leave, 0 = not
   * known; `dropped` packets of it found no room since it was told last. Called when the queue is
   * as it will be; the packet is valid during the call only.
   */
  onLong: ((packet: EncodedPacket, rate: number, dropped: number) => void) | null = null;
  readonly #pool: PacketPool;
  readonly #salt: number;
  readonly #onPushedOut: (kept: KeptPacket) => void;
  readonly #classes: ClassPart[] = [];
  readonly #turns = new Turns<ClassPart>((shares) => shares.turns.clear());
  /** Flows by hash; empty until something waits. */
  #flows: (FlowPart | null)[] = [];
  readonly #spareFlows: FlowPart[] = [];
  readonly #spareSources: SourcePart[] = [];
  readonly #spareNeighbours: NeighbourPart[] = [];
  #sources = 0;
  #bytes = 0;
  #packets = 0;
  /** Flows of local programs that have packets here, and those that were told to wait. */
  #ownFlows = 0;
  #held = 0;
  /** One without a packet here was refused. */
  #full = false;
  #roomDue = false;
  /** Whose turn `peekLength` found, and whose packet came last. */
  #head: FlowPart | null = null;
  #recent: FlowPart | null = null;

  /**
   * `onPushedOut`: a packet that had been taken goes, for one of somebody who holds less; valid
   * during the call only. `salt`: 32 bits that strangers do not know, so that they cannot make up
   * flows of one hash.
   */
  constructor(
    pool: PacketPool,
    limitBytes: number,
    onPushedOut: (kept: KeptPacket) => void = () => {},
    salt = 0,
  ) {
    this.#pool = pool;
    this.#salt = salt;
    this.limitBytes = limitBytes;
    this.#onPushedOut = onPushedOut;
    for (let share = 0; share < SHARES; share += 1) {
      this.#classes.push(
        new ClassPart(
          OWN_FACTORS[share]! * limitBytes,
          TRANSIT_FACTORS[share]! * limitBytes,
          (neighbour) => this.#forgetNeighbour(neighbour),
        ),
      );
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of what local programs sent. */
  get ownBytes(): number {
    return this.#classes[SHARE_REST]!.ownBytes + this.#classes[SHARE_PROBE]!.ownBytes;
  }

  get length(): number {
    return this.#packets;
  }

  /** Some local flow was told to wait. */
  get congested(): boolean {
    return this.#held > 0 || this.#full;
  }

  /** Whether the flow of `packet`, which begins here, was told to wait. */
  holds(packet: Packet): boolean {
    const flow = this.#flowOf(packet);
    return flow === null ? this.#full : flow.heldBytes > 0;
  }

  /** Bytes that wait of the flow of `packet`. */
  bytesOf(packet: Packet): number {
    return this.#flowOf(packet)?.bytes ?? 0;
  }

  /** True once after flows that were told to wait may go on. */
  takeRoom(): boolean {
    if (this.#full) {
      const { ownLimit, ownBytes } = this.#classes[SHARE_REST]!;
      if (ownBytes < this.limitBytes / 4 || ownLimit - ownBytes > ownLimit / 8) {
        this.#full = false;
        this.#roomDue = true;
      }
    }
    const due = this.#roomDue;
    this.#roomDue = false;
    return due;
  }

  /** Keeps `packet`; false when a bound is reached, and then nothing of it is kept. */
  push(packet: Packet, now: Micros = 0): boolean {
    const flow = this.#push(packet, now);
    if (packet.via !== 0) {
      if (this.onLong !== null) this.#lookAt(flow, packet, now);
      return flow !== null;
    }
    if (flow === null) {
      const known = this.#flowOf(packet);
      if (known === null) this.#full = true;
      else this.#hold(known);
      return false;
    }
    // Of many, those with little, and less than half of what they have on the average, need not
    // wait.
    const { ownBytes } = this,
      long = this.limitBytes / 2;
    if (ownBytes > long && (flow.bytes > long || 2 * flow.bytes * this.#ownFlows > ownBytes))
      this.#hold(flow);
    return true;
  }

  /** Bytes of the packet that `shift` would take now, -1 when the queue is empty. */
  peekLength(): number {
    const flow = this.#serve();
    return flow === null ? -1 : flow.packets.peek()!.length;
  }

  /**
   * Takes the packet whose turn it is; the caller releases it. Undefined when the queue is empty.
   * One of a stream that waited for more than `markAfterUs`, its flow having a queue, is to be
   * marked.
   */
  shift(now: Micros = 0, markAfterUs: Micros = Infinity): KeptPacket | undefined {
    const flow = this.#serve();
    if (flow === null) return undefined;
    const source = flow.source!,
      neighbour = source.neighbour!,
      shares = neighbour.shares!;
    const kept = flow.packets.shift()!;
    const cost = kept.length + PACKET_OVERHEAD_BYTES;
    this.#turns.taken(shares, cost);
    shares.turns.taken(neighbour, cost);
    neighbour.turns.taken(source, cost);
    source.taken(flow, cost);
    const long = now - kept.queuedAt > markAfterUs && flow.bytes - cost >= MARK_BYTES;
    if (long && flow.kind === KIND_STREAM) {
      kept.mark = true;
      this.marked += 1;
    }
    flow.servedBytes += kept.length;
    this.#removed(flow, cost);
    if (long && this.onLong !== null && kept.via !== 0) this.#notice(flow, kept, now);
    return kept;
  }

  /** Takes all packets of the flow of `packet` out, the oldest first; `take` owns them. */
  recall(packet: Packet, take: (kept: KeptPacket) => void): void {
    const flow = this.#flowOf(packet);
    if (flow === null || flow.shared) return;
    for (let kept = flow.packets.shift(); kept !== undefined; kept = flow.packets.shift()) {
      this.#removed(flow, kept.length + PACKET_OVERHEAD_BYTES);
      take(kept);
    }
  }

  /** Releases everything. Returns how many packets were in it. */
  clear(): number {
    const count = this.#packets;
    for (let kept = this.shift(); kept !== undefined; kept = this.shift()) this.#pool.release(kept);
    return count;
  }

  #serve(): FlowPart | null {
    if (this.#head !== null) return this.#head;
    if (this.#packets === 0) return null;
    return (this.#head = this.#turns.serve()!.turns.serve()!.turns.serve()!.serve());
  }

  #push(packet: Packet, now: Micros): FlowPart | null {
    const cost = packet.length + PACKET_OVERHEAD_BYTES;
    const shares = this.#classes[packet.share]!;
    const { via } = packet;
    if (via === 0) {
      if (!this.#ownRoom(shares, packet, cost)) return null;
    } else
      while (shares.bytes - shares.ownBytes + cost > shares.transitLimit)
        if (!this.#pushOut(shares, packet, cost)) return null;
    const known = this.#flowOf(packet);
    if (known !== null && known.packets.length === known.packets.limit) return null;
    const kept = this.#pool.keep(packet);
    if (kept === null) return null;
    kept.queuedAt = now;
    this.#head = null;
    const flow = (this.#recent = known ?? this.#addFlow(shares, packet));
    flow.packets.push(kept);
    if (flow.waiting === 0) {
      flow.servedBytes = 0;
      flow.servedFrom = now;
      if (via === 0) this.#ownFlows += 1;
    }
    this.#charge(flow, cost, 1);
    const source = flow.source!;
    source.onGrown(flow);
    source.neighbour!.onGrown(source);
    return flow;
  }

  /**
   * Whether a flow of a local program may have `cost` more: its own share of what is left, and its
   * program's.
   */
  #ownRoom(shares: ClassPart, packet: Packet, cost: number): boolean {
    const left = shares.ownLimit - shares.ownBytes;
    if (cost > left) return false;
    // While it is shorter than either would be at its bound there is nothing to look up.
    if (shares !== this.#classes[SHARE_REST] || shares.ownBytes + cost <= OWN_FLOW_FACTOR * left)
      return true;
    const source = shares.byNeighbour.get(0)?.bySource.get(payerOf(packet));
    if (source === undefined) return true;
    return (
      source.bytes + cost <= OWN_PROGRAM_FACTOR * left &&
      (this.#flowOf(packet)?.bytes ?? 0) + cost <= OWN_FLOW_FACTOR * left
    );
  }

  /** Room for `packet` where its class has most; false when it would belong there itself. */
  #pushOut(shares: ClassPart, packet: Packet, cost: number): boolean {
    const longest = shares.longest();
    const own = shares.byNeighbour.get(packet.via);
    const neighbour = longest === null || (own?.bytes ?? 0) + cost >= longest.bytes ? own : longest;
    if (neighbour === undefined || neighbour.waiting === 0) return false;
    let source = neighbour.longest();
    const ownSource = neighbour === own ? own.bySource.get(packet.payer) : undefined;
    if (neighbour === own && (ownSource?.bytes ?? 0) + cost >= source.bytes) {
      if (ownSource === undefined || ownSource.waiting === 0) return false;
      source = ownSource;
    }
    const flow = source.longest();
    if (source === ownSource) {
      const { priority } = packet;
      if (
        priority < flow.priority ||
        (priority === flow.priority && (this.#flowOf(packet)?.bytes ?? 0) + cost >= flow.bytes)
      )
        return false;
    }
    this.#head = null;
    flow.dropped += 1;
    const last = flow.packets.pop()!;
    this.#removed(flow, last.length + PACKET_OVERHEAD_BYTES);
    this.#onPushedOut(last);
    this.#pool.release(last);
    return true;
  }

  /** `packet` of the flow came; null: and was refused. */
  #lookAt(flow: FlowPart | null, packet: Packet, now: Micros): void {
    const known = flow ?? this.#flowOf(packet);
    if (known === null || known.waiting === 0) return;
    if (flow === null) known.dropped += 1;
    const { transitLimit, bytes, ownBytes } = this.#classes[packet.share]!;
    const long =
      known.bytes >
      (bytes - ownBytes > LONG_CLASS * transitLimit ? LONG_PART_OF_LONG : LONG_PART) * transitLimit;
    if (long || known.dropped > 0) this.#notice(known, packet, now);
  }

  #notice(flow: FlowPart, packet: EncodedPacket, now: Micros): void {
    const took = now - flow.servedFrom;
    if (
      flow.shared ||
      !isSlowed(flow.kind, flow.destination) ||
      now - flow.noticedAt < NOTICE_INTERVAL ||
      (took < NOTICE_LEAST && flow.dropped === 0)
    )
      return;
    const { servedBytes, dropped } = flow;
    flow.noticedAt = flow.servedFrom = now;
    flow.servedBytes = flow.dropped = 0;
    this.onLong!(packet, took < NOTICE_LEAST ? 0 : (servedBytes * SECOND) / took, dropped);
  }

  #hold(flow: FlowPart): void {
    if (flow.heldBytes > 0 || flow.waiting === 0) return;
    flow.heldBytes = flow.bytes;
    this.#held += 1;
  }

  #charge(flow: FlowPart, cost: number, packets: number): void {
    const source = flow.source!,
      neighbour = source.neighbour!,
      shares = neighbour.shares!;
    flow.bytes += cost;
    flow.waiting += packets;
    source.bytes += cost;
    source.waiting += packets;
    neighbour.bytes += cost;
    neighbour.waiting += packets;
    shares.bytes += cost;
    shares.waiting += packets;
    if (neighbour.via === 0) shares.ownBytes += cost;
    this.#bytes += cost;
    this.#packets += packets;
  }

  /** A packet left; parts that are empty leave with it, or when their round is over. */
  #removed(flow: FlowPart, cost: number): void {
    const source = flow.source!,
      neighbour = source.neighbour!,
      shares = neighbour.shares!;
    this.#head = null;
    this.#charge(flow, -cost, -1);
    if (neighbour.via === 0) {
      if (flow.waiting === 0) this.#ownFlows -= 1;
      // Half of what it had is gone.
      if (flow.heldBytes > 0 && 2 * flow.bytes <= flow.heldBytes) {
        flow.heldBytes = 0;
        this.#held -= 1;
        this.#roomDue = true;
      }
    }
    source.onShrunk(flow);
    if (flow.waiting > 0) return;
    if (source.waiting === 0) neighbour.onEmpty(source);
    if (this.#packets === 0) {
      this.#onEmpty(source);
      return;
    }
    source.emptied(flow);
    if (source.waiting > 0) return;
    neighbour.turns.emptied(source);
    if (neighbour.waiting > 0) return;
    shares.turns.emptied(neighbour);
    if (shares.waiting === 0) this.#turns.emptied(shares);
  }

  /**
   * Nothing waits. Whoever comes and goes alone keeps his place, as he is most likely the next;
   * many are forgotten.
   */
  #onEmpty({ flows, neighbour }: SourcePart): void {
    if (
      flows === 1 &&
      neighbour!.turns.length === 1 &&
      neighbour!.shares!.turns.length === 1 &&
      this.#turns.length === 1
    )
      return;
    this.#recent = null;
    for (const part of this.#classes) part.turns.clear();
    this.#turns.clear();
  }

  #addNeighbour(shares: ClassPart, via: NodeId): NeighbourPart {
    if (shares.next === null) this.#turns.add(shares);
    const part =
      this.#spareNeighbours.pop() ?? new NeighbourPart((source) => this.#forgetSource(source));
    part.via = via;
    part.shares = shares;
    shares.byNeighbour.set(via, part);
    shares.turns.add(part);
    return part;
  }

  #addSource(neighbour: NeighbourPart, payer: Payer): SourcePart {
    const part =
      this.#spareSources.pop() ??
      new SourcePart((this.#sources += 1), (flow) => this.#forgetFlow(flow));
    part.payer = payer;
    part.neighbour = neighbour;
    neighbour.bySource.set(payer, part);
    neighbour.turns.add(part);
    return part;
  }

  #addFlow(shares: ClassPart, packet: Packet): FlowPart {
    const { via } = packet,
      payer = payerOf(packet);
    const neighbour = shares.byNeighbour.get(via) ?? this.#addNeighbour(shares, via);
    const source = neighbour.bySource.get(payer) ?? this.#addSource(neighbour, payer);
    const part = this.#spareFlows.pop() ?? new FlowPart();
    const shared = source.flows >= FLOWS_PER_SOURCE_MAX;
    part.name(packet, source, shared);
    if (shared) source.rest = part;
    else {
      if (this.#flows.length === 0) this.#flows = new Array<FlowPart | null>(HASHES).fill(null);
      const hash = this.#hash(packet, source);
      part.hash = hash;
      part.chain = this.#flows[hash]!;
      this.#flows[hash] = part;
    }
    source.add(part);
    return part;
  }

  #forgetNeighbour(part: NeighbourPart): void {
    part.turns.clear();
    part.shares!.byNeighbour.delete(part.via);
    if (this.#spareNeighbours.length < SPARE_MAX) this.#spareNeighbours.push(part);
  }

  #forgetSource(part: SourcePart): void {
    part.clear();
    part.neighbour!.bySource.delete(part.payer);
    part.payer = 0;
    if (this.#spareSources.length < SPARE_MAX) this.#spareSources.push(part);
  }

  #forgetFlow(part: FlowPart): void {
    const source = part.source!;
    if (this.#recent === part) this.#recent = null;
    source.flows -= 1;
    if (part.shared) source.rest = null;
    else {
      let before = this.#flows[part.hash]!;
      if (before === part) this.#flows[part.hash] = part.chain;
      else {
        while (before.chain !== part) before = before.chain!;
        before.chain = part.chain;
      }
    }
    part.chain = null;
    part.source = null;
    if (this.#spareFlows.length < SPARE_MAX) this.#spareFlows.push(part);
  }

  /** Where packets of its flow wait; null when none does and none has lately. */
  #flowOf(packet: Packet): FlowPart | null {
    const recent = this.#recent;
    if (
      recent !== null &&
      !recent.shared &&
      recent.is(packet, recent.source!) &&
      isBy(packet, recent.source!.neighbour!, recent.source!, this.#classes[packet.share]!)
    )
      return recent;
    const source = this.#classes[packet.share]!.byNeighbour.get(packet.via)?.bySource.get(
      payerOf(packet),
    );
    if (source === undefined) return null;
    let flow = this.#flows[this.#hash(packet, source)] ?? null;
    while (flow !== null && !flow.is(packet, source)) flow = flow.chain;
    return flow ?? (source.flows >= FLOWS_PER_SOURCE_MAX ? source.rest : null);
  }

  #hash({ sourcePort, destinationPort, destination }: Packet, { number }: SourcePart): number {
    let h = Math.imul((((sourcePort << 16) | destinationPort) ^ this.#salt) >>> 0, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 15) ^ destination, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13) ^ number, 0xc2b2ae35);
    return (h ^ (h >>> 16)) & (HASHES - 1);
  }
}

function isBy(
  packet: Packet,
  neighbour: NeighbourPart,
  source: SourcePart,
  shares: ClassPart,
): boolean {
  return (
    neighbour.via === packet.via && neighbour.shares === shares && source.payer === payerOf(packet)
  );
}

/** Whom the room is charged to: the source, or of what begins here the program, if it is known. */
function payerOf({ via, user, payer }: Packet): Payer {
  return via === 0 && user !== null ? user : payer;
}
