/**
 * What a send queue is made of: classes, in them neighbours, in them sources, in them flows, each
 * with turns for what it holds.
 *
 * Owned by send-queue.ts, which keeps counts and places; here is who is next and who holds most
 * within one part. A flow is what its source tells apart: both ports, the destination, the kind,
 * and the priority that it asks for. `@hot`
 */

import type { NodeId, Port } from '../base/ids.ts';
import { Ring } from '../base/ring.ts';
import type { Micros } from '../base/time.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';
import { KIND_DATAGRAM, KIND_FRAGMENT, KIND_PIECE, type Packet } from '../wire/packet.ts';
import { QUANTUM, Turn, Turns } from './turns.ts';

const PACKETS_PER_FLOW_MAX = 65_536;
/** Flows of one source that are told apart; all beyond share one more. */
export const FLOWS_PER_SOURCE_MAX = 256;
/**
 * The longest is looked for among so many when it is not known: with more than that each has
 * little.
 */
const LOOKED_AT = 16;
const PRIORITIES = 16;
/**
 * Of what waits at several priorities the highest leaves; after so many bytes a packet of another
 * one does, so that none is silenced.
 */
const AHEAD_MAX_BYTES = 15 * QUANTUM;

/** A source by its id, or a program of this daemon. */
export type Payer = NodeId | object;

/** Packets of one flow. */
export class FlowPart extends Turn {
  source: SourcePart | null = null;
  sourcePort: Port = 0;
  destinationPort: Port = 0;
  destination: NodeId = 0;
  kind = 0;
  priority = 0;
  /** Beyond the flows that are told apart. */
  shared = false;
  /** Where it is found, and the next of the same hash. */
  hash = 0;
  chain: FlowPart | null = null;
  /** Bytes that waited when its program was told to wait, 0 when it may go on. */
  heldBytes = 0;
  /**
   * Bytes of it that left since `servedFrom`, packets of it that found no room since then, and when
   * its source was told that it is long.
   */
  servedBytes = 0;
  dropped = 0;
  servedFrom: Micros = NaN;
  noticedAt: Micros = -Infinity;
  readonly packets = new Ring<KeptPacket>(PACKETS_PER_FLOW_MAX);

  is(packet: Packet, source: SourcePart): boolean {
    return (
      this.source === source &&
      this.sourcePort === packet.sourcePort &&
      this.destinationPort === packet.destinationPort &&
      this.destination === packet.destination &&
      this.kind === kindOf(packet) &&
      this.priority === packet.priority
    );
  }

  /** From now on that of `packet`. */
  name(packet: Packet, source: SourcePart, shared: boolean): void {
    this.source = source;
    this.sourcePort = packet.sourcePort;
    this.destinationPort = packet.destinationPort;
    this.destination = packet.destination;
    this.kind = kindOf(packet);
    this.priority = packet.priority;
    this.shared = shared;
    this.heldBytes = 0;
    this.dropped = 0;
    this.noticedAt = -Infinity;
  }
}

/** A message in pieces must not be overtaken by a short one of the same socket. */
function kindOf({ kind }: Packet): number {
  return kind === KIND_FRAGMENT || kind === KIND_PIECE ? KIND_DATAGRAM : kind;
}

/**
 * What one source has by one neighbour: the highest priority leaves first, flows of one take turns.
 */
export class SourcePart extends Turn {
  payer: Payer = 0;
  /** Unique in its queue, for hashing. */
  readonly number: number;
  neighbour: NeighbourPart | null = null;
  flows = 0;
  /** Of the flows that are not told apart. */
  rest: FlowPart | null = null;
  /** Bit n: packets of priority n wait. */
  #priorities = 0;
  readonly #waiting = new Uint32Array(PRIORITIES);
  readonly #turns: (Turns<FlowPart> | null)[] = new Array<Turns<FlowPart> | null>(PRIORITIES).fill(
    null,
  );
  /** Bytes of the highest that left since one of another did, and which that was. */
  #ahead = 0;
  #lower = 0;
  /**
   * The longest as far as is known (the one register of Suter and others, IEEE JSAC 1999), null
   * when it left.
   */
  #longest: FlowPart | null = null;
  readonly #onFlowGone: (flow: FlowPart) => void;

  constructor(number: number, onFlowGone: (flow: FlowPart) => void) {
    super();
    this.number = number;
    this.#onFlowGone = onFlowGone;
  }

  /** Whose turn it is; something must wait. */
  serve(): FlowPart {
    return this.#turns[this.#level()]!.serve()!;
  }

  add(flow: FlowPart): void {
    (this.#turns[flow.priority] ??= new Turns(this.#onFlowGone)).add(flow);
    this.flows += 1;
  }

  onGrown(flow: FlowPart): void {
    this.#waiting[flow.priority]! += 1;
    this.#priorities |= 1 << flow.priority;
    if (this.#longest === null ? this.waiting === 1 : holdsMore(flow, this.#longest))
      this.#longest = flow;
  }

  /** The packet of `flow`, which `serve` named, leaves. */
  taken(flow: FlowPart, cost: number): void {
    const { priority } = flow;
    const lower = this.#priorities & ((1 << highest(this.#priorities)) - 1);
    if ((lower & (1 << priority)) !== 0) {
      this.#ahead = 0;
      this.#lower = priority;
    } else this.#ahead = lower === 0 ? 0 : this.#ahead + cost;
    this.#turns[priority]!.taken(flow, cost);
  }

  /** A packet of `flow` left, from either end. */
  onShrunk(flow: FlowPart): void {
    const left = this.#waiting[flow.priority]! - 1;
    this.#waiting[flow.priority] = left;
    if (left === 0) this.#priorities &= ~(1 << flow.priority);
    if (flow.waiting === 0 && this.#longest === flow) this.#longest = null;
  }

  /** `flow` has run empty, and something else waits somewhere. */
  emptied(flow: FlowPart): void {
    this.#turns[flow.priority]!.emptied(flow);
  }

  /**
   * Who gives way when there is no room: the longest of the lowest priority. Something must wait.
   */
  longest(): FlowPart {
    return (this.#longest ??= this.#turns[highest(this.#priorities & -this.#priorities)]!.most(
      LOOKED_AT,
      holdsMore,
    )!);
  }

  clear(): void {
    for (const turns of this.#turns) turns?.clear();
    this.#ahead = 0;
    this.#longest = null;
  }

  #level(): number {
    const top = highest(this.#priorities);
    const lower = this.#priorities & ((1 << top) - 1);
    if (lower === 0 || this.#ahead < AHEAD_MAX_BYTES) return top;
    // They take turns too.
    const next = lower & ((1 << this.#lower) - 1);
    return highest(next !== 0 ? next : lower);
  }
}

function highest(bits: number): number {
  return 31 - Math.clz32(bits);
}

/** Whether `flow` is to give way rather than `than`. */
function holdsMore(flow: FlowPart, than: FlowPart): boolean {
  return (
    flow.priority < than.priority || (flow.priority === than.priority && flow.bytes > than.bytes)
  );
}

/** What came by one neighbour, 0 for our own programs. */
export class NeighbourPart extends Turn {
  via: NodeId = 0;
  shares: ClassPart | null = null;
  readonly bySource = new Map<Payer, SourcePart>();
  readonly turns: Turns<SourcePart>;
  #longest: SourcePart | null = null;

  constructor(onSourceGone: (source: SourcePart) => void) {
    super();
    this.turns = new Turns(onSourceGone);
  }

  onGrown(source: SourcePart): void {
    if (this.#longest === null ? this.waiting === 1 : source.bytes > this.#longest.bytes)
      this.#longest = source;
  }

  onEmpty(source: SourcePart): void {
    if (this.#longest === source) this.#longest = null;
  }

  /** Something must wait. */
  longest(): SourcePart {
    return (this.#longest ??= this.turns.most(LOOKED_AT, longer)!);
  }
}

/** One class of packets (core/wire/packet.ts, SHARE_...), with its bounds. */
export class ClassPart extends Turn {
  readonly ownLimit: number;
  readonly transitLimit: number;
  readonly byNeighbour = new Map<NodeId, NeighbourPart>();
  readonly turns: Turns<NeighbourPart>;
  ownBytes = 0;

  constructor(
    ownLimit: number,
    transitLimit: number,
    onNeighbourGone: (neighbour: NeighbourPart) => void,
  ) {
    super();
    this.ownLimit = ownLimit;
    this.transitLimit = transitLimit;
    this.turns = new Turns(onNeighbourGone);
  }

  /**
   * The neighbour whose packets in transit take most room; as many steps as there are neighbours.
   * Null when there is none.
   */
  longest(): NeighbourPart | null {
    const found = this.turns.most(Infinity, longerInTransit);
    return found === null || found.via === 0 ? null : found;
  }
}

function longer(part: Turn, than: Turn): boolean {
  return part.bytes > than.bytes;
}

function longerInTransit(part: NeighbourPart, than: NeighbourPart): boolean {
  return than.via === 0 || (part.via !== 0 && part.bytes > than.bytes);
}
