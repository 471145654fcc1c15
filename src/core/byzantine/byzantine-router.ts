/**
 * The Byzantine-resilient on-demand router of one node (Awerbuch, Holmer, Nita-Rotaru and Rubens,
 * WiSe 2002): as long as one fault-free path joins source and destination they communicate,
 * whatever other nodes do.
 *
 * Wires discovery (signed flooding), the flows of this source (path choice, probing, conviction),
 * the forwarder (transit, probes), what arrives for this node and the weight list. Carries whole
 * overlay packets of sessions, sealed end to end, inside probed packets.
 *
 *     session -> originate -> SourceFlow -> PathFlow -> link ... Forwarder ... link -> Forwarder ->
 *     Arrivals -> deliver -> session
 */

import { formatNodeId, type NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
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
import { KIND_PROBED, KIND_ROUTE, type Packet } from '../wire/packet.ts';
import { PROBED_ACK, PROBED_DATA, ProbedAck } from '../wire/probed.ts';
import { Arrivals } from './arrivals.ts';
import { ANYBODY } from './ask-queue.ts';
import { Discovery } from './discovery.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';
import type { DiscoveredPath } from './discovered-path.ts';
import { FlowNumbers } from './flow-numbers.ts';
import { FlowTable } from './flow-table.ts';
import { WaitingShares } from './waiting-shares.ts';
import { Forwarder, type ForwarderEnvironment } from './forwarder.ts';
import { FlowKeys } from './keys.ts';
import { Onions } from './onion.ts';
import { KnownPaths } from './known-paths.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import { capExponent, type ByzantineOptions } from './options.ts';
import { PathFinders } from './path-finders.ts';
import { RouteMessages } from './route-messages.ts';
import { SourceFlow, type SourceFlowEnvironment } from './source-flow.ts';
import { TopologyClaims } from './topology-claims.ts';
import { WeightList } from './weights.ts';
import { Withdrawals } from './withdrawals.ts';

/**
 * A link of the path that another is looked for weighs 2 to the power of this: more than a few
 * links more.
 */
const AVOIDING_EXPONENT = 3;
/** Convictions kept for status. */
const CONVICTIONS_MAX = 64;
/** Bytes of messages of all flows that may yet be sent again. */
const KEPT_BYTES_MAX = 16 * 1_048_576;

export interface ByzantineEnvironment extends StrategyEnvironment {
  readonly membership: Membership;
  readonly options: ByzantineOptions;
  readonly nodesMost: number;
  /** Whether a packet of others may not pass; it is counted. Default: all may. */
  refusesTransit?(): boolean;
}

/** What packets of all flows of one run are sealed with. */
type Layers = Pick<SourceFlowEnvironment, 'onions' | 'keys' | 'secret'>;

export interface Conviction {
  readonly at: Micros;
  readonly destination: NodeId;
  readonly u: NodeId;
  readonly v: NodeId;
  readonly losses: number;
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
  readonly #arrivals: Arrivals;
  readonly #finders: PathFinders;
  readonly #claims: TopologyClaims;
  /** Of flows that gave way. */
  readonly #past = { faults: 0, convictions: 0 };
  readonly #numbers = new FlowNumbers();
  readonly #flowEnv: SourceFlowEnvironment;
  /**
   * Which run of this node: the number that its advertisements began with, so at most what others
   * believe of them, and never behind those of an earlier run.
   */
  #epoch: number;
  readonly #ack = new ProbedAck();

  constructor(env: ByzantineEnvironment) {
    this.#env = env;
    const { self, clock, timers, membership, options, topology } = env;
    const { primitives } = membership;
    this.#claims = new TopologyClaims(self, topology);
    this.#arrivals = new Arrivals(env.drops, (packet) => env.deliver(packet));
    // Both live as long as this run of the daemon: counters begin anew with them.
    this.#epoch = topology.sequence;
    const secret = new Secret(draw(membership.random, 32));
    const exchangeKey = primitives.x25519PublicKey(secret.reveal());
    const layers = { onions: new Onions(primitives), keys: new FlowKeys(primitives), secret };
    const known = new KnownPaths();
    this.#messages = new RouteMessages(self);
    this.weights = new WeightList(capExponent(options.weightCap, env.nodesMost));
    this.discovery = new Discovery(this.#discoveryEnvironment(exchangeKey, known));
    this.#finders = new PathFinders({
      clock,
      timers,
      discovery: this.discovery,
      weights: this.weights,
      hasFlow: (destination) => this.#flows.toward(destination).length > 0,
    });
    this.forwarder = new Forwarder(this.#forwarderEnvironment(layers, known));
    this.#flowEnv = this.#flowEnvironment(layers);
  }

  #discoveryEnvironment(exchangeKey: Uint8Array, known: KnownPaths): DiscoveryEnvironment {
    const { self, clock, timers, membership, options, topology, drops, nodesMost, rng } = this.#env;
    const epochNow = (): number => this.#epoch;
    return {
      self,
      clock,
      timers,
      primitives: membership.primitives,
      signing: membership.identity.signing,
      get epoch() {
        return epochNow();
      },
      exchangeKey: () => exchangeKey,
      certificateOf: (node) =>
        node === self ? membership.identity.certificate : topology.certificateOf(node),
      neighbours: () => this.#neighbours(),
      send: (neighbour, bytes) => {
        const link = this.#linkTo(neighbour);
        if (link !== null) this.#messages.send(link, bytes);
      },
      sequenceOf: (node) => topology.advertisementOf(node)?.sequence ?? null,
      mayLink: (a, b) => this.#claims.mayLink(a, b),
      carriesTransit: () => this.#claims.mayPass(self),
      reachable: (node) => topology.reachable(node),
      onPath: (destination, path) => {
        for (const flow of [...this.#flows.toward(destination)]) flow.onPath(path);
        this.#finders.onPath(destination);
        this.#env.onWritable();
      },
      onSource: (source, of, key, anew) => this.#arrivals.learn(source, of, key, anew),
      onPassedOn: (source, behind) => known.add(source, behind),
      drops,
      nodesMost: Math.min(64, nodesMost),
      rng: rng.fork('discovery'),
      options,
    };
  }

  #forwarderEnvironment(layers: Layers, known: KnownPaths): ForwarderEnvironment {
    const { self, clock, timers, membership, options } = this.#env;
    return {
      self,
      clock,
      timers,
      primitives: membership.primitives,
      ...layers,
      options,
      linkTo: (node) => this.#linkTo(node),
      keyOf: (source, of) => this.#arrivals.keyOf(source, of),
      knows: (source, behind) => known.has(source, behind),
      onInner: (data, packet, start, end) => this.#arrivals.onInner(data, packet, start, end),
    };
  }

  #flowEnvironment(layers: Layers): SourceFlowEnvironment {
    const { self, clock, timers, options, pool, topology } = this.#env;
    const epochNow = (): number => this.#epoch;
    return {
      self,
      clock,
      timers,
      options,
      ...layers,
      get epoch() {
        return epochNow();
      },
      linkTo: (node) => this.#linkTo(node),
      pool,
      weights: this.weights,
      nextCounter: (destination) => this.#numbers.nextCounter(destination),
      rangeOf: (u, v, service) => this.#claims.rangeOf(u, v, service),
      numbersOf: (destination, service) => this.#numbers.ofMessages(destination, service),
      kept: { bytes: 0, most: KEPT_BYTES_MAX },
      waiting: new WaitingShares(Math.floor(pool.limit / 4)),
      paths: (destination) => this.discovery.paths(destination),
      discover: (flow, avoid) =>
        this.discovery.discover(
          flow.destination,
          avoid === undefined ? this.weights.entries() : this.#weightsAvoiding(avoid),
          flow.users.keys(),
        ),
      withdrawals: new Withdrawals(
        (a, b) => this.#claims.mayLink(a, b),
        (node) => this.#claims.mayPass(node),
      ),
      topologyVersion: () => topology.version,
      onRoom: () => this.#env.onWritable(),
      onLost: (bytes, start, end) => this.#env.onLost(bytes, start, end),
      onConviction: (flow, u, v, losses) => this.#onConviction(flow, u, v, losses),
    };
  }

  #linkTo(node: NodeId): NextHop | null {
    const link = this.#env.links.of(node);
    return link?.up ? link : null;
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
    const exists = this.#env.topology.certificateOf(destination) !== null;
    return this.#finders.find(destination, exists, timeoutUs, done);
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
      if (
        packet.destination !== this.#env.self &&
        (bad?.onData?.(packet, from) === true || this.#env.refusesTransit?.() === true)
      )
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
    this.#finders.stop();
    this.forwarder.stop();
    this.discovery.stop();
  }

  /* -------------------------------------------------------------- source */

  /** A flow gave way to another. */
  #onFlowGone(flow: SourceFlow): void {
    flow.stop(true);
    this.#past.faults += flow.faults;
    this.#past.convictions += flow.convictions;
    if (!this.#finders.isWanted(flow.destination)) this.discovery.abandon(flow.destination);
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

  *#neighbours(): IterableIterator<NodeId> {
    for (const link of this.#env.links.all()) if (link.up) yield link.node;
  }
}
