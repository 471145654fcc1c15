/**
 * The overlay packet: a 16-byte header that stays with the packet from source to destination, and a
 * payload. WIRE.md section 4.
 *
 * `Packet` is a window on somebody's bytes with the header decoded beside it. One instance serves a
 * whole daemon for arrivals: it is valid during the call only, and whoever must keep the packet
 * asks the PacketPool. `@hot`
 */

import { getU16, getU32, putU16, putU32 } from '../base/bytes.ts';
import { isGroupId, isNodeId, type NodeId, type Port } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import { deadlineUs } from './deadline.ts';
import { DropReason } from './drop.ts';
import { DISSEMINATION_LINK_STATE, SERVICE_REALTIME, type GraphName } from './modes.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, SEAL_ROOM_BYTES } from './sizes.ts';

export const KIND_DATAGRAM = 1;
export const KIND_FRAGMENT = 2;
export const KIND_STREAM = 3;
export const KIND_ECHO = 4;
/** A datagram, or a fragment of one, that is delivered at most once even if it arrives twice. */
export const KIND_SEQUENCED = 5;
/** Source-routed, sealed end to end, with probes; or its acknowledgement. */
export const KIND_PROBED = 6;
/** A part of a message of route discovery, from one neighbour to the next. */
export const KIND_ROUTE = 7;
/**
 * A message, or a fragment of one, to a multicast group; or, to a node, such a packet whole that
 * lost its way. See group.ts.
 */
export const KIND_GROUP = 8;
/** A datagram, or a fragment of one, behind the graph of the ways that it takes. See routed.ts. */
export const KIND_ROUTED = 9;
/** A piece of a datagram that is sealed from end to end. */
export const KIND_PIECE = 12;
/**
 * What a node on the way tells the source of a flow: its queue is long, or packets of it were
 * dropped.
 */
export const KIND_NOTICE = 13;

export {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_GRAPH,
  DISSEMINATION_LINK_STATE,
  DISSEMINATION_ROUTED,
  SERVICE_BEST_EFFORT,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from './modes.ts';

export const TTL_DEFAULT = 64;
/** Disjoint paths of one packet. */
export const PATHS_DEFAULT = 2,
  PATHS_MAX = 5;
export const PRIORITY_DEFAULT = 1;
/**
 * Classes that share the queues of links, by what a node knows of a packet itself and never by its
 * header: messages of discovery; probed packets on a known path that it has verified as a probe,
 * and its own; others on a path whose signed response it passed on; the rest.
 */
export const SHARE_CONTROL = 0,
  SHARE_PROBE = 1,
  SHARE_PATH = 2,
  SHARE_REST = 3;
export const SHARES = 4;
/** From this priority on links of the realtime service send copies where something is lost. */
export const PRECIOUS_PRIORITY = 8;
/** Highest that clients may ask for. */
export const PRIORITY_MAX = 10;

const KIND = 0,
  TTL = 1,
  MODE = 2,
  CLASS = 3,
  SOURCE = 4,
  DESTINATION = 8,
  SOURCE_PORT = 12,
  DESTINATION_PORT = 14;
export const OVERLAY_LAYOUT = {
  kind: [KIND, 1],
  ttl: [TTL, 1],
  mode: [MODE, 1],
  class: [CLASS, 1],
  source: [SOURCE, 4],
  destination: [DESTINATION, 4],
  'source port': [SOURCE_PORT, 2],
  'destination port': [DESTINATION_PORT, 2],
} as const;

/** Bits of `mode`: link service 0-2, dissemination 3-5, sealed 6, ECN 7. */
const SERVICE_MASK = 0x07,
  DISSEMINATION_SHIFT = 3,
  DISSEMINATION_MASK = 0x38,
  SEALED = 0x40,
  ECN_MARK = 0x80;
/** Bits of `class`: priority 0-3, deadline 4-7, of packets of the realtime service. */
const PRIORITY_MASK = 0x0f,
  DEADLINE_SHIFT = 4,
  DEADLINE_MASK = 0xf0;

/** How a packet travels, as its session chose. */
export interface PacketModes {
  readonly service: number;
  readonly dissemination: number;
  readonly ttl: number;
  readonly priority: number;
  /**
   * Class of its deadline (deadline.ts), 0..15; 0, the default, for other services than realtime.
   */
  readonly deadline?: number;
  /** Age that its packets begin with, microseconds; default 0. See Deadline. */
  readonly spentUs?: Micros;
  /** Most disjoint paths that they take, 1..5, by DISSEMINATION_ROUTED; default
   * PATHS_DEFAULT. */
  readonly paths?: number;
  /** By DISSEMINATION_GRAPH; default 'auto'. */
  readonly graph?: GraphName;
  /**
   * How long they have to get there, where links of the realtime service do not measure it,
   * microseconds; 0, the default: for ever.
   */
  readonly withinUs?: Micros;
}

export class Packet {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  /** True when nobody will write to `bytes` again, so that a queue may keep them without a copy. */
  keepable = false;
  /**
   * True when its source is proved: made by a session of this daemon for another of it, or opened
   * by the router that checks. Set by Dissemination where it delivers, never read from the wire.
   */
  authenticated = false;
  /** It is sealed from its source to its destination. */
  sealed = false;
  /**
   * Its bytes are its maker's, who writes them anew for the next packet, with room in front for the
   * head of a seal: it may be sealed where it is.
   */
  roomy = false;
  /** Of one that is sent: it leaves sealed or not at all. Set by sessions. */
  secret = false;
  /**
   * Of one to a group that begins here: its flow waits for the slowest of its branches, not for the
   * fastest. Set by sessions.
   */
  patient = false;
  /** Of such one: members here get it too. Set by sessions. */
  toSelf = true;
  /**
   * For whom it is sent: shares of what is bounded are counted by it. Set by sessions; null: for
   * nobody in particular.
   */
  user: object | null = null;
  kind = 0;
  ttl = 0;
  service = 0;
  dissemination = 0;
  ecn = false;
  priority = 0;
  /** See PacketModes. */
  deadline = 0;
  /** Likewise; not in the bytes, and of no meaning after `decode`. */
  paths = PATHS_DEFAULT;
  graph: GraphName = 'auto';
  withinUs: Micros = 0;
  /**
   * Microseconds since its source sent it, as far as links of the realtime service know; not in the
   * bytes, 0 after `decode`, and what its modes say after `compose`.
   */
  ageUs = 0;
  source: NodeId = 0;
  destination: NodeId = 0;
  sourcePort: Port = 0;
  destinationPort: Port = 0;
  /**
   * Not in the bytes: its class, the neighbour that it came from, 0 if it begins here, and the
   * source that it is charged to.
   */
  share = SHARE_REST;
  via: NodeId = 0;
  payer: NodeId = 0;

  get payloadStart(): number {
    return this.start + OVERLAY_HEADER_BYTES;
  }

  get length(): number {
    return this.end - this.start;
  }

  /**
   * Points at `bytes[start..end)` and decodes the header. The packet is undefined on a non-zero
   * result.
   */
  decode(bytes: Uint8Array, start: number, end: number, keepable: boolean): DropReason {
    if (end - start < OVERLAY_HEADER_BYTES) return DropReason.packetMalformed;
    if (end - start > PACKET_BYTES_MAX) return DropReason.packetTooLong;
    const mode = bytes[start + MODE]!;
    const klass = bytes[start + CLASS]!;
    if ((klass & DEADLINE_MASK) !== 0 && (mode & SERVICE_MASK) !== SERVICE_REALTIME)
      return DropReason.reservedNotZero;
    // What is sealed by its route or by the link only; of kinds to come nothing is known.
    const kind = bytes[start + KIND]!;
    if ((mode & SEALED) !== 0 && (kind === KIND_PROBED || kind === KIND_ROUTE))
      return DropReason.reservedNotZero;
    const source = getU32(bytes, start + SOURCE);
    const destination = getU32(bytes, start + DESTINATION);
    if (!isNodeId(source) || (!isNodeId(destination) && !isGroups(kind, mode, destination)))
      return DropReason.packetMalformed;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.keepable = keepable;
    this.roomy = false;
    this.authenticated = false;
    this.kind = kind;
    this.ttl = bytes[start + TTL]!;
    this.service = mode & SERVICE_MASK;
    this.dissemination = (mode & DISSEMINATION_MASK) >> DISSEMINATION_SHIFT;
    this.sealed = (mode & SEALED) !== 0;
    this.secret = false;
    this.ecn = (mode & ECN_MARK) !== 0;
    this.priority = klass & PRIORITY_MASK;
    this.deadline = klass >> DEADLINE_SHIFT;
    this.ageUs = 0;
    this.source = source;
    this.destination = destination;
    this.sourcePort = getU16(bytes, start + SOURCE_PORT);
    this.destinationPort = getU16(bytes, start + DESTINATION_PORT);
    this.setShare(SHARE_REST, 0, source);
    return DropReason.none;
  }

  /**
   * Makes this the packet in `bytes[start..end)`, whose payload is there already and which the
   * caller will use again: sets every field and writes the header. One that begins at
   * SEAL_ROOM_BYTES may be sealed there.
   */
  compose(
    bytes: Uint8Array,
    start: number,
    end: number,
    kind: number,
    modes: PacketModes,
    source: NodeId,
    sourcePort: Port,
    destination: NodeId,
    destinationPort: Port,
  ): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.keepable = false;
    this.roomy = start === SEAL_ROOM_BYTES;
    this.authenticated = false;
    this.ecn = false;
    this.nameFlow(kind, modes, source, sourcePort, destination, destinationPort, null);
    this.encodeHeader();
  }

  /**
   * Sets what a packet that begins here has in its header, and for whom it is sent, but no bytes:
   * queues tell flows apart by it.
   */
  nameFlow(
    kind: number,
    modes: PacketModes,
    source: NodeId,
    sourcePort: Port,
    destination: NodeId,
    destinationPort: Port,
    user: object | null,
  ): void {
    this.user = user;
    this.patient = false;
    this.toSelf = true;
    this.sealed = false;
    this.secret = false;
    this.kind = kind;
    this.ttl = modes.ttl;
    this.service = modes.service;
    this.dissemination = modes.dissemination;
    this.priority = modes.priority;
    this.deadline = modes.deadline ?? 0;
    this.ageUs = modes.spentUs ?? 0;
    this.paths = modes.paths ?? PATHS_DEFAULT;
    this.graph = modes.graph ?? 'auto';
    this.withinUs = modes.withinUs ?? 0;
    this.source = source;
    this.destination = destination;
    this.sourcePort = sourcePort;
    this.destinationPort = destinationPort;
    this.setShare(SHARE_REST, 0, source);
  }

  /**
   * Whose part of a queue it takes; after `decode` and `compose` it is the rest's, begins here and
   * is charged to its source.
   */
  setShare(share: number, via: NodeId, payer: NodeId): void {
    this.share = share;
    this.via = via;
    this.payer = payer;
  }

  /** Writes the header fields to `bytes[start..start + OVERLAY_HEADER_BYTES)`. */
  encodeHeader(): void {
    const { bytes, start } = this;
    bytes[start + KIND] = this.kind;
    bytes[start + TTL] = this.ttl;
    bytes[start + MODE] =
      this.service |
      (this.dissemination << DISSEMINATION_SHIFT) |
      (this.sealed ? SEALED : 0) |
      (this.ecn ? ECN_MARK : 0);
    bytes[start + CLASS] = this.priority | (this.deadline << DEADLINE_SHIFT);
    putU32(bytes, start + SOURCE, this.source);
    putU32(bytes, start + DESTINATION, this.destination);
    putU16(bytes, start + SOURCE_PORT, this.sourcePort);
    putU16(bytes, start + DESTINATION_PORT, this.destinationPort);
  }

  /** Changes the hops left, in the struct and in the bytes. */
  setTtl(ttl: number): void {
    this.ttl = ttl;
    this.bytes[this.start + TTL] = ttl;
  }
}

/** Only a packet of kind GROUP goes to a group, and only by link state. */
function isGroups(kind: number, mode: number, destination: number): boolean {
  return (
    kind === KIND_GROUP &&
    isGroupId(destination) &&
    (mode & DISSEMINATION_MASK) >> DISSEMINATION_SHIFT === DISSEMINATION_LINK_STATE
  );
}

/** Whether a packet of that age is beyond its deadline; only those of the realtime service are. */
export function isOver({ service, deadline }: Packet, ageUs: Micros): boolean {
  return service === SERVICE_REALTIME && ageUs > deadlineUs(deadline);
}

/** The dissemination of the encoded packet at `at`. */
export function disseminationAt(b: Uint8Array, at: number): number {
  return (b[at + MODE]! & DISSEMINATION_MASK) >> DISSEMINATION_SHIFT;
}

/**
 * Takes what changes on the way, hops and ECN mark, out of the encoded packet at `at`: all else of
 * the header can be authenticated.
 */
export function clearChanging(b: Uint8Array, at: number): void {
  b[at + TTL] = 0;
  b[at + MODE] = b[at + MODE]! & ~ECN_MARK;
}

/** Whether the encoded packet at `at` is sealed from end to end. */
export function sealedAt(b: Uint8Array, at: number): boolean {
  return (b[at + MODE]! & SEALED) !== 0;
}

/** Deadline class of the encoded packet at `at`, and its destination, whatever it is. `@hot` */
export function deadlineAt(b: Uint8Array, at: number): number {
  return b[at + CLASS]! >> DEADLINE_SHIFT;
}

export function destinationAt(b: Uint8Array, at: number): NodeId {
  return getU32(b, at + DESTINATION);
}

/** Marks an encoded packet at `at` as having met congestion. */
export function stampEcn(b: Uint8Array, at: number): void {
  b[at + MODE] = b[at + MODE]! | ECN_MARK;
}
