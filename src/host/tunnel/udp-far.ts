/**
 * The far end of a UDP tunnel: what near ends ask for goes to targets of this machine's network,
 * and answers go back the way that the near end asked for.
 *
 * Owns flows, one for each (source node, port, token), each with one socket of the machine in a
 * family, and with an overlay socket of its own for what comes back. Nothing is reached that the
 * operator's list and the daemon's rules do not allow, and that is asked before a name is looked
 * up. No sockets, clock or log of its own: whoever hosts it gives them. Invariant: what comes from
 * the network is passed on only if the flow has sent to that address and port.
 */

import { putAddress, addressAt, ADDRESS_BYTES } from '../../core/base/ip-address.ts';
import { SourceBudget } from '../../core/base/source-budget.ts';
import type { Clock, Micros, Timers } from '../../core/base/time.ts';
import { SECOND } from '../../core/base/time.ts';
import { MESSAGE_BYTES_MAX } from '../../core/wire/fragment.ts';
import { formatTarget, type Target } from '../tunnel-target.ts';
import { ANSWERS, answerOf, type Answer } from './answers.ts';
import { FlowTable, type FlowEnd, type FlowLimits } from './flow-table.ts';
import { FarFlow, FarTarget } from './udp-far-flow.ts';
import {
  decodeAsk,
  decodeOver,
  decodeTarget,
  encodeAnswerHead,
  encodeRefusal,
  encodeTaken,
  encodeTarget,
  type Ask,
  type FlowMode,
} from './udp-message.ts';
import type { HostNetwork, Overlay, OverlaySocket, TunnelLog } from './udp-overlay.ts';

export interface FarEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly overlay: Overlay;
  readonly host: HostNetwork;
  readonly log: TunnelLog;
  /** Whether the operator's list has it. */
  isAllowed(target: Target): boolean;
  /** Whether the daemon's rules let a node reach it; `error` when that is not to be known. */
  mayReach(node: string, target: Target, done: (may: boolean, error: string | null) => void): void;
}

/** What became of datagrams; all of it only grows. */
export interface FarCounts {
  /** To targets. */
  sent: number;
  /** From targets, sent back. */
  received: number;
  /** Asks for what is not allowed, or not there. */
  refused: number;
  /** Of targets, larger than the overlay carries. */
  tooLarge: number;
  /** The daemon took no more just then, or too many waited for a target to be found. */
  full: number;
  malformed: number;
  /** From others than who was asked. */
  stray: number;
  /** Flows that ended because others needed their place. */
  gaveWay: number;
}

/** New flows and targets of one node: a resolver has one for each question. */
export const OPENINGS_PER_SECOND = 500;
export const OPENINGS_BURST = 1_000;
/** Refusals that one node is sent. */
const REFUSALS_PER_SECOND = 2;
const REFUSALS_BURST = 8;
const NODES_MAX = 1_024;
/** Of one flow; the one used longest ago gives way. */
export const TARGETS_MAX = 64;
/** Whether a target may be reached is asked again, while it is used. */
const CHECK_US: Micros = 10 * SECOND;
/** What was refused is not looked at again so soon. */
const REFUSED_US: Micros = 2 * SECOND;
const SIGN_US: Micros = SECOND;

export class UdpFar {
  readonly counts: FarCounts = {
    sent: 0,
    received: 0,
    refused: 0,
    tooLarge: 0,
    full: 0,
    malformed: 0,
    stray: 0,
    gaveWay: 0,
  };
  readonly #env: FarEnvironment;
  readonly #flows: FlowTable<FarFlow>;
  readonly #openings = new SourceBudget(OPENINGS_PER_SECOND, OPENINGS_BURST, NODES_MAX);
  readonly #refusals = new SourceBudget(REFUSALS_PER_SECOND, REFUSALS_BURST, NODES_MAX);
  /** For refusals where there is no flow: one for each mode. */
  readonly #answering = new Map<string, OverlaySocket>();
  #closed = false;

  constructor(limits: FlowLimits, env: FarEnvironment) {
    this.#env = env;
    this.#flows = new FlowTable(limits, env.clock, env.timers, (flow, why) =>
      this.#onEnd(flow, why),
    );
  }

  /** Flows that are open. */
  get size(): number {
    return this.#flows.size;
  }

  /** A message for the tunnel's overlay port. `@hot` */
  onMessage(message: Buffer, node: string, port: number, proved: boolean): void {
    if (this.#closed) return;
    const ask = decodeAsk(message);
    if (ask === null) {
      this.#onOther(message, node, port);
      return;
    }
    const key = keyOf(node, port, ask.token);
    let flow = this.#flows.get(key);
    const name = message.toString('latin1', ask.targetAt, ask.payloadAt);
    let target = flow?.targets.get(name);
    // Whose answers name nobody has one target.
    if (flow !== undefined && (ask.several !== flow.several || (!flow.several && !target))) {
      this.#malformed(node, port);
      return;
    }
    if (flow === undefined || target === undefined) {
      const wanted = this.#admit(message, ask, node, port, proved);
      if (wanted === null) return;
      flow ??= this.#open(key, ask, node, port, proved);
      target = this.#addTarget(flow, name, wanted);
    }
    this.#flows.touch(flow);
    if (flow.answered) this.#flows.prove(flow);
    if (ask.sign) this.#sign(flow);
    this.#pass(flow, target, message.subarray(ask.payloadAt));
  }

  close(): void {
    this.#closed = true;
    this.#flows.close();
    for (const socket of this.#answering.values()) socket.close();
  }

  /* -------------------------------------------------------------- flows and targets */

  /** The target of a new flow, or a new one of a flow; null when it was refused. */
  #admit(
    message: Buffer,
    { mode, token, targetAt, payloadAt }: Ask,
    node: string,
    port: number,
    proved: boolean,
  ): Target | null {
    const target = decodeTarget(message, targetAt, true);
    if (target === null) {
      this.#malformed(node, port);
      return null;
    }
    const refusal: Answer | null = !this.#env.isAllowed(target)
      ? { name: 'not allowed', reason: 'no --udp there names it' }
      : !this.#openings.take(node, this.#env.clock.now())
        ? { name: 'busy', reason: 'this node opens too many flows a second' }
        : null;
    if (refusal === null) return target;
    this.#refused(node, port, target, refusal);
    if (this.#refusals.take(node, this.#env.clock.now()))
      this.#answerer(mode, proved).send(
        [refusalOf(token, message.subarray(targetAt, payloadAt), refusal)],
        node,
        port,
      );
    return null;
  }

  #open(key: string, ask: Ask, node: string, port: number, proved: boolean): FarFlow {
    const socket = this.#env.overlay.open(ask.mode, proved, {
      onMessage: () => {
        this.counts.stray += 1;
      },
      onLost: (count) => {
        this.counts.full += count;
      },
      onBroken: (why) => {
        this.#env.log.refused({ from: `${node}:${port}`, why });
        this.#flows.delete(flow, 'closed');
      },
    });
    const flow = new FarFlow(key, node, port, ask.token, ask.several, socket);
    this.#flows.add(flow);
    this.#env.log.info({ from: flow.name }, 'flow opened');
    return flow;
  }

  #addTarget(flow: FarFlow, name: string, wanted: Target): FarTarget {
    if (flow.targets.size >= TARGETS_MAX) {
      let oldest: [string, FarTarget] | null = null;
      for (const entry of flow.targets)
        if (oldest === null || entry[1].usedAt < oldest[1].usedAt) oldest = entry;
      flow.removeTarget(oldest![0]);
    }
    const target = new FarTarget(wanted, encodeTarget(wanted));
    flow.targets.set(name, target);
    this.#check(flow, target);
    return target;
  }

  /** Asks the rules, looks the name up, and then lets pass what waits. */
  #check(flow: FarFlow, target: FarTarget): void {
    target.checkedAt = this.#env.clock.now();
    target.checking = true;
    this.#env.mayReach(flow.node, target.target, (may, error) => {
      if (flow.ended || target.gone) return;
      target.checking = false;
      if (!may) {
        this.#refuse(
          flow,
          target,
          error === null
            ? {
                name: 'not allowed',
                reason: 'rules of that node do not let this one reach it (firewall.targets)',
              }
            : {
                name: 'failed',
                reason: `its daemon does not say whether that is allowed: ${error}`,
              },
        );
      } else if (target.address === null) this.#resolve(flow, target);
    });
  }

  #resolve(flow: FarFlow, target: FarTarget): void {
    target.checking = true;
    this.#env.host.resolve(target.target.host, (found, code) => {
      if (flow.ended || target.gone) return;
      target.checking = false;
      if (found === null) {
        this.#refuse(flow, target, { name: answerOf(code), reason: code });
        return;
      }
      flow.place(target, plainAddress(found));
      for (const payload of flow.takeWaiting(target)) this.#send(flow, target, payload);
    });
  }

  /* -------------------------------------------------------------- what goes to targets */

  #pass(flow: FarFlow, target: FarTarget, payload: Buffer): void {
    const now = this.#env.clock.now();
    target.usedAt = now;
    if (target.refusedAt !== null) {
      if (now - target.refusedAt < REFUSED_US) {
        this.counts.refused += 1;
        return;
      }
      if (!this.#openings.take(flow.node, now)) {
        this.counts.full += 1;
        return;
      }
      target.refusedAt = null;
      this.#check(flow, target);
    } else if (target.address !== null && !target.checking && now - target.checkedAt >= CHECK_US)
      this.#check(flow, target);
    if (target.address !== null) this.#send(flow, target, payload);
    else if (!flow.hold(target, payload)) this.counts.full += 1;
  }

  #send(flow: FarFlow, target: FarTarget, payload: Buffer): void {
    const address = target.address!,
      { port } = target.target;
    const family = address.includes(':') ? 6 : 4;
    let socket = flow.hosts.get(family);
    if (socket === undefined) {
      socket = this.#env.host.open(family, flow.several ? null : { address, port }, {
        onMessage: (bytes, from, fromPort) => this.#onAnswer(flow, bytes, from, fromPort),
        onError: (code) => this.#onHostError(flow, code),
      });
      flow.hosts.set(family, socket);
    }
    flow.latest = target;
    flow.out += 1;
    this.counts.sent += 1;
    socket.send(payload, address, port);
  }

  /** What the system says of a datagram sent, which may be the one before. */
  #onHostError(flow: FarFlow, code: string): void {
    if (flow.ended || flow.latest === null) return;
    const answer: Answer = {
      name: answerOf(code),
      reason: code === 'ECONNREFUSED' ? 'nobody listens there' : code,
    };
    this.#tell(flow, flow.latest, answer);
  }

  #onAnswer(flow: FarFlow, payload: Buffer, address: string, port: number): void {
    const from = plainAddress(address);
    if (flow.ended || !flow.hasAsked(from, port)) {
      this.counts.stray += 1;
      return;
    }
    this.#flows.touch(flow);
    flow.answered = true;
    const head = encodeAnswerHead(
      flow.token,
      flow.several ? encodeTarget({ host: from, port }) : null,
    );
    if (head.length + payload.length > MESSAGE_BYTES_MAX) {
      this.counts.tooLarge += 1;
      this.#env.log.refused({
        from: formatTarget({ host: from, port }),
        why: `${payload.length} bytes are more than it carries`,
      });
    } else if (flow.socket.send([head, payload], flow.node, flow.port)) {
      flow.in += 1;
      this.counts.received += 1;
    } else this.counts.full += 1;
  }

  /* -------------------------------------------------------------- what is told */

  #refuse(flow: FarFlow, target: FarTarget, answer: Answer): void {
    flow.place(target, null);
    target.refusedAt = this.#env.clock.now();
    flow.takeWaiting(target);
    this.#tell(flow, target, answer);
  }

  #tell(flow: FarFlow, target: FarTarget, answer: Answer): void {
    this.#refused(flow.node, flow.port, target.target, answer);
    if (this.#refusals.take(flow.node, this.#env.clock.now()))
      flow.socket.send([refusalOf(flow.token, target.encoded, answer)], flow.node, flow.port);
  }

  #sign(flow: FarFlow): void {
    const now = this.#env.clock.now();
    if (flow.signedAt !== null && now - flow.signedAt < SIGN_US) return;
    flow.signedAt = now;
    flow.socket.send([encodeTaken(flow.token)], flow.node, flow.port);
  }

  #refused(node: string, port: number, target: Target, { name, reason }: Answer): void {
    this.counts.refused += 1;
    this.#env.log.refused({
      from: `${node}:${port}`,
      target: formatTarget(target),
      why: name,
      reason: reason === '' ? undefined : reason,
    });
  }

  #onOther(message: Buffer, node: string, port: number): void {
    const token = decodeOver(message);
    if (token === null) {
      this.#malformed(node, port);
      return;
    }
    const flow = this.#flows.get(keyOf(node, port, token));
    if (flow !== undefined) this.#flows.delete(flow, 'closed');
  }

  #malformed(node: string, port: number): void {
    this.counts.malformed += 1;
    this.#env.log.refused({
      from: `${node}:${port}`,
      why: 'the datagram is not understood; use one version of spines at both ends',
    });
  }

  #answerer(mode: FlowMode, proved: boolean): OverlaySocket {
    const name = `${mode.link} ${mode.routing} ${proved}`;
    const known = this.#answering.get(name);
    if (known !== undefined) return known;
    const socket = this.#env.overlay.open({ ...mode, deadlineMs: 0 }, proved, {
      onMessage: () => {
        this.counts.stray += 1;
      },
      onLost: () => {},
      onBroken: () => {
        socket.close();
        this.#answering.delete(name);
      },
    });
    this.#answering.set(name, socket);
    return socket;
  }

  #onEnd(flow: FarFlow, why: FlowEnd): void {
    if (why === 'gave way') this.counts.gaveWay += 1;
    flow.end();
    this.#env.log.info({ from: flow.name, out: flow.out, in: flow.in, why }, 'flow ended');
  }
}

function keyOf(node: string, port: number, token: number): string {
  return `${node} ${port} ${token}`;
}

function refusalOf(token: number, target: Uint8Array, { name, reason }: Answer): Buffer {
  return encodeRefusal(token, ANSWERS.indexOf(name), target, reason);
}

const scratch = new Uint8Array(ADDRESS_BYTES);

/** One form for each address, as both look-ups and sockets give it; a zone stays. */
function plainAddress(text: string): string {
  const [plain, zone] = text.split('%');
  if (!putAddress(scratch, 0, plain!)) return text;
  return zone === undefined ? addressAt(scratch, 0) : `${addressAt(scratch, 0)}%${zone}`;
}
