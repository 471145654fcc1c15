/**
 * The sessions of a daemon: which local port belongs to whom, how messages become packets and back.
 *
 * Owns the port table, datagram sessions and reassembly. Its users are client ports (programs
 * outside) and flows inside the simulator; both see the same interface. Does not know how a packet
 * travels: it hands packets to Dissemination and is handed those for this node. `@hot` for messages
 * that fit one packet.
 */

import { getU32 } from '../base/bytes.ts';
import type { Draws } from '../base/draws.ts';
import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId, type Port } from '../base/ids.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import { demandsProof } from '../wire/modes.ts';
import { DropReason, type DropCounters, refusalOf, TAKEN_FULL } from '../wire/drop.ts';
import {
  decodeFragmentHead,
  encodeFragmentHead,
  FRAGMENT_BYTES,
  FRAGMENT_HEAD_BYTES,
  MESSAGE_BYTES_MAX,
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
} from '../wire/packet.ts';
import { decodeNotice, isTold, makeNotice, NOTICE_NO_ROUTE, QUOTE_BYTES } from '../wire/notice.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import {
  decodePieceHead,
  encodePieceHead,
  PIECE_HEAD_BYTES,
  pieceCount,
  pieceShare,
  type PieceHead,
} from '../wire/piece.ts';
import { SEALED_FROM, SEALED_PAYLOAD_BYTES_MAX } from '../wire/sealed-packet.ts';
import {
  decodeSequencedHead,
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
import { AtMostOnce } from './at-most-once.ts';
import { DatagramSession, type DatagramOptions, type DatagramOwner } from './datagram-session.ts';
import { drawPort } from './ephemeral-port.ts';
import type { Firewall } from './firewall.ts';
import { groupOf } from './origin.ts';
import { isOurs } from './quoted-notice.ts';
import { Reassembly } from './reassembly.ts';
import { admits, type Secrecy } from './secrecy.ts';
import {
  flowKey,
  Throttles,
  THROTTLES_OF_SESSION_MAX,
  type Sender,
  type Throttle,
} from './throttles.ts';

export { DatagramSession, type DatagramOptions, type DatagramOwner } from './datagram-session.ts';

/** Where messages of a session go, and as what. */
interface FlowTo {
  readonly destination: NodeId;
  readonly port: Port;
  readonly kind: number;
}

export interface SessionsEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly draws: Draws;
  readonly drops: DropCounters;
  readonly dissemination: Dissemination;
  readonly firewall: Firewall;
  readonly pool: PacketPool;
  readonly reassemblyBytes: number;
  /** Packets can be sealed from end to end here. */
  readonly endToEnd: boolean;
  /** Of sessions that do not say which. */
  secrecy(): Secrecy;
}

export class Sessions {
  readonly reassembly: Reassembly;
  readonly #env: SessionsEnvironment;
  readonly #byPort = new Map<Port, DatagramSession>();
  /** Sessions that wait for room, the longest first, and for which of their flows. */
  readonly #blocked = new Map<DatagramSession, FlowTo>();
  readonly #packet = new Packet();
  /** Names a flow that waits. */
  readonly #waiting = new Packet();
  /** One that waited in a throttle. */
  readonly #held = new Packet();
  readonly #lost = new Packet();
  readonly #throttles: Throttles;
  readonly #notice = makeNotice();
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  /** Whether the queue of the packet offered last is long; null when it is not known. */
  #full: boolean | null = null;
  readonly #fragment: FragmentHead = { message: 0, index: 0, count: 0 };
  readonly #sequenced: SequencedHead = { run: 0, message: 0, index: 0, count: 0 };
  readonly #piece: PieceHead = { message: 0, length: 0, index: 0, count: 0 };
  /**
   * Numbers of sources that are proved, and of those that anybody may name: these must not make a
   * message of those one that came.
   */
  readonly #delivered = { proved: new AtMostOnce(), claimed: new AtMostOnce() };

  constructor(env: SessionsEnvironment) {
    this.#env = env;
    this.reassembly = new Reassembly(env.reassemblyBytes, env.clock, env.timers, env.drops);
    const { clock, timers, pool } = env;
    this.#throttles = new Throttles({
      clock,
      timers,
      pool,
      send: (kept, session) => this.#sendHeld(kept, session),
    });
  }

  /** Bound sessions. */
  get size(): number {
    return this.#byPort.size;
  }

  open(owner: DatagramOwner, options: DatagramOptions = {}): DatagramSession {
    const session = new DatagramSession(owner, options);
    session.run = this.#env.draws.u32();
    session.secret =
      this.#env.endToEnd && (options.secrecy ?? this.#env.secrecy()) === 'end-to-end';
    return session;
  }

  /** Binds to `port`, 0 = any free one. Throws SpinesError EADDRINUSE, EINVAL (already bound). */
  bind(session: DatagramSession, port: Port): Port {
    if (session.closed) throw new SpinesError('EBADF', 'the socket is closed');
    if (session.port !== 0)
      throw new SpinesError('EINVAL', `the socket is already bound to port ${session.port}`);
    const chosen = port === 0 ? this.#freePort() : port;
    if (this.#byPort.has(chosen)) {
      throw new SpinesError(
        'EADDRINUSE',
        `port ${chosen} of ${formatNodeId(this.#env.self)} is in use; choose another, or 0 for ` +
          'any free one',
      );
    }
    session.port = chosen;
    this.#byPort.set(chosen, session);
    return chosen;
  }

  close(session: DatagramSession): void {
    session.closed = true;
    this.#blocked.delete(session);
    if (session.port !== 0) this.#byPort.delete(session.port);
  }

  /**
   * Sends `bytes[start..end)`, at most MESSAGE_BYTES_MAX, as one message. Binds an unbound session
   * first. DropReason.none: every piece was taken. linkQueueFull sets `blocked`: wait for
   * onWritable.
   */
  send(
    session: DatagramSession,
    destination: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): DropReason {
    const length = end - start;
    if (length > MESSAGE_BYTES_MAX) return DropReason.packetTooLong;
    if (session.port === 0) this.bind(session, 0);
    this.#full = null;
    const reason =
      session.secret && session.dissemination === DISSEMINATION_LINK_STATE
        ? this.#sendSecret(session, destination, port, bytes, start, end)
        : session.service === SERVICE_RELIABLE
          ? this.#sendSequenced(session, destination, port, bytes, start, end)
          : length <= PAYLOAD_BYTES_MAX
            ? this.#sendPacket(session, KIND_DATAGRAM, destination, port, bytes, start, end, 0)
            : this.#sendFragments(session, destination, port, bytes, start, end);
    if (reason === DropReason.none) session.sent += 1;
    if (this.#mustWait(session, this.#packet, this.#full)) {
      session.blocked = true;
      this.#blocked.set(session, { destination, port, kind: this.#packet.kind });
    }
    return reason;
  }

  /** A datagram or fragment for this node. */
  onPacket(packet: Packet): void {
    const session = this.#byPort.get(packet.destinationPort);
    if (session === undefined) {
      this.#env.drops.count(DropReason.portClosed);
      return;
    }
    if (demandsProof(session.dissemination) && !packet.authenticated) {
      this.#env.drops.count(DropReason.sourceUnproved);
      return;
    }
    if (!admits(session.secret, packet)) {
      this.#env.drops.count(DropReason.endToEndMissing);
      return;
    }
    if (!this.#env.firewall.admits(packet, false)) {
      this.#env.drops.count(DropReason.firewallDatagram);
      return;
    }
    if (packet.kind === KIND_PIECE) this.#onPiece(session, packet);
    else if (packet.kind === KIND_DATAGRAM)
      this.#deliver(session, packet, packet.bytes, packet.payloadStart, packet.end);
    else if (packet.kind === KIND_FRAGMENT) this.#onFragment(session, packet);
    else this.#onSequenced(session, packet);
  }

  onLinkWritable(): void {
    for (const [session, { destination, port, kind }] of [...this.#blocked]) {
      this.#waiting.nameFlow(
        kind,
        session,
        this.#env.self,
        session.port,
        destination,
        port,
        session.owner,
      );
      // Whoever came first may have taken the room again: the rest keep their places before it.
      if (this.#mustWait(session, this.#waiting)) continue;
      this.#blocked.delete(session);
      session.blocked = false;
      session.owner.onWritable(session);
    }
  }

  /**
   * The router beside link state gives up `bytes[start..end)`, a packet of one of our sessions: it
   * is counted, and its program told.
   */
  onLost(bytes: Uint8Array, start: number, end: number): void {
    this.#env.drops.count(DropReason.probedLost);
    const packet = this.#lost;
    if (packet.decode(bytes, start, end, false) !== DropReason.none || !isTold(packet.kind)) return;
    const session = this.#byPort.get(packet.sourcePort);
    // A session at the port since, with a run of its own, has nothing to do with it.
    if (
      session === undefined ||
      session.dissemination === DISSEMINATION_LINK_STATE ||
      packet.end - packet.payloadStart < QUOTE_BYTES ||
      (session.service === SERVICE_RELIABLE && getU32(bytes, packet.payloadStart) !== session.run)
    )
      return;
    session.owner.onLost?.(session, packet.destination, DropReason.probedLost, 1);
  }

  /**
   * A node on the way says that a flow of ours is too fast there, or lost something; a hint,
   * believed of flows that it has seen.
   */
  onNotice(packet: Packet): void {
    const reason = this.#onNotice(packet);
    if (reason !== DropReason.none) this.#env.drops.count(reason);
  }

  stop(): void {
    this.reassembly.stop();
    this.#throttles.stop();
  }

  #onNotice(packet: Packet): DropReason {
    const notice = this.#notice;
    const reason = decodeNotice(packet.bytes, packet.payloadStart, packet.end, notice);
    if (reason !== DropReason.none) return reason;
    const session = this.#byPort.get(notice.sourcePort);
    if (
      session === undefined ||
      session.service !== SERVICE_RELIABLE ||
      !isOurs(session, notice, packet.authenticated)
    )
      return DropReason.noticeUnasked;
    const { destination, destinationPort, dropped, rate } = notice;
    // Only nodes on the way slow a flow or report losses; one without a route may have left it.
    const ways = this.#env.dissemination;
    const unrouted = notice.reason === NOTICE_NO_ROUTE;
    if (!unrouted && !ways.onTheWay(session.dissemination, packet.source, destination))
      return DropReason.noticeUnasked;
    const lost = unrouted ? DropReason.waitedTooLong : DropReason.linkQueueFull;
    if (dropped > 0) session.owner.onLost?.(session, destination, lost, dropped);
    if (unrouted) return DropReason.none;
    const key = flowKey(destination, destinationPort);
    const throttles = (session.throttles ??= new Map<number, Throttle>());
    const known = throttles.get(key);
    if (known !== undefined) {
      known.onNotice(rate);
      return DropReason.none;
    }
    if (rate <= 0 || throttles.size >= THROTTLES_OF_SESSION_MAX) return DropReason.none;
    const throttle = this.#throttle(session, key, rate);
    throttles.set(key, throttle);
    // What it has sent before leaves at its rate as well.
    this.#waiting.nameFlow(
      session.secret ? KIND_DATAGRAM : KIND_SEQUENCED,
      session,
      this.#env.self,
      session.port,
      destination,
      destinationPort,
      session.owner,
    );
    this.#env.dissemination.recall(this.#waiting, (kept) => throttle.adopt(kept));
    return DropReason.none;
  }

  #throttle(session: DatagramSession, key: number, rate: number): Throttle {
    return this.#throttles.add(
      rate,
      session,
      () => this.onLinkWritable(),
      () => {
        session.throttles!.delete(key);
        if (session.throttles!.size === 0) session.throttles = null;
      },
    );
  }

  /** Sends what waited in a throttle; false: not now. */
  #sendHeld(kept: KeptPacket, { owner, secret }: Sender): boolean {
    const packet = this.#held,
      { dissemination } = this.#env;
    if (
      packet.decode(kept.bytes, kept.start, kept.end, kept.bytes !== kept.own) !== DropReason.none
    )
      return true;
    packet.user = owner;
    packet.secret = secret;
    if (dissemination.congested(packet)) return false;
    // What was in front of its first link before is sealed.
    const reason = refusalOf(
      packet.sealed ? dissemination.sendOn(packet) : dissemination.originate(packet),
    );
    if (reason === DropReason.linkQueueFull) return false;
    if (reason !== DropReason.none) this.#env.drops.count(reason);
    return true;
  }

  /**
   * The flow of `packet` is to wait, for a queue here or for one on the way. `full`: whether its
   * queue here is long, null when that is not known.
   */
  #mustWait(session: DatagramSession, packet: Packet, full: boolean | null = null): boolean {
    return (
      session.throttles?.get(flowKey(packet.destination, packet.destinationPort))?.long === true ||
      (full ?? this.#env.dissemination.congested(packet))
    );
  }

  #onFragment(session: DatagramSession, packet: Packet): void {
    const head = this.#fragment;
    const reason = decodeFragmentHead(packet.bytes, packet.payloadStart, packet.end, head);
    if (reason !== DropReason.none) {
      this.#env.drops.count(reason);
      return;
    }
    // Pieces of proved and of claimed sources never meet in one message.
    const key =
      `${packet.authenticated ? '' : 'claimed '}${packet.source} ${packet.sourcePort} ` +
      `${packet.destinationPort} ${head.message}`;
    const start = packet.payloadStart + FRAGMENT_HEAD_BYTES;
    const message = this.reassembly.onPiece(
      key,
      packet,
      head.index,
      head.count,
      FRAGMENT_BYTES,
      packet.bytes,
      start,
      packet.end,
    );
    if (message !== null) this.#deliver(session, packet, message, 0, message.length);
  }

  /** A piece of a message that was sealed from end to end: it came once, and from whom it says. */
  #onPiece(session: DatagramSession, packet: Packet): void {
    const head = this.#piece;
    // What nobody sealed has other pieces.
    const reason = packet.authenticated
      ? decodePieceHead(packet.bytes, packet.payloadStart, packet.end, head)
      : DropReason.fragmentMalformed;
    if (reason !== DropReason.none) {
      this.#env.drops.count(reason);
      return;
    }
    const key =
      `piece ${packet.source} ${packet.sourcePort} ${packet.destinationPort} ` +
      `${packet.service} ${head.message} ${head.length}`;
    const message = this.reassembly.onPiece(
      key,
      packet,
      head.index,
      head.count,
      pieceShare(head),
      packet.bytes,
      packet.payloadStart + PIECE_HEAD_BYTES,
      packet.end,
    );
    if (message !== null) this.#deliver(session, packet, message, 0, message.length);
  }

  /** A datagram over reliable links: delivered at most once. */
  #onSequenced(session: DatagramSession, packet: Packet): void {
    const head = this.#sequenced;
    const { source, sourcePort } = packet;
    const delivered = packet.authenticated ? this.#delivered.proved : this.#delivered.claimed;
    let reason = decodeSequencedHead(packet.bytes, packet.payloadStart, packet.end, head);
    if (reason === DropReason.none && !delivered.isNew(source, sourcePort, head.run, head.message))
      reason = DropReason.sequencedDuplicate;
    if (reason !== DropReason.none) {
      this.#env.drops.count(reason);
      return;
    }
    const start = packet.payloadStart + SEQUENCED_HEAD_BYTES;
    if (head.count === 1) {
      delivered.record(source, sourcePort, head.run, head.message, groupOf(packet));
      this.#deliver(session, packet, packet.bytes, start, packet.end);
      return;
    }
    const key =
      `${packet.authenticated ? '' : 'claimed '}${source} ${sourcePort} ${head.run} ` +
      `${head.message} sequenced`;
    const { run, message: number } = head;
    const message = this.reassembly.onPiece(
      key,
      packet,
      head.index,
      head.count,
      PIECE_BYTES,
      packet.bytes,
      start,
      packet.end,
    );
    if (message === null) return;
    delivered.record(source, sourcePort, run, number, groupOf(packet));
    this.#deliver(session, packet, message, 0, message.length);
  }

  #deliver(
    session: DatagramSession,
    packet: Packet,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (
      session.owner.onMessage(
        session,
        packet.source,
        packet.sourcePort,
        bytes,
        start,
        end,
        packet.authenticated,
      )
    ) {
      session.received += 1;
      return;
    }
    session.dropped += 1;
    this.#env.drops.count(DropReason.clientTooSlow);
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
    for (piece.index = 0; piece.index < piece.count; piece.index += 1) {
      const from = start + piece.index * share;
      encodePieceHead(piece, this.#scratch, SEALED_FROM);
      const reason = this.#sendPacket(
        session,
        KIND_PIECE,
        destination,
        port,
        bytes,
        from,
        Math.min(end, from + share),
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
    session.nextMessage = (session.nextMessage + 1) >>> 0;
    if (session.nextMessage === 0) session.run = this.#env.draws.u32();
    for (head.index = 0; head.index < head.count; head.index += 1) {
      const from = start + head.index * PIECE_BYTES;
      encodeSequencedHead(head, this.#scratch, OVERLAY_HEADER_BYTES);
      const reason = this.#sendPacket(
        session,
        KIND_SEQUENCED,
        destination,
        port,
        bytes,
        from,
        Math.min(end, from + PIECE_BYTES),
        SEQUENCED_HEAD_BYTES,
      );
      if (reason !== DropReason.none) return reason;
    }
    return DropReason.none;
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
    const packet = this.#packet;
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
      session,
      this.#env.self,
      session.port,
      destination,
      port,
    );
    packet.user = session.owner;
    packet.secret = session.secret;
    const throttle = session.throttles?.get(flowKey(destination, port));
    this.#full = null;
    if (throttle !== undefined && !throttle.passes(packet))
      return throttle.hold(packet) ? DropReason.none : DropReason.linkQueueFull;
    const offered = this.#env.dissemination.originate(packet);
    const reason = refusalOf(offered);
    this.#full = reason === DropReason.none ? offered === TAKEN_FULL : null;
    return reason;
  }

  #freePort(): Port {
    const port = drawPort(this.#env.draws, (taken) => this.#byPort.has(taken));
    if (port !== null) return port;
    throw new SpinesError('EADDRINUSE', 'no free port is left; close sockets that are not needed');
  }
}
