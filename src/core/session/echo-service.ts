/**
 * Ping and trace: asks other daemons for a sign of life and answers them.
 *
 * Owns outstanding probes (bounded, timed out) and the budget for answers, so that a flood of
 * requests costs a bounded number of replies a second. An answer is matched by a sequence number
 * and by an id that is drawn for each request, so that only who saw the request can answer it; a
 * reply must name the node that was asked.
 */

import type { NodeId } from '../base/ids.ts';
import type { Draws } from '../base/draws.ts';
import { Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { SharedBudget, type SharedBudgetLimits } from '../base/shared-budget.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import { DropReason, type DropCounters, refusalOf } from '../wire/drop.ts';
import {
  decodeEcho,
  ECHO_EXPIRED,
  ECHO_HEAD_BYTES,
  ECHO_REPLY,
  ECHO_REQUEST,
  encodeEcho,
  type Echo,
} from '../wire/echo.ts';
import {
  DISSEMINATION_LINK_STATE,
  KIND_ECHO,
  Packet,
  PRIORITY_DEFAULT,
  TTL_DEFAULT,
} from '../wire/packet.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, PAYLOAD_BYTES_MAX } from '../wire/sizes.ts';
import { originName } from './origin.ts';

/** Of all askers together; who has most of them gives way. */
export const OUTSTANDING_MAX = 4096;
/**
 * 2,000 a second for whoever is first, and some more for origins that ask for little: a flood
 * leaves others' pings theirs.
 */
const ANSWERS: SharedBudgetLimits = {
  perSecond: 2_000,
  burst: 200,
  keptPerSecond: 500,
  keptBurst: 100,
  sharePerSecond: 50,
  shareBurst: 50,
  sources: 1_024,
};
/** What strangers provoke is no program's: it has a program's share of queues for itself. */
const ANSWERED = {};

export interface EchoResult {
  /** Who answered: the destination, or where the ttl ran out. */
  node: NodeId;
  reached: boolean;
  rttUs: Micros;
  /** Links the request crossed; null: it went by byzantine routing, which does not count them. */
  hops: number | null;
}

/** How a request travels, and its answer. */
export interface EchoModes {
  readonly service: number;
  readonly dissemination: number;
  readonly ttl: number;
  /** Behind the echo head, zeros: 0..ECHO_BYTES_MAX. */
  readonly payloadBytes: number;
}

/** A request and its answer are one packet each. */
export const ECHO_BYTES_MAX = PAYLOAD_BYTES_MAX - ECHO_HEAD_BYTES;

interface Probe {
  readonly asker: unknown;
  readonly sequence: number;
  readonly id: number;
  readonly destination: NodeId;
  readonly sentAt: Micros;
  readonly ttl: number;
  readonly counted: boolean;
  readonly timer: Timer;
  readonly done: (result: EchoResult | null) => void;
}

export interface EchoEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly draws: Draws;
  readonly drops: DropCounters;
  readonly dissemination: Dissemination;
}

export class EchoService {
  readonly #env: EchoEnvironment;
  readonly #probes = new Map<number, Probe>();
  /** The same by who asked for them, each one's oldest first. */
  readonly #askers = new Map<unknown, Set<Probe>>();
  readonly #packet = new Packet();
  readonly #modes = {
    service: 0,
    dissemination: DISSEMINATION_LINK_STATE as number,
    ttl: TTL_DEFAULT,
    priority: PRIORITY_DEFAULT,
  };
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  readonly #echo: Echo = { operation: 0, ttlLeft: 0, sequence: 0, id: 0 };
  #nextSequence = 0;
  readonly #answers = new SharedBudget(ANSWERS);

  constructor(env: EchoEnvironment) {
    this.#env = env;
  }

  get outstanding(): number {
    return this.#probes.size;
  }

  /**
   * Sends one request; `done` is called once, with null after `timeoutUs` without an answer.
   * Returns why it was not sent, and then `done` is never called. When all places are taken, the
   * oldest request of the asker with most of them is given up, unless that is `asker`.
   */
  probe(
    destination: NodeId,
    modes: EchoModes,
    timeoutUs: Micros,
    done: Probe['done'],
    asker: unknown = null,
  ): DropReason {
    const yields = this.#probes.size < OUTSTANDING_MAX ? null : this.#oldestOfMost();
    if (yields !== null && this.#countOf(yields.asker) <= this.#countOf(asker) + 1)
      return DropReason.echoRateLimited;
    const sequence = this.#nextSequence;
    if (this.#probes.has(sequence)) return DropReason.echoRateLimited;
    this.#nextSequence = (sequence + 1) & 0xffff;
    const now = this.#env.clock.now();
    const timer = new Timer(() => this.#giveUp(probe));
    this.#echo.operation = ECHO_REQUEST;
    this.#echo.ttlLeft = 0;
    this.#echo.sequence = sequence;
    const id = this.#env.draws.u32();
    this.#echo.id = id;
    const { ttl, dissemination } = modes;
    const user = typeof asker === 'object' ? asker : null;
    const reason = this.#send(destination, modes, user);
    if (reason !== DropReason.none) return reason;
    const counted = dissemination === DISSEMINATION_LINK_STATE;
    const probe: Probe = {
      asker,
      sequence,
      id,
      destination,
      sentAt: now,
      ttl,
      counted,
      timer,
      done,
    };
    if (yields !== null) this.#giveUp(yields);
    this.#probes.set(sequence, probe);
    const same = this.#askers.get(asker);
    if (same === undefined) this.#askers.set(asker, new Set([probe]));
    else same.add(probe);
    this.#env.timers.arm(timer, now + timeoutUs);
    return DropReason.none;
  }

  /** An echo packet for this node. */
  onPacket(packet: Packet): void {
    const echo = this.#echo;
    const reason = decodeEcho(packet.bytes, packet.payloadStart, packet.end, echo);
    if (reason !== DropReason.none) {
      this.#env.drops.count(reason);
      return;
    }
    if (echo.operation === ECHO_REQUEST) {
      this.#answer(packet, ECHO_REPLY);
      return;
    }
    const probe = this.#probes.get(echo.sequence);
    const reached = echo.operation === ECHO_REPLY;
    if (
      probe === undefined ||
      probe.id !== echo.id ||
      (reached && packet.source !== probe.destination)
    )
      return;
    this.#forget(probe);
    const crossed = packet.source === this.#env.self ? 0 : probe.ttl - echo.ttlLeft + 1;
    const hops = probe.counted ? crossed : null;
    probe.done({ node: packet.source, reached, rttUs: this.#env.clock.now() - probe.sentAt, hops });
  }

  /** A packet's ttl ran out here: its source hears of it if it was a probe. */
  onExpired(packet: Packet): void {
    if (packet.kind !== KIND_ECHO) return;
    if (decodeEcho(packet.bytes, packet.payloadStart, packet.end, this.#echo) !== DropReason.none)
      return;
    if (this.#echo.operation === ECHO_REQUEST) this.#answer(packet, ECHO_EXPIRED);
  }

  stop(): void {
    for (const probe of this.#probes.values()) {
      this.#env.timers.cancel(probe.timer);
      probe.done(null);
    }
    this.#probes.clear();
    this.#askers.clear();
  }

  #giveUp(probe: Probe): void {
    this.#forget(probe);
    probe.done(null);
  }

  #forget(probe: Probe): void {
    this.#env.timers.cancel(probe.timer);
    this.#probes.delete(probe.sequence);
    const same = this.#askers.get(probe.asker)!;
    same.delete(probe);
    if (same.size === 0) this.#askers.delete(probe.asker);
  }

  #countOf(asker: unknown): number {
    return this.#askers.get(asker)?.size ?? 0;
  }

  #oldestOfMost(): Probe {
    let most = new Set<Probe>();
    for (const probes of this.#askers.values()) if (probes.size > most.size) most = probes;
    const [oldest] = most;
    return oldest!;
  }

  #answer(request: Packet, operation: number): void {
    if (!this.#answers.take(originName(request), this.#env.clock.now())) {
      this.#env.drops.count(DropReason.echoRateLimited);
      return;
    }
    this.#echo.operation = operation;
    this.#echo.ttlLeft = request.ttl;
    const { service, dissemination, source } = request;
    const bytes = operation === ECHO_REPLY ? request.end - request.payloadStart : ECHO_HEAD_BYTES;
    const payloadBytes = bytes - ECHO_HEAD_BYTES;
    const modes = { service, dissemination, ttl: TTL_DEFAULT, payloadBytes };
    const reason = this.#send(source, modes, ANSWERED);
    if (reason !== DropReason.none) this.#env.drops.count(reason);
  }

  #send(
    destination: NodeId,
    { ttl, service, dissemination, payloadBytes }: EchoModes,
    user: object | null,
  ): DropReason {
    const packet = this.#packet;
    const start = OVERLAY_HEADER_BYTES + ECHO_HEAD_BYTES,
      end = start + payloadBytes;
    this.#scratch.fill(0, start, end);
    encodeEcho(this.#echo, this.#scratch, OVERLAY_HEADER_BYTES);
    this.#modes.ttl = ttl;
    this.#modes.service = service;
    this.#modes.dissemination = dissemination;
    packet.compose(
      this.#scratch,
      0,
      end,
      KIND_ECHO,
      this.#modes,
      this.#env.self,
      0,
      destination,
      0,
    );
    packet.user = user;
    return refusalOf(this.#env.dissemination.originate(packet));
  }
}
