/**
 * How a message of a datagram session becomes packets, and leaves.
 *
 * Owns the heads of fragments, sequenced pieces and sealed pieces as they are written, and the one
 * packet that is filled. Does not know ports or programs: what it sends is `sessions.ts`'s. `@hot`
 * for messages that fit one packet.
 */

import type { Draws } from '../base/draws.ts';
import type { NodeId, Port } from '../base/ids.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import { DropReason, refusalOf, TAKEN_FULL } from '../wire/drop.ts';
import {
  encodeFragmentHead,
  FRAGMENT_BYTES,
  FRAGMENT_HEAD_BYTES,
  type FragmentHead,
} from '../wire/fragment.ts';
import {
  DISSEMINATION_LINK_STATE,
  KIND_DATAGRAM,
  KIND_FRAGMENT,
  KIND_PIECE,
  KIND_SEQUENCED,
  Packet,
  SERVICE_RELIABLE,
  type PacketModes,
} from '../wire/packet.ts';
import {
  encodePieceHead,
  PIECE_HEAD_BYTES,
  pieceCount,
  pieceShare,
  type PieceHead,
} from '../wire/piece.ts';
import { SEALED_FROM, SEALED_PAYLOAD_BYTES_MAX } from '../wire/sealed-packet.ts';
import {
  encodeSequencedHead,
  PIECE_BYTES,
  SEQUENCED_HEAD_BYTES,
  type SequencedHead,
} from '../wire/sequenced.ts';
import {
  OVERLAY_HEADER_BYTES,
  PACKET_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  SEAL_ROOM_BYTES,
} from '../wire/sizes.ts';
import type { DatagramSession } from './datagram-session.ts';
import { flowKey } from './throttles.ts';

/** Where the rest of a message waits whose first piece was taken, until there is room for it. */
export interface RestOfMessages {
  /** Whether all that follows `packet`, the first of so many pieces, would find room. */
  fits(session: DatagramSession, packet: Packet, pieces: number, bytes: number): boolean;
  /** False: it does not. */
  hold(session: DatagramSession, packet: Packet): boolean;
}

/** Whether what was refused so may leave a little later. */
export function isForNow(reason: DropReason): boolean {
  return (
    reason === DropReason.linkQueueFull ||
    reason === DropReason.loopbackFull ||
    reason === DropReason.endToEndNoKey
  );
}

export interface WriterEnvironment {
  readonly self: NodeId;
  readonly draws: Draws;
  readonly dissemination: Dissemination;
  readonly rest: RestOfMessages;
}

export class MessageWriter {
  /** The packet that was offered last. */
  readonly packet = new Packet();
  readonly #env: WriterEnvironment;
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  readonly #fragment: FragmentHead = { message: 0, index: 0, count: 0 };
  readonly #sequenced: SequencedHead = { run: 0, message: 0, index: 0, count: 0 };
  readonly #piece: PieceHead = { message: 0, length: 0, index: 0, count: 0 };
  #full: boolean | null = null;
  /** Of the message at hand: how many there are, which is next, and its bytes. */
  #pieces = 1;
  #pieceIndex = 0;
  #messageBytes = 0;
  #modes: PacketModes | null = null;

  constructor(env: WriterEnvironment) {
    this.#env = env;
  }

  /** Whether the queue of the packet offered last is long; null when it is not known. */
  get full(): boolean | null {
    return this.#full;
  }

  /**
   * Sends `bytes[start..end)`, at most MESSAGE_BYTES_MAX, as one message of a bound session, which
   * travels by `modes`.
   * DropReason.none: every piece was taken.
   */
  send(
    session: DatagramSession,
    destination: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    modes: PacketModes,
  ): DropReason {
    this.#full = null;
    this.#begin(1, 0);
    this.#modes = modes;
    if (session.secret && session.dissemination === DISSEMINATION_LINK_STATE)
      return this.#sendSecret(session, destination, port, bytes, start, end);
    if (session.service === SERVICE_RELIABLE)
      return this.#sendSequenced(session, destination, port, bytes, start, end);
    return end - start <= PAYLOAD_BYTES_MAX
      ? this.#sendPacket(session, KIND_DATAGRAM, destination, port, bytes, start, end, 0)
      : this.#sendFragments(session, destination, port, bytes, start, end);
  }

  /** Sealed from end to end: in one packet where it fits, else in even pieces. */
  #sendSecret(
    session: DatagramSession,
    destination: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): DropReason {
    if (end - start <= SEALED_PAYLOAD_BYTES_MAX)
      return this.#sendPacket(session, KIND_DATAGRAM, destination, port, bytes, start, end, 0);
    const piece = this.#piece;
    piece.message = this.#env.draws.u32();
    piece.length = end - start;
    piece.count = pieceCount(piece.length);
    const share = pieceShare(piece);
    this.#begin(piece.count, end - start);
    for (piece.index = 0; piece.index < piece.count; piece.index += 1) {
      const from = start + piece.index * share,
        to = Math.min(end, from + share);
      encodePieceHead(piece, this.#scratch, SEALED_FROM);
      const reason = this.#sendPacket(
        session,
        KIND_PIECE,
        destination,
        port,
        bytes,
        from,
        to,
        PIECE_HEAD_BYTES,
      );
      if (reason !== DropReason.none) return reason;
    }
    return DropReason.none;
  }

  #sendFragments(
    session: DatagramSession,
    destination: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): DropReason {
    const fragment = this.#fragment;
    // A count would tell whoever gets one message what the next to somebody else is called.
    fragment.message = this.#env.draws.u32();
    fragment.count = Math.ceil((end - start) / FRAGMENT_BYTES);
    this.#begin(fragment.count, end - start);
    for (fragment.index = 0; fragment.index < fragment.count; fragment.index += 1) {
      const from = start + fragment.index * FRAGMENT_BYTES;
      const to = Math.min(end, from + FRAGMENT_BYTES);
      encodeFragmentHead(fragment, this.#scratch, OVERLAY_HEADER_BYTES);
      const reason = this.#sendPacket(
        session,
        KIND_FRAGMENT,
        destination,
        port,
        bytes,
        from,
        to,
        FRAGMENT_HEAD_BYTES,
      );
      if (reason !== DropReason.none) return reason;
    }
    return DropReason.none;
  }

  #sendSequenced(
    session: DatagramSession,
    destination: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): DropReason {
    const head = this.#sequenced;
    head.run = session.run;
    head.message = session.nextMessage;
    head.count = Math.max(1, Math.ceil((end - start) / PIECE_BYTES));
    this.#begin(head.count, end - start);
    for (head.index = 0; head.index < head.count; head.index += 1) {
      const from = start + head.index * PIECE_BYTES,
        to = Math.min(end, from + PIECE_BYTES);
      encodeSequencedHead(head, this.#scratch, OVERLAY_HEADER_BYTES);
      const reason = this.#sendPacket(
        session,
        KIND_SEQUENCED,
        destination,
        port,
        bytes,
        from,
        to,
        SEQUENCED_HEAD_BYTES,
      );
      if (reason !== DropReason.none) return reason;
      if (head.index > 0) continue;
      // Only now: what waits would look old behind the numbers of what was refused.
      session.nextMessage = (session.nextMessage + 1) >>> 0;
      if (session.nextMessage === 0) session.run = this.#env.draws.u32();
    }
    return DropReason.none;
  }

  /** A message of so many pieces begins. */
  #begin(pieces: number, bytes: number): void {
    this.#pieces = pieces;
    this.#pieceIndex = 0;
    this.#messageBytes = bytes;
  }

  #sendPacket(
    session: DatagramSession,
    kind: number,
    destination: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    headBytes: number,
  ): DropReason {
    const { packet } = this;
    const at =
      session.secret && session.dissemination === DISSEMINATION_LINK_STATE ? SEAL_ROOM_BYTES : 0;
    const payloadAt = at + OVERLAY_HEADER_BYTES + headBytes;
    this.#scratch.set(
      start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end),
      payloadAt,
    );
    packet.compose(
      this.#scratch,
      at,
      payloadAt + end - start,
      kind,
      this.#modes!,
      this.#env.self,
      session.port,
      destination,
      port,
    );
    packet.user = session.owner;
    packet.secret = session.secret;
    const throttle = session.throttles?.get(flowKey(destination, port));
    this.#full = null;
    const index = this.#pieceIndex;
    this.#pieceIndex += 1;
    // All of it or nothing: pieces without the rest hold room at the destination for nothing.
    if (
      index === 0 &&
      this.#pieces > 1 &&
      !this.#env.rest.fits(session, packet, this.#pieces, this.#messageBytes)
    )
      return DropReason.linkQueueFull;
    if (throttle !== undefined && !throttle.passes(packet))
      return throttle.hold(packet) ? DropReason.none : DropReason.linkQueueFull;
    const offered = this.#env.dissemination.originate(packet);
    const reason = refusalOf(offered);
    this.#full = reason === DropReason.none ? offered === TAKEN_FULL : null;
    return index > 0 && isForNow(reason) && this.#env.rest.hold(session, packet)
      ? DropReason.none
      : reason;
  }
}
