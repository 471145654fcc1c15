/**
 * Messages of route discovery on links: cut into packets that fit, over the reliable service, and
 * put together again.
 *
 * Owns the parts of messages that are not complete, a bounded number for each neighbour; the oldest
 * gives way.
 */

import { getU16, putU16 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { NextHop } from '../link/next-hop.ts';
import { DropReason } from '../wire/drop.ts';
import { ROUTE_RESPONSE_BYTES_MAX } from '../wire/discovery.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_ROUTE,
  Packet,
  PRIORITY_DEFAULT,
  SERVICE_RELIABLE,
  SHARE_CONTROL,
} from '../wire/packet.ts';
import { ROUTE_PART_BYTES_MAX, ROUTE_PART_HEAD_BYTES } from '../wire/route-part.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../wire/sizes.ts';

const PARTS_MAX = Math.ceil(ROUTE_RESPONSE_BYTES_MAX / ROUTE_PART_BYTES_MAX);
/** Messages of one neighbour that wait for a part. */
const UNFINISHED_MAX = 64;
const MODES = {
  service: SERVICE_RELIABLE,
  dissemination: DISSEMINATION_BYZANTINE,
  ttl: 1,
  priority: PRIORITY_DEFAULT,
};

interface Unfinished {
  readonly parts: (Uint8Array | null)[];
  missing: number;
}

export class RouteMessages {
  readonly #self: NodeId;
  readonly #packet = new Packet();
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  readonly #unfinished = new Map<NodeId, Map<number, Unfinished>>();
  #message = 0;

  constructor(self: NodeId) {
    this.#self = self;
  }

  /**
   * Sends `bytes` over `link`; what its queue does not take is lost, and asked for again by whoever
   * needs it.
   */
  send(link: NextHop, bytes: Uint8Array): void {
    const count = Math.ceil(bytes.length / ROUTE_PART_BYTES_MAX);
    this.#message = (this.#message + 1) & 0xffff;
    for (let i = 0; i < count; i += 1) {
      const part = bytes.subarray(i * ROUTE_PART_BYTES_MAX, (i + 1) * ROUTE_PART_BYTES_MAX);
      const b = this.#scratch,
        at = OVERLAY_HEADER_BYTES;
      putU16(b, at, this.#message);
      b[at + 2] = i;
      b[at + 3] = count;
      b.set(part, at + ROUTE_PART_HEAD_BYTES);
      this.#packet.compose(
        b,
        0,
        at + ROUTE_PART_HEAD_BYTES + part.length,
        KIND_ROUTE,
        MODES,
        this.#self,
        0,
        link.node,
        0,
      );
      this.#packet.share = SHARE_CONTROL;
      link.offer(this.#packet);
    }
  }

  /** A part from `from`: the whole message once it is complete, else null or why not. */
  onPart(packet: Packet, from: NodeId): Uint8Array | DropReason | null {
    const { bytes: b, payloadStart: at, end } = packet;
    if (end - at <= ROUTE_PART_HEAD_BYTES) return DropReason.routePartMalformed;
    const message = getU16(b, at),
      index = b[at + 2]!,
      count = b[at + 3]!;
    const length = end - at - ROUTE_PART_HEAD_BYTES;
    if (count < 1 || count > PARTS_MAX || index >= count || length > ROUTE_PART_BYTES_MAX)
      return DropReason.routePartMalformed;
    if (index < count - 1 && length !== ROUTE_PART_BYTES_MAX) return DropReason.routePartMalformed;
    const part = b.slice(at + ROUTE_PART_HEAD_BYTES, end);
    if (count === 1) return part;
    const unfinished = this.#of(from);
    let whole = unfinished.get(message);
    if (whole === undefined || whole.parts.length !== count) {
      whole = { parts: Array.from({ length: count }, () => null), missing: count };
      unfinished.delete(message);
      unfinished.set(message, whole);
      if (unfinished.size > UNFINISHED_MAX) unfinished.delete(unfinished.keys().next().value!);
    }
    if (whole.parts[index] !== null) return null;
    whole.parts[index] = part;
    whole.missing -= 1;
    if (whole.missing > 0) return null;
    unfinished.delete(message);
    return joined(whole.parts as Uint8Array[]);
  }

  /** The neighbour's link went down. */
  forget(neighbour: NodeId): void {
    this.#unfinished.delete(neighbour);
  }

  #of(neighbour: NodeId): Map<number, Unfinished> {
    let unfinished = this.#unfinished.get(neighbour);
    if (unfinished === undefined) {
      unfinished = new Map();
      this.#unfinished.set(neighbour, unfinished);
    }
    return unfinished;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
