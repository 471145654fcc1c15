/**
 * The Byzantine-resilient on-demand router of one node (Awerbuch, Holmer, Nita-Rotaru and Rubens,
 * WiSe 2002): as long as one fault-free path joins source and destination they communicate,
 * whatever other nodes do.
 *
 * Wires discovery (signed flooding), the flows of this source (path choice, probing, conviction),
 * the forwarder (transit, probes, destination) and the weight list. Carries whole overlay packets
 * of sessions, sealed end to end, inside probed packets; a message that comes on two paths is
 * delivered once.
 *
 *     session -> originate -> SourceFlow -> PathFlow -> link ... Forwarder ... link -> Forwarder ->
 *     deliver -> session
 */

import { getU48 } from '../base/bytes.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { ReplayWindow } from '../base/replay-window.ts';
import { MILLISECOND, Timer, type Micros } from '../base/time.ts';
import { draw, Secret } from '../crypto/keys.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Strategy, StrategyEnvironment } from '../dissemination/strategy.ts';
import type { NextHop } from '../link/next-hop.ts';
import {
  ROUTE_REQUEST,
  ROUTE_RESPONSE,
  ROUTE_WEIGHTS_MAX,
  type RouteWeight,
} from '../wire/discovery.ts';
import { DropReason, TAKEN_FULL, type Offered } from '../wire/drop.ts';
import { LATENCY_UNIT_US } from '../wire/link-state.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_PROBED,
  KIND_ROUTE,
  Packet,
  SERVICE_RELIABLE,
} from '../wire/packet.ts';
import { PROBED_ACK, PROBED_DATA, ProbedAck, type ProbedData } from '../wire/probed.ts';
import { PACKET_BYTES_MAX, TAG_BYTES } from '../wire/sizes.ts';
import { rangeOf, type RoundTripRange } from './bounds.ts';
import { ANYBODY } from './ask-queue.ts';
import { Discovery } from './discovery.ts';
import type { DiscoveredPath } from './discovered-path.ts';
import { flowNumber, FlowTable } from './flow-table.ts';
import { WaitingShares } from './waiting-shares.ts';
import { Forwarder } from './forwarder.ts';
import { FlowKeys } from './keys.ts';
import { Onions } from './onion.ts';
import { KnownPaths } from './known-paths.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import { capExponent, type ByzantineOptions } from './options.ts';
import { COUNTER_WINDOW_WORDS, NUMBER_BYTES } from './path-flow.ts';
import { RouteMessages } from './route-messages.ts';
import { SourceFlow, type MessageNumbers, type SourceFlowEnvironment } from './source-flow.ts';
import { WeightList } from './weights.ts';
import { Withdrawals } from './withdrawals.ts';

/** Sources whose epoch keys and messages are remembered. */
const SOURCES_MAX = 4_096;
/** Messages of one source of which some pieces came and others did not. */
const PARTIAL_MAX = 256;
/**
 * A link of the path that another is looked for weighs 2 to the power of this: more than a few
 * links more.
 */
const AVOIDING_EXPONENT = 3;
/** Convictions kept for status. */
const CONVICTIONS_MAX = 64;
/**
 * Who looks for a path without a flow, at most so many at once, gets the best of those that come
 * within this after the first.
 */
const FINDERS_MAX = 64;
const FIND_BETTER: Micros = 100 * MILLISECOND;
/** Bytes of messages of all flows that may yet be sent again. */
const KEPT_BYTES_MAX = 16 * 1_048_576;

export interface ByzantineEnvironment extends StrategyEnvironment {
  readonly membership: Membership;
  readonly options: ByzantineOptions;
  readonly nodesMost: number;
}

export interface Conviction {
  readonly at: Micros;
  readonly destination: NodeId;
  readonly u: NodeId;
  readonly v: NodeId;
  readonly losses: number;
}

interface Finder {
  readonly destination: NodeId;
  readonly timer: Timer;
  found: boolean;
}

/** What is known of a source that sends to us or through us. */
interface Source {
  readonly epoch: number;
  readonly key: Uint8Array;
  /** By link service: messages delivered. */
  readonly delivered: (ReplayWindow | undefined)[];
  /**
   * Counter of the first piece of a message, as it was sent on one path at one time -> its pieces
   * so far, by index.
   */
  readonly partial: Map<number, (Uint8Array | null)[]>;
}

export class ByzantineRouter implements Strategy {
  readonly discovery: Discovery;
  readonly forwarder: Forwarder;
  readonly weights: WeightList;
  readonly convictions: Conviction[] = [];
  /** Set in laboratories only. */
  misbehaviour: Misbehaviour | null = null;
  readonly #env: ByzantineEnvironment;
  readonly #messages: RouteMessages;
  readonly #flows = new FlowTable((flow) => this.#onFlowGone(flow));
  readonly #sources = new Map<NodeId, Source>();
  readonly #finders = new Set<Finder>();
  /** Of flows that gave way. */
  readonly #past = { faults: 0, convictions: 0 };
  /**
   * By destination; never forgotten in this run, as keys would be used twice. At most one for each
   * node of the network.
   */
  readonly #counters = new Map<NodeId, number>();
  /**
   * Of messages, by destination and service; never forgotten either, as the destination takes no
   * number twice.
   */
  readonly #numbers = new Map<number, MessageNumbers>();
  readonly #flowEnv: SourceFlowEnvironment;
  /**
   * Which run of this node: the number that its advertisements began with, so at most what others
   * believe of them, and never behind those of an earlier run.
   */
  #epoch: number;
  readonly #ack = new ProbedAck();
  readonly #inner = new Packet();
  readonly #whole = new Uint8Array(PACKET_BYTES_MAX);

  constructor(env: ByzantineEnvironment) {
    this.#env = env;
    const { self, clock, timers, membership, options, topology, links, drops } = env;
    const { primitives } = membership;
    // Both live as long as this run of the daemon: counters begin anew with them.
    this.#epoch = topology.sequence;
    const epochNow = (): number => this.#epoch;
    const secret = new Secret(draw(membership.random, 32));
    const exchangeKey = primitives.x25519PublicKey(secret.reveal());
    const onions = new Onions(primitives);
    const keys = new FlowKeys(primitives);
    const known = new KnownPaths();
    const linkTo = (node: NodeId): NextHop | null => {
      const link = links.of(node);
      return link?.up ? link : null;
    };
    this.#messages = new RouteMessages(self);
    this.weights = new WeightList(capExponent(options.weightCap, env.nodesMost));
    this.discovery = new Discovery({
      self,
      clock,
      timers,
      primitives,
      signing: membership.identity.signing,
      get epoch() {
        return epochNow();
      },
      exchangeKey: () => exchangeKey,
      certificateOf: (node) =>
        node === self ? membership.identity.certificate : topology.certificateOf(node),
      neighbours: () => this.#neighbours(),
      send: (neighbour, bytes) => {
        const link = linkTo(neighbour);
        if (link !== null) this.#messages.send(link, bytes);
      },
      sequenceOf: (node) => topology.advertisementOf(node)?.sequence ?? null,
      mayLink: (a, b) => this.#mayLink(a, b),
      reachable: (node) => topology.reachable(node),
      onPath: (destination, path) => {
        for (const flow of [...this.#flows.toward(destination)]) flow.onPath(path);
        for (const finder of this.#finders)
          if (finder.destination === destination) this.#onFound(finder);
        env.onWritable();
      },
      onSource: (source, of, key, anew) => this.#learn(source, of, key, anew),
      onPassedOn: (source, behind) => known.add(source, behind),
      drops,
      nodesMost: Math.min(64, env.nodesMost),
      rng: env.rng.fork('discovery'),
      options,
    });
    this.forwarder = new Forwarder({
      self,
      clock,
      timers,
      primitives,
      onions,
      keys,
      secret,
      options,
      linkTo,
      keyOf: (source, of) => {
        const known = this.#sources.get(source);
        return known !== undefined && known.epoch === of ? known.key : null;
      },
      knows: (source, behind) => known.has(source, behind),
      onInner: (data, packet, start, end) => this.#onInner(data, packet, start, end),
    });
    this.#flowEnv = {
      self,
      clock,
      timers,
      options,
      onions,
      keys,
      get epoch() {
        return epochNow();
      },
      secret,
      linkTo,
      pool: env.pool,
      weights: this.weights,
      nextCounter: (destination) => {
        const counter = this.#counters.get(destination) ?? 0;
        this.#counters.set(destination, counter + 1);
        return counter;
      },
      rangeOf: (u, v, service) => this.#rangeOf(u, v, service),
      numbersOf: (destination, service) => {
        const name = flowNumber(destination, service),
          numbers = this.#numbers.get(name) ?? { next: 0 };
        this.#numbers.set(name, numbers);
        return numbers;
      },
      kept: { bytes: 0, most: KEPT_BYTES_MAX },
      waiting: new WaitingShares(Math.floor(env.pool.limit / 4)),
      paths: (destination) => this.discovery.paths(destination),
      discover: (flow, avoid) =>
        this.discovery.discover(
          flow.destination,
          avoid === undefined ? this.weights.entries() : this.#weightsAvoiding(avoid),
          flow.users.keys(),
        ),
      withdrawals: new Withdrawals((a, b) => this.#mayLink(a, b)),
      topologyVersion: () => topology.version,
      onRoom: () => env.onWritable(),
      onLost: (bytes, start, end) => env.onLost(bytes, start, end),
      onConviction: (flow, u, v, losses) => this.#onConviction(flow, u, v, losses),
    };
  }

  /** Flows of this source, in the order of their first packet. */
  flows(): IterableIterator<SourceFlow> {
    return this.#flows.all();
  }

  get options(): ByzantineOptions {
    return this.#env.options;
  }

  /** Over all flows since the start. */
  get totals(): { readonly faults: number; readonly convictions: number } {
    let { faults, convictions } = this.#past;
    for (const flow of this.#flows.all())
      [faults, convictions] = [faults + flow.faults, convictions + flow.convictions];
    return { faults, convictions };
  }

  /**
   * The lightest path to `destination`, asked for if need be; null when none was found in time.
   * False: not looked for, because nobody knows that node or too many are looking.
   */
  findPath(
    destination: NodeId,
    timeoutUs: Micros,
    done: (path: DiscoveredPath | null) => void,
  ): boolean {
    const { clock, timers, topology } = this.#env;
    const known = this.#lightest(destination);
    if (known !== null) {
      done(known);
      return true;
    }
    if (this.#finders.size >= FINDERS_MAX || topology.certificateOf(destination) === null)
      return false;
    const finder: Finder = {
      destination,
      found: false,
      timer: new Timer(() => {
        this.#finders.delete(finder);
        // Nobody else waits for it: it is not looked for any longer.
        if (!finder.found && !this.#isWanted(destination)) this.discovery.abandon(destination);
        done(this.#lightest(destination));
      }),
    };
    this.#finders.add(finder);
    timers.arm(finder.timer, clock.now() + timeoutUs);
    // All who trace share what one client has: none of them is delayed by it.
    this.discovery.discover(destination, this.weights.entries(), [this.#finders]);
    return true;
  }

  originate(packet: Packet): Offered {
    const { destination, service } = packet;
    let flow = this.#flows.get(destination, service);
    if (flow === undefined) {
      // A node that nobody has heard of is no reason to give up what is in use.
      if (this.#env.topology.certificateOf(destination) === null) return DropReason.noRoute;
      flow = new SourceFlow(destination, service, this.#flowEnv);
      this.#flows.add(flow, packet.user ?? ANYBODY, this.#env.clock.now());
    }
    const reason = flow.send(packet);
    return reason === DropReason.none && flow.congested ? TAKEN_FULL : reason;
  }

  congested({ destination, service }: Pick<Packet, 'destination' | 'service'>): boolean {
    return this.#flows.get(destination, service)?.congested ?? false;
  }

  /** A packet of this router, from the neighbour `from`. */
  onPacket(packet: Packet, from: NodeId): DropReason {
    const bad = this.misbehaviour;
    if (packet.kind === KIND_ROUTE) {
      const message = this.#messages.onPart(packet, from);
      if (message === null) return DropReason.none;
      if (typeof message === 'number') return message;
      if (bad?.onRoute?.(message, from) === true) return DropReason.none;
      if (message[0] === ROUTE_REQUEST) this.discovery.onRequest(message, from);
      else if (message[0] === ROUTE_RESPONSE) this.discovery.onResponse(message, from);
      else return DropReason.routePartMalformed;
      return DropReason.none;
    }
    if (packet.kind !== KIND_PROBED) return DropReason.sessionKindUnknown;
    const type = packet.bytes[packet.payloadStart];
    if (type === PROBED_DATA) {
      if (packet.destination !== this.#env.self && bad?.onData?.(packet, from) === true)
        return DropReason.none;
      return this.forwarder.onData(packet, from);
    }
    if (type !== PROBED_ACK) return DropReason.probedMalformed;
    const ack = this.#ack;
    const reason = ack.decode(packet.bytes, packet.payloadStart, packet.end);
    if (reason !== DropReason.none) return reason;
    if (ack.source === this.#env.self) return this.#onOwnAck(ack, from);
    return bad?.onAck?.(ack, from, packet.service) === true
      ? DropReason.none
      : this.forwarder.onAck(ack, from, packet.service);
  }

  onLinkState(node: NodeId, up: boolean): void {
    if (up) return;
    this.#messages.forget(node);
    for (const flow of this.#flows.all()) flow.onLinkDown();
  }

  onRestart(node: NodeId): void {
    this.discovery.onRestart(node);
    for (const flow of this.#flows.all()) flow.onRestart(node);
  }

  /**
   * Our clock was set back: others take no request of an epoch behind that of our earlier run,
   * which was no later than its numbers.
   */
  onOvertaken(sequence: number): void {
    if (sequence < this.#epoch) return;
    this.#epoch = sequence + 1;
    this.onRestart(this.#env.self);
  }

  onRoutes(): void {
    this.discovery.onRoutes();
  }

  stop(): void {
    for (const flow of this.#flows.all()) flow.stop();
    for (const finder of this.#finders) this.#env.timers.cancel(finder.timer);
    this.#finders.clear();
    this.forwarder.stop();
    this.discovery.stop();
  }

  /* -------------------------------------------------------------- source */

  /** A flow gave way to another. */
  #onFlowGone(flow: SourceFlow): void {
    flow.stop(true);
    this.#past.faults += flow.faults;
    this.#past.convictions += flow.convictions;
    if (!this.#isWanted(flow.destination)) this.discovery.abandon(flow.destination);
  }

  /** Whether somebody here wants paths to `destination`. */
  #isWanted(destination: NodeId): boolean {
    if (this.#flows.toward(destination).length > 0) return true;
    for (const finder of this.#finders) if (finder.destination === destination) return true;
    return false;
  }

  #onFound(finder: Finder): void {
    if (finder.found) return;
    finder.found = true;
    const { clock, timers } = this.#env;
    timers.arm(finder.timer, clock.now() + FIND_BETTER);
  }

  #lightest(destination: NodeId): DiscoveredPath | null {
    let best: DiscoveredPath | null = null,
      least = Infinity;
    for (const path of this.discovery.paths(destination)) {
      const weight = this.weights.pathWeight(path.nodes);
      if (weight < least) [best, least] = [path, weight];
    }
    return best;
  }

  #onOwnAck(ack: ProbedAck, from: NodeId): DropReason {
    for (const flow of this.#flows.toward(ack.destination)) {
      for (const path of [flow.main, flow.second]) {
        if (
          path === null ||
          path.flow.pathHigh !== ack.pathHigh ||
          path.flow.pathLow !== ack.pathLow ||
          path.flow.epoch !== ack.epoch
        )
          continue;
        if (path.path.nodes[1] !== from) return DropReason.probedAckUnexpected;
        const reason = path.onAck(ack);
        // Flows of two services may use the same path; counters differ.
        if (reason !== DropReason.probedAckUnexpected) return reason;
      }
    }
    return DropReason.probedAckUnexpected;
  }

  #onConviction(flow: SourceFlow, u: NodeId, v: NodeId, losses: number): void {
    const { clock, options, log } = this.#env;
    const now = clock.now();
    this.weights.convict(u, v, losses, options.tolerance, now, 'loss');
    this.convictions.push({ at: now, destination: flow.destination, u, v, losses });
    if (this.convictions.length > CONVICTIONS_MAX) this.convictions.shift();
    log.warn(
      {
        link: `${formatNodeId(u)}-${formatNodeId(v)}`,
        losses,
        destination: formatNodeId(flow.destination),
      },
      'link convicted',
    );
  }

  /**
   * By what the two ends say of their link; a lie moves only blame for links that the liar is an
   * end of.
   */
  #rangeOf(u: NodeId, v: NodeId, service: number): RoundTripRange {
    return rangeOf(
      Math.max(this.#latencyUs(u, v), this.#latencyUs(v, u)),
      service === SERVICE_RELIABLE,
      u === this.#env.self,
    );
  }

  #latencyUs(u: NodeId, v: NodeId): Micros {
    const entry = this.#env.topology.advertisementOf(u)?.links.find((link) => link.node === v);
    return entry === undefined ? -1 : entry.latency * LATENCY_UNIT_US;
  }

  /** The weight list with the links of `path` heavier than a way around them. */
  #weightsAvoiding(path: readonly NodeId[]): RouteWeight[] {
    const weights = [...this.weights.entries()];
    for (let i = 1; i < path.length && weights.length < ROUTE_WEIGHTS_MAX; i += 1) {
      const [u, v] = path[i - 1]! < path[i]! ? [path[i - 1]!, path[i]!] : [path[i]!, path[i - 1]!];
      if (!weights.some((weight) => weight.u === u && weight.v === v))
        weights.push({ u, v, exponent: AVOIDING_EXPONENT });
    }
    return weights;
  }

  /**
   * False when one of the two has said, signed, which neighbours it has, and the other is not among
   * them.
   */
  #mayLink(a: NodeId, b: NodeId): boolean {
    const { topology } = this.#env;
    const [ofA, ofB] = [topology.advertisementOf(a), topology.advertisementOf(b)];
    return (
      (ofA === null || ofA.links.some((link) => link.node === b)) &&
      (ofB === null || ofB.links.some((link) => link.node === a))
    );
  }

  *#neighbours(): IterableIterator<NodeId> {
    for (const link of this.#env.links.all()) if (link.up) yield link.node;
  }

  /* -------------------------------------------------------------- destination */

  #learn(source: NodeId, epoch: number, key: Uint8Array, anew: boolean): void {
    const known = this.#sources.get(source);
    if (known !== undefined && known.epoch >= epoch && !anew) return;
    this.#sources.delete(source);
    this.#sources.set(source, { epoch, key, delivered: [], partial: new Map() });
    if (this.#sources.size > SOURCES_MAX) this.#sources.delete(this.#sources.keys().next().value!);
  }

  /** An inner packet, or a piece of one, behind its number. */
  #onInner(data: ProbedData, packet: Packet, start: number, end: number): void {
    const source = this.#sources.get(data.source)!;
    const from = start + NUMBER_BYTES,
      to = end - TAG_BYTES;
    if (to <= from) {
      this.#env.drops.count(DropReason.probedMalformed);
      return;
    }
    const number = getU48(packet.bytes, start);
    const window = (source.delivered[packet.service] ??= new ReplayWindow(COUNTER_WINDOW_WORDS));
    // It came on the other path, as a rule.
    if (!window.isNew(number)) {
      this.#env.drops.count(DropReason.probedRepeated);
      return;
    }
    if (data.pieceCount === 1) this.#deliver(number, window, packet, packet.bytes, from, to);
    else this.#onPiece(source, data, number, window, packet, from, to);
  }

  /**
   * Pieces of one message that went different ways were cut in different places: only those with
   * neighbouring counters fit.
   */
  #onPiece(
    source: Source,
    data: ProbedData,
    number: number,
    window: ReplayWindow,
    packet: Packet,
    start: number,
    end: number,
  ): void {
    const index = data.pieceIndex,
      name = data.counter - index;
    let pieces = source.partial.get(name);
    if (pieces === undefined || pieces.length !== data.pieceCount) {
      source.partial.set(name, (pieces = new Array<Uint8Array | null>(data.pieceCount).fill(null)));
      if (source.partial.size > PARTIAL_MAX) {
        source.partial.delete(source.partial.keys().next().value!);
        this.#env.drops.count(DropReason.fragmentTableFull);
      }
    }
    pieces[index] = packet.bytes.slice(start, end);
    if (pieces.includes(null)) return;
    source.partial.delete(name);
    let length = 0;
    for (const piece of pieces) {
      if (length + piece!.length > PACKET_BYTES_MAX) {
        this.#env.drops.count(DropReason.packetTooLong);
        return;
      }
      this.#whole.set(piece!, length);
      length += piece!.length;
    }
    this.#deliver(number, window, packet, this.#whole, 0, length);
  }

  #deliver(
    number: number,
    window: ReplayWindow,
    outer: Packet,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const inner = this.#inner;
    const reason = inner.decode(bytes, start, end, false);
    // Only its source could have sealed it: what it says of source and destination must be true.
    const fits =
      inner.source === outer.source &&
      inner.destination === outer.destination &&
      inner.service === outer.service &&
      inner.dissemination === DISSEMINATION_BYZANTINE;
    if (reason !== DropReason.none || !fits) {
      this.#env.drops.count(reason === DropReason.none ? DropReason.probedMalformed : reason);
      return;
    }
    window.record(number);
    if (outer.ecn) inner.ecn = true;
    inner.ageUs = outer.ageUs;
    this.#env.deliver(inner);
  }
}
