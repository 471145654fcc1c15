/**
 * The simulated world: virtual time, wires with the link model, and real SpinesNodes on them.
 *
 * One heap of timers orders everything: each host (a node with its own clock and timer queue) has
 * one entry for its earliest timer, each datagram under way has one for its arrival. A host's turn
 * is one input and the flush after it. Randomness of nodes, wires and faults is forked by name, so
 * the same seed gives the same trace hash.
 */

import { DISSEMINATION_BYZANTINE } from '../../core/wire/modes.ts';
import { assert } from '../../core/base/assert.ts';
import { makeEndpoint, type DatagramSink, type Endpoint } from '../../core/base/datagram.ts';
import { formatNodeId, type NodeId } from '../../core/base/ids.ts';
import { nullLog, type Log } from '../../core/base/log.ts';
import { Rng } from '../../core/base/rng.ts';
import { NEVER, Timer, type Clock, type Micros, type Timers } from '../../core/base/time.ts';
import { TimerQueue } from '../../core/base/timer-queue.ts';
import { IP_UDP_BYTES, LinkModel, makeVerdict } from '../../core/emulation/link-model.ts';
import {
  applyLinkSettings,
  toLinkSettings,
  type DirectionSettings,
} from '../../core/emulation/link-settings.ts';
import type { StrategyEnvironment, Strategy } from '../../core/dissemination/strategy.ts';
import type { Identity, Membership } from '../../core/crypto/membership.ts';
import type { PresharedKey } from '../../core/crypto/preshared.ts';
import type { Primitives } from '../../core/crypto/primitives.ts';
import type { AddressProbe } from '../../core/base/address-probe.ts';
import { SpinesNode } from '../../core/node/node.ts';
import type { EmulationControl } from '../../core/operator/emulation-control.ts';
import type { Audit } from '../../core/operator/audit.ts';
import { makeConfig, type DialConfig, type NodeConfig } from '../../core/node/config.ts';
import { cheapPrimitives } from './cheap-primitives.ts';
import { SIM_EPOCH, SimAuthority } from './sim-authority.ts';
import { MISBEHAVE } from '../misbehaviour/misbehaviour.ts';

/** UDP port of every simulated daemon. */
export const SIM_PORT = 8100;

/** One direction of a wire between two hosts. */
export interface Wire {
  readonly from: SimHost;
  readonly to: SimHost;
  readonly model: LinkModel;
  /** Offered to the wire, with IP and UDP headers. */
  datagrams: number;
  ipBytes: number;
}

/**
 * Datagrams under way lie beside each other: memory of its own for each costs more than to carry
 * it. A multiple of 8.
 */
const SLAB_BYTES = 65_536;

class Slab {
  readonly bytes = new Uint8Array(SLAB_BYTES);
  /** The same in words, for the hash. */
  readonly words = new Int32Array(this.bytes.buffer);
  used = 0;
}

class Arrival {
  readonly timer: Timer;
  wire: Wire | null = null;
  bytes: Uint8Array = new Uint8Array(0);
  /** Where they lie, from a multiple of 8 on. */
  slab: Slab | null = null;

  constructor(onArrival: (arrival: Arrival) => void) {
    this.timer = new Timer(() => onArrival(this));
  }
}

export interface WorldOptions {
  readonly seed: number;
  readonly log?: Log;
  /** 'none': links are not sealed and nobody has a certificate. Default 'sealed'. */
  readonly security?: 'sealed' | 'none';
  /** Default: cheap ones that keep nothing secret and change no length and no time. */
  readonly primitives?: Primitives;
  /**
   * False: datagrams damaged on the wire reach the daemon. By default the host's UDP checksum
   * discards them.
   */
  readonly checksums?: boolean;
  /**
   * Makes what stands in place of the Byzantine-resilient router in every daemon; default: that
   * router.
   */
  readonly alternate?: (host: SimHost, env: StrategyEnvironment) => Strategy;
  /**
   * Sees every datagram that arrives, e.g. an adversary or a capture; false = it does not arrive.
   */
  readonly onArrival?: (wire: Wire, bytes: Uint8Array) => boolean;
}

export class World implements Clock {
  readonly seed: number;
  readonly rng: Rng;
  readonly log: Log;
  readonly hosts: SimHost[] = [];
  readonly wires: Wire[] = [];
  /** Issues the certificates of all hosts; null in a world without security. */
  readonly authority: SimAuthority | null;
  readonly alternate: WorldOptions['alternate'];
  readonly #checksums: boolean;
  readonly #onArrivalHook: WorldOptions['onArrival'];
  readonly #queue = new TimerQueue();
  readonly #freeArrivals: Arrival[] = [];
  #slab = new Slab();
  #now: Micros = 0;
  #hashA = 0x811c9dc5;
  #hashB = 0x9747b28c;
  /** Datagrams that arrived. */
  arrivals = 0;
  turns = 0;

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.rng = new Rng(options.seed);
    this.log = options.log ?? nullLog;
    this.authority =
      options.security === 'none'
        ? null
        : new SimAuthority(options.primitives ?? cheapPrimitives, this.rng.fork('authority'));
    this.alternate = options.alternate;
    this.#checksums = options.checksums ?? true;
    this.#onArrivalHook = options.onArrival;
  }

  now(): Micros {
    return this.#now;
  }

  /** World time; for flows, faults and checkers. Nodes have clocks of their own. */
  get timers(): Timers {
    return this.#queue;
  }

  /** A hash over every arrival so far: time, wire, length and bytes. */
  get traceHash(): string {
    return (
      (this.#hashA >>> 0).toString(16).padStart(8, '0') +
      (this.#hashB >>> 0).toString(16).padStart(8, '0')
    );
  }

  /** Adds a host; its daemon starts with `start`. `driftPpm`: how fast its clock runs wrong. */
  addHost(id: NodeId, name: string, config: Partial<NodeConfig> = {}, driftPpm = 0): SimHost {
    const host = new SimHost(this, this.hosts.length, id, name, config, driftPpm);
    this.hosts.push(host);
    return host;
  }

  /** A second machine with the same identity: another address, everything else is `host`'s. */
  addTwin(host: SimHost, name: string): SimHost {
    const twin = new SimHost(
      this,
      this.hosts.length,
      host.id,
      name,
      { name: host.name },
      0,
      makeEndpoint(`172.16.0.${this.hosts.length}`, SIM_PORT),
    );
    twin.identity = host.identity;
    this.hosts.push(twin);
    return twin;
  }

  /** A wire in both directions; the first host's daemon dials the second's. */
  connect(a: SimHost, b: SimHost, forward: DirectionSettings, backward: DirectionSettings): void {
    assert(a !== b && !a.wires.has(b.endpoint.key), 'two hosts have one wire');
    const label = `wire ${a.name} ${b.name}`;
    const there = {
      from: a,
      to: b,
      model: new LinkModel(forward, this.rng.fork(`${label} forward`)),
      datagrams: 0,
      ipBytes: 0,
    };
    const back = {
      from: b,
      to: a,
      model: new LinkModel(backward, this.rng.fork(`${label} backward`)),
      datagrams: 0,
      ipBytes: 0,
    };
    a.wires.set(b.endpoint.key, there);
    b.wires.set(a.endpoint.key, back);
    const key = b.identity?.exchange.publicKey;
    a.dials.push({
      address: b.endpoint.address,
      port: b.endpoint.port,
      node: null,
      ...(key === undefined ? {} : { key }),
    });
    this.wires.push(there, back);
  }

  /** Runs until virtual time `until`, or until `stop` says so after some turn. */
  run(until: Micros, stop?: () => boolean): void {
    for (;;) {
      const at = this.#queue.nextAt;
      if (at > until || at === NEVER) break;
      this.#now = at;
      this.#queue.runDue(at, 1);
      if (stop?.() === true) return;
    }
    if (until > this.#now) this.#now = until;
  }

  runFor(time: Micros, stop?: () => boolean): void {
    this.run(this.#now + time, stop);
  }

  /** Calls `action` at world time `at`. */
  schedule(at: Micros, action: () => void): Timer {
    const timer = new Timer(action);
    this.#queue.arm(timer, Math.max(at, this.#now));
    return timer;
  }

  /** A datagram leaves `wire.from`: its fate is decided now. */
  transmit(wire: Wire, bytes: Uint8Array, length: number): void {
    const { verdict } = this;
    wire.datagrams += 1;
    wire.ipBytes += length + IP_UDP_BYTES;
    wire.model.offer(this.#now, length, verdict);
    if (verdict.copies === 0) return;
    const sent = bytes.length === length ? bytes : bytes.subarray(0, length);
    if (verdict.corruptBit < 0) this.#arriveAt(verdict.at0, wire, sent);
    else if (!this.#checksums)
      this.#arriveAt(verdict.at0, wire, sent)[verdict.corruptBit >> 3]! ^=
        0x80 >> (verdict.corruptBit & 7);
    if (verdict.copies === 2) this.#arriveAt(verdict.at1, wire, sent);
  }

  readonly verdict = makeVerdict();

  /** What will arrive: a copy. */
  #arriveAt(at: Micros, wire: Wire, sent: Uint8Array): Uint8Array {
    const arrival = this.#freeArrivals.pop() ?? new Arrival((due) => this.#onArrival(due));
    if (this.#slab.used + sent.length > SLAB_BYTES) this.#slab = new Slab();
    const slab = this.#slab,
      start = slab.used,
      bytes = slab.bytes.subarray(start, start + sent.length);
    bytes.set(sent);
    slab.used = (start + sent.length + 7) & ~7;
    arrival.wire = wire;
    arrival.bytes = bytes;
    arrival.slab = slab;
    this.#queue.arm(arrival.timer, at);
    return bytes;
  }

  #onArrival(arrival: Arrival): void {
    const wire = arrival.wire!;
    const { bytes } = arrival,
      { words } = arrival.slab!;
    arrival.slab = null;
    this.#freeArrivals.push(arrival);
    if (!wire.model.settings.up || !wire.to.running) return;
    if (this.#onArrivalHook?.(wire, bytes) === false) return;
    this.arrivals += 1;
    this.#hash(wire, bytes, words);
    wire.to.onDatagram(bytes, wire.from.endpoint);
  }

  #hash(wire: Wire, bytes: Uint8Array, words: Int32Array): void {
    let a = this.#hashA ^ this.#now;
    let b = this.#hashB ^ ((wire.from.index << 16) | wire.to.index);
    a = Math.imul(a ^ bytes.length, 0x01000193);
    const first = bytes.byteOffset >> 2,
      end = first + (bytes.length >> 2);
    for (let i = first; i < end; i += 1) a = mixed(a, words[i]!);
    for (let i = bytes.length & ~3; i < bytes.length; i += 1) a = mixed(a, bytes[i]!);
    b = Math.imul(b ^ a, 0x85ebca6b);
    this.#hashA = a;
    this.#hashB = b ^ (b >>> 15);
  }
}

/** Reversible, so that a change of one word alone always shows. */
function mixed(hash: number, word: number): number {
  const x = Math.imul(hash ^ word, 0x01000193);
  return x ^ (x >>> 15);
}

export class SimHost implements Clock {
  readonly world: World;
  readonly index: number;
  readonly id: NodeId;
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly dials: DialConfig[] = [];
  /** What its daemon starts with; null in a world without security. */
  identity: Identity | null;
  /** Pre-shared keys of the network that its daemon starts with; null: none. */
  preshared: readonly PresharedKey[] | null = null;
  /** What the running daemon knows of the network. */
  membership: Membership | null = null;
  /** How far the host's wall clock is off, now. */
  wallSkewUs: Micros = 0;
  /**
   * Set before `start`: its daemon's own log; null: the world's. And what its system says of
   * addresses.
   */
  log: Log | null = null;
  probe: AddressProbe | null = null;
  /** Its daemon, when it starts, reads calls from a queue of their own. */
  callsApart = false;
  /** Set before `start`: takes the records of what changed its daemon. */
  audit: Audit | null = null;
  /** By the peer's endpoint key. */
  readonly wires = new Map<string, Wire>();
  #config: Partial<NodeConfig>;
  readonly #rate: number;
  readonly #wake = new Timer(() => this.#onWake());
  #queue = new TimerQueue();
  #node: SpinesNode | null = null;
  #runs = 0;

  constructor(
    world: World,
    index: number,
    id: NodeId,
    name: string,
    config: Partial<NodeConfig>,
    driftPpm: number,
    endpoint = makeEndpoint(formatNodeId(id), SIM_PORT),
  ) {
    this.world = world;
    this.index = index;
    this.id = id;
    this.name = name;
    this.endpoint = endpoint;
    this.identity = world.authority?.issue(id, name) ?? null;
    this.#config = config;
    this.#rate = 1 + driftPpm / 1_000_000;
  }

  /** The daemon; only while the host runs. */
  get node(): SpinesNode {
    assert(this.#node !== null, 'the daemon runs');
    return this.#node;
  }

  get running(): boolean {
    return this.#node !== null;
  }

  /** The host's own clock, with its drift. */
  now(): Micros {
    return this.#rate === 1 ? this.world.now() : Math.floor(this.world.now() * this.#rate);
  }

  /** What differs in the config of the next `start`. */
  configure(change: Partial<NodeConfig>): void {
    this.#config = { ...this.#config, ...change };
  }

  /** Starts the daemon, as after a crash with nothing remembered. */
  start(): void {
    assert(this.#node === null, 'a daemon starts once');
    this.#runs += 1;
    this.#queue = new TimerQueue();
    const sink: DatagramSink = {
      congested: false,
      send: (to, bytes, length) => {
        const wire = this.wires.get(to.key);
        if (wire !== undefined) this.world.transmit(wire, bytes, length);
      },
    };
    const emulation: EmulationControl = {
      get: (peer) => {
        const wire = this.wires.get(peer.key);
        return wire === undefined ? null : toLinkSettings(wire.model.settings);
      },
      set: (peer, change) => {
        const wire = this.wires.get(peer.key);
        if (wire === undefined) return null;
        wire.model.set(applyLinkSettings(wire.model.settings, change));
        return toLinkSettings(wire.model.settings);
      },
      dropped: (peer) => this.wires.get(peer.key)?.model.dropped ?? 0,
    };
    const { alternate, authority } = this.world;
    this.membership =
      authority === null
        ? null
        : authority.member(
            this.identity!,
            { now: () => this.now() + this.wallSkewUs },
            undefined,
            this.preshared ?? undefined,
          );
    this.#node = new SpinesNode(
      makeConfig({ ...this.#config, id: this.id, name: this.name, dials: this.dials }),
      {
        clock: this,
        stopwatch: this,
        timers: this.#queue,
        rng: this.world.rng.fork(`host ${this.name} run ${this.#runs}`),
        random: this.world.rng.fork(`host ${this.name} run ${this.#runs} random`),
        wall: { now: () => SIM_EPOCH + this.now() + this.wallSkewUs },
        sink,
        log: this.log ?? this.world.log,
        probe: this.probe,
        callsApart: this.callsApart,
        emulation,
        operations: [MISBEHAVE],
        membership: this.membership,
        ...(this.audit === null ? {} : { audit: this.audit }),
        listen: [this.endpoint.key],
        onShutdownRequested: () => {},
        ...(alternate === undefined
          ? {}
          : {
              strategies: new Map([
                [DISSEMINATION_BYZANTINE, (env: StrategyEnvironment) => alternate(this, env)],
              ]),
            }),
      },
    );
    this.#node.start();
    this.endTurn();
  }

  /** The daemon vanishes without a word. */
  crash(): void {
    this.#node = null;
    this.world.timers.cancel(this.#wake);
  }

  /** The daemon ends in order. */
  stop(): void {
    this.#node?.stop();
    this.crash();
  }

  onDatagram(bytes: Uint8Array, from: Endpoint): void {
    this.node.onDatagram(bytes, bytes.length, from);
    this.endTurn();
  }

  /** After every input to the daemon, also those of flows and tests. */
  endTurn(): void {
    if (this.#node === null) return;
    this.world.turns += 1;
    this.#node.flush();
    const at = this.#queue.nextAt;
    if (at === NEVER) this.world.timers.cancel(this.#wake);
    else
      this.world.timers.arm(
        this.#wake,
        Math.max(this.world.now(), Math.ceil(this.#rate === 1 ? at : Math.ceil(at) / this.#rate)),
      );
  }

  #onWake(): void {
    this.#queue.runDue(this.now());
    this.endTurn();
  }
}
