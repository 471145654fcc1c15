/**
 * The sessions of a daemon: which local port belongs to whom, how messages become packets and back.
 *
 * Owns the port table and datagram sessions; how a message becomes packets and back is the business
 * of `message-writer.ts` and `message-reader.ts`. Its users are client ports (programs outside) and
 * flows inside the simulator; both see the same interface. Does not know how a packet travels: it
 * hands packets to Dissemination and is handed those for this node. `@hot` for messages that fit
 * one packet.
 */

import { getU32 } from '../base/bytes.ts';
import type { Draws } from '../base/draws.ts';
import { SpinesError } from '../base/errors.ts';
import {
  formatNodeId,
  isAnycastId,
  isGroupId,
  isNodeId,
  type NodeId,
  type Port,
} from '../base/ids.ts';
import { SECOND, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import { demandsProof } from '../wire/modes.ts';
import { DropReason, type DropCounters, refusalOf } from '../wire/drop.ts';
import { MESSAGE_BYTES_MAX } from '../wire/fragment.ts';
import {
  DISSEMINATION_LINK_STATE,
  KIND_DATAGRAM,
  KIND_SEQUENCED,
  Packet,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../wire/packet.ts';
import {
  decodeNotice,
  isTold,
  makeNotice,
  type Notice,
  NOTICE_NO_ROUTE,
  NOTICE_KEY_GONE,
  NOTICE_PORT_CLOSED,
  NOTICE_UNPROVED,
  QUOTE_BYTES,
} from '../wire/notice.ts';
import { carriesGraph } from '../wire/modes.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import { SEAL_BYTES } from '../wire/sealed-packet.ts';
import { OVERLAY_HEADER_BYTES } from '../wire/sizes.ts';
import { Asked } from './asked.ts';
import {
  DatagramSession,
  type DatagramOptions,
  type DatagramOwner,
  type MessageOptions,
} from './datagram-session.ts';
import { drawPort } from './ephemeral-port.ts';
import type { Firewall } from './firewall.ts';
import { isLate, MessageModes, type PathsTo, type RealtimeTo } from './message-modes.ts';
import { Memberships, type NodeGroups } from './memberships.ts';
import { MessageReader } from './message-reader.ts';
import { isForNow, MessageWriter } from './message-writer.ts';
import { PortTable } from './port-table.ts';
import { isOurs } from './quoted-notice.ts';
import type { Reassembly } from './reassembly.ts';
import { admits, type Secrecy } from './secrecy.ts';
import {
  flowKey,
  Throttles,
  RATE_ANY,
  RATE_FIRST,
  makeRoom,
  type Sender,
  type Throttle,
} from './throttles.ts';

export {
  DatagramSession,
  type DatagramOptions,
  type DatagramOwner,
  type MessageOptions,
} from './datagram-session.ts';

/** The rest of a message waits for keys and loopback so long at most. */
const HELD_TIME: Micros = 3 * SECOND;

/** Where messages of a session go, and as what. */
interface FlowTo {
  readonly destination: NodeId;
  readonly port: Port;
  readonly kind: number;
}

/** What only a destination may say of a flow to it. */
const UNDELIVERED: Readonly<Record<number, DropReason>> = {
  [NOTICE_PORT_CLOSED]: DropReason.portClosed,
  [NOTICE_KEY_GONE]: DropReason.endToEndKeyGone,
  [NOTICE_UNPROVED]: DropReason.endToEndMissing,
};

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
  readonly realtimeTo: RealtimeTo;
  readonly pathsTo: PathsTo;
  readonly groups: NodeGroups;
  /** Packets can be sealed from end to end here. */
  readonly endToEnd: boolean;
  /** Of sessions that do not say which. */
  secrecy(): Secrecy;
}

export class Sessions {
  readonly #env: SessionsEnvironment;
  readonly #byPort = new PortTable();
  readonly memberships: Memberships;
  /** Sessions that wait for room, the longest first, and for which of their flows. */
  readonly #blocked = new Map<DatagramSession, FlowTo>();
  /** Names a flow that waits. */
  readonly #waiting = new Packet();
  /** One that waited in a throttle. */
  readonly #held = new Packet();
  readonly #lost = new Packet();
  readonly #throttles: Throttles;
  readonly #notice = makeNotice();
  readonly #writer: MessageWriter;
  readonly #reader: MessageReader;
  readonly #modes: MessageModes;
  /** Messages of realtime sessions that went by best effort: somebody on the way is older. */
  realtimeDowngraded = 0;
  /** Messages of sessions with several paths that went by link state, for want of any. */
  pathsDowngraded = 0;

  constructor(env: SessionsEnvironment) {
    this.#env = env;
    this.memberships = new Memberships(env.groups);
    this.#writer = new MessageWriter({
      ...env,
      rest: {
        fits: (session, packet, pieces, bytes) => this.#fits(session, packet, pieces, bytes),
        hold: (session, packet) => this.#holdRest(session, packet),
      },
    });
    this.#reader = new MessageReader(env);
    this.#modes = new MessageModes(env.realtimeTo, env.pathsTo);
    const { clock, timers, pool } = env;
    this.#throttles = new Throttles({
      clock,
      timers,
      pool,
      send: (kept, session) => this.#sendHeld(kept, session),
    });
  }

  /** Messages of which not all pieces have come. */
  get reassembly(): Reassembly {
    return this.#reader.reassembly;
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
    if (!this.#byPort.isFree(chosen, session)) {
      throw new SpinesError(
        'EADDRINUSE',
        `port ${chosen} of ${formatNodeId(this.#env.self)} is in use; choose another, or 0 for ` +
          'any free one',
      );
    }
    session.port = chosen;
    this.#byPort.add(chosen, session);
    return chosen;
  }

  close(session: DatagramSession): void {
    session.closed = true;
    this.#blocked.delete(session);
    this.memberships.leaveAll(session);
    if (session.port !== 0) this.#byPort.delete(session.port, session);
  }

  /**
   * Sends `bytes[start..end)`, at most MESSAGE_BYTES_MAX, as one message to a node or group. Binds
   * an unbound session first. DropReason.none: every piece was taken. linkQueueFull sets `blocked`:
   * wait for onWritable. `options`: of this message, null: those of the session.
   */
  send(
    session: DatagramSession,
    to: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    options: MessageOptions | null = null,
  ): DropReason {
    if (end - start > MESSAGE_BYTES_MAX) return DropReason.packetTooLong;
    if (isAnycastId(to)) {
      const node = this.memberships.nodeFor(session, to);
      if (node === null) return DropReason.groupNobody;
      return this.send(session, node, port, bytes, start, end, options);
    }
    // What goes to groups is sealed on links only.
    if (session.secret && !isNodeId(to)) return DropReason.endToEndMissing;
    if (session.port === 0) this.bind(session, 0);
    if (isGroupId(to) && isPatient(session)) this.#pace(session, to, port);
    const writer = this.#writer;
    const modes = this.#modes.of(session, to, options);
    if (session.service === SERVICE_REALTIME && modes.service !== SERVICE_REALTIME)
      this.realtimeDowngraded += 1;
    if (
      carriesGraph(session.dissemination) &&
      isNodeId(to) &&
      to !== this.#env.self &&
      !carriesGraph(modes.dissemination)
    )
      this.pathsDowngraded += 1;
    const reason = writer.send(session, to, port, bytes, start, end, modes);
    if (reason === DropReason.none) {
      session.sent += 1;
      if (modes.service === SERVICE_RELIABLE && (isNodeId(to) || isPatient(session)))
        session.onSent(to);
      if (this.#env.firewall.judges)
        (session.asked ??= new Asked()).note(to, this.#env.clock.now());
    }
    if (this.#mustWait(session, writer.packet, writer.full)) {
      session.blocked = true;
      this.#blocked.set(session, { destination: to, port, kind: writer.packet.kind });
    }
    return reason;
  }

  /** A datagram or fragment for this node. */
  onPacket(packet: Packet): void {
    const session = this.#byPort.get(packet.destinationPort);
    if (session === undefined) {
      this.#onUndelivered(packet, DropReason.portClosed, NOTICE_PORT_CLOSED);
      return;
    }
    if (demandsProof(session.dissemination) && !packet.authenticated) {
      this.#onUndelivered(packet, DropReason.sourceUnproved, NOTICE_UNPROVED);
      return;
    }
    if (!admits(session.secret, packet)) {
      this.#onUndelivered(packet, DropReason.endToEndMissing, NOTICE_UNPROVED);
      return;
    }
    if (!this.#isAnswer(session, packet) && !this.#env.firewall.admits(packet, false)) {
      this.#env.drops.count(DropReason.firewallDatagram);
      return;
    }
    if (isLate(session, packet)) {
      session.tooLate += 1;
      this.#env.drops.count(DropReason.realtimeLate);
      session.owner.onLate?.(session);
      return;
    }
    if (!this.#reader.read(packet)) return;
    const { bytes, start, end } = this.#reader.message;
    this.#deliver(session, packet, bytes, start, end);
    if (session.sharesPort) this.#byPort.onGiven(session.port);
  }

  /** Who the rules let in is told why; to others closed ports and open ones look alike. */
  #onUndelivered(packet: Packet, reason: DropReason, notice: number): void {
    this.#env.drops.count(reason);
    if (this.#reader.begins(packet) && this.#env.firewall.admits(packet, false))
      this.#env.dissemination.onUndelivered(packet, notice);
  }

  /** A packet to a group that somebody here is in. */
  onGroupPacket(packet: Packet): void {
    const { destination: group, destinationPort, source } = packet;
    const listeners = this.memberships.listeners(group, destinationPort, source);
    const may = listeners.filter((session) => this.#mayHear(session, packet));
    if (listeners.length === 0) this.#env.drops.count(DropReason.portClosed);
    if (may.length === 0 || !this.#reader.readGroup(packet)) return;
    const { bytes, start, end } = this.#reader.message;
    for (const session of may) this.#deliver(session, packet, bytes, start, end);
  }

  #mayHear(session: DatagramSession, packet: Packet): boolean {
    const { drops, firewall } = this.#env;
    let reason: DropReason = DropReason.none;
    if (!admits(session.secret, packet)) reason = DropReason.endToEndMissing;
    else if (!this.#isAnswer(session, packet) && !firewall.admits(packet, false))
      reason = DropReason.firewallDatagram;
    else if (isLate(session, packet)) {
      reason = DropReason.realtimeLate;
      session.tooLate += 1;
      session.owner.onLate?.(session);
    }
    if (reason !== DropReason.none) drops.count(reason);
    return reason === DropReason.none;
  }

  #isAnswer({ asked }: DatagramSession, { source }: Packet): boolean {
    return asked?.mayAnswer(source, this.#env.clock.now()) === true;
  }

  onLinkWritable(): void {
    for (const [session, { destination, port, kind }] of [...this.#blocked]) {
      this.#waiting.nameFlow(
        kind,
        this.#modes.of(session, destination),
        this.#env.self,
        session.port,
        destination,
        port,
        session.owner,
      );
      this.#waiting.patient = session.slowBranch === 'wait';
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
    session.onLost(packet.destination, DropReason.probedLost, 1);
  }

  /**
   * A node on the way says that a flow of ours is too fast there, or lost something, or its
   * destination that nobody listens; a hint, believed of flows that it has seen.
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
      !this.#isQuoted(session, notice, packet.authenticated)
    )
      return DropReason.noticeUnasked;
    // Its program wants branches to lose something rather than be slow.
    if (isGroupId(notice.destination) && !isPatient(session)) return DropReason.none;
    const { destination, destinationPort, dropped, rate } = notice;
    const undelivered = UNDELIVERED[notice.reason];
    if (undelivered !== undefined) {
      if (packet.source !== destination || (this.#env.endToEnd && !packet.authenticated))
        return DropReason.noticeUnasked;
      session.onLost(destination, undelivered, dropped);
      return DropReason.none;
    }
    // Only nodes on the way slow a flow or report losses; one without a route may have left it.
    const ways = this.#env.dissemination;
    const unrouted = notice.reason === NOTICE_NO_ROUTE;
    if (!unrouted && !ways.onTheWay(session.dissemination, packet.source, destination))
      return DropReason.noticeUnasked;
    const lost = unrouted ? DropReason.waitedTooLong : DropReason.linkQueueFull;
    session.onLost(destination, lost, dropped);
    if (unrouted) return DropReason.none;
    const key = flowKey(destination, destinationPort);
    const throttles = (session.throttles ??= new Map<number, Throttle>());
    const known = throttles.get(key);
    if (known !== undefined) {
      known.onNotice(rate);
      return DropReason.none;
    }
    if (rate <= 0 || !isNodeId(destination) || !makeRoom(throttles)) return DropReason.none;
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

  /** The notice quotes what the session, or to a group this daemon, has sent lately. */
  #isQuoted(session: DatagramSession, notice: Notice, proved: boolean): boolean {
    if (!isGroupId(notice.destination)) return isOurs(session, notice, proved);
    const { destination, quoteHigh, quoteLow } = notice;
    return (
      (proved || !this.#env.endToEnd) &&
      this.#env.dissemination.hasSent(destination, quoteHigh, quoteLow)
    );
  }

  /** A flow that waits for its slowest branch has a rate from the start. */
  #pace(session: DatagramSession, group: number, port: Port): void {
    const key = flowKey(group, port);
    const throttles = (session.throttles ??= new Map<number, Throttle>());
    if (!throttles.has(key) && makeRoom(throttles))
      throttles.set(key, this.#throttle(session, key, RATE_FIRST, true));
  }

  /** Whether so many pieces of a message find room, wherever they have to wait. */
  #fits(session: DatagramSession, packet: Packet, pieces: number, bytes: number): boolean {
    const { throttles } = session;
    const throttle = throttles?.get(flowKey(packet.destination, packet.destinationPort));
    if (throttle === undefined && throttles !== null && !makeRoom(throttles)) return false;
    const all = bytes + pieces * (OVERLAY_HEADER_BYTES + SEAL_BYTES);
    return (
      this.#env.pool.mayKeep(packet, pieces) &&
      this.#throttles.fits(all, pieces, throttle?.heldBytes)
    );
  }

  /** Keeps a piece of a message of which others have left. */
  #holdRest(session: DatagramSession, packet: Packet): boolean {
    const key = flowKey(packet.destination, packet.destinationPort);
    const throttles = (session.throttles ??= new Map<number, Throttle>());
    let throttle = throttles.get(key);
    if (throttle === undefined) {
      if (!makeRoom(throttles)) return false;
      throttle = this.#throttle(session, key, RATE_ANY);
      throttles.set(key, throttle);
    }
    return throttle.hold(packet);
  }

  #throttle(session: DatagramSession, key: number, rate: number, paced = false): Throttle {
    return this.#throttles.add(
      rate,
      session,
      () => this.onLinkWritable(),
      () => {
        session.throttles!.delete(key);
        if (session.throttles!.size === 0) session.throttles = null;
      },
      paced,
    );
  }

  /** Sends what waited in a throttle; false: not now. */
  #sendHeld(kept: KeptPacket, sender: Sender): boolean {
    const packet = this.#held,
      { dissemination } = this.#env;
    if (
      packet.decode(kept.bytes, kept.start, kept.end, kept.bytes !== kept.own) !== DropReason.none
    )
      return true;
    packet.user = sender.owner;
    this.#env.pool.restoreWays(kept, packet);
    packet.secret = sender.secret;
    packet.patient = sender.slowBranch === 'wait';
    packet.toSelf = sender.multicastLoopback;
    if (dissemination.congested(packet)) return false;
    // What was in front of its first link before is sealed.
    const reason = refusalOf(
      packet.sealed ? dissemination.sendOn(packet) : dissemination.originate(packet),
    );
    if (isForNow(reason) && this.#env.clock.now() - kept.queuedAt < HELD_TIME) return false;
    if (reason === DropReason.linkQueueFull) return false;
    if (reason !== DropReason.none) this.#env.drops.count(reason);
    return true;
  }

  /**
   * The flow of `packet` is to wait, for a queue here or for one on the way. `full`: whether its
   * queue here is long, null when that is not known.
   */
  #mustWait(session: DatagramSession, packet: Packet, full: boolean | null = null): boolean {
    const throttle = session.throttles?.get(flowKey(packet.destination, packet.destinationPort));
    if (throttle?.long === true) return true;
    return throttle?.paced !== true && (full ?? this.#env.dissemination.congested(packet));
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
        isNodeId(packet.destination) ? 0 : packet.destination,
      )
    ) {
      session.received += 1;
      return;
    }
    session.dropped += 1;
    this.#env.drops.count(DropReason.clientTooSlow);
  }

  #freePort(): Port {
    const port = drawPort(this.#env.draws, (taken) => this.#byPort.has(taken));
    if (port !== null) return port;
    throw new SpinesError('EADDRINUSE', 'no free port is left; close sockets that are not needed');
  }
}

/** What it sends to groups over reliable links waits for the slowest branch. */
function isPatient({ service, slowBranch }: DatagramSession): boolean {
  return service === SERVICE_RELIABLE && slowBranch === 'wait';
}
