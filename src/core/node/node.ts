/**
 * SpinesNode: the whole daemon without I/O. Wires the layers and owns the turn.
 *
 * Inputs are `onDatagram`, `attachClient` and the timers; outputs go to the injected sink and to
 * ClientOuts. A turn is one or more inputs followed by `flush()`: what was gathered
 * (acknowledgements, shared datagrams, packets to ourselves) leaves then. The same class runs in a
 * real process and by the hundred in the simulator.
 */

import { getU48 } from '../base/bytes.ts';
import type { Endpoint } from '../base/datagram.ts';
import { Draws } from '../base/draws.ts';
import { isGroupId, type NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import { ByzantineRouter } from '../byzantine/byzantine-router.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { Dissemination } from '../dissemination/dissemination.ts';
import { Routed } from '../dissemination/routed.ts';
import { EndToEnd } from '../end-to-end/end-to-end.ts';
import { OwnEpochs } from '../end-to-end/own-epochs.ts';
import { quadOf } from '../ipc/arguments.ts';
import { ClientPlaces } from '../ipc/client-places.ts';
import { ClientPort } from '../ipc/client-port.ts';
import type { ClientServices } from '../ipc/client-services.ts';
import {
  LOCAL_ACCESS,
  type ClientAccess,
  type ClientOut,
  type ConnectedClient,
} from '../ipc/client.ts';
import { SocketsWatch } from '../ipc/sockets-watch.ts';
import { FlushList } from '../link/channel.ts';
import type { Run } from '../link/handshaker.ts';
import { LinkTable } from '../link/link-table.ts';
import { extraUs } from '../link/neighbour-policy.ts';
import type { Link } from '../link/link.ts';
import { Administration } from '../operator/administration.ts';
import { CapableWays } from '../routing/capable-ways.ts';
import { namesOf, namesVersion } from '../routing/known-names.ts';
import { LinkStateRouter } from '../routing/link-state-router.ts';
import { RevocationExchange } from '../routing/revocation-exchange.ts';
import { CLOCK_TOLERANCE } from '../routing/signed-advertisement.ts';
import { EchoService } from '../session/echo-service.ts';
import { Firewall } from '../session/firewall.ts';
import { JudgedAgain } from '../session/judged-again.ts';
import { sameRules } from '../session/rules.ts';
import { Sessions, type SessionsEnvironment } from '../session/sessions.ts';
import { defaultTiming } from '../session/stream-settings.ts';
import { Streams, type StreamsEnvironment } from '../session/streams.ts';
import { DropCounters, DropReason } from '../wire/drop.ts';
import { FRAME_REVOCATION_OFFER, FRAME_REVOCATION_PART, FRAME_TWIN } from '../wire/frames.ts';
import { AES_SEALS, REALTIME, releaseOf } from '../wire/node-facts.ts';
import { PacketPool } from '../wire/packet-pool.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  DISSEMINATION_ROUTED,
  KIND_DATAGRAM,
  KIND_ECHO,
  KIND_FRAGMENT,
  KIND_GROUP,
  KIND_NOTICE,
  KIND_PIECE,
  KIND_SEQUENCED,
  KIND_STREAM,
  Packet,
} from '../wire/packet.ts';
import { WIRE_VERSIONS, type VersionRange } from '../wire/versions.ts';
import { clientServicesOf } from './client-services.ts';
import type { NodeConfig } from './config.ts';
import type { NodeEnvironment } from './environment.ts';
import { Groups } from './groups.ts';
import { Transit } from './transit.ts';
import { STRATEGIES, type StrategyParts } from './strategies.ts';
import { VERSION } from './version.ts';

export type { NodeEnvironment } from './environment.ts';

/** Of the time at which a run began, as peers are told. */
const STARTED_UNIT_US = 100;

/**
 * Programs that are connected and have not said HELLO, beyond the places that there are: twice what
 * the doors hold.
 */
const SILENT_MAX = 1_024;

export class SpinesNode {
  readonly drops = new DropCounters();
  readonly pool: PacketPool;
  readonly links: LinkTable;
  readonly router: LinkStateRouter;
  /** Keys that others seal for us with; null in a network without identities. */
  readonly epochs: OwnEpochs | null;
  readonly endToEnd: EndToEnd | null;
  /** Null in a network without identities. */
  readonly revocations: RevocationExchange | null;
  readonly dissemination: Dissemination;
  /** Null without identities, and in laboratories where another router has its place. */
  readonly byzantine: ByzantineRouter | null;
  /** Null in laboratories where another strategy has its place. */
  readonly routed: Routed | null;
  readonly groups: Groups;
  readonly firewall: Firewall;
  /** Whether others may route through this node. */
  readonly transit: Transit;
  readonly sessions: Sessions;
  readonly streams: Streams;
  readonly echo: EchoService;
  readonly administration: Administration;
  readonly socketsWatch = new SocketsWatch();
  /** Those that it speaks. */
  readonly wireVersions: VersionRange;
  /** Differs between runs of a daemon. */
  readonly instance: string;
  readonly #realtimeWays: CapableWays;
  readonly #flushList = new FlushList();
  readonly #clients = new Set<ClientPort>();
  readonly #places: ClientPlaces;
  readonly #clientServices: ClientServices;
  #config: NodeConfig;
  readonly #judgedAgain: JudgedAgain;
  #running = false;

  constructor(config: NodeConfig, env: NodeEnvironment) {
    this.#config = config;
    const { clock, timers, log, membership } = env,
      { drops } = this;
    const draws = new Draws(env.random);
    this.pool = new PacketPool(config.limits.packetsKept);
    const run = newRun(env);
    this.instance = run.instance.toString(16).padStart(12, '0');
    this.wireVersions = config.wireVersions ?? WIRE_VERSIONS;
    this.links = this.#makeLinks(env, run);
    this.epochs =
      membership === null
        ? null
        : new OwnEpochs(membership.primitives, env.random, clock, {
            rotateUs: config.keyRotationUs,
            refreshUs: config.advertisementRefreshUs,
            believedUs: believedUs(config),
          });
    this.endToEnd =
      membership === null ? null : this.#makeEndToEnd(env, membership.primitives, this.epochs!);
    this.#judgedAgain = new JudgedAgain({
      clock,
      timers,
      version: () => namesVersion(this.router),
      judge: () => this.streams.onRules(),
    });
    this.router = this.#makeRouter(env, run);
    this.#realtimeWays = new CapableWays(REALTIME, this.router, config.metric, clock);
    // Made after those who cut off whom a list revokes: a revoked neighbour is not told.
    this.revocations =
      membership === null
        ? null
        : new RevocationExchange({ membership, clock, timers, log, drops });
    this.dissemination = new Dissemination(config.id, drops, this.pool, {
      onDelivery: (packet) => this.#onDelivery(packet),
    });
    this.transit = this.#makeTransit(clock);
    const parts = this.#strategyParts(env, run, draws);
    this.byzantine = this.#useStrategies(env, parts);
    this.routed = routedOf(this.dissemination);
    this.groups = this.#makeGroups(env, parts);
    this.firewall = new Firewall(
      {
        self: config.id,
        namesVersion: () => namesVersion(this.router),
        namesOf: (node) => namesOf(this.router, node),
      },
      config.firewall,
    );
    const session: SessionParts = {
      self: config.id,
      clock,
      timers,
      draws,
      drops,
      dissemination: this.dissemination,
      firewall: this.firewall,
      endToEnd: this.endToEnd !== null,
      secrecy: () => this.#config.secrecy,
    };
    this.sessions = new Sessions({
      ...session,
      pool: this.pool,
      reassemblyBytes: config.limits.reassemblyBytes,
      groups: this.groups,
      // Who takes part in groups has realtime links.
      realtimeTo: (node, dissemination) =>
        isGroupId(node) || this.#realtimeWays.by(dissemination, node),
      pathsTo: (node, paths) => (this.routed?.graphs.paths.to(node, paths, 0) ?? null) !== null,
    });
    this.streams = this.#makeStreams(session);
    this.echo = new EchoService(session);
    this.administration = new Administration(this, env, this.#clients, env.operations);
    this.#places = new ClientPlaces(() => this.#config.limits);
    this.#clientServices = clientServicesOf(this, env, this.#places, (port) => {
      this.#places.give(port);
      const open: Set<ConnectedClient> = this.#clients;
      open.delete(port);
    });
  }

  #makeLinks(env: NodeEnvironment, run: Run): LinkTable {
    const { clock, timers, rng, sink, log, membership } = env;
    return new LinkTable(
      { ...this.#config, wireVersions: this.wireVersions },
      {
        clock,
        timers,
        rng: rng.fork('links'),
        sink,
        log,
        drops: this.drops,
        pool: this.pool,
        flushList: this.#flushList,
        inbound: new Packet(),
        membership,
        probe: env.probe ?? null,
        run,
        random: env.random,
        mark: env.mark ?? null,
        latencyTo: (node) => this.#realtimeWays.latencyTo(node),
        callsApart: env.callsApart ?? false,
        directory: {
          nameOf: (node) => this.router.nameOf(node),
          ownerOf: (key) => this.router.ownerOf(key),
        },
      },
      {
        onPacket: (packet, link) => this.dissemination.onPacket(packet, link.node),
        onControl: (link, type, bytes, start, end) =>
          this.#onControl(link, type, bytes, start, end),
        onLinkState: (link, up) => {
          this.router.onLinkState(link, up);
          this.revocations?.onLinkState(link, up);
          this.dissemination.onLinkState(link.node, up);
        },
        onLinkEstimate: (link) => this.#onLinkEstimate(link),
        onLinkWritable: () => this.#onWritable(),
        onHandBack: (kept, link) => this.dissemination.onHandBack(kept, link.node),
        isElsewhere: (kept, link) => this.dissemination.isElsewhere(kept, link.node),
        onLong: (packet, rate, dropped) => this.dissemination.onLong(packet, rate, dropped),
      },
    );
  }

  #makeEndToEnd(env: NodeEnvironment, primitives: Primitives, epochs: OwnEpochs): EndToEnd {
    const { clock, timers } = env;
    const { id, limits, keyRotationUs, advertisementRefreshUs } = this.#config;
    return new EndToEnd({
      self: id,
      clock,
      timers,
      drops: this.drops,
      pool: this.pool,
      primitives,
      epochs,
      nodesMost: limits.nodes,
      keptUs: believedUs(this.#config) + keyRotationUs + advertisementRefreshUs,
      instanceOf: (node) => this.router.instanceOf(node),
      takesAes: (node) => this.router.usable(AES_SEALS, [id, node]),
      ask: (via, node) => {
        const link = this.links.of(via);
        if (link?.up) this.router.records!.ask(link, node);
      },
      send: (packet) => this.dissemination.sendOn(packet),
      deliver: (packet) => this.dissemination.deliver(packet),
    });
  }

  #makeRouter(env: NodeEnvironment, run: Run): LinkStateRouter {
    const { clock, stopwatch, timers, rng, log, membership } = env;
    const config = this.#config;
    // What nobody seals costs nothing, and where it would cost more than the other cipher nobody is
    // to choose it.
    const capabilities =
      membership?.primitives.aesIsFast === true
        ? config.capabilities
        : config.capabilities & ~AES_SEALS;
    return new LinkStateRouter(
      config,
      {
        clock,
        wall: env.wall,
        stopwatch,
        timers,
        rng: rng.fork('routing'),
        log,
        drops: this.drops,
        membership,
        facts: { wire: this.wireVersions, release: releaseOf(VERSION), capabilities, ...run },
        statement: () => {
          const { name, publicKey } = this.epochs!.forRecord();
          return { instance: run.instance, epoch: name, key: publicKey };
        },
        extraUs: ({ node }) => extraUs(this.#config.neighbours, node, this.router.nameOf(node)),
        onNodeRecord: (node, record) => {
          this.endToEnd?.onNodeRecord(node, record);
          this.#judgedAgain.onNames();
        },
        onRoutes: () => {
          this.#judgedAgain.onNames();
          this.endToEnd?.onRoutes();
          for (const link of this.links.all()) if (link.troubled) link.shed();
          this.dissemination.onRoutes();
          this.streams.onRoutes();
        },
        onRestart: (node) => {
          this.dissemination.onRestart(node);
          this.streams.onRestart(node);
        },
        onOvertaken: (sequence) => this.dissemination.onOvertaken(sequence),
      },
      this.links,
    );
  }

  #makeTransit(clock: NodeEnvironment['clock']): Transit {
    return new Transit(this.#config.transit, {
      clock,
      drops: this.drops,
      passed: () => this.dissemination.forwarded + (this.byzantine?.forwarder.passed ?? 0),
      waiting: () => {
        let waiting = this.dissemination.waiting;
        for (const link of this.links.all()) waiting += link.queueBytes + link.unacknowledged;
        return waiting;
      },
      tell: (carried) => {
        this.router.transit = carried;
      },
    });
  }

  /** Gives the dissemination its strategies; the Byzantine router, if that is one of them. */
  #useStrategies(env: NodeEnvironment, parts: StrategyParts): ByzantineRouter | null {
    for (const { code, make } of STRATEGIES) {
      const strategy = env.strategies?.get(code)?.(parts) ?? make(parts, this.dissemination);
      if (strategy !== null) this.dissemination.use(code, strategy);
    }
    const router = this.dissemination.strategy(DISSEMINATION_BYZANTINE);
    return router instanceof ByzantineRouter ? router : null;
  }

  #makeGroups(env: NodeEnvironment, parts: StrategyParts): Groups {
    const groups = new Groups({
      ...parts,
      groupRecords: this.router.groups,
      linkState: this.router,
      metric: this.#config.metric,
      stopwatch: env.stopwatch,
      sendTo: (packet) => this.dissemination.originate(packet),
      isHere: (group) => this.sessions.memberships.has(group),
      onLong: (packet, rate, dropped) =>
        this.dissemination.strategy(DISSEMINATION_LINK_STATE)?.onLong?.(packet, rate, dropped),
      onGroupPacket: (packet) => this.sessions.onGroupPacket(packet),
    });
    this.dissemination.useGroups(groups.multicast);
    return groups;
  }

  #strategyParts(env: NodeEnvironment, { instance }: Run, draws: Draws): StrategyParts {
    const { id, byzantine, limits } = this.#config;
    return {
      self: id,
      clock: env.clock,
      timers: env.timers,
      rng: env.rng.fork('byzantine'),
      log: env.log,
      drops: this.drops,
      pool: this.pool,
      links: this.links,
      router: this.router,
      topology: this.router,
      linkState: this.router,
      instance,
      draw: () => draws.u32(),
      protection: this.endToEnd,
      membership: env.membership,
      byzantine,
      nodesMost: limits.nodes,
      deliver: (packet) => this.dissemination.deliver(packet),
      deliverClaimed: (packet) => this.dissemination.deliverClaimed(packet),
      loop: (packet) => this.dissemination.loop(packet),
      onWritable: () => this.#onWritable(),
      onLost: (bytes, start, end) => this.sessions.onLost(bytes, start, end),
      onExpired: (packet) => this.echo.onExpired(packet),
      refusesTransit: () => this.transit.refuses(),
      onTransit: (packet, from) =>
        this.dissemination.misbehaviour?.onTransit?.(packet, from) === true ||
        this.transit.refuses(),
    };
  }

  #makeStreams(session: SessionParts): Streams {
    const { id, streams, limits } = this.#config;
    const congestion = (): NodeConfig['streamCongestion'] => this.#config.streamCongestion;
    return new Streams({
      ...session,
      timing: { ...defaultTiming, ...streams },
      // Asked for at each use: a reload may change it.
      get congestion() {
        return congestion();
      },
      streamsMax: limits.streams,
      receiveBytes: limits.streamBytes,
      reachable: (node) => node === id || this.router.reachable(node),
    });
  }

  /** What the daemon goes by now. */
  get config(): NodeConfig {
    return this.#config;
  }

  /**
   * From now on goes by `config`, which may differ in `dials`, `neighbours`, `accept`, `transit`,
   * `allowShutdown`, `streams`, `streamCongestion`, `firewall` and the limits that are asked for at
   * use; the caller has made sure that nothing else does. Needs a `flush` at the end of the turn.
   */
  reconfigure(config: NodeConfig): void {
    const { firewall } = this.#config;
    this.#config = config;
    this.transit.allow(config.transit);
    for (const link of this.links.all()) if (link.up) this.router.onLinkEstimate(link);
    if (!sameRules(config.firewall, firewall)) {
      this.firewall.use(config.firewall);
      this.streams.onRules();
      for (const client of this.#clients) client.onRules();
    }
    this.links.reconfigure({ ...config, wireVersions: this.wireVersions });
    this.streams.retime({ ...defaultTiming, ...config.streams });
  }

  start(): void {
    this.#running = true;
    this.transit.start();
    this.router.start();
    this.links.start();
    this.flush();
  }

  /** Says good-bye to clients and neighbours. Nothing is sent or received afterwards. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    for (const client of this.#clients) client.onDraining();
    this.streams.stop();
    this.router.stop();
    this.flush();
    this.links.stop();
    this.flush();
    this.dissemination.stop();
    this.echo.stop();
    this.#judgedAgain.stop();
    this.sessions.stop();
    for (const client of [...this.#clients]) client.close();
  }

  /**
   * A datagram arrived; `bytes` belong to the node from now on. False: see LinkTable. Needs a
   * `flush` at the end of the turn. `@hot`
   */
  onDatagram(bytes: Uint8Array, length: number, from: Endpoint): boolean {
    return !this.#running || this.links.onDatagram(bytes, length, from);
  }

  /**
   * A program connected; null when there are too many. One with a certificate has a place from now
   * on, others from their HELLO, as `places` has it; how many may be silent is bounded by who calls
   * this, and here.
   */
  attachClient(out: ClientOut, access: ClientAccess = LOCAL_ACCESS): ClientPort | null {
    const remote = access.certificate !== null;
    const full = remote
      ? this.#places.fault(access) !== null
      : this.#clients.size >= this.config.limits.clients + SILENT_MAX;
    if (!this.#running || full) {
      this.drops.count(DropReason.clientRefused);
      return null;
    }
    const port = new ClientPort(this.#clientServices, out, access);
    this.#clients.add(port);
    if (remote) this.#places.take(port);
    return port;
  }

  /**
   * Why a program that comes this way gets no place, for its user; null: it is not for want of one.
   */
  whyNoPlace(access: ClientAccess): string | null {
    return this.#places.fault(access);
  }

  /** The sink, once congested, takes datagrams again. */
  onSinkWritable(): void {
    this.links.onSinkWritable();
  }

  /**
   * Datagrams to that address did not leave: they are longer than what the device towards it takes.
   */
  onDatagramTooLong(to: Endpoint, datagrams: number): void {
    this.drops.count(DropReason.datagramAboveMtu, datagrams);
    this.links.onDatagramTooLong(to);
  }

  /** Ends a turn: everything gathered leaves. `@hot` */
  flush(): void {
    this.links.onTurnEnd();
    this.streams.flush();
    // A session that answers itself goes on in the next round; rounds are bounded so that a turn
    // ends.
    for (
      let round = 0;
      round < 8 && (this.dissemination.loopbackPending || this.streams.flushNeeded);
      round += 1
    ) {
      this.dissemination.drainLoopback();
      this.streams.flush();
    }
    this.#flushList.flush();
  }

  /** The node that `name` (a node name or a dotted quad) means, or null. */
  resolve(name: string): NodeId | null {
    return (
      quadOf(name) ??
      (name === this.config.name && name !== '' ? this.config.id : this.router.resolve(name))
    );
  }

  #onLinkEstimate(link: Link): void {
    this.router.onLinkEstimate(link);
    if (link.troubled) link.shed();
  }

  #onControl(link: Link, type: number, bytes: Uint8Array, start: number, end: number): void {
    if (type === FRAME_TWIN) this.router.onTwinFrame(link, bytes, start, end);
    else if (type < FRAME_REVOCATION_OFFER || type > FRAME_REVOCATION_PART)
      this.router.onControl(link, type, bytes, start, end);
    else if (this.revocations === null) this.drops.count(DropReason.revocationMalformed);
    else this.revocations.onControl(link, type, bytes, start, end);
  }

  #onDelivery(packet: Packet): void {
    switch (packet.kind) {
      case KIND_DATAGRAM:
      case KIND_FRAGMENT:
      case KIND_PIECE:
      case KIND_SEQUENCED:
        this.sessions.onPacket(packet);
        return;
      case KIND_GROUP:
        this.groups.onDelivery(packet);
        return;
      case KIND_STREAM:
        this.streams.onPacket(packet);
        return;
      case KIND_ECHO:
        this.echo.onPacket(packet);
        return;
      case KIND_NOTICE:
        this.sessions.onNotice(packet);
        return;
      default:
        this.drops.count(DropReason.sessionKindUnknown);
    }
  }

  #onWritable(): void {
    this.sessions.onLinkWritable();
    this.streams.onLinkWritable();
  }
}

/** What every kind of session is made of. */
type SessionParts = Pick<SessionsEnvironment, keyof SessionsEnvironment & keyof StreamsEnvironment>;

function routedOf(dissemination: Dissemination): Routed | null {
  const routed = dissemination.strategy(DISSEMINATION_ROUTED);
  return routed instanceof Routed ? routed : null;
}

function newRun({ random, wall }: NodeEnvironment): Run {
  const drawn = new Uint8Array(6);
  random.fill(drawn);
  return {
    instance: getU48(drawn, 0),
    started: Math.max(0, Math.floor(wall.now() / STARTED_UNIT_US)),
  };
}

/** How long advertisements of ours may be believed, by nodes whose clocks are a little off. */
function believedUs({ advertisementLifetimeUs }: NodeConfig): Micros {
  return advertisementLifetimeUs + CLOCK_TOLERANCE;
}
