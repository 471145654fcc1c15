/**
 * What the routers that Byzantine routing is compared with have in common. They exist in
 * simulations only: no daemon has them.
 *
 * Owns their interface to an experiment, what an adversary may do in them, and the envelope around
 * packets that need more than an overlay header: kind PROBED, so that nothing else takes them for
 * its own, with the inner packet's kind inside.
 *
 *     overlay header | u8 version | u8 inner kind | u48 sequence | u8 nodes | u32 of each node of a
 *     route | inner payload
 */

import { getU32, getU48, putU32, putU48 } from '../../../core/base/bytes.ts';
import { isNodeId, type NodeId } from '../../../core/base/ids.ts';
import { ReplayWindow } from '../../../core/base/replay-window.ts';
import type { StrategyEnvironment, Strategy } from '../../../core/dissemination/strategy.ts';
import { DropReason, refusalOf, type Offered } from '../../../core/wire/drop.ts';
import { KIND_PROBED, Packet } from '../../../core/wire/packet.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../../../core/wire/sizes.ts';

/** What an adversary does in a baseline. Hooks return true for what they swallow. */
export interface BaselineMisbehaviour {
  /** Data in transit, from a neighbour. */
  onData?(packet: Packet, from: NodeId): boolean;
  /** A message of route discovery, from a neighbour. */
  onRoute?(message: Uint8Array, from: NodeId): boolean;
  /** Requests are passed on without the delay that everybody else keeps (flood rushing). */
  readonly rush?: boolean;
}

export interface Baseline extends Strategy {
  misbehaviour: BaselineMisbehaviour | null;
}

export type BaselineFactory = (env: StrategyEnvironment) => Baseline;

/** Sources whose sequences are remembered; the one heard of first gives way. */
const SOURCES_MAX = 4_096;
const VERSION = 1;
const HEAD_BYTES = 9;
const ROUTE_MAX = 64;

/** What stands in an envelope. Valid until the next one is opened. */
export interface Opened {
  kind: number;
  sequence: number;
  route: NodeId[];
  payloadStart: number;
}

export class Envelopes {
  readonly #packet = new Packet();
  readonly #inner = new Packet();
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  readonly #opened: Opened = { kind: 0, sequence: 0, route: [], payloadStart: 0 };
  readonly #seen = new Map<NodeId, ReplayWindow>();

  /**
   * The session's packet in an envelope, or null when it is too long for one. Valid until the next
   * call.
   */
  wrap(inner: Packet, sequence: number, route: readonly NodeId[]): Packet | null {
    const head = OVERLAY_HEADER_BYTES + HEAD_BYTES + 4 * route.length;
    const end = head + inner.end - inner.payloadStart;
    if (end > PACKET_BYTES_MAX || route.length > ROUTE_MAX) return null;
    const b = this.#scratch;
    b[OVERLAY_HEADER_BYTES] = VERSION;
    b[OVERLAY_HEADER_BYTES + 1] = inner.kind;
    putU48(b, OVERLAY_HEADER_BYTES + 2, sequence);
    b[OVERLAY_HEADER_BYTES + 8] = route.length;
    route.forEach((node, i) => putU32(b, OVERLAY_HEADER_BYTES + HEAD_BYTES + 4 * i, node));
    b.set(inner.bytes.subarray(inner.payloadStart, inner.end), head);
    this.#packet.compose(
      b,
      0,
      end,
      KIND_PROBED,
      inner,
      inner.source,
      inner.sourcePort,
      inner.destination,
      inner.destinationPort,
    );
    return this.#packet;
  }

  open(packet: Packet): Opened | null {
    const { bytes: b, payloadStart: at, end } = packet;
    if (packet.kind !== KIND_PROBED || end - at < HEAD_BYTES || b[at] !== VERSION) return null;
    const count = b[at + 8]!;
    const payloadStart = at + HEAD_BYTES + 4 * count;
    if (count > ROUTE_MAX || payloadStart > end) return null;
    const opened = this.#opened;
    opened.kind = b[at + 1]!;
    opened.sequence = getU48(b, at + 2);
    opened.route = Array.from({ length: count }, (_, i) => getU32(b, at + HEAD_BYTES + 4 * i));
    opened.payloadStart = payloadStart;
    return opened.route.every(isNodeId) ? opened : null;
  }

  /** The session's packet again. Valid until the next call. */
  innerOf(packet: Packet, { kind, payloadStart }: Opened): Packet {
    const b = this.#scratch;
    const end = OVERLAY_HEADER_BYTES + packet.end - payloadStart;
    b.set(packet.bytes.subarray(payloadStart, packet.end), OVERLAY_HEADER_BYTES);
    this.#inner.compose(
      b,
      0,
      end,
      kind,
      packet,
      packet.source,
      packet.sourcePort,
      packet.destination,
      packet.destinationPort,
    );
    return this.#inner;
  }

  /** Whether this is the first time that `sequence` of `source` is seen here; remembers it. */
  isFirst(source: NodeId, sequence: number): boolean {
    let window = this.#seen.get(source);
    if (window === undefined) {
      window = new ReplayWindow();
      this.#seen.set(source, window);
      if (this.#seen.size > SOURCES_MAX) this.#seen.delete(this.#seen.keys().next().value!);
    }
    if (!window.isNew(sequence)) return false;
    window.record(sequence);
    return true;
  }
}

/** Takes one from the hops that a packet has left; false when there is none. */
export function hop(packet: Packet): boolean {
  if (packet.ttl <= 1) return false;
  packet.setTtl(packet.ttl - 1);
  return true;
}

/** How several copies of one packet fared: taken if one was taken. */
export function best(a: DropReason, b: Offered): DropReason {
  return a === DropReason.none ? a : refusalOf(b);
}
