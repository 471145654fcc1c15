/**
 * A bounded queue of packets in front of a link, fair by what cannot be forged.
 *
 * Turns and room are shared by class first (wire/packet.ts, SHARE_...), then by the neighbour that a packet came from, whom its
 * link has authenticated (our own programs count as one), then by the source, which anybody may write into a packet: it divides
 * the share of its neighbour and of nobody else. Flows would divide the share of a source. What is in transit has a bound for each
 * class: when it is reached the packet pushes out the last one of whoever holds most of that class, or is refused if that is its own
 * kind. Nobody is pushed out who was told that his packet is taken: local programs have bounds of their own, and are refused there
 * (their bytes are borrowed, and they wait). Each packet is charged an overhead. `@hot`
 */

import type { NodeId } from '../base/ids.ts';
import { Ring } from '../base/ring.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import { SHARE_CONTROL, SHARE_PATH, SHARE_PROBE, SHARE_REST, SHARES, type Packet } from '../wire/packet.ts';
import { PACKET_OVERHEAD_BYTES, Turn, Turns } from './turns.ts';

export { PACKET_OVERHEAD_BYTES } from './turns.ts';

/**
 * Packets of local programs have this many times the limit for themselves: what programs had sent before they heard that they must wait is
 * not lost. Each is ahead of the daemon by SEND_AHEAD_BYTES of the client library at most, and 15 at once find room beyond the half of
 * the limit at which they hear of it. Transit traffic has nobody to tell, and stops at the limit.
 */
export const LOCAL_FACTOR = 16;
/** Probed packets that were refused convict links: they have more room, on both sides. So have messages of discovery. */
const PROBE_FACTOR = 4;
/** By class: bounds of what begins here and of what is in transit, in units of the limit. */
const OWN_FACTORS: readonly number[] = byClass({ control: PROBE_FACTOR, probe: PROBE_FACTOR, path: 0, rest: LOCAL_FACTOR });
const TRANSIT_FACTORS: readonly number[] = byClass({ control: 0, probe: PROBE_FACTOR, path: 1, rest: 1 });
/** Most that one queue holds, in units of its limit. */
export const QUEUE_FACTOR = [...OWN_FACTORS, ...TRANSIT_FACTORS].reduce((sum, factor) => sum + factor, 0);
const PACKETS_PER_SOURCE_MAX = 65_536;
/** The longest is looked for among so many when it is not known: with more sources than that each has little. */
const LOOKED_AT = 16;
/** Empty parts kept to be used again. */
const SPARE_MAX = 64;

function byClass({ control, probe, path, rest }: { control: number; probe: number; path: number; rest: number }): number[] {
  const factors: number[] = [];
  [factors[SHARE_CONTROL], factors[SHARE_PROBE], factors[SHARE_PATH], factors[SHARE_REST]] = [control, probe, path, rest];
  return factors;
}

/** Packets of one source by one neighbour. */
class SourcePart extends Turn {
  source: NodeId = 0;
  readonly packets = new Ring<KeptPacket>(PACKETS_PER_SOURCE_MAX);

  headCost(): number {
    return this.packets.peek()!.length + PACKET_OVERHEAD_BYTES;
  }
}

/** What came by one neighbour, 0 for our own programs. */
class NeighbourPart extends Turn {
  via: NodeId = 0;
  readonly bySource = new Map<NodeId, SourcePart>();
  readonly turns = new Turns<SourcePart>();
  /** The longest as far as is known (the one register of Suter and others, IEEE JSAC 1999), null when it left. */
  #longest: SourcePart | null = null;

  headCost(): number {
    return this.turns.serve()!.headCost();
  }

  onGrown(part: SourcePart): void {
    if (this.#longest === null ? this.turns.length === 1 : part.bytes > this.#longest.bytes) this.#longest = part;
  }

  onEmpty(part: SourcePart): void {
    if (this.#longest === part) this.#longest = null;
  }

  longest(): SourcePart {
    if (this.#longest !== null) return this.#longest;
    let longest = this.turns.first!;
    for (let part = longest, left = Math.min(LOOKED_AT, this.turns.length); left > 0; left -= 1, part = part.next!) if (part.bytes > longest.bytes) longest = part;
    return this.#longest = longest;
  }
}

class ClassPart extends Turn {
  readonly ownLimit: number;
  readonly transitLimit: number;
  readonly byNeighbour = new Map<NodeId, NeighbourPart>();
  readonly turns = new Turns<NeighbourPart>();
  ownBytes = 0;

  constructor(ownLimit: number, transitLimit: number) {
    super();
    this.ownLimit = ownLimit;
    this.transitLimit = transitLimit;
  }

  headCost(): number {
    return this.turns.serve()!.headCost();
  }

  /** The neighbour whose packets in transit take most room; as many steps as there are neighbours. */
  longest(): NeighbourPart | null {
    let longest: NeighbourPart | null = null, part = this.turns.first;
    for (let left = this.turns.length; left > 0; left -= 1, part = part!.next) {
      if (part!.via !== 0 && (longest === null || part!.bytes > longest.bytes)) longest = part;
    }
    return longest;
  }
}

export class SendQueue {
  readonly limitBytes: number;
  readonly #pool: PacketPool;
  readonly #onPushedOut: (kept: KeptPacket) => void;
  readonly #classes: ClassPart[] = [];
  readonly #turns = new Turns<ClassPart>();
  readonly #spareSources: SourcePart[] = [];
  readonly #spareNeighbours: NeighbourPart[] = [];
  #bytes = 0;
  #packets = 0;
  /** Of all classes: neighbours of which packets wait. */
  #parts = 0;

  /** `onPushedOut`: a packet that had been taken goes, for one of somebody who holds less; valid during the call only. */
  constructor(pool: PacketPool, limitBytes: number, onPushedOut: (kept: KeptPacket) => void = () => {}) {
    this.#pool = pool;
    this.limitBytes = limitBytes;
    this.#onPushedOut = onPushedOut;
    for (let share = 0; share < SHARES; share += 1) this.#classes.push(new ClassPart(OWN_FACTORS[share]! * limitBytes, TRANSIT_FACTORS[share]! * limitBytes));
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of what local programs sent: who is told to wait is told by this, and not by what others send. */
  get ownBytes(): number {
    return this.#classes[SHARE_REST]!.ownBytes + this.#classes[SHARE_PROBE]!.ownBytes;
  }

  get length(): number {
    return this.#packets;
  }

  /** How long the queue is for `packet`: as long as if all who have packets in it held as much as its neighbour does of its class. */
  bytesFor(packet: Packet): number {
    const part = this.#classes[packet.share]!.byNeighbour.get(packet.via);
    return part === undefined ? 0 : part.bytes * this.#parts;
  }

  /** Keeps `packet`, to be marked when it leaves if `mark`; false when a bound is reached, and then nothing of it is kept. */
  push(packet: Packet, mark = false): boolean {
    const cost = packet.length + PACKET_OVERHEAD_BYTES;
    const shares = this.#classes[packet.share]!;
    if (packet.via === 0) {
      if (shares.ownBytes + cost > shares.ownLimit) return false;
    } else while (shares.bytes - shares.ownBytes + cost > shares.transitLimit) if (!this.#pushOut(shares, packet, cost)) return false;
    const { via, payer } = packet;
    const waiting = shares.byNeighbour.get(via)?.bySource.get(payer);
    if (waiting !== undefined && waiting.packets.length === waiting.packets.limit) return false;
    const kept = this.#pool.keep(packet);
    if (kept === null) return false;
    if (mark) kept.mark = true;
    const neighbour = shares.byNeighbour.get(via) ?? this.#addNeighbour(shares, via);
    const source = neighbour.bySource.get(payer) ?? this.#addSource(neighbour, payer);
    source.packets.push(kept);
    this.#charge(shares, neighbour, source, cost);
    this.#packets += 1;
    neighbour.onGrown(source);
    return true;
  }

  /** Bytes of the packet that `shift` would take now, -1 when the queue is empty. */
  peekLength(): number {
    const shares = this.#turns.serve();
    return shares === null ? -1 : shares.headCost() - PACKET_OVERHEAD_BYTES;
  }

  /** Takes the packet whose turn it is; the caller releases it. Undefined when the queue is empty. */
  shift(): KeptPacket | undefined {
    const shares = this.#turns.serve();
    if (shares === null) return undefined;
    const neighbour = shares.turns.serve()!;
    const source = neighbour.turns.serve()!;
    const cost = source.headCost();
    shares.deficit -= cost;
    neighbour.deficit -= cost;
    source.deficit -= cost;
    const kept = source.packets.shift()!;
    this.#removed(shares, neighbour, source, cost);
    return kept;
  }

  /** Releases everything. Returns how many packets were in it. */
  clear(): number {
    const count = this.#packets;
    for (let kept = this.shift(); kept !== undefined; kept = this.shift()) this.#pool.release(kept);
    return count;
  }

  /** Room for `packet` where its class has most; false when it would belong there itself. */
  #pushOut(shares: ClassPart, packet: Packet, cost: number): boolean {
    const longest = shares.longest();
    const own = shares.byNeighbour.get(packet.via);
    const neighbour = longest === null || (own?.bytes ?? 0) + cost >= longest.bytes ? own : longest;
    if (neighbour === undefined) return false;
    const source = neighbour.longest();
    if (neighbour === own && (own.bySource.get(packet.payer)?.bytes ?? 0) + cost >= source.bytes) return false;
    const last = source.packets.pop()!;
    const costOfLast = last.length + PACKET_OVERHEAD_BYTES;
    this.#removed(shares, neighbour, source, costOfLast);
    this.#onPushedOut(last);
    this.#pool.release(last);
    return true;
  }

  #charge(shares: ClassPart, neighbour: NeighbourPart, source: SourcePart, cost: number): void {
    source.bytes += cost;
    neighbour.bytes += cost;
    shares.bytes += cost;
    if (neighbour.via === 0) shares.ownBytes += cost;
    this.#bytes += cost;
  }

  /** A packet left; parts that are empty leave with it. */
  #removed(shares: ClassPart, neighbour: NeighbourPart, source: SourcePart, cost: number): void {
    this.#charge(shares, neighbour, source, -cost);
    this.#packets -= 1;
    if (source.packets.length > 0) return;
    neighbour.onEmpty(source);
    neighbour.turns.remove(source);
    neighbour.bySource.delete(source.source);
    if (this.#spareSources.length < SPARE_MAX) this.#spareSources.push(source);
    if (neighbour.turns.length > 0) return;
    shares.turns.remove(neighbour);
    shares.byNeighbour.delete(neighbour.via);
    this.#parts -= 1;
    if (this.#spareNeighbours.length < SPARE_MAX) this.#spareNeighbours.push(neighbour);
    if (shares.turns.length === 0) this.#turns.remove(shares);
  }

  #addNeighbour(shares: ClassPart, via: NodeId): NeighbourPart {
    if (shares.turns.length === 0) this.#turns.add(shares);
    const part = this.#spareNeighbours.pop() ?? new NeighbourPart();
    part.via = via;
    shares.byNeighbour.set(via, part);
    shares.turns.add(part);
    this.#parts += 1;
    return part;
  }

  #addSource(neighbour: NeighbourPart, id: NodeId): SourcePart {
    const part = this.#spareSources.pop() ?? new SourcePart();
    part.source = id;
    neighbour.bySource.set(id, part);
    neighbour.turns.add(part);
    return part;
  }
}
