/**
 * The datagram sockets of one client: SEND frames to sessions, messages to RECV frames.
 *
 * Owns the socket numbers of datagram sessions, and which of them were told to wait because the
 * client is over its rate. What is refused or lost is told by ClientReports.
 */

import { getU16, getU32, putU32 } from '../base/bytes.ts';
import { SpinesError } from '../base/errors.ts';
import { isAnycastId, isGroupId, isNodeId, type NodeId, type Port } from '../base/ids.ts';
import type {
  DatagramOptions,
  DatagramOwner,
  DatagramSession,
  MessageOptions,
} from '../session/sessions.ts';
import type { RedundancyName } from '../session/datagram-session.ts';
import { DEADLINE_MS_MAX, deadlineOf } from '../wire/deadline.ts';
import { DropReason } from '../wire/drop.ts';
import {
  DATAGRAM_HEAD_BYTES,
  encodeDatagramHead,
  encodeSocketFrame,
  FRAME_BLOCKED,
  FRAME_HEAD_BYTES,
  FRAME_RECV,
  FRAME_WRITABLE,
  MARK_DEADLINE_MASK,
  MARK_MAX,
  MARK_REDUNDANCY_SHIFT,
  RECV_GROUP,
  RECV_GROUP_BYTES,
  RECV_PROVED,
} from 'spines-client/protocol';
import type { ClientGate } from './client-gate.ts';
import type { ClientReports } from './client-reports.ts';
import type { ClientRules } from './client-rules.ts';
import type { ClientServices } from './client-services.ts';
import type { ClientOut } from './client.ts';

const REDUNDANCY_OF: readonly (RedundancyName | null)[] = [null, 'auto', 'none', 'copy'];

/** A node, or a group of either kind. */
function isTarget(id: number): boolean {
  return isNodeId(id) || isGroupId(id) || isAnycastId(id);
}

/** Of a SEND: whether its marks are some. */
function isMark(marks: number): boolean {
  return marks <= MARK_MAX && (marks & MARK_DEADLINE_MASK) <= DEADLINE_MS_MAX;
}

/** What the marks of a SEND say of its message. */
function markedOptions(marks: number): MessageOptions {
  const ms = marks & MARK_DEADLINE_MASK;
  return {
    deadline: ms === 0 ? null : deadlineOf(ms),
    redundancy: REDUNDANCY_OF[marks >> MARK_REDUNDANCY_SHIFT]!,
  };
}

/** Filled and copied at once. */
const RECV_HEAD = new Uint8Array(FRAME_HEAD_BYTES + DATAGRAM_HEAD_BYTES);
const GROUP_RECV_HEAD = new Uint8Array(RECV_HEAD.length + RECV_GROUP_BYTES);

export class ClientDatagrams implements DatagramOwner {
  readonly #services: ClientServices;
  readonly #out: ClientOut;
  readonly #gate: ClientGate;
  readonly #rules: ClientRules;
  readonly #reports: ClientReports;
  /** Hears of sockets that come, with a port, and go. */
  readonly #told: (session: DatagramSession, closed: boolean) => void;
  readonly #sessions = new Map<number, DatagramSession>();
  readonly #numbers = new Map<DatagramSession, number>();
  /** Want to be told which sources are proved. */
  readonly #tellProof = new WeakSet<DatagramSession>();
  /** Sockets that it gave a port of its choice. */
  readonly #bound = new Set<DatagramSession>();
  /** Were told to wait because the client is over its rate. */
  readonly #overRate = new Set<DatagramSession>();

  constructor(
    services: ClientServices,
    out: ClientOut,
    gate: ClientGate,
    rules: ClientRules,
    reports: ClientReports,
    told: (session: DatagramSession, closed: boolean) => void = () => {},
  ) {
    this.#services = services;
    this.#out = out;
    this.#gate = gate;
    this.#rules = rules;
    this.#reports = reports;
    this.#told = told;
  }

  get size(): number {
    return this.#sessions.size;
  }

  sockets(): IterableIterator<DatagramSession> {
    return this.#sessions.values();
  }

  /** Those with a port of the client's choice. */
  bound(): IterableIterator<DatagramSession> {
    return this.#bound.values();
  }

  has(number: number): boolean {
    return this.#sessions.has(number);
  }

  /** Throws SpinesError EBADF. */
  of(number: number): DatagramSession {
    const session = this.#sessions.get(number);
    if (session === undefined)
      throw new SpinesError('EBADF', `there is no socket ${number} on this connection`);
    return session;
  }

  /** `proof`: RECV frames say whose source is proved. Throws what Sessions.open throws. */
  open(number: number, options: DatagramOptions, proof: boolean): void {
    const session = this.#services.sessions.open(this, options);
    this.#sessions.set(number, session);
    this.#numbers.set(session, number);
    if (proof) this.#tellProof.add(session);
  }

  /** The port that it has now; `wanted` 0: any. Throws what Sessions.bind throws. */
  bind(session: DatagramSession, wanted: Port): Port {
    const port = this.#services.sessions.bind(session, wanted);
    if (wanted !== 0) this.#bound.add(session);
    this.#told(session, false);
    return port;
  }

  close(session: DatagramSession): void {
    const number = this.#numbers.get(session)!;
    this.#told(session, true);
    this.#services.sessions.close(session);
    this.#bound.delete(session);
    this.#overRate.delete(session);
    this.#sessions.delete(number);
    this.#reports.forget(number);
    this.#numbers.delete(session);
  }

  closeAll(): void {
    for (const session of this.#sessions.values()) {
      this.#told(session, true);
      this.#services.sessions.close(session);
    }
    this.#overRate.clear();
    this.#sessions.clear();
    this.#numbers.clear();
    this.#bound.clear();
  }

  /** The socket waits for room, or for the client's rate. */
  isBlocked(session: DatagramSession): boolean {
    return session.blocked || this.#overRate.has(session);
  }

  /* -------------------------------------------------------------- from sessions */

  onMessage(
    session: DatagramSession,
    source: NodeId,
    sourcePort: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    proved: boolean,
    group: number,
  ): boolean {
    const number = this.#numbers.get(session)!;
    if (this.#out.bufferedBytes + end - start > this.#services.queueBytes) {
      this.#reports.recvDropped(number);
      return false;
    }
    const marks = proved && this.#tellProof.has(session) ? RECV_PROVED : 0;
    if (group === 0) {
      encodeDatagramHead(RECV_HEAD, 0, FRAME_RECV, number, source, sourcePort, end - start, marks);
      this.#out.append(RECV_HEAD, bytes, start, end);
      return true;
    }
    const head = GROUP_RECV_HEAD,
      length = end - start + RECV_GROUP_BYTES;
    encodeDatagramHead(head, 0, FRAME_RECV, number, source, sourcePort, length, marks | RECV_GROUP);
    putU32(head, RECV_HEAD.length, group);
    this.#out.append(head, bytes, start, end);
    return true;
  }

  onLost(session: DatagramSession, destination: NodeId, reason: DropReason, count: number): void {
    this.#reports.sendError(this.#numbers.get(session)!, reason, destination, count, true);
  }

  onWritable(session: DatagramSession): void {
    if (this.#overRate.has(session)) return;
    this.#out.write(encodeSocketFrame(FRAME_WRITABLE, this.#numbers.get(session)!));
  }

  onLate(session: DatagramSession): void {
    this.#reports.recvLate(this.#numbers.get(session)!);
  }

  /* -------------------------------------------------------------- from the client */

  /** A SEND frame of the client; false when it is malformed. `@hot` */
  onSend(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < DATAGRAM_HEAD_BYTES) return false;
    const marks = getU16(bytes, start + 10);
    if (marks !== 0 && !isMark(marks)) return false;
    const number = getU32(bytes, start);
    const session = this.#sessions.get(number);
    if (session === undefined) {
      this.#services.drops.count(DropReason.clientSocketUnknown);
      return true;
    }
    const destination = getU32(bytes, start + 4);
    const port = getU16(bytes, start + 8);
    const wasBlocked = this.isBlocked(session);
    const open = this.#gate.open();
    let reason: DropReason;
    try {
      if (!isTarget(destination) || port === 0) reason = DropReason.packetMalformed;
      else if (!open) reason = DropReason.clientOverRate;
      else if (!this.#rules.may('send', destination, port, 'datagram'))
        reason = DropReason.firewallClient;
      else
        reason = this.#services.sessions.send(
          session,
          destination,
          port,
          bytes,
          start + DATAGRAM_HEAD_BYTES,
          end,
          marks === 0 ? null : markedOptions(marks),
        );
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      reason = DropReason.clientRefused;
    }
    if (reason !== DropReason.none) {
      this.#services.drops.count(reason);
      this.#reports.sendError(number, reason, destination);
    }
    if (!this.#gate.unlimited) {
      if (reason === DropReason.none) this.#gate.takeMessage(end - start - DATAGRAM_HEAD_BYTES);
      if (!this.#gate.open()) {
        this.#overRate.add(session);
        this.#gate.onHeld();
      }
    }
    if (this.isBlocked(session) && !wasBlocked)
      this.#out.write(encodeSocketFrame(FRAME_BLOCKED, number));
    return true;
  }

  /** The client may send again. */
  onRateOpen(): void {
    const waiting = [...this.#overRate];
    this.#overRate.clear();
    // What waits for room as well is told when there is some.
    for (const session of waiting) if (!session.blocked) this.onWritable(session);
  }
}
