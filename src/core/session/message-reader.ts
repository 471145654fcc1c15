/**
 * How packets for this node become messages again.
 *
 * Owns reassembly, and what of the messages over reliable links was delivered already. A packet
 * that makes a message whole leaves it in `message`; any other waits, or is dropped and counted.
 * Does not know ports or programs. `@hot` for messages that fit one packet.
 */

import type { Clock, Timers } from '../base/time.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import {
  decodeFragmentHead,
  FRAGMENT_BYTES,
  FRAGMENT_HEAD_BYTES,
  type FragmentHead,
} from '../wire/fragment.ts';
import {
  CONTENT_WHOLE,
  decodeGroupHead,
  GROUP_HEAD_BYTES,
  GROUP_SHARE_BYTES,
  type GroupHead,
} from '../wire/group.ts';
import { carriesGraph } from '../wire/modes.ts';
import {
  KIND_DATAGRAM,
  KIND_FRAGMENT,
  KIND_PIECE,
  KIND_SEQUENCED,
  type Packet,
} from '../wire/packet.ts';
import { ROUTED_SHARE_BYTES } from '../wire/routed.ts';
import { decodePieceHead, PIECE_HEAD_BYTES, pieceShare, type PieceHead } from '../wire/piece.ts';
import {
  decodeSequencedHead,
  PIECE_BYTES,
  SEQUENCED_HEAD_BYTES,
  type SequencedHead,
} from '../wire/sequenced.ts';
import { AtMostOnce } from './at-most-once.ts';
import { groupOf } from './origin.ts';
import { Reassembly, type MessageName } from './reassembly.ts';

/** Kinds of messages in pieces: those of proved and of claimed sources never meet. */
const FRAGMENTS = 0,
  CLAIMED_FRAGMENTS = 1,
  PIECES = 2,
  SEQUENCED = 3,
  CLAIMED_SEQUENCED = 4,
  GROUPED = 5,
  CLAIMED_GROUPED = 6;

/** So many ids has class D. */
const GROUP_IDS = 2 ** 28;

export interface ReaderEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly drops: DropCounters;
  readonly reassemblyBytes: number;
}

export class MessageReader {
  readonly reassembly: Reassembly;
  /** The message that was whole last: `bytes[start..end)`, valid until the next packet. */
  readonly message: { bytes: Uint8Array; start: number; end: number } = {
    bytes: new Uint8Array(0),
    start: 0,
    end: 0,
  };
  readonly #name = { kind: 0, source: 0, port: 0, number: 0, detail: 0 };
  readonly #drops: DropCounters;
  readonly #fragment: FragmentHead = { message: 0, index: 0, count: 0 };
  readonly #grouped: GroupHead = { run: 0, number: 0, content: 0 };
  readonly #sequenced: SequencedHead = { run: 0, message: 0, index: 0, count: 0 };
  readonly #piece: PieceHead = { message: 0, length: 0, index: 0, count: 0 };
  /**
   * Numbers of sources that are proved, and of those that anybody may name: these must not make a
   * message of those one that came.
   */
  readonly #delivered = { proved: new AtMostOnce(), claimed: new AtMostOnce() };

  constructor(env: ReaderEnvironment) {
    this.#drops = env.drops;
    this.reassembly = new Reassembly(env.reassemblyBytes, env.clock, env.timers, env.drops);
  }

  /** Takes a packet of a message; true: `message` is whole. */
  read(packet: Packet): boolean {
    if (packet.kind === KIND_PIECE) return this.#onPiece(packet);
    if (packet.kind === KIND_DATAGRAM)
      return this.#is(packet.bytes, packet.payloadStart, packet.end);
    return packet.kind === KIND_FRAGMENT ? this.#onFragment(packet) : this.#onSequenced(packet);
  }

  /** Whether `packet` is a whole message, or the piece that stands for all of one. */
  begins(packet: Packet): boolean {
    const { kind, bytes, payloadStart, end } = packet;
    const head =
      kind === KIND_PIECE ? this.#piece : kind === KIND_FRAGMENT ? this.#fragment : this.#sequenced;
    if (kind === KIND_PIECE) decodePieceHead(bytes, payloadStart, end, this.#piece);
    else if (kind === KIND_FRAGMENT)
      decodeFragmentHead(bytes, payloadStart, end, this.#fragment, shareOf(packet));
    else if (kind === KIND_SEQUENCED)
      decodeSequencedHead(bytes, payloadStart, end, this.#sequenced);
    else return true;
    return head.index === 0;
  }

  /** Takes a packet to a group, which did not come before. */
  readGroup(packet: Packet): boolean {
    const head = this.#fragment,
      start = packet.payloadStart + GROUP_HEAD_BYTES;
    let reason = decodeGroupHead(packet.bytes, packet.payloadStart, packet.end, this.#grouped);
    if (reason === DropReason.none && this.#grouped.content === CONTENT_WHOLE)
      return this.#is(packet.bytes, start, packet.end);
    if (reason === DropReason.none)
      reason = decodeFragmentHead(packet.bytes, start, packet.end, head, GROUP_SHARE_BYTES);
    if (reason !== DropReason.none) {
      this.#drops.count(reason);
      return false;
    }
    const name = this.#named(
      packet,
      packet.authenticated ? GROUPED : CLAIMED_GROUPED,
      head.message,
      (packet.destination % GROUP_IDS) * 0x1_0000 + packet.destinationPort,
    );
    const message = this.reassembly.onPiece(
      name,
      packet,
      head.index,
      head.count,
      GROUP_SHARE_BYTES,
      packet.bytes,
      start + FRAGMENT_HEAD_BYTES,
      packet.end,
    );
    return message !== null && this.#is(message, 0, message.length);
  }

  #onFragment(packet: Packet): boolean {
    const head = this.#fragment,
      share = shareOf(packet);
    const reason = decodeFragmentHead(packet.bytes, packet.payloadStart, packet.end, head, share);
    if (reason !== DropReason.none) {
      this.#drops.count(reason);
      return false;
    }
    // Pieces of proved and of claimed sources never meet in one message.
    const name = this.#named(
      packet,
      packet.authenticated ? FRAGMENTS : CLAIMED_FRAGMENTS,
      head.message,
      packet.destinationPort,
    );
    const start = packet.payloadStart + FRAGMENT_HEAD_BYTES;
    const message = this.reassembly.onPiece(
      name,
      packet,
      head.index,
      head.count,
      share,
      packet.bytes,
      start,
      packet.end,
    );
    return message !== null && this.#is(message, 0, message.length);
  }

  /** A piece of a message that was sealed from end to end: it came once, and from whom it says. */
  #onPiece(packet: Packet): boolean {
    const head = this.#piece;
    // What nobody sealed has other pieces.
    const reason = packet.authenticated
      ? decodePieceHead(packet.bytes, packet.payloadStart, packet.end, head)
      : DropReason.fragmentMalformed;
    if (reason !== DropReason.none) {
      this.#drops.count(reason);
      return false;
    }
    const way = head.length * 0x100 + packet.service;
    const name = this.#named(packet, PIECES, head.message, way * 0x1_0000 + packet.destinationPort);
    const message = this.reassembly.onPiece(
      name,
      packet,
      head.index,
      head.count,
      pieceShare(head),
      packet.bytes,
      packet.payloadStart + PIECE_HEAD_BYTES,
      packet.end,
    );
    return message !== null && this.#is(message, 0, message.length);
  }

  /** A datagram over reliable links: delivered at most once. */
  #onSequenced(packet: Packet): boolean {
    const head = this.#sequenced;
    const { source, sourcePort } = packet;
    const delivered = packet.authenticated ? this.#delivered.proved : this.#delivered.claimed;
    let reason = decodeSequencedHead(packet.bytes, packet.payloadStart, packet.end, head);
    if (reason === DropReason.none && !delivered.isNew(source, sourcePort, head.run, head.message))
      reason = DropReason.sequencedDuplicate;
    if (reason !== DropReason.none) {
      this.#drops.count(reason);
      return false;
    }
    const start = packet.payloadStart + SEQUENCED_HEAD_BYTES;
    if (head.count === 1) {
      delivered.record(source, sourcePort, head.run, head.message, groupOf(packet));
      return this.#is(packet.bytes, start, packet.end);
    }
    const name = this.#named(
      packet,
      packet.authenticated ? SEQUENCED : CLAIMED_SEQUENCED,
      head.message,
      head.run,
    );
    const { run, message: number } = head;
    const message = this.reassembly.onPiece(
      name,
      packet,
      head.index,
      head.count,
      PIECE_BYTES,
      packet.bytes,
      start,
      packet.end,
    );
    if (message === null) return false;
    delivered.record(source, sourcePort, run, number, groupOf(packet));
    return this.#is(message, 0, message.length);
  }

  /** Valid until the next one. */
  #named(
    { source, sourcePort }: Packet,
    kind: number,
    number: number,
    detail: number,
  ): MessageName {
    const name = this.#name;
    name.kind = kind;
    name.source = source;
    name.port = sourcePort;
    name.number = number;
    name.detail = detail;
    return name;
  }

  #is(bytes: Uint8Array, start: number, end: number): true {
    this.message.bytes = bytes;
    this.message.start = start;
    this.message.end = end;
    return true;
  }
}

/** Of a fragment, all but the last: behind a graph there is less room. */
function shareOf({ dissemination }: Packet): number {
  return carriesGraph(dissemination) ? ROUTED_SHARE_BYTES : FRAGMENT_BYTES;
}
