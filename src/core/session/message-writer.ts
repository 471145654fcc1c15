/**
 * How a message of a datagram session becomes packets, and leaves.
 *
 * Owns the heads of fragments, sequenced pieces and sealed pieces as they are written, and the one
 * packet that is filled. Does not know ports or programs: what it sends is `sessions.ts`'s. `@hot`
 * for messages that fit one packet.
 */

import type { Draws } from '../base/draws.ts';
import { isNodeId, type NodeId, type Port } from '../base/ids.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import { DropReason, refusalOf, TAKEN_FULL } from '../wire/drop.ts';
import {
  encodeFragmentHead,
  FRAGMENT_BYTES,
  FRAGMENT_HEAD_BYTES,
  type FragmentHead,
} from '../wire/fragment.ts';
import {
  CONTENT_FRAGMENT,
  CONTENT_WHOLE,
  encodeGroupHead,
  GROUP_HEAD_BYTES,
  GROUP_SHARE_BYTES,
  GROUP_WHOLE_BYTES_MAX,
} from '../wire/group.ts';
import { carriesGraph } from '../wire/modes.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_DATAGRAM,
  KIND_FRAGMENT,
  KIND_GROUP,
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
import { ROUTED_SHARE_BYTES } from '../wire/routed.ts';
import { SEAL_BYTES, SEALED_FROM, SEALED_PAYLOAD_BYTES_MAX } from '../wire/sealed-packet.ts';
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
import { flowKey, type Throttle } from './throttles.ts';

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

/** How a message is cut into packets: what all three ways have. */
interface Cut {
  readonly kind: number;
  /** In front of each piece, where `writeHead` puts it. */
  readonly headBytes: number;
  /** Message bytes of each piece but the last. */
  share: number;
  count: number;
  readonly writeHead: (index: number) => void;
}

export class MessageWriter {
  /** The packet that was offered last. */
  readonly packet = new Packet();
  readonly #env: WriterEnvironment;
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  readonly #fragment: FragmentHead = { message: 0, index: 0, count: 0 };
  readonly #sequence: SequencedHead = { run: 0, message: 0, index: 0, count: 0 };
  readonly #piece: PieceHead = { message: 0, length: 0, index: 0, count: 0 };
  readonly #fragments: Cut = {
    kind: KIND_FRAGMENT,
    headBytes: FRAGMENT_HEAD_BYTES,
    share: FRAGMENT_BYTES,
    count: 0,
    writeHead: (index) => {
      this.#fragment.index = index;
      encodeFragmentHead(this.#fragment, this.#scratch, OVERLAY_HEADER_BYTES);
    },
  };
  readonly #sequenced: Cut = {
    kind: KIND_SEQUENCED,
    headBytes: SEQUENCED_HEAD_BYTES,
    share: PIECE_BYTES,
    count: 0,
    writeHead: (index) => {
      this.#sequence.index = index;
      encodeSequencedHead(this.#sequence, this.#scratch, OVERLAY_HEADER_BYTES);
    },
  };
  readonly #sealed: Cut = {
    kind: KIND_PIECE,
    headBytes: PIECE_HEAD_BYTES,
    share: 0,
    count: 0,
    writeHead: (index) => {
      this.#piece.index = index;
      encodePieceHead(this.#piece, this.#scratch, SEALED_FROM);
    },
  };
  /** Behind a graph, of any size. */
  readonly #routed: Cut = {
    kind: KIND_FRAGMENT,
    headBytes: FRAGMENT_HEAD_BYTES,
    share: ROUTED_SHARE_BYTES,
    count: 0,
    writeHead: (index) => {
      this.#fragment.index = index;
      const at = this.#secret ? SEALED_FROM : OVERLAY_HEADER_BYTES;
      encodeFragmentHead(this.#fragment, this.#scratch, at);
    },
  };
  /** To a group: the strategy of groups writes the stamp. */
  readonly #grouped: Cut = {
    kind: KIND_GROUP,
    headBytes: GROUP_HEAD_BYTES + FRAGMENT_HEAD_BYTES,
    share: GROUP_SHARE_BYTES,
    count: 0,
    writeHead: (index) => {
      this.#fragment.index = index;
      const head = { run: 0, number: 0, content: CONTENT_FRAGMENT };
      const at = encodeGroupHead(head, this.#scratch, OVERLAY_HEADER_BYTES);
      encodeFragmentHead(this.#fragment, this.#scratch, at);
    },
  };
  readonly #groupedWhole: Cut = {
    kind: KIND_GROUP,
    headBytes: GROUP_HEAD_BYTES,
    share: GROUP_WHOLE_BYTES_MAX,
    count: 1,
    writeHead: () => {
      const head = { run: 0, number: 0, content: CONTENT_WHOLE };
      encodeGroupHead(head, this.#scratch, OVERLAY_HEADER_BYTES);
    },
  };
  /** Of the message at hand: it is sealed from end to end. */
  #secret = false;
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
    const length = end - start;
    const grouped = !isNodeId(destination);
    const secret = session.secret && modes.dissemination !== DISSEMINATION_BYZANTINE && !grouped;
    this.#secret = secret;
    if (carriesGraph(modes.dissemination))
      return this.#sendRouted(session, destination, port, bytes, start, end);
    const sequenced = !secret && !grouped && session.service === SERVICE_RELIABLE;
    if (!sequenced && !grouped && length <= (secret ? SEALED_PAYLOAD_BYTES_MAX : PAYLOAD_BYTES_MAX))
      return this.#sendPacket(session, KIND_DATAGRAM, destination, port, bytes, start, end, 0);
    const cut = grouped
      ? this.#cutGrouped(length)
      : secret
        ? this.#cutSealed(length)
        : sequenced
          ? this.#cutSequenced(length, session)
          : this.#cutFragments(length);
    return this.#sendCut(session, destination, port, bytes, start, end, cut);
  }

  #sendCut(
    session: DatagramSession,
    destination: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    cut: Cut,
  ): DropReason {
    this.#begin(cut.count, end - start);
    for (let index = 0; index < cut.count; index += 1) {
      const from = start + index * cut.share,
        to = Math.min(end, from + cut.share);
      cut.writeHead(index);
      const { kind, headBytes } = cut;
      const reason = this.#sendPacket(session, kind, destination, port, bytes, from, to, headBytes);
      if (reason !== DropReason.none) return reason;
      // Only now: what waits would look old behind the numbers of what was refused.
      if (cut === this.#sequenced && index === 0) this.#nextMessage(session);
    }
    return DropReason.none;
  }

  /** Whole where it can be with the graph that there is now. */
  #sendRouted(
    session: DatagramSession,
    destination: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): DropReason {
    const { packet } = this;
    packet.nameFlow(KIND_DATAGRAM, this.#modes!, this.#env.self, 0, destination, 0, null);
    const room =
      PAYLOAD_BYTES_MAX -
      (this.#secret ? SEAL_BYTES : 0) -
      Math.max(0, this.#env.dissemination.headBytes(packet));
    if (end - start <= room)
      return this.#sendPacket(session, KIND_DATAGRAM, destination, port, bytes, start, end, 0);
    const head = this.#fragment,
      cut = this.#routed;
    head.message = this.#env.draws.u32();
    head.count = cut.count = Math.ceil((end - start) / ROUTED_SHARE_BYTES);
    return this.#sendCut(session, destination, port, bytes, start, end, cut);
  }

  /** Sealed from end to end: even pieces. */
  #cutSealed(length: number): Cut {
    const head = this.#piece,
      cut = this.#sealed;
    head.message = this.#env.draws.u32();
    head.length = length;
    head.count = cut.count = pieceCount(length);
    cut.share = pieceShare(head);
    return cut;
  }

  /** To a group, where the stamp tells messages apart: whole where it can be. */
  #cutGrouped(length: number): Cut {
    if (length <= GROUP_WHOLE_BYTES_MAX) return this.#groupedWhole;
    const head = this.#fragment,
      cut = this.#grouped;
    head.message = this.#env.draws.u32();
    head.count = cut.count = Math.ceil(length / GROUP_SHARE_BYTES);
    return cut;
  }

  #cutFragments(length: number): Cut {
    const head = this.#fragment,
      cut = this.#fragments;
    // A count would tell whoever gets one message what the next to somebody else is called.
    head.message = this.#env.draws.u32();
    head.count = cut.count = Math.ceil(length / FRAGMENT_BYTES);
    return cut;
  }

  /** Over reliable links, where each message has a number: at least one piece. */
  #cutSequenced(length: number, { run, nextMessage }: DatagramSession): Cut {
    const head = this.#sequence,
      cut = this.#sequenced;
    head.run = run;
    head.message = nextMessage;
    head.count = cut.count = Math.max(1, Math.ceil(length / PIECE_BYTES));
    return cut;
  }

  #nextMessage(session: DatagramSession): void {
    session.nextMessage = (session.nextMessage + 1) >>> 0;
    if (session.nextMessage === 0) session.run = this.#env.draws.u32();
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
    const at = this.#secret ? SEAL_ROOM_BYTES : 0;
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
    packet.secret = session.secret && kind !== KIND_GROUP;
    packet.patient = session.slowBranch === 'wait';
    packet.toSelf = session.multicastLoopback;
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
    if (throttle !== undefined && !this.#passes(throttle, packet))
      return throttle.hold(packet) ? DropReason.none : DropReason.linkQueueFull;
    const offered = this.#env.dissemination.originate(packet);
    const reason = refusalOf(offered);
    this.#full = reason === DropReason.none ? offered === TAKEN_FULL : null;
    return index > 0 && isForNow(reason) && this.#env.rest.hold(session, packet)
      ? DropReason.none
      : reason;
  }

  /** One that is paced waits for its first links, too, before it has filled them. */
  #passes(throttle: Throttle, packet: Packet): boolean {
    if (throttle.paced && this.#env.dissemination.congested(packet)) return false;
    return throttle.passes(packet);
  }
}
