/**
 * Which datagrams a capture wants: those of some neighbours, and those that carry packets of some
 * sessions.
 *
 * Reads heads of frames and of overlay packets only, and of bytes that are opened already. Of a
 * packet that left in pieces the first piece has the head; the others follow it by its id.
 */

import { getU16, getU32 } from '../base/bytes.ts';
import type { NodeId, Port } from '../base/ids.ts';
import {
  FRAME_DATA,
  FRAME_REALTIME,
  FRAME_REALTIME_AGAIN,
  FRAME_RELIABLE,
  FRAME_SPLIT,
  frameBodyBytes,
} from '../wire/frames.ts';
import { OVERLAY_LAYOUT } from '../wire/packet.ts';
import { SPLIT_HEAD_BYTES, SPLIT_LAYOUT } from '../wire/path-size.ts';
import { AGAIN_HEAD_BYTES, REALTIME_HEAD_BYTES } from '../wire/realtime.ts';
import {
  DATAGRAM_HEADER_BYTES,
  FRAME_HEAD_BYTES,
  OVERLAY_HEADER_BYTES,
  RELIABLE_HEAD_BYTES,
} from '../wire/sizes.ts';

/** Programs that may capture at once. */
export const CAPTURES_MAX = 4;

/** Null: any. */
export interface WantedSession {
  readonly node: NodeId | null;
  readonly port: Port | null;
}

/** Whose datagrams. */
export interface WantedPeers {
  readonly nodes: ReadonlySet<NodeId>;
  /** Of dials that nobody has answered yet, as keys of endpoints. */
  readonly addresses: ReadonlySet<string>;
}

/** In front of the packet, of the frames that carry one. */
const FRONTS: ReadonlyMap<number, number> = new Map([
  [FRAME_DATA, 0],
  [FRAME_RELIABLE, RELIABLE_HEAD_BYTES],
  [FRAME_REALTIME, REALTIME_HEAD_BYTES],
  [FRAME_REALTIME_AGAIN, AGAIN_HEAD_BYTES],
]);

export class CaptureFilter {
  readonly #peers: WantedPeers | null;
  readonly #sessions: readonly WantedSession[] | null;
  /** By neighbour and direction: the id of the packet in pieces that was wanted last. */
  readonly #pieces = new Map<number, number>();

  /** `peers`: null for all, and who is no neighbour; `sessions`: null for all datagrams. */
  constructor(peers: WantedPeers | null, sessions: readonly WantedSession[] | null) {
    this.#peers = peers;
    this.#sessions = sessions;
  }

  /**
   * Whether it wants what is no frames, handshakes and what was not opened, of whoever is there.
   */
  wantsCall(node: NodeId | null, address: string): boolean {
    if (this.#sessions !== null) return false;
    const peers = this.#peers;
    return (
      peers === null || peers.addresses.has(address) || (node !== null && peers.nodes.has(node))
    );
  }

  /** Frames in `b[DATAGRAM_HEADER_BYTES..end)`, from or to neighbour `node`. */
  wants(node: NodeId, out: boolean, b: Uint8Array, end: number): boolean {
    if (this.#peers !== null && !this.#peers.nodes.has(node)) return false;
    if (this.#sessions === null) return true;
    const way = node * 2 + (out ? 1 : 0);
    let at = DATAGRAM_HEADER_BYTES;
    while (at < end) {
      const bodyBytes = frameBodyBytes(b, at, end);
      if (bodyBytes < 0) return false;
      const start = at + FRAME_HEAD_BYTES,
        stop = start + bodyBytes;
      if (b[at] === FRAME_SPLIT ? this.#wantsPiece(way, b, start, stop) : this.#isOf(b, at, stop))
        return true;
      at = stop;
    }
    return false;
  }

  #wantsPiece(way: number, b: Uint8Array, start: number, end: number): boolean {
    if (start + SPLIT_HEAD_BYTES >= end) return false;
    const id = getU16(b, start + SPLIT_LAYOUT.id[0]);
    const first = b[start + SPLIT_LAYOUT.part[0]]! >>> 4 === 0;
    if (!first) return this.#pieces.get(way) === id;
    const front = FRONTS.get(b[start + SPLIT_LAYOUT.type[0]]!);
    if (front === undefined || !this.#isPacket(b, start + SPLIT_HEAD_BYTES + front, end))
      return false;
    this.#pieces.set(way, id);
    return true;
  }

  /** The frame at `at`. */
  #isOf(b: Uint8Array, at: number, end: number): boolean {
    const front = FRONTS.get(b[at]!);
    return front !== undefined && this.#isPacket(b, at + FRAME_HEAD_BYTES + front, end);
  }

  #isPacket(b: Uint8Array, at: number, end: number): boolean {
    if (at + OVERLAY_HEADER_BYTES > end) return false;
    const source = getU32(b, at + OVERLAY_LAYOUT.source[0]),
      destination = getU32(b, at + OVERLAY_LAYOUT.destination[0]),
      sourcePort = getU16(b, at + OVERLAY_LAYOUT['source port'][0]),
      destinationPort = getU16(b, at + OVERLAY_LAYOUT['destination port'][0]);
    return this.#sessions!.some(
      ({ node, port }) =>
        ((node === null || node === source) && (port === null || port === sourcePort)) ||
        ((node === null || node === destination) && (port === null || port === destinationPort)),
    );
  }
}
