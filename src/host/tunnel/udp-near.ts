/**
 * The near end of a UDP tunnel: what clients send goes to the far end's targets, and answers come
 * back to the client that asked.
 *
 * Owns flows, one for each client address and port, each with an overlay socket of its own, and
 * what is counted and said of what is not carried. Does not own where clients' datagrams come from:
 * a listener (local-udp.ts) or SOCKS associations (udp-associations.ts). No sockets, clock or log
 * of its own: whoever hosts it gives them. Invariant: a client hears the node only that it asked,
 * by the token that its flow drew.
 */

import type { Clock, Micros, Timers } from '../../core/base/time.ts';
import { SECOND } from '../../core/base/time.ts';
import { MESSAGE_BYTES_MAX } from '../../core/wire/fragment.ts';
import { formatTarget, type Target } from '../tunnel-target.ts';
import { ANSWERS } from './answers.ts';
import { FlowTable, TableFlow, type FlowEnd, type FlowLimits } from './flow-table.ts';
import {
  decodeFromFar,
  decodeTarget,
  encodeAsk,
  encodeOver,
  type FlowMode,
} from './udp-message.ts';
import type { Overlay, OverlaySocket, TunnelLog } from './udp-overlay.ts';

/** Whoever sends datagrams on this machine's side, under one address and port. */
export interface UdpClient {
  /** Unlike that of all other clients. */
  readonly key: string;
  /** Whose share of flows it uses: its IP address, or its network. */
  readonly source: string;
  /** For people. */
  readonly name: string;
  /** An answer; `from`: who answers, as `encodeTarget` writes it, or null where only one can. */
  deliver(payload: Buffer, from: Buffer | null): void;
}

export interface NearOptions extends FlowLimits {
  /** Overlay port of the far end. */
  readonly via: number;
  /** For people: the far node's name. */
  readonly farName: string;
  readonly mode: FlowMode;
  /** Clients name targets: answers must say whose they are. */
  readonly several: boolean;
  /** Longer messages travel in more than one packet. */
  readonly packetBytes: number;
}

export interface NearEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly overlay: Overlay;
  readonly log: TunnelLog;
  /** A random u32. */
  token(): number;
  /** The far node, as a dotted quad; null while it is not known. */
  farNode(): string | null;
}

/** What became of datagrams; all of it only grows. */
export interface NearCounts {
  /** From clients, carried. */
  sent: number;
  /** To clients. */
  received: number;
  /** Of those sent, in more than one packet. */
  fragmented: number;
  /** Larger than the overlay carries. */
  tooLarge: number;
  /** The daemon took no more just then. */
  full: number;
  /** No such node, or no daemon. */
  unreachable: number;
  /** By the far end, as it said. */
  refused: number;
  /** Of others than who was asked, or malformed. */
  stray: number;
  /** Flows that ended because others needed their place. */
  gaveWay: number;
}

/** After so long without a word of the far end it is asked for one. */
const QUIET_US: Micros = 5 * SECOND;
/** So many asks, over so long, without one: nobody is there. */
const UNHEARD_ASKS = 3;
const UNHEARD_US: Micros = 2 * SECOND;

class NearFlow extends TableFlow {
  readonly client: UdpClient;
  readonly node: string;
  readonly token: number;
  readonly socket: OverlaySocket;
  answered = false;
  heardAt: Micros;
  /** When, and how often, it was asked for a sign since. */
  askedAt: Micros = 0;
  asks = 0;
  out = 0;
  in = 0;

  constructor(
    client: UdpClient,
    node: string,
    token: number,
    socket: OverlaySocket,
    heardAt: Micros,
  ) {
    super(client.key, client.source);
    this.client = client;
    this.node = node;
    this.token = token;
    this.socket = socket;
    this.heardAt = heardAt;
  }
}

export class UdpNear {
  readonly counts: NearCounts = {
    sent: 0,
    received: 0,
    fragmented: 0,
    tooLarge: 0,
    full: 0,
    unreachable: 0,
    refused: 0,
    stray: 0,
    gaveWay: 0,
  };
  readonly #options: NearOptions;
  readonly #env: NearEnvironment;
  readonly #flows: FlowTable<NearFlow>;
  #closed = false;

  constructor(options: NearOptions, env: NearEnvironment) {
    this.#options = options;
    this.#env = env;
    this.#flows = new FlowTable(options, env.clock, env.timers, (flow, why) =>
      this.#onEnd(flow, why),
    );
  }

  /** Flows that are open. */
  get size(): number {
    return this.#flows.size;
  }

  /** `client` sends `payload` to `target`, as `encodeTarget` writes it. `@hot` */
  onDatagram(client: UdpClient, target: Buffer, payload: Uint8Array): void {
    if (this.#closed) return;
    const flow = this.#flowOf(client);
    if (flow === null) return;
    const now = this.#env.clock.now(),
      { mode, several, via, packetBytes } = this.#options;
    this.#flows.touch(flow);
    if (flow.answered) this.#flows.prove(flow);
    const sign = now - flow.heardAt >= QUIET_US;
    const head = encodeAsk({ several, sign, mode, token: flow.token }, target);
    const bytes = head.length + payload.length;
    if (bytes > MESSAGE_BYTES_MAX) {
      this.counts.tooLarge += 1;
      this.#refused(flow.client, target, `${payload.length} bytes are more than it carries`);
      return;
    }
    if (!flow.socket.send([head, payload], flow.node, via)) {
      this.counts.full += 1;
      this.#refused(client, target, 'the daemon takes no more just now, or is away');
      return;
    }
    flow.out += 1;
    this.counts.sent += 1;
    if (bytes > packetBytes) this.counts.fragmented += 1;
    if (sign) this.#onSignAsked(flow, target, now);
  }

  /** The client has gone, and its flow with it. */
  forget(key: string): void {
    const flow = this.#flows.get(key);
    if (flow !== undefined) this.#flows.delete(flow, 'closed');
  }

  close(): void {
    this.#closed = true;
    this.#flows.close();
  }

  #flowOf(client: UdpClient): NearFlow | null {
    const { overlay, clock, log } = this.#env;
    const node = this.#env.farNode(),
      known = this.#flows.get(client.key);
    if (node === null) {
      this.counts.unreachable += 1;
      this.#refused(
        client,
        null,
        `no node ${this.#options.farName} is known; see \`spines nodes\``,
      );
      return null;
    }
    if (known !== undefined) {
      if (known.node === node) return known;
      this.#flows.delete(known, 'closed');
    }
    const socket = overlay.open(this.#options.mode, null, {
      onMessage: (message, from) => this.#onMessage(flow, message, from),
      onLost: (count, why) => {
        this.counts.full += count;
        this.#refused(client, null, why);
      },
      onBroken: (why) => {
        this.#refused(client, null, why);
        this.#flows.delete(flow, 'closed');
      },
    });
    const flow = new NearFlow(client, node, this.#env.token(), socket, clock.now() - QUIET_US);
    this.#flows.add(flow);
    log.info({ from: client.name }, 'flow opened');
    return flow;
  }

  #onMessage(flow: NearFlow, message: Buffer, node: string): void {
    const { several } = this.#options;
    const said = node === flow.node ? decodeFromFar(message, several) : null;
    if (said === null || said.token !== flow.token || this.#flows.get(flow.key) !== flow) {
      this.counts.stray += 1;
      return;
    }
    flow.heardAt = this.#env.clock.now();
    flow.asks = 0;
    if (said.kind === 'refusal') {
      this.counts.refused += 1;
      const { code, target, reason } = said;
      const why = ANSWERS[code] ?? `answer ${code}`;
      this.#env.log.refused({
        from: flow.client.name,
        target: formatTarget(target),
        why: `${this.#options.farName} says: ${why}`,
        reason: reason === '' ? undefined : reason,
      });
    } else if (said.kind === 'answer') {
      this.#flows.touch(flow);
      flow.answered = true;
      flow.in += 1;
      this.counts.received += 1;
      const { fromAt, payloadAt } = said;
      flow.client.deliver(
        message.subarray(payloadAt),
        fromAt === null ? null : message.subarray(fromAt, payloadAt),
      );
    }
  }

  #onSignAsked(flow: NearFlow, target: Buffer, now: Micros): void {
    if (flow.asks === 0) flow.askedAt = now;
    flow.asks += 1;
    if (flow.asks < UNHEARD_ASKS || now - flow.askedAt < UNHEARD_US) return;
    flow.asks = 0;
    this.#unheard(flow, target);
  }

  #unheard(flow: NearFlow, target: Buffer | null): void {
    const { farName, via } = this.#options;
    this.#refused(
      flow.client,
      target,
      `nobody answers at ${farName} port ${via}; is \`spines expose --udp\` running there?`,
    );
  }

  #onEnd(flow: NearFlow, why: FlowEnd): void {
    if (why === 'gave way') this.counts.gaveWay += 1;
    else if (why === 'idle' && flow.asks > 0) this.#unheard(flow, null);
    flow.socket.send([encodeOver(flow.token)], flow.node, this.#options.via);
    flow.socket.close();
    this.#env.log.info({ from: flow.client.name, out: flow.out, in: flow.in, why }, 'flow ended');
  }

  #refused({ name }: UdpClient, target: Buffer | null, why: string): void {
    const to: Target | null = target === null ? null : decodeTarget(target, 0, true);
    const fields = { from: name, target: to === null ? undefined : formatTarget(to), why };
    this.#env.log.refused(fields);
  }
}
